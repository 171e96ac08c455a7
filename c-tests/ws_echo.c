// A WebSocket server and its client in one manager: the events of both, and the number of polls.
#include "peer.h"

static char seen[1000];
static bool closed;

static void note(const char *what, struct mg_ws_message *wm) {
  size_t n = strlen(seen);
  if (wm == NULL) {
    mg_snprintf(seen + n, sizeof(seen) - n, "%s ", what);
  } else {
    mg_snprintf(seen + n, sizeof(seen) - n, "%s(%d,%.*s) ", what, wm->flags, (int) wm->data.len, wm->data.buf);
  }
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
    CHECK(c->is_websocket && !c->is_resp);
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    CHECK_EQ(mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15), wm->data.len + 2);
  }
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
  if (ev == MG_EV_WS_OPEN) {
    CHECK(c->is_websocket);
    CHECK_EQ(mg_http_status((struct mg_http_message *) ev_data), 101);
    note("OPEN", NULL);
    mg_ws_send(c, "one", 3, WEBSOCKET_OP_TEXT);
  } else if (ev == MG_EV_WS_MSG) {
    note("MSG", wm);
    if (wm->data.buf[0] == 'o') mg_ws_printf(c, WEBSOCKET_OP_BINARY, "%s", "two");
    if (wm->data.buf[0] == 't') mg_ws_send(c, "p", 1, WEBSOCKET_OP_PING);
  } else if (ev == MG_EV_WS_CTL) {
    note("CTL", wm);
    if ((wm->flags & 15) == WEBSOCKET_OP_PONG) mg_ws_send(c, "\x03\xe8", 2, WEBSOCKET_OP_CLOSE);
  } else if (ev == MG_EV_CLOSE) {
    CHECK(c->is_draining);  // not an accident
    closed = true;
  } else if (ev == MG_EV_ERROR) {
    note("ERROR", NULL);
  }
}

// Eight fragments, one in each poll.
static void in_fragments(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_ws_upgrade(c, (struct mg_http_message *) ev_data, "%s: %s\r\n", "X-Test", "yes");
    c->data[0] = 'W';
  } else if (ev == MG_EV_POLL && c->data[0] == 'W' && c->data[1] < 8) {
    size_t at = c->send.len;
    char text = (char) ('a' + c->data[1]);
    mg_ws_send(c, &text, 1, c->data[1] == 0 ? WEBSOCKET_OP_TEXT : WEBSOCKET_OP_CONTINUE);
    if (++c->data[1] < 8) c->send.buf[at] &= 0x7f;
  }
}

static void assembling(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
  if (ev == MG_EV_WS_OPEN) {
    struct mg_str *h = mg_http_get_header((struct mg_http_message *) ev_data, "X-Test");
    CHECK(h != NULL && mg_strcmp(*h, mg_str("yes")) == 0);
  } else if (ev == MG_EV_WS_MSG) {
    note("MSG", wm);
    mg_ws_send(c, NULL, 0, WEBSOCKET_OP_CLOSE);
  } else if (ev == MG_EV_WS_CTL) {
    note("CTL", wm);
  } else if (ev == MG_EV_CLOSE) {
    closed = true;
  }
}

static int polls_until_closed(mg_event_handler_t server_fn, mg_event_handler_t client_fn) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int polls = 0;
  seen[0] = '\0';
  closed = false;
  c = mg_ws_connect(&mgr, url_of(serve(&mgr, server_fn, NULL), "ws"), client_fn, NULL, "%s: %d\r\n", "X-Number", 5);
  CHECK(c != NULL && c->is_client && !c->is_websocket);
  while (!closed && polls < 100) {
    mg_mgr_poll(&mgr, 1);
    polls++;
  }
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 1);  // the listener
  mg_mgr_free(&mgr);
  return polls;
}

static void connection_refused(void) {
  struct mg_mgr mgr;
  mg_mgr_init(&mgr);
  CHECK(mg_ws_connect(&mgr, "", client, NULL, NULL) == NULL);
  CHECK(mg_ws_connect(&mgr, NULL, client, NULL, NULL) == NULL);
  mg_mgr_free(&mgr);
}

// The server is an HTTP server that knows nothing of WebSocket.
static void plain_http(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hi");
  (void) ev_data;
}

static void refused(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) CHECK(strcmp((char *) ev_data, "ws handshake error: 200") == 0);
  if (ev == MG_EV_CLOSE) CHECK(!c->is_draining && !c->is_websocket);
  client(c, ev == MG_EV_CLOSE ? MG_EV_POLL : ev, ev_data);
  if (ev == MG_EV_CLOSE) closed = true;
}

int main(void) {
  int n;
  mg_log_set(MG_LL_NONE);
  n = polls_until_closed(echo, client);
  fprintf(stderr, "%d polls\n", n);
  CHECK(n <= 30);
  CHECK(strcmp(seen, "OPEN MSG(129,one) MSG(130,two) CTL(138,p) CTL(136,\x03\xe8) ") == 0);
  n = polls_until_closed(in_fragments, assembling);
  fprintf(stderr, "%d polls\n", n);
  CHECK(n <= 25);
  CHECK(strcmp(seen, "CTL(0,b) CTL(0,c) CTL(0,d) CTL(0,e) CTL(0,f) CTL(0,g) CTL(128,h) MSG(1,abcdefgh) CTL(136,) ") == 0);
  polls_until_closed(plain_http, refused);
  CHECK(strcmp(seen, "ERROR ") == 0);
  connection_refused();
  return DONE();
}
