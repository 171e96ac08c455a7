// A chat room: what one client says goes to all, and a timer tells everybody how many there are.
//
// usage: websocket-broadcast [URL]     default http://0.0.0.0:8000; Ctrl-C says good-bye to everybody and ends it
//
// Try it from a browser's console:
//   ws = new WebSocket('ws://localhost:8000/'); ws.onmessage = (e) => console.log(e.data)
//   ws.send('hello')

#include "mongoose.h"
#include "mongoose_ext.h"

// Clients that do not read what they get are given up above this many unsent bytes.
#define TOO_MUCH (1024 * 1024)
#define TICK_MS 5000

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

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
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
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

// Everybody gets a Close frame; their answers end the connections. Those who do not answer are not waited for long.
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
  mg_timer_add(&mgr, TICK_MS, MG_TIMER_REPEAT, tick, &mgr);
  if ((listener = mg_http_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("ws://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  say_goodbye(&mgr);
  printf("%d did not answer\n", count_clients(&mgr));
  mg_mgr_free(&mgr);
  return 0;
}
