// A manager in a foreign event loop, which waits for mgx_mgr_fd for at most mgx_mgr_timeout_ms, then polls without waiting. No
// event may be missed, and the loop must not spin.
#include <poll.h>
#include <pthread.h>

#include "ext.h"

static struct mg_mgr mgr;
static int rounds, busy;

// One round of the foreign loop. Waits without any other limit than the library's: what is missed hangs.
static void foreign_loop_iteration(void) {
  struct pollfd pfd;
  int ms = mgx_mgr_timeout_ms(&mgr);
  memset(&pfd, 0, sizeof(pfd));
  pfd.fd = mgx_mgr_fd(&mgr);
  pfd.events = POLLIN;
  CHECK(pfd.fd >= 0);
  if (poll(&pfd, 1, ms < 0 ? 20000 : ms) == 0 && ms == 0) busy++;
  mg_mgr_poll(&mgr, 0);
  rounds++;
}

#define LOOP_UNTIL(cond)                                          \
  do {                                                            \
    uint64_t end = real_ms() + 60000;                             \
    while (!(cond) && real_ms() < end) foreign_loop_iteration();                    \
    CHECK(cond);                                                  \
  } while (0)

static void count(void *arg) {
  ++*(int *) arg;
}

static void *from_thread(void *arg) {
  usleep(30000);
  CHECK(mgx_send_to(&mgr, *(unsigned long *) arg, "late", 4));
  return NULL;
}

static void *drain_later(void *arg) {
  usleep(30000);
  CHECK(mgx_mgr_drain(&mgr, (struct mgx_mgr_drain_opts *) arg));
  return NULL;
}

static bool wakened;

static void server_and_wakeups(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_WAKEUP) wakened = true;
}

static void *wake(void *arg) {
  usleep(30000);
  CHECK(mg_wakeup(&mgr, *(unsigned long *) arg, "x", 1));
  return NULL;
}

int main(void) {
  struct mg_mgr zero;
  struct mg_connection *listener, *c;
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_opts terms;
  struct peer p, slow;
  struct seen {
    int ticks, once;
  } seen = {0, 0};
  unsigned long id;
  pthread_t thread;
  int ms;
  mg_log_set(MG_LL_NONE);
  memset(&zero, 0, sizeof(zero));
  CHECK_EQ(mgx_mgr_fd(NULL), -1);
  CHECK_EQ(mgx_mgr_timeout_ms(NULL), -1);
  CHECK_EQ(mgx_mgr_fd(&zero), -1);
  CHECK_EQ(mgx_mgr_timeout_ms(&zero), -1);

  mg_mgr_init(&mgr);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), -1);
  big_body = make_body(BIG);
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", server_and_wakeups, NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), -1);

  // A request, an answer, and more of both than one round handles.
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, GET("/hi") GET("/hi") GET("/hi")));
  LOOP_UNTIL(peer_has(&p, 3 * strlen(HI)));
  CHECK_EQ(requests, 3);
  p.len = 0;
  CHECK(peer_send_text(&p, GET("/big")));
  LOOP_UNTIL(peer_has(&p, BIG + 40));
  p.len = 0;

  // Reading was paused, and the kernel will not tell again.
  c = last;
  c->is_full = 1;
  CHECK(peer_send_text(&p, GET("/hi")));
  foreign_loop_iteration();
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), -1);
  c->is_full = 0;
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_got(&p, HI) || peer_read(&p));
  p.len = 0;

  // Output queued between two polls, and from another thread; a wakeup.
  mgx_write(c, "now");
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_has(&p, 3));
  p.len = 0;
  id = c->id;
  CHECK(pthread_create(&thread, NULL, from_thread, &id) == 0);
  LOOP_UNTIL(peer_has(&p, 4));
  pthread_join(thread, NULL);
  CHECK(peer_got(&p, "late"));
  p.len = 0;
  CHECK(mg_wakeup_init(&mgr));
  CHECK(pthread_create(&thread, NULL, wake, &id) == 0);
  LOOP_UNTIL(wakened);
  pthread_join(thread, NULL);

  // Timers: the next one is what there is to wait for, and waiting for it costs few rounds.
  mg_timer_add(&mgr, 60, MG_TIMER_ONCE, count, &seen.once);
  mg_timer_add(&mgr, 20, MG_TIMER_REPEAT, count, &seen.ticks);
  mg_mgr_poll(&mgr, 0);
  ms = mgx_mgr_timeout_ms(&mgr);
  CHECK(ms >= 0 && ms <= 20);
  rounds = 0;
  LOOP_UNTIL(seen.once == 1 && seen.ticks >= 5);
  CHECK(rounds < 100);
  {
    struct mg_timer *t = mgr.timers;
    CHECK(t != NULL && t->next == NULL);
    mgx_timer_cancel(&mgr, t);
    CHECK(mgr.timers == NULL);
    mgx_timer_cancel(&mgr, t);
    mgx_timer_cancel(&mgr, NULL);
    mgx_timer_cancel(NULL, t);
  }

  // What is closed between two polls ends in the next.
  mgx_conn_close(c);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_read(&p));
  peer_free(&p);

  // A body that is too large is refused without further input.
  peer_open(&p, listener);
  forget();
  LOOP_UNTIL(opened == 1);
  CHECK(peer_send_text(&p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n"));
  LOOP_UNTIL(last->recv.len > 0);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_read(&p));
  CHECK(p.len > 12 && memcmp(p.buf, "HTTP/1.1 413", 12) == 0);
  peer_free(&p);

  // A response that the application puts into the buffer is complete when it is sent; the next request has waited for it.
  peer_open(&p, listener);
  forget();
  CHECK(peer_send_text(&p, "GET /later HTTP/1.0\r\n\r\nGET /hi HTTP/1.0\r\n\r\n"));
  LOOP_UNTIL(requests == 1);
  c = last;
  LOOP_UNTIL(mgx_mgr_timeout_ms(&mgr) == -1);
  mg_iobuf_add(&c->send, 0, OWN, strlen(OWN));
  while (requests == 1 && c->send.len > 0) mg_mgr_poll(&mgr, 0);
  if (requests == 1) CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_read(&p));
  CHECK(peer_got(&p, OWN HI_CLOSE));
  peer_free(&p);

  // A drain without a limit for the response it waits for: there is no time to wait for either.
  peer_open(&p, listener);
  forget();
  CHECK(peer_send_text(&p, GET("/nothing")));
  LOOP_UNTIL(requests == 1);
  memset(&terms, 0, sizeof(terms));
  terms.response_timeout_ms = -1;
  CHECK(mgx_conn_drain(last, &terms));
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), -1);
  mg_http_reply(last, 200, "", "hi");
  LOOP_UNTIL(peer_read(&p));
  CHECK(peer_got(&p, HI_CLOSE));
  peer_free(&p);

  // A connection without MG_EV_POLL.
  peer_open(&slow, listener);
  forget();
  LOOP_UNTIL(opened == 1);
  mgx_conn_poll_events(last, false);
  LOOP_UNTIL(mgx_mgr_timeout_ms(&mgr) != 0);
  mgx_write(last, "quiet");
  CHECK_EQ(mgx_mgr_timeout_ms(&mgr), 0);
  LOOP_UNTIL(peer_has(&slow, 5));
  slow.len = 0;

  // A drain that another thread asks for, with deadlines of its own and a peer that lets it come to them.
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = 30;
  opts.deadline_ms = 300;
  CHECK(peer_send_text(&slow, GET("/nothing")));
  LOOP_UNTIL(requests == 1);
  CHECK(pthread_create(&thread, NULL, drain_later, &opts) == 0);
  LOOP_UNTIL(mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  pthread_join(thread, NULL);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  peer_free(&slow);
  CHECK(busy < 1000);
  mg_mgr_free(&mgr);
  CHECK_EQ(mgx_mgr_fd(&mgr), -1);
  free(big_body);
  return DONE();
}
