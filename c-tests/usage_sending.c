// Sending and closing connections.
// not under: short: a response must arrive in one read
#include "mongoose.h"

#include "peer.h"

static int messages, closes, errors, writes, polls;
static char text[100];

static void forget(void) {
  messages = closes = errors = writes = polls = 0;
  text[0] = '\0';
}

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_HTTP_MSG) messages++;
  if (ev == MG_EV_CLOSE && !c->is_listening) closes++;
  if (ev == MG_EV_ERROR) errors++;
}

// ---- a reply, then is_draining: from the headers, after an upload that the handler read itself, from a timer
struct upload_state {
  size_t expected, received;
};

static void uploads(struct mg_connection *c, int ev, void *ev_data) {
  struct upload_state *us = (struct upload_state *) c->data;
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_http_get_header(hm, "Authorization") == NULL) {
      mg_http_reply(c, 401, "", "no\n");
      c->is_draining = 1;
    } else {
      us->expected = hm->body.len;
      mg_iobuf_del(&c->recv, 0, hm->head.len);
      c->pfn = NULL;
    }
  }
  if ((ev == MG_EV_HTTP_HDRS || ev == MG_EV_READ) && us->expected > 0 && c->recv.len > 0) {
    us->received += c->recv.len;
    c->recv.len = 0;
    if (us->received >= us->expected) {
      mg_http_reply(c, 200, NULL, "%lu\n", (unsigned long) us->received);
      us->expected = 0;
      c->is_draining = 1;
    }
  }
}

static void reply_with_body(struct mg_mgr *mgr, struct peer *p, size_t len) {
  static char piece[50000];
  while (len > 0) {
    size_t n = len < sizeof(piece) ? len : sizeof(piece);
    ssize_t sent = send(p->fd, piece, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) len -= (size_t) sent;
    if (sent < 0 && errno != EAGAIN) break;
    mg_mgr_poll(mgr, 0);
  }
}

static void reply_and_drain(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  forget();
  l = serve(&mgr, uploads, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\nbegin");
  reply_with_body(&mgr, &p, 50000);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  CHECK(peer_got(&p, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 3          \r\n\r\nno\n"));
  peer_free(&p);

  peer_open(&p, l);
  peer_send_text(&p, "POST / HTTP/1.1\r\nAuthorization: x\r\nContent-Length: 10000005\r\n\r\nbegin");
  reply_with_body(&mgr, &p, 10000000);  // far above MG_MAX_RECV_SIZE
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  peer_drop_close(&p, 0);
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 9          \r\n\r\n10000005\n"));
  peer_free(&p);
  CHECK_EQ(messages, 0);
  CHECK_EQ(closes, 2);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

static void waits(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) c->data[0] = 'W';
  (void) ev_data;
}

static void answer_all(void *arg) {
  struct mg_connection *c;
  for (c = ((struct mg_mgr *) arg)->conns; c != NULL; c = c->next) {
    if (c->data[0] != 'W') continue;
    mg_http_reply(c, 200, "", "all");
    c->is_draining = 1;
  }
}

static void from_a_timer_over_all_connections(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p[5];
  int i;
  forget();
  l = serve(&mgr, waits, NULL);
  for (i = 0; i < 5; i++) peer_open(&p[i], l), peer_send_text(&p[i], "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, messages == 5);
  mg_timer_add(&mgr, 1, MG_TIMER_ONCE, answer_all, &mgr);
  for (i = 0; i < 5; i++) {
    POLL_UNTIL(&mgr, peer_read(&p[i]));
    CHECK_EQ(p[i].end, PEER_FIN);
    CHECK(p[i].len > 3 && memcmp(p[i].buf + p[i].len - 3, "all", 3) == 0);
    peer_free(&p[i]);
  }
  CHECK_EQ(closes, 5);
  mg_mgr_free(&mgr);
}

// ---- an answer made by hand, without a length, with is_resp left alone
static void prints_reply(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_str body = mg_str("own words");
    mg_printf(c, "HTTP/1.0 200 OK\n\n%.*s", (int) body.len, body.buf);
    c->is_draining = 1;
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) CHECK(c->is_resp && c->is_draining);
  (void) ev_data;
}

static void replies_printed_by_the_application(void) {
  struct mg_mgr mgr;
  struct peer p;
  uint64_t start = real_ms();
  forget();
  peer_open(&p, serve(&mgr, prints_reply, NULL));
  peer_send_text(&p, "GET / HTTP/1.0\r\n\r\n");
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(real_ms() - start < 5000);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got(&p, "HTTP/1.0 200 OK\n\nown words"));
  CHECK_EQ(closes, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- endless answers
static void stream(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    c->data[0] = 'S';
    mg_printf(c, "HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=--foo\r\n\r\n");
  }
  (void) ev_data;
}

static void frame(void *arg) {
  struct mg_connection *c;
  for (c = ((struct mg_mgr *) arg)->conns; c != NULL; c = c->next) {
    if (c->data[0] == 'S' && !c->is_draining) mg_printf(c, "--foo\r\nContent-Length: 3\r\n\r\nabc\r\n");
  }
}

static void endless(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct peer p, q;
  forget();
  l = serve(&mgr, stream, NULL);
  peer_open(&p, l);
  peer_open(&q, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  peer_send_text(&q, "GET / HTTP/1.1\r\n\r\n");
  mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, frame, &mgr);
  POLL_UNTIL(&mgr, peer_has(&p, 500) && peer_has(&q, 500));
  peer_free(&p);  // goes away: what is written next finds that out
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(count_conns(&mgr) == 2);
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) c->is_draining = 1;
  }
  POLL_UNTIL(&mgr, peer_read(&q) && closes == 2);
  CHECK_EQ(q.end, PEER_FIN);
  CHECK(memcmp(q.buf + q.len - 5, "abc\r\n", 5) == 0);  // whole frames
  peer_free(&q);
  mg_mgr_free(&mgr);
}

// ---- a chunked list of all connections
static void list_connections(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_connection *t;
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (t = c->mgr->conns; t != NULL; t = t->next) {
      mg_http_printf_chunk(c, "%lu:%M ", t->id, mg_print_ip, &t->loc);
    }
    mg_http_printf_chunk(c, "");
    CHECK(!c->is_resp);
  }
  (void) ev_data;
}

static void chunked_list(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, list_connections, NULL));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, 47 + 10 + 12 + 2 + 10 + 12 + 2 + 12));
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0000000c\r\n2:127.0.0.1 \r\n0000000c\r\n1:127.0.0.1 \r\n"
                     "00000000\r\n\r\n"));
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- is_closing
static int close_on;

static void closes_on(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  if (ev == MG_EV_WRITE) writes++;
  if (ev == close_on && c->send.len == 0 && (ev != MG_EV_POLL || writes > 0)) c->is_closing = 1;
  (void) ev_data;
}

static void reply_hi(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hi");
  (void) ev_data;
}

static void closing(void) {
  static const int events[] = {MG_EV_HTTP_MSG, MG_EV_READ, MG_EV_POLL, MG_EV_WRITE};
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, reply_hi, NULL);
  size_t i;
  for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
    forget();
    close_on = events[i];
    mg_http_connect(&mgr, url_of(l, "http"), closes_on, NULL);
    POLL_UNTIL(&mgr, closes == 1);
    CHECK_EQ(writes, 1);
    CHECK_EQ(errors, 0);
    CHECK_EQ(messages, close_on == MG_EV_HTTP_MSG || close_on == MG_EV_READ);
  }
  mg_mgr_free(&mgr);
}

// ---- what CLOSE handlers look at: the application set nothing here
static void checks_flags_in_close(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_CLOSE && c->is_client) {
    CHECK_EQ(c->is_draining, 0);
    CHECK_EQ(c->is_tls, 0);
    CHECK_EQ(c->is_listening, 0);
    CHECK_EQ(c->is_full, 0);
    CHECK_EQ(c->rtls.len, 0);
    CHECK_EQ(c->recv.len, 7);
    CHECK(c->recv.len == 7 && memcmp(c->recv.buf, "unasked", 7) == 0);
    CHECK(c->id == 2 && mg_ntohs(c->rem.port) != 0);
  }
  (void) ev_data;
}

static void sends_and_drains(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) mg_printf(c, "unasked"), c->is_draining = 1;
  (void) ev_data;
}

static void flags_in_close(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", sends_and_drains, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), checks_flags_in_close, NULL);
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
}

// ---- mg_error from a handler
static bool inside;

static void fails(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    inside = true;
    mg_error(c, "text %d %s", 42, "0123456789012345678901234567890123456789012345678901234567890123456789");
    inside = false;
    CHECK_EQ(errors, 1);
    CHECK_EQ(closes, 0);
    CHECK(c->is_closing);
  }
  if (ev == MG_EV_ERROR) {
    CHECK(inside);
    mg_snprintf(text, sizeof(text), "%s", (char *) ev_data);
  }
}

static void an_error_raised_by_the_application(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, fails, NULL));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(strcmp(text, "text 42 0123456789012345678901234567890123456789012345678901234") == 0);  // 63 characters
  CHECK_EQ(messages, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- an upload driven by MG_EV_WRITE
#define UPLOAD 3000000

static void sends_pieces(struct mg_connection *c, int ev, void *ev_data) {
  size_t *sent = (size_t *) c->data;
  note(c, ev);
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", UPLOAD);
  } else if (ev == MG_EV_WRITE && c->send.len < MG_IO_SIZE) {
    static char piece[20000];
    size_t n = UPLOAD - *sent < sizeof(piece) ? UPLOAD - *sent : sizeof(piece);
    CHECK(*(long *) ev_data > 0);
    mg_send(c, piece, n);  // 0 in the end
    *sent += n;
    writes++;
  } else if (ev == MG_EV_HTTP_MSG) {
    c->is_closing = 1;
  }
}

static void counts(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%lu", (unsigned long) ((struct mg_http_message *) ev_data)->body.len);
  }
}

static void driven_by_write(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  l = serve(&mgr, counts, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), sends_pieces, NULL);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(messages, 1);
  CHECK_EQ(errors, 0);
  CHECK(writes >= UPLOAD / 20000 && writes <= UPLOAD / 20000 + 10);
  mg_mgr_free(&mgr);
}

// ---- looking into c->send
static void edits(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    size_t start = c->send.len, len0, body_start;
    unsigned char *length_field;
    int i;
    CHECK_EQ(start, 0);
    mg_http_reply(c, 404, "", "nothing");
    CHECK(memcmp(c->send.buf + 9, "404", 3) == 0);
    len0 = c->send.len;
    mg_printf(c, "%s", "HTTP/1.1 200 OK\r\nContent-Length: ");
    length_field = c->send.buf + c->send.len;  // stays good over several small appends
    mg_printf(c, "%s", "00000\r\n\r\n");
    body_start = c->send.len;
    for (i = 0; i < 100; i++) mg_printf(c, "line %02d\n", i);
    CHECK(c->send.len < c->send.size);
    snprintf(text, sizeof(text), "%05lu", (unsigned long) (c->send.len - body_start));
    memcpy(length_field, text, 5);
    CHECK(length_field == c->send.buf + len0 + 33);
    mg_iobuf_del(&c->send, start, len0);  // the first answer was a mistake
    mg_iobuf_add(&c->send, 15, "\r\nA: b", 6);  // and a header was forgotten
    c->is_resp = 0;
  }
  (void) ev_data;
}

static void editing_output(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  static const char head[] = "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 00800\r\n\r\nline 00\n";
  forget();
  l = serve(&mgr, edits, NULL);
  peer_open(&p, l);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(head) - 1 + 792));
  CHECK_EQ(p.len, sizeof(head) - 1 + 792);
  CHECK(memcmp(p.buf, head, sizeof(head) - 1) == 0);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");  // is_resp was cleared by hand
  POLL_UNTIL(&mgr, messages == 2);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  reply_and_drain();
  from_a_timer_over_all_connections();
  replies_printed_by_the_application();
  endless();
  chunked_list();
  closing();
  flags_in_close();
  an_error_raised_by_the_application();
  driven_by_write();
  editing_output();
  return DONE();
}
