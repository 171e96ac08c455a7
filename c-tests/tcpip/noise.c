// Segments with numbers near the right ones, in any state, and handlers that do anything: nothing crashes, hangs or grows.
//   noise [ROUNDS [SEED]]
#include "scripted.h"

static struct mg_connection *s_conn;
static uint32_t s_x = 1;
static size_t s_heap;

static uint32_t rnd(uint32_t n) {
  s_x ^= s_x << 13, s_x ^= s_x >> 17, s_x ^= s_x << 5;
  return (s_x >> 3) % n;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  static char text[5000];
  if (ev == MG_EV_ACCEPT) s_conn = c;
  if (ev == MG_EV_CLOSE && c == s_conn) s_conn = NULL;
  if (ev == MG_EV_READ) {
    if (rnd(4)) c->recv.len = 0;
    if (rnd(3) == 0) mg_send(c, text, rnd(sizeof(text)));
    if (rnd(50) == 0) c->is_draining = 1;
    if (rnd(100) == 0) c->is_closing = 1;
    if (c->recv.len > 100000) c->recv.len = 0;
  }
  (void) ev_data;
}

int main(int argc, char *argv[]) {
  long rounds = argc > 1 ? atol(argv[1]) : 30000;
  static uint8_t block[1460];
  s_x = argc > 2 ? (uint32_t) atol(argv[2]) | 1 : 1;
  begin_ready();
  mg_listen(&mgr, "tcp://0.0.0.0:80", handler, NULL);
  struct peer p = {IP(9), PEER_MAC, 1024, 80, 1, 1, 60000};
  int opened = 0;
  for (long i = 0; i < rounds; i++) {
    if (s_conn == NULL && rnd(3) == 0) {
      p.port = (uint16_t) (1024 + rnd(60000));
      p.seq = rnd(2) ? s_x : 0xffffffffu - rnd(3000);
      p.win = rnd(3) ? 60000 : rnd(3000);
      s_out_len = 0;
      tcp_in(&p, SYN, NULL, 0);
      all_in();
      p.ack = tcp_out(&p, 0).seq + 1;
      if (rnd(4)) tcp_in(&p, ACK, NULL, 0), all_in(), opened++;
    }
    struct seg s = tcp_out(&p, 0);
    if (s.found) {
      if (rnd(2)) p.ack = s.seq + (uint32_t) s.len + (s.flags & (SYN | FIN) ? 1 : 0);
      if (rnd(2)) p.seq = s.ack;
    }
    if (s_out_len > 500) s_out_len = 0;
    uint32_t near = rnd(3) ? 0 : rnd(2) ? rnd(5000) : 0u - rnd(5000);
    uint32_t near_ack = rnd(3) ? 0 : rnd(2) ? rnd(5000) : 0u - rnd(5000);
    unsigned flags = rnd(3) ? ACK : rnd(64);
    if (rnd(20) == 0) flags = FIN | ACK;
    if (rnd(200) == 0) flags = RST;
    size_t len = rnd(3) ? rnd(sizeof(block)) : 0;
    p.win = rnd(5) ? p.win : rnd(65536);
    tcp_raw(&p, flags, p.seq + near, p.ack + near_ack, block, len, rnd(20) ? 0 : rnd(16));
    if (rnd(10) == 0) s_in[s_in_tail - 1].len = rnd(1500) + 1;
    s_busy = rnd(50) == 0;
    s_now += rnd(10) ? rnd(3) : rnd(3000);
    if (s_conn != NULL && rnd(20) == 0) s_conn->is_full = rnd(2);
    if (rnd(2000) == 0) s_link = !s_link;
    if (rnd(500) == 0) mif.mtu = (uint16_t) rnd(2000);
    if (rnd(5000) == 0) mif.ip = rnd(2) ? IP(2) : IP(7);
    polls(1 + (int) rnd(3));
    while (s_in_tail > 100) polls(1);
    s_heap = s_conn != NULL && s_conn->send.len > s_heap ? s_conn->send.len : s_heap;
  }
  s_busy = false, s_link = true, mif.ip = IP(2), mif.mtu = 1500;
  all_in();
  pass(120000);
  s_out_len = 0;
  s_conn = NULL;
  arp_in(false, GW_MAC, IP(1), IP(2));
  all_in();
  shake(999, 80);
  CHECK(opened > rounds / 1000 && s_conn != NULL);
  end();
  return s_failed > 0;
}
