// A handshake may take a minute, or as long as a request head with mgx_limits; then the connection closes.
#include "clock.h"
#include "tls.h"

static int s_accepts, s_errors, s_closes;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
    s_accepts++;
  }
  if (ev == MG_EV_ERROR) s_errors++;
  if (ev == MG_EV_CLOSE && c->is_accepted) s_closes++;
  (void) ev_data;
}

static void silent_client(const char *says, int header_timeout_ms, int ms) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  s_accepts = s_errors = s_closes = 0;
  mg_mgr_init(&mgr);
  if (header_timeout_ms != 0) {
    struct mgx_limits limits;
    memset(&limits, 0, sizeof(limits));
    limits.header_timeout_ms = header_timeout_ms;
    mgx_mgr_limits(&mgr, &limits);
  }
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, says));
  POLL_UNTIL(&mgr, s_accepts == 1);
  poll_often(&mgr);
  clock_ms += (uint64_t) ms - 1;
  poll_often(&mgr);
  CHECK_EQ(s_closes, 0);
  clock_ms += 2;
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_errors, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  silent_client("", 0, 60000);
  silent_client("\x16\x03\x01", 0, 60000);
  silent_client("", 2500, 2500);
  pem_free();
  return DONE();
}
