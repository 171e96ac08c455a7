// An MQTT broker for versions 3.1.1 and 5, over TCP and over WebSocket, with TLS or without.
//
// usage: mqtt-server [-u USER -P PASSWORD] [-c CERT -k KEY] [URL...]     default mqtt://0.0.0.0:1883; Ctrl-C ends it
//   try: mqtt-server mqtt://0.0.0.0:1883 http://0.0.0.0:8083        (the second is for WebSocket clients)
//        mqtt-server -c cert.pem -k key.pem mqtts://0.0.0.0:8883 https://0.0.0.0:8084
//
// Wildcards, retained messages, wills, sessions that outlive their connection, keep-alive supervision, take-over of a client id.
// Messages are delivered with QoS 0 or 1; with QoS 2 they are accepted, each once. All is kept in memory, and bounded by the
// numbers below. Not done: shared subscriptions, subscription identifiers, topic aliases, delayed wills, message expiry.

#include "mongoose.h"

#define MAX_CONNS 2000
#define MAX_SESSIONS 1000        // with a connection or without
#define MAX_SUBS 50              // of one session
#define MAX_NAME 1000            // bytes of a client id or a filter
#define MAX_QUEUED 1000          // messages that wait for one session
#define MAX_UNACKED 20           // of these, sent and not acknowledged
#define MAX_HELD 100             // QoS 2 messages that one client has not released
#define MAX_PACKET (1024 * 1024)
#define MAX_MEMORY (64 * 1024 * 1024)  // all messages together: retained, waiting, wills
#define MAX_RETAINED 10000
#define MAX_UNSENT (1024 * 1024)  // a client that does not read gets no more
#define LOGIN_SECONDS 10
#define MAX_PROPS 32

enum { NO_LOCAL = 4, AS_PUBLISHED = 8 };  // bits of subscription options

// Reason codes of version 5.
enum { PROTOCOL_ERROR = 0x82, REFUSED_ID = 0x85, BAD_LOGIN = 0x86, SHUTTING_DOWN = 0x8b, TAKEN_OVER = 0x8e, SILENT = 0x8d, BAD_FILTER = 0x8f,
       BAD_TOPIC = 0x90, TOO_MANY = 0x93, TOO_LARGE = 0x95, QUOTA = 0x97, NO_SHARING = 0x9e };

struct message {
  struct message *next;  // on the list of retained messages
  size_t refs, size;
  struct mg_str topic, data, props;
  uint8_t qos;
  bool retain;
};

// A QoS 1 message on its way to a client.
struct queued {
  struct queued *next;
  struct message *m;
  uint16_t id;
  bool sent, retain;
};

struct subscription {
  struct mg_str filter;
  uint8_t options;
};

struct session {
  struct session *next;
  struct mg_connection *c;  // NULL while the client is away
  struct mg_str id;
  uint32_t expiry;  // seconds that it outlives its connection
  uint64_t heard;   // when something last came, or when the connection ended
  uint16_t keepalive, window;
  struct message *will;
  struct subscription subs[MAX_SUBS];
  size_t num_subs, num_queued, num_held;
  struct queued *queue;
  uint16_t held[MAX_HELD];
};

static struct session *s_sessions;
static struct message *s_retained;
static size_t s_num_retained, s_memory;
static const char *s_user, *s_pass;
static struct mg_tls_opts s_tls;
static bool s_ending;
static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

// ---- messages

static struct message *message_new(struct mg_str topic, struct mg_str data, struct mg_str props, int qos, bool retain) {
  size_t size = sizeof(struct message) + topic.len + data.len + props.len;
  struct message *m = s_memory + size > MAX_MEMORY ? NULL : (struct message *) calloc(1, size);
  if (m != NULL) {
    char *p = (char *) (m + 1);
    m->refs = 1;
    m->size = size;
    m->topic = mg_str_n((char *) memcpy(p, topic.buf, topic.len), topic.len);
    if (data.len > 0) memcpy(p + topic.len, data.buf, data.len);
    m->data = mg_str_n(p + topic.len, data.len);
    if (props.len > 0) memcpy(p + topic.len + data.len, props.buf, props.len);
    m->props = mg_str_n(p + topic.len + data.len, props.len);
    m->qos = (uint8_t) qos;
    m->retain = retain;
    s_memory += size;
  }
  return m;
}

static void message_drop(struct message *m) {
  if (m != NULL && --m->refs == 0) {
    s_memory -= m->size;
    free(m);
  }
}

// ---- output. On a WebSocket each packet becomes a frame of its own.

static void framed(struct mg_connection *c, size_t before) {
  if (c->is_websocket && c->send.len > before) mg_ws_wrap(c, c->send.len - before, WEBSOCKET_OP_BINARY);
}

static void send_packet(struct mg_connection *c, uint8_t cmd, uint8_t flags, const void *body, size_t len) {
  size_t before = c->send.len;
  mg_mqtt_send_header(c, cmd, flags, (uint32_t) len);
  mg_send(c, body, len);
  framed(c, before);
}

static void send_ack(struct mg_connection *c, uint8_t cmd, uint16_t id) {
  uint8_t body[2];
  body[0] = (uint8_t) (id >> 8);
  body[1] = (uint8_t) id;
  send_packet(c, cmd, cmd == MQTT_CMD_PUBREL ? 2 : 0, body, sizeof(body));
}

static uint16_t send_message(struct mg_connection *c, const struct message *m, int qos, bool retain, uint16_t again) {
  struct mg_mqtt_prop props[MAX_PROPS];
  struct mg_mqtt_message mm;
  struct mg_mqtt_opts o;
  size_t before = c->send.len, ofs = 0;
  uint16_t id;
  memset(&mm, 0, sizeof(mm));
  memset(&o, 0, sizeof(o));
  mm.dgram = m->props;
  mm.props_size = m->props.len;
  while (o.num_props < MAX_PROPS && (ofs = mg_mqtt_next_prop(&mm, &props[o.num_props], ofs)) > 0) o.num_props++;
  o.props = props;
  o.topic = m->topic;
  o.message = m->data;
  o.qos = (uint8_t) qos;
  o.retain = retain;
  o.retransmit_id = again;
  id = mg_mqtt_pub(c, &o);
  framed(c, before);
  return id;
}

// ---- queues of QoS 1 messages

static bool is_used(const struct session *s, uint16_t id) {
  const struct queued *q;
  for (q = s->queue; q != NULL; q = q->next) {
    if (q->id == id) return true;
  }
  return false;
}

// Sends what may be sent now.
static void pump(struct session *s) {
  size_t unacked = 0;
  struct queued *q;
  for (q = s->queue; q != NULL && s->c != NULL && unacked < s->window && s->c->send.len < MAX_UNSENT; q = q->next) {
    unacked++;
    if (q->sent) continue;
    // The library counts packet ids for all connections together: those in use by this one are left out.
    while (q->id == 0 && is_used(s, (uint16_t) (s->c->mgr->mqtt_id == 65535 ? 1 : s->c->mgr->mqtt_id + 1))) s->c->mgr->mqtt_id++;
    q->id = send_message(s->c, q->m, 1, q->retain, q->id);
    q->sent = true;
  }
}

static void enqueue(struct session *s, struct message *m, bool retain) {
  struct queued **last = &s->queue, *q;
  if (s->num_queued >= MAX_QUEUED || (q = (struct queued *) calloc(1, sizeof(*q))) == NULL) return;
  while (*last != NULL) last = &(*last)->next;
  q->m = m;
  q->retain = retain;
  m->refs++;
  s->num_queued++;
  *last = q;
  pump(s);
}

static void dequeue(struct session *s, struct queued **at) {
  struct queued *q = *at;
  *at = q->next;
  s->num_queued--;
  message_drop(q->m);
  free(q);
}

static void acknowledged(struct session *s, uint16_t id) {
  struct queued **at = &s->queue;
  while (*at != NULL && !((*at)->sent && (*at)->id == id)) at = &(*at)->next;
  if (*at != NULL) dequeue(s, at);
  pump(s);
}

static void deliver(struct session *s, struct message *m, int qos, bool retain) {
  if (qos > 0 && m->qos > 0) {
    enqueue(s, m, retain);
  } else if (s->c != NULL && s->c->send.len < MAX_UNSENT) {
    send_message(s->c, m, 0, retain, 0);
  }
}

// ---- topics

static struct mg_str level(struct mg_str *s) {
  struct mg_str l = *s;
  char *slash = s->len == 0 ? NULL : (char *) memchr(s->buf, '/', s->len);
  if (slash == NULL) {
    s->buf = NULL;  // it was the last
  } else {
    l.len = (size_t) (slash - s->buf);
    s->buf += l.len + 1;
    s->len -= l.len + 1;
  }
  return l;
}

static bool is_match(struct mg_str filter, struct mg_str topic) {
  if (topic.buf[0] == '$' && filter.buf[0] != '$') return false;  // such topics are not for wildcards
  while (filter.buf != NULL) {
    struct mg_str f = level(&filter), t;
    if (f.len == 1 && f.buf[0] == '#') return true;  // also for the level above
    if (topic.buf == NULL) return false;
    t = level(&topic);
    if (!(f.len == 1 && f.buf[0] == '+') && mg_strcmp(f, t) != 0) return false;
  }
  return topic.buf == NULL;
}

static bool is_topic(struct mg_str s) {
  return s.len > 0 && memchr(s.buf, '+', s.len) == NULL && memchr(s.buf, '#', s.len) == NULL && memchr(s.buf, 0, s.len) == NULL;
}

static bool is_filter(struct mg_str s) {
  bool last = false;
  if (s.len == 0 || memchr(s.buf, 0, s.len) != NULL) return false;
  while (s.buf != NULL) {
    struct mg_str l = level(&s);
    if (last || (l.len > 1 && (memchr(l.buf, '+', l.len) != NULL || memchr(l.buf, '#', l.len) != NULL))) return false;
    last = l.len == 1 && l.buf[0] == '#';
  }
  return true;
}

static void retain(struct message *m) {
  struct message **at = &s_retained;
  while (*at != NULL && mg_strcmp((*at)->topic, m->topic) != 0) at = &(*at)->next;
  if (*at != NULL) {
    struct message *old = *at;
    *at = old->next;
    message_drop(old);
    s_num_retained--;
  }
  if (m->data.len > 0 && s_num_retained < MAX_RETAINED) {
    m->next = s_retained;
    s_retained = m;
    m->refs++;
    s_num_retained++;
  }
}

// To everybody who has subscribed, once, with the best of the matching subscriptions.
static void publish(struct message *m, const struct session *from) {
  struct session *s;
  size_t i;
  if (m->retain) retain(m);
  for (s = s_sessions; s != NULL; s = s->next) {
    int best = -1;
    for (i = 0; i < s->num_subs; i++) {
      struct subscription *sub = &s->subs[i];
      if (sub->options & NO_LOCAL && s == from) continue;
      if ((best < 0 || (sub->options & 3) > (best & 3)) && is_match(sub->filter, m->topic)) best = sub->options;
    }
    if (best >= 0) deliver(s, m, best & 3, m->retain && best & AS_PUBLISHED);
  }
}

// ---- sessions

static void unsubscribe(struct session *s, size_t i) {
  free(s->subs[i].filter.buf);
  s->subs[i] = s->subs[--s->num_subs];
}

static void session_free(struct session *s) {
  struct session **at = &s_sessions;
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  while (s->num_subs > 0) unsubscribe(s, 0);
  while (s->queue != NULL) dequeue(s, &s->queue);
  message_drop(s->will);
  free(s->id.buf);
  free(s);
}

// The connection of a session has ended or is about to. What waits for the client is sent again when it comes back.
static void detach(struct session *s) {
  struct message *will = s->will;
  struct queued *q;
  if (s->c != NULL) s->c->fn_data = NULL;
  s->c = NULL;
  s->will = NULL;
  s->heard = mg_millis();
  for (q = s->queue; q != NULL; q = q->next) q->sent = false;
  if (will != NULL) publish(will, s);
  message_drop(will);
  if (s->expiry == 0) session_free(s);
}

// Ends a connection; version 5 tells the client why.
static void end(struct mg_connection *c, uint8_t reason) {
  if (c->is_mqtt5) send_packet(c, MQTT_CMD_DISCONNECT, 0, &reason, 1);
  c->is_draining = 1;
  if (c->fn_data != NULL) detach((struct session *) c->fn_data);
}

static struct session *session_find(struct mg_str id) {
  struct session *s = s_sessions;
  while (s != NULL && mg_strcmp(s->id, id) != 0) s = s->next;
  return s;
}

static struct session *session_new(struct mg_str id) {
  struct session *s, *oldest = NULL;
  size_t n = 0;
  for (s = s_sessions; s != NULL; s = s->next) {
    n++;
    if (s->c == NULL && (oldest == NULL || s->heard < oldest->heard)) oldest = s;
  }
  if (n >= MAX_SESSIONS && oldest != NULL) session_free(oldest), n--;  // longest away
  if (n >= MAX_SESSIONS || (s = (struct session *) calloc(1, sizeof(*s))) == NULL) return NULL;
  s->id = mg_strdup(id);
  s->next = s_sessions;
  s_sessions = s;
  return s;
}

// ---- reading packets

struct reader {
  const uint8_t *p;
  size_t len;
  bool bad;
};

static struct mg_str get(struct reader *r, size_t n) {
  struct mg_str s = mg_str_n((const char *) r->p, n);
  if (r->len < n) {
    r->bad = true;
    return mg_str_n("", 0);
  }
  r->p += n;
  r->len -= n;
  return s;
}

static unsigned get_number(struct reader *r, size_t bytes) {
  struct mg_str s = get(r, bytes);
  unsigned n = 0;
  size_t i;
  for (i = 0; i < s.len; i++) n = n << 8 | (uint8_t) s.buf[i];
  return n;
}

static struct mg_str get_str(struct reader *r) {
  return get(r, get_number(r, 2));
}

static size_t get_varint(struct reader *r) {
  size_t n = 0, i, b = 128;
  for (i = 0; i < 4 && b & 128; i++) n |= ((b = get_number(r, 1)) & 127) << (7 * i);
  if (b & 128) r->bad = true;
  return n;
}

static struct mg_str get_props(struct reader *r, bool v5) {
  return get(r, v5 ? get_varint(r) : 0);
}

// The body of a packet.
static struct reader body(const struct mg_mqtt_message *mm) {
  struct reader r;
  r.p = (uint8_t *) mm->dgram.buf;
  r.len = mm->dgram.len;
  r.bad = false;
  get(&r, 1);
  get_varint(&r);
  return r;
}

// The number of a property, or `otherwise`. Properties that are malformed make the packet bad.
static uint32_t number_of(struct mg_str props, int id, uint32_t otherwise, bool *bad) {
  struct mg_mqtt_message mm;
  struct mg_mqtt_prop p;
  size_t ofs = 0, next;
  memset(&mm, 0, sizeof(mm));
  mm.dgram = props;
  mm.props_size = props.len;
  while ((next = mg_mqtt_next_prop(&mm, &p, ofs)) > 0) {
    if (p.id == id) otherwise = p.iv;
    ofs = next;
  }
  if (ofs != props.len) *bad = true;
  return otherwise;
}

// ---- packets

static void on_connect(struct mg_connection *c, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_str name = get_str(&r), props, id, will_props, topic, data, user, pass;
  unsigned version = get_number(&r, 1), flags = get_number(&r, 1), keepalive = get_number(&r, 2);
  bool v5 = version == 5, clean = (flags & 2) != 0, present = false;
  uint32_t expiry, window;
  struct message *will = NULL;
  struct session *s;
  uint8_t answer[64], code = 0;
  char random[20];
  size_t n = 0;

  c->is_mqtt5 = v5;  // on a WebSocket the library does not see the packet
  if (mg_strcmp(name, mg_str("MQTT")) != 0 || (version != 4 && version != 5)) {
    send_packet(c, MQTT_CMD_CONNACK, 0, "\0\1", 2);  // unacceptable protocol version
    c->is_draining = 1;
    return;
  }
  props = get_props(&r, v5);
  expiry = number_of(props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, 0, &r.bad);
  window = number_of(props, MQTT_PROP_RECEIVE_MAXIMUM, MAX_UNACKED, &r.bad);
  id = get_str(&r);
  memset(&topic, 0, sizeof(topic));
  data = will_props = topic;
  if (flags & 4) {
    will_props = get_props(&r, v5);
    topic = get_str(&r);
    data = get_str(&r);
  }
  user = flags & 0x80 ? get_str(&r) : mg_str("");
  pass = flags & 0x40 ? get_str(&r) : mg_str("");
  if (r.bad || r.len > 0 || flags & 1 || (flags & 0x18) == 0x18 || (!(flags & 4) && flags & 0x38) || window == 0) {
    end(c, PROTOCOL_ERROR);
    return;
  }
  if (s_user != NULL && (mg_strcmp(user, mg_str(s_user)) != 0 || mg_strcmp(pass, mg_str(s_pass)) != 0)) {
    code = v5 ? BAD_LOGIN : 4;
  } else if ((id.len == 0 && !clean && !v5) || id.len > MAX_NAME) {
    code = v5 ? REFUSED_ID : 2;
  } else if (flags & 4 && (!is_topic(topic) || (will = message_new(topic, data, will_props, flags >> 3 & 3, flags & 0x20)) == NULL)) {
    code = v5 ? BAD_TOPIC : 3;
  } else {
    if (id.len == 0) id = mg_str_n(mg_random_str(random, sizeof(random)), 19);
    s = session_find(id);
    if (s != NULL && s->c != NULL) {
      // The same client from elsewhere: the old connection ends. Without a life of its own the session goes with it.
      end(s->c, TAKEN_OVER);
      s = session_find(id);
    }
    if (s != NULL && clean) {
      session_free(s);
      s = NULL;
    }
    present = s != NULL;
    if (s == NULL && (s = session_new(id)) == NULL) code = v5 ? QUOTA : 3;
  }
  answer[n++] = present;
  answer[n++] = code;
  if (v5) {
    size_t len = code == 0 && id.buf == random ? 3 + id.len : 0;
    answer[n++] = (uint8_t) (len + 9);
    memcpy(answer + n, "\x29\0\x2a\0\x27\0\x10\0\0", 9);  // no subscription ids, no sharing, packets up to MAX_PACKET
    n += 9;
    if (len > 0) {
      answer[n++] = MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER;
      answer[n++] = 0;
      answer[n++] = (uint8_t) id.len;
      memcpy(answer + n, id.buf, id.len);
      n += id.len;
    }
  }
  send_packet(c, MQTT_CMD_CONNACK, 0, answer, n);
  if (code != 0) {
    message_drop(will);
    c->is_draining = 1;
    return;
  }
  s->c = c;
  s->will = will;
  s->keepalive = (uint16_t) keepalive;
  s->heard = mg_millis();
  s->expiry = v5 ? expiry : clean ? 0 : UINT32_MAX;
  s->window = (uint16_t) (window < MAX_UNACKED ? window : MAX_UNACKED);
  c->fn_data = s;
  pump(s);
}

static void on_publish(struct session *s, struct mg_mqtt_message *mm) {
  struct mg_str props = mg_str_n(mm->dgram.buf + mm->props_start, mm->props_size);
  uint8_t first = (uint8_t) mm->dgram.buf[0];
  struct message *m;
  bool bad = false;
  number_of(props, 0, 0, &bad);
  if (!is_topic(mm->topic)) {
    end(s->c, BAD_TOPIC);
    return;
  }
  if (bad || (mm->qos > 0 && mm->id == 0)) {
    end(s->c, PROTOCOL_ERROR);
    return;
  }
  if (mm->qos == 2) {
    size_t i = 0;
    while (i < s->num_held && s->held[i] != mm->id) i++;
    if (i < s->num_held) return;  // sent again: it was delivered before
    if (i == MAX_HELD) {
      end(s->c, TOO_MANY);
      return;
    }
    s->held[s->num_held++] = mm->id;
  }
  if ((m = message_new(mm->topic, mm->data, props, mm->qos, first & 1)) == NULL) {
    MG_ERROR(("out of memory for messages"));
    return;
  }
  publish(m, s);
  message_drop(m);
}

static void on_released(struct session *s, uint16_t id) {
  size_t i;
  for (i = 0; i < s->num_held; i++) {
    if (s->held[i] == id) s->held[i] = s->held[--s->num_held];
  }
}

// Adds or replaces a subscription. Returns the code for SUBACK.
static uint8_t subscribe(struct session *s, struct mg_str filter, uint8_t options, bool *is_new) {
  size_t i = 0;
  bool v5 = s->c->is_mqtt5;
  if (filter.len > 7 && memcmp(filter.buf, "$share/", 7) == 0) return (uint8_t) (v5 ? NO_SHARING : 0x80);
  while (i < s->num_subs && mg_strcmp(s->subs[i].filter, filter) != 0) i++;
  *is_new = i == s->num_subs;
  if (i == MAX_SUBS || filter.len > MAX_NAME) return (uint8_t) (v5 ? QUOTA : 0x80);
  if (*is_new) {
    s->subs[i].filter = mg_strdup(filter);
    s->num_subs++;
  }
  if ((options & 3) == 2) options = (options & ~3) | 1;
  s->subs[i].options = options;
  return options & 3;
}

static void on_subscribe(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm), again;
  struct mg_connection *c = s->c;
  uint8_t codes[3 + MAX_SUBS], fresh[MAX_SUBS];
  size_t n = 0, head, i;
  bool v5 = c->is_mqtt5;
  struct message *m, *next;

  get(&r, 2);
  number_of(get_props(&r, v5), 0, 0, &r.bad);
  again = r;
  codes[0] = (uint8_t) (mm->id >> 8);
  codes[1] = (uint8_t) mm->id;
  codes[2] = 0;  // no properties
  head = v5 ? 3 : 2;
  do {
    struct mg_str filter = get_str(&r);
    uint8_t options = (uint8_t) get_number(&r, 1);
    bool is_new = false;
    if (r.bad || !is_filter(filter) || (options & 3) == 3 || (options & (v5 ? 0xc0 : 0xfc)) || n == MAX_SUBS) {
      end(c, BAD_FILTER);
      return;
    }
    codes[head + n] = subscribe(s, filter, options, &is_new);
    fresh[n++] = is_new;
  } while (r.len > 0);
  send_packet(c, MQTT_CMD_SUBACK, 0, codes, head + n);
  for (i = 0; i < n; i++) {
    struct mg_str filter = get_str(&again);
    unsigned handling = get_number(&again, 1) >> 4;
    if (codes[head + i] > 2 || handling == 2 || (handling == 1 && !fresh[i])) continue;
    for (m = s_retained; m != NULL; m = next) {
      next = m->next;
      if (is_match(filter, m->topic)) deliver(s, m, codes[head + i], true);
    }
  }
}

static void on_unsubscribe(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_connection *c = s->c;
  uint8_t codes[3 + MAX_SUBS];
  size_t n = 0;
  bool v5 = c->is_mqtt5;

  get(&r, 2);
  number_of(get_props(&r, v5), 0, 0, &r.bad);
  codes[n++] = (uint8_t) (mm->id >> 8);
  codes[n++] = (uint8_t) mm->id;
  if (v5) codes[n++] = 0;
  do {
    struct mg_str filter = get_str(&r);
    size_t i = 0;
    if (r.bad || n == sizeof(codes)) {
      end(c, PROTOCOL_ERROR);
      return;
    }
    while (i < s->num_subs && mg_strcmp(s->subs[i].filter, filter) != 0) i++;
    if (v5) codes[n++] = i < s->num_subs ? 0 : 0x11;  // there was no such subscription
    if (i < s->num_subs) unsubscribe(s, i);
  } while (r.len > 0);
  send_packet(c, MQTT_CMD_UNSUBACK, 0, codes, n);
}

static void on_disconnect(struct session *s, struct mg_mqtt_message *mm) {
  struct reader r = body(mm);
  struct mg_connection *c = s->c;
  unsigned reason = r.len > 0 ? get_number(&r, 1) : 0;
  if (c->is_mqtt5 && r.len > 0) s->expiry = number_of(get_props(&r, true), MQTT_PROP_SESSION_EXPIRY_INTERVAL, s->expiry, &r.bad);
  if (reason != 4) {  // 4: with will
    message_drop(s->will);
    s->will = NULL;
  }
  c->is_draining = 1;
  detach(s);
}

static void on_packet(struct mg_connection *c, struct mg_mqtt_message *mm) {
  struct session *s = (struct session *) c->fn_data;
  if (c->send.len > 3 * MAX_UNSENT) {
    c->is_closing = 1;  // asks and asks, and does not read the answers
  } else if (mm->dgram.len > MAX_PACKET) {
    end(c, TOO_LARGE);
  } else if ((s == NULL) != (mm->cmd == MQTT_CMD_CONNECT)) {
    end(c, PROTOCOL_ERROR);  // the first packet and only the first is a login
  } else if (s == NULL) {
    on_connect(c, mm);
  } else {
    s->heard = mg_millis();
    if (mm->cmd == MQTT_CMD_PUBLISH) on_publish(s, mm);
    else if (mm->cmd == MQTT_CMD_PUBACK) acknowledged(s, mm->id);
    else if (mm->cmd == MQTT_CMD_PUBREL) on_released(s, mm->id);
    else if (mm->cmd == MQTT_CMD_SUBSCRIBE) on_subscribe(s, mm);
    else if (mm->cmd == MQTT_CMD_UNSUBSCRIBE) on_unsubscribe(s, mm);
    else if (mm->cmd == MQTT_CMD_PINGREQ) send_packet(c, MQTT_CMD_PINGRESP, 0, "", 0);
    else if (mm->cmd == MQTT_CMD_DISCONNECT) on_disconnect(s, mm);
    else end(c, PROTOCOL_ERROR);
  }
}

// ---- connections

// What c->data holds.
struct input {
  uint64_t since;            // when the connection was accepted
  struct mg_iobuf *partial;  // a packet may lie in several WebSocket messages, and a message may hold several packets
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
    if (rc == MQTT_MALFORMED || in->partial->len > MAX_PACKET + MG_IO_SIZE) end(c, PROTOCOL_ERROR);
    if (rc != MQTT_OK) break;
    // What the library does on a TCP connection.
    if (mm.cmd == MQTT_CMD_PUBLISH && mm.qos > 0) send_ack(c, mm.qos == 1 ? MQTT_CMD_PUBACK : MQTT_CMD_PUBREC, mm.id);
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
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);  // the library agrees to the protocol `mqtt`
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
    if (s != NULL) {
      if (s_ending) message_drop(s->will), s->will = NULL;
      detach(s);
    }
  }
}

// Once a second: who is silent, who has not logged in, whose session is over?
static void tick(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  struct mg_connection *c;
  struct session *s, *next;
  uint64_t now = mg_millis();
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->is_accepted && c->fn_data == NULL && !c->is_draining && now - input_of(c)->since > LOGIN_SECONDS * 1000) c->is_closing = 1;
    if ((s = (struct session *) c->fn_data) != NULL && s->keepalive > 0 && now - s->heard > s->keepalive * 1500ULL) end(c, SILENT);
  }
  for (s = s_sessions; s != NULL; s = next) {
    next = s->next;
    if (s->c == NULL && s->expiry != UINT32_MAX && now - s->heard > s->expiry * 1000ULL) session_free(s);
  }
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

static int usage(const char *program) {
  fprintf(stderr,
          "usage: %s [-u USER -P PASSWORD] [-c CERT -k KEY] [URL...]     default mqtt://0.0.0.0:1883; http:// for WebSocket;\n"
          "       mqtts:// and https:// with CERT and KEY\n",
          program);
  return 2;
}

static bool read_file(const char *path, struct mg_str *to) {
  *to = mg_file_read(&mg_fs_posix, path);
  if (to->buf == NULL) fprintf(stderr, "cannot read %s\n", path);
  return to->buf != NULL;
}

int main(int argc, char **argv) {
  static const char *urls[] = {"mqtt://0.0.0.0:1883"};
  const char **url = urls, *cert = NULL, *key = NULL;
  struct mg_mgr mgr;
  int opt, i, n;

  while ((opt = getopt(argc, argv, "u:P:c:k:")) != -1) {
    if (opt == 'u') s_user = optarg;
    else if (opt == 'P') s_pass = optarg;
    else if (opt == 'c') cert = optarg;
    else if (opt == 'k') key = optarg;
    else return usage(argv[0]);
  }
  if ((s_user == NULL) != (s_pass == NULL) || (cert == NULL) != (key == NULL)) return usage(argv[0]);
  n = argc - optind;
  if (n > 0) url = (const char **) argv + optind;
  for (i = 0; i < n; i++) {
    if (cert == NULL && mg_url_is_ssl(url[i])) return usage(argv[0]);
  }
  if (cert != NULL && (!read_file(cert, &s_tls.cert) || !read_file(key, &s_tls.key))) return 1;
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT, tick, &mgr);
  for (i = 0; i < (n > 0 ? n : 1); i++) {
    bool http = strncmp(url[i], "http", 4) == 0;
    struct mg_connection *l = http ? mg_http_listen(&mgr, url[i], handler, NULL) : mg_mqtt_listen(&mgr, url[i], handler, NULL);
    if (l == NULL) {
      fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url[i]);
      mg_mgr_free(&mgr);
      return 1;
    }
    printf("%s%s://localhost:%u\n", http ? "ws" : "mqtt", l->is_tls ? "s" : "", mg_ntohs(l->loc.port));
  }
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  say_goodbye(&mgr);
  mg_mgr_free(&mgr);
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
