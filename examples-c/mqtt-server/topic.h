// Topics, and the filters that choose among them.

#ifndef MQTT_SERVER_TOPIC_H
#define MQTT_SERVER_TOPIC_H

#include "mongoose.h"
#include "packet.h"

// Removes the first level.
static struct mg_str level(struct mg_str *s) {
  struct mg_str l = *s;
  char *slash = s->len == 0 ? NULL : (char *) memchr(s->buf, '/', s->len);
  if (slash == NULL) {
    s->buf = NULL;  // that was the last one
  } else {
    l.len = (size_t) (slash - s->buf);
    s->buf += l.len + 1;
    s->len -= l.len + 1;
  }
  return l;
}

static bool is_match(struct mg_str filter, struct mg_str topic) {
  if (topic.buf[0] == '$' && filter.buf[0] != '$') return false;  // wildcards do not match these topics
  while (filter.buf != NULL) {
    struct mg_str f = level(&filter), t;
    if (f.len == 1 && f.buf[0] == '#') return true;  // matches the parent level too
    if (topic.buf == NULL) return false;
    t = level(&topic);
    if (!(f.len == 1 && f.buf[0] == '+') && mg_strcmp(f, t) != 0) return false;
  }
  return topic.buf == NULL;
}

static bool has_char(struct mg_str s, int c) {
  return memchr(s.buf, c, s.len) != NULL;
}

static bool is_topic(struct mg_str s) {
  return s.len > 0 && !has_char(s, '+') && !has_char(s, '#') && is_text(s);
}

static bool is_filter(struct mg_str s) {
  bool last = false;
  if (s.len == 0 || !is_text(s)) return false;
  while (s.buf != NULL) {
    struct mg_str l = level(&s);
    if (last || (l.len > 1 && (has_char(l, '+') || has_char(l, '#')))) return false;
    last = l.len == 1 && l.buf[0] == '#';
  }
  return true;
}

// The filter itself: the last part of `$share/GROUP/FILTER`. Empty if it is malformed.
static bool is_shared(struct mg_str filter) {
  return filter.len >= 7 && memcmp(filter.buf, "$share/", 7) == 0;
}

static struct mg_str selection(struct mg_str filter) {
  if (is_shared(filter)) {
    struct mg_str group, rest = mg_str_n(filter.buf + 7, filter.len - 7);
    group = level(&rest);
    if (group.len == 0 || rest.buf == NULL || has_char(group, '+') || has_char(group, '#')) return mg_str("");
    return rest;
  }
  return filter;
}

#endif
