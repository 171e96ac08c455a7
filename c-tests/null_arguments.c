// NULL for a manager, a connection or a message, such as the result of a failed call, and invalid lengths: the call fails with a
// log line. The meaning of NULL for other arguments is documented with each function.
#include "mongoose.h"

#include "mongoose_ext.h"

#include "check.h"

static int lines;

static void count_lines(char ch, void *arg) {
  lines += ch == '\n';
  (void) arg;
}

// The call has failed, and one line says why.
#define REFUSED(...)                       \
  do {                                     \
    int refused_before = lines;            \
    CHECK(__VA_ARGS__);                    \
    CHECK_EQ(lines, refused_before + 1);   \
  } while (0)

#define NOTHING_BUT_A_LINE(call) REFUSED((call, true))

static void none(struct mg_connection *c, int ev, void *ev_data) {
  (void) c, (void) ev, (void) ev_data;
}

static void no_connection(void) {
  struct mg_connection *c = NULL;
  struct mg_http_message hm;
  struct mg_http_serve_opts serve_opts;
  struct mg_mqtt_opts mqtt;
  struct mg_tls_opts tls;
  char buf[20];
  memset(&serve_opts, 0, sizeof(serve_opts));
  memset(&mqtt, 0, sizeof(mqtt));
  memset(&tls, 0, sizeof(tls));
  CHECK(mg_http_parse("GET / HTTP/1.1\r\n\r\n", 18, &hm) == 18);
  REFUSED(!mg_send(c, "x", 1));
  REFUSED(mg_printf(c, "%d", 1) == 0);
  NOTHING_BUT_A_LINE(mg_error(c, "%d", 1));
  NOTHING_BUT_A_LINE(mg_call(c, MG_EV_USER, NULL));
  NOTHING_BUT_A_LINE(mg_connect_resolved(c));
  REFUSED(!mg_open_listener(c, "tcp://127.0.0.1:0"));
  REFUSED(!mg_dscp(c, 1));
  REFUSED(mg_io_send(c, "x", 1) == MG_IO_ERR);
  REFUSED(mg_io_recv(c, buf, sizeof(buf)) == MG_IO_ERR);
  NOTHING_BUT_A_LINE(mg_http_reply(c, 200, "", "%d", 1));
  NOTHING_BUT_A_LINE(mg_http_printf_chunk(c, "%d", 1));
  NOTHING_BUT_A_LINE(mg_http_write_chunk(c, "x", 1));
  NOTHING_BUT_A_LINE(mg_http_bauth(c, "a", "b"));
  NOTHING_BUT_A_LINE(mg_http_serve_dir(c, &hm, &serve_opts));
  NOTHING_BUT_A_LINE(mg_http_serve_file(c, &hm, "x", NULL));
  NOTHING_BUT_A_LINE(mg_http_serve_ssi(c, "x", "y"));
  REFUSED(mg_http_upload(c, &hm, &mg_fs_posix, "/", 1) < 0);
  NOTHING_BUT_A_LINE(mg_http_start_upload(c, &hm, mg_str("x"), mg_str("/"), &mg_fs_posix, NULL));
  NOTHING_BUT_A_LINE(mg_http_start_ota(c, &hm, NULL));
  NOTHING_BUT_A_LINE(mg_ws_upgrade(c, &hm, NULL));
  REFUSED(mg_ws_send(c, "x", 1, WEBSOCKET_OP_TEXT) == 0);
  REFUSED(mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%d", 1) == 0);
  REFUSED(mg_ws_wrap(c, 1, WEBSOCKET_OP_TEXT) == 0);
  NOTHING_BUT_A_LINE(mg_mqtt_login(c, &mqtt));
  REFUSED(mg_mqtt_pub(c, &mqtt) == 0);
  NOTHING_BUT_A_LINE(mg_mqtt_sub(c, &mqtt));
  NOTHING_BUT_A_LINE(mg_mqtt_unsub(c, &mqtt));
  NOTHING_BUT_A_LINE(mg_mqtt_ping(c));
  NOTHING_BUT_A_LINE(mg_mqtt_pong(c));
  NOTHING_BUT_A_LINE(mg_mqtt_disconnect(c, &mqtt));
  NOTHING_BUT_A_LINE(mg_mqtt_send_header(c, MQTT_CMD_PINGREQ, 0, 0));
  NOTHING_BUT_A_LINE(mg_sntp_request(c));
  NOTHING_BUT_A_LINE(mg_resolve(c, "http://a"));
  NOTHING_BUT_A_LINE(mg_resolve_cancel(c));
  REFUSED(!mg_mdns_query(c, "a.local", 1));
  NOTHING_BUT_A_LINE(mg_tls_init(c, &tls));
  NOTHING_BUT_A_LINE(mg_dash_ev_handler(c, MG_EV_POLL, NULL));
  mg_close_conn(c);
  mg_tls_free(c);
  mg_tls_handshake(c);
}

static void no_message(struct mg_connection *c) {
  char user[4] = "abc", pass[4] = "abc";
  struct mg_http_serve_opts opts;
  memset(&opts, 0, sizeof(opts));
  REFUSED(mg_http_get_header(NULL, "Host") == NULL);
  REFUSED(mg_http_status(NULL) == 0);
  NOTHING_BUT_A_LINE(mg_http_creds(NULL, user, sizeof(user), pass, sizeof(pass)));
  CHECK(user[0] == '\0' && pass[0] == '\0');
  NOTHING_BUT_A_LINE(mg_http_serve_dir(c, NULL, &opts));
  NOTHING_BUT_A_LINE(mg_http_serve_file(c, NULL, "x", NULL));
  NOTHING_BUT_A_LINE(mg_http_start_upload(c, NULL, mg_str("x"), mg_str("/"), NULL, NULL));
  NOTHING_BUT_A_LINE(mg_http_start_ota(c, NULL, NULL));
  REFUSED(mg_http_upload(c, NULL, NULL, "/", 1) < 0);
  NOTHING_BUT_A_LINE(mg_ws_upgrade(c, NULL, NULL));
  CHECK(c->send.len == 0);
}

static void a_connection_without_a_manager(void) {
  struct mg_connection c;
  memset(&c, 0, sizeof(c));
  CHECK(!mg_open_listener(&c, "tcp://127.0.0.1:0"));
}

static void no_manager(void) {
  mg_log_set(MG_LL_NONE);
  CHECK(mg_listen(NULL, "tcp://127.0.0.1:0", none, NULL) == NULL);
  CHECK(mg_http_listen(NULL, "http://127.0.0.1:0", none, NULL) == NULL);
  CHECK(mg_mqtt_listen(NULL, "mqtt://127.0.0.1:0", none, NULL) == NULL);
  CHECK(mg_modbus_listen(NULL, "tcp://127.0.0.1:0", none, NULL) == NULL);
  CHECK(mg_mdns_listen(NULL, none, NULL) == NULL);
  CHECK(mg_connect(NULL, "tcp://127.0.0.1:1", none, NULL) == NULL);
  CHECK(mg_http_connect(NULL, "http://127.0.0.1:1", none, NULL) == NULL);
  CHECK(mg_ws_connect(NULL, "ws://127.0.0.1:1", none, NULL, NULL) == NULL);
  CHECK(mg_mqtt_connect(NULL, "mqtt://127.0.0.1:1", NULL, none, NULL) == NULL);
  CHECK(mg_sntp_connect(NULL, NULL, none, NULL) == NULL);
  CHECK(mg_wrapfd(NULL, 0, none, NULL) == NULL);
  CHECK(mg_alloc_conn(NULL) == NULL);
  CHECK(mg_timer_add(NULL, 1, MG_TIMER_ONCE, NULL, NULL) == NULL);
  CHECK(!mg_wakeup_init(NULL));
  CHECK(!mg_wakeup(NULL, 1, "x", 1));
  mg_dash_send_change(NULL, NULL);
  mg_mgr_init(NULL);
  mg_mgr_poll(NULL, 0);
  mg_mgr_free(NULL);
  mg_log_set(MG_LL_ERROR);
}

// (size_t) -1 is what a failed call becomes, or "as much as it takes".
static void lengths(struct mg_connection *c) {
  char buf[100];
  const size_t all = (size_t) -1;
  CHECK(mg_json_unescape(mg_str("{\"a\":\"b\"}"), "$.a", buf, all) == 1 && strcmp(buf, "b") == 0);
  CHECK(mg_url_decode("a%20b", 5, buf, all, 0) == 3 && strcmp(buf, "a b") == 0);
  CHECK(mg_url_encode("a b", 3, buf, all) == 5 && strcmp(buf, "a%20b") == 0);
  CHECK(mg_base64_encode((unsigned char *) "a", 1, buf, all) == 4 && strcmp(buf, "YQ==") == 0);
  CHECK(mg_base64_decode("YQ==", 4, buf, all) == 1 && strcmp(buf, "a") == 0);
  CHECK(mg_snprintf(buf, all, "%d", 5) == 1 && strcmp(buf, "5") == 0);
  CHECK(mgx_conn_local(c, buf, all) > 0 && strncmp(buf, "127.0.0.1:", 10) == 0);
  CHECK(!mg_send(c, buf, all));
  CHECK(mg_ws_send(c, buf, all, WEBSOCKET_OP_BINARY) == 0);
  CHECK_EQ(c->send.len, 0);
  CHECK(!mgx_conn_flag(c, (enum mgx_flag) -1) && !mgx_conn_flag(c, (enum mgx_flag) 1000));
  CHECK(!mgx_conn_set_flag(c, (enum mgx_flag) -1, true));
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  mg_log_set_fn(count_lines, NULL);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", none, NULL);
  no_connection();
  no_message(c);
  a_connection_without_a_manager();
  no_manager();
  lengths(c);
  mg_mgr_free(&mgr);
  return DONE();
}
