// A DNS server inside the test, built like one of an application: a UDP listener, mg_dns_parse_rr and struct mg_dns_header. The
// first label of the name selects the reply.
#ifndef DNS_H
#define DNS_H

#include "peer.h"

struct dns_server {
  struct mg_connection *udp, *tcp, *other;
  char url[64];
  int queries, over_tcp;
  unsigned short ports[1000], ids[1000];
  int types[1000];
  char last[256];  // last name requested
};

// Exported, but not declared in a header.
#ifdef __cplusplus
extern "C"
#endif
bool mg_dnsc_init(struct mg_mgr *mgr, struct mg_dns *dnsc);

static inline size_t dns_put(uint8_t *to, size_t at, const void *data, size_t len) {
  memcpy(to + at, data, len);
  return at + len;
}

// Builds a reply to `query`: its header with `flags` and `id`, its question, and `answers` encoded records.
static inline size_t dns_reply(uint8_t *to, const struct mg_str query, size_t question, unsigned flags, int answers, const char *data,
                               size_t len) {
  struct mg_dns_header *h = (struct mg_dns_header *) to;
  size_t at = sizeof(*h) + question;
  memcpy(to, query.buf, at);
  h->flags = mg_htons((uint16_t) flags);
  h->num_questions = mg_htons(1);
  h->num_answers = mg_htons((uint16_t) answers);
  h->num_authority_prs = h->num_other_prs = 0;
  return dns_put(to, at, data, len);
}

#define A_RECORD "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1"
#define A_RECORD_2 "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\2"
#define AAAA_RECORD "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"
#define LIT(s) (s), sizeof(s) - 1

static inline bool dns_is(const char *name, const char *label) {
  size_t n = strlen(label);
  return strncmp(name, label, n) == 0 && (name[n] == '.' || name[n] == '\0');
}

// Answers one query; over TCP (`tcp`) every reply is well-formed, except that there may be none.
static inline void dns_answer(struct dns_server *s, struct mg_connection *c, struct mg_str query, bool tcp) {
  struct mg_dns_message dm;
  struct mg_dns_rr rr;
  uint8_t buf[600], bad[600];
  size_t n = mg_dns_parse_rr((uint8_t *) query.buf, query.len, sizeof(struct mg_dns_header), true, &rr), len = 0;
  if (n == 0 || !mg_dns_parse((uint8_t *) query.buf, query.len, &dm)) return;
  if (s->queries < 1000) {
    s->ports[s->queries] = c->rem.port;
    s->ids[s->queries] = dm.txnid;
    s->types[s->queries] = rr.atype;
  }
  s->queries++;
  mg_snprintf(s->last, sizeof(s->last), "%s", dm.name);
  if (tcp) {
    s->over_tcp++;
    if (dns_is(dm.name, "big-silent")) return;
    if (dns_is(dm.name, "big-nx")) len = dns_reply(buf, query, n, 0x8183, 0, "", 0);
    else len = dns_reply(buf, query, n, 0x8180, 1, LIT(A_RECORD));
    bad[0] = (uint8_t) (len >> 8), bad[1] = (uint8_t) len;
    mg_send(c, bad, 1);
    mg_send(c, bad + 1, 1);
    mg_send(c, buf, len);
    return;
  }
  if (dns_is(dm.name, "silent")) return;
  if (dns_is(dm.name, "nx")) {
    len = dns_reply(buf, query, n, 0x8183, 0, "", 0);
  } else if (dns_is(dm.name, "empty")) {
    len = dns_reply(buf, query, n, 0x8180, 0, "", 0);
  } else if (dns_is(dm.name, "servfail")) {
    len = dns_reply(buf, query, n, 0x8182, 1, LIT(A_RECORD));
  } else if (dns_is(dm.name, "six")) {
    if (rr.atype == MG_DNS_RTYPE_A) len = dns_reply(buf, query, n, 0x8180, 0, "", 0);
    else len = dns_reply(buf, query, n, 0x8180, 1, LIT(AAAA_RECORD));
  } else if (dns_is(dm.name, "big") || dns_is(dm.name, "big-nx") || dns_is(dm.name, "big-silent")) {
    len = dns_reply(buf, query, n, 0x8380, 0, "", 0);
  } else if (dns_is(dm.name, "full")) {
    // As long as a datagram may be: a text fills it.
    static const char text[] = "\xc0\x0c\0\x10\0\1\0\0\0\x3c";
    size_t at = dns_reply(buf, query, n, 0x8180, 2, LIT(A_RECORD));
    at = dns_put(buf, at, LIT(text));
    len = 512;
    memset(buf + at, 0, len - at);
    buf[at] = (uint8_t) ((len - at - 2) >> 8), buf[at + 1] = (uint8_t) (len - at - 2);
  } else if (dns_is(dm.name, "flood")) {
    int i;  // as many as a poll reads
    len = dns_reply(buf, query, n, 0x8180, 1, LIT(A_RECORD_2));
    buf[0] ^= 1;  // another id
    for (i = 0; i < 16; i++) mg_send(c, buf, len);
    len = dns_reply(buf, query, n, 0x8180, 1, LIT(A_RECORD));
  } else if (dns_is(dm.name, "loop")) {
    // The owner of the record is a pointer to itself; then one beyond the end, and a wrong length.
    char record[] = A_RECORD;
    record[1] = (char) (sizeof(struct mg_dns_header) + n);
    len = dns_reply(buf, query, n, 0x8180, 1, record, sizeof(record) - 1);
    mg_send(c, buf, len);
    record[0] = '\xff', record[1] = '\xff';
    len = dns_reply(buf, query, n, 0x8180, 1, record, sizeof(record) - 1);
    mg_send(c, buf, len);
    record[0] = '\xc0', record[1] = 12, record[10] = '\xff';
    len = dns_reply(buf, query, n, 0x8180, 1, record, sizeof(record) - 1);
  } else if (dns_is(dm.name, "alias")) {
    // alias.test is an alias of nx.test, which is an alias of alias.test: an answer without an address.
    static const char records[] = "\xc0\x0c\0\5\0\1\0\0\0\1\0\x09\2nx\4test\0\2nx\4test\0\0\5\0\1\0\0\0\1\0\2\xc0\x0c";
    len = dns_reply(buf, query, n, 0x8180, 2, LIT(records));
  } else if (dns_is(dm.name, "other-owner")) {
    static const char record[] = "\2nx\4test\0\0\1\0\1\0\0\0\1\0\4\x7f\0\0\2";
    len = dns_reply(buf, query, n, 0x8180, 1, LIT(record));
  } else if (dns_is(dm.name, "forged")) {
    // All of these contain 127.0.0.2 and must be rejected.
    struct mg_addr to = c->rem;
    len = dns_reply(bad, query, n, 0x8180, 1, LIT(A_RECORD_2));
    bad[0] ^= 1;  // another id
    mg_send(c, bad, len);
    bad[0] ^= 1, bad[2] = 1;  // a query
    mg_send(c, bad, len);
    bad[2] = (uint8_t) 0x91;  // another operation
    mg_send(c, bad, len);
    bad[2] = (uint8_t) 0x81, bad[13] ^= 1;  // another name
    mg_send(c, bad, len);
    bad[13] ^= 1, bad[12 + n - 3] ^= 29;  // another type
    mg_send(c, bad, len);
    bad[12 + n - 3] ^= 29, bad[5] = 0;  // no question
    mg_send(c, bad, len);
    bad[5] = 1;
    s->other->rem = to;  // another source
    mg_send(s->other, bad, len);
    mg_send(c, bad, 11);
    len = dns_reply(buf, query, n, 0x8180, 1, LIT(A_RECORD));
  } else {
    len = dns_reply(buf, query, n, 0x8180, 1, LIT(A_RECORD));
  }
  mg_send(c, buf, len);
}

static inline void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct dns_server *s = (struct dns_server *) c->fn_data;
  if (ev == MG_EV_READ && c->is_udp) {
    dns_answer(s, c, mg_str_n((char *) c->recv.buf, c->recv.len), false);
    c->recv.len = 0;
  } else if (ev == MG_EV_READ) {
    while (c->recv.len > 2) {
      size_t len = ((size_t) c->recv.buf[0] << 8) + c->recv.buf[1];
      if (c->recv.len < len + 2) return;
      dns_answer(s, c, mg_str_n((char *) c->recv.buf + 2, len), true);
      mg_iobuf_del(&c->recv, 0, len + 2);
    }
  }
  (void) ev_data;
}

// Opens the server on UDP and TCP, on the same port.
static inline void dns_start(struct dns_server *s, struct mg_mgr *mgr) {
  memset(s, 0, sizeof(*s));
  while (s->tcp == NULL) {
    if (s->udp != NULL) mg_close_conn(s->udp);
    s->udp = mg_listen(mgr, "udp://127.0.0.1:0", dns_fn, s);
    mg_snprintf(s->url, sizeof(s->url), "tcp://127.0.0.1:%d", port_of(s->udp));
    s->tcp = mg_listen(mgr, s->url, dns_fn, s);
  }
  s->other = mg_listen(mgr, "udp://127.0.0.1:0", NULL, NULL);
  mg_snprintf(s->url, sizeof(s->url), "udp://127.0.0.1:%d", port_of(s->udp));
  mgr->dns4.url = mgr->dns6.url = s->url;
}

// Result of one lookup.
struct lookup {
  int opens, resolves, errors, closes;
  char error[64];
  struct mg_addr rem;
};

static inline void lookup_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct lookup *l = (struct lookup *) c->fn_data;
  if (ev == MG_EV_OPEN) l->opens++;
  if (ev == MG_EV_RESOLVE) {
    l->resolves++;
    l->rem = c->rem;
    c->is_closing = 1;
  } else if (ev == MG_EV_ERROR && l->resolves == 0) {
    l->errors++;
    mg_snprintf(l->error, sizeof(l->error), "%s", (char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    l->closes++;
  }
}

// Resolves a URL and waits for the result.
static inline struct lookup resolve_url(struct mg_mgr *mgr, const char *url) {
  struct lookup l;
  memset(&l, 0, sizeof(l));
  CHECK(mg_connect(mgr, url, lookup_fn, &l) != NULL);
  POLL_UNTIL(mgr, l.closes == 1);
  CHECK(l.opens == 1 && l.resolves + l.errors == 1);
  return l;
}

static inline bool fails_with(struct lookup l, const char *error) {
  bool same = l.resolves == 0 && l.errors == 1 && strcmp(l.error, error) == 0;
  if (!same) fprintf(stderr, "%d times resolved, errors: %d, the last: %s\n", l.resolves, l.errors, l.error);
  return same;
}

static inline bool is_loopback(struct lookup l, uint8_t last) {
  return l.resolves == 1 && !l.rem.is_ip6 && l.rem.addr.ip[0] == 127 && l.rem.addr.ip[3] == last;
}

#endif
