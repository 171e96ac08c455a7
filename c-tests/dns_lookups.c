// Lookups answered by a scripted server: correctly, incorrectly, or with forged replies.

#include "dns.h"
#include "mongoose_ext.h"

static struct mg_mgr mgr;
static struct dns_server server;

static void answers(void) {
  struct lookup l = resolve_url(&mgr, "tcp://ok.test:8080");
  CHECK(is_loopback(l, 1) && l.rem.port == mg_htons(8080));
  CHECK(mgr.dns4.c != NULL && mgr.dns4.c->is_udp);
  CHECK_EQ(server.queries, 1);
  CHECK(is_loopback(resolve_url(&mgr, "udp://OK.test."), 1));
  CHECK(strcmp(server.last, "OK.test") == 0);
  CHECK(is_loopback(resolve_url(&mgr, "http://127.0.0.1"), 1));
  CHECK(is_loopback(resolve_url(&mgr, "http://LocalHost.:1/x"), 1));
  CHECK(is_loopback(resolve_url(&mgr, "http://a.b.LOCALHOST/"), 1));
  CHECK_EQ(server.queries, 2);
  CHECK(is_loopback(resolve_url(&mgr, "udp://full.test"), 1));
}

static void second_type(void) {
  struct lookup l;
  int before = server.queries;
  l = resolve_url(&mgr, "tcp://six.test:1");
  CHECK(l.resolves == 1 && l.rem.is_ip6 && l.rem.addr.ip[15] == 1 && l.rem.scope_id == 0);
  CHECK(server.queries == before + 2 && server.types[before] == 1 && server.types[before + 1] == 28);
  mgr.use_dns6 = true;
  l = resolve_url(&mgr, "tcp://six.test:1");
  CHECK(l.resolves == 1 && l.rem.is_ip6 && server.queries == before + 3);
  CHECK(fails_with(resolve_url(&mgr, "tcp://nx.test:1"), "nx.test DNS lookup failed"));
  CHECK_EQ(server.queries, before + 4);
  mgr.use_dns6 = false;
}

static void no_address(void) {
  int before = server.queries;
  CHECK(fails_with(resolve_url(&mgr, "tcp://nx.test:1"), "nx.test DNS lookup failed"));
  CHECK_EQ(server.queries, before + 2);
  CHECK(fails_with(resolve_url(&mgr, "tcp://empty.test:1"), "empty.test DNS lookup failed"));
  CHECK(fails_with(resolve_url(&mgr, "tcp://servfail.test:1"), "servfail.test DNS lookup failed"));
  CHECK(fails_with(resolve_url(&mgr, "tcp://alias.test:1"), "alias.test DNS lookup failed"));
  CHECK(fails_with(resolve_url(&mgr, "tcp://other-owner.test:1"), "other-owner.test DNS lookup failed"));
  CHECK_EQ(server.queries, before + 10);
}

static void forged_replies(void) {
  CHECK(is_loopback(resolve_url(&mgr, "tcp://forged.test:1"), 1));
  mgr.dnstimeout = 100;
  CHECK(fails_with(resolve_url(&mgr, "tcp://loop.test:1"), "DNS timeout"));
  mgr.dnstimeout = 50000;
}

// The right reply behind as many others as a poll reads waits for the next poll.
static void a_flood(void) {
  struct mg_mgr other;
  struct dns_server s;
  struct lookup l;
  memset(&l, 0, sizeof(l));
  mg_mgr_init(&other);
  dns_start(&s, &other);
  mgr.dns4.url = s.url;
  if (mgr.dns4.c != NULL) mg_close_conn(mgr.dns4.c);
  mg_connect(&mgr, "tcp://flood.test:1", lookup_fn, &l);
  while (s.queries == 0) mg_mgr_poll(&mgr, 0), mg_mgr_poll(&other, 1);
  mg_mgr_poll(&mgr, 1000);
  CHECK_EQ(l.resolves, 0);
  POLL_UNTIL(&mgr, l.closes == 1);
  CHECK(is_loopback(l, 1));
  mgr.dns4.url = server.url;
  mg_close_conn(mgr.dns4.c);
  mg_mgr_free(&other);
}

// Replies to nobody's question wake the loop once each, not all the time that the right one is awaited.
static void no_spinning(void) {
  struct lookup l;
  int polls = 0;
  memset(&l, 0, sizeof(l));
  mgr.dnstimeout = 100;
  mg_connect(&mgr, "tcp://loop.test:1", lookup_fn, &l);
  while (l.closes == 0 && polls++ < 1000) mg_mgr_poll(&mgr, 1000);
  CHECK(fails_with(l, "DNS timeout"));
  CHECK(polls < 100);
  mgr.dnstimeout = 50000;
}

static void truncated(void) {
  size_t conns = count_conns(&mgr);
  CHECK(is_loopback(resolve_url(&mgr, "tcp://big.test:1"), 1));
  CHECK_EQ(server.over_tcp, 1);
  POLL_UNTIL(&mgr, count_conns(&mgr) == conns);
  CHECK(fails_with(resolve_url(&mgr, "tcp://big-nx.test:1"), "big-nx.test DNS lookup failed"));
  CHECK_EQ(server.over_tcp, 3);
  POLL_UNTIL(&mgr, count_conns(&mgr) == conns);
}

static void bad_names(void) {
  static const char *names[] = {"a..b", "a.b..", "..", "ab.", "", "x"};
  char url[400], want[400], label[70];
  int before = server.queries;
  size_t i;
  for (i = 0; i < 3; i++) {
    mg_snprintf(url, sizeof(url), "tcp://%s:1", names[i]);
    mg_snprintf(want, sizeof(want), "%s DNS lookup failed", names[i]);
    CHECK(fails_with(resolve_url(&mgr, url), want));
  }
  CHECK_EQ(server.queries, before);
  memset(label, 'x', 63);
  label[63] = '\0';
  mg_snprintf(url, sizeof(url), "tcp://%s.test:1", label);
  CHECK(is_loopback(resolve_url(&mgr, url), 1));
  CHECK_EQ(server.queries, before + 1);
  mg_snprintf(url, sizeof(url), "tcp://%sx.test:1", label);
  mg_snprintf(want, sizeof(want), "%.63s", label);
  CHECK(fails_with(resolve_url(&mgr, url), want));
  mg_snprintf(url, sizeof(url), "tcp://%s.%s.%s.%s:1", label, label, label, label);
  CHECK(fails_with(resolve_url(&mgr, url), want));
  CHECK_EQ(server.queries, before + 1);
}

// Messages of any length reach the handler as a whole.
static char whole[300];

static void whole_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) mg_snprintf(whole, sizeof(whole), "%s", (char *) ev_data);
  (void) c;
}

static void long_messages(void) {
  char url[300], want[300], host[200];
  size_t n;
  memcpy(host, "a..", 3);
  for (n = 90; n < 130; n++) {
    memset(host + 3, 'x', n);
    host[n + 3] = '\0';
    mg_snprintf(want, sizeof(want), "%s DNS lookup failed", host);
    mg_snprintf(url, sizeof(url), "tcp://%s:1", host);
    whole[0] = '\0';
    mg_connect(&mgr, url, whole_fn, NULL);
    CHECK(strcmp(whole, want) == 0);
    poll_often(&mgr);
  }
}

static void close_server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_RESOLVE) c->mgr->dns4.c->is_closing = 1;
  lookup_fn(c, ev, ev_data);
}

// The whole way over a server that speaks TCP only.
static void dns_over_tcp(void) {
  struct mg_mgr m;
  char url[64];
  int before = server.over_tcp;
  struct lookup a, b;
  struct mg_connection *c;
  int i;
  mg_mgr_init(&m);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port_of(server.tcp));
  m.dns4.url = url;
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  // Closed before the answer is read: this connection follows that to the server in the list.
  c = mg_connect(&m, "tcp://ok.test:1", lookup_fn, &a);
  POLL_UNTIL(&m, (mg_mgr_poll(&mgr, 0), server.over_tcp == before + 1));
  poll_often(&mgr);
  c->is_closing = 1;
  poll_often(&m);
  CHECK(a.closes == 1 && a.resolves == 0 && a.errors == 0);
  before = server.over_tcp;
  memset(&a, 0, sizeof(a));
  mg_connect(&m, "tcp://ok.test:1", lookup_fn, &a);
  mg_connect(&m, "tcp://silent.test:2", lookup_fn, &b);
  POLL_UNTIL(&m, (mg_mgr_poll(&mgr, 0), a.closes + b.closes == 2));
  CHECK(is_loopback(a, 1) && is_loopback(b, 1) && b.rem.port == mg_htons(2));
  CHECK(m.dns4.c != NULL && !m.dns4.c->is_udp);
  CHECK_EQ(server.over_tcp, before + 2);
  for (i = 0; i < 4; i++) {
    memset(&a, 0, sizeof(a));
    mg_connect(&m, i % 2 == 0 ? "tcp://longer.ok.test:1" : "tcp://ok.test:1", lookup_fn, &a);
    POLL_UNTIL(&m, (mg_mgr_poll(&mgr, 0), a.closes == 1));
    CHECK(is_loopback(a, 1));
  }
  CHECK_EQ(server.over_tcp, before + 6);
  // Closing the connection to the server fails the rest, even if the answer is there.
  memset(&a, 0, sizeof(a));
  memset(&b, 0, sizeof(b));
  mg_connect(&m, "tcp://ok.test:1", close_server_fn, &a);
  mg_connect(&m, "tcp://ok.test:2", close_server_fn, &b);
  POLL_UNTIL(&m, (mg_mgr_poll(&mgr, 0), a.closes + b.closes == 2));
  CHECK(a.resolves + b.resolves == 1 && a.errors + b.errors == 1);
  mg_mgr_free(&m);
}

// The connection to the server may be one that gets no MG_EV_POLL.
static void without_poll_events(void) {
  mgx_conn_poll_events(mgr.dns4.c, false);
  CHECK(is_loopback(resolve_url(&mgr, "tcp://forged.test:1"), 1));
  mgr.dnstimeout = 100;
  CHECK(fails_with(resolve_url(&mgr, "tcp://silent.test:1"), "DNS timeout"));
  mgr.dnstimeout = 50000;
  // More than one step reads.
  CHECK(is_loopback(resolve_url(&mgr, "tcp://flood.test:1"), 1));
  mgx_conn_poll_events(mgr.dns4.c, true);
}

// A server that the application has named is asked for both kinds of addresses.
static void one_server_for_both_families(void) {
  int before = server.queries;
  mgr.dns6.url = "udp://[2001:4860:4860::8888]:53";
  CHECK(fails_with(resolve_url(&mgr, "tcp://nx.test:1"), "nx.test DNS lookup failed"));
  CHECK_EQ(server.queries, before + 2);
  mgr.dns6.url = server.url;
}

static void ports_of_servers(void) {
  struct mg_dns dns;
  memset(&dns, 0, sizeof(dns));
  dns.url = "udp://127.0.0.1";
  CHECK(mg_dnsc_init(&mgr, &dns) && dns.c->rem.port == mg_htons(53));
  mg_close_conn(dns.c);
  dns.c = NULL;
  dns.url = "udp://127.0.0.1:1";
  CHECK(mg_dnsc_init(&mgr, &dns) && dns.c->rem.port == mg_htons(1));
  mg_close_conn(dns.c);
}

// A listener may look up a name: it goes on listening all the while.
static int accepted;

static void listener_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct lookup *l = (struct lookup *) c->fn_data;
  if (ev == MG_EV_RESOLVE && c->is_listening) l->resolves++;
  if (ev == MG_EV_ERROR) l->errors++;
  if (ev == MG_EV_ACCEPT) accepted++;
  (void) ev_data;
}

static void on_listener(void) {
  struct lookup l, got;
  struct mg_connection *c;
  void *fd;
  memset(&l, 0, sizeof(l));
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", listener_fn, &l);
  fd = c->fd;
  mg_resolve(c, "tcp://silent.test:77");
  CHECK(c->is_resolving && l.resolves == 0);
  got = resolve_url(&mgr, url_of(c, "tcp"));
  CHECK(got.resolves == 1);
  mg_resolve_cancel(c);
  CHECK(!c->is_resolving);
  mg_resolve(c, "tcp://silent.test:77");
  mg_resolve(c, "tcp://ok.test:77");
  POLL_UNTIL(&mgr, l.resolves == 1);
  CHECK(!c->is_resolving && c->fd == fd && c->rem.port == mg_htons(77) && c->rem.addr.ip[0] == 127 && l.errors == 0);
  mg_resolve(c, "tcp://10.1.2.3:78");
  CHECK(l.resolves == 2 && c->rem.addr.ip[0] == 10);
  mg_connect(&mgr, url_of(c, "tcp"), NULL, NULL);
  POLL_UNTIL(&mgr, accepted >= 1);
  mg_resolve(c, "tcp://nx.test:1");
  POLL_UNTIL(&mgr, l.errors == 1);
  poll_often(&mgr);
}

int main(void) {
  size_t files;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  CHECK_EQ(mgr.dnstimeout, 3000);
  mgr.dnstimeout = 50000;
  dns_start(&server, &mgr);
  answers();
  files = open_files();
  second_type();
  no_address();
  forged_replies();
  a_flood();
  no_spinning();
  truncated();
  bad_names();
  long_messages();
  dns_over_tcp();
  one_server_for_both_families();
  without_poll_events();
  ports_of_servers();
  // The connection to the second server, at most: sockets of lookups are closed.
  CHECK(open_files() <= files + 1);
  on_listener();
  mg_mgr_free(&mgr);
  return DONE();
}
