// mg_mgr_free in each phase of a drain: one MG_EV_CLOSE per connection, no leaks, no later calls. Queued output is discarded.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

#define SIZE 20000000  // more than socket buffers take

static char *body;
static int messages, opens, closes, errors, after;
static bool freed;

static void note(struct mg_connection *c, int ev) {
  if (freed) after++;
  if (ev == MG_EV_OPEN && !c->is_listening) opens++;
  if (ev == MG_EV_CLOSE && !c->is_listening) closes++;
  if (ev == MG_EV_ERROR) errors++;
}

static void forget(void) {
  messages = opens = closes = errors = after = 0;
  freed = false;
}

static void end(struct mg_mgr *mgr, struct peer *p) {
  mg_mgr_free(mgr);
  freed = true;
  CHECK(mgr->conns == NULL);
  CHECK(mgr->timers == NULL);
  CHECK_EQ(mgr->epoll_fd, -1);
  CHECK_EQ(closes, opens);
  CHECK_EQ(errors, 0);
  if (p != NULL) peer_free(p);
  mg_mgr_free(mgr);  // again: harmless
  CHECK_EQ(after, 0);
}

static void big(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++, mg_http_reply(c, 200, "", "%.*s", SIZE, body);
  (void) ev_data;
}

static void big_drain(struct mg_connection *c, int ev, void *ev_data) {
  big(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) c->is_draining = 1;
}

static void silent(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++;
  (void) ev_data;
}

static void silent_drain(struct mg_connection *c, int ev, void *ev_data) {
  silent(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) CHECK(mgx_conn_drain(c, NULL));
}

static void small_drain(struct mg_connection *c, int ev, void *ev_data) {
  silent(c, ev, ev_data);
  if (ev != MG_EV_HTTP_MSG) return;
  c->is_draining = 1;
  mg_http_reply(c, 200, "", "hi");
}

static void start(struct mg_mgr *mgr, mg_event_handler_t fn, struct peer *p) {
  forget();
  peer_open(p, serve(mgr, fn, NULL));
  CHECK(peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
}

// The peer gets a beginning of the reply and then an end, never anything wrong.
static void mg_mgr_free_during_a_reply(mg_event_handler_t fn, bool announced) {
  struct mg_mgr mgr;
  struct mg_str want = make_reply("200 OK", "", body, SIZE);
  struct peer p;
  uint64_t until = real_ms() + 50000;
  start(&mgr, fn, &p);
  POLL_UNTIL(&mgr, messages == 1);
  while (p.len < 100000) peer_take(&p, 50000), mg_mgr_poll(&mgr, 1);
  CHECK_EQ(closes, 0);
  mg_mgr_free(&mgr);
  while (!peer_read(&p) && real_ms() < until) continue;
  CHECK(p.end == PEER_FIN || p.end == ECONNRESET);
  CHECK_EQ(peer_drop_close(&p, 0), announced);
  CHECK(p.len < want.len && memcmp(p.buf, want.buf, p.len) == 0);
  CHECK_EQ(closes, 1);
  end(&mgr, &p);
  free(want.buf);
}

static void while_an_answer_is_awaited(mg_event_handler_t fn, bool half_closed) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, fn, &p);
  if (half_closed) peer_shut(&p);
  POLL_UNTIL(&mgr, messages == 1);
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  end(&mgr, &p);
}

static void right_after_the_flag_was_set(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct peer p;
  start(&mgr, silent, &p);
  POLL_UNTIL(&mgr, messages == 1);
  for (c = mgr.conns; c != NULL; c = c->next) c->is_draining = 1;
  end(&mgr, &p);
}

static void before_the_first_poll(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, silent, &p);
  end(&mgr, &p);
}

static void while_lingering(bool unread) {
  struct mg_mgr mgr;
  struct peer p;
  size_t files = open_files();
  start(&mgr, small_drain, &p);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(closes, 1);
  if (unread) CHECK(peer_send_text(&p, "more of the same"));  // is read before the socket is closed
  mg_mgr_free(&mgr);
  CHECK_EQ(open_files(), files + 1);  // the peer's own
  CHECK(!peer_was_reset_late(&p));
  end(&mgr, &p);
}

// Once the manager drains, it waits for them: a second for a peer that says nothing.
static void while_lingering_in_a_drain_of_the_manager(void) {
  struct mg_mgr mgr;
  struct peer p;
  uint64_t began = real_ms();
  start(&mgr, small_drain, &p);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(mgx_mgr_drain(&mgr, NULL));
  mg_mgr_free(&mgr);
  CHECK(real_ms() - began >= 900);
  CHECK(!peer_was_reset_late(&p));
  end(&mgr, &p);
}

static void while_a_client_connects(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  forget();
  l = serve(&mgr, silent, NULL);
  c = mg_http_connect(&mgr, url_of(l, "http"), silent, NULL);
  c->is_draining = 1;
  end(&mgr, NULL);
}

// ---- from inside a handler
static bool from_close;

static void frees_the_manager(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (freed) return;
  if ((ev == MG_EV_HTTP_MSG && !from_close) || (ev == MG_EV_CLOSE && from_close && c->is_accepted)) {
    mg_http_reply(c, 200, "", "hi");
    c->is_draining = 1;
    mg_mgr_free(c->mgr);
    freed = true;
  } else if (ev == MG_EV_HTTP_MSG) {
    c->is_draining = 1;
    mg_http_reply(c, 200, "", "hi");
  }
  (void) ev_data;
}

static void from_a_handler(bool in_close) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, frees_the_manager, &p);
  from_close = in_close;
  POLL_UNTIL(&mgr, freed);
  end(&mgr, &p);
}

static void free_it(void *arg) {
  mg_mgr_free((struct mg_mgr *) arg);
  freed = true;
}

static void from_a_timer(void) {
  struct mg_mgr mgr;
  struct peer p;
  start(&mgr, big_drain, &p);
  POLL_UNTIL(&mgr, messages == 1);
  mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, free_it, &mgr);
  POLL_UNTIL(&mgr, freed);
  end(&mgr, &p);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  body = make_body(SIZE);
  mg_mgr_free_during_a_reply(big, false);
  mg_mgr_free_during_a_reply(big_drain, true);
  while_an_answer_is_awaited(silent, false);
  while_an_answer_is_awaited(silent_drain, false);
  while_an_answer_is_awaited(silent, true);
  while_an_answer_is_awaited(silent_drain, true);
  right_after_the_flag_was_set();
  before_the_first_poll();
  while_lingering(false);
  while_lingering(true);
  while_lingering_in_a_drain_of_the_manager();
  while_a_client_connects();
  from_a_handler(false);
  from_a_handler(true);
  from_a_timer();
  free(body);
  return DONE();
}
