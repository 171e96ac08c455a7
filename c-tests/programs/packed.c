// Serves the files that mongoose-pack has put into the program.
//
// usage: packed URL

#include "mongoose.h"

extern
#ifdef __cplusplus
    "C"
#endif
    const struct mg_mem_file packed_files[];

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.root_dir = "/";
    opts.fs = &mg_fs_packed;
    mg_http_serve_dir(c, (struct mg_http_message *) ev_data, &opts);
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  signal(SIGTERM, on_signal);
  mg_mem_files = packed_files;
  mg_mgr_init(&mgr);
  listener = argc == 2 ? mg_http_listen(&mgr, argv[1], handler, NULL) : NULL;
  if (listener == NULL) return 1;
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
