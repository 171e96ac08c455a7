// UDP: to one, to a group, to everybody; names; and the rest of the interface's functions.
#include "scripted.h"

static char s_got[3000];
static size_t s_got_len;
static int s_reads;
static char s_events[200];

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    s_reads++;
    s_got_len = c->recv.len < sizeof(s_got) ? c->recv.len : 0;
    memcpy(s_got, c->recv.buf, s_got_len);
    c->recv.len = 0;
  }
  const char *what = ev == MG_EV_CONNECT ? "connect" : ev == MG_EV_ERROR ? (char *) ev_data : ev == MG_EV_CLOSE ? "close" : NULL;
  if (what != NULL && strlen(s_events) + strlen(what) + 2 < sizeof(s_events)) strcat(strcat(s_events, s_events[0] ? " " : ""), what);
}

static const uint8_t *last(void) {
  return s_out_len > 0 ? s_out[s_out_len - 1].b : NULL;
}

static void unicast(void) {
  begin_ready();
  struct mg_connection *l = mg_listen(&mgr, "udp://0.0.0.0:5000", handler, NULL);
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "hello", 5);
  all_in();
  CHECK(s_reads == 1 && s_got_len == 5 && memcmp(s_got, "hello", 5) == 0);
  CHECK(l->rem.addr.ip4 == IP(9) && l->rem.port == mg_htons(777));
  CHECK(mg_send(l, "back", 4) && s_out_len == 1);
  const uint8_t *b = last();
  CHECK(memcmp(b, PEER_MAC, 6) == 0 && be16(b + 34) == 5000 && be16(b + 36) == 777 && memcmp(b + 42, "back", 4) == 0);
  // A checksum that is wrong, none at all, and one for another address.
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "wrong", 5);
  s_in[s_in_tail - 1].b[40] ^= 1;
  all_in();
  CHECK(s_reads == 1);
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "none", 4);
  put16(s_in[s_in_tail - 1].b + 40, 0);
  all_in();
  CHECK(s_reads == 2);
  udp_in(PEER_MAC, IP(9), 777, IP(3), 5000, "other", 5);
  all_in();
  CHECK(s_reads == 2);
  // Lengths that do not fit.
  for (unsigned n = 0; n < 40; n++) {
    if (n == 8 + 4 || n == 8) continue;
    udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "none", 4);
    put16(s_in[s_in_tail - 1].b + 38, n);
  }
  all_in();
  CHECK(s_reads == 2);
  // Nobody listens: silence.
  s_out_len = 0;
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5001, "x", 1);
  all_in();
  CHECK(s_out_len == 0);
  // Everybody.
  udp_in(PEER_MAC, IP(9), 777, 0xffffffff, 5000, "all", 3);
  udp_in(PEER_MAC, IP(9), 777, MG_IPV4(10, 0, 0, 255), 5000, "all", 3);
  all_in();
  CHECK(s_reads == 4);
  end();
}

// Whoever reaches a listener before the gateway has answered gets an answer, and the listener stays.
static void before_the_gateway_answers(void) {
  s_reads = 0;
  begin(IP(2), IP(1));
  struct mg_connection *l = mg_listen(&mgr, "udp://0.0.0.0:5000", handler, NULL);
  polls(1);
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "hello", 5);
  all_in();
  CHECK(mif.state == MG_TCPIP_STATE_IP && s_reads == 1);
  CHECK(mg_send(l, "back", 4) && !l->is_closing);
  const uint8_t *b = last();
  CHECK(b != NULL && memcmp(b, PEER_MAC, 6) == 0 && memcmp(b + 42, "back", 4) == 0);
  end();
}

static void broadcast_and_multicast(void) {
  static const char *urls[] = {"udp://255.255.255.255:9", "udp://10.0.0.255:9", "udp://239.1.2.3:9", "udp://224.128.0.251:5353"};
  static const uint8_t macs[][6] = {
      {255, 255, 255, 255, 255, 255}, {255, 255, 255, 255, 255, 255}, {1, 0, 0x5e, 1, 2, 3}, {1, 0, 0x5e, 0, 0, 251}};
  begin_ready();
  for (size_t i = 0; i < 4; i++) {
    struct mg_connection *c = mg_connect(&mgr, urls[i], handler, NULL);
    s_out_len = 0;
    CHECK(c != NULL && mg_send(c, "x", 1) && s_out_len == 1 && memcmp(last(), macs[i], 6) == 0);
  }
  // Groups that were joined only.
  s_reads = 0;
  struct mg_connection *l = mg_listen(&mgr, "udp://0.0.0.0:5353", handler, NULL);
  udp_in(PEER_MAC, IP(9), 5353, MG_IPV4(224, 0, 0, 251), 5353, "m", 1);
  all_in();
  CHECK(s_reads == 0);
  extern void mg_multicast_add(struct mg_connection *, char *);
  mif.update_mac_hash_table = false;
  mg_multicast_add(l, (char *) "224.0.0.251");
  CHECK(mif.update_mac_hash_table);
  udp_in(PEER_MAC, IP(9), 5353, MG_IPV4(224, 0, 0, 251), 5353, "m", 1);
  all_in();
  CHECK(s_reads == 1);
  end();
}

static void sizes(void) {
  begin_ready();
  char text[2000] = "x";
  struct mg_connection *c = mg_connect(&mgr, "udp://10.0.0.1:9", handler, NULL);
  s_out_len = 0;
  CHECK(mg_send(c, text, 1472) && s_out_len == 1 && s_out[0].len == 1514);
  CHECK(!mg_send(c, text, 1473) && s_out_len == 1);
  polls(2);
  // The address of a neighbour that is not known yet: nothing can be sent, what is printed waits, and MG_EV_CONNECT tells.
  s_out_len = 0, s_log[0] = '\0', s_events[0] = '\0';
  c = mg_connect(&mgr, "udp://10.0.0.9:9", handler, NULL);
  CHECK(c != NULL && c->is_arplooking && !mg_send(c, "no", 2) && !c->is_closing);
  CHECK_STR(s_log, "who9");
  mg_printf(c, "wait");
  pass(1500);  // it is asked again
  CHECK(strstr(s_log + 4, "who9") != NULL);
  CHECK_STR(s_events, "");
  arp_in(false, PEER_MAC, IP(9), IP(2));
  all_in();
  CHECK_STR(s_events, "connect");
  CHECK(!c->is_arplooking && c->send.len == 0 && memcmp(last() + 42, "wait", 4) == 0);
  CHECK(mg_send(c, "yes", 3));
  // And when it never answers.
  s_events[0] = '\0';
  c = mg_connect(&mgr, "udp://10.0.0.8:9", handler, NULL);
  CHECK(c != NULL && c->is_arplooking);
  pass(3500);
  CHECK_STR(s_events, "ARP timeout close");
  c = mg_connect(&mgr, "udp://10.0.0.9:9", handler, NULL);
  // What is printed goes one text to a datagram.
  s_out_len = 0;
  mg_printf(c, "one"), mg_printf(c, "two");
  polls(3);
  CHECK(s_out_len == 2);
  end();
}

static void net_down(void) {
  begin_ready();
  struct mg_connection *c = mg_connect(&mgr, "udp://10.0.0.1:9", handler, NULL);
  s_link = false;
  pass(1100);
  CHECK(mif.state == 0);
  CHECK(mg_connect(&mgr, "udp://10.0.0.1:9", handler, NULL) == NULL);
  CHECK(!mg_send(c, "x", 1) && c->is_closing);
  polls(2);
  end();
}

static void vlan(void) {
  begin_ready();
  mif.l2data.eth.vlan_id = 5;
  mg_tcpip_arp_request(&mif, IP(9), NULL);
  const uint8_t *b = last();
  CHECK(be16(b + 12) == 0x8100 && be16(b + 14) == 5 && be16(b + 16) == 0x806 && s_out[s_out_len - 1].len == 60);
  s_out_len = 0;
  arp_in(true, PEER_MAC, IP(9), IP(2));  // without a tag
  all_in();
  CHECK(s_out_len == 0);
  for (int id = 4; id < 6; id++) {
    uint8_t f[60] = {0};
    arp_in(true, PEER_MAC, IP(9), IP(2));
    memcpy(f, s_in[s_in_tail - 1].b, 12);
    put16(f + 12, 0x8100), put16(f + 14, 0xe000 | (unsigned) id);
    memcpy(f + 16, s_in[s_in_tail - 1].b + 12, 40);
    s_in_tail--;
    in(f, sizeof(f));
    all_in();
    CHECK(s_out_len == (id == 5));
  }
  end();
}

static void checks(void) {
  begin_ready();
  mif.enable_mac_check = true;
  s_out_len = 0;
  arp_in(true, PEER_MAC, IP(9), IP(2));
  memcpy(s_in[s_in_tail - 1].b, "\x02\x09\x09\x09\x09\x09", 6);
  all_in();
  CHECK(s_out_len == 0);
  mif.enable_mac_check = false;
  mif.enable_fcs_check = true;
  arp_in(true, PEER_MAC, IP(9), IP(2));  // the last bytes are no FCS
  all_in();
  CHECK(s_out_len == 0);
  arp_in(true, PEER_MAC, IP(9), IP(2));
  struct frame *f = &s_in[s_in_tail - 1];
  uint32_t crc = mg_crc32(0, (char *) f->b, 60);
  memcpy(f->b + 60, &crc, 4);
  f->len = 64;
  all_in();
  CHECK(s_out_len == 1);
  end();
}

static void names(void) {
  begin_ready();
  mgr.dns4.url = "udp://10.0.0.1:53";
  s_out_len = 0;
  struct mg_connection *c = mg_connect(&mgr, "tcp://host.example:80", handler, NULL);
  CHECK(c != NULL && c->is_resolving);
  polls(2);
  const uint8_t *b = last();
  CHECK(s_out_len >= 1 && b != NULL && be16(b + 36) == 53);
  if (s_out_len >= 1) {
    uint8_t m[200];
    size_t n = be16(b + 38) - 8u;
    unsigned port = be16(b + 34);
    memcpy(m, b + 42, n);
    m[2] = 0x81, m[3] = 0x80, m[7] = 1, m[11] = 0;
    memcpy(m + n, "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x09", 16);
    s_log[0] = '\0';
    udp_in(PEER_MAC, IP(9), 53, IP(2), port, m, n + 16);  // not who was asked
    all_in();
    CHECK(c->is_resolving);
    udp_in(GW_MAC, IP(1), 53, IP(2), port, m, n + 16);
    all_in();
    CHECK(!c->is_resolving && c->is_connecting && c->rem.addr.ip4 == IP(9));
  }
  end();
}

// Anything at all: nothing crashes, nothing hangs, and the interface still works.
static void random_frames(void) {
  uint32_t x = 12345;
  begin_ready();
  mg_listen(&mgr, "udp://0.0.0.0:5000", handler, NULL);
  mg_http_listen(&mgr, "http://0.0.0.0:80", NULL, NULL);
  struct peer p = shake(4000, 80);
  for (int round = 0; round < 20000; round++) {
    tcp_raw(&p, ACK | PSH, p.seq, p.ack, "GET / HTTP/1.1\r\n\r\n", 18, 0);
    struct frame *f = &s_in[s_in_tail - 1];
    for (int i = 0; i < 3; i++) {
      x ^= x << 13, x ^= x >> 17, x ^= x << 5;
      f->b[12 + x % 60] = (uint8_t) (x >> 8);
    }
    uint8_t *ip = f->b + 14;
    if (round % 2 && (ip[0] & 15) == 5) {  // as if it had been meant
      put16(ip + 10, 0);
      put16(ip + 10, (uint16_t) ~sum(ip, 20, 0));
      size_t len = be16(ip + 2);
      if (len >= 40 && len < 100) put16(ip + 36, 0), put16(ip + 36, upper(ip, ip + 20, len - 20, 6));
    }
    f->len = 14 + x % 80;
    polls(1);
    s_out_len = 0;
    if (round % 100 == 0) s_now += 10;
  }
  s_reads = 0;
  udp_in(PEER_MAC, IP(9), 777, IP(2), 5000, "hello", 5);
  all_in();
  CHECK(s_reads == 1);
  end();
}

int main(void) {
  unicast();
  before_the_gateway_answers();
  broadcast_and_multicast();
  sizes();
  net_down();
  vlan();
  checks();
  names();
  random_frames();
  return s_failed > 0;
}
