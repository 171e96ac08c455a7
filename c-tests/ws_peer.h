// A scripted WebSocket peer: see peer.h.
#ifndef WS_PEER_H
#define WS_PEER_H

#include "peer.h"

#define WS_REQUEST "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
#define WS_ANSWER                                                                                \
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"            \
  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"

// A short masked frame, as sent by clients. `first` has FIN and the opcode.
static inline size_t ws_frame(char *to, int first, const char *payload, size_t len) {
  static const char mask[] = {0x12, 0x34, 0x56, 0x78};
  size_t i;
  to[0] = (char) first;
  to[1] = (char) (len | 0x80);
  memcpy(to + 2, mask, 4);
  for (i = 0; i < len; i++) to[6 + i] = payload[i] ^ mask[i % 4];
  return len + 6;
}

static inline bool ws_send_frame(struct peer *p, int first, const char *payload, size_t len) {
  char frame[200];
  return peer_send(p, frame, ws_frame(frame, first, payload, len));
}

static inline bool ws_text(struct peer *p, const char *text) {
  return ws_send_frame(p, 0x81, text, strlen(text));
}

// Connects, upgrades and discards the response.
static inline void ws_open(struct peer *p, struct mg_mgr *mgr, const struct mg_connection *listener) {
  peer_open(p, listener);
  CHECK(peer_send_text(p, WS_REQUEST));
  POLL_UNTIL(mgr, peer_has(p, strlen(WS_ANSWER)));
  CHECK(peer_got(p, WS_ANSWER));
  p->len = 0;
}

// Exactly this data followed the handshake; `want` may contain NULs.
#define WS_GOT(p, want) CHECK(peer_got_bytes(p, want, sizeof(want) - 1))

#endif
