// A receive buffer passes from one connection to the next: its memory contains nothing that the first connection received.
#include "ws_peer.h"

static int s_reads, s_closes, s_seen;
static struct mg_connection *s_conn;
static const char *s_mode = "";

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    size_t i;
    s_reads++;
    s_conn = c;
    for (i = c->recv.len; i < c->recv.size; i++) {
      if (c->recv.buf[i] == '#') s_seen++;
    }
    if (s_mode[0] == 'd') mg_iobuf_del(&c->recv, 0, c->recv.len);
    if (s_mode[0] == 'l') c->recv.len = 0;
    if (s_mode[0] == 'p') mg_iobuf_del(&c->recv, 0, c->recv.len / 2);
    if (s_mode[0] == 's') c->recv.buf[c->recv.len] = '#', c->recv.len = 0;
    if (s_mode[0] == 'f') {
      if (c->recv.len < c->recv.size && c->recv.len > 1) s_reads--;  // goes on
      c->recv.len = c->recv.len == c->recv.size ? 0 : c->recv.len;
    }
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) s_closes++;
  (void) ev_data;
}

static void reuse_blocks(const char *mode, bool http) {
  static char secret[MG_IO_SIZE];
  const size_t size = mode[0] == 'f' ? MG_IO_SIZE : 9000;
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  int i;
  memset(secret, '#', sizeof(secret));
  s_mode = mode;
  mg_mgr_init(&mgr);
  l = http ? mg_http_listen(&mgr, "http://127.0.0.1:0", handler, NULL) : mg_listen(&mgr, "tcp://127.0.0.1:0", handler, NULL);
  for (i = 0; i < 3; i++) {
    s_reads = s_closes = s_seen = 0;
    peer_open(&p, l);
    if (http) CHECK(peer_send_text(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n"));
    CHECK(peer_send(&p, secret, size));
    POLL_UNTIL(&mgr, s_reads > 0);
    poll_often(&mgr);
    peer_free(&p);
    POLL_UNTIL(&mgr, s_closes == 1);
    s_seen = 0;
    s_reads = s_closes = 0;
    peer_open(&p, l);
    CHECK(peer_send_text(&p, "x"));
    POLL_UNTIL(&mgr, s_reads > 0);
    CHECK_EQ(s_seen, 0);
    peer_free(&p);
    POLL_UNTIL(&mgr, s_closes == 1);
  }
  mg_mgr_free(&mgr);
}

static void answers_once(struct mg_connection *c, int ev, void *ev_data) {
  static char secret[9000];
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_WS_MSG && s_reads++ == 0) {
    memset(secret, '#', sizeof(secret));
    mg_ws_send(c, secret, sizeof(secret), WEBSOCKET_OP_BINARY);
  }
}

// Messages that fill a block exactly get none that output has left.
static void after_messages_of_this_size(void) {
  static char frame[MG_IO_SIZE] = "\x82\xfe";
  struct mg_mgr mgr;
  struct mg_connection *l, *ws;
  struct peer p;
  frame[2] = (char) ((MG_IO_SIZE - 8) >> 8);
  frame[3] = (char) ((MG_IO_SIZE - 8) & 255);
  s_mode = "keep";
  s_reads = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", handler, NULL);
  ws = mg_http_listen(&mgr, "http://127.0.0.1:0", answers_once, NULL);
  ws_open(&p, &mgr, ws);
  CHECK(peer_send(&p, frame, sizeof(frame)));
  POLL_UNTIL(&mgr, s_reads == 1 && peer_has(&p, 9004));
  CHECK(ws_text(&p, "x"));
  POLL_UNTIL(&mgr, s_reads == 2);
  peer_free(&p);
  s_reads = s_seen = 0;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, "x"));
  POLL_UNTIL(&mgr, s_reads > 0);
  CHECK_EQ(s_seen, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  reuse_blocks("keep", false);
  reuse_blocks("delete", false);
  reuse_blocks("len = 0", false);
  reuse_blocks("part", false);
  reuse_blocks("sentinel behind the data", false);
  reuse_blocks("full", false);
  reuse_blocks("keep", true);
  after_messages_of_this_size();
  return DONE();
}
