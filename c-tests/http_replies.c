// Contents and completion of responses: HEAD, responses printed by the application, HTTP/1.0 keep-alive.

#ifdef __linux__
#include <sys/mman.h>
#endif

#include "mongoose.h"
#include "mongoose_ext.h"
#include "peer.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static int messages, polls;
static const char *const *script;  // what the handler prints, piece by piece; "" waits for the next MG_EV_POLL
static int at;
static bool by_hand;  // into c->send

static void print(struct mg_connection *c) {
  for (; script[at] != NULL; at++) {
    if (script[at][0] == '\0') {
      at++;
      return;
    }
    if (by_hand) {
      mg_iobuf_add(&c->send, c->send.len, script[at], strlen(script[at]));
    } else if (at % 2 == 0) {
      mg_printf(c, "%s", script[at]);
    } else {
      CHECK(mg_send(c, script[at], strlen(script[at])));
    }
  }
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_POLL && c->is_accepted && at > 0 && script != NULL && script[at] != NULL) print(c);
  if (ev == MG_EV_POLL && c->is_accepted) polls++;
  if (ev != MG_EV_HTTP_MSG) return;
  messages++;
  if (mg_match(hm->uri, mg_str("/reply"), NULL)) {
    mg_http_reply(c, 200, "A: b\r\n", "%s", "hello");
  } else if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    mg_http_printf_chunk(c, "%s", "one");
    mg_http_write_chunk(c, "two", 3);
    if (hm->query.len > 0) mg_http_write_chunk(c, "", 0);
    if (hm->query.len == 0) mg_http_printf_chunk(c, "%s", "");
  } else if (mg_match(hm->uri, mg_str("/echo"), NULL)) {
    struct mg_str *host = mg_http_get_header(hm, "Host"), none = mg_str("-");
    char user[20], pass[20];
    if (host == NULL) host = &none;
    mg_http_creds(hm, user, sizeof(user), pass, sizeof(pass));
    mg_http_reply(c, 200, "", "%.*s %.*s %.*s %s", (int) hm->uri.len, hm->uri.buf, (int) hm->query.len, hm->query.buf, (int) host->len,
                  host->buf, pass);
  } else if (mg_match(hm->uri, mg_str("/added"), NULL)) {
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    mg_iobuf_add(&c->send, c->send.len, text, strlen(text));
  } else if (mg_match(hm->uri, mg_str("/again"), NULL)) {
    // Takes the half head back.
    size_t before = c->send.len;
    mg_printf(c, "HTTP/1.1 404 Not Fou");
    c->send.len = before;
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(!c->is_resp);
  } else if (mg_match(hm->uri, mg_str("/framed"), NULL)) {
    // Ends with a chunk, of which the head says nothing.
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", hm->query.len > 0 ? 8 : 15);
    CHECK(c->is_resp);
    if (hm->query.len > 0) mg_http_write_chunk(c, "two", 3);
    if (hm->query.len == 0) mg_http_printf_chunk(c, "%s", "one");
    CHECK(!c->is_resp);
  } else if (mg_match(hm->uri, mg_str("/torn"), NULL)) {
    // Takes back a part that counted already.
    size_t before = c->send.len;
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    c->send.len = before;
    mg_printf(c, "HTTP/1.1 204 No Content\r\n\r\n");
    mg_printf(c, "12345");
    CHECK(c->is_resp);
  } else if (mg_match(hm->uri, mg_str("/taken"), NULL)) {
    c->pfn = NULL;
    mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    CHECK(c->is_resp);
  } else if (mg_match(hm->uri, mg_str("/more"), NULL)) {
    mg_http_reply(c, 200, "A: b\r\n", "%s", "hello");
    mg_printf(c, "more");
  } else {
    at = 0;
    print(c);
  }
}

#define H "HTTP/1.1 200 OK\r\n"
#define REPLY H "A: b\r\nContent-Length: 5          \r\n\r\n"
#define TAIL "GET /reply HTTP/1.1\r\n\r\n"

static void ask(const char *request, const char *want, int count, int line) {
  struct peer p;
  int failed = checks_failed;
  messages = at = 0;
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(&mgr, messages == count && peer_has(&p, strlen(want)));
  polls = 0;
  POLL_UNTIL(&mgr, polls > 5 || p.end != PEER_OPEN || peer_read(&p));
  peer_read(&p);
  CHECK(peer_got(&p, want));
  CHECK_EQ(messages, count);
  if (checks_failed > failed) fprintf(stderr, "... in line %d\n", line);
  peer_free(&p);
  if (mgr.conns != listener) mgr.conns->is_closing = 1;  // an answer may not have ended
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

#define ASK(request, want, count) ask(request, want, count, __LINE__)

#ifdef __linux__
// The head of a response with a body of more than a gigabyte, which nobody looks at.
static void a_huge_one_fn(struct mg_connection *c, int ev, void *ev_data) {
  const size_t size = 1234567890;
  if (ev == MG_EV_HTTP_MSG) {
    void *body = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(body != MAP_FAILED);
    mgx_http_reply(c, 200, "", (const char *) body, size);
    munmap(body, size);
  }
  (void) ev_data;
}

static void a_huge_one(void) {
  struct mg_mgr m;
  struct peer p;
  peer_open(&p, serve(&m, a_huge_one_fn, NULL));
  CHECK(peer_send_text(&p, "HEAD / HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&m, peer_has(&p, strlen(H "Content-Length: 1234567890 \r\n\r\n")));
  CHECK(peer_got(&p, H "Content-Length: 1234567890 \r\n\r\n"));
  peer_free(&p);
  mg_mgr_free(&m);
}
#endif

static void heads(void) {
  static const char *const printed[] = {H "Content-Length: 5\r\n\r\n", NULL};
  ASK("HEAD /reply HTTP/1.1\r\n\r\n" TAIL, REPLY REPLY "hello", 2);
  ASK("HEAD /reply HTTP/1.1\r\n\r\nHEAD /reply HTTP/1.1\r\n\r\n" TAIL, REPLY REPLY REPLY "hello", 3);
  ASK("HEAD /chunks HTTP/1.1\r\n\r\n" TAIL, H "Transfer-Encoding: chunked\r\n\r\n" REPLY "hello", 2);
  ASK("HEAD /chunks?a HTTP/1.1\r\n\r\n" TAIL, H "Transfer-Encoding: chunked\r\n\r\n" REPLY "hello", 2);
  ASK("GET /chunks HTTP/1.1\r\n\r\n" TAIL,
      H "Transfer-Encoding: chunked\r\n\r\n00000003\r\none\r\n3\r\ntwo\r\n00000000\r\n\r\n" REPLY "hello", 2);
  static const char *const with_body[] = {H "Content-Length: 5\r\n\r\nworld", NULL};
  static const char *const with_more[] = {H "Content-Length: 5\r\n\r\n", "world", "HTTP/1.1 408 Request Timeout\r\n\r\n", NULL};
  static const char *const body_in_pieces[] = {H "Content-Length: 5\r\n", "\r\nw", "or", "ld", NULL};
  script = printed;
  ASK("HEAD /p HTTP/1.1\r\n\r\n" TAIL, H "Content-Length: 5\r\n\r\n" REPLY "hello", 2);
  // From handlers that do not look at the method.
  script = with_body;
  ASK("HEAD /p HTTP/1.1\r\n\r\n" TAIL, H "Content-Length: 5\r\n\r\n" REPLY "hello", 2);
  ASK("HEAD /p HTTP/1.1\r\n\r\nHEAD /reply HTTP/1.1\r\n\r\n" TAIL, H "Content-Length: 5\r\n\r\n" REPLY REPLY "hello", 3);
  script = body_in_pieces;
  ASK("HEAD /p HTTP/1.1\r\n\r\n" TAIL, H "Content-Length: 5\r\n\r\n" REPLY "hello", 2);
  script = with_more;
  ASK("HEAD /p HTTP/1.1\r\n\r\n", H "Content-Length: 5\r\n\r\nHTTP/1.1 408 Request Timeout\r\n\r\n", 1);
  script = body_in_pieces;
  ASK("HEAD /p HTTP/1.1\r\n\r\nGET /p HTTP/1.1\r\n\r\n", H "Content-Length: 5\r\n\r\n" H "Content-Length: 5\r\n\r\nworld", 2);
}

// Each of these ends with its last byte, so that the next request is served.
static void printed(void) {
  static const char *const whole[] = {H "Content-Length: 5\r\n\r\nworld", NULL};
  static const char *const pieces[] = {H "Con", "tent-Length: 5\r\n", "\r", "\nwo", "rl", "d", NULL};
  static const char *const later[] = {H "Con", "", "tent-Length: 5\r\n\r\nwo", "", "rl", "", "d", NULL};
  static const char *const empty[] = {H "Content-Length: 0\r\n\r\n", NULL};
  static const char *const old[] = {"HTTP/1.0 200 OK\nContent-Length: 1\n\n!", NULL};
  static const char *const none[] = {"HTTP/1.1 204 No Content\r\n\r\n", NULL};
  static const char *const same[] = {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", NULL};
  static const char *const interim[] = {"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", "", H "Content-Length: 1\r\n\r\n!", NULL};
  static const char *const chunks[] = {H "Transfer-Encoding: chunked\r\n\r\n", "5\r\nwor", "", "ld\r\n0\r", "\n\r\n", NULL};
  static const struct {
    const char *const *script;
    const char *want;
  } all[] = {
      {whole, H "Content-Length: 5\r\n\r\nworld"},
      {pieces, H "Content-Length: 5\r\n\r\nworld"},
      {later, H "Content-Length: 5\r\n\r\nworld"},
      {empty, H "Content-Length: 0\r\n\r\n"},
      {old, "HTTP/1.0 200 OK\nContent-Length: 1\n\n!"},
      {none, "HTTP/1.1 204 No Content\r\n\r\n"},
      {same, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"},
      {interim, "HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n" H "Content-Length: 1\r\n\r\n!"},
      {chunks, H "Transfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n"},
  };
  size_t i;
  char want[1000];
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    script = all[i].script;
    mg_snprintf(want, sizeof(want), "%s%shello", all[i].want, REPLY);
    ask("GET /p HTTP/1.1\r\n\r\n" TAIL, want, 2, (int) i);
  }
}

// Where these end only the application knows.
static void endless(void) {
  static const char *const no_length[] = {H "\r\nworld", NULL};
  static const char *const short_of_it[] = {H "Content-Length: 6\r\n\r\nworld", NULL};
  static const char *const no_response[] = {"world\r\n\r\nContent-Length: 0\r\n\r\n", NULL};
  static const char *const two_lengths[] = {H "Content-Length: 1\r\nContent-Length: 2\r\n\r\nworld", NULL};
  static const char *const unknown[] = {H "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", NULL};
  static const char *const *const all[] = {no_length, short_of_it, no_response, two_lengths, unknown};
  size_t i;
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    script = all[i];
    ask("GET /p HTTP/1.1\r\n\r\n" TAIL, all[i][0], 1, (int) i);
  }
}

// What the application puts into c->send by hand, takes back, or writes when no response is due.
static void odd_ways(void) {
#define EMPTY H "Content-Length: 0\r\n\r\n"
  ASK("GET /added HTTP/1.1\r\n\r\n" TAIL, EMPTY REPLY "hello", 2);
  static const char *const later[] = {"", EMPTY, NULL};
  script = later;
  by_hand = true;
  ASK("GET /p HTTP/1.1\r\n\r\n" TAIL, EMPTY REPLY "hello", 2);
  by_hand = false;
  ASK("GET /again HTTP/1.1\r\n\r\n" TAIL, EMPTY REPLY "hello", 2);
  ASK("GET /framed HTTP/1.1\r\n\r\n", H "Content-Length: 15\r\n\r\n00000003\r\none\r\n", 1);
  ASK("GET /framed?two HTTP/1.1\r\n\r\n", H "Content-Length: 8\r\n\r\n3\r\ntwo\r\n", 1);
  ASK("GET /torn HTTP/1.1\r\n\r\n" TAIL, "HTTP/1.1 204 No Content\r\n\r\n12345", 1);
  ASK("GET /taken HTTP/1.1\r\n\r\n" TAIL, EMPTY, 1);
  ASK("HEAD /more HTTP/1.1\r\n\r\n", REPLY "more", 1);
}

// A response that comes later and says that it is the last: the next request is not handled.
static void the_last_of_several(void) {
  static const char *const last[] = {"", H "Connection: close\r\nContent-Length: 0\r\n\r\n", NULL};
  static const char *const old[] = {"", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", NULL};
  script = last;
  ASK("GET /p HTTP/1.1\r\nConnection: close\r\n\r\n" TAIL, last[1], 1);
  script = old;
  ASK("GET /p HTTP/1.0\r\n\r\n" TAIL, "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n" REPLY "hello", 2);
}

static void greeting(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) {
    c->is_resp = 1;
    mg_printf(c, "%s", EMPTY);
    CHECK(c->is_resp);
  }
  (void) ev_data;
}

// Before the first request, nothing is an answer.
static void a_greeting(void) {
  struct peer p;
  struct mg_connection *l = mg_http_listen(&mgr, "http://127.0.0.1:0", greeting, NULL);
  peer_open(&p, l);
  POLL_UNTIL(&mgr, peer_has(&p, strlen(EMPTY)));
  poll_often(&mgr);
  CHECK(peer_got(&p, EMPTY));
  CHECK(mgr.conns != l && mgr.conns->is_resp);
  peer_free(&p);
  l->is_closing = 1;
  if (mgr.conns != l) mgr.conns->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

static void requests(void) {
#define ECHO(text) H "Content-Length: " text
  ASK("GET http://other:81/echo?q HTTP/1.1\r\nHost: h\r\n\r\n", ECHO("17         \r\n\r\n/echo q other:81 "), 1);
  ASK("GET HTTPS://u:p@other/echo HTTP/1.1\r\n\r\n", ECHO("13         \r\n\r\n/echo  other "), 1);
  ASK("\r\n\r\nGET /echo HTTP/1.1\r\nCookie: a=1\r\nCookie: access_token=xyz\r\nCookie: b=2\r\n\r\n", ECHO("12         \r\n\r\n/echo  - xyz"), 1);
  ASK("GET http://other HTTP/1.1\r\n\r\n", "", 1);
}

// HTTP/1.0 takes silence for the end: a head written by the library says when there is more to come, and when not.
static void keep_alive_is_announced(void) {
#define KEEP "GET /reply HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
#define KEPT H "A: b\r\nConnection: keep-alive\r\nContent-Length: 5          \r\n\r\nhello"
  ASK(KEEP, KEPT, 1);
  ASK(KEEP KEEP, KEPT KEPT, 2);
  ASK(KEEP "\r\n", KEPT, 1);
  ASK("GET /reply HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", REPLY "hello", 1);
  ASK("GET /reply HTTP/1.0\r\nConnection: x\r\nConnection: keep-alive\r\n\r\n", KEPT, 1);
}

static void drained(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "A: b\r\n", "hello"), c->is_draining = 1;
  (void) ev_data;
}

static void the_last_reply_announces_the_close(void) {
  struct peer p;
  struct mg_connection *l = mg_http_listen(&mgr, "http://127.0.0.1:0", drained, NULL);
  peer_open(&p, l);
  CHECK(peer_send_text(&p, KEEP));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(peer_got(&p, H "A: b\r\nConnection: close\r\nContent-Length: 5          \r\n\r\nhello"));
  peer_free(&p);
  l->is_closing = 1;
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
}

int main(void) {
  static const char *const nothing[] = {NULL};
  mg_log_set(MG_LL_NONE);
  listener = serve(&mgr, fn, NULL);
#ifdef __linux__
  a_huge_one();
#endif
  heads();
  printed();
  endless();
  odd_ways();
  the_last_of_several();
  a_greeting();
  script = nothing;
  requests();
  keep_alive_is_announced();
  the_last_reply_announces_the_close();
  mg_mgr_free(&mgr);
  return DONE();
}
