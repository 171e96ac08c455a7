// Accessors for languages without bit fields and variadic functions, sizes of structs, and NULL for every pointer.
#include "ext.h"

static struct mg_mgr *mgr;
static struct mg_connection *listener;

#define SIZE(name) CHECK_EQ(mgx_sizeof(#name), sizeof(struct name))
#define TYPE(name) CHECK_EQ(mgx_sizeof(#name), sizeof(name))

static void sizes(void) {
  SIZE(mg_str); SIZE(mg_queue); SIZE(mg_timer); SIZE(mg_fs); SIZE(mg_fd); SIZE(mg_mem_file); SIZE(mg_iobuf); SIZE(mg_dns);
  SIZE(mg_addr); SIZE(mg_mgr); SIZE(mg_connection); SIZE(mg_http_header); SIZE(mg_http_message); SIZE(mg_http_serve_opts);
  SIZE(mg_http_part); SIZE(mg_tls_opts); SIZE(mg_ws_message); SIZE(mg_mqtt_prop); SIZE(mg_mqtt_opts); SIZE(mg_mqtt_message);
  SIZE(mg_dns_message); SIZE(mg_dns_header); SIZE(mg_dns_rr); SIZE(mg_dnssd_record); SIZE(mg_mdns_req); SIZE(mg_mdns_resp);
  SIZE(mg_modbus_req); SIZE(mg_jwt_opts); SIZE(mg_rpc_req); SIZE(mg_rpc); SIZE(mg_field); SIZE(mg_dash_user);
  SIZE(mg_field_set); SIZE(mg_dash_custom_handler); SIZE(mg_dash); SIZE(mg_wifi_data); SIZE(mg_wifi_scan_bss_data);
  SIZE(mgx_options); SIZE(mgx_drain_opts); SIZE(mgx_mgr_drain_opts); SIZE(mgx_drain_status); SIZE(mgx_limits); SIZE(mgx_stats);
  TYPE(mg_md5_ctx); TYPE(mg_sha1_ctx); TYPE(mg_sha256_ctx); TYPE(mg_sha384_ctx);
  CHECK_EQ(mgx_sizeof("mg_pipe"), sizeof(union mg_pipe));
  CHECK_EQ(mgx_sizeof("mg_nothing"), 0);
  CHECK_EQ(mgx_sizeof("mg_st"), 0);
  CHECK_EQ(mgx_sizeof(""), 0);
}

// Each flag reads and writes its own bit field and no other.
#define FLAG(flag, field, settable)                              \
  do {                                                           \
    struct mg_connection c;                                      \
    int other;                                                   \
    memset(&c, 0, sizeof(c));                                    \
    c.dscp = 21;                                                 \
    CHECK(!mgx_conn_flag(&c, flag));                             \
    c.field = 1;                                                 \
    CHECK(mgx_conn_flag(&c, flag));                              \
    for (other = 0; other <= (int) MGX_IS_WRITABLE; other++) {   \
      CHECK_EQ(mgx_conn_flag(&c, (enum mgx_flag) other), other == (int) (flag)); \
    }                                                            \
    CHECK_EQ(mgx_conn_set_flag(&c, flag, false), settable);      \
    CHECK_EQ(c.field, !(settable));                              \
    CHECK_EQ(mgx_conn_set_flag(&c, flag, true), settable);       \
    CHECK_EQ(c.field, 1);                                        \
    CHECK_EQ(c.dscp, 21);                                        \
  } while (0)

static void flags(void) {
  struct mg_connection c;
  FLAG(MGX_IS_LISTENING, is_listening, 0);
  FLAG(MGX_IS_CLIENT, is_client, 0);
  FLAG(MGX_IS_ACCEPTED, is_accepted, 0);
  FLAG(MGX_IS_RESOLVING, is_resolving, 0);
  FLAG(MGX_IS_ARPLOOKING, is_arplooking, 0);
  FLAG(MGX_IS_CONNECTING, is_connecting, 0);
  FLAG(MGX_IS_TLS, is_tls, 0);
  FLAG(MGX_IS_TLS_HS, is_tls_hs, 0);
  FLAG(MGX_IS_UDP, is_udp, 0);
  FLAG(MGX_IS_WEBSOCKET, is_websocket, 0);
  FLAG(MGX_IS_MQTT5, is_mqtt5, 0);
  FLAG(MGX_IS_HEXDUMPING, is_hexdumping, 1);
  FLAG(MGX_IS_DRAINING, is_draining, 1);
  FLAG(MGX_IS_CLOSING, is_closing, 1);
  FLAG(MGX_IS_FULL, is_full, 1);
  FLAG(MGX_IS_TLS_THROTTLED, is_tls_throttled, 0);
  FLAG(MGX_IS_RESP, is_resp, 1);
  FLAG(MGX_IS_READABLE, is_readable, 0);
  FLAG(MGX_IS_WRITABLE, is_writable, 0);
  memset(&c, 0xff, sizeof(c));
  CHECK(!mgx_conn_flag(&c, (enum mgx_flag) 19));
  CHECK(!mgx_conn_flag(&c, (enum mgx_flag) 1000));
  CHECK(!mgx_conn_set_flag(&c, (enum mgx_flag) 1000, false));
}

static void addresses(void) {
  struct mg_connection c;
  char buf[64];
  memset(&c, 0, sizeof(c));
  c.rem.addr.ip[0] = 1, c.rem.addr.ip[1] = 2, c.rem.addr.ip[2] = 3, c.rem.addr.ip[3] = 4;
  c.rem.port = mg_htons(80);
  CHECK_EQ(mgx_conn_remote(&c, buf, sizeof(buf)), 10);
  CHECK(strcmp(buf, "1.2.3.4:80") == 0);
  memset(buf, 'x', sizeof(buf));
  CHECK_EQ(mgx_conn_remote(&c, buf, 5), 10);
  CHECK(memcmp(buf, "1.2.\0x", 6) == 0);
  CHECK_EQ(mgx_conn_remote(&c, buf, 1), 10);
  CHECK(buf[0] == '\0' && buf[1] == '.');
  CHECK_EQ(mgx_conn_remote(&c, buf, 0), 10);
  CHECK_EQ(mgx_conn_remote(&c, NULL, 5), 10);
  c.loc.is_ip6 = true;
  c.loc.addr.ip[15] = 1;
  c.loc.port = mg_htons(65535);
  CHECK_EQ(mgx_conn_local(&c, buf, sizeof(buf)), 11);
  CHECK(strcmp(buf, "[::1]:65535") == 0);
  c.loc.addr.ip[0] = 0xfe, c.loc.addr.ip[1] = 0x80;
  c.loc.scope_id = 3;
  mgx_conn_local(&c, buf, sizeof(buf));
  CHECK(strcmp(buf, "[fe80::1%3]:65535") == 0);
}

// A server that uses nothing else.
static void plain(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    CHECK(mgx_conn_user_data(c) == &mgr);
    mgx_conn_set_user_data(c, &listener);
    CHECK(mgx_conn_user_data(c) == &listener && c->fn_data == &listener);
    CHECK(mgx_conn_flag(c, MGX_IS_ACCEPTED));
    CHECK_EQ(mgx_conn_send_queue(c), 0);
    mgx_http_reply(c, 201, "A: b\r\n", "a\0%s", 4);
    CHECK_EQ(mgx_conn_send_queue(c), c->send.len);
    CHECK(!mgx_conn_flag(c, MGX_IS_RESP));
  }
  (void) ev_data;
}

static void a_server(void) {
  static const char want[] = "HTTP/1.1 201 Created\r\nA: b\r\nContent-Length: 4          \r\n\r\na\0%s";
  struct peer p;
  char mine[64], yours[64];
  forget();
  mgr = mgx_mgr_new();
  CHECK(mgr != NULL);
  listener = mg_http_listen(mgr, "http://127.0.0.1:0", plain, &mgr);
  join(mgr, listener, &p);
  CHECK_EQ(mgx_conn_id(last), last->id);
  mgx_conn_local(last, mine, sizeof(mine));
  mg_snprintf(yours, sizeof(yours), "127.0.0.1:%d", port_of(listener));
  CHECK(strcmp(mine, yours) == 0);
  CHECK(peer_send_text(&p, GET("/")));
  POLL_UNTIL(mgr, peer_has(&p, sizeof(want) - 1));
  CHECK(peer_got_bytes(&p, want, sizeof(want) - 1));
  p.len = 0;
  CHECK_EQ(mgx_write(last, "text"), 4);
  expect_open(mgr, &p, "text");
  mgx_error(last, "%s %n: no format, and longer than fits into the message that MG_EV_ERROR carries");
  expect_end(mgr, &p, "");
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_ERROR);
  peer_free(&p);
  mgx_mgr_delete(mgr);
}

static void versions_and_logging(void) {
  CHECK(strcmp(mgx_api_version(), MG_VERSION) == 0);
  CHECK(strlen(mgx_version()) >= 5);
  mgx_log_set(MG_LL_VERBOSE);
  CHECK_EQ(mgx_log_get(), MG_LL_VERBOSE);
  CHECK_EQ(mg_log_level, MG_LL_VERBOSE);
  mgx_log_set(MG_LL_NONE);
  CHECK_EQ(mgx_log_get(), MG_LL_NONE);
}

// NULL for every pointer, a zero-filled manager, and a connection that is in no manager.
static void null_arguments(struct mg_mgr *m, struct mg_connection *c) {
  struct mgx_drain_opts drain;
  struct mgx_mgr_drain_opts mgr_drain;
  struct mgx_options options;
  struct mgx_limits limits;
  struct mgx_drain_status status;
  struct mgx_stats stats;
  char buf[50];
  memset(&drain, 0, sizeof(drain));
  memset(&mgr_drain, 0, sizeof(mgr_drain));
  memset(&options, 0, sizeof(options));
  memset(&limits, 0, sizeof(limits));
  memset(&status, 7, sizeof(status));
  memset(&stats, 7, sizeof(stats));

  mgx_mgr_options(m, &options);
  mgx_mgr_options(m, NULL);
  mgx_mgr_limits(m, &limits);
  mgx_mgr_limits(m, NULL);
  mgx_mgr_stats(m, &stats);
  mgx_mgr_stats(m, NULL);
  mgx_mgr_compat(m, true);
  CHECK(!mgx_mgr_drain_init(m));
  CHECK(!mgx_mgr_drain(m, &mgr_drain));
  CHECK(!mgx_mgr_drain(m, NULL));
  CHECK(!mgx_mgr_drain_cancel(m));
  CHECK_EQ(mgx_mgr_phase(m), MGX_MGR_DONE);
  CHECK(!mgx_mgr_is_ready(m));
  CHECK(!mgx_mgr_drain_wait(m));
  mgx_mgr_drain_status(m, &status);
  mgx_mgr_drain_status(m, NULL);
  CHECK(!mgx_listen_reuseport(m, true));
  CHECK(mgx_listen_fd(m, 0, "http://", server, NULL) == NULL);
  CHECK(mgx_listen_fd(m, 0, NULL, NULL, NULL) == NULL);
  CHECK(!mgx_wakeup_mgr(m));
  CHECK(!mgx_send_to(m, 1, "x", 1));
  CHECK(!mgx_send_to(m, 1, NULL, 1));

  if (c == NULL) {
    CHECK(!mgx_conn_drain(c, &drain));
    CHECK(!mgx_conn_drain(c, NULL));
    CHECK_EQ(mgx_conn_phase(c), MGX_CLOSED);
    CHECK_EQ(mgx_conn_remote(c, buf, sizeof(buf)), 0);
    CHECK_EQ(mgx_conn_local(c, buf, sizeof(buf)), 0);
    CHECK_EQ(mgx_write(c, "x"), 0);
    CHECK(!mgx_conn_set_flag(c, MGX_IS_FULL, true));
  } else {
    mgx_conn_drain(c, &drain);
    mgx_conn_drain(c, NULL);
    CHECK_EQ(mgx_conn_phase(c), MGX_ACTIVE);
    c->is_draining = 1;
    CHECK_EQ(mgx_conn_phase(c), MGX_DRAINING);
    mgx_conn_remote(c, NULL, 0);
    mgx_conn_local(c, NULL, 0);
    CHECK_EQ(mgx_write(c, "x"), 1);
    CHECK_EQ(mgx_conn_phase(c), MGX_FLUSHING);
    c->is_draining = 0;
    CHECK(mgx_conn_set_flag(c, MGX_IS_FULL, false));
  }
  CHECK_EQ(mgx_write(c, NULL), 0);
  mgx_conn_close(c);
  mgx_conn_abort(c);
  mgx_conn_poll_events(c, false);
  mgx_conn_poll_events(c, true);
  CHECK_EQ(mgx_close_reason(c), MGX_REASON_NONE);
  CHECK_EQ(mgx_close_unsent(c), c == NULL ? 0 : c->send.len);
  CHECK_EQ(mgx_conn_send_queue(c), c == NULL ? 0 : c->send.len);
  CHECK_EQ(mgx_conn_id(c), 0);
  CHECK(mgx_conn_user_data(c) == NULL);
  mgx_conn_set_user_data(c, NULL);
  CHECK(!mgx_conn_flag(c, MGX_IS_LISTENING));
  CHECK_EQ(mgx_listener_fd(c), -1);
  mgx_http_reply(c, 200, NULL, NULL, 0);
  mgx_http_reply(c, 200, NULL, NULL, 9);
  mgx_error(c, NULL);
  CHECK_EQ(mgx_sizeof(NULL), 0);
}

static void null_structs_of_a_live_manager(void) {
  struct mg_mgr m;
  struct mgx_drain_status status;
  mg_mgr_init(&m);
  mgx_mgr_options(&m, NULL);
  mgx_mgr_limits(&m, NULL);
  mgx_mgr_stats(&m, NULL);
  mgx_mgr_drain_status(&m, NULL);
  CHECK(mgx_listen_fd(&m, 0, NULL, NULL, NULL) == NULL);
  CHECK(mgx_send_to(&m, 1, NULL, 0));
  mgx_mgr_drain_status(&m, &status);
  CHECK_EQ(status.phase, MGX_MGR_RUNNING);
  CHECK_EQ(status.listeners + status.idle + status.active + status.pending + status.flushing + status.lingering, 0);
  CHECK(mgx_mgr_drain(&m, NULL));
  CHECK(mgx_mgr_drain_wait(&m));
  mg_mgr_free(&m);
  null_arguments(&m, NULL);
}

int main(void) {
  struct mg_mgr zero;
  struct mg_connection c;
  mg_log_set(MG_LL_NONE);
  sizes();
  flags();
  addresses();
  a_server();
  versions_and_logging();
  memset(&zero, 0, sizeof(zero));
  memset(&c, 0, sizeof(c));
  mgx_mgr_delete(NULL);
  null_arguments(NULL, NULL);
  null_arguments(&zero, &c);
  mg_iobuf_free(&c.send);
  memset(&c, 0, sizeof(c));
  c.mgr = &zero;
  null_arguments(&zero, &c);
  mg_iobuf_free(&c.send);
  null_structs_of_a_live_manager();
  return DONE();
}
