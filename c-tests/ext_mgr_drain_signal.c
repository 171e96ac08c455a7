// mgx_mgr_drain from where applications are told to stop: a signal handler while mg_mgr_poll sleeps, another thread, several at
// once; and mgx_mgr_drain_wait, in real time.
#include "mongoose.h"

#include <pthread.h>

#include "ext.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static struct mgx_mgr_drain_opts opts;

static void start(int lame_duck, int idle_grace, int deadline) {
  forget();
  listener = serve(&mgr, server, NULL);
  CHECK(mgx_mgr_drain_init(&mgr));
  memset(&opts, 0, sizeof(opts));
  opts.lame_duck_ms = lame_duck;
  opts.idle_grace_ms = idle_grace;
  opts.deadline_ms = deadline;
}

static void on_signal(int number) {
  mgx_mgr_drain(&mgr, &opts);
  (void) number;
}

// Signals while the library sleeps: they come at a moment that the loop cannot know.
static void *send_signal(void *arg) {
  usleep(50000);
  kill(getpid(), SIGTERM);
  (void) arg;
  return NULL;
}

static void *drain_from_thread(void *arg) {
  usleep(50000);
  CHECK(mgx_mgr_drain(&mgr, &opts));
  (void) arg;
  return NULL;
}

static void ends_a_long_sleep(void *(*body)(void *) ) {
  uint64_t began = real_ms();
  struct peer p;
  pthread_t thread;
  int polls = 0;
  start(0, 1, 5000);
  signal(SIGTERM, on_signal);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < began + 50000) mg_mgr_poll(&mgr, 60000), polls++;
  CHECK(real_ms() < began + 30000);
  CHECK(polls < 100);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  pthread_join(thread, NULL);
  signal(SIGTERM, SIG_DFL);
  expect_end(&mgr, &p, "");
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// In the polling thread itself, at any place: the signal is raised by a handler in the middle of a poll.
static void raises(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) raise(SIGTERM);
}

static void signal_raised_in_a_handler(void) {
  struct peer p;
  start(0, 1, 5000);
  listener->fn = raises;
  signal(SIGTERM, on_signal);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, GET("/later")));
  POLL_UNTIL(&mgr, requests == 1);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_FINISHING);
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  expect_end(&mgr, &p, HI_CLOSE);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  signal(SIGTERM, SIG_DFL);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void *drain_with_own_deadline(void *arg) {
  struct mgx_mgr_drain_opts own = opts;
  char reason_text[20];
  int i, n = *(int *) arg;
  mg_snprintf(reason_text, sizeof(reason_text), "thread %d", n);
  own.conn.ws_close_reason = reason_text;
  for (i = 0; i < 200; i++) {
    own.deadline_ms = 300 + 1000 * n + i;
    mgx_mgr_drain(&mgr, &own);
    if (i % 20 == 0) kill(getpid(), SIGUSR1);
  }
  memset(reason_text, 0, sizeof(reason_text));
  return NULL;
}

static void many_at_once(void) {
  enum { N = 4 };
  pthread_t threads[N];
  struct mgx_drain_status status;
  struct peer p;
  int i, numbers[N];
  start(0, 1, 60000);
  signal(SIGUSR1, on_signal);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/never"));
  for (i = 0; i < N; i++) {
    numbers[i] = i;
    CHECK(pthread_create(&threads[i], NULL, drain_with_own_deadline, &numbers[i]) == 0);
  }
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);  // the nearest deadline counts
  for (i = 0; i < N; i++) pthread_join(threads[i], NULL);
  mg_mgr_poll(&mgr, 0);
  signal(SIGUSR1, SIG_DFL);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.forced, 1);
  CHECK_EQ(status.phase, MGX_MGR_DONE);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- waiting
static void answer(void *arg) {
  struct mg_connection *c;
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted && c->is_resp) mg_http_reply(c, 200, "", "hi");
  }
  (void) arg;
}

static void waits_until_all_is_sent(void) {
  uint64_t began;
  struct peer p;
  start(20, 50, 40000);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/later"));
  mg_timer_add(&mgr, 300, MG_TIMER_REPEAT, answer, NULL);
  CHECK(mgx_mgr_drain(&mgr, &opts));
  began = real_ms();
  CHECK(mgx_mgr_drain_wait(&mgr));
  // Its answer has arrived; what lingered has ended, although this peer never closes: after a second without a byte.
  CHECK(peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got(&p, HI_CLOSE));
  CHECK(real_ms() >= began + 1000);
  CHECK(real_ms() < began + 39000);
  CHECK_EQ(closed, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void *reads_to_the_end(void *arg) {
  struct peer *p = (struct peer *) arg;
  while (!peer_read(p)) usleep(1000);
  return NULL;
}

static void mgx_mgr_drain_wait_before_mg_mgr_free_saves_the_reply(void) {
  struct mg_str want = make_reply("200 OK", "", big_body, BIG);
  pthread_t thread;
  struct peer p;
  start(0, 50, 50000);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  mg_mgr_poll(&mgr, 0);
  CHECK(last != NULL && last->send.len > 0);  // not all of it fits into the socket
  CHECK(pthread_create(&thread, NULL, reads_to_the_end, &p) == 0);
  CHECK(mgx_mgr_drain_wait(&mgr));
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  mg_mgr_free(&mgr);
  pthread_join(thread, NULL);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_bytes(&p, want.buf, want.len));
  free(want.buf);
  peer_free(&p);
}

static void waits_until_the_deadline(void) {
  uint64_t began = real_ms();
  struct peer p;
  start(0, 1, 400);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/big"));
  CHECK(mgx_mgr_drain(&mgr, &opts));
  CHECK(!mgx_mgr_drain_wait(&mgr));
  CHECK(real_ms() >= began + 400);
  CHECK(real_ms() < began + 40000);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The sleep of a poll ends at the next deadline of the drain, however long the application would have slept.
static void polls_end_in_time(void) {
  uint64_t began = real_ms(), lame_duck, idle_grace;
  struct peer p;
  start(200, 200, 800);
  join(&mgr, listener, &p);
  join(&mgr, listener, &p);  // the first one stays idle
  ask(&mgr, &p, GET("/never"));
  CHECK(mgx_mgr_drain(&mgr, &opts));
  mg_mgr_poll(&mgr, 0);
  began = real_ms();
  while (mgx_mgr_phase(&mgr) == MGX_MGR_LAME_DUCK) mg_mgr_poll(&mgr, 60000);
  lame_duck = real_ms() - began;
  while (mgx_mgr_phase(&mgr) == MGX_MGR_IDLE_GRACE) mg_mgr_poll(&mgr, 60000);
  idle_grace = real_ms() - began;
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE) mg_mgr_poll(&mgr, 60000);
  CHECK(lame_duck >= 190 && lame_duck < 30000);
  CHECK(idle_grace >= 390 && idle_grace < 40000);
  CHECK(real_ms() - began >= 790);
  CHECK(real_ms() - began < 50000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// mgx_mgr_drain_on_signal: the signal comes in another thread than the one that sleeps.
static void *take_signal(void *arg) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  usleep(50000);
  pthread_kill(pthread_self(), SIGUSR2);
  (void) arg;
  return NULL;
}

static void a_signal_in_another_thread(void) {
  uint64_t began = real_ms();
  pthread_t thread;
  sigset_t set;
  start(0, 1, 5000);
  CHECK(mgx_mgr_drain_on_signal(&mgr, SIGUSR2, &opts));
  sigemptyset(&set);
  sigaddset(&set, SIGUSR2);
  pthread_sigmask(SIG_BLOCK, &set, NULL);
  CHECK(pthread_create(&thread, NULL, take_signal, NULL) == 0);
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < began + 50000) mg_mgr_poll(&mgr, 40000);
  CHECK(real_ms() < began + 30000);
  pthread_join(thread, NULL);
  pthread_sigmask(SIG_UNBLOCK, &set, NULL);
  mg_mgr_free(&mgr);
}

// mg_mgr_free after a drain waits for peers that are still sending, so that no reset destroys the end of a reply.
static int peer_ended;

static void *end_peer(void *arg) {
  struct peer *p = (struct peer *) arg;
  usleep(50000);
  CHECK(peer_send_text(p, "more"));
  __atomic_store_n(&peer_ended, 1, __ATOMIC_SEQ_CST);
  peer_shut(p);
  return NULL;
}

static void mg_mgr_free_waits_for_lingering_sockets(void) {
  pthread_t thread;
  struct peer p;
  start(0, 1, 5000);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  CHECK(mgx_mgr_drain(&mgr, &opts));
  POLL_UNTIL(&mgr, closed == 1);
  CHECK(pthread_create(&thread, NULL, end_peer, &p) == 0);
  mg_mgr_free(&mgr);
  CHECK_EQ(__atomic_load_n(&peer_ended, __ATOMIC_SEQ_CST), 1);
  pthread_join(thread, NULL);
  while (!peer_read(&p)) usleep(100);
  CHECK_EQ(p.end, PEER_FIN);
  peer_free(&p);
}

// There is room for 64 managers in the table that signal handlers read.
static void one_too_many(void) {
  static struct mg_mgr many[65];
  int i;
  for (i = 0; i < 65; i++) mg_mgr_init(&many[i]);
  for (i = 0; i < 64; i++) CHECK(mgx_mgr_drain_on_signal(&many[i], SIGUSR2, NULL));
  CHECK(!mgx_mgr_drain_on_signal(&many[64], SIGUSR2, NULL));
  CHECK(mgx_mgr_drain_on_signal(&many[0], SIGUSR2, NULL));  // again
  mg_mgr_free(&many[7]);
  CHECK(mgx_mgr_drain_on_signal(&many[64], SIGUSR2, NULL));
  for (i = 0; i < 65; i++) mg_mgr_free(&many[i]);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  ends_a_long_sleep(send_signal);
  ends_a_long_sleep(drain_from_thread);
  signal_raised_in_a_handler();
  many_at_once();
  waits_until_all_is_sent();
  mgx_mgr_drain_wait_before_mg_mgr_free_saves_the_reply();
  waits_until_the_deadline();
  polls_end_in_time();
  a_signal_in_another_thread();
  mg_mgr_free_waits_for_lingering_sockets();
  one_too_many();
  free(big_body);
  return DONE();
}
