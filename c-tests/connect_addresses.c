// A name with several addresses: they are tried in turn, and the application sees one connection.

#include "peer.h"
#include "mongoose_ext.h"

static struct mg_mgr mgr;
static char dns_url[64];
static int questions;

// The last octets of the IPv4 addresses of a name, all in 127.0.0.0/8, and whether it has ::1. `slow`: nothing is said about IPv6.
struct name {
  const char *name;
  uint8_t v4[8], n;
  bool v6, slow;
};

static const struct name names[] = {
    {"second.test", {9, 1}, 2, false, false},  {"refused.test", {9, 8, 7}, 3, false, false}, {"six.test", {9}, 1, true, false},
    {"only-six.test", {0}, 0, true, false},    {"hole.test", {66, 1}, 2, false, false},      {"hole-six.test", {66}, 1, true, false},
    {"deep.test", {66}, 1, false, false},      {"mute.test", {9}, 1, false, true},           {"one.test", {1}, 1, false, false},
    {"holes.test", {66, 67, 68, 1}, 4, false, false},
};

static void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_dns_message dm;
  struct mg_dns_rr rr;
  uint8_t out[512];
  size_t i, k, n, at, len = c->recv.len;
  int answers = 0;
  if (ev != MG_EV_READ) return;
  c->recv.len = 0;
  n = mg_dns_parse_rr(c->recv.buf, len, sizeof(struct mg_dns_header), true, &rr);
  if (n == 0 || !mg_dns_parse(c->recv.buf, len, &dm)) return;
  questions++;
  at = sizeof(struct mg_dns_header) + n;
  memcpy(out, c->recv.buf, at);
  for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
    if (strcmp(names[i].name, dm.name) != 0) continue;
    if (rr.atype == MG_DNS_RTYPE_AAAA && names[i].slow) return;
    for (k = 0; rr.atype == MG_DNS_RTYPE_A && k < names[i].n; k++, answers++) {
      memcpy(out + at, "\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0", 15);
      out[at + 15] = names[i].v4[k];
      at += 16;
    }
    if (rr.atype == MG_DNS_RTYPE_AAAA && names[i].v6) {
      memcpy(out + at, "\xc0\x0c\0\x1c\0\1\0\0\0\x3c\0\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", 28);
      at += 28;
      answers++;
    }
  }
  out[2] = 0x81, out[3] = 0x80, out[6] = 0, out[7] = (uint8_t) answers, out[8] = out[9] = out[10] = out[11] = 0;
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
  char error[64];
  struct mg_addr first, rem, loc;
};

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct client *r = (struct client *) c->fn_data;
  if (ev == MG_EV_RESOLVE) r->resolves++, r->first = c->rem;
  if (ev == MG_EV_CONNECT) {
    r->connects++;
    r->up = real_ms();
    r->rem = c->rem;
    r->loc = c->loc;
    mg_printf(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
  }
  if (ev == MG_EV_HTTP_MSG) r->answers++, c->is_draining = 1;
  if (ev == MG_EV_ERROR) {
    r->errors++;
    r->down = real_ms();
    r->number = mgx_close_errno(c);
    mg_snprintf(r->error, sizeof(r->error), "%s", (char *) ev_data);
  }
  if (ev == MG_EV_CLOSE) r->closes++;
}

static struct client try_name(const char *name, unsigned short port) {
  struct client r;
  char url[100];
  size_t files = open_files();
  memset(&r, 0, sizeof(r));
  questions = 0;
  mg_snprintf(url, sizeof(url), "http://%s:%d/", name, port);
  CHECK(mg_http_connect(&mgr, url, client_fn, &r) != NULL);
  POLL_UNTIL(&mgr, r.closes == 1);
  CHECK(r.resolves == 1 && r.connects + r.errors == 1 && r.answers == r.connects);
  if (r.errors > 0) fprintf(stderr, "%s: %s, %d\n", name, r.error, r.number);
  // What has lost is gone, and nothing lingers.
  POLL_UNTIL(&mgr, open_files() <= files + 1);
  return r;
}

static bool is_v4(struct mg_addr a, uint8_t last) {
  return !a.is_ip6 && a.addr.ip[0] == 127 && a.addr.ip[3] == last;
}

static bool is_v6(struct mg_addr a) {
  return a.is_ip6 && a.addr.ip[15] == 1;
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

static void connect_timeouts(unsigned short port) {
  struct client r;
  uint64_t start;
  struct mgx_limits l;
  int holes[3], fill[12], i;
  for (i = 0; i < 3; i++) holes[i] = open_full_listener((uint8_t) (66 + i), port, fill + 4 * i, 4);
  start = real_ms();
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 66) && is_v4(r.rem, 1) && r.up - start >= 250);
  start = real_ms();
  r = try_name("holes.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1) && r.up - start >= 750);
  // Not forever.
  memset(&l, 0, sizeof(l));
  l.connect_timeout_ms = 400;
  mgx_mgr_limits(&mgr, &l);
  start = real_ms();
  r = try_name("deep.test", port);
  CHECK(r.errors == 1 && r.number == ETIMEDOUT && strcmp(r.error, "connect timeout") == 0 && r.down - start >= 400);
  r = try_name("127.0.0.66", port);
  CHECK(r.errors == 1 && r.number == ETIMEDOUT && strcmp(r.error, "connect timeout") == 0);
  r = try_name("hole.test", port);
  CHECK(r.answers == 1 && is_v4(r.rem, 1));
  r = try_name("127.0.0.1", port);
  CHECK(r.answers == 1);
  memset(&l, 0, sizeof(l));
  mgx_mgr_limits(&mgr, &l);
  for (i = 0; i < 3; i++) close(holes[i]);
  for (i = 0; i < 12; i++) close(fill[i]);
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
  r = try_name("mute.test", port);
  CHECK(r.errors == 1 && strcmp(r.error, "socket error") == 0);
  CHECK_EQ(r.number, ECONNREFUSED);
  mgr.dnstimeout = 50000;
  connect_timeouts(port);

  mg_snprintf(url, sizeof(url), "http://[::1]:%d", port);
  v6 = mg_http_listen(&mgr, url, server_fn, NULL);
  CHECK(v6 != NULL);
  v4->is_closing = 1;
  poll_often(&mgr);
  r = try_name("six.test", port);
  CHECK(r.answers == 1 && is_v4(r.first, 9) && is_v6(r.rem) && is_v6(r.loc));
  CHECK_EQ(questions, 2);
  r = try_name("localhost", port);
  CHECK(r.answers == 1 && is_v4(r.first, 1) && is_v6(r.rem));
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
