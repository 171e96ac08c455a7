// Failing lookups: timeouts, unreachable servers, connections that close, managers that are freed.


#include "clock.h"
#include "dns.h"

static struct mg_mgr mgr;
static struct dns_server server;

static struct mg_connection *ask(struct lookup *l, const char *url) {
  memset(l, 0, sizeof(*l));
  return mg_connect(&mgr, url, lookup_fn, l);
}

static void lookups_time_out(void) {
  struct lookup a, b;
  ask(&a, "tcp://silent.test:1");
  clock_ms += 1000;
  ask(&b, "tcp://silent.test:1");
  POLL_UNTIL(&mgr, server.queries == 2);
  clock_ms += 1999;
  poll_often(&mgr);
  CHECK(a.errors == 0 && b.errors == 0);
  clock_ms += 1;
  // The deadline ends the wait.
  mg_mgr_poll(&mgr, 60000);
  CHECK(fails_with(a, "DNS timeout") && b.errors == 0);
  clock_ms += 1000;
  mg_mgr_poll(&mgr, 60000);
  poll_often(&mgr);
  CHECK(a.closes == 1 && fails_with(b, "DNS timeout") && b.closes == 1);
  // Once, however long the connection stays.
  ask(&a, "tcp://silent.test:1");
  clock_ms += 3000;
  mg_mgr_poll(&mgr, 0);
  CHECK(fails_with(a, "DNS timeout"));
  clock_ms += 3000;
  poll_often(&mgr);
  CHECK(a.errors == 1 && a.closes == 1);
  // This is no name on the local link, and no other has it.
  ask(&a, "tcp://.local:1");
  poll_often(&mgr);
  CHECK_EQ(a.errors, 0);
  clock_ms += 3000;
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS timeout"));
}

static void no_patience(void) {
  struct lookup a;
  mgr.dnstimeout = -1;
  ask(&a, "tcp://silent.test:1");
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS timeout") && a.closes == 1);
  mgr.dnstimeout = 3000;
}

// A server that sends the address only over TCP, and then does not.
static void silent_over_tcp(void) {
  struct lookup a;
  int before = server.over_tcp;
  size_t conns = count_conns(&mgr), files = open_files();
  ask(&a, "tcp://big-silent.test:1");
  POLL_UNTIL(&mgr, server.over_tcp == before + 1);
  // Both ends of the connection; the socket of the first question is closed.
  CHECK(open_files() <= files + 2);
  clock_ms += 3000;
  mg_mgr_poll(&mgr, 60000);
  CHECK(fails_with(a, "DNS timeout"));
  POLL_UNTIL(&mgr, count_conns(&mgr) == conns);
}

#ifdef __linux__
// The same if not even the connection comes about, because the server's queue is full.
static void no_way_over_tcp(void) {
  struct dns_server hole;
  struct sockaddr_in sin;
  struct lookup a;
  int fill[4], on = 1, i, fd = socket(AF_INET, SOCK_STREAM, 0);
  size_t conns;
  mg_close_conn(mgr.dns4.c);
  dns_start(&hole, &mgr);
  mg_close_conn(hole.tcp);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = hole.udp->loc.port;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 0) == 0);
  for (i = 0; i < 4; i++) {
    fill[i] = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fill[i], F_SETFL, O_NONBLOCK);
    connect(fill[i], (struct sockaddr *) &sin, sizeof(sin));
  }
  ask(&a, "tcp://big.test:1");
  conns = count_conns(&mgr);
  POLL_UNTIL(&mgr, count_conns(&mgr) == conns + 1);
  clock_ms += 3000;
  mg_mgr_poll(&mgr, 60000);
  CHECK(fails_with(a, "DNS timeout"));
  mg_close_conn(mgr.dns4.c);
  mg_close_conn(hole.udp);
  mg_close_conn(hole.other);
  mgr.dns4.url = mgr.dns6.url = server.url;
  for (i = 0; i < 4; i++) close(fill[i]);
  close(fd);
  poll_often(&mgr);
}
#endif

// A second lookup of a connection takes the place of the first.
static void count_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct lookup *l = (struct lookup *) c->fn_data;
  if (ev == MG_EV_RESOLVE) l->resolves++;
  if (ev == MG_EV_ERROR) l->errors++;
  (void) ev_data;
}

static void replaced(void) {
  struct lookup l;
  struct mg_connection *c;
  memset(&l, 0, sizeof(l));
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", count_fn, &l);
  mg_resolve(c, "tcp://silent.test:1");
  mg_resolve(c, "tcp://ok.test:1");
  POLL_UNTIL(&mgr, l.resolves == 1);
  clock_ms += 3000;
  poll_often(&mgr);
  CHECK(l.resolves == 1 && l.errors == 0);
  mg_close_conn(c);
}

// A connection that has failed already learns nothing of its lookup.
static void one_error_each(void) {
  struct lookup a;
  mg_error(ask(&a, "tcp://silent.test:1"), "own");
  mg_close_conn(mgr.dns4.c);
  poll_often(&mgr);
  CHECK(fails_with(a, "own") && a.closes == 1);
}

// What a manager keeps does not grow with the sockets of lookups.
static void nothing_left(void) {
  struct lookup a;
  size_t before = 0;
  int i;
  for (i = 0; i < 300; i++) {
    if (i == 100) before = memory_in_use();
    ask(&a, "tcp://ok.test:1");
    POLL_UNTIL(&mgr, a.closes == 1);
    ask(&a, "tcp://silent.test:1");
    mg_close_conn(mgr.dns4.c);
    POLL_UNTIL(&mgr, a.closes == 1);
    // Nobody listens at the address, and there is no other.
    memset(&a, 0, sizeof(a));
    mg_connect(&mgr, "tcp://ok.test:1", count_fn, &a);
    POLL_UNTIL(&mgr, a.errors == 1);
  }
  CHECK(memory_in_use() < before + 20000);
}

// Real time passes, but no more than was asked for.
static void late_answers(void) {
  struct lookup a;
  int before = server.queries;
  ask(&a, "tcp://ok.test:1");
  clock_ms += 2999;
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(is_loopback(a, 1) && server.queries == before + 1);
}

static void no_server(void) {
  struct lookup a, b;
  struct mg_connection *dns = mgr.dns4.c;
  const char *urls[] = {NULL, "", "udp://", "udp://dns.example:53", "udp://dns.local", "nonsense"};
  size_t i;
  CHECK(dns != NULL);
  // Closing the connection to the server fails what was asked through it.
  ask(&a, "tcp://silent.test:1");
  ask(&b, "tcp://silent.test:2");
  CHECK(a.errors == 0);
  dns->is_closing = 1;
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS error") && fails_with(b, "DNS error") && a.closes == 1 && b.closes == 1);
  CHECK(mgr.dns4.c == NULL);
  for (i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
    mgr.dns4.url = urls[i];
    ask(&a, "tcp://ok.test:1");
    CHECK(i == 1 ? a.errors == 1 : fails_with(a, "resolver"));
    poll_often(&mgr);
    CHECK(a.closes == 1 && mgr.dns4.c == NULL);
    CHECK(!mg_dnsc_init(&mgr, &mgr.dns4));
  }
  // Nobody listens there, over TCP and over UDP.
  mgr.dns4.url = "tcp://127.0.0.1:1";
  ask(&a, "tcp://ok.test:1");
  CHECK(a.errors == 0 && mgr.dns4.c != NULL);
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(fails_with(a, "DNS error") && mgr.dns4.c == NULL);
  mgr.dns4.url = "udp://127.0.0.1:1";
  ask(&a, "tcp://ok.test:1");
  poll_often(&mgr);
  CHECK(a.errors == 0);
  clock_ms += 3000;
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS timeout"));
  // An address that nothing can be sent to.
  mgr.dns4.c->is_closing = 1;
  poll_often(&mgr);
  mgr.dns4.url = "udp://255.255.255.255:53";
  ask(&a, "tcp://ok.test:1");
  CHECK(a.errors == 0);
  poll_often(&mgr);
  CHECK(fails_with(a, "DNS error"));
  mgr.dns4.url = server.url;
  ask(&a, "tcp://ok.test:1");
  POLL_UNTIL(&mgr, a.closes == 1);
  CHECK(is_loopback(a, 1));
  CHECK(mg_dnsc_init(&mgr, &mgr.dns4));
}

// Who asked goes away first.
static void cancelled(void) {
  struct lookup a, b;
  struct mg_connection *c = ask(&a, "tcp://ok.test:1");
  int before = server.queries;
  size_t conns;
  ask(&b, "tcp://ok.test:1");
  mg_close_conn(c);
  CHECK(a.closes == 1 && a.errors == 0);
  POLL_UNTIL(&mgr, b.closes == 1);
  CHECK(server.queries == before + 2);
  poll_often(&mgr);
  CHECK(a.closes == 1 && a.errors == 0 && a.resolves == 0);
  c = ask(&a, "tcp://ok.test:1");
  c->is_closing = 1;
  poll_often(&mgr);
  CHECK(a.closes == 1 && a.errors == 0 && a.resolves == 0);
  conns = count_conns(&mgr);
  c = ask(&a, "tcp://big.test:1");
  POLL_UNTIL(&mgr, server.queries >= before + 4);
  mg_close_conn(c);
  poll_often(&mgr);
  CHECK(a.closes == 1 && a.errors == 0 && a.resolves == 0);
  // While the question is repeated over TCP.
  c = ask(&a, "tcp://big-silent.test:1");
  before = server.over_tcp;
  POLL_UNTIL(&mgr, server.over_tcp == before + 1);
  mg_close_conn(c);
  CHECK(a.closes == 1 && a.errors == 0 && a.resolves == 0);
  POLL_UNTIL(&mgr, count_conns(&mgr) == conns);
}

// A handler that asks again, closes others and frees the manager while it is told.
static struct lookup again;
static struct mg_connection *others[3];

static int told;

static void close_others_and_reconnect(struct mg_connection *c, int ev, void *ev_data) {
  if ((ev == MG_EV_ERROR || ev == MG_EV_RESOLVE) && told++ == 0) {
    size_t i;
    for (i = 0; i < 3; i++) {
      if (others[i] != NULL && others[i] != c) mg_close_conn(others[i]);
      others[i] = NULL;
    }
    memset(&again, 0, sizeof(again));
    mg_connect(c->mgr, "tcp://ok.test:5", lookup_fn, &again);
    if (c->fn_data != NULL) mg_mgr_free(c->mgr);
  }
  (void) ev_data;
}

static void handlers_close_other_lookups(void) {
  size_t i, how;
  for (how = 0; how < 2; how++) {
    told = again.closes = 0;
    for (i = 0; i < 3; i++) others[i] = mg_connect(&mgr, how == 0 ? "tcp://ok.test:4" : "tcp://silent.test:4", close_others_and_reconnect, NULL);
    if (how == 1) mgr.dns4.c->is_closing = 1;
    POLL_UNTIL(&mgr, again.closes == 1);
    CHECK(is_loopback(again, 1) && again.rem.port == mg_htons(5));
  }
}

static void manager_freed_during_lookups(void) {
  static const char *urls[] = {"tcp://silent.test:1", "tcp://ok.test:1", "tcp://big.test:1", "udp://nx.test:1"};
  struct lookup l[4];
  struct mg_mgr m;
  size_t i, polls;
  for (polls = 0; polls < 6; polls++) {
    size_t before = open_files();
    mg_mgr_init(&m);
    m.dns4.url = m.dns6.url = server.url;
    for (i = 0; i < 4; i++) {
      memset(&l[i], 0, sizeof(l[i]));
      mg_connect(&m, urls[i], lookup_fn, &l[i]);
    }
    for (i = 0; i < polls; i++) mg_mgr_poll(&m, 0), mg_mgr_poll(&mgr, 0);
    mg_mgr_free(&m);
    for (i = 0; i < 4; i++) CHECK(l[i].closes == 1 && l[i].errors + l[i].resolves <= 1);
    POLL_UNTIL(&mgr, open_files() == before);
  }
  // From a handler that is told.
  for (i = 0; i < 2; i++) {
    told = 0;
    mg_mgr_init(&m);
    m.dns4.url = m.dns6.url = server.url;
    mg_connect(&m, i == 0 ? "tcp://ok.test:1" : "tcp://nx.test:1", close_others_and_reconnect, &m);
    POLL_UNTIL(&mgr, (mg_mgr_poll(&m, 0), m.conns == NULL));
    mg_mgr_free(&m);
  }
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  dns_start(&server, &mgr);
  lookups_time_out();
  no_patience();
  silent_over_tcp();
#ifdef __linux__
  no_way_over_tcp();
#endif
  replaced();
  one_error_each();
  nothing_left();
  late_answers();
  no_server();
  cancelled();
  handlers_close_other_lookups();
  manager_freed_during_lookups();
  mg_mgr_free(&mgr);
  return DONE();
}
