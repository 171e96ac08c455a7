// mg_mgr_free in every phase of a manager's drain, with connections in every state: one MG_EV_CLOSE each, no leaks, no later
// calls.
#include "ext.h"

#include "clock.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static bool freed;
static int late;

static void watched(struct mg_connection *c, int ev, void *ev_data) {
  if (freed) late++;
  server(c, ev, ev_data);
}

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

// Idle, half a request, a pending answer, an answer under way, a stream, output that is not read, one that lingers.
enum { PEERS = 7 };
static struct peer peers[PEERS];

static void start(void) {
  struct mg_connection *c;
  int i;
  forget();
  freed = false;
  listener = serve(&mgr, watched, NULL);
  for (i = 0; i < PEERS; i++) join(&mgr, listener, &peers[i]);
  CHECK(peer_send_text(&peers[1], "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nx"));
  ask(&mgr, &peers[2], GET("/later"));
  ask(&mgr, &peers[3], GET("/big"));
  ask(&mgr, &peers[4], GET("/chunks"));
  ask(&mgr, &peers[5], GET("/big") GET("/big"));
  ask(&mgr, &peers[6], GET("/hi"));
  c = last;
  c->is_draining = 1;
  poll_often(&mgr);
}

static void end(void) {
  size_t i;
  int before = closed;
  // First the peers: once a drain was asked for, mg_mgr_free waits for lingering sockets, and the clock stands still.
  for (i = 0; i < PEERS; i++) peer_free(&peers[i]);
  mg_mgr_free(&mgr);
  freed = true;
  CHECK(mgr.conns == NULL);
  CHECK(closed >= before);
  CHECK_EQ(closed, opened);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  CHECK(!mgx_mgr_drain(&mgr, NULL));
  mg_mgr_free(&mgr);
  CHECK_EQ(late, 0);
}

static void drain(int lame_duck, int idle_grace, int deadline) {
  struct mgx_mgr_drain_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.lame_duck_ms = lame_duck;
  opts.idle_grace_ms = idle_grace;
  opts.deadline_ms = deadline;
  opts.conn.ws_close_reason = "so long";
  CHECK(mgx_mgr_drain(&mgr, &opts));
}

int main(void) {
  struct mgx_limits limits;
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);

  start();
  end();

  start();
  drain(100, 100, 1000);  // asked for, not begun
  end();

  start();
  drain(100, 100, 1000);
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_LAME_DUCK);
  end();

  start();
  drain(0, 100, 1000);
  poll_often(&mgr);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_IDLE_GRACE);
  end();

  start();
  drain(0, 100, 1000);
  poll_often(&mgr);
  advance_clock(100);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_FINISHING);
  end();

  start();
  drain(0, 100, 1000);
  poll_often(&mgr);
  advance_clock(100);
  clock_ms += 900;
  mg_mgr_poll(&mgr, 0);  // marked for closing by force, not yet closed
  end();

  start();
  drain(0, 100, 1000);
  poll_often(&mgr);
  advance_clock(1000);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  end();

  start();
  memset(&limits, 0, sizeof(limits));
  limits.max_conns_per_ip = 100;
  limits.idle_timeout_ms = limits.body_timeout_ms = limits.write_timeout_ms = 50;
  mgx_mgr_limits(&mgr, &limits);
  poll_often(&mgr);
  CHECK(mgx_send_to(&mgr, 3, "waits", 5));
  CHECK(mgx_wakeup_mgr(&mgr));
  end();

  free(big_body);
  return DONE();
}
