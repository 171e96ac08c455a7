// Reading and writing on plain connections, down to single bytes: nothing is written behind a buffer, text ends with a NUL, a
// handler that polls hears of every byte once, and what it looks at stays.
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1
#ifndef _WIN32
#include <poll.h>
#endif

#include "ext.h"

// Blocks with a byte behind them that nobody may change.
enum { MARK = 0x5a, HEAD = 16 };

static size_t most = (size_t) -1;  // of what there is memory for

void *mg_calloc(size_t count, size_t size) {
  unsigned char *p = count * size > most ? NULL : (unsigned char *) calloc(1, HEAD + count * size + 1);
  if (p == NULL) return NULL;
  size *= count;
  memcpy(p, &size, sizeof(size));
  p[HEAD + size] = MARK;
  return p + HEAD;
}

void mg_free(void *ptr) {
  unsigned char *p = (unsigned char *) ptr - HEAD;
  size_t size;
  if (ptr == NULL) return;
  memcpy(&size, p, sizeof(size));
  CHECK(p[HEAD + size] == MARK);
  free(p);
}

static struct mg_mgr mgr;
static struct mg_connection *listener, *conn;
static struct peer peer;

static void begin(mg_event_handler_t fn) {
  conn = NULL;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", fn, NULL);
  peer_open(&peer, listener);
  POLL_UNTIL(&mgr, conn != NULL);
}

static void end(void) {
  peer_free(&peer);
  mg_mgr_free(&mgr);
}

// ---- the byte behind the data
static size_t received, keep;
static int full;

static void keeps(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev != MG_EV_READ) return;
  received += (size_t) * (long *) ev_data;
  if (c->recv.len == c->recv.size) full++; else CHECK_EQ(c->recv.buf[c->recv.len], 0);
  if (c->recv.len > keep) c->recv.len = keep;
}

static void text_ends(void) {
  begin(keeps);
  received = 0, keep = 1;
  CHECK(peer_send_text(&peer, "12345"));
  POLL_UNTIL(&mgr, received == 5);
  CHECK(peer_send_text(&peer, "7"));
  POLL_UNTIL(&mgr, received == 6);
  // Exactly as much as the block has room for.
  keep = MG_IO_SIZE, full = 0;
  received = conn->recv.len;
  CHECK(received == 1 && conn->recv.size == MG_IO_SIZE);
  CHECK(peer_send(&peer, big_body, MG_IO_SIZE - 1));
  POLL_UNTIL(&mgr, received == MG_IO_SIZE);
  CHECK_EQ(full, 1);
  end();
}

// ---- blocks that the application replaces
static size_t replacement;

static void replaces(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev != MG_EV_READ) return;
  received += (size_t) * (long *) ev_data;
  c->recv.len = 0;
  if (replacement == 0) return;
  mg_free(c->recv.buf);
  c->recv.buf = (unsigned char *) mg_calloc(1, replacement);
  c->recv.size = replacement;
}

// They are not taken for the library's own.
static void other_sizes(void) {
  size_t all = 0;
  int i;
  begin(replaces);
  received = 0;
  for (i = 0; i < 6; i++) {
    const size_t n = i % 2 == 0 ? MG_IO_SIZE : 100;
    replacement = i == 2 ? 64 : i == 3 ? MG_IO_SIZE / 2 : i == 4 ? MG_IO_SIZE * 2 : 0;
    CHECK(peer_send(&peer, big_body, n));
    all += n;
    POLL_UNTIL(&mgr, received == all);
    CHECK(conn->recv.buf == NULL);
  }
  end();
}

// Nor are those that are left from another io_size.
static void set_io_size(size_t size) {
  struct mgx_options o;
  memset(&o, 0, sizeof(o));
  o.io_size = size;
  mgx_mgr_options(&mgr, &o);
}

static void another_io_size(void) {
  struct peer other;
  begin(keeps);
  peer_open(&other, listener);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 3);
  set_io_size(2048);
  received = keep = 0;
  CHECK(peer_send_text(&peer, "1"));
  POLL_UNTIL(&mgr, received == 1);
  set_io_size(MG_IO_SIZE);
  CHECK(peer_send_text(&peer, "2"));
  POLL_UNTIL(&mgr, received == 2);
  keep = MG_IO_SIZE;
  CHECK(peer_send(&peer, big_body, MG_IO_SIZE - 1) && peer_send(&other, big_body, MG_IO_SIZE - 1));
  POLL_UNTIL(&mgr, received == 2 * MG_IO_SIZE);
  peer_free(&other);
  end();
}

// ---- a handler that polls whenever it hears of data
enum { PIECES = 50 };

static int sent, depth, deepest;
static size_t told;

static void polls(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev != MG_EV_READ) return;
  told += (size_t) * (long *) ev_data;
  CHECK(told <= c->recv.len);
  if (++depth > deepest) deepest = depth;
  if (sent < PIECES) {
    size_t before = c->recv.len;
    int i;
    CHECK(peer_send_text(&peer, sent++ % 2 == 0 ? "xx" : "x"));
    for (i = 0; i < 2000 && c->recv.len == before; i++) mg_mgr_poll(&mgr, 1);
    CHECK(c->recv.len > before);
  }
  depth--;
}

static void nested_reads(void) {
  sent = depth = deepest = 0;
  told = 0;
  begin(polls);
  CHECK(peer_send_text(&peer, "x"));
  POLL_UNTIL(&mgr, conn->recv.len == 1 + PIECES / 2 * 3);
  poll_often(&mgr);
  CHECK_EQ(told, 1 + PIECES / 2 * 3);
  CHECK(deepest > 1 && deepest < PIECES);
  end();
}

// ---- a handler that empties the buffer, asks for a pause and polls, while the body of its message is still in use
static int messages;
static bool inside;

static void pauses(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_HTTP_MSG && messages++ == 0) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    c->recv.len = 0;
    CHECK(peer_send_text(&peer, GET("/b")));
    inside = true;
    poll_often(&mgr);
    inside = false;
    CHECK(mg_match(hm->uri, mg_str("/a"), NULL) && mg_match(hm->body, mg_str("body"), NULL));
    c->is_full = 0;
    mg_http_reply(c, 200, "", "hi");
  } else if (ev == MG_EV_POLL && inside) {
    c->is_full = 1;
  } else if (ev == MG_EV_HTTP_MSG) {
    CHECK(mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/b"), NULL));
    mg_http_reply(c, 200, "", "hi");
  }
}

static void a_paused_buffer(void) {
  messages = 0;
  conn = NULL;
  listener = serve(&mgr, pauses, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send_text(&peer, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
  POLL_UNTIL(&mgr, messages == 2);
  expect_open(&mgr, &peer, HI HI);
  end();
}

// ---- no memory for what arrives while a handler looks at the buffer and polls
static int faults;

static void has_no_memory(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_ERROR) {
    faults++;
    CHECK(strcmp((char *) ev_data, "OOM") == 0);
  }
  if (ev == MG_EV_READ) CHECK_EQ(faults, 0);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    messages++;
    CHECK(peer_send_text(&peer, GET("/b")));
    most = 1000;
    POLL_UNTIL(&mgr, faults > 0);
    most = (size_t) -1;
    CHECK(mg_match(hm->uri, mg_str("/a"), NULL) && mg_match(hm->body, mg_str("body"), NULL));
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) conn = NULL;
}

static void no_memory(void) {
  messages = faults = 0;
  conn = NULL;
  listener = serve(&mgr, has_no_memory, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send_text(&peer, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
  POLL_UNTIL(&mgr, messages == 1 && conn == NULL);
  CHECK_EQ(faults, 1);
  end();
}

// Nor for the packets behind one whose handler has made the buffer small.
static int packets;

static void makes_it_small(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_MQTT_CMD && packets++ == 0) {
    c->recv.align = 0;
    CHECK(c->recv.len < c->recv.size && mg_iobuf_resize(&c->recv, c->recv.len) && c->recv.size == c->recv.len);
    most = 1000;
  }
  if (ev == MG_EV_ERROR) {
    faults++;
    CHECK(strcmp((char *) ev_data, "OOM") == 0);
    most = (size_t) -1;
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) conn = NULL;
}

// A handler that polls, by which the packets that were put aside come back, and then consumes its own packet, loses none of the others.
static void consumes_behind_a_poll(struct mg_connection *c, int ev, void *ev_data) {
  size_t before = c->recv.len;
  if (ev != MG_EV_MQTT_CMD || packets++ > 0) return;
  CHECK(peer_send(&peer, "\x30\3\0\1a", 5));
  POLL_UNTIL(&mgr, c->recv.len > before);
  mg_iobuf_del(&c->recv, 0, 5);
  (void) ev_data;
}

static void packets_put_aside(void) {
  enum { N = 8000 };
  static char text[5 * N];
  struct mgx_options o;
  int i;
  for (i = 0; i < N; i++) memcpy(text + 5 * i, "\x30\3\0\1a", 5);
  packets = 0;
  mg_mgr_init(&mgr);
  memset(&o, 0, sizeof(o));
  o.io_size = 65536;
  mgx_mgr_options(&mgr, &o);
  listener = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", consumes_behind_a_poll, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send(&peer, text, sizeof(text)));
  POLL_UNTIL(&mgr, packets == N + 1);
  end();
}

static void no_memory_for_packets(mg_event_handler_t fn) {
  // PINGREQ, then a PUBLISH of 25,600 bytes.
  static char text[2 + 4 + 25600] = "\xc0\0\x30\x80\xc8\x01\0\1a";
  struct mgx_options o;
  packets = faults = 0;
  conn = NULL;
  mg_mgr_init(&mgr);
  memset(&o, 0, sizeof(o));
  o.io_size = 65536;
  mgx_mgr_options(&mgr, &o);
  listener = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", fn, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send(&peer, text, sizeof(text)));
  POLL_UNTIL(&mgr, packets > 0 && conn == NULL);
  CHECK(packets == 1 && faults == 1);
  end();
}

// The buffer has room for a part of the packets that are put back into it. With those lost, no more is read.
static void makes_it_small_and_polls(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_READ) CHECK_EQ(faults, 0);
  if (ev == MG_EV_MQTT_CMD && packets++ == 0) {
    c->recv.align = 0;
    CHECK(mg_iobuf_resize(&c->recv, c->recv.len + 100));
    most = 1000;
    CHECK(peer_send_text(&peer, "more"));
    POLL_UNTIL(&mgr, faults > 0);
  }
  if (ev == MG_EV_ERROR) {
    faults++;
    CHECK(strcmp((char *) ev_data, "OOM") == 0);
    most = (size_t) -1;
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) conn = NULL;
}

// ---- the log of what is transferred
static char log_text[20000];
static size_t log_len;

static void collect(char c, void *arg) {
  if (log_len + 1 < sizeof(log_text)) log_text[log_len++] = c, log_text[log_len] = '\0';
  (void) arg;
}

static void dumps(bool on) {
  static const char *const hex[] = {" 41 ", " 42 ", " 43 ", " 78 ", " 79 ", " 7a "};
  int i;
  begin(keeps);
  log_len = 0;
  received = keep = 0;
  conn->is_hexdumping = on;
  mg_log_set(MG_LL_INFO);
  mg_log_set_fn(collect, NULL);
  CHECK(peer_send_text(&peer, "ABC"));
  POLL_UNTIL(&mgr, received == 3);
  mg_send(conn, "xyz", 3);
  POLL_UNTIL(&mgr, peer_has(&peer, 3));
  mg_log_set(MG_LL_NONE);
  mg_log_set_fn(NULL, NULL);
  log_text[log_len] = '\0';
  // Each byte in hexadecimal and as a character. They need not be transferred together.
  CHECK((strstr(log_text, "<-") != NULL) == on && (strstr(log_text, "->") != NULL) == on);
  for (i = 0; i < 6; i++) CHECK((strstr(log_text, hex[i]) != NULL) == on);
  end();
}

// ---- what ends a connection
static int reads, writes, closes, eofs, errors, error_number, reset_in;
static int connects;
static bool close_in_read, answer_at_end;

static void reset(struct mg_connection *c) {
#ifndef _WIN32
  struct pollfd fd = {(int) (size_t) c->fd, 0, 0};
  peer_drop(&peer);
  CHECK(poll(&fd, 1, 10000) == 1);
#endif
  reset_in = -1;
  (void) c;
}

static void ends(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_READ) reads++, c->is_closing |= close_in_read;
  if (ev == MG_EV_WRITE) {
    writes++;
    CHECK(*(long *) ev_data > 0);
  }
  if (ev == (int) MGX_EV_EOF && ++eofs > 0 && answer_at_end) mg_send(c, "late", 4), c->is_resp = 0;
  if (ev == MG_EV_CONNECT) connects++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == reset_in && ev == MG_EV_READ && c->recv.len == MG_IO_SIZE) reset(c);
  if (ev == reset_in && ev == MG_EV_POLL && c->is_accepted && (c->is_readable || !c->is_resp)) {
    reset(c);
    if (!c->is_resp) mg_send(c, "x", 1);
  }
  if (ev == MG_EV_CLOSE) {
    closes++;
    reason = mgx_close_reason(c);
    error_number = mgx_close_errno(c);
  }
}

static void start(void) {
  reads = writes = closes = eofs = errors = error_number = 0;
  reset_in = -1;
  forget();
  close_in_read = answer_at_end = false;
  begin(ends);
}

// A handler that closes gets no more of what has arrived.
static void closed_in_the_first_read(void) {
  start();
  close_in_read = true;
  CHECK(peer_send(&peer, big_body, MG_IO_SIZE) && peer_send(&peer, big_body, MG_IO_SIZE));
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reads, 1);
  CHECK_EQ(reason, MGX_REASON_CLOSED_BY_USER);
  end();
}

#ifndef _WIN32
// A handler closes, and another connection, whose reading is paused, gets its place in a nested poll: its data stays where it is.
static struct mg_connection *paused;
static int paused_end;

static void makes_room_for_a_paused_one(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_READ && c == conn && paused == NULL) {
    mg_close_conn(c);
    paused = mg_wrapfd(&mgr, paused_end, keeps, NULL);
    paused->is_full = 1;
    poll_often(&mgr);
    CHECK_EQ(c->recv.len, 0);
  }
  (void) ev_data;
}

// The same when it hears of the request behind one that it has answered in MG_EV_POLL.
static void makes_room_when_asked_again(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_POLL && c == conn && messages == 1 && c->recv.len > 0) mg_http_reply(c, 200, "", "hi");
  if (ev == MG_EV_HTTP_MSG && ++messages == 2) {
    long n = 0;
    makes_room_for_a_paused_one(c, MG_EV_READ, &n);
  }
  (void) ev_data;
}

static void closed_for_a_paused_one(bool http) {
  int ends_of[2];
  paused = NULL;
  messages = 0;
  received = keep = 0;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends_of) == 0);
  paused_end = ends_of[0];
  CHECK(send(ends_of[1], "other", 5, 0) == 5);
  begin(http ? makes_room_when_asked_again : makes_room_for_a_paused_one);
  if (http) {
    peer_free(&peer);
    conn = NULL;
    peer_open(&peer, mg_http_listen(&mgr, "http://127.0.0.1:0", makes_room_when_asked_again, NULL));
    POLL_UNTIL(&mgr, conn != NULL);
  }
  CHECK(peer_send_text(&peer, http ? GET("/a") GET("/b") : "x"));
  POLL_UNTIL(&mgr, paused != NULL);
  if (paused != NULL) paused->is_full = 0;
  POLL_UNTIL(&mgr, received == 5);
  end();
  close(ends_of[1]);
}
#endif

#ifndef _WIN32  // where a reset does not show so
// The reset arrives in the middle of a service call: after a read that filled the buffer, or before output is sent.
static void reset_meanwhile(int ev) {
  start();
  reset_in = ev;
  if (ev == MG_EV_READ) CHECK(peer_send(&peer, big_body, MG_IO_SIZE));
  POLL_UNTIL(&mgr, reset_in == -1);
  CHECK(closes == 1 || cut_transfers() > 0);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK(error_number == ECONNRESET || error_number == EPIPE);
  CHECK_EQ(reason, MGX_REASON_RESET);
  CHECK_EQ(eofs + writes, 0);
  CHECK(errors == 0 || cut_transfers() > 0);
  mg_mgr_free(&mgr);
}
#endif

#ifndef _WIN32
// A client that ends its stream and is gone when that is read has not half-closed.
static void reset_after_the_end(void) {
  start();
  conn->is_resp = 1;
  reset_in = MG_EV_POLL;
  peer_shut(&peer);
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reason, MGX_REASON_RESET);
  CHECK_EQ(eofs + writes, 0);
  mg_mgr_free(&mgr);
}
#endif

// The end of the stream is told only while something is to be sent.
static void half_closed(bool busy) {
  uint64_t before;
  start();
  conn->is_resp = busy;
  if (!busy) peer_shut(&peer);
  if (busy) {
    poll_often(&mgr);
    CHECK_EQ(eofs, 0);
    peer_shut(&peer);
    POLL_UNTIL(&mgr, eofs == 1);
    poll_often(&mgr);
    before = real_ms();
    mg_mgr_poll(&mgr, 20);  // sleeps
    CHECK(real_ms() - before >= 19);
    CHECK_EQ(closes, 0);
    mg_send(conn, "late", 4);
    conn->is_resp = 0;
    POLL_UNTIL(&mgr, peer_read(&peer));
    CHECK(peer_got(&peer, "late"));
  }
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(eofs, busy);
  CHECK_EQ(reason, MGX_REASON_PEER_CLOSED);
  end();
}

// What a handler sends in that event leaves at once, and the connection ends with it.
static void answered_at_the_end(void) {
  start();
  conn->is_resp = 1;
  answer_at_end = true;
  peer_shut(&peer);
  while (eofs == 0) mg_mgr_poll(&mgr, 1);
  CHECK(closes == 1 || cut_transfers() > 0);
  POLL_UNTIL(&mgr, closes == 1 && peer_read(&peer));
  CHECK(peer_got(&peer, "late"));
  CHECK_EQ(reason, MGX_REASON_PEER_CLOSED);
  end();
}

// A handler closes the connection when it hears of that end, or when its answer is out, and opens another, which gets its place: that one
// has nothing to do with the end of the first.
static struct mg_connection *next_one;

static void opens_the_next(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == (int) MGX_EV_EOF) mg_send(c, "late", 4);
  if (ev == MG_EV_WRITE && next_one == NULL) {
    c->is_draining = 1;
    mg_close_conn(c);
    next_one = mg_listen(&mgr, "udp://127.0.0.1:0", ends, NULL);
  }
  (void) ev_data;
}

static void replaced_by_its_answer(void) {
  closes = 0;
  reset_in = -1;
  next_one = NULL;
  begin(opens_the_next);
  conn->is_resp = 1;
  peer_shut(&peer);
  POLL_UNTIL(&mgr, next_one != NULL);
  if (next_one != NULL) next_one->is_closing = 1;
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reason, MGX_REASON_CLOSED_BY_USER);
  end();
}

static char next_url[64];

static void asks_elsewhere(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT && c == next_one) mg_printf(c, "GET /next HTTP/1.1\r\n\r\n");
  if (ev == MG_EV_CONNECT && c == conn) {
    char *body = make_body(BIG);
    mg_printf(c, "POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", BIG);
    mg_send(c, body, BIG);
    free(body);
  }
  if (ev == (int) MGX_EV_EOF) {
    mg_close_conn(c);
    next_one = mg_http_connect(&mgr, next_url, asks_elsewhere, NULL);
    mg_iobuf_add(&c->send, 0, "GET / HTTP/1.1\r\n\r\n", 18);
  }
  (void) ev_data;
}

static void half_closes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) c->is_full = 1, shutdown((int) (size_t) c->fd, SHUT_WR);
  (void) ev_data;
}

static void has_credentials(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    char user[10], pass[10];
    mg_http_creds((struct mg_http_message *) ev_data, user, sizeof(user), pass, sizeof(pass));
    CHECK(strcmp(user, "u") == 0 && strcmp(pass, "p") == 0);
    messages++;
  }
  (void) c;
}

static void replaced_at_the_end(void) {
  messages = 0;
  next_one = NULL;
  listener = serve(&mgr, has_credentials, NULL);
  mg_snprintf(next_url, sizeof(next_url), "http://u:p@127.0.0.1:%d", port_of(listener));
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", half_closes, NULL);
  conn = mg_http_connect(&mgr, url_of(listener, "http"), asks_elsewhere, NULL);
  POLL_UNTIL(&mgr, messages == 1);
  mg_mgr_free(&mgr);
}

#ifndef _WIN32
// The lowest descriptor there is, of a connection that the application has told to look up its address again.
static void lowest_descriptor(void) {
  reads = closes = 0;
  reset_in = -1;
  answer_at_end = false;
  conn = NULL;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", ends, NULL);
  peer_open(&peer, listener);
  close(0);
  POLL_UNTIL(&mgr, conn != NULL);
  CHECK_EQ((size_t) conn->fd, 0);
  conn->is_resolving = 1;
  CHECK(peer_send_text(&peer, "x"));
  POLL_UNTIL(&mgr, reads == 1);
  mg_send(conn, "y", 1);
  poll_often(&mgr);
  CHECK_EQ(conn->send.len, 1);
  conn->is_resolving = 0;
  POLL_UNTIL(&mgr, peer_has(&peer, 1));
  end();
  CHECK_EQ(open("/dev/null", O_RDONLY), 0);
}
#endif

// While a request waits for its answer, some of what follows is read, but not all; and the end of the stream is noticed.
static void behind_a_request(bool much) {
  int i;
  reads = closes = eofs = 0;
  reset_in = -1;
  conn = NULL;
  listener = serve(&mgr, ends, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send_text(&peer, GET("/a") "GET /"));
  POLL_UNTIL(&mgr, conn != NULL && conn->is_resp);
  poll_often(&mgr);
  CHECK_EQ(conn->recv.len, 5);
  for (i = 0; much && i < 1000; i++) {
    if (send(peer.fd, big_body, MG_IO_SIZE, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && i > 100) break;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(conn->recv.len <= 65536);
  if (!much) {
    peer_shut(&peer);
    POLL_UNTIL(&mgr, eofs == 1);
  }
  CHECK_EQ(closes, 0);
  end();
}

// An application takes a part of its response back before that is sent, and writes it again later: the response is complete then.
#define HEAD_OF_HI "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static void begins_an_answer(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_HTTP_MSG && messages++ == 0) mg_printf(c, "%s", HEAD_OF_HI);
  (void) ev_data;
}

static void a_part_taken_back(void) {
  messages = 0;
  conn = NULL;
  listener = serve(&mgr, begins_an_answer, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send_text(&peer, GET("/a") GET("/b")));
  POLL_UNTIL(&mgr, peer_has(&peer, strlen(HEAD_OF_HI)));
  mg_send(conn, "h", 1);
  conn->send.len = 0;
  poll_often(&mgr);
  CHECK(messages == 1 && conn->is_resp);
  mg_send(conn, "hi", 2);
  POLL_UNTIL(&mgr, messages == 2 && peer_has(&peer, strlen(HEAD_OF_HI "hi")));
  CHECK(peer_got(&peer, HEAD_OF_HI "hi"));
  end();
}

// While a handler polls, as much waits behind its packet, and no more.
static void polls_once(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD && packets++ == 0) {
    int i;
    for (i = 0; i < 7; i++) CHECK(peer_send(&peer, big_body, MG_IO_SIZE));
    POLL_UNTIL(&mgr, c->recv.len >= 65536);
    poll_often(&mgr);
    CHECK_EQ(c->recv.len, 65536);
    c->is_closing = 1;
  }
  (void) ev_data;
}

static void behind_a_packet(void) {
  packets = 0;
  mg_mgr_init(&mgr);
  listener = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", polls_once, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send(&peer, "\xc0\0", 2));
  POLL_UNTIL(&mgr, packets > 0 && count_conns(&mgr) == 1);
  end();
}

// A single byte that can begin no request ends the connection as soon as nothing before it waits for an answer.
static void a_byte_behind_a_request(void) {
  reads = closes = eofs = 0;
  reset_in = -1;
  conn = NULL;
  listener = serve(&mgr, ends, NULL);
  peer_open(&peer, listener);
  CHECK(peer_send_text(&peer, GET("/a") "\1"));
  POLL_UNTIL(&mgr, conn != NULL && conn->is_resp);
  poll_often(&mgr);
  CHECK(conn->recv.len == 1 && closes == 0);
  conn->is_resp = 0;
  POLL_UNTIL(&mgr, closes == 1);
  end();
}

// What an application writes to a listener stays there, and does not keep it open.
static void a_listener_with_output(void) {
  start();
  mg_send(listener, "x", 1);
  poll_often(&mgr);
  CHECK_EQ(listener->send.len, 1);
  listener->is_draining = 1;
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  end();
}

// ---- a server that has spoken before the client looks
static void spoken_first(void) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  int fd, l = socket(AF_INET, SOCK_STREAM, 0);
  char url[64];
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(l, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(l, 5) == 0);
  CHECK(getsockname(l, (struct sockaddr *) &sin, &len) == 0);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", ntohs(sin.sin_port));
  mg_mgr_init(&mgr);
  reads = closes = 0;
  reset_in = -1;
  conn = mg_connect(&mgr, url, ends, NULL);
  fd = accept(l, NULL, NULL);
  CHECK(fd >= 0 && send(fd, "hello", 5, 0) == 5);
  POLL_UNTIL(&mgr, reads > 0 && conn->recv.len == 5);
  close(fd);
  close(l);
  mg_mgr_free(&mgr);
}

// ---- when the poll sleeps
static void readiness_shown(void) {
  const int small = 4096;
  int i;
  start();
  CHECK(peer_send_text(&peer, "x"));
  POLL_UNTIL(&mgr, reads == 1);
  CHECK(!conn->is_readable && !conn->is_writable);
  poll_often(&mgr);
  CHECK(!conn->is_readable && !conn->is_writable);
  // Also after the socket was full.
  setsockopt((int) (size_t) conn->fd, SOL_SOCKET, SO_SNDBUF, (void *) &small, sizeof(small));
  for (i = 0; i < 30; i++) mg_send(conn, big_body, MG_IO_SIZE);
  mg_mgr_poll(&mgr, 0);
  CHECK(conn->send.len > 0);
  POLL_UNTIL(&mgr, peer_has(&peer, 30 * MG_IO_SIZE));
  poll_often(&mgr);
  CHECK(!conn->is_readable && !conn->is_writable);
  end();
}

// Output that the application takes back is no reason for a drain to wait.
static void output_taken_back(void) {
  const int small = 4096;
  int i;
  start();
  setsockopt((int) (size_t) conn->fd, SOL_SOCKET, SO_SNDBUF, (void *) &small, sizeof(small));
  for (i = 0; i < 100; i++) mg_send(conn, big_body, MG_IO_SIZE);
  poll_often(&mgr);
  CHECK(conn->send.len > 0);
  conn->send.len = 0;
  conn->is_draining = 1;
  poll_often(&mgr);
  CHECK_EQ(closes, 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  end();
}

// The application asks between two polls for the end of an idle connection: the next poll does not sleep.
static void drained_between_polls(void) {
  uint64_t before;
  start();
  poll_often(&mgr);
  conn->is_draining = 1;
  before = real_ms();
  mg_mgr_poll(&mgr, 10000);
  CHECK(closes == 1 && real_ms() - before < 10000);
  end();
}

#ifndef _WIN32
// An application that has ended its own half of the stream goes on reading.
static void half_closed_by_the_application(void) {
  start();
  CHECK_EQ(shutdown((int) (size_t) conn->fd, SHUT_WR), 0);
  CHECK(peer_send_text(&peer, "x"));
  POLL_UNTIL(&mgr, reads == 1);
  CHECK(peer_send_text(&peer, "y"));
  POLL_UNTIL(&mgr, reads == 2 || closes == 1);
  CHECK_EQ(closes, 0);
  end();
}

// A client that gives up when its socket has just connected hears no more than that it is closed.
static void given_up_when_connected(void) {
  struct pollfd fd = {0, POLLOUT, 0};
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  reads = closes = connects = 0;
  reset_in = -1;
  conn = mg_connect(&mgr, url_of(listener, "tcp"), ends, NULL);
  fd.fd = (int) (size_t) conn->fd;
  CHECK(poll(&fd, 1, 10000) == 1);
  conn->is_closing = 1;
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(connects, 0);
  mg_mgr_free(&mgr);
}
#endif

// An application that does not consume: what waits with the peer is no reason to poll again.
static void a_full_buffer(void) {
  struct mgx_options o;
  uint64_t before;
  int i;
  start();
  memset(&o, 0, sizeof(o));
  o.max_recv_size = MG_IO_SIZE;
  mgx_mgr_options(&mgr, &o);
  CHECK(peer_send(&peer, big_body, MG_IO_SIZE));
  POLL_UNTIL(&mgr, conn->recv.len == MG_IO_SIZE);
  mg_mgr_poll(&mgr, 0);
  before = real_ms();
  for (i = 0; i < 5; i++) mg_mgr_poll(&mgr, 20);
  CHECK(real_ms() - before >= 60);
  CHECK(closes == 0 && conn->recv.len == MG_IO_SIZE);
  CHECK(peer_send_text(&peer, "!"));
  POLL_UNTIL(&mgr, closes == 1);
  end();
}

// Printed or sent on a connection that gets no MG_EV_POLL.
static void output_without_poll_events(void) {
  start();
  mgx_conn_poll_events(conn, false);
  poll_often(&mgr);
  mg_printf(conn, "%s", "printed");
  POLL_UNTIL(&mgr, peer_has(&peer, 7));
  mg_send(conn, "sent", 4);
  POLL_UNTIL(&mgr, peer_has(&peer, 11));
  CHECK(peer_got(&peer, "printedsent"));
  end();
}

// ---- what one connection's handler prints on another that was serviced before it is sent in the same poll
static struct mg_connection *newer;

static void prints(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && conn == NULL) {
    conn = c;
  } else if (ev == MG_EV_ACCEPT) {
    newer = c;
  } else if (ev == MG_EV_POLL && c == conn && newer != NULL && told++ == 0) {
    CHECK_EQ(newer->send.size, 0);
    mg_printf(newer, "%s", "x");
    CHECK_EQ(newer->send.size, MG_IO_SIZE);
  }
  (void) ev_data;
}

static void printed_on_another(void) {
  struct peer p;
  newer = NULL;
  told = 0;
  begin(prints);
  peer_open(&p, listener);
  while (told == 0) mg_mgr_poll(&mgr, 1);
  CHECK(newer->send.len == 0 || cut_transfers() > 0);
  POLL_UNTIL(&mgr, peer_has(&p, 1));
  peer_free(&p);
  end();
}

// A handler that drains in the event of such output has dropped what it had received, at once.
static void sends(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && conn == NULL) {
    conn = c;
  } else if (ev == MG_EV_ACCEPT) {
    newer = c;
  } else if (ev == MG_EV_POLL && c == conn && newer != NULL && newer->recv.len == 4 && told++ == 0) {
    mg_send(newer, "x", 1);
  } else if (ev == MG_EV_WRITE && c == newer) {
    c->is_draining = 1;
  } else if (ev == MG_EV_CLOSE && c == newer) {
    newer = NULL;
  }
  (void) ev_data;
}

static void drained_by_output(void) {
  struct peer p;
  newer = NULL;
  told = 0;
  begin(sends);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, "rest"));
  while (told == 0) mg_mgr_poll(&mgr, 1);
  CHECK(newer == NULL || newer->recv.len == 0 || cut_transfers() > 0);
  POLL_UNTIL(&mgr, newer == NULL && peer_read(&p));
  CHECK(peer_got(&p, "x"));
  peer_free(&p);
  end();
}

// So does one that drains in MG_EV_CONNECT.
static void drains_when_connected(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    mg_iobuf_add(&c->recv, 0, "rest", 4);
    mg_iobuf_add(&c->send, 0, "x", 1);
    c->is_draining = 1;
    connects++;
  }
  if (ev == MG_EV_CLOSE) closes++;
  (void) ev_data;
}

static void drained_when_connected(void) {
  connects = closes = 0;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL);
  conn = mg_connect(&mgr, url_of(listener, "tcp"), drains_when_connected, NULL);
  while (connects == 0) mg_mgr_poll(&mgr, 1);
  CHECK(closes == 0 && conn->recv.len == 0 && conn->send.len == 1);
  POLL_UNTIL(&mgr, closes == 1);
  mg_mgr_free(&mgr);
}

// A handler closes an idle connection in MG_EV_POLL: the same poll does that.
static void closes_idle(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) conn = c;
  if (ev == MG_EV_POLL && c == conn && told++ == 5) c->is_closing = 1;
  if (ev == MG_EV_CLOSE && c == conn) closes++;
  (void) ev_data;
}

static void closed_in_a_poll_event(void) {
  told = 0, closes = 0;
  begin(closes_idle);
  while (told < 6) mg_mgr_poll(&mgr, 0);
  CHECK_EQ(closes, 1);
  end();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big_body = make_body(MG_IO_SIZE);
  text_ends();
  other_sizes();
  another_io_size();
  nested_reads();
  a_paused_buffer();
  no_memory();
  packets_put_aside();
  no_memory_for_packets(makes_it_small);
  no_memory_for_packets(makes_it_small_and_polls);
  dumps(true);
  dumps(false);
  closed_in_the_first_read();
#ifndef _WIN32
  closed_for_a_paused_one(false);
  closed_for_a_paused_one(true);
  reset_meanwhile(MG_EV_READ);
  reset_meanwhile(MG_EV_POLL);
  reset_after_the_end();
#endif
  half_closed(false);
  half_closed(true);
  answered_at_the_end();
  replaced_by_its_answer();
  replaced_at_the_end();
#ifndef _WIN32
  lowest_descriptor();
#endif
  behind_a_request(false);
  behind_a_request(true);
  a_part_taken_back();
  behind_a_packet();
  a_byte_behind_a_request();
  a_listener_with_output();
  spoken_first();
  readiness_shown();
  output_taken_back();
  a_full_buffer();
  output_without_poll_events();
  printed_on_another();
  drained_by_output();
  drained_when_connected();
  drained_between_polls();
#ifndef _WIN32
  half_closed_by_the_application();
  given_up_when_connected();
#endif
  closed_in_a_poll_event();
  free(big_body);
  return DONE();
}
