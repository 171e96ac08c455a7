// Runs with the preload faults.c: requests between a client and a server while each system call in turn fails with each error, or the
// clock jumps. What must hold: nobody hangs or crashes, no descriptor is lost, and when the fault is over everything works.
#include <dlfcn.h>
#include <errno.h>

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static void (*arm)(long, long, int, long);
static long (*calls)(void);
static int answers, closes;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev != MG_EV_HTTP_MSG) return;
  if (mg_match(hm->uri, mg_str("/file"), NULL)) {
    struct mg_http_serve_opts o;
    memset(&o, 0, sizeof(o));
    mg_http_serve_file(c, hm, "file", &o);
  } else {
    mg_http_reply(c, 200, "", "hi");
  }
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) mg_printf(c, "GET %s HTTP/1.1\r\nHost: a\r\n\r\n", (char *) c->fn_data);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    // What a fault of the file system makes of it is an answer, too, but not the last.
    if (mg_http_status(hm) == 200) answers++;
    c->is_draining = 1;
  }
  if (ev == MG_EV_CLOSE) closes++;
}

// Asks until there is an answer; a fault may cost the first.
static bool request_until_answered(struct mg_mgr *mgr, const char *url, const char *path) {
  int tries;
  for (tries = 0; tries < 8; tries++) {
    int before = answers, closed = closes;
    struct mg_connection *c = mg_http_connect(mgr, url, client_fn, (void *) path);
    uint64_t end = real_ms() + (tries < 6 ? 200 : 10000);
    if (c == NULL) continue;
    while (closes == closed && answers == before && real_ms() < end) mg_mgr_poll(mgr, 5);
    if (answers > before) return true;
    // The kernel was said to have nothing, which is believed.
    if (closes == closed) c->is_closing = 1;
    mg_mgr_poll(mgr, 0);
  }
  return false;
}

// Returns whether the fault was reached.
static bool run_with_fault(long at, long n, int error, long seconds) {
  size_t files = open_files();
  struct mg_mgr mgr;
  struct mg_connection *l = NULL;
  int tries;
  long made;
  arm(at, n, error, seconds);
  mg_mgr_init(&mgr);
  for (tries = 0; tries < 8 && !mgx_mgr_ok(&mgr); tries++) {
    mg_mgr_free(&mgr);
    mg_mgr_init(&mgr);
  }
  CHECK(mgx_mgr_ok(&mgr));
  for (tries = 0; tries < 8 && l == NULL; tries++) l = mg_http_listen(&mgr, "http://127.0.0.1:0", server_fn, NULL);
  CHECK(l != NULL);
  if (l != NULL) {
    char url[64];
    struct mg_addr loc = l->loc;
    socklen_t len = sizeof(struct sockaddr_in);
    struct sockaddr_in sin;
    getsockname((int) (size_t) l->fd, (struct sockaddr *) &sin, &len);
    mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d", mg_ntohs(loc.port != 0 ? loc.port : sin.sin_port));
    CHECK(request_until_answered(&mgr, url, "/"));
    CHECK(request_until_answered(&mgr, url, "/file"));
  }
  mg_mgr_free(&mgr);
  made = calls();
  arm(-1, 0, 0, 0);
  CHECK_EQ(open_files(), files);
  return made > at;
}

int main(void) {
  static const struct {
    const char *name;
    int error;
    long n, seconds;
  } faults[] = {
      {"EINTR", EINTR, 1, 0},   {"EAGAIN", EAGAIN, 1, 0}, {"ENOMEM", ENOMEM, 1, 0},    {"EMFILE", EMFILE, 1, 0},
      {"EMFILE, four in a row", EMFILE, 4, 0}, {"ENOBUFS", ENOBUFS, 1, 0}, {"the clock an hour ahead", 0, 1, 3600},
      {"the clock an hour back", 0, 1, -3600},
  };
  size_t i;
  char *text = (char *) calloc(1, 100000);
  *(void **) &arm = dlsym(RTLD_DEFAULT, "fault_arm");
  *(void **) &calls = dlsym(RTLD_DEFAULT, "fault_calls");
  if (arm == NULL || calls == NULL) {
    fprintf(stderr, "not without faults.so\n");
    return 1;
  }
  mg_log_set(MG_LL_NONE);
  CHECK(mg_file_write(&mg_fs_posix, "file", text, 100000));
  free(text);
  for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
    long at = 0;
    int failed = checks_failed;
    while (run_with_fault(at, faults[i].n, faults[i].error, faults[i].seconds)) {
      if (checks_failed > failed) fprintf(stderr, "^ %s at call %ld\n", faults[i].name, at), failed = checks_failed;
      at++;
    }
    CHECK(at > 20);
    printf("%s: each of %ld calls\n", faults[i].name, at);
    fflush(stdout);
  }
  return DONE();
}
