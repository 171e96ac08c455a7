// Pings from a peer that does not read: the pongs must not fill the memory.
// not under: short: megabytes byte by byte take minutes
#include "ws_peer.h"

#define PINGS 60000
#define FULL 125

static struct mg_mgr mgr;
static int pings, leaves_at;
static size_t most_queued;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_WS_CTL && (((struct mg_ws_message *) ev_data)->flags & 15) == WEBSOCKET_OP_PING && ++pings == leaves_at) c->pfn = NULL;
  if (ev == MG_EV_WS_MSG && ((struct mg_ws_message *) ev_data)->data.len == 1) mg_ws_send(c, "told", 4, WEBSOCKET_OP_TEXT);
  if (ev == MG_EV_WS_MSG && ((struct mg_ws_message *) ev_data)->data.len == 3) mg_ws_send(c, "\x03\xe8", 2, WEBSOCKET_OP_CLOSE);
  if (c->is_websocket && c->send.len > most_queued) most_queued = c->send.len;
}

// Numbers of all Pings that were answered, in order: they rise. Returns how many there were, and the last in `*last`.
static int answers(const struct peer *p, long *last) {
  size_t at = 0;
  int n = 0;
  *last = -1;
  while (at + 2 + FULL <= p->len && (unsigned char) p->buf[at] == 0x8a && p->buf[at + 1] == FULL) {
    long number = atol(p->buf + at + 2);
    if (number <= *last) break;
    *last = number;
    n++;
    at += 2 + FULL;
  }
  return at == p->len ? n : -1;
}

static size_t ping(char *to, int number) {
  char payload[FULL + 1];
  snprintf(payload, sizeof(payload), "%-125d", number);
  return ws_frame(to, 0x89, payload, FULL);
}

static void never_read(void) {
  struct peer p;
  size_t len = 0, said = 0, size = (size_t) PINGS * (FULL + 6);
  char *text = (char *) malloc(size);
  uint64_t end = real_ms() + 50000;
  long last;
  int i, n;
  pings = 0;
  ws_open(&p, &mgr, serve(&mgr, handler, NULL));
  i = 4096;
  setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &i, sizeof(i));
  i = 4096;
  setsockopt((int) (size_t) mgr.conns->fd, SOL_SOCKET, SO_SNDBUF, &i, sizeof(i));
  for (i = 0; i < PINGS; i++) len += ping(text + len, i);
  while ((said < len || pings < PINGS) && real_ms() < end) {
    ssize_t k = send(p.fd, text + said, len - said, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (k > 0) said += (size_t) k;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(pings, PINGS);
  CHECK(most_queued < 256 * 1024);
  CHECK(mgr.conns->recv.size < 256 * 1024);
  // Now it reads, and gets an answer to the last one.
  for (last = -1, n = 0; last != PINGS - 1 && real_ms() < end;) {
    mg_mgr_poll(&mgr, 1);
    peer_read(&p);
    n = answers(&p, &last);
  }
  CHECK_EQ(last, PINGS - 1);
  CHECK(n > 256 && n < PINGS / 2);
  // All is as before: the next ones are answered one by one.
  p.len = 0;
  for (i = 0, len = 0; i < 100; i++) len += ping(text + len, i);
  CHECK(peer_send(&p, text, len) && ws_text(&p, "x"));
  POLL_UNTIL(&mgr, peer_has(&p, 100 * (FULL + 2) + 6));
  CHECK(memcmp(p.buf + p.len - 6, "\x81\x04told", 6) == 0);
  p.len -= 6;
  CHECK_EQ(answers(&p, &last), 100);
  peer_free(&p);
  mg_mgr_free(&mgr);
  free(text);
}

// A late answer does not follow a Close frame.
static void closed_meanwhile(bool by_peer) {
  struct peer p;
  char frame[200];
  long last;
  int i, n, small = 4096;
  pings = 0;
  ws_open(&p, &mgr, serve(&mgr, handler, NULL));
  setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  setsockopt((int) (size_t) mgr.conns->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
  for (i = 0; i < 5000; i++) {
    CHECK(peer_send(&p, frame, ping(frame, i)));
    if (i % 100 == 0) poll_often(&mgr);
  }
  POLL_UNTIL(&mgr, pings == 5000);
  if (by_peer) {
    CHECK(ws_send_frame(&p, 0x88, "\x03\xe8", 2));
    POLL_UNTIL(&mgr, peer_read(&p));
  } else {
    CHECK(ws_text(&p, "bye"));
    POLL_UNTIL(&mgr, (peer_read(&p), p.len > 4 && memcmp(p.buf + p.len - 4, "\x88\x02\x03\xe8", 4) == 0));
    poll_often(&mgr);
    peer_read(&p);
  }
  CHECK(p.len > 4 && memcmp(p.buf + p.len - 4, "\x88\x02\x03\xe8", 4) == 0);
  p.len -= 4;
  n = answers(&p, &last);
  CHECK(n >= 256 && n < 5000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static size_t numbered_pings(char *to, int from, int count) {
  size_t n = 0;
  int i;
  for (i = from; i < from + count; i++) {
    char text[5];
    mg_snprintf(text, sizeof(text), "%04d", i);
    n += ws_frame(to + n, 0x89, text, 4);
  }
  return n;
}

// The Pongs are sent while another protocol has the connection: then no answer is late, and the next ones come in their order.
static void sent_for_another_protocol(void) {
  enum { SENT = 300, PONGS = 256 };
  char frames[SENT * 10];
  struct peer p;
  mg_event_handler_t library;
  pings = 0, leaves_at = SENT;
  ws_open(&p, &mgr, serve(&mgr, handler, NULL));
  library = mgr.conns->pfn;
  CHECK(peer_send(&p, frames, numbered_pings(frames, 0, SENT)));
  POLL_UNTIL(&mgr, peer_has(&p, 6 * PONGS));
  CHECK(mgr.conns->pfn == NULL && mgr.conns->send.len == 0);
  mgr.conns->pfn = library;
  leaves_at = 0;
  CHECK(peer_send(&p, frames, numbered_pings(frames, SENT, PONGS)));
  POLL_UNTIL(&mgr, peer_has(&p, 6 * 2 * PONGS));
  poll_often(&mgr);
  peer_read(&p);
  CHECK_EQ(p.len, 6 * 2 * PONGS);
  CHECK(memcmp(p.buf + p.len - 4, "0555", 4) == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Pings that arrive together: the first 256, and the last one.
static void all_at_once(void) {
  enum { SENT = 300, PONGS = 256 };
  char frames[SENT * 10];
  struct peer p;
  size_t i;
  ws_open(&p, &mgr, serve(&mgr, handler, NULL));
  CHECK(peer_send(&p, frames, numbered_pings(frames, 0, SENT)));
  POLL_UNTIL(&mgr, peer_has(&p, 6 * (PONGS + 1)));
  poll_often(&mgr);
  peer_read(&p);
  CHECK_EQ(p.len, 6 * (PONGS + 1));
  for (i = 0; i <= PONGS && p.len == 6 * (PONGS + 1); i++) {
    char text[5];
    mg_snprintf(text, sizeof(text), "%04d", (int) (i < PONGS ? i : SENT - 1));
    CHECK(memcmp(p.buf + 6 * i, "\x8a\4", 2) == 0 && memcmp(p.buf + 6 * i + 2, text, 4) == 0);
  }
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  all_at_once();
  sent_for_another_protocol();
  never_read();
  closed_meanwhile(true);
  closed_meanwhile(false);
  return DONE();
}
