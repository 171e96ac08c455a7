// Sends back whatever arrives on a TCP port.
//
// usage: tcp-echo -h
// try:   nc localhost 7000

#include "example.h"

static const char *const s_usage =
    "usage: tcp-echo [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default tcp://0.0.0.0:7000; port 0 is any free port\n";

// Stops reading at this many unsent bytes: a peer that sends without reading must not fill the memory.
#define ENOUGH (256 * 1024)

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
  const char *url = "tcp://0.0.0.0:7000";
  char of_port[40];
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  if (strchr(url, ':') == NULL) {  // a port alone is enough
    mg_snprintf(of_port, sizeof(of_port), "tcp://0.0.0.0:%s", url);
    url = of_port;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "tcp");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
