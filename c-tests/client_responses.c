// How an HTTP client parses a server's bytes, however they are split.

#include "client.h"

// What the server does in the end, before which `before` was seen, and after which `after`.
enum end { FIN, RESET, STAY };

struct test {
  const char *segments[5];
  enum end end;
  const char *before, *after;
};

#define OK "HTTP/1.1 200 OK\r\n"
#define FOUR(n) "X" #n "a: 1\r\nX" #n "b: 1\r\nX" #n "c: 1\r\nX" #n "d: 1\r\n"
#define MANY FOUR(1) FOUR(2) FOUR(3) FOUR(4) FOUR(5) FOUR(6) FOUR(7) FOUR(8)
#define CHUNKED OK "Transfer-Encoding: chunked\r\n\r\n"

static const struct test tests[] = {
    // Content-Length
    {{OK "Content-Length: 5\r\n\r\nhel", "lo"}, FIN, "H200 M200:hello ", "C "},
    {{OK "Content-Length: 0\r\n\r\n"}, FIN, "H200 M200: ", "C "},
    {{"HTTP/1.0 200 OK\nContent-Length: 2\n\nhi"}, FIN, "H200 M200:hi ", "C "},
    {{"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nhi"}, FIN, "H200 M200:hi ", "C "},
    {{OK "Connection: close\r\nContent-Length: 2\r\n\r\nhi"}, STAY, "H200 M200:hi ", "C "},
    {{OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"}, FIN, "H200 M200:hello ", "C "},
    {{OK "Content-Length: 5, 05\r\n\r\nhello"}, FIN, "H200 M200:hello ", "C "},
    // More headers than a message has room for: those that frame the message count wherever they stand.
    {{OK MANY "Content-Length: 5\r\n\r\nhello" OK "Content-Length: 1\r\n\r\n!"}, FIN, "H200 M200:hello H200 M200:! ", "C "},
    {{OK MANY "Transfer-Encoding: chunked\r\nA: b\r\n\r\n1\r\n!\r\n0\r\n\r\n"}, FIN, "H200 M200:! ", "C "},
    // Empty lines in front, eight at most
    {{"\r\n" OK "Content-Length: 1\r\n\r\na\r\n\n\r\n" OK "Content-Length: 1\r\n\r\nb\r\n"}, FIN, "H200 M200:a H200 M200:b ", "C "},
    {{"\n\n\n\n\r\n\r\n\r\n\r\n" OK "Content-Length: 1\r\n\r\na"}, FIN, "H200 M200:a ", "C "},
    {{"\n\n\n\n\r\n\r\n\r\n\r\n\n" OK "Content-Length: 1\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    // Cut short by the server. Who gives up himself knows.
    {{OK "Content-Length: 10\r\n\r\nshort"}, FIN, "H200 ", "E0:Truncated response C "},
    {{OK "Content-Length: 10\r\n\r\nshort"}, STAY, "H200 ", "C "},
    {{OK "Content-Length: 10\r\n\r\n"}, FIN, "H200 ", "E0:Truncated response C "},
    {{OK "Content-Le"}, FIN, "", "E0:Truncated response C "},
    {{"HTT"}, FIN, "", "E0:Truncated response C "},
    {{"H"}, FIN, "", "E0:Truncated response C "},
    {{"SSH-2.0-x"}, FIN, "", "E0:Invalid response C "},
    {{""}, FIN, "", "C "},
    {{"\r\n\r"}, FIN, "", "C "},
    // Chunks
    {{CHUNKED "5\r\nhel", "lo\r\n0\r\n\r\n"}, FIN, "H200 M200:hello ", "C "},
    {{CHUNKED "0\r\n\r\n"}, FIN, "H200 M200: ", "C "},
    {{CHUNKED "005;a=\"b\"\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n"}, FIN, "H200 M200:hello! ", "C "},
    {{"HTTP/1.0 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"}, FIN, "H200 M200:hi ", "C "},
    {{CHUNKED "1", "0\r", "\n0123456789abcdef\r\n", "0\r\n", "\r\n"}, FIN, "H200 M200:0123456789abcdef ", "C "},
    {{CHUNKED "5\r\nhello\r\n"}, FIN, "H200 ", "E0:Truncated response C "},
    {{CHUNKED "5\r\nhello\r\n0\r\n"}, FIN, "H200 ", "E0:Truncated response C "},
    {{CHUNKED "5\r\nhello\r\n"}, STAY, "H200 ", "C "},
    // Until the connection ends
    {{OK "\r\nuntil ", "close"}, FIN, "H200 ", "M200:until close C "},
    {{OK "\r\nuntil ", "close"}, STAY, "H200 ", "M200:until close C "},
    {{OK "\r\n"}, FIN, "H200 ", "M200: C "},
    {{"HTTP/1.0 404 Not Found\n\nno"}, FIN, "H404 ", "M404:no C "},
    // Interim responses are skipped.
    {{"HTTP/1.1 100 Continue\r\n\r\n", OK "Content-Length: 2\r\n\r\nhi"}, FIN, "H200 M200:hi ", "C "},
    {{"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", OK "\r\nhi"}, FIN, "H200 ", "M200:hi C "},
    {{"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 X\r\nContent-Length: 9\r\n\r\n", CHUNKED "0\r\n\r\n"},
     FIN, "H200 M200: ", "C "},
    {{"HTTP/1.1 100 Continue\r\n\r\n"}, FIN, "", "C "},
    // Responses that have no body, whatever they say
    {{"HTTP/1.1 304 Not Modified\r\n\r\n"}, FIN, "H304 M304: ", "C "},
    {{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"}, FIN, "H304 M304: ", "C "},
    {{"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", OK "Content-Length: 1\r\n\r\n!"}, FIN, "H304 M304: H200 M200:! ", "C "},
    {{"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"}, FIN, "H304 M304: ", "C "},
    {{"HTTP/1.1 204 No Content\r\n\r\n", OK "Content-Length: 1\r\n\r\n!"}, FIN, "H204 M204: H200 M200:! ", "C "},
    {{"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"}, FIN, "H204 M204: ", "C "},
    {{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", OK "Content-Length: 1\r\n\r\n!"}, FIN, "H204 M204: H200 M200:! ", "C "},
    // Several responses
    {{OK "Content-Length: 1\r\n\r\na", CHUNKED "1\r\nb\r\n0\r\n\r\n", OK "\r\nc"}, FIN, "H200 M200:a H200 M200:b H200 ", "M200:c C "},
    // Redirects are the application's business.
    {{"HTTP/1.1 301 Moved\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"}, STAY, "H301 M301: ", "C "},
    {{"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 2\r\n\r\nhi"}, FIN, "H307 M307:hi ", "C "},
    // Nothing that a client can understand
    {{"garbage\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"SSH-2.0-x\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"HTTP/1.1 200 O\1K\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"HTTP/1.1 abc OK\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"HTTP/1.x 200 OK\r\nContent-Length: 0\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: x\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: -1\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: 18446744073709551615\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    {{OK "No colon\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "A : b\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "A: b\r\n folded\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: 1\r\n\r\na", "garbage\r\n\r\n"}, STAY, "H200 M200:a E0:Invalid response C ", ""},
    {{"SSH-2.0-x\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{"GET / HTTP/1.1\r\n"}, STAY, "", "C "},  // may be handled by whoever is connected the other way round
    {{OK "Content-Length: 1, 2\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Content-Length: 1,\r\n\r\na"}, STAY, "E0:Invalid response C ", ""},
    {{OK MANY "Content-Length: x\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    {{OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"}, STAY, "E0:Invalid response C ", ""},
    // These are reported.
    {{OK "Transfer-Encoding: gzip\r\n\r\n"}, STAY, "H200 E0:Invalid Transfer-Encoding C ", ""},
    {{CHUNKED "zz\r\n"}, STAY, "H200 E0:Invalid chunk C ", ""},
    {{CHUNKED "5\r\nhello!\r\n"}, STAY, "H200 E0:Invalid chunk C ", ""},
    // A request, which gets no answer
    {{"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n"}, STAY, "H0 E0:Invalid Transfer-Encoding C ", ""},
    // Names that no request may have
    {{OK "A(b): c\r\nContent-Length: 2\r\n\r\nhi"}, FIN, "H200 M200:hi ", "C "},
};

static struct script server;

enum cut { AS_GIVEN, AT_ONCE, BYTE_BY_BYTE };

static void run_case(const struct test *t, enum cut cut) {
  struct seen seen;
  char all[1000] = "";
  size_t i;
  start(&server, &seen, client_fn);
  for (i = 0; i < 5 && t->segments[i] != NULL; i++) {
    strcat(all, t->segments[i]);
    if (cut == AS_GIVEN && t->segments[i][0] != '\0') send_part(&server, &seen, t->segments[i], strlen(t->segments[i]));
  }
  if (cut == AT_ONCE && all[0] != '\0') send_part(&server, &seen, all, strlen(all));
  for (i = 0; cut == BYTE_BY_BYTE && all[i] != '\0'; i++) send_part(&server, &seen, all + i, 1);
  if (strchr(t->before, 'C') != NULL) POLL_UNTIL(&mgr, seen.closes == 1);
  poll_often(&mgr);
  if (strcmp(seen.log, t->before) != 0) fprintf(stderr, "cut %d of %s:\nsaw  %s\nwant %s\n", cut, all, seen.log, t->before);
  CHECK(strcmp(seen.log, t->before) == 0);
  seen.log[0] = '\0';
  if (t->end == STAY) {
    if (seen.c != NULL) seen.c->is_closing = 1;
  } else if (t->end == FIN) {
    peer_shut(&server.peer);
  }
  POLL_UNTIL(&mgr, seen.closes == 1);
  if (strcmp(seen.log, t->after) != 0) fprintf(stderr, "cut %d of %s, at the end:\nsaw  %s\nwant %s\n", cut, all, seen.log, t->after);
  CHECK(strcmp(seen.log, t->after) == 0);
  peer_read(&server.peer);
  CHECK_EQ(server.peer.len, 0);
  script_hang_up(&server);
}

// Servers made with this API may send a body where there is none. In one segment, it is no mistake.
static void servers_that_send_forbidden_bodies(void) {
  struct test t = {{"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi" OK "Content-Length: 1\r\n\r\n!"}, FIN, "H204 M204:hi H200 M200:! ", "C "};
  struct test u = {{"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nhi"}, FIN, "H304 M304:hi ", "C "};
  run_case(&t, AS_GIVEN);
  run_case(&u, AS_GIVEN);
}

// A response without a length that is reset: what came of it arrives, before MG_EV_CLOSE.
static void resets(void) {
  struct seen seen;
  start(&server, &seen, client_fn);
  send_part(&server, &seen, OK "\r\npart", strlen(OK "\r\npart"));
  script_reset(&server);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H200 E0:socket error M200:part C ") || seen_equals(&seen, "H200 M200:part C "));
}

// A line that is no status line however it ends: this much of it is waited for.
static void a_long_first_line(void) {
  struct seen seen;
  char *text = make_body(8192);
  start(&server, &seen, client_fn);
  send_part(&server, &seen, text, 8191);
  poll_often(&mgr);
  CHECK(seen_equals(&seen, ""));
  send_part(&server, &seen, text + 8191, 1);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "E0:Invalid response C "));
  script_hang_up(&server);
  free(text);
}

// More than fits.
static void too_large(void) {
  struct seen seen;
  size_t len = MG_MAX_RECV_SIZE + 100000, said = 0;
  char *body = make_body(len);
  start(&server, &seen, client_fn);
  send_part(&server, &seen, OK "\r\n", strlen(OK "\r\n"));
  while (seen.closes == 0) {
    ssize_t n = send(server.peer.fd, body + said, len - said, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n > 0) said += (size_t) n;
    mg_mgr_poll(&mgr, 1);
  }
  CHECK(strncmp(seen.log, "H200 E0:MG_MAX_RECV_SIZE M200:", 30) == 0);
  CHECK_EQ(seen.body_len, MG_MAX_RECV_SIZE - strlen(OK "\r\n"));
  script_hang_up(&server);
  free(body);
}

int main(void) {
  size_t i;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  script_open(&server);
  for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
    run_case(&tests[i], AS_GIVEN);
    run_case(&tests[i], AT_ONCE);
    run_case(&tests[i], BYTE_BY_BYTE);
  }
  // With short transfers nothing comes in one segment.
  if (getenv("SHORT_IO") == NULL) servers_that_send_forbidden_bodies();
  resets();
  a_long_first_line();
  too_large();
  CHECK(mgr.conns == NULL);
  script_close(&server);
  mg_mgr_free(&mgr);
  return DONE();
}
