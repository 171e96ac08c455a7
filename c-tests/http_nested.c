// Handlers that poll in every event while the peer keeps sending: every request is handled once and completely and gets its own
// response; the message passed to a handler does not change.

#include "mongoose_ext.h"
#include "ws_peer.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static int depth;
static struct peer *speaker;       // says the next pieces while a handler polls
static const char *const *pieces;  // NULL at the end
static char seen[2000];

static void poll_inside(void) {
  int i;
  if (depth > 1) return;
  depth++;
  for (i = 0; i < 4; i++) {
    if (speaker != NULL && pieces != NULL && *pieces != NULL) {
      CHECK(peer_send_text(speaker, *pieces));
      pieces++;
    }
    mg_mgr_poll(&mgr, 0);
  }
  depth--;
}

static void add(const char *what, struct mg_str text) {
  size_t n = strlen(seen);
  mg_snprintf(seen + n, sizeof(seen) - n, "%s%.*s ", what, (int) text.len, text.buf);
}

static void timer_fn(void *arg) {
  (void) arg;
  poll_inside();
}

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (c->is_listening) return;
  if (ev == MG_EV_HTTP_HDRS) {
    poll_inside();
    add("H", hm->uri);
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_call(c, MG_EV_USER, NULL);
    poll_inside();
    add("M", hm->uri);
    add("", hm->body);
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
      poll_inside();
    } else {
      mg_http_reply(c, 200, "", "%.*s", (int) hm->uri.len, hm->uri.buf);
      poll_inside();
    }
  } else if (ev == MG_EV_WS_MSG || ev == MG_EV_WS_CTL) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    poll_inside();
    add(ev == MG_EV_WS_MSG ? "W" : "C", wm->data);
    if (ev == MG_EV_WS_MSG) mg_ws_send(c, wm->data.buf, wm->data.len, WEBSOCKET_OP_TEXT);
    poll_inside();
  } else if (ev != MG_EV_CLOSE) {
    // MG_EV_READ, MG_EV_WRITE, MG_EV_POLL, MG_EV_ACCEPT, MG_EV_OPEN, MG_EV_USER, MG_EV_WS_OPEN
    poll_inside();
  }
}

static bool expect_answers(const struct peer *p, const char *const *uris) {
  char want[2000] = "";
  for (; *uris != NULL; uris++) {
    size_t n = strlen(want);
    mg_snprintf(want + n, sizeof(want) - n, "HTTP/1.1 200 OK\r\nContent-Length: %-10d \r\n\r\n%s", (int) strlen(*uris), *uris);
  }
  return peer_got(p, want);
}

#define TALK(first, rest, log, uris) exchange(first, rest, log, uris, __LINE__)

static void exchange(const char *first, const char *const *rest, const char *log, const char *const *uris, int line) {
  struct peer p;
  size_t want = 0, i;
  int failed = checks_failed;
  seen[0] = '\0';
  for (i = 0; uris[i] != NULL; i++) want += 49 - 1 + strlen(uris[i]);
  peer_open(&p, listener);
  speaker = &p;
  pieces = rest;
  CHECK(peer_send_text(&p, first));
  POLL_UNTIL(&mgr, *pieces == NULL && peer_has(&p, want));
  poll_often(&mgr);
  peer_read(&p);
  CHECK(expect_answers(&p, uris));
  if (strcmp(seen, log) != 0) fprintf(stderr, "saw  %s\nwant %s\n", seen, log);
  CHECK(strcmp(seen, log) == 0);
  if (checks_failed > failed) fprintf(stderr, "... in line %d\n", line);
  speaker = NULL, pieces = NULL;
  peer_free(&p);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

static void requests(void) {
  static const char *const next[] = {"GET /b HTTP/1.1\r\n\r\n", "GET /c HTTP/1.1\r\n\r\nGET /d HT", "TP/1.1\r\n\r\n", NULL};
  static const char *const body[] = {"abc", NULL};
  static const char *const body_and_next[] = {"a", "bcGET /b HTTP/1.1\r\n\r\n", NULL};
  static const char *const chunks[] = {"1\r\nx\r\n", "0\r\n", "\r\nGET /b HTTP/1.1\r\n\r\n", NULL};
  static const char *const none[] = {NULL};
  static const char *const a[] = {"/a", NULL}, *const ab[] = {"/a", "/b", NULL}, *const abcd[] = {"/a", "/b", "/c", "/d", NULL};
  TALK("GET /a HTTP/1.1\r\n\r\n", none, "H/a M/a  ", a);
  TALK("GET /a HTTP/1.1\r\n\r\n", next, "H/a M/a  H/b M/b  H/c M/c  H/d M/d  ", abcd);
  TALK("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", body, "H/a M/a abc ", a);
  TALK("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n", body_and_next, "H/a M/a abc H/b M/b  ", ab);
  TALK("POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", next, "H/a M/a abc H/b M/b  H/c M/c  H/d M/d  ", abcd);
  TALK("POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", chunks, "H/a M/a x H/b M/b  ", ab);
  TALK("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\n", none,
       "H/a M/a  H/b M/b  H/c M/c  H/d M/d  ", abcd);
}

// What comes while a handler polls fills the buffer many times: its message stays where it is.
static void input_during_a_nested_poll(void) {
  static const char request[] = "GET /a HTTP/1.1\r\n\r\n";
  const int n = 3000;
  char *text = (char *) malloc((size_t) n * sizeof(request)), *at;
  struct peer p;
  int i, answers = 0;
  size_t sent = 0;
  seen[0] = '\0';
  text[0] = '\0';
  for (i = 0, at = text; i < n; i++, at += sizeof(request) - 1) memcpy(at, request, sizeof(request));
  peer_open(&p, listener);
  depth = 1;  // no polls inside polls: there are many requests
  CHECK(peer_send_text(&p, request));
  while (sent < strlen(text)) {
    ssize_t k = send(p.fd, text + sent, strlen(text) - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (k > 0) sent += (size_t) k;
    seen[0] = '\0';
    mg_mgr_poll(&mgr, 0);
    peer_read(&p);
  }
  for (i = 0; i < 200000 && !peer_has(&p, (size_t) (n + 1) * 50); i++) {
    seen[0] = '\0';
    mg_mgr_poll(&mgr, 0);
  }
  depth = 0;
  for (at = p.buf; at != NULL && at + 50 <= p.buf + p.len; at += 50) answers += memcmp(at, "HTTP/1.1 200 OK", 15) == 0;
  CHECK_EQ(answers, n + 1);
  free(text);
  peer_free(&p);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// The peer leaves while its request is being handled: the message can still be read.
static void a_peer_that_disconnects(void) {
  struct peer p;
  seen[0] = '\0';
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, "POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"));
  {
    struct linger now = {1, 0};
    POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
    setsockopt(p.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    peer_free(&p);
  }
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  CHECK(seen[0] == '\0' || strncmp(seen, "H/a ", 4) == 0);
}

static void frames(void) {
  char frame1[200], frame2[200];
  const char *next[3];
  struct peer p;
  size_t n;
  memset(frame1, 0, sizeof(frame1));
  memset(frame2, 0, sizeof(frame2));
  n = ws_frame(frame1, 0x81, "one", 3);
  n += ws_frame(frame1 + n, 0x01, "tw", 2);
  CHECK(strlen(frame1) == n);
  n = ws_frame(frame2, 0x89, "!", 1);
  n += ws_frame(frame2 + n, 0x80, "o", 1);
  n += ws_frame(frame2 + n, 0x81, "three", 5);
  CHECK(strlen(frame2) == n);
  next[0] = frame1, next[1] = frame2, next[2] = NULL;
  seen[0] = '\0';
  peer_open(&p, listener);
  speaker = &p;
  pieces = next;
  CHECK(peer_send_text(&p, WS_REQUEST));
  POLL_UNTIL(&mgr, *pieces == NULL && peer_has(&p, strlen(WS_ANSWER) + 5 + 3 + 5 + 7));
  poll_often(&mgr);
  CHECK(peer_got(&p, WS_ANSWER "\x81\x03one\x8a\x01!\x81\x03two\x81\x05three"));
  if (strcmp(seen, "H/ws M/ws  Wone C! Co Wtwo Wthree ") != 0) fprintf(stderr, "saw %s\n", seen);
  CHECK(strcmp(seen, "H/ws M/ws  Wone C! Co Wtwo Wthree ") == 0);
  speaker = NULL, pieces = NULL;
  peer_free(&p);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// A client whose handler polls gets each of the responses once, too.
static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
  if (ev == MG_EV_CLOSE) return;
  poll_inside();
  if (ev == MG_EV_HTTP_MSG) add("R", hm->body), c->is_closing = mg_strcmp(hm->body, mg_str("/c")) == 0;
}

static void plain_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "%.*s", (int) hm->uri.len, hm->uri.buf);
}

static void responses(void) {
  struct mg_connection *plain = mg_http_listen(&mgr, "http://127.0.0.1:0", plain_fn, NULL);
  seen[0] = '\0';
  CHECK(mg_http_connect(&mgr, url_of(plain, "http"), client_fn, NULL) != NULL);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 2);
  CHECK(strcmp(seen, "R/a R/b R/c ") == 0);
  plain->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// A handler that waits for a body, as long as the peer may still send, gets all of it.
static const size_t body_len = 1000000;
static size_t waited_len;
static bool eof_told;

// What the peer has still to say, as far as the kernel takes it; push() then says that this was all.
static const char *unsaid;
static size_t unsaid_len;
static struct peer *uploader;

static bool say(void) {
  ssize_t n = unsaid_len > 0 ? send(uploader->fd, unsaid, unsaid_len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
  if (n > 0) unsaid += n, unsaid_len -= (size_t) n;
  return n > 0;
}

static void push(void) {
  if (say() && unsaid_len == 0) shutdown(uploader->fd, SHUT_WR);
}

static void waiting_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MGX_EV_EOF) eof_told = true;
  if (ev == MG_EV_HTTP_HDRS) {
    const char *head = hm->head.buf;
    char first[30];
    memcpy(first, head, sizeof(first));
    while (c->recv.len < hm->head.len + body_len && !c->is_closing && !eof_told) {
      push();
      mg_mgr_poll(&mgr, 1);
    }
    waited_len = c->recv.len;
    CHECK(memcmp(first, head, sizeof(first)) == 0);
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%lu", (unsigned long) hm->body.len);
  }
}

static void a_handler_that_waits_for_the_body(void) {
  struct mg_connection *l = mg_http_listen(&mgr, "http://127.0.0.1:0", waiting_fn, NULL);
  char *request = (char *) calloc(1, body_len + 100);
  struct peer p;
  int n = sprintf(request, "POST /a HTTP/1.1\r\nContent-Length: %lu\r\n\r\n", (unsigned long) body_len);
  size_t len = (size_t) n, want = len + body_len;
  memset(request + len, 'x', body_len);
  uploader = &p;
  peer_open(&p, l);
  unsaid = request, unsaid_len = want;
  push();
  POLL_UNTIL(&mgr, waited_len == want);
  POLL_UNTIL(&mgr, peer_has(&p, 49 - 1 + 7));
  CHECK(strstr(p.buf, "1000000") != NULL);
  peer_free(&p);
  // One that hangs up in between: the handler is told, and need not wait forever.
  waited_len = 0, eof_told = false;
  peer_open(&p, l);
  unsaid = request, unsaid_len = len + 1000;
  push();
  POLL_UNTIL(&mgr, waited_len == len + 1000);
  CHECK(eof_told);
  peer_free(&p);
  free(request);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// What has arrived in the meantime can be read on, too, when the connection has closed.
static int read_on;

static void reading_on_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  const char *data;
  size_t len;
  if (ev != MG_EV_HTTP_HDRS) return;
  len = c->recv.len;
  CHECK(peer_send_text(speaker, "abc"));
  POLL_UNTIL(c->mgr, c->recv.len == len + 3);
  data = (const char *) c->recv.buf;
  c->is_closing = 1;
  mg_mgr_poll(c->mgr, 0);
  CHECK(memcmp(data, hm->head.buf, hm->head.len) == 0 && memcmp(data + len, "abc", 3) == 0);
  read_on++;
}

static void a_handler_that_reads_on(void) {
  struct mg_connection *l = mg_http_listen(&mgr, "http://127.0.0.1:0", reading_on_fn, NULL);
  struct peer p;
  speaker = &p;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, "POST /a HTTP/1.1\r\nContent-Length: 1000\r\n\r\n"));
  POLL_UNTIL(&mgr, read_on == 1);
  speaker = NULL;
  peer_free(&p);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

// Behind the message that a handler works on only some more are read: the rest stays with the peer.
static size_t waiting;
static int handled;

static void busy_fn(struct mg_connection *c, int ev, void *ev_data) {
  int still;
  if (ev == MG_EV_HTTP_MSG) mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  if ((ev != MG_EV_WS_MSG && ev != MG_EV_MODBUS_REQ) || handled++ > 0) return;
  for (still = 0; still < 30; still++) {
    if (say() || c->recv.len != waiting) still = 0;
    waiting = c->recv.len;
    mg_mgr_poll(c->mgr, 1);
  }
}

static void messages_behind_a_busy_handler(struct mg_connection *l, const char *message, size_t size, bool upgrade) {
  const size_t n = (1 << 20) / size;
  char *text = (char *) malloc(n * size);
  struct peer p;
  size_t i;
  for (i = 0; i < n; i++) memcpy(text + i * size, message, size);
  waiting = 0, handled = 0;
  if (upgrade) {
    ws_open(&p, &mgr, l);
  } else {
    peer_open(&p, l);
  }
  uploader = &p;
  unsaid = text, unsaid_len = n * size;
  POLL_UNTIL(&mgr, (say(), peer_read(&p), handled == (int) n));
  CHECK(waiting > size && waiting < 200000);
  CHECK(p.end == PEER_OPEN);
  peer_free(&p);
  free(text);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

static void a_busy_handler(void) {
  char frame[200], payload[100], registers[259] = "\0\1\0\0\0\xfd\1\x10\0\0\0\x7b\xf6";
  memset(payload, 'x', sizeof(payload));
  messages_behind_a_busy_handler(mg_http_listen(&mgr, "http://127.0.0.1:0", busy_fn, NULL), frame,
                                 ws_frame(frame, 0x82, payload, sizeof(payload)), true);
  messages_behind_a_busy_handler(mg_modbus_listen(&mgr, "tcp://127.0.0.1:0", busy_fn, NULL), registers, sizeof(registers), false);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, server_fn, NULL);
  mg_timer_add(&mgr, 5, MG_TIMER_REPEAT, timer_fn, NULL);
  requests();
  input_during_a_nested_poll();
  a_peer_that_disconnects();
  frames();
  responses();
  a_handler_that_waits_for_the_body();
  a_handler_that_reads_on();
  a_busy_handler();
  mg_mgr_free(&mgr);
  return DONE();
}
