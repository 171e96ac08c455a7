// Files being sent when a drain begins arrive completely as long as they make progress, however the drain began and the library
// sends them; truncated ones are counted. Uses a simulated clock.
#include "ext.h"

#include "clock.h"

#define NAME "drained.bin"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

// The kernel copies files of the ordinary file system; those of any other are read in blocks.
static bool in_blocks;
static struct mg_fs own_fs;

static void files(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    if (in_blocks) opts.fs = &own_fs;
    mg_http_serve_file(c, (struct mg_http_message *) ev_data, NAME, &opts);
  }
}

enum how { BY_FLAG, BY_CONN, BY_CONN_WITH_GRACE, BY_MGR, HOWS };

static void start(struct peer *p, enum how how) {
  forget();
  listener = serve(&mgr, files, NULL);
  peer_connect(p, port_of(listener), 65536);
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

// Longer in all than any timeout, but always moving.
static void slow_reader_gets_the_whole_file(enum how how) {
  struct peer p;
  int i;
  start(&p, how);
  for (i = 0; i < 5; i++) {
    size_t before = p.len;
    advance_clock(20000);
    POLL_UNTIL(&mgr, (peer_take(&p, 1 << 20), p.len > before + (2 << 20)));
  }
  CHECK_EQ(closed, 0);
  POLL_UNTIL(&mgr, (peer_read(&p), p.len > BIG && memcmp(p.buf + p.len - 1000, big_body + BIG - 1000, 1000) == 0));
  poll_often(&mgr);
  advance_clock(1000);  // the graces
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  CHECK_EQ(unsent, 0);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG - 4, "\r\n\r\n", 4) == 0);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG, big_body, BIG) == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void half_closed(enum how how) {
  struct peer p;
  start(&p, how);
  peer_shut(&p);
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(unsent, 0);
  CHECK(p.len > BIG && memcmp(p.buf + p.len - BIG, big_body, BIG) == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// The head had left before the drain began, so the client may ask again: it is answered, and told.
static void a_request_after_the_file(enum how how) {
  struct peer p;
  size_t first = 0;
  start(&p, how);
  CHECK(peer_send_text(&p, "GET /again HTTP/1.1\r\n\r\n"));
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK_EQ(p.end, PEER_FIN);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  CHECK_EQ(requests, 2);
  CHECK(p.len > 2 * BIG && memcmp(p.buf + p.len - BIG, big_body, BIG) == 0);
  while (first + 4 < p.len && memcmp(p.buf + first, "\r\n\r\n", 4) != 0) first++;
  first += 4 + BIG;
  CHECK(p.len > first + BIG && memcmp(p.buf + first - BIG, big_body, BIG) == 0);
  CHECK_EQ(peer_drop_close(&p, first), 1);
  CHECK_EQ(peer_drop_close(&p, 0), 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// What the kernel has taken is in its buffers and the peer's, all else is unsent.
static void expect_cut_off(struct peer *p, enum mgx_reason why) {
  CHECK_EQ(closed, 1);
  CHECK_EQ(reason, why);
  peer_read(p);
  CHECK(p->len < BIG);
  CHECK(unsent > 0 && unsent + p->len <= BIG + 200);
  CHECK(unsent > BIG / 4);
  peer_free(p);
  mg_mgr_free(&mgr);
}

// Sends until the kernel's buffers are full.
static void fill_the_kernel(void) {
  struct mgx_stats stats;
  uint64_t before;
  memset(&stats, 0, sizeof(stats));
  do {
    before = stats.bytes_out;
    poll_often(&mgr);
    mgx_mgr_stats(&mgr, &stats);
  } while (stats.bytes_out != before);
}

static void reader_that_stops(enum how how, int limit, enum mgx_reason why) {
  struct peer p;
  start(&p, how);
  fill_the_kernel();
  advance_clock((uint64_t) limit - 1);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  expect_cut_off(&p, why);
}

static void cut_off_by_the_deadline(bool half_closes) {
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status st;
  struct peer p;
  start(&p, BY_MGR);
  if (half_closes) peer_shut(&p);
  mgx_mgr_drain_status(&mgr, &st);
  CHECK(st.unsent_bytes > BIG / 4);
  memset(&opts, 0, sizeof(opts));
  opts.deadline_ms = 2000;
  CHECK(mgx_mgr_drain(&mgr, &opts));
  poll_often(&mgr);
  advance_clock(1999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  CHECK_EQ(mgx_mgr_phase(&mgr), MGX_MGR_DONE);
  expect_cut_off(&p, MGX_REASON_FORCED);
}

// The drain ends with what there is of a file that shrinks meanwhile.
static void the_file_shrinks(enum how how) {
  struct peer p;
  start(&p, how);
  CHECK(truncate(NAME, BIG / 2) == 0);
  POLL_UNTIL(&mgr, peer_read(&p) && closed == 1);
  CHECK(p.len < BIG);
  peer_free(&p);
  mg_mgr_free(&mgr);
  CHECK(mg_file_write(&mg_fs_posix, NAME, big_body, BIG));
}

// A handler that drains in the event of output has dropped what it had received, at once, also when another connection's handler
// has asked for that output.
static struct mg_connection *reader;
static struct peer *reads_on;
static bool stir, drain_next;

static void stirs(struct mg_connection *c, int ev, void *ev_data) {
  files(c, ev, ev_data);
  if (ev == MG_EV_HTTP_MSG) reader = c;
  if (ev == MG_EV_CLOSE && c == reader) reader = NULL;
  if (ev == MG_EV_POLL && c->is_listening && stir && reader != NULL) {
    stir = false;
    peer_read(reads_on);
    mg_printf(reader, "%s", "");
    drain_next = true;
  }
  if (ev == MG_EV_WRITE && c == reader && drain_next) {
    drain_next = false;
    c->is_draining = 1;
  }
}

static void drained_by_the_event_of_output(void) {
  struct peer p;
  forget();
  listener = serve(&mgr, stirs, NULL);
  peer_open(&p, listener);
  ask(&mgr, &p, "GET / HTTP/1.1\r\n\r\nGET ");
  POLL_UNTIL(&mgr, peer_has(&p, 1) && reader->recv.len == 4);
  reads_on = &p;
  while (reader != NULL && !reader->is_draining) {
    stir = true;
    mg_mgr_poll(&mgr, 0);
  }
  CHECK(reader != NULL && reader->recv.len == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// An application tells the protocol handler that it is all over: no drain waits for the rest of the file.
static void abandoned_by_the_application(void) {
  struct peer p;
  start(&p, HOWS);
  fill_the_kernel();
  last->pfn(last, MG_EV_CLOSE, NULL);
  last->send.len = 0;
  last->is_draining = 1;
  poll_often(&mgr);
  expect_cut_off(&p, MGX_REASON_DRAINED);
}

int main(void) {
  int how;
  mg_log_set(MG_LL_NONE);
  own_fs = mg_fs_posix;
  big_body = make_body(BIG);
  CHECK(mg_file_write(&mg_fs_posix, NAME, big_body, BIG));
  do {
    for (how = 0; how < (int) HOWS; how++) {
      slow_reader_gets_the_whole_file((enum how) how);
      half_closed((enum how) how);
      the_file_shrinks((enum how) how);
    }
    a_request_after_the_file(BY_CONN_WITH_GRACE);
    a_request_after_the_file(BY_MGR);
    reader_that_stops(BY_FLAG, 60000, MGX_REASON_FLUSH_TIMEOUT);
    reader_that_stops(BY_CONN, 60000, MGX_REASON_FLUSH_TIMEOUT);
    reader_that_stops(BY_MGR, 60000, MGX_REASON_FLUSH_TIMEOUT);
    cut_off_by_the_deadline(false);
    // That the peer has nothing more to say does not mean that it has got everything.
    cut_off_by_the_deadline(true);
    drained_by_the_event_of_output();
    abandoned_by_the_application();
    in_blocks = !in_blocks;
  } while (in_blocks);
  remove(NAME);
  free(big_body);
  return DONE();
}
