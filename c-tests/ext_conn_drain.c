// mgx_conn_drain closes one connection gracefully, whatever it is doing, without affecting others. Uses a simulated clock.
// not under: short: pipelined requests must have arrived when the drain begins
#include "ext.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void start(mg_event_handler_t fn) {
  forget();
  listener = serve(&mgr, fn, NULL);
}

static void finish(struct peer *p) {
  if (p != NULL) peer_free(p);
  mg_mgr_free(&mgr);
}

static bool drain(struct mg_connection *c, int grace, int response) {
  struct mgx_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = grace;
  opts.response_timeout_ms = response;
  CHECK(c != NULL);
  return mgx_conn_drain(c, &opts);
}

static void one_of_several_idle_connections(void) {
  struct peer a, b, c;
  struct mg_connection *chosen;
  start(server);
  join(&mgr, listener, &a);
  chosen = join(&mgr, listener, &b);
  join(&mgr, listener, &c);
  ask(&mgr, &a, GET("/hi"));
  ask(&mgr, &b, GET("/hi"));
  ask(&mgr, &c, GET("/hi"));
  expect_open(&mgr, &a, HI);
  expect_open(&mgr, &b, HI);
  expect_open(&mgr, &c, HI);
  CHECK_EQ(mgx_conn_phase(chosen), MGX_ACTIVE);
  CHECK(mgx_conn_drain(chosen, NULL));
  CHECK_EQ(mgx_conn_phase(chosen), MGX_DRAINING);
  CHECK(mgx_conn_drain(chosen, NULL));
  advance_clock(999);
  CHECK_EQ(closed, 0);
  chosen->is_draining = 1;
  CHECK(mgx_conn_drain(chosen, NULL));
  chosen->is_draining = 0;
  advance_clock(1);
  expect_end(&mgr, &b, "");
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  CHECK_EQ(unsent, 0);
  CHECK_EQ(last_phase, MGX_CLOSED);
  ask(&mgr, &a, GET("/hi"));
  ask(&mgr, &c, GET("/hi"));
  expect_open(&mgr, &a, HI);
  expect_open(&mgr, &c, HI);
  CHECK_EQ(closed, 1);
  peer_free(&a);
  peer_free(&b);
  finish(&c);
}

static void an_unused_grace(void) {
  struct peer p;
  start(server);
  CHECK(drain(join(&mgr, listener, &p), 500, 0));
  advance_clock(499);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

static void a_last_request_within_the_grace(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  CHECK(drain(last, 500, 0));
  advance_clock(400);
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(requests, 2);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

static void a_last_request_at_the_last_moment(void) {
  struct peer p;
  start(server);
  CHECK(drain(join(&mgr, listener, &p), 500, 0));
  mg_mgr_poll(&mgr, 0);
  clock_ms += 500;
  CHECK(peer_send_text(&p, GET("/hi")));  // arrives in the very poll that ends the grace
  expect_end(&mgr, &p, HI_CLOSE);
  finish(&p);
}

// One byte is a request that has begun.
static void the_first_byte_of_a_request(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, "G"));
  POLL_UNTIL(&mgr, last->recv.len == 1);
  CHECK(drain(last, 500, 5000));
  advance_clock(4999);
  CHECK_EQ(closed, 0);
  ask(&mgr, &p, "ET /hi HTTP/1.1\r\nHost: a\r\n\r\n");
  expect_end(&mgr, &p, HI_CLOSE);
  finish(&p);
}

// What has just been written, outside of its event, is the last response, also for a client that asked to go on.
static void a_response_in_the_queue(void) {
  const char *texts[] = {GET("/later"), "GET /later HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", GET("/later")};
  const char *wants[] = {"HTTP/1.1 200 OK\r\nContent-Length: 2          \r\nConnection: close\r\n\r\nhi", HI_CLOSE,
                         "HTTP/1.1 102 Processing\r\nContent-Length: 2          \r\nConnection: close\r\n\r\nhi"};
  struct peer p;
  int i;
  for (i = 0; i < 3; i++) {
    start(server);
    join(&mgr, listener, &p);
    ask(&mgr, &p, texts[i]);
    mg_http_reply(last, i == 2 ? 102 : 200, "", "hi");
    CHECK(drain(last, 500, 0));
    expect_end(&mgr, &p, wants[i]);
    finish(&p);
  }
}

// The response in the queue is not the last when the head of another request has arrived.
static void drains_at_body(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_HDRS && hm->body.len > 0) CHECK(mgx_conn_drain(c, NULL));
}

static void a_response_before_a_body(void) {
  struct peer p;
  start(drains_at_body);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi") "POST /hi HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na");
  expect_open(&mgr, &p, HI);
  ask(&mgr, &p, "b");
  expect_end(&mgr, &p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4          \r\n\r\nhiab");
  finish(&p);
}

// The request that came within the grace is the last, even if its response does not say so.
static void a_late_response_without_a_word(void) {
  struct peer p;
  start(server);
  CHECK(drain(join(&mgr, listener, &p), 500, 5000));
  advance_clock(100);
  ask(&mgr, &p, GET("/later"));
  advance_clock(1000);
  mg_printf(last, "%s", OWN);
  last->is_resp = 0;
  expect_end(&mgr, &p, OWN);
  finish(&p);
}

// The word of an earlier response no longer counts: the client has sent another request since.
#define OWN_CLOSE "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\nown"

static void says_close(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/close"), NULL)) mg_printf(c, "%s", OWN_CLOSE);
}

static void an_earlier_word(void) {
  struct peer p;
  start(says_close);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/close"));
  expect_open(&mgr, &p, OWN_CLOSE);
  ask(&mgr, &p, GET("/own"));
  expect_open(&mgr, &p, OWN);
  CHECK(drain(last, 500, 0));
  advance_clock(499);
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  finish(&p);

  start(says_close);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/close"));
  expect_open(&mgr, &p, OWN_CLOSE);
  CHECK(peer_send_text(&p, "POST /hi HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na"));
  POLL_UNTIL(&mgr, last->recv.len > 0);
  CHECK(drain(last, 500, 0));
  advance_clock(499);
  ask(&mgr, &p, "b");
  expect_end(&mgr, &p, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4          \r\n\r\nhiab");
  finish(&p);
}

static void a_grace_without_limit(void) {
  struct peer p;
  start(server);
  CHECK(drain(join(&mgr, listener, &p), -1, 0));
  advance_clock(100000000);
  CHECK_EQ(closed, 0);
  ask(&mgr, &p, GET("/own"));
  expect_end(&mgr, &p, OWN);  // its head cannot say so, but it is the last
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

// Nothing tells the client that this is the last response, so it may have sent another request by then.
static void asks_again(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && requests == 1) CHECK(peer_send_text((struct peer *) c->fn_data, GET("/hi")));
}

static void a_request_sent_while_the_last_is_answered(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, asks_again, &p);
  CHECK(drain(join(&mgr, listener, &p), -1, 0));
  ask(&mgr, &p, GET("/own"));
  expect_end(&mgr, &p, OWN HI_CLOSE);
  CHECK_EQ(requests, 2);
  finish(&p);
}

static void a_second_drain_only_shortens_the_limits(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(drain(last, -1, 0));
  CHECK(drain(last, 300, 0));
  CHECK(drain(last, 90000, 0));
  advance_clock(299);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  finish(&p);
}

static void a_late_response_announces_the_close(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/later"));
  CHECK(mgx_conn_drain(last, NULL));
  CHECK(mgx_conn_drain(last, NULL));
  advance_clock(29000);
  CHECK_EQ(closed, 0);
  CHECK_EQ(mgx_conn_phase(last), MGX_DRAINING);
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

// The limit counts from the request, which may be complete only after the drain has begun.
static void a_request_that_was_under_way(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n"));
  poll_often(&mgr);
  CHECK(drain(last, 0, 1000));
  advance_clock(800);
  CHECK(peer_send_text(&p, "x"));
  poll_often(&mgr);
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  finish(&p);
}

static void a_response_that_never_comes(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/never"));
  CHECK(drain(last, 0, 700));
  advance_clock(699);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  finish(&p);
}

static void from_its_own_handler(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    CHECK(mgx_conn_drain(c, NULL));
    mg_http_reply(c, 200, "", "hi");
  }
  (void) ev_data;
}

static void after_its_own_reply(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "hi");
    CHECK(mgx_conn_drain(c, NULL));
  }
  (void) ev_data;
}

static void called_by_the_handler(mg_event_handler_t fn, const char *request, const char *want) {
  struct peer p;
  start(fn);
  join(&mgr, listener, &p);
  ask(&mgr, &p, request);
  POLL_UNTIL(&mgr, closed == 1);
  expect_end(&mgr, &p, want);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

static void a_partial_request_is_completed(const char *first, const char *second, const char *want) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, first));
  POLL_UNTIL(&mgr, last != NULL && last->recv.len == strlen(first));
  CHECK(mgx_conn_drain(last, NULL));
  advance_clock(20000);
  CHECK_EQ(closed, 0);
  ask(&mgr, &p, second);
  expect_end(&mgr, &p, want);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

static void a_partial_request_that_stalls(const char *half, enum mgx_reason why) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, half));
  POLL_UNTIL(&mgr, last != NULL && last->recv.len == strlen(half));
  CHECK(drain(last, 0, 1000));
  advance_clock(999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 16         \r\n\r\nRequest Timeout\n");
  CHECK_EQ(reason, why);
  finish(&p);
}

static void chunks_until_the_last(bool asks_once_more) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  CHECK(drain(last, 20000, 0));
  advance_clock(10000);
  CHECK(last != NULL);
  if (last != NULL) mg_http_printf_chunk(last, "two");
  expect_open(&mgr, &p, "00000003\r\ntwo\r\n");
  if (last != NULL) mg_http_printf_chunk(last, "");
  // Its head was sent before the drain and could not announce it, so the client may ask once more.
  expect_open(&mgr, &p, "00000000\r\n\r\n");
  if (!asks_once_more) {
    advance_clock(19999);
    CHECK_EQ(closed, 0);
    advance_clock(1);
    expect_end(&mgr, &p, "");
  } else {
    ask(&mgr, &p, GET("/hi"));
    expect_end(&mgr, &p, HI_CLOSE);
  }
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);
}

// A stream that was silent for long has not been stuck for long when the handler of another connection goes on with it.
static struct mg_connection *stream;

static void pushes(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/push"), NULL)) mg_http_printf_chunk(stream, "two");
}

static void a_stream_of_another_connection(void) {
  struct mgx_drain_opts opts;
  struct peer before, p, after;
  memset(&opts, 0, sizeof(opts));
  opts.response_timeout_ms = -1;
  opts.flush_timeout_ms = 3000;
  start(pushes);
  join(&mgr, listener, &before);
  stream = join(&mgr, listener, &p);
  join(&mgr, listener, &after);
  ask(&mgr, &p, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  CHECK(mgx_conn_drain(stream, &opts));
  advance_clock(100000);
  ask(&mgr, &before, GET("/push"));
  expect_open(&mgr, &p, "00000003\r\ntwo\r\n");
  advance_clock(100000);
  ask(&mgr, &after, GET("/push"));
  expect_open(&mgr, &p, "00000003\r\ntwo\r\n");
  CHECK_EQ(closed, 0);
  peer_free(&before), peer_free(&after);
  finish(&p);
}

static void an_endless_stream(void) {
  struct peer p;
  int i;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  CHECK(drain(last, 0, 5000));
  for (i = 0; i < 4; i++) {
    advance_clock(1000);
    CHECK(last != NULL);
    if (last != NULL) mg_http_printf_chunk(last, "tick");
    expect_open(&mgr, &p, "00000004\r\ntick\r\n");
  }
  advance_clock(1000);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  finish(&p);
}

static void a_large_response_in_flight(int grace) {
  struct mg_str want;
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  CHECK(last != NULL && last->send.len > 0);
  CHECK(drain(last, grace, 0));
  advance_clock(20000);  // no progress for a while is no reason to end
  CHECK_EQ(closed, 0);
  if (grace == 0) CHECK_EQ(mgx_conn_phase(last), MGX_FLUSHING);
  want = make_reply("200 OK", "", big_body, BIG);
  POLL_UNTIL(&mgr, peer_has(&p, want.len));
  advance_clock(grace > 0 ? (uint64_t) grace : 1000);
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_str(&p, want));
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  CHECK_EQ(unsent, 0);
  free(want.buf);
  finish(&p);
}

// The grace lasts while a response is on its way: the client cannot ask again before it has it.
static void a_large_response_on_its_way(void) {
  struct peer p;
  size_t left;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  CHECK(drain(last, 2000, 0));
  advance_clock(1500);
  left = last->send.len;
  POLL_UNTIL(&mgr, (peer_take(&p, 100000), last->send.len < left));
  advance_clock(1999);
  CHECK(last->send.len > 0 && !last->is_draining);
  advance_clock(1);
  CHECK(last->is_draining);
  finish(&p);
}

static void a_response_that_is_not_read(int grace) {
  struct mgx_drain_opts opts;
  struct peer p;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = grace;
  opts.flush_timeout_ms = 3000;
  start(server);
  peer_connect(&p, port_of(listener), 4096);
  ask(&mgr, &p, GET("/big"));
  poll_often(&mgr);
  CHECK(mgx_conn_drain(last, &opts));
  advance_clock(grace > 0 ? (uint64_t) grace : 1000);
  advance_clock(2999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_FLUSH_TIMEOUT);
  CHECK(unsent > 0 && unsent < BIG);
  finish(&p);
}

// A response that never ends, and is not read. When its time is over, what is queued has had its time since the drain began, too.
static void endless(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev != MG_EV_HTTP_MSG) return;
  mgx_http_begin(c, 200, NULL);
  mgx_http_chunk(c, big_body, BIG);
  (void) ev_data;
}

static void an_endless_stream_that_is_not_read(void) {
  struct mgx_drain_opts opts;
  struct peer p;
  memset(&opts, 0, sizeof(opts));
  opts.response_timeout_ms = 1000;
  opts.flush_timeout_ms = 3000;
  start(endless);
  peer_connect(&p, port_of(listener), 4096);
  ask(&mgr, &p, GET("/"));
  poll_often(&mgr);
  CHECK(mgx_conn_drain(last, &opts));
  advance_clock(1000);
  CHECK(last != NULL && last->is_draining);
  advance_clock(1999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  CHECK(unsent > 0 && unsent < BIG);
  finish(&p);
}

// A drain of one connection puts no limit on the output of another.
static void output_of_another(void) {
  struct peer a, b;
  start(server);
  join(&mgr, listener, &a);
  CHECK(drain(last, -1, 0));
  peer_connect(&b, port_of(listener), 4096);
  ask(&mgr, &b, GET("/big"));
  poll_often(&mgr);
  advance_clock(100000);
  CHECK_EQ(closed, 0);
  CHECK(!last->is_draining);
  peer_free(&a);
  finish(&b);
}

static void pipelined_requests(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, GET("/later") GET("/hi")));
  POLL_UNTIL(&mgr, requests == 1);
  CHECK(mgx_conn_drain(last, NULL));
  if (last != NULL) mg_http_reply(last, 200, "", "first");
  POLL_UNTIL(&mgr, closed == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(p.len > 5 && memcmp(p.buf + p.len - 2, "hi", 2) == 0);
  CHECK_EQ(peer_drop_close(&p, 0), 0);
  CHECK_EQ(requests, 2);
  finish(&p);
}

static void lingering_limits(void) {
  struct mgx_drain_opts opts;
  struct mgx_drain_status status;
  struct peer p;
  memset(&opts, 0, sizeof(opts));
  opts.linger_idle_ms = 200;
  opts.linger_total_ms = 500;
  opts.idle_grace_ms = 1;
  start(server);
  join(&mgr, listener, &p);
  CHECK(mgx_conn_drain(last, &opts));
  advance_clock(1);
  expect_end(&mgr, &p, "");
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 1);
  advance_clock(199);
  CHECK(peer_send_text(&p, "x"));
  poll_often(&mgr);
  advance_clock(199);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 1);
  CHECK(peer_send_text(&p, "x"));
  poll_often(&mgr);
  advance_clock(102);  // the total
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 0);
  peer_free(&p);

  opts.linger_bytes = 1000;
  opts.linger_idle_ms = opts.linger_total_ms = -1;
  join(&mgr, listener, &p);
  CHECK(mgx_conn_drain(last, &opts));
  advance_clock(1);
  expect_end(&mgr, &p, "");
  advance_clock(1000000000);
  CHECK(peer_send(&p, big_body, 999));
  poll_often(&mgr);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 1);
  CHECK(peer_send(&p, big_body, 1));
  POLL_UNTIL(&mgr, (mgx_mgr_drain_status(&mgr, &status), status.lingering == 0));
  finish(&p);
}

// ---- what is not an accepted HTTP connection
static void raw(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ && c->is_accepted) {
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void start_raw(struct peer *p) {
  forget();
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", raw, NULL);
  join(&mgr, listener, p);
}

static void raw_tcp(void) {
  struct peer p;
  start_raw(&p);
  if (last != NULL) mg_send(last, big_body, BIG);
  CHECK(mgx_conn_drain(last, NULL));
  POLL_UNTIL(&mgr, peer_has(&p, BIG));
  CHECK_EQ(closed, 0);
  advance_clock(1000);
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_bytes(&p, big_body, BIG));
  finish(&p);

  // With a grace: until nothing has arrived for that long.
  start_raw(&p);
  CHECK(drain(last, 100, 1000));
  advance_clock(99);
  CHECK(peer_send_text(&p, "a"));
  expect_open(&mgr, &p, "a");
  advance_clock(99);
  CHECK_EQ(closed, 0);
  clock_ms++;
  CHECK(peer_send_text(&p, "b"));
  expect_open(&mgr, &p, "b");
  advance_clock(100);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  finish(&p);

  // What is there in the end is read first, even if the application takes its time.
  start_raw(&p);
  last->is_full = 1;
  CHECK(drain(last, 100, 1000));
  CHECK(peer_send_text(&p, "a"));
  poll_often(&mgr);
  advance_clock(100);
  CHECK_EQ(closed, 0);
  last->is_full = 0;
  expect_open(&mgr, &p, "a");
  advance_clock(100);
  expect_end(&mgr, &p, "");
  finish(&p);

  // But not forever.
  start_raw(&p);
  CHECK(drain(last, 100, 250));
  for (requests = 0; requests < 3; requests++) {
    advance_clock(80);
    CHECK_EQ(closed, 0);
    CHECK(peer_send_text(&p, "a"));
    expect_open(&mgr, &p, "a");
  }
  advance_clock(80);
  POLL_UNTIL(&mgr, closed == 1);
  finish(&p);
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_send(c, big_body, BIG), *(int *) c->fn_data = 1;
  if (ev == MG_EV_CLOSE) *(int *) c->fn_data = 10 + (int) mgx_close_reason(c);
  (void) ev_data;
}

static size_t swallowed;

static void swallow(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ && c->is_accepted) swallowed += c->recv.len, c->recv.len = 0;
  (void) ev_data;
}

static void a_client_connection(void) {
  struct mg_connection *c;
  int state = 0;
  forget();
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", swallow, NULL);
  c = mg_connect(&mgr, url_of(listener, "tcp"), client, &state);
  CHECK(c != NULL);
  POLL_UNTIL(&mgr, state == 1);
  CHECK(mgx_conn_drain(c, NULL));
  POLL_UNTIL(&mgr, state > 1 && closed == 1);
  CHECK_EQ(state, 10 + (int) MGX_REASON_DRAINED);
  CHECK_EQ(swallowed, BIG);
  finish(NULL);
}

static void listeners_and_datagrams(void) {
  struct mg_connection *udp, *tcp;
  struct peer p;
  start(server);
  udp = mg_listen(&mgr, "udp://127.0.0.1:0", server, NULL);
  tcp = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  join(&mgr, listener, &p);
  CHECK_EQ(count_conns(&mgr), 4);
  CHECK(!mgx_conn_drain(udp, NULL));
  CHECK(!mgx_conn_drain(tcp, NULL));
  CHECK(!mgx_conn_drain(listener, NULL));
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 1);
  ask(&mgr, &p, GET("/hi"));  // what a listener has accepted lives on
  expect_open(&mgr, &p, HI);
  finish(&p);
}

static void a_connection_without_poll_events(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  mgx_conn_poll_events(last, false);
  poll_often(&mgr);
  CHECK(drain(last, 500, 0));
  advance_clock(499);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  expect_end(&mgr, &p, "");
  finish(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  one_of_several_idle_connections();
  an_unused_grace();
  a_last_request_within_the_grace();
  a_last_request_at_the_last_moment();
  the_first_byte_of_a_request();
  a_response_in_the_queue();
  a_response_before_a_body();
  a_late_response_without_a_word();
  an_earlier_word();
  a_grace_without_limit();
  a_request_sent_while_the_last_is_answered();
  a_second_drain_only_shortens_the_limits();
  a_late_response_announces_the_close();
  a_request_that_was_under_way();
  a_response_that_never_comes();
  called_by_the_handler(from_its_own_handler, GET("/"), HI_CLOSE);
  called_by_the_handler(after_its_own_reply, GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\nConnection: close\r\n\r\nhi");
  called_by_the_handler(after_its_own_reply, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", HI_CLOSE);
  a_partial_request_is_completed("GET /hi HTTP/1.1\r\nHos", "t: a\r\n\r\n", HI_CLOSE);
  a_partial_request_is_completed("POST /hi HTTP/1.1\r\nContent-Length: 4\r\n\r\nab", "cd",
                                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6          \r\n\r\nhiabcd");
  a_partial_request_that_stalls("GET /hi HTTP/1.1\r\nHos", MGX_REASON_HEADER_TIMEOUT);
  a_partial_request_that_stalls("POST /hi HTTP/1.1\r\nContent-Length: 4\r\n\r\nab", MGX_REASON_BODY_TIMEOUT);
  chunks_until_the_last(false);
  chunks_until_the_last(true);
  a_stream_of_another_connection();
  an_endless_stream();
  a_large_response_in_flight(0);
  a_large_response_in_flight(2000);
  a_large_response_on_its_way();
  a_response_that_is_not_read(0);
  a_response_that_is_not_read(2000);
  an_endless_stream_that_is_not_read();
  output_of_another();
  pipelined_requests();
  lingering_limits();
  raw_tcp();
  a_client_connection();
  listeners_and_datagrams();
  a_connection_without_poll_events();
  free(big_body);
  return DONE();
}
