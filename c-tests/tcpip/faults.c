// What has gone wrong in other stacks, with frames made for it.
#include "scripted.h"

static struct mg_connection *s_conn;   // the accepted connection that was heard of last
static char s_events[2000], s_got[70000];
static size_t s_got_len;
static bool s_keep;                    // do not take what is received

static void note(const char *what) {
  if (strlen(s_events) + strlen(what) + 2 < sizeof(s_events)) strcat(strcat(s_events, s_events[0] ? " " : ""), what);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT || ev == MG_EV_CONNECT) {
    s_conn = c;
    note(ev == MG_EV_ACCEPT ? "accept" : "connect");
  } else if (ev == MG_EV_READ && !s_keep) {
    if (s_got_len + c->recv.len < sizeof(s_got)) memcpy(s_got + s_got_len, c->recv.buf, c->recv.len), s_got_len += c->recv.len;
    c->recv.len = 0;
  } else if (ev == MG_EV_ERROR) {
    note((char *) ev_data);
  } else if (ev == MG_EV_CLOSE) {
    note("close");
    if (c == s_conn) s_conn = NULL;
  }
}

static struct mg_connection *begin_server(void) {
  s_conn = NULL, s_events[0] = '\0', s_got_len = 0, s_keep = false;
  begin_ready();
  struct mg_connection *l = mg_listen(&mgr, "tcp://0.0.0.0:80", handler, NULL);
  CHECK(l != NULL && l->loc.port == mg_htons(80));
  return l;
}

// ---- Sequence numbers

static void initial_numbers(void) {
  begin_server();
  uint32_t seen[40];
  int same = 0, near = 0;
  for (unsigned i = 0; i < 40; i++) {
    struct peer p = shake((uint16_t) (5000 + i), 80);
    seen[i] = p.ack - 1;
    CHECK(seen[i] != p.port);
    for (unsigned j = 0; j < i; j++) same += seen[j] == seen[i], near += seen[j] - seen[i] + 65536 < 131072;
  }
  CHECK(same == 0 && near <= 2);
  end();
}

// The peer's numbers may be anything, and wrap.
static void wrap_around(void) {
  begin_server();
  struct peer p = {IP(9), PEER_MAC, 4000, 80, 0xfffffff0u, 0, 60000};
  tcp_in(&p, SYN, NULL, 0);
  all_in();
  p.ack = tcp_out(&p, 0).seq + 1;
  tcp_in(&p, ACK, NULL, 0);
  for (int i = 0; i < 5; i++) tcp_in(&p, ACK | PSH, "0123456789", 10);
  all_in();
  CHECK(s_got_len == 50 && s_conn != NULL);
  // A reset far away, on the other side of the wrap.
  tcp_raw(&p, RST, p.seq + 0x80000000u, 0, NULL, 0, 0);
  tcp_raw(&p, RST, p.seq - 1, 0, NULL, 0, 0);
  all_in();
  CHECK(s_conn != NULL);
  tcp_raw(&p, RST, p.seq, 0, NULL, 0, 0);
  all_in();
  CHECK(s_conn == NULL);
  end();
}

// ---- RFC 5961

static void blind_resets(void) {
  begin_server();
  struct peer p = shake(4001, 80);
  size_t from = s_out_len;
  tcp_raw(&p, RST, p.seq + 1000, 0, NULL, 0, 0);
  all_in();
  struct seg s = tcp_out(&p, from);
  CHECK(s_conn != NULL && s.found && s.flags == ACK && s.ack == p.seq && s.seq == p.ack);
  from = s_out_len;
  tcp_raw(&p, SYN, p.seq + 5, 0, NULL, 0, 0);
  pass(1100);  // not as many answers as questions
  all_in();
  CHECK(s_conn != NULL);
  tcp_raw(&p, SYN, p.seq + 5, 0, NULL, 0, 0);
  all_in();
  s = tcp_out(&p, from);
  CHECK(s_conn != NULL && s.found && s.flags == ACK && s.ack == p.seq);
  // Data that acknowledges what was never sent.
  tcp_raw(&p, ACK | PSH, p.seq, p.ack + 100000, "forged", 6, 0);
  all_in();
  CHECK(s_got_len == 0);
  // After data, the exact number is that of the next byte.
  tcp_in(&p, ACK | PSH, "hello", 5);
  polls(2);
  tcp_raw(&p, RST, p.seq - 5, 0, NULL, 0, 0);
  all_in();
  CHECK(s_conn != NULL && s_got_len == 5);
  tcp_raw(&p, RST, p.seq, 0, NULL, 0, 0);
  all_in();
  CHECK_STR(s_events, "accept peer RST close");
  end();
}

// The handshake: the peer must have seen our number.
static void handshake(void) {
  begin_server();
  struct peer p = {IP(9), PEER_MAC, 4002, 80, 7000, 0, 60000};
  tcp_in(&p, SYN, NULL, 0);
  all_in();
  struct seg s = tcp_out(&p, 0);
  tcp_raw(&p, ACK, p.seq, s.seq + 2, NULL, 0, 0);
  all_in();
  CHECK(s_conn == NULL && s_events[0] == '\0');
  // The last ACK is lost, and data comes in its place.
  p.ack = s.seq + 1;
  tcp_in(&p, ACK | PSH, "abc", 3);
  all_in();
  CHECK(s_conn != NULL && s_got_len == 3);
  CHECK_STR(s_events, "accept");
  end();
}

static struct mg_addr s_resolved[2];  // loc and rem at MG_EV_RESOLVE

static void client_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) CHECK(c->loc.port == 0 && c->loc.addr.ip4 == 0);
  if (ev == MG_EV_RESOLVE) s_resolved[0] = c->loc, s_resolved[1] = c->rem;
  handler(c, ev, ev_data);
}

static struct peer client_syn(struct mg_connection **c) {
  *c = mg_connect(&mgr, "tcp://10.0.0.9:99", client_handler, NULL);
  CHECK(s_resolved[0].addr.ip4 == IP(2) && mg_ntohs(s_resolved[0].port) >= 32768);
  CHECK(s_resolved[1].addr.ip4 == IP(9) && s_resolved[1].port == mg_htons(99));
  CHECK(*c != NULL && (*c)->is_connecting);
  polls(2);
  arp_in(false, PEER_MAC, IP(9), IP(2));
  all_in();
  struct peer p = {IP(9), PEER_MAC, 99, 0, 900, 0, 60000};
  for (size_t i = 0; i < s_out_len; i++) {
    if (be16(s_out[i].b + 12) == 0x800 && s_out[i].b[23] == 6) p.to = be16(s_out[i].b + 34);
  }
  struct seg s = tcp_out(&p, 0);
  CHECK(s.found && s.flags == SYN && mg_htons(p.to) == s_resolved[0].port);
  p.ack = s.seq + 1;
  return p;
}

static void client(void) {
  struct mg_connection *c;
  begin_ready();
  s_events[0] = '\0';
  struct peer p = client_syn(&c);
  CHECK(p.ack - 1 != p.to);
  // Acknowledgements of something else, resets of somebody else.
  tcp_raw(&p, SYN | ACK, 900, p.ack + 5, NULL, 0, 0);
  tcp_raw(&p, RST | ACK, 0, p.ack + 5, NULL, 0, 0);
  tcp_raw(&p, RST, 900, 0, NULL, 0, 0);
  tcp_raw(&p, FIN | ACK, 900, p.ack, NULL, 0, 0);
  all_in();
  CHECK_STR(s_events, "");
  tcp_in(&p, SYN | ACK, NULL, 0);
  all_in();
  CHECK_STR(s_events, "connect");
  end();
  CHECK_STR(s_events, "connect close");

  begin_ready();
  s_events[0] = '\0';
  p = client_syn(&c);
  tcp_raw(&p, RST | ACK, 0, p.ack, NULL, 0, 0);
  all_in();
  CHECK_STR(s_events, "connection refused close");
  end();

  // Lost SYNs are sent again; all in all 15 seconds.
  begin_ready();
  s_events[0] = '\0';
  size_t from = s_out_len;
  p = client_syn(&c);
  pass(14000);
  CHECK(tcp_out(&p, from).count >= 3);
  CHECK_STR(s_events, "");
  pass(2000);
  CHECK_STR(s_events, "Connection timeout close");
  end();

  // Nobody there.
  begin_ready();
  s_events[0] = '\0', s_log[0] = '\0';
  CHECK(mg_connect(&mgr, "tcp://10.0.0.9:99", handler, NULL) != NULL);
  pass(5000);
  CHECK(strstr(s_log, "who9 ") != NULL && strstr(strstr(s_log, "who9 ") + 5, "who9") != NULL);
  pass(12000);
  CHECK_STR(s_events, "ARP timeout close");
  end();

  // No way out.
  begin(IP(2), 0);
  pass(2000);
  s_events[0] = '\0';
  CHECK(mif.state == 5 && mg_connect(&mgr, "tcp://8.8.8.8:80", handler, NULL) != NULL);
  polls(2);
  CHECK_STR(s_events, "No gateway, can't connect close");
  end();
}

// ---- Segments

static void malformed(void) {
  begin_server();
  struct peer p = shake(4003, 80);
  for (unsigned offset = 1; offset < 5; offset++) tcp_raw(&p, ACK | PSH, p.seq, p.ack, "data!", 5, offset);
  for (unsigned offset = 7; offset < 16; offset++) tcp_raw(&p, ACK | PSH, p.seq, p.ack, "data!", 5, offset);
  all_in();
  CHECK(s_got_len == 0 && s_conn != NULL);
  // Options without an end.
  static const uint8_t bad[][4] = {{2, 0, 5, 180}, {2, 9, 5, 180}, {8, 0, 0, 0}, {2, 1, 0, 0}, {5, 255, 0, 0}, {3, 3, 255, 3}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    tcp_raw(&p, ACK, p.seq, p.ack, bad[i], 4, 6);
    struct peer q = {IP(9), PEER_MAC, (uint16_t) (6000 + i), 80, 1, 0, 60000};
    tcp_raw(&q, SYN, 1, 0, bad[i], 4, 6);
  }
  all_in();
  CHECK(s_conn != NULL);
  // Lengths and checksums that are wrong: every prefix of a segment, and every bit of it.
  tcp_raw(&p, ACK | PSH, p.seq, p.ack, "xy", 2, 0);
  struct frame good = s_in[s_in_tail - 1];
  all_in();
  CHECK(s_got_len == 2);
  for (size_t n = 0; n < 56; n++) {
    in(good.b, 56);
    s_in[s_in_tail - 1].len = n;
  }
  all_in();
  for (size_t bit = 14 * 8; bit < 56 * 8; bit++) {
    struct frame f = good;
    put32(f.b + 38, p.seq);  // it would be new data
    f.b[bit / 8] ^= (uint8_t) (1 << bit % 8);
    in(f.b, 56);
    all_in();
  }
  CHECK(s_got_len == 2 && s_conn != NULL);
  p.seq += 2;
  tcp_in(&p, ACK | PSH, "z", 1);
  all_in();
  CHECK(s_got_len == 3 && memcmp(s_got, "xyz", 3) == 0);
  end();
}

static void fragments(void) {
  begin_server();
  struct peer p = shake(4004, 80);
  tcp_raw(&p, ACK | PSH, p.seq, p.ack, "data", 4, 0);
  struct frame *f = &s_in[s_in_tail - 1];
  for (int i = 0; i < 2; i++) {
    put16(f->b + 20, i == 0 ? 0x2000 : 0x0001);
    put16(f->b + 24, 0);
    put16(f->b + 24, (uint16_t) ~sum(f->b + 14, 20, 0));
    if (i == 0) in(f->b, f->len), f++;
  }
  all_in();
  CHECK(s_got_len == 0 && s_conn != NULL);
  CHECK_STR(s_events, "accept");
  end();
}

// The end of a stream counts after its last byte, with or without room for it.
static void fin_with_payload(void) {
  begin_server();
  struct peer p = shake(4005, 80);
  tcp_in(&p, ACK | PSH | FIN, "last words", 10);
  all_in();
  CHECK(s_got_len == 10 && memcmp(s_got, "last words", 10) == 0);
  struct seg s = tcp_out(&p, 0);
  CHECK(s.ack == p.seq);
  p.ack = s.seq + 1;
  tcp_in(&p, ACK, NULL, 0);
  all_in();
  CHECK_STR(s_events, "accept close");
  end();

  // The window is nearly full.
  begin_server();
  s_keep = true;
  p = shake(4006, 80);
  s_conn->is_full = 1;
  static uint8_t block[1000];
  size_t sent = 0;
  unsigned win = tcp_out(&p, 0).win;
  while (tcp_out(&p, 0).win > 500 && sent < 200000) {
    size_t n = win < 1000 ? win - 300 : 1000;
    for (size_t i = 0; i < n; i++) block[i] = (uint8_t) (sent + i);
    tcp_in(&p, ACK | PSH, block, n);
    sent += n;
    all_in();
    pass(50);
    win = tcp_out(&p, 0).win;
  }
  CHECK(win < 500 && sent > 5000 && sent < 200000);
  uint32_t before = p.seq;
  for (size_t i = 0; i < 1000; i++) block[i] = (uint8_t) (sent + i);
  tcp_in(&p, ACK | PSH | FIN, block, 1000);
  all_in();
  CHECK(s_conn != NULL && strcmp(s_events, "accept") == 0);
  s_conn->is_full = 0;
  pass(100);
  CHECK(strcmp(s_events, "accept") == 0);  // not ended: the rest is to come
  // The peer sends again what was not acknowledged.
  size_t have = tcp_out(&p, 0).ack - before;
  CHECK(have < 1001);
  s_got_len = 0;
  CHECK(s_conn != NULL && s_conn->recv.len == sent + have);
  tcp_raw(&p, ACK | PSH | FIN, before + (uint32_t) have, p.ack, block + have, 1000 - have, 0);
  s_keep = false;
  all_in();
  pass(100);
  CHECK(s_got_len == sent + 1000);
  bool intact = true;
  for (size_t i = 0; i < s_got_len; i++) intact = intact && (uint8_t) s_got[i] == (uint8_t) i;
  CHECK(intact);
  end();
}

// A peer that sends more than there is room for must wait.
static void back_pressure(void) {
  begin_server();
  struct peer p = shake(4007, 80);
  s_conn->is_full = 1;
  static uint8_t block[1400];
  size_t accepted = 0;
  for (int i = 0; i < 100; i++) {
    tcp_raw(&p, ACK | PSH, p.seq + (uint32_t) accepted, p.ack, block, sizeof(block), 0);
    all_in();
    pass(50);
    accepted = tcp_out(&p, 0).ack - p.seq;
  }
  struct seg s = tcp_out(&p, 0);
  CHECK(s.win == 0 && accepted < 100 * sizeof(block));
  CHECK(s_conn->recv.len == 0);
  size_t from = s_out_len;
  s_conn->is_full = 0;
  pass(200);
  CHECK(s_got_len == accepted && tcp_out(&p, from).win > 5000);
  end();
}

// ---- Flood

static void flood(void) {
  struct mg_connection *l = begin_server();
  memset(l->data, 0x5a, sizeof(l->data));
  for (unsigned i = 0; i < 400; i++) {
    struct peer q = {IP(9), PEER_MAC, (uint16_t) (10000 + i), 80, i, 0, 60000};
    tcp_in(&q, SYN, NULL, 0);
  }
  all_in();
  s_out_len = 0;
  struct peer p = shake(4008, 80);
  tcp_in(&p, ACK | PSH, "me", 2);
  all_in();
  CHECK(s_got_len == 2 && s_conn != NULL);
  for (size_t i = 0; i < sizeof(l->data); i++) CHECK(l->data[i] == 0x5a);
  CHECK(l->send.len == 0 && l->recv.len == 0);
  end();
}

// ---- Layer 2

static void padding_contains_no_old_bytes(void) {
  begin_server();
  struct peer p = shake(4009, 80);
  char secret[300];
  memset(secret, 'S', sizeof(secret));
  mg_send(s_conn, secret, sizeof(secret));
  polls(2);
  p.ack += sizeof(secret);
  size_t from = s_out_len;
  tcp_in(&p, ACK | PSH, "x", 1);
  tcp_in(&p, ACK | PSH, "x", 1);
  arp_in(true, PEER_MAC, IP(9), IP(2));
  all_in();
  pass(300);
  CHECK(s_out_len > from);
  for (size_t i = from; i < s_out_len; i++) {
    size_t len = be16(s_out[i].b + 12) == 0x800 ? 14u + be16(s_out[i].b + 16) : 42u;
    CHECK(s_out[i].len >= 60);
    for (size_t n = len; n < s_out[i].len; n++) CHECK(s_out[i].b[n] == 0);
  }
  end();
}

// Addresses that are not ours, and sources that nobody can have.
static void addresses(void) {
  begin_server();
  static const struct { uint32_t from, to; } bad[] = {
      {0x0900000a, 0x0300000a}, {0x0900000a, 0xff00000a}, {0x0900000a, 0xffffffff}, {0x0900000a, 0x010000e0}, {0x0200000a, 0x0200000a},
      {0xffffffff, 0x0200000a}, {0xff00000a, 0x0200000a}, {0x010000e0, 0x0200000a}, {0x0100007f, 0x0200000a}, {0, 0x0200000a}};
  for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    uint8_t b[54];
    ip_head(b, PEER_MAC, bad[i].from, bad[i].to, 6, 20);
    memset(b + 34, 0, 20);
    put16(b + 34, 5555), put16(b + 36, 80), b[46] = 0x50, b[47] = SYN, put16(b + 48, 1000);
    put16(b + 50, upper(b + 14, b + 34, 20, 6));
    in(b, 54);
    // And an echo request.
    ip_head(b, PEER_MAC, bad[i].from, bad[i].to, 1, 8);
    memcpy(b + 34, "\x08\x00\xf7\xff\x00\x00\x00\x00", 8);
    in(b, 42);
  }
  all_in();
  CHECK(s_out_len == 0);
  uint8_t b[54];
  ip_head(b, PEER_MAC, IP(9), IP(2), 1, 8);
  memcpy(b + 34, "\x08\x00\xf7\xff\x00\x00\x00\x00", 8);
  in(b, 42);
  all_in();
  CHECK(s_out_len == 1 && s_out[0].b[34] == 0);
  end();
}

// Nobody but who was asked says where the gateway is.
static void arp_spoofing(void) {
  static const uint8_t EVIL[6] = {2, 6, 6, 6, 6, 6};
  begin_ready();
  arp_in(false, EVIL, IP(1), IP(2));
  arp_in(true, EVIL, IP(1), IP(2));
  arp_in(true, EVIL, IP(1), IP(1));
  all_in();
  CHECK(memcmp(mif.gwmac, GW_MAC, 6) == 0);
  s_out_len = 0;
  struct mg_connection *c = mg_connect(&mgr, "udp://8.8.8.8:53", NULL, NULL);
  CHECK(c != NULL && mg_send(c, "x", 1));
  CHECK(s_out_len == 1 && memcmp(s_out[0].b, GW_MAC, 6) == 0);
  // It is forgotten in the end, and asked for again.
  pass(61000);
  s_log[0] = '\0', s_out_len = 0;
  mg_send(c, "y", 1);
  CHECK_STR(s_log, "who1");
  arp_in(false, EVIL, IP(1), IP(2));  // now anybody may answer: there is no better to be had
  all_in();
  CHECK(memcmp(mif.gwmac, EVIL, 6) == 0);
  end();
}

// A lease for the address that we have had before changes nothing for connections; another address ends them.
static void address_changes(void) {
  struct mg_connection *l = begin_server();
  struct peer p = shake(4010, 80);
  mif.ip = 0;
  polls(3);
  mif.ip = IP(2);
  polls(3);
  tcp_in(&p, ACK | PSH, "still", 5);
  all_in();
  CHECK(s_conn != NULL && s_got_len == 5);
  mif.ip = IP(3);
  polls(3);
  CHECK(s_conn == NULL && !l->is_closing);
  end();
}

// A connection that the application closes is closed for the peer, too.
static void is_closing(void) {
  begin_server();
  struct peer p = shake(4011, 80);
  size_t from = s_out_len;
  s_conn->is_closing = 1;
  polls(3);
  struct seg s = tcp_out(&p, from);
  CHECK(s.found && (s.flags & (FIN | RST)));
  p.ack = s.seq + 1;
  tcp_in(&p, FIN | ACK, NULL, 0);
  all_in();
  from = s_out_len;
  pass(2000);
  CHECK(!tcp_out(&p, from).found);
  end();
}

// ---- The driver

static void driver_busy(void) {
  begin_server();
  struct peer p = shake(4012, 80);
  struct mg_connection *u = mg_connect(&mgr, "udp://10.0.0.9:53", NULL, NULL);
  s_busy = true;
  CHECK(u != NULL && !mg_send(u, "no", 2));
  mg_printf(u, "later");
  mg_send(s_conn, "hello", 5);
  polls(5);
  CHECK(!u->is_closing && s_conn != NULL);
  size_t from = s_out_len;
  s_busy = false;
  polls(5);
  CHECK(u->send.len == 0);
  struct seg s = tcp_out(&p, from);
  CHECK(s.found && s.len == 5 && memcmp(s.data, "hello", 5) == 0);
  p.ack += 5;
  tcp_in(&p, ACK, NULL, 0);
  all_in();
  s_broken = true;
  mg_send(s_conn, "x", 1);
  polls(4);
  CHECK_STR(s_events, "accept tx err close");
  s_broken = false;
  end();
}

// A peer can reach us before the gateway has answered, and gets its answer. Without a link there is nothing to send with.
static void before_the_gateway_answers(void) {
  s_conn = NULL, s_events[0] = '\0', s_got_len = 0, s_keep = false;
  begin(IP(2), IP(1));
  CHECK(mg_listen(&mgr, "tcp://0.0.0.0:80", handler, NULL) != NULL);
  polls(1);
  struct peer p = shake(4017, 80);
  CHECK(mif.state == MG_TCPIP_STATE_IP && s_conn != NULL);
  size_t from = s_out_len;
  CHECK(mg_send(s_conn, "hello", 5));
  polls(2);
  struct seg s = tcp_out(&p, from);
  CHECK(s.found && s.len == 5 && memcmp(s.data, "hello", 5) == 0);
  CHECK_STR(s_events, "accept");
  p.ack += 5;
  tcp_in(&p, ACK, NULL, 0);
  all_in();
  s_link = false;
  pass(1000);
  CHECK(mif.state == MG_TCPIP_STATE_DOWN && !mg_send(s_conn, "x", 1));
  polls(1);
  CHECK_STR(s_events, "accept net down close");
  end();
}

// ---- Lost segments

static void retransmission(void) {
  begin_server();
  struct peer p = shake(4013, 80);
  char text[3000];
  for (size_t i = 0; i < sizeof(text); i++) text[i] = (char) ('a' + i % 26);
  size_t from = s_out_len;
  mg_send(s_conn, text, sizeof(text));
  polls(5);
  CHECK(tcp_out(&p, from).found);
  // All of it is lost; then all of it arrives.
  from = s_out_len;
  pass(3000);
  char got[3000];
  size_t n = 0;
  for (size_t i = from; i < s_out_len; i++) {
    const uint8_t *t = s_out[i].b + 34;
    if (be16(s_out[i].b + 12) != 0x800 || s_out[i].b[23] != 6) continue;
    size_t at = be32(t + 4) - p.ack, len = be16(s_out[i].b + 16) - 40u;
    if (at + len <= sizeof(got)) memcpy(got + at, t + 20, len), n = at + len > n ? at + len : n;
  }
  CHECK(n == sizeof(text) && memcmp(got, text, n) == 0);
  p.ack += sizeof(text);
  tcp_in(&p, ACK, NULL, 0);
  // A lost FIN comes again.
  s_conn->is_draining = 1;
  all_in();
  from = s_out_len;
  pass(3000);
  struct seg s = tcp_out(&p, from);
  CHECK(s.found && (s.flags & FIN));
  end();

  // Segments that arrive in another order.
  begin_server();
  p = shake(4014, 80);
  tcp_raw(&p, ACK | PSH, p.seq + 3, p.ack, "def", 3, 0);
  tcp_raw(&p, ACK | PSH, p.seq + 6, p.ack, "ghi", 3, 0);
  all_in();
  CHECK(s_got_len == 0);
  tcp_raw(&p, ACK | PSH, p.seq, p.ack, "abc", 3, 0);
  all_in();
  CHECK(s_got_len == 9 && memcmp(s_got, "abcdefghi", 9) == 0);
  end();

  // The peer's window closes, and the news of its opening is lost: we ask.
  begin_server();
  p = shake(4015, 80);
  p.win = 0;
  tcp_in(&p, ACK, NULL, 0);
  all_in();
  mg_send(s_conn, "zero window", 11);
  from = s_out_len;
  pass(5000);
  s = tcp_out(&p, from);
  CHECK(s.found && s.seq == p.ack - 1);
  p.win = 60000;
  tcp_in(&p, ACK, NULL, 0);
  from = s_out_len;
  all_in();
  CHECK(tcp_out(&p, from).len == 11);
  end();

  // A peer that is gone is noticed: probes at 45, 90 and 135 s.
  begin_server();
  p = shake(4016, 80);
  from = s_out_len;
  pass(50000);
  CHECK(tcp_out(&p, from).count == 1);
  s_out_len = 0;
  pass(100000);
  CHECK_STR(s_events, "accept");
  pass(60000);
  CHECK(s_conn == NULL);
  end();
}

int main(void) {
  initial_numbers();
  wrap_around();
  blind_resets();
  handshake();
  client();
  malformed();
  fragments();
  fin_with_payload();
  back_pressure();
  flood();
  padding_contains_no_old_bytes();
  addresses();
  arp_spoofing();
  address_changes();
  is_closing();
  driver_busy();
  before_the_gateway_answers();
  retransmission();
  return s_failed > 0;
}
