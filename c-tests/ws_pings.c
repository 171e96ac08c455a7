// Pings from a peer that does not read: the pongs must not fill the memory.
// not under: short: megabytes byte by byte take minutes
#include "ws_peer.h"

#define PINGS 60000
#define FULL 125

static struct mg_mgr mgr;
static int pings;
static size_t most_queued;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_WS_CTL && (((struct mg_ws_message *) ev_data)->flags & 15) == WEBSOCKET_OP_PING) pings++;
  if (ev == MG_EV_WS_MSG) mg_ws_send(c, "told", 4, WEBSOCKET_OP_TEXT);
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
static void closed_meanwhile(void) {
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
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe8", 2));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.len > 4 && memcmp(p.buf + p.len - 4, "\x88\x02\x03\xe8", 4) == 0);
  p.len -= 4;
  n = answers(&p, &last);
  CHECK(n >= 256 && n < 5000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  never_read();
  closed_meanwhile();
  return DONE();
}
