// Requests that arrive after is_draining = 1 are neither read nor dispatched nor answered.
// not under: short: the first read must bring all of a message
#include "mongoose.h"

#include "peer.h"

static char *body;
static size_t body_len = 2000000;
static int headers, messages, reads, closes, polls, recv_at_close;
static bool drain_in_headers, drain_in_read;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (!c->is_accepted) return;
  if (ev == MG_EV_POLL && c->is_draining) polls++;
  if (ev == MG_EV_READ) {
    reads++;
    if (drain_in_read) c->is_draining = 1;
  }
  if (ev == MG_EV_HTTP_HDRS) {
    headers++;
    if (drain_in_headers) {
      mg_http_reply(c, 200, "", "%.*s", (int) body_len, body);
      c->is_draining = 1;
    }
  }
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    mg_http_reply(c, 200, "", "%.*s", (int) body_len, body);
    c->is_draining = 1;
  }
  if (ev == MG_EV_CLOSE) closes++, recv_at_close = (int) c->recv.len;
  (void) ev_data;
}

#define GET "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"

static void send_gets(struct peer *p, int from, int to) {
  char text[100];
  for (; from < to; from++) {
    snprintf(text, sizeof(text), GET, from);
    CHECK(peer_send_text(p, text));
  }
}

static void expect_one_reply(struct peer *p) {
  struct mg_str want = make_reply("200 OK", "", body, body_len);
  CHECK_EQ(p->end, PEER_FIN);
  CHECK_EQ(peer_drop_close(p, 0), 1);
  CHECK(peer_got_str(p, want));
  CHECK_EQ(closes, 1);
  free(want.buf);
}

static void forget(void) {
  headers = messages = reads = closes = polls = 0;
  recv_at_close = -1;
  drain_in_headers = drain_in_read = false;
}

static void in_the_same_segment(void) {
  struct mg_mgr mgr;
  struct peer p;
  char text[3 * sizeof(GET)];
  forget();
  peer_open(&p, serve(&mgr, server, NULL));
  snprintf(text, sizeof(text), GET GET GET, 1, 2, 3);
  CHECK(peer_send_text(&p, text));
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  expect_one_reply(&p);
  CHECK_EQ(messages, 1);
  CHECK_EQ(headers, 1);
  CHECK_EQ(recv_at_close, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// They come one by one for as long as the reply is on its way.
static void while_the_reply_is_flushed(void) {
  struct mg_mgr mgr;
  struct peer p;
  int i, reads_before;
  forget();
  body_len = 16000000;  // more than socket buffers take
  peer_open(&p, serve(&mgr, server, NULL));
  send_gets(&p, 0, 1);
  POLL_UNTIL(&mgr, messages == 1);
  reads_before = reads;
  for (i = 1; i < 20; i++) {
    send_gets(&p, i, i + 1);
    mg_mgr_poll(&mgr, 0);
    peer_take(&p, 100000);
  }
  CHECK(polls >= 19);  // MG_EV_POLL goes on
  CHECK_EQ(reads, reads_before);
  CHECK_EQ(closes, 0);
  for (i = 0; i < 4000 && !peer_read(&p); i++) {
    if (p.len < body_len) send(p.fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL | MSG_DONTWAIT);
    mg_mgr_poll(&mgr, 5);
  }
  POLL_UNTIL(&mgr, closes == 1);
  expect_one_reply(&p);
  CHECK_EQ(messages, 1);
  CHECK_EQ(reads, reads_before);
  peer_free(&p);
  mg_mgr_free(&mgr);
  body_len = 2000000;
}

static void drained_from_the_headers(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  drain_in_headers = true;
  peer_open(&p, serve(&mgr, server, NULL));
  CHECK(peer_send_text(&p, "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET /2 HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  expect_one_reply(&p);
  CHECK_EQ(messages, 0);
  CHECK_EQ(headers, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// A request that has arrived in the kernel when another handler drains the connection is not answered: the peer sees the end.
static void drained_before_the_request_is_read(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct peer p;
  forget();
  l = serve(&mgr, server, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  send_gets(&p, 0, 1);
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) c->is_draining = 1;
  }
  POLL_UNTIL(&mgr, closes == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(p.len, 0);
  CHECK_EQ(messages + headers + reads, 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// MG_EV_READ that is being delivered still reaches the application, and its buffer is left alone until it returns.
static void drained_in_read(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  drain_in_read = true;
  peer_open(&p, serve(&mgr, server, NULL));
  CHECK(peer_send_text(&p, "GET /1 HTT"));  // READ, no request yet
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reads, 1);
  CHECK_EQ(messages, 0);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static size_t seen_after;

static void drain_first(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) c->is_draining = 1;
  (void) ev_data;
}

static void echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) c->pfn = drain_first;
  if (ev == MG_EV_READ) {
    seen_after = c->recv.len;
    mg_send(c, c->recv.buf, c->recv.len);
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  (void) ev_data;
}

static void drained_by_the_protocol_handler_of_a_raw_connection(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", echo, NULL));
  CHECK(peer_send_text(&p, "hello"));
  POLL_UNTIL(&mgr, closes == 1);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(seen_after, 5);
  CHECK(peer_got(&p, "hello"));
  CHECK_EQ(p.end, PEER_FIN);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Nothing is queued when the drain is set: that is the end, for the requests behind it too, and an end in order.
static void drains_without_reply(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) messages++, c->is_draining = 1;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  (void) ev_data;
}

static void before_the_answer_has_begun(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, drains_without_reply, NULL));
  send_gets(&p, 0, 3);
  POLL_UNTIL(&mgr, messages == 1);
  send_gets(&p, 3, 5);
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(p.len, 0);
  CHECK_EQ(closes, 1);
  CHECK_EQ(messages, 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void requests_that_arrive_after_is_draining(void) {
  in_the_same_segment();
  while_the_reply_is_flushed();
  drained_from_the_headers();
  drained_before_the_request_is_read();
  drained_in_read();
  drained_by_the_protocol_handler_of_a_raw_connection();
  before_the_answer_has_begun();
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  body = make_body(16000000);
  requests_that_arrive_after_is_draining();
  free(body);
  return DONE();
}
