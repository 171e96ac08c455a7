// Draining a listener closes it in its next service call; its port is free at once and its accepted connections stay open.
#include "mongoose.h"

#include "peer.h"

static int messages, listener_closes, closes, opens;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN && c->is_listening) opens++;
  if (ev == MG_EV_CLOSE && c->is_listening) listener_closes++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == MG_EV_HTTP_MSG) messages++, mg_http_reply(c, 200, "", "%s", (char *) c->fn_data);
  (void) ev_data;
}

static void forget(void) {
  messages = listener_closes = closes = opens = 0;
}

static char hi[] = "hi", ho[] = "ho";

// Asks on a new or an open connection, and compares the body.
static void ask(struct mg_mgr *mgr, struct peer *p, const char *text) {
  struct mg_str want = make_reply("200 OK", "", text, strlen(text));
  p->len = 0;
  CHECK(peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  POLL_UNTIL(mgr, peer_has(p, want.len));
  CHECK(peer_got_str(p, want));
  CHECK_EQ(p->end, PEER_OPEN);
  free(want.buf);
}

static void only_the_drained_listener_closes(bool by_closing) {
  struct mg_mgr mgr;
  struct mg_connection *one, *two;
  struct peer p, q;
  unsigned short port;
  forget();
  one = serve(&mgr, server, hi);
  two = mg_http_listen(&mgr, "http://127.0.0.1:0", server, ho);
  peer_open(&p, one);
  peer_open(&q, two);
  ask(&mgr, &p, "hi");
  ask(&mgr, &q, "ho");
  port = port_of(one);
  if (by_closing) one->is_closing = 1;
  else one->is_draining = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(listener_closes, 1);
  CHECK(!port_answers(port));
  ask(&mgr, &p, "hi");  // accepted earlier
  ask(&mgr, &q, "ho");
  peer_free(&q);
  peer_open(&q, two);
  ask(&mgr, &q, "ho");
  CHECK_EQ(messages, 5);
  peer_free(&p);
  peer_free(&q);
  mg_mgr_free(&mgr);
  CHECK_EQ(listener_closes, 2);
}

// A new configuration: the timer drains the listener, and a second call of it opens the same address again.
static struct mg_connection *listener;
static char address[40];

static void reconfigure(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  if (opens == 1 && listener_closes == 0) {
    listener->is_draining = 1;
  } else if (opens == 1) {
    listener = mg_http_listen(mgr, address, server, ho);
  }
}

static void the_port_is_reopened_from_a_timer(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  listener = serve(&mgr, server, hi);
  mg_snprintf(address, sizeof(address), "%s", url_of(listener, "http"));
  peer_open(&p, listener);
  ask(&mgr, &p, "hi");
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, reconfigure, &mgr);
  POLL_UNTIL(&mgr, opens == 2);
  CHECK(listener != NULL);
  ask(&mgr, &p, "hi");
  peer_free(&p);
  if (listener != NULL) {
    peer_open(&p, listener);
    ask(&mgr, &p, "ho");
    peer_free(&p);
  }
  mg_mgr_free(&mgr);
}

// The same within one MG_EV_CLOSE of the old listener, and with connections still lingering on the port.
static bool reopen;

static void reopens_on_close(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->is_draining = 1;
  if (ev == MG_EV_CLOSE && c->is_listening && reopen) {
    reopen = false;
    listener = mg_http_listen(c->mgr, address, reopens_on_close, ho);
  }
}

static void the_port_is_reopened_while_sockets_linger(void) {
  struct mg_mgr mgr;
  struct peer p[5];
  int i;
  forget();
  listener = serve(&mgr, reopens_on_close, hi);
  mg_snprintf(address, sizeof(address), "%s", url_of(listener, "http"));
  for (i = 0; i < 5; i++) {
    peer_open(&p[i], listener);
    peer_send_text(&p[i], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    POLL_UNTIL(&mgr, peer_read(&p[i]));
  }
  CHECK_EQ(closes, 5);
  CHECK_EQ(count_conns(&mgr), 1);
  listener->is_draining = 1;
  listener = NULL;
  reopen = true;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(listener_closes, 1);
  CHECK(listener != NULL);
  for (i = 0; i < 5; i++) peer_free(&p[i]);
  if (listener != NULL) {
    peer_open(&p[0], listener);
    peer_send_text(&p[0], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    POLL_UNTIL(&mgr, peer_read(&p[0]));
    CHECK(p[0].len > 2 && memcmp(p[0].buf + p[0].len - 2, "ho", 2) == 0);
    peer_free(&p[0]);
  }
  mg_mgr_free(&mgr);
}

// Drained from the handler of a connection that it accepted, while others wait to be accepted.
static void drains_the_listener_on_accept(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) listener->is_draining = 1;
}

static void drained_from_the_accept_handler(void) {
  struct mg_mgr mgr;
  struct peer p[3];
  int i;
  forget();
  listener = serve(&mgr, drains_the_listener_on_accept, hi);
  for (i = 0; i < 3; i++) peer_open(&p[i], listener);
  POLL_UNTIL(&mgr, listener_closes == 1);
  CHECK(count_conns(&mgr) >= 1);
  ask(&mgr, &p[0], "hi");
  for (i = 0; i < 3; i++) peer_free(&p[i]);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  only_the_drained_listener_closes(false);
  only_the_drained_listener_closes(true);
  the_port_is_reopened_from_a_timer();
  the_port_is_reopened_while_sockets_linger();
  drained_from_the_accept_handler();
  return DONE();
}
