// MQTT clients and a broker in one process: logging in, subscribing, publishing with every QoS, versions 3.1.1 and 5.
// C only
#include "peer.h"

// ---- the broker: sends every message back to whoever sent it, in the same quality

static char logins[4][100];
static int num_logins, pings, disconnects;

static void echo(struct mg_connection *c, struct mg_mqtt_message *mm) {
  struct mg_mqtt_prop props[10];
  struct mg_mqtt_opts o = {.topic = mm->topic, .message = mm->data, .qos = mm->qos, .props = props};
  size_t ofs = 0;
  while ((ofs = mg_mqtt_next_prop(mm, &props[o.num_props], ofs)) > 0) o.num_props++;
  mg_mqtt_pub(c, &o);
}

static void broker(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    uint8_t id[2] = {(uint8_t) (mm->id >> 8), (uint8_t) mm->id};
    if (mm->cmd == MQTT_CMD_CONNECT) {
      size_t n = mm->dgram.len < sizeof(logins[0]) ? mm->dgram.len : sizeof(logins[0]);
      CHECK_EQ(c->is_mqtt5, mm->dgram.buf[8] == 5);
      memcpy(logins[num_logins++ % 4], mm->dgram.buf, n);
      mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, c->is_mqtt5 ? 3 : 2);
      mg_send(c, "\0\0\0", c->is_mqtt5 ? 3 : 2);
    } else if (mm->cmd == MQTT_CMD_SUBSCRIBE) {
      // The topic from offset 4 on, as applications take it; with version 5 an empty property block is in front of it.
      const char *p = mm->dgram.buf + 4 + c->is_mqtt5;
      CHECK(p[0] == 0 && p[1] == 5 && memcmp(p + 2, "topic", 5) == 0);
      mg_mqtt_send_header(c, MQTT_CMD_SUBACK, 0, c->is_mqtt5 ? 4 : 3);
      mg_send(c, id, 2);
      mg_send(c, c->is_mqtt5 ? "\0\2" : "\2", c->is_mqtt5 ? 2 : 1);
    } else if (mm->cmd == MQTT_CMD_UNSUBSCRIBE) {
      mg_mqtt_send_header(c, MQTT_CMD_UNSUBACK, 0, c->is_mqtt5 ? 4 : 2);
      mg_send(c, id, 2);
      mg_send(c, "\0", c->is_mqtt5 ? 2 : 0);
    } else if (mm->cmd == MQTT_CMD_PINGREQ) {
      pings++;
      mg_mqtt_pong(c);
    } else if (mm->cmd == MQTT_CMD_DISCONNECT) {
      disconnects++;
      c->is_draining = 1;
    }
  } else if (ev == MG_EV_MQTT_MSG) {
    echo(c, (struct mg_mqtt_message *) ev_data);
  }
}

// ---- the client: notes what it sees

static char seen[500], props_seen[300];
static int open_code = -1, messages;
static struct mg_str last;  // message data

static void note(const char *fmt, int a, int b) {
  size_t n = strlen(seen);
  mg_snprintf(seen + n, sizeof(seen) - n, fmt, a, b);
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_OPEN) open_code = *(int *) ev_data;
  if (ev == MG_EV_MQTT_CMD) note("%d:%d ", ((struct mg_mqtt_message *) ev_data)->cmd, ((struct mg_mqtt_message *) ev_data)->id);
  if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    struct mg_mqtt_prop p;
    size_t ofs = 0, n;
    CHECK(mg_strcmp(mm->topic, mg_str("topic")) == 0);
    free(last.buf);
    last = mg_strdup(mm->data);
    messages++;
    props_seen[0] = '\0';
    while ((ofs = mg_mqtt_next_prop(mm, &p, ofs)) > 0) {
      n = strlen(props_seen);
      mg_snprintf(props_seen + n, sizeof(props_seen) - n, "%d:%lu:%.*s:%.*s ", p.id, (unsigned long) p.iv, (int) p.key.len, p.key.buf,
                  (int) p.val.len, p.val.buf);
    }
  }
  if (ev == MG_EV_ERROR) note("error ", 0, 0);
  if (ev == MG_EV_CLOSE) note("close ", 0, 0);
  (void) c;
}

static void forget(void) {
  seen[0] = '\0';
  open_code = -1;
  messages = num_logins = pings = disconnects = 0;
}

static bool events_are(const char *want) {
  return strcmp(seen, want) == 0;
}

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void null_options_and_an_immediate_ping(void) {
  struct mg_connection *c;
  int i;
  forget();
  c = mg_mqtt_connect(&mgr, url_of(listener, "mqtt"), NULL, client, NULL);
  CHECK(c != NULL && c->is_connecting);
  CHECK_EQ(c->send.len, 2 + 10 + 2 + 19);
  mg_mqtt_ping(c);
  for (i = 0; i < 300 && c->is_connecting; i++) mg_mgr_poll(&mgr, 10);
  CHECK(!c->is_connecting);
  POLL_UNTIL(&mgr, pings == 1 && events_are("2:0 13:0 "));
  CHECK_EQ(open_code, 0);
  CHECK(memcmp(logins[0], "\x10\x1f\0\4MQTT\4\0\0\0\0\x13", 14) == 0);
  mg_mqtt_disconnect(c, NULL);
  POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
  CHECK_EQ(disconnects, 1);
  CHECK(events_are("2:0 13:0 close "));
}

static void every_qos(int version) {
  struct mg_mqtt_prop props[] = {{.id = MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, .iv = 10},
                                 {.id = MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, .iv = 1},
                                 {.id = MQTT_PROP_CONTENT_TYPE, .val = mg_str("text/plain")},
                                 {.id = MQTT_PROP_USER_PROPERTY, .key = mg_str("a"), .val = mg_str("1")},
                                 {.id = MQTT_PROP_USER_PROPERTY, .key = mg_str("b"), .val = mg_str("2")}};
  struct mg_mqtt_opts o = {.client_id = mg_str("me"),
                           .topic = mg_str("will"),
                           .message = mg_str("gone"),
                           .qos = 1,
                           .version = (uint8_t) version,
                           .keepalive = 20,
                           .clean = true};
  char want[100], *random;
  unsigned id;
  struct mg_connection *c;
  forget();
  mgr.mqtt_id = 0;
  c = mg_mqtt_connect(&mgr, url_of(listener, "mqtt"), &o, client, NULL);
  POLL_UNTIL(&mgr, events_are("2:0 "));
  CHECK_EQ(open_code, 0);
  CHECK_EQ(c->is_mqtt5, version == 5);
  CHECK(memcmp(logins[0] + 2, "\0\4MQTT", 6) == 0 && logins[0][8] == version && logins[0][9] == 0x0e && logins[0][11] == 20);

  forget();
  memset(&o, 0, sizeof(o));
  o.topic = mg_str("topic");
  o.qos = 2;
  mg_mqtt_sub(c, &o);
  POLL_UNTIL(&mgr, events_are("9:1 "));
  CHECK_EQ(mgr.mqtt_id, 1);

  forget();
  o.message = mg_str("zero");
  o.qos = 0;
  CHECK_EQ(mg_mqtt_pub(c, &o), 0);
  POLL_UNTIL(&mgr, messages == 1 && events_are("3:0 "));
  CHECK(mg_strcmp(last, mg_str("zero")) == 0);

  forget();
  o.message = mg_str("hi");
  o.qos = 1;
  o.props = props;
  o.num_props = 5;
  CHECK_EQ(id = mg_mqtt_pub(c, &o), 2);
  mg_snprintf(want, sizeof(want), "4:%u 3:%u ", id, id + 1);
  POLL_UNTIL(&mgr, events_are(want));
  CHECK(mg_strcmp(last, mg_str("hi")) == 0);
  CHECK(strcmp(props_seen, version == 5 ? "2:10:: 1:1:: 3:0::text/plain 38:0:a:1 38:0:b:2 " : "") == 0);

  forget();
  o.qos = 2;
  CHECK_EQ(id = mg_mqtt_pub(c, &o), 4);
  // The message may come before the end of our own.
  POLL_UNTIL(&mgr, strstr(seen, "7:4 ") != NULL && strstr(seen, "6:5 ") != NULL);
  CHECK(strncmp(seen, "5:4 ", 4) == 0 && strstr(seen, "3:5 ") != NULL);
  CHECK_EQ(strlen(seen), 16);
  CHECK_EQ(messages, 1);

  // Again, under the old id.
  forget();
  o.qos = 1;
  o.retransmit_id = 4;
  CHECK_EQ(mg_mqtt_pub(c, &o), 4);
  CHECK_EQ(mgr.mqtt_id, 5);
  CHECK_EQ((uint8_t) c->send.buf[0], 0x3a);
  POLL_UNTIL(&mgr, events_are("4:4 3:6 "));

  // A large one.
  forget();
  random = (char *) malloc(21098);
  mg_random(random, 21098);
  o.retransmit_id = 0;
  o.message = mg_str_n(random, 21098);
  mg_mqtt_pub(c, &o);
  POLL_UNTIL(&mgr, events_are("4:7 3:8 "));
  CHECK(mg_strcmp(last, o.message) == 0);
  free(random);

  // Without properties, and short enough that their absence could be overlooked.
  forget();
  o.num_props = 0;
  o.message = mg_str("1");
  mg_mqtt_pub(c, &o);
  POLL_UNTIL(&mgr, messages == 1);
  CHECK(mg_strcmp(last, mg_str("1")) == 0);

  forget();
  mg_mqtt_unsub(c, &o);
  mg_snprintf(want, sizeof(want), "11:%u ", mgr.mqtt_id);
  POLL_UNTIL(&mgr, strstr(seen, want) != NULL);

  forget();
  memset(&o, 0, sizeof(o));
  mg_mqtt_disconnect(c, version == 5 ? &o : NULL);
  POLL_UNTIL(&mgr, events_are("close "));
  CHECK_EQ(disconnects, 1);
}

// What a packet does not need may hold anything: here it is memory that nobody has written, which valgrind would report.
static void unneeded_members_are_not_read(void) {
  struct mg_mqtt_opts *o = (struct mg_mqtt_opts *) malloc(sizeof(*o));
  struct mg_connection *c;
  uint16_t id;
  forget();
  c = mg_mqtt_connect(&mgr, url_of(listener, "mqtt"), NULL, client, NULL);
  memset((void *) o, 0xa5, sizeof(*o));
  o->topic = mg_str("topic");
  o->qos = 0;
  mg_mqtt_sub(c, o);
  mg_mqtt_unsub(c, o);
  id = mgr.mqtt_id;
  o->message = mg_str("m");
  o->retain = false;
  mg_mqtt_pub(c, o);
  o->qos = 1;
  o->retransmit_id = 0;
  CHECK_EQ(mg_mqtt_pub(c, o), id + 1);
  mg_mqtt_disconnect(c, o);
  free(o);
  o = (struct mg_mqtt_opts *) malloc(sizeof(*o));
  o->topic = mg_str("topic");
  o->qos = 0;
  mg_mqtt_sub(c, o);
  free(o);
  POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
  CHECK_EQ(messages, 2);
}

static void refusing(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD) {
    mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, 2);
    mg_send(c, "\0\5", 2);
  }
  (void) ev_data;
}

static void a_refusal_closes(void) {
  struct mg_connection *l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", refusing, NULL);
  forget();
  mg_mqtt_connect(&mgr, url_of(l, "mqtt"), NULL, client, NULL);
  POLL_UNTIL(&mgr, strstr(seen, "close") != NULL);
  CHECK(events_are("2:0 close "));
  CHECK_EQ(open_code, 5);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  listener = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", broker, NULL);
  CHECK(listener != NULL);
  CHECK(mg_mqtt_connect(&mgr, NULL, NULL, client, NULL) == NULL);
  CHECK(mg_mqtt_connect(&mgr, "", NULL, client, NULL) == NULL);
  null_options_and_an_immediate_ping();
  every_qos(4);
  every_qos(5);
  unneeded_members_are_not_read();
  a_refusal_closes();
  mg_mgr_free(&mgr);
  free(last.buf);
  return DONE();
}
