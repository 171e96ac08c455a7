// A scripted server for tests of HTTP clients: a listening socket, one connection at a time, and a log of the client's events.
#ifndef CLIENT_H
#define CLIENT_H

#include "peer.h"

static struct mg_mgr mgr;

struct script {
  int listener;
  unsigned short port;
  struct peer peer;  // the accepted connection
};

static inline void script_open(struct script *s) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  memset(s, 0, sizeof(*s));
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  s->listener = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(bind(s->listener, (struct sockaddr *) &sin, sizeof(sin)), 0);
  CHECK_EQ(getsockname(s->listener, (struct sockaddr *) &sin, &len), 0);
  CHECK_EQ(listen(s->listener, 8), 0);
  s->port = ntohs(sin.sin_port);
}

// Accepts the next connection; the client must already be connecting.
static inline void script_accept(struct script *s) {
  int on = 1;
  memset(&s->peer, 0, sizeof(s->peer));
  s->peer.fd = accept(s->listener, NULL, NULL);
  CHECK(s->peer.fd >= 0);
  setsockopt(s->peer.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static inline void script_hang_up(struct script *s) {
  peer_free(&s->peer);
}

// Resets the connection.
static inline void script_reset(struct script *s) {
  struct linger now = {1, 0};
  setsockopt(s->peer.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  peer_free(&s->peer);
}

static inline void script_close(struct script *s) {
  close(s->listener);
}

// The client's events: H and M with the status, the body after M, E with its text, C.
struct seen {
  char log[2000];
  size_t received;  // bytes of all MG_EV_READ
  size_t body_len;  // of the last message
  int messages, closes;
  struct mg_connection *c;
};

static inline void seen_add(struct seen *seen, const char *fmt, int status, struct mg_str text) {
  size_t n = strlen(seen->log);
  if (text.len > 60) text.len = 60;
  mg_snprintf(seen->log + n, sizeof(seen->log) - n, fmt, status, (int) text.len, text.buf);
}

static inline void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct seen *seen = (struct seen *) c->fn_data;
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  if (ev == MG_EV_HTTP_HDRS) seen_add(seen, "H%d ", mg_http_status(hm), mg_str(""));
  if (ev == MG_EV_HTTP_MSG) {
    seen_add(seen, "M%d:%.*s ", mg_http_status(hm), hm->body);
    seen->messages++;
    seen->body_len = hm->body.len;
  }
  if (ev == MG_EV_READ) seen->received += (size_t) *(long *) ev_data;
  if (ev == MG_EV_ERROR) seen_add(seen, "E%d:%.*s ", 0, mg_str((char *) ev_data));
  if (ev == MG_EV_CLOSE) {
    seen_add(seen, "C ", 0, mg_str(""));
    seen->closes++;
    seen->c = NULL;
  }
}

static inline bool seen_equals(const struct seen *seen, const char *want) {
  if (strcmp(seen->log, want) == 0) return true;
  fprintf(stderr, "saw  %s\nwant %s\n", seen->log, want);
  return false;
}

static inline bool has_request(struct peer *p) {
  peer_read(p);
  return p->len >= 4 && memcmp(p->buf + p->len - 4, "\r\n\r\n", 4) == 0;
}

// Connects a client and waits for its request.
static inline void start(struct script *s, struct seen *seen, mg_event_handler_t fn) {
  char url[50];
  memset(seen, 0, sizeof(*seen));
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", s->port);
  seen->c = mg_http_connect(&mgr, url, fn, seen);
  CHECK(seen->c != NULL);
  script_accept(s);
  POLL_UNTIL(&mgr, has_request(&s->peer));
  s->peer.len = 0;
}

// Sends a piece and waits until the client has read it, unless the client has closed.
static inline void send_part(struct script *s, struct seen *seen, const char *data, size_t len) {
  size_t before = seen->received;
  if (seen->closes > 0) return;
  CHECK(peer_send(&s->peer, data, len));
  POLL_UNTIL(&mgr, seen->received == before + len || seen->closes > 0);
}

#endif
