// Graceful closing with one flag: on a single connection, and on all of them when the program stops.
//
// usage: drain -h
//
//   /        a reply, and the connection stays open; a browser gets a page that shows all connections, also while they drain
//   /once    the last reply on its connection: the library adds `Connection: close`
//   /later   a reply after a second
//   /big     ten megabytes
// try:  curl localhost:8000/later & curl -o /dev/null localhost:8000/big --limit-rate 3M & kill the server: both get everything.

#include "monitor.h"

#define BIG_SIZE (10 * 1000 * 1000)
#define GRACE_MS 20000

static const char *const s_usage =
    "usage: drain [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

static char s_big[BIG_SIZE];
// When the response to /later is due; 0: none pending.
static uint64_t due(const struct mg_connection *c) {
  uint64_t at;
  memcpy(&at, c->data, sizeof(at));
  return at;
}

static void set_due(struct mg_connection *c, uint64_t at) {
  memcpy(c->data, &at, sizeof(at));
}

static void answer_those_due(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  uint64_t now = mg_millis();
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (due(c) == 0 || due(c) > now) continue;
    set_due(c, 0);
    mg_http_reply(c, 200, "", "Here it is\n");
    if (s_signal != 0) c->is_draining = 1;
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (monitor_http(c, hm, "Draining", "Open some connections, then stop the process with Ctrl-C: each gets its response.", MONITOR_REQUESTS)) {
      return;
    } else if (mg_match(hm->uri, mg_str("/once"), NULL)) {
      mg_http_reply(c, 200, "", "Good-bye\n");
      c->is_draining = 1;
    } else if (mg_match(hm->uri, mg_str("/later"), NULL)) {
      set_due(c, mg_millis() + 1000);
    } else if (mg_match(hm->uri, mg_str("/big"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BIG_SIZE);
      mg_send(c, s_big, sizeof(s_big));
      c->is_resp = 0;
    } else {
      mg_http_reply(c, 200, "", "Hello\n");
    }
  }
}

// No new connections and no new requests; queued output is still sent. A draining connection with nothing queued closes at
// once, so connections that wait for a response are drained after it.
static void stop(struct mg_mgr *mgr) {
  uint64_t end = mg_millis() + GRACE_MS;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (due(c) == 0 && !monitor_is(c)) c->is_draining = 1;
  }
  while (mgr->conns != NULL && mg_millis() < end) mg_mgr_poll(mgr, 50);
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  memset(s_big, 'x', sizeof(s_big));
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  mg_timer_add(&mgr, 200, MG_TIMER_REPEAT, monitor_tick, &mgr);
  mg_timer_add(&mgr, 50, MG_TIMER_REPEAT, answer_those_due, &mgr);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  stop(&mgr);
  printf("%s\n", mgr.conns == NULL ? "all answered" : "some clients did not read their response in time");
  mg_mgr_free(&mgr);
  return 0;
}
