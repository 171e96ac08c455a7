// An application that calls the HTTP handler in c->pfn itself, with bytes that it has put into c->recv.

#include "client.h"
#include "mongoose_ext.h"

#define OUTPUT_MAX (1 << 20)
#define GET "GET / HTTP/1.1\r\n\r\n"
#define HALF "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"
#define TOO_MANY \
  "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 32         \r\n\r\n" \
  "Request Header Fields Too Large\n"
#define HOST "Host: h\r\n"

enum act {
  REPLY,
  FORGET,       // leaves the request without an answer
  WAIT,         // answers later
  LAST,         // answers, and drains
  CLOSE,        // answers, and closes
  TAKE,         // answers, and deletes the message
  FILL,         // the first answer is all that may be queued
  FILL_CLOSE,   // the same; the second closes
};

static struct mg_connection *listener, *conn;
static struct peer peer;
static enum act act;
static int heads, messages;
static char first[20];  // the URI of the first message

static void fill(struct mg_connection *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1048532\r\n\r\n";
  char *body = make_body(1048532);
  CHECK_EQ(strlen(head) + 1048532, OUTPUT_MAX);
  CHECK(mg_send(c, head, strlen(head)) && mg_send(c, body, 1048532));
  free(body);
}

static void serve_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_CLOSE && c == conn) conn = NULL;
  if (ev == MG_EV_HTTP_HDRS) heads++;
  if (ev != MG_EV_HTTP_MSG) return;
  if (++messages == 1) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_snprintf(first, sizeof(first), "%.*s", (int) hm->uri.len, hm->uri.buf);
  }
  if (act == WAIT) return;
  if (act == FORGET) {
    c->is_resp = 0;
  } else if (act >= FILL && messages == 1) {
    fill(c);
  } else {
    mg_http_reply(c, 200, "", "%d", messages);
  }
  if (act == TAKE) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    CHECK(mg_strcmp(hm->method, mg_str("GET")) == 0);
    mg_iobuf_del(&c->recv, 0, hm->message.len);
  }
  if (act == LAST) c->is_draining = 1;
  if (act == CLOSE || (act == FILL_CLOSE && messages > 1)) c->is_closing = 1;
}

static bool begin(enum act a) {
  act = a;
  heads = messages = 0;
  peer_open(&peer, listener);
  POLL_UNTIL(&mgr, conn != NULL);
  return conn != NULL;
}

static void end(void) {
  if (conn != NULL) conn->is_closing = 1;
  POLL_UNTIL(&mgr, conn == NULL);
  peer_free(&peer);
}

static void put_in_front(const char *text) {
  mg_iobuf_add(&conn->recv, 0, text, strlen(text));
}

static void call(int ev, long n) {
  conn->pfn(conn, ev, &n);
}

static void hand_in(const char *text) {
  mg_iobuf_add(&conn->recv, conn->recv.len, text, strlen(text));
  call(MG_EV_READ, (long) strlen(text));
}

// Polls that would wait for events, until `cond`: there is no need to wait.
#define poll_at_once(cond)                                                         \
  do {                                                                             \
    uint64_t began = real_ms();                                                    \
    int polls;                                                                     \
    for (polls = 0; polls < 5 && !(cond); polls++) mg_mgr_poll(&mgr, 20000);       \
    CHECK((cond) && real_ms() - began < 15000);                                    \
  } while (0)

static void a_request_in_parts(void) {
  if (!begin(REPLY)) return;
  hand_in(HALF);
  CHECK(heads == 1 && messages == 0);
  conn->pfn(conn, MG_EV_READ, NULL);
  CHECK(heads == 1 && messages == 0);
  hand_in("c");
  hand_in("d" GET);
  CHECK(heads == 2 && messages == 2 && conn->recv.len == 0);
  CHECK(conn->recv.buf != NULL && conn->recv.buf[0] == '\0');
  end();
}

// What it puts in front, or does not tell the handler of, makes another message.
static void bytes_that_are_not_announced(void) {
  if (!begin(REPLY)) return;
  hand_in(HALF);
  put_in_front("\n");
  conn->pfn(conn, MG_EV_READ, NULL);
  CHECK_EQ(heads, 2);
  put_in_front("\n");
  call(MG_EV_READ, -1);
  CHECK_EQ(heads, 3);
  put_in_front("\n");
  call(MG_EV_POLL, 0);
  CHECK_EQ(heads, 4);
  CHECK_EQ(messages, 0);
  put_in_front("GET /first HTTP/1.1\r\n\r\n");
  call(MG_EV_POLL, 0);
  CHECK(heads == 6 && messages == 1 && strcmp(first, "/first") == 0);
  hand_in("cd");
  CHECK(heads == 6 && messages == 2);
  end();
}

static void many_requests(void) {
  char text[300 * sizeof(GET)] = "";
  int i;
  for (i = 0; i < 300; i++) strcat(text, GET);
  if (!begin(FORGET)) return;
  hand_in(text);
  // The others' turn comes after so many; the rest does not wait for an event.
  CHECK_EQ(messages, 256);
  poll_at_once(messages == 300);
  end();
}

// A handler that deletes its message deletes nothing of the next one, nor does the library.
static void messages_that_are_taken(void) {
  if (!begin(TAKE)) return;
  hand_in(GET GET GET);
  CHECK(messages == 3 && conn->recv.len == 0);
  end();
}

static void requests_after_the_last(void) {
  if (!begin(LAST)) return;
  hand_in(GET GET);
  CHECK(heads == 1 && messages == 1);
  call(MG_EV_POLL, 0);
  CHECK(heads == 1 && messages == 1);
  end();
  if (!begin(CLOSE)) return;
  hand_in(GET GET);
  CHECK_EQ(messages, 1);
  end();
}

// An empty line behind the request, of one byte, does not keep the connection open.
static void a_line_after_the_last(void) {
  if (!begin(WAIT)) return;
  hand_in("GET / HTTP/1.0\r\n\r\n\n");
  CHECK_EQ(messages, 1);
  mg_http_reply(conn, 200, "Connection: x\r\n", "%s", "ok");
  POLL_UNTIL(&mgr, peer_read(&peer));
  CHECK_EQ(peer.end, PEER_FIN);
  end();
}

// One byte of another request does.
static void a_byte_of_the_next_request(void) {
  if (!begin(WAIT)) return;
  hand_in("GET / HTTP/1.0\r\n\r\nG");
  CHECK_EQ(messages, 1);
  mg_http_reply(conn, 200, "", "%s", "ok");
  hand_in("ET / HTTP/1.1\r\n\r\n");
  CHECK_EQ(messages, 2);
  end();
}

// The next request does not wait for an event when the application has answered.
static void requests_after_a_late_answer(void) {
  if (!begin(WAIT)) return;
  hand_in(GET GET);
  CHECK_EQ(messages, 1);
  mg_http_reply(conn, 200, "", "%s", "ok");
  poll_at_once(messages == 2);
  end();
  if (!begin(WAIT)) return;
  hand_in("HEAD / HTTP/1.1\r\n\r\n" GET);
  mg_http_write_chunk(conn, "", 0);
  poll_at_once(messages == 2);
  end();
  if (!begin(WAIT)) return;
  hand_in("GET / HTTP/1.0\r\n\r\n" GET);
  mg_printf(conn, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
  poll_at_once(messages == 2);
  end();
  // The same when it has put its answer into c->send
  if (!begin(WAIT)) return;
  hand_in("GET / HTTP/1.0\r\n\r\n" GET);
  mg_iobuf_add(&conn->send, conn->send.len, "HTTP/1.1 204 No Content\r\n\r\n", 27);
  mg_mgr_poll(&mgr, 0);
  poll_at_once(messages == 2);
  end();
  if (!begin(WAIT)) return;
  hand_in("HEAD / HTTP/1.0\r\n\r\n\n");
  mg_http_write_chunk(conn, "", 0);
  poll_at_once(conn == NULL || conn->is_draining);
  end();
}

static void requests_after_much_output(void) {
  if (!begin(FILL)) return;
  hand_in(GET GET);
  CHECK_EQ(conn->send.len, OUTPUT_MAX);
  CHECK_EQ(messages, 1);
  conn->send.len = 0;
  call(MG_EV_WRITE, OUTPUT_MAX);
  CHECK_EQ(messages, 2);
  end();
  if (!begin(FILL_CLOSE)) return;
  hand_in(GET GET GET);
  conn->send.len = 0;
  call(MG_EV_WRITE, OUTPUT_MAX);
  CHECK_EQ(messages, 2);
  end();
  if (!begin(REPLY)) return;
  hand_in(HALF);
  fill(conn);
  call(MG_EV_POLL, 0);
  conn->send.len = 0;
  put_in_front("\n");
  call(MG_EV_WRITE, OUTPUT_MAX);
  CHECK_EQ(heads, 2);
  end();
}

// Nothing is handled after a refusal.
static void refused(const char *request, int announced, const char *answer) {
  if (!begin(REPLY)) return;
  hand_in(request);
  call(MG_EV_READ, 0);
  CHECK(heads == announced && messages == 0);
  if (announced == 0) CHECK_EQ(conn->recv.len, 0);
  hand_in(GET);
  conn->recv.len = 0;
  put_in_front(GET GET);
  call(MG_EV_READ, 0);
  CHECK(heads == announced && messages == 0);
  POLL_UNTIL(&mgr, peer_read(&peer));
  CHECK(peer_got(&peer, answer));
  end();
}

static void refusals(void) {
  struct mgx_limits limits;
  char head[1000];
  refused("HTTP/1.1 200 OK\r\n\r\n", 1, "HTTP/1.1 411 Length Required\r\nContent-Length: 0          \r\nConnection: close\r\n\r\n");
  refused("GET / HTTP/1.1\r\n" HOST "A : b\r\n\r\n", 0,
          "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 12         \r\n\r\nBad Request\n");
  memset(&limits, 0, sizeof(limits));
  limits.max_header_bytes = 500;
  mgx_mgr_limits(&mgr, &limits);
  memset(head, 'a', sizeof(head));
  head[sizeof(head) - 1] = '\0';
  memcpy(head, "GET /", 5);
  refused(head, 0, TOO_MANY);
  // A malformed head, whose end would have decided on an answer.
  memcpy(head, "GET / HTTP/1.1\r\nA: \1\r\nAB: ", 26);
  refused(head, 0, TOO_MANY);
  limits.max_header_bytes = 0;
  mgx_mgr_limits(&mgr, &limits);
}

// The block goes to the next connection without what was handed in.
static void nothing_is_left(void) {
  size_t i, left = 0;
  char text[500] = "GET /";
  memset(text + 5, '#', 400);
  strcpy(text + 405, " HTTP/1.1\r\n\r\n");
  if (!begin(REPLY)) return;
  hand_in(text);
  CHECK_EQ(messages, 1);
  CHECK(peer_send_text(&peer, GET));
  POLL_UNTIL(&mgr, messages == 2);
  poll_often(&mgr);
  end();
  if (!begin(REPLY)) return;
  CHECK(peer_send_text(&peer, "G"));
  POLL_UNTIL(&mgr, conn->recv.len == 1);
  for (i = 1; i < conn->recv.size; i++) left += conn->recv.buf[i] == '#';
  CHECK_EQ(left, 0);
  end();
}

static void truncated_fn(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_ERROR && strlen(((struct seen *) c->fn_data)->log) < 100) c->pfn(c, MG_EV_CLOSE, NULL);
}

static void clients(void) {
  struct script server;
  struct seen seen;
  script_open(&server);
  start(&server, &seen, truncated_fn);
  send_part(&server, &seen, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", 41);
  if (seen.c != NULL) mg_iobuf_add(&seen.c->recv, 0, "\n", 1);
  script_hang_up(&server);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H200 H200 E0:Truncated response C "));
  script_close(&server);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, serve_fn, NULL);
  CHECK(listener != NULL);
  if (listener == NULL) return DONE();
  a_request_in_parts();
  bytes_that_are_not_announced();
  many_requests();
  messages_that_are_taken();
  requests_after_the_last();
  a_line_after_the_last();
  a_byte_of_the_next_request();
  requests_after_a_late_answer();
  requests_after_much_output();
  refusals();
  nothing_is_left();
  clients();
  mg_mgr_free(&mgr);
  return DONE();
}
