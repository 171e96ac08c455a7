// Refused requests, as seen by the application: MG_EV_ERROR, its own response instead of the library's, bodies that it takes
// over.
// not under: short: is_closing with unread input resets
#include "peer.h"

#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define REFUSAL(status, len, text) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: " len "\r\n\r\n" text "\n"
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
};

static struct mg_mgr mgr;
static struct mg_connection *listener, *conn;
static struct peer peer;
static enum act act;
static int heads, messages, errors, closes;
static bool closing_in_error, draining_at_close;
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
  }
  if (ev == MG_EV_READ && heads > 0 && (act == TAKE_HEAD || act == TAKE_PFN || act == TAKE_READ)) {
    if (act == TAKE_READ) c->pfn = NULL;
    consume_body(c);
  }
  if (ev == MG_EV_HTTP_MSG) messages++;
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
}

static void the_application_may_respond_first(void) {
  send_request(ANSWER_ERROR, BAD_CHUNK);
  expect_end("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 7          \r\nConnection: close\r\n\r\nmy own\n");
  send_request(CLOSE_IN_ERROR, BAD_CHUNK);
  expect_end("");
  send_request(ANSWER_HEAD, BAD_CHUNK);
  expect_end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5          \r\nConnection: close\r\n\r\nwho?\n");
  CHECK(heads == 1 && errors == 1);
}

static void bodies_larger_than_the_buffer(void) {
  // Known from the head: the client need not send it.
  send_request(LOOK_ON, POST "Content-Length: 4000000\r\n\r\n");
  expect_end(TOO_LARGE);
  CHECK(heads == 1 && messages == 0 && errors == 1 && strcmp(error_text, "MG_MAX_RECV_SIZE") == 0);
  send_request(LOOK_ON, POST "Content-Length: 4000000\r\nExpect: 100-continue\r\n\r\n");
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

int main(void) {
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, serve_fn, NULL);
  CHECK(listener != NULL);
  if (listener == NULL) return DONE();
  errors_are_reported();
  the_application_may_respond_first();
  bodies_larger_than_the_buffer();
  buffers_that_are_full();
  a_buffer_that_is_just_full();
  bodies_that_are_taken_over();
  mg_mgr_free(&mgr);
  return DONE();
}
