// Responses that begin during a drain and do not end in the same call - event streams, long polls, upgrades, packets - get
// MGX_EV_DRAIN once more, to end cleanly. Uses a simulated clock.
// not under: short: the first poll must read the whole request
#include "ext.h"

#include "ws_peer.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static bool polite;
static int timeout_ms;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/ws"), NULL)) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == (int) MGX_EV_DRAIN) {
    struct mgx_drain_opts *o = (struct mgx_drain_opts *) ev_data;
    CHECK(o != NULL);
    if (o != NULL && timeout_ms > 0) o->response_timeout_ms = timeout_ms;
    if (polite && c->is_resp && c->send.len == 0 && c->data[0] != 'C') {
      mg_http_reply(c, 200, "", "hi");  // a long poll
    } else if (polite && c->data[0] == 'C') {
      mg_http_printf_chunk(c, "bye");
      mg_http_printf_chunk(c, "");
    }
  }
  if (ev == MG_EV_HTTP_MSG && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/chunks"), NULL)) c->data[0] = 'C';
}

static struct mgx_mgr_drain_opts options(int grace) {
  struct mgx_mgr_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = grace;
  return opts;
}

static void start(struct peer *p) {
  forget();
  polite = true;
  timeout_ms = 0;
  listener = serve(&mgr, handler, NULL);
  join(&mgr, listener, p);
  ask(&mgr, p, GET("/hi"));
  expect_open(&mgr, p, HI);
}

static void begin_drain(void) {
  struct mgx_mgr_drain_opts opts = options(1000);
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  CHECK(mgx_mgr_phase(&mgr) == MGX_MGR_IDLE_GRACE || mgx_mgr_phase(&mgr) == MGX_MGR_FINISHING);
  CHECK_EQ(drain_events, 1);
}

static void end(struct peer *p) {
  struct mgx_drain_status status;
  peer_free(p);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.forced, 0);
  CHECK_EQ(closed, 1);
  mg_mgr_free(&mgr);
}

#define BYE "00000003\r\nbye\r\n00000000\r\n\r\n"

static void a_stream_that_begins_in_the_grace(uint64_t at) {
  struct peer p;
  start(&p);
  begin_drain();
  advance_clock(at);
  ask(&mgr, &p, GET("/chunks"));
  expect_end(&mgr, &p, CHUNKS BYE);
  CHECK_EQ(drain_events, 2);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  end(&p);
}

static void a_long_poll_that_begins_in_the_grace(void) {
  struct peer p;
  start(&p);
  begin_drain();
  ask(&mgr, &p, GET("/later"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(drain_events, 2);
  end(&p);
}

static void an_answer_that_ends_in_the_same_call(void) {
  struct peer p;
  start(&p);
  begin_drain();
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(drain_events, 1);
  end(&p);
}

static void a_websocket_that_begins_in_the_grace(void) {
  struct peer p;
  start(&p);
  begin_drain();
  CHECK(peer_send_text(&p, WS_REQUEST));
  POLL_UNTIL(&mgr, peer_has(&p, strlen(WS_ANSWER) + 4));
  CHECK(peer_got_bytes(&p, WS_ANSWER "\x88\x02\x03\xe9", strlen(WS_ANSWER) + 4));
  CHECK_EQ(drain_events, 2);
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  end(&p);
}

// What the handler changes in the second event counts.
static void an_answer_with_a_limit_of_its_own(void) {
  struct peer p;
  start(&p);
  polite = false;
  begin_drain();
  timeout_ms = 700;
  ask(&mgr, &p, GET("/later"));
  poll_often(&mgr);
  CHECK_EQ(drain_events, 2);
  advance_clock(699);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  CHECK_EQ(drain_events, 2);
  end(&p);
}

// The request has arrived in the kernel when the drain begins, on a connection that was accepted or is yet to be.
static void a_stream_that_is_not_read_yet(bool accepted) {
  struct mgx_mgr_drain_opts opts = options(1000);
  struct peer p;
  forget();
  polite = true;
  timeout_ms = 0;
  listener = serve(&mgr, handler, NULL);
  if (accepted) {
    join(&mgr, listener, &p);
  } else {
    peer_open(&p, listener);
  }
  CHECK(peer_send_text(&p, GET("/chunks")));
  CHECK(mgx_mgr_drain(&mgr, &opts));
  if (accepted) {  // the same poll reads it first, so it has begun when the drain reaches it
    expect_open(&mgr, &p, CHUNKS BYE);
    advance_clock(1000);
    expect_end(&mgr, &p, "");
  } else {
    expect_end(&mgr, &p, CHUNKS BYE);
  }
  CHECK_EQ(drain_events, accepted ? 1 : 2);
  end(&p);
}

// Half of the request was there: it is received to its end, and the answer begins then.
static void a_stream_after_a_partial_request(void) {
  struct peer p;
  start(&p);
  CHECK(peer_send_text(&p, "GET /chunks HTTP/1.1\r\nHo"));
  poll_often(&mgr);
  begin_drain();
  advance_clock(5000);
  ask(&mgr, &p, "st: a\r\n\r\n");
  expect_open(&mgr, &p, CHUNKS BYE);
  advance_clock(1000);  // nobody told the client that this was the last answer
  expect_end(&mgr, &p, "");
  CHECK_EQ(drain_events, 2);
  end(&p);
}

// Behind an answer that was pending when the drain began.
static void a_pipelined_stream(void) {
  struct peer p;
  start(&p);
  polite = false;
  CHECK(peer_send_text(&p, GET("/later") GET("/chunks")));
  POLL_UNTIL(&mgr, requests == 2);
  begin_drain();
  polite = true;
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  POLL_UNTIL(&mgr, peer_has(&p, strlen(HI CHUNKS BYE)));
  advance_clock(1000);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(p.len > strlen(BYE) && memcmp(p.buf + p.len - strlen(BYE), BYE, strlen(BYE)) == 0);
  CHECK_EQ(drain_events, 2);
  end(&p);
}

// The lame duck: it has begun when the drain reaches it, so it hears of it once.
static void a_stream_that_begins_in_the_lame_duck(void) {
  struct mgx_mgr_drain_opts opts = options(1000);
  struct peer p;
  start(&p);
  opts.lame_duck_ms = 500;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  ask(&mgr, &p, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  CHECK_EQ(drain_events, 0);
  advance_clock(500);
  expect_open(&mgr, &p, BYE);
  CHECK_EQ(drain_events, 1);
  advance_clock(1000);
  expect_end(&mgr, &p, "");
  CHECK_EQ(drain_events, 1);
  end(&p);
}

// The drain of one connection says nothing when it begins, because the application began it.
static void a_stream_during_the_drain_of_its_connection(const char *request, const char *want, int events) {
  struct peer p;
  start(&p);
  CHECK(mgx_conn_drain(last, NULL));
  poll_often(&mgr);
  CHECK_EQ(drain_events, 0);
  ask(&mgr, &p, request);
  expect_end(&mgr, &p, want);
  CHECK_EQ(drain_events, events);
  CHECK_EQ(closed, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Packets over a raw connection: the first that comes after the drain has reached it.
static void raw(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ && c->is_accepted) requests++, c->recv.len = 0;
  if (ev == (int) MGX_EV_DRAIN && drain_events == 2) mg_printf(c, "bye"), c->is_draining = 1;
  (void) ev_data;
}

static void raw_connections_drain_between_packets(void) {
  struct mgx_mgr_drain_opts opts = options(1000);
  struct peer p;
  forget();
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", raw, NULL);
  join(&mgr, listener, &p);
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  CHECK_EQ(drain_events, 1);
  advance_clock(500);
  ask(&mgr, &p, "packet");
  expect_end(&mgr, &p, "bye");
  CHECK_EQ(drain_events, 2);
  end(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  a_stream_that_begins_in_the_grace(0);
  a_stream_that_begins_in_the_grace(999);
  a_long_poll_that_begins_in_the_grace();
  an_answer_that_ends_in_the_same_call();
  a_websocket_that_begins_in_the_grace();
  an_answer_with_a_limit_of_its_own();
  a_stream_that_is_not_read_yet(true);
  a_stream_that_is_not_read_yet(false);
  a_stream_after_a_partial_request();
  a_pipelined_stream();
  a_stream_that_begins_in_the_lame_duck();
  a_stream_during_the_drain_of_its_connection(GET("/chunks"), CHUNKS BYE, 1);
  a_stream_during_the_drain_of_its_connection(GET("/later"), HI_CLOSE, 1);
  a_stream_during_the_drain_of_its_connection(GET("/hi"), HI_CLOSE, 0);
  raw_connections_drain_between_packets();
  return DONE();
}
