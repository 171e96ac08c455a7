// A network of scripted frames and a clock that moves when the test says so. The interface is 10.0.0.2, its gateway 10.0.0.1, and the
// peer 10.0.0.9 unless a test says otherwise.
#pragma once
#define MG_ENABLE_TCPIP 1
#include "mongoose.h"

static int s_failed;
#define CHECK(cond)                                              \
  do {                                                           \
    if (!(cond)) {                                               \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
      s_failed++;                                                \
    }                                                            \
  } while (0)
#define CHECK_STR(got, want)                                                                                  \
  do {                                                                                                        \
    if (strcmp(got, want) != 0) {                                                                             \
      fprintf(stderr, "%s:%d: got \"%s\", want \"%s\"\n", __FILE__, __LINE__, got, want), s_failed++;          \
    }                                                                                                         \
  } while (0)

static uint64_t s_now = 1000;
uint64_t mg_millis(void) {
  return s_now;
}

struct frame {
  uint8_t b[1600];
  size_t len;
};
static struct frame s_in[600];   // to be received
static size_t s_in_head, s_in_tail;
static struct frame s_out[600];  // transmitted
static size_t s_out_len;
static char s_log[4096];         // events and frames, in their order
static bool s_link = true;
static bool s_busy;              // the driver takes nothing
static bool s_broken;            // the driver fails

static struct mg_mgr mgr;
static struct mg_tcpip_if mif;

static const uint8_t PEER_MAC[6] = {2, 0, 0, 0, 0, 9}, GW_MAC[6] = {2, 0, 0, 0, 0, 1}, OUR_MAC[6] = {2, 0, 0, 0, 0, 2};
#define IP(d) MG_IPV4(10, 0, 0, d)

static void say(const char *fmt, ...) {
  va_list ap;
  size_t n = strlen(s_log);
  if (n > 0 && n + 2 < sizeof(s_log)) s_log[n++] = ' ', s_log[n] = '\0';
  va_start(ap, fmt);
  vsnprintf(s_log + n, sizeof(s_log) - n, fmt, ap);
  va_end(ap);
}

static uint16_t be16(const uint8_t *p) {
  return (uint16_t) (p[0] << 8 | p[1]);
}
static uint32_t be32(const uint8_t *p) {
  return (uint32_t) be16(p) << 16 | be16(p + 2);
}
static void put16(uint8_t *p, unsigned v) {
  p[0] = (uint8_t) (v >> 8), p[1] = (uint8_t) v;
}
static void put32(uint8_t *p, uint32_t v) {
  put16(p, v >> 16), put16(p + 2, v & 0xffff);
}

static uint32_t sum(const uint8_t *p, size_t len, uint32_t n) {
  for (size_t i = 0; i < len; i++) n += (uint32_t) (i & 1 ? p[i] : p[i] << 8);
  while (n > 0xffff) n = (n & 0xffff) + (n >> 16);
  return n;
}

// The sum over an upper layer with its pseudo header.
static uint16_t upper(const uint8_t *ip, const uint8_t *p, size_t len, unsigned proto) {
  uint8_t head[4] = {0, (uint8_t) proto, 0, 0};
  put16(head + 2, (unsigned) len);
  return (uint16_t) ~sum(p, len, sum(head, 4, sum(ip + 12, 8, 0)));
}

// ---- What we see of the interface.

static void note_out(const struct frame *f) {
  const uint8_t *b = f->b, *ip = b + 14;
  switch (be16(b + 12)) {
    case 0x806:
      say(be16(b + 20) == 1 ? (memcmp(b + 28, b + 38, 4) == 0 ? "garp" : "who%d") : "is-at%d", b[41]);
      break;
    case 0x800:
      CHECK(sum(ip, 20, 0) == 0xffff);
      if (ip[9] == 17) {
        const uint8_t *u = ip + 20;
        CHECK(upper(ip, u, be16(u + 4), 17) == 0);
        if (be16(u + 2) == 67) say(u[8 + 242] == 1 ? "DISCOVER" : u[8 + 242] == 3 ? "REQUEST" : "DHCP?");
        else say("udp");
      }
      break;
    default: break;
  }
}

static size_t script_tx(const void *buf, size_t len, struct mg_tcpip_if *ifp) {
  CHECK(len >= 60 && len <= ifp->framesize && buf == (void *) ifp->tx.buf);
  if (s_broken) return (size_t) -1;
  if (s_busy) return 0;
  if (s_out_len < sizeof(s_out) / sizeof(s_out[0])) {
    struct frame *f = &s_out[s_out_len++];
    memcpy(f->b, buf, len);
    f->len = len;
    note_out(f);
  }
  return len;
}

static size_t script_rx(void *buf, size_t len, struct mg_tcpip_if *ifp) {
  (void) ifp;
  if (s_in_head == s_in_tail) return 0;
  struct frame *f = &s_in[s_in_head++];
  if (s_in_head == s_in_tail) s_in_head = s_in_tail = 0;
  if (f->len > len) return 0;
  memcpy(buf, f->b, f->len);
  return f->len;
}

static bool script_poll(struct mg_tcpip_if *ifp, bool s1) {
  (void) ifp;
  return s1 && s_link;
}

static struct mg_tcpip_driver s_driver = {NULL, script_tx, script_rx, script_poll};

static void on_net(struct mg_tcpip_if *ifp, int ev, void *ev_data) {
  if (ev == MG_TCPIP_EV_STATE_CHANGE) {
    CHECK(ev_data == (void *) &ifp->state);
    say("S%d", ifp->state);
  } else if (ev == MG_TCPIP_EV_TIMER_1S) {
    CHECK(ev_data == NULL);
    say("T");
  } else if (ev == MG_TCPIP_EV_ARP) {
    say("arp");
  } else if (ev == MG_TCPIP_EV_DHCP_DNS) {
    say("DNS%d", (int) ((uint8_t *) ev_data)[3]);
  } else if (ev == MG_TCPIP_EV_DHCP_SNTP) {
    say("SNTP%d", (int) ((uint8_t *) ev_data)[3]);
  }
}

// ---- What we send to it.

static void in(const void *b, size_t len) {
  if (s_in_tail >= sizeof(s_in) / sizeof(s_in[0])) abort();
  struct frame *f = &s_in[s_in_tail++];
  memset(f->b, 0, sizeof(f->b));
  memcpy(f->b, b, len);
  f->len = len < 60 ? 60 : len;
}

static void arp_in(bool request, const uint8_t *from_mac, uint32_t from, uint32_t to) {
  uint8_t b[42] = {0};
  memcpy(b, request ? (const uint8_t *) "\xff\xff\xff\xff\xff\xff" : OUR_MAC, 6);
  memcpy(b + 6, from_mac, 6);
  memcpy(b + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00", 9);
  b[21] = request ? 1 : 2;
  memcpy(b + 22, from_mac, 6);
  memcpy(b + 28, &from, 4);
  if (!request) memcpy(b + 32, OUR_MAC, 6);
  memcpy(b + 38, &to, 4);
  in(b, sizeof(b));
}

static size_t ip_head(uint8_t *b, const uint8_t *from_mac, uint32_t from, uint32_t to, unsigned proto, size_t len) {
  memcpy(b, OUR_MAC, 6);
  memcpy(b + 6, from_mac, 6);
  put16(b + 12, 0x800);
  uint8_t *ip = b + 14;
  memset(ip, 0, 20);
  ip[0] = 0x45, ip[8] = 64, ip[9] = (uint8_t) proto;
  put16(ip + 2, (unsigned) (20 + len));
  memcpy(ip + 12, &from, 4);
  memcpy(ip + 16, &to, 4);
  put16(ip + 10, (uint16_t) ~sum(ip, 20, 0));
  return 34;
}

static void udp_in(const uint8_t *from_mac, uint32_t from, unsigned from_port, uint32_t to, unsigned to_port, const void *p, size_t len) {
  uint8_t b[1600];
  ip_head(b, from_mac, from, to, 17, 8 + len);
  uint8_t *u = b + 34;
  put16(u, from_port), put16(u + 2, to_port), put16(u + 4, (unsigned) (8 + len)), put16(u + 6, 0);
  memcpy(u + 8, p, len);
  put16(u + 6, upper(b + 14, u, 8 + len, 17));
  if (to == 0xffffffff) memset(b, 255, 6);
  in(b, 42 + len);
}

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

// A peer's side of a connection.
struct peer {
  uint32_t ip;
  const uint8_t *mac;
  uint16_t port, to;
  uint32_t seq, ack;  // the next to be sent, and to be acknowledged
  unsigned win;
};

// `offset`: of the data, in words; 0 for what it is.
static void tcp_raw(struct peer *p, unsigned flags, uint32_t seq, uint32_t ack, const void *data, size_t len, unsigned offset) {
  uint8_t b[1600];
  ip_head(b, p->mac, p->ip, IP(2), 6, 20 + len);
  uint8_t *t = b + 34;
  memset(t, 0, 20);
  put16(t, p->port), put16(t + 2, p->to);
  put32(t + 4, seq), put32(t + 8, ack);
  t[12] = (uint8_t) ((offset ? offset : 5) << 4), t[13] = (uint8_t) flags;
  put16(t + 14, p->win);
  if (len > 0) memcpy(t + 20, data, len);
  put16(t + 16, upper(b + 14, t, 20 + len, 6));
  in(b, 54 + len);
}

static void tcp_in(struct peer *p, unsigned flags, const void *data, size_t len) {
  tcp_raw(p, flags, p->seq, p->ack, data, len, 0);
  p->seq += (uint32_t) len + (flags & (SYN | FIN) ? 1 : 0);
}

struct seg {
  bool found;
  unsigned flags, win;
  uint32_t seq, ack;
  const uint8_t *data;
  size_t len, count;
};

// The last segment to this peer among the frames from `from` on, and how many there are.
static struct seg tcp_out(const struct peer *p, size_t from) {
  struct seg s;
  memset(&s, 0, sizeof(s));
  for (size_t i = from; i < s_out_len; i++) {
    const uint8_t *b = s_out[i].b, *ip = b + 14, *t = ip + 20;
    if (be16(b + 12) != 0x800 || ip[9] != 6 || memcmp(ip + 16, &p->ip, 4) != 0) continue;
    if (be16(t + 2) != p->port || be16(t) != p->to) continue;
    size_t len = be16(ip + 2) - 20u, head = (size_t) (t[12] >> 4) * 4;
    CHECK(upper(ip, t, len, 6) == 0);
    s.found = true, s.count++;
    s.flags = t[13], s.win = be16(t + 14), s.seq = be32(t + 4), s.ack = be32(t + 8);
    s.data = t + head, s.len = len - head;
  }
  return s;
}

static void polls(int n) {
  while (n-- > 0) mg_mgr_poll(&mgr, 0);
}

// Lets the time pass, with polls on the way.
static void pass(uint64_t ms) {
  uint64_t end = s_now + ms;
  while (s_now < end) {
    s_now += end - s_now < 50 ? end - s_now : 50;
    polls(1);
  }
  polls(3);
}

static void all_in(void) {
  while (s_in_head != s_in_tail) polls(1);
  polls(2);
}

// A manager and an interface; `ip` 0 for DHCP.
static void begin(uint32_t ip, uint32_t gw) {
  memset(&mif, 0, sizeof(mif));
  memcpy(mif.mac, OUR_MAC, 6);
  mif.ip = ip, mif.mask = ip == 0 ? 0 : MG_IPV4(255, 255, 255, 0), mif.gw = gw;
  mif.driver = &s_driver;
  mif.fn = on_net;
  s_in_head = s_in_tail = s_out_len = 0;
  s_log[0] = '\0';
  s_link = true, s_busy = s_broken = false;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mgr.ifp == &mif && s_out_len == 0 && s_log[0] == '\0');
}

static void end(void) {
  mg_mgr_free(&mgr);
}

// The same with a static address, as far as READY.
static void begin_ready(void) {
  begin(IP(2), IP(1));
  polls(1);
  arp_in(false, GW_MAC, IP(1), IP(2));
  all_in();
  CHECK(mif.state == MG_TCPIP_STATE_READY);
  s_out_len = 0, s_log[0] = '\0';
}

// The peer shakes hands with port `to`.
static struct peer shake(uint16_t port, uint16_t to) {
  struct peer p = {IP(9), PEER_MAC, port, to, 1000000u + port, 0, 60000};
  size_t from = s_out_len;
  tcp_in(&p, SYN, NULL, 0);
  all_in();
  struct seg s = tcp_out(&p, from);
  CHECK(s.found && s.flags == (SYN | ACK) && s.ack == p.seq);
  p.ack = s.seq + 1;
  tcp_in(&p, ACK, NULL, 0);
  all_in();
  return p;
}
