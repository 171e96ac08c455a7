// Sends back whatever arrives on a TCP port.
//
// usage: tcp-echo [PORT]     default 7000, 0: any free port; Ctrl-C ends it
// try:   nc localhost 7000

#include "mongoose.h"

// A peer that sends without reading must not fill our memory: above this many unsent bytes nothing more is read.
#define ENOUGH (256 * 1024)

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    printf("%lu connected\n", c->id);
  } else if (ev == MG_EV_READ) {
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
    if (c->send.len > ENOUGH) c->is_full = 1;
  } else if (ev == MG_EV_WRITE) {
    if (c->send.len <= ENOUGH) c->is_full = 0;
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    printf("%lu closed\n", c->id);
  }
  (void) ev_data;
}

int main(int argc, char **argv) {
  char url[40];
  struct mg_mgr mgr;
  struct mg_connection *listener;

  if (argc > 2 || (argc == 2 && (argv[1][0] < '0' || argv[1][0] > '9'))) {
    fprintf(stderr, "usage: %s [PORT]     default 7000, 0: any free port\n", argv[0]);
    return 2;
  }
  mg_snprintf(url, sizeof(url), "tcp://0.0.0.0:%s", argc > 1 ? argv[1] : "7000");
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  if ((listener = mg_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("tcp://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
