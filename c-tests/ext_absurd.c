// Draining functions called with arbitrary numbers, on any connection, from any callback, in any order: everything still ends on
// time. Uses a simulated clock, which also jumps backwards.
#include "ext.h"

#include "clock.h"

#include <limits.h>

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static const int numbers[] = {0, -1, INT_MIN, INT_MAX, 1, -1000};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]), PEERS = 5 };

static struct peer peers[PEERS];

// Idle, half a request, an answer that is pending, one that is not read, a stream.
static void start(void) {
  int i;
  forget();
  listener = serve(&mgr, server, NULL);
  for (i = 0; i < PEERS; i++) join(&mgr, listener, &peers[i]);
  CHECK(peer_send_text(&peers[1], "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"));
  ask(&mgr, &peers[2], GET("/later"));
  ask(&mgr, &peers[3], GET("/big"));
  ask(&mgr, &peers[4], GET("/chunks"));
}

static void end(void) {
  int i;
  // First the peers: once a drain was asked for, mg_mgr_free waits for lingering sockets, and the clock stands still.
  for (i = 0; i < PEERS; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
  CHECK_EQ(closed, opened);
}

static struct mgx_drain_opts all_options(int n) {
  struct mgx_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = o.response_timeout_ms = o.flush_timeout_ms = o.linger_total_ms = o.linger_idle_ms = n;
  o.ws_close_code = o.ws_close_timeout_ms = n;
  o.linger_bytes = n == INT_MIN ? (size_t) -1 : 0;
  return o;
}

static void absurd_options_for_connections(int n) {
  struct mgx_drain_opts o = all_options(n);
  struct mg_connection *c;
  start();
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) CHECK(mgx_conn_drain(c, &o));
  }
  poll_often(&mgr);
  advance_clock(1);
  advance_clock(UINT_MAX);  // more than INT_MAX milliseconds
  advance_clock(UINT_MAX);
  CHECK(n < 0 || closed == opened);
  if (n < 0) CHECK(closed < opened);  // no limit means none
  end();
}

static void absurd_options_for_the_manager(int n, int deadline) {
  struct mgx_mgr_drain_opts o;
  struct mgx_drain_status st;
  memset(&o, 0, sizeof(o));
  o.lame_duck_ms = n == INT_MAX || n < 0 ? 1 : n;
  o.idle_grace_ms = o.spread_ms = n;
  o.deadline_ms = deadline;
  o.conn = all_options(n);
  start();
  CHECK(mgx_mgr_drain(&mgr, &o));
  CHECK(mgx_mgr_drain(&mgr, &o));
  poll_often(&mgr);
  mgx_mgr_drain_status(&mgr, &st);
  CHECK(st.remaining_ms > 0);
  advance_clock(1);
  advance_clock(UINT_MAX);
  advance_clock(UINT_MAX);
  if (deadline >= 0) CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  if (deadline >= 0) CHECK_EQ(closed, opened);
  end();
}

static void a_deadline_of_one_millisecond(void) {
  struct mgx_mgr_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.lame_duck_ms = o.idle_grace_ms = -1;
  o.deadline_ms = 1;
  start();
  CHECK(mgx_mgr_drain(&mgr, &o));
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(closed, opened);
  end();
}

// ---- the clock

static void a_clock_that_jumps(uint64_t to) {
  struct mgx_mgr_drain_opts o;
  struct mgx_drain_status st;
  uint64_t before = clock_ms;
  memset(&o, 0, sizeof(o));
  start();
  CHECK(mgx_mgr_drain(&mgr, &o));
  poll_often(&mgr);
  clock_ms = to;
  poll_often(&mgr);
  mgx_mgr_drain_status(&mgr, &st);
  if (to > before) CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  if (to < before) CHECK(mgx_mgr_phase(&mgr) == MGX_MGR_IDLE_GRACE && st.elapsed_ms == 0);
  clock_ms = before;
  poll_often(&mgr);
  advance_clock(30000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(closed, opened);
  end();
}

// ---- applications that resist

static bool from_now_on;

static void clears_the_flags(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (from_now_on && ev != MG_EV_CLOSE && c->is_accepted) c->is_closing = c->is_draining = 0;
  if (from_now_on && ev == MG_EV_POLL && c->is_accepted && c->send.len < 100) mg_printf(c, "and another thing");
}

static void handlers_clear_the_flags(void) {
  struct mgx_mgr_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.deadline_ms = 5000;
  start();
  for (last = mgr.conns; last != NULL; last = last->next) last->fn = clears_the_flags;
  from_now_on = true;
  CHECK(mgx_mgr_drain(&mgr, &o));
  poll_often(&mgr);
  advance_clock(4999);
  CHECK(closed < opened);
  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(closed, opened);
  from_now_on = false;
  end();
}

static void opens_listeners(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (from_now_on && ev == MG_EV_CLOSE) mg_http_listen(c->mgr, "http://127.0.0.1:0", opens_listeners, NULL);
}

static void listeners_come_back(void) {
  struct mgx_mgr_drain_opts o;
  int i;
  memset(&o, 0, sizeof(o));
  o.deadline_ms = 5000;
  start();
  for (last = mgr.conns; last != NULL; last = last->next) last->fn = opens_listeners;
  from_now_on = true;
  CHECK(mgx_mgr_drain(&mgr, &o));
  for (i = 0; i < 100; i++) advance_clock(100);  // it never ends, but every poll does
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  CHECK_EQ(closed, opened);
  from_now_on = false;
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  end();
}

// ---- connections that are no longer, or never were, the library's

static int drained_in_close;

static void drains_in_close(struct mg_connection *c, int ev, void *ev_data) {
  struct mgx_drain_opts o = all_options(-1);
  server(c, ev, ev_data);
  if (ev == MG_EV_CLOSE) {
    mgx_conn_drain(c, &o);
    mgx_conn_drain(c, NULL);
    mgx_conn_poll_events(c, false);
    mgx_conn_poll_events(c, true);
    mgx_conn_close(c);
    mgx_conn_abort(c);
    mgx_ws_close(c, 1000, "bye");
    mgx_write(c, "too late");
    mgx_http_reply(c, 200, NULL, "x", 1);
    CHECK_EQ(mgx_conn_phase(c), MGX_CLOSED);
    drained_in_close++;
  }
}

static void closed_connections(void) {
  start();
  for (last = mgr.conns; last != NULL; last = last->next) {
    last->fn = drains_in_close;
    last->is_closing = 1;
  }
  POLL_UNTIL(&mgr, mgr.conns == NULL);
  CHECK_EQ(drained_in_close, PEERS + 1);
  end();
}

static void connections_created_by_the_application(void) {
  struct mg_connection zero, *c;
  memset(&zero, 0, sizeof(zero));
  CHECK(!mgx_conn_drain(&zero, NULL));
  mgx_conn_poll_events(&zero, false);
  mgx_conn_abort(&zero);
  mgx_ws_close(&zero, 1000, NULL);
  CHECK_EQ(mgx_close_unsent(&zero), 0);
  CHECK_EQ(mgx_close_reason(&zero), MGX_REASON_NONE);
  mgx_conn_close(&zero);
  CHECK(zero.is_closing);

  start();
  c = mg_alloc_conn(&mgr);
  CHECK(c != NULL);
  c->fd = (void *) (size_t) -1;
  c->next = mgr.conns;
  mgr.conns = c;
  CHECK(mgx_conn_drain(c, NULL));
  POLL_UNTIL(&mgr, mgr.conns != c);
  end();
}

// ---- before and after the manager's life

static bool answer;

static void on_signal(int number) {
  answer = mgx_mgr_drain(&mgr, NULL) || mgx_wakeup_mgr(&mgr) || mgx_send_to(&mgr, 1, "x", 1);
  (void) number;
}

static void a_signal_without_a_manager(void) {
  int i;
  signal(SIGUSR1, on_signal);
  for (i = 0; i < 2; i++) {
    answer = true;
    if (i == 0) memset(&mgr, 0, sizeof(mgr));
    if (i == 1) mg_mgr_init(&mgr), mg_mgr_free(&mgr);
    raise(SIGUSR1);
    CHECK(!answer);
    CHECK(!mgx_mgr_drain_init(&mgr) && !mgx_mgr_drain_cancel(&mgr) && !mgx_mgr_drain_wait(&mgr) && !mgx_mgr_is_ready(&mgr));
  }
  signal(SIGUSR1, SIG_DFL);
}

// ---- cancelled, and begun again, from every event

static int cancelled;

static void cancel_drain(struct mg_connection *c, int ev, void *ev_data) {
  bool begun = mgx_mgr_phase(c->mgr) == MGX_MGR_LAME_DUCK;
  server(c, ev, ev_data);
  if (from_now_on && mgx_mgr_drain_cancel(c->mgr)) {
    cancelled++;
    CHECK(mgx_mgr_phase(c->mgr) == MGX_MGR_RUNNING && mgx_mgr_is_ready(c->mgr));
    CHECK(!mgx_mgr_drain_cancel(c->mgr));
  } else if (from_now_on) {
    CHECK(!begun);
  }
}

static void cancelled_from_any_event(int lame_duck) {
  struct mgx_mgr_drain_opts o;
  int i;
  memset(&o, 0, sizeof(o));
  o.lame_duck_ms = lame_duck;
  o.deadline_ms = 5000;
  start();
  for (last = mgr.conns; last != NULL; last = last->next) last->fn = cancel_drain;
  cancelled = 0;
  for (i = 0; i < 20; i++) {
    from_now_on = false;
    CHECK(mgx_mgr_drain(&mgr, &o));
    if (i % 2 == 0) mg_mgr_poll(&mgr, 0);  // asked for, or begun
    from_now_on = true;
    mg_mgr_poll(&mgr, 0);
    if (lame_duck > 0) CHECK_EQ(cancelled, i + 1);
  }
  from_now_on = false;
  CHECK(mgx_mgr_drain(&mgr, &o));
  advance_clock(5000);
  advance_clock(5000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  end();
}

int main(void) {
  int i, k;
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  for (i = 0; i < (int) NUMBERS; i++) {
    absurd_options_for_connections(numbers[i]);
    for (k = 0; k < (int) NUMBERS; k++) absurd_options_for_the_manager(numbers[i], numbers[k]);
  }
  a_deadline_of_one_millisecond();
  a_clock_that_jumps(0);
  a_clock_that_jumps(UINT64_MAX);
  a_clock_that_jumps(UINT64_MAX - 1);
  handlers_clear_the_flags();
  listeners_come_back();
  closed_connections();
  connections_created_by_the_application();
  a_signal_without_a_manager();
  cancelled_from_any_event(100);
  cancelled_from_any_event(0);
  free(big_body);
  return DONE();
}
