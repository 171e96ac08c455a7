// The states of the interface: events and frames in their order.
#include "scripted.h"

static void fixed_gateway_answers(void) {
  begin(IP(2), IP(1));
  polls(1);
  CHECK_STR(s_log, "who1 S4 T");
  arp_in(false, GW_MAC, IP(1), IP(2));
  all_in();
  CHECK_STR(s_log, "who1 S4 T arp garp S5");
  CHECK(mif.gw_ready && memcmp(mif.gwmac, GW_MAC, 6) == 0 && mif.state == 5);
  end();
}

static void fixed_gateway_silent(void) {
  begin(IP(2), IP(1));
  polls(1);
  pass(1000);
  CHECK_STR(s_log, "who1 S4 T S5 T");
  s_log[0] = '\0';
  pass(2000);
  CHECK_STR(s_log, "who1 T who1 T");
  CHECK(!mif.gw_ready);
  end();
}

static void no_gateway(void) {
  begin(IP(2), 0);
  polls(1);
  CHECK_STR(s_log, "S4 T");
  pass(1000);
  CHECK_STR(s_log, "S4 T S5 T");
  // Nobody can be reached beyond the network: that is said at once.
  CHECK(mg_connect(&mgr, "tcp://8.8.8.8:80", NULL, NULL) != NULL);
  end();
}

static void no_address(void) {
  begin(0, 0);
  mif.enable_dhcp_client = false;
  polls(1);
  CHECK_STR(s_log, "S2 T");
  pass(1000);
  mif.ip = IP(2), mif.mask = MG_IPV4(255, 255, 255, 0);
  s_log[0] = '\0';
  pass(2000);
  CHECK_STR(s_log, "S4 T S5 T");
  end();
}

static void link_loss(void) {
  begin_ready();
  s_link = false;
  pass(3000);
  CHECK_STR(s_log, "S0 T T T");  // once, not each second
  CHECK(mif.ip == IP(2));
  s_link = true;
  s_log[0] = '\0';
  pass(1000);
  CHECK_STR(s_log, "who1 S4 T");
  arp_in(false, GW_MAC, IP(1), IP(2));
  all_in();
  CHECK(mif.state == 5);
  end();
}

// ---- DHCP

static uint8_t s_msg[300];

static void dhcp_answer(int type, uint32_t yiaddr, bool router, uint32_t lease) {
  // The last message of the client.
  const uint8_t *ask = NULL;
  for (size_t i = 0; i < s_out_len; i++) {
    const uint8_t *ip = s_out[i].b + 14;
    if (be16(s_out[i].b + 12) == 0x800 && ip[9] == 17 && be16(ip + 22) == 67) ask = ip + 28;
  }
  CHECK(ask != NULL);
  if (ask == NULL) return;
  memset(s_msg, 0, sizeof(s_msg));
  memcpy(s_msg, ask, 240);
  s_msg[0] = 2;
  memcpy(s_msg + 16, &yiaddr, 4);
  uint8_t *o = s_msg + 240;
  const uint8_t fixed[] = {53, 1, (uint8_t) type, 54, 4, 10, 0, 0, 1, 1, 4, 255, 255, 255, 0, 6, 4, 10, 0, 0, 53, 42, 4, 10, 0, 0, 42};
  memcpy(o, fixed, sizeof(fixed));
  o += sizeof(fixed);
  *o++ = 51, *o++ = 4, put32(o, lease), o += 4;
  if (router) memcpy(o, "\x03\x04\x0a\x00\x00\x01", 6), o += 6;
  *o = 255;
  udp_in(GW_MAC, IP(1), 67, 0xffffffff, 68, s_msg, sizeof(s_msg));
  all_in();
}

static void dhcp_whole(void) {
  begin(0, 0);
  CHECK(mif.enable_dhcp_client);
  mif.enable_req_dns = mif.enable_req_sntp = true;
  polls(1);
  CHECK_STR(s_log, "S2 T DISCOVER");
  pass(1000);
  CHECK_STR(s_log, "S2 T DISCOVER T DISCOVER");
  s_log[0] = '\0';
  dhcp_answer(2, IP(77), true, 3600);
  CHECK_STR(s_log, "REQUEST S3");
  dhcp_answer(5, IP(77), true, 3600);
  CHECK_STR(s_log, "REQUEST S3 DNS53 SNTP42 who1 S4");
  CHECK(mif.ip == IP(77) && mif.gw == IP(1) && mif.mask == MG_IPV4(255, 255, 255, 0));
  CHECK(mgr.dns4.url == mif.dns4_url && strcmp(mif.dns4_url, "udp://10.0.0.53:53") == 0);
  arp_in(false, GW_MAC, IP(1), IP(77));
  all_in();
  CHECK(mif.state == 5);
  // At half of the time it is renewed, from our address to the server's; without an answer from there, from anybody.
  s_log[0] = '\0', s_out_len = 0;
  pass(1795000);
  CHECK(strstr(s_log, "REQUEST") == NULL);
  s_log[0] = '\0', s_out_len = 0;
  for (int i = 0; i < 200 && strstr(s_log, "who1") == NULL; i++) pass(50);
  arp_in(false, GW_MAC, IP(1), IP(77));
  all_in();
  CHECK(strstr(s_log, "REQUEST") != NULL);
  const uint8_t *ip = s_out[s_out_len - 1].b + 14;
  CHECK(be32(ip + 12) == 0x0a00004d && be32(ip + 16) == 0x0a000001 && be32(ip + 28 + 12) == 0x0a00004d);
  s_log[0] = '\0';
  dhcp_answer(5, IP(77), false, 3600);  // the lease goes on, without a router this time
  CHECK(mif.state == 5 && mif.ip == IP(77));
  CHECK(strstr(s_log, "S") == NULL);
  end();
}

// The lease ends when nobody renews it: the address is given up, and asked for anew.
static void dhcp_expires(void) {
  begin(0, 0);
  polls(1);
  dhcp_answer(2, IP(77), false, 20);
  dhcp_answer(5, IP(77), false, 20);  // a server need not be a router
  pass(2000);
  CHECK(mif.state == 5 && mif.ip == IP(77) && mif.gw == 0);
  s_log[0] = '\0';
  pass(20000);
  CHECK(mif.state == 2 && mif.ip == 0 && strstr(s_log, "S2") != NULL && strstr(s_log, "DISCOVER") != NULL);
  s_out_len = 0;
  pass(1000);
  dhcp_answer(2, IP(77), false, 3600);
  dhcp_answer(5, IP(77), false, 3600);
  pass(2000);
  CHECK(mif.state == 5 && mif.ip == IP(77));
  end();
}

// A lost ACK is asked for again, and in the end all begins anew.
static void dhcp_lost_ack(void) {
  begin(0, 0);
  polls(1);
  dhcp_answer(2, IP(77), true, 3600);
  CHECK(mif.state == 3);
  s_log[0] = '\0';
  pass(5000);
  CHECK(strstr(s_log, "REQUEST") != NULL);
  pass(60000);
  CHECK(mif.state == 2 && strstr(s_log, "DISCOVER") != NULL);
  end();
}

// Messages for others, and refusals.
static void dhcp_hostile(void) {
  begin(0, 0);
  polls(1);
  dhcp_answer(2, IP(77), true, 3600);
  uint32_t xid = be32(s_msg + 4);
  dhcp_answer(6, 0, false, 0);  // refused
  CHECK(mif.state == 2 && mif.ip == 0);
  polls(2);
  s_out_len = 0;
  pass(1000);
  dhcp_answer(2, IP(77), true, 3600);
  CHECK(be32(s_msg + 4) != xid);  // not guessable, and not the same twice
  s_msg[28] ^= 1;
  s_msg[242] = 5;
  udp_in(GW_MAC, IP(1), 67, 0xffffffff, 68, s_msg, sizeof(s_msg));
  all_in();
  CHECK(mif.state == 3);  // for another client
  for (size_t n = 0; n < sizeof(s_msg); n += 7) udp_in(GW_MAC, IP(1), 67, 0xffffffff, 68, s_msg, n), all_in();
  for (int i = 240; i < 300; i++) s_msg[i] = 54;
  udp_in(GW_MAC, IP(1), 67, 0xffffffff, 68, s_msg, sizeof(s_msg));
  all_in();
  CHECK(mif.state == 3);
  end();
}

// Our own server: the address after ours, to whoever asks.
static void dhcp_server(void) {
  begin_ready();
  mif.enable_dhcp_server = mif.enable_get_gateway = true;
  uint8_t m[300] = {1, 1, 6, 0, 1, 2, 3, 4};
  memcpy(m + 28, PEER_MAC, 6);
  memcpy(m + 236, "\x63\x82\x53\x63\x35\x01\x01\xff", 8);
  udp_in(PEER_MAC, 0, 68, 0xffffffff, 67, m, sizeof(m));
  all_in();
  const uint8_t *b = s_out[s_out_len - 1].b, *d = b + 42;
  CHECK(s_out_len == 1 && memcmp(b, PEER_MAC, 6) == 0 && be32(b + 30) == 0xffffffff && memcmp(d + 16, "\x0a\x00\x00\x03", 4) == 0);
  m[242] = 3;
  udp_in(PEER_MAC, 0, 68, 0xffffffff, 67, m, sizeof(m));
  all_in();
  CHECK(s_out_len == 2);
  memcpy(m + 12, "\x0a\x00\x00\x03", 4);
  udp_in(PEER_MAC, 0, 68, 0xffffffff, 67, m, sizeof(m));
  all_in();
  b = s_out[s_out_len - 1].b;
  CHECK(s_out_len == 3 && memcmp(b + 30, "\x0a\x00\x00\x03", 4) == 0 && b[42 + 242] == 5);
  CHECK(mif.gw == IP(3) && memcmp(mif.gwmac, PEER_MAC, 6) == 0);
  end();
}

// Failures of the driver, and defaults.
static bool fails(struct mg_tcpip_if *ifp) {
  CHECK(ifp->mac[0] == 2 && ifp->mtu == 1500 && ifp->framesize == 1540 && strcmp(ifp->dhcp_name, "mip") == 0);
  return false;
}

static void init_fails(void) {
  struct mg_tcpip_driver d = {fails, script_tx, script_rx, script_poll};
  memset(&mif, 0, sizeof(mif));
  mif.driver = &d;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mgr.ifp == NULL && mif.tx.buf == NULL && mif.recv_queue.buf == NULL);
  CHECK(mg_connect(&mgr, "tcp://10.0.0.9:1", NULL, NULL) == NULL);
  polls(3);
  end();
  memset(&mif, 0, sizeof(mif));
  mif.driver = &s_driver;
  mif.l2type = MG_TCPIP_L2_PPP;
  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mgr.ifp == NULL);
  end();
}

// A driver that pushes: an interrupt handler fills the queue.
static void push(void) {
  struct mg_tcpip_driver d = {NULL, script_tx, NULL, NULL};
  begin(IP(2), IP(1));
  end();
  memset(&mif, 0, sizeof(mif));
  memcpy(mif.mac, OUR_MAC, 6);
  mif.ip = IP(2), mif.mask = MG_IPV4(255, 255, 255, 0), mif.gw = IP(1), mif.driver = &d, mif.fn = on_net;
  s_log[0] = '\0';
  mg_mgr_init(&mgr);
  mg_tcpip_qwrite(s_msg, 60, &mif);  // before there is a queue
  CHECK(mif.ndrop == 1);
  mg_tcpip_init(&mgr, &mif);
  CHECK(mif.recv_queue.size == 8192);
  polls(1);
  CHECK_STR(s_log, "who1 S4 T");
  s_in_head = s_in_tail = 0;
  for (int i = 0; i < 20; i++) arp_in(true, PEER_MAC, IP(9), IP(2));
  for (int i = 0; i < 20; i++) mg_tcpip_qwrite(s_in[i].b, 60, &mif);
  CHECK(mif.nrecv == 20);
  s_out_len = 0;
  polls(1);
  CHECK(s_out_len == 7);
  polls(2);
  CHECK(s_out_len == 20);
  for (int i = 0; i < 300; i++) mg_tcpip_qwrite(s_in[0].b, 60, &mif);
  CHECK(mif.ndrop > 1);
  polls(60);
  s_in_head = s_in_tail = 0;
  end();
}

int main(void) {
  fixed_gateway_answers();
  fixed_gateway_silent();
  no_gateway();
  no_address();
  link_loss();
  dhcp_whole();
  dhcp_expires();
  dhcp_lost_ack();
  dhcp_hostile();
  dhcp_server();
  init_fails();
  push();
  return s_failed > 0;
}
