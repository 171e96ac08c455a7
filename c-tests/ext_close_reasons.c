// The close reason and the number of unsent bytes in MG_EV_CLOSE, for every reason. Uses a simulated clock.
#include "ext.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void start(struct peer *p) {
  forget();
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, p);
}

static void finish(struct peer *p, enum mgx_reason want) {
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(reason, want);
  CHECK_EQ(last_phase, MGX_CLOSED);
  peer_free(p);
  mg_mgr_free(&mgr);
  CHECK_EQ(closed, 1);
}

static void drained(void) {
  struct peer p;
  start(&p);
  last->is_draining = 1;
  CHECK_EQ(mgx_conn_phase(last), MGX_DRAINING);
  finish(&p, MGX_REASON_DRAINED);
  CHECK_EQ(unsent, 0);
}

static void closed_by_the_peer(void) {
  struct peer p;
  start(&p);
  CHECK_EQ(mgx_conn_phase(last), MGX_ACTIVE);
  ask(&mgr, &p, GET("/later"));
  peer_shut(&p);
  poll_often(&mgr);
  CHECK_EQ(mgx_conn_phase(last), MGX_DRAINING);
  if (last != NULL) mgx_http_reply(last, 200, NULL, big_body, BIG);
  poll_often(&mgr);
  CHECK_EQ(mgx_conn_phase(last), MGX_FLUSHING);
  POLL_UNTIL(&mgr, peer_read(&p));
  finish(&p, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(unsent, 0);
}

static void reset_by_the_peer(bool with_output) {
  struct linger now = {1, 0};
  struct peer p;
  struct mgx_stats stats;
  start(&p);
  ask(&mgr, &p, with_output ? GET("/big") : GET("/hi"));
  poll_often(&mgr);
  setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(p.fd);
  p.fd = -1;
  POLL_UNTIL(&mgr, closed == 1);
  mgx_mgr_stats(&mgr, &stats);
  CHECK_EQ(stats.resets, 1);
  finish(&p, MGX_REASON_RESET);
  CHECK_EQ(unsent > 0, with_output);
}

static void closed_by_the_application(int how) {
  struct peer p;
  start(&p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  CHECK(last != NULL);
  if (how == 0) last->is_closing = 1;
  if (how == 1) mgx_conn_close(last);
  if (how == 2) mg_close_conn(last);
  if (how == 3) mgx_conn_abort(last);
  POLL_UNTIL(&mgr, closed == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  if (how == 3) CHECK(peer_was_reset(&p));
  finish(&p, MGX_REASON_CLOSED_BY_USER);
  CHECK(unsent > 0 && unsent < BIG);
}

// An idle connection that is aborted is reset, too, and one that is draining.
static void aborted_when_idle(bool draining) {
  struct peer p;
  start(&p);
  if (draining) mgx_conn_drain(last, NULL);
  mgx_conn_abort(last);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_was_reset(&p));
  finish(&p, MGX_REASON_CLOSED_BY_USER);
}

static void flush_timeout(void) {
  struct peer p;
  start(&p);
  ask(&mgr, &p, GET("/big"));
  last->is_draining = 1;
  poll_often(&mgr);
  advance_clock(60000);
  finish(&p, MGX_REASON_FLUSH_TIMEOUT);
  CHECK(unsent > 0);
}

static void response_timeout(void) {
  struct peer p;
  start(&p);
  ask(&mgr, &p, GET("/never"));
  CHECK(mgx_conn_drain(last, NULL));
  poll_often(&mgr);
  advance_clock(30000);
  finish(&p, MGX_REASON_RESPONSE_TIMEOUT);
}

static void forced(bool by_free) {
  struct mgx_mgr_drain_opts opts;
  struct peer p;
  start(&p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 1000;
  if (by_free) {
    mg_mgr_free(&mgr);
  } else {
    CHECK(mgx_mgr_drain(&mgr, &opts));
    poll_often(&mgr);
    advance_clock(1000);
  }
  finish(&p, MGX_REASON_FORCED);
  CHECK(unsent > 0);
}

static void limit_exceeded(struct mgx_limits limits, const char *said, enum mgx_reason why) {
  struct peer p;
  start(&p);
  mgx_mgr_limits(&mgr, &limits);
  CHECK(peer_send_text(&p, said));
  poll_often(&mgr);
  advance_clock(1000);
  finish(&p, why);
}

static char logged[500];
static size_t logged_len;

static void keep_log(char ch, void *arg) {
  if (logged_len < sizeof(logged)) logged[logged_len++] = ch;
  (void) arg;
}

static void errors_raised_by_the_application(void) {
  struct peer p;
  start(&p);
  mg_log_set_fn(keep_log, NULL);
  mg_log_set(MG_LL_ERROR);
  mg_error(last, "%s", "\001 enough");
  mg_log_set(MG_LL_NONE);
  mg_log_set_fn(mg_pfn_stdout, NULL);
  CHECK(logged_len > 11 && memcmp(logged + logged_len - 11, " \001 enough\r\n", 11) == 0);
  finish(&p, MGX_REASON_ERROR);
  start(&p);
  mgx_error(last, "enough");
  finish(&p, MGX_REASON_ERROR);
}

static void malformed(void) {
  struct peer p;
  start(&p);
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n"));
  finish(&p, MGX_REASON_ERROR);
}

static void connection_refused(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) *(int *) c->fn_data = (int) mgx_close_reason(c);
  (void) ev_data;
}

static void not_connected(void) {
  int why = -1;
  char url[64];
  forget();
  listener = serve(&mgr, server, NULL);
  mg_snprintf(url, sizeof(url), "%s", url_of(listener, "tcp"));
  listener->is_closing = 1;
  poll_often(&mgr);
  CHECK(mg_connect(&mgr, url, connection_refused, &why) != NULL);
  POLL_UNTIL(&mgr, why >= 0);
  CHECK(why == MGX_REASON_ERROR || why == MGX_REASON_RESET);
  // A call that fails at once.
  why = -1;
  mg_connect(&mgr, "tcp://255.255.255.255:9", connection_refused, &why);
  POLL_UNTIL(&mgr, why >= 0);
  CHECK_EQ(why, MGX_REASON_ERROR);
  mg_mgr_free(&mgr);
}

static void listeners(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) *(int *) c->fn_data = (int) mgx_close_reason(c);
  (void) ev_data;
}

static void listeners_too(void) {
  int why[3] = {-1, -1, -1};
  struct mg_connection *c;
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", listeners, &why[0]);
  c->is_draining = 1;
  c = mg_listen(&mgr, "udp://127.0.0.1:0", listeners, &why[1]);
  c->is_closing = 1;
  mg_listen(&mgr, "tcp://127.0.0.1:0", listeners, &why[2]);
  CHECK(mgx_mgr_drain(&mgr, NULL));
  poll_often(&mgr);
  CHECK_EQ(why[0], MGX_REASON_DRAINED);
  CHECK_EQ(why[1], MGX_REASON_CLOSED_BY_USER);
  CHECK_EQ(why[2], MGX_REASON_DRAINED);
  mg_mgr_free(&mgr);
}

int main(void) {
  int how;
  struct mgx_limits limits;
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  drained();
  closed_by_the_peer();
  reset_by_the_peer(false);
  reset_by_the_peer(true);
  for (how = 0; how < 4; how++) closed_by_the_application(how);
  aborted_when_idle(false);
  aborted_when_idle(true);
  flush_timeout();
  response_timeout();
  forced(false);
  forced(true);
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = limits.body_timeout_ms = limits.idle_timeout_ms = limits.write_timeout_ms = 1000;
  limit_exceeded(limits, GET("/hi"), MGX_REASON_IDLE_TIMEOUT);
  limit_exceeded(limits, "GET / HTTP/1.1\r\nHo", MGX_REASON_HEADER_TIMEOUT);
  limit_exceeded(limits, "POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nab", MGX_REASON_BODY_TIMEOUT);
  limit_exceeded(limits, GET("/big"), MGX_REASON_FLUSH_TIMEOUT);
  errors_raised_by_the_application();
  malformed();
  not_connected();
  listeners_too();
  free(big_body);
  return DONE();
}
