// Other threads call the API while one polls. While the poll sleeps they succeed, and take effect at once. While a handler waits
// for such a thread, the call times out with a log line. No call aborts or hangs.
// timeout: 180
#include "mongoose.h"

#include <pthread.h>

#include "ext.h"

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(&(x), value, __ATOMIC_RELEASE)
#define ADD(x, n) __atomic_add_fetch(&(x), n, __ATOMIC_ACQ_REL)

// Waits for what another thread does, at most 50 seconds.
#define WAIT_UNTIL(cond)                                                         \
  do {                                                                           \
    uint64_t wait_end = real_ms() + 50000;                                       \
    while (!(cond) && real_ms() < wait_end) usleep(1000);                        \
    CHECK(cond);                                                                 \
  } while (0)

static struct mg_mgr mgr;
static int stop, connected, echoed, closes, fired, wrapped;
static struct mg_connection *asked;

static void *loop(void *arg) {
  while (!LOAD(stop)) mg_mgr_poll(&mgr, 60000);
  return arg;
}

static void stop_loop(pthread_t thread) {
  STORE(stop, 1);
  CHECK(mgx_wakeup_mgr(&mgr));
  pthread_join(thread, NULL);
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) mg_send(c, c->recv.buf, c->recv.len), c->recv.len = 0;
  (void) ev_data;
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) ADD(connected, 1);
  if (ev == MG_EV_READ) ADD(echoed, (int) c->recv.len), c->recv.len = 0;
  if (ev == MG_EV_CLOSE) ADD(closes, 1);
  (void) ev_data;
}

static void answers_elsewhere(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) STORE(asked, c);
  (void) ev_data;
}

static void takes_wrapped(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) ADD(wrapped, (int) c->recv.len), c->recv.len = 0;
  (void) ev_data;
}

static void fires(void *arg) {
  ADD(*(int *) arg, 1);
}

static void forget_all(void) {
  stop = connected = echoed = closes = fired = wrapped = 0;
  asked = NULL;
}

static void while_the_poll_sleeps(void) {
  struct mg_connection *tcp, *http, *c, *u;
  struct peer p;
  pthread_t thread;
  int pair[2];
  char url[60];
  uint64_t began;
  forget_all();
  mg_mgr_init(&mgr);
  CHECK(pthread_create(&thread, NULL, loop, NULL) == 0);
  usleep(50000);
  began = real_ms();
  CHECK((tcp = mg_listen(&mgr, "tcp://127.0.0.1:0", echo, NULL)) != NULL);
  CHECK((u = mg_listen(&mgr, "udp://127.0.0.1:0", echo, NULL)) != NULL);
  CHECK((http = mg_http_listen(&mgr, "http://127.0.0.1:0", answers_elsewhere, NULL)) != NULL);
  snprintf(url, sizeof(url), "%s", url_of(tcp, "tcp"));
  CHECK((c = mg_connect(&mgr, url, client, NULL)) != NULL);
  WAIT_UNTIL(LOAD(connected) == 1);
  CHECK(mg_send(c, "hello", 5));
  WAIT_UNTIL(LOAD(echoed) == 5);
  CHECK_EQ(mg_printf(c, "%d", 12345), 5);
  WAIT_UNTIL(LOAD(echoed) == 10);
  snprintf(url, sizeof(url), "%s", url_of(u, "udp"));
  CHECK((u = mg_connect(&mgr, url, client, NULL)) != NULL);
  CHECK(mg_send(u, "hello", 5));
  WAIT_UNTIL(LOAD(echoed) == 15);
  mg_close_conn(c);
  CHECK_EQ(LOAD(closes), 1);

  CHECK(mg_timer_add(&mgr, 20, MG_TIMER_ONCE, fires, &fired) != NULL);
  WAIT_UNTIL(LOAD(fired) == 1);

  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  CHECK(mg_wrapfd(&mgr, pair[0], takes_wrapped, NULL) != NULL);
  CHECK(write(pair[1], "abc", 3) == 3);
  WAIT_UNTIL(LOAD(wrapped) == 3);
  close(pair[1]);

  peer_open(&p, http);
  CHECK(peer_send_text(&p, GET("/")));
  WAIT_UNTIL(LOAD(asked) != NULL);
  mg_http_reply(LOAD(asked), 200, "", "hi");
  WAIT_UNTIL(peer_has(&p, strlen(HI)));
  CHECK(peer_got(&p, HI));
  peer_free(&p);

  mg_mgr_poll(&mgr, 0);
  CHECK(real_ms() - began < 30000);  // nothing waited for the end of a sleep
  stop_loop(thread);
  mg_mgr_free(&mgr);
}

// ---- many at once, of every kind

enum { WORKERS = 4 };
static char echo_url[60];

static void *works(void *arg) {
  int i, rounds = under_tools() ? 20 : 100;
  size_t *failures = (size_t *) arg;
  for (i = 0; i < rounds; i++) {
    struct mg_connection *c = mg_connect(&mgr, echo_url, client, NULL), *l = mg_listen(&mgr, "tcp://127.0.0.1:0", echo, NULL);
    struct mg_connection *h = mg_http_listen(&mgr, "http://127.0.0.1:0", answers_elsewhere, NULL);
    if (c == NULL || l == NULL || h == NULL || !mg_send(c, "12345", 5) || mg_printf(c, "%s", "67890") != 5) ++*failures;
    if (mg_timer_add(&mgr, 1, MG_TIMER_ONCE, fires, &fired) == NULL) ++*failures;
    if (i % 10 == 0) mg_mgr_poll(&mgr, 1);
    if (l != NULL) mg_close_conn(l);
    if (h != NULL) mg_close_conn(h);
  }
  return NULL;
}

static void many_at_once(void) {
  pthread_t poller, workers[WORKERS];
  size_t failures[WORKERS];
  int i, all = WORKERS * (under_tools() ? 20 : 100);
  forget_all();
  mg_mgr_init(&mgr);
  snprintf(echo_url, sizeof(echo_url), "%s", url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", echo, NULL), "tcp"));
  CHECK(pthread_create(&poller, NULL, loop, NULL) == 0);
  for (i = 0; i < WORKERS; i++) {
    failures[i] = 0;
    CHECK(pthread_create(&workers[i], NULL, works, &failures[i]) == 0);
  }
  for (i = 0; i < WORKERS; i++) {
    pthread_join(workers[i], NULL);
    CHECK_EQ(failures[i], 0);
  }
  WAIT_UNTIL(LOAD(echoed) == all * 10);
  WAIT_UNTIL(LOAD(fired) == all);
  stop_loop(poller);
  CHECK_EQ(count_conns(&mgr), 1 + 2 * (size_t) all);
  mg_mgr_free(&mgr);
}

// ---- a handler that waits for a thread that calls the API

enum call { LISTEN, CONNECT, HTTP_LISTEN, HTTP_CONNECT, WRAP, TIMER, ALLOC, SEND, PRINTF, REPLY, CLOSE, POLL, FREE, CALLS };

static struct mg_connection *busy;
static int spare[2], logged, waits;

static void *calls(void *arg) {
  switch ((enum call) *(int *) arg) {
    case LISTEN: CHECK(mg_listen(&mgr, "tcp://127.0.0.1:0", echo, NULL) == NULL); break;
    case CONNECT: CHECK(mg_connect(&mgr, "tcp://127.0.0.1:1", echo, NULL) == NULL); break;
    case HTTP_LISTEN: CHECK(mg_http_listen(&mgr, "http://127.0.0.1:0", echo, NULL) == NULL); break;
    case HTTP_CONNECT: CHECK(mg_http_connect(&mgr, "http://127.0.0.1:1", echo, NULL) == NULL); break;
    case WRAP: CHECK(mg_wrapfd(&mgr, spare[0], echo, NULL) == NULL); break;
    case TIMER: CHECK(mg_timer_add(&mgr, 0, MG_TIMER_ONCE, fires, &fired) == NULL); break;
    case ALLOC: CHECK(mg_alloc_conn(&mgr) == NULL); break;
    case SEND: CHECK(!mg_send(busy, "x", 1)); break;
    case PRINTF: CHECK_EQ(mg_printf(busy, "x"), 0); break;
    case REPLY: mg_http_reply(busy, 200, "", "hi"); break;
    case CLOSE: mg_close_conn(busy); break;
    case POLL: mg_mgr_poll(&mgr, 0); break;
    case FREE: mg_mgr_free(&mgr); break;
    default: break;
  }
  return NULL;
}

static void count_lines(char ch, void *arg) {
  if (ch == '\n') ++*(int *) arg;
}

// One after the other, because CHECK is for one thread at a time.
static void waits_for_threads(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    int call;
    busy = c;
    for (call = 0; call < (int) CALLS; call++) {
      uint64_t began = real_ms(), took;
      pthread_t thread;
      int lines = logged;
      CHECK(pthread_create(&thread, NULL, calls, &call) == 0);
      pthread_join(thread, NULL);
      took = real_ms() - began;
      CHECK(took >= 900 && took < 20000);
      CHECK_EQ(logged, lines + 1);
      waits++;
    }
    CHECK_EQ(c->send.len, 0);
    CHECK(!c->is_closing);
    CHECK_EQ(count_conns(c->mgr), 2);
    CHECK(c->mgr->timers == NULL);
    mg_http_reply(c, 200, "", "hi");
  }
  (void) ev_data;
}

static void while_a_handler_waits_for_the_thread(void) {
  struct peer p;
  forget_all();
  logged = 0;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, spare) == 0);
  mg_log_set(MG_LL_ERROR);
  mg_log_set_fn(count_lines, &logged);
  peer_open(&p, serve(&mgr, waits_for_threads, NULL));
  CHECK(peer_send_text(&p, GET("/")));
  POLL_UNTIL(&mgr, peer_has(&p, strlen(HI)));
  CHECK(peer_got(&p, HI));
  CHECK_EQ(waits, CALLS);
  mg_log_set_fn(mg_pfn_stdout, NULL);
  close(spare[0]), close(spare[1]);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- the end of the manager

static int polled;

static void counts_polls(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_POLL && c->is_accepted) ADD(polled, 1);
}

static void *polls_once(void *arg) {
  mg_mgr_poll(&mgr, 0);
  ADD(polled, 1);
  mg_mgr_poll(&mgr, 60000);
  return arg;
}

static void freed_while_a_poll_sleeps(void) {
  pthread_t thread;
  struct peer p;
  struct mg_connection *l;
  uint64_t began = real_ms();
  int i;
  for (i = 0; i < 20; i++) {
    forget();
    l = serve(&mgr, counts_polls, NULL);
    join(&mgr, l, &p);
    polled = 0;
    CHECK(pthread_create(&thread, NULL, polls_once, NULL) == 0);
    WAIT_UNTIL(LOAD(polled) >= 2);
    usleep(10000);
    mg_mgr_free(&mgr);
    CHECK(mgr.conns == NULL && mgr.timers == NULL && mgr.epoll_fd == -1);
    pthread_join(thread, NULL);
    CHECK_EQ(closed, 1);
    peer_free(&p);
  }
  CHECK(real_ms() - began < 30000);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  while_the_poll_sleeps();
  many_at_once();
  while_a_handler_waits_for_the_thread();
  freed_while_a_poll_sleeps();
  return DONE();
}
