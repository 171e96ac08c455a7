// Plain connections whose sockets take only a part of what they are given, or fail behind it.
// not under: short: it counts on what a call sends
#include "ext.h"

#include <dlfcn.h>
#ifdef __linux__
#include <sys/sendfile.h>
#endif

static struct mg_mgr mgr;
static struct mg_connection *listener, *conn;
static struct peer peer;
static int writes, closes, error_number;

// ---- the library's calls come here

static int slow_fd = -1;  // this socket
static size_t room;       // takes so many bytes
static int failure;       // and then fails once with this, unless it is 0
static size_t piece = (size_t) -1;  // in so many at a time
static int refused;       // how often it was full

ssize_t send(int fd, const void *buf, size_t len, int flags) {
  static ssize_t (*next)(int, const void *, size_t, int);
  ssize_t n;
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "send");
  if (fd == slow_fd && room == 0) {
    errno = failure != 0 ? failure : EAGAIN;
    failure = 0;
    refused++;
    return -1;
  }
  if (fd == slow_fd && len > room) len = room;
  if (fd == slow_fd && len > piece) len = piece;
  n = next(fd, buf, len, flags);
  if (n > 0 && fd == slow_fd) room -= (size_t) n;
  return n;
}

static int full_fd = -1;  // no datagram can be sent from this socket now

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t to_len) {
  static ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "sendto");
  if (fd == full_fd) return errno = EAGAIN, -1;
  return next(fd, buf, len, flags, to, to_len);
}

#ifdef __linux__
static int copies_refused;

// As of a file system that cannot do it.
ssize_t sendfile64(int to, int from, int64_t *at, size_t len) {
  copies_refused++;
  (void) to, (void) from, (void) at, (void) len;
  return errno = EINVAL, -1;
}
#endif

static void begin(mg_event_handler_t fn, bool http) {
  forget();
  writes = closes = error_number = 0;
  conn = NULL;
  mg_mgr_init(&mgr);
  listener = http ? mg_http_listen(&mgr, "http://127.0.0.1:0", fn, NULL) : mg_listen(&mgr, "tcp://127.0.0.1:0", fn, NULL);
  peer_open(&peer, listener);
  POLL_UNTIL(&mgr, conn != NULL);
}

static void end(void) {
  slow_fd = -1, failure = 0;
  peer_free(&peer);
  mg_mgr_free(&mgr);
}

static bool close_in_write;
static struct mg_connection *next_one;

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_WRITE && ++writes > 0 && close_in_write) {
    mg_close_conn(c);
    next_one = mg_listen(&mgr, "udp://127.0.0.1:0", fn, NULL);
  }
  if (ev == MG_EV_CLOSE && (c->is_accepted || c == next_one)) {
    closes++;
    reason = mgx_close_reason(c);
    error_number = mgx_close_errno(c);
    if (c == conn) conn = NULL;
  }
  (void) ev_data;
}

// What was sent before a failure is told, and then the failure.
static void failed_behind_a_part(void) {
  close_in_write = false;
  begin(fn, false);
  slow_fd = (int) (size_t) conn->fd, room = 3, failure = ECONNRESET;
  mg_send(conn, "hello", 5);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(writes, 1);
  CHECK_EQ(reason, MGX_REASON_RESET);
  CHECK_EQ(error_number, ECONNRESET);
  end();
}

// Not to a handler that has closed the connection, nor is it held against the one that follows.
static void closed_behind_a_part(void) {
  close_in_write = true;
  begin(fn, false);
  slow_fd = (int) (size_t) conn->fd, room = 3, failure = ECONNRESET;
  mg_send(conn, "hello", 5);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(writes, 1);
  CHECK_EQ(reason, MGX_REASON_CLOSED_BY_USER);
  next_one->is_closing = 1;
  POLL_UNTIL(&mgr, closes == 2);
  CHECK_EQ(reason, MGX_REASON_CLOSED_BY_USER);
  CHECK_EQ(error_number, 0);
  next_one = NULL;
  end();
}

// A socket that takes a byte at a time is asked sixteen times: the others wait for their turn, too.
static void a_byte_at_a_time(void) {
  int i;
  close_in_write = false;
  begin(fn, false);
  slow_fd = (int) (size_t) conn->fd, room = (size_t) -1, piece = 1;
  mg_send(conn, "0123456789012345678901234567890123456789", 40);
  for (i = 1; i <= 3; i++) {
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(conn->send.len, i < 3 ? 40 - 16 * i : 0);
    CHECK_EQ(writes, i);
  }
  piece = (size_t) -1;
  POLL_UNTIL(&mgr, peer_has(&peer, 40));
  end();
}

// The sender of a datagram is told that it is lost, which is no error.
static void no_room_for_a_datagram(void) {
  struct mg_connection *c;
  writes = closes = 0;
  close_in_write = false;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "udp://127.0.0.1:0", NULL, NULL);
  c = mg_connect(&mgr, url_of(listener, "udp"), fn, NULL);
  POLL_UNTIL(&mgr, !c->is_resolving && !c->is_connecting);
  full_fd = (int) (size_t) c->fd;
  CHECK(!mg_send(c, "x", 1));
  CHECK(writes == 0 && !c->is_closing);
  full_fd = -1;
  CHECK(mg_send(c, "x", 1));
  CHECK_EQ(writes, 1);
  mg_mgr_free(&mgr);
}

// No more is read from a client while it leaves a megabyte to be read.
static void answers_a_lot(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c, slow_fd = (int) (size_t) c->fd, room = 0;
  if (ev == MG_EV_HTTP_MSG) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", (1 << 20) - 42);
    while (c->send.len < 1 << 20) mg_send(c, "x", 1);
    CHECK_EQ(c->send.len, 1 << 20);
    requests++;
  }
  (void) ev_data;
}

static void throttled(void) {
  int before;
  refused = 0;
  begin(answers_a_lot, true);
  CHECK(peer_send_text(&peer, GET("/") "G"));
  POLL_UNTIL(&mgr, requests == 1);
  poll_often(&mgr);
  CHECK(conn->send.len == 1 << 20 && conn->recv.len == 1);
  CHECK(peer_send_text(&peer, "ET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  poll_often(&mgr);
  CHECK(conn->recv.len == 1 && requests == 1);
  // Nor is the socket asked again before it tells of room.
  before = refused;
  poll_often(&mgr);
  CHECK_EQ(refused, before);
  room = (size_t) -1;
  end();
}

// A file that the kernel does not copy is read and sent.
#define NAME "short_sends.bin"

static void serves(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_serve_opts o;
  memset(&o, 0, sizeof(o));
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_HTTP_MSG) mg_http_serve_file(c, (struct mg_http_message *) ev_data, NAME, &o);
}

static void a_file_read_instead(void) {
  const size_t len = 3000000;
  char *text = make_body(len);
  CHECK(mg_file_write(&mg_fs_posix, NAME, text, len));
  begin(serves, true);
  CHECK(peer_send_text(&peer, GET("/")));
  POLL_UNTIL(&mgr, peer_has(&peer, len + 1) && memcmp(peer.buf + peer.len - 1000, text + len - 1000, 1000) == 0);
  CHECK(peer.len > len && memcmp(peer.buf + peer.len - len, text, len) == 0);
#ifdef __linux__
  CHECK_EQ(copies_refused, 1);
#endif
  end();
  remove(NAME);
  free(text);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  failed_behind_a_part();
  closed_behind_a_part();
  a_byte_at_a_time();
  no_room_for_a_datagram();
  throttled();
  a_file_read_instead();
  return DONE();
}
