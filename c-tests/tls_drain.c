// Closing connections over TLS: however a connection closes, output queued before arrives completely, and no peer can keep it
// open forever.
// timeout: 120
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// not under: short: a close_notify in pieces is cut off by is_closing, or meets a socket that has stopped lingering
#include "tls.h"

#define GET(uri) "GET " uri " HTTP/1.1\r\nHost: a\r\n\r\n"
#define BIG 5000000

static struct side server, client;
static struct mg_mgr mgr;
static char *big;
static uint64_t answer_at;
static unsigned long waiting;
static const char *request;
static bool never_reads;
static int messages;

// /big: much. /later: after 300 ms. /refuse: an error and the end, while the client is still uploading. /stay: no answer.
static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (c->is_listening) return;
  side_note(&server, c, ev, ev_data);
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/refuse"), NULL)) {
    mgx_http_reply(c, 413, "", big, 1000000);
    c->is_draining = 1;
  }
  if (ev == MG_EV_HTTP_MSG) {
    messages++;
    if (mg_match(hm->uri, mg_str("/big"), NULL)) mgx_http_reply(c, 200, "", big, BIG);
    if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
      mg_http_reply(c, 200, "", "bye");
      c->is_draining = 1;
    }
    if (mg_match(hm->uri, mg_str("/file"), NULL)) {
      struct mg_http_serve_opts opts;
      memset(&opts, 0, sizeof(opts));
      mg_http_serve_file(c, hm, "tls-drain-file", &opts);
      c->is_draining = 1;
    }
    if (mg_match(hm->uri, mg_str("/later"), NULL)) waiting = c->id, answer_at = mg_millis() + 300;
  }
  if (ev == MG_EV_POLL && c->id == waiting && *(uint64_t *) ev_data >= answer_at) {
    waiting = 0;
    mg_http_reply(c, 200, "", "late");
  }
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  side_note(&client, c, ev, ev_data);
  if (ev == MG_EV_CONNECT) {
    mg_tls_init(c, &o);
    mg_printf(c, "%s", request);
    c->is_full = never_reads;
  }
  if (ev == MG_EV_READ) side_keep(&client, c);
}

static struct mg_connection *begin(const char *what) {
  struct mg_connection *l;
  side_forget(&server), side_forget(&client);
  messages = 0;
  request = what;
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server_fn, NULL);
  return l;
}

static void finish(void) {
  mg_mgr_free(&mgr);
  CHECK(server.c == NULL && client.c == NULL);
}

static bool body_is(const char *want, size_t len) {
  const char *end = client.data.buf == NULL ? NULL : strstr(client.data.buf, "\r\n\r\n");
  return end != NULL && client.data.len - (size_t) (end + 4 - client.data.buf) == len && memcmp(end + 4, want, len) == 0;
}

// A client of our own that half-closes: the raw stream of one is recorded through a line which ends it behind the request.
static struct line line;

static void half_close(const char *what, const char *want, size_t len) {
  struct mg_connection *l = begin(what);
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "https"), client_fn, NULL);
  // The request is out and has arrived: the end of the client's stream follows it.
  POLL_UNTIL(&mgr, client.written == strlen(what) && messages == 1 && line.ends[1] != NULL);
  shutdown((int) (size_t) line.ends[1]->fd, SHUT_WR);
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK(body_is(want, len));
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(server.unsent, 0);
  finish();
}

// The same with close_notify: the client drains as soon as its request is out, so its session ends, and TCP does too. Nothing is
// read any more then, but the server gets rid of its answer, or at least does not fail.
static void close_notify_after_request(void) {
  struct mg_connection *l = begin(GET("/later"));
  mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, messages == 1);
  client.c->is_draining = 1;
  POLL_UNTIL(&mgr, client.closes == 1 && server.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_DRAINED);
  finish();
}

static void drain_announces(void) {
  struct mg_connection *l = begin(GET("/drain") GET("/hi"));
  mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK(client.data.buf != NULL && strstr(client.data.buf, "Connection: close\r\n") != NULL);
  CHECK(body_is("bye", 3));
  CHECK_EQ(messages, 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  finish();
}

// A file that is being sent when the drain begins; in part, and behind each other, too.
static void slow_fn(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_READ) c->is_full = 1;
  if (ev == MG_EV_POLL) c->is_full = 0;
}

static void files(void) {
  static const struct {
    const char *request;
    size_t from, len;
  } cases[] = {
      {"GET /file HTTP/1.1\r\nHost: a\r\n\r\n", 0, BIG},
      {"GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=1000001-4000000\r\n\r\n", 1000001, 3000000},
      {"GET /file HTTP/1.1\r\nHost: a\r\nRange: bytes=-70000\r\n\r\n", BIG - 70000, 70000},
      {"HEAD /file HTTP/1.1\r\nHost: a\r\n\r\n", 0, 0},
  };
  size_t i;
  CHECK(mg_file_write(&mg_fs_posix, "tls-drain-file", big, BIG));
  for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
    struct mg_connection *l = begin(cases[i].request);
    mg_connect(&mgr, url_of(l, "https"), i == 0 ? slow_fn : client_fn, NULL);
    POLL_UNTIL(&mgr, client.closes == 1);
    CHECK(body_is(big + cases[i].from, cases[i].len));
    CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
    CHECK_EQ(server.reason, MGX_REASON_DRAINED);
    finish();
  }
  remove("tls-drain-file");
}

static void uploading_fn(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  // Goes on whatever the server says.
  if ((ev == MG_EV_POLL || ev == MG_EV_WRITE) && c->is_tls && !c->is_tls_hs && c->send.len < 100000) mg_send(c, big, 100000);
}

static void error_reply_while_uploading(void) {
  struct mg_connection *l = begin("POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
  mg_connect(&mgr, url_of(l, "https"), uploading_fn, NULL);
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK(body_is(big, 1000000));
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  finish();
}

static void never_reading_peer(void) {
  struct mg_connection *l = begin(GET("/big"));
  struct mgx_drain_opts o;
  memset(&o, 0, sizeof(o));
  o.flush_timeout_ms = 400;
  never_reads = true;
  mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, messages == 1 && server.c != NULL && server.c->is_tls_throttled);
  mgx_conn_drain(server.c, &o);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(server.reason, MGX_REASON_FLUSH_TIMEOUT);
  CHECK(server.unsent > 0);
  never_reads = false;
  finish();
}

// The peer never says good-bye, neither with close_notify nor with FIN.
static void shutdown_is_not_held(void) {
  struct mg_connection *l = begin(GET("/hi"));
  struct mgx_mgr_drain_opts o;
  uint64_t start;
  memset(&o, 0, sizeof(o));
  o.idle_grace_ms = 50;
  line_open(&line, &mgr, port_of(l));
  mg_connect(&mgr, url_of(line.listener, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, server.handshakes == 1 && messages == 1);
  mg_http_reply(server.c, 200, "", "hi");
  POLL_UNTIL(&mgr, client.data.len > 0);
  line.held = true;
  start = real_ms();
  mgx_mgr_drain_init(&mgr);
  mgx_mgr_drain(&mgr, &o);
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK_EQ(server.reason, MGX_REASON_DRAINED);
  CHECK(real_ms() - start < 5000);
  finish();
}

static void drain_in_handshake(bool with_output) {
  struct mg_connection *l = begin(GET("/hi"));
  line_open(&line, &mgr, port_of(l));
  line.held = true;
  mg_connect(&mgr, url_of(line.listener, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, server.c != NULL && client.c != NULL && client.c->is_tls_hs);
  if (with_output) {
    // The client wants to leave when its request is out; the handshake is still under way.
    client.c->is_draining = 1;
    line.held = false;
    line.per_poll = 100;
    POLL_UNTIL(&mgr, client.closes == 1 && messages == 1);
    CHECK_EQ(client.reason, MGX_REASON_DRAINED);
    CHECK_EQ(client.unsent, 0);
  } else {
    server.c->is_draining = 1;
    POLL_UNTIL(&mgr, server.closes == 1 && client.closes == 1);
    CHECK_EQ(server.reason, MGX_REASON_DRAINED);
    CHECK(strchr(client.log, 'E') != NULL);
  }
  finish();
}

// mg_mgr_free after each number of polls, from before the connection is up to the middle of the answer.
static void freed_at_any_time(void) {
  int polls, i;
  for (polls = 0; polls < 40; polls += polls < 12 ? 1 : 7) {
    struct mg_connection *l = begin(GET("/big"));
    mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
    for (i = 0; i < polls; i++) mg_mgr_poll(&mgr, 1);
    mg_mgr_free(&mgr);
    CHECK(server.c == NULL && client.c == NULL);
    CHECK(client.closes == 1);
  }
}

// is_closing means at once; what got out before is followed by close_notify only when nothing is lost.
static void closing(void) {
  struct mg_connection *l = begin(GET("/later"));
  mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, messages == 1);
  server.c->is_closing = 1;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_PEER_CLOSED);
  finish();
  l = begin(GET("/big"));
  never_reads = true;
  mg_connect(&mgr, url_of(l, "https"), client_fn, NULL);
  POLL_UNTIL(&mgr, messages == 1 && server.c != NULL && server.c->is_tls_throttled);
  server.c->is_closing = 1;
  POLL_UNTIL(&mgr, server.closes == 1);
  CHECK(server.unsent > 0);
  never_reads = false;
  client.c->is_full = 0;
  POLL_UNTIL(&mgr, client.closes == 1);
  CHECK_EQ(client.reason, MGX_REASON_RESET);
  finish();
}

// A socket that lingers needs no session.
static void lingering_sockets_keep_no_sessions(void) {
  enum { N = 80 };
  uint64_t end = real_ms() + 50000;
  struct mg_connection *l = begin(""), *c;
  struct mg_mgr clients;
  size_t before, files;
  int i;
  mg_mgr_init(&clients);
  for (i = 0; i < N; i++) mg_connect(&clients, url_of(l, "https"), client_fn, NULL);
  while ((server.handshakes < N || client.handshakes < N) && real_ms() < end) mg_mgr_poll(&mgr, 1), mg_mgr_poll(&clients, 1);
  // The clients do not get their turns until the sockets have lingered long enough.
  for (c = mgr.conns; c != NULL; c = c->next) c->is_draining = c->is_accepted;
  POLL_UNTIL(&mgr, server.closes == N);
  before = memory_in_use(), files = open_files();
  POLL_UNTIL(&mgr, open_files() == files - N);
  CHECK(before < memory_in_use() + N * 1000);
  mg_mgr_free(&clients);
  finish();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  big = make_body(BIG);
  half_close(GET("/big"), big, BIG);
  half_close(GET("/later"), "late", 4);
  close_notify_after_request();
  drain_announces();
  files();
  error_reply_while_uploading();
  never_reading_peer();
  shutdown_is_not_held();
  drain_in_handshake(false);
  drain_in_handshake(true);
  freed_at_any_time();
  closing();
  lingering_sockets_keep_no_sessions();
  side_forget(&server), side_forget(&client);
  free(big);
  pem_free();
  return DONE();
}
