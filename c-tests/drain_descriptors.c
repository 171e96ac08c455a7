// When accept runs out of descriptors, lingering sockets are closed; if there are none, the listener waits without spinning.
// not under: valgrind: it lets accept succeed, closes the socket and then reports EMFILE
#include "mongoose.h"

#include "peer.h"

enum { LINGERING = 20 };

static int closes, accepts;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) accepts++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "", "hi");
    c->is_draining = 1;
  }
  (void) ev_data;
}

static struct rlimit limit;

// Leaves no descriptor free.
static void use_up_descriptors(void) {
  struct rlimit low;
  int fd, highest = 0;
  for (fd = 0; fd < 4096; fd++) {
    if (fcntl(fd, F_GETFD) >= 0) highest = fd;
  }
  getrlimit(RLIMIT_NOFILE, &limit);
  low = limit;
  low.rlim_cur = (rlim_t) highest + 1;
  CHECK(setrlimit(RLIMIT_NOFILE, &low) == 0);
  while (dup(0) >= 0) continue;
  CHECK_EQ(errno, EMFILE);
}

static bool answered(struct peer *p) {
  return peer_read(p) && p->len > 2 && memcmp(p->buf + p->len - 2, "hi", 2) == 0;
}

static void ask(struct peer *p, struct mg_connection *l) {
  peer_open(p, l);
  peer_send_text(p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

static void lingering_sockets_are_closed_for_new_ones(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, server, NULL);
  struct peer p[LINGERING], waiting;
  int i;
  closes = accepts = 0;
  for (i = 0; i < LINGERING; i++) {
    ask(&p[i], l);
    POLL_UNTIL(&mgr, answered(&p[i]));
  }
  ask(&waiting, l);
  use_up_descriptors();
  POLL_UNTIL(&mgr, answered(&waiting));
  CHECK_EQ(closes, LINGERING + 1);
  setrlimit(RLIMIT_NOFILE, &limit);
  for (i = 0; i < LINGERING; i++) peer_free(&p[i]);
  peer_free(&waiting);
  mg_mgr_free(&mgr);
}

static void a_listener_without_descriptors_waits(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, server, NULL);
  struct peer waiting;
  uint64_t end;
  int polls = 0;
  closes = accepts = 0;
  ask(&waiting, l);
  use_up_descriptors();
  for (end = real_ms() + 300; real_ms() < end; polls++) mg_mgr_poll(&mgr, 10);
  CHECK_EQ(accepts, 0);
  CHECK(polls < 100);
  setrlimit(RLIMIT_NOFILE, &limit);
  POLL_UNTIL(&mgr, answered(&waiting));
  CHECK_EQ(accepts, 1);
  peer_free(&waiting);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  lingering_sockets_are_closed_for_new_ones();
  a_listener_without_descriptors_waits();
  return DONE();
}
