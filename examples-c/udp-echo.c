// Sends every UDP datagram back to where it came from.
//
// usage: udp-echo -h
// try:   nc -u localhost 7000

#include "example.h"

static const char *const s_usage =
    "usage: udp-echo [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default udp://0.0.0.0:7000; port 0 is any free port\n";

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
  const char *url = "udp://0.0.0.0:7000";
  char of_port[40];
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  if (strchr(url, ':') == NULL) {  // a port alone is enough
    mg_snprintf(of_port, sizeof(of_port), "udp://0.0.0.0:%s", url);
    url = of_port;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "udp");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
