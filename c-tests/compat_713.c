// An application of version 7.13: handlers with four arguments, mg_str.ptr, chunks, and functions that later versions removed.
#define MGX_COMPAT_7 713
#include "peer.h"

static int opens, closes, timers, chunks, messages, protocol_calls;
static char body[100];
static int mark;

static void on_timer(void *arg) { ++*(int *) arg; }

static void fn(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  CHECK(fn_data == &mark);
  CHECK(fn_data == c->fn_data);
  if (ev == MG_EV_OPEN) opens++;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_HTTP_CHUNK) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_http_match_uri(hm, "/take/#")) {
      size_t used = strlen(body);
      mg_snprintf(body + used, sizeof(body) - used, "%.*s|", (int) hm->chunk.len, hm->chunk.ptr);
      mg_http_delete_chunk(c, hm);
      if (hm->chunk.len == 0) mg_http_reply(c, 200, "", "taken %d\n", ++chunks);
    } else if (mg_http_match_uri(hm, "/own")) {
      // Taken by hand: nothing is left of the request.
      mg_iobuf_del(&c->recv, 0, hm->head.len + hm->chunk.len);
      mg_http_reply(c, 200, "", "own\n");
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str *type = mg_http_get_header(hm, "X-Type"), caps[2];
    messages++;
    if (mg_http_match_uri(hm, "/api/*") && mg_match(hm->uri, mg_str("/api/*"), caps)) {
      CHECK(mg_vcmp(&hm->method, "POST") == 0 && mg_vcmp(&hm->method, "GET") > 0 && mg_vcmp(&hm->method, "PUT") < 0);
      CHECK(mg_vcasecmp(&hm->method, "post") == 0 && mg_vcasecmp(&hm->method, "pos") != 0);
      CHECK(type != NULL && mg_vcmp(type, "odd") == 0);
      CHECK(strncmp(hm->uri.ptr, "/api/", 5) == 0 && hm->uri.ptr == hm->uri.buf);
      CHECK_EQ(c->rem.ip[0], 127);
      CHECK_EQ(c->rem.ip[3], 1);
      mg_http_reply(c, 200, "", "%.*s:%.*s\n", (int) caps[0].len, caps[0].ptr, (int) hm->body.len, hm->body.ptr);
    } else {
      // There is no chunk now.
      if (mg_http_match_uri(hm, "/late")) mg_http_delete_chunk(c, hm);
      mg_http_reply(c, 404, "", "no\n");
    }
  }
}

static void on_pipe(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_READ) {
    *(int *) fn_data += (int) c->recv.len;
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void protocol(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  CHECK(fn_data == &protocol_calls && fn_data == c->pfn_data);
  protocol_calls++;
  (void) ev, (void) ev_data;
}

static void exchange(struct mg_mgr *mgr, struct mg_connection *l, const char *request, const char *end) {
  struct peer p;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(mgr, (peer_read(&p), p.len > strlen(end) && memcmp(p.buf + p.len - strlen(end), end, strlen(end)) == 0));
  peer_free(&p);
}

static void strings(void) {
  struct mg_str s = {"some text", 9}, t = mg_strstrip(mg_str(" \t x y\r\n"));
  CHECK(mg_strstr(s, mg_str("text")) == s.ptr + 5);
  CHECK(mg_strstr(s, mg_str("some")) == s.ptr);
  CHECK(mg_strstr(s, mg_str("")) == s.ptr);
  CHECK(mg_strstr(s, mg_str("texts")) == NULL && mg_strstr(mg_str(""), mg_str("a")) == NULL);
  CHECK(mg_vcmp(&t, "x y") == 0);
  CHECK_EQ(sizeof(s), 2 * sizeof(void *));
  s.ptr = "literal";
  CHECK(s.buf[0] == 'l');
}

static void unescape(void) {
  char to[10];
  CHECK(mg_json_unescape(mg_str("a\\n\\\"b"), to, sizeof(to)) && strcmp(to, "a\n\"b") == 0);
  CHECK(mg_json_unescape(mg_str(""), to, sizeof(to)) && to[0] == '\0');
  CHECK(!mg_json_unescape(mg_str("much too long"), to, sizeof(to)));
  CHECK(!mg_json_unescape(mg_str("\\q"), to, sizeof(to)));
  CHECK_EQ(mg_json_unescape(mg_str("{\"a\":\"x\"}"), "$.a", to, sizeof(to)), 1);
}

// The packets of a client: topics with a fixed header of two and of three bytes.
static void mqtt_topics(void) {
  static uint8_t big[300];
  const uint8_t sub[] = {0x82, 10, 0, 7, 0, 1, 'a', 1, 0, 1, 'b', 2}, unsub[] = {0xa2, 5, 0, 7, 0, 1, 'c'};
  struct mg_mqtt_message m;
  struct mg_str topic;
  uint8_t qos = 9;
  size_t pos = 4;
  CHECK_EQ(mg_mqtt_parse(sub, sizeof(sub), 4, &m), MQTT_OK);
  CHECK((pos = mg_mqtt_next_sub(&m, &topic, &qos, pos)) > 0 && mg_vcmp(&topic, "a") == 0 && qos == 1);
  CHECK((pos = mg_mqtt_next_sub(&m, &topic, &qos, pos)) > 0 && mg_vcmp(&topic, "b") == 0 && qos == 2);
  CHECK_EQ(mg_mqtt_next_sub(&m, &topic, &qos, pos), 0);
  CHECK_EQ(mg_mqtt_parse(unsub, sizeof(unsub), 4, &m), MQTT_OK);
  CHECK((pos = mg_mqtt_next_unsub(&m, &topic, 4)) > 0 && mg_vcmp(&topic, "c") == 0);
  CHECK_EQ(mg_mqtt_next_unsub(&m, &topic, pos), 0);
  big[0] = 0x82, big[1] = 0x80 | (297 & 127), big[2] = 297 >> 7, big[4] = 1, big[5] = 292 >> 8, big[6] = 292 & 255, big[299] = 1;
  memset(big + 7, 't', 292);
  CHECK_EQ(mg_mqtt_parse(big, sizeof(big), 4, &m), MQTT_OK);
  CHECK((pos = mg_mqtt_next_sub(&m, &topic, &qos, 4)) == 300 && topic.len == 292 && qos == 1);
  big[6]++;  // longer than the packet
  CHECK_EQ(mg_mqtt_next_sub(&m, &topic, &qos, 4), 0);
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  int fd, piped = 0;
  mg_log_set(MG_LL_NONE);
  strings();
  unescape();
  mqtt_topics();
  l = serve(&mgr, fn, &mark);
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, on_timer, &timers);
  exchange(&mgr, l, "POST /api/x HTTP/1.1\r\nX-Type: odd\r\nContent-Length: 2\r\n\r\nhi", "x:hi\n");
  exchange(&mgr, l, "GET / HTTP/1.1\r\n\r\n", "no\n");
  CHECK_EQ(messages, 2);
  exchange(&mgr, l, "POST /take/it HTTP/1.1\r\nContent-Length: 4\r\n\r\nfour", "taken 1\n");
  exchange(&mgr, l, "POST /take/it HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "taken 2\n");
  exchange(&mgr, l, "POST /take/it HTTP/1.1\r\nContent-Length: 1\r\n\r\n1", "taken 3\n");
  CHECK(strcmp(body, "four||abc||1||") == 0);
  exchange(&mgr, l, "POST /own HTTP/1.1\r\nContent-Length: 4\r\n\r\nfour", "own\n");
  CHECK_EQ(messages, 2);
  exchange(&mgr, l,
           "POST /late HTTP/1.1\r\nContent-Length: 1\r\n\r\n1"
           "POST /api/x HTTP/1.1\r\nX-Type: odd\r\nContent-Length: 2\r\n\r\nhi", "x:hi\n");
  CHECK_EQ(messages, 4);
  POLL_UNTIL(&mgr, timers > 1);

  fd = mg_mkpipe(&mgr, on_pipe, &piped, true);
  CHECK(fd >= 0 && send(fd, "abc", 3, 0) == 3);
  POLL_UNTIL(&mgr, piped == 3);
  close(fd);

  c = mg_connect_svc(&mgr, url_of(l, "tcp"), fn, &mark, protocol, &protocol_calls);
  POLL_UNTIL(&mgr, protocol_calls > 3);
  CHECK(c != NULL && opens > 1);
  mg_mgr_free(&mgr);
  CHECK(closes > 1);
  return DONE();
}
