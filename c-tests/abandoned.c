// A client that disconnects while its response is pending or in progress: the handler is told at once, the connection closes
// after half_close_ms, and no drain waits for it. Queued output is still sent. Uses a simulated clock.
#include "ext.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static int eofs;
static bool answers, closes_at_eof, drains_at_eof;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == (int) MGX_EV_EOF) {
    eofs++;
    CHECK(ev_data == NULL);
    CHECK(c == last);
    CHECK(!c->is_draining && !c->is_closing);
    if (answers) mg_http_reply(c, 200, "", "hi");
    if (closes_at_eof) c->is_closing = 1;
    if (drains_at_eof) c->is_draining = 1;
  }
}

static void start(struct peer *p, int half_close_ms, const char *request) {
  struct mgx_limits limits;
  forget();
  eofs = 0;
  answers = closes_at_eof = drains_at_eof = false;
  listener = serve(&mgr, handler, NULL);
  memset(&limits, 0, sizeof(limits));
  limits.half_close_ms = half_close_ms;
  if (half_close_ms != 0) mgx_mgr_limits(&mgr, &limits);
  join(&mgr, listener, p);
  ask(&mgr, p, request);
  poll_often(&mgr);
}

static void disconnect(struct peer *p) {
  peer_read(p);  // or the kernel would send a reset
  close(p->fd);
  p->fd = -1;
  usleep(1000);
  poll_often(&mgr);
}

static void finish(struct peer *p, enum mgx_reason want) {
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, want);
  peer_free(p);
  mg_mgr_free(&mgr);
}

static void client_disconnects(const char *request, int half_close_ms, uint64_t after) {
  struct peer p;
  start(&p, half_close_ms, request);
  disconnect(&p);
  if (after == 0) {
    CHECK_EQ(eofs, 0);  // the end of stream and the end are the same
  } else {
    CHECK_EQ(eofs, 1);
    CHECK_EQ(closed, 0);
    advance_clock(after - 1);
    CHECK_EQ(closed, 0);
    advance_clock(1);
    CHECK_EQ(eofs, 1);
  }
  finish(&p, MGX_REASON_PEER_CLOSED);
}

// A stream is written to: the kernel knows that nobody is there any more.
static void a_stream_that_continues(void) {
  struct peer p;
  start(&p, 0, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  disconnect(&p);
  CHECK_EQ(eofs, 1);
  if (last != NULL) mg_http_printf_chunk(last, "one more");
  POLL_UNTIL(&mgr, closed == 1);
  finish(&p, MGX_REASON_RESET);
}

static void reset(const char *request) {
  struct peer p;
  start(&p, 0, request);
  peer_drop(&p);
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(eofs, 0);
  finish(&p, MGX_REASON_RESET);
}

// The row of the table: a half-close, the answer within the limit.
static void a_half_close_that_is_answered(uint64_t after) {
  struct peer p;
  start(&p, 0, GET("/later"));
  peer_shut(&p);
  poll_often(&mgr);
  CHECK_EQ(eofs, 1);
  advance_clock(after);
  CHECK(last != NULL);
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  expect_end(&mgr, &p, HI);
  finish(&p, MGX_REASON_PEER_CLOSED);
}

static void queued_output_is_sent(int half_close_ms) {
  struct mg_str want = make_reply("200 OK", "", big_body, BIG);
  struct peer p;
  start(&p, half_close_ms, GET("/big"));
  CHECK(last != NULL && last->send.len > 0);
  peer_shut(&p);
  poll_often(&mgr);
  CHECK_EQ(eofs, 1);
  advance_clock(20000);
  CHECK_EQ(closed, 0);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_str(&p, want));
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(unsent, 0);
  free(want.buf);
  finish(&p, MGX_REASON_PEER_CLOSED);
}

static void the_handler_reacts_to_eof(int what) {
  struct peer p;
  start(&p, 0, GET("/later"));
  answers = what == 0;
  closes_at_eof = what == 1;
  drains_at_eof = what == 2;
  peer_shut(&p);
  poll_often(&mgr);
  CHECK_EQ(eofs, 1);
  expect_end(&mgr, &p, what == 0 ? HI : "");
  finish(&p, what == 0 ? MGX_REASON_PEER_CLOSED : what == 1 ? MGX_REASON_CLOSED_BY_USER : MGX_REASON_DRAINED);
}

// Nothing in progress: no event, and no wait.
static void an_idle_connection(void) {
  struct peer p;
  start(&p, 0, GET("/hi"));
  disconnect(&p);
  CHECK_EQ(eofs, 0);
  finish(&p, MGX_REASON_PEER_CLOSED);
}

static void a_drain_of_the_connection(bool before) {
  struct peer p;
  start(&p, 0, GET("/later"));
  if (before) CHECK(mgx_conn_drain(last, NULL));
  poll_often(&mgr);
  disconnect(&p);
  CHECK_EQ(eofs, 1);
  CHECK_EQ(closed, 0);
  if (!before) CHECK(mgx_conn_drain(last, NULL));
  advance_clock(4999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  finish(&p, MGX_REASON_PEER_CLOSED);
}

static void a_drain_of_the_manager(const char *request, int deadline, uint64_t after) {
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  struct peer p;
  start(&p, 0, request);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = deadline;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  disconnect(&p);
  CHECK_EQ(eofs, 1);
  advance_clock(after - 1);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);  // nobody is there for whom a socket would linger
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.forced, 0);
  CHECK(mgx_mgr_drain_wait(&mgr));
  finish(&p, MGX_REASON_PEER_CLOSED);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  client_disconnects(GET("/never"), 0, 5000);
  client_disconnects(GET("/never"), 300, 300);
  client_disconnects(GET("/never"), 60000, 60000);
  client_disconnects(GET("/never"), -1, 0);
  client_disconnects(GET("/chunks"), 0, 5000);
  client_disconnects(GET("/chunks"), 300, 300);
  client_disconnects(GET("/chunks"), -1, 0);
  a_stream_that_continues();
  reset(GET("/never"));
  reset(GET("/chunks"));
  a_half_close_that_is_answered(0);
  a_half_close_that_is_answered(4999);
  queued_output_is_sent(0);
  queued_output_is_sent(-1);
  the_handler_reacts_to_eof(0);
  the_handler_reacts_to_eof(1);
  the_handler_reacts_to_eof(2);
  an_idle_connection();
  a_drain_of_the_connection(true);
  a_drain_of_the_connection(false);
  a_drain_of_the_manager(GET("/never"), 0, 5000);
  a_drain_of_the_manager(GET("/chunks"), 0, 5000);
  a_drain_of_the_manager(GET("/never"), 2000, 2000);  // at the deadline, but not by force
  free(big_body);
  return DONE();
}
