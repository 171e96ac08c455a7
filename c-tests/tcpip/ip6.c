// IPv6: addresses, neighbours and routers, with scripted frames. For a library with the feature `tcpip-ipv6`.
#ifndef MG_ENABLE_IPV6
#define MG_ENABLE_IPV6 1
#endif
#include "scripted.h"

static const uint8_t LL[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 2};
static const uint8_t ROUTER[16] = {0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
static const uint8_t GLOBAL[16] = {0x20, 1, 0xd, 0xb8, 0, 7, 0, 0, 0, 0, 0, 0xff, 0xfe, 0, 0, 2};
static const uint8_t NODES[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
static int s_events6[20], s_n6;

static void on_net6(struct mg_tcpip_if *ifp, int ev, void *ev_data) {
  if (ev == MG_TCPIP_EV_STATE6_CHANGE && s_n6 < 20) s_events6[s_n6++] = *(uint8_t *) ev_data;
  on_net(ifp, ev, ev_data);
}

static uint16_t upper6(const uint8_t *ip, const uint8_t *p, size_t len, unsigned proto) {
  uint8_t head[4] = {0, (uint8_t) proto, 0, 0};
  put16(head + 2, (unsigned) len);
  return (uint16_t) ~sum(p, len, sum(head, 4, sum(ip + 8, 32, 0)));
}

static void icmp_in(const uint8_t *mac, const uint8_t *from, const uint8_t *to, unsigned hops, uint8_t *m, size_t len) {
  uint8_t b[400];
  memcpy(b, OUR_MAC, 6), memcpy(b + 6, mac, 6), put16(b + 12, 0x86dd);
  uint8_t *ip = b + 14;
  memset(ip, 0, 40);
  ip[0] = 0x60, ip[6] = 58, ip[7] = (uint8_t) hops;
  put16(ip + 4, (unsigned) len);
  memcpy(ip + 8, from, 16), memcpy(ip + 24, to, 16);
  put16(m + 2, 0), put16(m + 2, upper6(ip, m, len, 58));
  memcpy(ip + 40, m, len);
  in(b, 54 + len);
}

// The last ICMPv6 message of this type that we have sent.
static const uint8_t *sent(unsigned type) {
  for (size_t i = s_out_len; i-- > 0;) {
    const uint8_t *ip = s_out[i].b + 14;
    if (be16(ip - 2) != 0x86dd || ip[6] != 58) continue;
    CHECK(upper6(ip, ip + 40, be16(ip + 4), 58) == 0);
    if (ip[40] == type) return ip;
  }
  return NULL;
}

static size_t advertisement(uint8_t *m, bool with_mac) {
  memset(m, 0, 100);
  m[0] = 134, m[4] = 64, put16(m + 6, 1800);
  uint8_t *o = m + 16;
  o[0] = 3, o[1] = 4, o[2] = 64, o[3] = 0xc0, put32(o + 4, 3600), put32(o + 8, 3600), memcpy(o + 16, GLOBAL, 8);
  if (!with_mac) return 48;
  o += 32, o[0] = 1, o[1] = 1, memcpy(o + 2, GW_MAC, 6);
  return 56;
}

static void start(void) {
  s_n6 = 0;
  begin_ready();
  end();
  memset(&mif, 0, sizeof(mif));
  memcpy(mif.mac, OUR_MAC, 6);
  mif.ip = IP(2), mif.mask = MG_IPV4(255, 255, 255, 0), mif.gw = IP(1), mif.driver = &s_driver, mif.fn = on_net6;
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mgr.ifp == &mif);
  s_out_len = 0;
  polls(1);
}

static void routers(void) {
  uint8_t m[100];
  start();
  CHECK(memcmp(mif.ip6ll, LL, 16) == 0 && mif.enable_slaac && mif.state6 == 2 && s_n6 == 0);
  CHECK(sent(133) != NULL);
  s_out_len = 0;
  pass(1000);
  CHECK(sent(133) != NULL);
  // From elsewhere, or not from a router's own address: not believed.
  size_t n = advertisement(m, true);
  icmp_in(GW_MAC, ROUTER, NODES, 254, m, n);
  icmp_in(GW_MAC, GLOBAL, NODES, 255, m, n);
  // Options without an end.
  m[17] = 0;
  icmp_in(GW_MAC, ROUTER, NODES, 255, m, n);
  m[17] = 9;
  icmp_in(GW_MAC, ROUTER, NODES, 255, m, n);
  for (size_t len = 0; len < 48; len++) advertisement(m, true), icmp_in(GW_MAC, ROUTER, NODES, 255, m, len < 4 ? 4 : len);
  all_in();
  CHECK(mif.state6 == 2 && mif.ip6[0] == 0);
  s_out_len = 0;
  n = advertisement(m, true);
  icmp_in(GW_MAC, ROUTER, NODES, 255, m, n);
  all_in();
  CHECK(mif.state6 == 5 && s_n6 == 1 && s_events6[0] == 5);
  CHECK(memcmp(mif.ip6, GLOBAL, 16) == 0 && mif.prefix_len == 64 && memcmp(mif.gw6, ROUTER, 16) == 0 && mif.gw6_ready);
  CHECK(memcmp(mif.gw6mac, GW_MAC, 6) == 0 && sent(136) != NULL);
  end();
  // Without the router's MAC address it is asked for.
  start();
  n = advertisement(m, false);
  icmp_in(GW_MAC, ROUTER, NODES, 255, m, n);
  all_in();
  const uint8_t *ip = sent(135);
  CHECK(mif.state6 == 4 && ip != NULL && memcmp(ip + 48, ROUTER, 16) == 0);
  memset(m, 0, sizeof(m));
  m[0] = 136, m[4] = 0x60, memcpy(m + 8, ROUTER, 16), m[24] = 2, m[25] = 1, memcpy(m + 26, GW_MAC, 6);
  icmp_in(GW_MAC, ROUTER, LL, 255, m, 32);
  all_in();
  CHECK(mif.state6 == 5 && s_n6 == 2 && mif.gw6_ready);
  // A later answer that nobody has asked for moves nothing.
  memset(m + 26, 6, 6);
  icmp_in(PEER_MAC, ROUTER, LL, 255, m, 32);
  icmp_in(PEER_MAC, ROUTER, NODES, 255, m, 32);
  all_in();
  CHECK(memcmp(mif.gw6mac, GW_MAC, 6) == 0);
  end();
}

// Without IPv4: a client of IPv6 works all the same.
static void no_ip4(void) {
  memset(&mif, 0, sizeof(mif));
  memcpy(mif.mac, OUR_MAC, 6);
  mif.driver = &s_driver;
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mg_connect(&mgr, "udp://[fe80::1]:53", NULL, NULL) == NULL);
  s_link = true;
  s_out_len = 0;
  polls(1);
  CHECK(mif.state == 2 && mif.state6 == 2);
  CHECK(mg_connect(&mgr, "udp://10.0.0.1:53", NULL, NULL) == NULL);
  struct mg_connection *c = mg_connect(&mgr, "udp://[fe80::1]:53", NULL, NULL);
  CHECK(c != NULL && c->rem.is_ip6);
  if (c != NULL) mg_send(c, "x", 1);
  const uint8_t *ip = sent(135);
  CHECK(ip != NULL && memcmp(ip + 48, ROUTER, 16) == 0);
  polls(1);
  CHECK(c != NULL && !c->is_closing);
  end();
}

static void neighbours(void) {
  uint8_t m[100] = {0};
  start();
  uint8_t node[16] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0, 2};
  m[0] = 135, memcpy(m + 8, LL, 16), m[24] = 1, m[25] = 1, memcpy(m + 26, PEER_MAC, 6);
  s_out_len = 0;
  icmp_in(PEER_MAC, ROUTER, node, 255, m, 32);
  all_in();
  const uint8_t *ip = sent(136);
  CHECK(ip != NULL && memcmp(ip - 14, PEER_MAC, 6) == 0 && memcmp(ip + 48, LL, 16) == 0 && memcmp(ip + 66, OUR_MAC, 6) == 0);
  // Not from this link.
  s_out_len = 0;
  icmp_in(PEER_MAC, ROUTER, node, 64, m, 32);
  all_in();
  CHECK(sent(136) == NULL);
  memset(m, 0, sizeof(m));
  m[0] = 128, m[8] = 'x';
  icmp_in(PEER_MAC, ROUTER, LL, 64, m, 9);
  all_in();
  ip = sent(129);
  CHECK(ip != NULL && ip[48] == 'x');
  end();
}

int main(void) {
  routers();
  neighbours();
  no_ip4();
  return s_failed > 0;
}
