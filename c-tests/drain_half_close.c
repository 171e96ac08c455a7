// A peer that half-closes after its request still gets the whole response, and then the end of the stream.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

static char *body;
static size_t body_len;
static int messages, closes, errors, draining_seen;
static uint64_t answer_at;

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_CLOSE && c->is_accepted) {
    closes++;
    draining_seen += c->is_draining;
  }
  if (ev == MG_EV_ERROR) errors++;
}

static void forget(void) {
  messages = closes = errors = draining_seen = 0;
}

static void answer(struct mg_connection *c) {
  mg_http_reply(c, 200, "A: b\r\n", "%.*s", (int) body_len, body);
}

static void at_once(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++, answer(c);
  (void) ev_data;
}

static void later(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++, answer_at = mg_millis() + 300;
  if (ev == MG_EV_POLL && c->is_resp && *(uint64_t *) ev_data >= answer_at) answer(c);
}

static unsigned long waiting_id;

static void answer_waiting(void *arg) {
  struct mg_connection *c;
  for (c = ((struct mg_mgr *) arg)->conns; c != NULL; c = c->next) {
    if (c->id == waiting_id) answer(c);
  }
}

static void from_timer(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    waiting_id = c->id;
    mg_timer_add(c->mgr, 300, MG_TIMER_ONCE, answer_waiting, c->mgr);
  }
  (void) ev_data;
}

// Hands out everything in pieces, the last one after the request has been gone for a while.
static void in_pieces(struct mg_connection *c, int ev, void *ev_data) {
  size_t *sent = (size_t *) c->data;
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  } else if (ev == MG_EV_POLL && c->is_resp && c->send.len < 50000) {
    size_t n = body_len - *sent < 100000 ? body_len - *sent : 100000;
    mg_http_write_chunk(c, body + *sent, n);
    *sent += n;
  }
  (void) ev_data;
}

// Sends the request and the end of the stream together, and reads to the end.
static void exchange(mg_event_handler_t fn, struct peer *p) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  l = serve(&mgr, fn, NULL);
  peer_open(p, l);
  CHECK(peer_send_text(p, request));
  peer_shut(p);
  POLL_UNTIL(&mgr, peer_read(p));
  CHECK_EQ(p->end, PEER_FIN);
  POLL_UNTIL(&mgr, closes > 0);
  CHECK_EQ(count_conns(&mgr), 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(messages, 1);
  CHECK_EQ(closes, 1);
  CHECK_EQ(errors, 0);
  CHECK_EQ(draining_seen, 0);  // the application did not set it
}

static void expect_whole_reply(mg_event_handler_t fn, size_t len) {
  struct mg_str want;
  struct peer p;
  body_len = len;
  want = make_reply("200 OK", "A: b\r\n", body, body_len);
  exchange(fn, &p);
  CHECK(peer_got_str(&p, want));
  peer_free(&p);
  free(want.buf);
}

static void half_close_right_after_the_request_with_a_5_mb_reply(void) {
  int i;
  for (i = 0; i < 5; i++) expect_whole_reply(at_once, 5000000);
}

static void half_close_with_the_reply_300_ms_later(void) {
  expect_whole_reply(later, 100000);
  expect_whole_reply(from_timer, 100000);
}

static void half_close_during_a_chunked_reply_that_goes_on(void) {
  struct mg_str got;
  struct peer p;
  size_t at, n, done = 0;
  body_len = 1000000;
  exchange(in_pieces, &p);
  got = mg_str_n(p.buf, p.len);
  CHECK(got.len > 47 && memcmp(got.buf, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47) == 0);
  for (at = 47; at < got.len; at += n + 2) {
    char *after;
    n = (size_t) strtoul(got.buf + at, &after, 16);
    at = (size_t) (after - got.buf) + 2;
    if (n == 0) break;
    CHECK(done + n <= body_len && memcmp(got.buf + at, body + done, n) == 0);
    done += n;
  }
  CHECK_EQ(done, body_len);
  CHECK_EQ(at + 2, got.len);
  peer_free(&p);
}

static void half_close_with_nothing_pending_is_a_close(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  forget();
  l = serve(&mgr, at_once, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  CHECK(peer_send_text(&p, "GET / HTTP/1.1\r\nHost"));  // half a request
  peer_shut(&p);
  POLL_UNTIL(&mgr, closes == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(p.len, 0);
  CHECK_EQ(messages, 0);
  CHECK_EQ(errors, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void waiting_for_the_response_does_not_spin(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  int polls = 0;
  uint64_t start;
  forget();
  body_len = 10;
  l = serve(&mgr, later, NULL);
  peer_open(&p, l);
  peer_send_text(&p, request);
  peer_shut(&p);
  POLL_UNTIL(&mgr, messages == 1);
  start = real_ms();
  while (closes == 0 && real_ms() < start + 50000) mg_mgr_poll(&mgr, 50), polls++;
  CHECK(polls < 30);
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// Two requests in one segment, then the end of the stream: both are answered, though the first answer comes later.
static void half_close_after_two_requests(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct mg_str one, two;
  struct peer p;
  forget();
  body_len = 20000;
  l = serve(&mgr, later, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
  peer_shut(&p);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(messages, 2);
  one = make_reply("200 OK", "A: b\r\n", body, body_len);
  two.len = one.len * 2;
  two.buf = (char *) malloc(two.len);
  memcpy(two.buf, one.buf, one.len);
  memcpy(two.buf + one.len, one.buf, one.len);
  CHECK(peer_got_str(&p, two));
  CHECK_EQ(p.end, PEER_FIN);
  free(one.buf);
  free(two.buf);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// ---- the other way round: the server ends its half, the client is ours
static char response[64];

static void client(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.0\r\n\r\n");
  if (ev == MG_EV_HTTP_MSG) mg_snprintf(response, sizeof(response), "%.*s", (int) hm->body.len, hm->body.buf);
  if (ev == MG_EV_CLOSE) closes++;
}

static void raw_server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) mg_printf(c, "HTTP/1.1 200 OK\r\n\r\nuntil the end"), c->is_draining = 1, c->recv.len = 0;
  (void) ev_data;
}

static void a_response_until_close_is_delivered_before_close(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", raw_server, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), client, NULL);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(strcmp(response, "until the end") == 0);
  mg_mgr_free(&mgr);
}

static void never(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) messages++, waiting_id = c->id;
  (void) ev_data;
}

// The application gives up the response outside of any event: the next poll ends the connection instead of sleeping.
static void a_response_that_is_given_up(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, never, NULL), *c;
  struct mgx_limits limits;
  struct peer p;
  uint64_t start;
  forget();
  memset(&limits, 0, sizeof(limits));
  limits.half_close_ms = 100000;
  mgx_mgr_limits(&mgr, &limits);
  peer_open(&p, l);
  peer_send_text(&p, request);
  peer_shut(&p);
  POLL_UNTIL(&mgr, messages == 1);
  poll_often(&mgr);
  CHECK_EQ(closes, 0);
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->id == waiting_id) c->is_resp = 0;
  }
  start = real_ms();
  mg_mgr_poll(&mgr, 30000);
  CHECK(closes == 1 && real_ms() < start + 30000);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  body = make_body(5000000);
  half_close_right_after_the_request_with_a_5_mb_reply();
  half_close_with_the_reply_300_ms_later();
  half_close_during_a_chunked_reply_that_goes_on();
  half_close_with_nothing_pending_is_a_close();
  waiting_for_the_response_does_not_spin();
  half_close_after_two_requests();
  a_response_until_close_is_delivered_before_close();
  a_response_that_is_given_up();
  free(body);
  return DONE();
}
