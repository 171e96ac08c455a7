// Requests to a dashboard, each on a connection of its own, and its WebSocket clients.
#ifndef DASH_H
#define DASH_H

#include "clock.h"
#include "ws_peer.h"

// admin:apass and joe:upass.
#define ADMIN "Authorization: Basic YWRtaW46YXBhc3M=\r\n"
#define JOE "Authorization: Basic am9lOnVwYXNz\r\n"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static char s_answer[4000];

// Sends one request on a connection of its own. Returns the answer's status; its body is at `body()`.
static inline int ask(const char *method, const char *uri, const char *headers, const char *body) {
  struct peer p;
  struct mg_http_message hm;
  char request[2000];
  int status = 0;
  memset(&hm, 0, sizeof(hm));
  mg_snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", method, uri, headers, (int) strlen(body), body);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(listener->mgr, peer_has(&p, 1) && mg_http_parse(p.buf, p.len, &hm) > 0 && p.len >= hm.message.len);
  status = mg_http_status(&hm);
  mg_snprintf(s_answer, sizeof(s_answer), "%.*s", (int) p.len, p.buf);
  peer_free(&p);
  poll_often(listener->mgr);
  return status;
}

static inline const char *body(void) {
  const char *s = strstr(s_answer, "\r\n\r\n");
  return s == NULL ? "" : s + 4;
}

static inline void expect_reply(int status, int want_status, const char *want) {
  CHECK_EQ(status, want_status);
  CHECK(strcmp(body(), want) == 0);
  if (strcmp(body(), want) != 0) fprintf(stderr, "got %s\nnot %s\n", body(), want);
}

// Logs in; the header with the session's cookie goes to `cookie`.
static inline void login(const char *headers, char *cookie, size_t size) {
  char *token;
  CHECK_EQ(ask("GET", "/api/login", headers, ""), 200);
  token = strstr(s_answer, "access_token=");
  CHECK(token != NULL);
  if (token != NULL) mg_snprintf(cookie, size, "Cookie: %.*s\r\n", (int) strcspn(token, ";"), token);
}

static inline void open_websocket(struct peer *p, const char *headers) {
  char request[500];
  mg_snprintf(request, sizeof(request), "GET /api/websocket HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", headers);
  peer_open(p, listener);
  CHECK(peer_send_text(p, request));
  POLL_UNTIL(listener->mgr, peer_has(p, strlen(WS_ANSWER)));
  CHECK(peer_got(p, WS_ANSWER));
  p->len = 0;
}

static inline void expect_message(struct peer *p, const char *text) {
  char frame[200];
  size_t n = mg_snprintf(frame, sizeof(frame), "\x81%c%s", (int) strlen(text), text);
  CHECK(strlen(text) < 126);
  POLL_UNTIL(listener->mgr, peer_has(p, n));
  CHECK(peer_got(p, frame));
  p->len = 0;
}

// The session's end: a Close frame with its reason.
static inline void expect_goodbye(struct mg_mgr *of, struct peer *p) {
  static const char frame[] = "\x88\x0f\x03\xf0session ended";
  POLL_UNTIL(of, peer_read(p));
  WS_GOT(p, frame);
  p->len = 0;
}

#endif
