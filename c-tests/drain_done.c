// MGX_MGR_DONE means that nothing of the manager is left, including lingering sockets: exiting then cuts off nobody. mg_mgr_free
// waits for them too if a drain was requested. Uses a simulated clock.
#include "ext.h"

#include "clock.h"

#include <pthread.h>

#define REPLY_LEN 1000000
#define UPLOAD_LEN 3000000

static struct mg_mgr mgr;
static struct mg_connection *listener;
static char *body;
static bool drains_manager;

// An early refusal while the client is still uploading.
static void refuses(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_HDRS) {
    mg_printf(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", REPLY_LEN);
    mg_send(c, body, REPLY_LEN);
    c->is_resp = 0;
    c->is_draining = 1;
    if (drains_manager) CHECK(mgx_mgr_drain(c->mgr, NULL));
  }
  (void) ev_data;
}

static size_t reply_len(void) {
  return REPLY_LEN + strlen("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n");
}

static void begin(struct peer *p) {
  forget();
  peer_open(p, serve(&mgr, refuses, NULL));
  CHECK(peer_send_text(p, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"));
}

// Uploads a little and reads a little.
static void exchange_a_little(struct peer *p, size_t *uploaded) {
  ssize_t n = *uploaded >= UPLOAD_LEN ? 0 : send(p->fd, body, 10000, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n > 0) *uploaded += (size_t) n;
  peer_take(p, 4000);
}

static void expect_whole_reply(struct peer *p) {
  uint64_t until = real_ms() + 50000;
  while (!peer_read(p) && real_ms() < until) usleep(1000);
  CHECK_EQ(p->end, PEER_FIN);
  CHECK_EQ(p->len, reply_len());
  CHECK(p->len > REPLY_LEN && memcmp(p->buf + p->len - REPLY_LEN, body, REPLY_LEN) == 0);
}

// The loop of the README.
static void nothing_is_cut_off_after_done(bool drained_by_handler) {
  struct mgx_drain_status status;
  struct peer p;
  size_t uploaded = 0;
  bool closed_early = false;
  uint64_t until = real_ms() + 50000;
  drains_manager = drained_by_handler;
  begin(&p);
  if (!drained_by_handler) {
    POLL_UNTIL(&mgr, last != NULL || closed > 0);
    CHECK(mgx_mgr_drain(&mgr, NULL));
  }
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < until) {
    mg_mgr_poll(&mgr, 1);
    exchange_a_little(&p, &uploaded);
    clock_ms++;
    mgx_mgr_drain_status(&mgr, &status);
    if (status.lingering > 0) {
      closed_early = true;  // MG_EV_CLOSE came, and yet it is not over
      CHECK_EQ(closed, 1);
      CHECK(status.phase == MGX_MGR_FINISHING || status.phase == MGX_MGR_IDLE_GRACE);
    }
  }
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK(closed_early);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 0);
  CHECK_EQ(status.forced, 0);
  mg_mgr_free(&mgr);
  expect_whole_reply(&p);
  peer_free(&p);
}

// One that lingers, its peer idle: a second, and then it is done. Or the deadline.
static void done_when_lingering_ends(int deadline, uint64_t after) {
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  struct peer p;
  forget();
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, &p);
  last->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(closed, 1);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = deadline;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  clock_ms += after - 1;
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  clock_ms += 1;
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.lingering, 0);
  CHECK_EQ(status.forced, 0);
  CHECK(mgx_mgr_drain_wait(&mgr));
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void done_when_the_peer_has_closed(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, &p);
  last->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(mgx_mgr_drain(&mgr, NULL));
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  peer_free(&p);
  POLL_UNTIL(&mgr, mgx_mgr_phase(&mgr) == MGX_MGR_DONE);
  mg_mgr_free(&mgr);
}

// ---- mg_mgr_free

static void *upload_thread(void *arg) {
  struct peer *p = (struct peer *) arg;
  size_t uploaded = 0;
  uint64_t until = real_ms() + 50000;
  while (p->end == PEER_OPEN && real_ms() < until) exchange_a_little(p, &uploaded), usleep(500);
  shutdown(p->fd, SHUT_WR);
  return NULL;
}

static void mg_mgr_free_finishes_lingering(void) {
  struct mgx_drain_status status;
  pthread_t thread;
  struct peer p;
  uint64_t began;
  drains_manager = true;
  begin(&p);
  CHECK(pthread_create(&thread, NULL, upload_thread, &p) == 0);
  POLL_UNTIL(&mgr, (mgx_mgr_drain_status(&mgr, &status), status.lingering == 1));
  began = real_ms();
  mg_mgr_free(&mgr);  // the clock stands still: it is the peer's end that it waits for
  CHECK(real_ms() - began < 9000);
  pthread_join(thread, NULL);
  expect_whole_reply(&p);
  peer_free(&p);
}

static void mg_mgr_free_does_not_wait_without_a_drain(void) {
  struct peer p;
  uint64_t began;
  forget();
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, &p);
  last->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  began = real_ms();
  mg_mgr_free(&mgr);
  CHECK(real_ms() - began < 5000);
  peer_free(&p);
}

// A clock of the application's own that stands still, and a peer that does nothing: it ends all the same.
static void mg_mgr_free_waits_a_limited_time(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, server, NULL);
  join(&mgr, listener, &p);
  last->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK(mgx_mgr_drain(&mgr, NULL));
  mg_mgr_free(&mgr);
  CHECK(mgr.conns == NULL);
  peer_free(&p);
}

static bool freed;

static void frees_the_manager(struct mg_connection *c, int ev, void *ev_data) {
  server(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG && !freed) {
    CHECK(mgx_mgr_drain(c->mgr, NULL));
    mg_mgr_free(c->mgr);
    freed = true;
  }
}

static void mg_mgr_free_in_a_handler(void) {
  struct peer lingers, p;
  freed = false;
  forget();
  listener = serve(&mgr, frees_the_manager, NULL);
  join(&mgr, listener, &lingers);
  last->is_draining = 1;
  POLL_UNTIL(&mgr, peer_read(&lingers));
  join(&mgr, listener, &p);
  CHECK(peer_send_text(&p, GET("/never")));
  peer_free(&lingers);
  POLL_UNTIL(&mgr, freed);
  CHECK(mgr.conns == NULL);
  CHECK_EQ(closed, 2);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  body = make_body(REPLY_LEN);
  nothing_is_cut_off_after_done(true);
  nothing_is_cut_off_after_done(false);
  done_when_lingering_ends(0, 1000);
  done_when_lingering_ends(400, 400);
  done_when_the_peer_has_closed();
  mg_mgr_free_finishes_lingering();
  mg_mgr_free_does_not_wait_without_a_drain();
  mg_mgr_free_waits_a_limited_time();
  mg_mgr_free_in_a_handler();
  free(body);
  return DONE();
}
