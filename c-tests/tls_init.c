// mg_tls_init in every situation, its failures, and the lower-level TLS functions.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

static struct side server, client;
static struct mg_mgr mgr;
static struct mg_tls_opts server_opts, client_opts;
static enum { ON_ACCEPT, ON_OPEN, NEVER } server_init;
static enum { ON_CONNECT, AFTER_CONNECT, TWICE, FREED, ON_RESOLVE, FREED_FOR_GOOD } client_init;

// The server answers pong to ping, the client drains.
static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (!c->is_client && ev == (server_init == ON_OPEN ? MG_EV_OPEN : MG_EV_ACCEPT) && server_init != NEVER) mg_tls_init(c, &server_opts);
  if (c->is_client && ev == MG_EV_OPEN) mg_printf(c, "ping");
  if (c->is_client && ((client_init == ON_CONNECT && ev == MG_EV_CONNECT) || (client_init == ON_RESOLVE && ev == MG_EV_RESOLVE))) {
    mg_tls_init(c, &client_opts);
  }
  if (c->is_client && client_init == TWICE && (ev == MG_EV_OPEN || ev == MG_EV_CONNECT)) mg_tls_init(c, &client_opts);
  if (c->is_client && client_init == FREED && ev == MG_EV_CONNECT) {
    mg_tls_init(c, &client_opts);
    mg_tls_free(c);
    CHECK(c->tls == NULL && mg_tls_pending(c) == 0);
    mg_tls_free(c);
    mg_tls_init(c, &client_opts);
  }
  if (c->is_client && client_init == FREED_FOR_GOOD && ev == MG_EV_CONNECT) {
    mg_tls_init(c, &client_opts);
    mg_tls_free(c);
    CHECK(!c->is_tls_hs);
  }
  if (ev == MG_EV_READ) {
    side_keep(s, c);
    if (s->data.len == 4 && !c->is_client) mg_printf(c, "pong");
    if (s->data.len == 4 && c->is_client) c->is_draining = 1;
  }
}

static void connect_pair(struct mg_connection *l, const char *scheme) {
  struct mg_connection *c;
  side_forget(&server), side_forget(&client);
  c = mg_connect(&mgr, url_of(l, scheme), fn, NULL);
  if (client_init == AFTER_CONNECT) mg_tls_init(c, &client_opts);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
}

static void expect_exchange(struct mg_connection *l, const char *scheme) {
  connect_pair(l, scheme);
  CHECK(side_events_are(&client, "OCHWRX"));
  CHECK(side_events_are(&server, "OAHRWX") || side_events_are(&server, "OAHRWX"));
  CHECK(side_received(&server, "ping", 4) && side_received(&client, "pong", 4));
}

// Always, whatever order things come in.
static void every_order_of_calls(void) {
  struct mg_connection *l;
  int s, c;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  for (s = ON_ACCEPT; s <= ON_OPEN; s++) {
    for (c = ON_CONNECT; c <= ON_RESOLVE; c++) {
      server_init = s == ON_OPEN ? ON_OPEN : ON_ACCEPT;
      client_init = c == ON_CONNECT ? ON_CONNECT : c == AFTER_CONNECT ? AFTER_CONNECT : c == TWICE ? TWICE : c == FREED ? FREED : ON_RESOLVE;
      expect_exchange(l, "tcps");
      expect_exchange(l, "tcp");
    }
  }
  server_init = ON_ACCEPT, client_init = ON_CONNECT;
  // The URL of the listener does not matter either.
  expect_exchange(mg_listen(&mgr, "tcp://127.0.0.1:0", fn, NULL), "tcp");
  // On a listener it changes nothing, good options or bad, once or often.
  for (s = 0; s < 3; s++) {
    struct mg_tls_opts bad = server_opts;
    mg_tls_init(l, &server_opts);
    mg_tls_free(l);
    bad.key = mg_str("no key");
    mg_tls_init(l, &bad);
    CHECK(!l->is_closing && l->is_tls);
    expect_exchange(l, "tcps");
  }
  mg_tls_free(l);
  mg_tls_ctx_init(&mgr), mg_tls_ctx_free(&mgr);
  expect_exchange(l, "tcps");
  mg_mgr_free(&mgr);
}

// Every name is 127.0.0.1.
static void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  static const unsigned char answer[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1};
  unsigned char reply[600];
  size_t n = c->recv.len;
  if (ev != MG_EV_READ || n < 12 || n + sizeof(answer) > sizeof(reply)) return;
  memcpy(reply, c->recv.buf, n);
  memcpy(reply + n, answer, sizeof(answer));
  reply[2] = 0x81, reply[3] = 0x80, reply[7] = 1;
  c->recv.len = 0;
  mg_send(c, reply, n + sizeof(answer));
  (void) ev_data;
}

static void while_resolving(void) {
  struct mg_connection *l, *c;
  char url[60], dns[60];
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "udp://127.0.0.1:0", dns_fn, NULL);
  mg_snprintf(dns, sizeof(dns), "udp://127.0.0.1:%d", port_of(c));
  mgr.dns4.url = dns;
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  side_forget(&server), side_forget(&client);
  client_init = AFTER_CONNECT;
  mg_snprintf(url, sizeof(url), "tcps://somewhere.test:%d", port_of(l));
  c = mg_connect(&mgr, url, fn, NULL);
  CHECK(c->is_resolving);
  mg_tls_init(c, &client_opts);
  CHECK(c->is_tls_hs && c->tls != NULL);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&client, "OCHWRX") && side_events_are(&server, "OAHRWX"));
  CHECK(side_received(&server, "ping", 4) && side_received(&client, "pong", 4));
  client_init = ON_CONNECT;
  mg_mgr_free(&mgr);
}

// Secrets go to a file only when the application asks for it, and the environment names it.
static void key_log(void) {
  struct mgx_options o;
  struct mg_str text;
  int on;
  char path[] = "tls-keys-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0);
  setenv("SSLKEYLOGFILE", path, 1);
  for (on = 0; on < 2; on++) {
    mg_mgr_init(&mgr);
    memset(&o, 0, sizeof(o));
    o.tls_keylog = on == 1;
    mgx_mgr_options(&mgr, &o);
    expect_exchange(mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL), "tcps");
    mg_mgr_free(&mgr);
    text = mg_file_read(&mg_fs_posix, path);
    CHECK(on ? text.buf != NULL && strstr(text.buf, "CLIENT_TRAFFIC_SECRET_0 ") != NULL : text.len == 0);
    mg_free(text.buf);
  }
  unsetenv("SSLKEYLOGFILE");
  close(fd);
  unlink(path);
}

// Without mg_tls_init on both sides, or when it is taken back in time: clear text, as documented.
static void clear_text_without_mg_tls_init(bool taken_back) {
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  server_init = NEVER;
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  side_forget(&server), side_forget(&client);
  client_init = taken_back ? FREED_FOR_GOOD : AFTER_CONNECT;
  mg_connect(&mgr, url_of(l, "tcps"), fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&client, "OCWRX") && side_events_are(&server, "OARWX"));
  server_init = ON_ACCEPT, client_init = ON_CONNECT;
  mg_mgr_free(&mgr);
}

static void fails(struct mg_tls_opts s, struct mg_tls_opts c, const char *client_log, const char *client_error, const char *server_log,
                  const char *server_error) {
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  server_opts = s, client_opts = c;
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  connect_pair(l, "tcps");
  CHECK(side_events_are(&client, client_log) && side_events_are(&server, server_log));
  CHECK(client.data.len == 0 && server.data.len == 0);
  if (!mg_match(mg_str(client.error), mg_str(client_error), NULL) || !mg_match(mg_str(server.error), mg_str(server_error), NULL)) {
    CHECK(false);
    fprintf(stderr, "client: %s\nserver: %s\n", client.error, server.error);
  }
  mg_mgr_free(&mgr);
  server_opts = server_tls(), client_opts = client_tls();
}

static void failures(void) {
  struct mg_tls_opts s = server_tls(), c = client_tls(), none;
  memset(&none, 0, sizeof(none));
  c.name = mg_str("elsewhere");
  fails(s, c, "OCEX", "failed to verify hostname*", "OAEX", "tls hs: the peer says: *");
  c = client_tls();
  c.ca = pem("other-ca.pem");
  fails(s, c, "OCEX", "tls hs: peer's certificate: issuer is not in ca", "OAEX", "tls hs: the peer says: unknown ca");
  c = client_tls();
  s.cert = pem("expired.pem"), s.key = pem("expired.key");
  fails(s, c, "OCEX", "tls hs: peer's certificate: expired", "OAEX", "tls hs: the peer says: *expired");
  fails(none, c, "OCEX", "tls hs: the peer says: *", "OAEX", "tls hs: this server has no certificate");
  s = server_tls();
  s.key = mg_str("no key");
  fails(s, c, "OCEX", "#", "OAEX", "KEY err 1*");
  s.key = pem("client-p256.key");
  fails(s, c, "OCEX", "#", "OAEX", "KEY err 1*");
  s = server_tls();
  c.ca = mg_str("no certificate");
  fails(s, c, "OCEX", "CA err*", "OAX", "");
  // With TLS 1.3 the client has finished its handshake before the server has looked at its certificate.
  c = client_tls();
  s.ca = pem("ca.pem");
  fails(s, c, "OCHWEX", "tls hs: the peer says: certificate required", "OAEX", "tls hs: the peer has no certificate");
  c.cert = pem("client-p256.pem"), c.key = pem("client-p256.key");
  mg_mgr_init(&mgr);
  server_opts = s, client_opts = c;
  expect_exchange(mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL), "tcps");
  server_opts = server_tls(), client_opts = client_tls();
  mg_mgr_free(&mgr);
}

// A handler that takes the error back gets no clear text in its place.
static int errors;

static void clears_is_closing_fn(struct mg_connection *c, int ev, void *ev_data) {
  fn(c, ev, ev_data);
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_ERROR && c->is_client) c->is_closing = 0;
}

static void cleared_errors_do_not_continue_in_clear_text(void) {
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  client_opts.name = mg_str("elsewhere");
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  side_forget(&server), side_forget(&client);
  errors = 0;
  mg_connect(&mgr, url_of(l, "tcps"), clears_is_closing_fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK_EQ(errors, 1);
  CHECK_EQ(client.written, 0);
  CHECK_EQ(server.received, 0);
  client_opts = client_tls();
  mg_mgr_free(&mgr);
}

// Handlers that end their connection, or everything, in any event.
static struct {
  int ev;
  bool client, all, done;
} kill_at;

static void frees_in_event_fn(struct mg_connection *c, int ev, void *ev_data) {
  bool now = !kill_at.done && ev == kill_at.ev && (c->is_client != 0) == kill_at.client && !c->is_listening;
  fn(c, ev, ev_data);
  if (!now) return;
  kill_at.done = true;
  if (kill_at.all) {
    mg_mgr_free(c->mgr);
  } else {
    mg_close_conn(c);
  }
}

static void freed_in_handlers(void) {
  static const int events[] = {MG_EV_OPEN, MG_EV_ACCEPT, MG_EV_CONNECT, MG_EV_TLS_HS, MG_EV_READ, MG_EV_WRITE, MG_EV_ERROR, MG_EV_CLOSE};
  size_t i;
  for (i = 0; i < 4 * sizeof(events) / sizeof(events[0]); i++) {
    struct mg_connection *l;
    memset(&kill_at, 0, sizeof(kill_at));
    kill_at.ev = events[i / 4], kill_at.client = i % 2 == 0, kill_at.all = i % 4 < 2;
    client_opts.name = mg_str(kill_at.ev == MG_EV_ERROR ? "elsewhere" : "localhost");
    mg_mgr_init(&mgr);
    side_forget(&server), side_forget(&client);
    l = mg_listen(&mgr, "tcps://127.0.0.1:0", frees_in_event_fn, NULL);
    mg_connect(&mgr, url_of(l, "tcps"), frees_in_event_fn, NULL);
    if (kill_at.ev == (kill_at.client ? MG_EV_ACCEPT : MG_EV_CONNECT)) kill_at.done = true;  // never comes
    POLL_UNTIL(&mgr, kill_at.done);
    poll_often(&mgr);
    mg_mgr_free(&mgr);
    CHECK(client.c == NULL && server.c == NULL);
  }
  client_opts = client_tls();
}

// TLS is for streams.
static void udp_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &client_opts);
  if (ev == MG_EV_ERROR) mg_snprintf(client.error, sizeof(client.error), "%s", (char *) ev_data);
}

static void udp(void) {
  mg_mgr_init(&mgr);
  side_forget(&client);
  mg_connect(&mgr, "udp://127.0.0.1:9", udp_fn, NULL);
  CHECK(strcmp(client.error, "TLS needs a stream") == 0);
  mg_mgr_free(&mgr);
}

// ---- sockets of the application's own, and the functions that mg_mgr_poll uses, called by hand

static int wrapped_writes;

static void wrapped_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) mg_tls_init(c, &server_opts);
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_TLS_HS) {
    char byte;
    CHECK_EQ(mg_tls_send(c, "by ", 3), 3);
    CHECK_EQ(mg_tls_send(c, "hand", 4), 4);
    CHECK_EQ(mg_tls_send(c, NULL, 4), 0);
    CHECK_EQ(mg_tls_recv(c, NULL, 4), 0);
    CHECK_EQ(mg_tls_recv(c, &byte, 0), 0);
    mg_tls_flush(c);
    wrapped_writes++;
  }
  if (ev == MG_EV_READ) side_keep(&server, c);
}

static void from_socket_fn(struct mg_connection *c, int ev, void *ev_data) {
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) {
    char byte;
    mg_tls_init(c, &client_opts);
    CHECK_EQ(mg_tls_send(c, "early", 5), MG_IO_WAIT);
    CHECK_EQ(mg_tls_recv(c, &byte, 1), MG_IO_WAIT);
    mg_tls_handshake(c);
  }
  if (ev == MG_EV_TLS_HS) mg_send(c, "hello", 5);
  if (ev == MG_EV_READ) side_keep(&client, c);
}

static void wrapped(void) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  char url[50], byte;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct mg_connection *c;
  mg_mgr_init(&mgr);
  side_forget(&server), side_forget(&client);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, len) == 0 && listen(fd, 1) == 0 && getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  mg_snprintf(url, sizeof(url), "tcps://127.0.0.1:%d", ntohs(sin.sin_port));
  c = mg_connect(&mgr, url, from_socket_fn, NULL);
  CHECK(mg_wrapfd(&mgr, accept(fd, NULL, NULL), wrapped_fn, NULL) != NULL);
  POLL_UNTIL(&mgr, client.data.len >= 7 && server.data.len >= 5);
  CHECK(side_received(&client, "by hand", 7) && side_received(&server, "hello", 5));
  CHECK_EQ(wrapped_writes, 1);
  // Freed in mid-session: not a byte in clear after that.
  mg_tls_free(c);
  CHECK(c->tls == NULL);
  CHECK_EQ(mg_tls_send(c, "x", 1), MG_IO_ERR);
  CHECK_EQ(mg_tls_recv(c, &byte, 1), MG_IO_ERR);
  mg_send(c, "secret", 6);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK_EQ(client.unsent, 6);
  CHECK_EQ(server.data.len, 5);
  CHECK_EQ(server.error[0], 0);
  mg_mgr_free(&mgr);
  close(fd);
}

// A client speaks first, in the poll in which it is connected: the next may sleep.
static void quiet_fn(struct mg_connection *c, int ev, void *ev_data) {
  side_note(&client, c, ev, ev_data);
}

static void speaks_first(void) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  char url[50], byte;
  int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
  mg_mgr_init(&mgr);
  side_forget(&client);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(listener, (struct sockaddr *) &sin, len) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, (struct sockaddr *) &sin, &len) == 0);
  mg_snprintf(url, sizeof(url), "tcps://127.0.0.1:%d", ntohs(sin.sin_port));
  mg_tls_init(mg_connect(&mgr, url, quiet_fn, NULL), &client_opts);
  fd = accept(listener, NULL, NULL);
  POLL_UNTIL(&mgr, strcmp(client.log, "OC") == 0);
  CHECK(recv(fd, &byte, 1, MSG_DONTWAIT) == 1 && byte == 0x16);
  mg_mgr_free(&mgr);
  close(fd), close(listener);
}

// Without a connection of a manager there is nothing to protect.
static void connections_without_a_manager(void) {
  struct mg_connection c;
  char byte;
  memset(&c, 0, sizeof(c));
  mg_tls_init(&c, &server_opts);
  CHECK(c.is_closing && c.tls == NULL);
  mg_tls_free(&c), mg_tls_flush(&c), mg_tls_handshake(&c);
  CHECK(mg_tls_send(&c, "x", 1) == MG_IO_ERR && mg_tls_recv(&c, &byte, 1) == MG_IO_ERR && mg_tls_pending(&c) == 0);
  mg_tls_init(NULL, &server_opts), mg_tls_init(&c, NULL), mg_tls_free(NULL), mg_tls_flush(NULL), mg_tls_handshake(NULL);
  CHECK(mg_tls_send(NULL, "x", 1) == 0 && mg_tls_recv(NULL, &byte, 1) == 0 && mg_tls_pending(NULL) == 0);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  server_opts = server_tls(), client_opts = client_tls();
  every_order_of_calls();
  while_resolving();
  key_log();
  clear_text_without_mg_tls_init(false), clear_text_without_mg_tls_init(true);
  failures();
  cleared_errors_do_not_continue_in_clear_text();
  freed_in_handlers();
  udp();
  wrapped();
  speaks_first();
  connections_without_a_manager();
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
