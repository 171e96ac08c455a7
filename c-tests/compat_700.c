// An application of version 7.0: timers without a manager, buffers and base64 without sizes, uploads by `name`.
#define MGX_COMPAT_7 700
#include "peer.h"

static int ticks, once, uploads;

static void tick(void *arg) { ++*(int *) arg; }

static void fn(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    char addr[50];
    CHECK_EQ(c->peer.ip, htonl(INADDR_LOOPBACK));
    CHECK(strncmp(mg_straddr(c, addr, sizeof(addr)), "127.0.0.1:", 10) == 0);
    LOG(LL_INFO, ("%.*s", (int) hm->uri.len, hm->uri.ptr));
    if (mg_http_match_uri(hm, "/upload")) {
      int n = uploads++ == 1 ? mg_http_upload(c, hm, &mg_fs_posix, ".") : mg_http_upload(c, hm, ".");
      CHECK_EQ(n, hm->body.len > 0 && hm->query.len > 0 ? (int) hm->body.len : -1);
    } else {
      struct mg_http_serve_opts opts;
      memset(&opts, 0, sizeof(opts));
      opts.root_dir = ".";
      mg_http_serve_dir(c, hm, &opts);
    }
  }
  (void) fn_data;
}

static void exchange(struct mg_mgr *mgr, struct mg_connection *l, const char *request, const char *status, const char *end) {
  struct peer p;
  peer_open(&p, l);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(mgr, (peer_read(&p), p.len > strlen(end) && memcmp(p.buf + p.len - strlen(end), end, strlen(end)) == 0));
  CHECK(p.len > 12 && memcmp(p.buf + 9, status, 3) == 0);
  peer_free(&p);
}

static void helpers(void) {
  struct mg_iobuf io;
  char to[20], *text;
  size_t size;
  mg_iobuf_init(&io, 10);
  CHECK_EQ(mg_iobuf_add(&io, 0, "abc", 3, 64), 3);
  CHECK_EQ(mg_iobuf_add(&io, io.len, "d", 1), 1);
  CHECK(io.len == 4 && memcmp(io.buf, "abcd", 4) == 0);
  mg_iobuf_free(&io);
  CHECK_EQ(mg_base64_encode((const uint8_t *) "hello", 5, to), 8);
  CHECK(strcmp(to, "aGVsbG8=") == 0);
  CHECK(mg_base64_decode("aGVsbG8=", 8, to) == 5 && strcmp(to, "hello") == 0);
  CHECK(mg_globmatch("/a/*", 4, "/a/b", 4) && !mg_globmatch("/a/*", 4, "/b/b", 4));
  CHECK(strcmp(mg_hex("\x01\xfe", 2, to), "01fe") == 0);
  CHECK(mg_file_write("f.txt", "text", 4));
  text = mg_file_read("f.txt", &size);
  CHECK(text != NULL && size == 4 && strcmp(text, "text") == 0);
  free(text);
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_timer repeated, single;
  struct mg_connection *l;
  uint64_t start;
  mg_log_set("0");
  helpers();
  l = serve(&mgr, fn, NULL);
  exchange(&mgr, l, "POST /upload?name=u.txt&offset=0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "200", "3");
  exchange(&mgr, l, "POST /upload?name=u.txt&offset=3 HTTP/1.1\r\nContent-Length: 2\r\n\r\nde", "200", "5");
  exchange(&mgr, l, "POST /upload HTTP/1.1\r\nContent-Length: 2\r\n\r\nde", "400", "required");
  exchange(&mgr, l, "GET /u.txt HTTP/1.1\r\n\r\n", "200", "\r\n\r\nabcde");
  mg_timer_init(&repeated, 20, MG_TIMER_REPEAT, tick, &ticks);
  mg_timer_init(&single, 10, 0, tick, &once);
  // The poll ends for them.
  start = real_ms();
  while (ticks < 3 && real_ms() - start < 20000) mg_mgr_poll(&mgr, 30000);
  CHECK(ticks >= 3 && real_ms() - start < 20000);
  CHECK_EQ(once, 1);
  mg_timer_free(&repeated);
  mg_timer_free(&single);
  CHECK(mgx_older_timers == NULL);
  mg_mgr_free(&mgr);
  return DONE();
}
