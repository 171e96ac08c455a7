// Closes one connection gracefully while all others continue: the pending request is answered, the response says
// `Connection: close`, and an idle keep-alive connection may still send one more request.
//
// usage: drain-one -h
//
//   /              the number of the connection; a browser gets a page with all connections, and a button to drain each
//   /later         the same, after a second
//   /connections   a list of all of them
//   /drain?id=N    drains connection N

#include "monitor.h"

static const char *const s_usage =
    "usage: drain-one [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

static void answer(struct mg_connection *c) {
  mg_http_reply(c, 200, "Content-Type: application/json\r\n", "{\"id\":%lu}\n", c->id);
}

// Answers the requests for /later whose second has passed. c->data holds the time.
static void answer_those_due(void *arg) {
  struct mg_connection *c;
  for (c = ((struct mg_mgr *) arg)->conns; c != NULL; c = c->next) {
    uint64_t due;
    memcpy(&due, c->data, sizeof(due));
    if (due == 0 || due > mg_millis()) continue;
    memset(c->data, 0, sizeof(due));
    answer(c);
  }
}

static size_t print_connections(void (*out)(char, void *), void *arg, va_list *ap) {
  static const char *phases[] = {"active", "draining", "flushing", "closed"};
  struct mg_connection *c = va_arg(*ap, struct mg_connection *);
  size_t n = 0;
  const char *comma = "";
  for (; c != NULL; c = c->next) {
    if (!c->is_accepted) continue;
    n += mg_xprintf(out, arg, "%s{\"id\":%lu,\"peer\":%m,\"phase\":\"%s\"}", comma, c->id, mg_print_ip_port, &c->rem,
                    phases[mgx_conn_phase(c)]);
    comma = ",";
  }
  return n;
}

static void drain(struct mg_connection *c, struct mg_http_message *hm) {
  struct mgx_drain_opts opts;
  struct mg_connection *chosen;
  char id[20] = "";
  mg_http_get_var(&hm->query, "id", id, sizeof(id));
  for (chosen = c->mgr->conns; chosen != NULL; chosen = chosen->next) {
    if (chosen->is_accepted && chosen->id == strtoul(id, NULL, 10)) break;
  }
  if (chosen == NULL) {
    mg_http_reply(c, 404, "", "No such connection\n");
    return;
  }
  memset(&opts, 0, sizeof(opts));     // 0 selects each default
  opts.idle_grace_ms = 500;           // its client may be about to send a request
  opts.response_timeout_ms = 10000;   // longest wait for a response
  mgx_conn_drain(chosen, &opts);
  mg_http_reply(c, 200, "", "Connection %lu will close\n", chosen->id);
}

static const char *reason_text(enum mgx_reason reason) {
  switch (reason) {
    case MGX_REASON_DRAINED: return "drained";
    case MGX_REASON_PEER_CLOSED: return "closed by the peer";
    case MGX_REASON_RESPONSE_TIMEOUT: return "no response in time";
    case MGX_REASON_FLUSH_TIMEOUT: return "the peer did not read the response";
    default: return "cut off";
  }
}

static const char *const s_script = MONITOR_REQUESTS "window.drain = id => fetch('/drain?id=' + id);\n";

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (monitor_http(c, hm, "Draining one connection", "Each connection has a button that drains it: its request is answered, then it closes. The others stay open.",
                     s_script)) {
      return;
    } else if (mg_match(hm->uri, mg_str("/later"), NULL)) {
      uint64_t due = mg_millis() + 1000;
      memcpy(c->data, &due, sizeof(due));
    } else if (mg_match(hm->uri, mg_str("/connections"), NULL)) {
      mg_http_reply(c, 200, "Content-Type: application/json\r\n", "[%M]\n", print_connections, c->mgr->conns);
    } else if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
      drain(c, hm);
    } else {
      answer(c);
    }
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    printf("connection %lu: %s, %lu bytes unsent\n", c->id, reason_text(mgx_close_reason(c)), (unsigned long) mgx_close_unsent(c));
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  mg_timer_add(&mgr, 200, MG_TIMER_REPEAT, monitor_tick, &mgr);
  mg_timer_add(&mgr, 50, MG_TIMER_REPEAT, answer_those_due, &mgr);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
