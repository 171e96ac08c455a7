// An application of version 7.14: handlers have three arguments, strings are still `ptr`.
#define MGX_COMPAT_7 714
#include "peer.h"

#include "mongoose_ext.h"

static int messages;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  CHECK(ev >= 0);  // no MG_EV_HTTP_CHUNK of earlier versions
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    char buf[20];
    CHECK(c->fn_data == &messages);
    CHECK(mg_http_get_var(&hm->query, "v", buf, sizeof(buf)) == 2 && strcmp(buf, "xy") == 0);
    CHECK(mg_http_match_uri(hm, "/a"));
    CHECK_EQ(c->rem.ip[0], 127);
    mg_http_reply(c, 200, "", "%.*s", (int) hm->method.len, hm->method.ptr);
    messages++;
  }
}

int main(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_tls_opts o;
  struct mg_connection *l = serve(&mgr, fn, &messages);
  mgx_mgr_written_for(&mgr, MGX_COMPAT_7);  // changes nothing
  memset(&o, 0, sizeof(o));
  o.srvcert = mg_str("c");
  CHECK(o.cert.ptr == o.srvcert.ptr);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, "GET /a?v=xy HTTP/1.1\r\nContent-Length: 1\r\n\r\nb"));
  POLL_UNTIL(&mgr, (peer_read(&p), p.len > 7 && memcmp(p.buf + p.len - 7, "\r\n\r\nGET", 7) == 0));
  CHECK_EQ(messages, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
  return DONE();
}
