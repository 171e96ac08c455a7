// A client for echo servers of other makers: sends messages of all kinds and sizes, and compares what comes back.
//
// usage: ws_client URL     prints the status code of the peer's Close frame

#include "mongoose.h"

struct state {
  int step;
  char *data;  // 1 MiB of text
  bool done;
  const char *failed;
};

static const size_t s_sizes[] = {0, 1, 125, 126, 65535, 65536, 1048576};
enum { SIZES = sizeof(s_sizes) / sizeof(s_sizes[0]), PLAIN = 2 * SIZES, FRAGMENTED = PLAIN, PING, CLOSING };

// Step by step: all sizes as text, all sizes as binary, a fragmented message with a ping inside, a ping, the end.
static void next(struct mg_connection *c, struct state *s) {
  if (s->step < PLAIN) {
    mg_ws_send(c, s->data, s_sizes[s->step % SIZES], s->step < SIZES ? WEBSOCKET_OP_TEXT : WEBSOCKET_OP_BINARY);
  } else if (s->step == FRAGMENTED) {
    size_t at = c->send.len;
    mg_ws_send(c, s->data, 100, WEBSOCKET_OP_TEXT);
    c->send.buf[at] &= 0x7f;
    at = c->send.len;
    mg_ws_send(c, s->data + 100, 1000, WEBSOCKET_OP_CONTINUE);
    c->send.buf[at] &= 0x7f;
    mg_ws_send(c, "inside", 6, WEBSOCKET_OP_PING);
    mg_ws_printf(c, WEBSOCKET_OP_CONTINUE, "%.*s", 70000, s->data + 1100);
  } else if (s->step == PING) {
    mg_ws_send(c, "ping", 4, WEBSOCKET_OP_PING);
  } else if (s->step == CLOSING) {
    mg_ws_send(c, "\x0f\xa1" "good-bye", 10, WEBSOCKET_OP_CLOSE);  // 4001
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct state *s = (struct state *) c->fn_data;
  struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
  if (ev == MG_EV_ERROR) {
    s->failed = "error";
    fprintf(stderr, "%s\n", (char *) ev_data);
  } else if (ev == MG_EV_WS_OPEN) {
    next(c, s);
  } else if (ev == MG_EV_WS_MSG) {
    size_t len = s->step < PLAIN ? s_sizes[s->step % SIZES] : 71100;
    bool text = s->step < SIZES || s->step == FRAGMENTED;
    if (s->step > FRAGMENTED || wm->data.len != len || memcmp(wm->data.buf, s->data, len) != 0 ||
        (wm->flags & 15) != (text ? WEBSOCKET_OP_TEXT : WEBSOCKET_OP_BINARY)) {
      s->failed = "another message than expected";
    }
    s->step++;
    next(c, s);
  } else if (ev == MG_EV_WS_CTL && (wm->flags & 15) == WEBSOCKET_OP_PONG && s->step == PING) {
    if (wm->data.len != 4 || memcmp(wm->data.buf, "ping", 4) != 0) s->failed = "another pong than expected";
    s->step++;
    next(c, s);
  } else if (ev == MG_EV_WS_CTL && (wm->flags & 15) == WEBSOCKET_OP_CLOSE) {
    printf("%d %d %.*s\n", s->step == CLOSING, wm->data.len < 2 ? 0 : ((uint8_t) wm->data.buf[0] << 8 | (uint8_t) wm->data.buf[1]),
           wm->data.len < 2 ? 0 : (int) wm->data.len - 2, wm->data.len < 2 ? "" : wm->data.buf + 2);
  } else if (ev == MG_EV_CLOSE) {
    s->done = true;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct state s;
  size_t i;
  uint64_t end;
  if (argc != 2) return 2;
  memset(&s, 0, sizeof(s));
  s.data = (char *) malloc(1048576);
  for (i = 0; i < 1048576; i++) s.data[i] = (char) ('a' + (i * 7 + i / 26) % 26);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mg_ws_connect(&mgr, argv[1], handler, &s, NULL);
  end = mg_millis() + 30000;
  while (!s.done && mg_millis() < end) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  if (!s.done) s.failed = "no end";
  if (s.step != CLOSING && s.failed == NULL) s.failed = "ended early";
  if (s.failed != NULL) fprintf(stderr, "step %d: %s\n", s.step, s.failed);
  free(s.data);
  return s.failed != NULL;
}
