// Functions for other threads and signal handlers: mgx_send_to and mgx_wakeup_mgr, without mg_wakeup_init.
#include "mongoose.h"

#include <pthread.h>

#include "ext.h"

enum { THREADS = 4, LINES = 2000 };

static struct mg_mgr mgr;
static struct mg_connection *listener;
static unsigned long id;

static void *writer(void *arg) {
  char line[20];
  int i, n = *(int *) arg;
  for (i = 0; i < LINES; i++) {
    mg_snprintf(line, sizeof(line), "%d %d\n", n, i);
    while (!mgx_send_to(&mgr, id, line, strlen(line))) sched_yield();
  }
  return NULL;
}

// All lines arrive, those of one thread in their order.
static void output_from_threads(void) {
  pthread_t threads[THREADS];
  int numbers[THREADS], next[THREADS], i, lines = 0;
  struct peer p;
  char *at;
  forget();
  listener = serve(&mgr, server, NULL);
  id = mgx_conn_id(join(&mgr, listener, &p));
  for (i = 0; i < THREADS; i++) {
    numbers[i] = i, next[i] = 0;
    CHECK(pthread_create(&threads[i], NULL, writer, &numbers[i]) == 0);
  }
  for (i = 0; i < THREADS; i++) next[i] = 0;
  // Each sends 4 bytes of number, blank and line end, and the digits of the line numbers.
  POLL_UNTIL(&mgr, peer_has(&p, THREADS * (10 * 4 + 90 * 5 + 900 * 6 + 1000 * 7)));
  for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  CHECK(p.len > 0 && p.buf[p.len - 1] == '\n');
  for (at = p.buf; at != NULL && at < p.buf + p.len; at = (char *) memchr(at, '\n', p.len - (size_t) (at - p.buf)) + 1) {
    int n = at[0] - '0';
    if (n < 0 || n >= THREADS) break;
    if (atoi(at + 2) == next[n]) next[n]++;
    lines++;
  }
  CHECK_EQ(lines, THREADS * LINES);
  for (i = 0; i < THREADS; i++) CHECK_EQ(next[i], LINES);
  CHECK(mgx_send_to(&mgr, id + 1000, "x", 1));  // nobody: dropped
  CHECK(mgx_send_to(&mgr, id, NULL, 0));
  CHECK(mgx_send_to(&mgr, listener->id, "x", 1));
  poll_often(&mgr);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void *refused(void *arg) {
  size_t sent = 0, size = 1 << 20;
  char *block = (char *) calloc(1, size);
  while (sent < 1000 && mgx_send_to(&mgr, id, block, size)) sent++;
  *(size_t *) arg = sent;
  free(block);
  return NULL;
}

static void messages_beyond_the_limit_are_refused(void) {
  pthread_t thread;
  size_t sent = 0;
  struct peer p;
  forget();
  listener = serve(&mgr, server, NULL);
  id = mgx_conn_id(join(&mgr, listener, &p));
  CHECK(!mgx_send_to(&mgr, id, "x", (size_t) -1));
  CHECK(!mgx_send_to(&mgr, id, "x", SIZE_MAX / 2));
  CHECK(pthread_create(&thread, NULL, refused, &sent) == 0);
  pthread_join(thread, NULL);
  CHECK(sent == 63);
  POLL_UNTIL(&mgr, peer_has(&p, sent << 20));
  CHECK(mgx_send_to(&mgr, id, "again", 5));
  POLL_UNTIL(&mgr, peer_has(&p, (sent << 20) + 5));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- ends of sleeps
static int woken;  // by signal handlers and threads

static void on_signal(int number) {
  __atomic_store_n(&woken, 1, __ATOMIC_RELAXED);
  mgx_wakeup_mgr(&mgr);
  mgx_send_to(&mgr, id, "s", 1);
  (void) number;
}

static void *waker(void *arg) {
  usleep(20000);
  if (arg == NULL) {
    __atomic_store_n(&woken, 1, __ATOMIC_RELAXED);  // before, or the sleeper would see nothing and sleep again
    mgx_wakeup_mgr(&mgr);
  } else {
    kill(getpid(), SIGUSR1);
  }
  return NULL;
}

static void wakeups_end_the_sleep(bool by_signal) {
  uint64_t began = real_ms();
  pthread_t thread;
  struct peer p;
  int mark = 1;
  forget();
  listener = serve(&mgr, server, NULL);
  id = mgx_conn_id(join(&mgr, listener, &p));
  __atomic_store_n(&woken, 0, __ATOMIC_RELAXED);
  signal(SIGUSR1, on_signal);
  CHECK(pthread_create(&thread, NULL, waker, by_signal ? &mark : NULL) == 0);
  while (__atomic_load_n(&woken, __ATOMIC_RELAXED) == 0 && real_ms() < began + 50000) mg_mgr_poll(&mgr, 60000);
  CHECK(real_ms() < began + 30000);
  pthread_join(thread, NULL);
  if (by_signal) expect_open(&mgr, &p, "s");
  CHECK(mgx_wakeup_mgr(&mgr));  // before the sleep: it does not begin
  began = real_ms();
  mg_mgr_poll(&mgr, 60000);
  CHECK(real_ms() < began + 30000);
  signal(SIGUSR1, SIG_DFL);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A signal handler that interrupts the same function: no lock may be held by the one that was interrupted.
static bool stop;
static int shots;

// With pauses: a handler that adds a message more often than one can be handed out would never let a poll catch up.
static void *send_signals(void *arg) {
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    pthread_kill(*(pthread_t *) arg, SIGUSR1);
    __atomic_add_fetch(&shots, 1, __ATOMIC_RELAXED);
    usleep(20);
  }
  return NULL;
}

static void handlers_interrupt_senders(void) {
  pthread_t self = pthread_self(), thread;
  struct peer p;
  size_t i, got, sent = 0, calls = 0;
  forget();
  listener = serve(&mgr, server, NULL);
  id = mgx_conn_id(join(&mgr, listener, &p));
  signal(SIGUSR1, on_signal);
  __atomic_store_n(&stop, false, __ATOMIC_RELAXED);
  CHECK(pthread_create(&thread, NULL, send_signals, &self) == 0);
  while (calls < 5000 || (calls < 5000000 && __atomic_load_n(&shots, __ATOMIC_RELAXED) < 500)) {
    sent += mgx_send_to(&mgr, id, "m", 1);
    if (calls++ % 50 == 0) mg_mgr_poll(&mgr, 0), peer_read(&p);
  }
  __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
  pthread_join(thread, NULL);
  CHECK_EQ(sent, calls);
  for (got = 0, i = 0; got < sent && i < 5000; i++) {
    mg_mgr_poll(&mgr, 1);
    peer_read(&p);
    for (got = 0; got < p.len && p.buf[got] == 'm';) got++;
    if (got < p.len) {  // take the handler's bytes out
      size_t from, to;
      for (from = to = 0; from < p.len; from++) {
        if (p.buf[from] == 'm') p.buf[to++] = 'm';
      }
      got = p.len = to;
    }
  }
  CHECK_EQ(got, sent);
  signal(SIGUSR1, SIG_DFL);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A call from another thread waits until the handler returns, whatever that has called meanwhile.
static int in_handler, entered;

static void *enters(void *arg) {
  while (__atomic_load_n(&in_handler, __ATOMIC_SEQ_CST) == 0) usleep(100);
  mgx_conn_poll_events((struct mg_connection *) arg, true);
  __atomic_store_n(&entered, 1, __ATOMIC_SEQ_CST);
  return NULL;
}

static void is_alone(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_POLL || in_handler != 0) return;
  mgx_conn_poll_events(c, true);
  __atomic_store_n(&in_handler, 1, __ATOMIC_SEQ_CST);
  usleep(50000);
  CHECK_EQ(__atomic_load_n(&entered, __ATOMIC_SEQ_CST), 0);
  (void) ev_data;
}

static void handlers_are_alone(void) {
  pthread_t thread;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "udp://127.0.0.1:0", is_alone, NULL);
  CHECK(pthread_create(&thread, NULL, enters, listener) == 0);
  mg_mgr_poll(&mgr, 0);
  pthread_join(thread, NULL);
  CHECK_EQ(entered, 1);
  mg_mgr_free(&mgr);
}

// A loop that polls without a pause, and has handlers that take long, lets other threads in between two polls.
static int let_in;

static void nothing(void *arg) {
  (void) arg;
}

static void *calls(void *arg) {
  int i;
  for (i = 0; i < 5; i++) CHECK(mg_timer_add(&mgr, 1000, MG_TIMER_ONCE, nothing, NULL) != NULL);
  __atomic_store_n(&let_in, 1, __ATOMIC_SEQ_CST);
  return arg;
}

static void takes_long(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL) usleep(50000);
  (void) c, (void) ev_data;
}

static void loops_let_threads_in(void) {
  pthread_t thread;
  mg_mgr_init(&mgr);
  mg_listen(&mgr, "udp://127.0.0.1:0", takes_long, NULL);
  CHECK(pthread_create(&thread, NULL, calls, NULL) == 0);
  while (__atomic_load_n(&let_in, __ATOMIC_SEQ_CST) == 0) mg_mgr_poll(&mgr, 0);
  pthread_join(thread, NULL);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  output_from_threads();
  messages_beyond_the_limit_are_refused();
  wakeups_end_the_sleep(false);
  wakeups_end_the_sleep(true);
  handlers_interrupt_senders();
  handlers_are_alone();
  loops_let_threads_in();
  return DONE();
}
