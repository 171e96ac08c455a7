// spread_ms: the drain reaches connections spread over this time, including WebSockets and streams, and until then they work
// normally. Also the Close frame sent for the plain flag. Uses a simulated clock.
#include "ext.h"

#include "ws_peer.h"

#include "clock.h"

enum kind { IDLE, WEBSOCKET, STREAM, RAW, KINDS };
enum { PEERS = 40, SPREAD = 1000, STEP = 25, STEPS = SPREAD / STEP };

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/ws"), NULL)) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_WS_MSG) mg_ws_send(c, ((struct mg_ws_message *) ev_data)->data.buf, ((struct mg_ws_message *) ev_data)->data.len, WEBSOCKET_OP_TEXT);
  if (ev == (int) MGX_EV_DRAIN && c->is_resp) mg_http_printf_chunk(c, "");
}

static void raw(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ && c->is_accepted) mg_send(c, c->recv.buf, c->recv.len), c->recv.len = 0;
  (void) ev_data;
}

// Each step a little later. Returns how many the drain has reached after every quarter.
static void spread(enum kind kind) {
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  struct peer p[PEERS];
  bool over[PEERS];
  int i, k, at[4], used = 0;
  forget();
  mg_mgr_init(&mgr);
  listener = kind == RAW ? mg_listen(&mgr, "tcp://127.0.0.1:0", raw, NULL) : mg_http_listen(&mgr, "http://127.0.0.1:0", handler, NULL);
  for (i = 0; i < PEERS; i++) {
    over[i] = false;
    if (kind == WEBSOCKET) {
      ws_open(&p[i], &mgr, listener);
    } else {
      join(&mgr, listener, &p[i]);
    }
    if (kind == STREAM) {
      ask(&mgr, &p[i], GET("/chunks"));
      expect_open(&mgr, &p[i], CHUNKS);
    }
  }
  memset(&opts, 0, sizeof(opts));
  opts.spread_ms = SPREAD;
  opts.idle_grace_ms = 100;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  CHECK(drain_events < PEERS / 4);  // those whose time is now
  for (k = 0; k < STEPS; k++) {
    clock_ms += STEP;
    for (i = 0; i < 4; i++) mg_mgr_poll(&mgr, 0);
    at[k / (STEPS / 4)] = drain_events;
    for (i = 0; i < PEERS; i++) {
      if (kind != WEBSOCKET || over[i]) continue;
      peer_read(&p[i]);
      if (p[i].len > 0) {
        CHECK(peer_got_bytes(&p[i], "\x88\x02\x03\xe9", 4));
        CHECK(ws_send_frame(&p[i], 0x88, "\x03\xe9", 2));
        over[i] = true;
      }
    }
    if (kind == WEBSOCKET && k == STEPS / 2) {  // who has not been reached is served
      for (i = 0; i < PEERS; i++) {
        if (over[i]) continue;
        CHECK(ws_text(&p[i], "still here?"));
        POLL_UNTIL(&mgr, peer_has(&p[i], 13));
        CHECK(peer_got_bytes(&p[i], "\x81\x0bstill here?", 13));
        p[i].len = 0;
        used++;
      }
      CHECK(used > 0 && used < PEERS);
    }
  }
  CHECK_EQ(drain_events, PEERS);
  // Some in every quarter; by chance there are none in one of them once in 20,000 runs.
  CHECK(at[0] > 0 && at[1] > at[0] && at[2] > at[1] && PEERS > at[2]);
  clock_ms += 100;
  poll_often(&mgr);
  clock_ms += 100;
  POLL_UNTIL(&mgr, closed == PEERS);
  for (i = 0; i < PEERS; i++) {
    POLL_UNTIL(&mgr, peer_read(&p[i]));
    CHECK_EQ(p[i].end, PEER_FIN);
    peer_free(&p[i]);
  }
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.forced, 0);
  CHECK_EQ(status.drained, PEERS);
  mg_mgr_free(&mgr);
}

// A request before its connection is reached is answered, and so is one behind it.
static void a_request_before_it_is_reached(void) {
  struct mgx_mgr_drain_opts opts;
  struct peer p;
  forget();
  listener = serve(&mgr, handler, NULL);
  join(&mgr, listener, &p);
  memset(&opts, 0, sizeof(opts));
  opts.spread_ms = 1000000000;  // not now, but once in ten million runs
  opts.deadline_ms = 5000;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  CHECK_EQ(drain_events, 0);
  ask(&mgr, &p, GET("/hi"));
  POLL_UNTIL(&mgr, peer_has(&p, strlen(HI)));
  clock_ms += 5000;  // the deadline holds all the same
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK_EQ(closed, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The grace is over when nobody waits for its end, although the last that did still has output.
static void the_end_of_the_grace(void) {
  struct mgx_mgr_drain_opts opts;
  struct peer p;
  char *body = make_body(BIG);
  uint64_t began = clock_ms;
  forget();
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", raw, NULL);
  join(&mgr, listener, &p);
  memset(&opts, 0, sizeof(opts));
  opts.spread_ms = 10000;
  opts.idle_grace_ms = 100;
  mg_send(last, body, BIG);
  CHECK(mgx_mgr_drain(&mgr, &opts));
  while (!last->is_draining && clock_ms < began + 11000) {
    clock_ms += 50;
    mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0);
  }
  CHECK(last->is_draining && last->send.len > 0);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  peer_free(&p);
  mg_mgr_free(&mgr);
  free(body);
}

// ---- the plain flag on a WebSocket

enum before { NOTHING, A_MESSAGE, OWN_CLOSE, OWN_CLOSE_BY_HAND, FROM_TIMER };
static enum before before;

static void sets_draining(struct mg_connection *c, int ev, void *ev_data) {
  handler(c, ev == MG_EV_WS_MSG ? MG_EV_USER : ev, ev_data);
  if (ev == MG_EV_WS_MSG && before != FROM_TIMER) {
    if (before == A_MESSAGE) mg_ws_send(c, "bye", 3, WEBSOCKET_OP_TEXT);
    if (before == OWN_CLOSE) mgx_ws_close(c, 4000, "mine");
    if (before == OWN_CLOSE_BY_HAND) mg_ws_send(c, "\x0f\xa0" "mine", 6, WEBSOCKET_OP_CLOSE);
    c->is_draining = 1;
  }
}

static void is_draining_on_a_websocket(enum before what, const char *want, size_t len) {
  struct mg_connection *c;
  struct peer p;
  forget();
  before = what;
  ws_open(&p, &mgr, serve(&mgr, sets_draining, NULL));
  CHECK(ws_text(&p, "x"));
  if (what == FROM_TIMER) {
    poll_often(&mgr);
    for (c = mgr.conns; c != NULL; c = c->next) {
      if (c->is_accepted) c->is_draining = 1;
    }
  }
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_bytes(&p, want, len));
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int kind;
  mg_log_set(MG_LL_NONE);
  for (kind = 0; kind < (int) KINDS; kind++) spread((enum kind) kind);
  a_request_before_it_is_reached();
  the_end_of_the_grace();
  is_draining_on_a_websocket(NOTHING, "\x88\x02\x03\xe8", 4);
  is_draining_on_a_websocket(FROM_TIMER, "\x88\x02\x03\xe8", 4);
  is_draining_on_a_websocket(A_MESSAGE, "\x81\x03" "bye\x88\x02\x03\xe8", 9);
  is_draining_on_a_websocket(OWN_CLOSE, "\x88\x06\x0f\xa0" "mine", 8);
  is_draining_on_a_websocket(OWN_CLOSE_BY_HAND, "\x88\x06\x0f\xa0" "mine", 8);
  return DONE();
}
