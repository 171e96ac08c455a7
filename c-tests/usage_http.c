// HTTP handlers: dispatch by URI, variables, JSON bodies, forms, credentials, JSON-RPC.
#include "mongoose.h"

#include "peer.h"

static int messages, headers, closes;

static void api(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_str caps[4];
  if (ev == MG_EV_HTTP_HDRS) headers++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev != MG_EV_HTTP_MSG) return;
  messages++;
  if (mg_match(hm->uri, mg_str("/api/hello"), NULL)) {
    mg_http_reply(c, 200, "Content-Type: application/json\r\n", "{%m:%m}\n", MG_ESC("status"), MG_ESC("ok \"x\""));
  } else if (mg_match(hm->uri, mg_str("/api/items/*/rename/*"), caps)) {
    mg_http_reply(c, 200, "", "%.*s->%.*s", (int) caps[0].len, caps[0].buf, (int) caps[1].len, caps[1].buf);
  } else if (mg_match(hm->uri, mg_str("/api/sum"), NULL)) {
    char a[10] = "", b[10] = "";
    double x = 0, y = 0;
    if (mg_http_get_var(&hm->query, "a", a, sizeof(a)) > 0 && mg_http_get_var(&hm->query, "b", b, sizeof(b)) > 0) {
      mg_http_reply(c, 200, "", "%d", atoi(a) + atoi(b));
    } else if (mg_json_get_num(hm->body, "$.a", &x) && mg_json_get_num(hm->body, "$.b", &y)) {
      mg_http_reply(c, 200, "", "%g", x + y);
    } else {
      mg_http_reply(c, 400, "", "%d", mg_http_get_var(&hm->query, "a", a, sizeof(a)));
    }
  } else if (mg_match(hm->uri, mg_str("/api/form"), NULL)) {
    char user[20], note[40];
    mg_http_get_var(&hm->body, "user", user, sizeof(user));
    mg_http_get_var(&hm->body, "note", note, sizeof(note));
    mg_http_reply(c, 200, "", "%s|%s", user, note);
  } else if (mg_match(hm->uri, mg_str("/api/upload"), NULL)) {
    struct mg_http_part part;
    size_t ofs = 0;
    mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while ((ofs = mg_http_next_multipart(hm->body, ofs, &part)) > 0) {
      mg_http_printf_chunk(c, "%.*s/%.*s=%.*s;", (int) part.name.len, part.name.buf, (int) part.filename.len, part.filename.buf,
                           (int) part.body.len, part.body.buf);
    }
    mg_http_printf_chunk(c, "");
  } else if (mg_match(hm->uri, mg_str("/api/login"), NULL)) {
    char user[1], pass[100];
    mg_http_creds(hm, user, sizeof(user), pass, sizeof(pass));  // only the password is wanted
    CHECK_EQ(user[0], 0);
    mg_http_reply(c, 200, "", "%s", pass);
  } else if (mg_match(hm->uri, mg_str("/api/config"), NULL)) {
    char *name = mg_json_get_str(hm->body, "$.wifi.name");
    bool on = false;
    long n = mg_json_get_long(hm->body, "$.list[1]", -1);
    mg_json_get_bool(hm->body, "$.on", &on);
    mg_http_reply(c, 200, "", "%s %ld %d", name == NULL ? "?" : name, n, on);
    mg_free(name);
  } else {
    mg_http_reply(c, 404, "", "%s", "Not found\n");
  }
}

// Says `request` on a connection of its own. `head` is what the reply has before its length: status and headers.
static void ask(struct mg_mgr *mgr, struct mg_connection *l, const char *request, const char *status, const char *head, const char *body) {
  struct mg_str want = make_reply(status, head, body, strlen(body));
  struct peer p;
  int failed = checks_failed;
  peer_open(&p, l);
  peer_send_text(&p, request);
  POLL_UNTIL(mgr, peer_has(&p, want.len));
  CHECK(peer_got_str(&p, want));
  if (checks_failed > failed) fprintf(stderr, "... in %.60s\n", request);
  peer_free(&p);
  free(want.buf);
}

static const char *post(const char *uri, const char *body) {
  static char text[1000];
  snprintf(text, sizeof(text), "POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", uri, (int) strlen(body), body);
  return text;
}

#define GET(uri, more) "GET " uri " HTTP/1.1\r\nHost: a\r\n" more "\r\n"
#define OK "200 OK", ""

static void requests(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, api, NULL);
  ask(&mgr, l, GET("/api/hello", ""), "200 OK", "Content-Type: application/json\r\n", "{\"status\":\"ok \\\"x\\\"\"}\n");
  ask(&mgr, l, GET("/api/items/42/rename/a%20b", ""), OK, "42->a%20b");
  ask(&mgr, l, GET("/api/sum?a=1&b=%34", ""), OK, "5");
  ask(&mgr, l, post("/api/sum", "{\"a\":1.5, \"b\": 2e1}"), OK, "21.5");
  ask(&mgr, l, GET("/api/sum?b=1", ""), "400 Bad Request", "", "-4");
  ask(&mgr, l, GET("/api/sum", ""), "400 Bad Request", "", "-1");
  ask(&mgr, l, post("/api/form", "user=me&note=a+b%26c%3Dd&x=y"), OK, "me|a b&c=d");
  ask(&mgr, l, GET("/api/login", "Authorization: Bearer token123\r\n"), OK, "token123");
  ask(&mgr, l, GET("/api/login", "Authorization: Basic YTpi\r\n"), OK, "b");
  ask(&mgr, l, GET("/api/login", "Cookie: x=y; access_token=cookie\r\n"), OK, "cookie");
  ask(&mgr, l, GET("/api/login?access_token=query", ""), OK, "query");
  ask(&mgr, l, post("/api/config", "{\"wifi\":{\"name\":\"my \\u0041P\"},\"list\":[1, 22],\"on\":true}  "), OK, "my AP 22 1");
  ask(&mgr, l, post("/api/config", "{}"), OK, "? -1 0");
  ask(&mgr, l, GET("/nothing", ""), "404 Not Found", "", "Not found\n");
  mg_mgr_free(&mgr);
}

static void a_form_with_files(void) {
  static const char want[] =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000005\r\na/=1;\r\n00000015\r\nf/f.txt=line\r\nline\r\n;\r\n00000000\r\n\r\n";
  struct mg_mgr mgr;
  struct peer p;
  peer_open(&p, serve(&mgr, api, NULL));
  peer_send_text(&p, post("/api/upload",
                    "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
                    "--X\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\nline\r\nline\r\n\r\n"
                    "--X--\r\n"));
  POLL_UNTIL(&mgr, peer_has(&p, sizeof(want) - 1));
  CHECK(peer_got(&p, want));
  mg_mgr_free(&mgr);
  peer_free(&p);
}

// ---- bodies that arrive in pieces and in chunks
static void bodies_in_pieces(void) {
  static const char request[] =
      "POST /api/sum HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n1\r\n1\r\na\r\n, \"b\":  2}\r\n0\r\n\r\n";
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, api, NULL);
  struct peer p;
  size_t i;
  messages = headers = 0;
  peer_open(&p, l);
  for (i = 0; i < sizeof(request) - 1; i++) {
    peer_send(&p, request + i, 1);
    mg_mgr_poll(&mgr, 1);
    mg_mgr_poll(&mgr, 0);
  }
  POLL_UNTIL(&mgr, peer_has(&p, 49));
  CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1          \r\n\r\n3"));
  CHECK_EQ(messages, 1);
  CHECK_EQ(headers, 1);
  mg_mgr_free(&mgr);
  peer_free(&p);
}

static void many_requests_in_one_segment(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, api, NULL);
  struct peer p;
  char *all = (char *) malloc(100 * 60);
  size_t len = 0;
  int i;
  messages = 0;
  for (i = 0; i < 100; i++) len += (size_t) snprintf(all + len, 60, GET("/api/sum?a=%d&b=1", ""), i);
  peer_open(&p, l);
  peer_send(&p, all, len);
  POLL_UNTIL(&mgr, peer_has(&p, 9 * 49 + 90 * 50 + 51));
  CHECK_EQ(messages, 100);
  CHECK(p.len > 4 && memcmp(p.buf + p.len - 3, "100", 3) == 0);
  CHECK_EQ(p.end, PEER_OPEN);
  mg_mgr_free(&mgr);
  peer_free(&p);
  free(all);
}

// ---- what is malformed gets no answer; what was asked before does
static void malformed(void) {
  static const char *const bad[] = {
      "GET / HTTP/1.1\r\nA B: c\r\n\r\n", "GET /\r\n\r\n", " \r\nGET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
      "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\n",
  };
  size_t i;
  for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
    struct mg_mgr mgr;
    struct mg_connection *l = serve(&mgr, api, NULL);
    struct peer p;
    char text[200];
    messages = closes = 0;
    snprintf(text, sizeof(text), "%s%.100s", GET("/api/sum?a=1&b=2", ""), bad[i]);
    peer_open(&p, l);
    peer_send_text(&p, text);
    POLL_UNTIL(&mgr, peer_read(&p) && closes == 1);
    CHECK_EQ(p.end, PEER_FIN);
    peer_drop_close(&p, 0);
    CHECK(peer_got(&p, "HTTP/1.1 200 OK\r\nContent-Length: 1          \r\n\r\n3"));
    CHECK_EQ(messages, 1);
    mg_mgr_free(&mgr);
    peer_free(&p);
  }
}

// ---- JSON-RPC over HTTP
static void sum(struct mg_rpc_req *r) {
  double a = 0, b = 0;
  mg_json_get_num(r->frame, "$.params[0]", &a);
  mg_json_get_num(r->frame, "$.params[1]", &b);
  mg_rpc_ok(r, "%g", a + b);
}

static void complains(struct mg_rpc_req *r) {
  mg_rpc_err(r, -5, "not json %s", (char *) r->rpc->fn_data);
}

static struct mg_rpc *methods;

static void rpc(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    struct mg_iobuf io = {0, 0, 0, 100};
    struct mg_rpc_req r = {&methods, 0, mg_pfn_iobuf, &io, 0, hm->body};
    mg_rpc_process(&r);
    if (io.buf) mg_http_reply(c, 200, "", "%s", (char *) io.buf);
    else mg_http_reply(c, 204, "", "");
    mg_iobuf_free(&io);
  }
}

static void json_rpc(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, rpc, NULL);
  mg_rpc_add(&methods, mg_str("sum"), sum, NULL);
  mg_rpc_add(&methods, mg_str("complain"), complains, (void *) "twice");
  mg_rpc_add(&methods, mg_str("list"), mg_rpc_list, NULL);
  ask(&mgr, l, post("/", "{\"id\":7,\"method\":\"sum\",\"params\":[1.5, 2]}"), OK, "{\"id\":7,\"result\":3.5}");
  ask(&mgr, l, post("/", "{\"id\":1,\"method\":\"list\"}"), OK, "{\"id\":1,\"result\":[\"list\",\"complain\",\"sum\"]}");
  ask(&mgr, l, post("/", "{\"id\":1,\"method\":\"complain\"}"),
      OK, "{\"id\":1,\"error\":{\"code\":-5,\"message\":not json twice}}");
  ask(&mgr, l, post("/", "{\"method\":\"sum\",\"params\":[1, 2]}"), "204 No Content", "", "");
  // One method goes, and each time it was added.
  mg_rpc_add(&methods, mg_str("total"), sum, NULL);
  mg_rpc_del(&methods, sum);
  ask(&mgr, l, post("/", "{\"id\":1,\"method\":\"list\"}"), OK, "{\"id\":1,\"result\":[\"list\",\"complain\"]}");
  mg_rpc_del(&methods, NULL);
  CHECK(methods == NULL);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  requests();
  a_form_with_files();
  bodies_in_pieces();
  many_requests_in_one_segment();
  malformed();
  json_rpc();
  return DONE();
}
