// A listener that has run out of descriptors retries after 100 ms, not in each poll, and logs one line per attempt. One that is short of
// memory looks after 10 ms.
// not under: valgrind: it lets accept succeed, closes the socket and then reports EMFILE
#include "mongoose_ext.h"

#include "clock.h"
#include "peer.h"

static int s_accepts, s_logged;
static char s_line[400];
static size_t s_len;

static void log_char(char c, void *arg) {
  if (c != '\n' && s_len < sizeof(s_line) - 1) {
    s_line[s_len++] = c;
  } else if (c == '\n') {
    s_line[s_len] = '\0';
    if (strstr(s_line, "accept: ") != NULL) s_logged++;
    s_len = 0;
  }
  (void) arg;
}

static bool s_drains;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) s_accepts++;
  if (ev == MG_EV_ACCEPT && s_drains) mg_send(c, "x", 1), c->is_draining = 1;
  (void) c, (void) ev_data;
}

// Leaves no descriptor to this process.
static void use_up_descriptors(void) {
  struct rlimit low;
  int fd, highest = 0;
  for (fd = 0; fd < 4096; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) highest = fd;
  }
  getrlimit(RLIMIT_NOFILE, &low);
  low.rlim_cur = (rlim_t) highest + 1;
  CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
  while (dup(0) >= 0) continue;
}

static void limit_memory(struct mg_mgr *mgr, size_t most) {
  struct mgx_limits limits;
  memset(&limits, 0, sizeof(limits));
  limits.max_memory = most;
  mgx_mgr_limits(mgr, &limits);
}

// It looks for memory again after 10 ms.
static void short_of_memory(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p;
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  limit_memory(&mgr, 1);
  peer_open(&p, l);
  poll_often(&mgr);
  limit_memory(&mgr, 0);
  clock_ms += 9;
  poll_often(&mgr);
  CHECK_EQ(s_accepts, 0);
  clock_ms += 1;
  POLL_UNTIL(&mgr, s_accepts == 1);
  peer_free(&p);
  mg_mgr_free(&mgr);
  s_accepts = 0;
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct rlimit limit;
  struct peer p, second, gone, next;
  struct sockaddr_in sin;
  mg_log_set_fn(log_char, NULL);
  short_of_memory();
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  peer_open(&p, l);
  memset(&second, 0, sizeof(second));
  memset(&sin, 0, sizeof(sin));
  second.fd = socket(AF_INET, SOCK_STREAM, 0);
  sin.sin_family = AF_INET;
  sin.sin_port = l->loc.port;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  getrlimit(RLIMIT_NOFILE, &limit);
  use_up_descriptors();

  POLL_UNTIL(&mgr, s_logged == 1);
  poll_often(&mgr);
  CHECK_EQ(s_logged, 1);
  clock_ms += 99;
  // Another client changes nothing.
  CHECK(connect(second.fd, (struct sockaddr *) &sin, sizeof(sin)) == 0);
  poll_often(&mgr);
  CHECK_EQ(s_logged, 1);
  clock_ms += 1;
  POLL_UNTIL(&mgr, s_logged == 2);
  poll_often(&mgr);
  CHECK_EQ(s_logged, 2);
  CHECK_EQ(s_accepts, 0);
  // There are descriptors again.
  setrlimit(RLIMIT_NOFILE, &limit);
  poll_often(&mgr);
  CHECK_EQ(s_accepts, 0);
  clock_ms += 100;
  POLL_UNTIL(&mgr, s_accepts == 2);
  // A socket that lingers makes room at once.
  s_drains = true;
  peer_open(&gone, l);
  POLL_UNTIL(&mgr, peer_read(&gone));
  peer_open(&next, l);
  use_up_descriptors();
  POLL_UNTIL(&mgr, s_accepts == 4);
  setrlimit(RLIMIT_NOFILE, &limit);
  peer_free(&second), peer_free(&gone), peer_free(&next);
  peer_free(&p);
  mg_mgr_free(&mgr);
  return DONE();
}
