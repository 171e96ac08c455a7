// is_draining may be set from anywhere; the whole reply still arrives, even through a small receive buffer.
// not under: short: the first transfer must contain the head
#include "mongoose.h"

#include "peer.h"

enum where {
  FROM_MESSAGE,
  FROM_POLL,
  FROM_WRITE,
  FROM_TIMER,
  FROM_ANOTHER_CONNECTION,
  FROM_WAKEUP,
  FROM_WAKEUP_OF_ANOTHER,
  BETWEEN_POLLS,
  WHERES
};

static char *body;
static size_t body_len;
static int messages, closes, errors;
static unsigned long target, other;

static void drain_target(struct mg_mgr *mgr) {
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) {
    if (c->id == target) c->is_draining = 1;
  }
}

static void timer(void *arg) {
  drain_target((struct mg_mgr *) arg);
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  enum where where = (enum where) *(int *) c->fn_data;
  if (ev == MG_EV_ERROR) errors++;
  if (!c->is_accepted) return;
  if (ev == MG_EV_CLOSE && c->id == target) closes++;
  if (ev == MG_EV_ACCEPT && target != 0) other = c->id;
  if (ev == MG_EV_ACCEPT && target == 0) target = c->id;
  if (ev == MG_EV_HTTP_MSG && c->id == target) {
    messages++;
    mg_http_reply(c, 200, "A: b\r\n", "%.*s", (int) body_len, body);
    if (where == FROM_MESSAGE) c->is_draining = 1;
    if (where == FROM_TIMER) mg_timer_add(c->mgr, 1, MG_TIMER_ONCE, timer, c->mgr);
    if (where == FROM_WAKEUP) CHECK(mg_wakeup(c->mgr, c->id, "x", 1));
    if (where == FROM_WAKEUP_OF_ANOTHER) CHECK(mg_wakeup(c->mgr, other, "x", 1));
  }
  if (ev == MG_EV_POLL && where == FROM_POLL && messages > 0) c->is_draining = 1;
  if (ev == MG_EV_WRITE && where == FROM_WRITE) c->is_draining = 1;
  if (ev == MG_EV_POLL && where == FROM_ANOTHER_CONNECTION && c->id == other && messages > 0) drain_target(c->mgr);
  if (ev == MG_EV_WAKEUP) {
    CHECK(((struct mg_str *) ev_data)->len == 1);
    drain_target(c->mgr);
  }
}

static void whole_reply(enum where where, size_t len, int receive_buffer) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct mg_str want;
  struct peer p, bystander;
  int w = (int) where, failed = checks_failed;
  messages = closes = errors = 0;
  target = other = 0;
  body_len = len;
  l = serve(&mgr, server, &w);
  CHECK(mg_wakeup_init(&mgr));
  peer_connect(&p, port_of(l), receive_buffer);
  POLL_UNTIL(&mgr, target != 0);
  peer_open(&bystander, l);
  POLL_UNTIL(&mgr, other != 0);
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  POLL_UNTIL(&mgr, messages == 1);
  if (where == BETWEEN_POLLS) drain_target(&mgr);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  want = make_reply("200 OK", "A: b\r\n", body, body_len);
  CHECK(peer_got_str(&p, want));
  CHECK_EQ(closes, 1);
  CHECK_EQ(errors, 0);
  if (where != FROM_POLL) CHECK_EQ(count_conns(&mgr), 3);  // the listener, the wakeup connection and the bystander
  free(want.buf);
  peer_free(&p);
  peer_free(&bystander);
  mg_mgr_free(&mgr);
  if (checks_failed > failed) fprintf(stderr, "... in case %d, %lu bytes, buffer %d\n", w, (unsigned long) len, receive_buffer);
}

// ---- twice, and with is_closing
static struct mg_connection *conn;

static void sets_draining_repeatedly(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->is_draining = 1, c->is_draining = 1, conn = c;
  if (ev == MG_EV_POLL && conn == c) c->is_draining = 1;
  if (ev == MG_EV_CLOSE && conn == c) conn = NULL;
}

static void start(struct mg_mgr *mgr, mg_event_handler_t fn, int *where, size_t len, struct peer *p) {
  messages = closes = errors = 0;
  target = 0;
  conn = NULL;
  body_len = len;
  peer_open(p, serve(mgr, fn, where));
  CHECK(peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

static void drained_twice(void) {
  struct mg_mgr mgr;
  struct mg_str want;
  struct peer p;
  int where = BETWEEN_POLLS;
  start(&mgr, sets_draining_repeatedly, &where, 20000000, &p);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  want = make_reply("200 OK", "A: b\r\n", body, body_len);
  CHECK(peer_got_str(&p, want));
  CHECK_EQ(closes, 1);
  free(want.buf);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void drained_then_closed(void) {
  struct mg_mgr mgr;
  struct mg_str want;
  struct peer p;
  int where = FROM_MESSAGE;
  size_t files;
  start(&mgr, sets_draining_repeatedly, &where, 20000000, &p);
  files = open_files();
  POLL_UNTIL(&mgr, messages == 1);
  CHECK_EQ(closes, 0);
  CHECK(conn != NULL && conn->send.len > 0);
  if (conn != NULL) conn->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  CHECK_EQ(open_files(), files);  // accepted since then, and closed: does not linger
  while (!peer_read(&p)) continue;
  want = make_reply("200 OK", "A: b\r\n", body, body_len);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK(p.len < want.len && memcmp(p.buf, want.buf, p.len) == 0);
  free(want.buf);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void close_at_once(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->is_closing = 1;
}

static void drained_and_closed_in_one_handler_call(void) {
  struct mg_mgr mgr;
  struct peer p;
  int where = FROM_MESSAGE;
  start(&mgr, close_at_once, &where, 100, &p);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.len, 0);  // pending output is lost: that is what is_closing means
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Output queued after the drain began is part of it.
static void adds_while_draining(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_WRITE && c->data[0] < 5) c->data[0]++, mg_printf(c, "%d.", c->data[0]);
}

static void what_is_added_during_the_drain_is_sent(void) {
  struct mg_mgr mgr;
  struct mg_str want;
  struct peer p;
  int where = FROM_MESSAGE;
  start(&mgr, adds_while_draining, &where, 10, &p);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  want = make_reply("200 OK", "A: b\r\n", body, 10);
  CHECK_EQ(p.len, want.len + 10);
  CHECK(p.len == want.len + 10 && memcmp(p.buf + want.len, "1.2.3.4.5.", 10) == 0);
  free(want.buf);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int where;
  mg_log_set(MG_LL_ERROR);
  body = make_body(20000000);
  for (where = 0; where < (int) WHERES; where++) {
    whole_reply((enum where) where, 0, 0);
    whole_reply((enum where) where, 5000000, 0);
    whole_reply((enum where) where, 1000000, 4096);
  }
  drained_twice();
  drained_then_closed();
  drained_and_closed_in_one_handler_call();
  what_is_added_during_the_drain_is_sent();
  free(body);
  return DONE();
}
