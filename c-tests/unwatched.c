// The system refuses to watch a socket, as it does when a user watches too many: whoever opens one is told, or the next address is
// tried, and nothing is left of it.
#include "mongoose.h"
#include "mongoose_ext.h"

#ifdef __linux__

#include <dlfcn.h>
#include <sys/epoll.h>

#include "peer.h"

#define PATH "unwatched.sock"

static struct mg_mgr mgr;
static int refused_op;  // of epoll_ctl
static uint64_t ahead;  // so far is the clock

uint64_t mg_millis(void) {
  return real_ms() + ahead;
}

// The library's calls come here.
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
  static int (*next)(int, int, int, struct epoll_event *);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "epoll_ctl");
  if (op == refused_op) return errno = ENOSPC, -1;
  return next(epoll, op, fd, event);
}

static void leaves_nothing(void (*once)(void)) {
  size_t before = 0, files = 0;
  int i;
  for (i = 0; i < 300; i++) {
    if (i == 100) before = memory_in_use(), files = open_files();
    once();
  }
  POLL_UNTIL(&mgr, open_files() <= files);
  CHECK(memory_in_use() < before + 20000);
}

// ---- listeners
static void listen_once(void) {
  static const char *const urls[] = {"tcp://127.0.0.1:0", "udp://127.0.0.1:0", "unix:" PATH};
  struct mg_connection *c;
  size_t i;
  for (i = 0; i < 3; i++) {
    refused_op = EPOLL_CTL_ADD;
    errno = 0;
    CHECK(mg_listen(&mgr, urls[i], NULL, NULL) == NULL);
    CHECK_EQ(errno, EMFILE);
    refused_op = 0;
  }
  // The file of the socket is gone before the connection is.
  c = mg_alloc_conn(&mgr);
  refused_op = EPOLL_CTL_ADD;
  CHECK(!mg_open_listener(c, "unix:" PATH));
  refused_op = 0;
  CHECK(access(PATH, F_OK) != 0);
  mg_close_conn(c);
}

static void wakeup_once(void) {
  refused_op = EPOLL_CTL_ADD;
  CHECK(!mg_wakeup_init(&mgr));
  refused_op = 0;
  CHECK(mgr.conns == NULL);
}

static int given = -1;

static void take_over_once(void) {
  refused_op = EPOLL_CTL_ADD;
  CHECK(mgx_listen_fd(&mgr, given, "tcp://", NULL, NULL) == NULL);
  CHECK(mg_wrapfd(&mgr, given, NULL, NULL) == NULL);
  refused_op = 0;
  CHECK(fcntl(given, F_GETFD) >= 0);  // still the application's
}

static void accept_once(void) {
  struct peer p;
  peer_open(&p, mgr.conns);
  refused_op = EPOLL_CTL_ADD;
  POLL_UNTIL(&mgr, peer_read(&p));
  refused_op = 0;
  CHECK(mgr.conns->next == NULL);
  peer_free(&p);
}

// A socket with a port of 127.0.0.1, at which nobody listens.
static int reserve_port(struct sockaddr_in *sin) {
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  socklen_t len = sizeof(*sin);
  memset(sin, 0, sizeof(*sin));
  sin->sin_family = AF_INET;
  sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) sin, sizeof(*sin)) == 0 && getsockname(fd, (struct sockaddr *) sin, &len) == 0);
  return fd;
}

static void listeners(void) {
  struct sockaddr_in sin;
  struct mg_connection *l;
  leaves_nothing(listen_once);
  leaves_nothing(wakeup_once);
  given = reserve_port(&sin);
  CHECK(listen(given, 5) == 0);
  leaves_nothing(take_over_once);
  close(given);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  leaves_nothing(accept_once);
  l->is_closing = 1;
  poll_often(&mgr);
}

// ---- clients
static int resolves, connects, errors, closes;

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_RESOLVE) resolves++;
  if (ev == MG_EV_CONNECT) connects++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_CLOSE) closes++;
  (void) c, (void) ev_data;
}

static void connect_to(const char *url) {
  resolves = connects = errors = closes = 0;
  mg_connect(&mgr, url, client_fn, NULL);
}

static void fails(void) {
  POLL_UNTIL(&mgr, closes == 1);
  refused_op = 0;
  CHECK(connects == 0 && errors == 1);
}

static char tcp_url[64], local_url[64], host_url[64];

static void clients_once(void) {
  const char *const urls[] = {tcp_url, local_url, "udp://127.0.0.1:9", "unix:" PATH};
  size_t i;
  for (i = 0; i < 4; i++) {
    refused_op = EPOLL_CTL_ADD;
    connect_to(urls[i]);
    fails();
  }
}

// Nobody listens at the first address; the socket for the second is not watched.
static void second_address_once(void) {
  connect_to(local_url);
  refused_op = EPOLL_CTL_ADD;
  fails();
}

// The same when it takes the place of the first.
static void replaced_once(void) {
  connect_to(local_url);
  refused_op = EPOLL_CTL_MOD;
  POLL_UNTIL(&mgr, closes == 1);
  refused_op = 0;
  CHECK_EQ(connects, 0);
}

// The second address answers while the first, whose queue is full, is silent.
static void overtaken(int fd, const struct sockaddr_in *sin) {
  int fill[4], i;
  CHECK(listen(fd, 0) == 0);
  for (i = 0; i < 4; i++) {
    fill[i] = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fill[i], F_SETFL, O_NONBLOCK);
    connect(fill[i], (const struct sockaddr *) sin, sizeof(*sin));
  }
  connect_to(local_url);
  poll_often(&mgr);
  CHECK(connects == 0 && closes == 0);
  ahead += 250;
  refused_op = EPOLL_CTL_MOD;
  POLL_UNTIL(&mgr, closes == 1);
  refused_op = 0;
  CHECK_EQ(connects, 0);
  for (i = 0; i < 4; i++) close(fill[i]);
}

static void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_READ) return;
  c->recv.buf[2] |= 0x80;  // an answer without an address
  mg_send(c, c->recv.buf, c->recv.len);
  c->recv.len = 0;
  (void) ev_data;
}

// The connection to the server is there, and each question has a socket of its own.
static void lookup_once(void) {
  connect_to(host_url);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(errors == 1 && mgr.dns4.c != NULL);
  refused_op = EPOLL_CTL_ADD;
  connect_to(host_url);
  fails();
  CHECK_EQ(resolves, 0);
}

static void clients(void) {
  static char dns_url[64];
  struct mg_connection *l, *dns = mg_listen(&mgr, "udp://127.0.0.1:0", dns_fn, NULL);
  struct mg_connection *u = mg_listen(&mgr, "unix:" PATH, NULL, NULL);
  struct sockaddr_in sin;
  int fd = reserve_port(&sin);
  mg_snprintf(tcp_url, sizeof(tcp_url), "tcp://[::1]:%d", ntohs(sin.sin_port));
  while ((l = mg_listen(&mgr, tcp_url, NULL, NULL)) == NULL) {
    int next = reserve_port(&sin);
    close(fd);
    fd = next;
    mg_snprintf(tcp_url, sizeof(tcp_url), "tcp://[::1]:%d", ntohs(sin.sin_port));
  }
  mg_snprintf(local_url, sizeof(local_url), "tcp://localhost:%d", port_of(l));
  mg_snprintf(host_url, sizeof(host_url), "tcp://a.test:%d", port_of(l));
  mg_snprintf(dns_url, sizeof(dns_url), "udp://127.0.0.1:%d", port_of(dns));
  mgr.dns4.url = mgr.dns6.url = dns_url;
  leaves_nothing(lookup_once);
  leaves_nothing(clients_once);
  leaves_nothing(second_address_once);
  leaves_nothing(replaced_once);
  connect_to(local_url);
  POLL_UNTIL(&mgr, connects == 1);
  overtaken(fd, &sin);
  l->is_closing = u->is_closing = 1;
  close(fd);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  unlink(PATH);
  mg_mgr_init(&mgr);
  listeners();
  clients();
  mg_mgr_free(&mgr);
  return DONE();
}

#else

#include "check.h"

int main(void) {
  CHECK(true);
  return DONE();
}

#endif
