// Stack needed by a polling thread: requests, files, listings, uploads, refusals, lookups and WebSockets, in clear text and over
// TLS, served by a thread whose stack is measured.
// C only
// not under: valgrind asan: their own frames and red zones would be measured
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tls.h"

#define STACK (512 * 1024)

static bool secure;
static volatile int port, stop;
static int answers;
static volatile int looked_up;

static void lookup_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ERROR) looked_up++;
  (void) c, (void) ev_data;
}

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_ACCEPT && secure) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/early"), NULL)) {
    mg_http_reply(c, 413, "", "no\n");
    c->is_draining = 1;
  } else if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/up"), NULL)) {
    mg_http_start_upload(c, hm, mg_str("x.bin"), mg_str("up"), &mg_fs_posix, NULL);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/ws"), NULL)) {
    mg_ws_upgrade(c, hm, NULL);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/www/#"), NULL)) {
    struct mg_http_serve_opts o = {.root_dir = ".", .ssi_pattern = NULL};
    mg_http_serve_dir(c, hm, &o);
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/lookup"), NULL)) {
    mg_http_connect(c->mgr, "http://nobody.invalid/", lookup_fn, NULL);
    mg_http_reply(c, 200, "", "x");
  } else if (ev == MG_EV_HTTP_MSG && mg_match(hm->uri, mg_str("/up"), NULL)) {
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "%g %s %m\n", 1.5, "hello", MG_ESC("world"));
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, WEBSOCKET_OP_TEXT);
  }
}

static void *run_server(void *arg) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  mg_mgr_init(&mgr);
  mgr.dns4.url = "udp://127.0.0.1:9";
  mgr.dnstimeout = 20;
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", server_fn, NULL);
  l->is_tls = secure;
  port = mg_ntohs(l->loc.port);
  while (!stop) mg_mgr_poll(&mgr, 5);
  mg_mgr_free(&mgr);
  return arg;
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  const char *request = (const char *) c->fn_data;
  if (ev == MG_EV_CONNECT) {
    if (secure) {
      struct mg_tls_opts o = client_tls();
      mg_tls_init(c, &o);
    }
    mg_printf(c, "%s", request);
    // A body that nobody reads, and one that is stored.
    if (strncmp(request, "POST", 4) == 0) {
      for (int i = 0; i < 100; i++) mg_printf(c, "%01000d", 1);
    }
  } else if (ev == MG_EV_HTTP_MSG || ev == MG_EV_WS_MSG) {
    answers++;
    c->is_draining = 1;
  } else if (ev == MG_EV_WS_OPEN) {
    mg_ws_send(c, "hi", 2, WEBSOCKET_OP_TEXT);
  }
  (void) ev_data;
}

// Bytes of its stack that the server has used.
static size_t used(void) {
  static const char *requests[] = {
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /lookup HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /www/small HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /www/big HTTP/1.1\r\nHost: a\r\nRange: bytes=5-\r\n\r\n",
      "GET /www/ HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /www/nothing HTTP/1.1\r\nHost: a\r\n\r\n",
      "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
      "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n",
  };
  struct mg_mgr mgr;
  pthread_attr_t attr;
  pthread_t thread;
  char url[50];
  size_t i, n;
  int lookups = looked_up;
  int type = MAP_PRIVATE | MAP_ANONYMOUS;
  unsigned char *stack = (unsigned char *) mmap(NULL, STACK, PROT_READ | PROT_WRITE, type, -1, 0);
  memset(stack, 0xa5, STACK);
  port = stop = answers = 0;
  pthread_attr_init(&attr);
  pthread_attr_setstack(&attr, stack, STACK);
  CHECK_EQ(pthread_create(&thread, &attr, run_server, NULL), 0);
  while (port == 0) usleep(1000);
  mg_mgr_init(&mgr);
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d/ws", secure ? "https" : "http", port);
  for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
    int before = answers;
    CHECK(mg_http_connect(&mgr, url, client_fn, (void *) requests[i]) != NULL);
    POLL_UNTIL(&mgr, answers > before);
  }
  n = (size_t) answers;
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d/ws", secure ? "wss" : "ws", port);
  CHECK(mg_ws_connect(&mgr, url, client_fn, (void *) "", NULL) != NULL);
  // The lookup fails when the kernel reports the closed port, or when its time is over.
  POLL_UNTIL(&mgr, (size_t) answers > n && mgr.conns == NULL && looked_up > lookups);
  mg_mgr_free(&mgr);
  stop = 1;
  pthread_join(thread, NULL);
  for (n = 0; n < STACK && stack[n] == 0xa5; n++) (void) 0;
  munmap(stack, STACK);
  pthread_attr_destroy(&attr);
  return STACK - n;
}

static void make_file(const char *name, size_t len) {
  char *data = (char *) calloc(1, len);
  CHECK(mg_file_write(&mg_fs_posix, name, data, len));
  free(data);
}

int main(void) {
  // The tests say how the library was built; a debug build keeps every variable in memory.
  const char *build = getenv("LIBRARY_BUILD");
  bool debug = build != NULL && strcmp(build, "debug") == 0;
  size_t n;
  mg_log_set(MG_LL_NONE);
  mkdir("www", 0755), mkdir("up", 0755);
  make_file("www/small", 100), make_file("www/big", 300000);
  n = used();
  printf("%s build: HTTP needs %lu bytes of stack\n", debug ? "debug" : "release", (unsigned long) n);
  CHECK(n < (debug ? 64 : 16) * 1024);
  secure = true;
  n = used();
  printf("%s build: HTTPS needs %lu bytes of stack\n", debug ? "debug" : "release", (unsigned long) n);
  CHECK(n < (debug ? 128 : 48) * 1024);
  pem_free();
  return DONE();
}
