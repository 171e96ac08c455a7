// Refused requests, as seen by the application: MG_EV_ERROR, its own response instead of the library's, bodies that it takes
// over.
// not under: short: is_closing with unread input resets
#include "mongoose_ext.h"
#include "peer.h"

#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define REFUSAL(status, len, text) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " len "\r\n\r\n" text "\n"
#define OK "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3          \r\n\r\nok\n"
#define BAD REFUSAL("400 Bad Request", "12         ", "Bad Request")
#define TOO_LARGE REFUSAL("413 Payload Too Large", "18         ", "Payload Too Large")
#define TOO_MANY REFUSAL("431 Request Header Fields Too Large", "32         ", "Request Header Fields Too Large")
#define UNKNOWN REFUSAL("501 Not Implemented", "16         ", "Not Implemented")

enum act {
  LOOK_ON,
  ANSWER_ERROR,    // answers in MG_EV_ERROR
  CLOSE_IN_ERROR,  // is_closing in MG_EV_ERROR
  ANSWER_HEAD,     // answers in MG_EV_HTTP_HDRS
  TAKE_HEAD,       // takes the body over in MG_EV_HTTP_HDRS: deletes the head
  TAKE_PFN,        // the same by c->pfn = NULL alone
  TAKE_READ,       // consumes everything in each MG_EV_READ
  HOLD,            // is_full in MG_EV_HTTP_HDRS
  CLOSE_HEAD,      // is_closing in MG_EV_HTTP_HDRS
  ANSWER,          // answers in MG_EV_HTTP_MSG, and says there that the connection closes
  BREAK_HEAD,      // moves the buffer in MG_EV_HTTP_HDRS, and makes the head malformed
  PUT_IN_FRONT,    // adds a byte to the full buffer
};

static struct mg_mgr mgr;
static struct mg_connection *listener, *conn;
static struct peer peer;
static enum act act;
static int heads, messages, errors, closes;
static bool closing_in_error, draining_at_close;
static enum mgx_reason reason;
static size_t taken;
static char error_text[100];

static void consume_body(struct mg_connection *c) {
  taken += c->recv.len;
  c->recv.len = 0;
}

static void serve_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (!c->is_accepted) return;
  conn = c;
  if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    heads++;
    if (act == ANSWER_HEAD) mg_http_reply(c, 401, "", "who?\n");
    if (act == TAKE_HEAD) mg_iobuf_del(&c->recv, 0, hm->head.len), consume_body(c);
    if (act == TAKE_PFN) c->pfn = NULL;
    if (act == HOLD) c->is_full = 1;
    if (act == CLOSE_HEAD) c->is_closing = 1;
    if (act == BREAK_HEAD) {
      CHECK(mg_iobuf_resize(&c->recv, c->recv.size + 100000));
      c->recv.buf[strlen(POST) + 1] = ' ';
    }
  }
  if (ev == MG_EV_READ && heads > 0 && (act == TAKE_HEAD || act == TAKE_PFN || act == TAKE_READ)) {
    if (act == TAKE_READ) c->pfn = NULL;
    consume_body(c);
  }
  if ((ev == MG_EV_READ || ev == MG_EV_POLL) && act == PUT_IN_FRONT && c->recv.len >= MG_MAX_RECV_SIZE) {
    mg_iobuf_add(&c->recv, 0, "x", 1);
  }
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    if (act == ANSWER) mg_http_reply(c, 200, "Connection: close\r\n", "ok\n");
  }
  if (ev == MG_EV_ERROR) {
    errors++;
    closing_in_error = c->is_closing;
    mg_snprintf(error_text, sizeof(error_text), "%s", (char *) ev_data);
    if (act == ANSWER_ERROR) mg_http_reply(c, 418, "", "my own\n");
    if (act == CLOSE_IN_ERROR) c->is_closing = 1;
  }
  if (ev == MG_EV_CLOSE) {
    closes++;
    draining_at_close = c->is_draining;
    reason = mgx_close_reason(c);
    conn = NULL;
  }
}

static void open_peer(enum act a) {
  act = a;
  heads = messages = errors = closes = 0;
  taken = 0;
  error_text[0] = '\0';
  peer_open(&peer, listener);
}

static void send_request(enum act a, const char *text) {
  open_peer(a);
  CHECK(peer_send_text(&peer, text));
}

static void expect_end(const char *answer) {
  POLL_UNTIL(&mgr, peer_read(&peer) && closes == 1);
  CHECK_EQ(peer.end, PEER_FIN);
  CHECK(peer_got(&peer, answer));
  peer_free(&peer);
}

#define BAD_CODING POST "Transfer-Encoding: gzip\r\n\r\n"
#define BAD_CHUNK POST "Transfer-Encoding: chunked\r\n\r\n?\r\n"

static void errors_are_reported(void) {
  // MG_EV_HTTP_HDRS, MG_EV_ERROR, the answer, MG_EV_CLOSE
  send_request(LOOK_ON, BAD_CODING);
  expect_end(UNKNOWN);
  CHECK(heads == 1 && messages == 0 && errors == 1 && !closing_in_error && draining_at_close);
  CHECK(strcmp(error_text, "Invalid Transfer-Encoding") == 0);
  send_request(LOOK_ON, BAD_CHUNK);
  expect_end(BAD);
  CHECK(heads == 1 && messages == 0 && errors == 1 && strcmp(error_text, "Invalid chunk") == 0);
  // A body without an end
  send_request(LOOK_ON, POST "Transfer-Encoding: chunked, gzip\r\n\r\n");
  expect_end(BAD);
  CHECK(heads == 1 && messages == 0 && errors == 1 && strcmp(error_text, "Invalid Transfer-Encoding") == 0);
  // A malformed head is nothing that an application hears of.
  send_request(LOOK_ON, POST "A : b\r\n\r\n");
  expect_end(BAD);
  CHECK(heads == 0 && messages == 0 && errors == 0 && draining_at_close);
  // Who does not say HTTP/1.1 and Host gets no answer.
  send_request(LOOK_ON, "POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n");
  expect_end("");
  CHECK(heads == 1 && errors == 1 && closing_in_error && !draining_at_close);
  send_request(LOOK_ON, "POST / HTTP/1.1\r\nA : b\r\n\r\n");
  expect_end("");
  CHECK(heads == 0 && errors == 0);
  // HEAD is answered by a head.
  send_request(LOOK_ON, "HEAD / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n");
  expect_end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 12         \r\n\r\n");
  // The first byte after an empty line counts like any other.
  send_request(LOOK_ON, "\r\n\1");
  expect_end("");
  send_request(LOOK_ON, "\r");
  POLL_UNTIL(&mgr, conn != NULL && conn->recv.len == 1);
  CHECK(peer_send_text(&peer, "\n\1"));
  expect_end("");
  // What is malformed is judged at its end.
  send_request(LOOK_ON, "GET /\1");
  POLL_UNTIL(&mgr, conn != NULL && conn->recv.len == 6);
  CHECK(peer_send_text(&peer, "\2 HTTP/1.0\r\n"));
  POLL_UNTIL(&mgr, conn == NULL || conn->recv.len == 18);
  CHECK(conn != NULL && closes == 0);
  CHECK(peer_send_text(&peer, "\r\n"));
  expect_end("");
  // One that the application has spoilt is not the client's fault.
  send_request(BREAK_HEAD, POST "A: b\r\n\r\n");
  expect_end("");
  CHECK(heads == 1 && errors == 0);
  // A request of one that is closed already
  send_request(CLOSE_HEAD, BAD_CODING);
  expect_end("");
  CHECK(errors == 1 && reason == MGX_REASON_ERROR);
}

// Requests that follow others, which were answered.
static void later_requests(void) {
  send_request(ANSWER, "GET / HTTP/1.1\r\n\r\n" BAD_CHUNK);
  expect_end(OK BAD);
  CHECK(heads == 2 && messages == 1 && errors == 1);
  // What an earlier answer said does not end this connection before the request is complete.
  send_request(ANSWER, "GET / HTTP/1.1\r\n\r\n" POST "Connection: close\r\nContent-Length: 1\r\n\r\n");
  POLL_UNTIL(&mgr, heads == 2);
  poll_often(&mgr);
  CHECK(peer_send_text(&peer, "x"));
  expect_end(OK OK);
  CHECK(messages == 2 && errors == 0);
}

static void the_application_may_respond_first(void) {
  send_request(ANSWER_ERROR, BAD_CHUNK);
  expect_end("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 7          \r\nConnection: close\r\n\r\nmy own\n");
  send_request(CLOSE_IN_ERROR, BAD_CHUNK);
  expect_end("");
  CHECK(!draining_at_close);
  send_request(ANSWER_HEAD, BAD_CHUNK);
  expect_end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5          \r\nConnection: close\r\n\r\nwho?\n");
  CHECK(heads == 1 && errors == 1);
  // Before the body
  send_request(ANSWER_HEAD, POST "Connection: close\r\nContent-Length: 1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&peer, 1));
  CHECK(peer_got(&peer, "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 5          \r\n\r\nwho?\n"));
  peer_free(&peer);
  POLL_UNTIL(&mgr, closes == 1);
}

static void bodies_larger_than_the_buffer(void) {
  uint64_t began;
  // Known from the head: the client need not send it.
  send_request(LOOK_ON, POST "Content-Length: 4000000\r\n\r\n");
  expect_end(TOO_LARGE);
  CHECK(heads == 1 && messages == 0 && errors == 1 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  send_request(LOOK_ON, POST "Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n");
  expect_end(TOO_LARGE);
  // At once, whether or not something happens
  send_request(LOOK_ON, POST "Content-Length: 4000000\r\n\r\n");
  POLL_UNTIL(&mgr, heads == 1);
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(errors == 1 && real_ms() - began < 15000);
  expect_end(TOO_LARGE);
  // Without Host, there is an error when the buffer is full, and no answer.
  send_request(LOOK_ON, "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n");
  poll_often(&mgr);
  CHECK(errors == 0 && closes == 0);
  peer_free(&peer);
  POLL_UNTIL(&mgr, closes == 1);
}

// Sends `head` and as much as the server takes of a body of `len` bytes.
static void upload(enum act a, const char *head, size_t len) {
  size_t said = 0;
  char *body = make_body(len);
  send_request(a, head);
  while (said < len && closes == 0) {
    ssize_t n = send(peer.fd, body + said, len - said, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) said += (size_t) n;
    mg_mgr_poll(&mgr, 1);
    peer_read(&peer);
  }
  free(body);
}

static void buffers_that_are_full(void) {
  const size_t len = MG_MAX_RECV_SIZE + 1000000;
  upload(LOOK_ON, POST "Transfer-Encoding: chunked\r\n\r\n7000000\r\n", len);
  expect_end(TOO_LARGE);
  CHECK(heads == 1 && errors == 1 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  upload(LOOK_ON, POST "A: ", len);
  expect_end(TOO_MANY);
  CHECK(heads == 0 && errors == 1 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  upload(ANSWER, "GET / HTTP/1.1\r\n\r\n" POST "A: ", len);
  expect_end(OK TOO_MANY);
  // An application that changes the buffer reads the request itself.
  upload(PUT_IN_FRONT, POST "Content-Length: 3000000\r\nExpect: x\r\nA: ", len);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(errors == 1 && closing_in_error && peer.len == 0 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  peer_free(&peer);
  upload(LOOK_ON, "GET /", len);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(heads == 0 && errors == 1 && peer.len == 0);
  peer_free(&peer);
  upload(LOOK_ON, "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\n", len);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(heads == 1 && errors == 1 && peer.len == 0 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  peer_free(&peer);
}

// The largest request there is.
static void a_buffer_that_is_just_full(void) {
  static const char head[] = POST "Content-Length: 3145675\r\n\r\n";
  CHECK_EQ(strlen(head) + 3145675, MG_MAX_RECV_SIZE);
  upload(LOOK_ON, head, 3145675);
  POLL_UNTIL(&mgr, messages == 1);
  CHECK(heads == 1 && errors == 0 && closes == 0);
  peer_free(&peer);
  if (conn != NULL) conn->is_closing = 1;
  POLL_UNTIL(&mgr, closes == 1);
}

static void bodies_that_are_taken_over(void) {
  static const enum act ways[] = {TAKE_HEAD, TAKE_PFN, TAKE_READ};
  static const char head[] = POST "Content-Length: 4000000\r\n\r\n";
  size_t i;
  for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
    size_t want = 4000000 + (ways[i] == TAKE_HEAD ? 0 : strlen(head));
    upload(ways[i], head, 4000000);
    POLL_UNTIL(&mgr, taken == want);
    CHECK(heads == 1 && messages == 0 && errors == 0 && closes == 0 && peer.len == 0);
    peer_free(&peer);
    POLL_UNTIL(&mgr, closes == 1);
  }
  // Who needs time to decide stops the reading.
  send_request(HOLD, head);
  poll_often(&mgr);
  CHECK(heads == 1 && errors == 0 && closes == 0);
  if (conn != NULL) conn->is_full = 0;
  expect_end(TOO_LARGE);
}

#ifndef _WIN32
// On a descriptor of the application's, which the HTTP handler serves, too: no refusal in place of an answer that is still to come.
static void own_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG && ++messages == 1) mg_http_reply(c, 200, "", "one");
  if (ev == MG_EV_CLOSE) closes++;
  (void) ev_data;
}

static void a_descriptor_of_the_application(void) {
  const char *one = "HTTP/1.1 200 OK\r\nContent-Length: 3          \r\n\r\none";
  struct peer p;
  int ends[2];
  messages = closes = 0;
  memset(&p, 0, sizeof(p));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  p.fd = ends[0];
  mg_wrapfd(&mgr, ends[1], own_fn, NULL)->pfn = listener->pfn;
  CHECK(peer_send_text(&p, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_has(&p, strlen(one)));
  CHECK(peer_send_text(&p, "GET /2 HTTP/1.1\r\nHost: h\r\n\r\n"));
  POLL_UNTIL(&mgr, messages == 2);
  CHECK(peer_send_text(&p, "GET /3 HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_read(&p) && closes == 1);
  CHECK(peer_got(&p, one));
  peer_free(&p);
}
#endif

int main(void) {
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, serve_fn, NULL);
  CHECK(listener != NULL);
  if (listener == NULL) return DONE();
  errors_are_reported();
  later_requests();
  the_application_may_respond_first();
  bodies_larger_than_the_buffer();
  buffers_that_are_full();
  a_buffer_that_is_just_full();
  bodies_that_are_taken_over();
#ifndef _WIN32
  a_descriptor_of_the_application();
#endif
  mg_mgr_free(&mgr);
  return DONE();
}
