// Variables and file lists of a dashboard at their limits: numbers, sizes, names, directories, elements that may not be read.
#include "dash.h"

static struct mg_dash dash;

static int s_int;
static uint64_t s_u64;
static char s_text[4], s_fixed[4] = "abc";
static struct mg_field var_fields[] = {
    {"int", MG_VAL_INT, &s_int, sizeof(s_int)},
    {"u64", MG_VAL_UINT64, &s_u64, sizeof(s_u64)},
    {"text", MG_VAL_STR, s_text, sizeof(s_text)},
    {"fixed", MG_VAL_STR, s_fixed, 0},
    {"nowhere", MG_VAL_INT, NULL, sizeof(s_int)},
    {NULL, MG_VAL_INT, NULL, 0},
};
static struct mg_field_set vars = {"vars", var_fields, NULL, NULL, NULL, NULL};

// Called before the variable changes, and with what it became.
static int s_other, s_became;
static bool other_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  if (op == MG_DASH_WRITE) s_became = s_other;
  return u != NULL;
}

static struct mg_field other_fields[] = {{"x", MG_VAL_INT, &s_other, sizeof(s_other)}, {NULL, MG_VAL_INT, NULL, 0}};
static struct mg_field_set other = {"other", other_fields, other_fn, NULL, NULL, NULL};

// Three elements, of which the second may not be read.
static int s_element, s_at;
static struct mg_field list_fields[] = {{"n", MG_VAL_INT, &s_element, sizeof(s_element)}, {NULL, MG_VAL_INT, NULL, 0}};

static bool s_read_only;

static bool list_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  CHECK(s_at >= -1 && u->level == 9);
  if (op == MG_DASH_READ && s_at == -1) s_at = 3;
  if (op == MG_DASH_WRITE) return !s_read_only;
  s_element = s_at;
  return op != MG_DASH_READ || s_at != 1;
}

static struct mg_field_set list = {"list", list_fields, list_fn, &s_at, NULL, NULL};

// A file list without a function.
static char s_dir[64], s_name[32];
static size_t s_room;
static int s_file;
static struct mg_field file_fields[] = {{"name", MG_VAL_STR, s_name, sizeof(s_name)}, {NULL, MG_VAL_INT, NULL, 0}};

static bool s_no_dir;

static bool get_dir(const struct mg_dash_user *u, char *buf, size_t len) {
  s_room = len;
  mg_snprintf(buf, len, "%s", s_dir);
  return u != NULL && !s_no_dir;
}

static struct mg_field_set files = {"files", file_fields, NULL, &s_file, get_dir, NULL};

static bool write_only(enum mg_dash_op op, struct mg_dash_user *u) {
  return u != NULL && op != MG_DASH_READ;
}

static struct mg_field_set hidden = {"hidden", &file_fields[1], write_only, &s_file, get_dir, NULL};

static char s_raw[8];
static struct mg_field raw_fields[] = {{"raw", MG_VAL_RAW, s_raw, sizeof(s_raw)}, {NULL, MG_VAL_INT, NULL, 0}};
static struct mg_field_set raw = {"raw", raw_fields, NULL, NULL, NULL, NULL};

static int set_values(const char *json) {
  CHECK_EQ(ask("POST", "/api/set", "", json), 200);
  return atoi(body());
}

static void numbers(void) {
  CHECK_EQ(set_values("{\"vars\":{\"int\":-2147483648}}"), 1);
  CHECK(s_int == INT_MIN);
  CHECK_EQ(set_values("{\"vars\":{\"int\":2147483647}}"), 1);
  CHECK(s_int == INT_MAX);
  CHECK_EQ(set_values("{\"vars\":{\"int\":-2147483649}}"), 0);
  CHECK_EQ(set_values("{\"vars\":{\"int\":2147483648}}"), 0);
  CHECK_EQ(set_values("{\"vars\":{\"int\":1.5}}"), 0);
  CHECK(s_int == INT_MAX);
  CHECK_EQ(set_values("{\"vars\":{\"u64\":18446744073709551615}}"), 1);
  CHECK(s_u64 == UINT64_MAX);
  CHECK_EQ(set_values("{\"vars\":{\"u64\":0}}"), 1);
  CHECK(s_u64 == 0);
  CHECK_EQ(set_values("{\"vars\":{\"u64\":-1}}"), 0);
  CHECK(s_u64 == 0);
}

static void texts(void) {
  CHECK_EQ(set_values("{\"vars\":{\"text\":\"abc\"}}"), 1);
  CHECK(strcmp(s_text, "abc") == 0);
  // No size: read only.
  CHECK_EQ(set_values("{\"vars\":{\"fixed\":\"x\"}}"), 0);
  CHECK(strcmp(s_fixed, "abc") == 0);
  CHECK_EQ(set_values("{\"vars\":{\"nowhere\":1}}"), 0);
  // An object and the end of a text.
  CHECK_EQ(set_values("{\"raw\":{\"a\":1}}"), 1);
  CHECK_EQ(set_values("{\"raw\":{\"a\":12}}"), 0);
  CHECK(strcmp(s_raw, "{\"a\":1}") == 0);
}

static void several_sets(void) {
  CHECK_EQ(set_values("{\"vars\":{\"int\":7,\"u64\":8},\"other\":{\"x\":9}}"), 3);
  CHECK(s_int == 7 && s_u64 == 8 && s_other == 9);
  CHECK_EQ(s_became, 9);
}

static void elements_that_may_not_be_read(void) {
  expect_reply(ask("GET", "/api/get/list/0", "", ""), 200, "[{\"n\":0}]\n");
  expect_reply(ask("GET", "/api/get/list/1", "", ""), 200, "null\n");
  expect_reply(ask("GET", "/api/get/list/1/2", "", ""), 200, "null\n");
  expect_reply(ask("GET", "/api/get/list/0/2", "", ""), 200, "[{\"n\":0}]\n");
  expect_reply(ask("GET", "/api/get/list", "", ""), 200, "3\n");
  expect_reply(ask("POST", "/api/add/list", "", "[1]"), 403, "false\n");
}

static void elements_that_may_not_be_written(void) {
  struct peer watcher;
  open_websocket(&watcher, "");
  s_read_only = true;
  expect_reply(ask("POST", "/api/get/list/0", "", "{\"n\":5}"), 403, "false\n");
  poll_often(&mgr);
  CHECK(!peer_has(&watcher, 1));
  s_read_only = false;
  expect_reply(ask("POST", "/api/get/list/0", "", "{\"n\":5}"), 200, "1\n");
  expect_message(&watcher, "{\"method\":\"change\",\"params\":{\"list/0\":{\"n\":0}}}");
  peer_free(&watcher);
}

// An element that reaches the size limit of an answer with the bracket before it is left out.
static void element_as_long_as_an_answer(void) {
  const size_t len = (16 << 20) - strlen("[{\"text\":}");
  char *text = (char *) malloc(len + 1);
  struct mg_field fields[] = {{"text", MG_VAL_RAW, text, 0}, {NULL, MG_VAL_INT, NULL, 0}};
  CHECK(text != NULL);
  if (text == NULL) return;
  memset(text, '1', len);
  text[len] = '\0';
  list.fields = fields;
  expect_reply(ask("GET", "/api/get/list/0", "", ""), 200, "[]\n");
  list.fields = list_fields;
  free(text);
}

static void change_of_the_first_element(void) {
  struct peer p;
  open_websocket(&p, "");
  s_at = 0;
  mg_dash_send_change(&mgr, &list);
  CHECK_EQ(s_at, 0);
  expect_message(&p, "{\"method\":\"change\",\"params\":{\"list/0\":{\"n\":0}}}");
  peer_free(&p);
}

// Stored, listed in order, and removed.
static void file_names(void) {
  static const char longer[] = "/fs/files/a-name-of-32-characters-is-large";
  static const char *const names[] = {"/fs/files/b", "/fs/files/a", "/fs/files/d+e", "/fs/files/c"};
  char longest[sizeof(longer) - 1];
  size_t i;
  mg_snprintf(longest, sizeof(longest), "%s", longer);
  CHECK_EQ(strlen(longest) - 10, sizeof(s_name) - 1);
  for (i = 0; i < 4; i++) expect_reply(ask("PUT", names[i], "", "hello"), 200, "ok\n");
  s_file = -1;
  expect_reply(ask("GET", "/api/get/files", "", ""), 200, "4\n");
  expect_reply(ask("GET", "/api/get/files/0/9", "", ""), 200, "[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"d+e\"}]\n");
  expect_reply(ask("GET", "/api/del/files/0", "", ""), 403, "false\n");
  // Elements of a list without a function do not change.
  expect_reply(ask("POST", "/api/get/files/0", "", "{\"name\":\"new\"}"), 404, "null\n");
  expect_reply(ask("GET", "/fs/hidden/a", "", ""), 403, "Not Authorised\n");
  for (i = 0; i < 4; i++) expect_reply(ask("DELETE", names[i], "", ""), 200, "true");
  expect_reply(ask("GET", "/fs/none/a", "", ""), 404, "Not Found");
  expect_reply(ask("PUT", longer, "", "hello"), 400, "Bad file name\n");
  expect_reply(ask("PUT", longest, "", "hello"), 200, "ok\n");
  CHECK(strcmp(s_name, longest + 10) == 0);
  expect_reply(ask("DELETE", longest, "", ""), 200, "true");
  // A variable with room for nothing but the end of a text takes none; one that is read only does not want any.
  file_fields[0].value_size = 1;
  expect_reply(ask("PUT", "/fs/files/a", "", "hello"), 400, "Bad file name\n");
  file_fields[0].value_size = 0;
  strcpy(s_name, "as before");
  expect_reply(ask("PUT", "/fs/files/a", "", "hello"), 200, "ok\n");
  CHECK(strcmp(s_name, "as before") == 0);
  expect_reply(ask("DELETE", "/fs/files/a", "", ""), 200, "true");
  file_fields[0].value_size = sizeof(s_name);
}

// One answer, then the end, and nothing told to others.
static void uploads_that_fail(void) {
  struct peer p, watcher;
  struct mg_http_message hm;
  char before[sizeof(s_dir)];
  strcpy(before, s_dir);
  strcat(s_dir, "/none");
  open_websocket(&watcher, "");
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, "PUT /fs/files/a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"));
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(mg_http_parse(p.buf, p.len, &hm) > 0);
  CHECK_EQ(mg_http_status(&hm), 500);
  CHECK_EQ(hm.message.len, p.len);
  poll_often(&mgr);
  CHECK(!peer_has(&watcher, 1));
  peer_free(&p);
  peer_free(&watcher);
  strcpy(s_dir, before);
  s_no_dir = true;
  expect_reply(ask("PUT", "/fs/files/a", "", "hello"), 500, "Upload dir error\n");
  s_no_dir = false;
}

// ---- directories, asked for by an application

static const char *s_listed;  // the only file
static char s_path[2000];
static size_t s_file_size;
static bool s_exists;

static void ls(const char *path, void (*fn)(const char *, void *), void *arg) {
  mg_snprintf(s_path, sizeof(s_path), "%s", path);
  fn(s_listed, arg);
}

static int st(const char *path, size_t *size, time_t *mtime) {
  mg_snprintf(s_path, sizeof(s_path), "%s", path);
  if (size != NULL) *size = s_file_size;
  if (mtime != NULL) *mtime = 0;
  return s_exists ? MG_FS_READ : 0;
}

static bool unterminated(const struct mg_dash_user *u, char *buf, size_t len) {
  s_room = len;
  memset(buf, 'd', len);
  return u != NULL;
}

static void directories(void) {
  struct mg_fs fs = mg_fs_posix;
  struct mg_dash owner;
  struct mg_dash_user user;
  struct mg_field fields[] = {{"name", MG_VAL_STR, s_name, 4}, {"size", MG_VAL_INT, &s_int, 0}, {NULL, MG_VAL_INT, NULL, 0}};
  struct mg_field_set set = files;
  memset(&owner, 0, sizeof(owner));
  memset(&user, 0, sizeof(user));
  fs.ls = ls, fs.st = st;
  owner.upload_fs = &fs, user.dash = &owner;
  set.fields = fields;
  s_listed = "name", s_exists = true, s_file_size = 12345;

  // Names are cut to their variable.
  memset(s_name, 'x', sizeof(s_name));
  s_file = 0;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK(memcmp(s_name, "nam\0x", 5) == 0 && s_file == 0);
  CHECK_EQ(s_int, 12345);
  fields[0].value_size = 1;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK(memcmp(s_name, "\0am\0x", 5) == 0);
  fields[0].value_size = sizeof(s_name);

  // A size that does not fit, of a file that has just gone, in a variable of another type.
  s_file_size = (size_t) INT_MAX + 1;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK(s_int == INT_MAX && strcmp(s_name, "name") == 0);
  s_exists = false;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(s_int, 0);
  s_exists = true, s_int = 5;
  fields[1].type = MG_VAL_BOOL;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(s_int, 5);

  // The number of files, and none behind the last.
  s_file = -1;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(s_file, 1);
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(s_file, -1);

  // What is being written is no file yet.
  s_listed = "name..123-abcdefghi";
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(s_file, 0);
  s_listed = "name", s_file = -1;

  // All of the buffer, without the end of a text.
  set.get_dir = unterminated;
  CHECK(mg_dash_dir_read(&set, &user));
  CHECK_EQ(strspn(s_path, "d"), s_room);
  CHECK_EQ(strlen(s_path), s_room);
  CHECK_EQ(s_room, 511);

  // Nothing to list, or no leave to do it.
  CHECK(!mg_dash_dir_read(&set, NULL));
  set.get_dir = NULL;
  CHECK(!mg_dash_dir_read(&set, &user));
  set.get_dir = get_dir, set.index = NULL;
  CHECK(!mg_dash_dir_read(&set, &user));
  CHECK(!mg_dash_dir_read(NULL, &user));
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mg_snprintf(s_dir, sizeof(s_dir), "dash-fields-XXXXXX");
  CHECK(mkdtemp(s_dir) != NULL);
  MG_DASH_ADD_FIELD_SET(&dash, &vars);
  MG_DASH_ADD_FIELD_SET(&dash, &other);
  MG_DASH_ADD_FIELD_SET(&dash, &list);
  MG_DASH_ADD_FIELD_SET(&dash, &files);
  MG_DASH_ADD_FIELD_SET(&dash, &hidden);
  MG_DASH_ADD_FIELD_SET(&dash, &raw);
  listener = serve(&mgr, mg_dash_ev_handler, &dash);
  numbers();
  texts();
  several_sets();
  elements_that_may_not_be_read();
  elements_that_may_not_be_written();
  element_as_long_as_an_answer();
  change_of_the_first_element();
  file_names();
  uploads_that_fail();
  directories();
  mg_mgr_free(&mgr);
  CHECK_EQ(rmdir(s_dir), 0);
  return DONE();
}
