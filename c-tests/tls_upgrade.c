// Upgrades of open connections, such as STARTTLS: output queued before is sent in clear text, and clear-text input never counts
// as protected.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// not under: short: its lines must arrive as a whole
#include "tls.h"

static struct side server, client;
static bool handshake_call, init_outside, inject, keep_command;
static struct mg_connection *upgrade;

static void start(struct mg_connection *c) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  mg_tls_init(c, &o);
  CHECK(c->is_tls && c->is_tls_hs && c->tls != NULL);
  if (handshake_call) mg_tls_handshake(c);
}

// Says 220, upgrades after STARTTLS, and answers under TLS whatever it gets.
static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_printf(c, "220 hello\r\n");
  if (ev == MG_EV_READ && !c->is_tls) {
    char *end = (char *) memchr(c->recv.buf, '\n', c->recv.len);
    if (end == NULL) return;
    CHECK(memcmp(c->recv.buf, "STARTTLS", 8) == 0);
    mg_printf(c, "220 go ahead\r\n");
    if (!keep_command) mg_iobuf_del(&c->recv, 0, (size_t) (end + 1 - (char *) c->recv.buf));
    if (init_outside) {
      upgrade = c;
    } else {
      start(c);
      mg_printf(c, "first under TLS\r\n");
    }
  } else if (ev == MG_EV_READ) {
    CHECK(!c->is_tls_hs);
    side_keep(&server, c);
    mg_printf(c, "got it\r\n");
  } else if (ev == MG_EV_TLS_HS) {
    CHECK_EQ(c->recv.len, 0);
  }
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_READ && !c->is_tls) {
    if (mg_match(mg_str_n((char *) c->recv.buf, c->recv.len), mg_str("220 hello\r\n"), NULL)) {
      c->recv.len = 0;
      mg_printf(c, inject ? "STARTTLS\r\nEVIL COMMAND\r\n" : "STARTTLS\r\n");
    } else if (mg_match(mg_str_n((char *) c->recv.buf, c->recv.len), mg_str("220 go ahead\r\n"), NULL)) {
      c->recv.len = 0;
      start(c);
      mg_printf(c, "protected\r\n");
    }
  } else if (ev == MG_EV_READ) {
    side_keep(&client, c);
  }
}

static void run(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server_fn, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), client_fn, NULL);
  upgrade = NULL;
  if (init_outside) {
    POLL_UNTIL(&mgr, upgrade != NULL);
    start(upgrade);
    mg_printf(upgrade, "first under TLS\r\n");
  }
  POLL_UNTIL(&mgr, client.data.len >= 25);
  CHECK(side_received(&client, "first under TLS\r\ngot it\r\n", 25));
  CHECK(side_received(&server, "protected\r\n", 11));
  CHECK_EQ(client.handshakes, 1);
  CHECK_EQ(server.handshakes, 1);
  CHECK(client.c->is_tls && server.c->is_tls);
  mg_mgr_free(&mgr);
  CHECK_EQ(client.closes, 1);
  CHECK_EQ(server.closes, 1);
}

// ---- a client of another kind: it sends its request for TLS and the handshake at once

static struct mg_str hello;

static void capture_hello_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    hello.buf = (char *) realloc(hello.buf, hello.len + c->recv.len);
    memcpy(hello.buf + hello.len, c->recv.buf, c->recv.len);
    hello.len += c->recv.len;
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void immediate_tls_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  (void) ev_data;
}

// The ClientHello arrives in one segment with the command. It is for TLS, which answers it. In a daemon that has closed its
// standard input, 0 is a descriptor like any other. A command that fills the buffer leaves the ClientHello in the socket.
static void command_and_hello_at_once(bool on_descriptor_0, size_t command) {
  struct mg_mgr mgr;
  struct mg_connection *l, *tap;
  struct peer p;
  uint64_t start_ms;
  int input = -1;
  upgrade = NULL;
  hello = mg_str_n(NULL, 0);
  side_forget(&server);
  mg_mgr_init(&mgr);
  tap = mg_listen(&mgr, "tcp://127.0.0.1:0", capture_hello_fn, NULL);
  mg_connect(&mgr, url_of(tap, "tcps"), immediate_tls_fn, NULL);
  POLL_UNTIL(&mgr, hello.len > 100);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server_fn, NULL);
  peer_open(&p, l);
  if (on_descriptor_0) {
    input = dup(0);
    CHECK(input > 0 && close(0) == 0);
  }
  POLL_UNTIL(&mgr, peer_has(&p, 11));
  if (on_descriptor_0) CHECK(server.c != NULL && server.c->fd == NULL);
  p.len = 0;
  {
    char *both = (char *) malloc(hello.len + command);
    memset(both, ' ', command);
    memcpy(both, "STARTTLS", 8);
    memcpy(both + command - 2, "\r\n", 2);
    memcpy(both + command, hello.buf, hello.len);
    CHECK(peer_send(&p, both, hello.len + command));
    free(both);
  }
  if (init_outside) {
    POLL_UNTIL(&mgr, upgrade != NULL && peer_has(&p, 14));
    start(upgrade);
  }
  // It waits in memory: no event of the socket would end a long sleep.
  start_ms = real_ms();
  while (!peer_has(&p, 14 + 100) && real_ms() - start_ms < 50000) mg_mgr_poll(&mgr, 60000);
  CHECK(real_ms() - start_ms < 50000);
  CHECK(memcmp(p.buf, "220 go ahead\r\n", 14) == 0);
  CHECK(p.buf[14] == 0x16 && p.buf[15] == 0x03);  // a ServerHello
  CHECK(server.c != NULL && server.c->is_tls_hs);
  peer_free(&p);
  POLL_UNTIL(&mgr, server.closes == 1);
  mg_mgr_free(&mgr);
  if (input > 0) dup2(input, 0), close(input);
  free(hello.buf);
}

int main(void) {
  int i;
  mg_log_set(MG_LL_NONE);
  for (i = 0; i < 16; i++) {
    handshake_call = (i & 1) != 0;
    init_outside = (i & 2) != 0;
    inject = (i & 4) != 0;
    keep_command = (i & 8) != 0;
    run();
  }
  handshake_call = inject = keep_command = false;
  for (i = 0; i < 2; i++) {
    init_outside = i == 1;
    command_and_hello_at_once(false, 10);
#ifndef _WIN32
    command_and_hello_at_once(true, 10);
#endif
  }
  init_outside = false;
  command_and_hello_at_once(false, MG_IO_SIZE);
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
