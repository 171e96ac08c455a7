// mgx_mgr_drain, step by step, with a simulated clock.
#include "ext.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static unsigned short port;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void start(mg_event_handler_t fn) {
  forget();
  listener = serve(&mgr, fn, NULL);
  port = port_of(listener);
}

static void finish(struct peer *p) {
  if (p != NULL) peer_free(p);
  mg_mgr_free(&mgr);
}

static struct mgx_mgr_drain_opts options(int lame_duck, int idle_grace, int deadline) {
  struct mgx_mgr_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.lame_duck_ms = lame_duck;
  opts.idle_grace_ms = idle_grace;
  opts.deadline_ms = deadline;
  return opts;
}

static void drain(int lame_duck, int idle_grace, int deadline) {
  struct mgx_mgr_drain_opts opts = options(lame_duck, idle_grace, deadline);
  CHECK(mgx_mgr_drain(&mgr, &opts));
}

static struct mgx_drain_status status(void) {
  struct mgx_drain_status s;
  mgx_mgr_drain_status(&mgr, &s);
  return s;
}

// Done: at once when no socket lingers, else when the last of them has been silent for a second.
static void expect_done(void) {
  poll_often(&mgr);
  if (status().lingering > 0) {
    CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
    CHECK_EQ(count_conns(&mgr), 0);
    advance_clock(1000);
  }
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(status().lingering, 0);
}

static bool refused(void) {
  struct peer p;
  struct sockaddr_in sin;
  bool no;
  memset(&p, 0, sizeof(p));
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port);
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p.fd = socket(AF_INET, SOCK_STREAM, 0);
  no = connect(p.fd, (struct sockaddr *) &sin, sizeof(sin)) != 0;
  peer_free(&p);
  return no;
}

static void the_steps_in_order(void) {
  struct peer idle, busy, fresh;
  start(server);
  join(&mgr, listener, &idle);
  ask(&mgr, &idle, GET("/hi"));
  expect_open(&mgr, &idle, HI);
  join(&mgr, listener, &busy);
  ask(&mgr, &busy, GET("/later"));
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_RUNNING);
  CHECK(mgx_mgr_is_ready(&mgr));
  CHECK_EQ(status().elapsed_ms, 0);

  drain(1000, 500, 10000);
  CHECK(!mgx_mgr_is_ready(&mgr));
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  CHECK(!mgx_mgr_is_ready(&mgr));
  join(&mgr, listener, &fresh);  // still accepting
  ask(&mgr, &fresh, GET("/hi"));
  expect_end(&mgr, &fresh, HI_CLOSE);
  peer_free(&fresh);
  advance_clock(999);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  CHECK_EQ(closed, 1);
  CHECK_EQ(drain_events, 0);
  CHECK_EQ(status().listeners, 1);

  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  CHECK_EQ(drain_events, 2);
  CHECK_EQ(status().listeners, 0);
  CHECK(refused());
  advance_clock(499);
  CHECK_EQ(closed, 1);

  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  CHECK_EQ(closed, 2);
  expect_end(&mgr, &idle, "");
  advance_clock(8000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  CHECK_EQ(status().elapsed_ms, 9500);
  CHECK_EQ(status().remaining_ms, 500);
  CHECK_EQ(status().pending, 1);
  for (last = mgr.conns; last != NULL && !last->is_accepted;) last = last->next;
  CHECK(last != NULL);
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  expect_end(&mgr, &busy, HI_CLOSE);
  expect_done();
  CHECK(!mgx_mgr_is_ready(&mgr));
  CHECK_EQ(status().served, 1);
  CHECK_EQ(status().drained, 3);
  CHECK_EQ(status().forced, 0);
  CHECK(!mgx_mgr_drain_cancel(&mgr));
  peer_free(&idle);
  peer_free(&busy);
  // The linger times are over at once with this clock.
  advance_clock(20000);
  CHECK(mgx_mgr_drain_wait(&mgr));
  finish(NULL);
}

static void a_last_request_in_the_idle_grace(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);
  drain(0, 500, 0);
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  advance_clock(499);
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI_CLOSE);
  expect_done();
  CHECK_EQ(status().served, 1);
  finish(&p);
}

// In the kernel's queue when the listeners close, with and without a request.
// What was drained before the manager's drain began is not part of it.
static void only_what_happens_since(void) {
  struct mgx_drain_opts opts;
  struct peer early, late;
  start(server);
  CHECK_EQ(status().remaining_ms, 0);
  CHECK_EQ(status().unsent_bytes, 0);
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = 1;
  CHECK(mgx_conn_drain(join(&mgr, listener, &early), &opts));
  advance_clock(1);
  expect_end(&mgr, &early, "");
  join(&mgr, listener, &late);
  drain(0, 500, 5000);
  advance_clock(1);
  CHECK_EQ(status().drained, 0);
  advance_clock(500);
  expect_end(&mgr, &late, "");
  CHECK_EQ(status().drained, 1);
  CHECK_EQ(status().forced, 0);
  peer_free(&early);
  expect_done();
  finish(&late);
}

static void the_last_accept(void) {
  struct peer a, b;
  start(server);
  peer_open(&a, listener);
  peer_open(&b, listener);
  CHECK(peer_send_text(&a, GET("/hi")));
  drain(0, 500, 0);
  expect_end(&mgr, &a, HI_CLOSE);
  CHECK_EQ(opened, 2);
  CHECK_EQ(drain_events, 2);
  CHECK_EQ(closed, 1);
  CHECK(peer_send_text(&b, GET("/hi")));
  expect_end(&mgr, &b, HI_CLOSE);
  expect_done();
  peer_free(&a);
  finish(&b);
}

// A client that connects when the listener has had its turn in the poll that closes it.
static struct mg_connection *entrance;
static struct peer visitor;

static void visits(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL && entrance != NULL) {
    peer_open(&visitor, entrance);
    entrance = NULL;
  }
  (void) c, (void) ev_data;
}

static void an_accept_after_the_last(void) {
  start(server);
  mg_listen(&mgr, "udp://127.0.0.1:0", visits, NULL);
  entrance = mg_http_listen(&mgr, "http://127.0.0.1:0", server, NULL);
  drain(0, 500, 0);
  mg_mgr_poll(&mgr, 0);
  CHECK(entrance == NULL && opened == 1);
  CHECK(peer_send_text(&visitor, GET("/hi")));
  expect_end(&mgr, &visitor, HI_CLOSE);
  expect_done();
  finish(&visitor);
}

static void requests_in_flight(void) {
  struct mg_str want = make_reply("200 OK", "", big_body, BIG);
  struct peer half, big, chunks;
  struct mg_connection *streaming;
  start(server);
  join(&mgr, listener, &half);
  CHECK(peer_send_text(&half, "POST /hi HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"));
  POLL_UNTIL(&mgr, last != NULL && last->recv.len > 0);
  join(&mgr, listener, &big);
  ask(&mgr, &big, GET("/big"));
  join(&mgr, listener, &chunks);
  ask(&mgr, &chunks, GET("/chunks"));
  streaming = last;
  expect_open(&mgr, &chunks, CHUNKS);
  drain(0, 100, 20000);
  poll_often(&mgr);
  CHECK_EQ(status().active, 2);
  CHECK_EQ(status().flushing, 1);
  CHECK_EQ(status().pending, 0);
  CHECK_EQ(status().idle, 0);
  CHECK(status().unsent_bytes > 0);
  advance_clock(10000);
  CHECK_EQ(closed, 0);
  CHECK(peer_send_text(&half, "cd"));
  expect_end(&mgr, &half, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 6          \r\n\r\nhiabcd");
  mg_http_printf_chunk(streaming, "");
  POLL_UNTIL(&mgr, peer_has(&big, want.len));
  advance_clock(100);  // nobody told these two, so each may ask once more
  POLL_UNTIL(&mgr, peer_read(&big));
  CHECK_EQ(big.end, PEER_FIN);
  CHECK(peer_got_str(&big, want));
  advance_clock(100);
  expect_end(&mgr, &chunks, "00000000\r\n\r\n");
  expect_done();
  CHECK_EQ(status().forced, 0);
  CHECK_EQ(status().drained, 3);
  peer_free(&half);
  peer_free(&big);
  free(want.buf);
  finish(&chunks);
}

static void force_at_the_deadline(void) {
  struct peer chunks, never;
  start(server);
  join(&mgr, listener, &chunks);
  ask(&mgr, &chunks, GET("/chunks"));
  expect_open(&mgr, &chunks, CHUNKS);
  join(&mgr, listener, &never);
  ask(&mgr, &never, GET("/never"));
  drain(0, 100, 2000);
  poll_often(&mgr);
  advance_clock(1999);
  CHECK_EQ(closed, 0);
  CHECK_EQ(status().remaining_ms, 1);
  advance_clock(1);
  CHECK_EQ(closed, 2);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  expect_done();
  CHECK_EQ(status().forced, 2);
  CHECK_EQ(status().remaining_ms, 0);
  CHECK(!mgx_mgr_drain_wait(&mgr));
  expect_end(&mgr, &chunks, "");
  expect_end(&mgr, &never, "");
  peer_free(&chunks);
  finish(&never);
}

// All of them in one poll, and each learns that it is closing.
static int told_of_closing;

static void forced_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE && c->is_accepted) told_of_closing += (int) c->is_closing;
  server(c, ev, ev_data);
}

static void all_at_the_deadline(void) {
  struct peer p[3];
  int i;
  start(forced_fn);
  told_of_closing = 0;
  for (i = 0; i < 3; i++) join(&mgr, listener, &p[i]), ask(&mgr, &p[i], GET("/never"));
  drain(0, 100, 2000);
  poll_often(&mgr);
  clock_ms += 2000;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closed, 3);
  CHECK_EQ(told_of_closing, 3);
  expect_done();
  for (i = 0; i < 3; i++) peer_free(&p[i]);
  finish(NULL);
}

// The listeners have closed when connections learn of the drain. Who takes longer than the grace does not hold up the next phase.
static size_t listeners_left;

static void patient_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == (int) MGX_EV_DRAIN) {
    struct mgx_drain_opts *opts = (struct mgx_drain_opts *) ev_data;
    opts->idle_grace_ms = 5000;
    listeners_left = status().listeners;
  }
  server(c, ev, ev_data);
}

static void a_longer_grace_of_one(void) {
  struct peer p;
  start(patient_fn);
  join(&mgr, listener, &p);
  listeners_left = 9;
  drain(0, 500, 20000);
  poll_often(&mgr);
  CHECK_EQ(listeners_left, 0);
  advance_clock(499);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  CHECK_EQ(closed, 0);
  advance_clock(4500);
  expect_end(&mgr, &p, "");
  expect_done();
  finish(&p);
}

static void no_deadline(void) {
  struct mgx_mgr_drain_opts opts = options(0, 100, -1);
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/later"));
  opts.conn.response_timeout_ms = -1;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  advance_clock(1000000000000);
  CHECK_EQ(closed, 0);
  CHECK(last != NULL);
  if (last != NULL) mg_http_reply(last, 200, "", "hi");
  expect_end(&mgr, &p, HI_CLOSE);
  expect_done();
  finish(&p);
}

static void cancelled_in_time_or_too_late(void) {
  struct peer p, silent;
  start(server);
  join(&mgr, listener, &silent);
  ask(&mgr, &silent, GET("/later"));
  CHECK(!mgx_mgr_drain_cancel(&mgr));  // nothing to cancel
  drain(1000, 0, 0);
  CHECK(mgx_mgr_drain_cancel(&mgr));  // before a poll has seen it
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_RUNNING);
  CHECK(mgx_mgr_is_ready(&mgr));

  drain(1000, 0, 0);
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  drain(0, 0, 500);
  CHECK(mgx_mgr_drain_cancel(&mgr));
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_RUNNING);
  CHECK(mgx_mgr_is_ready(&mgr));
  advance_clock(100000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_RUNNING);
  mg_http_reply(last, 200, "", "hi");  // was told nothing
  expect_open(&mgr, &silent, HI);
  peer_free(&silent);
  POLL_UNTIL(&mgr, closed == 1);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);  // not announced any more

  drain(1000, 200, 0);  // a new one, with its own options
  poll_often(&mgr);
  advance_clock(1000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  CHECK(!mgx_mgr_drain_cancel(&mgr));
  advance_clock(200);
  expect_done();
  CHECK(!mgx_mgr_drain_cancel(&mgr));
  finish(&p);
}

static void a_second_call_only_shortens_the_deadline(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/never"));
  drain(0, 100, 5000);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 5000);
  drain(100000, 100000, 10000);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 5000);
  drain(0, 0, -1);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 5000);
  CHECK(mgx_mgr_drain(&mgr, NULL));  // 30 s
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 5000);
  advance_clock(1000);
  drain(0, 0, 3000);
  drain(0, 0, 700);
  drain(0, 0, 2000);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 700);
  advance_clock(699);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  expect_done();
  finish(&p);
}

// What was asked and cancelled before a poll does not count later.
static void later_calls(void) {
  start(server);
  drain(100000, 100, 100000);
  poll_often(&mgr);
  CHECK(mgx_mgr_drain(&mgr, NULL));  // 30 s
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 30000);
  drain(0, 0, 700);
  CHECK(mgx_mgr_drain_cancel(&mgr));
  poll_often(&mgr);
  drain(100000, 100, 5000);
  drain(0, 0, 3000);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 3000);
  drain(0, 0, 1);
  poll_often(&mgr);
  CHECK_EQ(status().remaining_ms, 1);
  mg_mgr_free(&mgr);
}

static void a_deadline_within_the_lame_duck(void) {
  struct peer p;
  start(server);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/never"));
  drain(10000, 0, 20000);
  poll_often(&mgr);
  drain(0, 0, 300);
  poll_often(&mgr);
  advance_clock(299);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  advance_clock(1);
  expect_done();
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  finish(&p);
}

static void responses_in_the_lame_duck_phase(void) {
  struct peer own, now, kept;
  start(server);
  join(&mgr, listener, &own);
  join(&mgr, listener, &now);
  join(&mgr, listener, &kept);
  drain(1000, 300, 0);
  poll_often(&mgr);
  ask(&mgr, &now, GET("/hi") GET("/hi"));
  expect_end(&mgr, &now, HI_CLOSE);
  // Nobody has told these two: one whose head the application writes, one whose head had left before.
  ask(&mgr, &own, GET("/own"));
  expect_open(&mgr, &own, OWN);
  ask(&mgr, &kept, GET("/chunks"));
  expect_open(&mgr, &kept, CHUNKS);
  if (last != NULL) mg_http_printf_chunk(last, "");
  expect_open(&mgr, &kept, "00000000\r\n\r\n");
  ask(&mgr, &own, GET("/own"));
  expect_open(&mgr, &own, OWN);
  ask(&mgr, &kept, GET("/hi"));
  expect_end(&mgr, &kept, HI_CLOSE);
  advance_clock(1000);
  ask(&mgr, &own, GET("/own"));
  expect_end(&mgr, &own, OWN);  // the last one
  expect_done();
  peer_free(&own);
  peer_free(&now);
  finish(&kept);
}

static void spread_over_time(void) {
  enum { N = 50 };
  struct mgx_mgr_drain_opts opts = options(0, 100, 0);
  struct peer p[N];
  int i, at[4];
  start(server);
  for (i = 0; i < N; i++) join(&mgr, listener, &p[i]);
  opts.spread_ms = 1000;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  advance_clock(99);
  CHECK_EQ(closed, 0);
  for (i = 0; i < 40; i++) {
    clock_ms += 25;
    mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0);
    at[i / 10] = closed;
  }
  advance_clock(25);  // one who was reached between two polls
  advance_clock(1);
  CHECK_EQ(closed, N);
  expect_done();
  // Some in every quarter; by chance there are none in one of them once in 400,000 runs.
  CHECK(at[0] > 0 && at[1] > at[0] && at[2] > at[1] && N > at[2]);
  for (i = 0; i < N; i++) {
    peer_read(&p[i]);
    CHECK_EQ(p[i].end, PEER_FIN);
    peer_free(&p[i]);
  }
  finish(NULL);
}

// ---- MGX_EV_DRAIN
static void ends_the_stream(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == (int) MGX_EV_DRAIN && c->is_resp) {
    mg_http_printf_chunk(c, "bye");
    mg_http_printf_chunk(c, "");
    c->is_draining = 1;
  }
}

static void a_stream_ends_in_the_drain_event(void) {
  struct peer p;
  start(ends_the_stream);
  join(&mgr, listener, &p);
  ask(&mgr, &p, GET("/chunks"));
  expect_open(&mgr, &p, CHUNKS);
  drain(0, 100, 0);
  expect_end(&mgr, &p, "00000003\r\nbye\r\n00000000\r\n\r\n");
  expect_done();
  CHECK_EQ(drain_events, 1);
  finish(&p);
}

static void changes_options(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == (int) MGX_EV_DRAIN) {
    struct mgx_drain_opts *opts = (struct mgx_drain_opts *) ev_data;
    CHECK_EQ(opts->idle_grace_ms, 700);
    CHECK_EQ(opts->response_timeout_ms, 4000);
    CHECK_EQ(opts->flush_timeout_ms, 60000);
    CHECK_EQ(opts->linger_total_ms, -1);
    CHECK_EQ(opts->linger_idle_ms, 1000);
    CHECK_EQ(opts->linger_bytes, 77);
    CHECK_EQ(opts->ws_close_code, 1012);
    CHECK_EQ(opts->ws_close_timeout_ms, 2000);
    CHECK(opts->ws_close_reason != NULL && strcmp(opts->ws_close_reason, "moved") == 0);
    if (c->is_resp) opts->response_timeout_ms = 900; else opts->idle_grace_ms = 50;
  }
}

static void options_may_be_changed(void) {
  struct mgx_mgr_drain_opts opts = options(0, 700, 0);
  struct peer idle, busy;
  char text[10] = "moved";
  start(changes_options);
  join(&mgr, listener, &idle);
  join(&mgr, listener, &busy);
  ask(&mgr, &busy, GET("/never"));
  opts.conn.response_timeout_ms = 4000;
  opts.conn.linger_total_ms = -1;
  opts.conn.linger_bytes = 77;
  opts.conn.ws_close_code = 1012;
  opts.conn.ws_close_reason = text;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  memset(text, 'x', sizeof(text));  // copied
  poll_often(&mgr);
  CHECK_EQ(drain_events, 2);
  advance_clock(49);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  advance_clock(849);
  CHECK_EQ(closed, 1);
  advance_clock(1);
  CHECK_EQ(closed, 2);
  CHECK_EQ(reason, MGX_REASON_RESPONSE_TIMEOUT);
  expect_done();
  peer_free(&idle);
  finish(&busy);
}

static int whims;

static void closes_in_drain_event(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev != (int) MGX_EV_DRAIN) return;
  whims++;
  if (whims == 1) mg_close_conn(c);
  if (whims == 2) c->is_closing = 1;
  if (whims == 3) mgx_conn_abort(c);
  if (whims == 4) CHECK(mgx_conn_drain(c, NULL));
  if (whims == 5) mg_listen(c->mgr, "http://127.0.0.1:0", server, NULL);  // closes at once
  if (whims == 6) CHECK(mgx_mgr_drain(c->mgr, NULL));
  if (whims == 7) mg_mgr_poll(c->mgr, 0);
}

static void handlers_close_connections_in_the_drain_event(void) {
  struct peer p[8];
  int i;
  start(closes_in_drain_event);
  whims = 0;
  for (i = 0; i < 8; i++) join(&mgr, listener, &p[i]);
  drain(0, 100, 0);
  poll_often(&mgr);
  CHECK_EQ(whims, 8);
  CHECK_EQ(status().listeners, 0);
  advance_clock(100);
  expect_done();
  CHECK_EQ(closed, 8);
  for (i = 0; i < 8; i++) peer_free(&p[i]);
  finish(NULL);
}

static void frees_the_manager(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == (int) MGX_EV_DRAIN && drain_events == 2) mg_mgr_free(c->mgr);
}

static void a_handler_frees_the_manager(void) {
  struct peer p[3];
  int i;
  start(frees_the_manager);
  for (i = 0; i < 3; i++) join(&mgr, listener, &p[i]);
  drain(0, 100, 0);
  for (i = 0; i < 3; i++) mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closed, 3);
  CHECK(mgr.conns == NULL);
  for (i = 0; i < 3; i++) peer_free(&p[i]);
  finish(NULL);
}

static void frees_while_it_waits(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) mg_mgr_free(c->mgr);
}

static void a_handler_frees_the_manager_during_drain_wait(void) {
  struct peer p;
  start(frees_while_it_waits);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, GET("/")));
  CHECK(!mgx_mgr_drain_wait(&mgr));
  CHECK_EQ(closed, 1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  finish(&p);
}

static void drains_and_waits(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "hi");
    CHECK(mgx_mgr_drain_wait(c->mgr));
  }
  (void) ev_data;
}

static void a_handler_waits_for_the_drain(void) {
  struct peer p;
  start(drains_and_waits);
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, GET("/")));
  peer_shut(&p);
  POLL_UNTIL(&mgr, closed == 1);
  expect_done();
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  finish(&p);
}

// ---- where there is little or nothing to drain
static void an_empty_manager(void) {
  mg_mgr_init(&mgr);
  CHECK(mgx_mgr_drain_init(&mgr));
  CHECK(mgx_mgr_drain_init(&mgr));
  drain(0, 0, 0);
  mg_mgr_poll(&mgr, 0);
  expect_done();
  CHECK(mgx_mgr_drain_wait(&mgr));
  mg_mgr_free(&mgr);
  mg_mgr_init(&mgr);
  CHECK(mgx_mgr_drain_wait(&mgr));  // begins one by itself
  mg_mgr_free(&mgr);
}

static void before_the_first_poll(void) {
  struct peer p;
  start(server);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, GET("/hi")));
  drain(0, 0, 0);
  expect_end(&mgr, &p, HI_CLOSE);
  expect_done();
  finish(&p);
}

static void listeners_of_all_kinds(void) {
  struct mg_connection *second, *udp;
  struct peer a, b;
  start(server);
  second = mg_http_listen(&mgr, "http://127.0.0.1:0", server, NULL);
  udp = mg_listen(&mgr, "udp://127.0.0.1:0", server, NULL);
  CHECK(second != NULL && udp != NULL);
  join(&mgr, listener, &a);
  join(&mgr, second, &b);
  CHECK_EQ(status().listeners, 3);
  CHECK_EQ(status().idle, 2);
  second->is_draining = 1;  // one of two: the rest goes on
  poll_often(&mgr);
  CHECK_EQ(status().listeners, 2);
  ask(&mgr, &a, GET("/hi"));
  ask(&mgr, &b, GET("/hi"));
  expect_open(&mgr, &a, HI);
  expect_open(&mgr, &b, HI);
  drain(0, 100, 0);
  poll_often(&mgr);
  CHECK_EQ(status().listeners, 0);
  CHECK_EQ(count_conns(&mgr), 2);
  advance_clock(100);
  expect_end(&mgr, &a, "");
  expect_end(&mgr, &b, "");
  expect_done();
  peer_free(&a);
  finish(&b);
}

static int replies;

static void caller(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_printf(c, GET("/hi"));
  if (ev == MG_EV_HTTP_MSG) replies++;
  (void) ev_data;
}

static int ticks;

static void tick(void *arg) {
  ticks++;
  (void) arg;
}

// A handler's own calls to others go on, and are not waited for.
static void clients_and_timers(void) {
  struct mg_mgr other;
  struct mg_connection *target, *client;
  forget();
  replies = ticks = 0;
  target = serve(&other, server, NULL);
  listener = serve(&mgr, server, NULL);
  CHECK(mg_wakeup_init(&mgr));
  mg_timer_add(&mgr, 10, MG_TIMER_REPEAT, tick, NULL);
  client = mg_http_connect(&mgr, url_of(target, "http"), caller, NULL);
  CHECK(client != NULL);
  drain(0, 0, 0);
  expect_done();
  POLL_UNTIL(&mgr, (mg_mgr_poll(&other, 0), replies == 1));
  advance_clock(10);
  advance_clock(10);
  CHECK(ticks >= 2);
  CHECK_EQ(count_conns(&mgr), 2);
  CHECK(mgx_mgr_drain_wait(&mgr));
  mg_mgr_free(&mgr);
  mg_mgr_free(&other);
}

static void compat_mode(void) {
  struct peer p;
  start(server);
  mgx_mgr_compat(&mgr, true);
  join(&mgr, listener, &p);
  ask(&mgr, &p, "GET /hi HTTP/1.0\r\n\r\n");
  expect_open(&mgr, &p, HI);  // HTTP/1.0 stays open
  drain(500, 100, 0);
  poll_often(&mgr);
  ask(&mgr, &p, GET("/hi"));
  expect_open(&mgr, &p, HI);  // not announced
  advance_clock(500);
  ask(&mgr, &p, GET("/hi"));
  expect_end(&mgr, &p, HI);
  expect_done();
  finish(&p);
  start(server);
  mgx_mgr_compat(&mgr, true);
  mgx_mgr_compat(&mgr, false);
  join(&mgr, listener, &p);
  ask(&mgr, &p, "GET /hi HTTP/1.0\r\n\r\n");
  expect_end(&mgr, &p, HI_CLOSE);
  finish(&p);
}

// A body that the application takes off the buffer itself, so that the library does not know where it ends.
static size_t uploaded;

static void uploads(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
  }
  if (ev == MG_EV_READ && c->is_accepted && c->pfn == NULL) {
    uploaded += c->recv.len;
    c->recv.len = 0;
    if (uploaded == 30) mg_http_reply(c, 200, "", "hi");
  }
}

static void an_upload_read_by_the_application(void) {
  struct peer p;
  start(uploads);
  uploaded = 0;
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, "POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\n0123456789"));
  POLL_UNTIL(&mgr, uploaded == 10);
  drain(0, 1000, 0);
  poll_often(&mgr);
  advance_clock(999);
  CHECK(peer_send_text(&p, "0123456789"));
  POLL_UNTIL(&mgr, uploaded == 20);
  advance_clock(999);
  CHECK(peer_send_text(&p, "0123456789"));
  expect_open(&mgr, &p, HI);
  advance_clock(1000);
  expect_end(&mgr, &p, "");
  expect_done();
  finish(&p);
}

#ifndef _WIN32
// Everybody whom the kernel has queued is accepted, also when there are as many as it queues at most: one more than the backlog.
static void a_full_queue(void) {
  enum { BACKLOG = 4096, MOST = BACKLOG + 1 };
  static int fds[MOST];
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  struct mgx_limits limits;
  int i, fd, queued = 0;
  if (under_tools() || raise_file_limit() < 2 * MOST + 100) return;
  forget();
  mg_mgr_init(&mgr);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, BACKLOG) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  listener = mgx_listen_fd(&mgr, fd, "http://", server, NULL);
  if (listener == NULL) {  // the feature port knows no descriptors but its own
    close(fd);
    mg_mgr_free(&mgr);
    return;
  }
  // Before the drain, nobody is accepted.
  memset(&limits, 0, sizeof(limits));
  limits.max_memory = 1;
  mgx_mgr_limits(&mgr, &limits);
  drain(0, 100, 0);
  for (i = 0; i < MOST; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM, 0);
    fcntl(fds[i], F_SETFL, O_NONBLOCK);
    connect(fds[i], (struct sockaddr *) &sin, sizeof(sin));
    queued += connect(fds[i], (struct sockaddr *) &sin, sizeof(sin)) == 0 || errno == EISCONN;
  }
  CHECK(queued > 0);
  poll_often(&mgr);
  CHECK(opened >= queued);
  for (i = 0; i < MOST; i++) {
    struct peer p = {fds[i], NULL, 0, 0, PEER_OPEN};
    peer_drop(&p);
  }
  finish(NULL);
}
#endif

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  the_steps_in_order();
  a_last_request_in_the_idle_grace();
  only_what_happens_since();
  the_last_accept();
  an_accept_after_the_last();
  requests_in_flight();
  force_at_the_deadline();
  all_at_the_deadline();
  a_longer_grace_of_one();
  no_deadline();
  cancelled_in_time_or_too_late();
  a_second_call_only_shortens_the_deadline();
  later_calls();
  a_deadline_within_the_lame_duck();
  responses_in_the_lame_duck_phase();
  spread_over_time();
  a_stream_ends_in_the_drain_event();
  options_may_be_changed();
  handlers_close_connections_in_the_drain_event();
  a_handler_frees_the_manager();
  a_handler_frees_the_manager_during_drain_wait();
  a_handler_waits_for_the_drain();
  an_empty_manager();
  before_the_first_poll();
  listeners_of_all_kinds();
  clients_and_timers();
  compat_mode();
  an_upload_read_by_the_application();
#ifndef _WIN32
  a_full_queue();
#endif
  free(big_body);
  return DONE();
}
