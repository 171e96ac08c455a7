// HTTPS between a client and a server of one manager: bodies of all sizes within the number of polls that applications expect,
// the order of events, and mg_tls_init before and after connecting.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// not under: short: it counts polls
#include "tls.h"

static struct side server, client;
static bool early;
static struct mg_str body;
static char *answer;
static size_t answer_len;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) {
    CHECK(c->is_tls && !c->is_tls_hs && c->tls == NULL);
    mg_tls_init(c, &o);
    CHECK(c->is_tls && c->is_tls_hs && c->tls != NULL);
  }
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    CHECK(c->is_tls && !c->is_tls_hs);
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %lu\r\n\r\n", (unsigned long) hm->body.len);
    mg_send(c, hm->body.buf, hm->body.len);
    c->is_resp = 0;
  }
  if (ev == MG_EV_CLOSE) CHECK(c->is_tls);
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_CONNECT && !early) {
    mg_tls_init(c, &o);
    mg_printf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %lu\r\n\r\n", (unsigned long) body.len);
    mg_send(c, body.buf, body.len);
  }
  if (ev == MG_EV_POLL && c->is_tls_hs) CHECK(client.received == 0 && client.written == 0 && c->send.len > 0);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    answer = (char *) malloc(hm->body.len + 1);
    answer_len = hm->body.len;
    memcpy(answer, hm->body.buf, hm->body.len);
    c->is_draining = 1;
  }
}

static void exchange(struct mg_mgr *mgr, struct mg_connection *l, size_t len) {
  struct mg_tls_opts o = client_tls();
  struct mg_connection *c;
  int polls;
  side_forget(&server), side_forget(&client);
  body = mg_str_n(make_body(len), len);
  answer = NULL, answer_len = 0;
  c = mg_http_connect(mgr, url_of(l, "https"), client_fn, NULL);
  CHECK(c != NULL);
  if (early && c != NULL) {
    mg_tls_init(c, &o);
    mg_printf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %lu\r\n\r\n", (unsigned long) len);
    mg_send(c, body.buf, len);
  }
  for (polls = 0; polls < 100 && client.closes == 0; polls++) mg_mgr_poll(mgr, 1);
  CHECK(polls < 100);
  CHECK(answer_len == len && answer != NULL && memcmp(answer, body.buf, len) == 0);
  POLL_UNTIL(mgr, server.closes == 1);
  // In both directions writes and reads may take turns when there is much to say.
  CHECK(strncmp(client.log, "OCHW", 4) == 0 && client.log[strlen(client.log) - 1] == 'X');
  CHECK(strncmp(server.log, "OAHR", 4) == 0 && server.log[strlen(server.log) - 1] == 'X');
  if (len < 10000) CHECK(side_events_are(&client, "OCHWRX") && side_events_are(&server, "OAHRWX"));
  CHECK_EQ(client.handshakes, 1);
  CHECK_EQ(server.handshakes, 1);
  CHECK_EQ(client.reason, MGX_REASON_DRAINED);
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(client.received, server.written);
  CHECK_EQ(client.written, server.received);
  free(body.buf);
  free(answer);
}

// ---- much in both directions at once, with a receiver that cannot keep up

#define MUCH (12 << 20)

static char *much;

static void flood_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) {
    mg_tls_init(c, &o);
    mg_send(c, much, MUCH);
  }
  if (ev == MG_EV_READ) {
    CHECK(c->recv.len <= MG_MAX_RECV_SIZE);
    c->is_full = c->recv.len > 200000;
  }
  if (ev == MG_EV_POLL) {
    CHECK(c->rtls.size <= 8 * MG_IO_SIZE);
    if (c->recv.len > 0) side_keep(s, c);
    c->is_full = 0;
  }
}

static void flood(struct mg_mgr *mgr) {
  struct mg_connection *l = mg_listen(mgr, "tcps://127.0.0.1:0", flood_fn, NULL);
  size_t had;
  side_forget(&server), side_forget(&client);
  much = make_body(MUCH);
  mg_connect(mgr, url_of(l, "tcps"), flood_fn, NULL);
  // As long as there is progress: under valgrind, on a busy machine, all of it may take minutes.
  do {
    had = server.data.len + client.data.len;
    POLL_UNTIL(mgr, server.data.len + client.data.len > had);
  } while (server.data.len + client.data.len > had && (server.data.len < MUCH || client.data.len < MUCH));
  CHECK(side_received(&server, much, MUCH));
  CHECK(side_received(&client, much, MUCH));
  CHECK_EQ(server.received, MUCH);
  CHECK_EQ(client.written, MUCH);
  // Nothing to say any more: no memory is held, and polls sleep.
  POLL_UNTIL(mgr, client.c->send.size == 0 && client.c->rtls.size == 0 && server.c->rtls.size == 0);
  {
    uint64_t start = real_ms();
    mg_mgr_poll(mgr, 50);
    mg_mgr_poll(mgr, 50);
    CHECK(real_ms() - start >= 90);
  }
  client.c->is_draining = 1;
  POLL_UNTIL(mgr, server.closes == 1 && client.closes == 1);
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  free(much);
}

// ---- the limit of the receive buffer, as in clear text

static size_t most;

static void limit_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_CONNECT) mg_send(c, much, MG_MAX_RECV_SIZE + 1);
  if (ev == MG_EV_READ && c->recv.len > most) most = c->recv.len;
}

static void receive_limit(struct mg_mgr *mgr) {
  struct mg_connection *l = mg_listen(mgr, "tcps://127.0.0.1:0", limit_fn, NULL);
  side_forget(&server), side_forget(&client);
  much = make_body(MG_MAX_RECV_SIZE + 1);
  mg_connect(mgr, url_of(l, "tcps"), limit_fn, NULL);
  POLL_UNTIL(mgr, server.closes == 1);
  CHECK_EQ(most, MG_MAX_RECV_SIZE);
  CHECK(strcmp(server.error, "MG_MAX_RECV_SIZE") == 0);
  POLL_UNTIL(mgr, client.closes == 1);
  free(much);
}

int main(void) {
  static const size_t sizes[] = {0, 1, 3000, 16383, 16384, 16385, 40000, 65536, 261887};
  struct mg_mgr mgr;
  struct mg_connection *l;
  size_t i;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server_fn, NULL);
  for (i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
    early = i % 2 == 1;
    exchange(&mgr, l, sizes[i / 2]);
  }
  flood(&mgr);
  receive_limit(&mgr);
  mg_mgr_free(&mgr);
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
