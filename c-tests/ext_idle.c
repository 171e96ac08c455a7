// 10,000 idle keep-alive connections close through the drain of their manager, and each peer sees a clean close. Prints time and
// memory.
// timeout: 120
#include "mongoose.h"

#include <poll.h>
#include <sys/wait.h>

#include "ext.h"

#define BATCH 100  // fewer than wait on a listener

// The other process: opens n connections with one exchange on each, says so, and waits for the end of each.
static void clients(unsigned short port, size_t n, int report) {
  struct peer *p = (struct peer *) calloc(n, sizeof(*p));
  size_t i, k, clean = 0, answered = 0;
  char reply[200];
  for (i = 0; i < n; i += BATCH) {
    for (k = i; k < n && k < i + BATCH; k++) {
      peer_connect(&p[k], port, 0);
      peer_send_text(&p[k], GET("/hi"));
    }
    for (k = i; k < n && k < i + BATCH; k++) answered += recv(p[k].fd, reply, strlen(HI), MSG_WAITALL) == (ssize_t) strlen(HI);
  }
  if (write(report, &answered, sizeof(answered)) < 0) _exit(1);
  for (i = 0; i < n; i++) {
    clean += recv(p[i].fd, reply, sizeof(reply), 0) == 0;
    peer_drop(&p[i]);
  }
  if (write(report, &clean, sizeof(clean)) < 0) _exit(1);
  _exit(0);
}

static size_t resident(void) {
  unsigned long total = 0, pages = 0;
  FILE *f = fopen("/proc/self/statm", "r");
  if (f == NULL) return 0;
  if (fscanf(f, "%lu %lu", &total, &pages) != 2) pages = 0;
  fclose(f);
  return pages * (size_t) sysconf(_SC_PAGESIZE);
}

static bool read_report(int fd, size_t *number) {
  struct pollfd pfd;
  pfd.fd = fd;
  pfd.events = POLLIN;
  return poll(&pfd, 1, 0) > 0 && read(fd, number, sizeof(*number)) == (ssize_t) sizeof(*number);
}

static void disconnect_clients(size_t n, int spread_ms, bool poll_events) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  struct mgx_mgr_drain_opts opts;
  struct mgx_drain_status status;
  size_t answered = 0, clean = 0, before, memory, after;
  uint64_t start, ms, end = real_ms() + 100000;
  int pipes[2];
  pid_t child;

  forget();
  l = serve(&mgr, server, NULL);
  CHECK(pipe(pipes) == 0);
  child = fork();
  if (child == 0) clients(port_of(l), n, pipes[1]);
  before = resident();
  while (!read_report(pipes[0], &answered) && real_ms() < end) mg_mgr_poll(&mgr, 5);
  CHECK_EQ(answered, n);
  for (c = mgr.conns; c != NULL && !poll_events; c = c->next) mgx_conn_poll_events(c, false);
  memory = resident() - before;
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.idle, n);

  memset(&opts, 0, sizeof(opts));
  opts.idle_grace_ms = 1;
  opts.spread_ms = spread_ms;
  start = real_ms();
  CHECK(mgx_mgr_drain(&mgr, &opts));
  while (mgx_mgr_phase(&mgr) != MGX_MGR_DONE && real_ms() < end) mg_mgr_poll(&mgr, 1000);
  ms = real_ms() - start;
  after = resident();
  CHECK_EQ(closed, n);
  CHECK_EQ(reason, MGX_REASON_DRAINED);
  while (!read_report(pipes[0], &clean) && real_ms() < end) mg_mgr_poll(&mgr, 5);
  CHECK_EQ(clean, n);
  CHECK(mgx_mgr_drain_wait(&mgr));
  mgx_mgr_drain_status(&mgr, &status);
  CHECK_EQ(status.drained, n);
  CHECK_EQ(status.forced, 0);
  CHECK_EQ(status.lingering, 0);
  CHECK_EQ(status.served, 0);
  printf("%lu idle connections%s drained in %lu ms%s\n", (unsigned long) n, poll_events ? "" : " without MG_EV_POLL",
         (unsigned long) ms, spread_ms > 0 ? ", spread over 500 ms" : "");
  if (n > 2000) {  // later ones use the memory of the first
    printf("%lu bytes each, and %ld more at the end\n", (unsigned long) (memory / n), (long) after - (long) (before + memory));
  }
  waitpid(child, NULL, 0);
  close(pipes[0]);
  close(pipes[1]);
  mg_mgr_free(&mgr);
}

int main(void) {
  rlim_t limit = raise_file_limit();
  size_t n = under_tools() ? 1000 : 10000;
  if (n + 100 > limit) n = (size_t) limit - 100;
  mg_log_set(MG_LL_ERROR);
  disconnect_clients(n, 0, true);
  disconnect_clients(n / 10, 500, true);
  disconnect_clients(n / 10, 0, false);
  return DONE();
}
