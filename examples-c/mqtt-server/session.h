// Messages, sessions, and which message goes to whom.

#ifndef MQTT_SERVER_SESSION_H
#define MQTT_SERVER_SESSION_H

#include "packet.h"
#include "topic.h"

#define MAX_SESSIONS 1000              // connected or not
#define MAX_SUBS 50                    // of one session
#define MAX_QUEUED 1000                // messages queued for one session
#define MAX_UNACKED 20                 // of these, sent but not acknowledged
#define MAX_HELD 100                   // QoS 2 messages that one client has not released: its receive maximum
#define MAX_ALIASES 16                 // topic aliases of one connection, in each direction
#define MAX_MEMORY (64 * 1024 * 1024)  // all messages together: retained, queued, wills
#define MAX_RETAINED 10000
#define MAX_UNSENT (1024 * 1024)  // most bytes queued for a client that does not read

enum { NO_LOCAL = 4, AS_PUBLISHED = 8 };  // bits of subscription options

#define NEVER UINT64_MAX

struct message {
  struct message *next;  // on the list of retained messages
  size_t refs, size;
  int64_t row;       // in the store; 0: none
  uint64_t expires;  // in milliseconds of mg_millis
  struct mg_str topic, data, props;
  uint8_t qos;
  bool retain;
};

// A message with QoS 1 or 2 in flight to a client. With QoS 2 the client first stores it (PUBREC), then PUBREL releases it.
enum state { WAITING, SENT, TAKEN };

struct queued {
  struct queued *next;
  struct message *m;
  int64_t row;
  uint16_t id;
  uint8_t qos, state;
  bool retain, lost;  // lost: its connection has closed, so it must be resent
  size_t num_ids;
  uint32_t *ids;  // of the subscriptions, stored after this struct
};

struct subscription {
  struct mg_str filter;
  uint32_t id;  // 0: none
  uint8_t options;
  uint64_t chosen;  // when it last received a message of its group
  uint64_t message;  // the last one that its group was considered for
};

struct session {
  struct session *next;
  struct mg_connection *c;  // NULL while the client is offline
  int64_t row;
  struct mg_str id;
  uint32_t expiry;  // seconds that it outlives its connection
  uint64_t ends;    // when it expires
  uint64_t heard;   // when data last arrived, or when the connection closed
  uint32_t max_packet;
  uint16_t keepalive, window, next_id;
  struct message *will;
  uint32_t will_delay;  // seconds
  uint64_t will_at;
  struct subscription subs[MAX_SUBS];
  size_t num_subs, num_queued, num_held;
  struct queued *queue, **last;
  uint16_t held[MAX_HELD];
  struct mg_str heard_as[MAX_ALIASES], said_as[MAX_ALIASES];  // topics: alias 1 is the first
  uint16_t max_said;                                          // aliases that the client understands
};

static struct session *s_sessions;
static struct message *s_retained;
static size_t s_num_retained, s_memory;
static uint64_t s_num_published;
static bool s_ending;  // the broker is shutting down

// See store.h: what survives a restart.
static void store_session(struct session *s);
static void store_forget_session(struct session *s);
static void store_subscription(struct session *s, const struct subscription *sub);
static void store_forget_subscription(struct session *s, const struct subscription *sub);
static void store_queued(struct session *s, struct queued *q);
static void store_forget_queued(struct queued *q);
static void store_held(struct session *s, uint16_t id, bool held);
static void store_retained(struct message *m);
static void store_forget_retained(struct message *m);
static void store_forget_message(struct message *m);

// ---- messages

// NULL if there is no room. Removes per-connection properties from `props`, and the expiry, which is tracked here.
static struct message *message_new(struct mg_str topic, struct mg_str data, struct mg_str props, int qos, bool retain) {
  size_t size = sizeof(struct message) + topic.len + data.len + props.len, ofs = 0, next;
  struct message *m = s_memory + size > MAX_MEMORY ? NULL : (struct message *) calloc(1, size);
  if (m != NULL) {
    char *p = (char *) (m + 1);
    struct mg_mqtt_prop prop;
    m->refs = 1;
    m->size = size;
    m->topic = mg_str_n((char *) memcpy(p, topic.buf, topic.len), topic.len);
    if (data.len > 0) memcpy(p + topic.len, data.buf, data.len);
    m->data = mg_str_n(p + topic.len, data.len);
    m->props = mg_str_n(p + topic.len + data.len, 0);
    m->expires = NEVER;
    for (; (next = next_prop(props, &prop, ofs)) > 0; ofs = next) {
      if (prop.id == MQTT_PROP_MESSAGE_EXPIRY_INTERVAL) {
        m->expires = mg_millis() + prop.iv * 1000ULL;
      } else if (prop.id != MQTT_PROP_TOPIC_ALIAS && prop.id != MQTT_PROP_WILL_DELAY_INTERVAL) {
        memcpy(m->props.buf + m->props.len, props.buf + ofs, next - ofs);
        m->props.len += next - ofs;
      }
    }
    m->qos = (uint8_t) qos;
    m->retain = retain;
    s_memory += size;
  }
  return m;
}

static void message_drop(struct message *m) {
  if (m != NULL && --m->refs == 0) {
    store_forget_message(m);
    s_memory -= m->size;
    free(m);
  }
}

static bool is_expired(const struct message *m) {
  return m->expires != NEVER && m->expires <= mg_millis();
}

// ---- sending to a client

static void alias_set(struct mg_str *alias, struct mg_str topic) {
  free(alias->buf);
  *alias = mg_strdup(topic);
}

static void aliases_free(struct session *s) {
  size_t i;
  for (i = 0; i < MAX_ALIASES; i++) {
    alias_set(&s->heard_as[i], mg_str_n(NULL, 0));
    alias_set(&s->said_as[i], mg_str_n(NULL, 0));
  }
}

// The alias of a topic, a new one while any are left; 0: none. `*known`: the client knows it.
static uint16_t alias_of(struct session *s, struct mg_str topic, bool *known) {
  uint16_t i;
  for (i = 0; i < s->max_said; i++) {
    *known = s->said_as[i].buf != NULL;
    if (!*known) alias_set(&s->said_as[i], topic);
    if (mg_strcmp(s->said_as[i], topic) == 0) return (uint16_t) (i + 1);
  }
  *known = false;
  return 0;
}

static size_t varint_size(size_t n) {
  uint8_t to[5];
  return (size_t) (put_varint(to, n) - to);
}

// Sends a PUBLISH packet. False if the client does not accept packets of this size.
static bool send_message(struct session *s, const struct message *m, const struct queued *q, bool retain, const uint32_t *ids, size_t num_ids) {
  struct mg_connection *c = s->c;
  // The expiry, the alias, and the ids of the subscriptions.
  uint8_t number[4], props[5 + 3 + 5 * MAX_SUBS], *p = props;
  uint8_t flags = (uint8_t) ((q == NULL ? 0 : q->qos << 1) | retain | (q != NULL && q->lost ? 8 : 0));
  size_t before = c->send.len, len = 2 + m->topic.len + (q == NULL ? 0 : 2) + m->data.len, num_props = 0, i;
  struct mg_str topic = m->topic;
  if (c->is_mqtt5) {
    if (m->expires != NEVER) {
      uint64_t now = mg_millis();
      p = put_prop(p, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL, m->expires > now ? (uint32_t) ((m->expires - now + 999) / 1000) : 0, 4);
    }
    for (i = 0; i < num_ids; i++) {
      *p++ = MQTT_PROP_SUBSCRIPTION_IDENTIFIER;
      p = put_varint(p, ids[i]);
    }
    num_props = (size_t) (p - props) + m->props.len;
    i = len + varint_size(num_props) + num_props;
    if (1 + varint_size(i) + i > s->max_packet) return false;
    if (s->max_said > 0 && len + num_props + 12 <= s->max_packet) {
      bool known;
      uint16_t alias = alias_of(s, topic, &known);
      if (alias > 0) p = put_prop(p, MQTT_PROP_TOPIC_ALIAS, alias, 2), num_props += 3;
      if (known) len -= topic.len, topic.len = 0;
    }
    len += varint_size(num_props) + num_props;
  }
  mg_mqtt_send_header(c, MQTT_CMD_PUBLISH, flags, (uint32_t) len);
  put_number(number, (uint32_t) topic.len, 2);
  mg_send(c, number, 2);
  mg_send(c, topic.buf, topic.len);
  if (q != NULL) {
    put_number(number, q->id, 2);
    mg_send(c, number, 2);
  }
  if (c->is_mqtt5) {
    mg_send(c, number, (size_t) (put_varint(number, num_props) - number));
    mg_send(c, props, (size_t) (p - props));
    mg_send(c, m->props.buf, m->props.len);
  }
  mg_send(c, m->data.buf, m->data.len);
  framed(c, before);
  return true;
}

// ---- queues

static void dequeue(struct session *s, struct queued **at) {
  struct queued *q = *at;
  *at = q->next;
  if (s->last == &q->next) s->last = at;
  s->num_queued--;
  store_forget_queued(q);
  message_drop(q->m);
  free(q);
}

static bool is_used(const struct session *s, uint16_t id) {
  const struct queued *q;
  for (q = s->queue; q != NULL && q->state != WAITING; q = q->next) {
    if (q->id == id) return true;
  }
  return false;
}

// Sends what may be sent now. Messages in flight precede those that wait.
static void pump(struct session *s) {
  size_t unacked = 0;
  struct queued **at = &s->queue, *q;
  while ((q = *at) != NULL && s->c != NULL && unacked < s->window && s->c->send.len < MAX_UNSENT) {
    if (q->state == WAITING && is_expired(q->m)) {
      dequeue(s, at);
      continue;
    }
    if (q->state == TAKEN && q->lost) {
      send_ack(s->c, MQTT_CMD_PUBREL, q->id);
    } else if (q->state == WAITING || q->lost) {
      if (q->state == WAITING) {
        do s->next_id = (uint16_t) (s->next_id == 65535 ? 1 : s->next_id + 1);
        while (is_used(s, s->next_id));
        q->id = s->next_id;
        q->state = SENT;
      }
      if (!send_message(s, q->m, q, q->retain, q->ids, q->num_ids)) {
        dequeue(s, at);
        continue;
      }
      store_queued(s, q);
    }
    q->lost = false;
    unacked++;
    at = &q->next;
  }
}

static struct queued *enqueue(struct session *s, struct message *m, int qos, bool retain, const uint32_t *ids, size_t num_ids) {
  struct queued *q = (struct queued *) calloc(1, sizeof(*q) + num_ids * sizeof(*ids));
  if (q == NULL) return NULL;
  q->m = m;
  q->qos = (uint8_t) qos;
  q->retain = retain;
  q->ids = (uint32_t *) (q + 1);
  q->num_ids = num_ids;
  if (num_ids > 0) memcpy(q->ids, ids, num_ids * sizeof(*ids));
  m->refs++;
  s->num_queued++;
  if (s->last == NULL) s->last = &s->queue;
  *s->last = q;
  s->last = &q->next;
  return q;
}

static void deliver(struct session *s, struct message *m, int qos, bool retain, const uint32_t *ids, size_t num_ids) {
  if (qos > m->qos) qos = m->qos;
  if (qos > 0) {
    struct queued *q = s->num_queued >= MAX_QUEUED ? NULL : enqueue(s, m, qos, retain, ids, num_ids);
    if (q == NULL) return;
    store_queued(s, q);
    pump(s);
  } else if (s->c != NULL && s->c->send.len < MAX_UNSENT) {
    send_message(s, m, NULL, retain, ids, num_ids);
  }
}

// The client has acknowledged a message. PUBREC completes it only if it refuses it.
static void acknowledged(struct session *s, uint8_t cmd, uint16_t id, bool refused) {
  struct queued **at = &s->queue;
  while (*at != NULL && !((*at)->id == id && (*at)->state != WAITING)) at = &(*at)->next;
  if (*at == NULL || (cmd == MQTT_CMD_PUBACK) != ((*at)->qos == 1)) return;
  if (cmd == MQTT_CMD_PUBREC && !refused) {
    (*at)->state = TAKEN;
    store_queued(s, *at);
  } else {
    dequeue(s, at);
  }
  pump(s);
}

// ---- matching subscribers

static void forget_retained(struct message **at) {
  struct message *m = *at;
  *at = m->next;
  s_num_retained--;
  store_forget_retained(m);
  message_drop(m);
}

static void retain(struct message *m) {
  struct message **at = &s_retained;
  while (*at != NULL && mg_strcmp((*at)->topic, m->topic) != 0) at = &(*at)->next;
  if (*at != NULL) forget_retained(at);
  if (m->data.len > 0 && s_num_retained < MAX_RETAINED) {
    m->next = s_retained;
    s_retained = m;
    m->refs++;
    s_num_retained++;
    store_retained(m);
  }
}

// A shared subscription: its members take turns, connected ones first.
static void deliver_shared(struct mg_str filter, struct message *m) {
  struct session *s, *who = NULL;
  struct subscription *with = NULL;
  size_t i;
  for (s = s_sessions; s != NULL; s = s->next) {
    for (i = 0; i < s->num_subs; i++) {
      struct subscription *sub = &s->subs[i];
      if (mg_strcmp(sub->filter, filter) != 0) continue;
      sub->message = s_num_published;
      if (who == NULL || (s->c != NULL && who->c == NULL) || ((s->c == NULL) == (who->c == NULL) && sub->chosen < with->chosen)) {
        who = s;
        with = sub;
      }
    }
  }
  if (who == NULL) return;
  with->chosen = s_num_published;
  deliver(who, m, with->options & 3, m->retain && with->options & AS_PUBLISHED, &with->id, with->id > 0);
}

// Delivers to every subscriber once, with the best of the matching subscriptions and the ids of all.
static void publish(struct message *m, const struct session *from) {
  struct session *s;
  size_t i;
  s_num_published++;
  if (m->retain) retain(m);
  for (s = s_sessions; s != NULL; s = s->next) {
    uint32_t ids[MAX_SUBS];
    size_t num_ids = 0;
    int best = -1;
    for (i = 0; i < s->num_subs; i++) {
      struct subscription *sub = &s->subs[i];
      if ((sub->options & NO_LOCAL && s == from) || !is_match(selection(sub->filter), m->topic)) continue;
      if (is_shared(sub->filter)) {
        if (sub->message != s_num_published) deliver_shared(sub->filter, m);
        continue;
      }
      if (best < 0 || (sub->options & 3) > (best & 3)) best = sub->options;
      if (sub->id > 0) ids[num_ids++] = sub->id;
    }
    if (best >= 0) deliver(s, m, best & 3, m->retain && best & AS_PUBLISHED, ids, num_ids);
  }
}

static void send_retained(struct session *s, struct subscription sub) {
  struct message **at = &s_retained, *m;
  while ((m = *at) != NULL) {
    if (is_expired(m)) {
      forget_retained(at);
      continue;
    }
    if (is_match(sub.filter, m->topic)) deliver(s, m, sub.options & 3, true, &sub.id, sub.id > 0);
    at = &m->next;
  }
}

// ---- sessions

static struct session *session_find(struct mg_str id) {
  struct session *s = s_sessions;
  while (s != NULL && mg_strcmp(s->id, id) != 0) s = s->next;
  return s;
}

static struct subscription *subscription_find(struct session *s, struct mg_str filter) {
  size_t i;
  for (i = 0; i < s->num_subs; i++) {
    if (mg_strcmp(s->subs[i].filter, filter) == 0) return &s->subs[i];
  }
  return NULL;
}

static void unsubscribe(struct session *s, struct subscription *sub) {
  store_forget_subscription(s, sub);
  free(sub->filter.buf);
  *sub = s->subs[--s->num_subs];
}

static void send_will(struct session *s) {
  struct message *will = s->will;
  s->will = NULL;
  if (will != NULL && !s_ending) {
    if (will->expires != NEVER) will->expires += mg_millis() - s->heard;  // counts from now
    publish(will, s);
  }
  message_drop(will);
}

static void session_free(struct session *s) {
  struct session **at = &s_sessions;
  send_will(s);
  while (*at != s) at = &(*at)->next;
  *at = s->next;
  store_forget_session(s);
  while (s->num_subs > 0) unsubscribe(s, &s->subs[0]);
  while (s->queue != NULL) dequeue(s, &s->queue);
  aliases_free(s);
  free(s->id.buf);
  free(s);
}

// NULL if there are too many and all are in use.
static struct session *session_new(struct mg_str id) {
  struct session *s, *oldest = NULL;
  size_t n = 0;
  for (s = s_sessions; s != NULL; s = s->next) {
    n++;
    if (s->c == NULL && (oldest == NULL || s->heard < oldest->heard)) oldest = s;
  }
  if (n >= MAX_SESSIONS && oldest != NULL) session_free(oldest), n--;  // the one offline for longest
  if (n >= MAX_SESSIONS || (s = (struct session *) calloc(1, sizeof(*s))) == NULL) return NULL;
  s->id = mg_strdup(id);
  s->ends = NEVER;
  s->next = s_sessions;
  s_sessions = s;
  return s;
}

// The connection of a session has closed or is about to. Messages in flight are resent when the client reconnects.
static void detach(struct session *s) {
  struct queued *q;
  if (s->c != NULL) s->c->fn_data = NULL;
  s->c = NULL;
  s->heard = mg_millis();
  s->ends = s->expiry == UINT32_MAX ? NEVER : s->heard + s->expiry * 1000ULL;
  s->will_at = s->heard + s->will_delay * 1000ULL;
  for (q = s->queue; q != NULL && q->state != WAITING; q = q->next) q->lost = true;
  aliases_free(s);
  if (s->will_delay == 0) send_will(s);
  if (s->expiry == 0) session_free(s);
  else store_session(s);
}

// Sends delayed wills, and drops expired sessions and retained messages.
static void sessions_tick(void) {
  struct session *s, *next;
  struct message **at = &s_retained;
  uint64_t now = mg_millis();
  for (s = s_sessions; s != NULL; s = next) {
    next = s->next;
    if (s->c != NULL) continue;
    if (s->will != NULL && now >= s->will_at) send_will(s);
    if (now >= s->ends) session_free(s);
  }
  while (*at != NULL) {
    if (is_expired(*at)) forget_retained(at);
    else at = &(*at)->next;
  }
}

#endif
