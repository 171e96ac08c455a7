// Application callbacks that do more than return while the library handles a request: they poll, close or drain the connection,
// raise errors, free its buffer, or free the manager.
// not under: short: it polls for each byte of megabytes
#include "peer.h"

enum misbehave_at { NOTHING, POLL, POLL_WITH_JUNK, CLOSE, SET_CLOSING, DRAIN, FAIL, EMPTY, FREE, ACTS };
enum place { STATUS, OPEN, READ, WRITE, CLOSE_FILE, MOVE, REMOVE, LIST, SEEK, AUTHENTICATE, GET_DIR, FIELD, PRINT_LOG, PLACES };

static struct mg_mgr s_mgr;
static struct mg_connection *s_conn, *s_listener;
static struct peer s_peer;
static enum misbehave_at s_act;
static enum place s_place;
static int s_depth, s_acted, s_ends, s_closes;
static bool s_freed;
static char s_said[70];
static const char *s_late;  // what the client sends while the application is called
static size_t s_late_len;

static void misbehave_at(enum place place) {
  static char junk[70000];
  int i;
  if (place != s_place || s_depth > 0 || s_freed || s_conn == NULL) return;
  s_depth++, s_acted++;
  switch (s_act) {
    case POLL_WITH_JUNK:
      memset(junk, 'Z', sizeof(junk));
      if (s_peer.fd >= 0) send(s_peer.fd, junk, sizeof(junk), MSG_DONTWAIT | MSG_NOSIGNAL);
      // fall through
    case POLL:
      if (s_late_len > 0) {
        size_t n = s_late_len < 7000 ? s_late_len : 7000;
        CHECK(peer_send(&s_peer, s_late, n));
        s_late += n, s_late_len -= n;
      }
      for (i = 0; i < 5; i++) mg_mgr_poll(&s_mgr, 1);
      break;
    case CLOSE: mg_close_conn(s_conn); break;
    case SET_CLOSING:
      s_conn->is_closing = 1;
      mg_mgr_poll(&s_mgr, 1);
      break;
    case DRAIN:
      s_conn->is_draining = 1;
      mg_mgr_poll(&s_mgr, 1);
      break;
    case FAIL: mg_error(s_conn, "my own"); break;
    case EMPTY: mg_iobuf_free(&s_conn->recv); break;
    case FREE:
      s_freed = true;
      mg_mgr_free(&s_mgr);
      break;
    default: break;
  }
  s_depth--;
}

// ---- a file system with one file

static char *s_stored;
static size_t s_stored_len, s_at;
static char *s_body;
#define BODY 60000

static int st(const char *path, size_t *size, time_t *mtime) {
  misbehave_at(STATUS);
  if (size != NULL) *size = BODY;
  if (mtime != NULL) *mtime = 5;
  return strstr(path, "file") != NULL ? MG_FS_READ : strstr(path, "none") != NULL ? 0 : MG_FS_DIR;
}

static void ls(const char *path, void (*fn)(const char *, void *), void *arg) {
  misbehave_at(LIST);
  fn("file", arg);
  fn("other", arg);
  (void) path;
}

static void *op(const char *path, int flags) {
  misbehave_at(OPEN);
  s_at = 0;
  return strstr(path, ".gz") != NULL || (flags == MG_FS_READ && strstr(path, "file") == NULL) ? NULL : (void *) &s_at;
}

static void cl(void *fd) {
  misbehave_at(CLOSE_FILE);
  (void) fd;
}

static size_t rd(void *fd, void *buf, size_t len) {
  if (len > BODY - s_at) len = BODY - s_at;
  memcpy(buf, s_body + s_at, len);
  s_at += len;
  misbehave_at(READ);
  return len;
  (void) fd;
}

static size_t wr(void *fd, const void *buf, size_t len) {
  misbehave_at(WRITE);
  if (s_stored_len + len > BODY) return 0;
  memcpy(s_stored + s_stored_len, buf, len);
  s_stored_len += len;
  return len;
  (void) fd;
}

static size_t sk(void *fd, size_t offset) {
  s_at = offset;
  misbehave_at(SEEK);
  return s_at;
  (void) fd;
}

static bool mv(const char *from, const char *to) {
  misbehave_at(MOVE);
  return from != to;
}

static bool rm(const char *path) {
  misbehave_at(REMOVE);
  return path != NULL;
}

static struct mg_fs s_fs;

bool mg_ota_begin(size_t size) {
  s_stored_len = 0;
  misbehave_at(OPEN);
  return size < BODY + 1;
}

bool mg_ota_write(const void *buf, size_t len) {
  return wr(NULL, buf, len) == len;
}

bool mg_ota_end(void) {
  misbehave_at(CLOSE_FILE);
  return true;
}

static void log_char(char c, void *arg) {
  if (c == '\n') misbehave_at(PRINT_LOG);
  (void) arg;
}

// ---- a server

static void ended(struct mg_connection *c, const char *message) {
  s_ends++;
  mg_snprintf(s_said, sizeof(s_said), "%s", message == NULL ? "fine" : message);
  if (c->fn != NULL) mg_http_reply(c, 200, "", "%s", s_said);
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_http_serve_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.root_dir = "www";
  opts.fs = &s_fs;
  opts.ssi_pattern = "#.shtml";
  if (ev == MG_EV_ACCEPT) s_conn = c;
  if (ev == MG_EV_CLOSE && c == s_conn) s_closes++, s_conn = NULL;
  if (ev == MG_EV_HTTP_HDRS) {
    // The names are parts of the request.
    if (mg_match(hm->uri, mg_str("/up/*"), NULL)) {
      struct mg_str name = mg_str_n(hm->uri.buf + 4, hm->uri.len - 4);
      mg_http_start_upload(c, hm, name, mg_str_n(hm->uri.buf, 3), &s_fs, ended);
    } else if (mg_match(hm->uri, mg_str("/ota"), NULL)) {
      mg_http_start_ota(c, hm, ended);
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    if (mg_match(hm->uri, mg_str("/piece"), NULL)) {
      mg_http_upload(c, hm, &s_fs, "up", BODY);
    } else if (mg_match(hm->uri, mg_str("/one"), NULL)) {
      mg_http_serve_file(c, hm, "file", &opts);
    } else {
      mg_http_serve_dir(c, hm, &opts);
    }
  }
}

// ---- a dashboard

static int authenticate(char *user, size_t len, const char *pass) {
  misbehave_at(AUTHENTICATE);
  return len > 0 && user[0] == 'a' && pass[0] == 'b' ? 7 : 0;
}

static char s_name[32];
static int s_index;
static struct mg_field s_fields[] = {{"name", MG_VAL_STR, s_name, sizeof(s_name)}, {NULL, MG_VAL_INT, NULL, 0}};

static bool get_dir(const struct mg_dash_user *u, char *buf, size_t len) {
  misbehave_at(GET_DIR);
  mg_snprintf(buf, len, "up");
  return u != NULL;
}

static bool field(enum mg_dash_op op, struct mg_dash_user *u) {
  misbehave_at(FIELD);
  if (op == MG_DASH_READ && s_index < 0) s_index = 2;
  return u->level > 0;
}

static struct mg_field_set s_files = {"files", s_fields, field, &s_index, get_dir, NULL};

static void custom(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_str *host = mg_http_get_header(hm, "X-Name");
  CHECK(ev == MG_EV_HTTP_MSG && host != NULL && mg_strcmp(*host, mg_str("value")) == 0);
  CHECK(mg_strcmp(hm->uri, mg_str("/own")) == 0 && mg_strcmp(hm->query, mg_str("a=b")) == 0 && mg_strcmp(hm->body, mg_str("body")) == 0);
  mg_http_reply(c, 200, "", "custom");
}

static struct mg_dash_custom_handler s_custom;
static struct mg_dash s_dash;

static void dashboard(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) s_conn = c;
  mg_dash_ev_handler(c, ev, ev_data);
  if (ev == MG_EV_CLOSE && c == s_conn) s_closes++, s_conn = NULL;
}

// ---- what is done with them

static void begin(mg_event_handler_t fn, enum misbehave_at what, enum place where) {
  s_conn = NULL, s_depth = s_acted = s_ends = s_closes = 0, s_freed = false, s_said[0] = '\0', s_stored_len = 0;
  s_act = what, s_place = where;
  s_listener = serve(&s_mgr, fn, fn == dashboard ? (void *) &s_dash : NULL);
  peer_open(&s_peer, s_listener);
}

static void finish(void) {
  peer_free(&s_peer);
  if (!s_freed) {
    POLL_UNTIL(&s_mgr, s_closes > 0);
    s_freed = true;
    mg_mgr_free(&s_mgr);
  }
  CHECK_EQ(s_closes, 1);
  s_late_len = 0;
}

// Everything, everywhere: nothing is used after it is gone, and the end is told once. True if it came to the place.
static bool survives_misbehaviour(mg_event_handler_t fn, const char *request, enum misbehave_at what, enum place where) {
  int i;
  begin(fn, what, where);
  CHECK(peer_send_text(&s_peer, request));
  for (i = 0; i < 25 && !s_freed; i++) {
    mg_mgr_poll(&s_mgr, 0);
    if (s_peer.fd >= 0 && !s_freed) peer_read(&s_peer);
  }
  finish();
  CHECK(s_ends <= 1);
  return s_acted > 0;
}

static void misbehaviour_in_every_callback(void) {
#define AUTH " HTTP/1.1\r\nAuthorization: Basic YTpi\r\nX-Name: value\r\n"
  static const struct {
    mg_event_handler_t fn;
    const char *request;
  } table[] = {
      {server, "GET /file HTTP/1.1\r\nAccept-Encoding: gzip\r\nIf-None-Match: \"x\"\r\n\r\n"},
      {server, "GET /file HTTP/1.1\r\nRange: bytes=10-\r\n\r\n"},
      {server, "HEAD /file HTTP/1.1\r\n\r\n"},
      {server, "GET /one HTTP/1.1\r\n\r\n"},
      {server, "GET /none HTTP/1.1\r\n\r\n"},
      {server, "GET /dir HTTP/1.1\r\n\r\n"},
      {server, "GET /dir/ HTTP/1.1\r\n\r\n"},
      {server, "GET /file.shtml HTTP/1.1\r\n\r\n"},
      {server, "PUT /up/none HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
      {server, "PUT /up/dir HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
      {server, "PUT /up/none HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n"},
      {server, "POST /ota HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
      {server, "POST /piece?file=none&offset=0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"},
      {dashboard, "GET /api/get" AUTH "\r\n"},
      {dashboard, "GET /api/get/files" AUTH "\r\n"},
      {dashboard, "GET /api/get/files/0/5" AUTH "\r\n"},
      {dashboard, "GET /api/login" AUTH "\r\n"},
      {dashboard, "GET /api/logout" AUTH "\r\n"},
      {dashboard, "GET /api/del/files/0/5" AUTH "\r\n"},
      {dashboard, "GET /api/websocket" AUTH "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"},
      {dashboard, "GET /fs/files/file" AUTH "If-None-Match: x\r\n\r\n"},
      {dashboard, "DELETE /fs/files/file" AUTH "\r\n"},
      {dashboard, "PUT /fs/files/none" AUTH "Content-Length: 3\r\n\r\nabc"},
      {dashboard, "POST /api/ota" AUTH "Content-Length: 3\r\n\r\nabc"},
      {dashboard, "POST /api/add/files" AUTH "Content-Length: 12\r\n\r\n{\"name\":\"x\"}"},
      {dashboard, "POST /api/get/files/0" AUTH "Content-Length: 12\r\n\r\n{\"name\":\"x\"}"},
      {dashboard, "POST /api/set" AUTH "Content-Length: 22\r\n\r\n{\"files\":{\"name\":\"x\"}}"},
      {dashboard, "POST /own?a=b" AUTH "Content-Length: 4\r\n\r\nbody"},
  };
  int reached[PLACES], what, where;
  size_t i;
  memset(reached, 0, sizeof(reached));
  for (what = POLL; what < ACTS; what++) {
    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
      for (where = 0; where < PLACES; where++) {
        // Not every request comes by every place.
        if (survives_misbehaviour(table[i].fn, table[i].request, (enum misbehave_at) what, (enum place) where)) reached[where]++;
      }
    }
  }
  for (where = 0; where < PRINT_LOG; where++) {
    if (reached[where] < ACTS - 1) fprintf(stderr, "place %d: %d times\n", where, reached[where]);
    CHECK(reached[where] >= ACTS - 1);
  }
}

// All of a body is stored, in order, whatever arrives while it is written.
static void uploads_stay_complete(void) {
  static char message[BODY + 1000];
  static const enum place places[] = {STATUS, OPEN, WRITE, CLOSE_FILE, MOVE};
  size_t i, head, len;
  int chunked, firmware, half;
  for (i = 0; i < 5; i++) {
    for (chunked = 0; chunked < 2; chunked++) {
      for (firmware = 0; firmware < 2; firmware++) {
        for (half = 0; half < 2; half++) {
          if (firmware && (places[i] == STATUS || places[i] == MOVE)) continue;
          head = (size_t) snprintf(message, sizeof(message), "PUT %s HTTP/1.1\r\n", firmware ? "/ota" : "/up/none");
          if (chunked) {
            head += (size_t) snprintf(message + head, 100, "Transfer-Encoding: chunked\r\n\r\n");
            len = head + (size_t) snprintf(message + head, 100, "7530\r\n");
            memcpy(message + len, s_body, 30000), len += 30000;
            len += (size_t) snprintf(message + len, 100, "\r\n7530\r\n");
            memcpy(message + len, s_body + 30000, 30000), len += 30000;
            len += (size_t) snprintf(message + len, 100, "\r\n0\r\n\r\n");
          } else {
            head += (size_t) snprintf(message + head, 100, "Content-Length: %d\r\n\r\n", BODY);
            memcpy(message + head, s_body, BODY);
            len = head + BODY;
          }
          begin(server, POLL, places[i]);
          s_late = message + head, s_late_len = len - head;
          CHECK(peer_send(&s_peer, message, head));
          while (s_ends == 0) {
            uint64_t before = s_late_len;
            poll_often(&s_mgr);
            // What the application did not send while it was called.
            if (s_late_len == before && s_late_len > 0) {
              size_t n = s_late_len < 5001 ? s_late_len : 5001;
              CHECK(peer_send(&s_peer, s_late, n));
              s_late += n, s_late_len -= n;
              if (s_late_len == 0 && half) peer_shut(&s_peer);
            }
            if (s_late_len == 0) {
              POLL_UNTIL(&s_mgr, s_ends > 0);
              break;
            }
          }
          CHECK(s_acted > 0);
          if (strcmp(s_said, "fine") != 0) fprintf(stderr, "place %d, chunked %d, firmware %d, half %d: %s\n", (int) places[i], chunked, firmware, half, s_said);
          CHECK(strcmp(s_said, "fine") == 0);
          CHECK_EQ(s_stored_len, BODY);
          CHECK(memcmp(s_stored, s_body, BODY) == 0);
          if (!half) POLL_UNTIL(&s_mgr, peer_has(&s_peer, 15));
          finish();
          CHECK_EQ(s_ends, 1);
        }
      }
    }
  }
}

// The client has sent everything and is gone before the file is open.
static void closed_while_opening(void) {
  static const char *request = "PUT /up/none HTTP/1.1\r\nContent-Length: 3\r\n\r\n";
  begin(server, POLL, OPEN);
  s_late = "abc", s_late_len = 3;
  CHECK(peer_send_text(&s_peer, request));
  peer_shut(&s_peer);
  s_late_len = 0;
  POLL_UNTIL(&s_mgr, s_ends == 1);
  CHECK(strcmp(s_said, "connection closed") == 0);
  finish();
  begin(server, POLL, OPEN);
  CHECK(peer_send_text(&s_peer, request) && peer_send_text(&s_peer, "abc"));
  peer_shut(&s_peer);
  POLL_UNTIL(&s_mgr, s_ends == 1);
  CHECK(strcmp(s_said, "fine") == 0 && s_stored_len == 3);
  finish();
}

// As much arrives while the file is opened as the head has bytes.
static void data_as_long_as_the_head_arrives(void) {
  static const char *request = "PUT /up/none HTTP/1.1\r\nContent-Length: 100\r\n\r\n";
  begin(server, POLL, OPEN);
  s_late = s_body, s_late_len = strlen(request);
  CHECK(peer_send_text(&s_peer, request));
  POLL_UNTIL(&s_mgr, s_acted == 1);
  poll_often(&s_mgr);
  CHECK(peer_send(&s_peer, s_body + strlen(request), 100 - strlen(request)));
  POLL_UNTIL(&s_mgr, s_ends == 1);
  CHECK(strcmp(s_said, "fine") == 0 && s_stored_len == 100 && memcmp(s_stored, s_body, 100) == 0);
  finish();
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  mg_log_set_fn(log_char, NULL);
  s_body = make_body(BODY);
  s_stored = (char *) malloc(BODY);
  s_fs.st = st, s_fs.ls = ls, s_fs.op = op, s_fs.cl = cl, s_fs.rd = rd, s_fs.wr = wr, s_fs.sk = sk, s_fs.mv = mv, s_fs.rm = rm;
  s_custom.uri_pattern = mg_str("/own");
  s_custom.handler = custom;
  s_dash.sets = &s_files, s_dash.custom_handlers = &s_custom, s_dash.authenticate = authenticate, s_dash.upload_fs = &s_fs;
  uploads_stay_complete();
  closed_while_opening();
  data_as_long_as_the_head_arrives();
  misbehaviour_in_every_callback();
  free(s_body);
  free(s_stored);
  return DONE();
}
