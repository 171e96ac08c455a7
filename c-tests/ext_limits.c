// Limits, timeouts and counters, each separately, with a simulated clock. Without mgx_mgr_limits there are none.
#include "ext.h"

#include "clock.h"

#define TIMEOUT "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 16         \r\n\r\nRequest Timeout\n"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void start(const struct mgx_limits *limits) {
  forget();
  listener = serve(&mgr, server, NULL);
  if (limits != NULL) mgx_mgr_limits(&mgr, limits);
}

static void finish(struct peer *p) {
  if (p != NULL) peer_free(p);
  mg_mgr_free(&mgr);
}

static struct mgx_stats stats(void) {
  struct mgx_stats s;
  mgx_mgr_stats(&mgr, &s);
  return s;
}

static void no_limits_without_the_call(void) {
  struct peer a, b, c;
  start(NULL);
  join(&mgr, listener, &a);
  join(&mgr, listener, &b);
  CHECK(peer_send_text(&b, "GET / HT"));
  join(&mgr, listener, &c);
  CHECK(peer_send_text(&c, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"));
  poll_often(&mgr);
  advance_clock(1000000000);
  CHECK_EQ(closed, 0);
  peer_free(&a);
  peer_free(&b);
  finish(&c);
}

static void connections(bool per_ip) {
  struct mgx_limits limits;
  struct peer a, b, c;
  memset(&limits, 0, sizeof(limits));
  if (per_ip) limits.max_conns_per_ip = 2; else limits.max_conns = 2;
  start(&limits);
  join(&mgr, listener, &a);
  join(&mgr, listener, &b);
  peer_open(&c, listener);
  POLL_UNTIL(&mgr, peer_read(&c));
  CHECK_EQ(c.len, 0);
  CHECK_EQ(opened, 2);
  CHECK_EQ(stats().refused, 1);
  CHECK_EQ(stats().accepted, 2);
  CHECK_EQ(stats().conns, 2);
  peer_free(&a);
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(stats().conns, 1);
  peer_free(&c);
  join(&mgr, listener, &c);
  ask(&mgr, &c, GET("/hi"));
  expect_open(&mgr, &c, HI);
  // What a proxy in front says about the peer may replace its address; the count goes by the socket's.
  last->rem.addr.ip[3] = 77;
  peer_free(&b);
  peer_free(&c);
  POLL_UNTIL(&mgr, closed == 3);
  join(&mgr, listener, &a);
  join(&mgr, listener, &b);
  peer_free(&a);
  finish(&b);
}

// Limits that are set when there are connections already count these.
static void limits_set_with_open_connections(void) {
  struct mgx_limits limits;
  struct peer a, b;
  memset(&limits, 0, sizeof(limits));
  limits.max_conns_per_ip = 1;
  limits.idle_timeout_ms = 500;
  start(NULL);
  join(&mgr, listener, &a);
  mgx_mgr_limits(&mgr, &limits);
  limits.max_conns_per_ip = 9;  // copied
  peer_open(&b, listener);
  POLL_UNTIL(&mgr, peer_read(&b));
  CHECK_EQ(stats().refused, 1);
  advance_clock(499);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  memset(&limits, 0, sizeof(limits));
  mgx_mgr_limits(&mgr, &limits);  // off again
  peer_free(&a);
  peer_free(&b);
  join(&mgr, listener, &a);
  join(&mgr, listener, &b);
  advance_clock(1000000);
  CHECK_EQ(closed, 1);
  peer_free(&a);
  finish(&b);
}

// Each is counted once, however often limits are set.
static void limits_set_twice(void) {
  struct mgx_limits limits;
  struct peer a, b, c;
  memset(&limits, 0, sizeof(limits));
  limits.max_conns_per_ip = 2;
  start(NULL);
  join(&mgr, listener, &a);
  mgx_mgr_limits(&mgr, &limits);
  mgx_mgr_limits(&mgr, &limits);
  join(&mgr, listener, &b);
  peer_open(&c, listener);
  POLL_UNTIL(&mgr, peer_read(&c));
  CHECK_EQ(stats().refused, 1);
  peer_free(&a);
  peer_free(&b);
  finish(&c);
}

static void a_slow_head(void) {
  struct mgx_limits limits;
  struct peer p;
  int i;
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);  // from accept
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, TIMEOUT);
  CHECK_EQ(reason, MGX_REASON_HEADER_TIMEOUT);
  CHECK_EQ(stats().timeouts, 1);
  peer_free(&p);

  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  advance_clock(5000);  // between requests there is no limit
  advance_clock(600);
  CHECK_EQ(closed, 1);
  // From the first byte, whatever follows it.
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\n"));
  poll_often(&mgr);
  for (i = 0; i < 9; i++) {
    advance_clock(100);
    CHECK(peer_send_text(&p, "A: b\r\n"));
    poll_often(&mgr);
  }
  advance_clock(99);
  CHECK_EQ(closed, 1);
  advance_clock(1);
  CHECK_EQ(closed, 2);
  expect_end(&mgr, &p, TIMEOUT);
  CHECK_EQ(stats().timeouts, 2);
  peer_free(&p);

  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  CHECK(peer_send_text(&p, "G"));
  poll_often(&mgr);
  advance_clock(1000);
  expect_end(&mgr, &p, TIMEOUT);
  CHECK_EQ(stats().timeouts, 3);
  peer_free(&p);

  // The request before was HEAD; what this one is nobody knows.
  join(&mgr, listener, &p);
  ask(&mgr, &p, "HEAD /own HTTP/1.1\r\nHost: a\r\n\r\n");
  poll_often(&mgr);
  peer_read(&p);
  p.len = 0;
  CHECK(peer_send_text(&p, "GE"));
  poll_often(&mgr);
  advance_clock(1000);
  expect_end(&mgr, &p, TIMEOUT);
  finish(&p);
}

static void the_shortest_time_for_a_head(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 1;
  start(&limits);
  join(&mgr, listener, &p);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, TIMEOUT);
  CHECK_EQ(reason, MGX_REASON_HEADER_TIMEOUT);
  finish(&p);
}

static void a_stalled_body(void) {
  struct mgx_limits limits;
  struct peer p;
  int i;
  memset(&limits, 0, sizeof(limits));
  limits.body_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  advance_clock(9000);
  CHECK(peer_send_text(&p, "POST /hi HTTP/1.1\r\nContent-Length: 10\r\n\r\n"));
  poll_often(&mgr);
  for (i = 0; i < 5; i++) {
    advance_clock(999);
    CHECK(peer_send_text(&p, "x"));
    poll_often(&mgr);
  }
  CHECK_EQ(closed, 0);
  advance_clock(1000);
  expect_end(&mgr, &p, TIMEOUT);
  CHECK_EQ(reason, MGX_REASON_BODY_TIMEOUT);
  CHECK_EQ(requests, 0);
  peer_free(&p);

  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, "HEAD /hi HTTP/1.1\r\nContent-Length: 10\r\n\r\nx"));
  poll_often(&mgr);
  advance_clock(1000);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.len > 4 && memcmp(p.buf + p.len - 4, "\r\n\r\n", 4) == 0);
  finish(&p);
}

static void an_idle_connection(bool poll_events) {
  struct mgx_limits limits;
  struct peer p, busy;
  memset(&limits, 0, sizeof(limits));
  limits.idle_timeout_ms = 1000;
  limits.body_timeout_ms = 300;  // a second, shorter limit must not make the first one late
  start(&limits);
  join(&mgr, listener, &busy);
  ask(&mgr, &busy, GET("/later"));
  join(&mgr, listener, &p);
  mgx_conn_poll_events(last, poll_events);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  advance_clock(999);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_IDLE_TIMEOUT);
  CHECK_EQ(stats().timeouts, 1);
  advance_clock(100000);  // a request that waits for its answer is not idle
  CHECK_EQ(closed, 1);
  peer_free(&busy);
  finish(&p);
}

#ifndef _WIN32
// A lookup that was cancelled does not put it off, whatever the socket's number.
static void a_lookup_on_an_idle_connection(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.idle_timeout_ms = 1000;
  start(&limits);
  peer_open(&p, listener);
  close(0);
  POLL_UNTIL(&mgr, opened == 1);
  CHECK(last != NULL && (size_t) last->fd == 0);
  mg_resolve(last, "tcp://127.0.0.1:9");
  mg_resolve_cancel(last);
  advance_clock(1000);
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_IDLE_TIMEOUT);
  peer_free(&p);
  POLL_UNTIL(&mgr, fcntl(0, F_GETFD) < 0);
  CHECK_EQ(open("/dev/null", O_RDONLY), 0);
  finish(NULL);
}
#endif

// What the server sends unasked counts as much as a request.
static void output_on_an_idle_connection(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.idle_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  advance_clock(900);
  mg_send(last, "more", 4);
  expect_open(&mgr, &p, "more");
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_IDLE_TIMEOUT);
  finish(&p);
}

// The timeout of the head counts although the connection is looked at for a longer one.
static void a_short_limit_beside_a_long_one(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.idle_timeout_ms = 60000;
  limits.header_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  advance_clock(1500);
  CHECK(peer_send_text(&p, "GET /"));
  poll_often(&mgr);
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, TIMEOUT);
  finish(&p);
}

static void stalled_output(void) {
  struct mgx_limits limits;
  struct peer p;
  size_t before;
  memset(&limits, 0, sizeof(limits));
  limits.write_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  advance_clock(5000);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  advance_clock(999);
  CHECK_EQ(closed, 0);
  CHECK(last != NULL);
  before = last == NULL ? 0 : last->send.len;
  POLL_UNTIL(&mgr, (peer_take(&p, 1000000), last == NULL || last->send.len < before));
  poll_often(&mgr);
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  if (closed == 0) advance_clock(1000);  // something was still in flight
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_FLUSH_TIMEOUT);
  CHECK(unsent > 0);
  // A reset: the kernel keeps nothing for a peer that does not read.
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_was_reset(&p));
  // An application that goes on queueing does not put it off.
  peer_free(&p);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  // Bytes in flight to the peer's buffer may still arrive, which counts as progress.
  for (before = 0; before < 50 && last != NULL; before++) mg_send(last, "x", 1), advance_clock(100);
  CHECK_EQ(closed, 2);
  finish(&p);
}

// A connection that is draining has the times of that.
static void output_of_a_draining_connection(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.write_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  last->is_draining = 1;
  poll_often(&mgr);
  advance_clock(5000);
  advance_clock(5000);
  CHECK_EQ(closed, 0);
  finish(&p);
}

// The time for a drain that was cancelled does not count for the next one.
static void drained_again(void) {
  struct peer p;
  start(NULL);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  advance_clock(1000);
  CHECK(last != NULL && last->send.len > 0);
  last->is_draining = 1;
  poll_often(&mgr);
  last->is_draining = 0;
  advance_clock(30000);
  last->is_draining = 1;
  poll_often(&mgr);
  advance_clock(59999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_FLUSH_TIMEOUT);
  finish(&p);
}

#ifndef _WIN32
// What the kernel still holds for a slow peer counts when the peer takes it, although the kernel asks for no more yet.
static void slowly_draining_output(void) {
  struct mgx_limits limits;
  struct peer p;
  size_t before;
  int i, still = 0;
  if (getenv("SHORT_IO") != NULL) return;  // tiny packets occupy more of the kernel's buffers than they carry
  memset(&limits, 0, sizeof(limits));
  limits.write_timeout_ms = 1000;
  start(&limits);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  for (i = 0; i < 24 && last != NULL; i++) {
    size_t target = p.len + 150000;
    before = last->send.len;
    while (p.len < target && !peer_take(&p, target - p.len)) mg_mgr_poll(&mgr, 1);
    poll_often(&mgr);
    advance_clock(200);
    if (last != NULL && last->send.len == before) still++;
    CHECK_EQ(closed, 0);
  }
  CHECK(still > 6);  // longer than the timeout without a write
  advance_clock(999);
  advance_clock(1000);
  CHECK_EQ(closed, 1);
  finish(&p);
}
#endif

static void requests_of_one_connection(int most) {
  struct mgx_limits limits;
  struct peer p;
  int i;
  memset(&limits, 0, sizeof(limits));
  limits.max_requests = most;
  start(&limits);
  join(&mgr, listener, &p);
  for (i = 1; i < most; i++) {
    ask(&mgr, &p, GET("/hi"));
    expect_open(&mgr, &p, HI);
  }
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(requests, most);
  finish(&p);
}

// The preset: each of its limits is on, and is kept.
static void public_limits(void) {
  const struct mgx_limits *l = mgx_limits_public();
  struct peer slow, idle, still, long_head, many[2];
  char *head = make_body(l->max_header_bytes + 100);
  struct mgx_limits few;
  // As documented.
  CHECK(l->header_timeout_ms == 10000 && l->body_timeout_ms == 30000 && l->write_timeout_ms == 60000);
  CHECK(l->idle_timeout_ms == 60000 && l->max_header_bytes == 16384 && l->max_ws_message == 3145728);
  CHECK(l->max_conns == 10000 && l->max_conns_per_ip == 1000);
  CHECK(l->max_body_bytes == 0 && l->max_send_queue == 0 && l->max_requests == 0 && l->max_memory == 0);
  CHECK(l->half_close_ms == 0 && l->connect_timeout_ms == 0);
  start(l);
  join(&mgr, listener, &slow);
  CHECK(peer_send_text(&slow, "GET / HT"));
  join(&mgr, listener, &idle);
  ask(&mgr, &idle, GET("/hi"));
  expect_open(&mgr, &idle, HI);
  join(&mgr, listener, &still);
  CHECK(peer_send_text(&still, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"));
  join(&mgr, listener, &long_head);
  CHECK(peer_send_text(&long_head, "GET / HTTP/1.1\r\nA: "));
  CHECK(peer_send(&long_head, head, l->max_header_bytes + 100));
  POLL_UNTIL(&mgr, (peer_read(&long_head), long_head.len >= 12 && memcmp(long_head.buf, "HTTP/1.1 431", 12) == 0));
  advance_clock((uint64_t) l->header_timeout_ms + 1);
  POLL_UNTIL(&mgr, (peer_read(&slow), slow.len == strlen(TIMEOUT)));
  advance_clock((uint64_t) l->body_timeout_ms);
  POLL_UNTIL(&mgr, (peer_read(&still), still.len == strlen(TIMEOUT)));
  advance_clock((uint64_t) l->idle_timeout_ms);
  POLL_UNTIL(&mgr, peer_read(&idle));
  peer_free(&slow), peer_free(&idle), peer_free(&still), peer_free(&long_head);
  free(head);
  finish(NULL);
  // To change some of it, it is copied.
  few = *l;
  few.max_conns_per_ip = 1;
  start(&few);
  join(&mgr, listener, &many[0]);
  peer_open(&many[1], listener);
  POLL_UNTIL(&mgr, peer_read(&many[1]));
  CHECK_EQ(stats().refused, 1);
  peer_free(&many[0]);
  finish(&many[1]);
}

static void counters(void) {
  struct mgx_drain_opts opts;
  struct mgx_stats s;
  struct peer a, b;
  start(NULL);
  s = stats();
  CHECK_EQ(s.accepted + s.refused + s.requests + s.bytes_in + s.bytes_out + s.timeouts + s.drained + s.forced + s.resets + s.conns, 0);
  join(&mgr, listener, &a);
  ask(&mgr, &a, GET("/hi"));
  expect_open(&mgr, &a, HI);
  join(&mgr, listener, &b);
  ask(&mgr, &b, GET("/hi"));
  expect_open(&mgr, &b, HI);
  s = stats();
  CHECK_EQ(s.accepted, 2);
  CHECK_EQ(s.conns, 2);
  CHECK_EQ(s.requests, 2);
  CHECK_EQ(s.bytes_in, 2 * strlen(GET("/hi")));
  CHECK_EQ(s.bytes_out, 2 * strlen(HI));
  memset(&opts, 0, sizeof(opts));
  mgx_conn_drain(last, &opts);
  poll_often(&mgr);
  CHECK_EQ(closed, 0);
  clock_ms += 1000;
  POLL_UNTIL(&mgr, closed == 1);
  s = stats();
  CHECK_EQ(s.drained, 1);
  CHECK_EQ(s.conns, 1);
  CHECK_EQ(s.forced + s.resets + s.timeouts + s.refused, 0);
  peer_free(&a);
  finish(&b);
}

// ---- a long queue
static int pressed;
static struct mg_connection *queueing;

static void queues(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) queueing = c;
  if (ev == (int) MGX_EV_BACKPRESSURE) {
    pressed++;
    CHECK_EQ(*(size_t *) ev_data, c->send.len);
  }
}

// Once above the limit, and again after it fell below half. The peer does not read; the application cuts its queue.
static void a_long_queue(bool limited) {
  static const struct {
    size_t len;
    int pressed;
  } steps[] = {{1000, 0}, {1001, 1}, {5000, 1}, {501, 1}, {1001, 1}, {500, 1}, {1001, 1}, {499, 1}, {1001, 2}};
  struct mgx_limits limits;
  struct peer p;
  const int small = 4096;
  size_t i;
  memset(&limits, 0, sizeof(limits));
  if (limited) limits.max_send_queue = 1000; else limits.max_conns = 10;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", queues, NULL);
  pressed = 0;
  queueing = NULL;
  peer_connect(&p, port_of(listener), 4096);
  POLL_UNTIL(&mgr, queueing != NULL);
  setsockopt((int) (size_t) queueing->fd, SOL_SOCKET, SO_SNDBUF, (void *) &small, sizeof(small));
  mg_send(queueing, big_body, 500000);
  POLL_UNTIL(&mgr, queueing->send.len < 500000);
  poll_often(&mgr);
  CHECK(queueing->send.len > 5000);
  queueing->send.len = 1;
  mgx_mgr_limits(&mgr, &limits);
  for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
    queueing->send.len = steps[i].len;
    mg_mgr_poll(&mgr, 0);
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(pressed, limited ? steps[i].pressed : 0);
  }
  finish(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  no_limits_without_the_call();
  connections(false);
  connections(true);
  limits_set_with_open_connections();
  limits_set_twice();
  output_of_a_draining_connection();
  a_slow_head();
  the_shortest_time_for_a_head();
  a_stalled_body();
  an_idle_connection(true), an_idle_connection(false);
#ifndef _WIN32
  a_lookup_on_an_idle_connection();
#endif
  output_on_an_idle_connection();
  a_short_limit_beside_a_long_one();
  stalled_output();
  drained_again();
#ifndef _WIN32  // which does not report what the peer has not acknowledged
  slowly_draining_output();
#endif
  requests_of_one_connection(3), requests_of_one_connection(1);
  a_long_queue(true);
  a_long_queue(false);
  counters();
  public_limits();
  free(big_body);
  return DONE();
}
