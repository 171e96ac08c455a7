// Draining everything other than HTTP connections of servers: raw TCP, clients, datagrams, descriptors of the application.
#include "mongoose.h"

#include "peer.h"

#define SIZE 5000000

static char *body;
static int opens, connects, closes, errors, writes, messages;
static size_t received;
static bool intact;

static void forget(void) {
  opens = connects = closes = errors = writes = messages = 0;
  received = 0;
  intact = true;
}

// Counts what the connection under test goes through.
static void count(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) opens++;
  if (ev == MG_EV_CONNECT) connects++;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_WRITE) writes++;
  if (ev == MG_EV_HTTP_MSG) messages++;
  (void) c, (void) ev_data;
}

// A server that only listens.
static void sink(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    if (received + c->recv.len > SIZE || memcmp(c->recv.buf, body + received, c->recv.len) != 0) intact = false;
    received += c->recv.len;
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void a_client_that_drains_before_it_is_connected(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", sink, NULL);
  c = mg_connect(&mgr, url_of(l, "tcp"), count, NULL);
  mg_send(c, body, SIZE);
  c->is_draining = 1;
  POLL_UNTIL(&mgr, closes == 1 && received == SIZE);
  CHECK(intact);
  CHECK_EQ(connects, 1);
  CHECK(writes > 0);
  CHECK_EQ(errors, 0);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  mg_mgr_free(&mgr);
}

static void drain_in_open(struct mg_connection *c, int ev, void *ev_data) {
  count(c, ev, ev_data);
  if (ev == MG_EV_OPEN) c->is_draining = 1;
}

static void a_client_that_drains_in_open(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", sink, NULL);
  CHECK(mg_connect(&mgr, url_of(l, "tcp"), drain_in_open, NULL) != NULL);
  CHECK_EQ(closes, 0);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  CHECK_EQ(opens, 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 1);
}

static void a_draining_client_whose_connect_is_refused(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  char url[64];
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", sink, NULL);
  snprintf(url, sizeof(url), "%s", url_of(l, "tcp"));
  l->is_draining = 1;
  mg_mgr_poll(&mgr, 0);
  c = mg_connect(&mgr, url, count, NULL);
  mg_printf(c, "hello");
  c->is_draining = 1;
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(errors, 1);
  CHECK_EQ(connects, 0);
  mg_mgr_free(&mgr);
}

// A client that has sent its request and drains gives up the response.
static void requests_and_drains(struct mg_connection *c, int ev, void *ev_data) {
  count(c, ev, ev_data);
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    c->is_draining = 1;
  }
}

static int served;

static void answers(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) served++, mg_http_reply(c, 200, "", "hi");
  (void) ev_data;
}

static void an_http_client_that_drains_after_its_request(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  served = 0;
  l = serve(&mgr, answers, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), requests_and_drains, NULL);
  POLL_UNTIL(&mgr, closes == 1 && served == 1 && count_conns(&mgr) == 1);
  CHECK_EQ(messages, 0);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

static void a_peer_that_resets(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct peer p;
  struct linger hard;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  peer_connect(&p, port_of(l), 4096);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  c = mgr.conns;
  CHECK(c->is_accepted);
  c->fn = count;
  mg_send(c, body, SIZE);
  c->is_draining = 1;
  poll_often(&mgr);
  hard.l_onoff = 1;
  hard.l_linger = 0;
  setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  peer_free(&p);
  POLL_UNTIL(&mgr, closes > 0);
  CHECK(mgr.conns == l);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 1);
}

// ---- descriptors of the application's own: everything is sent, and then they are closed at once
static void a_wrapped_descriptor(bool peer_ends_first) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct peer p;
  int fds[2];
  size_t files = open_files();
  forget();
  memset(&p, 0, sizeof(p));
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  p.fd = fds[1];
  mg_mgr_init(&mgr);
  c = mg_wrapfd(&mgr, fds[0], count, NULL);
  CHECK(c != NULL);
  mg_send(c, body, SIZE);
  if (peer_ends_first) peer_shut(&p);
  else c->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_bytes(&p, body, SIZE));
  CHECK_EQ(closes, 1);
  CHECK_EQ(errors, 0);
  CHECK(mgr.conns == NULL);
  peer_free(&p);
  mg_mgr_free(&mgr);
  CHECK_EQ(open_files(), files);
}

static void a_wrapped_descriptor_does_not_linger(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int fds[2], copy;
  size_t files;
  forget();
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  copy = dup(fds[0]);  // the application may go on using a copy
  mg_mgr_init(&mgr);
  c = mg_wrapfd(&mgr, fds[0], count, NULL);
  files = open_files();
  c->is_draining = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  CHECK_EQ(open_files(), files - 1);
  CHECK(send(copy, "x", 1, MSG_NOSIGNAL) == 1);  // was not shut down
  poll_often(&mgr);
  mg_mgr_free(&mgr);
  close(copy);
  close(fds[1]);
}

// ---- datagrams
static int datagrams;
static char last[100];

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  count(c, ev, ev_data);
  if (ev == MG_EV_READ) {
    datagrams++;
    snprintf(last, sizeof(last), "%.*s", (int) c->recv.len, (char *) c->recv.buf);
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
    c->is_draining = 1;
  }
}

static int replies;

static void asks(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_send(c, "one", 3);
  if (ev == MG_EV_READ) replies++, c->recv.len = 0;
  (void) ev_data;
}

static void a_udp_listener(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  char url[64];
  forget();
  datagrams = replies = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "udp://127.0.0.1:0", echo, NULL);
  snprintf(url, sizeof(url), "%s", url_of(l, "udp"));
  mg_connect(&mgr, url, asks, NULL);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(datagrams, 1);
  POLL_UNTIL(&mgr, replies == 1);
  CHECK_EQ(count_conns(&mgr), 1);
  CHECK(mg_listen(&mgr, url, echo, NULL) != NULL);  // the port is free
  mg_mgr_free(&mgr);
  CHECK_EQ(errors, 0);
}

static void listens(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    datagrams++;
    snprintf(last, sizeof(last), "%.*s", (int) c->recv.len, (char *) c->recv.buf);
    c->recv.len = 0;
  }
  (void) ev_data;
}

// What mg_printf has queued goes out, each text as a datagram of its own, then the client closes.
static void a_udp_client(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  forget();
  datagrams = 0;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "udp://127.0.0.1:0", listens, NULL);
  c = mg_connect(&mgr, url_of(l, "udp"), count, NULL);
  mg_printf(c, "%s", "one ");
  mg_printf(c, "%s", "datagram");
  c->is_draining = 1;
  POLL_UNTIL(&mgr, closes == 1 && datagrams > 1);
  CHECK_EQ(datagrams, 2);
  CHECK(strcmp(last, "datagram") == 0);
  CHECK_EQ(writes, 2);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

// What a draining connection has not consumed is dropped, a single byte too.
static size_t left_over;
static int polls_draining;

static void leaves_a_byte(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && !c->is_draining) {
    left_over = c->recv.len;
    mg_send(c, body, SIZE);
    c->is_draining = 1;
  } else if (ev == MG_EV_POLL && c->is_draining) {
    if (polls_draining++ > 0) left_over = c->recv.len;
  }
  (void) ev_data;
}

static void an_unread_byte_is_dropped(void) {
  struct mg_mgr m;
  struct mg_connection *l;
  struct peer p;
  mg_mgr_init(&m);
  l = mg_listen(&m, "tcp://127.0.0.1:0", leaves_a_byte, NULL);
  peer_connect(&p, port_of(l), 4096);
  CHECK(peer_send_text(&p, "x"));
  POLL_UNTIL(&m, polls_draining > 2);
  CHECK_EQ(left_over, 0);
  peer_free(&p);
  mg_mgr_free(&m);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  body = make_body(SIZE);
  a_client_that_drains_before_it_is_connected();
  a_client_that_drains_in_open();
  a_draining_client_whose_connect_is_refused();
  an_http_client_that_drains_after_its_request();
  a_peer_that_resets();
  a_wrapped_descriptor(false);
  a_wrapped_descriptor(true);
  a_wrapped_descriptor_does_not_linger();
  a_udp_listener();
  a_udp_client();
  an_unread_byte_is_dropped();
  free(body);
  return DONE();
}
