// The last answer of a connection, and answers to HEAD: what the client was told happens, once and soon. Found by `make simulate`.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "clock.h"
#include "ext.h"

#define GONE "HTTP/1.1 404 Gone\r\nContent-Length: 1\r\n\r\n1"

static bool slow;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  server(c, ev, ev_data);
  // No other event helps what waits.
  if (ev == MG_EV_ACCEPT) mgx_conn_poll_events(c, false);
  if (ev == MG_EV_READ && c->is_accepted && c->data[0] == 'h') {
    c->data[0] = '\0';
    c->send.len = 0;
    mg_printf(c, GONE);
    CHECK(!c->is_resp);
  }
  if (ev == MG_EV_READ && c->is_accepted && c->data[0] == 'a') {
    c->data[0] = '\0';
    CHECK(!c->is_resp);
  }
  if (ev != MG_EV_HTTP_MSG) return;
  if (mg_match(hm->uri, mg_str("/added"), NULL)) mg_iobuf_add(&c->send, c->send.len, OWN, strlen(OWN)), c->data[0] = 'a';
  if (mg_match(hm->uri, mg_str("/half"), NULL)) mg_printf(c, "HTTP/1.1 200 OK\r\nContent-"), c->data[0] = 'h';
  if (mg_match(hm->uri, mg_str("/begin"), NULL)) mgx_http_begin(c, 200, NULL);
  if (mg_match(hm->uri, mg_str("/print"), NULL)) mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  if (mg_match(hm->uri, mg_str("/pieces"), NULL)) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
    mg_send(c, "ow", 2);
    mg_send(c, "n", 1);
  }
  if (mg_match(hm->uri, mg_str("/closes"), NULL)) mg_http_reply(c, 200, "Connection: close\r\n", "hi");
  if (mg_match(hm->uri, mg_str("/drained"), NULL)) {
    mg_printf(c, OWN);
    c->is_resp = 0;
    mgx_conn_drain(c, NULL);
  }
  if (mg_match(hm->uri, mg_str("/draining"), NULL)) {
    mg_printf(c, OWN);
    c->is_resp = 0;
    c->is_draining = 1;
  }
  if (mg_match(hm->uri, mg_str("/polls"), NULL)) {
    mg_http_reply(c, 200, "", "hi");
    mg_mgr_poll(c->mgr, 0);
    mg_mgr_poll(c->mgr, 0);
  }
  if (slow) {
    c->is_draining = 1;
    clock_ms += 100000;
  }
}

#define HEAD(uri) "HEAD " uri " HTTP/1.1\r\nHost: a\r\n\r\n"
#define HEAD_CLOSE(uri) "HEAD " uri " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNKED_CLOSE "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
// The header was added when the head was queued already.
#define HI_CLOSED "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\nConnection: close\r\n\r\nhi"

static struct mg_connection *enter(struct mg_mgr *mgr, struct peer *p) {
  forget();
  return join(mgr, serve(mgr, handler, NULL), p);
}

static struct mg_connection *begin(struct mg_mgr *mgr, struct peer *p, const char *text) {
  struct mg_connection *c = enter(mgr, p);
  ask(mgr, p, text);
  return c;
}

static void end(struct mg_mgr *mgr, struct peer *p) {
  peer_free(p);
  mg_mgr_free(mgr);
}

// The last answer has a head of the program's, into which the library writes nothing; the one before it is not the last.
static void behind_another(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, GET("/hi") GET("/drained"));
  expect_open(&mgr, &p, HI OWN);
  end(&mgr, &p);
  begin(&mgr, &p, GET("/hi") GET("/draining"));
  expect_end(&mgr, &p, HI OWN);
  end(&mgr, &p);
}

// The program says in an answer that it is the last, although it is not. That says nothing about the next one.
static void behind_one_that_said_so(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, GET("/closes"));
  expect_open(&mgr, &p, HI_CLOSE);
  ask(&mgr, &p, GET("/drained"));
  expect_open(&mgr, &p, OWN);
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  end(&mgr, &p);
}

// The drain begins while the last request has no answer yet.
static void before_another(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c = begin(&mgr, &p, GET("/hi") GET("/later"));
  POLL_UNTIL(&mgr, requests == 2);
  mgx_conn_drain(c, NULL);
  mg_http_reply(c, 200, "", "hi");
  expect_end(&mgr, &p, HI HI_CLOSE);
  end(&mgr, &p);
}

// Nothing is answered behind the answer that grants a `Connection: close`.
static void asked_to_be_the_last(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, "GET /hi HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(requests, 1);
  end(&mgr, &p);
}

// An answer to HEAD is done although its last part sends nothing: what waits behind it is looked at.
static void behind_head(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c = begin(&mgr, &p, HEAD("/begin") GET("/hi"));
  expect_open(&mgr, &p, CHUNKED);
  mgx_http_chunk(c, "one", 3);
  mgx_http_chunk(c, NULL, 0);
  expect_open(&mgr, &p, HI);
  end(&mgr, &p);
}

// The same where the program has written the head itself. Its chunks do not become part of the next answer.
static void behind_printed_head(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c = begin(&mgr, &p, HEAD("/print") GET("/hi"));
  expect_open(&mgr, &p, CHUNKED);
  mg_http_printf_chunk(c, "one");
  poll_often(&mgr);
  mg_http_printf_chunk(c, "");
  expect_open(&mgr, &p, HI);
  CHECK_EQ(requests, 2);
  end(&mgr, &p);
}

// A body that the program prints in pieces behind such a head is dropped to the last byte.
static void pieces_behind_head(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, HEAD("/pieces") GET("/hi") GET("/pieces"));
  expect_open(&mgr, &p, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" HI OWN);
  end(&mgr, &p);
}

// The program begins an answer, and takes it back for another one before it is sent.
static void taken_back(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, GET("/half") GET("/hi"));
  expect_open(&mgr, &p, GONE HI);
  end(&mgr, &p);
}

// An answer that the program puts into c->send by hand is complete when its handler returns.
static void put_by_hand(void) {
  struct mg_mgr mgr;
  struct peer p;
  begin(&mgr, &p, GET("/added") GET("/hi"));
  expect_open(&mgr, &p, OWN HI);
  end(&mgr, &p);
}

// ... and if it was to be the last, the connection ends.
static void the_end_behind_head(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c = begin(&mgr, &p, HEAD_CLOSE("/begin"));
  expect_open(&mgr, &p, CHUNKED_CLOSE);
  mgx_http_chunk(c, NULL, 0);
  expect_end(&mgr, &p, "");
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  end(&mgr, &p);
}

// Whom a lame duck has told that an answer is the last sees the end, although the drain was cancelled.
static void told_by_a_lame_duck(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c;
  struct mgx_mgr_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.lame_duck_ms = 1000;
  c = enter(&mgr, &p);
  mgx_mgr_drain(&mgr, &opts);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_LAME_DUCK);
  ask(&mgr, &p, GET("/begin"));
  expect_open(&mgr, &p, CHUNKED_CLOSE);
  CHECK(mgx_mgr_drain_cancel(&mgr));
  mgx_http_chunk(c, "one", 3);
  mgx_http_chunk(c, NULL, 0);
  expect_end(&mgr, &p, "3\r\none\r\n0\r\n\r\n");
  end(&mgr, &p);
}

// A handler that takes its time takes none of the time in which the client may still send something.
static void slow_handler(void) {
  struct mg_mgr mgr;
  struct peer p;
  slow = true;
  begin(&mgr, &p, GET("/hi"));
  slow = false;
  expect_end(&mgr, &p, HI_CLOSED);
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "more"));
  poll_often(&mgr);
  CHECK(!peer_was_reset_late(&p));
  clock_ms += 1000;
  end(&mgr, &p);
}

// A body arrives slowly on a connection that drains. Its handler answers and polls: the request in the buffer is not a late head.
static void slow_body(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *c;
  struct mgx_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.response_timeout_ms = 1000;
  c = enter(&mgr, &p);
  CHECK(peer_send_text(&p, "POST /polls HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"));
  POLL_UNTIL(&mgr, c->recv.len > 0);
  mgx_conn_drain(c, &opts);
  poll_often(&mgr);
  clock_ms += 900;
  CHECK(peer_send_text(&p, "a"));
  poll_often(&mgr);
  clock_ms += 900;
  ask(&mgr, &p, "b");
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  end(&mgr, &p);
}

int main(void) {
  behind_another();
  behind_one_that_said_so();
  before_another();
  asked_to_be_the_last();
  behind_head();
  behind_printed_head();
  pieces_behind_head();
  the_end_behind_head();
  taken_back();
  put_by_hand();
  told_by_a_lame_duck();
  slow_handler();
  slow_body();
  return DONE();
}
