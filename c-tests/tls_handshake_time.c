// A handshake may take a minute, or as long as a request head with mgx_limits; then the connection closes.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "clock.h"
#include "tls.h"

static int s_accepts, s_handshakes, s_errors, s_closes;
static bool s_polls;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
    mgx_conn_poll_events(c, s_polls);
    s_accepts++;
  }
  if (ev == MG_EV_TLS_HS) s_handshakes++;
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
  clock_ms++;
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_errors, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A server that says one byte and begins, however early.
static void early_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && !c->is_tls) {
    struct mg_tls_opts o = server_tls();
    c->recv.len = 0;
    mg_send(c, "S", 1);
    mg_tls_init(c, &o);
  }
  (void) ev_data;
}

static void upgrade_in_the_first_millisecond(void) {
  struct mg_mgr mgr;
  struct peer p;
  clock_ms = 1;
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", early_fn, NULL));
  CHECK(peer_send_text(&p, "?"));
  POLL_UNTIL(&mgr, peer_has(&p, 1));
  CHECK(peer_got(&p, "S"));
  peer_free(&p);
  mg_mgr_free(&mgr);
  clock_ms = 1000000;
}

// What it says in the last moment is an error, and the only one.
static void late_junk(void) {
  struct mg_mgr mgr;
  struct peer p;
  s_accepts = s_errors = s_closes = 0;
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL));
  POLL_UNTIL(&mgr, s_accepts == 1);
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "this is not TLS"));
  clock_ms += 60001;
  POLL_UNTIL(&mgr, s_closes == 1);
  CHECK_EQ(s_errors, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The handshake that the peer takes is progress of output that waits for its end.
static struct side hello, flushed;

static void hello_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_READ) side_keep(&hello, c);
  (void) ev_data;
}

static void flushed_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&flushed, c, ev, ev_data);
  if (ev != MG_EV_ACCEPT) return;
  mg_tls_init(c, &o);
  mg_send(c, "bye", 3);
  c->is_draining = 1;
}

static void progress_of_a_handshake(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mgx_limits limits;
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 200000;
  mg_mgr_init(&mgr);
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", hello_fn, NULL), "tcps"), hello_fn, NULL);
  POLL_UNTIL(&mgr, hello.data.len > 100);
  mg_mgr_free(&mgr);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, &limits);
  peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", flushed_fn, NULL));
  POLL_UNTIL(&mgr, flushed.c != NULL);
  poll_often(&mgr);
  clock_ms += 50000;
  CHECK(peer_send(&p, hello.data.buf, hello.data.len));
  POLL_UNTIL(&mgr, peer_has(&p, 500));
  clock_ms += 59000;
  poll_often(&mgr);
  CHECK_EQ(flushed.closes, 0);
  clock_ms += 2000;
  POLL_UNTIL(&mgr, flushed.closes == 1);
  CHECK_EQ(flushed.reason, MGX_REASON_FLUSH_TIMEOUT);
  CHECK_EQ(flushed.unsent, 3);
  peer_free(&p);
  mg_mgr_free(&mgr);
  side_forget(&hello), side_forget(&flushed);
}

// The first request has its time after the handshake.
static void then_a_request(void) {
  struct mgx_limits limits;
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct mg_tls_opts o = client_tls();
  struct line line;
  s_accepts = s_errors = s_closes = 0;
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 1000;
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, &limits);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server, NULL);
  line_open(&line, &mgr, port_of(l));
  line.held = true;
  c = mg_connect(&mgr, url_of(line.listener, "tcp"), NULL, NULL);
  mg_tls_init(c, &o);
  POLL_UNTIL(&mgr, s_accepts == 1);
  poll_often(&mgr);
  clock_ms += 900;
  line.held = false;
  POLL_UNTIL(&mgr, s_handshakes == 1);
  poll_often(&mgr);
  clock_ms += 900;
  poll_often(&mgr);
  CHECK_EQ(s_closes, 0);
  clock_ms += 100;
  POLL_UNTIL(&mgr, s_closes == 1);
  mg_mgr_free(&mgr);
}

int main(void) {
  int i;
  upgrade_in_the_first_millisecond();
  for (i = 0; i < 2; i++) {
    s_polls = i == 0;
    silent_client("", 0, 60000);
    silent_client("\x16\x03\x01", 0, 60000);
    silent_client("", 2500, 2500);
    late_junk();
  }
  progress_of_a_handshake();
  then_a_request();
  pem_free();
  return DONE();
}
