// MQTT packets that cannot be encoded raise MG_EV_ERROR and queue nothing; NULL means all-zero options.
#include "peer.h"

static char error[100];
static int errors;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) {
    mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
    errors++;
  }
  (void) c;
}

static struct mg_mgr mgr;
static struct mg_connection *c;
static char *big;

// The last call failed with this text, or did not for NULL.
static void failed(const char *text) {
  CHECK_EQ(errors, text != NULL);
  CHECK_EQ(c->is_closing, text != NULL);
  if (text != NULL) {
    CHECK(strcmp(error, text) == 0);
    CHECK_EQ(c->send.len, 0);
  }
  errors = 0;
  c->is_closing = 0;
  c->send.len = 0;
}

static void strings(void) {
  struct mg_str ok = mg_str_n(big, 65535), too_long = mg_str_n(big, 65536);
  struct mg_mqtt_opts good;
  struct mg_str *members[] = {&good.user, &good.pass, &good.client_id, &good.topic, &good.message};
  size_t i;
  for (i = 0; i < 5; i++) {
    memset(&good, 0, sizeof(good));
    good.topic = mg_str("t");
    *members[i] = ok;
    mg_mqtt_login(c, &good);
    CHECK(c->send.len > 65535);
    failed(NULL);
    *members[i] = too_long;
    mg_mqtt_login(c, &good);
    failed("MQTT string too long");
  }
  memset(&good, 0, sizeof(good));
  good.topic = too_long;
  good.qos = 1;
  CHECK_EQ(mg_mqtt_pub(c, &good), 0);
  failed("MQTT string too long");
  mg_mqtt_sub(c, &good);
  failed("MQTT string too long");
  mg_mqtt_unsub(c, &good);
  failed("MQTT string too long");
}

static void packets(void) {
  struct mg_mqtt_opts o;
  size_t len = 268435455;
  memset(&o, 0, sizeof(o));
  mg_mqtt_send_header(c, MQTT_CMD_PUBLISH, 0, (uint32_t) len);
  CHECK(c->send.len == 5 && memcmp(c->send.buf, "\x30\xff\xff\xff\x7f", 5) == 0);
  failed(NULL);
  mg_mqtt_send_header(c, MQTT_CMD_PUBLISH, 0, (uint32_t) len + 1);
  failed("MQTT packet too long");
  o.topic = mg_str("t");
  o.message = mg_str_n(big, len - 2);  // never read: the length alone is too much
  CHECK_EQ(mg_mqtt_pub(c, &o), 0);
  failed("MQTT packet too long");
}

static void properties(void) {
  struct mg_mqtt_prop p[2];
  struct mg_mqtt_opts o;
  memset(p, 0, sizeof(p));
  memset(&o, 0, sizeof(o));
  c->is_mqtt5 = 1;
  o.topic = mg_str("t");
  o.props = o.will_props = p;
  o.num_props = 1;
  p[0].id = 0x7f;
  mg_mqtt_pub(c, &o);
  failed("unknown MQTT property");
  mg_mqtt_disconnect(c, &o);
  failed("unknown MQTT property");
  p[0].id = MQTT_PROP_SUBSCRIPTION_IDENTIFIER;
  p[0].iv = 268435455;
  mg_mqtt_sub(c, &o);
  CHECK(c->send.len == 4 + 6 + 3 + 1 && memcmp(c->send.buf + 4, "\5\x0b\xff\xff\xff\x7f", 6) == 0);
  failed(NULL);
  p[0].iv++;
  mg_mqtt_sub(c, &o);
  failed("MQTT property out of range");
  p[0].id = MQTT_PROP_CONTENT_TYPE;
  p[0].val = mg_str_n(big, 65536);
  mg_mqtt_unsub(c, &o);
  failed("MQTT string too long");
  // Those of the will count only with a will.
  o.num_props = 0;
  o.num_will_props = 1;
  o.version = 5;
  mg_mqtt_login(c, &o);
  failed("MQTT string too long");
  o.topic.len = 0;
  mg_mqtt_login(c, &o);
  failed(NULL);
  // Nor do any without version 5.
  o.num_props = 1;
  o.version = 4;
  mg_mqtt_login(c, &o);
  CHECK_EQ(c->is_mqtt5, 0);
  failed(NULL);
  // No list is an empty one.
  c->is_mqtt5 = 1;
  o.props = NULL;
  mg_mqtt_pub(c, &o);
  CHECK_EQ(c->send.len, 5);
  failed(NULL);
}

static void qos_values(void) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  c->is_mqtt5 = 0;
  o.topic = mg_str("t");
  o.qos = 3;
  mg_mqtt_pub(c, &o);
  CHECK_EQ(c->send.buf[0], 0x34);
  failed(NULL);
  mg_mqtt_sub(c, &o);
  CHECK_EQ(c->send.buf[c->send.len - 1], 2);
  failed(NULL);
  mg_mqtt_login(c, &o);
  CHECK_EQ(c->send.buf[9], 0x14);
  failed(NULL);
  // The flags of a will only with one.
  o.topic.len = 0;
  o.retain = true;
  mg_mqtt_login(c, &o);
  CHECK_EQ(c->send.buf[9], 0);
  failed(NULL);
}

static void null_options(void) {
  int v5;
  for (v5 = 0; v5 < 2; v5++) {
    c->is_mqtt5 = v5 & 1;
    CHECK_EQ(mg_mqtt_pub(c, NULL), 0);
    CHECK_EQ(c->send.len, 4 + v5);
    failed(NULL);
    mg_mqtt_sub(c, NULL);
    CHECK_EQ(c->send.len, 7 + v5);
    failed(NULL);
    mg_mqtt_unsub(c, NULL);
    failed(NULL);
    mg_mqtt_disconnect(c, NULL);
    CHECK(v5 ? c->send.len == 4 && memcmp(c->send.buf, "\xe0\2\0\0", 4) == 0 : c->send.len == 2 && memcmp(c->send.buf, "\xe0\0", 2) == 0);
    failed(NULL);
  }
  mg_mqtt_login(c, NULL);
  CHECK_EQ(c->send.len, 33);
  CHECK_EQ(c->is_mqtt5, 0);
  failed(NULL);
}

// A connection that nobody has initialised but with zeroes.
static void blank_connection(void) {
  struct mg_connection blank;
  struct mg_mqtt_opts o;
  memset(&blank, 0, sizeof(blank));
  memset(&o, 0, sizeof(o));
  o.topic = mg_str("t");
  o.qos = 1;
  CHECK_EQ(mg_mqtt_pub(&blank, &o), 1);
  mg_mqtt_login(&blank, &o);
  mg_mqtt_ping(&blank);
  CHECK(blank.send.len > 40);
  mg_iobuf_free(&blank.send);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  c = mg_alloc_conn(&mgr);
  c->fn = handler;
  big = make_body(65536);
  strings();
  packets();
  properties();
  qos_values();
  null_options();
  blank_connection();
  mg_close_conn(c);
  mg_mgr_free(&mgr);
  free(big);
  return DONE();
}
