// A chat: every message of a client goes to all; a timer and another thread send messages too.
#include "ws_peer.h"

#include <pthread.h>

enum { CLIENTS = 20 };
static struct mg_connection *listener;

static void broadcast(struct mg_mgr *mgr, const char *text, size_t len) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->data[0] == 'W') mg_ws_send(c, text, len, WEBSOCKET_OP_TEXT);
  }
}

static void chat(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  } else if (ev == MG_EV_WS_OPEN) {
    c->data[0] = 'W';
    mg_ws_printf(c, WEBSOCKET_OP_TEXT, "{%m:%d}", MG_ESC("hello \"you\""), 1);  // before the client has seen the answer
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    broadcast(c->mgr, wm->data.buf, wm->data.len);
  } else if (ev == MG_EV_WAKEUP) {
    struct mg_str *s = (struct mg_str *) ev_data;
    broadcast(c->mgr, s->buf, s->len);
  }
}

static void tick(void *arg) {
  broadcast((struct mg_mgr *) arg, "tick", 4);
}

static void *other_thread(void *arg) {
  CHECK(mg_wakeup((struct mg_mgr *) arg, listener->id, "woken", 5));
  return NULL;
}

static bool all_have(struct peer *p, size_t len) {
  int i, n = 0;
  for (i = 0; i < CLIENTS; i++) n += peer_has(&p[i], len);
  return n == CLIENTS;
}

// Everybody who is still there got exactly this.
static void expect_all(struct mg_mgr *mgr, struct peer *p, const char *want) {
  int i;
  POLL_UNTIL(mgr, all_have(p, strlen(want)));
  poll_often(mgr);
  for (i = 0; i < CLIENTS; i++) {
    peer_read(&p[i]);
    CHECK(peer_got(&p[i], want));
    p[i].len = 0;
  }
}

int main(void) {
  static const char hello[] = "{\"hello \\\"you\\\"\":1}";
  struct mg_mgr mgr;
  struct peer p[CLIENTS], gone;
  pthread_t thread;
  char text[1000];
  int i;
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, chat, NULL);
  CHECK(mg_wakeup_init(&mgr));
  for (i = 0; i < CLIENTS; i++) {
    peer_open(&p[i], listener);
    CHECK(peer_send_text(&p[i], WS_REQUEST));
  }
  mg_snprintf(text, sizeof(text), "%s\x81%c%s", WS_ANSWER, (int) strlen(hello), hello);
  expect_all(&mgr, p, text);

  peer_open(&gone, listener);
  CHECK(peer_send_text(&gone, WS_REQUEST));
  POLL_UNTIL(&mgr, peer_has(&gone, 1));
  CHECK(ws_text(&p[3], "I am 3"));
  expect_all(&mgr, p, "\x81\x06I am 3");
  // Somebody leaves without a word, in the middle of a frame.
  CHECK(peer_send(&gone, "\x81\xff\x00\x00", 4));
  peer_free(&gone);
  CHECK(ws_text(&p[0], "all here?"));
  expect_all(&mgr, p, "\x81\x09" "all here?");

  mg_timer_add(&mgr, 1, MG_TIMER_ONCE | MG_TIMER_AUTODELETE, tick, &mgr);
  expect_all(&mgr, p, "\x81\x04tick");
  CHECK_EQ(pthread_create(&thread, NULL, other_thread, &mgr), 0);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  expect_all(&mgr, p, "\x81\x05woken");

  POLL_UNTIL(&mgr, count_conns(&mgr) == CLIENTS + 2);  // and the listener, and the one for wakeups
  mg_mgr_free(&mgr);
  for (i = 0; i < CLIENTS; i++) peer_free(&p[i]);
  return DONE();
}
