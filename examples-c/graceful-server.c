// A server that shuts down gracefully and within a deadline: SIGTERM or Ctrl-C starts the drain, a second one shortens it.
//
// usage: graceful-server -h
//
//   /          a reply; a browser gets a page that shows the connections by state, also while they drain
//   /later     a reply after half a second
//   /events    a stream of server-sent events, which ends cleanly when the server shuts down
//   /ws        a WebSocket echo; closed with 1001, going away, when the server shuts down
//   /healthz   200 or, from SIGTERM on, 503: for load balancers and Kubernetes probes
//   /drain     the progress of the drain; both pages show the status in JSON

#include "monitor.h"

static const char *const s_usage =
    "usage: graceful-server [-l URL] [-w LAME_DUCK_MS] [-t DEADLINE_MS]\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -w MS   time to keep accepting after the signal, default 2000\n"
    "  -t MS   deadline after the signal, default 20000\n";

static struct mg_mgr s_mgr;
static struct mgx_mgr_drain_opts s_drain;

// Signal handlers may call both functions used here. The second drain can only shorten the deadline.
static void on_signal(int number) {
  mgx_mgr_drain(&s_mgr, &s_drain);
  s_drain.deadline_ms = 1000;
  (void) number;
}

// Per-connection state, in c->data.
enum { NOTHING, ANSWER, EVENTS };

static void each_half_second(void *arg) {
  struct mg_connection *c;
  for (c = s_mgr.conns; c != NULL; c = c->next) {
    if (c->data[0] == ANSWER) {
      c->data[0] = NOTHING;
      mg_http_reply(c, 200, "", "Here it is\n");
    } else if (c->data[0] == EVENTS) {
      mg_http_printf_chunk(c, "data: %llu\n\n", (unsigned long long) mg_millis());
    }
  }
  (void) arg;
}

static void reply_status(struct mg_connection *c, int code) {
  static const char *phases[] = {"running", "lame duck", "idle grace", "finishing", "done"};
  struct mgx_drain_status s;
  mgx_mgr_drain_status(&s_mgr, &s);
  mg_http_reply(c, code, "Content-Type: application/json\r\n",
                "{\"ready\":%s,\"phase\":\"%s\",\"listeners\":%lu,\"idle\":%lu,\"active\":%lu,\"pending\":%lu,\"flushing\":%lu,\"websockets\":%lu,"
                "\"lingering\":%lu,\"served\":%lu,\"drained\":%lu,\"forced\":%lu,\"unsent_bytes\":%lu,\"elapsed_ms\":%llu,"
                "\"remaining_ms\":%llu}\n",
                mgx_mgr_is_ready(&s_mgr) ? "true" : "false", phases[s.phase], (unsigned long) s.listeners, (unsigned long) s.idle, (unsigned long) s.active,
                (unsigned long) s.pending, (unsigned long) s.flushing, (unsigned long) s.websockets, (unsigned long) s.lingering,
                (unsigned long) s.served, (unsigned long) s.drained, (unsigned long) s.forced, (unsigned long) s.unsent_bytes,
                (unsigned long long) s.elapsed_ms, (unsigned long long) s.remaining_ms);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (monitor_http(c, hm, "Graceful shutdown", "Open some connections, then send SIGTERM to the process and watch them close.",
                     MONITOR_SOCKETS)) {
      return;
    } else if (mg_match(hm->uri, mg_str("/later"), NULL)) {
      c->data[0] = ANSWER;
    } else if (mg_match(hm->uri, mg_str("/events"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
      c->data[0] = EVENTS;
    } else if (mg_match(hm->uri, mg_str("/healthz"), NULL)) {
      reply_status(c, mgx_mgr_is_ready(&s_mgr) ? 200 : 503);
    } else if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      example_ws_upgrade(c, hm);
    } else if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
      reply_status(c, 200);
    } else {
      mg_http_reply(c, 200, "", "Hello\n");
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  } else if (ev == (int) MGX_EV_DRAIN && c->data[0] == EVENTS) {
    // Without this the stream would delay the drain until the deadline. The event arrives when the drain reaches the
    // connection, and once more if a stream begins afterwards.
    c->data[0] = NOTHING;
    mg_http_printf_chunk(c, "event: bye\ndata:\n\n");
    mg_http_printf_chunk(c, "");
    c->is_draining = 1;
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_connection *listener;
  struct mgx_drain_status status;
  bool all;
  int opt;

  s_drain.lame_duck_ms = 2000;
  s_drain.deadline_ms = 20000;
  while ((opt = getopt(argc, argv, "hl:w:t:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'w': s_drain.lame_duck_ms = atoi(optarg); break;
      case 't': s_drain.deadline_ms = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) s_drain.lame_duck_ms = atoi(argv[optind++]);
  if (optind < argc) s_drain.deadline_ms = atoi(argv[optind++]);
  if (optind < argc) return example_usage(s_usage, '?');
  s_drain.conn.response_timeout_ms = -1;  // no limit but the deadline
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&s_mgr);
  mgx_mgr_limits(&s_mgr, mgx_limits_public());
  mgx_mgr_drain_init(&s_mgr);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  listener = mg_http_listen(&s_mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&s_mgr, argv[0], url);
  mg_timer_add(&s_mgr, 200, MG_TIMER_REPEAT, monitor_tick, &s_mgr);
  mg_timer_add(&s_mgr, 500, MG_TIMER_REPEAT, each_half_second, NULL);
  example_ready(listener, "http");
  while (mgx_mgr_phase(&s_mgr) != MGX_MGR_DONE) mg_mgr_poll(&s_mgr, 1000);
  all = mgx_mgr_drain_wait(&s_mgr);  // true: no connection was closed by force
  mgx_mgr_drain_status(&s_mgr, &status);
  printf("%lu requests served while draining, %lu connections drained, %lu closed by force\n", (unsigned long) status.served,
         (unsigned long) status.drained, (unsigned long) status.forced);
  mg_mgr_free(&s_mgr);
  return all ? 0 : 1;
}
