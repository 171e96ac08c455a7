// Serves files over TLS.
// usage: https PORT CERTIFICATE KEY DIRECTORY
#include "mongoose.h"
#include <signal.h>

static volatile sig_atomic_t s_stop;
static struct mg_tls_opts s_tls;
static struct mg_http_serve_opts s_serve;

static void on_signal(int s) {
  (void) s;
  s_stop = 1;
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &s_tls);
  if (ev == MG_EV_HTTP_MSG) mg_http_serve_dir(c, (struct mg_http_message *) ev_data, &s_serve);
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  char url[64];
  if (argc != 5) {
    fprintf(stderr, "usage: %s PORT CERTIFICATE KEY DIRECTORY\n", argv[0]);
    return 2;
  }
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  mg_log_set(MG_LL_ERROR);
  s_tls.cert = mg_file_read(&mg_fs_posix, argv[2]);
  s_tls.key = mg_file_read(&mg_fs_posix, argv[3]);
  s_serve.root_dir = argv[4];
  mg_mgr_init(&mgr);
  snprintf(url, sizeof(url), "https://127.0.0.1:%s", argv[1]);
  if (mg_http_listen(&mgr, url, fn, NULL) == NULL) return 1;
  while (!s_stop) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  free(s_tls.cert.buf);
  free(s_tls.key.buf);
  return 0;
}
