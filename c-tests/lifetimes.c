// Memory, sockets and events when handlers close, free, resize or nest what the library is working on.
// not under: short: a body must arrive with its head
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static int closes, errors, messages, events_after_close;
static struct peer peer;

static void reset_counters(void) {
  closes = errors = messages = events_after_close = 0;
}

// ---- a socket that is reset while MG_EV_CLOSE is delivered

static void poll_in_close(struct mg_connection *c, int ev, void *ev_data) {
  if (!c->is_accepted) return;
  if (closes > 0) events_after_close++;
  if (ev == MG_EV_READ) c->is_draining = 1;
  if (ev == MG_EV_CLOSE) {
    struct linger reset = {1, 0};
    closes++;
    setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    peer_free(&peer);
    usleep(10000);
    mg_mgr_poll(c->mgr, 0);
  }
  (void) ev_data;
}

static void no_event_follows_close_although_the_socket_lingers(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", poll_in_close, NULL);
  peer_open(&peer, c);
  peer_send_text(&peer, "x");
  POLL_UNTIL(&mgr, closes > 0);
  poll_often(&mgr);
  CHECK_EQ(closes, 1);
  CHECK_EQ(events_after_close, 0);
  mg_mgr_free(&mgr);
}

// ---- a receive buffer that moves between MG_EV_HTTP_HDRS and MG_EV_HTTP_MSG

static void resize_in_headers(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_HTTP_HDRS) mg_iobuf_resize(&c->recv, c->recv.size + 100000);
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    CHECK(hm->body.buf >= (char *) c->recv.buf && hm->body.buf + hm->body.len <= (char *) c->recv.buf + c->recv.len);
    mg_http_reply(c, 200, "", "%.*s%.*s", (int) hm->uri.len, hm->uri.buf, (int) hm->body.len, hm->body.buf);
  }
}

static void a_message_is_found_in_a_buffer_resized_by_its_headers_handler(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct mg_str want1 = make_reply("200 OK", "", "/ahello", 7), want2 = make_reply("200 OK", "", "/bchunked", 9);
  reset_counters();
  c = serve(&mgr, resize_in_headers, NULL);
  peer_open(&peer, c);
  peer_send_text(&peer, "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
  POLL_UNTIL(&mgr, peer_has(&peer, want1.len));
  CHECK(peer_got_str(&peer, want1));
  peer.len = 0;
  peer_send_text(&peer, "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nchun\r\n");
  poll_often(&mgr);
  peer_send_text(&peer, "3\r\nked\r\n0\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&peer, want2.len));
  CHECK(peer_got_str(&peer, want2));
  CHECK_EQ(messages, 2);
  mg_mgr_free(&mgr);
  peer_free(&peer);
  free(want1.buf);
  free(want2.buf);
}

// ---- the take-over of a body whose request came in one segment with an earlier one

static char taken[100];

static void take_body(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_HTTP_HDRS && hm->body.len > 0) {
    mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
    mg_snprintf(taken, sizeof(taken), "%.*s", (int) c->recv.len, c->recv.buf);
  }
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "ok");
}

static void a_body_taken_over_behind_a_pipelined_request_is_the_right_one(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct mg_str want = make_reply("200 OK", "", "ok", 2);
  c = serve(&mgr, take_body, NULL);
  peer_open(&peer, c);
  taken[0] = '\0';
  peer_send_text(&peer, "GET / HTTP/1.1\r\nA: some header\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nthe body");
  POLL_UNTIL(&mgr, peer_has(&peer, want.len));
  CHECK(peer_got_str(&peer, want));
  CHECK(strcmp(taken, "the body") == 0);
  mg_mgr_free(&mgr);
  peer_free(&peer);
  free(want.buf);
}

// ---- what a handler does with its connection after mg_close_conn

static void close_in_handler_and_continue(struct mg_connection *c, int ev, void *ev_data) {
  if (!c->is_accepted) return;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_READ) {
    mg_close_conn(c);
    mg_printf(c, "too late");
    mg_iobuf_add(&c->recv, 0, "x", 1);
    CHECK_EQ(closes, 1);
  }
  (void) ev_data;
}

static void output_after_mg_close_conn_is_freed(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", close_in_handler_and_continue, NULL);
  peer_open(&peer, c);
  peer_send_text(&peer, "x");
  POLL_UNTIL(&mgr, peer_read(&peer));
  CHECK_EQ(peer.len, 0);
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
  peer_free(&peer);
}

// The message that the handler is looking at stays until it returns, also when other connections receive something meanwhile.
static void close_and_look(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct peer another;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/resize"), NULL)) {
    mg_iobuf_resize(&c->recv, 2 * c->recv.size);
    mg_close_conn(c);
    return;
  }
  if (ev != MG_EV_HTTP_MSG || !mg_match(hm->uri, mg_str("/first"), NULL)) return;
  mg_printf(c, "not sent");
  mg_close_conn(c);
  CHECK_EQ(closes, 1);
  CHECK(c->recv.buf == NULL && c->recv.len == 0 && c->recv.size == 0);
  CHECK(c->send.buf == NULL && c->send.len == 0);
  peer_connect(&another, mg_ntohs(c->loc.port), 0);
  peer_send_text(&another, "GET /other HTTP/1.1\r\n\r\n");
  poll_often(c->mgr);
  CHECK(mg_match(hm->uri, mg_str("/first"), NULL) && mg_match(hm->body, mg_str("body"), NULL));
  peer_free(&another);
}

static void a_message_outlives_its_connection(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  reset_counters();
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", close_and_look, NULL);
  peer_open(&peer, l);
  peer_send_text(&peer, "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody");
  POLL_UNTIL(&mgr, peer_read(&peer));
  peer_free(&peer);
  // A block that the application has replaced is gone already.
  peer_open(&peer, l);
  peer_send_text(&peer, "GET /resize HTTP/1.1\r\nHost: h\r\n\r\n");
  POLL_UNTIL(&mgr, peer_read(&peer));
  CHECK_EQ(peer.len, 0);
  mg_mgr_free(&mgr);
  peer_free(&peer);
}

// ---- the number of a closed descriptor belongs to somebody else

static int reused;
static bool late_send;

static void send_in_close(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) {
    closes++;
    reused = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(reused, (int) (size_t) c->fd);
    late_send = mg_send(c, "stray", 5) || mg_io_send(c, "stray", 5) > 0;
  }
  (void) ev_data;
}

static void a_closed_udp_connection_sends_nothing(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "udp://127.0.0.1:0", NULL, NULL);
  c = mg_connect(&mgr, url_of(c, "udp"), send_in_close, NULL);
  c->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  CHECK(!late_send);
  mg_mgr_free(&mgr);
  close(reused);
}

// ---- managers freed by handlers

static void restart_in_close(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mgr *mgr = c->mgr;
  if (ev == MG_EV_CLOSE && closes++ == 0) {
    mg_mgr_free(mgr);
    mg_mgr_init(mgr);
    mg_listen(mgr, "tcp://127.0.0.1:0", restart_in_close, NULL);
  }
  (void) ev_data;
}

static void a_manager_may_be_replaced_while_it_is_freed(void) {
  struct mg_mgr mgr;
  reset_counters();
  mg_mgr_init(&mgr);
  mg_listen(&mgr, "tcp://127.0.0.1:0", restart_in_close, NULL);
  mg_listen(&mgr, "tcp://127.0.0.1:0", restart_in_close, NULL);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 2);
  CHECK_EQ(count_conns(&mgr), 1);
  mg_mgr_poll(&mgr, 0);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 3);
}

static void free_in_close(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) c->is_draining = 1;
  if (ev == MG_EV_CLOSE && closes++ == 0) mg_mgr_free(c->mgr);
  (void) ev_data;
}

static void no_socket_is_left_when_close_frees_the_manager(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  size_t files;
  reset_counters();
  files = open_files();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", free_in_close, NULL);
  peer_open(&peer, c);
  peer_send_text(&peer, "x");
  POLL_UNTIL(&mgr, closes > 0);
  CHECK_EQ(closes, 2);
  peer_free(&peer);
  CHECK_EQ(open_files(), files);
}

static struct mg_mgr *on_heap;

static void free_all_in_timer(void *arg) {
  mg_mgr_free(on_heap);
  free(on_heap);
  on_heap = NULL;
  (void) arg;
}

static void a_timer_may_free_the_manager_with_its_memory(void) {
  int i;
  on_heap = (struct mg_mgr *) malloc(sizeof(*on_heap));
  mg_mgr_init(on_heap);
  for (i = 0; i < 3; i++) mg_timer_add(on_heap, 0, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, free_all_in_timer, NULL);
  mg_listen(on_heap, "tcp://127.0.0.1:0", NULL, NULL);
  mg_mgr_poll(on_heap, 0);
  CHECK(on_heap == NULL);
}

// ---- wakeups

static void count_wakeups(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WAKEUP) messages++;
  (void) c, (void) ev_data;
}

static void wakeups_can_be_set_up_again(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  int i;
  size_t files;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_listen(&mgr, "tcp://127.0.0.1:0", count_wakeups, NULL);
  files = open_files();
  for (i = 1; i <= 3; i++) {
    CHECK(mg_wakeup_init(&mgr));
    CHECK(!mg_wakeup_init(&mgr));
    CHECK(mg_wakeup(&mgr, c->id, "x", 1));
    POLL_UNTIL(&mgr, messages == i);
    mgr.conns->is_closing = 1;
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(mgr.pipe.fd, MG_INVALID_SOCKET);
    CHECK(!mg_wakeup(&mgr, c->id, "x", 1));
    CHECK(open_files() <= files + 1);
  }
  mg_mgr_free(&mgr);
}

// ---- back-pressure

static void send_and_nest_in_close(struct mg_connection *c, int ev, void *ev_data) {
  if (closes > 0) events_after_close++;
  if (ev == MG_EV_CLOSE) {
    closes++;
    mg_send(c, "too much", 8);
    mg_mgr_poll(c->mgr, 0);
  }
  (void) ev_data;
}

static void no_back_pressure_is_reported_after_close(void) {
  struct mg_mgr mgr;
  struct mgx_limits limits;
  int fds[2];
  reset_counters();
  mg_mgr_init(&mgr);
  memset(&limits, 0, sizeof(limits));
  limits.max_send_queue = 1;
  mgx_mgr_limits(&mgr, &limits);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  mg_close_conn(mg_wrapfd(&mgr, fds[0], send_and_nest_in_close, NULL));
  CHECK_EQ(closes, 1);
  CHECK_EQ(events_after_close, 0);
  mg_mgr_free(&mgr);
  close(fds[1]);
}

// ---- connections of the application's own

static void count_closes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) closes++;
  (void) c, (void) ev_data;
}

static void connections_linked_by_the_application_are_closed(void) {
  struct mg_mgr mgr;
  int i;
  reset_counters();
  mg_mgr_init(&mgr);
  for (i = 0; i < 2; i++) {
    struct mg_connection *c = mg_alloc_conn(&mgr);
    c->fn = count_closes;
    c->fd = (void *) (size_t) -1;
    LIST_ADD_HEAD(struct mg_connection, &mgr.conns, c);
    mg_send(c, "x", 1);
    if (i == 0) c->is_closing = 1; else c->is_draining = 1;
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(closes, 1);
    if (i == 1) c->send.len = 0;
    mg_mgr_poll(&mgr, 0);
    CHECK_EQ(closes, i + 1);
  }
  mg_mgr_free(&mgr);
}

// They stay as long as the handler that closes them runs, and one that closes them once more does no harm.
static void closes_again(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CLOSE) closes++, mg_close_conn(c);
  (void) ev_data;
}

static void closes_another(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *other = (struct mg_connection *) c->fn_data;
  if (ev != MG_EV_POLL || other == NULL) return;
  c->fn_data = NULL;
  mg_close_conn(other);
  CHECK(other->mgr == c->mgr && other->fn == closes_again);
  (void) ev_data;
}

static void such_connections_are_closed_by_handlers(void) {
  struct mg_mgr mgr;
  struct mg_connection *c, *l;
  reset_counters();
  mg_mgr_init(&mgr);
  c = mg_alloc_conn(&mgr);
  c->fn = closes_again;
  c->fd = (void *) (size_t) -1;
  LIST_ADD_HEAD(struct mg_connection, &mgr.conns, c);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", closes_another, c);
  mg_mgr_poll(&mgr, 0);
  CHECK(closes == 1 && mgr.conns == l);
  mg_mgr_free(&mgr);
}

// ---- a handler that closes the connection before its own, and then its own

static void closes_both(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *other = (struct mg_connection *) c->fn_data;
  if (ev == MG_EV_CLOSE) closes++;
  if (ev != MG_EV_POLL || other == NULL) return;
  mg_close_conn(other);
  mg_close_conn(c);
  (void) ev_data;
}

static void neighbours_are_closed_by_one_handler(void) {
  struct mg_mgr mgr;
  struct mg_connection *l[3];
  int i;
  reset_counters();
  mg_mgr_init(&mgr);
  for (i = 0; i < 3; i++) l[i] = mg_listen(&mgr, "tcp://127.0.0.1:0", closes_both, NULL);
  l[1]->fn_data = l[2];
  mg_mgr_poll(&mgr, 0);
  CHECK(closes == 2 && mgr.conns == l[0] && l[0]->next == NULL);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_level = MG_LL_NONE;
  no_event_follows_close_although_the_socket_lingers();
  a_message_is_found_in_a_buffer_resized_by_its_headers_handler();
  a_body_taken_over_behind_a_pipelined_request_is_the_right_one();
  output_after_mg_close_conn_is_freed();
  a_message_outlives_its_connection();
  a_closed_udp_connection_sends_nothing();
  a_manager_may_be_replaced_while_it_is_freed();
  no_socket_is_left_when_close_frees_the_manager();
  a_timer_may_free_the_manager_with_its_memory();
  wakeups_can_be_set_up_again();
  no_back_pressure_is_reported_after_close();
  connections_linked_by_the_application_are_closed();
  such_connections_are_closed_by_handlers();
  neighbours_are_closed_by_one_handler();
  return DONE();
}
