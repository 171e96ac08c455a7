// `Connection: close` appears in the last reply whose head the library wrote, once, and nowhere else.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

#define CLOSE "Connection: close\r\n"
#define LENGTH_2 "Content-Length: 2          \r\n"

enum what {
  REPLY,
  DRAIN_THEN_REPLY,
  REPLY_THEN_DRAIN,
  OWN_HEADER_THEN_DRAIN,
  DRAIN_THEN_OWN_HEADER,
  KEEP_ALIVE_HEADER_THEN_DRAIN,
  SIMILAR_HEADER_THEN_DRAIN,
  PRINTED_THEN_DRAIN,
  DRAIN_THEN_PRINTED,
  SWITCHING_THEN_DRAIN,
  DRAIN_THEN_SWITCHING,
  PROCESSING_THEN_DRAIN,
  REPLY_REPLACED_THEN_DRAIN,
  REPLY_PREFIXED_THEN_DRAIN,
  PRINTED_THEN_REPLY_THEN_DRAIN,
  DRAIN_SECOND_REPLY,
  LATER_REPLY_AFTER_DRAIN,
  NO_REPLY_BUT_DRAIN,
  LATER_REPLY_THEN_DRAIN,
  REPLY_AT_THE_END_THEN_DRAIN,
  CLOSE_AND_REPLY_LATER
};

static int messages, closes;
static bool open_at_end;

static void printed(struct mg_connection *c) {
  mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  enum what what = (enum what) *(int *) c->fn_data;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == (what == REPLY_AT_THE_END_THEN_DRAIN ? (int) MGX_EV_EOF : MG_EV_POLL) && c->is_resp) {
    mg_http_reply(c, 200, "", "hi");
    if (what == LATER_REPLY_THEN_DRAIN || what == REPLY_AT_THE_END_THEN_DRAIN) c->is_draining = 1;
  }
  if (ev != MG_EV_HTTP_MSG) return;
  messages++;
  switch (what) {
    case REPLY:
      mg_http_reply(c, 200, "", "hi");
      break;
    case DRAIN_THEN_REPLY:
      c->is_draining = 1;
      mg_http_reply(c, 200, "", "hi");
      break;
    case REPLY_THEN_DRAIN:
      mg_http_reply(c, 200, "", "hi");
      c->is_draining = 1;
      break;
    case OWN_HEADER_THEN_DRAIN:
      mg_http_reply(c, 200, "A: b\r\nConnection: close\r\n", "hi");
      c->is_draining = 1;
      break;
    case DRAIN_THEN_OWN_HEADER:
      c->is_draining = 1;
      mg_http_reply(c, 200, "cOnNection: Close\r\n", "hi");
      break;
    case KEEP_ALIVE_HEADER_THEN_DRAIN:  // the application's word stands
      mg_http_reply(c, 200, "Connection: keep-alive\r\n", "hi");
      c->is_draining = 1;
      break;
    case SIMILAR_HEADER_THEN_DRAIN:
      mg_http_reply(c, 200, "X-Connection: close\r\nB: Connection: close\r\n", "hi");
      c->is_draining = 1;
      break;
    case PRINTED_THEN_DRAIN:
      printed(c);
      c->is_draining = 1;
      break;
    case DRAIN_THEN_PRINTED:
      c->is_draining = 1;
      printed(c);
      break;
    case SWITCHING_THEN_DRAIN:
      mg_http_reply(c, 101, "Upgrade: x\r\n", "");
      c->is_draining = 1;
      break;
    case DRAIN_THEN_SWITCHING:
      c->is_draining = 1;
      mg_http_reply(c, 101, "Upgrade: x\r\n", "");
      break;
    case PROCESSING_THEN_DRAIN:
      mg_http_reply(c, 102, "", "");
      c->is_draining = 1;
      break;
    case REPLY_REPLACED_THEN_DRAIN:
      mg_http_reply(c, 200, "", "hi");
      c->send.len = 0;
      printed(c);
      c->is_draining = 1;
      break;
    case REPLY_PREFIXED_THEN_DRAIN:
      mg_http_reply(c, 200, "", "hi");
      mg_iobuf_add(&c->send, 0, "HTTP/1.1 103 Early Hints\r\n\r\n", 28);
      c->is_draining = 1;
      break;
    case PRINTED_THEN_REPLY_THEN_DRAIN:
      mg_printf(c, "HTTP/1.1 100 Continue\r\n\r\n");
      mg_http_reply(c, 200, "", "hi");
      c->is_draining = 1;
      break;
    case DRAIN_SECOND_REPLY:
      mg_http_reply(c, 200, "", "hi");
      if (messages == 2) c->is_draining = 1;
      break;
    case LATER_REPLY_AFTER_DRAIN:
      mgx_conn_drain(c, NULL);
      break;
    case NO_REPLY_BUT_DRAIN:
      c->is_draining = 1;
      break;
    case LATER_REPLY_THEN_DRAIN:
    case REPLY_AT_THE_END_THEN_DRAIN:
    case CLOSE_AND_REPLY_LATER:
      break;
  }
  (void) ev_data;
}

// What comes back, up to the end of the connection or until nothing more comes.
static struct peer ask(enum what what, const char *request, size_t expected) {
  struct mg_mgr mgr;
  struct peer p;
  int w = (int) what, failed = checks_failed;
  messages = closes = 0;
  peer_open(&p, serve(&mgr, server, &w));
  CHECK(peer_send_text(&p, request));
  if (what == REPLY_AT_THE_END_THEN_DRAIN) {
    POLL_UNTIL(&mgr, messages == 1);
    peer_shut(&p);
  }
  POLL_UNTIL(&mgr, peer_has(&p, expected));
  poll_often(&mgr);
  peer_read(&p);
  open_at_end = closes == 0;
  CHECK(open_at_end == (p.end == PEER_OPEN));
  CHECK(p.end == PEER_OPEN || p.end == PEER_FIN);
  mg_mgr_free(&mgr);
  if (checks_failed > failed) fprintf(stderr, "... in case %d of %s", w, request);
  return p;
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_CLOSE "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define GET_CLOSE_2 "GET / HTTP/1.1\r\nHost: a\r\nconnection: Close\r\n\r\n"
#define GET_10 "GET / HTTP/1.0\r\n\r\n"
#define GET_10_KEEP "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\n" LENGTH_2 "\r\nhi"
#define PRINTED "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"

// `want` is the reply without the header that is to be announced.
static void expect(enum what what, const char *request, const char *want, int announced, bool stays_open) {
  struct peer p = ask(what, request, strlen(want) + (announced > 0 ? strlen(CLOSE) : 0));
  CHECK_EQ(announced > 0 ? peer_drop_close(&p, 0) : 0, announced);
  CHECK(peer_got(&p, want));
  CHECK_EQ(open_at_end, stays_open);
  peer_free(&p);
}

static void a_reply_on_a_draining_connection_says_connection_close(void) {
  expect(REPLY, GET, OK_2, 0, true);
  expect(DRAIN_THEN_REPLY, GET, OK_2, 1, false);
  expect(REPLY_THEN_DRAIN, GET, OK_2, 1, false);
  expect(LATER_REPLY_AFTER_DRAIN, GET, OK_2, 1, false);
  expect(LATER_REPLY_THEN_DRAIN, GET, OK_2, 1, false);
  expect(REPLY_AT_THE_END_THEN_DRAIN, GET, OK_2, 1, false);
  expect(NO_REPLY_BUT_DRAIN, GET, "", 0, false);  // nobody waits for a reply that has not begun
}

static void a_header_of_the_application_is_not_repeated(void) {
  expect(OWN_HEADER_THEN_DRAIN, GET, "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n" LENGTH_2 "\r\nhi", 0, false);
  expect(DRAIN_THEN_OWN_HEADER, GET, "HTTP/1.1 200 OK\r\ncOnNection: Close\r\n" LENGTH_2 "\r\nhi", 0, false);
  expect(KEEP_ALIVE_HEADER_THEN_DRAIN, GET, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n" LENGTH_2 "\r\nhi", 0, false);
  expect(SIMILAR_HEADER_THEN_DRAIN, GET, "HTTP/1.1 200 OK\r\nX-Connection: close\r\nB: Connection: close\r\n" LENGTH_2 "\r\nhi", 1, false);
}

static void output_of_the_application_is_not_touched(void) {
  expect(PRINTED_THEN_DRAIN, GET, PRINTED, 0, false);
  expect(DRAIN_THEN_PRINTED, GET, PRINTED, 0, false);
  expect(REPLY_REPLACED_THEN_DRAIN, GET, PRINTED, 0, false);
}

static void a_protocol_switch_is_not_touched(void) {
  expect(SWITCHING_THEN_DRAIN, GET, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 0          \r\n\r\n", 0, false);
  expect(DRAIN_THEN_SWITCHING, GET, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 0          \r\n\r\n", 0, false);
  // Other heads are, whatever they mean to the application.
  expect(PROCESSING_THEN_DRAIN, GET, "HTTP/1.1 102 Processing\r\nContent-Length: 0          \r\n\r\n", 1, false);
}

// A head that the application has moved is not looked for. Nothing else is damaged.
static void a_head_moved_by_the_application(void) {
  struct peer p = ask(REPLY_PREFIXED_THEN_DRAIN, GET, 28 + strlen(OK_2));
  peer_drop_close(&p, 28);
  CHECK(peer_got(&p, "HTTP/1.1 103 Early Hints\r\n\r\n" OK_2));
  peer_free(&p);
}

static void the_head_may_follow_other_output(void) {
  struct peer p = ask(PRINTED_THEN_REPLY_THEN_DRAIN, GET, 25 + strlen(OK_2 CLOSE));
  CHECK_EQ(peer_drop_close(&p, 0), 0);
  CHECK_EQ(peer_drop_close(&p, 25), 1);
  CHECK(peer_got(&p, "HTTP/1.1 100 Continue\r\n\r\n" OK_2));
  peer_free(&p);
}

static void only_the_last_of_several_replies(void) {
  struct peer p = ask(DRAIN_SECOND_REPLY, GET GET GET, strlen(OK_2 OK_2 CLOSE));
  CHECK_EQ(peer_drop_close(&p, 0), 0);
  CHECK_EQ(peer_drop_close(&p, strlen(OK_2)), 1);
  CHECK(peer_got(&p, OK_2 OK_2));
  CHECK_EQ(messages, 2);
  peer_free(&p);
}

static void the_client_asked_for_it(void) {
  expect(REPLY, GET_CLOSE, OK_2, 1, false);
  expect(REPLY, GET_CLOSE_2, OK_2, 1, false);
  expect(REPLY, GET_CLOSE GET, OK_2, 1, false);
  CHECK_EQ(messages, 1);
  expect(CLOSE_AND_REPLY_LATER, GET_CLOSE, OK_2, 1, false);
  expect(REPLY, GET_10, OK_2, 1, false);
  expect(CLOSE_AND_REPLY_LATER, GET_10, OK_2, 1, false);
  expect(REPLY, GET_10_KEEP, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n" LENGTH_2 "\r\nhi", 0, true);  // it wants to know
}

static void only_the_last_of_two_http_1_0_replies(void) {
  struct peer p = ask(REPLY, GET_10 GET_10, strlen(OK_2 OK_2 CLOSE));
  CHECK_EQ(peer_drop_close(&p, 0), 0);
  CHECK_EQ(peer_drop_close(&p, strlen(OK_2)), 1);
  CHECK(peer_got(&p, OK_2 OK_2));
  CHECK(!open_at_end);
  peer_free(&p);
}

static void an_error_reply_of_the_library(void) {
  // A response is no request, and this one has no length.
  struct peer p = ask(REPLY, "HTTP/1.1 200 OK\r\n\r\n", 40);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK(peer_got(&p, "HTTP/1.1 411 Length Required\r\nContent-Length: 0          \r\n\r\n"));
  CHECK_EQ(messages, 0);
  CHECK(!open_at_end);
  peer_free(&p);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  a_reply_on_a_draining_connection_says_connection_close();
  a_header_of_the_application_is_not_repeated();
  output_of_the_application_is_not_touched();
  a_protocol_switch_is_not_touched();
  a_head_moved_by_the_application();
  the_head_may_follow_other_output();
  only_the_last_of_several_replies();
  the_client_asked_for_it();
  // The first closes unless the second has arrived with it.
  if (getenv("SHORT_IO") == NULL) only_the_last_of_two_http_1_0_replies();
  an_error_reply_of_the_library();
  return DONE();
}
