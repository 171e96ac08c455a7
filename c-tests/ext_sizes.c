// Size limits of mgx_limits: excessive heads and bodies are refused with a response that the client can read while it is still
// sending.
#include "peer.h"

#include "mongoose_ext.h"

static int s_messages, s_limits;

static void respond(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) s_messages++, mg_http_reply(c, 200, "", "ok");
  if (ev == MG_EV_CLOSE && mgx_close_reason(c) == MGX_REASON_LIMIT) s_limits++;
  (void) ev_data;
}

// Sends a request in pieces of `piece` bytes; the answer must begin with `status`.
static void try_request(struct mg_mgr *mgr, struct mg_connection *l, const char *request, size_t piece, const char *status) {
  struct peer p;
  size_t n = strlen(request), ofs;
  peer_open(&p, l);
  for (ofs = 0; ofs < n; ofs += piece) {
    peer_send(&p, request + ofs, n - ofs < piece ? n - ofs : piece);
    mg_mgr_poll(mgr, 0);
    mg_mgr_poll(mgr, 0);
  }
  POLL_UNTIL(mgr, peer_has(&p, 12));
  CHECK(p.len > 12 && strncmp(p.buf + 9, status, 3) == 0);
  if (strcmp(status, "200") != 0) {
    POLL_UNTIL(mgr, peer_read(&p));
    CHECK_EQ(p.end, PEER_FIN);
  }
  peer_free(&p);
  POLL_UNTIL(mgr, count_conns(mgr) == 1);
}

int main(void) {
  struct mg_mgr mgr;
  struct mgx_limits limits;
  struct mg_connection *l = serve(&mgr, respond, NULL);
  static char big[5000], request[6000];
  size_t pieces[] = {7, 100000}, i;
  memset(&limits, 0, sizeof(limits));
  limits.max_header_bytes = 200;
  limits.max_body_bytes = 1000;
  mgx_mgr_limits(&mgr, &limits);
  memset(big, 'x', sizeof(big) - 1);
  for (i = 0; i < 2; i++) {
    try_request(&mgr, l, "GET / HTTP/1.1\r\n\r\n", pieces[i], "200");
    mg_snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nA: %.300s\r\n\r\n", big);
    try_request(&mgr, l, request, pieces[i], "431");
    mg_snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nA: %.300s", big);  // no end in sight
    try_request(&mgr, l, request, pieces[i], "431");
    mg_snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n%.1000s", big);
    try_request(&mgr, l, request, pieces[i], "200");
    mg_snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n%.1001s", big);
    try_request(&mgr, l, request, pieces[i], "413");
    mg_snprintf(request, sizeof(request), "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n%.4000s", big);
    try_request(&mgr, l, request, pieces[i], "413");
  }
  CHECK_EQ(s_messages, 4);
  CHECK_EQ(s_limits, 8);
  mg_mgr_free(&mgr);
  return DONE();
}
