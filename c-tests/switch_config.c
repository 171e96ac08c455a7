// An application with a mongoose_config.h instead of -D switches.
// flags: -DMG_ARCH=MG_ARCH_CUSTOM -Ic-tests/custom
#include "mongoose.h"

#include "peer.h"

#if !defined(MG_OF_THE_PROGRAM) || MG_ARCH != MG_ARCH_CUSTOM
#error mongoose_config.h was not read
#endif

static uint64_t calls;

uint64_t mg_millis(void) {
  calls++;
  return real_ms() + 1000000;
}

static int errors, closes;
static size_t first_size, received;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    if (first_size == 0) first_size = c->recv.size;
    received = c->recv.len;
  }
  if (ev == MG_EV_ERROR) errors += strcmp((char *) ev_data, "MG_MAX_RECV_SIZE") == 0;
  if (ev == MG_EV_CLOSE) closes++;
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct tcp_info info;
  socklen_t len = sizeof(info);
  struct peer p;
  static char data[200000];
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_listen(&mgr, "tcp://127.0.0.1:0", server, NULL);
  memset(&info, 0, sizeof(info));
  CHECK(getsockopt((int) (size_t) l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
  CHECK_EQ(info.tcpi_sacked, 7);  // of a listener: its backlog
  peer_open(&p, l);
  CHECK(peer_send(&p, data, sizeof(data)));
  POLL_UNTIL(&mgr, closes == 1);
  CHECK_EQ(errors, 1);
  CHECK_EQ(first_size, 32768);
  CHECK_EQ(received, 4 * 32768);  // the step in which 100 KB were passed
  CHECK(calls > 0 && mg_millis() >= 1000000);
  CHECK_EQ(MG_OF_THE_PROGRAM, 42);
  peer_free(&p);
  mg_mgr_free(&mgr);
  return DONE();
}
