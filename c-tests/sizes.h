// An application that chooses the size of c->data and the number of headers: whatever has to do with either works. Included by
// programs that define MG_DATA_SIZE and MG_MAX_HTTP_HEADERS (10 at least, for WebSocket handshakes).
#include "mongoose_ext.h"
#include "peer.h"

#define LAST (MG_MAX_HTTP_HEADERS - 1)

struct extra {
  uint64_t words[3];
};

static int closes, requests, responses, upgrades;

static void data_is_all(struct mg_connection *c, char value) {
  size_t i, wrong = 0;
  const struct extra *extra = (const struct extra *) (const void *) (c + 1);
  for (i = 0; i < sizeof(c->data); i++) wrong += c->data[i] != value;
  for (i = 0; i < 3; i++) wrong += extra->words[i] != (value == 0 ? 0 : 77);
  CHECK_EQ(wrong, 0);
}

static void fill_data(struct mg_connection *c) {
  size_t i;
  struct extra *extra = (struct extra *) (void *) (c + 1);
  memset(c->data, 'd', sizeof(c->data));
  for (i = 0; i < 3; i++) extra->words[i] = 77;
}

// A start line, a first header, H1, H2 and so on, the one that just has room, and two that have none.
static char *make_head(const char *start, const char *first, const char *last) {
  size_t size = (size_t) MG_MAX_HTTP_HEADERS * 20 + 1000, len;
  char *to = (char *) malloc(size);
  int i;
  len = mg_snprintf(to, size, "%s\r\n%s\r\n", start, first);
  for (i = 1; i < LAST; i++) len += mg_snprintf(to + len, size - len, "H%d: %d\r\n", i, i);
  mg_snprintf(to + len, size - len, "%s\r\nBeyond: two\r\nMore: three\r\n\r\n", last);
  return to;
}

static void check_headers(struct mg_http_message *hm, const char *last_name, const char *last_value) {
  char name[20];
  const char *text = NULL;
  size_t len = 0;
  int i;
  struct mg_str *last = mg_http_get_header(hm, last_name);
  for (i = 1; i < LAST; i++) {
    mg_snprintf(name, sizeof(name), "H%d", i);
    CHECK(mg_strcmp(hm->headers[i].name, mg_str(name)) == 0);
    CHECK(mg_http_get_header(hm, name) == &hm->headers[i].value);
  }
  CHECK(last == &hm->headers[LAST].value && mg_strcmp(*last, mg_str(last_value)) == 0);
  CHECK(mg_http_get_header(hm, "Beyond") == NULL && mg_http_get_header(hm, "More") == NULL);
  CHECK(mgx_http_header(hm, last_name, &len) == hm->headers[LAST].value.buf && len == strlen(last_value));
  CHECK(mgx_http_header_at(hm, LAST, NULL, NULL, &text, &len) && text == hm->headers[LAST].value.buf && len == strlen(last_value));
  CHECK(!mgx_http_header_at(hm, MG_MAX_HTTP_HEADERS, NULL, NULL, &text, &len));
}

static void serve_request(struct mg_connection *c, struct mg_http_message *hm) {
  if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
    mg_ws_upgrade(c, hm, NULL);
  } else if (mg_match(hm->uri, mg_str("/creds"), NULL)) {
    char user[10], pass[10];
    mg_http_creds(hm, user, sizeof(user), pass, sizeof(pass));
    mg_http_reply(c, 200, "", "%s:%s", user, pass);
  } else if (mg_match(hm->uri, mg_str("/file"), NULL)) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.fs = &mg_fs_packed;
    mg_http_serve_file(c, hm, "/file", &opts);
  } else if (mg_match(hm->uri, mg_str("/many"), NULL)) {
    char *head = make_head("HTTP/1.1 200 OK", "Content-Length: 2", "Last: one");
    mg_printf(c, "%sok", head);
    c->is_resp = 0;
    free(head);
  } else {
    struct mg_http_message *copy = (struct mg_http_message *) malloc(sizeof(*copy));
    *copy = *hm;
    check_headers(hm, "last", "one");
    memset(hm, 'x', sizeof(*hm));
    CHECK(mg_http_get_header(copy, "LAST") == &copy->headers[LAST].value);
    CHECK(mg_strcmp(copy->body, mg_str("hello")) == 0 && copy->head.buf == copy->message.buf);
    CHECK(copy->head.len + copy->body.len == copy->message.len);
    mg_http_reply(c, 200, "", "%.*s", (int) copy->body.len, copy->body.buf);
    free(copy);
  }
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_OPEN) {
    data_is_all(c, 0);
    CHECK((uintptr_t) c->data % sizeof(void *) == 0);
    CHECK(mgx_conn_data(c) == (void *) c->data);
    fill_data(c);
    CHECK(!c->is_closing && !c->is_draining && c->tls == NULL && c->send.len == 0);
  } else if (ev == MG_EV_CLOSE) {
    closes++;
    data_is_all(c, 'd');
  } else if (ev == MG_EV_HTTP_HDRS && c->is_accepted && mg_match(hm->uri, mg_str("/"), NULL)) {
    check_headers(hm, "Last", "one");
    CHECK_EQ(hm->body.len, 5);
  } else if (ev == MG_EV_HTTP_MSG && c->is_accepted) {
    requests++;
    serve_request(c, hm);
  } else if (ev == MG_EV_HTTP_MSG) {
    responses++;
    check_headers(hm, "Last", "one");
    CHECK(mg_http_status(hm) == 200 && mg_strcmp(hm->body, mg_str("ok")) == 0);
  } else if (ev == MG_EV_CONNECT && c->fn_data != NULL) {
    mg_printf(c, "GET /many HTTP/1.1\r\nHost: x\r\n\r\n");
  } else if (ev == MG_EV_WS_OPEN) {
    upgrades++;
    CHECK(mg_http_get_header(hm, c->is_client ? "Sec-WebSocket-Accept" : "Sec-WebSocket-Key") != NULL);
  }
}

// Sends a request with `last` as the last header that has room, and waits for a response that ends with `end`.
static void exchange(struct mg_mgr *mgr, struct mg_connection *l, const char *start, const char *first, const char *last,
                     const char *status, const char *end) {
  struct peer p;
  char *head = make_head(start, first, last);
  size_t n = strlen(end);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, head) && peer_send_text(&p, "hello"));
  POLL_UNTIL(mgr, peer_read(&p) || (p.len > n && memcmp(p.buf + p.len - n, end, n) == 0));
  CHECK(p.len > 9 + strlen(status) && memcmp(p.buf + 9, status, strlen(status)) == 0);
  CHECK(p.len > n && memcmp(p.buf + p.len - n, end, n) == 0);
  peer_free(&p);
  free(head);
}

static const struct mg_mem_file packed[] = {{"/file", (const unsigned char *) "0123456789", 10, 1}, {NULL, NULL, 0, 0}};

static void served(void) {
  static const char *length = "Content-Length: 5";
  struct mg_mgr mgr;
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  mgr.extraconnsize = sizeof(struct extra);
  mg_mem_files = packed;
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", fn, NULL);
  exchange(&mgr, l, "POST / HTTP/1.1", length, "Last: one", "200", "hello");
  exchange(&mgr, l, "POST /creds HTTP/1.1", length, "Authorization: Basic dTpw", "200", "u:p");
  exchange(&mgr, l, "GET /file HTTP/1.1", length, "Range: bytes=3-4", "206", "34");
    // A header without room says where the message ends all the same.
  exchange(&mgr, l, "POST / HTTP/1.1", "H0: 0", "Last: one\r\nContent-Length: 5", "200", "hello");
  exchange(&mgr, l, "POST http://h/ HTTP/1.1", length, "Last: one", "200", "hello");
  CHECK_EQ(requests, 5);
  CHECK(mg_http_connect(&mgr, url_of(l, "http"), fn, &mgr) != NULL);
  POLL_UNTIL(&mgr, responses == 1);
  {
    char url[100];
    mg_snprintf(url, sizeof(url), "%s/ws", url_of(l, "ws"));
    CHECK(mg_ws_connect(&mgr, url, fn, NULL, NULL) != NULL);
    POLL_UNTIL(&mgr, upgrades == 2);
  }
  mg_mgr_free(&mgr);
  CHECK(closes >= 8);
}

static void parsed(void) {
  struct mg_http_message *hm = (struct mg_http_message *) malloc(sizeof(*hm));
  char *head = make_head("GET / HTTP/1.1", "H0: 0", "Last: one");
  int (*parse)(const char *, size_t, struct mg_http_message *) = mg_http_parse;
  memset(hm, 'x', sizeof(*hm));
  CHECK_EQ(mg_http_parse(head, strlen(head), hm), strlen(head));
  check_headers(hm, "Last", "one");
  CHECK(hm->message.buf == head && hm->head.len == strlen(head));
  memset(hm, 'x', sizeof(*hm));
  CHECK_EQ(parse("GET / HTTP/1.1\r\nA: b\r\n\r\n", 24, hm), 24);
  CHECK(mg_http_get_header(hm, "A") == &hm->headers[0].value && mg_http_get_header(hm, "B") == NULL);
  CHECK(hm->headers[1].name.len == 0 && hm->headers[LAST].name.len == 0);
  CHECK_EQ(mg_http_parse("GET / HTTP/1.1\r\n\r\n", 18, hm), 18);
  CHECK(mg_http_get_header(hm, "A") == NULL && hm->headers[0].name.len == 0);
  free(head);
  free(hm);
}

int main(void) {
  parsed();
  served();
  return DONE();
}
