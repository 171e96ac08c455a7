// Connections that close after the last request: `Connection: close`, and HTTP/1.0 without keep-alive. And those that must stay
// open.
// not under: short: what is pipelined behind an HTTP/1.0 request must arrive with it
#include "mongoose.h"

#include "peer.h"

static int messages, closes, polls;

#define GET_10 "GET / HTTP/1.0\r\n\r\n"
#define GET_10_KEEP "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_HTTP_MSG) messages++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
}

static void at_once(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%d", messages);
  (void) ev_data;
}

// The answer is written five polls later.
static void later(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) polls = 0;
  if (ev == MG_EV_POLL && c->is_resp && ++polls == 5) mg_http_reply(c, 200, "", "%d", messages);
  (void) ev_data;
}

// In chunks, one for each poll.
static void in_chunks(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    polls = 0;
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  } else if (ev == MG_EV_POLL && c->is_resp && ++polls <= 5) {
    mg_http_printf_chunk(c, "%s", polls < 5 ? "x" : "");
  }
  (void) ev_data;
}

// Printed by hand, with the flag cleared by hand.
static void print_reply(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", messages);
    c->is_resp = 0;
  }
  (void) ev_data;
}

// Printed by hand: the flag is cleared when the last byte is written.
static void print_whole_reply(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", messages);
  (void) ev_data;
}

static void body_taken_over(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS) {
    mg_iobuf_del(&c->recv, 0, ((struct mg_http_message *) ev_data)->head.len);
    c->pfn = NULL;
    mg_http_reply(c, 200, "", "go on");
  }
}

static bool open_at_end;

static struct peer ask(mg_event_handler_t fn, const char *request, size_t enough) {
  struct mg_mgr mgr;
  struct peer p;
  messages = closes = polls = 0;
  peer_open(&p, serve(&mgr, fn, NULL));
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(&mgr, peer_has(&p, enough));
  poll_often(&mgr);
  peer_read(&p);
  CHECK(p.end == PEER_OPEN || p.end == PEER_FIN);
  CHECK_EQ(closes, p.end == PEER_FIN);
  open_at_end = p.end == PEER_OPEN;
  mg_mgr_free(&mgr);
  return p;
}

// Replies "1", "2", ... to `count` requests, the last one with the announcement if the connection then closes.
// Those that are to be kept open for HTTP/1.0 say so: `kept` of them, from the first on.
static void expect_kept(mg_event_handler_t fn, const char *request, int count, int kept, bool stays_open) {
  static const char one[] = "HTTP/1.1 200 OK\r\nContent-Length: 1          \r\n\r\n";
  const size_t len = sizeof(one);  // with the digit
  char want[10 * sizeof(one)];
  struct peer p = ask(fn, request, (size_t) count * len + (size_t) kept * strlen("Connection: keep-alive\r\n") +
                                       (stays_open ? 0 : strlen("Connection: close\r\n")));
  int i, failed = checks_failed;
  for (i = 0; i < count; i++) snprintf(want + (size_t) i * len, sizeof(one) + 1, "%s%c", one, '1' + i);
  for (i = 0; i < count; i++) CHECK_EQ(peer_drop_line(&p, (size_t) i * len, "\r\nConnection: keep-alive"), i < kept);
  for (i = 0; i < count; i++) CHECK_EQ(peer_drop_close(&p, (size_t) i * len), !stays_open && i == count - 1);
  CHECK(peer_got(&p, want));
  CHECK_EQ(open_at_end, stays_open);
  CHECK_EQ(messages, count);
  if (checks_failed > failed) fprintf(stderr, "... in %s", request);
  peer_free(&p);
}

static void expect_replies(mg_event_handler_t fn, const char *request, int count, bool stays_open) {
  expect_kept(fn, request, count, 0, stays_open);
}

static void http_1_0(void) {
  expect_replies(at_once, GET_10, 1, false);
  expect_replies(at_once, GET_10 GET_10, 2, false);
  expect_replies(at_once, GET_10 GET_10 GET_10, 3, false);
  expect_replies(later, GET_10, 1, false);
  expect_replies(later, GET_10 GET_10, 2, false);
  expect_kept(at_once, GET_10_KEEP, 1, 1, true);
  expect_kept(later, GET_10_KEEP, 1, 1, true);
  expect_kept(at_once, GET_10_KEEP GET_10_KEEP, 2, 2, true);
  expect_kept(at_once, GET_10_KEEP GET_10, 2, 1, false);
  expect_replies(at_once, GET_10 GET, 2, true);  // the last one decides
  expect_replies(at_once, GET, 1, true);
}

static void connection_close(void) {
  expect_replies(at_once, GET_CLOSE, 1, false);
  expect_replies(at_once, GET_CLOSE GET, 1, false);  // nothing is handled behind it
  expect_replies(at_once, GET GET_CLOSE GET, 2, false);
  expect_replies(later, GET_CLOSE, 1, false);
  expect_replies(later, GET GET_CLOSE, 2, false);
}

static void after_the_last_chunk(void) {
#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define CHUNK "00000001\r\nx\r\n"
#define CHUNKED HEAD CHUNK CHUNK CHUNK CHUNK "00000000\r\n\r\n"
  struct peer p = ask(in_chunks, GET_CLOSE, strlen(CHUNKED));
  CHECK(peer_got(&p, CHUNKED));
  CHECK(!open_at_end);
  peer_free(&p);
  p = ask(in_chunks, GET_10 GET_10, strlen(CHUNKED CHUNKED));
  CHECK(peer_got(&p, CHUNKED CHUNKED));
  CHECK(!open_at_end);
  peer_free(&p);
  p = ask(in_chunks, GET GET, strlen(CHUNKED CHUNKED));
  CHECK(peer_got(&p, CHUNKED CHUNKED));
  CHECK(open_at_end);
  peer_free(&p);
}

// An answer that the application wrote itself: `Connection: close` is honoured as always, HTTP/1.0 is the application's own business.
static void replies_printed_by_the_application(void) {
  struct peer p = ask(print_reply, GET_CLOSE, 39);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"));
  CHECK(!open_at_end);
  peer_free(&p);
  p = ask(print_reply, GET_10, 39);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1"));
  CHECK(open_at_end);
  peer_free(&p);
  p = ask(print_whole_reply, GET_10 GET_10, 78);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"));
  CHECK(open_at_end);
  peer_free(&p);
}

static void a_body_that_the_handler_reads_itself(void) {
  struct peer p = ask(body_taken_over, "POST / HTTP/1.0\r\nContent-Length: 100\r\n\r\nabc", 53);
  CHECK(open_at_end);
  CHECK_EQ(messages, 0);
  peer_free(&p);
}

// ---- a reverse proxy clears is_resp at once, and the answer comes from another connection
static int answers_due;
static unsigned long front;

static void backend_answers(struct mg_mgr *mgr) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->id == front && answers_due > 0) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
      answers_due--;
    }
  }
}

static bool hints;

static void proxy(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS && hints) mg_http_reply(c, 103, "Link: a\r\n", "%s", "");
  if (ev == MG_EV_HTTP_MSG) {
    c->is_resp = 0;
    front = c->id;
    answers_due++;
  }
  (void) ev_data;
}

static void a_request_that_nothing_was_queued_for_keeps_its_connection(const char *request) {
  struct mg_mgr mgr;
  struct peer p;
  messages = closes = answers_due = 0;
  peer_open(&p, serve(&mgr, proxy, NULL));
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(&mgr, messages == 1);
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  CHECK(!peer_read(&p));
  backend_answers(&mgr);
  POLL_UNTIL(&mgr, peer_has(&p, 40));
  poll_often(&mgr);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
  CHECK_EQ(closes, 0);
  CHECK(peer_send_text(&p, GET));  // and the next request is handled
  POLL_UNTIL(&mgr, messages == 2);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// What the handler sends before the request is delivered is no answer to it.
static void a_request_with_early_hints_keeps_its_connection(void) {
#define HINTS "HTTP/1.1 103 \r\nLink: a\r\nConnection: close\r\nContent-Length: 0          \r\n\r\n"
  struct mg_mgr mgr;
  struct peer p;
  messages = closes = answers_due = 0;
  hints = true;
  peer_open(&p, serve(&mgr, proxy, NULL));
  CHECK(peer_send_text(&p, GET_CLOSE));
  POLL_UNTIL(&mgr, messages == 1);
  poll_often(&mgr);
  CHECK(peer_has(&p, 1) && peer_got(&p, HINTS));
  backend_answers(&mgr);
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(HINTS) + 1) || p.end != PEER_OPEN);
  CHECK(peer_got(&p, HINTS "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"));
  peer_free(&p);
  mg_mgr_free(&mgr);
  hints = false;
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  http_1_0();
  connection_close();
  after_the_last_chunk();
  replies_printed_by_the_application();
  a_body_that_the_handler_reads_itself();
  a_request_that_nothing_was_queued_for_keeps_its_connection(GET_CLOSE);
  a_request_that_nothing_was_queued_for_keeps_its_connection(GET_10);
  a_request_that_nothing_was_queued_for_keeps_its_connection(GET);
  a_request_with_early_hints_keeps_its_connection();
  return DONE();
}
