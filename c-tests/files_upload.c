// Uploads, as seen by the application: events, its handler and c->data afterwards, file systems that fail or cannot rename, its
// own firmware functions.
#include "mongoose.h"

#include "peer.h"

static struct mg_fs s_fs;  // what uploads go to

static struct {
  bool firmware, use_default;
  int messages, closes, ends;
  char said[70];
  bool own_handler, data_kept;
} s;

static void server(struct mg_connection *c, int ev, void *ev_data);

static void ended(struct mg_connection *c, const char *message) {
  s.ends++;
  mg_snprintf(s.said, sizeof(s.said), "%s", message == NULL ? "fine" : message);
  s.own_handler = c->fn == server;
  s.data_kept = c->data[0] == 'd' && c->data[MG_DATA_SIZE - 1] == 'd';
  mg_http_reply(c, message == NULL ? 200 : 400, "", "%s", s.said);
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_ACCEPT) memset(c->data, 'd', sizeof(c->data));
  if (ev == MG_EV_CLOSE && c->is_accepted) s.closes++;
  if (ev == MG_EV_HTTP_HDRS && hm->uri.len > 2 && hm->uri.buf[1] == 'u') {
    struct mg_str name = mg_str_n(hm->uri.buf + 2, hm->uri.len - 2);
    if (s.firmware) {
      mg_http_start_ota(c, hm, s.use_default ? NULL : ended);
    } else {
      mg_http_start_upload(c, hm, name, mg_str("up"), &s_fs, s.use_default ? NULL : ended);
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    s.messages++;
    mg_http_reply(c, 200, "", "%.*s", (int) hm->uri.len, hm->uri.buf);
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
  const char *uris[] = {"/u../x", "/u~x", "/unowhere/x", "/udir", "/udir/", "/unul", "/uf:x", "/uf."};
  const char *said[] = {"bad name", "bad name", "open failed", "open failed", "bad name", "open failed", "open failed", "open failed"};
  const int made = 1;
#else
  const char *uris[] = {"/u../x", "/u~x", "/unowhere/x", "/udir", "/udir/", "/uout/x"};
  const char *said[] = {"bad name", "bad name", "open failed", "open failed", "bad name", "open failed"};
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
  char request[1500];
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

static void uploads_in_pieces(void) {
  char *body = make_body(1000);
  CHECK_EQ(upload_piece("file=f", "hello"), 5);
  CHECK_EQ(upload_piece("file=f&offset=5", " world"), 11);
  CHECK_EQ(upload_piece("file=f&offset=5", "x"), -5);
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

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET /abc HTTP/1.1\r\n\r\n");
  if (ev == MG_EV_HTTP_HDRS) mg_http_start_ota(c, (struct mg_http_message *) ev_data, download_ended);
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
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  s_fs = mg_fs_posix;
  CHECK(mg_fs_posix.mkd("up"));
  between_requests();
  in_chunks();
  answered_by_the_library();
  refused_before_it_begins();
  cut_off();
  full();
  without_renaming();
  uploads_in_pieces();
  firmware();
  downloaded_firmware();
  return DONE();
}
