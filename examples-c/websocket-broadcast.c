// A chat room: every message goes to all clients, and a timer sends them the number of clients.
//
// usage: websocket-broadcast -h
//
// Open http://localhost:8000 in two browsers; programs connect to ws://localhost:8000.

#include "example.h"

static const char *const s_usage =
    "usage: websocket-broadcast [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n";

// Clients that do not read are disconnected above this many unsent bytes.
#define TOO_MUCH (1024 * 1024)
#define TICK_MS 5000

static const char *const s_body =
    "<h1>Chat</h1>\n"
    "<p class=\"soft\">Every message goes to all clients. <span role=\"status\"><span id=\"state\" class=\"state\">connecting</span> <span id=\"here\">0</span> here</span></p>\n"
    "<ul id=\"log\" class=\"log\" role=\"log\" aria-label=\"Messages\"></ul>\n"
    "<form id=\"form\" class=\"row\"><label for=\"text\">Message</label> <input id=\"text\" maxlength=\"200\" autocomplete=\"off\" autofocus> <button>Say</button></form>\n";

static const char *const s_script =
    "const ws = new WebSocket(here('/'));\n"
    "const state = (text, kind) => { at('state').textContent = text; at('state').className = 'state ' + kind; };\n"
    "ws.onopen = () => state('connected', 'ok');\n"
    "ws.onclose = e => state(e.code == 1001 ? 'the server has left' : 'disconnected', 'bad');\n"
    "ws.onmessage = e => {\n"
    "  let told = null;\n"
    "  try { told = JSON.parse(e.data); } catch {}\n"
    "  if (told && typeof told.here == 'number') { at('here').textContent = told.here; return; }\n"
    "  const item = document.createElement('li');\n"
    "  item.textContent = e.data;\n"
    "  at('log').append(item);\n"
    "  item.scrollIntoView();\n"
    "};\n"
    "at('form').onsubmit = e => {\n"
    "  e.preventDefault();\n"
    "  if (at('text').value) ws.send(at('text').value);\n"
    "  at('text').value = '';\n"
    "};\n";

static int count_clients(struct mg_mgr *mgr) {
  struct mg_connection *c;
  int n = 0;
  for (c = mgr->conns; c != NULL; c = c->next) n += c->is_websocket;
  return n;
}

static void to_all(struct mg_mgr *mgr, struct mg_str text) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (!c->is_websocket || c->is_draining) continue;
    if (c->send.len > TOO_MUCH) {
      c->is_closing = 1;
    } else {
      mg_ws_send(c, text.buf, text.len, WEBSOCKET_OP_TEXT);
    }
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_http_get_header(hm, "Sec-WebSocket-Key") == NULL && example_is_browser(hm)) {
      example_page(c, "Chat", s_body, s_script);
    } else {
      mg_ws_upgrade(c, hm, NULL);
    }
  } else if (ev == MG_EV_WS_OPEN) {
    mg_ws_printf(c, WEBSOCKET_OP_TEXT, "{%m:%lu,%m:%d}", MG_ESC("you"), c->id, MG_ESC("here"), count_clients(c->mgr));
  } else if (ev == MG_EV_WS_MSG) {
    to_all(c->mgr, ((struct mg_ws_message *) ev_data)->data);
  }
}

static void tick(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  char text[40];
  mg_snprintf(text, sizeof(text), "{%m:%d}", MG_ESC("here"), count_clients(mgr));
  to_all(mgr, mg_str(text));
}

// Sends every client a Close frame; the answers close the connections. The wait for them is short.
static void say_goodbye(struct mg_mgr *mgr) {
  static const char going_away[] = {0x03, (char) 0xe9};  // 1001
  uint64_t end = mg_millis() + 2000;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->is_listening) c->is_draining = 1;
    if (c->is_websocket) mg_ws_send(c, going_away, sizeof(going_away), WEBSOCKET_OP_CLOSE);
  }
  while (count_clients(mgr) > 0 && mg_millis() < end) mg_mgr_poll(mgr, 50);
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
  mg_timer_add(&mgr, TICK_MS, MG_TIMER_REPEAT, tick, &mgr);
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "ws");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  say_goodbye(&mgr);
  printf("%d did not answer\n", count_clients(&mgr));
  mg_mgr_free(&mgr);
  return 0;
}
