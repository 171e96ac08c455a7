// Reading and writing MQTT packets.

#ifndef MQTT_SERVER_PACKET_H
#define MQTT_SERVER_PACKET_H

#include "mongoose.h"

// Reason codes of version 5.
enum {
  PROTOCOL_ERROR = 0x82,
  REFUSED = 0x87,
  REFUSED_ID = 0x85,
  BAD_LOGIN = 0x86,
  SHUTTING_DOWN = 0x8b,
  BAD_METHOD = 0x8c,
  SILENT = 0x8d,
  TAKEN_OVER = 0x8e,
  BAD_FILTER = 0x8f,
  BAD_TOPIC = 0x90,
  TOO_MANY = 0x93,
  BAD_ALIAS = 0x94,
  TOO_LARGE = 0x95,
  QUOTA = 0x97
};

// ---- reading. Reads beyond the end return nothing and mark the reader as bad.

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

static uint32_t get_number(struct reader *r, size_t bytes) {
  struct mg_str s = get(r, bytes);
  uint32_t n = 0;
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

// The body of a packet.
static struct reader body(const struct mg_mqtt_message *mm) {
  struct reader r;
  r.p = (const uint8_t *) mm->dgram.buf;
  r.len = mm->dgram.len;
  r.bad = false;
  get(&r, 1);
  get_varint(&r);
  return r;
}

// ---- properties

// Both versions require UTF-8 strings, without the character 0 and without surrogates.
static bool is_text(struct mg_str s) {
  const uint8_t *p = (const uint8_t *) s.buf;
  size_t i = 0, n;
  while (i < s.len) {
    uint8_t b = p[i];
    // The first byte determines how many follow, and the range of the second, which excludes overlong forms.
    uint8_t low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : 0x80, high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : 0xbf;
    if (b == 0 || (b >= 0x80 && b < 0xc2) || b > 0xf4) return false;
    n = b < 0x80 ? 0 : b < 0xe0 ? 1 : b < 0xf0 ? 2 : 3;
    if (s.len - i <= n || (n > 0 && (p[i + 1] < low || p[i + 1] > high))) return false;
    for (i += 1 + (n > 0); n > 1; n--, i++) {
      if ((p[i] & 0xc0) != 0x80) return false;
    }
  }
  return true;
}

static struct mg_str get_props(struct reader *r, bool v5) {
  return get(r, v5 ? get_varint(r) : 0);
}

// The next property, from `ofs` on. 0 after the last one; if `ofs` is not the end then, they are malformed.
static size_t next_prop(struct mg_str props, struct mg_mqtt_prop *p, size_t ofs) {
  struct mg_mqtt_message mm;
  memset(&mm, 0, sizeof(mm));
  mm.dgram = props;
  mm.props_size = props.len;
  return mg_mqtt_next_prop(&mm, p, ofs);
}

static bool is_binary(uint8_t id) {
  return id == MQTT_PROP_CORRELATION_DATA || id == MQTT_PROP_AUTHENTICATION_DATA;
}

// Whether all properties are in the zero-terminated list `allowed`, each at most once except user properties.
static bool are_props(struct mg_str props, const uint8_t *allowed) {
  bool seen[256];
  struct mg_mqtt_prop p;
  size_t ofs = 0, next;
  memset(seen, 0, sizeof(seen));
  while ((next = next_prop(props, &p, ofs)) > 0) {
    const uint8_t *a = allowed;
    while (*a != 0 && *a != p.id) a++;
    if (*a == 0 || (seen[p.id] && p.id != MQTT_PROP_USER_PROPERTY)) return false;
    if (!is_text(p.key) || (!is_binary(p.id) && !is_text(p.val))) return false;
    seen[p.id] = true;
    ofs = next;
  }
  return ofs == props.len;
}

// The number in a property, or `otherwise`.
static uint32_t number_of(struct mg_str props, int id, uint32_t otherwise) {
  struct mg_mqtt_prop p;
  size_t ofs = 0;
  while ((ofs = next_prop(props, &p, ofs)) > 0) {
    if (p.id == id) return p.iv;
  }
  return otherwise;
}

static bool has_prop(struct mg_str props, int id) {
  struct mg_mqtt_prop p;
  size_t ofs = 0;
  while ((ofs = next_prop(props, &p, ofs)) > 0) {
    if (p.id == id) return true;
  }
  return false;
}

// ---- writing. The caller provides enough space; a varint takes at most four bytes.

static uint8_t *put_number(uint8_t *to, uint32_t n, int bytes) {
  while (bytes-- > 0) *to++ = (uint8_t) (n >> (8 * bytes));
  return to;
}

static uint8_t *put_varint(uint8_t *to, size_t n) {
  for (; n > 127; n >>= 7) *to++ = (uint8_t) (n | 128);
  *to++ = (uint8_t) n;
  return to;
}

static uint8_t *put_prop(uint8_t *to, uint8_t id, uint32_t n, int bytes) {
  *to++ = id;
  return put_number(to, n, bytes);
}

// ---- sending. On a WebSocket each packet is a separate frame.

static void framed(struct mg_connection *c, size_t before) {
  if (c->is_websocket && c->send.len > before) mg_ws_wrap(c, c->send.len - before, WEBSOCKET_OP_BINARY);
}

static void send_packet(struct mg_connection *c, uint8_t cmd, uint8_t flags, const void *data, size_t len) {
  size_t before = c->send.len;
  mg_mqtt_send_header(c, cmd, flags, (uint32_t) len);
  mg_send(c, data, len);
  framed(c, before);
}

static void send_ack(struct mg_connection *c, uint8_t cmd, uint16_t id) {
  uint8_t data[2];
  put_number(data, id, 2);
  send_packet(c, cmd, cmd == MQTT_CMD_PUBREL ? 2 : 0, data, sizeof(data));
}

#endif
