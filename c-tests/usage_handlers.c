// Handlers and where they keep their state.
// not under: short: it counts reads
#include "mongoose.h"

#include "peer.h"

static int opens, accepts, connects, closes, messages, errors, users;
static char text[100];

static void forget(void) {
  opens = accepts = connects = closes = messages = errors = users = 0;
  text[0] = '\0';
}

// ---- fn_data is inherited; it may be a pointer, a number or a literal
struct session {
  int requests;
};

static void session_per_connection(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN && c->is_accepted) CHECK(strcmp((char *) c->fn_data, "TLS!") == 0);
  if (ev == MG_EV_ACCEPT) c->fn_data = calloc(1, sizeof(struct session)), accepts++;
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%d", ++((struct session *) c->fn_data)->requests);
  if (ev == MG_EV_CLOSE && c->is_accepted) free(c->fn_data), closes++;
  if (ev == MG_EV_CLOSE && c->is_listening) CHECK(strcmp((char *) c->fn_data, "TLS!") == 0);
  (void) ev_data;
}

static void fn_data_per_connection(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p, q;
  forget();
  l = serve(&mgr, session_per_connection, (void *) "TLS!");
  peer_open(&p, l);
  peer_open(&q, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
  peer_send_text(&q, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 98) && peer_has(&q, 49));
  CHECK(p.len > 0 && p.buf[p.len - 1] == '2');
  CHECK(q.len > 0 && q.buf[q.len - 1] == '1');
  peer_free(&p);
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(closes, 2);
  peer_free(&q);
}

static void number(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%lu", (unsigned long) (size_t) c->fn_data);
  (void) ev_data;
}

static void fn_data_as_a_number(void) {
  struct mg_mgr mgr;
  struct peer p;
  peer_open(&p, serve(&mgr, number, (void *) (size_t) 42));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 50));
  CHECK(memcmp(p.buf + p.len - 2, "42", 2) == 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- c->data as a mark or a struct
struct state {
  uint64_t deadline;
  const char *page;
  unsigned long peer_id;
};

static void marked(struct mg_connection *c, int ev, void *ev_data) {
  int i;
  if (ev == MG_EV_OPEN) {
    for (i = 0; i < MG_DATA_SIZE; i++) CHECK(c->data[i] == 0);  // zero at first, and not inherited
    if (c->is_listening) c->data[0] = 'L';
    if (c->is_client) c->data[0] = 'W';
    if (c->is_accepted) c->data[0] = 'S';
  }
  if (ev == MG_EV_CONNECT) connects += c->data[0] == 'W';
  if (ev == MG_EV_ACCEPT) accepts += c->data[0] == 'S';
  (void) ev_data;
}

static void filled_after_connect(struct mg_connection *c, int ev, void *ev_data) {
  struct state *s = (struct state *) c->data;
  if (ev == MG_EV_CONNECT) {
    connects++;
    CHECK(s->peer_id == 77 && strcmp(s->page, "/x") == 0 && s->deadline > 0);
    CHECK(c->fn_data == &connects);
  }
  (void) ev_data;
}

static void data_of_connections(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct state *s;
  forget();
  CHECK(sizeof(struct state) <= MG_DATA_SIZE);
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", marked, NULL);
  CHECK(mg_connect(&mgr, url_of(l, "tcp"), marked, NULL) != NULL);
  POLL_UNTIL(&mgr, connects == 1 && accepts == 1);
  for (c = mgr.conns; c != NULL; c = c->next) CHECK(c->data[0] == (c->is_listening ? 'L' : c->is_client ? 'W' : 'S'));
  c = mg_connect(&mgr, url_of(l, "tcp"), filled_after_connect, NULL);
  s = (struct state *) c->data;  // CONNECT comes later
  s->deadline = mg_millis() + 1000;
  s->page = "/x";
  s->peer_id = 77;
  c->fn_data = &connects;
  POLL_UNTIL(&mgr, connects == 2);
  mg_mgr_free(&mgr);
}

// ---- the deadline pattern
static int polls_while_connecting;

static void with_deadline(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) {
    *(uint64_t *) c->data = mg_millis() + 100;
  } else if (ev == MG_EV_POLL) {
    uint64_t now = *(uint64_t *) ev_data;
    CHECK(*(unsigned long *) ev_data == (unsigned long) now);
    if (c->is_connecting || c->is_resolving) polls_while_connecting++;
    // A slow machine may take the whole time for one poll.
    if (now > *(uint64_t *) c->data && polls_while_connecting > 2) {
      if (c->is_connecting || c->is_resolving) mg_error(c, "Connect timeout");
    }
  } else if (ev == MG_EV_CONNECT) {
    connects++;
    *(uint64_t *) c->data = 0;
  } else if (ev == MG_EV_ERROR) {
    errors++;
    mg_snprintf(text, sizeof(text), "%s", (char *) ev_data);
    CHECK(closes == 0);
    *(bool *) c->fn_data = true;
  } else if (ev == MG_EV_CLOSE) {
    closes++;
  }
}

// A listener whose queue is full: connecting to it hangs.
static unsigned short hanging_port(int fds[4]) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  int i;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fds[0] = socket(AF_INET, SOCK_STREAM, 0);
  bind(fds[0], (struct sockaddr *) &sin, sizeof(sin));
  listen(fds[0], 0);
  getsockname(fds[0], (struct sockaddr *) &sin, &len);
  for (i = 1; i < 4; i++) {
    fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(fds[i], (struct sockaddr *) &sin, sizeof(sin));
  }
  return ntohs(sin.sin_port);
}

static void deadlines(void) {
  struct mg_mgr mgr;
  bool failed = false;
  char url[40];
  int fds[4], i;
  forget();
  polls_while_connecting = 0;
  mg_mgr_init(&mgr);
  snprintf(url, sizeof(url), "http://127.0.0.1:%d", hanging_port(fds));
  CHECK(mg_http_connect(&mgr, url, with_deadline, &failed) != NULL);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(failed);
  CHECK_EQ(connects, 0);
  CHECK_EQ(errors, 1);
  CHECK(polls_while_connecting > 2);
  CHECK(strcmp(text, "Connect timeout") == 0);
  CHECK(mgr.conns == NULL);
  for (i = 0; i < 4; i++) close(fds[i]);
  mg_mgr_free(&mgr);
}

static void refused(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  bool failed = false;
  char url[40];
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  snprintf(url, sizeof(url), "%s", url_of(l, "tcp"));
  l->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  mg_connect(&mgr, url, with_deadline, &failed);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(failed && strcmp(text, "socket error") == 0);
  mg_mgr_free(&mgr);
}

// ---- events of the application's own, for another connection
static struct mg_str from_other;

static void answers_user_event(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) messages++;
  if (ev == MG_EV_USER) {
    struct mg_iobuf *io = (struct mg_iobuf *) ev_data;
    users++;
    from_other = mg_str_n((char *) io->buf, io->len);
    mg_http_reply(c, 200, "", "%.*s", (int) io->len, (char *) io->buf);
  }
}

static void an_event_for_another_connection(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct mg_iobuf io = {0, 0, 0, 0};
  struct peer p;
  forget();
  l = serve(&mgr, answers_user_event, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, messages == 1);
  mg_iobuf_add(&io, 0, "payload", 7);
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) mg_call(c, MG_EV_USER, &io);
  }
  CHECK_EQ(users, 1);
  CHECK(mg_strcmp(from_other, mg_str("payload")) == 0);
  POLL_UNTIL(&mgr, peer_has(&p, 55));
  CHECK(memcmp(p.buf + p.len - 7, "payload", 7) == 0);
  mg_call(l, MG_EV_USER + 1000, NULL);  // nobody minds
  mg_iobuf_free(&io);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- handlers are exchanged at any time
static void second_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) messages += 10, mg_http_reply(c, 200, "", "second");
  (void) ev_data;
}

static void first_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    mg_http_reply(c, 200, "", "first");
    c->fn = second_fn;
  }
  (void) ev_data;
}

static void the_handler_is_replaced(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, first_fn, NULL));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 107));
  CHECK_EQ(messages, 11);
  CHECK(memcmp(p.buf + p.len - 6, "second", 6) == 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

static size_t raw_bytes;

static void own_protocol(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) raw_bytes += c->recv.len, c->recv.len = 0;
  (void) ev_data;
}

static void takes_over(struct mg_connection *c, int ev, void *ev_data) {
  int when = *(int *) c->fn_data;
  if (ev == when) {
    c->pfn = messages == 0 && when == MG_EV_HTTP_MSG ? own_protocol : NULL;
    if (ev == MG_EV_HTTP_HDRS) {
      mg_http_reply(c, 403, "", "no");
      c->is_draining = 1;
    } else {
      mg_http_reply(c, 200, "", "ok");
    }
  }
  if (ev == MG_EV_HTTP_MSG) messages++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  (void) ev_data;
}

static void the_protocol_handler_is_replaced(void) {
  struct mg_mgr mgr;
  struct peer p;
  int when = MG_EV_HTTP_MSG;
  forget();
  raw_bytes = 0;
  peer_open(&p, serve(&mgr, takes_over, &when));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 50));
  peer_send_text(&p, "anything at all");
  POLL_UNTIL(&mgr, raw_bytes == 15);
  CHECK_EQ(messages, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);

  when = MG_EV_HTTP_HDRS;  // refused before the body comes: no message
  forget();
  peer_open(&p, serve(&mgr, takes_over, &when));
  peer_send_text(&p, "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe");
  POLL_UNTIL(&mgr, peer_read(&p) && closes > 0);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(messages, 0);
  CHECK_EQ(peer_drop_close(&p, 0), 1);
  CHECK(peer_got(&p, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2          \r\n\r\nno"));
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- several functions look at one event
static void log_request(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str *host = mg_http_get_header(hm, "Host");
    mg_snprintf(text, sizeof(text), "%.*s %.*s %.*s %d", (int) hm->method.len, hm->method.buf, (int) hm->uri.len, hm->uri.buf,
                host == NULL ? 0 : (int) host->len, host == NULL ? "" : host->buf, (int) c->send.len);
  }
}

static void chain(struct mg_connection *c, int ev, void *ev_data) {
  log_request(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_http_reply(c, 200, "", "%s", "x");
    CHECK(c->send.len > 9 && memcmp(c->send.buf + 9, "200", 3) == 0);  // as access logs do
    log_request(c, ev, ev_data);  // the message is still there
    CHECK(mg_match(hm->uri, mg_str("/a/#"), NULL));
  }
}

static void one_event_for_several_functions(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, chain, NULL));
  peer_send_text(&p, "GET /a/b HTTP/1.1\r\nHost: me\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 49));
  CHECK(strcmp(text, "GET /a/b me 49") == 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- one handler for everything
static unsigned kinds;

static void all_kinds(struct mg_connection *c, int ev, void *ev_data) {
  kinds |= 1u << (c->is_listening ? 0 : c->is_accepted ? 1 : c->is_client ? 2 : 3);
  CHECK_EQ(c->is_listening + c->is_accepted + c->is_client, 1);
  switch (ev) {
    case MG_EV_ERROR: errors++; break;
    case MG_EV_CONNECT: mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"); break;
    case MG_EV_HTTP_MSG:
      messages++;
      if (c->is_accepted) mg_http_reply(c, 200, "", "hi");
      else c->is_closing = 1;
      break;
    case MG_EV_CLOSE: closes++; break;
    default: break;
  }
  (void) ev_data;
}

static void one_handler_for_all(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  kinds = 0;
  l = serve(&mgr, all_kinds, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), all_kinds, NULL);
  POLL_UNTIL(&mgr, closes == 2);
  CHECK_EQ(messages, 2);
  mg_mgr_free(&mgr);
  CHECK_EQ(kinds, 7);
  CHECK_EQ(closes, 3);
  CHECK_EQ(errors, 0);
}

// ---- an answer given in MG_EV_POLL: the MG_EV_READ after it tells of no new bytes
static long received, last_count;
static int reads;

static void answers_in_poll(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) reads++, last_count = *(long *) ev_data, received += last_count;
  if (ev == MG_EV_POLL && c->is_resp) mg_http_reply(c, 200, "", "late");
}

static void bytes_are_counted_once(void) {
  static const char request[] = "GET / HTTP/1.1\r\n\r\n";
  struct mg_mgr mgr;
  struct peer p;
  peer_open(&p, serve(&mgr, answers_in_poll, NULL));
  peer_send_text(&p, request);
  POLL_UNTIL(&mgr, reads == 2 && peer_has(&p, 52));
  CHECK_EQ(last_count, 0);
  CHECK_EQ(received, sizeof(request) - 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  fn_data_per_connection();
  fn_data_as_a_number();
  data_of_connections();
  deadlines();
  refused();
  an_event_for_another_connection();
  the_handler_is_replaced();
  the_protocol_handler_is_replaced();
  one_event_for_several_functions();
  one_handler_for_all();
  bytes_are_counted_once();
  return DONE();
}
