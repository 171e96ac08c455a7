// After a completed drain the socket lingers, invisible to the application, until the peer is done: at most 1,024 sockets, not
// on mgr->conns, and at no cost to the poll loop.
// timeout: 120
#include "mongoose.h"
#include "mongoose_ext.h"

#include "clock.h"
#include "peer.h"

#define MOST 1024

static int messages, closes, polls, errors;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL) polls++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    mg_http_reply(c, 200, "", "hi");
    c->is_draining = 1;
  }
  (void) ev_data;
}

static void limited(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mgx_drain_opts o;
    memset(&o, 0, sizeof(o));
    o.linger_bytes = 10;
    mg_http_reply(c, 200, "", "hi");
    mgx_conn_drain(c, &o);
  }
  (void) ev_data;
}

static void forget(void) {
  messages = closes = polls = errors = 0;
}

// A peer that has its reply and the end of the stream, and keeps its own half open.
static void exchange(struct mg_mgr *mgr, struct mg_connection *l, struct peer *p) {
  peer_open(p, l);
  peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  POLL_UNTIL(mgr, peer_read(p));
  CHECK_EQ(p->end, PEER_FIN);
}

static void lingering_sockets_are_invisible(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  unsigned long id;
  int before;
  uint64_t start;
  forget();
  l = serve(&mgr, server, NULL);
  exchange(&mgr, l, &p);
  CHECK_EQ(closes, 1);
  CHECK_EQ(count_conns(&mgr), 1);
  CHECK(mgr.conns == l);
  before = polls;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(polls, before + 1);  // the listener's
  start = real_ms();
  mg_mgr_poll(&mgr, 30);  // sleeps
  CHECK(real_ms() - start >= 29);
  l->is_closing = 1;
  while (mgr.conns != NULL) mg_mgr_poll(&mgr, 1);  // comes to an end although the socket is still there
  id = mgr.nextid;
  CHECK_EQ(id, 2);
  CHECK(peer_send_text(&p, "more"));
  poll_often(&mgr);
  CHECK(!peer_was_reset_late(&p));
  peer_free(&p);
  mg_mgr_free(&mgr);
  CHECK_EQ(errors, 0);
}

static void at_most_1024_of_them(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p[MOST + 10];
  rlim_t limit = raise_file_limit();
  size_t files, i, most = limit > 2 * MOST + 100 ? MOST : 0;
  fprintf(stderr, "%lu open files allowed\n", (unsigned long) limit);
  if (most == 0) return;
  forget();
  l = serve(&mgr, server, NULL);
  files = open_files();
  for (i = 0; i < MOST; i++) exchange(&mgr, l, &p[i]);
  CHECK_EQ(open_files(), files + 2 * MOST);
  for (; i < MOST + 10; i++) {
    exchange(&mgr, l, &p[i]);
    CHECK_EQ(open_files(), files + MOST + i + 1);  // one more peer, and the oldest was closed
  }
  CHECK_EQ(count_conns(&mgr), 1);
  CHECK_EQ(closes, MOST + 10);
  clock_ms += 1000;
  poll_often(&mgr);
  CHECK_EQ(open_files(), files + MOST + 10);  // the peers
  for (i = 0; i < MOST + 10; i++) {
    CHECK(!peer_was_reset_late(&p[i]));
    peer_free(&p[i]);
  }
  mg_mgr_free(&mgr);
  CHECK_EQ(errors, 0);
}

// A peer that goes on sending without end: read and forgotten, ten seconds at most.
static void a_peer_that_never_stops_sending(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  static char data[100000];
  size_t files, total = 0;
  uint64_t real_end = real_ms() + 20000;
  forget();
  l = serve(&mgr, server, NULL);
  exchange(&mgr, l, &p);
  files = open_files();
  while (open_files() == files && real_ms() < real_end) {
    ssize_t n = send(p.fd, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) total += (size_t) n;
    clock_ms += 10;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK_EQ(open_files(), files - 1);
  CHECK(total > 10000000);
  CHECK_EQ(closes, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The limit on the bytes that are read is one on their sum.
static void bytes_of_a_peer(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, limited, NULL);
  struct peer p;
  size_t files;
  exchange(&mgr, l, &p);
  files = open_files();
  CHECK(peer_send_text(&p, "01234"));
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "5678"));
  poll_often(&mgr);
  CHECK_EQ(open_files(), files);
  CHECK(peer_send_text(&p, "9"));
  POLL_UNTIL(&mgr, open_files() == files - 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Input that was never read is read now: left in the socket, it would become a reset when that closes.
static void never_reads(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) c->is_full = 1;
  (void) ev_data;
}

static void unread_input(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  size_t files;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", never_reads, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  CHECK(peer_send_text(&p, "unread"));
  poll_often(&mgr);
  mgr.conns->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  files = open_files();
  clock_ms += 1000;
  POLL_UNTIL(&mgr, open_files() == files - 1);
  CHECK(!peer_was_reset_late(&p));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  lingering_sockets_are_invisible();
  a_peer_that_never_stops_sending();
  at_most_1024_of_them();
  bytes_of_a_peer();
  unread_input();
  return DONE();
}
