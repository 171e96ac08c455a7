// Uploads, as seen by the application: events, its handler and c->data afterwards, file systems that fail or cannot rename, its
// own firmware functions.
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static struct mg_fs s_fs;  // what uploads go to

static struct {
  bool firmware, use_default, copied;
  bool silent;  // gives no answer
  bool early;   // answers the head
  bool by_hand;
  bool late;  // begins in MG_EV_READ
  bool resp_at_end, resp_at_close;
  int messages, closes, ends, empty_reads;
  long received;
  char said[70];
  bool own_handler, data_kept;
} s;

static void server(struct mg_connection *c, int ev, void *ev_data);

static void ended(struct mg_connection *c, const char *message) {
  s.ends++;
  mg_snprintf(s.said, sizeof(s.said), "%s", message == NULL ? "fine" : message);
  s.own_handler = c->fn == server;
  s.data_kept = c->data[0] == 'd' && c->data[MG_DATA_SIZE - 1] == 'd';
  s.resp_at_end = c->is_resp;
  if (s.silent) return;
  if (s.by_hand) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  } else {
    mg_http_reply(c, message == NULL ? 200 : 400, "", "%s", s.said);
  }
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_ACCEPT) memset(c->data, 'd', sizeof(c->data));
  if (ev == MG_EV_CLOSE && c->is_accepted) s.closes++, s.resp_at_close = c->is_resp;
  if (ev == MG_EV_POLL && s.silent && s.ends > 0) c->is_resp = 0;
  if (ev == MG_EV_READ && *(long *) ev_data == 0) s.empty_reads++;
  if (ev == MG_EV_READ) s.received += *(long *) ev_data;
  if (ev == MG_EV_READ && s.late) {
    struct mg_http_message own;
    s.late = mg_http_parse((char *) c->recv.buf, c->recv.len, &own) <= 0;
    if (!s.late) mg_http_start_upload(c, &own, mg_str("f"), mg_str("up"), &s_fs, ended);
  }
  if (ev == MG_EV_HTTP_HDRS && hm->uri.len > 1 && hm->uri.buf[1] == 'u') {
    struct mg_str name = mg_str_n(hm->uri.buf + 2, hm->uri.len - 2), copy = s.copied ? mg_strdup(hm->head) : mg_str(NULL);
    struct mg_http_message own;
    if (mg_match(name, mg_str("zero"), NULL)) name = mg_str_n("\0b", 2);
    if (s.early) mg_http_reply(c, 200, "", "early");
    if (s.copied && mg_http_parse(copy.buf, copy.len, &own) > 0) hm = &own;
    if (s.firmware) {
      mg_http_start_ota(c, hm, s.use_default ? NULL : ended);
    } else {
      mg_http_start_upload(c, hm, name, mg_str("up"), &s_fs, s.use_default ? NULL : ended);
    }
    mg_free(copy.buf);
  } else if (ev == MG_EV_HTTP_MSG) {
    s.messages++;
    mg_http_reply(c, 200, "", "%.*s", (int) hm->uri.len, hm->uri.buf);
    if (mg_strcmp(hm->uri, mg_str("/two")) == 0) mg_http_reply(c, 200, "", "second");
  }
}

struct site {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  struct peer p;
};

static void open_site(struct site *t, const char *request) {
  bool firmware = s.firmware, use_default = s.use_default;
  memset(&s, 0, sizeof(s));
  s.firmware = firmware;
  s.use_default = use_default;
  t->listener = serve(&t->mgr, server, NULL);
  peer_open(&t->p, t->listener);
  CHECK(peer_send_text(&t->p, request));
}

static void close_site(struct site *t) {
  peer_free(&t->p);
  mg_mgr_free(&t->mgr);
}

static bool received(struct site *t, const char *want) {
  POLL_UNTIL(&t->mgr, peer_has(&t->p, strlen(want)));
  poll_often(&t->mgr);
  peer_read(&t->p);
  return peer_got(&t->p, want);
}

#define REPLY(n, text) "HTTP/1.1 200 OK\r\nContent-Length: " #n "          \r\n\r\n" text

static void count_names(const char *name, void *arg) {
  (*(int *) arg)++;
  (void) name;
}

static int files(void) {
  int n = 0;
  mg_fs_posix.ls("up", count_names, &n);
  return n;
}

static bool holds(const char *path, const char *text) {
  struct mg_str data = mg_file_read(&mg_fs_posix, path);
  bool same = data.buf != NULL && mg_strcmp(data, mg_str(text)) == 0;
  mg_free(data.buf);
  mg_fs_posix.rm(path);
  return same;
}

// Requests in front of and behind an upload, in one segment and byte by byte.
static void between_requests(void) {
  const char *requests = "GET /a HTTP/1.1\r\n\r\nPUT /uf HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n";
  const char *want = REPLY(2, "/a") REPLY(4, "fine") REPLY(2, "/b");
  struct site t;
  size_t i;
  open_site(&t, requests);
  CHECK(received(&t, want));
  CHECK(s.own_handler && s.data_kept && s.ends == 1 && s.messages == 2);
  CHECK(holds("up/f", "hello"));
  close_site(&t);
  CHECK_EQ(s.closes, 1);

  open_site(&t, "");
  for (i = 0; requests[i] != '\0'; i++) {
    CHECK(peer_send(&t.p, requests + i, 1));
    mg_mgr_poll(&t.mgr, 0);
  }
  CHECK(received(&t, want));
  CHECK(holds("up/f", "hello"));
  close_site(&t);
}

// The message that begins an upload may be the application's own copy.
static void from_a_copy(void) {
  struct site t;
  open_site(&t, "");
  s.copied = true;
  CHECK(peer_send_text(&t.p, "PUT /uf HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n"));
  CHECK(received(&t, REPLY(4, "fine") REPLY(2, "/b")));
  CHECK(holds("up/f", "hello"));
  close_site(&t);
}

// A request that asks for the end of its connection, and gets no answer after the upload: the application may have other plans.
static void without_an_answer(void) {
  const char *request = "PUT /uf HTTP/1.1\r\nConnection: close\r\nContent-Length: 5\r\n\r\n";
  const char *early = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5          \r\n\r\nearly";
  char want[300];
  struct site t;
  // The last needs the next request in the same segment.
  int i, most = getenv("SHORT_IO") == NULL ? 3 : 2;
  for (i = 0; i < most; i++) {
    open_site(&t, "");
    s.silent = i < 2;
    s.early = i > 0;
    s.by_hand = i == 2;
    CHECK(peer_send_text(&t.p, request));
    CHECK(peer_send_text(&t.p, i < 2 ? "hello" : "helloGET /b HTTP/1.1\r\n\r\n"));
    POLL_UNTIL(&t.mgr, s.ends == 1);
    poll_often(&t.mgr);
    CHECK_EQ(s.closes, 0);
    if (i < 2) CHECK(peer_send_text(&t.p, "GET /b HTTP/1.1\r\n\r\n"));
    snprintf(want, sizeof(want), "%s%s%s", i > 0 ? early : "", i == 2 ? "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" : "",
             REPLY(2, "/b"));
    CHECK(received(&t, want));
    CHECK(holds("up/f", "hello"));
    close_site(&t);
  }
}

// Nothing is under way on the connection when an upload has been answered: a drain does not wait for the body.
static void drained_afterwards(void) {
  struct mgx_drain_opts opts;
  struct site t;
  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = 1;
  opts.response_timeout_ms = 100;
  open_site(&t, "PUT /uf HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
  CHECK(received(&t, REPLY(4, "fine")));
  CHECK(t.mgr.conns != t.listener && mgx_conn_drain(t.mgr.conns, &opts));
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(peer_got(&t.p, REPLY(4, "fine")));
  CHECK(holds("up/f", "hello"));
  close_site(&t);
}

static void begun_later(void) {
  struct site t;
  open_site(&t, "");
  s.late = true;
  CHECK(peer_send_text(&t.p, "PUT /later HTTP/1.1\r\nContent-Length: 5\r\n\r\n"));
  POLL_UNTIL(&t.mgr, !s.late);
  CHECK(peer_send_text(&t.p, "hel"));
  poll_often(&t.mgr);
  CHECK(peer_send_text(&t.p, "loGET /b HTTP/1.1\r\n\r\n"));
  CHECK(received(&t, REPLY(4, "fine") REPLY(2, "/b")));
  CHECK(holds("up/f", "hello"));
  close_site(&t);
}

// ---- what writes the body polls

static struct site *s_site;
static const char *s_rest;
static size_t s_rest_len, s_most;
static bool s_throttles;

static struct mg_connection *accepted(struct mg_mgr *mgr) {
  struct mg_connection *c = mgr->conns;
  while (c != NULL && !c->is_accepted) c = c->next;
  return c;
}

static size_t polling_wr(void *fd, const void *buf, size_t len) {
  struct mg_connection *c = accepted(&s_site->mgr);
  int i;
  for (i = 0; i < 50 && c != NULL && !s_throttles; i++) {
    ssize_t n = s_rest_len > 0 ? send(s_site->p.fd, s_rest, s_rest_len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
    if (n > 0) s_rest += n, s_rest_len -= (size_t) n;
    mg_mgr_poll(&s_site->mgr, 0);
    if (c->recv.len > s_most) s_most = c->recv.len;
  }
  if (s_throttles && c != NULL) c->is_full = 1;
  s_throttles = false;
  return mg_fs_posix.wr(fd, buf, len);
}

static void own_protocol(struct mg_connection *c, int ev, void *ev_data) {
  (void) c, (void) ev, (void) ev_data;
}

static bool s_takes;

static size_t interfering_wr(void *fd, const void *buf, size_t len) {
  struct mg_connection *c = accepted(&s_site->mgr);
  if (c != NULL && s_takes) c->pfn = own_protocol;
  if (c != NULL && !s_takes) c->is_closing = 1;
  mg_mgr_poll(&s_site->mgr, 0);
  return mg_fs_posix.wr(fd, buf, len);
}

// Closed or taken over while the last part is written: the connection waits for no answer.
static void no_answer_is_due(void) {
  static struct site t;
  int i;
  s_fs.wr = interfering_wr, s_site = &t;
  for (i = 0; i < 2; i++) {
    s_takes = i == 1;
    open_site(&t, "");
    s.silent = true;
    CHECK(peer_send_text(&t.p, "PUT /uf HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"));
    POLL_UNTIL(&t.mgr, s.ends == 1);
    CHECK(strcmp(s.said, "fine") == 0 && !s.resp_at_end);
    close_site(&t);
    CHECK(s.closes == 1 && !s.resp_at_close);
    CHECK(holds("up/f", "hello"));
  }
  s_fs = mg_fs_posix;
}

// Nothing is read while a part is written: the client waits, however much it has to send.
static void no_more_than_is_written(void) {
  const size_t len = 2000000;
  char *body = make_body(len);
  struct mg_str data;
  struct site t;
  s_fs.wr = polling_wr, s_site = &t, s_rest = body, s_rest_len = len, s_most = 0;
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n");
  while (s_rest_len > 0 && s.closes == 0) {
    ssize_t n = send(t.p.fd, s_rest, s_rest_len < 1000 ? s_rest_len : 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) s_rest += n, s_rest_len -= (size_t) n;
    mg_mgr_poll(&t.mgr, 1);
  }
  CHECK(received(&t, REPLY(4, "fine")));
  CHECK(s_most > 0 && s_most < 200000);
  close_site(&t);
  data = mg_file_read(&mg_fs_posix, "up/f");
  CHECK(data.len == len && memcmp(data.buf, body, len) == 0);
  mg_free(data.buf);
  CHECK(mg_fs_posix.rm("up/f"));
  s_fs = mg_fs_posix;
  free(body);
}

// An application that stops reading does so itself until it goes on.
static void throttled_by_the_application(void) {
  static const char zeros[1000] = "";
  struct mg_connection *c;
  struct site t;
  s_fs.wr = polling_wr, s_site = &t, s_throttles = true;
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
  CHECK(peer_send(&t.p, zeros, 1000));
  POLL_UNTIL(&t.mgr, !s_throttles);
  CHECK(peer_send(&t.p, zeros, 1000));
  poll_often(&t.mgr);
  c = accepted(&t.mgr);
  CHECK(c != NULL && c->is_full && s.ends == 0);
  if (c != NULL) c->is_full = 0;
  CHECK(received(&t, REPLY(4, "fine")));
  CHECK_EQ(s.empty_reads, 0);
  close_site(&t);
  CHECK(mg_fs_posix.rm("up/f"));
  s_fs = mg_fs_posix;
}

static void in_chunks(void) {
  const char *request = "PUT /uf HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const char *body = "5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nTrailer: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n";
  const char *want = REPLY(4, "fine") REPLY(2, "/b");
  struct site t;
  size_t i;
  open_site(&t, request);
  CHECK(peer_send_text(&t.p, body));
  CHECK(received(&t, want));
  CHECK(holds("up/f", "hello world"));
  close_site(&t);
  open_site(&t, request);
  for (i = 0; body[i] != '\0'; i++) {
    CHECK(peer_send(&t.p, body + i, 1));
    mg_mgr_poll(&t.mgr, 0);
  }
  CHECK(received(&t, want));
  CHECK(holds("up/f", "hello world"));
  close_site(&t);
  // Behind more headers than a message has room for.
  open_site(&t, "PUT /uf HTTP/1.1\r\n");
  for (i = 0; i < MG_MAX_HTTP_HEADERS + 2; i++) CHECK(peer_send_text(&t.p, "A: b\r\n"));
  CHECK(peer_send_text(&t.p, "Transfer-Encoding: chunked\r\n\r\n") && peer_send_text(&t.p, body));
  CHECK(received(&t, want));
  CHECK(holds("up/f", "hello world"));
  close_site(&t);
  open_site(&t, request);
  CHECK(peer_send_text(&t.p, "5\r\nhelloX\r\n"));
  POLL_UNTIL(&t.mgr, s.ends == 1);
  CHECK(strcmp(s.said, "Invalid chunk") == 0);
  POLL_UNTIL(&t.mgr, s.closes == 1);
  CHECK_EQ(files(), 0);
  close_site(&t);
}

// No function is given: the library answers, and the connection lives on.
static void answered_by_the_library(void) {
  struct site t;
  s.use_default = true;
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 0\r\n\r\nPUT /ug HTTP/1.1\r\nContent-Length: 1\r\n\r\nxGET /b HTTP/1.1\r\n\r\n");
  CHECK(received(&t, REPLY(3, "ok\n") REPLY(3, "ok\n") REPLY(2, "/b")));
  CHECK(holds("up/f", "") && holds("up/g", "x"));
  close_site(&t);
  open_site(&t, "PUT /u../f HTTP/1.1\r\nContent-Length: 100000\r\n\r\nx");
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(peer_got(&t.p, "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 9          \r\nConnection: close\r\n\r\nbad name\n"));
  CHECK_EQ(s.messages, 0);
  close_site(&t);
  s.use_default = false;
}

static void refused_before_it_begins(void) {
#ifdef _WIN32
  const char *uris[] = {"/u../x", "/u~x", "/unowhere/x", "/udir", "/udir/", "/unul", "/uf:x", "/uf.", "/u", "/uzero"};
  const char *said[] = {"bad name",    "bad name",    "open failed", "open failed", "bad name",
                        "open failed", "open failed", "open failed", "bad name", "bad name"};
  const int made = 1;
#else
  const char *uris[] = {"/u../x", "/u~x", "/unowhere/x", "/udir", "/udir/", "/uout/x", "/u", "/uzero"};
  const char *said[] = {"bad name", "bad name", "open failed", "open failed", "bad name", "open failed", "bad name", "bad name"};
  const int made = 2;
  CHECK(symlink("..", "up/out") == 0);
#endif
  size_t i;
  CHECK(mg_fs_posix.mkd("up/dir"));
  for (i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
    char request[100];
    struct site t;
    snprintf(request, sizeof(request), "PUT %s HTTP/1.1\r\nContent-Length: 2\r\n\r\n", uris[i]);
    open_site(&t, request);
    POLL_UNTIL(&t.mgr, s.ends == 1);
    CHECK(strcmp(s.said, said[i]) == 0);
    CHECK(s.own_handler);
    close_site(&t);
  }
  CHECK_EQ(files(), made);
  CHECK(mg_fs_posix.rm("up/dir"));
  if (made > 1) CHECK(mg_fs_posix.rm("up/out"));
}

static void cut_off(void) {
  struct site t;
  int i;
  CHECK(mg_file_write(&mg_fs_posix, "up/f", "old", 3));
  for (i = 0; i < 4; i++) {
    open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 2000\r\n\r\nx");
    POLL_UNTIL(&t.mgr, files() == 2);
    poll_often(&t.mgr);
    CHECK_EQ(s.ends, 0);
    if (i == 0) peer_shut(&t.p);
    if (i == 1) t.mgr.conns->is_closing = 1;
    if (i == 2) {
      mg_error(t.mgr.conns, "my own");
      CHECK_EQ(s.ends, 1);
      CHECK(strcmp(s.said, "my own") == 0);
    }
    if (i < 3) POLL_UNTIL(&t.mgr, s.closes == 1);
    close_site(&t);
    CHECK(s.ends == 1 && s.closes == 1);
    CHECK(i == 2 || strcmp(s.said, "connection closed") == 0);
    CHECK_EQ(files(), 1);
  }
  CHECK(holds("up/f", "old"));
}

static size_t full_disk(void *fd, const void *buf, size_t len) {
  return mg_fs_posix.wr(fd, buf, len > 600 ? 600 : len);
}

static void full(void) {
  struct site t;
  char *body = make_body(100000);
  s_fs.wr = full_disk;
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
  CHECK(peer_send(&t.p, body, 100000));
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(strcmp(s.said, "write error") == 0 && s.ends == 1);
  // The client gets to know, although it still sends.
  CHECK_EQ(t.p.end, PEER_FIN);
  CHECK(t.p.len > 20 && memcmp(t.p.buf, "HTTP/1.1 400", 12) == 0);
  CHECK_EQ(files(), 0);
  CHECK_EQ(s.messages, 0);
  close_site(&t);
  s_fs = mg_fs_posix;
  free(body);
}

// The file has its name from the start then.
static void without_renaming(void) {
  struct site t;
  s_fs.mv = NULL;
  CHECK(mg_file_write(&mg_fs_posix, "up/f", "older and longer", 16));
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 3\r\n\r\nnew");
  CHECK(received(&t, REPLY(4, "fine")));
  CHECK(holds("up/f", "new"));
  close_site(&t);
  open_site(&t, "PUT /uf HTTP/1.1\r\nContent-Length: 3000\r\n\r\nnew");
  POLL_UNTIL(&t.mgr, files() == 1);
  close_site(&t);
  CHECK_EQ(files(), 0);
  s_fs = mg_fs_posix;
}

// ---- one request for each piece

static long s_result;

static void upload_handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) s_result = mg_http_upload(c, (struct mg_http_message *) ev_data, &s_fs, "up", 1000);
}

static long upload_piece(const char *query, const char *body) {
  char request[6000];
  struct site t;
  t.listener = serve(&t.mgr, upload_handler, NULL);
  peer_open(&t.p, t.listener);
  snprintf(request, sizeof(request), "POST /?%s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s", query, (int) strlen(body), body);
  s_result = -100;
  CHECK(peer_send_text(&t.p, request));
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 20));
  close_site(&t);
  return s_result;
}

static size_t s_longest;

static int no_st(const char *path, size_t *size, time_t *mtime) {
  if (strlen(path) > s_longest) s_longest = strlen(path);
  (void) size, (void) mtime;
  return 0;
}

// A file system of the application's own gets no path of more than 4095 bytes.
static void longest_name(void) {
  char *query = (char *) malloc(5000);
  size_t len;
  s_fs.st = no_st;
  for (len = 4095; len < 4098; len++) {
    s_longest = 0;
    strcpy(query, "file=");
    memset(query + 5, 'n', len - 3);
    query[5 + len - 3] = '\0';
    CHECK(upload_piece(query, "x") < 0);  // nor does the system take a name of that length
    CHECK_EQ(s_longest, len < 4096 ? len : 0);
  }
  // The same where the body goes straight to a file, up/nnn.
  for (len = 4095; len < 4097; len++) {
    struct site t;
    s_longest = 0;
    snprintf(query, 5000, "PUT /u%0*d HTTP/1.1\r\nContent-Length: 2\r\n\r\nxy", (int) len - 3, 0);
    open_site(&t, query);
    POLL_UNTIL(&t.mgr, s.ends == 1);
    CHECK(strcmp(s.said, "fine") != 0);
    CHECK_EQ(s_longest, len < 4096 ? len : 0);
    close_site(&t);
  }
  s_fs = mg_fs_posix;
  free(query);
}

static void uploads_in_pieces(void) {
  char *body = make_body(1000);
  CHECK_EQ(upload_piece("file=f", "hello"), 5);
  CHECK_EQ(upload_piece("file=f&offset=5", " world"), 11);
  CHECK_EQ(upload_piece("file=f&offset=5", "x"), -5);
  CHECK_EQ(upload_piece("file=f&offset=1", "x"), -5);
  CHECK_EQ(upload_piece("file=f&offset=9223372036854775807", "x"), -4);
  CHECK_EQ(upload_piece("file=f&offset=18446744073709551615", "x"), -4);
  CHECK_EQ(upload_piece("file=f&offset=1000", "x"), -4);
  CHECK_EQ(upload_piece("file=a%00b", "x"), -2);
  CHECK_EQ(upload_piece("file=%00", "x"), -2);
  CHECK_EQ(upload_piece("file=%zz", "x"), -1);
  CHECK_EQ(upload_piece("file=%2e%2e%2ff", "x"), -2);
  CHECK_EQ(upload_piece("file=no%2fwhere", "x"), -6);
  CHECK_EQ(upload_piece("file=.", "x"), -6);
  s_fs.wr = full_disk;
  CHECK_EQ(upload_piece("file=f&offset=11", "ok"), 13);
  // What does not fit is taken back: the client may try again.
  body[700] = '\0';
  CHECK_EQ(upload_piece("file=f&offset=13", body), -7);
  CHECK_EQ(upload_piece("file=f", body), -7);
  CHECK_EQ(upload_piece("file=g", body), -7);
  s_fs = mg_fs_posix;
  CHECK_EQ(files(), 1);
  CHECK(holds("up/f", "hello worldok"));
  free(body);
#ifdef _WIN32
  CHECK_EQ(upload_piece("file=f:evil", "x"), -6);
  CHECK_EQ(upload_piece("file=nul", "x"), -6);
  CHECK_EQ(upload_piece("file=sub%5cf", "x"), -6);
  CHECK_EQ(upload_piece("file=f.", "x"), -6);
#else
  CHECK_EQ(symlink("..", "up/out"), 0);
  CHECK_EQ(symlink("in", "up/link"), 0);
  CHECK(mg_fs_posix.mkd("up/in"));
  CHECK_EQ(upload_piece("file=out%2fevil", "x"), -6);
  CHECK_EQ(upload_piece("file=link%2ffine", "x"), 1);
  CHECK(mg_fs_posix.rm("up/in/fine") && mg_fs_posix.rm("up/in") && mg_fs_posix.rm("up/link") && mg_fs_posix.rm("up/out"));
#endif
}

// ---- firmware: the application's own functions

static char s_flash[3000];
static size_t s_expected, s_flashed;
static bool s_begin = true, s_write = true, s_finish = true;
static int s_finished;

bool mg_ota_begin(size_t size) {
  s_expected = size;
  s_flashed = 0;
  return s_begin;
}

bool mg_ota_write(const void *buf, size_t len) {
  if (s_flashed + len > sizeof(s_flash)) return false;
  memcpy(s_flash + s_flashed, buf, len);
  s_flashed += len;
  CHECK(len % 512 == 0 || s_flashed == s_expected);
  return s_write;
}

bool mg_ota_end(void) {
  s_finished++;
  return s_finish;
}

static void firmware(void) {
  char *body = make_body(2000);
  struct site t;
  int i;
  s.firmware = true;
  for (i = 0; i < 4; i++) {
    const char *said[] = {"fine", "ota begin failed", "write error", "OTA finalize failed"};
    s_begin = i != 1;
    s_write = i != 2;
    s_finish = i != 3;
    s_finished = 0;
    open_site(&t, "POST /ux HTTP/1.1\r\nContent-Length: 2000\r\n\r\n");
    CHECK(peer_send(&t.p, body, 700));
    poll_often(&t.mgr);
    CHECK(peer_send(&t.p, body + 700, 1300));
    POLL_UNTIL(&t.mgr, s.ends == 1);
    CHECK(strcmp(s.said, said[i]) == 0);
    CHECK_EQ(s_expected, 2000);
    CHECK_EQ(s_finished, i == 1 ? 0 : 1);
    if (i == 0) CHECK(s_flashed == 2000 && memcmp(s_flash, body, 2000) == 0);
    close_site(&t);
  }
  s.firmware = false;
  free(body);
}

// Firmware that this program downloads: the connection is a client's.
static void download_ended(struct mg_connection *c, const char *message) {
  s.ends++;
  mg_snprintf(s.said, sizeof(s.said), "%s", message == NULL ? "fine" : message);
  c->is_draining = 1;
}

static void one_of_two_ended(struct mg_connection *c, const char *message) {
  s.ends++;
  CHECK((message == NULL) == s_write && c->is_client);
}

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET %s HTTP/1.1\r\n\r\n", c->fn_data == NULL ? "/abc" : (char *) c->fn_data);
  if (ev == MG_EV_HTTP_HDRS && s.ends == 0) {
    mg_http_start_ota(c, (struct mg_http_message *) ev_data, s.use_default ? NULL : c->fn_data == NULL ? download_ended : one_of_two_ended);
  } else if (ev == MG_EV_HTTP_MSG) {
    CHECK(mg_strcmp(((struct mg_http_message *) ev_data)->body, mg_str("second")) == 0);
    s.messages += 10;
    c->is_draining = 1;
  }
  if (ev == MG_EV_READ && *(long *) ev_data == 0) s.empty_reads++;
  if (ev == MG_EV_CLOSE) s.closes += 10;
}

static void downloaded_firmware(void) {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  memset(&s, 0, sizeof(s));
  s_begin = s_write = s_finish = true;
  listener = serve(&mgr, server, NULL);
  mg_http_connect(&mgr, url_of(listener, "http"), client, NULL);
  POLL_UNTIL(&mgr, s.closes >= 10);
  CHECK(strcmp(s.said, "fine") == 0 && s.ends == 1);
  CHECK(s_expected == 4 && s_flashed == 4 && memcmp(s_flash, "/abc", 4) == 0);
  CHECK_EQ(s.empty_reads, 0);
  // Another response is behind it.
  memset(&s, 0, sizeof(s));
  mg_http_connect(&mgr, url_of(listener, "http"), client, (void *) "/two");
  POLL_UNTIL(&mgr, s.closes >= 10);
  CHECK_EQ(s.ends, 1);
  CHECK_EQ(s.messages, 11);
  CHECK_EQ(s.empty_reads, 1);  // which announces it
  // Nobody is told: the server, of all, least.
  memset(&s, 0, sizeof(s));
  s.use_default = true;
  s_finished = 0;
  mg_http_connect(&mgr, url_of(listener, "http"), client, NULL);
  POLL_UNTIL(&mgr, s_finished == 1);
  poll_often(&mgr);
  CHECK_EQ(s.received, strlen("GET /abc HTTP/1.1\r\n\r\n"));
  // It fails: the connection closes.
  memset(&s, 0, sizeof(s));
  s_write = false;
  mg_http_connect(&mgr, url_of(listener, "http"), client, (void *) "/fails");
  POLL_UNTIL(&mgr, s.closes >= 10);
  CHECK_EQ(s.ends, 1);
  s_write = true;
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  s_fs = mg_fs_posix;
  CHECK(mg_fs_posix.mkd("up"));
  without_an_answer();
  begun_later();
  drained_afterwards();
  // With short transfers the first part is not the last.
  if (getenv("SHORT_IO") == NULL) no_answer_is_due();
  between_requests();
  from_a_copy();
  no_more_than_is_written();
  throttled_by_the_application();
  in_chunks();
  answered_by_the_library();
  refused_before_it_begins();
  cut_off();
  full();
  without_renaming();
  longest_name();
  uploads_in_pieces();
  firmware();
  downloaded_firmware();
  return DONE();
}
