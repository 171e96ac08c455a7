// The functions that make the API usable without structs, bit fields, macros and variable arguments; each also with NULL.
#include <limits.h>
#include <pthread.h>

#include "ext.h"
#include "ws_peer.h"

static struct mg_mgr *mgr;
static struct mg_connection *listener;

static bool text_equals(const char *text, size_t len, const char *want) {
  return len == strlen(want) && (len == 0 || (text != NULL && memcmp(text, want, len) == 0));
}

#define HAS(call, want)              \
  do {                               \
    size_t len = 77;                 \
    const char *text = call;         \
    CHECK(text_equals(text, len, want));      \
  } while (0)

#define NOTHING(call)                \
  do {                               \
    size_t len = 77;                 \
    CHECK(call == NULL);             \
    CHECK_EQ(len, 0);                \
  } while (0)

static void messages(void) {
  const char *text = "POST /a%20b?x=1&y HTTP/1.1\r\nHost: here\r\nEmpty:\r\nContent-Length: 2\r\n\r\nhi";
  const char *name, *value;
  size_t name_len, value_len;
  struct mg_http_message hm;
  struct mg_ws_message wm;
  struct mg_mqtt_message mm;
  struct mg_str s = mg_str("up");
  CHECK(mg_http_parse(text, strlen(text), &hm) > 0);
  HAS(mgx_http_method(&hm, &len), "POST");
  HAS(mgx_http_uri(&hm, &len), "/a%20b");
  HAS(mgx_http_query(&hm, &len), "x=1&y");
  HAS(mgx_http_proto(&hm, &len), "HTTP/1.1");
  HAS(mgx_http_body(&hm, &len), "hi");
  HAS(mgx_http_header(&hm, "hOST", &len), "here");
  HAS(mgx_http_header(&hm, "Empty", &len), "");
  CHECK(mgx_http_header(&hm, "Empty", NULL) != NULL);
  CHECK(mgx_http_method(&hm, NULL) == hm.method.buf);
  NOTHING(mgx_http_header(&hm, "None", &len));
  NOTHING(mgx_http_header(&hm, NULL, &len));
  NOTHING(mgx_http_header(NULL, "Host", &len));
  NOTHING(mgx_http_method(NULL, &len));
  NOTHING(mgx_http_uri(NULL, &len));
  NOTHING(mgx_http_query(NULL, &len));
  NOTHING(mgx_http_proto(NULL, &len));
  NOTHING(mgx_http_body(NULL, &len));
  CHECK(mgx_http_header_at(&hm, 2, &name, &name_len, &value, &value_len));
  CHECK(text_equals(name, name_len, "Content-Length") && text_equals(value, value_len, "2"));
  CHECK(mgx_http_header_at(&hm, 0, NULL, NULL, NULL, NULL));
  CHECK(!mgx_http_header_at(&hm, 3, &name, &name_len, &value, &value_len));
  CHECK(name == NULL && name_len == 0 && value == NULL && value_len == 0);
  CHECK(!mgx_http_header_at(&hm, (size_t) -1, NULL, NULL, NULL, NULL));
  CHECK(!mgx_http_header_at(NULL, 0, NULL, NULL, NULL, NULL));
  CHECK_EQ(mgx_http_status(&hm), 0);
  text = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
  CHECK(mg_http_parse(text, strlen(text), &hm) > 0);
  CHECK_EQ(mgx_http_status(&hm), 404);
  HAS(mgx_http_proto(&hm, &len), "Not Found");
  NOTHING(mgx_http_query(&hm, &len));
  CHECK_EQ(mgx_http_status(NULL), 0);

  memset(&wm, 0, sizeof(wm));
  NOTHING(mgx_ws_data(&wm, &len));
  wm.data = mg_str("frame");
  wm.flags = 0x82;
  HAS(mgx_ws_data(&wm, &len), "frame");
  CHECK_EQ(mgx_ws_flags(&wm), 0x82);
  NOTHING(mgx_ws_data(NULL, &len));
  CHECK_EQ(mgx_ws_flags(NULL), 0);

  memset(&mm, 0, sizeof(mm));
  mm.topic = mg_str("a/b");
  mm.data = mg_str("payload");
  mm.qos = 2, mm.id = 65535, mm.cmd = MQTT_CMD_PUBLISH;
  HAS(mgx_mqtt_topic(&mm, &len), "a/b");
  HAS(mgx_mqtt_payload(&mm, &len), "payload");
  CHECK_EQ(mgx_mqtt_qos(&mm), 2);
  CHECK_EQ(mgx_mqtt_id(&mm), 65535);
  CHECK_EQ(mgx_mqtt_cmd(&mm), MQTT_CMD_PUBLISH);
  NOTHING(mgx_mqtt_topic(NULL, &len));
  NOTHING(mgx_mqtt_payload(NULL, &len));
  CHECK_EQ(mgx_mqtt_qos(NULL) + mgx_mqtt_id(NULL) + mgx_mqtt_cmd(NULL), 0);
  HAS(mgx_str_data(&s, &len), "up");
  NOTHING(mgx_str_data(NULL, &len));
}

static void connections(void) {
  struct mg_mgr m;
  struct mg_connection c;
  memset(&m, 0, sizeof(m));
  memset(&c, 0, sizeof(c));
  NOTHING(mgx_conn_recv(&c, &len));
  mg_iobuf_add(&c.recv, 0, "received", 8);
  HAS(mgx_conn_recv(&c, &len), "received");
  CHECK_EQ(mgx_conn_consume(&c, 2), 2);
  HAS(mgx_conn_recv(&c, &len), "ceived");
  CHECK_EQ(mgx_conn_consume(&c, 0), 0);
  CHECK_EQ(mgx_conn_consume(&c, (size_t) -1), 6);
  CHECK_EQ(c.recv.len, 0);
  CHECK_EQ(mgx_conn_consume(&c, 1), 0);
  mg_iobuf_free(&c.recv);
  c.next = &c, c.mgr = &m, m.conns = &c;
  CHECK(mgx_conn_data(&c) == (void *) c.data);
  CHECK(mgx_conn_mgr(&c) == &m);
  CHECK(mgx_conn_next(&c) == &c);
  CHECK(mgx_mgr_first(&m) == &c);
  NOTHING(mgx_conn_recv(NULL, &len));
  CHECK_EQ(mgx_conn_consume(NULL, 1), 0);
  CHECK(mgx_conn_data(NULL) == NULL && mgx_conn_mgr(NULL) == NULL && mgx_conn_next(NULL) == NULL);
  CHECK(mgx_mgr_first(NULL) == NULL);
}

static void constants(void) {
  CHECK_EQ(mgx_const("MG_EV_HTTP_MSG"), MG_EV_HTTP_MSG);
  CHECK_EQ(mgx_const("MG_EV_ERROR"), MG_EV_ERROR);
  CHECK_EQ(mgx_const("MG_EV_USER"), MG_EV_USER);
  CHECK_EQ(mgx_const("MGX_EV_DRAIN"), MGX_EV_DRAIN);
  CHECK_EQ(mgx_const("MGX_REASON_ERROR"), MGX_REASON_ERROR);
  CHECK_EQ(mgx_const("MGX_IS_WRITABLE"), MGX_IS_WRITABLE);
  CHECK_EQ(mgx_const("WEBSOCKET_OP_PONG"), WEBSOCKET_OP_PONG);
  CHECK_EQ(mgx_const("MG_DATA_SIZE"), MG_DATA_SIZE);
  CHECK_EQ(mgx_const("MG_MAX_HTTP_HEADERS"), MG_MAX_HTTP_HEADERS);
  CHECK_EQ(mgx_const("MG_JSON_NOT_FOUND"), MG_JSON_NOT_FOUND);
  CHECK_EQ(mgx_const("MG_TIMER_REPEAT"), MG_TIMER_REPEAT);
  CHECK_EQ(mgx_const("MG_EV_NONE"), INT_MIN);
  CHECK_EQ(mgx_const(""), INT_MIN);
  CHECK_EQ(mgx_const(NULL), INT_MIN);
}

static void symbols(void) {
  uint16_t (*s)(uint16_t) = &(mg_htons);
  uint32_t (*l)(uint32_t) = &(mg_htonl);
  uint64_t (*ll)(uint64_t) = &(mg_htonll);
  CHECK_EQ(s(0x1234), htons(0x1234));
  CHECK_EQ(l(0x12345678), htonl(0x12345678));
  CHECK_EQ(ll(1), mg_htonll(1));
#ifndef __cplusplus
  {
    mgx_str (*str)(const char *) = &(mg_str);
    CHECK(text_equals(str("abc").buf, str("abc").len, "abc"));
    CHECK(str(NULL).buf == NULL && str(NULL).len == 0);
  }
#endif
}

static char logged[2000];
static size_t logged_len;

static void log_fn(char ch, void *param) {
  if (logged_len < sizeof(logged) - 1) logged[logged_len++] = ch;
  (void) param;
}

static void logging(void) {
  int before = mg_log_level;
  mg_log_set_fn(log_fn, NULL);
  mg_log_level = MG_LL_INFO;
  mgx_log(MG_LL_DEBUG, "not this");
  mgx_log(MG_LL_NONE, "nor this");
  mgx_log(MG_LL_INFO, NULL);
  CHECK_EQ(logged_len, 0);
  mgx_log(MG_LL_INFO, "100%s of 300 characters: 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
                      "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 "
                      "0123456789 0123456789 0123456789 0123456789 0123456789 0123456789 the end");
  CHECK(strstr(logged, " 2 ") != NULL && strstr(logged, "100%s of") != NULL);
  CHECK(logged_len > 10 && strcmp(logged + logged_len - 9, "the end\r\n") == 0);
  mg_log_set_fn(NULL, NULL);
  mg_log_level = before;
}

static void rpc(const char *frame, void (*answer)(struct mg_rpc_req *, const char *), const char *json, const char *want) {
  struct mg_iobuf io = {0, 0, 0, 64};
  struct mg_rpc_req r = {NULL, NULL, mg_pfn_iobuf, &io, NULL, mg_str("")};
  r.frame = mg_str(frame);
  answer(&r, json);
  CHECK(text_equals((char *) io.buf, io.len, want));
  mg_iobuf_free(&io);
}

static void process(struct mg_rpc_req *r, const char *json) {
  (void) json;
  mg_rpc_process(r);
}

static void rpcs(void) {
  const char *frame = "{\"id\":7,\"method\":\"x\"}";
  rpc(frame, mgx_rpc_ok, "{\"a\":\"100%d\"}", "{\"id\":7,\"result\":{\"a\":\"100%d\"}}");
  rpc(frame, mgx_rpc_ok, NULL, "{\"id\":7,\"result\":null}");
  rpc("{}", mgx_rpc_ok, "1", "");
  rpc(frame, mgx_rpc_err, "{\"code\":3,\"message\":\"%s\"}", "{\"id\":7,\"error\":{\"code\":3,\"message\":\"%s\"}}");
  rpc(frame, mgx_rpc_err, "\"bad\"", "{\"id\":7,\"error\":{\"code\":-32603,\"message\":\"bad\"}}");
  rpc("{}", mgx_rpc_err, NULL, "{\"error\":{\"code\":-32603,\"message\":null}}");
  // What is no request comes back.
  rpc("a\1b", process, NULL, "{\"error\":{\"code\":-32700,\"message\":\"a\1b\"}}");
  mgx_rpc_ok(NULL, "1");
  mgx_rpc_err(NULL, "1");
}

static struct mg_connection *ws_conn;
static char ws_seen[100];

static void ws_fn(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mgx_ws_upgrade(c, hm, c->fn_data == NULL ? NULL : "X-Percent: 100%s\r\n");
      ws_conn = c;
    } else if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
      mgx_http_begin(c, 200, "X-A: %d\r\n");
      mgx_http_chunk(c, "one%s", 5);
      mgx_http_chunk(c, NULL, 7);  // no effect
      mgx_http_chunk(c, "\0", 1);
      mgx_http_chunk(c, NULL, 0);
    } else {
      CHECK(mgx_send(c, "raw%s", 5));
      CHECK(mgx_send(c, NULL, 0));
      CHECK(!mgx_send(c, NULL, 1));
    }
  }
  if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mgx_ws_send(c, mgx_ws_flags(wm) & 15, mgx_ws_data(wm, NULL), wm->data.len);
  }
}

static void ws_client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WS_OPEN) mgx_ws_send(c, WEBSOCKET_OP_TEXT, "hello", 5);
  if (ev == MG_EV_WS_MSG) {
    size_t len, used = strlen(ws_seen);
    const char *text = mgx_ws_data((struct mg_ws_message *) ev_data, &len);
    mg_snprintf(ws_seen + used, sizeof(ws_seen) - used, "%.*s ", (int) len, text);
  }
}

static void answers(void) {
  static const char chunked[] =
      "HTTP/1.1 200 OK\r\nX-A: %d\r\nTransfer-Encoding: chunked\r\n\r\n5\r\none%s\r\n1\r\n\0\r\n0\r\n\r\n";
  struct peer p;
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, GET("/chunks")));
  POLL_UNTIL(mgr, peer_has(&p, sizeof(chunked) - 1));
  CHECK(peer_got_bytes(&p, chunked, sizeof(chunked) - 1));
  p.len = 0;
  peer_free(&p);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, GET("/raw")));
  POLL_UNTIL(mgr, peer_has(&p, 5));
  CHECK(peer_got(&p, "raw%s"));
  peer_free(&p);
  CHECK(!mgx_send(NULL, "x", 1));
  mgx_http_begin(NULL, 200, NULL);
  mgx_http_chunk(NULL, "x", 1);
  mgx_ws_upgrade(NULL, NULL, NULL);
  CHECK_EQ(mgx_ws_send(NULL, WEBSOCKET_OP_TEXT, "x", 1), 0);
  CHECK(mgx_ws_connect(NULL, "ws://127.0.0.1:1", NULL, NULL, NULL) == NULL);
  CHECK(mgx_ws_connect(mgr, NULL, NULL, NULL, NULL) == NULL);
}

static void *send_from_thread(void *arg) {
  unsigned long id = *(unsigned long *) arg;
  CHECK(mgx_send_ws_to(mgr, id, WEBSOCKET_OP_TEXT, "from a thread", 13));
  CHECK(mgx_send_ws_to(mgr, id, WEBSOCKET_OP_BINARY, NULL, 0));
  CHECK(mgx_send_ws_to(mgr, id, WEBSOCKET_OP_PING, "!", 1));
  CHECK(mgx_send_ws_to(mgr, id + 1000, WEBSOCKET_OP_TEXT, "nobody", 6));
  return NULL;
}

static void websockets(void) {
  char big[126] = {0};
  char url[60];
  unsigned long id;
  pthread_t thread;
  struct peer p, plain;
  struct mg_connection *client;
  ws_open(&p, mgr, listener);
  CHECK(ws_text(&p, "echo%s"));
  POLL_UNTIL(mgr, peer_has(&p, 8));
  CHECK(peer_got(&p, "\x81\x06" "echo%s"));
  p.len = 0;
  id = ws_conn->id;
  CHECK(pthread_create(&thread, NULL, send_from_thread, &id) == 0);
  POLL_UNTIL(mgr, peer_has(&p, 20));
  pthread_join(thread, NULL);
  CHECK(peer_got_bytes(&p, "\x81\x0d" "from a thread" "\x82\x00\x89\x01!", 20));
  p.len = 0;
  CHECK(!mgx_send_ws_to(NULL, id, WEBSOCKET_OP_TEXT, "x", 1));
  CHECK(!mgx_send_ws_to(mgr, id, WEBSOCKET_OP_TEXT, NULL, 1));
  CHECK(!mgx_send_ws_to(mgr, id, 3, "x", 1));
  CHECK(!mgx_send_ws_to(mgr, id, -1, "x", 1));
  CHECK(!mgx_send_ws_to(mgr, id, WEBSOCKET_OP_PING, big, sizeof(big)));
  CHECK_EQ(mgx_ws_send(ws_conn, WEBSOCKET_OP_CLOSE, big, sizeof(big)), 0);
  CHECK_EQ(mgx_ws_send(ws_conn, 11, "x", 1), 0);
  CHECK_EQ(mgx_ws_send(ws_conn, WEBSOCKET_OP_TEXT, NULL, 1), 0);

  // A frame for what is no WebSocket is dropped.
  forget();
  peer_open(&plain, listener);
  POLL_UNTIL(mgr, opened == 1);
  CHECK(mgx_send_ws_to(mgr, last->id, WEBSOCKET_OP_TEXT, "x", 1));
  CHECK(mgx_send_to(mgr, last->id, "y", 1));
  POLL_UNTIL(mgr, peer_has(&plain, 1));
  CHECK(peer_got(&plain, "y"));
  peer_free(&plain);
  peer_free(&p);

  // A client masks what another thread sends; what comes before the handshake is done follows it.
  listener->fn_data = (void *) "headers";
  mg_snprintf(url, sizeof(url), "ws://127.0.0.1:%d/ws", port_of(listener));
  client = mgx_ws_connect(mgr, url, ws_client, NULL, "X-Own: 100%s\r\n");
  CHECK(client != NULL);
  CHECK(mgx_send_ws_to(mgr, client->id, WEBSOCKET_OP_TEXT, "early", 5));
  POLL_UNTIL(mgr, strstr(ws_seen, "early ") != NULL && strstr(ws_seen, "hello ") != NULL);
  CHECK(mgx_send_ws_to(mgr, client->id, WEBSOCKET_OP_TEXT, "masked", 6));
  POLL_UNTIL(mgr, strstr(ws_seen, "masked ") != NULL);
  listener->fn_data = NULL;
  client->is_closing = 1;
}

static int own_signals;

static void own_handler(int signo) {
  own_signals += signo == SIGUSR1;
}

// Two managers on one signal, the options copied, and the application's own handler back at the end.
static void signals(void) {
  struct mg_mgr *one = mgx_mgr_new(), *two = mgx_mgr_new();
  char text[] = "going";
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  struct peer p;
  struct mg_connection *l = mg_http_listen(one, "http://127.0.0.1:0", ws_fn, NULL);
  int i;
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 5000;
  opts.conn.ws_close_code = 1012;
  opts.conn.ws_close_reason = text;
  signal(SIGUSR1, own_handler);
  CHECK(!mgx_mgr_drain_on_signal(NULL, SIGUSR1, NULL));
  CHECK(!mgx_mgr_drain_on_signal(one, SIGKILL, NULL));
  CHECK(!mgx_mgr_drain_on_signal(one, -1, NULL));
  CHECK(!mgx_mgr_drain_on_signal(one, 100000, NULL));
  CHECK(mgx_mgr_drain_on_signal(one, SIGUSR1, NULL));
  for (i = 0; i < 100; i++) CHECK(mgx_mgr_drain_on_signal(one, SIGUSR1, &opts));
  CHECK(mgx_mgr_drain_on_signal(two, SIGUSR1, NULL));
  memset(text, 'x', sizeof(text) - 1);
  ws_open(&p, one, l);
  raise(SIGUSR1);
  POLL_UNTIL(one, peer_has(&p, 9));
  CHECK(peer_got(&p, "\x88\x07\x03\xf4going"));
  CHECK(ws_send_frame(&p, 0x88, "\x03\xf4", 2));
  POLL_UNTIL(one, mgx_mgr_phase(one) == MGX_MGR_DONE);
  mgx_mgr_drain_status(one, &status);
  CHECK_EQ(status.forced, 0);
  peer_free(&p);
  mgx_mgr_delete(one);
  POLL_UNTIL(two, mgx_mgr_phase(two) == MGX_MGR_DONE);
  CHECK_EQ(own_signals, 0);
  raise(SIGUSR1);
  CHECK_EQ(own_signals, 0);
  mgx_mgr_delete(two);
  raise(SIGUSR1);
  CHECK_EQ(own_signals, 1);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  messages();
  connections();
  constants();
  symbols();
  logging();
  rpcs();
  mgr = mgx_mgr_new();
  listener = mg_http_listen(mgr, "http://127.0.0.1:0", ws_fn, NULL);
  answers();
  websockets();
  mgx_mgr_delete(mgr);
  signals();
  return DONE();
}
