// mgx_threads: one manager per thread on the same port, drained together. The handlers run in several threads.
#include "mongoose_ext.h"
#include "peer.h"

#include <pthread.h>
#include <signal.h>

enum { THREADS = 3 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct shared {
  char url[60];
  int port, refused;             // the thread that is not to come up, or -1
  pthread_t threads[THREADS];
  int setups, opens, closes, served[THREADS], wrong_thread, by_signal;
} shared;

static void count(int *n) {
  pthread_mutex_lock(&lock);
  ++*n;
  pthread_mutex_unlock(&lock);
}

static int value(const int *n) {
  int result;
  pthread_mutex_lock(&lock);
  result = *n;
  pthread_mutex_unlock(&lock);
  return result;
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  int index = (int) (size_t) c->fn_data;
  if (!pthread_equal(shared.threads[index], pthread_self())) count(&shared.wrong_thread);
  if (ev == MG_EV_OPEN) count(&shared.opens);
  if (ev == MG_EV_CLOSE) count(&shared.closes);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    count(&shared.served[index]);
    if (mg_match(hm->uri, mg_str("/never"), NULL)) return;
    mg_http_reply(c, 200, "", "%d", index);
  }
}

static bool setup(struct mg_mgr *mgr, int index, void *arg) {
  struct shared *s = (struct shared *) arg;
  struct mg_connection *l;
  CHECK(s == &shared && index == s->setups && mgr->conns == NULL);
  s->threads[index] = pthread_self();
  s->setups++;
  mg_mgr_init(mgr);
  if (!mgx_listen_reuseport(mgr, true)) return false;
  if (s->by_signal && !mgx_mgr_drain_on_signal(mgr, SIGUSR1, NULL)) return false;
  if (index == s->refused) return false;
  l = mg_http_listen(mgr, s->url, fn, (void *) (size_t) index);
  if (l == NULL) return false;
  if (index == 0) {
    s->port = port_of(l);
    mg_snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", s->port);
  }
  return true;
}

static struct mgx_group *start(int refused, bool by_signal) {
  memset(&shared, 0, sizeof(shared));
  strcpy(shared.url, "http://127.0.0.1:0");
  shared.refused = refused;
  shared.by_signal = by_signal;
  return mgx_threads(THREADS, setup, &shared);
}

static void wait_for_end(struct peer *p) {
  uint64_t end = real_ms() + 50000;
  while (!peer_read(p) && real_ms() < end) usleep(1000);
  CHECK(p->end == PEER_FIN);
}

static void ask_each(int requests) {
  int i;
  for (i = 0; i < requests; i++) {
    struct peer p;
    peer_connect(&p, (unsigned short) shared.port, 0);
    CHECK(peer_send_text(&p, "GET / HTTP/1.0\r\n\r\n"));
    wait_for_end(&p);
    CHECK(p.len > 12 && memcmp(p.buf + 9, "200", 3) == 0);
    peer_free(&p);
  }
}

static void drained_together(void) {
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  struct mgx_group *group = start(-1, false);
  struct peer late[8];
  int i, sum = 0;
  CHECK(group != NULL);
  CHECK_EQ(mgx_group_size(group), THREADS);
  ask_each(60);
  for (i = 0; i < THREADS; i++) sum += value(&shared.served[i]);
  CHECK_EQ(sum, 60);
  mgx_group_drain_status(group, &status);
  CHECK(status.phase == MGX_MGR_RUNNING && status.listeners == THREADS && status.forced == 0);
  // Requests under way when the drain begins are answered, whoever has them.
  for (i = 0; i < 8; i++) {
    peer_connect(&late[i], (unsigned short) shared.port, 0);
    CHECK(peer_send_text(&late[i], "GET / HTTP/1.1\r\nHost:"));
  }
  for (i = 0; value(&shared.opens) < THREADS + 60 + 8 && i < 50000; i++) usleep(1000);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 40000;
  CHECK(mgx_group_drain(group, &opts));
  do {
    mgx_group_drain_status(group, &status);
  } while (status.phase < MGX_MGR_IDLE_GRACE);
  CHECK(status.remaining_ms > 0 && status.remaining_ms <= 40000);
  for (i = 0; i < 8; i++) {
    CHECK(peer_send_text(&late[i], " x\r\n\r\n"));
    wait_for_end(&late[i]);
    CHECK(late[i].len > 12 && memcmp(late[i].buf + 9, "200", 3) == 0);
    peer_free(&late[i]);
  }
  CHECK(mgx_group_wait(group));
  CHECK_EQ(shared.opens, shared.closes);
  CHECK_EQ(shared.wrong_thread, 0);
  CHECK(!port_answers((unsigned short) shared.port));
}

static void one_deadline(void) {
  struct mgx_mgr_drain_opts opts;
  struct peer p;
  int i, sum;
  struct mgx_group *group = start(-1, false);
  CHECK(group != NULL);
  peer_connect(&p, (unsigned short) shared.port, 0);
  CHECK(peer_send_text(&p, "GET /never HTTP/1.1\r\n\r\n"));
  do {
    usleep(1000);
    for (sum = i = 0; i < THREADS; i++) sum += value(&shared.served[i]);
  } while (sum == 0);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 100;
  CHECK(mgx_group_drain(group, &opts));
  CHECK(!mgx_group_wait(group));
  CHECK_EQ(shared.opens, shared.closes);
  peer_free(&p);
}

static void drained_by_a_signal(void) {
  struct mgx_group *group = start(-1, true);
  CHECK(group != NULL);
  ask_each(3);
  raise(SIGUSR1);
  CHECK(mgx_group_wait(group));
  CHECK_EQ(shared.opens, shared.closes);
}

static bool forgets_its_manager(struct mg_mgr *mgr, int index, void *arg) {
  return (void) mgr, (void) index, (void) arg, true;
}

static void not_started(void) {
  int refused;
  mg_log_set(MG_LL_NONE);
  for (refused = 0; refused < THREADS; refused++) {
    CHECK(start(refused, false) == NULL);
    CHECK_EQ(shared.setups, refused + 1);
    CHECK_EQ(shared.opens, shared.closes);
    CHECK(shared.port == 0 || !port_answers((unsigned short) shared.port));
  }
  CHECK(mgx_threads(2, forgets_its_manager, NULL) == NULL);
  CHECK(mgx_threads(2, NULL, NULL) == NULL);
  mg_log_set(MG_LL_ERROR);
  CHECK(mgx_group_wait(NULL));
  CHECK(!mgx_group_drain(NULL, NULL));
  CHECK_EQ(mgx_group_size(NULL), 0);
  mgx_group_drain_status(NULL, NULL);
}

int main(void) {
  drained_together();
  one_deadline();
  drained_by_a_signal();
  not_started();
  return DONE();
}
