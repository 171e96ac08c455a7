// Takes uploads of any size with mg_http_start_upload and keeps nothing of them. Answers with the number of bytes.
//
// usage: sink URL

#include "mongoose.h"

static uint64_t s_bytes;
static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static int st(const char *path, size_t *size, time_t *mtime) {
  (void) path, (void) size, (void) mtime;
  return 0;
}

static void *op(const char *path, int flags) {
  (void) path, (void) flags;
  return &s_bytes;
}

static void cl(void *fd) {
  (void) fd;
}

static size_t wr(void *fd, const void *buf, size_t len) {
  *(uint64_t *) fd += len;
  (void) buf;
  return len;
}

static bool mv(const char *from, const char *to) {
  (void) from, (void) to;
  return true;
}

static bool rm(const char *path) {
  (void) path;
  return true;
}

static void done(struct mg_connection *c, const char *error) {
  mg_http_reply(c, error == NULL ? 200 : 500, "", "%llu%s\n", (unsigned long long) s_bytes, error == NULL ? "" : error);
  s_bytes = 0;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  static struct mg_fs fs = {st, NULL, op, cl, NULL, wr, NULL, mv, rm, rm};
  if (ev == MG_EV_HTTP_HDRS) {
    mg_http_start_upload(c, (struct mg_http_message *) ev_data, mg_str("file"), mg_str("nowhere"), &fs, done);
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  if (argc != 2 || (listener = mg_http_listen(&mgr, argv[1], handler, NULL)) == NULL) {
    fprintf(stderr, "usage: %s URL\n", argv[0]);
    return 2;
  }
  printf("port: %u\n", mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
