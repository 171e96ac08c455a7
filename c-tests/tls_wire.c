// TLS over sockets and files that do only a part of what they are asked for, and the lower-level TLS functions in handlers.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// not under: short: it counts on what a call sends and reads
#include "tls.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/types.h>

static struct side server, client;
static struct mg_mgr mgr, clients;

// ---- the library's calls come here

#define SLOW ((size_t) -1)

static int broken_fd = -1;      // this socket fails when it is read
static int slow_fd = -1;        // this socket
static size_t room;             // takes so many bytes
static size_t sent_by[1024];    // by descriptor
static int flags_of[1024];      // of the last call that sent something
static size_t readable = SLOW;  // files give so many bytes before they fail once

ssize_t send(int fd, const void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, const void *, size_t, int);
  ssize_t n;
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "send");
  if (fd == slow_fd && room == 0) return errno = EAGAIN, -1;
  if (fd == slow_fd && len > room) len = room;
  n = next(fd, buf, len, flags);
  if (n > 0 && fd == slow_fd) room -= (size_t) n;
  if (n > 0 && fd < 1024) sent_by[fd] += (size_t) n, flags_of[fd] = flags;
  return n;
}

ssize_t recv(int fd, void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, void *, size_t, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "recv");
  if (fd == broken_fd) return errno = ECONNRESET, -1;
  return next(fd, buf, len, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags) {
  static ssize_t (*next)(int, struct msghdr *, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "recvmsg");
  if (fd == broken_fd) return errno = ECONNRESET, -1;
  return next(fd, msg, flags);
}

ssize_t pread64(int fd, void *buf, size_t len, int64_t at) {
  static ssize_t (*next)(int, void *, size_t, int64_t);
  ssize_t n;
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "pread64");
  if (readable == 0) return readable = SLOW, errno = EIO, -1;
  if (len > readable) len = readable;
  n = next(fd, buf, len, at);
  if (n > 0 && readable != SLOW) readable -= (size_t) n;
  return n;
}

ssize_t pread(int fd, void *buf, size_t len, off_t at) {
  return pread64(fd, buf, len, at);
}

static int fd_of(const struct mg_connection *c) {
  return (int) (size_t) c->fd;
}

// ---- a client and a server of two managers

typedef void (*on_event_t)(struct mg_connection *c, int ev, void *ev_data);

static on_event_t on_server, on_client;
static bool ticks;
static int errno_of[2], drains[2];  // when it closed: of the server, of the client

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = c->is_client ? client_tls() : server_tls();
  struct side *s = c->is_client ? &client : &server;
  on_event_t also = c->is_client ? on_client : on_server;
  if (c->is_listening && ev == MG_EV_POLL && ticks) mg_send(server.c, "tick", 4);
  if (c->is_listening) return;
  if (ev == MG_EV_CLOSE) errno_of[c->is_client] = mgx_close_errno(c), drains[c->is_client] = c->is_draining;
  side_note(s, c, ev, ev_data);
  if (ev == MG_EV_CONNECT || ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (also != NULL) also(c, ev, ev_data);
  if (ev == MG_EV_READ && also == NULL) side_keep(s, c);
}

#define BOTH_UNTIL(cond)                                                                                           \
  do {                                                                                                             \
    uint64_t both_end = real_ms() + 50000;                                                                         \
    while (!(cond) && real_ms() < both_end) mg_mgr_poll(&mgr, 1), mg_mgr_poll(&clients, 1);                        \
    CHECK(cond);                                                                                                   \
  } while (0)

static void begin(on_event_t for_server, on_event_t for_client) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  on_server = for_server, on_client = for_client;
  mg_mgr_init(&mgr), mg_mgr_init(&clients);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  mg_connect(&clients, url_of(l, "tcps"), fn, NULL);
}

static void begin_connected(on_event_t for_server, on_event_t for_client) {
  begin(for_server, for_client);
  BOTH_UNTIL(server.handshakes == 1 && client.handshakes == 1);
  poll_often(&mgr), poll_often(&clients);
}

static void finish(void) {
  slow_fd = broken_fd = -1;
  mg_mgr_free(&clients), mg_mgr_free(&mgr);
  CHECK(server.closes == 1 && client.closes == 1);
}

// ---- output

static char *big;

#define BIG 1000000

// What a socket does not take stays in c->send, but for some of it.
static void blocked_output(void) {
  begin_connected(NULL, NULL);
  slow_fd = fd_of(server.c), room = 0;
  mg_send(server.c, big, BIG);
  poll_often(&mgr);
  CHECK(server.c->is_tls_throttled);
  CHECK(server.written <= 100000 && server.c->send.len == BIG - server.written);
  // As there was room all the time, something has to happen on the socket.
  slow_fd = -1;
  mg_send(client.c, "x", 1);
  BOTH_UNTIL(client.data.len == BIG);
  CHECK(side_received(&client, big, BIG));
  CHECK_EQ(server.written, BIG);
  finish();
}

// A handshake that ends in an event of the handler's own is complete for the peer, too, although the handler closes then.
static void closes_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_TLS_HS) c->is_closing = 1;
  (void) ev_data;
}

static void closed_by_the_event_of_the_handshake(void) {
  begin(NULL, closes_fn);
  BOTH_UNTIL(client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&server, "OAHX"));
  finish();
}

// mg_tls_send sends at once, and holds nothing back for more.
static void sends_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_TLS_HS) {
    size_t before = sent_by[fd_of(c)];
    CHECK(before > 0 && (flags_of[fd_of(c)] & MSG_MORE) == 0);
    CHECK_EQ(mg_tls_send(c, "by hand", 7), 7);
    CHECK(sent_by[fd_of(c)] > before + 7 && (flags_of[fd_of(c)] & MSG_MORE) == 0);
  }
  if (ev == MG_EV_READ) side_keep(c->is_client ? &client : &server, c);
  if (ev == MG_EV_CLOSE) CHECK_EQ(mg_tls_send(c, "late", 4), MG_IO_ERR);
  (void) ev_data;
}

static void sent_by_hand(void) {
  begin_connected(sends_fn, sends_fn);
  BOTH_UNTIL(client.data.len == 7 && server.data.len == 7);
  mg_close_conn(server.c);
  BOTH_UNTIL(client.closes == 1);
  finish();
}

// What the handler of an older connection queues leaves in the same poll, every time.
static void output_of_another_handler(void) {
  int i;
  begin_connected(NULL, NULL);
  for (i = 0; i < 3; i++) {
    size_t before = server.written;
    ticks = true;
    mg_mgr_poll(&mgr, 0);
    ticks = false;
    CHECK_EQ(server.written, before + 4);
  }
  finish();
}

// A handler that drains in the event of such output has dropped what it had received, at once.
static void drains_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WRITE) c->is_draining = 1;
  (void) ev_data;
}

static void drained_by_the_event_of_output(void) {
  begin_connected(drains_fn, NULL);
  mg_send(client.c, "rest", 4);
  BOTH_UNTIL(server.c->recv.len == 4);
  ticks = true;
  mg_mgr_poll(&mgr, 0);
  ticks = false;
  CHECK_EQ(server.written, 4);
  CHECK(server.c == NULL || server.c->recv.len == 0);
  BOTH_UNTIL(server.closes == 1 && client.closes == 1);
  finish();
}

// Counters and dumps are of what the application sends.
static char *logged;
static size_t log_len;

static void log_fn(char ch, void *arg) {
  if (log_len < 100000) logged[log_len++] = ch, logged[log_len] = '\0';
  (void) arg;
}

static void counted_and_dumped(void) {
  struct mgx_stats s;
  int on;
  logged = (char *) calloc(1, 100001);
  for (on = 0; on < 2; on++) {
    begin_connected(NULL, NULL);
    server.c->is_hexdumping = on == 1;
    log_len = 0, logged[0] = '\0';
    mg_log_set_fn(log_fn, NULL), mg_log_set(MG_LL_INFO);
    mg_send(server.c, "plaintext", 9);
    BOTH_UNTIL(client.data.len == 9);
    mg_log_set(MG_LL_NONE), mg_log_set_fn(mg_pfn_stdout, NULL);
    CHECK((strstr(logged, " -> ") != NULL) == (on == 1));
    CHECK((strstr(logged, "plaintext") != NULL) == (on == 1));
    mgx_mgr_stats(&mgr, &s);
    CHECK_EQ(s.bytes_out, 9);
    finish();
  }
  free(logged);
}

// ---- files

static void file_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    mg_http_serve_file(c, (struct mg_http_message *) ev_data, "tls-wire-file", &opts);
  }
}

static void begin_files(size_t len) {
  struct mg_connection *l;
  CHECK(mg_file_write(&mg_fs_posix, "tls-wire-file", big, len));
  side_forget(&server), side_forget(&client);
  on_client = NULL;
  mg_mgr_init(&mgr), mg_mgr_init(&clients);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", file_fn, NULL);
  mg_connect(&clients, url_of(l, "tcps"), fn, NULL);
  BOTH_UNTIL(server.handshakes == 1 && client.handshakes == 1);
}

static size_t first;  // byte that is asked for

static void ask_for_file(void) {
  first = 0;
  mg_printf(client.c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void ask_for_part(size_t from, size_t len) {
  unsigned long last = (unsigned long) (from + len - 1);
  first = from;
  mg_printf(client.c, "GET / HTTP/1.1\r\nHost: a\r\nRange: bytes=%lu-%lu\r\n\r\n", (unsigned long) from, last);
}

static bool has_file(size_t len) {
  char *end = client.data.buf == NULL ? NULL : strstr(client.data.buf, "\r\n\r\n");
  return end != NULL && client.data.len - (size_t) (end + 4 - client.data.buf) >= len;
}

static void expect_file(size_t len) {
  char *body;
  BOTH_UNTIL(has_file(len) || client.closes == 1);
  poll_often(&mgr), poll_often(&clients);
  CHECK(has_file(len));
  if (!has_file(len)) return;
  body = strstr(client.data.buf, "\r\n\r\n") + 4;
  CHECK_EQ(client.data.len - (size_t) (body - client.data.buf), len);
  CHECK(memcmp(body, big + first, len) == 0);
  CHECK_EQ(client.closes + server.closes, 0);
  CHECK_EQ(server.c->send.size, 0);  // no memory for output that is gone
  CHECK_EQ(server.written, client.data.len);
  // The last byte is not held back for more.
  CHECK((flags_of[fd_of(server.c)] & MSG_MORE) == 0);
  client.data.len = 0, client.data.buf[0] = '\0', server.written = 0;
}

static void files_of_all_sizes(void) {
  static const size_t sizes[] = {1, 65536, 65537, 65538, 262145, BIG};
  size_t i;
  for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    begin_files(sizes[i]);
    ask_for_file();
    expect_file(sizes[i]);
    ask_for_file();
    expect_file(sizes[i]);
    finish();
  }
}

static void parts_of_a_file(void) {
  static const size_t sizes[] = {1, 65535, 65536, 65537, 300000};
  size_t i;
  begin_files(BIG);
  for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    ask_for_part(1000 * i, sizes[i]);
    expect_file(sizes[i]);
  }
  finish();
}

// The rest of a file that cannot be read in this way is read in another one.
static void files_that_fail(void) {
  static const size_t reads[] = {0, 1, 2, 65536, 65537, 100000};
  size_t i;
  for (i = 0; i < sizeof(reads) / sizeof(reads[0]); i++) {
    begin_files(200000);
    readable = reads[i];
    ask_for_file();
    expect_file(200000);
    CHECK(readable == SLOW);
    finish();
  }
}

// Nor is more of a file encrypted than the socket takes, but for some of it.
static void blocked_file(void) {
  begin_files(BIG);
  slow_fd = fd_of(server.c), room = 20000;
  ask_for_file();
  BOTH_UNTIL(server.c->is_tls_throttled);
  poll_often(&mgr);
  CHECK(server.written <= 100000);
  slow_fd = -1;
  mg_send(client.c, "\r\n", 2);
  expect_file(BIG);
  finish();
}

// ---- how a connection ends

enum { CLOSED, FAILED, ABORTED, DRAINED, ENDS };

static void end_of(struct mg_connection *c, int how) {
  if (how == CLOSED) mg_close_conn(c);
  if (how == FAILED) mg_error(c, "enough");
  if (how == ABORTED) mgx_conn_abort(c);
  if (how == DRAINED) c->is_draining = 1;
}

// Only what has not failed ends with close_notify.
static void ends_of_all_kinds(void) {
  int how, by_client;
  for (how = 0; how < ENDS; how++) {
    for (by_client = 0; by_client < 2; by_client++) {
      struct side *one = by_client ? &client : &server, *other = by_client ? &server : &client;
      int fd;
      size_t before;
      begin_connected(NULL, NULL);
      poll_often(&mgr), poll_often(&clients);
      fd = fd_of(one->c), before = sent_by[fd];
      end_of(one->c, how);
      POLL_UNTIL(by_client ? &clients : &mgr, one->closes == 1);
      CHECK_EQ(sent_by[fd] - before, how == CLOSED || how == DRAINED ? 24 : 0);
      POLL_UNTIL(by_client ? &mgr : &clients, other->closes == 1);
      if (how != ABORTED) CHECK(side_events_are(other, by_client ? "OAHX" : "OCHX"));
      CHECK_EQ(other->reason, how == CLOSED || how == DRAINED ? MGX_REASON_PEER_CLOSED : MGX_REASON_RESET);
      CHECK_EQ(errno_of[!by_client], how == ABORTED ? ECONNRESET : 0);
      CHECK_EQ(drains[!by_client], 0);
      finish();
    }
  }
}

// A client that hangs up in its handshake is no error of the server. A socket that fails is one only of a client's handshake.
static void ends_of_handshakes(void) {
  int fails;
  for (fails = 0; fails < 2; fails++) {
    struct peer p;
    side_forget(&server);
    on_server = NULL;
    mg_mgr_init(&mgr);
    peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL));
    CHECK(peer_send(&p, "\x16\x03\x01", 3));
    POLL_UNTIL(&mgr, server.c != NULL && server.c->rtls.len == 3);
    if (fails) {
      broken_fd = fd_of(server.c);
      CHECK(peer_send(&p, "\0", 1));
    } else {
      peer_free(&p);
    }
    POLL_UNTIL(&mgr, server.closes == 1);
    CHECK(side_events_are(&server, "OAX"));
    CHECK_EQ(server.reason, fails ? MGX_REASON_RESET : MGX_REASON_PEER_CLOSED);
    CHECK_EQ(errno_of[0], fails ? ECONNRESET : 0);
    broken_fd = -1;
    if (fails) peer_free(&p);
    mg_mgr_free(&mgr);
  }
}

static void failing_sockets(void) {
  begin_connected(NULL, NULL);
  broken_fd = fd_of(client.c);
  mg_send(server.c, "x", 1);
  BOTH_UNTIL(client.closes == 1);
  CHECK(side_events_are(&client, "OCHX"));
  CHECK_EQ(client.reason, MGX_REASON_RESET);
  CHECK_EQ(errno_of[1], ECONNRESET);
  BOTH_UNTIL(server.closes == 1);
  finish();
  // In its handshake.
  begin(NULL, NULL);
  POLL_UNTIL(&clients, client.c != NULL && client.c->is_tls_hs);
  broken_fd = fd_of(client.c);
  BOTH_UNTIL(client.closes == 1 && server.closes == 1);
  CHECK(side_events_are(&client, "OCEX"));
  CHECK(strcmp(client.error, "socket error") == 0);
  CHECK_EQ(errno_of[1], ECONNRESET);
  finish();
}

// A close_notify of which one byte is left is not out.
static void last_byte_of_a_close_notify(void) {
  begin_connected(NULL, NULL);
  slow_fd = fd_of(server.c), room = 23;
  server.c->is_draining = 1;
  poll_often(&mgr);
  CHECK_EQ(room, 0);
  CHECK_EQ(server.closes, 0);
  slow_fd = -1;
  mg_send(client.c, "x", 1);
  BOTH_UNTIL(client.closes == 1 && server.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  finish();
}

// The answer to a close_notify may have to wait for room. That does not change who has ended the connection.
static void ended_by_the_peer(void) {
  int fd;
  begin_connected(NULL, NULL);
  slow_fd = fd_of(server.c), room = 0;
  fd = dup(fd_of(client.c));
  mg_close_conn(client.c);
  POLL_UNTIL(&mgr, server.c == NULL || server.c->is_draining);
  poll_often(&mgr);
  CHECK_EQ(server.closes, 0);
  // The end of the stream has the server look again.
  slow_fd = -1;
  close(fd);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
  finish();
}

// A client that has ended its stream does not wait for its answer forever.
static void silent_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
}

static void half_closed(void) {
  struct mgx_limits limits;
  struct mg_connection *l;
  memset(&limits, 0, sizeof(limits));
  limits.half_close_ms = 50;
  side_forget(&server), side_forget(&client);
  on_client = NULL;
  mg_mgr_init(&mgr), mg_mgr_init(&clients);
  mgx_mgr_limits(&mgr, &limits);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", silent_fn, NULL);
  mg_connect(&clients, url_of(l, "tcps"), fn, NULL);
  BOTH_UNTIL(client.handshakes == 1);
  ask_for_file();
  BOTH_UNTIL(server.received > 0);
  shutdown(fd_of(client.c), SHUT_WR);
  POLL_UNTIL(&mgr, server.closes == 1);
  finish();
}

// The beginning of a handshake is no request that a drain waits for.
static void drained_in_a_handshake(void) {
  struct mgx_drain_opts o;
  struct peer p;
  uint64_t start;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 20;
  side_forget(&server);
  mg_mgr_init(&mgr);
  peer_open(&p, mg_http_listen(&mgr, "https://127.0.0.1:0", silent_fn, NULL));
  CHECK(peer_send(&p, "\x16\x03\x01", 3));
  POLL_UNTIL(&mgr, server.c != NULL && server.c->rtls.len == 3);
  start = real_ms();
  mgx_conn_drain(server.c, &o);
  POLL_UNTIL(&mgr, server.closes == 1 || real_ms() - start > 5000);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- handshakes of any length

static struct mg_str hello;

static void capture_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && hello.len == 0) hello = mg_strdup(mg_str_n((char *) c->recv.buf, c->recv.len));
  (void) ev_data;
}

// The ClientHello, with padding (RFC 7685) up to `len` bytes, in records of one byte each.
static void say_hello_slowly(struct peer *p, size_t len) {
  size_t i, n = hello.len - 5, at, sum, pad = len - n - 4;
  unsigned char *msg = (unsigned char *) calloc(1, len), *out = (unsigned char *) malloc(6 * len);
  memcpy(msg, hello.buf + 5, n);
  msg[1] = 0, msg[2] = (unsigned char) ((len - 4) >> 8), msg[3] = (unsigned char) (len - 4);
  at = 4 + 2 + 32;
  at += 1 + (size_t) msg[at];
  at += 2 + (size_t) (msg[at] << 8 | msg[at + 1]);
  at += 1 + (size_t) msg[at];
  sum = (size_t) (msg[at] << 8 | msg[at + 1]) + 4 + pad;
  msg[at] = (unsigned char) (sum >> 8), msg[at + 1] = (unsigned char) sum;
  // The extension for padding comes first: its place does not matter.
  memmove(msg + at + 2 + 4 + pad, msg + at + 2, n - at - 2);
  memset(msg + at + 2, 0, 4 + pad);
  msg[at + 3] = 21, msg[at + 4] = (unsigned char) (pad >> 8), msg[at + 5] = (unsigned char) pad;
  for (i = 0; i < len; i++) memcpy(out + 6 * i, "\x16\x03\x01\0\1", 5), out[6 * i + 5] = msg[i];
  for (i = 0; i < 6 * len; i += n) {
    n = 6 * len - i < 6000 ? 6 * len - i : 6000;
    if (!peer_send(p, out + i, n)) break;
    mg_mgr_poll(&mgr, 0);
  }
  free(msg), free(out);
}

static void longest_handshake(void) {
  static const size_t lens[] = {1000, 20500, 23000};
  struct mg_tls_opts o = client_tls();
  struct mg_connection *c;
  size_t i;
  mg_mgr_init(&mgr);
  c = mg_connect(&mgr, url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", capture_fn, NULL), "tcps"), NULL, NULL);
  mg_tls_init(c, &o);
  POLL_UNTIL(&mgr, hello.len > 0);
  mg_mgr_free(&mgr);
  for (i = 0; i < 3; i++) {
    struct peer p;
    side_forget(&server);
    on_server = NULL;
    mg_mgr_init(&mgr);
    peer_open(&p, mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL));
    say_hello_slowly(&p, lens[i]);
    POLL_UNTIL(&mgr, peer_has(&p, 500) || server.closes == 1);
    // 128 KiB of input are too much.
    CHECK_EQ(server.closes, i == 2);
    if (i == 2) CHECK(strcmp(server.error, "TLS input is too long") == 0);
    if (i < 2) CHECK(p.len > 500 && p.buf[0] == 0x16 && p.buf[5] == 2);  // a ServerHello
    peer_free(&p);
    mg_mgr_free(&mgr);
  }
  mg_free(hello.buf);
}

// ---- an application that takes ciphertext away

static struct line line;
static int by_hand;

static void removed_ciphertext(void) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  on_client = on_server = NULL;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcps://127.0.0.1:0", fn, NULL);
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "tcps"), fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  poll_often(&mgr);
  line.per_poll = 20;
  mg_printf(client.c, "%01000d", 1);
  POLL_UNTIL(&mgr, server.c->rtls.len > 0);
  line.held = true;
  poll_often(&mgr);
  mg_iobuf_del(&server.c->rtls, 0, server.c->rtls.len);
  mg_send(server.c, "x", 1);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(side_events_are(&server, "OAHEX"));
  CHECK(strstr(server.error, "removed") != NULL);
  CHECK_EQ(server.reason, MGX_REASON_ERROR);
  line.held = false;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.data.len, 0);
  CHECK(client.reason != MGX_REASON_PEER_CLOSED);
  mg_mgr_free(&mgr);
}

// The same while a file is being sent: what cannot be sent is not drained.
static void remover_fn(struct mg_connection *c, int ev, void *ev_data) {
  file_fn(c, ev, ev_data);
  if (ev == MG_EV_WRITE && line.held) mg_iobuf_del(&c->rtls, 0, c->rtls.len), by_hand++;
  if (ev == MG_EV_WRITE && c->rtls.len > 0) line.held = true;
}

static void removed_under_a_file(void) {
  struct mg_connection *l;
  CHECK(mg_file_write(&mg_fs_posix, "tls-wire-file", big, BIG) && truncate("tls-wire-file", 20 * BIG) == 0);
  side_forget(&server), side_forget(&client);
  on_client = NULL;
  by_hand = 0;
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", remover_fn, NULL);
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "tcps"), fn, NULL);
  POLL_UNTIL(&mgr, client.handshakes == 1 && server.handshakes == 1);
  ask_for_file();
  mg_mgr_poll(&mgr, 0);
  mg_printf(client.c, "%01000d", 1);
  line.per_poll = 20;
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(by_hand > 0);
  CHECK(server.reason != MGX_REASON_DRAINED);
  line.per_poll = 0;
  mg_mgr_free(&mgr);
}

// ---- mg_tls_recv and mg_tls_flush in handlers

static bool ends;

// The first record fills the buffer of 16 KiB. What follows it has arrived, too.
static void takes_fn(struct mg_connection *c, int ev, void *ev_data) {
  char buf[200];
  if (ev != MG_EV_READ) return;
  CHECK_EQ(c->recv.len, MG_IO_SIZE);
  if (c->recv.len != MG_IO_SIZE || by_hand++ > 0) return;
  if (ends) {
    CHECK_EQ(mg_tls_recv(c, buf, sizeof(buf)), MG_IO_ERR);
  } else {
    CHECK_EQ(mg_tls_recv(c, buf, sizeof(buf)), 100);
    CHECK(memcmp(buf, big + MG_IO_SIZE, 100) == 0);
    CHECK_EQ(mg_tls_recv(c, buf, sizeof(buf)), MG_IO_WAIT);
  }
  c->recv.len = 0;
  (void) ev_data;
}

static void received_by_hand(void) {
  int i;
  for (i = 0; i < 2; i++) {
    by_hand = 0, ends = i == 1;
    begin_connected(takes_fn, NULL);
    mg_send(client.c, big, ends ? MG_IO_SIZE : MG_IO_SIZE + 100);
    if (ends) client.c->is_draining = 1;
    POLL_UNTIL(&clients, ends ? client.closes == 1 : client.written == MG_IO_SIZE + 100);
    POLL_UNTIL(&mgr, by_hand == 1);
    if (ends) {
      // The end of the session that the handler was told is one, although the engine has not seen it.
      POLL_UNTIL(&mgr, server.closes == 1);
      CHECK_EQ(server.reason, MGX_REASON_PEER_CLOSED);
    } else {
      poll_often(&mgr);
    }
    finish();
  }
}

// Until the handler returns it may look at what has arrived in clear text.
static void upgrade_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  if (ev != MG_EV_READ || c->is_tls || c->is_listening) return;
  mg_tls_init(c, &o);
  mg_tls_flush(c);
  CHECK_EQ(c->recv.len, 8);
  CHECK(memcmp(c->recv.buf, "STARTTLS", 8) == 0);
  by_hand++;
  (void) ev_data;
}

static void flushed_before_the_start(void) {
  struct peer p;
  by_hand = 0;
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", upgrade_fn, NULL));
  CHECK(peer_send_text(&p, "STARTTLS"));
  POLL_UNTIL(&mgr, by_hand == 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big = make_body(BIG);
  blocked_output();
  closed_by_the_event_of_the_handshake();
  sent_by_hand();
  output_of_another_handler();
  drained_by_the_event_of_output();
  counted_and_dumped();
  files_of_all_sizes();
  parts_of_a_file();
  files_that_fail();
  blocked_file();
  ends_of_all_kinds();
  ends_of_handshakes();
  failing_sockets();
  last_byte_of_a_close_notify();
  ended_by_the_peer();
  half_closed();
  drained_in_a_handshake();
  longest_handshake();
  removed_ciphertext();
  removed_under_a_file();
  received_by_hand();
  flushed_before_the_start();
  remove("tls-wire-file");
  side_forget(&server), side_forget(&client);
  free(big);
  pem_free();
  return DONE();
}
