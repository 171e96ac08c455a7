// An application whose mg_random fails: functions that need secrets fail with a message instead of continuing with zeros.
#include "peer.h"

static bool s_fails;
static char s_error[100];
static int s_errors, s_closes, s_opens, s_status;

bool mg_random(void *buf, size_t len) {
  static unsigned n;
  unsigned char *p = (unsigned char *) buf;
  size_t i;
  if (s_fails) return false;
  for (i = 0; i < len; i++) p[i] = (unsigned char) ((n = n * 1103515245u + 12345u) >> 16);
  return true;
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) s_errors++, mg_snprintf(s_error, sizeof(s_error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) s_closes++;
  if (ev == MG_EV_WS_OPEN || ev == MG_EV_CONNECT) s_opens++;
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    s_status = mg_http_status(hm);
    CHECK(mg_http_get_header(hm, "Set-Cookie") == NULL);
    c->is_closing = 1;
  }
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
}

static int authenticate(char *user, size_t len, const char *pass) {
  (void) len;
  return strcmp(user, "u") == 0 && strcmp(pass, "p") == 0 ? 7 : 0;
}

static void forget(void) {
  s_errors = s_closes = s_opens = s_status = 0;
  s_error[0] = '\0';
}

static void texts_and_keys(void) {
  char buf[20] = "abc", after = 'x';
  s_fails = true;
  CHECK(mg_random_str(buf, sizeof(buf)) == NULL && buf[0] == '\0');
  CHECK(mg_random_str(&after, 0) == &after && after == 'x');
  s_fails = false;
  CHECK(mg_random_str(buf, sizeof(buf)) == buf && strlen(buf) == sizeof(buf) - 1);
}

static void websockets(struct mg_mgr *mgr) {
  struct mg_connection *l = mg_http_listen(mgr, "http://127.0.0.1:0", echo, NULL), *c;
  forget();
  s_fails = true;
  CHECK(mg_ws_connect(mgr, url_of(l, "ws"), client, NULL, NULL) == NULL);
  poll_often(mgr);
  CHECK(s_errors + s_closes + s_opens == 0);
  s_fails = false;
  c = mg_ws_connect(mgr, url_of(l, "ws"), client, NULL, NULL);
  POLL_UNTIL(mgr, c->is_websocket);
  CHECK(mg_ws_send(c, "abc", 3, WEBSOCKET_OP_TEXT) > 0);
  POLL_UNTIL(mgr, c->send.len == 0);
  s_fails = true;
  CHECK_EQ(mg_ws_send(c, "abc", 3, WEBSOCKET_OP_TEXT), 0);
  CHECK_EQ(mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%d", 1), 1);
  CHECK_EQ(c->send.len, 0);
  POLL_UNTIL(mgr, s_closes == 1);
  s_fails = false;
}

static void lookups(struct mg_mgr *mgr) {
  forget();
  mgr->dns4.url = "udp://127.0.0.1:9";
  s_fails = true;
  mg_connect(mgr, "tcp://random.fails.example:1", client, NULL);
  POLL_UNTIL(mgr, s_closes == 1);
  CHECK(s_errors == 1 && strcmp(s_error, "DNS error") == 0);
  s_fails = false;
}

static void brokers(struct mg_mgr *mgr) {
  struct mg_connection *l = mg_mqtt_listen(mgr, "mqtt://127.0.0.1:0", NULL, NULL);
  struct mg_mqtt_opts opts;
  struct mg_connection *c;
  forget();
  memset(&opts, 0, sizeof(opts));
  s_fails = true;
  mg_mqtt_connect(mgr, url_of(l, "mqtt"), &opts, client, NULL);
  POLL_UNTIL(mgr, s_closes == 1);
  CHECK(s_errors == 1 && strcmp(s_error, "no random numbers") == 0);
  // An id of one's own needs none.
  forget();
  opts.client_id = mg_str("me");
  c = mg_mqtt_connect(mgr, url_of(l, "mqtt"), &opts, client, NULL);
  POLL_UNTIL(mgr, s_opens == 1);
  CHECK_EQ(s_errors, 0);
  c->is_closing = 1;
  POLL_UNTIL(mgr, s_closes == 1);
  s_fails = false;
}

static void tls_client(struct mg_connection *c, int ev, void *ev_data) {
  client(c, ev, ev_data);
  if (ev == MG_EV_CONNECT) {
    struct mg_tls_opts opts;
    memset(&opts, 0, sizeof(opts));
    mg_tls_init(c, &opts);
  }
}

static void handshakes(struct mg_mgr *mgr) {
  struct mg_connection *l = mg_listen(mgr, "tcp://127.0.0.1:0", NULL, NULL);
  forget();
  s_fails = true;
  mg_connect(mgr, url_of(l, "tcp"), tls_client, NULL);
  POLL_UNTIL(mgr, s_closes == 1);
  CHECK_EQ(s_errors, 1);
  s_fails = false;
}

static int login(struct mg_mgr *mgr, const struct mg_connection *l) {
  struct mg_connection *c = mg_http_connect(mgr, url_of(l, "http"), client, NULL);
  forget();
  // u:p
  mg_printf(c, "GET /api/login HTTP/1.1\r\nAuthorization: Basic dTpw\r\n\r\n");
  POLL_UNTIL(mgr, s_closes == 1);
  return s_status;
}

static void sessions(struct mg_mgr *mgr) {
  static struct mg_dash dash;
  struct mg_connection *l = mg_http_listen(mgr, "http://127.0.0.1:0", mg_dash_ev_handler, &dash);
  dash.authenticate = authenticate;
  s_fails = true;
  CHECK_EQ(login(mgr, l), 403);
  s_fails = false;
}

// Names of files are no secrets.
static void files(void) {
  char dir[] = "/tmp/random-XXXXXX", path[50];
  struct mg_str text;
  int i;
  CHECK(mkdtemp(dir) != NULL);
  mg_snprintf(path, sizeof(path), "%s/f", dir);
  s_fails = true;
  for (i = 0; i < 3; i++) CHECK(mg_file_write(&mg_fs_posix, path, "abc", 3));
  s_fails = false;
  text = mg_file_read(&mg_fs_posix, path);
  CHECK(text.len == 3 && memcmp(text.buf, "abc", 3) == 0);
  mg_free(text.buf);
  remove(path);
  CHECK(remove(dir) == 0);
}

int main(void) {
  struct mg_mgr mgr;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  texts_and_keys();
  websockets(&mgr);
  lookups(&mgr);
  brokers(&mgr);
  handshakes(&mgr);
  sessions(&mgr);
  files();
  mg_mgr_free(&mgr);
  return DONE();
}
