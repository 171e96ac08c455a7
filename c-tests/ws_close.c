// How WebSocket connections close: the closing handshake from either side, protocol errors, drains with and without the
// extension API.
#include "ws_peer.h"

#include "mongoose_ext.h"

static struct mg_mgr mgr;
static char seen[500];
static int closes;
static enum mgx_reason reason;  // of the last

static void note(struct mg_connection *c, int ev, void *ev_data) {
  size_t n = strlen(seen);
  if (ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_snprintf(seen + n, sizeof(seen) - n, "%d:%lu ", wm->flags, (unsigned long) wm->data.len);
  }
  if (ev == MG_EV_CLOSE && !c->is_listening) closes++, reason = mgx_close_reason(c);
}

static void upgrades_only(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  note(c, ev, ev_data);
}

static struct peer open_with(mg_event_handler_t fn) {
  struct peer p;
  seen[0] = '\0';
  closes = 0;
  ws_open(&p, &mgr, serve(&mgr, fn, NULL));
  return p;
}

#define ENDS_WITH(p, want)              \
  do {                                  \
    POLL_UNTIL(&mgr, peer_read(p));     \
    CHECK_EQ((p)->end, PEER_FIN);       \
    WS_GOT(p, want);                    \
    POLL_UNTIL(&mgr, closes == 1);      \
  } while (0)

static void end(struct peer *p) {
  peer_free(p);
  mg_mgr_free(&mgr);
}

static void a_close_frame_is_echoed_once(void) {
  struct peer p = open_with(upgrades_only);
  char frames[200];
  size_t n = ws_frame(frames, 0x81, "hi", 2);
  n += ws_frame(frames + n, 0x88, "\x03\xe8" "bye", 5);
  n += ws_frame(frames + n, 0x88, "\x03\xe8", 2);
  n += ws_frame(frames + n, 0x81, "late", 4);
  CHECK(peer_send(&p, frames, n));
  ENDS_WITH(&p, "\x88\x05\x03\xe8" "bye");
  CHECK(strcmp(seen, "129:2 136:5 ") == 0);
  end(&p);
}

static void our_own_close_is_answered_not_echoed(void) {
  struct peer p = open_with(upgrades_only);
  mg_ws_send(mgr.conns, "\x03\xe9", 2, WEBSOCKET_OP_CLOSE);
  POLL_UNTIL(&mgr, peer_has(&p, 4));
  CHECK(ws_text(&p, "not yet"));
  poll_often(&mgr);
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  ENDS_WITH(&p, "\x88\x02\x03\xe9");
  CHECK(strcmp(seen, "129:7 136:2 ") == 0);
  end(&p);
}

static void answering(struct mg_connection *c, int ev, void *ev_data) {
  upgrades_only(c, ev, ev_data);
  if (ev == MG_EV_WS_CTL) mg_ws_printf(c, WEBSOCKET_OP_CLOSE, "%s", "\x0f\xa0" "mine");
}

static void a_handler_may_answer_itself(void) {
  struct peer p = open_with(answering);
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe8", 2));
  ENDS_WITH(&p, "\x88\x06\x0f\xa0" "mine");
  end(&p);
}

static void queueing(struct mg_connection *c, int ev, void *ev_data) {
  upgrades_only(c, ev, ev_data);
  if (ev == MG_EV_WS_MSG) {
    int i;
    for (i = 0; i < 3; i++) mg_ws_printf(c, WEBSOCKET_OP_TEXT, "%d", i);
    c->is_draining = 1;
  }
}

static void queued_frames_are_sent_before_a_drain_ends(void) {
  struct peer p = open_with(queueing);
  CHECK(ws_text(&p, "a") && ws_text(&p, "b"));
  ENDS_WITH(&p, "\x81\x01" "0\x81\x01" "1\x81\x01" "2\x88\x02\x03\xe8");
  end(&p);
}

static void a_protocol_error_is_reported_once(void) {
  struct peer p = open_with(upgrades_only);
  char frames[200];
  size_t n = ws_frame(frames, 0x81, "hi", 2);
  n += ws_frame(frames + n, 0xc1, "rsv", 3);
  n += ws_frame(frames + n, 0xc1, "rsv", 3);
  CHECK(peer_send(&p, frames, n));
  ENDS_WITH(&p, "\x88\x02\x03\xea");
  CHECK(strcmp(seen, "129:2 ") == 0);
  end(&p);
}

static void text_is_utf_8(void) {
  struct peer p = open_with(upgrades_only);
  CHECK(ws_send_frame(&p, 0x01, "\xe2\x82", 2) && ws_send_frame(&p, 0x80, "\xac", 1) && ws_send_frame(&p, 0x82, "\xff\xfe", 2) && ws_send_frame(&p, 0x81, "\xff\xfe", 2));
  ENDS_WITH(&p, "\x88\x02\x03\xef");
  CHECK(strcmp(seen, "128:1 1:3 130:2 ") == 0);
  end(&p);
}

// The second part of a text is checked, too, even behind an empty one.
static void text_in_parts_is_utf_8(void) {
  static const char *const first[] = {"a", ""};
  int i;
  for (i = 0; i < 2; i++) {
    struct peer p = open_with(upgrades_only);
    CHECK(ws_send_frame(&p, 0x01, first[i], strlen(first[i])));
    poll_often(&mgr);
    CHECK(ws_send_frame(&p, 0x80, "\xff", 1));
    ENDS_WITH(&p, "\x88\x02\x03\xef");
    CHECK(seen[0] == '\0');
    end(&p);
  }
}

static void lenient_server(void) {
  struct peer p = open_with(upgrades_only);
  // Without a mask; length in a longer form; the end of a message that never began.
  CHECK(peer_send(&p, "\x81\x01x\x81\x7e\x00\x01x\x81\x7f\0\0\0\0\0\0\0\x01x\x80\x00", 21));
  poll_often(&mgr);
  CHECK(strcmp(seen, "129:1 129:1 129:1 128:0 ") == 0);
  CHECK_EQ(closes, 0);
  end(&p);
}

static void sends_close_in_every_poll(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev, ev_data);
  if (ev == MG_EV_POLL && c->is_websocket) mg_ws_send(c, NULL, 0, WEBSOCKET_OP_CLOSE);
}

static void many_close_frames_do_no_harm(void) {
  struct mg_connection *c;
  closes = 0;
  seen[0] = '\0';
  c = mg_ws_connect(&mgr, url_of(serve(&mgr, upgrades_only, NULL), "ws"), sends_close_in_every_poll, NULL, NULL);
  CHECK(c != NULL);
  POLL_UNTIL(&mgr, closes == 2);
  mg_mgr_free(&mgr);
}

// ---- the extension API

static void ext_close(void) {
  struct peer p = open_with(upgrades_only);
  mgx_ws_close(mgr.conns, 4000, "enough");
  mgx_ws_close(mgr.conns, 4001, "again");
  mgx_ws_close(NULL, 1000, NULL);
  POLL_UNTIL(&mgr, peer_has(&p, 10));
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  CHECK(ws_send_frame(&p, 0x88, "\x0f\xa0", 2));
  ENDS_WITH(&p, "\x88\x08\x0f\xa0" "enough");
  end(&p);
}

static void ext_drain_waits_for_the_answer(bool answers) {
  struct peer p = open_with(upgrades_only);
  struct mgx_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.ws_close_reason = "going";
  o.ws_close_timeout_ms = answers ? 20000 : 100;
  mg_ws_send(mgr.conns, "last", 4, WEBSOCKET_OP_TEXT);
  CHECK(mgx_conn_drain(mgr.conns, &o));
  POLL_UNTIL(&mgr, peer_has(&p, 6 + 9));
  if (answers) {
    poll_often(&mgr);
    CHECK_EQ(closes, 0);
    CHECK(ws_text(&p, "still here") && ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  }
  ENDS_WITH(&p, "\x81\x04last\x88\x07\x03\xe9going");
  CHECK(strcmp(seen, answers ? "129:10 136:2 " : "") == 0);
  end(&p);
}

static void ext_manager_drain(void) {
  struct peer p = open_with(upgrades_only);
  struct mgx_drain_status st;
  mgx_mgr_drain_status(&mgr, &st);
  CHECK_EQ(st.websockets, 1);
  CHECK(mgx_mgr_drain(&mgr, NULL));
  POLL_UNTIL(&mgr, peer_has(&p, 4));
  CHECK(ws_send_frame(&p, 0x88, "\x03\xe9", 2));
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  ENDS_WITH(&p, "\x88\x02\x03\xe9");
  end(&p);
}

static void ext_longest_message(void) {
  int i;
  for (i = 0; i < 4; i++) {
    struct mgx_limits l;
    struct peer p = open_with(upgrades_only);
    memset(&l, 0, sizeof(l));
    l.max_ws_message = 10;
    mgx_mgr_limits(&mgr, &l);
    CHECK(ws_text(&p, "0123456789") && ws_send_frame(&p, 0x89, "a longer ping", 13));
    CHECK(ws_send_frame(&p, 0x01, "01234", 5) && ws_send_frame(&p, 0x80, "56789", 5));
    if (i == 0) CHECK(ws_text(&p, "0123456789a"));
    if (i == 1) CHECK(ws_send_frame(&p, 0x01, "01234", 5) && ws_send_frame(&p, 0x80, "56789a", 6));
    if (i == 2) CHECK(peer_send(&p, "\x82\xff\0\0\0\x01\0\0\0\0\0\0\0\0", 14));  // announced
    if (i == 3) CHECK(ws_send_frame(&p, 0x88, "\x03\xe8 a longer reason", 18));  // no message
    if (i < 3) ENDS_WITH(&p, "\x8a\x0d" "a longer ping\x88\x02\x03\xf1");
    if (i < 3) CHECK_EQ(reason, MGX_REASON_LIMIT);
    if (i == 3) ENDS_WITH(&p, "\x8a\x0d" "a longer ping\x88\x12\x03\xe8 a longer reason");
    end(&p);
  }
}

static void ext_shortest_message(void) {
  struct mgx_limits l;
  struct peer p = open_with(upgrades_only);
  memset(&l, 0, sizeof(l));
  l.max_ws_message = 1;
  mgx_mgr_limits(&mgr, &l);
  CHECK(ws_text(&p, "0") && ws_text(&p, "01"));
  ENDS_WITH(&p, "\x88\x02\x03\xf1");
  CHECK(strcmp(seen, "129:1 ") == 0);
  end(&p);
}

// Text is not checked for those who have asked not to be strict.
static void ext_any_text(void) {
  struct peer p = open_with(upgrades_only);
  mgx_mgr_ws_strict(&mgr, false);
  CHECK(ws_send_frame(&p, 0x81, "\xff\xfe", 2));
  poll_often(&mgr);
  CHECK(strcmp(seen, "129:2 ") == 0 && closes == 0);
  end(&p);
}

// Who reads while it drains does not read what follows a violation either.
static void ext_compat_protocol_error(void) {
  struct peer p = open_with(upgrades_only);
  mgx_mgr_compat(&mgr, true);
  CHECK(ws_send_frame(&p, 0xc1, "x", 1));
  ENDS_WITH(&p, "\x88\x02\x03\xea");
  end(&p);
}

static void ext_idle(void) {
  struct mgx_limits l;
  struct peer p = open_with(upgrades_only);
  memset(&l, 0, sizeof(l));
  l.idle_timeout_ms = 100;
  mgx_mgr_limits(&mgr, &l);
  ENDS_WITH(&p, "\x88\x02\x03\xe9");
  end(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  a_close_frame_is_echoed_once();
  our_own_close_is_answered_not_echoed();
  a_handler_may_answer_itself();
  queued_frames_are_sent_before_a_drain_ends();
  a_protocol_error_is_reported_once();
  text_is_utf_8();
  text_in_parts_is_utf_8();
  lenient_server();
  many_close_frames_do_no_harm();
  ext_close();
  ext_drain_waits_for_the_answer(true);
  ext_drain_waits_for_the_answer(false);
  ext_manager_drain();
  ext_longest_message();
  ext_shortest_message();
  ext_any_text();
  ext_compat_protocol_error();
  ext_idle();
  return DONE();
}
