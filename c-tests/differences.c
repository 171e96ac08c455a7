// The differences of docs/differences.md that an application can observe within one process.
#include "peer.h"

// ---- parsing and formatting

static void addresses(void) {
  const char *malformed[] = {"[::1", "::1]", "%3", "1:2:3:4:5:6:7:", "1:2:3:4:5:6:7:8::"};
  struct mg_addr a;
  size_t i;
  for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) CHECK(!mg_aton(mg_str(malformed[i]), &a));
  memset(&a, 0, sizeof(a));
  CHECK(mg_aton(mg_str("fe80::1%2"), &a) && a.addr.ip[0] == 0xfe && a.addr.ip[15] == 1);
  CHECK_EQ(a.scope_id, 2);
  CHECK_EQ(mg_url_port("http://host:70000"), 0);
  CHECK_EQ(mg_url_port("http://host:-1"), 0);
}

static int allowed(const char *list, const char *ip) {
  struct mg_addr a;
  memset(&a, 0, sizeof(a));
  CHECK(mg_aton(mg_str(ip), &a));
  return mg_check_ip_acl(mg_str(list), &a);
}

static void access_lists(void) {
  const char *malformed[] = {"+1.2.3.4xyz", "+1.2.3.4.5", "+1.2.3.4/", "+1.2.3.4/8abc", "++1.2.3.4"};
  size_t i;
  for (i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) CHECK_EQ(allowed(malformed[i], "1.2.3.4"), -2);
  CHECK_EQ(allowed("+0.0.0.0/0,-10.1.2.3/8", "10.9.9.9"), 0);
  CHECK_EQ(allowed("+0.0.0.0/0,-10.1.2.3/8", "11.1.2.3"), 1);
  CHECK_EQ(allowed("+10.1.2.3/8", "10.1.2.3"), 0);
}

// IPv4 addresses mapped into IPv6 are IPv4 addresses.
static void access_lists_for_both(void) {
  const char *lists[] = {"", "-10.1.2.3", "-0.0.0.0/0,+10.0.0.0/8", "+0.0.0.0/0,-10.1.2.0/24", "-0.0.0.0/0", "+10.1.2.3", "10.1.2.3", "+10.1.2.3/33"};
  size_t i;
  for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
    CHECK_EQ(allowed(lists[i], "::ffff:10.1.2.3"), allowed(lists[i], "10.1.2.3"));
    CHECK_EQ(allowed(lists[i], "::FFFF:a01:203"), allowed(lists[i], "10.1.2.3"));
    CHECK_EQ(allowed(lists[i], "::1"), -1);
    CHECK_EQ(allowed(lists[i], "::fffe:a01:203"), -1);
  }
}

static void json_web_tokens(void) {
  struct mg_jwt_opts opts;
  char jwt[200], other[200], claims[100];
  size_t n;
  memset(&opts, 0, sizeof(opts));
  opts.secret = mg_str("key");
  opts.claims = mg_str("{}");
  n = mg_jwt_sign_hs256(&opts, jwt, sizeof(jwt));
  CHECK_EQ(mg_jwt_verify_hs256(mg_str(jwt), &opts, claims, sizeof(claims)), 2);
  mg_snprintf(other, sizeof(other), "%s=", jwt);
  CHECK_EQ(mg_jwt_verify_hs256(mg_str(other), &opts, claims, sizeof(claims)), 0);
  jwt[n - 1]++;  // the same bytes: of the last character only the upper bits count
  CHECK_EQ(mg_jwt_verify_hs256(mg_str(jwt), &opts, claims, sizeof(claims)), 0);
  opts.header = mg_str("\"crit\":[\"x\"]");
  mg_jwt_sign_hs256(&opts, jwt, sizeof(jwt));
  CHECK_EQ(mg_jwt_verify_hs256(mg_str(jwt), &opts, claims, sizeof(claims)), 0);
}

static void buffers(void) {
  struct mg_iobuf io = {NULL, 0, 0, 16};
  CHECK_EQ(mg_iobuf_add(&io, 40, "abc", 3), 3);
  CHECK_EQ(io.len, 43);
  CHECK_EQ(io.size, 48);
  mg_iobuf_free(&io);
}

static void patterns(void) {
  struct mg_str caps[3];
  CHECK(mg_match(mg_str("abxabxabx"), mg_str("a*b?"), caps));
  CHECK(mg_strcmp(caps[0], mg_str("bxabxa")) == 0 && mg_strcmp(caps[1], mg_str("x")) == 0 && caps[2].buf == NULL);
  CHECK(!mg_match(mg_str("/a/"), mg_str("*/"), NULL));
  CHECK(mg_match(mg_str("//"), mg_str("#/*"), NULL));
  caps[1] = mg_str("not touched");
  CHECK(mg_match(mg_str("abc"), mg_str("a*"), caps) && caps[1].buf != NULL);
}

static bool prints(const char *want, const char *fmt, ...) {
  char buf[100];
  va_list ap;
  va_start(ap, fmt);
  mg_vsnprintf(buf, sizeof(buf), fmt, &ap);
  va_end(ap);
  if (strcmp(buf, want) != 0) fprintf(stderr, "%s gives %s\n", fmt, buf);
  return strcmp(buf, want) == 0;
}

static void formatting(void) {
  CHECK(prints("100%", "100%"));
  CHECK(prints("", "%.3s", (char *) NULL));
  CHECK(prints("2", "%.0f", 1.5));
  CHECK(prints("1e+02", "%.1g", 123.0));
  CHECK(prints("1e+100", "%g", 1e100));
  CHECK(prints("0.01 0.1 0.0", "%.2f %.1f %.1f", 0.0096, 0.087, 0.0));
  CHECK(prints("100000000000000007629769841091887003294964970946560", "%.0f", 1e50));
  CHECK(prints("1e-05 0.00832053", "%g %g", 1e-5, 0.008320533));
  CHECK(prints("-0012 7 seven", "%05i %i %s", -12, 7, "seven"));
  // As it always was:
  CHECK(prints("00-12", "%05d", -12));
  CHECK(prints("     ab", "%10.5s", "ab"));
  CHECK(prints("\"\x01\\n\"", "%m", MG_ESC("\x01\n")));
}

static void codecs(void) {
  const uint8_t want[] = {0x93, 0x24, 0x4b, 0x03, 0x11, 0x18, 0xb8, 0x06};
  uint8_t key[64], mac[32];
  char buf[50];
  CHECK_EQ(mg_base64_decode("AA==AAAA", 8, buf, sizeof(buf)), 0);
  CHECK_EQ(mg_base64_decode("AA=A", 4, buf, sizeof(buf)), 0);
  memset(key, 'k', sizeof(key));
  mg_hmac_sha256(mac, key, sizeof(key), (uint8_t *) buf, 0);
  memcpy(buf, "data", 4);
  mg_hmac_sha256(mac, key, sizeof(key), (uint8_t *) buf, 4);
  CHECK(memcmp(mac, want, sizeof(want)) == 0);
}

static void json(void) {
  struct mg_str j = mg_str("{\"a\":\"x\\/y\",\"big\":99999999999999999999,\"c\":\"\\u0416\"}");
  char *s = mg_json_get_str(j, "$.a");
  CHECK(s != NULL && strcmp(s, "x/y") == 0);
  mg_free(s);
  CHECK(mg_json_get_long(j, "$.big", 0) == LONG_MAX);
  CHECK_EQ(mg_json_get(j, "$.", NULL), MG_JSON_NOT_FOUND);
  s = mg_json_get_str(j, "$.c");
  CHECK(s != NULL && strcmp(s, "\xd0\x96") == 0);
  mg_free(s);
}

static void messages(void) {
  struct mg_http_message hm;
  struct mg_http_part part;
  char head[1000] = "GET / HTTP/1.1\r\n";
  size_t n;
  int i;
  CHECK_EQ(mg_http_parse("GET / HT\rTP/1.1\r\n\r\n", 19, &hm), -1);
  for (i = 0; i < MG_MAX_HTTP_HEADERS; i++) snprintf(head + strlen(head), 20, "H%d: v\r\n", i);
  n = strlen(head);
  snprintf(head + n, sizeof(head) - n, "X: y\r\n\r\n");
  CHECK(mg_http_parse(head, strlen(head), &hm) > 0);
  snprintf(head + n, sizeof(head) - n, "Content-Length: 5\r\n\r\n");
  CHECK_EQ(mg_http_parse(head, strlen(head), &hm), -1);
  CHECK(mg_strcmp(mg_http_get_header_var(mg_str("xa=1; a=2"), mg_str("a")), mg_str("2")) == 0);
  CHECK(mg_http_next_multipart(mg_str("--B\r\nContent-Disposition: form-data; filename=\"f\"; name=\"n\"\r\n\r\nx\r\n--B--\r\n"), 0, &part) > 0);
  CHECK(mg_strcmp(part.name, mg_str("n")) == 0 && mg_strcmp(part.filename, mg_str("f")) == 0);
}

// ---- the HTTP engine

struct seen {
  int hdrs, msgs, errors, closes;
  bool later;  // do not answer at once
  char body[100];
  struct mg_connection *waiting;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct seen *seen = (struct seen *) c->fn_data;
  if (!c->is_accepted) return;
  if (ev == MG_EV_HTTP_HDRS) seen->hdrs++;
  if (ev == MG_EV_ERROR) seen->errors++;
  if (ev == MG_EV_CLOSE) seen->closes++;
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    seen->msgs++;
    mg_snprintf(seen->body, sizeof(seen->body), "%.*s", (int) hm->body.len, hm->body.buf);
    if (seen->later) {
      seen->waiting = c;
    } else {
      mg_http_reply(c, 200, "", "ok");
    }
  }
}

static struct mg_mgr s_mgr;
static struct mg_connection *s_listener;
static struct seen s_seen;
static struct peer s_peer;

// Says `first`, and `second` when the server has seen that.
static void exchange(const char *first, const char *second) {
  memset(&s_seen, 0, sizeof(s_seen));
  peer_open(&s_peer, s_listener);
  peer_send_text(&s_peer, first);
  poll_often(&s_mgr);
  if (second != NULL) {
    peer_send_text(&s_peer, second);
    poll_often(&s_mgr);
  }
  peer_read(&s_peer);
}

static void disconnect(void) {
  close(s_peer.fd);
  free(s_peer.buf);
  POLL_UNTIL(&s_mgr, s_seen.closes == 1);
}

static int answers(const char *start) {
  int n = 0;
  size_t i, len = strlen(start);
  for (i = 0; i + len <= s_peer.len; i++) n += memcmp(s_peer.buf + i, start, len) == 0;
  return n;
}

#define OK "HTTP/1.1 200 OK\r\n"

static void requests(void) {
  // A request without a length has no body; the next one follows it.
  exchange("POST /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n", NULL);
  CHECK_EQ(s_seen.msgs, 2);
  CHECK_EQ(answers(OK), 2);
  disconnect();

  // What looks like a response is refused once.
  exchange("HTTP/1.1 200 OK\r\n\r\n", NULL);
  CHECK_EQ(answers("HTTP/1.1 411 Length Required\r\n"), 1);
  CHECK_EQ(s_peer.end, PEER_FIN);
  disconnect();

  // Transfer-Encoding in an HTTP/1.0 request, and a stray CR: no answer, no event, the end.
  exchange("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", NULL);
  CHECK_EQ(s_seen.msgs + s_seen.hdrs + s_seen.errors + (int) s_peer.len, 0);
  CHECK_EQ(s_peer.end, PEER_FIN);
  disconnect();
  exchange("GET / HT\rTP/1.1\r\n\r\n", NULL);
  CHECK_EQ(s_peer.end, PEER_FIN);
  disconnect();

  // MG_EV_HTTP_HDRS comes once, and a request that was cut short is not handled.
  exchange("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n", "12345");
  CHECK_EQ(s_seen.hdrs, 1);
  disconnect();
  CHECK_EQ(s_seen.hdrs, 1);
  CHECK_EQ(s_seen.msgs, 0);
}

static void chunks(void) {
  exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n005", "\r\nhello\r\n0\r\n\r\n");
  CHECK(s_seen.msgs == 1 && strcmp(s_seen.body, "hello") == 0);
  disconnect();
  exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n", NULL);
  CHECK(s_seen.msgs == 1 && strcmp(s_seen.body, "hello") == 0);
  disconnect();
  exchange("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n?\r\n\r\n", NULL);
  CHECK_EQ(s_seen.errors, 1);
  disconnect();
  CHECK_EQ(s_seen.errors, 1);
}

static void interim_answer(void) {
  exchange("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n", NULL);
  CHECK(peer_got(&s_peer, "HTTP/1.1 100 Continue\r\n\r\n"));
  peer_send_text(&s_peer, "hi");
  poll_often(&s_mgr);
  peer_read(&s_peer);
  CHECK(s_seen.msgs == 1 && answers(OK) == 1);
  disconnect();
}

static void closing(void) {
  exchange("GET / HTTP/1.0\r\n\r\n", NULL);
  CHECK(answers("\r\nConnection: close\r\n") == 1 && s_peer.end == PEER_FIN);
  disconnect();
  exchange("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET / HTTP/1.0\r\n\r\n");
  CHECK(answers(OK) == 2 && answers("\r\nConnection: close\r\n") == 1 && s_peer.end == PEER_FIN);
  disconnect();
  // Also in a list, and when the answer comes later.
  exchange("GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n", NULL);
  CHECK(answers("\r\nConnection: close\r\n") == 1 && s_peer.end == PEER_FIN);
  disconnect();
  memset(&s_seen, 0, sizeof(s_seen));
  s_seen.later = true;
  peer_open(&s_peer, s_listener);
  peer_send_text(&s_peer, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  POLL_UNTIL(&s_mgr, s_seen.waiting != NULL);
  poll_often(&s_mgr);
  CHECK(s_peer.end == PEER_OPEN && s_peer.len == 0);
  if (s_seen.waiting != NULL) mg_http_reply(s_seen.waiting, 200, "", "ok");
  poll_often(&s_mgr);
  peer_read(&s_peer);
  CHECK(answers("\r\nConnection: close\r\n") == 1 && s_peer.end == PEER_FIN);
  disconnect();
}

// A connection that has nothing to read or to send owns no buffers.
static void idle_connections(void) {
  struct mg_connection *c;
  exchange("GET / HTTP/1.1\r\n\r\n", NULL);
  for (c = s_mgr.conns; c != NULL && !c->is_accepted; c = c->next) {
  }
  CHECK(c != NULL && c->recv.size == 0 && c->send.size == 0);
  disconnect();
}

// ---- clients

static void respond(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    c->recv.len = 0;
    mg_printf(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  }
  (void) ev_data;
}

static void receive(struct mg_connection *c, int ev, void *ev_data) {
  char *statuses = (char *) c->fn_data;
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.1\r\n\r\n");
  if (ev == MG_EV_HTTP_MSG) snprintf(statuses + strlen(statuses), 10, "%d ", mg_http_status((struct mg_http_message *) ev_data));
}

static void responses(void) {
  char statuses[50] = "";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", respond, NULL);
  CHECK(listener != NULL);
  if (listener == NULL) return;
  mg_http_connect(&mgr, url_of(listener, "http"), receive, statuses);
  POLL_UNTIL(&mgr, strcmp(statuses, "304 200 ") == 0);
  mg_mgr_free(&mgr);
}

// ---- the event loop

static void note(struct mg_connection *c, int ev, void *ev_data) {
  int *closes = (int *) c->fn_data;
  if (ev == MG_EV_CLOSE) (*closes)++;
  (void) ev_data;
}

static void called(void *arg) {
  *(bool *) arg = true;
}

static void event_loop(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct mg_timer own;
  struct sockaddr_in to;
  bool rang = false;
  int closes = 0, fd;
  uint64_t start;
  size_t files = open_files();

  mg_mgr_init(&mgr);
  // A timer ends the wait.
  mg_timer_add(&mgr, 50, MG_TIMER_ONCE, called, &rang);
  start = real_ms();
  while (!rang && real_ms() < start + 10000) mg_mgr_poll(&mgr, 10000);
  CHECK(real_ms() < start + 5000);

  // An empty datagram closes nothing.
  c = mg_listen(&mgr, "udp://127.0.0.1:0", note, &closes);
  CHECK(c != NULL);
  if (c == NULL) return;
  memset(&to, 0, sizeof(to));
  to.sin_family = AF_INET;
  to.sin_port = c->loc.port;
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(sendto(fd, "", 0, 0, (struct sockaddr *) &to, sizeof(to)), 0);
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  close(fd);

  // mg_close_conn closes the socket, too, and delivers MG_EV_CLOSE once.
  mg_close_conn(c);
  CHECK_EQ(closes, 1);
  CHECK_EQ(mgr.conns == NULL, 1);

  // Timers of the application's own are not freed.
  mg_timer_init(&mgr.timers, &own, 1000, MG_TIMER_REPEAT, called, &rang);
  mg_mgr_free(&mgr);
  CHECK(mgr.timers == NULL);
  CHECK_EQ(open_files(), files);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  addresses();
  access_lists();
  access_lists_for_both();
  json_web_tokens();
  buffers();
  patterns();
  formatting();
  codecs();
  json();
  messages();
  s_listener = serve(&s_mgr, handler, &s_seen);
  CHECK(s_listener != NULL);
  if (s_listener == NULL) return DONE();
  requests();
  chunks();
  interim_answer();
  closing();
  idle_connections();
  mg_mgr_free(&s_mgr);
  responses();
  event_loop();
  return DONE();
}
