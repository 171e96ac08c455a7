// Sends every WebSocket message back. A page to try it with is at the root.
//
// usage: websocket-echo [URL]     default http://0.0.0.0:8000; Ctrl-C ends it

#include "mongoose.h"
#include "mongoose_ext.h"

// A peer that sends without reading must not fill our memory: above this many unsent bytes nothing more is read.
#define ENOUGH (1024 * 1024)

static const char *s_page =
    "<!DOCTYPE html><title>WebSocket echo</title>\n"
    "<input id=text value='Hello!'> <button id=send>Send</button> <pre id=log></pre>\n"
    "<script>\n"
    "const log = (s) => { document.getElementById('log').textContent += s + '\\n'; };\n"
    "const ws = new WebSocket(location.href.replace(/^http/, 'ws') + 'websocket');\n"
    "ws.onopen = () => log('open');\n"
    "ws.onclose = (e) => log('closed ' + e.code + ' ' + e.reason);\n"
    "ws.onmessage = (e) => log('got ' + e.data);\n"
    "document.getElementById('send').onclick = () => ws.send(document.getElementById('text').value);\n"
    "</script>\n";

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/websocket"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);  // from here on this connection gets MG_EV_WS_* events
    } else if (mg_match(hm->uri, mg_str("/"), NULL)) {
      mg_http_reply(c, 200, "Content-Type: text/html\r\n", "%s", s_page);
    } else {
      mg_http_reply(c, 404, "", "Not found\n");
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);  // text stays text, binary stays binary
    if (c->send.len > ENOUGH) c->is_full = 1;
  } else if (ev == MG_EV_WRITE) {
    if (c->send.len <= ENOUGH) c->is_full = 0;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct mgx_limits limits;
  struct mg_connection *listener;
  const char *url = argc > 1 ? argv[1] : "http://0.0.0.0:8000";

  if (argc > 2) {
    fprintf(stderr, "usage: %s [URL]     default http://0.0.0.0:8000\n", argv[0]);
    return 2;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  // Strangers may come, but WebSocket peers may be silent for as long as they like.
  limits = *mgx_limits_public();
  limits.idle_timeout_ms = 0;
  mgx_mgr_limits(&mgr, &limits);
  if ((listener = mg_http_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
