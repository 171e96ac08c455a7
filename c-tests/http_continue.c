// `100 Continue` is sent to clients that wait for it: not after a response, and not if the body has begun to arrive.
// not under: short: a body must arrive with its head
#include "peer.h"

static const char *s_mode = "";
static int s_hdrs;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_HDRS) {
    s_hdrs++;
    if (s_mode[0] == 'a') mg_http_reply(c, 403, "", "no");
    if (s_mode[0] == 'd') c->is_draining = 1;
  }
  if (ev == MG_EV_HTTP_MSG && c->send.len == 0) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_http_reply(c, 200, "", "%d", (int) hm->body.len);
  }
}

#define HEAD "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
#define CONTINUE "HTTP/1.1 100 Continue\r\n\r\n"

static bool received(const struct peer *p, const char *text) {
  size_t i, n = strlen(text);
  for (i = 0; i + n <= p->len; i++) {
    if (memcmp(p->buf + i, text, n) == 0) return true;
  }
  return false;
}

// What comes back after `first`, and after `second` once the head was seen and, with `waits`, the client was told to go on.
static void exchange(const char *mode, const char *first, const char *second, bool waits, const char *want) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *l = serve(&mgr, handler, NULL);
  s_mode = mode;
  s_hdrs = 0;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, first));
  POLL_UNTIL(&mgr, s_hdrs == 1);
  if (waits) {
    POLL_UNTIL(&mgr, peer_has(&p, strlen(CONTINUE)));
    CHECK(peer_got(&p, CONTINUE));
    p.len = 0;
  }
  if (second != NULL) CHECK(peer_send_text(&p, second));
  POLL_UNTIL(&mgr, peer_has(&p, 1 << 20) || received(&p, want) || p.end != PEER_OPEN);
  CHECK(received(&p, want) || want[0] == '\0');
  CHECK(!received(&p, "100 Continue"));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  exchange("", HEAD, "body", true, "\r\n\r\n4");
  exchange("", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", "x", true, "\r\n\r\n1");
  exchange("", HEAD "b", "ody", false, "\r\n\r\n4");
  exchange("", HEAD "body", NULL, false, "\r\n\r\n4");
  exchange("", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab", "\r\n0\r\n\r\n", false, "\r\n\r\n2");
  exchange("", "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", "body", false, "\r\n\r\n4");
  exchange("", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n", NULL, false, "\r\n\r\n0");
  // A refusal after `100 Continue` is an answer to the request, too.
  exchange("", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", "zz\r\n", true, " 400 ");
  exchange("answer", HEAD, NULL, false, "403");
  exchange("drain", HEAD, NULL, false, "");
  return DONE();
}
