// Sessions of a dashboard: who gets one, when it ends, and what its connections and the application's callbacks see of that.
#include "dash.h"

static struct mg_dash dash;
static void (*s_meanwhile)(struct mg_dash_user *);  // called once, while the library calls the application

static int s_volume = 5;
static struct mg_field cfg_fields[] = {{"volume", MG_VAL_INT, &s_volume, sizeof(s_volume)}, {NULL, MG_VAL_INT, NULL, 0}};

static bool cfg_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  void (*f)(struct mg_dash_user *) = s_meanwhile;
  s_meanwhile = NULL;
  CHECK(u->dash == &dash);
  if (f != NULL) f(u);
  return op == MG_DASH_READ || u->level >= 7;
}

static struct mg_field_set cfg = {"cfg", cfg_fields, cfg_fn, NULL, NULL, NULL};
#define CHANGE "{\"method\":\"change\",\"params\":{\"cfg\":{\"volume\":5}}}"

// The password tells the level.
static int authenticate(char *user, size_t size, const char *pass) {
  CHECK(strlen(user) < size);
  return strncmp(pass, "is:", 3) == 0 ? atoi(pass + 3) : 0;
}

// A header with credentials.
static const char *who(const char *name, int level) {
  static char header[300];
  char plain[150];
  size_t n = mg_snprintf(plain, sizeof(plain), "%s:is:%d", name, level);
  mg_snprintf(header, sizeof(header), "Authorization: Basic %M\r\n", mg_print_base64, (int) n, plain);
  return header;
}

// The connection of the WebSocket that was opened last.
static struct mg_connection *websocket(void) {
  struct mg_connection *c = mgr.conns;
  while (c != NULL && !c->is_websocket) c = c->next;
  CHECK(c != NULL);
  return c;
}

static void serve_dashboard(void) {
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", mg_dash_ev_handler, &dash);
}

// Ends all sessions, and with them their connections.
static void stop(void) {
  listener->is_closing = 1;
  POLL_UNTIL(&mgr, mgr.conns == NULL);
}

static void levels_and_names(void) {
  static const char name[] = "a-name-of-31-characters-is-kept";
  char longer[50], first[100], second[100];
  expect_reply(ask("GET", "/api/login", who("one", 1), ""), 200, "{\"user\":\"one\",\"level\":1}\n");
  expect_reply(ask("GET", "/api/login", who("none", 0), ""), 403, "Not Authorised\n");
  expect_reply(ask("GET", "/api/login", who("less", -1), ""), 403, "Not Authorised\n");
  CHECK_EQ(strlen(name), MG_DASH_MAX_USER_NAME - 1);
  expect_reply(ask("GET", "/api/login", who(name, 7), ""), 200, "{\"user\":\"a-name-of-31-characters-is-kept\",\"level\":7}\n");
  mg_snprintf(longer, sizeof(longer), "%s-and-no-more", name);
  expect_reply(ask("GET", "/api/login", who(longer, 7), ""), 200, "{\"user\":\"a-name-of-31-characters-is-kept\",\"level\":7}\n");
  login(who(name, 7), first, sizeof(first));
  login(who(longer, 7), second, sizeof(second));
  CHECK(strcmp(first, second) == 0);
}

static void ten_at_most(void) {
  char name[20];
  int i;
  for (i = 0; i < 10; i++) {
    mg_snprintf(name, sizeof(name), "user%d", i);
    CHECK_EQ(ask("GET", "/api/login", who(name, 7), ""), 200);
  }
  CHECK_EQ(ask("GET", "/api/login", who("user10", 7), ""), 403);
  CHECK_EQ(ask("GET", "/api/login", who("user9", 7), ""), 200);
  clock_ms += 3600001;
  CHECK_EQ(ask("GET", "/api/login", who("user10", 7), ""), 200);
}

// A token is good in a cookie and in the query, but is no password.
static void tokens(void) {
  char cookie[100], other[100];
  login(who("admin", 7), cookie, sizeof(cookie));
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 200);
  mg_snprintf(other, sizeof(other), "/api/get?%.*s", (int) strcspn(cookie + 8, "\r"), cookie + 8);
  CHECK_EQ(ask("GET", other, "", ""), 200);
  mg_snprintf(other, sizeof(other), "Authorization: Bearer %s", strchr(cookie, '=') + 1);
  CHECK_EQ(ask("GET", "/api/get", other, ""), 403);
}

// Answers to HEAD have no body.
static void heads(void) {
  struct peer p;
  struct mg_http_message hm;
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, "HEAD /api/get HTTP/1.1\r\nHost: a\r\n\r\n"));
  POLL_UNTIL(&mgr, (peer_read(&p), mg_http_parse(p.buf, p.len, &hm) > 0));
  poll_often(&mgr);
  peer_read(&p);
  CHECK_EQ(mg_http_parse(p.buf, p.len, &hm), p.len);
  peer_free(&p);
}

static void expiry(void) {
  char cookie[100];
  login(who("admin", 7), cookie, sizeof(cookie));
  clock_ms += 3600000;
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 200);
  clock_ms += 3600001;
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 403);
  dash.session_auto_expiration_seconds = 1;
  login(who("admin", 7), cookie, sizeof(cookie));
  clock_ms += 1001;
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 403);
  dash.session_auto_expiration_seconds = 0;
}

// A session that was good when the head of a request arrived ends before its body.
static void expiry_during_a_request(void) {
  static const char text[] = "{\"cfg\":{\"volume\":9}}";
  struct peer p;
  char cookie[100], head[200];
  login(who("admin", 7), cookie, sizeof(cookie));
  mg_snprintf(head, sizeof(head), "POST /api/set HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n", cookie, (int) strlen(text));
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, head));
  POLL_UNTIL(&mgr, mgr.conns->recv.len == strlen(head));
  poll_often(&mgr);
  clock_ms += 3600001;
  CHECK(peer_send_text(&p, text));
  POLL_UNTIL(&mgr, peer_has(&p, 12));
  CHECK(memcmp(p.buf, "HTTP/1.1 403", 12) == 0);
  CHECK_EQ(s_volume, 5);
  peer_free(&p);
}

static char s_cookie[100];

static void log_out(struct mg_dash_user *u) {
  CHECK_EQ(ask("GET", "/api/logout", s_cookie, ""), 401);
  CHECK(strcmp(u->name, "admin") == 0 && u->level == 7);
}

// The user that a callback gets stays, whatever happens to the session meanwhile.
static void logout_during_a_callback(void) {
  struct peer p;
  login(who("admin", 7), s_cookie, sizeof(s_cookie));
  s_meanwhile = log_out;
  CHECK_EQ(ask("GET", "/api/get/cfg", s_cookie, ""), 200);
  CHECK(s_meanwhile == NULL);
  CHECK_EQ(ask("GET", "/api/get/cfg", s_cookie, ""), 403);

  login(who("admin", 7), s_cookie, sizeof(s_cookie));
  open_websocket(&p, s_cookie);
  s_meanwhile = log_out;
  mg_dash_send_change(&mgr, &cfg);
  CHECK(s_meanwhile == NULL);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(p.len > 21 && memcmp(p.buf, "\x81\x13{\"method\":\"logout\"}", 21) == 0);
  peer_free(&p);
}

// Its last listener takes the sessions of a dashboard along.
static void end_of_the_listener(void) {
  struct peer p;
  char cookie[100];
  login(who("admin", 7), cookie, sizeof(cookie));
  open_websocket(&p, cookie);
  stop();
  expect_goodbye(&mgr, &p);
  peer_free(&p);
  serve_dashboard();
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 403);
}

static void two_dashboards(void) {
  static struct mg_dash second;
  struct mg_connection *first = listener;
  char cookie[100];
  second.authenticate = authenticate;
  login(who("admin", 7), cookie, sizeof(cookie));
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", mg_dash_ev_handler, &second);
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 403);
  listener = first;
  CHECK_EQ(ask("GET", "/api/get", cookie, ""), 200);
}

static char s_own[MG_DATA_SIZE + 1];

static void upgrade(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_HTTP_MSG) return;
  mg_ws_upgrade(c, (struct mg_http_message *) ev_data, NULL);
  memset(c->data, 'o', sizeof(c->data));
}

// The session's other connections may be in another manager, which learns of the end with the next change.
static void two_managers(void) {
  struct mg_mgr other;
  struct mg_connection *first = listener;
  struct peer p, own;
  char cookie[100];
  login(who("admin", 7), cookie, sizeof(cookie));
  listener = serve(&other, mg_dash_ev_handler, &dash);
  ws_open(&own, &other, listener);
  open_websocket(&p, cookie);
  mg_dash_send_change(&other, &cfg);
  expect_message(&p, CHANGE);
  listener = first;
  CHECK_EQ(ask("GET", "/api/logout", cookie, ""), 401);
  poll_often(&other);
  CHECK(!peer_has(&p, 1));
  mg_dash_send_change(&other, &cfg);
  expect_goodbye(&other, &p);
  CHECK(!peer_has(&own, 1));
  peer_free(&p);
  peer_free(&own);
  mg_mgr_free(&other);
}

// More than a megabyte is not kept for a client.
static void client_that_does_not_read(void) {
  static char pad[1 << 20];
  struct mg_connection *c;
  struct peer p;
  open_websocket(&p, who("admin", 7));
  c = websocket();
  CHECK_EQ(c->send.len, 0);
  CHECK(mg_send(c, pad, sizeof(pad)));
  CHECK_EQ(c->send.len, sizeof(pad));
  mg_dash_send_change(&mgr, &cfg);
  CHECK_EQ(c->send.len, sizeof(pad) + 2 + strlen(CHANGE));
  CHECK(!c->is_closing);
  mg_dash_send_change(&mgr, &cfg);
  CHECK_EQ(c->send.len, sizeof(pad) + 2 + strlen(CHANGE));
  CHECK(c->is_closing);
  POLL_UNTIL(&mgr, peer_read(&p));
  peer_free(&p);
}

// Handlers of the application's own find them there.
static void user_and_dashboard_of_a_websocket(void) {
  struct mg_dash_user *user;
  struct mg_dash *its;
  struct mg_connection *c;
  struct peer p;
  open_websocket(&p, who("admin", 7));
  c = websocket();
  memcpy(&user, c->data + 8, sizeof(user));
  memcpy(&its, c->data + 16, sizeof(its));
  CHECK(its == &dash && user->dash == &dash && strcmp(user->name, "admin") == 0);
  c->is_closing = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  peer_free(&p);
}

static void nothing_more_to_one_that_ends(void) {
  struct mg_connection *c;
  struct peer p;
  open_websocket(&p, who("admin", 7));
  c = websocket();
  c->is_draining = 1;
  mg_dash_send_change(&mgr, &cfg);
  CHECK_EQ(c->send.len, 0);
  c->is_draining = 0, c->is_closing = 1;
  mg_dash_send_change(&mgr, &cfg);
  CHECK_EQ(c->send.len, 0);
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.len, 0);
  peer_free(&p);
}

static void own_fn(struct mg_connection *c, int ev, void *ev_data) {
  mg_dash_ev_handler(c, ev, ev_data);
  if (ev == MG_EV_CLOSE && c->is_websocket) memcpy(s_own, c->data, sizeof(c->data));
}

// A WebSocket of the application's own, with its own data.
static void websocket_of_the_application(void) {
  struct mg_connection *dashboard = listener;
  struct peer p;
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", own_fn, &dash);
  ws_open(&p, &mgr, listener);
  mg_dash_send_change(&mgr, &cfg);
  poll_often(&mgr);
  CHECK(!peer_has(&p, 1));
  peer_free(&p);
  POLL_UNTIL(&mgr, s_own[0] != '\0');
  CHECK_EQ(strspn(s_own, "o"), sizeof(s_own) - 1);
  listener->is_closing = 1;
  poll_often(&mgr);
  listener = dashboard;
}

static void one_guest(void) {
  struct mg_dash_user *guest;
  dash.authenticate = NULL;
  CHECK_EQ(ask("GET", "/api/get", "", ""), 200);
  guest = dash.guest;
  CHECK(guest != NULL);
  CHECK_EQ(ask("GET", "/api/get", "", ""), 200);
  CHECK(dash.guest == guest);
  dash.authenticate = authenticate;
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  MG_DASH_ADD_FIELD_SET(&dash, &cfg);
  MG_DASH_REGISTER_CUSTOM_HANDLER(&dash, "/ws", upgrade, NULL);
  dash.authenticate = authenticate;
  serve_dashboard();
  levels_and_names();
  stop(), serve_dashboard();
  ten_at_most();
  stop(), serve_dashboard();
  tokens();
  heads();
  expiry();
  expiry_during_a_request();
  logout_during_a_callback();
  end_of_the_listener();
  two_dashboards();
  two_managers();
  client_that_does_not_read();
  user_and_dashboard_of_a_websocket();
  nothing_more_to_one_that_ends();
  websocket_of_the_application();
  one_guest();
  mg_mgr_free(&mgr);
  return DONE();
}
