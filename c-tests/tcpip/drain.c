// Draining over this stack: what was queued arrives, then the end of the stream, whatever the peer still sends.
#include "scripted.h"

static struct mg_connection *s_conn;
static int s_requests, s_closed;
static size_t s_reply;          // bytes of a reply
static bool s_later, s_drain;   // not at once; with is_draining
static char *s_body;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) s_conn = c;
  if (ev == MG_EV_HTTP_MSG) {
    s_requests++;
    if (s_later) return;
    mg_http_reply(c, s_drain ? 503 : 200, "", "%.*s", (int) s_reply, s_body);
    if (s_drain) c->is_draining = 1;
  }
  if (ev == MG_EV_CLOSE) {
    s_closed++;
    if (c == s_conn) s_conn = NULL;
  }
  (void) ev_data;
}

// What the peer has got.
static char *s_got;
static size_t s_got_len, s_seen;
static bool s_fin, s_rst;

static void receive(struct peer *p, bool acks) {
  uint32_t before = p->ack;
  for (; s_seen < s_out_len; s_seen++) {
    const uint8_t *b = s_out[s_seen].b, *t = b + 34;
    if (be16(b + 12) != 0x800 || b[23] != 6 || be16(t + 2) != p->port) continue;
    size_t len = be16(b + 16) - 20u - (size_t) (t[12] >> 4) * 4;
    if (t[13] & RST) s_rst = true;
    if (be32(t + 4) != p->ack) continue;
    memcpy(s_got + s_got_len, t + (t[12] >> 4) * 4, len);
    s_got_len += len, p->ack += (uint32_t) len;
    if (t[13] & FIN) s_fin = true, p->ack++;
  }
  s_seen = s_out_len = 0;
  if (acks && p->ack != before) tcp_in(p, ACK, NULL, 0);
}

static void start(void) {
  s_conn = NULL, s_requests = s_closed = 0, s_later = s_drain = false;
  begin_ready();
  mg_http_listen(&mgr, "http://0.0.0.0:80", handler, NULL);
  s_got_len = s_seen = 0, s_fin = s_rst = false;
}

static const char REQUEST[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

static bool arrived(size_t size) {
  s_got[s_got_len] = '\0';
  const char *body = strstr(s_got, "\r\n\r\n");
  return body != NULL && s_got_len - (size_t) (body + 4 - s_got) == size && memcmp(body + 4, s_body, size) == 0;
}

static struct peer request(const void *more, size_t len) {
  struct peer p = shake(5000, 80);
  p.win = 65535;
  tcp_in(&p, ACK | PSH, REQUEST, sizeof(REQUEST) - 1);
  if (len > 0) tcp_in(&p, ACK | PSH, more, len);
  s_out_len = s_seen = 0;
  return p;
}

static void half_close(void) {
  start();
  s_reply = 500000;
  struct peer p = request(NULL, 0);
  tcp_in(&p, FIN | ACK, NULL, 0);
  for (int i = 0; i < 3000 && !s_fin && !s_rst; i++) s_now++, polls(1), receive(&p, true);
  CHECK(s_fin && !s_rst && arrived(s_reply) && s_requests == 1);
  all_in();
  CHECK(s_closed == 1);
  end();
}

static void half_close_reply_later(void) {
  start();
  s_reply = 30000, s_later = true;
  struct peer p = request(NULL, 0);
  tcp_in(&p, FIN | ACK, NULL, 0);
  all_in();
  pass(300);
  receive(&p, true);
  CHECK(s_conn != NULL && s_got_len == 0);
  if (s_conn != NULL) mg_http_reply(s_conn, 200, "", "%.*s", (int) s_reply, s_body);
  for (int i = 0; i < 3000 && !s_fin && !s_rst; i++) s_now++, polls(1), receive(&p, true);
  CHECK(s_fin && !s_rst && arrived(s_reply));
  end();
}

// An error is reported while the client goes on uploading.
static void upload(void) {
  start();
  s_reply = 300000, s_drain = true;
  struct peer p = request(NULL, 0);
  static char block[1000];
  for (int i = 0; i < 3000 && !s_fin && !s_rst; i++) {
    tcp_in(&p, ACK | PSH, block, sizeof(block));
    s_now++, all_in(), receive(&p, true);
  }
  CHECK(s_fin && !s_rst && arrived(s_reply) && s_requests == 1);
  CHECK(strstr(s_got, "Connection: close\r\n") != NULL);
  // It goes on for a while yet: that is forgotten, and no reset comes.
  for (int i = 0; i < 200; i++) {
    tcp_in(&p, ACK | PSH, block, sizeof(block));
    s_now += 10, all_in(), receive(&p, true);
  }
  CHECK(!s_rst && s_closed == 1);
  tcp_in(&p, FIN | ACK, NULL, 0);
  all_in();
  receive(&p, false);
  CHECK(!s_rst);
  end();
}

static void no_more_requests(void) {
  start();
  s_reply = 100000, s_drain = true;
  struct peer p = request(REQUEST, sizeof(REQUEST) - 1);
  for (int i = 0; i < 3000 && !s_fin && !s_rst; i++) {
    if (i % 50 == 0) tcp_in(&p, ACK | PSH, REQUEST, sizeof(REQUEST) - 1);
    s_now++, polls(2), receive(&p, true);
  }
  CHECK(s_fin && s_requests == 1 && arrived(s_reply));
  end();
}

// A peer that never reads.
static void flush_limit(void) {
  start();
  s_reply = 500000, s_drain = true;
  struct peer p = shake(5000, 80);
  p.win = 1000;
  tcp_in(&p, ACK | PSH, REQUEST, sizeof(REQUEST) - 1);
  all_in();
  pass(1000);
  s_out_len = s_seen = 0;
  p.win = 0;
  p.ack += 1000;
  tcp_in(&p, ACK, NULL, 0);
  for (int i = 0; i < 600 && s_conn != NULL; i++) {
    pass(100);
    tcp_in(&p, ACK, NULL, 0);  // it is alive, but has no room
    all_in();
    s_out_len = 0;
    CHECK(i < 590 || s_conn != NULL);
  }
  CHECK(s_conn != NULL);
  pass(3000);
  CHECK(s_conn == NULL && s_closed == 1);
  end();
}

// A drain with nothing to send.
static void idle(void) {
  start();
  struct peer p = shake(5000, 80);
  s_out_len = s_seen = 0;
  s_conn->is_draining = 1;
  polls(3);
  CHECK(s_closed == 1);
  receive(&p, true);
  CHECK(s_fin && !s_rst);
  tcp_in(&p, FIN | ACK, NULL, 0);
  all_in();
  receive(&p, true);
  CHECK(!s_rst);
  end();
}

// The peer says nothing more after our end: it is given up after a second of silence, and the peer hears of it when it speaks.
static void linger_ends(void) {
  start();
  s_reply = 10, s_drain = true;
  struct peer p = request(NULL, 0);
  for (int i = 0; i < 100 && !s_fin; i++) s_now++, polls(1), receive(&p, true);
  CHECK(s_fin && arrived(10));
  all_in();
  pass(2000);
  tcp_in(&p, ACK | PSH, "late", 4);
  all_in();
  receive(&p, false);
  CHECK(s_rst);
  end();
}

int main(void) {
  s_body = (char *) malloc(1000000), s_got = (char *) malloc(1100000);
  for (size_t i = 0; i < 1000000; i++) s_body[i] = (char) ('a' + i * 7 % 26);
  half_close();
  half_close_reply_later();
  upload();
  no_more_requests();
  flush_limit();
  idle();
  linger_ends();
  free(s_body), free(s_got);
  return s_failed > 0;
}
