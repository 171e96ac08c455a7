// An MQTT broker for versions 3.1.1 and 5, over TCP and over WebSocket, with TLS or without.
//
// usage: mqtt-server -h
//
// Implements both versions completely, except for authentication methods other than user and password. The constants below and in
// session.h bound its memory. Its parts are in the directory mqtt-server. For -d build it with SQLite:
//   cc -DWITH_SQLITE mqtt-server.c -lmongoose -lsqlite3 -o mqtt-server
// flags:
// flags: -DWITH_SQLITE -lsqlite3

#include "example.h"
#include "mqtt-server/packet.h"
#include "mqtt-server/session.h"
#include "mqtt-server/store.h"
#include "mqtt-server/topic.h"

#define MAX_CONNS 2000
#define MAX_NAME 1000  // bytes of a client id or a filter
#define MAX_PACKET (1024 * 1024)
#define MAX_KEEPALIVE 60  // seconds; imposed on version 5 clients, to detect dead ones
#define LOGIN_SECONDS 10
#define TICK_MS 250
#define MAX_URLS 16

static const char *const s_usage =
    "usage: mqtt-server [-u USER -P PASSWORD] [-c CERT -k KEY] [-n FILTER] [-d DATABASE] [-l URL]...     Ctrl-C ends it\n"
    "  -l URL   where to listen, default mqtt://0.0.0.0:1883; may be repeated. http:// and https:// are for WebSocket clients\n"
    "  -u USER -P PASSWORD   required to connect; without them everybody may\n"
    "  -c CERT -k KEY   for mqtts:// and https://\n"
    "  -n FILTER   a filter to which subscriptions are refused\n"
    "  -d DATABASE   stores sessions and retained messages: a restart loses no message of QoS 1 or 2\n"
    "  try: mqtt-server -l mqtt://0.0.0.0:1883 -l http://0.0.0.0:8083\n";

static const char *s_user, *s_pass, *s_denied;
static struct mg_tls_opts s_tls;

// Ends a connection; version 5 tells the client why.
static void end(struct mg_connection *c, uint8_t reason) {
  if (c->is_mqtt5) send_packet(c, MQTT_CMD_DISCONNECT, 0, &reason, 1);
  c->is_draining = 1;
  if (c->fn_data != NULL) detach((struct session *) c->fn_data);
}

// The same for a packet that is not taken. The acknowledgement of a message is queued before we see the message: it must not leave.
static void refuse(struct mg_connection *c, const struct mg_mqtt_message *mm, uint8_t reason) {
  size_t ack = mm->cmd != MQTT_CMD_PUBLISH || mm->qos == 0 ? 0 : c->is_mqtt5 || c->is_websocket ? 6 : 4;
  if (ack <= c->send.len) c->send.len -= ack;
  end(c, reason);
}

// ---- login

struct login {
  bool v5, clean, has_will;
  uint8_t will_flags;
  uint16_t keepalive, window, max_aliases;
  uint32_t expiry, max_packet, will_delay;
  struct mg_str props, id, will_props, topic, data, user, pass;
};

static const uint8_t s_login_props[] = {MQTT_PROP_SESSION_EXPIRY_INTERVAL, MQTT_PROP_RECEIVE_MAXIMUM, MQTT_PROP_MAXIMUM_PACKET_SIZE,
                                        MQTT_PROP_TOPIC_ALIAS_MAXIMUM, MQTT_PROP_REQUEST_RESPONSE_INFORMATION,
                                        MQTT_PROP_REQUEST_PROBLEM_INFORMATION, MQTT_PROP_USER_PROPERTY,
                                        MQTT_PROP_AUTHENTICATION_METHOD, MQTT_PROP_AUTHENTICATION_DATA, 0};
static const uint8_t s_will_props[] = {MQTT_PROP_WILL_DELAY_INTERVAL, MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
                                       MQTT_PROP_CONTENT_TYPE, MQTT_PROP_RESPONSE_TOPIC, MQTT_PROP_CORRELATION_DATA, MQTT_PROP_USER_PROPERTY, 0};
static const uint8_t s_publish_props[] = {MQTT_PROP_PAYLOAD_FORMAT_INDICATOR, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, MQTT_PROP_TOPIC_ALIAS,
                                          MQTT_PROP_RESPONSE_TOPIC, MQTT_PROP_CORRELATION_DATA, MQTT_PROP_USER_PROPERTY,
                                          MQTT_PROP_CONTENT_TYPE, 0};
static const uint8_t s_subscribe_props[] = {MQTT_PROP_SUBSCRIPTION_IDENTIFIER, MQTT_PROP_USER_PROPERTY, 0};
static const uint8_t s_unsubscribe_props[] = {MQTT_PROP_USER_PROPERTY, 0};
static const uint8_t s_disconnect_props[] = {MQTT_PROP_SESSION_EXPIRY_INTERVAL, MQTT_PROP_REASON_STRING, MQTT_PROP_USER_PROPERTY, 0};

// What is in a CONNECT packet, behind the version. False when it is malformed.
static bool read_login(struct login *l, struct reader *r) {
  uint8_t flags = (uint8_t) get_number(r, 1);
  l->keepalive = (uint16_t) get_number(r, 2);
  l->props = get_props(r, l->v5);
  l->expiry = number_of(l->props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0);
  l->window = (uint16_t) number_of(l->props, MQTT_PROP_RECEIVE_MAXIMUM, 65535);
  l->max_packet = number_of(l->props, MQTT_PROP_MAXIMUM_PACKET_SIZE, UINT32_MAX);
  l->max_aliases = (uint16_t) number_of(l->props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0);
  l->clean = (flags & 2) != 0;
  l->has_will = (flags & 4) != 0;
  l->will_flags = flags;
  l->id = get_str(r);
  if (!l->v5 && !l->clean) l->expiry = UINT32_MAX;
  if (l->has_will) {
    l->will_props = get_props(r, l->v5);
    l->will_delay = number_of(l->will_props, MQTT_PROP_WILL_DELAY_INTERVAL, 0);
    l->topic = get_str(r);
    l->data = get_str(r);
  }
  if (flags & 0x80) l->user = get_str(r);
  if (flags & 0x40) l->pass = get_str(r);
  return !r->bad && r->len == 0 && !(flags & 1) && (flags & 0x18) != 0x18 && (l->has_will || !(flags & 0x38)) && l->window > 0 &&
         l->max_packet > 0 && is_text(l->id) && is_text(l->user) && is_text(l->topic) && are_props(l->props, s_login_props) &&
         are_props(l->will_props, s_will_props);
}

static void send_connack(struct mg_connection *c, const struct login *l, bool present, uint8_t code, bool is_new_id) {
  uint8_t answer[100], props[90], *p = props, *to = answer;
  bool is_sent;
  *to++ = present;
  *to++ = code;
  if (l->v5) {
    p = put_prop(p, MQTT_PROP_RECEIVE_MAXIMUM, MAX_HELD, 2);
    p = put_prop(p, MQTT_PROP_MAXIMUM_PACKET_SIZE, MAX_PACKET, 4);
    p = put_prop(p, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, MAX_ALIASES, 2);
    if (l->keepalive > MAX_KEEPALIVE) p = put_prop(p, MQTT_PROP_SERVER_KEEP_ALIVE, MAX_KEEPALIVE, 2);
    if (is_new_id && code == 0) {
      p = put_prop(p, MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER, (uint32_t) l->id.len, 2);
      memcpy(p, l->id.buf, l->id.len);
      p += l->id.len;
    }
    to = put_varint(to, (size_t) (p - props));
    memcpy(to, props, (size_t) (p - props));
    to += p - props;
  }
  // A packet too large for the client must not be sent, and without a CONNACK there is no login.
  is_sent = !l->v5 || l->max_packet == 0 || 2 + (size_t) (to - answer) <= l->max_packet;
  if (is_sent) send_packet(c, MQTT_CMD_CONNACK, 0, answer, (size_t) (to - answer));
  if (code != 0 || !is_sent) c->is_draining = 1;
}

// The session of a client, an old one if there is one. NULL when there are too many.
static struct session *take_session(const struct login *l, bool *present) {
  struct session *s = session_find(l->id);
  if (s != NULL && s->c != NULL) {
    // The same client connects elsewhere: close the old connection, and with it a session that does not outlive it.
    end(s->c, TAKEN_OVER);
    s = session_find(l->id);
  }
  if (s != NULL && l->clean) {
    session_free(s);
    s = NULL;
  }
  *present = s != NULL;
  return s != NULL ? s : session_new(l->id);
}

static void on_connect(struct mg_connection *c, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_str name = get_str(&r);
  unsigned version = get_number(&r, 1);
  struct login l;
  struct message *will = NULL;
  struct session *s = NULL;
  bool present = false, is_new_id;
  uint8_t code = 0;
  char random[20];

  memset(&l, 0, sizeof(l));
  c->is_mqtt5 = l.v5 = version == 5;  // on a WebSocket the library does not parse the packet
  if (mg_strcmp(name, mg_str("MQTT")) != 0 || (version != 4 && version != 5)) {
    send_packet(c, MQTT_CMD_CONNACK, 0, "\0\1", 2);  // unacceptable protocol version
    c->is_draining = 1;
    return;
  }
  if (!read_login(&l, &r)) {
    if (l.v5) send_connack(c, &l, false, PROTOCOL_ERROR, false);
    c->is_draining = 1;
    return;
  }
  is_new_id = l.id.len == 0;
  if (has_prop(l.props, MQTT_PROP_AUTHENTICATION_METHOD)) {
    code = BAD_METHOD;
  } else if (s_user != NULL && (mg_strcmp(l.user, mg_str(s_user)) != 0 || mg_strcmp(l.pass, mg_str(s_pass)) != 0)) {
    code = l.v5 ? BAD_LOGIN : 4;
  } else if ((is_new_id && !l.clean && !l.v5) || l.id.len > MAX_NAME) {
    code = l.v5 ? REFUSED_ID : 2;
  } else if (l.has_will && !is_topic(l.topic)) {
    code = l.v5 ? BAD_TOPIC : 3;
  } else if (l.has_will &&
             (will = message_new(l.topic, l.data, l.will_props, l.will_flags >> 3 & 3, (l.will_flags & 0x20) != 0)) == NULL) {
    code = l.v5 ? QUOTA : 3;
  } else {
    if (is_new_id) l.id = mg_str_n(mg_random_str(random, sizeof(random)), 19);
    if ((s = take_session(&l, &present)) == NULL) code = l.v5 ? QUOTA : 3;
  }
  send_connack(c, &l, present, code, is_new_id);
  if (s == NULL) {
    message_drop(will);
    return;
  }
  s->c = c;
  message_drop(s->will);  // a delayed one
  s->will = will;
  s->will_delay = l.will_delay;
  s->keepalive = l.v5 && l.keepalive > MAX_KEEPALIVE ? MAX_KEEPALIVE : l.keepalive;
  s->heard = mg_millis();
  s->expiry = l.expiry;
  s->ends = NEVER;
  s->window = l.window < MAX_UNACKED ? l.window : MAX_UNACKED;
  s->max_packet = l.max_packet;
  s->max_said = l.max_aliases < MAX_ALIASES ? l.max_aliases : MAX_ALIASES;
  c->fn_data = s;
  store_session(s);
  pump(s);
}

// ---- messages from clients

// The topic of a message, which an alias may stand for. On failure returns false, with the reason.
static bool find_topic(struct session *s, struct mg_str *topic, struct mg_str props, uint8_t *reason) {
  uint32_t alias = number_of(props, MQTT_PROP_TOPIC_ALIAS, 0);
  *reason = BAD_ALIAS;
  if (alias > MAX_ALIASES || (alias == 0 && has_prop(props, MQTT_PROP_TOPIC_ALIAS))) return false;
  *reason = topic->len == 0 && s->c->is_mqtt5 ? PROTOCOL_ERROR : BAD_TOPIC;
  if (topic->len > 0 && alias > 0 && is_topic(*topic)) alias_set(&s->heard_as[alias - 1], *topic);
  if (topic->len == 0 && alias > 0) *topic = s->heard_as[alias - 1];
  return is_topic(*topic);
}

static void on_publish(struct session *s, struct mg_mqtt_message *mm) {
  struct mg_str props = mg_str_n(mm->dgram.buf + mm->props_start, mm->props_size), topic = mm->topic;
  uint8_t first = (uint8_t) mm->dgram.buf[0], reason;
  struct message *m;
  size_t i = 0;
  if (!are_props(props, s_publish_props) || (mm->qos > 0 && mm->id == 0) || (mm->qos == 0 && first & 8)) {
    refuse(s->c, mm, PROTOCOL_ERROR);
    return;
  }
  if (!find_topic(s, &topic, props, &reason)) {
    refuse(s->c, mm, reason);
    return;
  }
  if (mm->qos == 2) {
    while (i < s->num_held && s->held[i] != mm->id) i++;
    if (i < s->num_held) return;  // a duplicate: already delivered
    if (i == MAX_HELD) {
      refuse(s->c, mm, TOO_MANY);
      return;
    }
  }
  if ((m = message_new(topic, mm->data, props, mm->qos, first & 1)) == NULL) {
    MG_ERROR(("out of memory for messages"));
    if (mm->qos > 0) s->c->is_closing = 1;  // at once: the queued acknowledgement must not be sent
    return;
  }
  if (mm->qos == 2) {
    s->held[s->num_held++] = mm->id;
    store_held(s, mm->id, true);
  }
  publish(m, s);
  message_drop(m);
}

static void on_released(struct session *s, uint16_t id) {
  size_t i;
  for (i = 0; i < s->num_held; i++) {
    if (s->held[i] != id) continue;
    s->held[i] = s->held[--s->num_held];
    store_held(s, id, false);
    return;
  }
}

// ---- subscriptions

// Adds or replaces a subscription. Returns the code for SUBACK.
static uint8_t subscribe(struct session *s, struct mg_str filter, uint8_t options, uint32_t id, bool *is_new) {
  struct subscription *sub = subscription_find(s, filter);
  bool v5 = s->c->is_mqtt5;
  *is_new = sub == NULL;
  if (s_denied != NULL && mg_strcmp(filter, mg_str(s_denied)) == 0) return (uint8_t) (v5 ? REFUSED : 0x80);
  if ((*is_new && s->num_subs == MAX_SUBS) || filter.len > MAX_NAME) return (uint8_t) (v5 ? QUOTA : 0x80);
  if (*is_new) {
    sub = &s->subs[s->num_subs++];
    memset(sub, 0, sizeof(*sub));
    sub->filter = mg_strdup(filter);
  }
  sub->options = options;
  sub->id = id;
  store_subscription(s, sub);
  return options & 3;
}

static bool are_options(uint8_t options, bool shared, bool v5) {
  if ((options & 3) == 3 || options & (v5 ? 0xc0 : 0xfc)) return false;
  return options >> 4 != 3 && !(shared && options & NO_LOCAL);
}

static void on_subscribe(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm), again;
  struct mg_connection *c = s->c;
  uint8_t codes[3 + MAX_SUBS];
  bool v5 = c->is_mqtt5, fresh[MAX_SUBS];
  size_t n = 0, head = v5 ? 3 : 2, i;
  struct mg_str props;
  uint32_t id;

  get(&r, 2);
  props = get_props(&r, v5);
  id = number_of(props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, 0);
  if (mm->id == 0 || !are_props(props, s_subscribe_props) || (id == 0 && has_prop(props, MQTT_PROP_SUBSCRIPTION_IDENTIFIER))) {
    end(c, PROTOCOL_ERROR);
    return;
  }
  again = r;
  put_number(codes, mm->id, 2);
  codes[2] = 0;  // no properties
  do {
    struct mg_str filter = get_str(&r);
    uint8_t options = (uint8_t) get_number(&r, 1);
    if (r.bad || n == MAX_SUBS || !is_filter(filter) || !is_filter(selection(filter))) {
      end(c, BAD_FILTER);
      return;
    }
    if (!are_options(options, is_shared(filter), v5)) {
      end(c, PROTOCOL_ERROR);
      return;
    }
    codes[head + n] = subscribe(s, filter, options, id, &fresh[n]);
    n++;
  } while (r.len > 0);
  send_packet(c, MQTT_CMD_SUBACK, 0, codes, head + n);
  for (i = 0; i < n; i++) {
    struct subscription *sub = subscription_find(s, get_str(&again));
    unsigned handling = get_number(&again, 1) >> 4;
    if (codes[head + i] > 2 || sub == NULL || is_shared(sub->filter) || handling == 2 || (handling == 1 && !fresh[i])) continue;
    send_retained(s, *sub);
  }
}

static void on_unsubscribe(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_connection *c = s->c;
  uint8_t codes[3 + MAX_SUBS];
  size_t n = 2;
  bool v5 = c->is_mqtt5;

  get(&r, 2);
  if (!are_props(get_props(&r, v5), s_unsubscribe_props) || mm->id == 0) r.bad = true;
  put_number(codes, mm->id, 2);
  if (v5) codes[n++] = 0;
  do {
    struct mg_str filter = get_str(&r);
    struct subscription *sub = subscription_find(s, filter);
    if (r.bad || n == sizeof(codes)) {
      end(c, PROTOCOL_ERROR);
      return;
    }
    if (v5) codes[n++] = sub != NULL ? 0 : 0x11;  // no subscription existed
    if (sub != NULL) unsubscribe(s, sub);
  } while (r.len > 0);
  send_packet(c, MQTT_CMD_UNSUBACK, 0, codes, n);
}

// ---- other packets

static void on_disconnect(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_connection *c = s->c;
  unsigned reason = r.len > 0 ? get_number(&r, 1) : 0;
  struct mg_str props = get_props(&r, c->is_mqtt5 && r.len > 0);
  uint32_t expiry = number_of(props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, s->expiry);
  if (r.bad || r.len > 0 || !are_props(props, s_disconnect_props) || (s->expiry == 0 && expiry > 0)) {
    end(c, PROTOCOL_ERROR);
    return;
  }
  s->expiry = expiry;
  if (reason != 4) {  // 4: with will
    message_drop(s->will);
    s->will = NULL;
  }
  c->is_draining = 1;
  detach(s);
}

// Whether an acknowledgement of version 5 says no.
static bool is_refusal(const struct mg_connection *c, const struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  get(&r, 2);
  return c->is_mqtt5 && r.len > 0 && get_number(&r, 1) >= 0x80;
}

static void on_packet(struct mg_connection *c, struct mg_mqtt_message *mm) {
  struct session *s = (struct session *) c->fn_data;
  if (c->send.len > 3 * MAX_UNSENT) {
    c->is_closing = 1;  // sends requests without reading the answers
  } else if (mm->dgram.len > MAX_PACKET) {
    refuse(c, mm, TOO_LARGE);
  } else if ((s == NULL) != (mm->cmd == MQTT_CMD_CONNECT)) {
    refuse(c, mm, PROTOCOL_ERROR);  // CONNECT must be the first packet, and only the first
  } else if (s == NULL) {
    on_connect(c, mm);
  } else {
    s->heard = mg_millis();
    switch (mm->cmd) {
      case MQTT_CMD_PUBLISH: on_publish(s, mm); break;
      case MQTT_CMD_PUBACK:
      case MQTT_CMD_PUBREC:
      case MQTT_CMD_PUBCOMP: acknowledged(s, mm->cmd, mm->id, is_refusal(c, mm)); break;
      case MQTT_CMD_PUBREL: on_released(s, mm->id); break;
      case MQTT_CMD_SUBSCRIBE: on_subscribe(s, mm); break;
      case MQTT_CMD_UNSUBSCRIBE: on_unsubscribe(s, mm); break;
      case MQTT_CMD_PINGREQ: send_packet(c, MQTT_CMD_PINGRESP, 0, "", 0); break;
      case MQTT_CMD_DISCONNECT: on_disconnect(s, mm); break;
      default: end(c, PROTOCOL_ERROR);
    }
  }
}

// ---- connections

// What c->data holds.
struct input {
  uint64_t since;            // when the connection was accepted
  struct mg_iobuf *partial;  // a packet may span several WebSocket messages, and a message may hold several packets
};

static struct input *input_of(struct mg_connection *c) {
  return (struct input *) c->data;
}

static void on_websocket(struct mg_connection *c, struct mg_str data) {
  struct input *in = input_of(c);
  struct mg_mqtt_message mm;
  size_t done = 0;
  if (in->partial == NULL) in->partial = (struct mg_iobuf *) calloc(1, sizeof(*in->partial));
  if (in->partial != NULL) in->partial->align = MG_IO_SIZE;
  if (in->partial == NULL || mg_iobuf_add(in->partial, in->partial->len, data.buf, data.len) != data.len) {
    mg_error(c, "OOM");
    return;
  }
  while (!c->is_draining && !c->is_closing) {
    int rc = mg_mqtt_parse(in->partial->buf + done, in->partial->len - done, c->is_mqtt5 ? 5 : 4, &mm);
    if (rc == MQTT_MALFORMED) end(c, PROTOCOL_ERROR);
    else if (in->partial->len - done > MAX_PACKET + MG_IO_SIZE) end(c, TOO_LARGE);
    if (rc != MQTT_OK) break;
    // The library does this on TCP connections.
    if (mm.cmd == MQTT_CMD_PUBLISH && mm.qos > 0) send_ack(c, mm.qos == 1 ? MQTT_CMD_PUBACK : MQTT_CMD_PUBREC, mm.id);
    if (mm.cmd == MQTT_CMD_PUBREC && !is_refusal(c, &mm)) send_ack(c, MQTT_CMD_PUBREL, mm.id);
    if (mm.cmd == MQTT_CMD_PUBREL) send_ack(c, MQTT_CMD_PUBCOMP, mm.id);
    on_packet(c, &mm);
    done += mm.dgram.len;
  }
  mg_iobuf_del(in->partial, 0, done);
}

static size_t count_conns(const struct mg_mgr *mgr) {
  size_t n = 0;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) n++;
  return n;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct session *s = (struct session *) c->fn_data;
  if (ev == MG_EV_ACCEPT) {
    input_of(c)->since = mg_millis();
    if (count_conns(c->mgr) > MAX_CONNS) c->is_closing = 1;
    else if (c->is_tls) mg_tls_init(c, &s_tls);
  } else if (ev == MG_EV_HTTP_MSG) {
    example_ws_upgrade(c, (struct mg_http_message *) ev_data);  // the library accepts the subprotocol `mqtt`
  } else if (ev == MG_EV_WS_MSG) {
    on_websocket(c, ((struct mg_ws_message *) ev_data)->data);
  } else if (ev == MG_EV_MQTT_CMD) {
    on_packet(c, (struct mg_mqtt_message *) ev_data);
  } else if (ev == MG_EV_WRITE && s != NULL) {
    pump(s);
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    if (input_of(c)->partial != NULL) {
      mg_iobuf_free(input_of(c)->partial);
      free(input_of(c)->partial);
    }
    if (s != NULL) detach(s);
  }
  // Acknowledgements are already queued. They are sent after this call.
  if (ev == MG_EV_READ || ev == MG_EV_WRITE || ev == MG_EV_CLOSE) store_commit();
}

// Who is silent, who has not logged in, whose session is over, whose will is due?
static void tick(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  struct mg_connection *c;
  uint64_t now = mg_millis();
  for (c = mgr->conns; c != NULL; c = c->next) {
    struct session *s = (struct session *) c->fn_data;
    if (c->is_accepted && s == NULL && !c->is_draining && now - input_of(c)->since > LOGIN_SECONDS * 1000) c->is_closing = 1;
    if (s != NULL && s->keepalive > 0 && now - s->heard > s->keepalive * 1500ULL) end(c, SILENT);
  }
  sessions_tick();
  store_commit();
}

// Everybody is told; then the queues have two seconds to get empty.
static void say_goodbye(struct mg_mgr *mgr) {
  uint64_t until = mg_millis() + 2000;
  struct mg_connection *c;
  s_ending = true;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->fn_data != NULL && c->is_mqtt5) {
      uint8_t reason = SHUTTING_DOWN;
      send_packet(c, MQTT_CMD_DISCONNECT, 0, &reason, 1);
    }
    c->is_draining = 1;
  }
  while (mgr->conns != NULL && mg_millis() < until) mg_mgr_poll(mgr, 50);
}

static bool read_file(const char *path, struct mg_str *to) {
  *to = mg_file_read(&mg_fs_posix, path);
  if (to->buf == NULL) fprintf(stderr, "cannot read %s\n", path);
  return to->buf != NULL;
}

int main(int argc, char **argv) {
  const char *url[MAX_URLS] = {"mqtt://0.0.0.0:1883"}, *cert = NULL, *key = NULL, *database = NULL;
  struct mg_mgr mgr;
  int opt, i, n = 0;

  while ((opt = getopt(argc, argv, "hl:u:P:c:k:n:d:")) != -1) {
    if (opt == 'l' && n < MAX_URLS) url[n++] = optarg;
    else if (opt == 'u') s_user = optarg;
    else if (opt == 'P') s_pass = optarg;
    else if (opt == 'c') cert = optarg;
    else if (opt == 'k') key = optarg;
    else if (opt == 'n') s_denied = optarg;
    else if (opt == 'd') database = optarg;
    else return example_usage(s_usage, opt);
  }
  while (optind < argc && n < MAX_URLS) url[n++] = argv[optind++];
  if (optind < argc || (s_user == NULL) != (s_pass == NULL) || (cert == NULL) != (key == NULL)) return example_usage(s_usage, '?');
  for (i = 0; i < n; i++) {
    if (cert == NULL && mg_url_is_ssl(url[i])) return example_usage(s_usage, '?');
  }
  if (cert != NULL && (!read_file(cert, &s_tls.cert) || !read_file(key, &s_tls.key))) return 1;
  if (database != NULL && !store_open(database)) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mg_timer_add(&mgr, TICK_MS, MG_TIMER_REPEAT, tick, &mgr);
  for (i = 0; i < (n > 0 ? n : 1); i++) {
    bool http = strncmp(url[i], "http", 4) == 0;
    struct mg_connection *l = http ? mg_http_listen(&mgr, url[i], handler, NULL) : mg_mqtt_listen(&mgr, url[i], handler, NULL);
    if (l == NULL) return example_cannot_listen(&mgr, argv[0], url[i]);
    printf("%s%s://localhost:%u\n", http ? "ws" : "mqtt", l->is_tls ? "s" : "", mg_ntohs(l->loc.port));
  }
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  say_goodbye(&mgr);
  mg_mgr_free(&mgr);
  store_close();
  while (s_sessions != NULL) session_free(s_sessions);
  while (s_retained != NULL) {
    struct message *m = s_retained;
    s_retained = m->next;
    message_drop(m);
  }
  mg_free(s_tls.cert.buf);
  mg_free(s_tls.key.buf);
  return 0;
}
