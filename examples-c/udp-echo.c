// Sends every UDP datagram back to where it came from.
//
// usage: udp-echo [PORT]     default 7000, 0: any free port; Ctrl-C ends it
// try:   nc -u localhost 7000

#include "mongoose.h"

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    char from[60];
    // c->rem is the sender of this datagram, and mg_send sends to c->rem.
    mg_snprintf(from, sizeof(from), "%M", mg_print_ip_port, &c->rem);
    printf("%lu bytes from %s\n", (unsigned long) c->recv.len, from);
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
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
  mg_snprintf(url, sizeof(url), "udp://0.0.0.0:%s", argc > 1 ? argv[1] : "7000");
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
  printf("udp://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
