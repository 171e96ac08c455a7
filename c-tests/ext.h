// Shared by tests of the extension API: a server with several kinds of responses, and the fate of its connections.
#ifndef EXT_H
#define EXT_H

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

#define GET(uri) "GET " uri " HTTP/1.1\r\nHost: a\r\n\r\n"
#define BIG 20000000  // more than socket buffers hold

static char *big_body;
static int requests, opened, closed, drain_events;
static enum mgx_reason reason;     // of the last connection that closed
static size_t unsent;              // of it
static enum mgx_phase last_phase;  // of it
static struct mg_connection *last; // the connection of the last request or, without one, the last that was accepted

static void forget(void) {
  requests = opened = closed = drain_events = 0;
  reason = MGX_REASON_NONE;
  unsent = 0;
  last = NULL;
}

static void note(struct mg_connection *c, int ev) {
  if (!c->is_accepted) return;
  if (ev == MG_EV_ACCEPT) opened++, last = c;
  if (ev == MG_EV_HTTP_MSG) requests++, last = c;
  if (ev == (int) MGX_EV_DRAIN) drain_events++;
  if (ev == MG_EV_CLOSE) {
    closed++;
    reason = mgx_close_reason(c);
    unsent = mgx_close_unsent(c);
    last_phase = mgx_conn_phase(c);
    if (last == c) last = NULL;
  }
}

// /hi responds at once, /own with its own head, /big with many bytes, /chunks starts an endless response; others get none.
static inline void server(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/hi"), NULL)) mg_http_reply(c, 200, "", "hi%.*s", (int) hm->body.len, hm->body.buf);
    if (mg_match(hm->uri, mg_str("/big"), NULL)) mgx_http_reply(c, 200, "", big_body, BIG);
    if (mg_match(hm->uri, mg_str("/own"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
      c->is_resp = 0;
    }
    if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      mg_http_printf_chunk(c, "one");
    }
  }
}

#define HI "HTTP/1.1 200 OK\r\nContent-Length: 2          \r\n\r\nhi"
#define HI_CLOSE "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2          \r\n\r\nhi"
#define OWN "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown"
#define CHUNKS "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000003\r\none\r\n"

// Valgrind and sanitizers are slow: large tests do less under them.
static inline bool under_tools(void) {
#ifdef __SANITIZE_ADDRESS__
  return true;
#else
  char line[500];
  bool found = false;
  FILE *f = fopen("/proc/self/maps", "r");
  while (f != NULL && !found && fgets(line, sizeof(line), f) != NULL) found = strstr(line, "vgpreload") != NULL;
  if (f != NULL) fclose(f);
  return found;
#endif
}

// Closes with a reset, which frees the port at once: there are only 28,000.
static inline void peer_drop(struct peer *p) {
  struct linger now = {1, 0};
  setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  peer_free(p);
}

// A peer and the server's end of its connection, which becomes `last`.
static inline struct mg_connection *join(struct mg_mgr *mgr, struct mg_connection *listener, struct peer *p) {
  int before = opened;
  peer_open(p, listener);
  POLL_UNTIL(mgr, opened > before);
  return last;
}

static inline void ask(struct mg_mgr *mgr, struct peer *p, const char *text) {
  int before = requests;
  CHECK(peer_send_text(p, text));
  POLL_UNTIL(mgr, requests > before);
}

// The peer has received exactly this and no end of stream.
static inline void expect_open(struct mg_mgr *mgr, struct peer *p, const char *text) {
  POLL_UNTIL(mgr, peer_has(p, strlen(text)));
  poll_often(mgr);
  CHECK(!peer_read(p));
  CHECK(peer_got(p, text));
  p->len = 0;
}

// The peer has received exactly this, followed by end of stream.
static inline void expect_end(struct mg_mgr *mgr, struct peer *p, const char *text) {
  POLL_UNTIL(mgr, peer_read(p));
  CHECK_EQ(p->end, PEER_FIN);
  CHECK(peer_got(p, text));
  p->len = 0;
}

#endif
