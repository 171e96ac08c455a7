// A client that listens: prints what a server says, and how it ends.
//
// usage: ws_listener URL

#include "mongoose.h"

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
  int op = ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL ? wm->flags & 15 : -1;
  if (ev == MG_EV_ERROR) {
    printf("error %s\n", (char *) ev_data);
  } else if (ev == MG_EV_WS_MSG) {
    const char *kind = op == WEBSOCKET_OP_TEXT ? "text" : "binary";
    if (wm->data.len < 100) {
      printf("%s %.*s\n", kind, (int) wm->data.len, wm->data.buf);
    } else {
      printf("%s %lu %lx\n", kind, (unsigned long) wm->data.len, (unsigned long) mg_crc32(0, wm->data.buf, wm->data.len));
    }
  } else if (op == WEBSOCKET_OP_PING) {
    printf("ping %.*s\n", (int) wm->data.len, wm->data.buf);
  } else if (op == WEBSOCKET_OP_CLOSE && wm->data.len >= 2) {
    printf("close %d %.*s\n", (uint8_t) wm->data.buf[0] << 8 | (uint8_t) wm->data.buf[1], (int) wm->data.len - 2, wm->data.buf + 2);
  } else if (op == WEBSOCKET_OP_CLOSE) {
    printf("close\n");
  } else if (ev == MG_EV_CLOSE) {
    *(bool *) c->fn_data = true;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  bool done = false;
  uint64_t end;
  if (argc != 2) return 2;
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mg_ws_connect(&mgr, argv[1], handler, &done, NULL);
  end = mg_millis() + 30000;
  while (!done && mg_millis() < end) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  return done ? 0 : 1;
}
