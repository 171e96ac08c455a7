// More descriptors are ready than one poller call returns (1,024): the next poll, which does not sleep, gets the others, and
// connections that are always ready do not starve the rest.
// timeout: 120
// not under: valgrind short: minutes, and memory checks have nothing to find here
#include "ext.h"

static struct mg_mgr mgr;
static struct mg_connection *listener;

static void open_peers(struct peer *peers, int n) {
  int i;
  forget();
  listener = serve(&mgr, server, NULL);
  for (i = 0; i < n; i++) {
    peer_open(&peers[i], listener);
    CHECK(peers[i].fd >= 0);
    if (i % 64 == 0) mg_mgr_poll(&mgr, 0);
  }
  POLL_UNTIL(&mgr, opened == n);
  poll_often(&mgr);
}

static void end(struct peer *peers, int n) {
  int i;
  mg_mgr_free(&mgr);
  for (i = 0; i < n; i++) peer_drop(&peers[i]);
  free(peers);
}

static void all_ready_at_once(int n, bool poll_events) {
  struct peer *peers = (struct peer *) calloc((size_t) n, sizeof(*peers));
  struct mg_connection *c;
  uint64_t began;
  int i, polls;
  open_peers(peers, n);
  for (c = mgr.conns; c != NULL && !poll_events; c = c->next) mgx_conn_poll_events(c, false);
  poll_often(&mgr);
  for (i = 0; i < n; i++) CHECK(peer_send_text(&peers[i], GET("/hi")));
  began = real_ms();
  for (polls = 0; requests < n && real_ms() < began + 50000; polls++) mg_mgr_poll(&mgr, 60000);
  CHECK_EQ(requests, n);
  CHECK(real_ms() < began + 30000);  // no poll slept
  CHECK(polls <= n / 1024 + 2);
  poll_often(&mgr);
  for (i = 0; i < n; i++) CHECK(!peer_read(&peers[i]) && peer_got(&peers[i], HI));
  end(peers, n);
}

// One that asks while so many others have more to read than a turn takes, poll after poll.
static void busy_connections_do_not_starve_others(int n) {
  struct peer *peers = (struct peer *) calloc((size_t) n + 1, sizeof(*peers));
  char gets[1000] = "";
  int i, round;
  open_peers(peers, n + 1);
  for (i = 0; i < 10; i++) strcat(gets, GET("/hi"));
  for (round = 0; round < 3; round++) {
    for (i = 0; i < n; i++) CHECK(peer_send_text(&peers[i], gets));
    CHECK(peer_send_text(&peers[n], GET("/hi")));
    for (i = 0; i <= n / 1024 + 1 && !peer_has(&peers[n], strlen(HI)); i++) {
      int k;
      for (k = 0; k < n; k += 7) CHECK(peer_send_text(&peers[k], gets));  // ready again before they have been seen
      mg_mgr_poll(&mgr, 60000);
    }
    CHECK(peer_got(&peers[n], HI));
    peers[n].len = 0;
    for (i = 0; i < n; i++) peer_read(&peers[i]), peers[i].len = 0;
    poll_often(&mgr);
    for (i = 0; i < n; i++) peer_read(&peers[i]), peers[i].len = 0;
  }
  end(peers, n + 1);
}

int main(void) {
  int n = under_tools() ? 1200 : 2100, most = (int) ((raise_file_limit() - 50) / 2);
  mg_log_set(MG_LL_NONE);
  if (n > most) n = most;
  CHECK(n > 1024);  // or this tests nothing
  all_ready_at_once(n, true);
  all_ready_at_once(n, false);
  busy_connections_do_not_starve_others(n);
  return DONE();
}
