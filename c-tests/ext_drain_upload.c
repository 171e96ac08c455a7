// An upload in progress when a drain begins is received to its end and answered. Uses a simulated clock.
#include "ext.h"

#include "clock.h"

#include <sys/stat.h>

static struct mg_mgr mgr;
static struct mg_connection *listener;
static char said[50];

static void advance_clock(uint64_t ms) {
  clock_ms += ms;
  poll_often(&mgr);
}

static void ended(struct mg_connection *c, const char *message) {
  mg_snprintf(said, sizeof(said), "%s", message == NULL ? "fine" : message);
  mg_http_reply(c, message == NULL ? 200 : 400, "", "hi");
}

static void uploads(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_HDRS && mg_match(((struct mg_http_message *) ev_data)->uri, mg_str("/up"), NULL)) {
    mg_http_start_upload(c, (struct mg_http_message *) ev_data, mg_str("file"), mg_str("up"), &mg_fs_posix, ended);
    return;
  }
  server(c, ev, ev_data);
}

enum how { BY_CONN, BY_CONN_WITH_GRACE, BY_MGR, HOWS };

static void start(struct peer *p, enum how how, bool chunked) {
  struct mgx_drain_opts opts;
  struct mgx_drain_status st;
  forget();
  said[0] = '\0';
  listener = serve(&mgr, uploads, NULL);
  join(&mgr, listener, p);
  if (chunked) {
    CHECK(peer_send_text(p, "POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfirst \r\n"));
  } else {
    CHECK(peer_send_text(p, "POST /up HTTP/1.1\r\nContent-Length: 12\r\n\r\nfirst "));
  }
  POLL_UNTIL(&mgr, last != NULL && last->pfn == NULL);
  memset(&opts, 0, sizeof(opts));
  if (how == BY_CONN_WITH_GRACE) opts.idle_grace_ms = 500;
  if (how == BY_MGR) {
    CHECK(mgx_mgr_drain(&mgr, NULL));
  } else {
    CHECK(mgx_conn_drain(last, &opts));
  }
  poll_often(&mgr);
  mgx_mgr_drain_status(&mgr, &st);
  CHECK_EQ(st.active, 1);
  CHECK_EQ(st.idle, 0);
  CHECK_EQ(closed, 0);
  CHECK_EQ(drain_events, how == BY_MGR);
}

static void received_to_its_end(enum how how, bool chunked) {
  struct peer p;
  struct mg_str text;
  start(&p, how, chunked);
  advance_clock(20000);  // longer than any grace
  CHECK_EQ(closed, 0);
  CHECK(peer_send_text(&p, chunked ? "6\r\nsecond\r\n0\r\n\r\n" : "second"));
  expect_end(&mgr, &p, HI_CLOSE);
  CHECK(strcmp(said, "fine") == 0);
  text = mg_file_read(&mg_fs_posix, "up/file");
  CHECK(mg_strcmp(text, mg_str("first second")) == 0);
  mg_free((void *) text.buf);
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  remove("up/file");
  peer_free(&p);
  mg_mgr_free(&mgr);
}

static void stalled_upload(enum how how) {
  struct peer p;
  start(&p, how, false);
  advance_clock(29999);
  CHECK_EQ(closed, 0);
  advance_clock(1);
  POLL_UNTIL(&mgr, closed == 1);
  CHECK_EQ(reason, how == BY_MGR ? MGX_REASON_FORCED : MGX_REASON_BODY_TIMEOUT);
  CHECK(access("up/file", F_OK) != 0);
  CHECK(strcmp(said, "connection closed") == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

int main(void) {
  int how;
  mg_log_set(MG_LL_NONE);
  mkdir("up", 0700);
  for (how = 0; how < (int) HOWS; how++) {
    received_to_its_end((enum how) how, false);
    received_to_its_end((enum how) how, true);
    stalled_upload((enum how) how);
  }
  rmdir("up");
  return DONE();
}
