// How a client's own requests affect it: responses to HEAD, credentials from URLs, and oversized WebSocket and MQTT messages.
// not under: short: what is one segment must arrive as one

#include "client.h"
#include "ws_peer.h"

static struct script server;
static const char *requests;
static struct mg_connection *conn;

static void pipeline_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "%s", requests);
  } else {
    client_fn(c, ev, ev_data);
  }
}

#define HEAD "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static void responses_to_head(void) {
  static const struct {
    const char *requests, *answers, *log;
  } all[] = {
      {HEAD, OK "Content-Length: 500\r\n\r\n", "H200 M200: "},
      {HEAD, OK "Transfer-Encoding: chunked\r\n\r\n", "H200 M200: "},
      {HEAD, OK "\r\n", "H200 M200: "},
      {HEAD GET, OK "Content-Length: 1\r\n\r\n" OK "Content-Length: 1\r\n\r\n!", "H200 M200: H200 M200:! "},
      {GET HEAD GET HEAD, OK "Content-Length: 1\r\n\r\na" OK "Content-Length: 1\r\n\r\n" OK "Content-Length: 1\r\n\r\nb" OK "Content-Length: 9\r\n\r\n",
       "H200 M200:a H200 M200: H200 M200:b H200 M200: "},
      {"POST / HTTP/1.1\r\nContent-Length: 40\r\n\r\nHEAD / HTTP/1.1\r\nHost: 0123456789012345\r\n\r\n" HEAD,
       OK "Content-Length: 1\r\n\r\na" OK "Content-Length: 7\r\n\r\n", "H200 M200:a H200 M200: "},
      {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHEAD \r\n0\r\n\r\n" HEAD,
       OK "Content-Length: 1\r\n\r\na" OK "Content-Length: 7\r\n\r\n", "H200 M200:a H200 M200: "},
      {HEAD GET, "HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\n" OK "Content-Length: 1\r\n\r\n" OK "Content-Length: 1\r\n\r\n!", "H200 M200: H200 M200:! "},
      // Servers made with this API send a body all the same. In one segment, it is no mistake.
      {HEAD GET, OK "Content-Length: 2\r\n\r\nhi" OK "Content-Length: 1\r\n\r\n!", "H200 M200: H200 M200:! "},
  };
  size_t i;
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    struct seen seen;
    char url[50];
    memset(&seen, 0, sizeof(seen));
    requests = all[i].requests;
    mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
    conn = mg_http_connect(&mgr, url, pipeline_fn, &seen);
    script_accept(&server);
    POLL_UNTIL(&mgr, peer_has(&server.peer, strlen(requests)));
    CHECK(peer_got(&server.peer, requests));
    send_part(&server, &seen, all[i].answers, strlen(all[i].answers));
    CHECK(seen_equals(&seen, all[i].log));
    script_hang_up(&server);
    POLL_UNTIL(&mgr, seen.closes == 1);
    CHECK(strstr(seen.log, "E0") == NULL);
  }
}

// The request leaves in pieces.
static void a_request_sent_in_parts(void) {
  static const char *const pieces[] = {"H", "EAD / HTTP/1.1\r\nHost: h\r", "\n\r\n"};
  struct seen seen;
  char url[50];
  size_t i, len = 0;
  memset(&seen, 0, sizeof(seen));
  requests = "";
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
  conn = mg_http_connect(&mgr, url, pipeline_fn, &seen);
  script_accept(&server);
  for (i = 0; i < 3; i++) {
    CHECK(mg_send(conn, pieces[i], strlen(pieces[i])));
    len += strlen(pieces[i]);
    POLL_UNTIL(&mgr, peer_has(&server.peer, len));
  }
  send_part(&server, &seen, OK "Content-Length: 5\r\n\r\n", strlen(OK "Content-Length: 5\r\n\r\n"));
  CHECK(seen_equals(&seen, "H200 M200: "));
  script_hang_up(&server);
  POLL_UNTIL(&mgr, seen.closes == 1);
}

static const char *want_line;

static void credentials(const char *user, const char *text, const char *want) {
  struct seen seen;
  char url[100];
  memset(&seen, 0, sizeof(seen));
  requests = text;
  mg_snprintf(url, sizeof(url), "http://%s127.0.0.1:%d/", user, server.port);
  conn = mg_http_connect(&mgr, url, pipeline_fn, &seen);
  script_accept(&server);
  POLL_UNTIL(&mgr, peer_has(&server.peer, strlen(want)));
  poll_often(&mgr);
  peer_read(&server.peer);
  CHECK(peer_got(&server.peer, want));
  script_hang_up(&server);
  POLL_UNTIL(&mgr, seen.closes == 1);
}

#define BASIC "Authorization: Basic dXNlcjpwYXNz\r\n"

static void urls_with_users(void) {
  credentials("user:pass@", GET, "GET / HTTP/1.1\r\nHost: h\r\n" BASIC "\r\n");
  credentials("us%65r:pass@", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\n" BASIC "\n");
  credentials("user:pass@", "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi" GET,
              "POST / HTTP/1.1\r\nContent-Length: 2\r\n" BASIC "\r\nhiGET / HTTP/1.1\r\nHost: h\r\n" BASIC "\r\n");
  credentials("user:pass@", "GET / HTTP/1.1\r\nauthorization: x\r\n\r\n", "GET / HTTP/1.1\r\nauthorization: x\r\n\r\n");
  credentials("user:pass@", "CONNECT a:1 HTTP/1.1\r\n\r\n", "CONNECT a:1 HTTP/1.1\r\n\r\n");
  credentials("user:pass@", "no request", "no request");
  credentials("user@", GET, "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic dXNlcjo=\r\n\r\n");
  credentials("", GET, GET);
}

static void ws_credentials(const char *extra, int lines) {
  struct seen seen;
  char url[100];
  size_t i;
  int found = 0;
  memset(&seen, 0, sizeof(seen));
  mg_snprintf(url, sizeof(url), "ws://user:pass@127.0.0.1:%d/", server.port);
  CHECK(mg_ws_connect(&mgr, url, client_fn, &seen, extra == NULL ? NULL : "%s", extra) != NULL);
  script_accept(&server);
  POLL_UNTIL(&mgr, has_request(&server.peer));
  for (i = 0; i + strlen(BASIC) <= server.peer.len; i++) found += memcmp(server.peer.buf + i, BASIC, strlen(BASIC)) == 0;
  CHECK_EQ(found, lines);
  CHECK(peer_send_text(&server.peer, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"));
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(strstr(seen.log, "E0:ws handshake error: 401 C ") != NULL);
  script_hang_up(&server);
}

static void ws_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct seen *seen = (struct seen *) c->fn_data;
  if (ev == MG_EV_WS_OPEN) seen_add(seen, "O%d ", mg_http_status((struct mg_http_message *) ev_data), mg_str(""));
  if (ev == MG_EV_ERROR) seen_add(seen, "E%d:%.*s ", 0, mg_str((char *) ev_data));
  if (ev == MG_EV_READ) seen->received += (size_t) *(long *) ev_data;
  if (ev == MG_EV_CLOSE) seen_add(seen, "C ", 0, mg_str("")), seen->closes++;
}

// What a client sees of this response to its handshake, after which the server ends its side. Before each '|' it pauses.
static void handshake(const char *response, const char *want) {
  struct seen seen;
  const char *pause;
  char url[100];
  memset(&seen, 0, sizeof(seen));
  mg_snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", server.port);
  CHECK(mg_ws_connect(&mgr, url, ws_fn, &seen, NULL) != NULL);
  script_accept(&server);
  POLL_UNTIL(&mgr, has_request(&server.peer));
  for (; (pause = strchr(response, '|')) != NULL; response = pause + 1) send_part(&server, &seen, response, (size_t) (pause - response));
  CHECK(peer_send_text(&server.peer, response));
  peer_shut(&server.peer);
  POLL_UNTIL(&mgr, seen.closes == 1);
  if (strcmp(seen.log, want) != 0) fprintf(stderr, "%s\nsaw  %s\nwant %s\n", response, seen.log, want);
  CHECK(strcmp(seen.log, want) == 0);
  script_hang_up(&server);
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n"
#define TEN "A: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\nA: b\r\n"

static void handshakes(void) {
  handshake(SWITCHING "\r\n", "O101 C ");
  handshake(SWITCHING TEN TEN TEN TEN "Sec-WebSocket-Accept: xyz=\r\n\r\n", "O101 C ");
  handshake(SWITCHING TEN TEN TEN TEN "\r\n", "E0:ws handshake error C ");
  // What may stand in front of it
  handshake("\r\n\n" SWITCHING "\r\n", "O101 C ");
  handshake("\n" SWITCHING "\r\n", "O101 C ");
  handshake("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" SWITCHING "\r\n", "O101 C ");
  handshake("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\n\r\n", "E0:ws handshake error: 403 C ");
  handshake("\n\n\n\n\n\n\n\n\n" SWITCHING "\r\n", "E0:ws handshake error C ");
  handshake("\n|\n|\n|\n|\n|\n|\n|\n|" SWITCHING "\r\n", "O101 C ");
  handshake("\n|\n|\n|\n|\n|\n|\n|\n|\n" SWITCHING "\r\n", "E0:ws handshake error C ");
  handshake("HTTP/1.1 103 Early Hints\r\n" TEN TEN "|\r\n" SWITCHING "\r\n\x81\x0c" "a long frame", "O101 C ");
  // Malformed, and cut short
  handshake("HTTP/1.1 abc\r\n\r\n", "E0:ws handshake error C ");
  handshake("HTTP/1.1 403 Forbidden\r\nContent-Le", "E0:Truncated response C ");
  handshake(SWITCHING "Upgrade: websocket\r\n", "E0:Truncated response C ");
  handshake("HT", "E0:Truncated response C ");
  handshake("SSH-2.0", "E0:ws handshake error C ");
  handshake("HTTP/1.1 100 Continue\r\n\r\n", "C ");
  handshake("", "C ");
}

static size_t s_with_frame;  // bytes of a response and a frame

// A handler that does not let an error close the connection. Looks at what is left of the input.
static void tolerant_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct seen *seen = (struct seen *) c->fn_data;
  ws_fn(c, ev, ev_data);
  if (ev == MG_EV_OPEN) seen->c = c;
  if (ev == MG_EV_ERROR) c->is_closing = 0;
  if (ev == MG_EV_WS_MSG) seen->messages++;
  if (ev == MG_EV_READ) seen->body_len = c->recv.len;
  // A frame that came with the response is handled before the event that tells of its last byte.
  if (ev == MG_EV_READ && seen->received == s_with_frame) CHECK_EQ(seen->messages, 1);
}

// Removes part of the response itself.
static void taking_fn(struct mg_connection *c, int ev, void *ev_data) {
  tolerant_fn(c, ev, ev_data);
  if (ev == MG_EV_WS_OPEN) mg_iobuf_del(&c->recv, 0, 1);
}

static void ws_start(struct seen *seen) {
  char url[100];
  memset(seen, 0, sizeof(*seen));
  mg_snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", server.port);
  CHECK(mg_ws_connect(&mgr, url, tolerant_fn, seen, NULL) != NULL);
  script_accept(&server);
  POLL_UNTIL(&mgr, has_request(&server.peer));
  server.peer.len = 0;
}

static void ws_end(struct seen *seen, const char *want) {
  peer_shut(&server.peer);
  POLL_UNTIL(&mgr, seen->closes == 1);
  CHECK(seen_equals(seen, want));
  peer_read(&server.peer);
  CHECK_EQ(server.peer.len, 0);
  script_hang_up(&server);
}

static mg_event_handler_t s_library;

static void wrapper(struct mg_connection *c, int ev, void *ev_data) {
  s_library(c, ev, ev_data);
}

#define SAY(text) send_part(&server, &seen, text, sizeof(text) - 1)

static void handshakes_that_end_otherwise(void) {
  struct seen seen;
  // Refused, once: what comes behind is discarded.
  ws_start(&seen);
  SAY("HTTP/1.1 404 Not Found\r\n\r\n");
  SAY("HTTP/1.1 404 Not Found\r\n\r\n");
  CHECK_EQ(seen.body_len, 0);
  SAY("HTTP/1.1");
  CHECK_EQ(seen.body_len, 0);
  ws_end(&seen, "E0:ws handshake error: 404 C ");
  ws_start(&seen);
  SAY("HTTP/1.1 404 Not Found\r\n\r\n");
  ws_end(&seen, "E0:ws handshake error: 404 C ");
  // Not even HTTP, but then it is.
  ws_start(&seen);
  SAY("\1");
  CHECK_EQ(seen.body_len, 0);
  SAY(SWITCHING "\r\n");
  ws_end(&seen, "E0:not http O101 C ");
  // With a frame.
  ws_start(&seen);
  s_with_frame = strlen(SWITCHING) + 2 + 7;
  SAY(SWITCHING "\r\n\x81\5hello");
  CHECK_EQ(seen.messages, 1);
  ws_end(&seen, "O101 C ");
  ws_start(&seen);
  seen.c->fn = taking_fn;
  SAY(SWITCHING "\r\n\x81\5hello");
  CHECK_EQ(seen.messages, 1);
  s_with_frame = 0;
  ws_end(&seen, "O101 C ");
  // The application closes before the response is complete.
  ws_start(&seen);
  SAY("HTTP/1.1 404 Not");
  seen.c->is_closing = 1;
  ws_end(&seen, "C ");
  // A frame is cut short, not a response.
  ws_start(&seen);
  SAY(SWITCHING "\r\n");
  SAY("\x81\5he");
  ws_end(&seen, "O101 C ");
  // Another protocol handler has taken over.
  ws_start(&seen);
  s_library = seen.c->pfn;
  seen.c->pfn = wrapper;
  SAY("HTTP/1.1 404 Not");
  ws_end(&seen, "C ");
}

// A frame, or a packet, that announces more than fits is an error at once.
static void oversized_messages_are_refused_at_once(const char *what, mg_event_handler_t fn, const char *data, size_t len, const char *farewell, size_t farewell_len) {
  struct mg_connection *l = what[0] == 'w' ? mg_http_listen(&mgr, "http://127.0.0.1:0", fn, NULL) : mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL);
  struct peer p;
  if (what[0] == 'w') {
    ws_open(&p, &mgr, l);
  } else {
    peer_open(&p, l);
  }
  CHECK(peer_send(&p, data, len));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_got_bytes(&p, farewell, farewell_len));
  CHECK(want_line != NULL && strcmp(want_line, "MG_MAX_RECV_SIZE") == 0);
  want_line = NULL;
  peer_free(&p);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, mgr.conns == NULL);
}

static void limit_fn(struct mg_connection *c, int ev, void *ev_data) {
  static char text[64];
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_ERROR) mg_snprintf(text, sizeof(text), "%s", (char *) ev_data), want_line = text;
  if (ev == MG_EV_CLOSE && c->is_accepted) CHECK(want_line != NULL);
}

#define ANNOUNCED(what, data, farewell) oversized_messages_are_refused_at_once(what, limit_fn, data, sizeof(data) - 1, farewell, sizeof(farewell) - 1)

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  script_open(&server);
  responses_to_head();
  a_request_sent_in_parts();
  urls_with_users();
  ws_credentials(NULL, 1);
  ws_credentials("X: y\r\n", 1);
  ws_credentials("X: y\r\naUthorization: Bearer x\r\n", 0);
  handshakes();
  handshakes_that_end_otherwise();
  ANNOUNCED("ws", "\x82\xff\0\0\0\0\x00\x4c\x4b\x40\x01\x02\x03\x04", "\x88\x02\x03\xf1");
  ANNOUNCED("mqtt 4", "\x30\x80\x80\x80\x02", "");
  ANNOUNCED("mqtt 5", "\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0\x30\x80\x80\x80\x02", "\xe0\x01\x95");
  script_close(&server);
  mg_mgr_free(&mgr);
  return DONE();
}
