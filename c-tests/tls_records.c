// TLS over bad lines: byte by byte, split anywhere, corrupted; and peers that do not speak TLS.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

static struct side server, client;
static struct line line;
static struct mg_mgr mgr;

// The client sends a request of several records; the server answers until-close. Neither says how long it is.
static char *body;
static size_t body_len;
static bool server_drains;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_CONNECT) mg_send(c, body, body_len);
  if (ev == MG_EV_READ) side_keep(s, c);
  if (ev == MG_EV_READ && !c->is_client && s->data.len == body_len) {
    mg_send(c, body, body_len);
    if (server_drains) c->is_draining = 1;
  }
}

static void begin(size_t len) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  server_drains = true;
  body = make_body(len), body_len = len;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "tcps"), fn, NULL);
}

static void end(void) {
  mg_mgr_free(&mgr);
  CHECK(server.c == NULL && client.c == NULL);
  free(body);
}

static void in_pieces(size_t per_poll, size_t len) {
  begin(len);
  line.per_poll = per_poll;
  while (client.closes == 0 && client.log[0] != '\0' && strchr(client.log, 'E') == NULL && server.closes == 0) {
    mg_mgr_poll(&mgr, 0);
    if (server.c != NULL) CHECK(server.c->rtls.len <= 2 * MG_IO_SIZE);
  }
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK(side_received(&server, body, len));
  CHECK(side_received(&client, body, len));
  CHECK(side_events_are(&client, "OCHWRX") || client.received > 16384);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  end();
}

// Cuts the line after `n` bytes towards the client, out of `all`.
static void cut(size_t n, size_t all, bool reset) {
  begin(20000);
  line.cut_down = n;
  line.reset = reset;
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(client.data.len <= 20000);
  CHECK(client.data.len == 0 || memcmp(client.data.buf, body, client.data.len) == 0);
  if (client.handshakes == 0) {
    // The attempt has failed, and a client is told so.
    CHECK(strchr(client.log, 'E') != NULL && client.error[0] != '\0');
    CHECK_EQ(client.reason, reset && client.reason == MGX_REASON_RESET ? MGX_REASON_RESET : MGX_REASON_ERROR);
  } else if (n < all) {
    // Cut off: no error, but the reason tells it from an answer that is complete.
    CHECK_EQ(client.reason, MGX_REASON_RESET);
    CHECK(reset || strchr(client.log, 'E') == NULL);
  } else {
    CHECK_EQ(client.data.len, 20000);
  }
  end();
}

// Returns how many bytes go down when nobody interferes.
static size_t all_bytes(void) {
  size_t n;
  begin(20000);
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  n = line.down;
  end();
  return n;
}

static void corrupted_byte(size_t n) {
  begin(20000);
  line.spoil_down = n;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK(strchr(client.log, 'E') != NULL && client.error[0] != '\0');
  CHECK(client.data.len < 20000);
  CHECK(client.data.len == 0 || memcmp(client.data.buf, body, client.data.len) == 0);
  CHECK_EQ(client.reason, MGX_REASON_ERROR);
  POLL_UNTIL(&mgr, server.closes == 1);
  end();
}

static void not_tls(void) {
  struct peer p;
  static const char *said[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff"};
  static const size_t lens[] = {27, 5, 10};
  size_t i;
  for (i = 0; i < 3; i++) {
    side_forget(&server);
    mg_mgr_init(&mgr);
    peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL));
    CHECK(peer_send(&p, said[i], lens[i]));
    POLL_UNTIL(&mgr, server.closes == 1);
    CHECK(side_events_are(&server, "OAEX"));
    CHECK(memcmp(server.error, "tls hs: ", 8) == 0);
    // An alert says why, and no reset destroys it although there was more input.
    POLL_UNTIL(&mgr, peer_read(&p));
    CHECK_EQ(p.end, PEER_FIN);
    CHECK(p.len >= 7 && p.buf[0] == 21);
    peer_free(&p);
    mg_mgr_free(&mgr);
  }
}

// A silent peer does not hold a connection forever.
static void silent(void) {
  struct mgx_limits limits;
  struct peer p;
  memset(&limits, 0, sizeof(limits));
  limits.header_timeout_ms = 300;
  side_forget(&server);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, &limits);
  peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL));
  CHECK(peer_send(&p, "\x16\x03\x01", 3));
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(side_events_are(&server, "OAEX"));
  CHECK(strcmp(server.error, "TLS handshake timeout") == 0);
  CHECK_EQ(server.reason, MGX_REASON_HEADER_TIMEOUT);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A peer that hangs up before it has said anything is no error.
static void probe(void) {
  struct peer p;
  side_forget(&server);
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL));
  POLL_UNTIL(&mgr, server.c != NULL);
  peer_free(&p);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(side_events_are(&server, "OAX"));
  mg_mgr_free(&mgr);
}

// A client that takes no more does not hear of the end either, which came with the record that has filled its buffer.
static void full_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_TLS_HS && !c->is_client) mg_send(c, body, MG_IO_SIZE), c->is_draining = 1;
  if (ev == MG_EV_READ) c->is_full = 1;
}

static void full(void) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  body = make_body(MG_IO_SIZE);
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", full_fn, NULL);
  mg_connect(&mgr, url_of(l, "tcps"), full_fn, NULL);
  POLL_UNTIL(&mgr, server.closes == 1 && client.received > 0);
  poll_often(&mgr);
  CHECK_EQ(client.received, MG_IO_SIZE);
  CHECK(client.c != NULL && client.c->recv.len == MG_IO_SIZE && client.c->recv.size == MG_IO_SIZE);
  if (client.c != NULL) client.c->is_full = 0;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  end();
}

int main(void) {
  size_t all, n;
  mg_log_set(MG_LL_NONE);
  in_pieces(1, 300);
  in_pieces(7, 3000);
  in_pieces(1000, 100000);
  in_pieces(16384 + 22, 100000);
  // Signatures differ in length by a few bytes. The last 24 are close_notify.
  all = all_bytes() - 10;
  for (n = 1; n < all; n += n < 1400 ? 97 : 3331) {
    cut(n, all, false);
    cut(n, all, true);
  }
  cut(all - 1, all, false);
  cut(all - 40, all, false);
  for (n = 1; n <= all; n += n < 1400 ? 101 : 3001) corrupted_byte(n);
  not_tls();
  silent();
  probe();
  full();
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
