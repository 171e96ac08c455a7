// WebSocket echo server: used with any library that offers the mg_* API.
// usage: ws_echo PORT
#include "mongoose.h"
#include <signal.h>
static volatile int s_stop;
static void on_sig(int s) { (void) s; s_stop = 1; }
static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  }
}
int main(int argc, char **argv) {
  struct mg_mgr mgr;
  char url[64];
  signal(SIGTERM, on_sig);
  signal(SIGINT, on_sig);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  snprintf(url, sizeof(url), "http://127.0.0.1:%s", argc > 1 ? argv[1] : "8000");
  if (mg_http_listen(&mgr, url, fn, NULL) == NULL) return 1;
  while (!s_stop) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
