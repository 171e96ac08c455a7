// The servers and search domains of /etc/resolv.conf, which is a file of the test in a namespace of its own, with servers at port
// 53. Does nothing where the system does not allow that.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifdef __linux__
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#endif

#include "clock.h"
#include "dns.h"

#ifdef __linux__

static struct mg_mgr mgr;
static char conf[] = "/tmp/resolv-XXXXXX";

enum { REPLIES, SILENT, FAILS };

static struct server {
  struct dns_server dns;
  int how;
} servers[2];

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct server *s = (struct server *) c->fn_data;
  if (ev != MG_EV_READ || !c->is_udp || s->how == REPLIES) {
    c->fn_data = &s->dns;
    dns_fn(c, ev, ev_data);
    c->fn_data = s;
  } else {
    s->dns.queries++;
    c->recv.buf[2] |= 0x80, c->recv.buf[3] |= 2;
    if (s->how == FAILS) mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
  }
}

// Behaviour of the two servers from now on, which have not been asked yet.
static void set_servers(int first, int second) {
  memset(servers, 0, sizeof(servers));
  servers[0].how = first;
  servers[1].how = second;
}

static bool asked(int first, int second) {
  bool same = servers[0].dns.queries == first && servers[1].dns.queries == second;
  if (!same) fprintf(stderr, "asked %d and %d times\n", servers[0].dns.queries, servers[1].dns.queries);
  return same;
}

static void write_conf(const char *text) {
  FILE *f = fopen(conf, "w");
  CHECK(f != NULL && fputs(text, f) >= 0 && fclose(f) == 0);
}

// Enters a namespace with a loopback interface and nothing else, and puts the file in its place.
static bool isolate(void) {
  struct ifreq lo;
  int fd, user = geteuid() == 0 ? 0 : CLONE_NEWUSER;
  bool up;
  if (unshare(user | CLONE_NEWNS | CLONE_NEWNET) != 0) return false;
  if (mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0) return false;
  if (mount(conf, "/etc/resolv.conf", "none", MS_BIND, "") != 0) return false;
  memset(&lo, 0, sizeof(lo));
  strcpy(lo.ifr_name, "lo");
  lo.ifr_flags = IFF_UP | IFF_RUNNING;
  fd = socket(AF_INET, SOCK_DGRAM, 0);
  up = ioctl(fd, SIOCSIFFLAGS, &lo) == 0;
  close(fd);
  return up;
}

static struct mg_connection *ask(struct lookup *l, const char *url) {
  memset(l, 0, sizeof(*l));
  return mg_connect(&mgr, url, lookup_fn, l);
}

static void first_server(void) {
  set_servers(REPLIES, REPLIES);
  CHECK(is_loopback(resolve_url(&mgr, "tcp://ok.test:1"), 1));
  CHECK(asked(1, 0));
}

// The next is asked after a second, in two rounds.
static void silent_servers(void) {
  struct lookup a;
  set_servers(SILENT, REPLIES);
  ask(&a, "tcp://ok.test:1");
  poll_often(&mgr);
  clock_ms += 999;
  poll_often(&mgr);
  CHECK(asked(1, 0) && a.closes == 0);
  clock_ms += 1;
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(is_loopback(a, 1) && asked(1, 1));
  set_servers(SILENT, SILENT);
  ask(&a, "tcp://ok.test:1");
  poll_often(&mgr);
  CHECK(asked(1, 0));
  clock_ms += 1000;
  poll_often(&mgr);
  CHECK(asked(1, 1));
  clock_ms += 1000;
  poll_often(&mgr);
  CHECK(asked(2, 1));
  clock_ms += 1000;
  poll_often(&mgr);
  CHECK(asked(2, 2));
  clock_ms += 6999;
  poll_often(&mgr);
  CHECK(asked(2, 2) && a.errors == 0);
  clock_ms += 1;
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS timeout") && a.closes == 1);
}

// The next is asked at once.
static void failing_servers(void) {
  size_t before = 0;
  int i;
  set_servers(FAILS, REPLIES);
  CHECK(is_loopback(resolve_url(&mgr, "tcp://ok.test:1"), 1));
  CHECK(asked(1, 1));
  set_servers(FAILS, FAILS);
  CHECK(fails_with(resolve_url(&mgr, "tcp://ok.test:1"), "ok.test DNS lookup failed"));
  // Twice for each kind of address.
  CHECK(asked(4, 4));
  for (i = 0; i < 200; i++) {
    if (i == 50) before = memory_in_use();
    resolve_url(&mgr, "tcp://ok.test:1");
  }
  CHECK(memory_in_use() < before + 20000);
}

// No other server is asked after that.
static void over_tcp(void) {
  struct lookup a;
  set_servers(SILENT, REPLIES);
  ask(&a, "tcp://big.test:1");
  poll_often(&mgr);
  clock_ms += 1000;
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(is_loopback(a, 1) && asked(1, 2) && servers[1].dns.over_tcp == 1);
  set_servers(REPLIES, REPLIES);
  ask(&a, "tcp://big-silent.test:1");
  POLL_UNTIL(&mgr, servers[0].dns.over_tcp == 1);
  clock_ms += 5000;
  poll_often(&mgr);
  CHECK(asked(2, 0) && a.closes == 0);
  clock_ms += 5000;
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS timeout"));
}

static void short_names(void) {
  static char named[] = "udp://127.0.0.2:53";
  const char *usual = mgr.dns4.url;
  set_servers(REPLIES, REPLIES);
  write_conf("nameserver 127.0.0.2\nsearch sub.test\n");
  CHECK(is_loopback(resolve_url(&mgr, "tcp://short:1"), 1));
  CHECK(asked(1, 0) && strcmp(servers[0].dns.last, "short.sub.test") == 0);
  CHECK(fails_with(resolve_url(&mgr, "tcp://nx:1"), "nx DNS lookup failed"));
  CHECK(asked(5, 0) && strcmp(servers[0].dns.last, "nx") == 0);
  // Not for a server that the application names.
  mgr.dns4.url = named;
  mg_close_conn(mgr.dns4.c);
  CHECK(is_loopback(resolve_url(&mgr, "tcp://short:1"), 1));
  CHECK(asked(6, 0) && strcmp(servers[0].dns.last, "short") == 0);
  mgr.dns4.url = usual;
}

static void lookups(void) {
  int i;
  mg_mgr_init(&mgr);
  mgr.dnstimeout = 10000;
  write_conf("nameserver 127.0.0.2\nnameserver 127.0.0.3\noptions timeout:1\n");
  for (i = 0; i < 2; i++) {
    char url[64];
    mg_snprintf(url, sizeof(url), "udp://127.0.0.%d:53", i + 2);
    CHECK(mg_listen(&mgr, url, server_fn, &servers[i]) != NULL);
    mg_snprintf(url, sizeof(url), "tcp://127.0.0.%d:53", i + 2);
    CHECK(mg_listen(&mgr, url, server_fn, &servers[i]) != NULL);
  }
  first_server();
  silent_servers();
  failing_servers();
  over_tcp();
  short_names();
  mg_mgr_free(&mgr);
}

int main(void) {
  int fd = mkstemp(conf);
  mg_log_set(MG_LL_NONE);
  CHECK(fd >= 0);
  close(fd);
  if (isolate()) lookups();
  remove(conf);
  return DONE();
}

#else

int main(void) {
  CHECK(true);
  return DONE();
}

#endif
