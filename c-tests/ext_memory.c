// max_memory of mgx_limits: above it no connection is accepted until others have closed, TLS is refused, and connections that
// need far more close with OOM.
#include "tls.h"

static int errors, messages;
static char last_error[64];

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) {
    errors++;
    mg_snprintf(last_error, sizeof(last_error), "%s", (char *) ev_data);
  }
  if (ev == MG_EV_HTTP_MSG) messages++, mg_http_reply(c, 200, "", "hi");
}

static void limit(struct mg_mgr *mgr, size_t most) {
  struct mgx_limits limits;
  memset(&limits, 0, sizeof(limits));
  limits.max_memory = most;
  mgx_mgr_limits(mgr, &limits);
}

static struct peer peers[40];

static size_t bytes_in(const struct mg_mgr *mgr) {
  struct mgx_stats s;
  mgx_mgr_stats(mgr, &s);
  return (size_t) s.bytes_in;
}

enum { HALF = 40 };

static void send_half_a_request(struct mg_mgr *mgr, struct mg_connection *l, size_t i) {
  peer_open(&peers[i], l);
  CHECK(peer_send(&peers[i], "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", HALF));
  poll_often(mgr);
}

static void new_connections_wait(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  size_t i, in;
  limit(&mgr, 100000);
  for (i = 0; i < 20; i++) send_half_a_request(&mgr, l, i);
  in = count_conns(&mgr) - 1;
  // Each has a buffer of 16 KiB.
  CHECK(in >= 5 && in <= 7);
  CHECK_EQ(errors, 0);
  // Those who are in go on.
  CHECK(peer_send_text(&peers[0], "cde"));
  POLL_UNTIL(&mgr, peer_has(&peers[0], 40));
  CHECK_EQ(messages, 1);
  // Who has gone makes room for the next, and in the end everybody was there.
  for (i = 0; i < 20; i++) {
    if (i > 0) CHECK(peer_send_text(&peers[i], "cde"));
    POLL_UNTIL(&mgr, peer_has(&peers[i], 40));
    CHECK(count_conns(&mgr) - 1 <= 8);
    peer_free(&peers[i]);
  }
  CHECK_EQ(messages, 20);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

static void no_limit_no_wait(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  size_t i;
  limit(&mgr, 100000);
  for (i = 0; i < 20; i++) send_half_a_request(&mgr, l, i);
  CHECK(count_conns(&mgr) < 20);
  limit(&mgr, 0);
  POLL_UNTIL(&mgr, bytes_in(&mgr) == 20 * HALF);
  // What is there already counts when the limit comes later.
  limit(&mgr, 100000);
  peer_open(&peers[20], l);
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 21);
  limit(&mgr, 1000000);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 22);
  for (i = 0; i < 21; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
}

static void excessive_connections_close(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  static char block[1000];
  size_t sent = 0;
  errors = messages = 0;
  limit(&mgr, 100000);
  send_half_a_request(&mgr, l, 1);
  peer_open(&peers[0], l);
  CHECK(peer_send_text(&peers[0], "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"));
  while (errors == 0 && sent < 1000000 && peer_send(&peers[0], block, sizeof(block))) sent += sizeof(block), mg_mgr_poll(&mgr, 0);
  POLL_UNTIL(&mgr, peer_read(&peers[0]));
  CHECK_EQ(errors, 1);
  CHECK(strcmp(last_error, "OOM") == 0);
  CHECK(sent > 50000 && sent < 900000);
  // The other has not noticed.
  CHECK(peer_send_text(&peers[1], "cde"));
  POLL_UNTIL(&mgr, peer_has(&peers[1], 40));
  CHECK_EQ(messages, 1);
  peer_free(&peers[0]);
  peer_free(&peers[1]);
  mg_mgr_free(&mgr);
}

static void tls_is_refused(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL), *c;
  struct mg_tls_opts o = client_tls();
  size_t i;
  errors = 0;
  limit(&mgr, 50000);
  for (i = 0; i < 3; i++) send_half_a_request(&mgr, l, i);
  CHECK_EQ(errors, 0);
  c = mg_connect(&mgr, url_of(l, "tcp"), fn, NULL);
  CHECK(c != NULL);
  mg_tls_init(c, &o);
  CHECK_EQ(errors, 1);
  CHECK(strcmp(last_error, "OOM") == 0);
  CHECK(c->is_closing);
  CHECK(!c->is_tls);
  for (i = 0; i < 3; i++) peer_free(&peers[i]);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  c = mg_connect(&mgr, url_of(l, "tcp"), fn, NULL);
  mg_tls_init(c, &o);
  CHECK_EQ(errors, 1);
  CHECK(!c->is_closing && c->is_tls);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  new_connections_wait();
  no_limit_no_wait();
  excessive_connections_close();
  tls_is_refused();
  pem_free();
  return DONE();
}
