// Runs with the preload starve.c: each thing that allocates, in a process of its own for each allocation that fails, alone, with some
// that follow, and with all that follow until memory is back. What must hold: nobody dies or hangs, the next request is answered, and
// when the manager is gone, so are all blocks and descriptors. STARVE=all takes every allocation, otherwise a
// part of them; an argument takes one of the scenarios.
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tls.h"

static void (*arm)(long, long, size_t);
static void (*turn)(int);
static long (*made)(void);
static long (*blocks)(void);

static struct mg_mgr mgr;
static struct mg_connection *listener;
static unsigned short port;
static bool with_tls;
static int answers, errors;
static char url[100];

// What a child tells.
static struct report {
  long made, blocks, files;
  int misses;  // what did not come
} *report;

#define HUNGRY(action) (turn(1), (action), turn(0))

static void polls(int n, int ms) {
  while (n-- > 0) HUNGRY(mg_mgr_poll(&mgr, ms));
}

// ---- the server

static int s_volume = 5;
static char s_title[16] = "abc", s_name[32];
static struct mg_field fields[] = {
    {"volume", MG_VAL_INT, &s_volume, sizeof(s_volume)},
    {"title", MG_VAL_STR, s_title, sizeof(s_title)},
    {NULL, MG_VAL_INT, NULL, 0},
};
static struct mg_field file_fields[] = {{"name", MG_VAL_STR, s_name, sizeof(s_name)}, {NULL, MG_VAL_INT, NULL, 0}};
static struct mg_field_set files, cfg = {"cfg", fields, NULL, NULL, NULL, NULL};

static unsigned long current, failed;  // connections
static int wrong;

// Nothing changes on behalf of a request that has failed.
static bool allow_reads(enum mg_dash_op op, struct mg_dash_user *u) {
  if (op != MG_DASH_READ && current == failed) wrong++;
  return op == MG_DASH_READ || u != NULL;
}

static bool files_fn(enum mg_dash_op op, struct mg_dash_user *u) {
  return op == MG_DASH_READ ? mg_dash_dir_read(&files, u) : u != NULL;
}

static bool dir_fn(const struct mg_dash_user *u, char *buf, size_t len) {
  mg_snprintf(buf, len, "up");
  return u != NULL;
}

static int user_fn(char *user, size_t len, const char *pass) {
  return len > 0 && *user != '\0' && strcmp(pass, "pass") == 0 ? 7 : 0;
}

static struct mg_dash dash;

static void dash_fn(struct mg_connection *c, int ev, void *ev_data) {
  current = c->id;
  if (ev == MG_EV_ERROR) failed = c->id;
  mg_dash_ev_handler(c, ev, ev_data);
}

static void uploaded(struct mg_connection *c, const char *error) {
  mg_http_reply(c, error == NULL ? 200 : 500, "", "%s\n", error == NULL ? "stored" : error);
}

static void rpc_sum(struct mg_rpc_req *r) {
  double a = 0, b = 0;
  mg_json_get_num(r->frame, "$.params[0]", &a);
  mg_json_get_num(r->frame, "$.params[1]", &b);
  mg_rpc_ok(r, "%g", a + b);
}

static struct mg_rpc *rpc;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  struct mg_http_serve_opts o;
  memset(&o, 0, sizeof(o));
  o.root_dir = "www";
  o.ssi_pattern = "#.shtml";
  if (ev == MG_EV_ACCEPT && with_tls) {
    struct mg_tls_opts tls = server_tls();
    mg_tls_init(c, &tls);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/up"), NULL)) {
    mg_http_start_upload(c, hm, mg_str("x.bin"), mg_str("up"), &mg_fs_posix, uploaded);
  } else if (ev == MG_EV_HTTP_MSG) {
    if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else if (mg_match(hm->uri, mg_str("/hi"), NULL)) {
      mg_http_reply(c, 200, "A: b\r\n", "hello %d\n", 42);
    } else if (mg_match(hm->uri, mg_str("/piece"), NULL)) {
      mg_http_upload(c, hm, &mg_fs_posix, "up", 1000000);
    } else if (mg_match(hm->uri, mg_str("/chunks"), NULL)) {
      mgx_http_begin(c, 200, NULL);
      mg_http_printf_chunk(c, "%s", "one");
      mg_http_write_chunk(c, "two", 3);
      mg_http_write_chunk(c, "", 0);
    } else if (mg_match(hm->uri, mg_str("/drain"), NULL)) {
      mg_http_reply(c, 200, "", "bye");
      mgx_conn_drain(c, NULL);
    } else {
      mg_http_serve_dir(c, hm, &o);
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
    if (wm->data.len < 100) {
      struct mg_rpc_req r;
      memset(&r, 0, sizeof(r));
      r.head = &rpc, r.frame = wm->data, r.pfn = mg_pfn_iobuf;
      struct mg_iobuf io = {NULL, 0, 0, 256};
      r.pfn_data = &io;
      mg_rpc_process(&r);
      mg_iobuf_free(&io);
    }
  }
}

// ---- a client without the library

// Says all of `text` and takes the answer, until it holds `want` or nothing more comes.
static size_t send_and_receive(int fd, const char *text, size_t len, const char *want, char *out, size_t size) {
  size_t sent = 0, got = 0;
  int idle = 0;
  bool found = want == NULL;
  while (fd >= 0 && idle < 30) {
    ssize_t n = sent < len ? send(fd, text + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
    if (n > 0) sent += (size_t) n, idle = 0;
    polls(2, 0);
    n = recv(fd, out + got, size - 1 - got, MSG_DONTWAIT);
    if (n == 0 || got + 1 >= size) break;
    if (n > 0) got += (size_t) n, idle = 0; else idle++;
    out[got] = '\0';
    if (want != NULL && (found = memmem(out, got, want, strlen(want)) != NULL)) break;
  }
  report->misses += !found;
  return got;
}

static char answer[1 << 20];

static void ask(const char *request, const char *want) {
  int fd = connect_loopback(port, 0);
  send_and_receive(fd, request, strlen(request), want, answer, sizeof(answer));
  close(fd);
  polls(3, 0);
}

static void ask_long(const char *head, size_t len, const char *want) {
  char *text = (char *) malloc(len + 1000);
  size_t n = (size_t) snprintf(text, 1000, head, (unsigned long) len);
  int fd = connect_loopback(port, 0);
  memset(text + n, 'x', len);
  send_and_receive(fd, text, n + len, want, answer, sizeof(answer));
  close(fd);
  free(text);
  polls(3, 0);
}

// ---- what is done while memory fails

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  const char *what = (const char *) c->fn_data;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_CONNECT) {
    if (c->is_tls) {
      struct mg_tls_opts tls = client_tls();
      mg_tls_init(c, &tls);
    }
    if (what != NULL) mg_printf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", what);
  }
  if (ev == MG_EV_HTTP_MSG) answers++, c->is_draining = 1;
  if (ev == MG_EV_WS_OPEN) mg_ws_send(c, "abc", 3, WEBSOCKET_OP_TEXT);
  if (ev == MG_EV_WS_MSG) answers++, c->is_draining = 1;
  if (ev == MG_EV_MQTT_OPEN) {
    struct mg_mqtt_opts o;
    memset(&o, 0, sizeof(o));
    o.topic = mg_str("a/b"), o.message = mg_str("hello"), o.qos = 1;
    mg_mqtt_sub(c, &o);
    mg_mqtt_pub(c, &o);
  }
  if (ev == MG_EV_MQTT_MSG) answers++;
  if (ev == MG_EV_SNTP_TIME) answers++;
  (void) ev_data;
}

// Polls until there is an answer or an error, or nothing happens.
static void poll_for_result(int most) {
  int before = answers + errors, before_answers = answers;
  while (most-- > 0 && answers + errors == before) polls(1, 1);
  polls(3, 0);
  report->misses += answers == before_answers;
}

static void http(void) {
  ask("POST /hi?b=c HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /hi HTTP/1.1\r\nHost: a\r\n\r\n", "42\nHTTP");
  ask("GET /chunks HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n0\r\n\r\n");
  ask("POST /hi HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "42");
  ask("nonsense\r\n\r\n", NULL);
}

static void body(void) {
  ask_long("POST /hi HTTP/1.1\r\nContent-Length: %lu\r\n\r\n", 400000, "42");
}

static void long_name(void) {
  char *text = (char *) malloc(200100);
  memcpy(text, "GET /", 5);
  memset(text + 5, '/', 200000);
  strcpy(text + 200005, "d HTTP/1.1\r\n\r\n");
  ask(text, "\r\n\r\n");
  free(text);
}

static void upload(void) {
  ask_long("POST /up HTTP/1.1\r\nContent-Length: %lu\r\n\r\n", 150000, "stored");
  ask_long("POST /piece?file=y&offset=0 HTTP/1.1\r\nContent-Length: %lu\r\n\r\n", 100000, "100000");
}

static void file(void) {
  ask("GET /big.bin HTTP/1.1\r\nHost: a\r\n\r\n", "THE END");
  ask("GET /hi.txt HTTP/1.1\r\nIf-None-Match: \"a\"\r\nAccept-Encoding: a\r\nAccept-Encoding: gzip\r\n\r\n", "file");
  ask("GET /big.bin HTTP/1.1\r\nRange: bytes=100-200\r\n\r\n", "206");
  ask("GET /d HTTP/1.1\r\n\r\n", "301");
  ask("GET /a.shtml HTTP/1.1\r\n\r\n", "included");
}

static void listing(void) {
  ask("GET /d/ HTTP/1.1\r\n\r\n", "</html>");
}

static void websocket(void) {
  static const char head[] = "GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                             "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  static char frames[60100];
  static const char call[] = "{\"id\":1,\"method\":\"sum\",\"params\":[1,2]}";
  int fd = connect_loopback(port, 0);
  send_and_receive(fd, head, sizeof(head) - 1, "\r\n\r\n", answer, sizeof(answer));
  memcpy(frames, "\x01\xfe\xc3\x50\0\0\0", 8);  // 50,000 bytes of a text, then the rest of it
  memset(frames + 8, 'w', 50000);
  memcpy(frames + 50008, "\x80\x81\0\0\0\0W", 7);
  send_and_receive(fd, frames, 50015, "W", answer, sizeof(answer));
  memcpy(frames, "\x81\xa6\0\0\0\0", 6);
  memcpy(frames + 6, call, sizeof(call) - 1);
  memcpy(frames + 6 + sizeof(call) - 1, "\x89\x84\0\0\0\0ping\x88\x80\0\0\0\0", 16);
  send_and_receive(fd, frames, 6 + sizeof(call) - 1 + 16, "\x88", answer, sizeof(answer));
  close(fd);
  polls(3, 0);
}

static void clients(void) {
  mg_snprintf(url, sizeof(url), "http://user:pass@localhost:%d/", port);
  HUNGRY(mg_http_connect(&mgr, url, client_fn, (void *) "/hi"));
  poll_for_result(30);
  mg_snprintf(url, sizeof(url), "ws://127.0.0.1:%d/ws", port);
  HUNGRY(mg_ws_connect(&mgr, url, client_fn, NULL, "%s", "A: b\r\n"));
  poll_for_result(30);
}

static void broker_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_message *m = (struct mg_mqtt_message *) ev_data;
  if (ev == MG_EV_MQTT_CMD && m->cmd == MQTT_CMD_CONNECT) {
    mg_mqtt_send_header(c, MQTT_CMD_CONNACK, 0, 2);
    mg_send(c, "\0\0", 2);
  }
  if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_opts o;
    memset(&o, 0, sizeof(o));
    o.topic = m->topic, o.message = m->data;
    mg_mqtt_pub(c, &o);
  }
}

static void mqtt(void) {
  struct mg_connection *l = NULL;
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.client_id = mg_str("me"), o.topic = mg_str("will"), o.message = mg_str("gone"), o.keepalive = 10;
  HUNGRY(l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", broker_fn, NULL));
  if (l == NULL) return;
  mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", port_of(l));
  HUNGRY(mg_mqtt_connect(&mgr, url, &o, client_fn, NULL));
  poll_for_result(30);
  l->is_closing = 1;
}

static void secure(const char *scheme, const char *path) {
  with_tls = true;
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d/ws", scheme, port);
  if (strcmp(scheme, "wss") == 0) {
    HUNGRY(mg_ws_connect(&mgr, url, client_fn, NULL, NULL));
  } else {
    HUNGRY(mg_http_connect(&mgr, url, client_fn, (void *) path));
  }
  poll_for_result(60);
  with_tls = false;
}

static void tls(void) {
  secure("https", "/hi");
}

static void tls_file(void) {
  secure("https", "/big.bin");
  secure("wss", NULL);
}

// As many authorities as a system has.
static void bundle(void) {
  enum { MANY = 150 };
  struct mg_tls_opts o = client_tls();
  char *text = (char *) malloc(MANY * o.ca.len + 1);
  struct mg_connection *c = mg_connect(&mgr, url_of(listener, "tcp"), client_fn, NULL);
  size_t i;
  for (i = 0; i < MANY; i++) memcpy(text + i * o.ca.len, o.ca.buf, o.ca.len);
  o.ca.buf = text, o.ca.len *= MANY;
  HUNGRY(mg_tls_init(c, &o));
  c->is_closing = 1;
  polls(3, 0);
  free(text);
}

// Half a handshake, and nonsense.
static void tls_cut(void) {
  with_tls = true;
  ask("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", NULL);
  ask("GET / HTTP/1.1\r\n\r\n", NULL);
  with_tls = false;
}

static uint16_t asked_id;

static void dns_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ && c->recv.len > 12) {
    // The same name is 127.0.0.1.
    unsigned char reply[600];
    size_t n = c->recv.len < 500 ? c->recv.len : 500;
    memcpy(reply, c->recv.buf, n);
    memcpy(&asked_id, reply, 2);
    reply[2] = 0x81, reply[3] = 0x80, reply[7] = 1;
    memcpy(reply + n, "\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\x7f\0\0\x01", 16);
    mg_send(c, reply, n + 16);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static void dns(void) {
  static char server[64];
  struct mg_connection *l = mg_listen(&mgr, "udp://127.0.0.1:0", dns_fn, NULL);
  mg_snprintf(server, sizeof(server), "udp://127.0.0.1:%d", port_of(l));
  mgr.dns4.url = server;
  mgr.dnstimeout = 20;
  mg_snprintf(url, sizeof(url), "http://example.invalid:%d/", port);
  HUNGRY(mg_http_connect(&mgr, url, client_fn, (void *) "/hi"));
  poll_for_result(60);
  l->is_closing = 1;
}

static void mdns(void) {
  struct mg_connection *c = NULL;
  HUNGRY(c = mg_mdns_listen(&mgr, client_fn, NULL));
  if (c == NULL) return;
  HUNGRY(mg_http_connect(&mgr, "http://nobody.local/", client_fn, NULL));
  poll_for_result(10);
  c->is_closing = 1;
}

static void sntp(void) {
  struct mg_connection *l = mg_listen(&mgr, "udp://127.0.0.1:0", NULL, NULL), *c = NULL;
  mg_snprintf(url, sizeof(url), "udp://127.0.0.1:%d", port_of(l));
  HUNGRY(c = mg_sntp_connect(&mgr, url, client_fn, NULL));
  if (c != NULL) HUNGRY(mg_sntp_request(c));
  polls(5, 0);
  l->is_closing = 1;
  if (c != NULL) c->is_closing = 1;
}

static void modbus(void) {
  struct mg_connection *l = NULL;
  HUNGRY(l = mg_modbus_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL));
  if (l != NULL) {
    int fd = connect_loopback(port_of(l), 0);
    send_and_receive(fd, "\0\1\0\0\0\6\1\3\0\0\0\4", 12, NULL, answer, sizeof(answer));
    close(fd);
    l->is_closing = 1;
  }
}

static void dashboard(void) {
  struct mg_connection *l;
  unsigned short before = port;
  static int file_index;
  memset(&dash, 0, sizeof(dash));
  cfg.fn = allow_reads;
  files.name = "files", files.fields = file_fields, files.fn = files_fn, files.get_dir = dir_fn;
  files.index = &file_index;
  cfg.next = &files;
  dash.sets = &cfg, dash.authenticate = user_fn;
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", dash_fn, &dash);
  port = port_of(l);
#define AUTH "Authorization: Basic dXNlcjpwYXNz\r\n"
  ask("GET /api/login HTTP/1.1\r\n" AUTH "\r\n", "level");
  ask("GET /api/get HTTP/1.1\r\n" AUTH "\r\n", "title");
  ask("POST /api/set HTTP/1.1\r\n" AUTH "Content-Length: 20\r\n\r\n{\"cfg\":{\"volume\":6}}", "\r\n\r\n1\n");
  ask("POST /fs/files/x HTTP/1.1\r\n" AUTH "Content-Length: 5\r\n\r\nhello", "\r\n\r\n");
  ask("GET /fs/files/x HTTP/1.1\r\n" AUTH "\r\n", "hello");
  ask("GET /api/websocket HTTP/1.1\r\n" AUTH
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
      "\r\n\r\n");
  port = before;
  l->is_closing = 1;
}

static void helpers(void) {
  static const char token_claims[] = "{\"sub\":\"me\"}";
  char buf[1000], *s = NULL, *j = NULL;
  struct mg_str text = mg_str(""), rest = mg_str("");
  HUNGRY(s = mg_mprintf("%s %d %M", "abc", 5, mg_print_esc, 0, "x\"y"));
  HUNGRY(j = mg_json_get_str(mg_str("{\"a\":\"b\\u0041\"}"), "$.a"));
  HUNGRY(text = mg_file_read(&mg_fs_posix, "www/hi.txt"));
  HUNGRY(rest = mg_strdup(mg_str("abc")));
  HUNGRY(mg_file_write(&mg_fs_posix, "up/w", "abc", 3));
  HUNGRY(mg_fs_ls(&mg_fs_posix, "www", buf, sizeof(buf)));
  HUNGRY(mg_match(mg_str("abcabcabcabc"), mg_str("*a*b*c*a*b*c*a*#"), NULL));
  mg_free(s);
  mg_free(j);
  mg_free(text.buf);
  mg_free(rest.buf);
  (void) token_claims;
}

static int ticks;

static void tick(void *arg) {
  ticks++;
  (void) arg;
}

static void timers(void) {
  int i;
  for (i = 0; i < 3; i++) HUNGRY(mg_timer_add(&mgr, 1, MG_TIMER_REPEAT, tick, NULL));
  HUNGRY(mg_wakeup_init(&mgr));
  for (i = 0; i < 20; i++) {
    HUNGRY(mg_wakeup(&mgr, listener->id, "abc", 3));
    HUNGRY(mgx_send_to(&mgr, listener->id + 1, "abc", 3));
  }
  polls(5, 1);
}

static void limits(void) {
  struct mgx_limits l = *mgx_limits_public();
  int fd = connect_loopback(port, 0);
  l.max_memory = 1 << 20;
  polls(2, 0);
  HUNGRY(mgx_mgr_limits(&mgr, &l));
  if (mgr.conns != listener) HUNGRY(mgx_conn_poll_events(mgr.conns, false));
  send_and_receive(fd, "GET /hi HTTP/1.1\r\n\r\n", 20, "42", answer, sizeof(answer));
  close(fd);
  ask("GET /drain HTTP/1.1\r\n\r\n", "bye");
  memset(&l, 0, sizeof(l));
  HUNGRY(mgx_mgr_limits(&mgr, &l));
}

static void listeners(void) {
  struct mg_connection *l = NULL;
  HUNGRY(l = mg_http_listen(&mgr, "unix:starved.sock", server_fn, NULL));
  mg_snprintf(url, sizeof(url), "unix:starved.sock");
  HUNGRY(mg_http_connect(&mgr, url, client_fn, (void *) "/hi"));
  poll_for_result(10);
  if (l != NULL) l->is_closing = 1;
  HUNGRY(mg_listen(&mgr, "tcp://nobody:1", NULL, NULL));
}

static void drain(void) {
  struct mg_mgr other;
  int i;
  HUNGRY(mg_mgr_init(&other));
  if (mgx_mgr_ok(&other)) {
    HUNGRY(mg_http_listen(&other, "http://127.0.0.1:0", server_fn, NULL));
    HUNGRY(mgx_mgr_drain(&other, NULL));
    for (i = 0; i < 5; i++) HUNGRY(mg_mgr_poll(&other, 0));
  }
  HUNGRY(mg_mgr_free(&other));
}

static const struct {
  const char *name;
  void (*run)(void);
} scenarios[] = {
    {"start", NULL},          {"http", http},         {"body", body},         {"long_name", long_name}, {"upload", upload},
    {"file", file},           {"listing", listing},   {"websocket", websocket}, {"clients", clients},   {"mqtt", mqtt},
    {"tls", tls},             {"tls_file", tls_file}, {"tls_cut", tls_cut}, {"bundle", bundle},   {"dns", dns},             {"mdns", mdns},
    {"sntp", sntp},           {"modbus", modbus},     {"dashboard", dashboard}, {"helpers", helpers},   {"timers", timers},
    {"limits", limits},       {"listeners", listeners}, {"drain", drain},
};

// ---- the children

static bool begin(bool hungry) {
  if (hungry) turn(1);
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", server_fn, NULL);
  turn(0);
  if (listener == NULL) mg_mgr_free(&mgr);
  return listener != NULL;
}

// As a program would go on: memory is back.
static bool is_well(void) {
  uint64_t end = real_ms() + 10000;
  arm(-1, 0, 0);
  while (real_ms() < end) {
    answer[0] = '\0';
    ask("GET /hi HTTP/1.1\r\n\r\n", "hello 42\n");
    if (strstr(answer, "hello 42\n") != NULL) return true;
    polls(1, 5);
  }
  return false;
}

static int child(size_t i, long at, long n, size_t least) {
  alarm(30);
  arm(at, n, least);
  report->misses = 0;
  report->files = (long) open_files();
  if (!begin(scenarios[i].run == NULL)) {
    arm(-1, 0, 0);
    if (!begin(false)) return 3;
  }
  port = port_of(listener);
  mg_rpc_add(&rpc, mg_str("sum"), rpc_sum, NULL);
  if (scenarios[i].run != NULL) scenarios[i].run();
  report->made = made();
  if (at >= 0) report->misses = 0;
  if (!is_well()) return 2;
  mg_rpc_del(&rpc, NULL);
  mg_mgr_free(&mgr);
  report->blocks = blocks();
  report->files = (long) open_files() - report->files;
  return wrong > 0 ? 4 : 0;
}

// 0 when all is well; else the exit code, or the signal behind 1000.
static int run(size_t i, long at, long n, size_t least) {
  int status = 0;
  pid_t pid = fork();
  if (pid == 0) _exit(child(i, at, n, least));
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
  return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void write_file(const char *path, const char *text, size_t len) {
  CHECK(mg_file_write(&mg_fs_posix, path, text, len));
}

// ---- single calls, once for each of their allocations, which fails

static struct mg_connection single;
static long result;

// What is queued on a connection without a manager; true until no allocation has failed.
static bool again(long at, const char *uri, long (*call)(struct mg_http_message *)) {
  char request[500];
  struct mg_http_message hm;
  mg_iobuf_free(&single.send);
  memset(&single, 0, sizeof(single));
  snprintf(request, sizeof(request), "POST %s HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", uri);
  CHECK(mg_http_parse(request, strlen(request), &hm) > 0);
  arm(at, 1, 0);
  HUNGRY(result = call(&hm));
  return made() > at;
}

static bool has(const char *text) {
  return single.send.len > 0 && memmem(single.send.buf, single.send.len, text, strlen(text)) != NULL;
}

static long upload_piece(struct mg_http_message *hm) {
  return mg_http_upload(&single, hm, &mg_fs_posix, "up", 100);
}

static long serve_page(struct mg_http_message *hm) {
  mg_http_serve_ssi(&single, "www", "www/a.shtml");  // includes the other one
  return 0;
  (void) hm;
}

static long serve_www(struct mg_http_message *hm) {
  struct mg_http_serve_opts o;
  memset(&o, 0, sizeof(o));
  o.root_dir = "www";
  mg_http_serve_dir(&single, hm, &o);
  return 0;
}

// A file on its way to two clients of TLS, and no memory for its first part, once: one of them is closed, and its handler polls.
static int ooms;

static void file_fn(struct mg_connection *c, int ev, void *ev_data) {
  server_fn(c, ev, ev_data);
  if (ev == MG_EV_ERROR && c->is_accepted && strcmp((char *) ev_data, "OOM") == 0) {
    ooms++;
    polls(100, 1);
  }
}

static void tls_files(void) {
  long at;
  int i;
  with_tls = true;
  for (at = 0; at < 100 && ooms == 0; at++) {
    mg_mgr_init(&mgr);
    listener = mg_http_listen(&mgr, "http://127.0.0.1:0", file_fn, NULL);
    answers = errors = 0;
    mg_snprintf(url, sizeof(url), "https://127.0.0.1:%d/", port_of(listener));
    for (i = 0; i < 2; i++) mg_http_connect(&mgr, url, client_fn, (void *) "/big.bin");
    arm(at, 1, 65536);
    for (i = 0; i < 50000 && answers + errors < 2; i++) polls(1, 1);
    arm(-1, 0, 0);
    mg_mgr_free(&mgr);
  }
  CHECK_EQ(ooms, 1);
  CHECK_EQ(answers, 1);
  with_tls = false;
}

// A message with so many headers that it is not on the stack: without memory for it there is an error.
static void many_headers(void) {
  mg_mgr_init(&mgr);
  mgx_mgr_sizes(&mgr, sizeof(struct mg_connection), offsetof(struct mg_connection, data), 5000);
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", file_fn, NULL);
  port = port_of(listener);
  ooms = 0;
  arm(0, 1, 100000);
  ask("GET /hi HTTP/1.1\r\n\r\n", NULL);
  arm(-1, 0, 0);
  CHECK_EQ(ooms, 1);
  mg_mgr_free(&mgr);
}

// A response that fills the buffer, to which no header can be added then: the client is not told, and may ask again.
static void filling_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    static const char body[65536];
    size_t most;
    mg_http_reply(c, 200, "", "");
    most = c->send.size - c->send.len;
    c->send.len = 0;
    mgx_http_reply(c, 200, "", body, most);
    CHECK_EQ(c->send.len, c->send.size);
    arm(0, 1L << 40, 0);
    HUNGRY(mgx_conn_drain(c, NULL));
    arm(-1, 0, 0);
    CHECK(!c->is_draining && !c->is_closing);
    answers++;
  }
  (void) ev_data;
}

static void full_response(void) {
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", filling_fn, NULL);
  port = port_of(listener);
  answers = 0;
  ask("GET / HTTP/1.1\r\n\r\n", "200 OK\r\nContent-Length: ");
  CHECK_EQ(answers, 1);
  mg_mgr_free(&mgr);
}

// The connection of an upload closes while a piece of it is written, and there is no memory for the next: both are told.
static struct mg_fs closing_fs;
static bool closes_in_wr;
static int upload_closes;
static char upload_error[50];

static size_t closing_wr(void *fd, const void *buf, size_t len) {
  if (closes_in_wr) {
    closes_in_wr = false;
    poll_often(&mgr);
    mgr.conns->is_closing = 1;
    poll_often(&mgr);
    CHECK_EQ(count_conns(&mgr), 1);
    arm(0, 1, 10000);
    turn(1);
  }
  return mg_fs_posix.wr(fd, buf, len);
}

static void ended(struct mg_connection *c, const char *error) {
  arm(-1, 0, 0);
  turn(0);
  mg_snprintf(upload_error, sizeof(upload_error), "%s", error == NULL ? "none" : error);
  (void) c;
}

static void upload_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_HTTP_HDRS) mg_http_start_upload(c, hm, mg_str("c.bin"), mg_str("up"), &closing_fs, ended);
  if (ev == MG_EV_CLOSE && c->is_accepted) upload_closes++;
}

static void closed_upload(void) {
  static char body[40000];
  const char *head = "POST / HTTP/1.1\r\nContent-Length: 40000\r\n\r\n";
  int fd;
  closing_fs = mg_fs_posix;
  closing_fs.wr = closing_wr;
  closes_in_wr = true;
  mg_mgr_init(&mgr);
  listener = mg_http_listen(&mgr, "http://127.0.0.1:0", upload_fn, NULL);
  fd = connect_loopback(port_of(listener), 0);
  CHECK_EQ(send(fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
  CHECK_EQ(send(fd, body, sizeof(body), MSG_NOSIGNAL), sizeof(body));
  POLL_UNTIL(&mgr, upload_error[0] != '\0');
  poll_often(&mgr);
  CHECK(strcmp(upload_error, "OOM") == 0);
  CHECK_EQ(upload_closes, 1);
  close(fd);
  mg_mgr_free(&mgr);
}

static int s_listed;
static struct mg_field_set listed = {"listed", file_fields, NULL, &s_listed, dir_fn, NULL};

static long count_files(struct mg_http_message *hm) {
  struct mg_dash_user user;
  memset(&user, 0, sizeof(user));
  user.dash = &dash;
  s_listed = -1;
  return mg_dash_dir_read(&listed, &user);
  (void) hm;
}

static char deep[400] = "www";

// ---- what arrives on a connection, once for each of its allocations, which fails

static int oom, packets;
static size_t inserted;  // behind the first packet
static char data[20000];

static void packets_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MQTT_CMD && packets++ == 0 && inserted > 0) {
    mg_iobuf_add(&c->recv, ((struct mg_mqtt_message *) ev_data)->dgram.len, data, inserted);
  }
  if (ev == MG_EV_ERROR && strcmp((char *) ev_data, "OOM") == 0 && ++oom > 1) arm(-1, 0, 0);
}

static struct mg_connection *accept_one(struct mg_connection *l, int *fd) {
  *fd = connect_loopback(port_of(l), 0);
  POLL_UNTIL(&mgr, mgr.conns != l);
  oom = packets = 0;
  return mgr.conns;
}

// True until no allocation has failed.
static bool arrives(struct mg_connection *c, const char *data, size_t len, long at, long n) {
  long count = (long) len;
  CHECK_EQ(mg_iobuf_add(&c->recv, c->recv.len, data, len), len);
  arm(at, n, 0);
  HUNGRY(mg_call(c, MG_EV_READ, &count));
  return made() > at;
}

static void close_all(struct mg_connection *l, int fd) {
  close(fd);
  arm(-1, 0, 0);
  while (mgr.conns != l) mg_close_conn(mgr.conns);
  polls(2, 0);
}

static void mqtt_packets(void) {
  // The second packet is not all there, but so long that most of it is put aside.
  static const char packet[] = "\x30\x06\0\1thi!\x30\xf0\xf0\x01", refusal[] = "\x20\2\0\5\x30\x0b\0\1ta long text";
  struct mg_connection *l = mg_mqtt_listen(&mgr, "mqtt://127.0.0.1:0", packets_fn, NULL), *c;
  bool more = true;
  long at;
  int fd, errors_seen = 0;
  memcpy(data, packet, sizeof(packet) - 1);
  for (at = 0; more; at++) {
    c = accept_one(l, &fd);
    more = arrives(c, data, sizeof(data), at, 1);
    CHECK(packets + oom == 1 && c->is_closing == oom);
    errors_seen += oom;
    close_all(l, fd);
  }
  CHECK(packets == 1 && errors_seen > 1);
  // A login that is refused, and a message that there is no room for: one error, not one after the other.
  mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", port_of(l));
  for (at = 0, more = true; more; at++) {
    c = mg_mqtt_connect(&mgr, url, NULL, packets_fn, NULL);
    POLL_UNTIL(&mgr, !c->is_connecting);
    oom = packets = 0;
    more = arrives(c, refusal, sizeof(refusal) - 1, at, 1L << 40);
    CHECK(c->is_closing && oom == more && packets + oom <= 2);
    close_all(l, -1);
  }
  CHECK(packets == 2 && at > 2);
  // The same for one that is long behind it.
  inserted = sizeof(data);
  for (at = 0, more = true; more; at++) {
    c = mg_mqtt_connect(&mgr, url, NULL, packets_fn, NULL);
    POLL_UNTIL(&mgr, !c->is_connecting);
    oom = packets = 0;
    more = arrives(c, refusal, 4, at, 1L << 40);
    CHECK(c->is_closing && oom <= 1);
    close_all(l, -1);
  }
  CHECK(packets == 2 && oom == 0);
  l->is_closing = 1;
  polls(1, 0);
}

static void ws_handshake(void) {
  static const char reply[] = "HTTP/1.1 101 x\r\n\r\n";
  struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL), *c;
  bool more = true;
  long at;
  mg_snprintf(url, sizeof(url), "ws://127.0.0.1:%d/", port_of(l));
  for (at = 0; more; at++) {
    c = mg_ws_connect(&mgr, url, client_fn, NULL, NULL);
    POLL_UNTIL(&mgr, !c->is_connecting);
    errors = 0;
    more = arrives(c, reply, sizeof(reply) - 1, at, 1);
    CHECK(errors == more && c->is_closing == more);
    close_all(l, -1);
  }
  CHECK(at > 1);
  l->is_closing = 1;
  polls(1, 0);
}

static void dashboard_values(void) {
  static const char one[] = "GET /api/get/cfg HTTP/1.1\r\n\r\n", all[] = "GET /api/get HTTP/1.1\r\n\r\n";
  static const char a_file[] = "GET /fs/listed/p HTTP/1.1\r\n\r\n";
  static const char value[] = "{\"volume\":5,\"title\":\"abc\"}";
  struct mg_connection *l, *c;
  int fd, failed = 0, nulls = 0;
  bool more = true;
  long at;
  memset(&dash, 0, sizeof(dash));
  cfg.fn = NULL, cfg.next = NULL;
  dash.sets = &cfg;
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", dash_fn, &dash);
  for (at = 0; more; at++) {
    c = accept_one(l, &fd);
    more = arrives(c, one, sizeof(one) - 1, at, 1);
    single.send = c->send;
    CHECK(c->is_closing || has("HTTP/1.1 403") || has(has("HTTP/1.1 200") ? value : "HTTP/1.1 500"));
    failed += has("HTTP/1.1 500");
    close_all(l, fd);
  }
  CHECK(failed > 0);
  for (at = 0, more = true; more; at++) {
    c = accept_one(l, &fd);
    more = arrives(c, all, sizeof(all) - 1, at, 1);
    single.send = c->send;
    CHECK(c->is_closing || has("HTTP/1.1 403") || has("{\"cfg\":null}") || has(value));
    nulls += has("{\"cfg\":null}");
    close_all(l, fd);
  }
  CHECK(nulls > 0);
  cfg.next = &listed;
  for (at = 0, failed = 0, more = true; more; at++) {
    c = accept_one(l, &fd);
    more = arrives(c, a_file, sizeof(a_file) - 1, at, 1);
    single.send = c->send;
    CHECK(c->is_closing || has("HTTP/1.1 403") || has("HTTP/1.1 500") || has("HTTP/1.1 200"));
    failed += has("HTTP/1.1 500") && has("\r\n\r\nOut of memory\n");
    close_all(l, fd);
  }
  CHECK(failed > 0);
  memset(&single, 0, sizeof(single));
  l->is_closing = 1;
  polls(1, 0);
}

// A success is complete; the result of an upload tells why there is none.
static void single_calls(void) {
  char name[20];
  long at;
  int k, rows, refused;
  for (at = 0; again(at, "/?file=p", upload_piece); at++) {
    if (at < 2) CHECK(result == -7 && single.is_closing);
    CHECK(result != -7 || single.is_closing || has("HTTP/1.1 500"));
    CHECK(result >= -7 && result <= 5);
  }
  CHECK_EQ(result, 5);
  CHECK(at > 5);
  for (at = 0; again(at, "/", serve_page); at++) CHECK(single.is_closing || !has("HTTP/1.1 200") || has("\r\n\r\nincluded"));
  CHECK(!single.is_closing && has("\r\n\r\nincluded"));
  for (at = 0; again(at, "/d/", serve_www); at++) {
    // All of the names, or none: the directory could not be read.
    for (k = 0, rows = 0; k < 60; k++) {
      snprintf(name, sizeof(name), ">%d-with a name", k);
      rows += has(name);
    }
    CHECK(single.is_closing || rows == 0 || rows == 60);
  }
  CHECK(!single.is_closing && has("</html>"));
  // Of a path that does not fit the stack.
  for (at = 0; again(at, deep + 3, serve_www); at++) CHECK(single.is_closing || has("HTTP/1.1 200"));
  CHECK(!single.is_closing && has("HTTP/1.1 200"));
  // The number of files: that of an upload, or none, since the directory could not be read.
  for (at = 0, refused = 0; again(at, "/", count_files); at++, refused += !result) CHECK(result ? s_listed >= 0 : s_listed == -1);
  CHECK(result && s_listed == 1 && refused > 0);
  mg_iobuf_free(&single.send);
  arm(-1, 0, 0);
}

// ---- handshakes in which one allocation fails, or all of them

static int handshakes, joined, complaints[2];  // the last: of the client, and of the server's connection
static bool leaves, gone[2];

static void shakes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT || ev == MG_EV_CONNECT) {
    struct mg_tls_opts o = c->is_accepted ? server_tls() : client_tls();
    mg_tls_init(c, &o);
    joined++;
  }
  if (ev == MG_EV_TLS_HS) handshakes++;
  if (ev == MG_EV_CLOSE) joined--, gone[c->is_accepted] = true;
  if (ev == MG_EV_ERROR) CHECK(!gone[c->is_accepted]);
  if (ev == MG_EV_ERROR) complaints[c->is_accepted]++, errors += strcmp((char *) ev_data, "OOM") == 0;
  if (ev == MG_EV_TLS_HS && leaves) mg_close_conn(c);
}

// True unless the handshake needs fewer allocations.
static bool starved_handshake(long at, long n) {
  uint64_t end = real_ms() + 10000;
  bool starved;
  handshakes = joined = complaints[0] = complaints[1] = errors = 0;
  gone[0] = gone[1] = false;
  mg_mgr_init(&mgr);
  listener = mg_listen(&mgr, "tcp://127.0.0.1:0", shakes, NULL);
  mg_connect(&mgr, url_of(listener, "tcp"), shakes, NULL);
  while (joined < 2 && real_ms() < end) mg_mgr_poll(&mgr, 1);
  CHECK_EQ(joined, 2);
  arm(at, n, 0);
  while (joined == 2 && handshakes < 2 && real_ms() < end) polls(1, 1);
  polls(5, 0);
  CHECK(real_ms() < end);
  starved = made() > at;
  arm(-1, 0, 0);
  mg_mgr_free(&mgr);
  // Told once each.
  CHECK(complaints[0] <= 1 && complaints[1] <= 1);
  return starved;
}

// A handshake that needs the reserve ends with OOM, although it could go on.
static void handshakes_end(void) {
  int tries, ended;
  long at;
  for (at = 0, tries = 0, ended = 0; starved_handshake(at, 1); at += 7) tries++, ended += errors > 0;
  CHECK(tries > 5 && ended > tries / 2);
  for (at = 0, tries = 0; tries < 10 && starved_handshake(at, 1L << 40); at += 31) {
    tries++;
    CHECK(errors > 0);
  }
  // A handler that closes its connection then hears no more of it.
  leaves = true;
  for (at = 0; starved_handshake(at, 1); at += 3) continue;
}

int main(int argc, char **argv) {
  // How many fail in a row, and of which size at least.
  static const struct {
    long n;
    size_t least;
  } ways[] = {{1, 0}, {3, 0}, {20, 0}, {1L << 40, 0}, {1, 4000}, {1L << 40, 4000}, {1L << 40, 60000}};
  const bool all = getenv("STARVE") != NULL;
  char *text = (char *) calloc(1, 300000);
  size_t i, w;
  int k;
  *(void **) &arm = dlsym(RTLD_DEFAULT, "starve_arm");
  *(void **) &turn = dlsym(RTLD_DEFAULT, "starve_on");
  *(void **) &made = dlsym(RTLD_DEFAULT, "starve_made");
  *(void **) &blocks = dlsym(RTLD_DEFAULT, "starve_blocks");
  if (arm == NULL || turn == NULL || made == NULL || blocks == NULL) {
    fprintf(stderr, "not without starve.so\n");
    return 1;
  }
  report = (struct report *) mmap(NULL, sizeof(*report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  mg_log_set(MG_LL_NONE);
  server_tls(), client_tls();
  mkdir("www", 0755), mkdir("www/d", 0755), mkdir("up", 0755);
  strcpy(text + 299990, "THE END");
  write_file("www/big.bin", text, 299998);
  write_file("www/hi.txt", "file", 4);
  write_file("www/a.shtml", "<!--#include file=\"b.shtml\" -->", 31);
  write_file("www/b.shtml", "included", 8);
  for (k = 0; k < 60; k++) {
    char name[100];
    snprintf(name, sizeof(name), "www/d/%d-with a name that is rather long.txt", k);
    write_file(name, "x", 1);
  }
  free(text);
  for (k = 0; k < 3; k++) {
    sprintf(deep + strlen(deep), "/%0100d", k);
    mkdir(deep, 0755);
  }
  strcat(deep, "/hi.txt");
  write_file(deep, "file", 4);
  if (argc == 1) {
    tls_files(), many_headers(), full_response(), closed_upload();
    single_calls(), handshakes_end();
    mg_mgr_init(&mgr);
    // Messages of HTTP are then too large for the stack.
    mgx_mgr_sizes(&mgr, sizeof(struct mg_connection), offsetof(struct mg_connection, data), 40);
    mqtt_packets();
    ws_handshake();
    dashboard_values();
    mg_mgr_free(&mgr);
  }
  for (i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]); i++) {
    long cases = 0, bad = 0;
    if (argc > 1 && strcmp(argv[1], scenarios[i].name) != 0) continue;
    for (w = 0; w < sizeof(ways) / sizeof(ways[0]); w++) {
      long at, total, held, step;
      int result = run(i, -1, 0, ways[w].least);
      CHECK_EQ(result, 0);
      // Nobody has the name in .local.
      CHECK_EQ(report->misses, strcmp(scenarios[i].name, "mdns") == 0);
      total = report->made, held = report->blocks;
      // A part of them: few, but each again when the code has moved a little.
      step = all ? 1 : total / 3 + 1 + (long) w;
      for (at = all ? 0 : (long) (i + w) % step; at < total; at += step) {
        result = run(i, at, ways[w].n, ways[w].least);
        cases++;
        if (result == 0 && report->blocks <= held && report->files == 0) continue;
        bad++;
        fprintf(stderr, "%s: %ld failures from allocation %ld on of %lu bytes or more: ended with %d, %ld blocks and %ld descriptors left\n",
                scenarios[i].name, ways[w].n, at, (unsigned long) ways[w].least, result, report->blocks - held, report->files);
      }
    }
    CHECK_EQ(bad, 0);
    printf("%-10s %5ld cases, %ld failed\n", scenarios[i].name, cases, bad);
    fflush(stdout);
  }
  pem_free();
  return DONE();
}
