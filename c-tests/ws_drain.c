// Draining a WebSocket: queued output is sent first, then the Close frame, then the peer's Close frame is awaited for a limited
// time. Uses a simulated clock.
#include "ws_peer.h"

#include "mongoose_ext.h"

#include "clock.h"

#define BIG 20000000  // more than socket buffers take
#define GOING_AWAY "\x88\x02\x03\xe9"

static struct mg_mgr mgr;
static struct mg_connection *listener, *ws;  // the server's end of the WebSocket, while it lives
static char seen[200];
static int opened, closes;
static enum mgx_reason reason;
static size_t unsent;
static bool takes_over;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  size_t n = strlen(seen);
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if (ev == MG_EV_WS_OPEN) ws = c, opened++;
  if (ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_snprintf(seen + n, sizeof(seen) - n, "%d:%lu ", wm->flags, (unsigned long) wm->data.len);
  }
  if (ev == (int) MGX_EV_DRAIN && c->is_websocket && takes_over) c->is_websocket = 0, c->pfn = NULL;
  if (ev == MG_EV_CLOSE && c->is_accepted) {
    closes++, ws = NULL;
    reason = mgx_close_reason(c);
    unsent = mgx_close_unsent(c);
  }
}

static void start_server(void) {
  seen[0] = '\0';
  opened = closes = 0;
  reason = MGX_REASON_NONE;
  ws = NULL;
  listener = serve(&mgr, handler, NULL);
}

static void start(struct peer *p) {
  start_server();
  ws_open(p, &mgr, listener);
  CHECK(ws != NULL);
}

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static struct mgx_drain_opts options(int timeout_ms) {
  struct mgx_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.ws_close_timeout_ms = timeout_ms;
  return o;
}

static void drain(int timeout_ms) {
  struct mgx_drain_opts o = options(timeout_ms);
  CHECK(mgx_conn_drain(ws, &o));
}

// The peer got this, and the connection waits.
#define EXPECT_WAITING(p, want)                                  \
  do {                                                           \
    POLL_UNTIL(&mgr, peer_has(p, sizeof(want) - 1));             \
    poll_often(&mgr);                                            \
    CHECK(!peer_read(p));                                        \
    WS_GOT(p, want);                                             \
    CHECK_EQ(closes, 0);                                         \
    (p)->len = 0;                                                \
  } while (0)

static void expect_end(struct peer *p, enum mgx_reason want) {
  POLL_UNTIL(&mgr, peer_read(p));
  CHECK_EQ(p->end, PEER_FIN);
  CHECK_EQ(p->len, 0);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reason, want);
  CHECK_EQ(unsent, 0);
}

static void finish(struct peer *p) {
  peer_free(p);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 1);
}

static void the_peers_close_frame_is_awaited(void) {
  struct peer p;
  start(&p);
  drain(0);
  EXPECT_WAITING(&p, GOING_AWAY);
  advance_clock(1999);
  CHECK(ws_text(&p, "one more") && ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  expect_end(&p, MGX_REASON_DRAINED);
  CHECK(strcmp(seen, "129:8 136:2 ") == 0);
  finish(&p);
}

static void the_close_frame_is_awaited_with_a_limit(void) {
  struct peer p;
  start(&p);
  drain(0);
  EXPECT_WAITING(&p, GOING_AWAY);
  advance_clock(1999);
  CHECK_EQ(closes, 0);
  CHECK(ws_text(&p, "chatter does not prolong it"));
  advance_clock(1);
  expect_end(&p, MGX_REASON_DRAINED);
  finish(&p);
}

static void the_close_frame_is_awaited_without_limit(void) {
  struct peer p;
  start(&p);
  drain(-1);
  EXPECT_WAITING(&p, GOING_AWAY);
  advance_clock(1000000000);
  CHECK_EQ(closes, 0);
  drain(500);  // a second drain can bring the end nearer
  drain(1000);
  advance_clock(499);
  CHECK_EQ(closes, 0);
  advance_clock(1);
  expect_end(&p, MGX_REASON_DRAINED);
  finish(&p);
}

// The peer reads nothing until `late`; the frames are waiting in c->send.
static void queued_frames_come_first(bool late) {
  struct peer p;
  char *body = make_body(BIG);
  start(&p);
  mg_ws_send(ws, body, BIG, WEBSOCKET_OP_BINARY);
  mg_ws_send(ws, "last", 4, WEBSOCKET_OP_TEXT);
  drain(0);
  mg_ws_send(ws, "too late, but the program's own doing", 0, WEBSOCKET_OP_PONG);
  poll_often(&mgr);
  CHECK(ws != NULL && ws->send.len > 0);
  advance_clock(late ? 3000 : 1000);  // the peer's answer is not waited for any more, the peer itself is
  CHECK_EQ(closes, 0);
  POLL_UNTIL(&mgr, peer_has(&p, 10 + BIG + 6 + 4 + 2));
  CHECK(p.len == 10 + BIG + 6 + 4 + 2 && memcmp(p.buf, "\x82\x7f\0\0\0\0\x01\x31\x2d\0", 10) == 0 && memcmp(p.buf + 10, body, BIG) == 0);
  CHECK(p.len == 10 + BIG + 6 + 4 + 2 && memcmp(p.buf + 10 + BIG, "\x81\x04last" GOING_AWAY "\x8a\0", 12) == 0);
  p.len = 0;
  if (!late) {
    poll_often(&mgr);
    CHECK_EQ(closes, 0);
    CHECK(ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  }
  expect_end(&p, MGX_REASON_DRAINED);
  finish(&p);
  free(body);
}

static void a_peer_that_never_reads_is_closed(void) {
  struct mgx_drain_opts o = options(-1);
  struct peer p;
  char *body = make_body(BIG);
  start(&p);
  mg_ws_send(ws, body, BIG, WEBSOCKET_OP_BINARY);
  o.flush_timeout_ms = 10000;
  CHECK(mgx_conn_drain(ws, &o));
  poll_often(&mgr);
  advance_clock(9999);
  CHECK_EQ(closes, 0);
  advance_clock(1);
  CHECK_EQ(closes, 1);
  CHECK_EQ(reason, MGX_REASON_FLUSH_TIMEOUT);
  CHECK(unsent > 0 && unsent < BIG);
  finish(&p);
  free(body);
}

// Both Close frames are on their way at once: none is answered with a second one.
static void both_sides_close_at_once(bool manager) {
  struct mgx_mgr_drain_opts o;
  struct peer p;
  start(&p);
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe8", 2));
  memset(&o, 0, sizeof(o));
  if (manager) CHECK(mgx_mgr_drain(&mgr, &o));
  if (!manager) drain(0);
  POLL_UNTIL(&mgr, peer_read(&p));
  if (manager) {
    WS_GOT(&p, "\x88\x02\x03\xe8");  // the peer's frame was read before the drain had begun
  } else {
    WS_GOT(&p, GOING_AWAY);
  }
  p.len = 0;
  expect_end(&p, MGX_REASON_DRAINED);
  CHECK(strcmp(seen, "136:2 ") == 0);
  finish(&p);
}

static void fragments_in_progress(void) {
  struct peer p;
  char frame[100];
  size_t n;
  start(&p);
  CHECK(ws_send_frame(&p, 0x01, "one ", 4));
  n = ws_frame(frame, 0x00, "two ", 4);
  CHECK(peer_send(&p, frame, 5));  // half a frame
  poll_often(&mgr);
  drain(0);
  EXPECT_WAITING(&p, GOING_AWAY);
  CHECK(peer_send(&p, frame + 5, n - 5));
  CHECK(ws_send_frame(&p, 0x89, "ping", 4) && ws_send_frame(&p, 0x80, "three", 5));
  EXPECT_WAITING(&p, "\x8a\x04ping");
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  expect_end(&p, MGX_REASON_DRAINED);
  CHECK(strcmp(seen, "0:4 137:4 128:5 1:13 136:2 ") == 0);
  finish(&p);
}

static void fragments_that_stop(void) {
  struct peer p;
  start(&p);
  CHECK(ws_send_frame(&p, 0x01, "one ", 4));
  poll_often(&mgr);
  drain(0);
  EXPECT_WAITING(&p, GOING_AWAY);
  advance_clock(2000);
  expect_end(&p, MGX_REASON_DRAINED);
  CHECK(strcmp(seen, "") == 0);
  finish(&p);
}

static void the_peer_disconnects_without_a_close_frame(bool reset) {
  struct linger now = {1, 0};
  struct peer p;
  start(&p);
  drain(0);
  EXPECT_WAITING(&p, GOING_AWAY);
  if (reset) {
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    peer_free(&p);
  } else {
    peer_shut(&p);
  }
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reason, reset ? MGX_REASON_RESET : MGX_REASON_PEER_CLOSED);
  finish(&p);
}

// Upgraded when the drain had begun: what its caller said about Close frames holds.
static void upgraded_during_its_drain(void) {
  struct mgx_drain_opts o = options(7000);
  struct peer p;
  o.idle_grace_ms = 1000;
  o.ws_close_code = 1012;
  o.ws_close_reason = "restart";
  start_server();
  peer_open(&p, listener);
  POLL_UNTIL(&mgr, mgr.conns != listener);
  CHECK(mgx_conn_drain(mgr.conns, &o));
  poll_often(&mgr);
  CHECK(peer_send_text(&p, WS_REQUEST));
  EXPECT_WAITING(&p, WS_ANSWER "\x88\x09\x03\xf4restart");
  advance_clock(6999);
  CHECK_EQ(closes, 0);
  advance_clock(1);
  expect_end(&p, MGX_REASON_DRAINED);
  finish(&p);
}

// It is none any more when the application has heard of the drain.
static void no_websocket_any_more(void) {
  struct mgx_drain_opts o = options(7000);
  struct peer p;
  takes_over = true;
  start_server();
  peer_open(&p, listener);
  POLL_UNTIL(&mgr, mgr.conns != listener);
  CHECK(mgx_conn_drain(mgr.conns, &o));
  poll_often(&mgr);
  CHECK(peer_send_text(&p, WS_REQUEST));
  POLL_UNTIL(&mgr, peer_read(&p) && closes == 1);
  WS_GOT(&p, WS_ANSWER);
  finish(&p);
  takes_over = false;
}

enum when { BEFORE, IN_LAME_DUCK, IN_IDLE_GRACE };

static void upgraded_during_the_managers_drain(enum when when) {
  static char text[] = "restart";
  struct mgx_mgr_drain_opts o;
  struct peer p;
  memset(&o, 0, sizeof(o));
  o.lame_duck_ms = 100;
  o.idle_grace_ms = 1000;
  o.deadline_ms = 100000;
  o.conn.ws_close_code = 1012;
  o.conn.ws_close_reason = text;
  o.conn.ws_close_timeout_ms = 7000;
  start_server();
  peer_open(&p, listener);
  POLL_UNTIL(&mgr, mgr.conns != listener);
  if (when == BEFORE) CHECK(peer_send_text(&p, WS_REQUEST));
  if (when == BEFORE) EXPECT_WAITING(&p, WS_ANSWER);
  CHECK(mgx_mgr_drain(&mgr, &o));
  o.conn.ws_close_reason = NULL;  // copied
  text[0] = 'R';
  poll_often(&mgr);
  if (when == IN_LAME_DUCK) CHECK(peer_send_text(&p, WS_REQUEST));
  if (when == IN_LAME_DUCK) EXPECT_WAITING(&p, WS_ANSWER);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  advance_clock(100);
  if (when == IN_IDLE_GRACE) CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  if (when == IN_IDLE_GRACE) CHECK(peer_send_text(&p, WS_REQUEST));
  if (when == IN_IDLE_GRACE) {
    EXPECT_WAITING(&p, WS_ANSWER "\x88\x09\x03\xf4restart");
  } else {
    EXPECT_WAITING(&p, "\x88\x09\x03\xf4restart");
  }
  advance_clock(6999);
  CHECK_EQ(closes, 0);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  advance_clock(1);
  expect_end(&p, MGX_REASON_DRAINED);
  advance_clock(999);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);  // the socket lingers
  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  text[0] = 'r';
  finish(&p);
}

static void the_managers_deadline_applies(void) {
  struct mgx_mgr_drain_opts o;
  struct peer p;
  memset(&o, 0, sizeof(o));
  o.deadline_ms = 5000;
  o.conn.ws_close_timeout_ms = -1;
  start(&p);
  CHECK(mgx_mgr_drain(&mgr, &o));
  EXPECT_WAITING(&p, GOING_AWAY);
  advance_clock(4999);
  CHECK_EQ(closes, 0);
  advance_clock(1);
  CHECK_EQ(closes, 1);
  CHECK_EQ(reason, MGX_REASON_FORCED);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  finish(&p);
}

// Codes that nobody may send, and reasons that would be cut in the middle of a character.
static void invalid_codes_and_reasons(void) {
  static const int codes[] = {-1, 1, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65536 + 1000, 2147483647, -2147483647 - 1};
  char text[200];
  size_t i;
  for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
    struct mgx_drain_opts o = options(0);
    struct peer p;
    start(&p);
    o.ws_close_code = codes[i];
    CHECK(mgx_conn_drain(ws, &o));
    EXPECT_WAITING(&p, GOING_AWAY);
    finish(&p);
    start(&p);
    mgx_ws_close(ws, codes[i], NULL);
    EXPECT_WAITING(&p, "\x88\x02\x03\xe8");
    finish(&p);
  }
  for (i = 0; i < 198; i += 2) memcpy(text + i, "\xc3\xa9", 2);
  text[198] = '\0';
  for (i = 0; i < 3; i++) {
    struct mgx_drain_opts o = options(0);
    struct mgx_mgr_drain_opts mo;
    struct peer p;
    start(&p);
    memset(&mo, 0, sizeof(mo));
    o.ws_close_reason = mo.conn.ws_close_reason = text;
    if (i == 0) CHECK(mgx_conn_drain(ws, &o));
    if (i == 1) CHECK(mgx_mgr_drain(&mgr, &mo));
    if (i == 2) mgx_ws_close(ws, 1001, text);
    POLL_UNTIL(&mgr, peer_has(&p, 2 + 2 + 122));
    CHECK(p.len == 126 && memcmp(p.buf, "\x88\x7c\x03\xe9", 4) == 0 && memcmp(p.buf + 4, text, 122) == 0);
    finish(&p);
  }
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  the_peers_close_frame_is_awaited();
  the_close_frame_is_awaited_with_a_limit();
  the_close_frame_is_awaited_without_limit();
  queued_frames_come_first(false);
  queued_frames_come_first(true);
  a_peer_that_never_reads_is_closed();
  both_sides_close_at_once(false);
  both_sides_close_at_once(true);
  fragments_in_progress();
  fragments_that_stop();
  the_peer_disconnects_without_a_close_frame(false);
  the_peer_disconnects_without_a_close_frame(true);
  upgraded_during_its_drain();
  no_websocket_any_more();
  upgraded_during_the_managers_drain(BEFORE);
  upgraded_during_the_managers_drain(IN_LAME_DUCK);
  upgraded_during_the_managers_drain(IN_IDLE_GRACE);
  the_managers_deadline_applies();
  invalid_codes_and_reasons();
  return DONE();
}
