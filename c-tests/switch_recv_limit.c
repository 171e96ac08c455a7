// MG_MAX_RECV_SIZE is exact: a buffer filled to the limit is no error, one byte more is.
// not under: short: one read must fill the last step
// flags:
// flags: -DMG_MAX_RECV_SIZE=65536
// flags: -DMG_MAX_RECV_SIZE=50000
// flags: -DMG_MAX_RECV_SIZE=1048576 -DMG_IO_SIZE=128
#include "mongoose.h"

#include "peer.h"

// Buffers grow in whole steps; the limit is looked at before a step.
#define FULL MG_ROUND_UP((size_t) MG_MAX_RECV_SIZE, 16384)

static int errors, closes;
static size_t received, at_error;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) received = c->recv.len;
  if (ev == MG_EV_ERROR) {
    errors += strcmp((char *) ev_data, "MG_MAX_RECV_SIZE") == 0;
    at_error = c->recv.len;
  }
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
}

static void fill(struct mg_mgr *mgr, struct peer *p, size_t len) {
  static char piece[65536];
  uint64_t end = real_ms() + 20000;
  while (len > 0 && real_ms() < end) {
    ssize_t n = send(p->fd, piece, len < sizeof(piece) ? len : sizeof(piece), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) len -= (size_t) n;
    mg_mgr_poll(mgr, 0);
  }
}

int main(void) {
  struct mg_mgr mgr;
  struct peer p;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  peer_open(&p, mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL));
  fill(&mgr, &p, FULL);
  POLL_UNTIL(&mgr, received == FULL);
  poll_often(&mgr);
  CHECK_EQ(errors, 0);
  CHECK_EQ(closes, 0);
  peer_send_text(&p, "x");
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(errors, 1);
  CHECK_EQ(at_error, FULL);
  peer_free(&p);
  mg_mgr_free(&mgr);
  return DONE();
}
