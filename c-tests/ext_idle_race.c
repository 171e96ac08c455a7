// A request sent at the very moment an idle connection is closed, 10,000 times: it is answered completely, or the client gets
// the end of the stream before any byte of a response and may retry elsewhere. Never a partial response, never a reset.
// C only
// timeout: 120
#include "mongoose.h"

#include <pthread.h>
#include <stdatomic.h>

#include "ext.h"

enum { CLIENTS = 8 };

static struct mg_connection *listener;
static atomic_int rounds_left, answered, refused, wrong, running;

static void drains(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) {
    struct mgx_drain_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.idle_grace_ms = 1;
    CHECK(mgx_conn_drain(c, &opts));
  }
}

static void wait_ns(long ns) {
  struct timespec t;
  t.tv_sec = 0;
  t.tv_nsec = ns;
  nanosleep(&t, NULL);
}

// Finds the instant by itself: later after an answer, sooner after none.
static void *client(void *arg) {
  unsigned short port = *(unsigned short *) arg;
  long delay = 1000000;
  while (atomic_fetch_sub(&rounds_left, 1) > 0) {
    struct peer p;
    char got[200];
    ssize_t n = 1;
    size_t len = 0;
    peer_connect(&p, port, 0);
    wait_ns(delay);
    if (!peer_send_text(&p, GET("/hi"))) n = -1;
    while (n > 0 && len < sizeof(got)) {
      n = recv(p.fd, got + len, sizeof(got) - len, 0);
      if (n > 0) len += (size_t) n;
    }
    if (n == 0 && len == strlen(HI_CLOSE) && memcmp(got, HI_CLOSE, len) == 0) {
      atomic_fetch_add(&answered, 1);
      if (delay < 50000000) delay += delay / 20;
    } else if (n == 0 && len == 0) {
      atomic_fetch_add(&refused, 1);
      delay -= delay / 20;
    } else {
      if (atomic_fetch_add(&wrong, 1) < 5) fprintf(stderr, "%lu bytes, errno %d\n", (unsigned long) len, n < 0 ? errno : 0);
    }
    peer_drop(&p);
  }
  atomic_fetch_sub(&running, 1);
  return NULL;
}

int main(void) {
  struct mg_mgr mgr;
  pthread_t threads[CLIENTS];
  unsigned short port;
  int i, rounds = under_tools() ? 400 : 10000;
  uint64_t end = real_ms() + 100000;
  mg_log_set(MG_LL_ERROR);
  forget();
  listener = serve(&mgr, drains, NULL);
  port = port_of(listener);
  atomic_store(&rounds_left, rounds);
  atomic_store(&running, CLIENTS);
  for (i = 0; i < CLIENTS; i++) CHECK(pthread_create(&threads[i], NULL, client, &port) == 0);
  while (atomic_load(&running) > 0 && real_ms() < end) mg_mgr_poll(&mgr, 10);
  CHECK_EQ(atomic_load(&running), 0);
  for (i = 0; i < CLIENTS; i++) pthread_join(threads[i], NULL);
  printf("%d rounds: %d answered, %d closed before any byte, %d otherwise\n", rounds, atomic_load(&answered), atomic_load(&refused),
         atomic_load(&wrong));
  CHECK_EQ(atomic_load(&wrong), 0);
  CHECK_EQ(atomic_load(&answered) + atomic_load(&refused), rounds);
  CHECK(atomic_load(&answered) > 0 && atomic_load(&refused) > 0);
  mg_mgr_free(&mgr);
  return DONE();
}
