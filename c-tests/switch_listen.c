// Compile-time switches that affect listeners.
// flags:
// flags: -DMG_SOCK_LISTEN_BACKLOG_SIZE=3
// flags: -DMG_SOCK_LISTEN_BACKLOG_SIZE=1000
// flags: -DMG_IPV6_V6ONLY=1
// flags: -DMG_ENABLE_IPV6=0
#include "mongoose.h"

#include "peer.h"

static int accepts, is_ip6;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) accepts++, is_ip6 = c->rem.is_ip6;
  (void) ev_data;
}

static void backlog(void) {
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, server, NULL);
  struct tcp_info info;
  socklen_t len = sizeof(info);
  memset(&info, 0, sizeof(info));
  CHECK(getsockopt((int) (size_t) l->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
  CHECK_EQ(info.tcpi_sacked, MG_SOCK_LISTEN_BACKLOG_SIZE);
  mg_mgr_free(&mgr);
}

// IPv6 works whatever MG_ENABLE_IPV6 says. A machine without it is no failure.
static void dual_stack(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  int fd = socket(AF_INET6, SOCK_STREAM, 0), v6only = -1;
  socklen_t len = sizeof(v6only);
  if (fd < 0) return;
  close(fd);
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "http://[::]:0", server, NULL);
  CHECK(l != NULL);
  if (l != NULL) {
    CHECK(l->loc.is_ip6);
    CHECK(getsockopt((int) (size_t) l->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) == 0);
    CHECK_EQ(v6only, MG_IPV6_V6ONLY);
    CHECK_EQ(port_answers(port_of(l)), !MG_IPV6_V6ONLY);
    if (!MG_IPV6_V6ONLY) {
      POLL_UNTIL(&mgr, accepts == 1);
      CHECK_EQ(is_ip6, 1);  // an IPv4-mapped address
    }
  }
  mg_mgr_free(&mgr);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  backlog();
  dual_stack();
  return DONE();
}
