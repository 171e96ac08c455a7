// Shutting down a manager with TLS connections in every state and peers that never answer, and in a child process; and the memory
// of idle connections and polls.
// timeout: 120
// not under: valgrind asan: it measures memory
#include "tls.h"

#include <malloc.h>
#include <sys/wait.h>

static struct mg_mgr mgr, clients;
static int handshakes, upgrades, messages, closes, forced, wrong;
static size_t received;
static unsigned long waiting;
static char *big;
static enum mgx_reason client_reason;

#define BIG 20000000

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (c->is_listening) return;
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/big"), NULL)) {
      mgx_http_reply(c, 200, "", big, BIG);
    } else {
      waiting = c->id;
    }
  }
  if (ev == MG_EV_CLOSE) {
    closes++;
    if (mgx_close_reason(c) == MGX_REASON_FORCED) forced++;
    if (mgx_close_reason(c) == MGX_REASON_ERROR || mgx_close_reason(c) == MGX_REASON_RESET) wrong++;
  }
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  const char *request = (const char *) c->fn_data;
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_TLS_HS) {
    handshakes++;
    if (request != NULL) mg_printf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", request);
  }
  if (ev == MG_EV_WS_OPEN) upgrades++;
  if (ev == MG_EV_CLOSE) client_reason = mgx_close_reason(c);
  if (ev == MG_EV_READ) {
    received += c->recv.len;
    if (request != NULL) c->recv.len = 0;
  }
  (void) ev_data;
}

static void ws_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_WS_OPEN) upgrades++;
  (void) ev_data;
}

static void both(int times) {
  while (times-- > 0) mg_mgr_poll(&mgr, 1), mg_mgr_poll(&clients, 1);
}

#define BOTH_UNTIL(cond)                                           \
  do {                                                             \
    uint64_t both_end = real_ms() + 50000;                         \
    while (!(cond) && real_ms() < both_end) both(1);               \
    CHECK(cond);                                                   \
  } while (0)

static struct mg_connection *start(void) {
  handshakes = upgrades = messages = closes = forced = wrong = 0, received = 0, waiting = 0;
  mg_mgr_init(&mgr), mg_mgr_init(&clients);
  return mg_http_listen(&mgr, "https://127.0.0.1:0", server_fn, NULL);
}

// When `silent` the peers do nothing any more once it has begun: no close_notify, no FIN, no Close frame.
static void every_state(bool silent) {
  struct mgx_mgr_drain_opts o;
  struct mg_connection *l = start(), *c;
  struct peer mute, begun;
  uint64_t began = real_ms();
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 100, o.deadline_ms = 10000, o.conn.ws_close_timeout_ms = 300;
  mg_connect(&clients, url_of(l, "tcps"), client_fn, NULL);             // idle
  mg_connect(&clients, url_of(l, "tcps"), client_fn, (void *) "/later");  // waiting for its answer
  mg_ws_connect(&clients, (char *) url_of(l, "wss"), ws_fn, NULL, NULL);
  {
    char url[60];
    mg_snprintf(url, sizeof(url), "wss://127.0.0.1:%d/ws", port_of(l));
    mg_ws_connect(&clients, url, ws_fn, NULL, NULL);
  }
  peer_open(&mute, l), peer_open(&begun, l);
  CHECK(peer_send(&begun, "\x16\x03\x01\x02\x00\x01", 6));
  BOTH_UNTIL(handshakes == 2 && upgrades == 1 && messages >= 2);
  began = real_ms();
  mgx_mgr_drain_init(&mgr), mgx_mgr_drain(&mgr, &o);
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < began + 20000) {
    mg_mgr_poll(&mgr, 20);
    if (!silent) mg_mgr_poll(&clients, 0);
    if (real_ms() < began + 200) continue;
    for (c = mgr.conns; c != NULL; c = c->next) {
      // Its answer is late, and still arrives.
      if (c->id == waiting || c->is_resp) mg_http_reply(c, 200, "", "late");
    }
  }
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK(real_ms() - began < 9000);
  CHECK_EQ(forced, 0);
  CHECK_EQ(wrong, 0);
  CHECK_EQ(closes, 6);
  CHECK(count_conns(&mgr) == 0);
  received = 0;
  for (closes = 0; closes < 100; closes++) mg_mgr_poll(&clients, 1);
  CHECK(silent ? received > 0 : true);
  peer_free(&mute), peer_free(&begun);
  mg_mgr_free(&clients), mg_mgr_free(&mgr);
}

// Its own output is on its way, and nobody takes it: the deadline ends that.
static void nobody_reads(void) {
  struct mgx_mgr_drain_opts o;
  struct mg_connection *l = start();
  uint64_t began;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 50, o.deadline_ms = 600;
  mg_connect(&clients, url_of(l, "tcps"), client_fn, (void *) "/big");
  while (messages == 0) both(1);
  poll_often(&mgr);
  began = real_ms();
  mgx_mgr_drain_init(&mgr), mgx_mgr_drain(&mgr, &o);
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < began + 20000) mg_mgr_poll(&mgr, 20);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(forced, 1);
  CHECK(real_ms() - began < 5000);
  mg_mgr_free(&mgr), mg_mgr_free(&clients);
}

// What one idle connection costs, client and server together.
static void idle(void) {
  enum { N = 1000 };
  struct mg_connection *l = start(), *c;
  size_t before = 0, after;
  int i;
  for (i = 0; i < N + 20; i++) {
    if (i == 20) before = mallinfo2().uordblks;
    mg_connect(&clients, url_of(l, "tcps"), client_fn, NULL);
    if (i % 50 == 19) BOTH_UNTIL(handshakes == i + 1);
  }
  BOTH_UNTIL(handshakes == N + 20);
  both(20);
  after = mallinfo2().uordblks;
  fprintf(stderr, "%lu bytes for both ends of an idle connection\n", (unsigned long) ((after - before) / N));
  CHECK((after - before) / N < 24 * 1024);
  for (c = mgr.conns; c != NULL; c = c->next) CHECK(c->rtls.size == 0 && c->recv.size == 0 && c->send.size == 0);
  // Closed ones whose clients do not answer have no session any more.
  for (c = mgr.conns; c != NULL; c = c->next) c->is_draining = !c->is_listening;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  CHECK(mallinfo2().uordblks < after - (after - before) / 4);
  mg_mgr_free(&clients), mg_mgr_free(&mgr);
}

// A poll leaves nothing behind.
static void polls(void) {
  size_t before;
  int i;
  start();
  both(1000);
  before = mallinfo2().uordblks;
  for (i = 0; i < 20000; i++) mg_mgr_poll(&mgr, 0);
  CHECK(mallinfo2().uordblks < before + 20000);
  mg_mgr_free(&clients), mg_mgr_free(&mgr);
}

// The peer learns from close_notify that nothing was cut off. Secrets are written to no file, unless the application asks for it.
static void sessions_end(void) {
  struct mg_connection *l;
  setenv("SSLKEYLOGFILE", "secrets", 1);
  l = start();
  client_reason = MGX_REASON_NONE;
  mg_connect(&clients, url_of(l, "tcps"), client_fn, NULL);
  BOTH_UNTIL(handshakes == 1);
  both(20);
  mg_mgr_free(&mgr);
  POLL_UNTIL(&clients, clients.conns == NULL);
  CHECK_EQ(client_reason, MGX_REASON_PEER_CLOSED);
  mg_mgr_free(&clients);
  CHECK(access("secrets", F_OK) != 0);
  unsetenv("SSLKEYLOGFILE");
}

// A child that frees its copies says nothing to the peers: the sessions are its parent's, who goes on.
static void sessions_outlive_a_child(void) {
  struct mg_connection *l = start(), *c;
  int status = -1;
  pid_t pid;
  c = mg_connect(&clients, url_of(l, "tcps"), client_fn, NULL);
  BOTH_UNTIL(handshakes == 1);
  both(20);
  pid = fork();
  if (pid == 0) {
    mg_mgr_free(&clients), mg_mgr_free(&mgr);
    _exit(0);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
  both(20);
  CHECK_EQ(closes, 0);
  CHECK(clients.conns == c);
  if (clients.conns == c) mg_printf(c, "GET /waits HTTP/1.1\r\nHost: a\r\n\r\n");
  BOTH_UNTIL(messages == 1);
  mg_mgr_free(&clients), mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  raise_file_limit();
  big = make_body(BIG);
  every_state(false);
  every_state(true);
  nobody_reads();
  sessions_end();
  sessions_outlive_a_child();
  idle();
  polls();
  free(big);
  pem_free();
  return DONE();
}
