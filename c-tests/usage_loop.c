// Main loops and lifetimes of managers, as applications write them.
#include "mongoose.h"

#include "peer.h"

static int opens, closes, events;

static void note(struct mg_connection *c, int ev, void *ev_data) {
  events++;
  if (ev == MG_EV_OPEN) opens++;
  if (ev == MG_EV_CLOSE) closes++;
  (void) c, (void) ev_data;
}

static void forget(void) {
  opens = closes = events = 0;
}

// ---- a signal ends the sleep, except on Windows, where it arrives in another thread
#ifndef _WIN32
static volatile sig_atomic_t s_signo;

static void on_signal(int signo) {
  s_signo = signo;
}

static void a_signal_ends_the_sleep(int ms) {
  struct mg_mgr mgr;
  struct itimerval in_50_ms;
  uint64_t start = real_ms();
  memset(&in_50_ms, 0, sizeof(in_50_ms));
  in_50_ms.it_value.tv_usec = 50000;
  in_50_ms.it_interval.tv_usec = 50000;  // again, should the first come before the sleep
  forget();
  s_signo = 0;
  signal(SIGALRM, on_signal);
  mg_mgr_init(&mgr);
  mg_http_listen(&mgr, "http://127.0.0.1:0", note, NULL);
  setitimer(ITIMER_REAL, &in_50_ms, NULL);
  while (s_signo == 0) mg_mgr_poll(&mgr, ms);
  memset(&in_50_ms, 0, sizeof(in_50_ms));
  setitimer(ITIMER_REAL, &in_50_ms, NULL);
  CHECK(real_ms() - start < 5000);
  CHECK_EQ(s_signo, SIGALRM);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 1);
}
#endif

// ---- what a manager looks like at first, and at last
static void a_fresh_manager(void) {
  struct mg_mgr mgr;
#ifdef SIGPIPE
  signal(SIGPIPE, SIG_DFL);
#endif
  mg_mgr_init(&mgr);
#ifdef SIGPIPE
  CHECK(signal(SIGPIPE, SIG_IGN) == SIG_IGN);
#endif
#ifdef __linux__
  CHECK(mgr.epoll_fd >= 0);
#endif
  CHECK(mgr.pipe.fd == MG_INVALID_SOCKET);
  CHECK(mgr.dns4.url != NULL && strncmp(mgr.dns4.url, "udp://", 6) == 0);
  CHECK(mgr.dns6.url != NULL && strncmp(mgr.dns6.url, "udp://", 6) == 0);
  CHECK(mg_wakeup_init(&mgr));
  mg_mgr_poll(&mgr, 0);
  mg_mgr_free(&mgr);
  CHECK(mgr.pipe.fd == MG_INVALID_SOCKET);
#ifdef __linux__
  CHECK(mgr.epoll_fd == -1);
#endif
}

// ---- until the last connection is gone
static void close_at_once(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hi"), c->is_draining = 1;
  if (ev == MG_EV_CLOSE && c->is_accepted) {
    struct mg_connection *l;
    for (l = c->mgr->conns; l != NULL; l = l->next) {
      if (l->is_listening) l->is_closing = 1;
    }
  }
}

static void while_there_are_connections(void) {
  struct mg_mgr mgr;
  struct peer p;
  uint64_t start = real_ms();
  forget();
  peer_open(&p, serve(&mgr, close_at_once, NULL));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  while (mgr.conns != NULL) mg_mgr_poll(&mgr, 500);  // the peer keeps its end open: the socket lingers
  CHECK(real_ms() - start < 5000);
  CHECK_EQ(opens, 2);
  CHECK_EQ(closes, 2);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- a flag on the caller's stack
static void sets_flag(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.0\r\n\r\n");
  if (ev == MG_EV_HTTP_MSG || ev == MG_EV_ERROR || ev == MG_EV_CLOSE) *(bool *) c->fn_data = true;
  if (ev == MG_EV_HTTP_MSG) c->is_closing = 1;
  (void) ev_data;
}

static void hello(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hello");
}

// Has a request answered; other clients are left connecting, or waiting forever.
static bool fetch(bool leave_others) {
  struct mg_mgr mgr;
  bool done = false, others[3] = {false, false, false};
  struct mg_connection *l;
  uint64_t end = real_ms() + 10000;
  char url[64];
  l = serve(&mgr, hello, NULL);
  snprintf(url, sizeof(url), "%s", url_of(l, "http"));
  if (leave_others) {
    mg_connect(&mgr, url, sets_flag, &others[0]);
    mg_http_connect(&mgr, url, note, NULL);
  }
  mg_http_connect(&mgr, url, sets_flag, &done);
  while (!done && real_ms() < end) mg_mgr_poll(&mgr, 1000);
  if (leave_others) {
    mg_connect(&mgr, url, sets_flag, &others[1]);  // not connected yet
    mg_http_connect(&mgr, "http://127.0.0.1:1", sets_flag, &others[2]);
  }
  mg_mgr_free(&mgr);
  return done && mgr.conns == NULL;
}

static void free_at_once(void) {
  int i;
  for (i = 0; i < 3; i++) {
    CHECK(fetch(false));
    CHECK(fetch(true));
  }
}

// ---- two managers in one loop, client in one and server in the other
static void side_by_side(void) {
  struct mg_mgr one, two;
  struct mg_connection *l;
  bool done = false, done_too = false;
  uint64_t end = real_ms() + 10000;
  mg_mgr_init(&two);
  l = serve(&one, hello, NULL);
  mg_http_connect(&two, url_of(l, "http"), sets_flag, &done);
  while (!done && real_ms() < end) mg_mgr_poll(&one, 0), mg_mgr_poll(&two, 0);
  CHECK(done);
  CHECK(one.nextid == 2 && two.nextid == 1);
  mg_mgr_free(&two);
  while (count_conns(&one) > 1 && real_ms() < end) mg_mgr_poll(&one, 5);
  CHECK(one.conns == l);
  mg_mgr_init(&two);  // again in the same memory
  CHECK(two.conns == NULL && two.nextid == 0);
  mg_http_connect(&two, url_of(l, "http"), sets_flag, &done_too);
  while (!done_too && real_ms() < end) mg_mgr_poll(&one, 0), mg_mgr_poll(&two, 0);
  CHECK(done_too);
  mg_mgr_free(&one);
  mg_mgr_free(&two);
}

// ---- mg_mgr_free closes newest first: the listener goes last and takes the server object with it
struct object {
  int users;
};

static int objects;

static void owner(struct mg_connection *c, int ev, void *ev_data) {
  struct object *o = (struct object *) c->fn_data;
  if (ev == MG_EV_ACCEPT) o->users++;
  if (ev == MG_EV_CLOSE && c->is_accepted) o->users--;
  if (ev == MG_EV_CLOSE && c->is_listening) {
    CHECK_EQ(o->users, 0);
    free(o);
    objects--;
  }
  (void) ev_data;
}

static void newest_first(void) {
  struct mg_mgr mgr;
  struct object *o = (struct object *) calloc(1, sizeof(*o));
  struct mg_connection *l;
  struct peer p[3];
  int i;
  objects = 1;
  l = serve(&mgr, owner, o);
  for (i = 0; i < 3; i++) peer_open(&p[i], l);
  POLL_UNTIL(&mgr, o->users == 3);
  mg_mgr_free(&mgr);
  CHECK_EQ(objects, 0);
  for (i = 0; i < 3; i++) peer_free(&p[i]);
}

// ---- mg_mgr_free reads nothing more, and frees what handlers add meanwhile
static void adds_a_timer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev, ev_data);
  if (ev == MG_EV_READ) events += 1000;
  if (ev == MG_EV_CLOSE) mg_timer_add(c->mgr, 1, MG_TIMER_REPEAT, NULL, NULL);
}

static void the_last_poll(void) {
  struct mg_mgr mgr;
  struct peer p;
  struct mg_connection *l;
  char byte;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", adds_a_timer, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, mgr.conns != l);
  forget();
  CHECK(peer_send_text(&p, "x"));
  while (recv((int) (size_t) mgr.conns->fd, &byte, 1, MSG_PEEK) != 1) continue;
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 2);
  CHECK(events < 1000);
  CHECK(mgr.timers == NULL);
  peer_free(&p);
}

// ---- a short wait is a wait
static void short_polls(void) {
  struct mg_mgr mgr;
  struct peer p;
  uint64_t began;
  int i;
  peer_open(&p, serve(&mgr, hello, NULL));
  poll_often(&mgr);
  began = real_ms();
  for (i = 0; i < 50; i++) mg_mgr_poll(&mgr, 1);
  CHECK(real_ms() - began >= 45);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- timers
static int ticks;

static void tick(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  struct mg_connection *c;
  char url[40];
  ticks++;
  if (ticks == 1) {
    c = mg_http_listen(mgr, "http://127.0.0.1:0", hello, NULL);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", port_of(c));
    mg_http_connect(mgr, url, note, NULL);
  } else if (ticks > 20 && count_conns(mgr) == 3) {
    for (c = mgr->conns; c != NULL; c = c->next) c->is_closing = 1;
  }
}

static void a_timer_before_any_listener(void) {
  struct mg_mgr mgr;
  forget();
  ticks = 0;
  mg_mgr_init(&mgr);
  CHECK(mg_timer_add(&mgr, 1, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, tick, &mgr) != NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(ticks, 1);
  CHECK_EQ(count_conns(&mgr), 2);
  POLL_UNTIL(&mgr, closes == 3);
  CHECK_EQ(opens, 3);
  mg_mgr_free(&mgr);
  CHECK(mgr.timers == NULL);
}

static void once(void *arg) {
  ++*(int *) arg;
}

// A binding cancels between polls, and knows that a timer of one call is gone after it.
static void timers_are_cancelled(void) {
  struct mg_mgr mgr;
  struct mg_timer *a, *b;
  int calls = 0;
  mg_mgr_init(&mgr);
  a = mg_timer_add(&mgr, 100000, MG_TIMER_REPEAT, once, &calls);
  b = mg_timer_add(&mgr, 1, MG_TIMER_ONCE, once, &calls);
  CHECK(a != NULL && b != NULL && mgr.timers == b && b->next == a);
  mg_mgr_poll(&mgr, 0);
  mg_timer_free(&mgr.timers, a);
  mg_free(a);
  CHECK(mgr.timers == b && b->next == NULL);
  POLL_UNTIL(&mgr, calls == 1);
  CHECK(mgr.timers == NULL);  // the library has freed it
  mg_timer_add(&mgr, 0, MG_TIMER_ONCE, once, &calls);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(calls, 2);
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, once, &calls);
  mg_mgr_free(&mgr);
}

static void expired(void) {
  static uint64_t t = 1;
  uint64_t now = mg_now();
  CHECK(mg_timer_expired(&t, 3000, now));
  CHECK(!mg_timer_expired(&t, 3000, now));
  CHECK(!mg_timer_expired(&t, 3000, now + 2999));
  CHECK(mg_timer_expired(&t, 3000, now + 3000));
}

static void no_wall_clock_at_first(void) {
  CHECK(mg_now() < mg_millis() + 3600);
  CHECK(mg_now() >= mg_millis() - 1000);
  CHECK(mg_millis() <= mg_millis());
}

// ---- work to be done when the listener opens
static struct mg_connection seen;

static void opened(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN && c->is_listening) {
    seen.id = c->id;
    seen.mgr = c->mgr;
    seen.loc = c->loc;
    seen.fn_data = c->fn_data;
    CHECK(ev_data == NULL);
    CHECK(c->mgr->conns == c);
    mg_timer_add(c->mgr, 0, MG_TIMER_ONCE, once, c->fn_data);
  }
}

static void init_in_open(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  int calls = 0;
  l = serve(&mgr, opened, &calls);
  CHECK(l != NULL && seen.id == l->id && seen.mgr == &mgr && seen.fn_data == &calls);
  CHECK(seen.loc.port != 0 && memcmp(&seen.loc, &l->loc, sizeof(seen.loc)) == 0);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(calls, 1);
  mg_mgr_free(&mgr);
}

static void every_connection_is_polled_once_per_poll(void) {
  struct mg_mgr mgr;
  int i, n;
  forget();
  mg_mgr_init(&mgr);
  for (i = 0; i < 5; i++) mg_listen(&mgr, "tcp://127.0.0.1:0", note, NULL);
  n = events;
  for (i = 0; i < 10; i++) mg_mgr_poll(&mgr, 0);
  CHECK_EQ(events - n, 50);
  mg_mgr_free(&mgr);
}

// An application that never frees its manager exits cleanly. Must be the last test.
static void never_freed(void) {
  static struct mg_mgr mgr;
  static struct peer p;
  struct mg_connection *l = serve(&mgr, hello, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  mg_wakeup_init(&mgr);
  mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT, once, &ticks);
  POLL_UNTIL(&mgr, peer_has(&p, 50));
}

int main(void) {
  mg_log_set(MG_LL_NONE);
#ifndef _WIN32
  a_signal_ends_the_sleep(10000);
  a_signal_ends_the_sleep(-1);
#endif
  a_fresh_manager();
  while_there_are_connections();
  free_at_once();
  side_by_side();
  newest_first();
  the_last_poll();
  short_polls();
  a_timer_before_any_listener();
  timers_are_cancelled();
  expired();
  no_wall_clock_at_first();
  init_in_open();
  every_connection_is_polled_once_per_poll();
  never_freed();
  return DONE();
}
