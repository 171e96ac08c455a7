// One end of HTTPS connections, for tests with other programs at the other end.
// usage: tls_peer listen|connect URL [ca=FILE] [cert=FILE] [key=FILE] [name=NAME] [skip]
// listen: answers every request with "hello", and prints its port, "hello" for each request, "error TEXT" for each error.
// connect: asks for /, prints "status N" or "error TEXT", and ends.
#include "mongoose.h"
#include <signal.h>

static volatile sig_atomic_t stop;
static struct mg_tls_opts opts;

static void on_signal(int s) {
  (void) s;
  stop = 1;
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT || ev == MG_EV_CONNECT) mg_tls_init(c, &opts);
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n");
  if (ev == MG_EV_ERROR) printf("error %s\n", (char *) ev_data);
  if (ev == MG_EV_HTTP_MSG && c->is_client) {
    printf("status %d\n", mg_http_status((struct mg_http_message *) ev_data));
    c->is_draining = 1;
  } else if (ev == MG_EV_HTTP_MSG) {
    printf("hello\n");
    mg_http_reply(c, 200, "", "hello\n");
  }
  if (ev == MG_EV_CLOSE && c->is_client) stop = 1;
  fflush(stdout);
}

static struct mg_str file(const char *path) {
  struct mg_str s = mg_file_read(&mg_fs_posix, path);
  if (s.buf == NULL) fprintf(stderr, "cannot read %s\n", path), exit(2);
  return s;
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int i;
  if (argc < 3 || (strcmp(argv[1], "listen") != 0 && strcmp(argv[1], "connect") != 0)) {
    fprintf(stderr, "usage: %s listen|connect URL [ca=FILE] [cert=FILE] [key=FILE] [name=NAME] [skip]\n", argv[0]);
    return 2;
  }
  for (i = 3; i < argc; i++) {
    if (strncmp(argv[i], "ca=", 3) == 0) opts.ca = file(argv[i] + 3);
    if (strncmp(argv[i], "cert=", 5) == 0) opts.cert = file(argv[i] + 5);
    if (strncmp(argv[i], "key=", 4) == 0) opts.key = file(argv[i] + 4);
    if (strncmp(argv[i], "name=", 5) == 0) opts.name = mg_str(argv[i] + 5);
    if (strcmp(argv[i], "skip") == 0) opts.skip_verification = true;
  }
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_INFO);
  mg_mgr_init(&mgr);
  c = argv[1][0] == 'l' ? mg_http_listen(&mgr, argv[2], fn, NULL) : mg_http_connect(&mgr, argv[2], fn, NULL);
  if (c == NULL) return 1;
  if (c->is_listening) printf("port %d\n", (int) mg_ntohs(c->loc.port)), fflush(stdout);
  while (!stop) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  free(opts.ca.buf), free(opts.cert.buf), free(opts.key.buf);
  return 0;
}
