// A dashboard: levels, sessions and cookies, arrays, notifications, files, expiry.
#include "dash.h"

static int s_volume = 5;
static char s_title[16] = "abc";
static struct mg_field cfg_fields[] = {
    {"volume", MG_VAL_INT, &s_volume, sizeof(s_volume)},
    {"title", MG_VAL_STR, s_title, sizeof(s_title)},
    {NULL, MG_VAL_INT, NULL, 0},
};

static bool cfg_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  return u->level >= (op == MG_DASH_READ ? 3 : 7);
}

static int s_list[5] = {10, 20, 30}, s_count = 3, s_value, s_index;
static struct mg_field arr_fields[] = {{"v", MG_VAL_INT, &s_value, sizeof(s_value)}, {NULL, MG_VAL_INT, NULL, 0}};

static bool arr_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  bool there = s_index >= 0 && s_index < s_count;
  if (op == MG_DASH_READ) {
    if (there) s_value = s_list[s_index];
    else s_index = s_index < 0 ? s_count : -1;
    return true;
  }
  if (u->level < 7) return false;
  if (op == MG_DASH_ADD && s_count < 5) {
    s_list[s_count++] = s_value;
  } else if (op == MG_DASH_WRITE && there) {
    s_list[s_index] = s_value;
  } else if (op == MG_DASH_DELETE && s_count > 0 && there) {
    s_count--;
  } else {
    return false;
  }
  return true;
}

static char s_dir[64], s_name[32];
static uint64_t s_size;
static int s_file_index;
static struct mg_field file_fields[] = {
    {"name", MG_VAL_STR, s_name, sizeof(s_name)},
    {"size", MG_VAL_UINT64, &s_size, 0},
    {NULL, MG_VAL_INT, NULL, 0},
};

static bool get_dir(const struct mg_dash_user *u, char *buf, size_t len) {
  mg_snprintf(buf, len, "%s", s_dir);
  return u != NULL;
}

static bool files_fn(enum mg_dash_op op, struct mg_dash_user *u);
static struct mg_field_set cfg = {"cfg", cfg_fields, cfg_fn, NULL, NULL, NULL};
static struct mg_field_set arr = {"arr", arr_fields, arr_fn, &s_index, NULL, NULL};
static struct mg_field_set files = {"files", file_fields, files_fn, &s_file_index, get_dir, NULL};

static bool files_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  CHECK(s_file_index >= -1);
  return op == MG_DASH_READ ? mg_dash_dir_read(&files, u) : u->level >= 7;
}

static int s_logins;
static int authenticate(char *user, size_t size, const char *pass) {
  s_logins++;
  CHECK(size > 31);
  if (strcmp(user, "alias") == 0) mg_snprintf(user, size, "%s", "admin");
  return strcmp(pass, "apass") == 0 ? 7 : strcmp(pass, "upass") == 0 ? 3 : 0;
}

static int s_custom;
static void custom(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  s_custom++;
  CHECK_EQ(ev, MG_EV_HTTP_MSG);
  CHECK_EQ(c->data[0], 0);
  mg_http_reply(c, 200, "", "custom %.*s", (int) hm->uri.len, hm->uri.buf);
}

static void variables(void) {
  struct peer a, b;
  open_websocket(&a, ADMIN);
  open_websocket(&b, JOE);
  expect_reply(ask("GET", "/api/get/cfg", "", ""), 403, "Not Authorised\n");
  expect_reply(ask("GET", "/api/get/cfg", JOE, ""), 200, "{\"volume\":5,\"title\":\"abc\"}\n");
  expect_reply(ask("POST", "/api/set", JOE, "{\"cfg\":{\"volume\":6}}"), 200, "0\n");
  CHECK_EQ(s_volume, 5);
  expect_reply(ask("POST", "/api/set", ADMIN, "{\"cfg\":{\"volume\":6,\"title\":\"a\\\"\\u0001\"},\"none\":{}}"), 200, "2\n");
  CHECK_EQ(s_volume, 6);
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"cfg\":{\"volume\":6,\"title\":\"a\\\"\\u0001\"}}}");
  expect_message(&b, "{\"method\":\"change\",\"params\":{\"cfg\":{\"volume\":6,\"title\":\"a\\\"\\u0001\"}}}");
  expect_reply(ask("POST", "/api/set", ADMIN, "{\"cfg\":{\"volume\":2147483648,\"title\":1}}"), 200, "0\n");
  strcpy(s_title, "t");
  mg_dash_send_change(&mgr, &cfg);
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"cfg\":{\"volume\":6,\"title\":\"t\"}}}");
  expect_message(&b, "{\"method\":\"change\",\"params\":{\"cfg\":{\"volume\":6,\"title\":\"t\"}}}");

  s_index = 2;
  expect_reply(ask("GET", "/api/get/arr", JOE, ""), 200, "3\n");
  expect_reply(ask("GET", "/api/get/arr/1/9", JOE, ""), 200, "[{\"v\":20},{\"v\":30}]\n");
  expect_reply(ask("GET", "/api/get/arr/x", JOE, ""), 200, "null\n");
  expect_reply(ask("GET", "/api/get/arr/-1", JOE, ""), 404, "null\n");
  expect_reply(ask("GET", "/api/get/arr/0/-2", JOE, ""), 404, "null\n");
  expect_reply(ask("GET", "/api/get/arr/-99999999999999999999", JOE, ""), 404, "null\n");
  expect_reply(ask("POST", "/api/get/arr/-1", ADMIN, "{\"v\":21}"), 404, "null\n");
  expect_reply(ask("POST", "/api/get/arr/3", ADMIN, "{\"v\":21}"), 404, "null\n");
  expect_reply(ask("POST", "/api/get/arr/1", ADMIN, "{\"v\":21}"), 200, "1\n");
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"arr/1\":{\"v\":21}}}");
  expect_reply(ask("POST", "/api/add/arr", ADMIN, "{\"v\":40}"), 200, "true\n");
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"arr\":4}}");
  expect_reply(ask("GET", "/api/del/arr/3", JOE, ""), 403, "false\n");
  expect_reply(ask("GET", "/api/del/arr/3", ADMIN, ""), 200, "1\n");
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"arr\":3}}");
  CHECK_EQ(s_index, 2);
  CHECK_EQ(s_list[1], 21);
  peer_free(&a);
  peer_free(&b);
  poll_often(&mgr);
}

// Another site makes a browser send this.
static void cross_site_requests(void) {
#define CROSS "Sec-Fetch-Site: cross-site\r\n"
  static const struct {
    const char *method, *uri, *body;
  } refused[] = {
      {"POST", "/api/set", "{\"cfg\":{\"volume\":9}}"}, {"GET", "/api/del/arr/0", ""}, {"POST", "/api/add/arr", "{\"v\":9}"},
      {"POST", "/api/ota", "firmware"},                {"GET", "/api/websocket", ""}, {"GET", "/api/logout", ""},
      {"POST", "/api/get/arr/1", "{\"v\":9}"},         {"POST", "/fs/files/x", "hello"},
  };
  size_t i;
  for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
    int status = ask(refused[i].method, refused[i].uri, CROSS "Cookie: access_token=apass\r\n", refused[i].body);
    expect_reply(status, 403, "Not Authorised\n");
  }
  CHECK_EQ(s_volume, 6);
  CHECK_EQ(s_count, 3);
  // What other sites may embed, and what the browser had no credentials for.
  expect_reply(ask("GET", "/api/get/arr", CROSS "Cookie: access_token=apass\r\n", ""), 200, "3\n");
  expect_reply(ask("POST", "/hello/you", CROSS, ""), 200, "custom /hello/you");
  expect_reply(ask("POST", "/api/set", CROSS ADMIN, "{\"cfg\":{\"volume\":6}}"), 200, "1\n");
  expect_reply(ask("POST", "/api/set?access_token=apass", CROSS, "{\"cfg\":{\"volume\":6}}"), 200, "1\n");
}

static void file_list(void) {
  struct peer a;
  open_websocket(&a, ADMIN);
  expect_reply(ask("POST", "/fs/files/a%20b.txt", ADMIN, "hello"), 200, "ok\n");
  CHECK(strcmp(s_name, "a b.txt") == 0);
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"files\":1}}");
  expect_reply(ask("GET", "/fs/files/a%20b.txt", JOE, ""), 200, "hello");
  expect_reply(ask("GET", "/api/get/files/0", JOE, ""), 200, "[{\"name\":\"a b.txt\",\"size\":5}]\n");
  expect_reply(ask("PUT", "/fs/files/x", JOE, "hello"), 403, "Not Authorised\n");
  expect_reply(ask("POST", "/fs/files/%2e%2e%2fx", ADMIN, "hello"), 400, "Bad file name\n");
  expect_reply(ask("POST", "/fs/files/a%zz", ADMIN, "hello"), 400, "Bad file name\n");
  expect_reply(ask("POST", "/fs/files/a%00b", ADMIN, "hello"), 400, "Bad file name\n");
  expect_reply(ask("POST", "/fs/files/%00", ADMIN, "hello"), 400, "Bad file name\n");
  expect_reply(ask("GET", "/fs/files/a%01b", ADMIN, ""), 404, "Not found\n");
  expect_reply(ask("POST", "/fs/files/a-name-that-is-longer-than-the-variable", ADMIN, "hello"), 400, "Bad file name\n");
  expect_reply(ask("POST", "/fs/cfg/x", ADMIN, "hello"), 404, "Not Found\n");
  expect_reply(ask("GET", "/fs/files/a%20b.txt", "", ""), 403, "Not Authorised\n");
  expect_reply(ask("DELETE", "/fs/files/a%20b.txt", JOE, ""), 403, "Not Authorised\n");
  expect_reply(ask("DELETE", "/fs/files/a%20b.txt", ADMIN, ""), 200, "true");
  expect_message(&a, "{\"method\":\"change\",\"params\":{\"files\":0}}");
  peer_free(&a);
  poll_often(&mgr);
}

static void sessions(void) {
  char admin[100], joe[100], again[100];
  struct peer a, b;
  int logins;
  login(ADMIN, admin, sizeof(admin));
  CHECK(strstr(s_answer, "\r\n\r\n{\"user\":\"admin\",\"level\":7}\n") != NULL);
  login(JOE, joe, sizeof(joe));
  CHECK_EQ(strlen(admin), strlen("Cookie: access_token=\r\n") + 19);
  CHECK(strcmp(admin, joe) != 0);
  login("Authorization: Basic YWxpYXM6YXBhc3M=\r\n", again, sizeof(again));
  CHECK(strcmp(admin, again) == 0);
  logins = s_logins;
  expect_reply(ask("GET", "/api/get/arr", admin, ""), 200, "3\n");
  CHECK_EQ(s_logins, logins);
  // A password in a cookie logs in, but does not become a session's token.
  login("Cookie: access_token=apass\r\n", again, sizeof(again));
  CHECK(strstr(again, "apass") == NULL);

  // Sliding expiry.
  open_websocket(&a, admin);
  open_websocket(&b, joe);
  clock_ms += 50000;
  expect_reply(ask("GET", "/api/get/arr", admin, ""), 200, "3\n");
  clock_ms += 50000;
  expect_reply(ask("GET", "/api/get/arr", joe, ""), 403, "Not Authorised\n");
  expect_reply(ask("GET", "/api/get/arr", admin, ""), 200, "3\n");
  POLL_UNTIL(&mgr, peer_read(&b));
  CHECK(b.len > 3 && memcmp(b.buf, "\x88\x0f\x03\xf0", 4) == 0);
  CHECK(!peer_read(&a));

  CHECK_EQ(ask("GET", "/api/logout", admin, ""), 401);
  CHECK(strcmp(body(), "Unauthorized\n") == 0);
  expect_reply(ask("GET", "/api/get/arr", admin, ""), 403, "Not Authorised\n");
  POLL_UNTIL(&mgr, peer_read(&a));
  CHECK(a.len > 21 && memcmp(a.buf, "\x81\x13{\"method\":\"logout\"}", 21) == 0);
  peer_free(&a);
  peer_free(&b);
}

// What is answered when its head arrives, in the middle of other requests, and as the last one.
static void responses_sent_at_the_head(void) {
  static const char requests[] =
      "GET /api/hi HTTP/1.1\r\n\r\nPOST /api/login HTTP/1.1\r\n" ADMIN "Content-Length: 3\r\n\r\nabc"
      "GET /hello/again HTTP/1.1\r\n\r\nGET /api/get/arr HTTP/1.1\r\n\r\nGET /api/login HTTP/1.1\r\n" JOE "Connection: close\r\n\r\n";
  struct peer p;
  struct mg_http_message hm;
  size_t ofs = 0;
  int i, want[] = {200, 200, 200, 403, 200};
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, requests));
  POLL_UNTIL(&mgr, peer_read(&p));
  for (i = 0; i < 5 && mg_http_parse(p.buf + ofs, p.len - ofs, &hm) > 0; i++) {
    CHECK_EQ(mg_http_status(&hm), want[i]);
    ofs += hm.message.len;
  }
  CHECK_EQ(i, 5);
  CHECK_EQ(ofs, p.len);
  peer_free(&p);
  expect_reply(ask("POST", "/api/ota", ADMIN, "firmware"), 200, "ok\n");
  expect_reply(ask("POST", "/api/ota", "", "firmware"), 403, "Not Authorised\n");
}

// A directory is listed only into a field that can hold names.
static void names_need_room(void) {
  struct mg_dash_user user;
  struct mg_field number[] = {{"name", MG_VAL_INT, s_name, sizeof(s_name)}, {NULL, MG_VAL_INT, NULL, 0}};
  struct mg_field nowhere[] = {{"name", MG_VAL_STR, NULL, sizeof(s_name)}, {NULL, MG_VAL_INT, NULL, 0}};
  struct mg_field empty[] = {{"name", MG_VAL_STR, s_name, 0}, {NULL, MG_VAL_INT, NULL, 0}};
  struct mg_field_set set = files;
  memset(&user, 0, sizeof(user));
  s_file_index = -1;
  CHECK(mg_dash_dir_read(&set, &user));
  set.fields = number;
  CHECK(!mg_dash_dir_read(&set, &user));
  set.fields = nowhere;
  CHECK(!mg_dash_dir_read(&set, &user));
  set.fields = empty;
  CHECK(!mg_dash_dir_read(&set, &user));
}

int main(void) {
  static struct mg_dash dash, open_to_all;
  struct mg_connection *second;
  mg_log_set(MG_LL_NONE);
  mg_snprintf(s_dir, sizeof(s_dir), "dash-test-XXXXXX");
  CHECK(mkdtemp(s_dir) != NULL);
  MG_DASH_ADD_FIELD_SET(&dash, &cfg);
  MG_DASH_ADD_FIELD_SET(&dash, &arr);
  MG_DASH_ADD_FIELD_SET(&dash, &files);
  MG_DASH_REGISTER_CUSTOM_HANDLER(&dash, "/hello/#", custom, NULL);
  dash.authenticate = authenticate;
  dash.session_auto_expiration_seconds = 60;
  listener = serve(&mgr, mg_dash_ev_handler, &dash);
  variables();
  cross_site_requests();
  file_list();
  names_need_room();
  sessions();
  responses_sent_at_the_head();
  expect_reply(ask("GET", "/hello/you", "", ""), 200, "custom /hello/you");
  expect_reply(ask("GET", "/other", "", ""), 404, "Not Found");
  CHECK_EQ(s_custom, 3);

  // A dashboard of its own on the same manager: sessions of one are nothing to the other.
  second = mg_http_listen(&mgr, "http://127.0.0.1:0", mg_dash_ev_handler, &open_to_all);
  listener = second;
  expect_reply(ask("GET", "/api/get", "", ""), 200, "{}\n");
  CHECK(open_to_all.guest != NULL && open_to_all.guest->level == 9 && strcmp(open_to_all.guest->name, "guest") == 0);
  CHECK(dash.guest == NULL);
  mg_mgr_free(&mgr);
  CHECK_EQ(rmdir(s_dir), 0);
  return DONE();
}
