// Receiving: consuming input, taking over connections, forwarding.
// not under: short: it counts reads, and takes minutes
#include "mongoose.h"

#include "peer.h"

static int messages, headers, closes, errors, reads;
static char text[300];

static void forget(void) {
  messages = headers = closes = errors = reads = 0;
  text[0] = '\0';
}

static void note(struct mg_connection *c, int ev) {
  if (ev == MG_EV_HTTP_MSG) messages++;
  if (ev == MG_EV_HTTP_HDRS) headers++;
  if (ev == MG_EV_READ) reads++;
  if (ev == MG_EV_CLOSE && !c->is_listening) closes++;
  if (ev == MG_EV_ERROR) errors++;
}

// ---- lines: part of the input is consumed, the rest waits
static void lines(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ) {
    struct mg_iobuf *r = &c->recv;
    char *end;
    CHECK(r->len < r->size && r->buf[r->len] == 0);  // scanning with strstr ends
    if (r->len > 0 && r->buf[0] == '!') r->len = 0;  // all of it
    while ((end = (char *) memchr(r->buf, '\n', r->len)) != NULL) {
      size_t n = (size_t) (end - (char *) r->buf) + 1;
      mg_printf(c, "<%.*s>", (int) n - 1, (char *) r->buf);
      mg_iobuf_del(r, 0, n);
    }
  }
  (void) ev_data;
}

static void input_in_parts(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", lines, NULL));
  peer_send_text(&p, "one\ntwo\nthr");
  POLL_UNTIL(&mgr, peer_has(&p, 10));
  poll_often(&mgr);
  CHECK(peer_got(&p, "<one><two>"));
  CHECK_EQ(mgr.conns->recv.len, 3);
  peer_send_text(&p, "ee\n");
  POLL_UNTIL(&mgr, peer_has(&p, 17));
  peer_send_text(&p, "! nothing to keep");
  POLL_UNTIL(&mgr, reads >= 3);
  CHECK_EQ(mgr.conns->recv.len, 0);
  peer_send_text(&p, "kept");
  POLL_UNTIL(&mgr, mgr.conns->recv.len == 4);
  mgr.conns->recv.len = 0;  // between two polls
  peer_send_text(&p, "end\n");
  POLL_UNTIL(&mgr, peer_has(&p, 22));
  CHECK(peer_got(&p, "<one><two><three><end>"));
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- mg_http_parse on a plain connection
static void parses(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message hm;
  note(c, ev);
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  if (ev == MG_EV_READ) {
    int n = mg_http_parse((char *) c->recv.buf, c->recv.len, &hm);
    CHECK(n >= 0);
    if (n > 0 && c->recv.len >= (size_t) n + hm.body.len) {
      mg_snprintf(text, sizeof(text), "%d %.*s", mg_http_status(&hm), (int) hm.body.len, hm.body.buf);
      c->is_closing = 1;
    }
  }
  (void) ev_data;
}

static void in_two_pieces(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_READ) mg_printf(c, "HTTP/1.1 200 OK\r\nContent-"), c->recv.len = 0, c->data[0] = 1;
  if (ev == MG_EV_POLL && c->data[0] > 0 && ++c->data[0] == 4) mg_printf(c, "Length: 5\r\n\r\nhello");
  (void) ev_data;
}

static void parsing_by_hand(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", in_two_pieces, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), parses, NULL);
  POLL_UNTIL(&mgr, closes == 2);
  CHECK(strcmp(text, "200 hello") == 0);
  mg_mgr_free(&mgr);
}

// ---- an upload larger than any buffer, read as it comes
struct upload {
  size_t expected, received, sum;
};

static void consume(struct mg_connection *c, struct upload *us) {
  size_t i;
  CHECK(c->recv.len <= MG_MAX_RECV_SIZE);
  for (i = 0; i < c->recv.len; i++) us->sum = us->sum * 31 + c->recv.buf[i];
  us->received += c->recv.len;
  c->recv.len = 0;
  if (us->received >= us->expected) mg_http_reply(c, 200, "", "%lu %lu\n", (unsigned long) us->received, (unsigned long) us->sum);
}

static void takes_over(struct mg_connection *c, int ev, void *ev_data) {
  struct upload *us = (struct upload *) c->data;
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    us->expected = hm->body.len;
    mg_iobuf_del(&c->recv, 0, hm->head.len);
    c->pfn = NULL;
    consume(c, us);  // what has come with the head
  } else if (ev == MG_EV_READ && us->expected > 0) {
    consume(c, us);
  }
}

static void a_large_upload(void) {
  enum { SIZE = 8000000 };
  struct mg_mgr mgr;
  struct peer p;
  char *body = make_body(SIZE), want[200], numbers[60];
  size_t i, sum = 0, done = 0;
  uint64_t end = real_ms() + 20000;
  forget();
  for (i = 0; i < SIZE; i++) sum = sum * 31 + (unsigned char) body[i];
  peer_open(&p, serve(&mgr, takes_over, NULL));
  peer_send_text(&p, "POST /upload HTTP/1.1\r\nContent-Length: 8000000\r\n\r\n");
  while (done < SIZE && real_ms() < end) {
    ssize_t n = send(p.fd, body + done, SIZE - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) done += (size_t) n;
    mg_mgr_poll(&mgr, 0);
  }
  snprintf(numbers, sizeof(numbers), "%d %lu\n", (int) SIZE, (unsigned long) sum);
  snprintf(want, sizeof(want), "HTTP/1.1 200 OK\r\nContent-Length: %-10lu \r\n\r\n%s", (unsigned long) strlen(numbers), numbers);
  POLL_UNTIL(&mgr, peer_has(&p, strlen(want)));
  CHECK(peer_got(&p, want));
  CHECK_EQ(headers, 1);
  CHECK_EQ(messages, 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
  free(body);
}

// ---- input emptied inside the message event
static void empties(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%d", messages);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void emptied_in_the_message(void) {
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, empties, NULL));
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP");  // the rest goes too
  POLL_UNTIL(&mgr, peer_has(&p, 49));
  poll_often(&mgr);
  CHECK_EQ(messages, 1);
  peer_send_text(&p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, messages == 2);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- how buffers grow, and the consumer that asks for a pause
#define TOTAL (2 * MG_MAX_RECV_SIZE)

static size_t received, most, last_size;
static unsigned sum_received, sum_sent;
static bool sizes_ok;

static void in_thirds(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (!c->is_accepted) return;
  if (ev == MG_EV_READ) {
    if (c->recv.size % MG_IO_SIZE != 0 || c->recv.size > last_size + MG_IO_SIZE) sizes_ok = false;
    last_size = c->recv.size;
    if (c->recv.len > most) most = c->recv.len;
    if (c->recv.len >= MG_MAX_RECV_SIZE) c->is_full = 1;
  }
  if (ev == MG_EV_POLL && c->recv.len > 0 && (c->is_full || received + c->recv.len == TOTAL)) {
    size_t i, n = c->recv.len < 1000000 ? c->recv.len : c->recv.len / 3;
    for (i = 0; i < n; i++) sum_received = sum_received * 31 + c->recv.buf[i];
    received += n;
    mg_iobuf_del(&c->recv, 0, n);
    if (c->recv.len < 1000000) c->is_full = 0;
  }
  (void) ev_data;
}

static void sends_all(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    char *body = make_body(TOTAL);
    size_t i;
    for (i = 0; i < TOTAL; i++) sum_sent = sum_sent * 31 + (unsigned char) body[i];
    mg_send(c, body, TOTAL);
    free(body);
  }
  (void) ev_data;
}

static void pauses(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  received = most = last_size = 0;
  sum_received = sum_sent = 0;
  sizes_ok = true;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", in_thirds, NULL);
  mg_connect(&mgr, url_of(l, "tcp"), sends_all, NULL);
  POLL_UNTIL(&mgr, received == TOTAL);
  CHECK_EQ(most, MG_MAX_RECV_SIZE);
  CHECK_EQ(sum_received, sum_sent);
  CHECK(sizes_ok);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

static void too_much(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", empties, NULL);  // consumes nothing: no HTTP here
  mg_connect(&mgr, url_of(l, "tcp"), sends_all, NULL);
  POLL_UNTIL(&mgr, errors == 1);
  POLL_UNTIL(&mgr, closes >= 1);
  mg_mgr_free(&mgr);
}

// ---- two connections that pass everything on to each other
static int pair_closes;

static void passes_on(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *other = (struct mg_connection *) c->fn_data;
  if (ev == MG_EV_READ && other != NULL) {
    mg_send(other, c->recv.buf, c->recv.len);
    mg_iobuf_del(&c->recv, 0, c->recv.len);
  }
  if (ev == MG_EV_CLOSE) {
    pair_closes++;
    if (other != NULL) other->fn_data = NULL, other->is_draining = 1;
    c->fn_data = NULL;
  }
  (void) ev_data;
}

static char backend_url[64];

static void proxy_listener(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    struct mg_connection *back = mg_connect(c->mgr, backend_url, passes_on, c);
    c->fn = passes_on;
    c->fn_data = back;
  }
  (void) ev_data;
}

static void backend(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_http_reply(c, 200, "", "%.*s", (int) hm->body.len, hm->body.buf);
  }
}

static void a_tcp_proxy(void) {
  struct mg_mgr mgr;
  struct mg_connection *front, *c;
  struct mg_str want;
  struct peer p;
  char *body = make_body(1000000);
  size_t done = 0;
  uint64_t end;
  forget();
  pair_closes = 0;
  snprintf(backend_url, sizeof(backend_url), "%s", url_of(serve(&mgr, backend, NULL), "tcp"));
  front = mg_listen(&mgr, "tcp://127.0.0.1:0", proxy_listener, NULL);
  peer_open(&p, front);
  peer_send_text(&p, "POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n");
  for (end = real_ms() + 20000; done < 1000000 && real_ms() < end; mg_mgr_poll(&mgr, 0)) {
    ssize_t n = send(p.fd, body + done, 1000000 - done, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) done += (size_t) n;
  }
  want = make_reply("200 OK", "", body, 1000000);
  POLL_UNTIL(&mgr, peer_has(&p, want.len));
  CHECK(peer_got_str(&p, want));
  CHECK_EQ(pair_closes, 0);
  peer_free(&p);
  POLL_UNTIL(&mgr, pair_closes == 2 && count_conns(&mgr) == 2);
  // Both go in one poll.
  peer_open(&p, front);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 5);
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->fn == passes_on) c->is_closing = 1;
  }
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(pair_closes, 4);
  peer_free(&p);
  mg_mgr_free(&mgr);
  CHECK_EQ(pair_closes, 4);
  free(want.buf);
  free(body);
}

// The backend answers and closes: what it said reaches the peer first.
static void sends_and_closes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    char *body = make_body(3000000);
    mg_send(c, body, 3000000);
    c->is_draining = 1;
    free(body);
  }
  (void) ev_data;
}

static void the_backend_closes_first(void) {
  struct mg_mgr mgr;
  struct peer p;
  char *body = make_body(3000000);
  forget();
  pair_closes = 0;
  mg_mgr_init(&mgr);
  snprintf(backend_url, sizeof(backend_url), "%s", url_of(mg_listen(&mgr, "tcp://127.0.0.1:0", sends_and_closes, NULL), "tcp"));
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", proxy_listener, NULL));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(peer_got_bytes(&p, body, 3000000));
  POLL_UNTIL(&mgr, pair_closes == 2);
  peer_free(&p);
  mg_mgr_free(&mgr);
  free(body);
}

// ---- an HTTP reverse proxy: each request is sent on, is_resp is cleared at once, the answer is passed back as it comes
static void back_side(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *front = (struct mg_connection *) c->fn_data;
  if (ev == MG_EV_READ) {
    if (front != NULL) mg_send(front, c->recv.buf, c->recv.len);
    mg_iobuf_del(&c->recv, 0, c->recv.len);
  } else if (ev == MG_EV_CLOSE) {
    pair_closes++;
    if (front != NULL) front->fn_data = NULL;
    if (front != NULL && c->data[0] == 'C') front->is_draining = 1;  // it had asked for that
  }
  (void) ev_data;
}

static void front_side(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_connection *back = (struct mg_connection *) c->fn_data;
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_str *how = mg_http_get_header(hm, "Connection");
    if (back == NULL) back = mg_connect(c->mgr, backend_url, back_side, c);
    c->fn_data = back;
    if (how != NULL && mg_strcasecmp(*how, mg_str("close")) == 0) back->data[0] = 'C';
    mg_send(back, hm->message.buf, hm->message.len);
    c->is_resp = 0;
  } else if (ev == MG_EV_CLOSE && c->is_accepted && back != NULL) {
    back->is_closing = 1;
    back->fn_data = NULL;
  }
}

static void slow_backend(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) c->data[0] = 1;
  if (ev == MG_EV_POLL && c->data[0] > 0 && ++c->data[0] == 5) {
    c->data[0] = 0;
    mg_http_reply(c, 200, "", "from behind");
  }
  (void) ev_data;
}

static void a_reverse_proxy(void) {
  struct mg_mgr mgr;
  struct mg_connection *front;
  struct mg_str want = make_reply("200 OK", "", "from behind", 11);
  struct peer p;
  int i;
  forget();
  pair_closes = 0;
  snprintf(backend_url, sizeof(backend_url), "%s", url_of(serve(&mgr, slow_backend, NULL), "tcp"));
  front = mg_http_listen(&mgr, "http://127.0.0.1:0", front_side, NULL);
  peer_open(&p, front);
  for (i = 0; i < 3; i++) {  // on one connection, and one behind
    p.len = 0;
    peer_send_text(&p, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    POLL_UNTIL(&mgr, peer_has(&p, want.len));
    CHECK(peer_got_str(&p, want));
  }
  CHECK_EQ(count_conns(&mgr), 5);
  p.len = 0;
  peer_send_text(&p, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(peer_drop_close(&p, 0), 1);  // what the backend announced
  CHECK(peer_got_str(&p, want));
  CHECK_EQ(messages, 4);
  CHECK_EQ(errors, 0);
  POLL_UNTIL(&mgr, pair_closes == 1 && count_conns(&mgr) == 2);
  peer_free(&p);
  mg_mgr_free(&mgr);
  free(want.buf);
}

// ---- a client behind an HTTP proxy: CONNECT first
static bool tunnel;

static void proxy_server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && c->data[0] == 0) {
    CHECK(c->recv.len >= 35 && memcmp(c->recv.buf, "CONNECT ", 8) == 0);
    c->recv.len = 0;
    c->data[0] = 1;
    mg_printf(c, "HTTP/1.1 200 OK\r\nVia: me\r\n\r\n");
  } else if (ev == MG_EV_READ) {
    c->recv.len = 0;
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ntarget");
  }
  (void) ev_data;
}

static void proxy_client(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "CONNECT target.example:80 HTTP/1.1\r\n\r\n");
  } else if (ev == MG_EV_READ && !tunnel) {
    // Shorter than its Content-Length can tell: it has none.
    int n = mg_http_get_request_len(c->recv.buf, c->recv.len);
    if (n > 0) {
      mg_iobuf_del(&c->recv, 0, (size_t) n);
      tunnel = true;
      mg_printf(c, "GET / HTTP/1.1\r\nHost: target.example\r\n\r\n");
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    mg_snprintf(text, sizeof(text), "%.*s", (int) hm->body.len, hm->body.buf);
    c->is_closing = 1;
  }
}

static void through_an_http_proxy(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  forget();
  tunnel = false;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", proxy_server, NULL);
  mg_http_connect(&mgr, url_of(l, "http"), proxy_client, NULL);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(messages, 1);
  CHECK(strcmp(text, "target") == 0);
  CHECK_EQ(errors, 0);
  mg_mgr_free(&mgr);
}

// ---- a request put together again from its parts, for a backend
static void rewrites_request(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_iobuf io = {0, 0, 0, 256};
    size_t i, max = sizeof(hm->headers) / sizeof(hm->headers[0]);
    mg_xprintf(mg_pfn_iobuf, &io, "%.*s\r\n", (int) (hm->proto.buf + hm->proto.len - hm->message.buf), hm->message.buf);
    for (i = 0; i < max && hm->headers[i].name.len > 0; i++) {
      mg_xprintf(mg_pfn_iobuf, &io, "%.*s: %.*s\r\n", (int) hm->headers[i].name.len, hm->headers[i].name.buf,
                 (int) hm->headers[i].value.len, hm->headers[i].value.buf);
    }
    mg_xprintf(mg_pfn_iobuf, &io, "\r\n%.*s", (int) hm->body.len, hm->body.buf);
    mg_snprintf(text, sizeof(text), "%s", (char *) io.buf);
    mg_iobuf_free(&io);
    mg_http_reply(c, 200, "", "");
  }
}

static void a_rewritten_request(void) {
  static const char request[] = "POST /a%20b?c=d&e HTTP/1.1\r\nHost: x\r\nX-Empty: \r\nContent-Length: 4\r\n\r\nbody";
  struct mg_mgr mgr;
  struct peer p;
  forget();
  peer_open(&p, serve(&mgr, rewrites_request, NULL));
  peer_send_text(&p, request);
  POLL_UNTIL(&mgr, messages == 1);
  CHECK(strcmp(text, request) == 0);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- SOCKS: bytes of the next stage may be in the same segment
enum { HELLO, REQUEST, DATA };

static void socks(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    struct mg_iobuf *r = &c->recv;
    if (c->data[0] == HELLO && r->len > 2) {
      CHECK_EQ(r->buf[0], 5);
      mg_iobuf_del(r, 0, 2u + r->buf[1]);
      mg_send(c, "\x05\x00", 2);
      c->data[0] = REQUEST;
    }
    if (c->data[0] == REQUEST && r->len >= 10) {
      CHECK_EQ(r->buf[3], 1);
      mg_iobuf_del(r, 0, 10);
      mg_send(c, "\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50", 10);
      c->data[0] = DATA;
    }
    if (c->data[0] == DATA && r->len > 0) {
      mg_send(c, r->buf, r->len);
      mg_iobuf_del(r, 0, r->len);
    }
  }
  (void) ev_data;
}

static void handshake_stages_in_one_segment(void) {
  static const char all[] = "\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50hello";
  static const char answer[] = "\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50hello";
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  size_t i;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", socks, NULL);
  peer_open(&p, l);
  peer_send(&p, all, sizeof(all) - 1);
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(answer) - 1));
  CHECK(peer_got_bytes(&p, answer, sizeof(answer) - 1));
  peer_free(&p);
  peer_open(&p, l);  // and byte by byte
  for (i = 0; i < sizeof(all) - 1; i++) peer_send(&p, all + i, 1), mg_mgr_poll(&mgr, 1);
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(answer) - 1));
  CHECK(peer_got_bytes(&p, answer, sizeof(answer) - 1));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  input_in_parts();
  parsing_by_hand();
  a_large_upload();
  emptied_in_the_message();
  pauses();
  too_much();
  a_tcp_proxy();
  the_backend_closes_first();
  a_reverse_proxy();
  through_an_http_proxy();
  a_rewritten_request();
  handshake_stages_in_one_segment();
  return DONE();
}
