// Files on their way when the drain begins arrive whole, through both drains, as long as they move. With a clock turned by hand.
#include "ext.h"

#include "clock.h"

#define NAME "drained.bin"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void turn_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void files(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    mg_http_serve_file(c, (struct mg_http_message *) ev_data, NAME, &opts);
  }
}

enum how { BY_FLAG, BY_CONN, BY_CONN_WITH_GRACE, BY_MGR, HOWS };

static void start(struct peer *p, enum how how) {
  forget();
  listener = serve(&mgr, files, NULL);
  peer_dial(p, port_of(listener), 65536);
  ask(&mgr, p, "GET / HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, peer_has(p, 1));
  CHECK_EQ(closed, 0);
  CHECK(last != NULL);
  if (how == BY_FLAG) last->is_draining = 1;
  if (how == BY_CONN) CHECK(mgx_conn_drain(last, NULL));
  if (how == BY_CONN_WITH_GRACE) {
    struct mgx_drain_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.idle_grace_ms = 1000;
    CHECK(mgx_conn_drain(last, &opts));
  }
  if (how == BY_MGR) {
    struct mgx_mgr_drain_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.deadline_ms = 1000000;
    CHECK(mgx_mgr_drain(&mgr, &opts));
  }
  poll_often(&mgr);
}

// Longer in all than any time-out, but always moving.
static void whole(enum how how) {
  struct peer p;
  int i;
  start(&p, how);
  for (i = 0; i < 5; i++) {
    size_t before = p.len;
    turn_clock(20000);
    POLL_UNTIL(&mgr, (peer_take(&p, 1 << 20), p.len > before + (2 << 20)));
  }
  CHECK_EQ(closed, 0);
  POLL_UNTIL(&mgr, (peer_read(&p), p.len > BIG && memcmp(p.buf + p.len - 1000, big_body + BIG - 1000, 1000) == 0));
  poll_often(&mgr);
  turn_clock(1000);  // the graces
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  CHECK_EQ(unsent, 0);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG - 4, "\r\n\r\n", 4) == 0);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG, big_body, BIG) == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void not_read(enum how how) {
  struct peer p;
  start(&p, how);
  turn_clock(how == BY_FLAG ? 59999 : 29999);
  CHECK_EQ(closed, 0);
  turn_clock(200000);
  CHECK_EQ(closed, 1);
  CHECK(reason == MGX_REASON_FLUSH_TIMEOUT || reason == MGX_REASON_RESPONSE_TIMEOUT);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int how;
  mg_log_set(MG_LL_NONE);
  big_body = make_body(BIG);
  CHECK(mg_file_write(&mg_fs_posix, NAME, big_body, BIG));
  for (how = 0; how < (int) HOWS; how++) whole((enum how) how);
  not_read(BY_FLAG);
  not_read(BY_CONN);
  not_read(BY_MGR);
  remove(NAME);
  free(big_body);
  return DONE();
}
