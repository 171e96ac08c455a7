// A name with several addresses: they are tried in turn, and the application sees one connection.

#include "peer.h"
#include "mongoose_ext.h"

#include <netinet/tcp.h>

#ifdef __linux__
#include <dlfcn.h>
#include <poll.h>
#include <sys/epoll.h>

static bool unwatched;  // a socket cannot be watched in another way than before
static int unopened;    // so many streams cannot be opened

// The library's calls come here.
int epoll_ctl(int epoll, int op, int fd, struct epoll_event *event) {
  static int (*next)(int, int, int, struct epoll_event *);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "epoll_ctl");
  if (unwatched && op == EPOLL_CTL_MOD) return errno = ENOSPC, -1;
  return next(epoll, op, fd, event);
}

int socket(int family, int type, int protocol) {
  static int (*next)(int, int, int);
  if (next == NULL) *(void **) &next = dlsym(RTLD_NEXT, "socket");
  if (unopened > 0 && (type & 15) == SOCK_STREAM) return unopened--, errno = EAFNOSUPPORT, -1;
  return next(family, type, protocol);
}
#else
static bool unwatched;
#endif

static struct mg_mgr mgr;
static char dns_url[64];
static int questions;
static bool no_poll;        // clients get no MG_EV_POLL
static bool poll_long;      // polls last until something is due
static bool goes_on;        // clients go on after an error
static bool clock_at_zero;  // it has just been started
static uint64_t clock_now;  // if it is set, the time is this

uint64_t mg_millis(void) {
  if (clock_at_zero) return 0;
  return clock_now > 0 ? clock_now : real_ms();
}

enum { MULTICAST = 224 };  // cannot be connected to: that fails at once
enum { MOST = 32 };        // so many addresses are tried

// The last octets of the IPv4 addresses of a name, all in 127.0.0.0/8, and its number of IPv6 addresses: ::1, then some for
// multicast. `slow`: nothing is said about IPv6.
struct name {
  const char *name;
  uint8_t v4[8], n, v6;
  bool slow;
};

static const struct name names[] = {
    {"third.test", {9, 8, 1}, 3, false, false},
    {"second.test", {9, 1}, 2, false, false}, {"refused.test", {9, 8, 7}, 3, false, false},
    {"six.test", {9}, 1, true, false}, {"only-six.test", {0}, 0, true, false},
    {"hole.test", {66, 1}, 2, false, false}, {"hole-six.test", {66}, 1, true, false},
    {"deep.test", {66}, 1, false, false}, {"mute.test", {9}, 1, false, true},
    {"one.test", {1}, 1, false, false}, {"holes.test", {66, 67, 1}, 3, false, false},
    {"slow-hole.test", {66, 1}, 2, false, true}, {"refused-hole.test", {66, 9, 1}, 3, false, false},
    {"nowhere.test", {MULTICAST, 9}, 2, false, false}, {"lost.test", {9, MULTICAST}, 2, false, false},
    {"elsewhere.test", {MULTICAST, 1}, 2, false, true}, {"pits.test", {66, 67}, 2, false, false},
    {"deep-pits.test", {66, 67, 68}, 3, false, false}, {"between-pits.test", {66, 9, 67}, 3, false, false},
    {"pit-behind.test", {9, 66}, 2, false, false}, {"last.test", {0}, MOST, false, false},
    {"beyond.test", {0}, MOST + 1, false, false}, {"full.test", {66, 67}, MOST, 2, false},
    {"crowded.test", {66, 67}, MOST, 3, false}, {"late.test", {66, 67}, 2, false, true},
};

// Of a name with many addresses, the last is good.
static uint8_t octet(const struct name *name, size_t i) {
  if (name->n < MOST || (i < 8 && name->v4[i] != 0)) return name->v4[i];
  return i + 1 < name->n ? (uint8_t) (100 + i) : 1;
}

// The last question about which nothing was said.
static uint8_t unanswered[1000];
static size_t unanswered_len;
static struct mg_addr asker;

static void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_dns_message dm;
  struct mg_dns_rr rr;
  uint8_t out[1000], size[2];
  size_t i, k, n, at, len = c->recv.len;
  int answers = 0;
  if (ev != MG_EV_READ) return;
  if (!c->is_udp) {
    if (len < 2 || len < 2 + (size_t) c->recv.buf[1]) return;
    mg_iobuf_del(&c->recv, 0, 2);
    len -= 2;
  }
  c->recv.len = 0;
  n = mg_dns_parse_rr(c->recv.buf, len, sizeof(struct mg_dns_header), true, &rr);
  if (n == 0 || !mg_dns_parse(c->recv.buf, len, &dm)) return;
  questions++;
  at = sizeof(struct mg_dns_header) + n;
  memcpy(out, c->recv.buf, at);
  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(names[i].name, dm.name) != 0) continue;
    if (rr.atype == MG_DNS_RTYPE_AAAA && names[i].slow) {
      memcpy(unanswered, out, at);
      unanswered_len = at;
      asker = c->rem;
      return;
    }
    for (k = 0; rr.atype == MG_DNS_RTYPE_A && k < names[i].n; k++, answers++) {
      memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0", 15);
      out[at + 15] = octet(&names[i], k);
      if (out[at + 15] == MULTICAST) out[at + 12] = MULTICAST;
      at += 16;
    }
    for (k = 0; rr.atype == MG_DNS_RTYPE_AAAA && k < names[i].v6; k++, answers++) {
      memcpy(out + at, "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 28);
      if (k > 0) out[at + 12] = 0xff, out[at + 27] = (uint8_t) k;
      at += 28;
    }
  }
  out[2] = 0x81, out[3] = 0x80, out[6] = 0, out[7] = (uint8_t) answers, out[8] = out[9] = out[10] = out[11] = 0;
  size[0] = (uint8_t) (at >> 8), size[1] = (uint8_t) at;
  if (!c->is_udp) mg_send(c, size, 2);
  mg_send(c, out, at);
  (void) ev_data;
}

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hi");
  (void) ev_data;
}

struct client {
  int resolves, connects, errors, closes, answers, number;
  uint64_t up, down;
  size_t files;  // open when it is connected
  char error[64];
  struct mg_addr first, rem, loc;
  bool has_options, readable;
};

static int option(struct mg_connection *c, int level, int name) {
  int value = -1;
  socklen_t len = sizeof(value);
  return getsockopt((int) (ptrdiff_t) c->fd, level, name, (void *) &value, &len) == 0 ? value : -1;
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct client *r = (struct client *) c->fn_data;
  if (ev == MG_EV_OPEN && no_poll) mgx_conn_poll_events(c, false);
  if (ev == MG_EV_POLL && (int) (ptrdiff_t) c->fd < -1) r->errors += 100;
  if (ev == MG_EV_RESOLVE) r->resolves++, r->first = c->rem, mg_dscp(c, 1);
  if (ev == MG_EV_CONNECT) {
    r->connects++;
    r->readable = c->is_readable;
    r->files = open_files();
    r->up = real_ms();
    r->rem = c->rem;
    r->loc = c->loc;
    r->has_options = option(c, IPPROTO_TCP, TCP_NODELAY) == 1 && option(c, SOL_SOCKET, SO_KEEPALIVE) == 1 &&
                     (c->rem.is_ip6 ? option(c, IPPROTO_IPV6, IPV6_TCLASS) : option(c, IPPROTO_IP, IP_TOS)) == 1 << 2;
    mg_printf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  if (ev == MG_EV_HTTP_MSG) r->answers++, c->is_draining = 1;
  if (ev == MG_EV_ERROR) {
    r->errors++;
    r->down = real_ms();
    r->number = mgx_close_errno(c);
    if (goes_on) c->is_closing = 0;
    mg_snprintf(r->error, sizeof(r->error), "%s", (char *) ev_data);
  }
  if (ev == MG_EV_CLOSE) r->closes++;
}

static struct client try_name(const char *name, unsigned short port) {
  struct client r;
  char url[100];
  size_t files = open_files() + (mgr.dns4.c == NULL) + (mgr.dns6.c == NULL);  // which stay
  memset(&r, 0, sizeof(r));
  questions = 0;
  mg_snprintf(url, sizeof(url), "http://%s:%d/", name, port);
  CHECK(mg_http_connect(&mgr, url, client_fn, &r) != NULL);
  while (poll_long && r.closes == 0) mg_mgr_poll(&mgr, 600000);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.resolves == 1 && r.connects + r.errors == 1 && r.answers == r.connects);
  CHECK(r.connects == 0 || (r.has_options && !r.readable));
  // What has lost is gone, and nothing lingers.
  POLL_UNTIL(&mgr, open_files() <= files);
  return r;
}

static bool is_v4(struct mg_addr a, uint8_t last) {
  return !a.is_ip6 && a.addr.ip[0] == 127 && a.addr.ip[3] == last;
}

static bool is_v6(struct mg_addr a) {
  return a.is_ip6 && a.addr.ip[15] == 1 && a.scope_id == 0;
}

static void drained_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_send(c, "bye", 3), c->is_draining = 1;
  if (ev == MG_EV_CLOSE) ++*(int *) c->fn_data;
  (void) ev_data;
}

// A client whose first attempt is under way.
static struct mg_connection *begin(const char *name, unsigned short port, struct client *r) {
  struct mg_connection *c;
  char url[100];
  memset(r, 0, sizeof(*r));
  mg_snprintf(url, sizeof(url), "http://%s:%d/", name, port);
  c = mg_http_connect(&mgr, url, client_fn, r);
  POLL_UNTIL(&mgr, r->resolves == 1);
  return c;
}

// A listener that is not the manager's.
static int open_listener(unsigned short *port) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 5) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
  *port = ntohs(sin.sin_port);
  return fd;
}

// The second address is as good as the first: the socket lingers after a drain.
static void drained(void) {
  unsigned short port;
  struct peer p;
  char url[100];
  int fd = open_listener(&port), closes = 0;
  memset(&p, 0, sizeof(p));
  mg_snprintf(url, sizeof(url), "tcp://second.test:%d", port);
  mg_connect(&mgr, url, drained_fn, &closes);
  POLL_UNTIL(&mgr, (p.fd = accept(fd, NULL, NULL)) >= 0);
  POLL_UNTIL(&mgr, closes == 1 && peer_read(&p));
  CHECK(p.end == PEER_FIN && peer_got(&p, "bye"));
  CHECK(peer_send_text(&p, "see you"));
  poll_often(&mgr);
  CHECK(!peer_was_reset_late(&p));
  peer_free(&p);
  close(fd);
  poll_often(&mgr);
}

// The question for other addresses, which nobody answers, ends as soon as one is connected.
static void asks_no_longer(void) {
  unsigned short port;
  struct mg_connection *c;
  struct client r;
  int fd = open_listener(&port);
  size_t files = open_files();
  c = begin("elsewhere.test", port, &r);
  POLL_UNTIL(&mgr, r.connects == 1);
  CHECK_EQ(r.files, files + 1);
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  close(fd);
}

// A socket whose queue is full: the kernel drops further attempts to connect.
static int open_full_listener(uint8_t last, unsigned short port, int *fill, int n) {
  struct sockaddr_in sin;
  int i, fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port);
  sin.sin_addr.s_addr = htonl(0x7f000000u + last);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 0) == 0);
  for (i = 0; i < n; i++) {
    fill[i] = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fill[i], F_SETFL, O_NONBLOCK);
    connect(fill[i], (struct sockaddr *) &sin, sizeof(sin));
  }
  return fd;
}

static void set_timeout(int ms) {
  struct mgx_limits l;
  memset(&l, 0, sizeof(l));
  l.connect_timeout_ms = ms;
  mgx_mgr_limits(&mgr, &l);
}

// The client's first socket has the lowest number there is.
static void descriptor_zero(unsigned short port) {
  struct mg_connection *c;
  struct client r;
  char url[64];
  close(0);
  r = try_name("second.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  // It is closed when another one connects first.
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  set_timeout(400);
  r = try_name("deep.test", port);
  CHECK_EQ(r.number, ETIMEDOUT);
  set_timeout(0);
  // It stays when the second attempt begins.
  clock_now = real_ms();
  c = begin("pits.test", port, &r);
  clock_now += 250;
  poll_often(&mgr);
  CHECK((size_t) c->fd == 0 && is_v4(c->rem, 66));
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  // A client that has a socket gets no other addresses.
  c = begin("deep.test", port, &r);
  CHECK((size_t) c->fd == 0);
  mg_snprintf(url, sizeof(url), "http://second.test:%d/", port);
  mg_resolve(c, url);
  POLL_UNTIL(&mgr, r.resolves == 2);
  clock_now += 250;
  poll_often(&mgr);
  CHECK(r.connects == 0 && (size_t) c->fd == 0);
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  clock_now = 0;
  CHECK(open("/dev/null", O_RDONLY) == 0);
}

// Each step is due at its time, and a poll ends for it.
static void on_time(unsigned short port) {
  struct mg_connection *c;
  struct client r;
  size_t files;
  poll_long = true;
  r = try_name("holes.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  poll_long = false;
  clock_now = real_ms();
  r = try_name("refused.test", port);
  CHECK(r.errors == 1);
  r = try_name("second.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  begin("refused-hole.test", port, &r);
  clock_now += 249;
  poll_often(&mgr);
  CHECK_EQ(r.connects, 0);
  clock_now += 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  // A second attempt that fails leaves no socket, while the first and the third go on.
  c = begin("between-pits.test", port, &r);
  poll_often(&mgr);
  files = open_files();
  clock_now += 250;
  poll_often(&mgr);
  CHECK_EQ(open_files(), files + 1);
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  set_timeout(1);
  begin("127.0.0.66", port, &r);
  poll_often(&mgr);
  CHECK_EQ(r.closes, 0);
  clock_now += 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK_EQ(r.number, ETIMEDOUT);
  // What was reported of a socket that is gone does not count for the one that took its place.
  begin("pit-behind.test", port, &r);
  poll_often(&mgr);
  clock_now += 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK_EQ(r.number, ETIMEDOUT);
  // A handler that does not take this for the end hears of it once.
  goes_on = true;
  c = begin("127.0.0.66", port, &r);
  clock_now += 1;
  poll_often(&mgr);
  CHECK(r.errors == 1 && r.closes == 0);
  goes_on = false;
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  set_timeout(0);
  clock_now = 0;
  clock_at_zero = true;
  r = try_name("second.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  clock_at_zero = false;
}

// One of three attempts succeeds, time and again: nothing is left of the others.
static void succeeded(unsigned short port) {
  struct client r;
  size_t before = 0;
  int i;
  clock_now = real_ms();
  for (i = 0; i < 200; i++) {
    if (i == 70) before = memory_in_use();
    begin("holes.test", port, &r);
    clock_now += 250;
    mg_mgr_poll(&mgr, 0);
    clock_now += 250;
    POLL_UNTIL(&mgr, r.closes == 1);
    CHECK_EQ(r.answers, 1);
  }
  poll_often(&mgr);
  CHECK(memory_in_use() < before + 20000);
  clock_now = 0;
}

#ifdef __linux__
static bool await(int fd, short events) {
  struct pollfd p;
  p.fd = fd;
  p.events = events;
  return poll(&p, 1, 50000) == 1 && (p.revents & events) != 0;
}

// Makes room in the queue, and accepts the client that waited for that.
static int accept_waiting(int listener, const int *fill, int n) {
  int i, fd;
  char byte;
  for (i = 0; i < n; i++) close(fill[i]);
  while (await(listener, POLLIN) && (fd = accept(listener, NULL, NULL)) >= 0) {
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) return fd;
    close(fd);
  }
  return -1;
}

// A poll finds that the first attempt has connected, with data, that so has the second, without, and that there are no more
// addresses. When it learns this it looks at the second, before it comes to the first.
static void both_connected(void) {
  unsigned short port;
  struct client r;
  struct mg_connection *c, *dns;
  struct sockaddr_in sin;
  int fd = open_listener(&port), holes[2], fill[8], ends[2], i;
  for (i = 0; i < 2; i++) holes[i] = open_full_listener((uint8_t) (66 + i), port, fill + 4 * i, 4);
  // The next one is younger than its client, which comes after it in a poll.
  if (mgr.dns4.c != NULL) mg_close_conn(mgr.dns4.c);
  if (mgr.dns6.c != NULL) mg_close_conn(mgr.dns6.c);
  clock_now = real_ms();
  unanswered_len = 0;
  c = begin("late.test", port, &r);
  clock_now += 250;
  POLL_UNTIL(&mgr, unanswered_len > 0);
  for (i = 0; i < 2; i++) CHECK((ends[i] = accept_waiting(holes[i], fill + 4 * i, 4)) >= 0);
  CHECK(send(ends[0], "x", 1, 0) == 1 && await((int) (ptrdiff_t) c->fd, POLLIN));
  for (dns = mgr.conns; dns != NULL && (dns->fn != dns_fn || !dns->is_udp); dns = dns->next) {
  }
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = asker.port;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  unanswered[2] = 0x81, unanswered[3] = 0x80;
  memset(unanswered + 6, 0, 6);
  CHECK(sendto((int) (ptrdiff_t) dns->fd, unanswered, unanswered_len, 0, (struct sockaddr *) &sin, sizeof(sin)) > 0);
  mg_mgr_poll(&mgr, 0);
  CHECK(r.connects == 1 && is_v4(r.rem, 67) && !r.readable);
  c->is_closing = 1;
  POLL_UNTIL(&mgr, r.closes == 1);
  for (i = 0; i < 2; i++) close(holes[i]), close(ends[i]);
  close(fd);
  clock_now = 0;
}
#endif

// The first of three attempts fails, and the second cannot take its place, time and again.
static void replaced_in_vain(unsigned short port) {
  struct client r;
  struct mg_connection *c;
  size_t before = 0;
  int i, k;
  clock_now = real_ms();
  for (i = 0; i < 200; i++) {
    if (i == 70) before = memory_in_use();
    c = begin("deep-pits.test", port, &r);
    for (k = 0; k < 2; k++) clock_now += 250, mg_mgr_poll(&mgr, 0);
    unwatched = true;
    shutdown((int) (ptrdiff_t) c->fd, SHUT_RDWR);
    poll_often(&mgr);
    unwatched = false;
    if (r.closes == 0) c->is_closing = 1;  // elsewhere it can
    POLL_UNTIL(&mgr, r.closes == 1);
    CHECK_EQ(r.connects, 0);
  }
  CHECK(memory_in_use() < before + 20000);
  clock_now = 0;
}

// Ended while two attempts are under way, time and again: nothing is left of them.
static void abandoned(unsigned short port, bool by_timeout) {
  struct client r;
  struct mg_connection *c;
  size_t before = 0;
  int i;
  clock_now = real_ms();
  if (by_timeout) set_timeout(400);
  for (i = 0; i < 200; i++) {
    if (i == 70) before = memory_in_use();
    c = begin("pits.test", port, &r);
    clock_now += 250;
    mg_mgr_poll(&mgr, 0);
    if (by_timeout) clock_now += 150; else c->is_closing = 1;
    POLL_UNTIL(&mgr, r.closes == 1);
    CHECK_EQ(r.errors, by_timeout);
  }
  CHECK(memory_in_use() < before + 20000);
  set_timeout(0);
  clock_now = 0;
}

#ifdef __linux__
// No socket for the first address, nobody at the second.
static void no_socket(unsigned short port) {
  struct client r;
  unopened = 1;
  r = try_name("third.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 8) && is_v4(r.rem, 1));
  CHECK_EQ(unopened, 0);
}
#endif

// There are no other addresses, time and again.
static void no_more_addresses(unsigned short port) {
  struct client r;
  size_t before = 0;
  int i;
  for (i = 0; i < 200; i++) {
    if (i == 70) before = memory_in_use();
    r = try_name("refused.test", port);
    CHECK(r.errors == 1 && questions == 2);
  }
  CHECK(memory_in_use() < before + 20000);
}

// So many are in no datagram.
static void ask_by_tcp(void) {
  static char url[64];
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", dns_fn, NULL);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port_of(l));
  mg_close_conn(mgr.dns4.c);
  mgr.dns4.url = url;
}

static void ask_by_udp_again(void) {
  mg_close_conn(mgr.dns4.c);
  mgr.dns4.url = dns_url;
}

static void the_last_of_many(unsigned short port) {
  struct client r;
  ask_by_tcp();
  begin("last.test", port, &r);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.answers == 1 && is_v4(r.first, 100) && is_v4(r.rem, 1));
  begin("beyond.test", port, &r);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.answers == 0 && r.number == ECONNREFUSED);
  ask_by_udp_again();
}

// Those of the other family, which are told after the second attempt, take the places of the last.
static void the_last_of_two_families(unsigned short port) {
  struct mg_connection *c;
  struct client r;
  int i, crowded;
  ask_by_tcp();
  clock_now = real_ms();
  for (crowded = 0; crowded < 2; crowded++) {
    questions = 0;
    c = begin(crowded ? "crowded.test" : "full.test", port, &r);
    clock_now += 250;
    POLL_UNTIL(&mgr, questions == 2);
    poll_often(&mgr);
    CHECK(r.connects == 0 && r.errors == 0);
    clock_now += 250;
    for (i = 0; i < 10; i++) poll_often(&mgr);
    CHECK_EQ(r.connects, !crowded);
    if (crowded) c->is_closing = 1;
    POLL_UNTIL(&mgr, r.closes == 1);
  }
  clock_now = 0;
  ask_by_udp_again();
}

static void connect_timeouts(unsigned short port) {
  struct client r;
  uint64_t start;
  int holes[3], fill[12], i;
  for (i = 0; i < 3; i++) holes[i] = open_full_listener((uint8_t) (66 + i), port, fill + 4 * i, 4);
  start = real_ms();
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 66) && is_v4(r.rem, 1) && r.up - start >= 250);
  start = real_ms();
  r = try_name("holes.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1) && r.up - start >= 500);
  // Not forever.
  set_timeout(400);
  start = real_ms();
  r = try_name("deep.test", port);
  CHECK(r.errors == 1 && r.number == ETIMEDOUT && strcmp(r.error, "connect timeout") == 0 && r.down - start >= 400);
  r = try_name("127.0.0.66", port);
  CHECK(r.errors == 1 && r.number == ETIMEDOUT && strcmp(r.error, "connect timeout") == 0);
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  r = try_name("127.0.0.1", port);
  CHECK(r.answers == 1);
  set_timeout(0);
  descriptor_zero(port);
  no_poll = true;
  r = try_name("slow-hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  no_poll = false;
  on_time(port);
  the_last_of_two_families(port);
  succeeded(port);
  abandoned(port, false);
  abandoned(port, true);
  replaced_in_vain(port);
  for (i = 0; i < 3; i++) close(holes[i]);
  for (i = 0; i < 12; i++) close(fill[i]);
}

// Two fail in the same poll. The handler that hears of the first waits until the second is connected at another address: what was
// reported of its first socket is not for that.
static struct client later;

static void waiting_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) {
    clock_now += 250;
    POLL_UNTIL(&mgr, later.connects == 1);
  }
  (void) c, (void) ev_data;
}

static void connected_in_a_handler(unsigned short port) {
  char url[64];
  clock_now = real_ms();
  memset(&later, 0, sizeof(later));
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", port);
  mg_http_connect(&mgr, url, waiting_fn, NULL);
  mg_snprintf(url, sizeof(url), "http://localhost:%d/", port);
  mg_http_connect(&mgr, url, client_fn, &later);
  POLL_UNTIL(&mgr, later.closes == 1);
  CHECK(later.connects == 1 && later.answers == 1 && later.errors == 0);
  clock_now = 0;
  poll_often(&mgr);
}

static void closed_while_connecting(unsigned short port) {
  struct client a, b;
  int holes[1], fill[4], i;
  size_t files;
  char url[100];
  holes[0] = open_full_listener(66, port, fill, 4);
  files = open_files();
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  mg_snprintf(url, sizeof(url), "http://deep.test:%d/", port);
  mg_http_connect(&mgr, url, client_fn, &a);
  POLL_UNTIL(&mgr, a.resolves == 1);
  mg_http_connect(&mgr, url, client_fn, &b)->is_closing = 1;
  POLL_UNTIL(&mgr, b.closes == 1);
  CHECK(a.closes == 0);
  mgr.conns->is_closing = 1;
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(a.errors == 0 && b.errors == 0);
  POLL_UNTIL(&mgr, open_files() <= files + 1);
  // And one that goes with its manager.
  memset(&a, 0, sizeof(a));
  mg_snprintf(url, sizeof(url), "http://hole.test:%d/", port);
  mg_http_connect(&mgr, url, client_fn, &a);
  POLL_UNTIL(&mgr, a.resolves == 1);
  mg_mgr_free(&mgr);
  CHECK(a.closes == 1 && a.errors == 0);
  close(holes[0]);
  for (i = 0; i < 4; i++) close(fill[i]);
}

static void family_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_RESOLVE || ev == MG_EV_CONNECT) *(int *) c->fn_data += c->rem.is_ip6 == c->loc.is_ip6 ? 1 : 100;
  (void) ev_data;
}

// A socket that has sent nothing has no address yet, but a family.
static void unsent(const char *url) {
  int agreed = 0;
  struct mg_connection *c = mg_connect(&mgr, url, family_fn, &agreed);
  CHECK(c != NULL);
  POLL_UNTIL(&mgr, agreed >= 2);
  CHECK_EQ(agreed, 2);
  if (c != NULL) c->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
}

int main(void) {
  struct mg_connection *dns, *v4, *v6;
  struct client r;
  unsigned short port;
  char url[64];
  size_t before = 0;
  int i;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  dns = mg_listen(&mgr, "udp://127.0.0.1:0", dns_fn, NULL);
  mg_snprintf(dns_url, sizeof(dns_url), "udp://127.0.0.1:%d", port_of(dns));
  mgr.dns4.url = mgr.dns6.url = dns_url;
  v4 = mg_http_listen(&mgr, "http://127.0.0.1:0", server_fn, NULL);
  port = port_of(v4);

  r = try_name("one.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  CHECK_EQ(questions, 1);
  r = try_name("second.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 9) && is_v4(r.rem, 1) && is_v4(r.loc, 1));
  r = try_name("localhost", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  CHECK_EQ(questions, 0);
  r = try_name("refused.test", port);
  CHECK(r.errors == 1 && strcmp(r.error, "socket error") == 0);
  CHECK_EQ(r.number, ECONNREFUSED);
  CHECK_EQ(questions, 2);
  // The addresses are known, and the server does not say whether there are others.
  mgr.dnstimeout = 300;
  r = try_name("nowhere.test", port);
  CHECK_EQ(r.number, ECONNREFUSED);
  r = try_name("lost.test", port);
  CHECK_EQ(r.number, ECONNREFUSED);
  r = try_name("elsewhere.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  no_poll = true;
  r = try_name("elsewhere.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  r = try_name("second.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  no_poll = false;
  drained();
  asks_no_longer();
  r = try_name("mute.test", port);
  CHECK(r.errors == 1 && strcmp(r.error, "socket error") == 0);
  CHECK_EQ(r.number, ECONNREFUSED);
  mgr.dnstimeout = 50000;
#ifdef __linux__
  no_socket(port);
#endif
  no_more_addresses(port);
  the_last_of_many(port);
  connect_timeouts(port);
#ifdef __linux__
  both_connected();
#endif

  mg_snprintf(url, sizeof(url), "http://[::1]:%d", port);
  v6 = mg_http_listen(&mgr, url, server_fn, NULL);
  CHECK(v6 != NULL);
  v4->is_closing = 1;
  poll_often(&mgr);
  r = try_name("six.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 9) && is_v6(r.rem) && is_v6(r.loc));
  CHECK_EQ(questions, 2);
  no_poll = true;
  r = try_name("six.test", port);
  CHECK(r.answers == 1 && is_v6(r.rem));
  no_poll = false;
  r = try_name("localhost", port);
  CHECK(r.answers == 1 && is_v4(r.first, 1) && is_v6(r.rem));
  connected_in_a_handler(port);
  for (i = 0; i < 200; i++) {
    if (i == 70) before = memory_in_use();
    r = try_name("localhost", port);
    CHECK(r.answers == 1 && is_v6(r.rem));
  }
  poll_often(&mgr);
  CHECK(memory_in_use() < before + 20000);
  r = try_name("sub.LOCALHOST.", port);
  CHECK(r.answers == 1 && is_v6(r.rem));
  r = try_name("only-six.test", port);
  CHECK(r.answers == 1 && is_v6(r.rem));
  CHECK_EQ(questions, 2);
  mgr.use_dns6 = true;
  r = try_name("six.test", port);
  CHECK(r.answers == 1 && is_v6(r.first) && is_v6(r.rem));
  CHECK_EQ(questions, 1);
  v6->is_closing = 1;
  v4 = mg_http_listen(&mgr, "http://127.0.0.9:0", server_fn, NULL);
  poll_often(&mgr);
  r = try_name("six.test", port_of(v4));
  CHECK(r.answers == 1 && is_v6(r.first) && is_v4(r.rem, 9));
  CHECK_EQ(questions, 2);
  mgr.use_dns6 = false;
  unsent("udp://127.0.0.1:9");
  unsent("udp://[::1]:9");
  closed_while_connecting(port_of(v4));
  return DONE();
}
