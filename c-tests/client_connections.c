// Connections of HTTP clients: reuse, pipelining, cancelled responses, redirects, unreachable servers.

#include "client.h"

static struct script server;

// ---- keep-alive: the next request leaves when the last response is there

static int asked;

static void request_three_times(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_CONNECT) asked = 1;
  if (ev == MG_EV_HTTP_MSG && asked < 3) mg_printf(c, "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", asked++);
}

static void reuse(void) {
  static const char *const answers[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\n\r\nthree",
  };
  struct seen seen;
  size_t i;
  start(&server, &seen, request_three_times);
  for (i = 0; i < 3; i++) {
    if (i > 0) POLL_UNTIL(&mgr, has_request(&server.peer));
    server.peer.len = 0;
    send_part(&server, &seen, answers[i], strlen(answers[i]));
  }
  CHECK_EQ(asked, 3);
  CHECK(seen_equals(&seen, "H200 M200:one H200 M200:two H200 "));
  peer_shut(&server.peer);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H200 M200:one H200 M200:two H200 M200:three C "));
  script_hang_up(&server);
}

// ---- three requests at once, three responses at once, and many

static void request_twice_at_once(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
}

static void pipelined(void) {
  static const char answers[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 201 C\r\nContent-Length: 1\r\n\r\nbHTTP/1.1 204 N\r\n\r\n";
  const size_t len = sizeof(answers) - 1;
  struct seen seen;
  size_t cut;
  for (cut = 1; cut < len; cut++) {
    start(&server, &seen, request_twice_at_once);
    send_part(&server, &seen, answers, cut);
    send_part(&server, &seen, answers + cut, len - cut);
    CHECK(seen_equals(&seen, "H200 M200:a H201 M201:b H204 M204: "));
    script_hang_up(&server);
    POLL_UNTIL(&mgr, seen.closes == 1);
    CHECK_EQ(seen.messages, 3);
  }
}

// ---- a response to HEAD has no body; who asked gives it up

static void head_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    mg_printf(c, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
  } else {
    client_fn(c, ev, ev_data);
  }
  if (ev == MG_EV_HTTP_HDRS) c->is_closing = 1;
}

static void head(void) {
  static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";
  static const char endless[] = "HTTP/1.1 203 OK\r\n\r\n";
  struct seen seen;
  start(&server, &seen, head_fn);
  send_part(&server, &seen, answer, sizeof(answer) - 1);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H200 M200: C "));
  script_hang_up(&server);
  // The application gives up between two polls: one more poll, and all is said.
  start(&server, &seen, client_fn);
  send_part(&server, &seen, endless, sizeof(endless) - 1);
  CHECK(seen_equals(&seen, "H203 "));
  seen.c->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK(seen_equals(&seen, "H203 M203: C "));
  script_hang_up(&server);
  // Nothing came at all.
  start(&server, &seen, client_fn);
  seen.c->is_closing = 1;
  mg_mgr_poll(&mgr, 0);
  CHECK(seen_equals(&seen, "C "));
  script_hang_up(&server);
  // Drained: what came is dropped.
  start(&server, &seen, client_fn);
  send_part(&server, &seen, answer, sizeof(answer) - 1);
  seen.c->is_draining = 1;
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H200 C "));
  script_hang_up(&server);
}

// ---- a redirect is followed by the application

static char location[60];

static void follow(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_str *to = mg_http_get_header((struct mg_http_message *) ev_data, "location");
    CHECK(to != NULL);
    if (to != NULL) mg_snprintf(location, sizeof(location), "%.*s", (int) to->len, to->buf);
    c->is_draining = 1;
  }
}

static void redirect(void) {
  struct script other;
  struct seen seen, next;
  char answer[200];
  script_open(&other);
  start(&server, &seen, follow);
  mg_snprintf(answer, sizeof(answer), "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/x\r\nContent-Length: 0\r\n\r\n", other.port);
  send_part(&server, &seen, answer, strlen(answer));
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "H302 M302: C "));
  CHECK(mgr.conns == NULL);
  script_hang_up(&server);
  memset(&next, 0, sizeof(next));
  CHECK(mg_http_connect(&mgr, location, client_fn, &next) != NULL);
  script_accept(&other);
  POLL_UNTIL(&mgr, has_request(&other.peer));
  send_part(&other, &next, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 40);
  CHECK(seen_equals(&next, "H200 M200:ok "));
  script_hang_up(&other);
  POLL_UNTIL(&mgr, next.closes == 1);
  script_close(&other);
}

// ---- servers that are not there

static void server_not_listening(void) {
  struct script gone;
  struct seen seen;
  char url[50], want[50];
  memset(&seen, 0, sizeof(seen));
  script_open(&gone);
  script_close(&gone);
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", gone.port);
  CHECK(mg_http_connect(&mgr, url, client_fn, &seen) != NULL);
  CHECK(seen_equals(&seen, ""));
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "E0:socket error C "));

  memset(&seen, 0, sizeof(seen));
  CHECK(mg_http_connect(&mgr, "http://255.255.255.255:9/", client_fn, &seen) != NULL);
  mg_snprintf(want, sizeof(want), "E0:connect: %d C ", ENETUNREACH);
  CHECK(strncmp(seen.log, want, strlen(want) - 2) == 0 && seen.closes == 0);
  mg_mgr_poll(&mgr, 0);
  CHECK(seen_equals(&seen, want));

  CHECK(mg_http_connect(&mgr, "", client_fn, &seen) == NULL);
  CHECK(mg_http_connect(&mgr, NULL, client_fn, &seen) == NULL);
  CHECK(mgr.conns == NULL);
}

// The application's own deadline, while the connection is up and nothing comes.
static void application_timeout(struct mg_connection *c, int ev, void *ev_data) {
  client_fn(c, ev, ev_data);
  if (ev == MG_EV_POLL && c->send.len == 0 && !c->is_connecting && !c->is_closing) mg_error(c, "Timeout %d", 7);
}

static void timeout_of_the_application(void) {
  struct seen seen;
  char url[50];
  memset(&seen, 0, sizeof(seen));
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d/", server.port);
  CHECK(mg_http_connect(&mgr, url, application_timeout, &seen) != NULL);
  script_accept(&server);
  POLL_UNTIL(&mgr, seen.closes == 1);
  CHECK(seen_equals(&seen, "E0:Timeout 7 C "));
  script_hang_up(&server);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  script_open(&server);
  reuse();
  pipelined();
  head();
  redirect();
  server_not_listening();
  timeout_of_the_application();
  CHECK(mgr.conns == NULL);
  script_close(&server);
  mg_mgr_free(&mgr);
  return DONE();
}
