// What applications see of a connection's socket: its options, addresses and flags from the first event on, and that it is closed.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "mongoose.h"
#include "mongoose_ext.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include "peer.h"

#define PATH "sockets.sock"

static struct mg_mgr mgr;
static int warnings, failures;
static char line[400];
static size_t line_len;

static void log_char(char c, void *arg) {
  if (c != '\n' && line_len < sizeof(line) - 1) {
    line[line_len++] = c;
  } else if (c == '\n') {
    line[line_len] = '\0';
    if (strstr(line, "CLEAR TEXT") != NULL) warnings++;
    if (strstr(line, "accept: ") != NULL) failures++;
    line_len = 0;
  }
  (void) arg;
}

static bool has_option(struct mg_connection *c, int level, int name) {
  int value = 0;
  socklen_t len = sizeof(value);
  return getsockopt((int) (size_t) c->fd, level, name, (void *) &value, &len) == 0 && value != 0;
}

static bool is_loopback(const struct mg_addr *a) {
  return !a->is_ip6 && a->addr.ip[0] == 127 && a->addr.ip[3] == 1;
}

static int open_listener(struct sockaddr_in *sin, int backlog) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t len = sizeof(*sin);
  memset(sin, 0, sizeof(*sin));
  sin->sin_family = AF_INET;
  sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) sin, sizeof(*sin)) == 0 && listen(fd, backlog) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) sin, &len) == 0);
  return fd;
}

// ---- accepted connections
struct seen {
  int opens, accepts, polls, closes;
  bool tls_at_open, tls_later, dumped, quick, kept_alive, at_loopback;
  void *pfn_data;
};

static void accepted_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct seen *s = (struct seen *) c->fn_data;
  if (!c->is_accepted) return;
  if (ev == MG_EV_OPEN) {
    s->opens++;
    s->tls_at_open = c->is_tls, s->dumped = c->is_hexdumping, s->pfn_data = c->pfn_data;
    s->quick = has_option(c, IPPROTO_TCP, TCP_NODELAY), s->kept_alive = has_option(c, SOL_SOCKET, SO_KEEPALIVE);
    s->at_loopback = is_loopback(&c->loc);
  }
  if (ev == MG_EV_ACCEPT) s->accepts++;
  if (ev == MG_EV_POLL) s->polls++, s->tls_later = c->is_tls;
  (void) ev_data;
}

static void accept_one(struct mg_connection *l) {
  struct seen *s = (struct seen *) l->fn_data;
  struct peer p;
  memset(s, 0, sizeof(*s));
  warnings = 0;
  peer_open(&p, l);
  POLL_UNTIL(&mgr, s->polls > 0);
  CHECK(s->opens == 1 && s->accepts == 1 && s->at_loopback && s->quick && s->kept_alive && !s->tls_later);
  peer_free(&p);
}

// An accepted connection takes after its listener, also after one that another program opened.
static void accepted(void) {
  struct seen s;
  struct mg_connection *l = mg_listen(&mgr, "tcp://0.0.0.0:0", accepted_fn, &s);
  struct sockaddr_in sin;
  int data;
  accept_one(l);
  CHECK(!s.tls_at_open && !s.dumped && s.pfn_data == NULL);
  CHECK_EQ(warnings, 0);
  l->is_hexdumping = 1;
  l->pfn_data = &data;
  accept_one(l);
  CHECK(s.dumped && s.pfn_data == &data);
  l->is_closing = 1;
  l = mg_listen(&mgr, "tls://127.0.0.1:0", accepted_fn, &s);
  accept_one(l);
  CHECK(s.tls_at_open);
  CHECK_EQ(warnings, 1);
  l->is_closing = 1;
  l = mgx_listen_fd(&mgr, open_listener(&sin, 5), "tls://", accepted_fn, &s);
  CHECK(l->is_tls);
  accept_one(l);
  CHECK(s.tls_at_open);
  l->is_closing = 1;
  poll_often(&mgr);
}

// The handler that accepts a connection ends the listener: no further one is accepted, and nothing is logged.
static int ending, taken;

static void ending_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *l = (struct mg_connection *) c->fn_data;
  if (ev != MG_EV_ACCEPT) return;
  taken++;
  if (ending == 0) l->is_closing = 1;
  if (ending == 1) l->is_draining = 1;
  if (ending == 2) mg_close_conn(l);
  (void) ev_data;
}

static void ended_while_accepting(void) {
  for (ending = 0; ending < 3; ending++) {
    struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", ending_fn, NULL);
    struct peer p[2];
    l->fn_data = l;
    taken = failures = 0;
    peer_open(&p[0], l), peer_open(&p[1], l);
    POLL_UNTIL(&mgr, taken > 0);
    poll_often(&mgr);
    CHECK_EQ(taken, 1);
    CHECK_EQ(failures, 0);
    CHECK(peer_read(&p[0]) || peer_read(&p[1]));  // the other one
    peer_free(&p[0]), peer_free(&p[1]);
    poll_often(&mgr);
  }
}

// The same at the end of a drain. A new listener that gets the descriptor is another one.
static struct mg_connection *drained_listener;
static struct peer late[3];

static void replacing_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *l;
  if (ev != MG_EV_ACCEPT || taken++ > 0) return;
  mg_close_conn(drained_listener);
  l = mg_listen(c->mgr, "tcp://127.0.0.1:0", NULL, NULL);
  peer_open(&late[2], l);
  (void) ev_data;
}

// Serviced after the listener.
static void late_clients_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL && late[0].fd < 0) peer_open(&late[0], drained_listener), peer_open(&late[1], drained_listener);
  (void) c, (void) ev_data;
}

static void replaced_while_draining(void) {
  struct mgx_mgr_drain_opts opts;
  struct mg_mgr other;
  int i;
  memset(&opts, 0, sizeof(opts));
  memset(late, 0, sizeof(late));
  late[0].fd = late[2].fd = -1;
  taken = 0;
  mg_mgr_init(&other);
  mg_listen(&other, "udp://127.0.0.1:0", late_clients_fn, NULL);
  drained_listener = mg_listen(&other, "tcp://127.0.0.1:0", replacing_fn, NULL);
  mgx_mgr_drain(&other, &opts);
  mg_mgr_poll(&other, 0);
  CHECK_EQ(taken, 1);
  mg_mgr_free(&other);
  for (i = 0; i < 3; i++) peer_free(&late[i]);
}

// More clients than one poll accepts. The kernel reports them once.
static void crowd(void) {
  enum { N = 300 };
  static int fds[N];
  struct seen s;
  struct sockaddr_in sin;
  struct mg_connection *l;
  int i;
  if (raise_file_limit() < 2 * N + 100) return;
  l = mgx_listen_fd(&mgr, open_listener(&sin, N), "tcp://", accepted_fn, &s);
  memset(&s, 0, sizeof(s));
  for (i = 0; i < N; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fds[i], F_SETFL, O_NONBLOCK);
    connect(fds[i], (struct sockaddr *) &sin, sizeof(sin));
  }
  POLL_UNTIL(&mgr, s.accepts > 0);
  CHECK(s.accepts <= 256);
  POLL_UNTIL(&mgr, s.accepts == N);
  for (i = 0; i < N; i++) close(fds[i]);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, mgr.conns == NULL);
}

// ---- clients
struct client {
  bool tls_at_open, tls_later, open_at_resolve, named_at_resolve, connecting, lookup, close_at_resolve;
  int connects, closes;
  struct mg_addr rem;
};

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct client *r = (struct client *) c->fn_data;
  if (ev == MG_EV_OPEN) r->tls_at_open = c->is_tls, c->rem.port = 7;
  if (ev == MG_EV_RESOLVE) {
    r->open_at_resolve = fcntl((int) (size_t) c->fd, F_GETFD) >= 0;
    r->named_at_resolve = c->loc.is_ip6;
    c->is_arplooking = !c->is_udp;  // as it may be with lwIP
    if (r->close_at_resolve) mg_close_conn(c);
  }
  if (ev == MG_EV_CONNECT) r->connects++, r->connecting = c->is_connecting, r->lookup = c->is_arplooking, r->rem = c->rem;
  if (ev == MG_EV_POLL && r->connects > 0) r->tls_later = c->is_tls, c->is_closing = 1;
  if (ev == MG_EV_CLOSE) r->closes++;
  (void) ev_data;
}

static struct client connect_to(const char *url, bool close_at_resolve) {
  struct client r;
  memset(&r, 0, sizeof(r));
  r.close_at_resolve = close_at_resolve;
  warnings = 0;
  mg_connect(&mgr, url, client_fn, &r);
  POLL_UNTIL(&mgr, r.closes == 1);
  poll_often(&mgr);
  CHECK(r.open_at_resolve && !r.connecting && !r.lookup && !r.tls_later);
  CHECK_EQ(r.connects, close_at_resolve ? 0 : 1);
  return r;
}

static void clients(void) {
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL), *u = mg_listen(&mgr, "unix:" PATH, NULL, NULL);
  struct mg_connection *l6 = mg_listen(&mgr, "tcp://[::1]:0", NULL, NULL);
  size_t files = open_files();
  struct client r = connect_to(url_of(l, "tcp"), false);
  char url6[64];
  mg_snprintf(url6, sizeof(url6), "tcp://[::1]:%d", port_of(l6));
  CHECK(!r.tls_at_open && is_loopback(&r.rem) && warnings == 0);
  // A stream has no address of its own before it connects.
  r = connect_to(url6, false);
  CHECK(r.rem.is_ip6 && !r.named_at_resolve);
  r = connect_to(url_of(l, "tls"), false);
  CHECK(r.tls_at_open && warnings == 1);
  r = connect_to("udp://127.0.0.1:9", false);
  CHECK(!r.tls_at_open && warnings == 0);
  r = connect_to("unix:" PATH, false);
  CHECK(!r.tls_at_open && warnings == 0 && r.rem.port == 0);
  CHECK_EQ(open_files(), files);
  // Closed in the middle of the call that opens the socket.
  connect_to(url_of(l, "tcp"), true);
  connect_to("udp://127.0.0.1:9", true);
  connect_to("unix:" PATH, true);
  CHECK_EQ(open_files(), files);
  l->is_closing = l6->is_closing = u->is_closing = 1;
  poll_often(&mgr);
}

// A client that has drained reads on until its server is done, so that the server gets no error.
static void draining_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_send(c, "bye", 3), c->is_draining = 1;
  if (ev == MG_EV_CLOSE) ++*(int *) c->fn_data;
  (void) ev_data;
}

static void drained_client(void) {
  struct sockaddr_un a;
  struct peer p;
  int fd = socket(AF_UNIX, SOCK_STREAM, 0), closes = 0;
  size_t files = open_files();
  memset(&a, 0, sizeof(a));
  memset(&p, 0, sizeof(p));
  a.sun_family = AF_UNIX;
  strcpy(a.sun_path, PATH);
  CHECK(bind(fd, (struct sockaddr *) &a, sizeof(a)) == 0 && listen(fd, 5) == 0);
  mg_connect(&mgr, "unix:" PATH, draining_fn, &closes);
  p.fd = accept(fd, NULL, NULL);
  POLL_UNTIL(&mgr, closes == 1 && peer_read(&p));
  CHECK(p.end == PEER_FIN && peer_got(&p, "bye"));
  CHECK(peer_send_text(&p, "see you"));
  poll_often(&mgr);
  CHECK(peer_send_text(&p, "soon"));
  peer_free(&p);
  POLL_UNTIL(&mgr, open_files() == files);
  close(fd);
  unlink(PATH);
}

// ---- lingering sockets
static int copy;

static void leaving_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && c->fn_data != NULL) copy = dup((int) (size_t) c->fd);
  if (ev == MG_EV_ACCEPT) mg_send(c, "bye", 3), c->is_draining = 1;
  (void) ev_data;
}

// An application that has duplicated the descriptor does not keep the poll busy.
static void duplicated(void) {
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", leaving_fn, &copy);
  size_t files = open_files();
  uint64_t start;
  struct peer p;
  peer_open(&p, l);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_send_text(&p, "more"));
  peer_shut(&p);
  POLL_UNTIL(&mgr, open_files() == files + 2);  // the peer and the copy
  start = real_ms();
  mg_mgr_poll(&mgr, 30);  // sleeps
  CHECK(real_ms() - start >= 29);
  close(copy);
  peer_free(&p);
  l->is_closing = 1;
  poll_often(&mgr);
}

// The same of one that is closed at once, and of a listener.
static void copied_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) copy = dup((int) (size_t) c->fd), c->is_closing = 1;
  (void) ev_data;
}

static void polls_sleep(void) {
  uint64_t start;
  poll_often(&mgr);
  start = real_ms();
  mg_mgr_poll(&mgr, 30);
  CHECK(real_ms() - start >= 29);
}

static void closed_with_a_copy(void) {
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", copied_fn, NULL);
  unsigned short port = port_of(l);
  struct peer p;
  copy = -1;
  peer_open(&p, l);
  POLL_UNTIL(&mgr, copy >= 0);
  CHECK(peer_send_text(&p, "more"));
  polls_sleep();
  close(copy);
  peer_free(&p);
  copy = dup((int) (size_t) l->fd);
  l->is_closing = 1;
  poll_often(&mgr);
  peer_connect(&p, port, 0);
  polls_sleep();
  close(copy);
  peer_free(&p);
}

// A peer that has said all, or more than is read, before the drain is over: the socket closes in the same poll.
static int accepted_fd;
static bool gone;

static void pausing_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) accepted_fd = (int) (size_t) c->fd;
  if (ev == MG_EV_READ) {
    struct mgx_drain_opts o;
    memset(&o, 0, sizeof(o));
    o.linger_bytes = *(size_t *) c->fn_data;
    mg_send(c, "bye", 3);
    mgx_conn_drain(c, &o);
    c->is_full = c->is_draining = 1;
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) gone = true;
  (void) ev_data;
}

static void nothing_to_wait_for(size_t most, bool ends) {
  static char data[50000];
  const int len = cut_transfers() > 0 ? 30 : (int) sizeof(data);
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", pausing_fn, &most);
  struct peer p;
  struct pollfd fd;
  int waiting = 0;
  gone = false;
  accepted_fd = -1;
  peer_open(&p, l);
  POLL_UNTIL(&mgr, accepted_fd >= 0);
  CHECK(peer_send(&p, data, (size_t) len));
  if (ends) peer_shut(&p);
  fd.fd = accepted_fd;
  fd.events = POLLRDHUP;
  CHECK(!ends || poll(&fd, 1, 10000) == 1);
  while (ioctl(accepted_fd, FIONREAD, &waiting) == 0 && waiting < len) usleep(100);
  while (!gone) mg_mgr_poll(&mgr, 0);
  CHECK(fcntl(accepted_fd, F_GETFD) < 0);
  peer_free(&p);
  l->is_closing = 1;
  poll_often(&mgr);
}

// What has arrived is read before the manager closes the socket, which would reset the connection otherwise.
static void input_at_the_end(void) {
  static char data[100000];
  struct mg_mgr other;
  struct mg_connection *l;
  struct peer p;
  mg_mgr_init(&other);
  l = mg_listen(&other, "tcp://127.0.0.1:0", leaving_fn, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&other, peer_read(&p));
  l->is_closing = 1;
  while (other.conns != NULL) mg_mgr_poll(&other, 1);
  CHECK(peer_send(&p, data, cut_transfers() > 0 ? 100 : sizeof(data)));
  mg_mgr_free(&other);
  CHECK(!peer_was_reset_late(&p));
  peer_free(&p);
}

// ---- descriptor 0, in a program that has closed its standard input
static int woken;

static void woken_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WAKEUP) woken++;
  if (ev == MG_EV_RESOLVE) ++*(int *) c->fn_data;
  (void) ev_data;
}

static void descriptor_zero(void) {
  struct mg_connection *c, *l;
  int i, resolves;
  size_t files;
  for (i = 0; i < 2; i++) {
    static const char *const urls[] = {"tcp://127.0.0.1:0", "unix:" PATH};
    close(0);
    l = mg_listen(&mgr, urls[i], woken_fn, &resolves);
    CHECK_EQ((size_t) l->fd, 0);
    files = open_files();
    resolves = 0;
    mg_resolve(l, i == 0 ? "tcp://127.0.0.1:9" : "unix:" PATH);
    POLL_UNTIL(&mgr, resolves == 1);
    CHECK((size_t) l->fd == 0 && !l->is_closing && !l->is_connecting);
    CHECK_EQ(open_files(), files);
    // Ends a lookup, as far as the listener is concerned.
    l->is_resolving = 1;
    mg_resolve_cancel(l);
    CHECK(!l->is_resolving);
    l->is_closing = 1;
    poll_often(&mgr);
    CHECK(fcntl(0, F_GETFD) < 0);
  }
  l = mg_listen(&mgr, "udp://127.0.0.1:0", woken_fn, &resolves);
  CHECK_EQ((size_t) l->fd, 0);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", woken_fn, &resolves);
  mg_close_conn(l);
  CHECK(fcntl(0, F_GETFD) < 0);
  woken = 0;
  CHECK(mg_wakeup_init(&mgr));
  CHECK_EQ(mgr.pipe.fd, 0);
  CHECK(is_loopback(&mgr.conns->rem) && mgr.conns->rem.addr.ip[1] == 0 && mgr.conns->rem.addr.ip[2] == 0);
  CHECK(mg_wakeup(&mgr, c->id, "x", 1));
  POLL_UNTIL(&mgr, woken == 1);
}

// ---- nothing is left of what has ended
// In kilobytes, with what is mapped for messages.
static long mapped(void) {
  long pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  CHECK(f != NULL && fscanf(f, "%ld", &pages) == 1);
  if (f != NULL) fclose(f);
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void failing_listener(int i) {
  CHECK(mg_listen(&mgr, "tcp://192.0.2.1:0", NULL, NULL) == NULL);
  (void) i;
}

// Each from another address.
static void short_visit(int i) {
  struct mg_connection *l = mgr.conns;
  struct sockaddr_in sin;
  struct peer p;
  memset(&p, 0, sizeof(p));
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(0x7f010000u + (unsigned) i);
  p.fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(p.fd, (struct sockaddr *) &sin, sizeof(sin)) == 0);
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sin.sin_port = l->loc.port;
  CHECK(connect(p.fd, (struct sockaddr *) &sin, sizeof(sin)) == 0);
  POLL_UNTIL(&mgr, peer_read(&p));
  peer_free(&p);
  POLL_UNTIL(&mgr, mgr.conns == l);
}

static void visited_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) mg_send(c, "bye", 3), c->is_draining = 1;
  (void) ev_data;
}

static void own_connection(int i) {
  struct mg_connection *c = mg_alloc_conn(&mgr);
  c->fd = (void *) (size_t) -1;
  LIST_ADD_HEAD(struct mg_connection, &mgr.conns, c);
  mg_send(c, "output", 6);
  mg_iobuf_add(&c->recv, 0, "input", 5);
  mg_iobuf_add(&c->rtls, 0, "input", 5);
  if (i % 2 == 0) c->is_closing = 1, mg_mgr_poll(&mgr, 0); else mg_close_conn(c);
}

// One that belongs to no manager in use.
static void foreign_connection(int i) {
  struct mg_mgr none;
  struct mg_connection *c;
  memset(&none, 0, sizeof(none));
  c = mg_alloc_conn(&none);
  mg_iobuf_add(&c->send, 0, "output", 6);
  mg_iobuf_add(&c->recv, 0, "input", 5);
  mg_iobuf_add(&c->rtls, 0, "input", 5);
  mg_close_conn(c);
  (void) i;
}

static void leaves_nothing(void (*once)(int)) {
  size_t before = 0;
  int i;
  for (i = 0; i < 700; i++) {
    if (i == 200) before = memory_in_use();
    once(i);
  }
  poll_often(&mgr);
  CHECK(memory_in_use() < before + 12000);
}

static void memory(void) {
  struct mgx_limits limits;
  struct mg_connection *l;
  long before = 0;
  int i;
  leaves_nothing(failing_listener);
  leaves_nothing(own_connection);
  leaves_nothing(foreign_connection);
  memset(&limits, 0, sizeof(limits));
  limits.max_conns_per_ip = 10;
  mgx_mgr_limits(&mgr, &limits);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", visited_fn, NULL);
  mgx_conn_poll_events(l, false);
  leaves_nothing(short_visit);
  memset(&limits, 0, sizeof(limits));
  mgx_mgr_limits(&mgr, &limits);
  CHECK(mg_wakeup_init(&mgr));
  for (i = 0; i < 3000; i++) {
    if (i == 200) before = mapped();
    mg_wakeup(&mgr, l->id, "x", 1);
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(mapped() < before + 5000);
  for (i = 0; i < 2500; i++) {
    struct mg_mgr other;
    if (i == 200) before = mapped();
    mg_mgr_init(&other);
    CHECK(mg_wakeup_init(&other));
    mg_wakeup(&other, 1, "x", 1);
    mg_mgr_free(&other);
  }
  CHECK(mapped() < before + 5000);
  l->is_closing = 1;
  poll_often(&mgr);
}

int main(void) {
  mg_log_set_fn(log_char, NULL);
  mg_log_set(MG_LL_ERROR);
  unlink(PATH);
  mg_mgr_init(&mgr);
  accepted();
  ended_while_accepting();
  replaced_while_draining();
  crowd();
  clients();
  drained_client();
  duplicated();
  closed_with_a_copy();
  nothing_to_wait_for(0, true);
  nothing_to_wait_for(10, false);
  input_at_the_end();
  descriptor_zero();
  mg_mgr_free(&mgr);
  mg_mgr_init(&mgr);
  mg_log_set(MG_LL_NONE);
  memory();
  mg_mgr_free(&mgr);
  return DONE();
}
