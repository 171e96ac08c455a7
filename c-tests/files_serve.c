// Serving files, as seen by the application: the contents of c->send, is_resp, events, draining, custom file systems, includes.
// flags:
// flags: -DMG_ENABLE_DIRLIST=0 -DMG_HTTP_INDEX="start.htm"
#include "mongoose.h"
#include "mongoose_ext.h"

#include <utime.h>

#include "peer.h"

#define LARGE 3000000
#define THEN "Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n"  // 1700000000
#define FIVE "Last-Modified: Thu, 01 Jan 1970 00:00:05 GMT\r\n"  // of the file systems in memory
#define HEAD_AT(type, etag, date, n) \
  "HTTP/1.1 200 OK\r\nContent-Type: " type "\r\nEtag: " etag "\r\n" date "Content-Length: " #n "\r\n\r\n"
#define HEAD(type, etag, n) HEAD_AT(type, etag, THEN, n)
#define TEXT "text/plain; charset=utf-8"
#define NOT_FOUND "HTTP/1.1 404 Not Found\r\nContent-Length: 10         \r\n\r\nNot found\n"

static char *s_large;
static size_t s_left;  // in the open file of the application's file system

// What the handler does, and what it has seen.
static struct {
  struct mg_http_serve_opts opts;
  const char *file;
  bool drain, close_other;
  int messages, closes, reads, looks, resp_after, resp_in_last_write, resp_at_close, hexdump;
  size_t written, queued, left_at_close;
  long status;
  bool handle, handle_at_close;
  struct mg_fs *fs;  // of the file being sent
  char in_write;     // X: sends it after the head, C: closes
  unsigned char data[MG_DATA_SIZE];
} s;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    memset(c->data, 'd', sizeof(c->data));
    c->is_hexdumping = s.hexdump != 0;
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    size_t start = c->send.len;
    s.messages++;
    if (s.file != NULL) {
      mg_http_serve_file(c, hm, s.file, &s.opts);
    } else {
      mg_http_serve_dir(c, hm, &s.opts);
    }
    s.status = strtol((char *) c->send.buf + start + 9, NULL, 10);
    s.queued = c->send.len;
    s.resp_after = c->is_resp;
    s.handle = c->pfn_data != NULL;
    s.fs = s.handle ? ((struct mg_fd *) c->pfn_data)->fs : NULL;
    if (s.drain) c->is_draining = 1;
  } else if (ev == MG_EV_READ) {
    s.reads++;
    s.looks += *(long *) ev_data == 0;
  } else if (ev == MG_EV_WRITE) {
    s.written += (size_t) *(long *) ev_data;
    s.resp_in_last_write = c->is_resp;
    if (s.in_write == 'X') mg_send(c, "X", 1);
    if (s.in_write == 'C') c->is_closing = 1;
    s.in_write = '\0';
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    s.closes++;
    s.resp_at_close = c->is_resp;
    s.handle_at_close = c->pfn_data != NULL;
    s.left_at_close = s_left;
    memcpy(s.data, c->data, sizeof(s.data));
  }
}

static bool write_file(const char *path, const char *text) {
  struct utimbuf times = {1700000000, 1700000000};
  return mg_file_write(&mg_fs_posix, path, text, strlen(text)) && utime(path, &times) == 0;
}

struct site {
  struct mg_mgr mgr;
  struct mg_connection *listener;
  struct peer p;
};

static bool s_read_by_library;  // because a client that has gone could kill the process otherwise

static void open_site(struct site *t, const char *request) {
  s.messages = s.closes = 0;
  s.written = 0;
  t->listener = serve(&t->mgr, server, NULL);
#ifdef __linux__
  if (s_read_by_library) signal(SIGPIPE, SIG_DFL);
#endif
  peer_open(&t->p, t->listener);
  CHECK(peer_send_text(&t->p, request));
}

static void close_site(struct site *t) {
  peer_free(&t->p);
  mg_mgr_free(&t->mgr);
}

// One request; all that comes back.
static bool answered(const char *request, const char *want) {
  struct site t;
  bool same;
  open_site(&t, request);
  POLL_UNTIL(&t.mgr, peer_has(&t.p, strlen(want)));
  poll_often(&t.mgr);
  peer_read(&t.p);
  same = peer_got(&t.p, want);
  close_site(&t);
  return same;
}

static void reset(void) {
  memset(&s, 0, sizeof(s));
  s.opts.root_dir = "www";
}

// The head of the large file, in memory that is used again.
static const char *large_head(const char *more) {
  static char head[300];
  snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: " TEXT "\r\nEtag: \"1700000000.%d\"\r\n" THEN "Content-Length: %d\r\n%s\r\n", LARGE, LARGE, more);
  return head;
}

static bool received_large_file(struct peer *p, size_t ofs, const char *more) {
  const char *head = large_head(more);
  size_t n = strlen(head);
  return p->len >= ofs + n + LARGE && memcmp(p->buf + ofs, head, n) == 0 && memcmp(p->buf + ofs + n, s_large, LARGE) == 0;
}

static void what_a_handler_sees(void) {
  struct mgx_drain_status drain;
  struct site t;
  size_t total = strlen(large_head("")) + LARGE;
  reset();
  open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, s.messages == 1);
  // To ask how much is unsent changes nothing.
  mgx_mgr_drain_status(&t.mgr, &drain);
  CHECK(drain.unsent_bytes > 0 && drain.unsent_bytes <= total);
  CHECK_EQ(s.status, 200);
  CHECK_EQ(s.resp_after, 1);
  CHECK(s.handle && s.fs == &mg_fs_posix);
  CHECK(s.queued >= strlen(large_head("")));
  POLL_UNTIL(&t.mgr, peer_has(&t.p, total));
  CHECK(received_large_file(&t.p, 0, "") && t.p.len == total);
  poll_often(&t.mgr);
  CHECK_EQ(s.written, total);
  CHECK_EQ(s.resp_in_last_write, 0);
  // The connection goes on.
  t.p.len = 0;
  CHECK(peer_send_text(&t.p, "GET /small HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 100));
  CHECK(peer_got(&t.p, HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
  CHECK_EQ(s.resp_after, 0);
  CHECK(!s.handle);
  close_site(&t);
  CHECK_EQ(s.closes, 1);
  CHECK_EQ(s.data[0], 'd');
  CHECK_EQ(s.data[MG_DATA_SIZE - 1], 'd');
}

static void pipelined(void) {
  struct site t;
  size_t one = strlen(large_head("")) + LARGE;
  reset();
  open_site(&t, "GET /large HTTP/1.1\r\n\r\nGET /large HTTP/1.1\r\n\r\nHEAD /large HTTP/1.1\r\n\r\nGET /small HTTP/1.1\r\n\r\n");
  // The second request is not looked at while the first is being answered.
  POLL_UNTIL(&t.mgr, s.messages == 1);
  mg_mgr_poll(&t.mgr, 0);
  CHECK_EQ(s.messages, 1);
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 2 * one + strlen(large_head("")) + 100));
  CHECK_EQ(s.messages, 4);
  CHECK(received_large_file(&t.p, 0, "") && received_large_file(&t.p, one, ""));
  CHECK(t.p.len > 5 && memcmp(t.p.buf + t.p.len - 5, "small", 5) == 0);
  close_site(&t);
}

// What waits behind a file is looked at as soon as its last byte is sent, in a poll that would sleep otherwise; and only then.
static void behind_a_file(const char *more, bool whole) {
  struct site t;
  const size_t one = strlen(large_head("")) + LARGE;
  const uint64_t end = real_ms() + 50000;
  char request[100];
  reset();
  snprintf(request, sizeof(request), "GET /large HTTP/1.1\r\n\r\n%s", more);
  open_site(&t, request);
  if (whole) {
    while (s.messages < 2 && real_ms() < end) {
      mg_mgr_poll(&t.mgr, 20000);
      peer_read(&t.p);
    }
    CHECK(real_ms() < end - 30000);
  }
  POLL_UNTIL(&t.mgr, peer_has(&t.p, one + (whole ? strlen(large_head("")) : 0)));
  poll_often(&t.mgr);
  CHECK(received_large_file(&t.p, 0, "") && s.messages == 1 + whole);
  CHECK_EQ(s.looks, *more != '\0');
  close_site(&t);
}

static void behind_files(void) {
  behind_a_file("", false);
  behind_a_file("G", false);
  behind_a_file("HEAD /large HTTP/1.1\r\n\r\n", true);
}

// With files that the kernel copies, and with those that the library reads.
static void both_ways(void (*test)(void)) {
  test();
#ifdef __linux__
  s_read_by_library = true;
  test();
  s_read_by_library = false;
  signal(SIGPIPE, SIG_IGN);
#endif
}

// Draining, half-close and Connection: close wait for the last byte, and the head says that it is the last.
static void ends_after_the_last_byte(void) {
  const char *requests[] = {"GET /large HTTP/1.1\r\n\r\n", "GET /large HTTP/1.1\r\nConnection: close\r\n\r\n", "GET /large HTTP/1.0\r\n\r\n",
                            "GET /large HTTP/1.1\r\nConnection: close\r\n\r\nGET /small HTTP/1.1\r\n\r\n"};
  struct mg_fs own = mg_fs_posix;
  size_t i, fs;
  own.mkd = NULL;
  for (fs = 0; fs < 2; fs++) {
    for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
      struct site t;
      reset();
      own.rd = mg_fs_posix.rd;
      s.opts.fs = fs == 0 ? NULL : &own;
      s.drain = i == 0;
      open_site(&t, requests[i]);
      POLL_UNTIL(&t.mgr, peer_read(&t.p));
      CHECK_EQ(t.p.end, PEER_FIN);
      CHECK(received_large_file(&t.p, 0, "Connection: close\r\n"));
      CHECK_EQ(t.p.len, strlen(large_head("Connection: close\r\n")) + LARGE);
      POLL_UNTIL(&t.mgr, s.closes == 1);
      CHECK_EQ(s.messages, 1);
      close_site(&t);
    }
  }
}

static void half_close(void) {
  struct site t;
  reset();
  open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
  peer_shut(&t.p);
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(t.p.end == PEER_FIN && received_large_file(&t.p, 0, ""));
  close_site(&t);
}

static void early_disconnect_closes_the_file(void) {
  struct site t;
  size_t files;
  int i;
  reset();
  for (i = 0; i < 3; i++) {
    open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
    files = open_files();
    POLL_UNTIL(&t.mgr, s.messages == 1);
    poll_often(&t.mgr);
    if (i == 0) {
      // The client goes.
      peer_free(&t.p);
      POLL_UNTIL(&t.mgr, s.closes == 1);
      mg_mgr_free(&t.mgr);
    } else if (i == 1) {
      // The application closes.
      struct mg_connection *c;
      for (c = t.mgr.conns; c != NULL; c = c->next) c->is_closing = c->is_accepted;
      POLL_UNTIL(&t.mgr, s.closes == 1);
      CHECK_EQ(open_files(), files);  // of the connection's own socket only its peer is left
      close_site(&t);
    } else {
      close_site(&t);
      CHECK_EQ(s.closes, 1);
    }
  }
  files = open_files();
  open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, s.messages == 1);
  close_site(&t);
  CHECK_EQ(open_files(), files);
}

// ---- a file system of the application's own: it has no descriptors, and gives as little as it likes

static int own_st(const char *path, size_t *size, time_t *mtime) {
  const bool z = strcmp(path, "own/z") == 0;
  if (!z && strcmp(path, "own/file") != 0) return strcmp(path, "own") == 0 ? MG_FS_DIR : 0;
  if (size != NULL) *size = LARGE;
  if (mtime != NULL) *mtime = 5;
  return MG_FS_READ;
}

static void own_ls(const char *path, void (*fn)(const char *, void *), void *arg) {
  fn("z", arg);
  fn("file", arg);
  (void) path;
}

static void *own_op(const char *path, int flags) {
  s_left = LARGE;
  return (strcmp(path, "own/file") == 0 || strcmp(path, "own/z") == 0) && flags == MG_FS_READ ? &s_left : NULL;
}

static void own_cl(void *fd) {
  *(size_t *) fd = 12345;
}

static size_t own_rd(void *fd, void *buf, size_t len) {
  size_t *left = (size_t *) fd, n = len < 1000 ? len : 1000;
  if (n > *left) n = *left;
  memcpy(buf, s_large + (LARGE - *left), n);
  *left -= n;
  return n;
}

static size_t own_short_rd(void *fd, void *buf, size_t len) {
  return *(size_t *) fd < LARGE / 2 ? 0 : own_rd(fd, buf, len);
}

static size_t own_sk(void *fd, size_t offset) {
  *(size_t *) fd = LARGE - offset;
  return offset;
}

static size_t own_no_rd(void *fd, void *buf, size_t len) {
  (void) fd, (void) buf, (void) len;
  return 0;
}

static size_t own_no_sk(void *fd, size_t offset) {
  (void) fd;
  return offset + 1;
}

static void own_file_system(void) {
  static struct mg_fs own;
  char head[200];
  struct site t;
  size_t n;
  own.st = own_st;
  own.ls = own_ls;
  own.op = own_op;
  own.cl = own_cl;
  own.rd = own_rd;
  own.sk = own_sk;
  reset();
  s.opts.root_dir = "own";
  s.opts.fs = &own;
  n = (size_t) snprintf(head, sizeof(head), HEAD_AT(TEXT, "\"5.%d\"", FIVE, %d), LARGE, LARGE);
  open_site(&t, "GET /file HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, n + LARGE));
  CHECK(memcmp(t.p.buf, head, n) == 0 && memcmp(t.p.buf + n, s_large, LARGE) == 0);
  poll_often(&t.mgr);
  CHECK_EQ(s_left, 12345);
  CHECK_EQ(s.written, n + LARGE);
  t.p.len = 0;
  CHECK(peer_send_text(&t.p, "GET /file HTTP/1.1\r\nRange: bytes=2999990-\r\n\r\n"));
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 150));
  CHECK(t.p.len > 10 && memcmp(t.p.buf + t.p.len - 10, s_large + LARGE - 10, 10) == 0);
  close_site(&t);
  // Less than was announced: only the end of the connection can say so.
  own.rd = own_short_rd;
  open_site(&t, "GET /file HTTP/1.1\r\n\r\nGET /file HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(t.p.end == PEER_FIN && t.p.len > LARGE / 2 && t.p.len < LARGE);
  CHECK_EQ(s_left, 12345);
  CHECK_EQ(s.messages, 1);
  POLL_UNTIL(&t.mgr, s.closes == 1);
  CHECK_EQ(s.resp_at_close, 0);
  close_site(&t);
  // Nothing at all: the head is already there.
  own.rd = own_no_rd;
  open_site(&t, "GET /file HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(t.p.end == PEER_FIN && peer_got_bytes(&t.p, head, n));
  close_site(&t);
  // No such place in the file.
  own.sk = own_no_sk;
  CHECK(answered("GET /file HTTP/1.1\r\nRange: bytes=5-\r\n\r\n",
                 "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 21         \r\n\r\nCannot read the file\n"));
  own.rd = own_rd, own.sk = own_sk;
  // The client goes meanwhile: when the application hears of it, the file is closed and the connection as before.
  open_site(&t, "GET /file HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, s.messages == 1);
  CHECK(s.handle);
  peer_free(&t.p);
  POLL_UNTIL(&t.mgr, s.closes == 1);
  CHECK(!s.handle_at_close);
  CHECK_EQ(s.left_at_close, 12345);
  close_site(&t);
#if MG_ENABLE_DIRLIST
  // The order of the entries is the file system's.
  open_site(&t, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 1500));
  CHECK(mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#>Index of /<#"), NULL));
  CHECK(mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#>z<#>file<#"), NULL));
  close_site(&t);
#endif
}

static const unsigned char s_page[] = "<p>packed", s_gz[] = "GZ";
static const struct mg_mem_file s_files[] = {
    {"/web_root/a.html", s_page, 9, 5},      {"/web_root/d/index.html", s_page, 9, 5}, {"/web_root/d/start.htm", s_page, 9, 5},
    {"/web_root/index.html.gz", s_gz, 2, 5}, {"/web_root/start.htm.gz", s_gz, 2, 5},   {NULL, NULL, 0, 0},
};

static void packed(void) {
  reset();
  s.opts.root_dir = "/web_root";
  s.opts.fs = &mg_fs_packed;
  CHECK(answered("GET /a.html HTTP/1.1\r\n\r\n", NOT_FOUND));
  mg_mem_files = s_files;
  CHECK(answered("GET /a.html HTTP/1.1\r\n\r\n", HEAD_AT("text/html; charset=utf-8", "\"5.9\"", FIVE, 9) "<p>packed"));
  CHECK(answered("GET /d/ HTTP/1.1\r\n\r\n", HEAD_AT("text/html; charset=utf-8", "\"5.9\"", FIVE, 9) "<p>packed"));
  CHECK(answered("GET /d HTTP/1.1\r\n\r\n", "HTTP/1.1 301 Moved\r\nLocation: /d/\r\nContent-Length: 0\r\n\r\n"));
  CHECK(answered("GET / HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
                 "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nEtag: \"5.2\"\r\n" FIVE "Vary: Accept-Encoding\r\nContent-Length: 2\r\nContent-Encoding: "
                 "gzip\r\n\r\nGZ"));
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  // The path is the URI.
  s.opts.root_dir = "";
  CHECK(answered("GET /web_root/a.html HTTP/1.1\r\n\r\n", HEAD_AT("text/html; charset=utf-8", "\"5.9\"", FIVE, 9) "<p>packed"));
  mg_mem_files = NULL;
}

static void one_file(void) {
  reset();
  s.opts.root_dir = NULL;
  s.file = "www/small";
  CHECK(answered("GET /whatever HTTP/1.1\r\n\r\n", HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
  s.file = "www";
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  s.file = "www/pipe";
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  s.file = "/dev/zero";
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  s.file = "";
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  CHECK(answered("HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 10         \r\n\r\n"));
}

#define TAG "Etag: \"1700000000.5\"\r\n" THEN
#define NOT_MODIFIED "HTTP/1.1 304 Not Modified\r\n" TAG "X: y\r\n\r\n"
#define FAILED "HTTP/1.1 412 Precondition Failed\r\n" TAG "X: y\r\nContent-Length: 0\r\n\r\n"
#define WHOLE "HTTP/1.1 200 OK\r\nContent-Type: " TEXT "\r\n" TAG "Content-Length: 5\r\nX: y\r\n\r\nsmall"
#define PART(a, b, n, text)                                                                                                       \
  "HTTP/1.1 206 Partial Content\r\nContent-Type: " TEXT "\r\n" TAG "Content-Length: " #n "\r\nContent-Range: bytes " #a "-" #b "/5\r\n" \
  "X: y\r\n\r\n" text

static void conditions(void) {
  static const char *table[][2] = {
      {"If-None-Match: W/\"1700000000.5\"", NOT_MODIFIED},
      {"If-None-Match: \"x\", \"1700000000.5\"", NOT_MODIFIED},
      {"If-None-Match: \"x\"\r\nIf-None-Match: \"1700000000.5\"", NOT_MODIFIED},
      {"If-None-Match: *", NOT_MODIFIED},
      {"If-None-Match: \"x\"", WHOLE},
      {"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT", NOT_MODIFIED},
      {"If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT", NOT_MODIFIED},
      {"If-Modified-Since: Tue Nov 14 22:13:20 2023", NOT_MODIFIED},
      {"If-Modified-Since: Tue, 14 Nov 2023 22:13:19 GMT", WHOLE},
      {"If-Modified-Since: today", WHOLE},
      {"If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\nIf-None-Match: \"x\"", WHOLE},
      {"If-Match: \"1700000000.5\"", WHOLE},
      {"If-Match: W/\"1700000000.5\"", FAILED},
      {"If-Unmodified-Since: Tue, 14 Nov 2023 22:13:19 GMT", FAILED},
      {"Range: bytes=1-99", PART(1, 4, 4, "mall")},
      {"Range: bytes=1-2\r\nRange: bytes=0-0", PART(1, 2, 2, "ma")},
      {"Range: bytes=1-2\r\nIf-Range: Tue, 14 Nov 2023 22:13:20 GMT", PART(1, 2, 2, "ma")},
      {"Range: bytes=1-2\r\nIf-Range: \"1700000000.5\"", PART(1, 2, 2, "ma")},
      {"Range: bytes=1-2\r\nIf-Range: W/\"1700000000.5\"", WHOLE},
      {"Range: bytes=1-2\r\nIf-Range: Tue, 14 Nov 2023 22:13:19 GMT", WHOLE},
      {"Range: bytes=1-2\r\nIf-None-Match: \"1700000000.5\"", NOT_MODIFIED},
  };
  size_t i;
  for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
    char request[300];
    reset();
    s.opts.extra_headers = "X: y\r\n";
    snprintf(request, sizeof(request), "GET /small HTTP/1.1\r\n%s\r\n\r\n", table[i][0]);
    if (!answered(request, table[i][1])) {
      fprintf(stderr, "for %s\n", table[i][0]);
      CHECK(0);
    }
  }
  // The answer to HEAD is the same, without the body.
  CHECK(answered("HEAD /small HTTP/1.1\r\nIf-None-Match: *\r\n\r\n", NOT_MODIFIED));
}

// The first second that a file may be from.
static void very_old(void) {
  struct utimbuf times = {1, 1};
  reset();
  CHECK(write_file("www/old", "old") && utime("www/old", &times) == 0);
  CHECK(answered("GET /old HTTP/1.1\r\n\r\n",
                 HEAD_AT(TEXT, "\"1.3\"", "Last-Modified: Thu, 01 Jan 1970 00:00:01 GMT\r\n", 3) "old"));
  CHECK(mg_fs_posix.rm("www/old"));
}

// After each kind of answer the next request is answered.
static void answers_end(void) {
  const char *requests[] = {"GET /small HTTP/1.1\r\nIf-None-Match: *\r\n\r\n", "GET /small HTTP/1.1\r\nIf-Match: \"x\"\r\n\r\n",
                            "HEAD /large HTTP/1.1\r\n\r\n", "GET /none HTTP/1.1\r\n\r\n", "GET /small HTTP/1.1\r\nRange: bytes=9-\r\n\r\n",
                            "GET /empty HTTP/1.1\r\n\r\n", "GET /d HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
                            "PUT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "GET /%00 HTTP/1.1\r\n\r\n"};
  size_t i;
  CHECK(write_file("www/empty", ""));
  for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
    struct site t;
    reset();
    open_site(&t, requests[i]);
    POLL_UNTIL(&t.mgr, s.messages == 1);
    CHECK_EQ(s.resp_after, 0);
    CHECK(peer_send_text(&t.p, "GET /small HTTP/1.1\r\n\r\n"));
    POLL_UNTIL(&t.mgr, (peer_read(&t.p), t.p.len > 5 && memcmp(t.p.buf + t.p.len - 5, "small", 5) == 0));
    close_site(&t);
  }
}

static void methods(void) {
  const char *others[] = {"DELETE", "PUT", "PATCH", "PROPFIND", "TRACE"}, *uris[] = {"/small", "/nowhere", "/d", "/d/"};
  size_t i, k;
  for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    for (k = 0; k < sizeof(uris) / sizeof(uris[0]); k++) {
      char request[100];
      reset();
      snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nContent-Length: 0\r\n\r\n", others[i], uris[k]);
      CHECK(answered(request, "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD, POST\r\nContent-Length: 19         \r\n\r\n"
                              "Method not allowed\n"));
    }
  }
  reset();
  CHECK(answered("POST /small HTTP/1.1\r\nContent-Length: 0\r\n\r\n", HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
  CHECK(answered("GET /d?a=1&b=/x HTTP/1.1\r\n\r\n", "HTTP/1.1 301 Moved\r\nLocation: /d/?a=1&b=/x\r\nContent-Length: 0\r\n\r\n"));
}

#define VARIES "Etag: \"1700000000.2\"\r\n" THEN "Vary: Accept-Encoding\r\nContent-Length: 2\r\n"
#define SCRIPT "HTTP/1.1 200 OK\r\nContent-Type: text/javascript; charset=utf-8\r\n"

static void compressed_beside(void) {
  reset();
  CHECK(write_file("www/v.MJS", "1;") && write_file("www/v.MJS.gz", "GZ"));
  CHECK(answered("GET /v.MJS HTTP/1.1\r\n\r\n", SCRIPT VARIES "\r\n1;"));
  CHECK(answered("GET /v.MJS HTTP/1.1\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip\r\n\r\n", SCRIPT VARIES "Content-Encoding: gzip\r\n\r\nGZ"));
  CHECK(answered("GET /v.MJS HTTP/1.1\r\nIf-None-Match: *\r\n\r\n",
                 "HTTP/1.1 304 Not Modified\r\nEtag: \"1700000000.2\"\r\n" THEN "Vary: Accept-Encoding\r\n\r\n"));
  s.opts.mime_types = "mjs=x/y";
  CHECK(answered("GET /v.MJS HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\n" VARIES "\r\n1;"));
  // One that is out of date is not there.
  CHECK(mg_file_write(&mg_fs_posix, "www/v.MJS", "2;", 2));
  CHECK(mg_fs_posix.rm("www/v.MJS.gz") && write_file("www/v.MJS.gz", "GZ") && write_file("www/w.MJS", "2;"));
  CHECK(answered("GET /w.MJS HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: x/y\r\nEtag: \"1700000000.2\"\r\n" THEN
                                                 "Content-Length: 2\r\n\r\n2;"));
}

// Without a root there is nothing to serve, least of all the machine's own root.
static void no_root(void) {
  const char *roots[] = {NULL, "", ",", "/o=www"};
  size_t i;
  for (i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
    reset();
    s.opts.root_dir = roots[i];
    CHECK(answered("GET /etc/passwd HTTP/1.1\r\n\r\n", NOT_FOUND));
    CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  }
  reset();
  CHECK(answered("GET //d HTTP/1.1\r\n\r\n", "HTTP/1.1 301 Moved\r\nLocation: /d/\r\nContent-Length: 0\r\n\r\n"));
  CHECK(answered("GET /a%00b HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Length: 12         \r\n\r\nInvalid path"));
  CHECK(answered("GET /a%zz HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Length: 12         \r\n\r\nInvalid path"));
}

static void too_long(void) {
  char *request = (char *) malloc(10000), *root = (char *) malloc(10000);
  const char *want = "HTTP/1.1 400 Bad Request\r\nContent-Length: 18         \r\n\r\nExceeded path size";
  reset();
  memset(root, 'r', 9999);
  snprintf(request, 10000, "GET /%.5000s HTTP/1.1\r\n\r\n", root);
  CHECK(answered(request, want));
  root[5000] = '\0';
  s.opts.root_dir = root;
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", want));
  free(request);
  free(root);
}

static void long_names(void) {
  char path[400] = "www/", request[500];
  size_t i;
  reset();
#ifdef _WIN32
  return;  // has no path of that length
#endif
  for (i = 0; i < 3; i++) {
    memset(path + strlen(path), 'n', 100);
    CHECK(mg_fs_posix.mkd(path));
    strcat(path, "/");
  }
  strcat(path, "f");
  CHECK(write_file(path, "small"));
  snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", path + 3);
  CHECK(answered(request, HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
}

static void directories(void) {
  reset();
#if MG_ENABLE_DIRLIST
  struct site t;
  CHECK(mg_fs_posix.mkd("www/d/a+b"));
  open_site(&t, "GET /d/a+b/ HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 100) && mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#</html>#"), NULL));
  CHECK(mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#>Index of /d/a+b/<#"), NULL));
  close_site(&t);
  // Sorted, in whatever order the system returns them.
  CHECK(write_file("www/d/a+b/g", "") && write_file("www/d/a+b/c", "") && write_file("www/d/a+b/e", "") && write_file("www/d/a+b/a", ""));
  CHECK(write_file("www/d/a+b/b", "") && write_file("www/d/a+b/f", "") && write_file("www/d/a+b/h", "") && write_file("www/d/a+b/d", ""));
  open_site(&t, "GET /d/a+b/ HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 100) && mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#</html>#"), NULL));
  CHECK(mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("#>a<#>b<#>c<#>d<#>e<#>f<#>g<#>h<#"), NULL));
  close_site(&t);
#endif
#ifndef _WIN32
  CHECK(mg_fs_posix.mkd("outside") && symlink("../outside", "www/out") == 0);
  CHECK(answered("GET /out/ HTTP/1.1\r\n\r\n", NOT_FOUND));
  // Nor is what a link leads to a compressed form of anything.
  CHECK(write_file("outside/small.gz", "GZ") && symlink("../outside/small.gz", "www/small.gz") == 0);
  CHECK(answered("GET /small HTTP/1.1\r\n\r\n", HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
  CHECK(unlink("www/small.gz") == 0);
  CHECK(unlink("www/out") == 0);
#endif
  // A root that is no directory.
  s.opts.root_dir = "www/small";
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", NOT_FOUND));
  s.opts.root_dir = "www";
  CHECK(write_file("www/d/start.htm", "start") && write_file("www/d/index.html", "index"));
#if MG_ENABLE_DIRLIST
  CHECK(answered("GET /d/ HTTP/1.1\r\n\r\n", HEAD("text/html; charset=utf-8", "\"1700000000.5\"", 5) "index"));
#else
  CHECK(answered("GET /d/ HTTP/1.1\r\n\r\n", HEAD("text/html; charset=utf-8", "\"1700000000.5\"", 5) "start"));
  CHECK(answered("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 403 Forbidden\r\nContent-Length: 10         \r\n\r\nForbidden\n"));
#endif
  s.opts.page404 = "www/small";
  CHECK(answered("GET /nowhere HTTP/1.1\r\n\r\n", HEAD(TEXT, "\"1700000000.5\"", 5) "small"));
}

// ---- server-side includes

static void direct(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_str uri;
  if (ev != MG_EV_HTTP_MSG) return;
  uri = ((struct mg_http_message *) ev_data)->uri;
  if (uri.buf[1] == 'h') mg_http_serve_ssi(c, "www", "here.shtml");
  else if (uri.buf[1] == 'd') mg_http_serve_ssi(c, "www/d", "www/d/p.shtml");
  else mg_http_serve_ssi(c, "www", uri.buf[1] == 'p' ? "www/p.shtml" : "www/no");
}

#define SSI_5 "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 5          \r\n\r\n"
#define SSI(n) "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: " #n "          \r\n\r\n"

static void includes(void) {
  struct site t;
  struct mg_str got;
  uint64_t start;
  reset();
  s.opts.ssi_pattern = "#.shtml";
  CHECK(write_file("www/p.shtml", "[<!--#include file=\"small\" --><!--#include virtual=\"/small\" -->]"));
  CHECK(answered("GET /p.shtml HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 12         \r\n\r\n[smallsmall]"));
  CHECK(answered("HEAD /p.shtml HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 12         \r\n\r\n"));
  CHECK(write_file("www/virtual.shtml", "<!--#include virtual=\"small\" -->"));
  CHECK(answered("GET /virtual.shtml HTTP/1.1\r\n\r\n", SSI_5 "small"));
  CHECK(write_file("www/empty.shtml", ""));
  CHECK(answered("GET /empty.shtml HTTP/1.1\r\n\r\n", SSI(0)));
  CHECK(mg_file_write(&mg_fs_posix, "www/zero.shtml", "a\0b", 3));
  reset();
  s.opts.ssi_pattern = "#.shtml";
  s.opts.root_dir = "/x=nowhere,www";
  CHECK(answered("GET /p.shtml HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 12         \r\n\r\n[smallsmall]"));
  // A page that includes itself ten times would be a million pages.
  CHECK(write_file("www/bomb.shtml", "x<!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" -->"
                                     "<!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" -->"
                                     "<!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" --><!--#include file=\"bomb.shtml\" -->"
                                     "<!--#include file=\"bomb.shtml\" -->"));
  start = real_ms();
  open_site(&t, "GET /bomb.shtml HTTP/1.1\r\n\r\nGET /zero.shtml HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 200) && memcmp(t.p.buf + t.p.len - 3, "a\0b", 3) == 0);
  CHECK(t.p.len < 5000 && real_ms() - start < 5000);
  close_site(&t);

  t.listener = serve(&t.mgr, direct, NULL);
  peer_open(&t.p, t.listener);
  CHECK(write_file("here.shtml", "[<!--#include file=\"beside\" -->]") && write_file("beside", "beside"));
  CHECK(write_file("www/d/p.shtml", "[<!--#include file=\"f\" --><!--#include file=\"out\" -->]") && write_file("www/d/f", "f"));
#ifndef _WIN32
  CHECK(symlink("../small", "www/d/out") == 0);
#endif
  CHECK(peer_send_text(&t.p, "GET /p HTTP/1.1\r\n\r\nGET /here HTTP/1.1\r\n\r\nGET /d HTTP/1.1\r\n\r\nGET /no HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&t.mgr, (peer_read(&t.p), t.p.len > 10 && memcmp(t.p.buf + t.p.len - 10, "Not found\n", 10) == 0));
  got = mg_str_n(t.p.buf, t.p.len);
  // Neither the root nor the page's own directory holds what a link leads to.
  CHECK(mg_match(got, mg_str("HTTP/1.1 200 OK#[smallsmall]HTTP/1.1 200 OK#[beside]HTTP/1.1 200 OK#[f]HTTP/1.1 404 Not Found#"), NULL));
  close_site(&t);
}

static char s_log[500];

static size_t s_left_when_logged;

static void keep_log(char ch, void *arg) {
  size_t n = strlen(s_log);
  if (n + 1 < sizeof(s_log)) s_log[n] = ch;
  s_left_when_logged = s_left;
  (void) arg;
}

static bool sparse_file(const char *path, size_t size, const char *text) {
  FILE *f = fopen(path, "wb");
  bool done = f != NULL && fputs(text, f) >= 0 && (size == 0 || (fseek(f, (long) size - 1, SEEK_SET) == 0 && fputc('z', f) == 'z'));
  return f != NULL && fclose(f) == 0 && done;
}

// The log tells of a file that ends too early, and only of that; a page ends there.
static void shorter_than_announced(void) {
  static struct mg_fs own;
  struct site t;
  int i;
  own.st = own_st, own.op = own_op, own.cl = own_cl, own.sk = own_sk;
  reset();
  s.opts.root_dir = "own";
  s.opts.fs = &own;
  mg_log_set_fn(keep_log, NULL);
  for (i = 0; i < 2; i++) {
    own.rd = i == 0 ? own_rd : own_short_rd;
    memset(s_log, 0, sizeof(s_log));
    mg_log_set(MG_LL_ERROR);
    open_site(&t, "GET /file HTTP/1.1\r\nConnection: close\r\n\r\n");
    POLL_UNTIL(&t.mgr, peer_read(&t.p));
    mg_log_set(MG_LL_NONE);
    CHECK((strstr(s_log, "file was truncated while being sent") != NULL) == (i == 1));
    if (i == 1) CHECK_EQ(s_left_when_logged, 12345);  // closed already
    close_site(&t);
  }
  mg_log_set_fn(mg_pfn_stdout, NULL);
  s.opts.ssi_pattern = "#file";
  open_site(&t, "GET /file HTTP/1.1\r\nConnection: close\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(mg_match(mg_str_n(t.p.buf, t.p.len), mg_str("HTTP/1.1 200 OK#\r\nContent-Length: 1501000 #"), NULL));
  close_site(&t);
}

#ifndef _WIN32  // which truncates no file that is open
// The client gets what the file still has, and not a byte more.
static void truncated(void) {
  struct site t;
  const size_t head = strlen(large_head("")), left = LARGE - 500003;
  reset();
  CHECK(write_file("www/cut", s_large));
  open_site(&t, "GET /cut HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, s.messages == 1);
  CHECK(truncate("www/cut", (off_t) left) == 0);
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK(t.p.len == head + left && memcmp(t.p.buf + head, s_large, left) == 0);
  close_site(&t);
  CHECK(remove("www/cut") == 0);
}
#endif

// The length of a page and, in `s_log`, what is said of it. 0: it is refused.
static size_t page_length(const char *request) {
  struct site t;
  struct mg_http_message hm;
  size_t n = 0, head = 0;
  int status = 0;
  memset(s_log, 0, sizeof(s_log));
  mg_log_set(MG_LL_ERROR);
  mg_log_set_fn(keep_log, NULL);
  open_site(&t, request);
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 1) && mg_http_parse(t.p.buf, t.p.len, &hm) > 0);
  if (t.p.len > 0) status = mg_http_status(&hm), head = hm.head.len, n = hm.body.len;
  POLL_UNTIL(&t.mgr, peer_has(&t.p, head + n));
  mg_log_set(MG_LL_NONE);
  mg_log_set_fn(mg_pfn_stdout, NULL);
  close_site(&t);
  return status == 200 ? n : 0;
}

#define OMITTED "page too large, some includes omitted"

// A page has at most 1000 includes and 16 MiB, and the log tells when something is missing.
static void limits_of_pages(void) {
  const size_t most = 16 << 20;
  char *text = (char *) malloc(100000);
  size_t i;
  reset();
  s.opts.ssi_pattern = "#.shtml";
  for (i = 998; i <= 1001; i++) {
    size_t n = 0, k;
    for (k = 0; k < i; k++) n += (size_t) snprintf(text + n, 100000 - n, "<!--#include file=\"small\" -->");
    CHECK(write_file("www/many.shtml", text));
    CHECK_EQ(page_length("GET /many.shtml HTTP/1.1\r\n\r\n"), 5 * (i < 1000 ? i : 1000));
    CHECK((strstr(s_log, OMITTED) != NULL) == (i > 1000));
  }
  free(text);
  CHECK(sparse_file("www/max.shtml", most, ""));
  CHECK_EQ(page_length("GET /max.shtml HTTP/1.1\r\n\r\n"), most);
  CHECK(sparse_file("www/max.shtml", most + 1, ""));
  CHECK(answered("GET /max.shtml HTTP/1.1\r\n\r\n",
                 "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 15         \r\n\r\nPage too large\n"));
  // Two that fill the page, and two that are one byte too many.
  CHECK(sparse_file("www/half", 9 << 20, ""));
  CHECK(sparse_file("www/rest", 7 << 20, ""));
  CHECK(write_file("www/max.shtml", "<!--#include file=\"half\" --><!--#include file=\"rest\" -->"));
  CHECK_EQ(page_length("GET /max.shtml HTTP/1.1\r\n\r\n"), most);
  CHECK_EQ(s_log[0], 0);
  CHECK(sparse_file("www/rest", (7 << 20) + 1, ""));
  CHECK_EQ(page_length("GET /max.shtml HTTP/1.1\r\n\r\n"), 9 << 20);
  CHECK(strstr(s_log, OMITTED) != NULL);
  CHECK(mg_fs_posix.rm("www/half") && mg_fs_posix.rm("www/rest") && mg_fs_posix.rm("www/max.shtml"));
}

// A connection of the application's own, without a manager: the answer is complete in its buffer.
static void no_manager(void) {
  struct mg_connection c;
  struct mg_http_message hm;
  const char *request = "GET /large HTTP/1.1\r\n\r\n", *head = large_head("");
  struct mg_http_serve_opts opts;
  memset(&c, 0, sizeof(c));
  memset(&opts, 0, sizeof(opts));
  opts.root_dir = "www";
  CHECK(mg_http_parse(request, strlen(request), &hm) > 0);
  mg_http_serve_dir(&c, &hm, &opts);
  CHECK_EQ(c.send.len, strlen(head) + LARGE);
  CHECK(c.send.len > strlen(head) && memcmp(c.send.buf, head, strlen(head)) == 0);
  mg_iobuf_free(&c.send);
  // One byte more than a block.
  request = "GET /large HTTP/1.1\r\nRange: bytes=0-16384\r\n\r\n";
  CHECK(mg_http_parse(request, strlen(request), &hm) > 0);
  mg_http_serve_dir(&c, &hm, &opts);
  CHECK(c.send.len > MG_IO_SIZE + 1 && memcmp(c.send.buf + c.send.len - (MG_IO_SIZE + 1), s_large, MG_IO_SIZE + 1) == 0);
  mg_iobuf_free(&c.send);
  // Directories are listed: nobody has forbidden it.
  CHECK(mg_fs_posix.mkd("www/bare"));
  request = "GET /bare/ HTTP/1.1\r\n\r\n";
  CHECK(mg_http_parse(request, strlen(request), &hm) > 0);
  mg_http_serve_dir(&c, &hm, &opts);
  CHECK(c.send.len > 15 && memcmp(c.send.buf, "HTTP/1.1 200 OK", 15) == 0);
  mg_iobuf_free(&c.send);
  CHECK(mg_fs_posix.rm("www/bare"));
}

static size_t s_logged;

static void count_log(char ch, void *arg) {
  s_logged++;
  (void) ch, (void) arg;
}

// A connection that logs its traffic logs the file, too: the kernel must not copy it.
static void logged(void) {
  struct site t;
  reset();
  s.hexdump = 1;
  s_logged = 0;
  mg_log_set(MG_LL_INFO);
  mg_log_set_fn(count_log, NULL);
  open_site(&t, "GET /large HTTP/1.1\r\nRange: bytes=0-99999\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, 100000));
  mg_log_set(MG_LL_NONE);
  mg_log_set_fn(mg_pfn_stdout, NULL);
  CHECK(s_logged > 100000);
  close_site(&t);
}

// The kernel copies large files, which no write announces: only if a client that has gone cannot kill the process so.
static void copied_by_the_kernel(void) {
#ifdef __linux__
  struct site t;
  const size_t head = strlen(large_head(""));
  int ignored;
  for (ignored = 0; ignored < 2; ignored++) {
    void (*before)(int);
    reset();
    open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
    before = signal(SIGPIPE, ignored ? SIG_IGN : SIG_DFL);
    POLL_UNTIL(&t.mgr, s.messages == 1);
    CHECK_EQ(s.queued, ignored ? strlen(large_head("")) : MG_IO_SIZE);
    close_site(&t);
    signal(SIGPIPE, before);
  }
  // What the application sends between the head and the file goes first; when it closes then, nothing of the file is sent.
  reset();
  s.in_write = 'X';
  open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_has(&t.p, head + 1 + LARGE));
  CHECK(memcmp(t.p.buf, large_head(""), head) == 0 && t.p.buf[head] == 'X' && memcmp(t.p.buf + head + 1, s_large, LARGE) == 0);
  close_site(&t);
  reset();
  s.in_write = 'C';
  open_site(&t, "GET /large HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&t.mgr, peer_read(&t.p));
  CHECK_EQ(t.p.len, cut_transfers() == 0 ? head : t.p.len);
  CHECK_EQ(s.written, t.p.len);
  close_site(&t);
#endif
}

// A descriptor of the application's own waits in every call that is not told otherwise: the poll must not.
static void wrapped(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct mg_http_message hm;
  const char *request = "GET / HTTP/1.1\r\n\r\n";
  int pair[2];
  uint64_t start = real_ms();
  struct peer p;
  mg_mgr_init(&mgr);
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  c = mg_wrapfd(&mgr, pair[0], NULL, NULL);
  CHECK(c != NULL && mg_http_parse(request, strlen(request), &hm) > 0);
  mg_http_serve_file(c, &hm, "www/large", NULL);
  poll_often(&mgr);
  CHECK(real_ms() - start < 5000);
  memset(&p, 0, sizeof(p));
  p.fd = pair[1];
  POLL_UNTIL(&mgr, peer_has(&p, strlen(large_head("")) + LARGE));
  CHECK(received_large_file(&p, 0, ""));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  s_large = make_body(LARGE);
  CHECK(mg_fs_posix.mkd("www") && mg_fs_posix.mkd("www/d"));
#ifndef _WIN32
  CHECK(mkfifo("www/pipe", 0600) == 0);
#endif
  CHECK(write_file("www/large", s_large) && write_file("www/small", "small"));
  what_a_handler_sees();
  pipelined();
  both_ways(behind_files);
  ends_after_the_last_byte();
  half_close();
  early_disconnect_closes_the_file();
  own_file_system();
  packed();
  one_file();
  conditions();
  very_old();
  answers_end();
  methods();
  compressed_beside();
  no_root();
  too_long();
  long_names();
  directories();
  includes();
  shorter_than_announced();
#ifndef _WIN32
  both_ways(truncated);
#endif
  limits_of_pages();
  no_manager();
  logged();
  copied_by_the_kernel();
  wrapped();
  free(s_large);
  return DONE();
}
