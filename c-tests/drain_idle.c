// 10,000 idle keep-alive connections are drained at once, and each peer sees a clean close. Prints time and memory.
// timeout: 120
#include "mongoose.h"

#include <poll.h>
#include <sys/wait.h>

#include "peer.h"

#define MOST 10000

static size_t messages, closes, errors, accepts;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT) accepts++;
  if (ev == MG_EV_ERROR) errors++;
  if (ev == MG_EV_CLOSE && c->is_accepted) closes++;
  if (ev == MG_EV_HTTP_MSG) messages++, mg_http_reply(c, 200, "", "hi");
  (void) ev_data;
}

#define BATCH 100  // fewer than wait on a listener

// The other process: opens n connections with one exchange on each, says so, and waits for the end of each.
static void clients(unsigned short port, size_t n, int report) {
  struct peer *p = (struct peer *) calloc(n, sizeof(*p));
  size_t i, k, clean = 0, answered = 0;
  char reply[200];
  for (i = 0; i < n; i += BATCH) {
    for (k = i; k < n && k < i + BATCH; k++) {
      peer_connect(&p[k], port, 0);
      peer_send_text(&p[k], "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for (k = i; k < n && k < i + BATCH; k++) answered += recv(p[k].fd, reply, 50, MSG_WAITALL) == 50;
  }
  if (write(report, &answered, sizeof(answered)) < 0) _exit(1);
  for (i = 0; i < n; i++) clean += recv(p[i].fd, reply, sizeof(reply), 0) == 0;
  if (write(report, &clean, sizeof(clean)) < 0) _exit(1);
  _exit(0);
}

// A tool that slows everything down gets fewer.
static size_t client_count(void) {
  const char *preload = getenv("LD_PRELOAD");
  return preload != NULL && strstr(preload, "vgpreload") != NULL ? MOST / 10 : MOST;
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

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l, *c;
  rlim_t limit = raise_file_limit();
  size_t n = limit > client_count() + 100 ? client_count() : (size_t) limit - 100, answered = 0, clean = 0, before, memory;
  uint64_t start, ms, end = real_ms() + 100000;
  int pipes[2];
  pid_t child;

  mg_log_set(MG_LL_ERROR);
  l = serve(&mgr, server, NULL);
  CHECK(pipe(pipes) == 0);
  child = fork();
  if (child == 0) clients(port_of(l), n, pipes[1]);
  before = resident();
  while (!read_report(pipes[0], &answered) && real_ms() < end) mg_mgr_poll(&mgr, 5);
  CHECK_EQ(answered, n);
  CHECK_EQ(accepts, n);
  CHECK_EQ(messages, n);
  memory = resident() - before;

  start = real_ms();
  for (c = mgr.conns; c != NULL; c = c->next) {
    if (c->is_accepted) c->is_draining = 1;
  }
  while (mgr.conns != l && real_ms() < end) mg_mgr_poll(&mgr, 5);
  ms = real_ms() - start;
  CHECK_EQ(closes, n);
  CHECK_EQ(count_conns(&mgr), 1);
  while (!read_report(pipes[0], &clean) && real_ms() < end) mg_mgr_poll(&mgr, 5);
  CHECK_EQ(clean, n);
  CHECK_EQ(errors, 0);
  printf("%lu idle connections: %lu bytes each, drained in %lu ms\n", (unsigned long) n, (unsigned long) (memory / n), (unsigned long) ms);
  waitpid(child, NULL, 0);
  close(pipes[0]);
  close(pipes[1]);
  mg_mgr_free(&mgr);
  return DONE();
}
