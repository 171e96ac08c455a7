// A server that says on which ports it listens, answers over HTTP and HTTPS, and ends when it is told to. For packaging/cross.sh.
//
// usage: cross-hello CERT KEY
#include <stdio.h>

#include "mongoose.h"

static struct mg_tls_opts tls;
static bool over;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && c->is_tls) {
    mg_tls_init(c, &tls);
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_http_reply(c, 200, "", "hello %.3f %s\n", 1.5, MG_BIG_ENDIAN ? "big" : "little");
    over = mg_match(hm->uri, mg_str("/end"), NULL);
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *http, *https;
  int i;
  if (argc != 3) return 2;
  mg_log_level = MG_LL_ERROR;
  tls.cert = mg_file_read(&mg_fs_posix, argv[1]);
  tls.key = mg_file_read(&mg_fs_posix, argv[2]);
  mg_mgr_init(&mgr);
  http = mg_http_listen(&mgr, "http://127.0.0.1:0", handler, NULL);
  https = mg_http_listen(&mgr, "https://127.0.0.1:0", handler, NULL);
  if (http == NULL || https == NULL || tls.cert.len == 0 || tls.key.len == 0) return 1;
  printf("%d %d\n", mg_ntohs(http->loc.port), mg_ntohs(https->loc.port));
  fflush(stdout);
  while (!over) mg_mgr_poll(&mgr, 1000);
  for (i = 0; i < 100 && mgr.conns != NULL; i++) {
    struct mg_connection *c;
    for (c = mgr.conns; c != NULL; c = c->next) c->is_draining = 1;
    mg_mgr_poll(&mgr, 10);
  }
  mg_mgr_free(&mgr);
  mg_free(tls.cert.buf);
  mg_free(tls.key.buf);
  return 0;
}
