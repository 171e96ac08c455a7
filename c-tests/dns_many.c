// Hundreds of concurrent lookups: each gets its answer, ids and ports are unpredictable, and nothing leaks.
// not under: valgrind: 400 sockets take long there, and dns_failures.c looks for leaks

#include "dns.h"

#define MANY 400

static struct mg_mgr mgr, other;
static struct dns_server server;
static struct lookup lookups[MANY];

static int closed(void) {
  int i, n = 0;
  mg_mgr_poll(&other, 0);
  for (i = 0; i < MANY; i++) n += lookups[i].closes;
  return n;
}

static int by_number(const void *a, const void *b) {
  return *(const unsigned short *) a - *(const unsigned short *) b;
}

static int count_distinct(unsigned short *list, int n) {
  int i, found = 1;
  qsort(list, (size_t) n, sizeof(*list), by_number);
  for (i = 1; i < n; i++) found += list[i] != list[i - 1];
  return found;
}

static void many_lookups(void) {
  int i, near = 0;
  char url[64];
  for (i = 0; i < MANY; i++) {
    mg_snprintf(url, sizeof(url), "tcp://%s%d.test:%d", i % 4 == 3 ? "nx." : "host", i, i + 1);
    mg_connect(&mgr, url, lookup_fn, &lookups[i]);
    // The queue of the server's socket has room for some of them only.
    if (i % 10 == 0) mg_mgr_poll(&other, 0);
  }
  POLL_UNTIL(&mgr, closed() == MANY);
  for (i = 0; i < MANY; i++) {
    if (i % 4 == 3) CHECK(lookups[i].errors == 1 && strstr(lookups[i].error, "DNS lookup failed") != NULL);
    else CHECK(is_loopback(lookups[i], 1) && lookups[i].rem.port == mg_htons((uint16_t) (i + 1)));
  }
  CHECK_EQ(server.queries, MANY + MANY / 4);
  for (i = 1; i < MANY; i++) near += abs(server.ids[i] - server.ids[i - 1]) <= 256;
  // Of numbers at random, one in 128 is that close to the one before.
  CHECK(near < MANY / 8);
  CHECK(count_distinct(server.ids, MANY) > MANY * 9 / 10);
  // All these sockets were open at the same time.
  CHECK_EQ(count_distinct(server.ports, MANY), MANY);
}

// No descriptor is left for a socket of its own: the question leaves from the connection to the server.
static void no_descriptor(void) {
  struct rlimit full, none;
  static const char *urls[] = {"tcp://ok.test:1", "tcp://ok.test:1", "tcp://forged.test:1", "tcp://full.test:1"};
  struct lookup l[4];
  int i, before = server.queries;
  getrlimit(RLIMIT_NOFILE, &full);
  none = full;
  none.rlim_cur = 3;
  memset(l, 0, sizeof(l));
  CHECK(mg_dnsc_init(&other, &other.dns4));
  CHECK(mg_dnsc_init(&mgr, &mgr.dns4));
  setrlimit(RLIMIT_NOFILE, &none);
  for (i = 0; i < 4; i++) mg_connect(&mgr, urls[i], lookup_fn, &l[i]);
  setrlimit(RLIMIT_NOFILE, &full);
  POLL_UNTIL(&mgr, (mg_mgr_poll(&other, 0), l[0].closes + l[1].closes + l[2].closes + l[3].closes == 4));
  for (i = 0; i < 4; i++) CHECK(is_loopback(l[i], 1));
  CHECK_EQ(server.queries, before + 4);
  CHECK(server.ports[before] == server.ports[before + 1]);
}

int main(void) {
  size_t files;
  mg_log_set(MG_LL_NONE);
  if (raise_file_limit() < MANY * 3) return 1;
  mg_mgr_init(&mgr);
  mg_mgr_init(&other);
  dns_start(&server, &other);
  mgr.dns4.url = mgr.dns6.url = server.url;
  mgr.dnstimeout = 50000;
  CHECK(mg_dnsc_init(&mgr, &mgr.dns4) && mg_dnsc_init(&mgr, &mgr.dns6));
  files = open_files();
  many_lookups();
  CHECK_EQ(open_files(), files);
  server.queries = 0;
  no_descriptor();
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
  return DONE();
}
