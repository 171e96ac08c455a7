// A handler answers, takes longer than the header timeout and polls: the request it is handling does not count as an incomplete head.
// Found by `make simulate`.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "clock.h"
#include "peer.h"

static int messages;
static enum mgx_reason reason;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    mg_http_reply(c, 200, "", "%d", messages);
    clock_ms += 1000;
    mg_mgr_poll(c->mgr, 0);
    mg_mgr_poll(c->mgr, 0);
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    reason = mgx_close_reason(c);
  }
  (void) ev_data;
}

int main(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mgx_limits limits;
  struct mg_connection *listener = serve(&mgr, handler, NULL);
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 200;
  mgx_mgr_limits(&mgr, &limits);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  POLL_UNTIL(&mgr, messages == 2);
  poll_often(&mgr);
  CHECK(!peer_read(&p));
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1          \r\n\r\n1HTTP/1.1 200 OK\r\nContent-Length: 1          \r\n\r\n2"));
  CHECK_EQ(reason, MGX_REASON_NONE);
  // The timeout still applies to an incomplete head.
  CHECK(peer_send_text(&p, "GET / HT"));
  poll_often(&mgr);
  clock_ms += 1000;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(reason, MGX_REASON_HEADER_TIMEOUT);
  peer_free(&p);
  mg_mgr_free(&mgr);
  return DONE();
}
