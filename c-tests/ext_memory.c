// max_memory of mgx_limits: above it no connection is accepted until others have closed, TLS is refused, and connections that
// need far more close with OOM.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1
#include "tls.h"

static int blocks;  // of 16 KiB or more, which the application's own functions have given

void *mg_calloc(size_t count, size_t size) {
  size_t *p = (size_t *) calloc(1, count * size + 16);
  if (p == NULL) return NULL;
  *p = count * size;
  if (*p >= MG_IO_SIZE) blocks++;
  return (char *) p + 16;
}

void mg_free(void *p) {
  if (p == NULL) return;
  if (*(size_t *) ((char *) p - 16) >= MG_IO_SIZE) blocks--;
  free((char *) p - 16);
}

static int errors, messages;
static size_t held;  // by the last connection that had an error
static char last_error[64];

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) {
    errors++;
    held = c->recv.size;
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

// Nor does it get more at once than it would get in time.
static void excess_in_one_event(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  static char block[1000];
  int i;
  errors = 0;
  limit(&mgr, 20000);
  peer_open(&peers[0], l);
  CHECK(peer_send_text(&peers[0], "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"));
  for (i = 0; i < 300; i++) (void) !send(peers[0].fd, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
  POLL_UNTIL(&mgr, errors == 1);
  CHECK(held <= 20000 + 20000 / 8 + MG_IO_SIZE);
  peer_free(&peers[0]);
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

// Once the limit is off, it is as if there had never been one.
static void tls_after_the_limit(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  struct mg_tls_opts o = server_tls();
  size_t i;
  errors = 0;
  limit(&mgr, 100000);
  for (i = 0; i < 3; i++) send_half_a_request(&mgr, l, i);
  limit(&mgr, 0);
  peer_open(&peers[3], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 5);
  mg_tls_init(mgr.conns, &o);
  CHECK_EQ(errors, 0);
  CHECK(!mgr.conns->is_closing && mgr.conns->is_tls);
  for (i = 0; i < 4; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
}

// A limit that is set when the connections are there already counts them.
static void limit_set_late(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  size_t i;
  for (i = 0; i < 20; i++) send_half_a_request(&mgr, l, i);
  limit(&mgr, 100000);
  peer_open(&peers[20], l);
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 21);
  for (i = 0; i < 21; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
}

// The smallest limit there is lets nobody in, and nobody go on.
static void smallest_limit(void) {
  struct mg_tls_opts o = server_tls();
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  errors = 0;
  peer_open(&peers[0], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  limit(&mgr, 1);
  peer_open(&peers[1], l);
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 2);
  CHECK_EQ(errors, 0);
  CHECK(peer_send_text(&peers[0], "GET / HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_read(&peers[0]));
  CHECK_EQ(errors, 1);
  CHECK(strcmp(last_error, "OOM") == 0);
  // Nor does TLS start on what was there before.
  limit(&mgr, 0);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  limit(&mgr, 1);
  last_error[0] = '\0';
  mg_tls_init(mgr.conns, &o);
  CHECK(strcmp(last_error, "OOM") == 0);
  peer_free(&peers[0]), peer_free(&peers[1]);
  mg_mgr_free(&mgr);
}

// The smallest limit that the manager's connections keep: below it TLS is refused to `c`, which has options that are no good.
static size_t counted(struct mg_mgr *mgr, struct mg_connection *c) {
  struct mg_tls_opts o = server_tls();
  size_t low = 0, high = 10000000;
  o.key = mg_str("no key");
  while (low < high) {
    size_t most = (low + high) / 2;
    limit(mgr, most);
    last_error[0] = '\0';
    mg_tls_init(c, &o);
    c->is_closing = 0;
    CHECK(last_error[0] != '\0');
    if (strcmp(last_error, "OOM") == 0) {
      low = most + 1;
    } else {
      high = most;
    }
  }
  limit(mgr, 0);
  return low;
}

static struct mg_connection *probe(struct mg_mgr *mgr, int *other_end) {
  int ends[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  *other_end = ends[1];
  return mg_wrapfd(mgr, ends[0], fn, NULL);
}

// Each connection counts with the buffers that it has, and no more when it has gone.
static void what_counts(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL), *c;
  int end;
  size_t nobody, one, again;
  c = probe(&mgr, &end);
  nobody = counted(&mgr, c);
  send_half_a_request(&mgr, l, 0);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 3);
  one = counted(&mgr, c);
  CHECK(one > nobody + MG_IO_SIZE && one < nobody + MG_IO_SIZE + 4096);
  CHECK(peer_send_text(&peers[0], "cde"));
  POLL_UNTIL(&mgr, peer_has(&peers[0], 40));
  poll_often(&mgr);
  CHECK_EQ(one - counted(&mgr, c), MG_IO_SIZE);
  peer_free(&peers[0]);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  again = counted(&mgr, c);
  CHECK_EQ(again, nobody);
  mg_mgr_free(&mgr);
  close(end);
}

// The same of one that its handler closes.
static void closes_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) mg_close_conn(c);
  (void) ev_data;
}

static void closed_in_its_event(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, closes_fn, NULL), *c;
  int end;
  size_t nobody;
  c = probe(&mgr, &end);
  nobody = counted(&mgr, c);
  limit(&mgr, 10000000);
  send_half_a_request(&mgr, l, 0);
  POLL_UNTIL(&mgr, peer_read(&peers[0]) && count_conns(&mgr) == 2);
  CHECK_EQ(counted(&mgr, c), nobody);
  peer_free(&peers[0]);
  mg_mgr_free(&mgr);
  close(end);
}

// Output that the peer does not take counts, too.
static void big_fn(struct mg_connection *c, int ev, void *ev_data) {
  static const char block[MG_IO_SIZE] = {0};
  const int small = 4096;
  int i;
  if (ev == MG_EV_READ && c->recv.len == HALF) {
    setsockopt((int) (size_t) c->fd, SOL_SOCKET, SO_SNDBUF, (void *) &small, sizeof(small));
    for (i = 0; i < 200; i++) mg_send(c, block, sizeof(block));
  }
  (void) ev_data;
}

static void output_counts(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, big_fn, NULL);
  limit(&mgr, 1000000);
  send_half_a_request(&mgr, l, 0);
  peer_open(&peers[1], l);
  poll_often(&mgr);
  CHECK_EQ(count_conns(&mgr), 2);
  peer_free(&peers[0]);
  CHECK(peer_send_text(&peers[1], "x"));
  POLL_UNTIL(&mgr, bytes_in(&mgr) == HALF + 1);
  peer_free(&peers[1]);
  mg_mgr_free(&mgr);
}

// Those that are in have an eighth more than the limit.
static void an_eighth_more(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL), *c;
  int end, i;
  size_t all;
  c = probe(&mgr, &end);
  for (i = 0; i < 2; i++) {
    errors = 0;
    peer_open(&peers[0], l);
    POLL_UNTIL(&mgr, count_conns(&mgr) == 3);
    all = counted(&mgr, c);
    errors = 0;
    limit(&mgr, (all * (i == 0 ? 895 : 880)) / 1000);
    CHECK(peer_send_text(&peers[0], "GET / HTTP/1.1\r\n\r\n"));
    POLL_UNTIL(&mgr, errors > 0 || peer_has(&peers[0], 40));
    CHECK_EQ(errors, i);
    peer_free(&peers[0]);
    POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  }
  mg_mgr_free(&mgr);
  close(end);
}

// Handshakes need more memory: fewer are let in.
static void tls_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  fn(c, ev, ev_data);
}

static void handshakes_wait(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  size_t i;
  errors = 0;
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", tls_fn, NULL);
  limit(&mgr, 1000000);
  for (i = 0; i < 40; i++) {
    peer_open(&peers[i], l);
    poll_often(&mgr);
  }
  // Each has a session of 16 KiB, and will need buffers of 48 KiB.
  CHECK(count_conns(&mgr) - 1 >= 15 && count_conns(&mgr) - 1 <= 17);
  CHECK_EQ(errors, 0);
  for (i = 0; i < 40; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
}

// Spare buffers are freed before anybody has to wait, and only then.
static void spare_buffers_go_first(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  size_t i;
  int used = blocks;
  for (i = 0; i < 10; i++) send_half_a_request(&mgr, l, i);
  CHECK(blocks >= used + 10);
  for (i = 0; i < 10; i++) {
    CHECK(peer_send_text(&peers[i], "cde"));
    POLL_UNTIL(&mgr, peer_has(&peers[i], 40));
  }
  poll_often(&mgr);
  CHECK(blocks >= used + 10);
  limit(&mgr, 1000000);
  peer_open(&peers[10], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 12);
  CHECK(blocks >= used + 10);
  limit(&mgr, 100000);
  peer_open(&peers[11], l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 13);
  CHECK_EQ(blocks, used);
  for (i = 0; i < 12; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
}

// A connection over TLS that needs memory closes, too, as soon as its ciphertext is too much.
static void send_over_tls_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o);
  if (ev == MG_EV_TLS_HS) mg_printf(c, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n"), (*(int *) c->fn_data)++;
  (void) ev_data;
}

static void poll_both(struct mg_mgr *mgr, struct mg_mgr *clients) {
  uint64_t end = real_ms() + 50000;
  while (messages == 0 && errors == 0 && real_ms() < end) mg_mgr_poll(mgr, 1), mg_mgr_poll(clients, 1);
}

static void tls_runs_out(void) {
  struct mg_mgr mgr, clients;
  struct mg_connection *l, *c, *client;
  int end, i, established;
  for (i = 0; i < 2; i++) {
    errors = messages = established = 0;
    mg_mgr_init(&mgr), mg_mgr_init(&clients);
    l = mg_http_listen(&mgr, "https://127.0.0.1:0", tls_fn, NULL);
    client = mg_connect(&clients, url_of(l, "tcps"), send_over_tls_fn, &established);
    poll_both(&mgr, &clients);
    poll_often(&mgr), poll_often(&clients);
    c = probe(&mgr, &end);
    // i == 1: there is room for the ciphertext, but not for the plaintext beside it.
    limit(&mgr, i == 0 ? 1 : counted(&mgr, c));
    errors = messages = 0;
    mg_printf(client, "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
    poll_both(&mgr, &clients);
    CHECK_EQ(errors, 1);
    CHECK_EQ(messages, 0);
    CHECK(strcmp(last_error, "OOM") == 0);
    mg_mgr_free(&mgr), mg_mgr_free(&clients);
    close(end);
  }
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  new_connections_wait();
  no_limit_no_wait();
  excessive_connections_close();
  excess_in_one_event();
  tls_is_refused();
  tls_after_the_limit();
  limit_set_late();
  smallest_limit();
  what_counts();
  closed_in_its_event();
  output_counts();
  an_eighth_more();
  handshakes_wait();
  spare_buffers_go_first();
  tls_runs_out();
  pem_free();
  return DONE();
}
