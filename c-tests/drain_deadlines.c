// Time limits of a drain, with a simulated clock: 60 s for a reader that stalls; 30 s for a response that does not begin if the
// library began the drain, none if the flag did; 5 s after the peer's end of stream; 1 s (10 s in all) for further input.
#include "mongoose.h"
#include "mongoose_ext.h"

#if defined(__linux__) && !defined(LWIP_TESTS_H)
#include <sys/ioctl.h>
#endif

#include "clock.h"
#include "peer.h"

#define SIZE 20000000  // more than socket buffers take

static char *body;
static int messages, closes, errors;
static size_t unsent;
static struct mg_connection *conn;  // the accepted one

static void forget(void) {
  messages = closes = errors = 0;
  unsent = 0;
  conn = NULL;
}

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_ERROR) errors++;
  if (!c->is_accepted) return;
  if (ev == MG_EV_HTTP_MSG) messages++, conn = c;
  if (ev == MG_EV_CLOSE) closes++, unsent = c->send.len, conn = NULL;
}

static void advance_clock(struct mg_mgr *mgr, uint64_t ms) {
  clock_ms += ms;
  poll_often(mgr);
}

static void start(struct mg_mgr *mgr, mg_event_handler_t fn, struct peer *p, int receive_buffer) {
  forget();
  peer_connect(p, port_of(serve(mgr, fn, NULL)), receive_buffer);
  CHECK(peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  POLL_UNTIL(mgr, messages == 1);
}

static void finish(struct mg_mgr *mgr, struct peer *p) {
  peer_free(p);
  mg_mgr_free(mgr);
  CHECK_EQ(closes, 1);
  CHECK_EQ(errors, 0);
}

// Polls until output stands still.
static void poll_until_output_stalls(struct mg_mgr *mgr) {
  size_t before = 0;
  int quiet = 0;
  while (conn != NULL && quiet < 20) {
    mg_mgr_poll(mgr, 1);
    if (conn == NULL) break;
    quiet = conn->send.len == before ? quiet + 1 : 0;
    before = conn->send.len;
  }
}

static void big(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%.*s", SIZE, body);
    c->is_draining = 1;
  }
  (void) ev_data;
}

static void a_peer_that_never_reads(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big, &p, 4096);
  poll_until_output_stalls(&mgr);
  CHECK(conn != NULL && conn->send.len > 0);
  advance_clock(&mgr, 59999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  CHECK(unsent > 0);
  CHECK_EQ(count_conns(&mgr), 1);
  finish(&mgr, &p);
}

static void a_peer_that_reads_slowly(void) {
  struct mg_mgr mgr;
  struct mg_str want = make_reply("200 OK", "", body, SIZE);
  struct peer p;
  int i;
  start(&mgr, big, &p, 0);
  poll_until_output_stalls(&mgr);
  for (i = 0; i < 5; i++) {
    size_t before = conn == NULL ? 0 : conn->send.len;
    CHECK(before > 0);
    advance_clock(&mgr, 59000);
    while (conn != NULL && conn->send.len == before) peer_take(&p, 10000), mg_mgr_poll(&mgr, 1);
    poll_until_output_stalls(&mgr);
  }
  CHECK_EQ(closes, 0);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(unsent, 0);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK(peer_got_str(&p, want));
  free(want.buf);
  finish(&mgr, &p);
}

// What the kernel held before it took more is no measure of what it holds then.
static void a_peer_that_reads_on(void) {
  const int small = 4096;
  struct mg_mgr mgr;
  struct peer p;
  size_t before;
  start(&mgr, big, &p, 0);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 1000);
  setsockopt((int) (size_t) conn->fd, SOL_SOCKET, SO_SNDBUF, (void *) &small, sizeof(small));
  do {
    before = p.len;
    peer_read(&p);
  } while (p.len > before);
  clock_ms += 50000;
  before = conn->send.len;
  POLL_UNTIL(&mgr, conn == NULL || conn->send.len < before);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 59000);
  CHECK_EQ(closes, 0);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 1);
  peer_free(&p);
}

// A drain that is called off, in an event or between polls, leaves no trace: the next one has all its time.
static bool call_off;

static void big_then_nothing(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%.*s", SIZE, body);
  if (ev == MG_EV_POLL && c->is_accepted && call_off) {
    call_off = false;
    c->is_draining = 0;
    c->send.len = 0;
  }
  (void) ev_data;
}

#if defined(__linux__) && !defined(LWIP_TESTS_H)  // lwIP does not tell what a peer has acknowledged
static int held(void) {
  int n = 0;
  CHECK(ioctl((int) (size_t) conn->fd, TIOCOUTQ, &n) == 0);
  return n;
}

// Takes so little that the socket is no place for more yet.
static void take_a_little(struct peer *p) {
  const int before = held();
  const uint64_t end = real_ms() + 20000;
  while (held() >= before && real_ms() < end) peer_take(p, 1000);
  CHECK(held() < before);
}

// What the peer takes is looked at 200 ms apart, and counts from the look before. Two looks, and an idle poll between two.
static void looks_are_apart(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big, &p, 4096);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 1);
  take_a_little(&p);
  advance_clock(&mgr, 200);
  advance_clock(&mgr, 99);
  take_a_little(&p);
  advance_clock(&mgr, 102);
  advance_clock(&mgr, 60000 - 201 - 1);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  finish(&mgr, &p);
}

// The first look comes a millisecond after the socket has filled.
static void the_first_look(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big, &p, 4096);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 1);
  take_a_little(&p);
  advance_clock(&mgr, 200);
  advance_clock(&mgr, 60000 - 201);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  finish(&mgr, &p);
}

// Where output may stand still for a few milliseconds only, each of them is looked at.
static void short_limits_are_looked_at_often(void) {
  struct mgx_limits limits;
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big_then_nothing, &p, 4096);
  poll_until_output_stalls(&mgr);
  memset(&limits, 0, sizeof(limits));
  limits.write_timeout_ms = 10;
  mgx_mgr_limits(&mgr, &limits);
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 1);
  advance_clock(&mgr, 10);
  finish(&mgr, &p);
}
#endif

static void a_drain_that_is_called_off(bool in_event) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big_then_nothing, &p, 4096);
  poll_until_output_stalls(&mgr);
  conn->is_draining = 1;
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  call_off = in_event;
  if (!in_event) conn->is_draining = 0;
  mg_mgr_poll(&mgr, 0);
  CHECK(!call_off && conn != NULL && !conn->is_draining);
  clock_ms += 200000;
  if (in_event) mg_send(conn, body, SIZE);
  conn->is_draining = 1;
  poll_often(&mgr);
  advance_clock(&mgr, 59999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  finish(&mgr, &p);
}

static void big_without_drain(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%.*s", SIZE, body);
  (void) ev_data;
}

static void a_peer_that_half_closes_and_never_reads(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big_without_drain, &p, 4096);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 200000);  // without a drain or an end of the stream there is no limit
  CHECK_EQ(closes, 0);
  peer_shut(&p);
  poll_often(&mgr);
  advance_clock(&mgr, 59999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  CHECK(unsent > 0);
  finish(&mgr, &p);
}

static void never_answer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  (void) ev_data;
}

static void drain_without_answer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) CHECK(mgx_conn_drain(c, NULL));
  (void) ev_data;
}

static void set_draining_without_answer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) c->is_draining = 1;
  (void) ev_data;
}

// With nothing queued the flag ends the connection in its turn, whatever is_resp says.
static void is_draining_does_not_wait_for_the_response(bool in_handler) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, in_handler ? set_draining_without_answer : never_answer, &p, 0);
  if (!in_handler) {
    poll_often(&mgr);
    CHECK(conn != NULL && conn->is_resp);
    if (conn != NULL) conn->is_draining = 1;
    mg_mgr_poll(&mgr, 10000);
  }
  CHECK_EQ(closes, 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(p.len, 0);
  finish(&mgr, &p);
}

static void an_answer_that_never_begins(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, drain_without_answer, &p, 0);
  advance_clock(&mgr, 29999);
  CHECK_EQ(closes, 0);
  CHECK(!peer_read(&p));
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(p.len, 0);
  finish(&mgr, &p);
}

static void an_answer_that_begins_in_time(void) {
  struct mg_mgr mgr;
  struct mg_str want = make_reply("200 OK", "", "late", 4);
  struct peer p;
  start(&mgr, drain_without_answer, &p, 0);
  advance_clock(&mgr, 29999);
  CHECK(conn != NULL);
  if (conn != NULL) mg_http_reply(conn, 200, "", "late");
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK(peer_got_str(&p, want));
  free(want.buf);
  finish(&mgr, &p);
}

static void an_answer_that_never_begins_to_a_peer_that_half_closed(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, never_answer, &p, 0);
  advance_clock(&mgr, 100000);
  CHECK_EQ(closes, 0);
  peer_shut(&p);
  poll_often(&mgr);
  advance_clock(&mgr, 4999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  finish(&mgr, &p);
}

// ---- chunks without an end
static void endless(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    mg_http_printf_chunk(c, "abc");
  }
  (void) ev_data;
}

#define BEGINNING "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000003\r\nabc\r\n"

static void a_chunked_reply_without_its_last_chunk_ends_with_the_flush(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, endless, &p, 0);
  advance_clock(&mgr, 100000);
  CHECK_EQ(closes, 0);
  CHECK(conn != NULL && conn->is_resp);
  if (conn != NULL) conn->is_draining = 1;
  poll_often(&mgr);
  CHECK_EQ(closes, 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got(&p, BEGINNING));
  finish(&mgr, &p);
}

static void endless_and_big(struct mg_connection *c, int ev, void *ev_data) {
  endless(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) mg_http_write_chunk(c, body, SIZE), c->is_draining = 1;
}

static void a_chunked_reply_without_its_last_chunk_at_the_deadline(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, endless_and_big, &p, 4096);
  poll_until_output_stalls(&mgr);
  advance_clock(&mgr, 59999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  CHECK(unsent > 0);
  finish(&mgr, &p);
}

static void half_close_during_an_endless_stream(void) {
  struct mg_mgr mgr;
  struct peer p;
  int i;
  start(&mgr, endless, &p, 0);
  peer_shut(&p);
  poll_often(&mgr);
  for (i = 0; i < 4; i++) {  // the stream goes on: the peer may well be reading it
    advance_clock(&mgr, 4999);
    CHECK_EQ(closes, 0);
    if (conn != NULL) mg_http_printf_chunk(conn, "abc");
    poll_often(&mgr);
  }
  CHECK(peer_has(&p, sizeof(BEGINNING) - 1 + 4 * 15));
  advance_clock(&mgr, 4999);
  CHECK_EQ(closes, 0);
  advance_clock(&mgr, 1);
  CHECK_EQ(closes, 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  finish(&mgr, &p);
}

// The usual end of an event stream: the client goes away altogether while nothing is being sent.
static void disconnect_during_an_endless_stream(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, endless, &p, 0);
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(BEGINNING) - 1));
  close(p.fd);
  poll_often(&mgr);
  advance_clock(&mgr, 5000);
  CHECK_EQ(closes, 1);
  p.fd = -1;
  finish(&mgr, &p);
}

// ---- lingering: open files tell whether the socket is still there
static void small(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "hi");
    c->is_draining = 1;
  }
  (void) ev_data;
}

static size_t linger_start(struct mg_mgr *mgr, struct peer *p) {
  start(mgr, small, p, 0);
  POLL_UNTIL(mgr, peer_read(p));
  CHECK_EQ(p->end, PEER_FIN);
  CHECK_EQ(closes, 1);
  CHECK_EQ(count_conns(mgr), 1);
  return open_files();
}

static void lingering_ends_with_the_peer(void) {
  struct mg_mgr mgr;
  struct peer p;
  size_t files = linger_start(&mgr, &p);
  poll_often(&mgr);
  CHECK_EQ(open_files(), files);
  peer_shut(&p);
  POLL_UNTIL(&mgr, open_files() == files - 1);
  finish(&mgr, &p);
}

static void lingering_ends_after_a_second_without_a_byte(void) {
  struct mg_mgr mgr;
  struct peer p;
  size_t files = linger_start(&mgr, &p);
  advance_clock(&mgr, 999);
  CHECK_EQ(open_files(), files);
  CHECK(peer_send_text(&p, "more"));
  poll_often(&mgr);
  advance_clock(&mgr, 999);
  CHECK_EQ(open_files(), files);
  advance_clock(&mgr, 1);
  CHECK_EQ(open_files(), files - 1);
  finish(&mgr, &p);
}

static void lingering_ends_with_the_manager(void) {
  struct mgx_mgr_drain_opts opts;
  struct mg_mgr mgr;
  struct peer p;
  size_t files;
  linger_start(&mgr, &p);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 500;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  files = open_files();
  advance_clock(&mgr, 499);
  CHECK_EQ(open_files(), files);
  CHECK(mgx_mgr_phase(&mgr) != MGX_MGR_DONE);
  advance_clock(&mgr, 1);
  CHECK_EQ(open_files(), files - 1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  finish(&mgr, &p);
}

static void lingering_ends_after_ten_seconds(void) {
  struct mg_mgr mgr;
  struct peer p;
  size_t files = linger_start(&mgr, &p);
  int i;
  for (i = 0; i < 19; i++) {
    CHECK(peer_send_text(&p, "more"));
    advance_clock(&mgr, 500);
    CHECK_EQ(open_files(), files);
  }
  CHECK(peer_send_text(&p, "more"));
  advance_clock(&mgr, 499);
  CHECK_EQ(open_files(), files);
  advance_clock(&mgr, 1);
  CHECK_EQ(open_files(), files - 1);
  finish(&mgr, &p);
}

// ---- a deadline ends the sleep of mg_mgr_poll
static void a_poll_sleeps_no_longer_than_the_deadline(void) {
  struct mg_mgr mgr;
  struct peer p;
  uint64_t start_ms;
  start(&mgr, drain_without_answer, &p, 0);
  advance_clock(&mgr, 29950);
  CHECK_EQ(closes, 0);
  start_ms = real_ms();
  mg_mgr_poll(&mgr, 60000);
  CHECK(real_ms() - start_ms < 30000);
  clock_ms += 50;
  mg_mgr_poll(&mgr, 60000);  // the time is up,
  mg_mgr_poll(&mgr, 60000);  // so the connection's turn is due
  CHECK(real_ms() - start_ms < 30000);
  CHECK_EQ(closes, 1);
  finish(&mgr, &p);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  body = make_body(SIZE);
  a_peer_that_never_reads();
  a_peer_that_reads_slowly();
  a_peer_that_reads_on();
#if defined(__linux__) && !defined(LWIP_TESTS_H)
  the_first_look();
  looks_are_apart();
  short_limits_are_looked_at_often();
#endif
  a_drain_that_is_called_off(false);
  a_drain_that_is_called_off(true);
  a_peer_that_half_closes_and_never_reads();
  is_draining_does_not_wait_for_the_response(true);
  is_draining_does_not_wait_for_the_response(false);
  an_answer_that_never_begins();
  an_answer_that_begins_in_time();
  an_answer_that_never_begins_to_a_peer_that_half_closed();
  a_chunked_reply_without_its_last_chunk_ends_with_the_flush();
  a_chunked_reply_without_its_last_chunk_at_the_deadline();
  half_close_during_an_endless_stream();
  disconnect_during_an_endless_stream();
  lingering_ends_with_the_peer();
  lingering_ends_after_a_second_without_a_byte();
  lingering_ends_with_the_manager();
  lingering_ends_after_ten_seconds();
  a_poll_sleeps_no_longer_than_the_deadline();
  free(body);
  return DONE();
}
