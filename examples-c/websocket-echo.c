// Sends every WebSocket message back. The page at / is a client to try it with.
//
// usage: websocket-echo -h

#include "example.h"

static const char *const s_usage =
    "usage: websocket-echo [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

// Stops reading at this many unsent bytes: a peer that sends without reading must not fill the memory.
#define ENOUGH (1024 * 1024)

static const char *const s_body =
    "<h1>WebSocket echo</h1>\n"
    "<p class=\"soft\">Every message is echoed. <span role=\"status\" id=\"state\" class=\"state\">connecting</span></p>\n"
    "<form id=\"form\" class=\"row\"><label for=\"text\">Message</label> <input id=\"text\" value=\"Hello!\" autocomplete=\"off\"> <button>Send</button></form>\n"
    "<ul id=\"log\" class=\"log\" role=\"log\" aria-label=\"Messages\"></ul>\n";

static const char *const s_script =
    "const ws = new WebSocket(here('/websocket'));\n"
    "const log = text => { const item = document.createElement('li'); item.textContent = text; at('log').append(item); item.scrollIntoView(); };\n"
    "const state = (text, kind) => { at('state').textContent = text; at('state').className = 'state ' + kind; };\n"
    "ws.onopen = () => state('open', 'ok');\n"
    "ws.onclose = e => state('closed ' + e.code + ' ' + e.reason, 'bad');\n"
    "ws.onmessage = e => log('← ' + e.data);\n"
    "at('form').onsubmit = e => { e.preventDefault(); ws.send(at('text').value); log('→ ' + at('text').value); };\n";

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/websocket"), NULL)) {
      example_ws_upgrade(c, hm);  // from here on this connection gets MG_EV_WS_* events
    } else if (mg_match(hm->uri, mg_str("/"), NULL)) {
      example_page(c, "WebSocket echo", s_body, s_script);
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
  const char *url = "http://0.0.0.0:8000";
  int code = example_args(argc, argv, s_usage, &url);

  if (code >= 0) return code;
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  // Limits for public servers, except that WebSocket peers may stay silent.
  limits = *mgx_limits_public();
  limits.idle_timeout_ms = 0;
  mgx_mgr_limits(&mgr, &limits);
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
