// Each frame of a client has its own unpredictable mask.
#include "ws_peer.h"

enum { FRAMES = 64 };

static struct mg_connection *s_client;

static void client(struct mg_connection *c, int ev, void *ev_data) {
  int i;
  if (ev == MG_EV_WS_OPEN) {
    s_client = c;
    for (i = 0; i < FRAMES; i++) {
      if (i % 2 == 0) {
        mg_ws_send(c, "hello", 5, WEBSOCKET_OP_TEXT);
      } else {
        mg_send(c, "hello", 5);
        mg_ws_wrap(c, 5, WEBSOCKET_OP_TEXT);
      }
    }
  }
  (void) ev_data;
}

static char s_frames[FRAMES * 11 + 1];
static size_t s_len;

// A server that takes frames as they are.
static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
    c->pfn = NULL;
  }
  if (ev == MG_EV_READ && c->pfn == NULL) {
    size_t n = c->recv.len < sizeof(s_frames) - s_len ? c->recv.len : sizeof(s_frames) - s_len;
    memcpy(s_frames + s_len, c->recv.buf, n);
    s_len += n;
    mg_iobuf_del(&c->recv, 0, c->recv.len);
  }
}

int main(void) {
  struct mg_mgr mgr;
  int i, k, b, pairs = 0, ones[32] = {0};
  mg_mgr_init(&mgr);
  CHECK(mg_ws_connect(&mgr, url_of(mg_http_listen(&mgr, "http://127.0.0.1:0", server, NULL), "ws"), client, NULL, NULL) != NULL);
  POLL_UNTIL(&mgr, s_len == FRAMES * 11);
  for (i = 0; i < FRAMES; i++) {
    const unsigned char *f = (const unsigned char *) s_frames + 11 * i;
    char text[5];
    CHECK_EQ(f[0], 0x81);
    CHECK_EQ(f[1], 0x85);
    for (k = 0; k < 5; k++) text[k] = (char) (f[6 + k] ^ f[2 + k % 4]);
    CHECK(memcmp(text, "hello", 5) == 0);
    for (b = 0; b < 32; b++) ones[b] += f[2 + b / 8] >> (b % 8) & 1;
    for (k = 0; k < i; k++) pairs += memcmp(f + 2, s_frames + 11 * k + 2, 4) == 0;
  }
  // Chance makes one pair equal in two million runs, two in never.
  CHECK(pairs < 2);
  // Each bit is about as often 1 as 0: 64 throws of a coin fall all on one side once in 2^63.
  for (b = 0; b < 32; b++) CHECK(ones[b] > 0 && ones[b] < FRAMES);
  CHECK(s_client != NULL);
  mg_mgr_free(&mgr);
  return DONE();
}
