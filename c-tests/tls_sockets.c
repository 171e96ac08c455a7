// TLS on sockets that take a few bytes, nothing, or fail: nothing is lost, repeated, reordered or held back, errors are told once.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// not under: short: it counts bytes and calls
#include "tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/types.h>

static struct side server, client;
static struct mg_mgr mgr;

// ---- the socket of one connection

#define ALL ((size_t) -1)

static struct {
  int fd;
  size_t room;       // it takes this much before it is full
  int refusals;      // then it refuses so often, and takes all; -1: forever
  int failure;       // or fails, once
  int refused;
  bool held_back;    // the last bytes wait for more
  size_t passed;
} narrow = {-1, ALL, 0, 0, 0, false, 0};

// The library's calls come here.
ssize_t send(int fd, const void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, const void *, size_t, int);
  ssize_t n;
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "send");
  if (fd != narrow.fd) return next(fd, buf, len, flags);
  if (narrow.room == 0 && narrow.failure != 0) {
    errno = narrow.failure;
    narrow.failure = 0, narrow.room = ALL;
    return -1;
  }
  if (narrow.room == 0 && narrow.refusals != 0) {
    if (narrow.refusals > 0) narrow.refusals--;
    narrow.refused++;
    errno = EAGAIN;
    return -1;
  }
  if (narrow.room == 0) narrow.room = ALL;
  n = next(fd, buf, len < narrow.room ? len : narrow.room, flags);
  if (n > 0) narrow.passed += (size_t) n, narrow.held_back = (flags & MSG_MORE) != 0;
  if (n > 0 && narrow.room != ALL) narrow.room -= (size_t) n;
  return n;
}

static int stays_open = -1;

int shutdown(int fd, int how) {
  static int (*next)(int, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "shutdown");
  return fd == stays_open ? 0 : next(fd, how);
}

static void make_narrow(struct mg_connection *c, size_t room, int refusals, int failure) {
  memset(&narrow, 0, sizeof(narrow));
  narrow.fd = (int) (size_t) c->fd, narrow.room = room, narrow.refusals = refusals, narrow.failure = failure;
}

// The kernel tells when there is room. As there was room all the time, something has to happen on the socket: a byte of urgent data
// from the other end, which nobody reads.
static void wake_up(struct mg_connection *other_end) {
  CHECK_EQ(send((int) (size_t) other_end->fd, "", 1, MSG_OOB), 1);
}

static void begin(void) {
  memset(&narrow, 0, sizeof(narrow));
  narrow.fd = -1;
  side_forget(&server), side_forget(&client);
  mg_mgr_init(&mgr);
}

static void end(void) {
  mg_mgr_free(&mgr);
  CHECK(server.c == NULL && client.c == NULL);
}

// ---- an upgrade: what was said in clear text, and what the client says last before the handshake

static const char *last_words;
static size_t first_room;
static int first_failure;

static void upgrade_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) mg_send(c, "?", 1);
  if (ev == MG_EV_WRITE && c->is_client && !c->is_tls) {
    make_narrow(c, first_room, 1, first_failure);
    mg_send(c, last_words, strlen(last_words));
    mg_tls_init(c, &o);
    mg_send(c, "protected", 9);
  }
  if (ev == MG_EV_READ && !c->is_client && !c->is_tls) {
    size_t n = 1 + strlen(last_words);
    if (c->recv.len < n) return;
    CHECK(c->recv.buf[0] == '?' && memcmp(c->recv.buf + 1, last_words, n - 1) == 0);
    mg_iobuf_del(&c->recv, 0, n);
    CHECK(c->recv.len == 0 || c->recv.buf[0] == 0x16);
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_READ) {
    side_keep(s, c);
    if (!c->is_client && s->data.len == 9) mg_send(c, "ok", 2), c->is_draining = 1;
  }
}

static void begin_upgrade(const char *words, size_t room, int failure) {
  begin();
  last_words = words, first_room = room, first_failure = failure;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", upgrade_fn, NULL), "tcp"), upgrade_fn, NULL);
}

// The handshake follows when all of it is out, and at once.
static void clear_text_before_the_handshake(void) {
  static const size_t rooms[] = {0, 1, 5, ALL};
  size_t i;
  for (i = 0; i < 8; i++) {
    struct mgx_stats stats;
    begin_upgrade(i < 4 ? "STARTTLS\r\n" : "!", rooms[i % 4], 0);
    if (first_room != ALL) {
      POLL_UNTIL(&mgr, narrow.refused == 1 && server.c != NULL && server.received > 0);
      poll_often(&mgr);
      wake_up(server.c);
    }
    POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
    CHECK(side_received(&server, "protected", 9) && side_received(&client, "ok", 2));
    CHECK(client.error[0] == '\0' && server.error[0] == '\0');
    mgx_mgr_stats(&mgr, &stats);
    CHECK_EQ(stats.bytes_out, 1 + strlen(last_words) + 9 + 2);
    end();
  }
}

static bool is_held_back(void) {
  return narrow.passed == strlen(last_words) && narrow.held_back;
}

// A server that answers in one byte, the first that it sends, and waits for the handshake: no delay keeps the byte back.
static void ready_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) mg_send(c, "SSL?", 4);
  if (ev == MG_EV_READ && !c->is_tls && c->is_client) {
    CHECK(c->recv.len == 1 && c->recv.buf[0] == 'S');
    CHECK(!is_held_back());
    c->recv.len = 0;
    mg_tls_init(c, &o);
    mg_send(c, "protected", 9);
  } else if (ev == MG_EV_READ && !c->is_tls && c->recv.len == 4) {
    c->recv.len = 0;
    make_narrow(c, ALL, 0, 0);
    mg_send(c, last_words, 1);
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_READ) {
    side_keep(s, c);
    if (!c->is_client && s->data.len == 9) mg_send(c, "ok", 2), c->is_draining = 1;
  }
}

static void one_byte_in_clear_text(void) {
  begin();
  last_words = "S";
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", ready_fn, NULL), "tcp"), ready_fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_received(&server, "protected", 9) && side_received(&client, "ok", 2));
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  end();
}

static int client_errno;

static void errno_fn(struct mg_connection *c, int ev, void *ev_data) {
  upgrade_fn(c, ev, ev_data);
  if (ev == MG_EV_CLOSE) client_errno = mgx_close_errno(c);
}

static void clear_text_fails(void) {
  size_t i;
  for (i = 0; i < 2; i++) {
    begin();
    last_words = "STARTTLS\r\n", first_room = i * 5, first_failure = ECONNRESET, client_errno = 0;
    mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", upgrade_fn, NULL), "tcp"), errno_fn, NULL);
    POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
    CHECK_EQ(client.reason, MGX_REASON_RESET);
    CHECK_EQ(client_errno, ECONNRESET);
    CHECK_EQ(narrow.passed, first_room);
    CHECK_EQ(server.received, 1 + first_room);
    end();
  }
}

// ---- the handshake and after

static int fails_in;  // O client's hello, A server's hello
static int closed_errno;

static void plain_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  if (c->is_listening) return;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT && fails_in == 'O') make_narrow(c, 0, 0, ECONNRESET);
  if (ev == MG_EV_ACCEPT && fails_in == 'A') make_narrow(c, 0, 0, ECONNRESET);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_TLS_HS) {
    // Nothing is allocated for data before there is any; another beginning changes nothing.
    CHECK_EQ(c->recv.size, 0);
    mg_tls_init(c, &o);
  }
  if (ev == MG_EV_READ) side_keep(s, c);
  if (ev == MG_EV_CLOSE && narrow.fd == (int) (size_t) c->fd) closed_errno = mgx_close_errno(c), narrow.fd = -1;
}

static void connect_pair(void) {
  begin();
  closed_errno = 0;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcps://127.0.0.1:0", plain_fn, NULL), "tcps"), plain_fn, NULL);
}

static void connected_pair(void) {
  fails_in = 0;
  connect_pair();
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  poll_often(&mgr);
}

static void handshake_fails(void) {
  fails_in = 'O';
  connect_pair();
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&client, "OCEX") && strcmp(client.error, "socket error") == 0);
  CHECK_EQ(client.reason, MGX_REASON_RESET);
  CHECK_EQ(closed_errno, ECONNRESET);
  end();
  fails_in = 'A';
  connect_pair();
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&server, "OAX"));
  CHECK_EQ(server.reason, MGX_REASON_RESET);
  CHECK_EQ(closed_errno, ECONNRESET);
  end();
}

// While the socket is full nothing is encrypted and the connection says so. Then it goes on, or fails.
static void full_socket(bool then_fails, bool of_client) {
  const size_t len = 500000;
  char *body = make_body(len);
  struct side *from = of_client ? &client : &server, *to = of_client ? &server : &client;
  size_t written;
  connected_pair();
  CHECK(!from->c->is_tls_throttled);
  make_narrow(from->c, 100, -1, 0);
  mg_send(from->c, body, len);
  POLL_UNTIL(&mgr, narrow.refused > 0);
  written = from->written;
  CHECK(from->c->is_tls_throttled);
  CHECK(written < len && from->c->send.len == len - written);
  mg_send(from->c, "more", 4);
  poll_often(&mgr);
  CHECK_EQ(from->written, written);
  CHECK_EQ(from->c->send.len, len - written + 4);
  if (then_fails) narrow.failure = ECONNRESET;
  narrow.refusals = 0;
  if (then_fails) mg_tls_send(to->c, "x", 1);
  if (!then_fails) wake_up(to->c);
  if (then_fails) {
    POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
    CHECK_EQ(from->written, written);
    CHECK_EQ(from->received, 0);
    CHECK_EQ(from->reason, MGX_REASON_RESET);
    CHECK_EQ(closed_errno, ECONNRESET);
    CHECK(strchr(from->log, 'E') == NULL);
  } else {
    POLL_UNTIL(&mgr, to->data.len == len + 4);
    CHECK(to->data.len == len + 4 && memcmp(to->data.buf, body, len) == 0 && memcmp(to->data.buf + len, "more", 4) == 0);
    CHECK(!from->c->is_tls_throttled);
  }
  end();
  free(body);
}

// What follows the part that failed is not even encrypted.
static void failing_socket(void) {
  char *body = make_body(500000);
  connected_pair();
  make_narrow(server.c, 100, 0, ECONNRESET);
  mg_send(server.c, body, 500000);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(server.written <= 4 * MG_IO_SIZE);
  CHECK_EQ(narrow.passed, 100);
  CHECK_EQ(server.reason, MGX_REASON_RESET);
  CHECK_EQ(client.received, 0);
  end();
  free(body);
}

// Records are as long as they may be: 22 bytes more for each 16384.
static void full_records(void) {
  char *body = make_body(1 << 20);
  connected_pair();
  make_narrow(client.c, ALL, 0, 0);
  mg_send(client.c, body, 1 << 20);
  POLL_UNTIL(&mgr, server.data.len == 1 << 20);
  CHECK(side_received(&server, body, 1 << 20));
  CHECK_EQ(narrow.passed, (1 << 20) + 22 * 64);
  end();
  free(body);
}

// A client that has decided to close says nothing.
static void closed_before_the_handshake_fn(struct mg_connection *c, int ev, void *ev_data) {
  plain_fn(c, ev, ev_data);
  if (ev == MG_EV_CONNECT) make_narrow(c, ALL, 0, 0), c->is_closing = 1;
}

static void closed_before_the_handshake(void) {
  begin();
  fails_in = 0;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcps://127.0.0.1:0", plain_fn, NULL), "tcps"), closed_before_the_handshake_fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK_EQ(narrow.passed, 0);
  CHECK(side_events_are(&client, "OCX") && side_events_are(&server, "OAX"));
  end();
}

// The client's hello waits in the socket of a server that has stopped reading until it is ready for it.
static void pausing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_client || ev != MG_EV_READ || c->is_tls) upgrade_fn(c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mgx_conn_poll_events(c, false);
  if (c->is_client || ev != MG_EV_READ || c->is_tls || c->recv.len < 1 + strlen(last_words)) return;
  CHECK_EQ(c->recv.len, 1 + strlen(last_words));
  server.received = c->recv.len;
  c->recv.len = 0;
  c->is_full = 1;
}

static void hello_in_a_paused_socket(void) {
  struct mg_tls_opts o = server_tls();
  begin();
  last_words = "STARTTLS\r\n", first_room = strlen(last_words), first_failure = 0;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", pausing_fn, NULL), "tcp"), pausing_fn, NULL);
  POLL_UNTIL(&mgr, narrow.refused == 1 && server.c != NULL && server.c->is_full);
  wake_up(server.c);
  POLL_UNTIL(&mgr, narrow.passed > first_room);
  poll_often(&mgr);
  server.c->is_full = 0;
  mg_tls_init(server.c, &o);
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK(side_received(&server, "protected", 9) && side_received(&client, "ok", 2));
  end();
}

// The same, and the server says something before.
static void answer_before_a_waiting_hello(void) {
  struct mg_tls_opts o = server_tls();
  struct peer p;
  uint64_t start_ms;
  begin();
  last_words = "STARTTLS\r\n";
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", pausing_fn, NULL));
  CHECK(peer_send_text(&p, "?STARTTLS\r\n"));
  POLL_UNTIL(&mgr, server.c != NULL && server.c->is_full);
  CHECK(peer_send(&p, "\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff", 10));
  poll_often(&mgr);
  mgx_conn_poll_events(server.c, true);
  server.c->is_full = 0;
  mg_send(server.c, "go", 2);
  mg_tls_init(server.c, &o);
  // No event of the socket would end a long sleep.
  start_ms = real_ms();
  while (server.closes == 0 && real_ms() - start_ms < 50000) mg_mgr_poll(&mgr, 60000);
  CHECK(real_ms() - start_ms < 50000);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.len >= 2 + 7 && memcmp(p.buf, "go\x15", 3) == 0);
  peer_free(&p);
  end();
}

// Junk in place of a handshake, with the words before it or later, and more than is ever read: an alert says why, and no reset
// destroys it.
static int errors;
static bool clears_errors;

static void junk_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_accepted) upgrade_fn(c, ev, ev_data);
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_ERROR && clears_errors) c->is_closing = 0;
  if (ev == MG_EV_READ && c->is_tls) make_narrow(c, ALL, 0, 0);
}

static void junk_for_a_handshake(bool later, bool cleared) {
  char *junk = (char *) calloc(1, 1000000);
  struct peer p;
  begin();
  last_words = "STARTTLS\r\n", errors = 0, clears_errors = cleared;
  memcpy(junk, "?STARTTLS\r\n\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff", 21);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", junk_fn, NULL));
  if (later) {
    CHECK(peer_send(&p, junk, 11));
    POLL_UNTIL(&mgr, server.c != NULL && server.c->is_tls);
    poll_often(&mgr);
    CHECK(peer_send(&p, junk + 11, 300000));
  } else {
    CHECK(peer_send(&p, junk, 300000));
  }
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(memcmp(server.error, "tls hs: ", 8) == 0);
  CHECK_EQ(errors, 1);
  CHECK_EQ(server.reason, MGX_REASON_ERROR);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(p.len >= 7 && p.buf[0] == 21);
  CHECK(!narrow.held_back);
  peer_free(&p);
  end();
  free(junk);
}

// A peer that has said hello and the end of its stream gets an answer first.
static void capture_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) side_keep(&server, c);
  (void) ev_data;
}

static void hello_and_the_end(void) {
  struct peer p;
  char *hello;
  size_t len;
  begin();
  fails_in = 0;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", capture_fn, NULL), "tcps"), plain_fn, NULL);
  POLL_UNTIL(&mgr, server.data.len > 100);
  poll_often(&mgr);
  len = server.data.len, hello = (char *) malloc(len);
  memcpy(hello, server.data.buf, len);
  mg_mgr_free(&mgr);
  begin();
  peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", plain_fn, NULL));
  CHECK(peer_send(&p, hello, len));
  peer_shut(&p);
  POLL_UNTIL(&mgr, server.closes == 1 && peer_read(&p));
  CHECK(p.len > 500 && p.buf[0] == 0x16);
  CHECK(side_events_are(&server, "OAX"));
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  peer_free(&p);
  free(hello);
  end();
}

// TLS that is ready long before the connection makes no difference to it. As long as nobody accepts, most do not get through.
static void connecting_for_long(void) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  struct mg_tls_opts o = client_tls();
  char url[50];
  int i, fd = socket(AF_INET, SOCK_STREAM, 0), connecting = 0;
  struct mg_connection *c;
  begin();
  fails_in = 0;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, len) == 0 && listen(fd, 0) == 0 && getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  mg_snprintf(url, sizeof(url), "tcps://127.0.0.1:%d", ntohs(sin.sin_port));
  for (i = 0; i < 5; i++) mg_tls_init(mg_connect(&mgr, url, plain_fn, NULL), &o);
  poll_often(&mgr);
  for (c = mgr.conns; c != NULL; c = c->next) connecting += c->is_connecting;
  CHECK(connecting > 0);
  CHECK(client.error[0] == '\0' && client.closes == 0);
  mg_mgr_free(&mgr);
  close(fd);
}

// close_notify is the end of the stream, even when nothing else ends: the other socket is still open when the client closes.
static void end_fn(struct mg_connection *c, int ev, void *ev_data) {
  plain_fn(c, ev, ev_data);
  if (ev == MG_EV_CLOSE) CHECK(fcntl(stays_open, F_GETFD) >= 0);
}

static void good_bye_on_an_open_socket(void) {
  fails_in = 0;
  begin();
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcps://127.0.0.1:0", plain_fn, NULL), "tcps"), end_fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  stays_open = (int) (size_t) server.c->fd;
  server.c->is_draining = 1;
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  stays_open = -1;
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  end();
}

// ---- events

static int reads, cleared;
static enum { COUNT, CLOSE_AT_ONCE, DRAIN, KEEP } then;  // what the server does

static void count_fn(struct mg_connection *c, int ev, void *ev_data) {
  const bool arrived = ev == MG_EV_READ && !c->is_client;
  if (ev == MG_EV_ACCEPT) c->rtls.align = 1;
  // The first read makes room for a whole record and most of the next.
  if (arrived && then == COUNT) CHECK_EQ(c->rtls.size, 2 * MG_IO_SIZE);
  if (arrived) reads++;
  if (ev == MG_EV_ERROR && !c->is_client && ++errors <= cleared) c->is_closing = 0;
  if (!arrived || then == COUNT || then == DRAIN) plain_fn(c, ev, ev_data);
  if (arrived && then == CLOSE_AT_ONCE) c->is_closing = 1;
  if (arrived && then == DRAIN) c->is_draining = 1;
}

static void counted_pair(size_t max_recv_size) {
  begin();
  fails_in = 0, reads = errors = cleared = 0;
  if (max_recv_size > 0) {
    struct mgx_options o;
    memset(&o, 0, sizeof(o));
    o.max_recv_size = max_recv_size;
    mgx_mgr_options(&mgr, &o);
  }
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcps://127.0.0.1:0", count_fn, NULL), "tcps"), count_fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  poll_often(&mgr);
}

// Small records that have arrived together make one event.
static void small_records_together(void) {
  int i;
  then = COUNT;
  counted_pair(0);
  for (i = 0; i < 5; i++) CHECK_EQ(mg_tls_send(client.c, "x", 1), 1);
  POLL_UNTIL(&mgr, server.data.len == 5);
  CHECK_EQ(reads, 1);
  end();
}

// A handler that closes gets no more, however much has arrived.
static void closing_ends_reading(void) {
  char *body = make_body(100000);
  then = CLOSE_AT_ONCE;
  counted_pair(0);
  mg_send(client.c, body, 100000);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(reads, 1);
  end();
  free(body);
}

// With mgx_mgr_compat a connection that drains takes what has arrived before.
static void draining_goes_on_reading(void) {
  char *body = make_body(16384);
  then = DRAIN;
  counted_pair(0);
  mgx_mgr_compat(&mgr, true);
  CHECK_EQ(mg_tls_send(client.c, body, 16384), 16384);
  CHECK_EQ(mg_tls_send(client.c, body, 16384), 16384);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(server.received, 2 * 16384);
  end();
  free(body);
}

// A full buffer is no error until more arrives: good-bye is not more.
static void full_buffer(void) {
  char *body = make_body(16384);
  int polls = 0;
  then = KEEP;
  counted_pair(0);
  mg_send(client.c, body, 16384);
  POLL_UNTIL(&mgr, server.c->recv.len == 16384);
  poll_often(&mgr);
  CHECK_EQ(server.c->recv.size, 16384);
  end();
  counted_pair(16384);
  mg_send(client.c, body, 16384);
  POLL_UNTIL(&mgr, server.c->recv.len == 16384);
  client.c->is_draining = 1;
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(errors, 0);
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  end();
  // A handler that takes the error back is told once more each time.
  counted_pair(10000);
  mg_send(client.c, body, 10000);
  POLL_UNTIL(&mgr, server.c->recv.len == 10000);
  reads = 0, cleared = 3;
  mg_send(client.c, "x", 1);
  while (server.closes == 0 && polls++ < 10000) {
    int before = errors;
    mg_mgr_poll(&mgr, 5);
    CHECK(errors <= before + 1);
  }
  CHECK_EQ(server.closes, 1);
  CHECK_EQ(errors, 4);
  CHECK_EQ(reads, 0);
  CHECK(strcmp(server.error, "MG_MAX_RECV_SIZE") == 0);
  end();
  free(body);
}

// Nor is it told more often that memory has come to its limit.
static void no_memory_for_input(void) {
  struct mgx_limits limits;
  int polls = 0;
  then = COUNT;
  counted_pair(0);
  memset(&limits, 0, sizeof(limits));
  limits.max_memory = 1;
  mgx_mgr_limits(&mgr, &limits);
  cleared = 3;
  CHECK_EQ(mg_tls_send(client.c, "x", 1), 1);
  while (server.closes == 0 && polls++ < 10000) {
    int before = errors;
    mg_mgr_poll(&mgr, 5);
    CHECK(errors <= before + 1);
  }
  CHECK_EQ(server.closes, 1);
  CHECK(strcmp(server.error, "OOM") == 0);
  CHECK_EQ(server.received, 0);
  end();
}

// The descriptor 0, in a program without a standard input, gets its good-bye like any other.
static void descriptor_zero(void) {
  struct mg_connection *l;
  begin();
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", plain_fn, NULL);
  close(0);
  mg_connect(&mgr, url_of(l, "tcps"), plain_fn, NULL);
  CHECK_EQ((size_t) client.c->fd, 0);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  poll_often(&mgr);
  client.c->is_closing = 1;
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  CHECK(open("/dev/null", O_RDONLY) == 0);
  end();
}

// After a megabyte of output others have their turn.
static char much[6000000];
static size_t most_at_once;

static void much_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ) plain_fn(c, ev, ev_data);
  if (ev == MG_EV_READ) side_note(&client, c, ev, ev_data), c->recv.len = 0;
  if (ev == MG_EV_TLS_HS && !c->is_client) mg_send(c, much, sizeof(much));
  if (ev == MG_EV_WRITE && most_at_once < (size_t) * (long *) ev_data) most_at_once = (size_t) * (long *) ev_data;
}

static void output_in_batches(void) {
  begin();
  most_at_once = 0;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tcps://127.0.0.1:0", much_fn, NULL), "tcps"), much_fn, NULL);
  POLL_UNTIL(&mgr, client.received == sizeof(much));
  CHECK(most_at_once > 0 && most_at_once <= 1 << 20);
  end();
}

// A pipeline is served in batches, between which other connections have their turn.
static int messages;

static void web_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ) plain_fn(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) messages++, mg_http_reply(c, 200, "", "");
}

static void pipeline_in_batches(void) {
  int i;
  begin();
  fails_in = messages = 0;
  mg_connect(&mgr, url_of(mg_http_listen(&mgr, "https://127.0.0.1:0", web_fn, NULL), "tcps"), plain_fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  for (i = 0; i < 2000; i++) mg_printf(client.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  for (i = 0; i < 10000 && messages < 2000; i++) {
    int before = messages;
    mg_mgr_poll(&mgr, 5);
    CHECK(messages - before < 2 * 256);  // the rest of a batch, and another
  }
  CHECK_EQ(messages, 2000);
  end();
}

// Handlers that wait for the end of the handshake: the connections stay what they are.
static bool still_tls[2];

static void waiting_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  if (c->is_listening) return;
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) {
    mg_tls_init(c, &o);
    while (c->is_tls_hs && !c->is_closing) mg_mgr_poll(&mgr, 1);
    mg_send(c, "hi", 2);
  }
  if (ev == MG_EV_READ) still_tls[c->is_client] = c->is_tls;
  (void) ev_data;
}

static void a_handshake_in_a_handler(void) {
  begin();
  still_tls[0] = still_tls[1] = false;
  mg_connect(&mgr, url_of(mg_listen(&mgr, "tls://127.0.0.1:0", waiting_fn, NULL), "tls"), waiting_fn, NULL);
  POLL_UNTIL(&mgr, still_tls[0] && still_tls[1]);
  end();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  clear_text_before_the_handshake();
  one_byte_in_clear_text();
  clear_text_fails();
  handshake_fails();
  full_socket(false, false), full_socket(false, true);
  full_socket(true, false), full_socket(true, true);
  failing_socket();
  closed_before_the_handshake();
  hello_in_a_paused_socket();
  answer_before_a_waiting_hello();
  junk_for_a_handshake(false, false), junk_for_a_handshake(true, false);
  junk_for_a_handshake(false, true), junk_for_a_handshake(true, true);
  hello_and_the_end();
  connecting_for_long();
  good_bye_on_an_open_socket();
  full_records();
  small_records_together();
  closing_ends_reading();
  draining_goes_on_reading();
  full_buffer();
  no_memory_for_input();
  descriptor_zero();
  pipeline_in_batches();
  output_in_batches();
  a_handshake_in_a_handler();
  side_forget(&server), side_forget(&client);
  pem_free();
  return DONE();
}
