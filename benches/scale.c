// A server for very many connections: hello.c with what scale.py asks on its standard input, one line each, answered with one line.
//   poll N    N polls that find nothing: CPU time of one in us
//   drain     drains the manager: ms until it is done, ms of CPU time, connections closed by force
// usage: scale PORT on|off     MG_EV_POLL for the connections
#include "mongoose.h"
#include "mongoose_ext.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool s_events;

static double ms(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double) t.tv_sec * 1e3 + (double) t.tv_nsec / 1e6;
}

static void fn(struct mg_connection *c, int ev, void *ev_data) {
  (void) ev_data;
  if (ev == MG_EV_ACCEPT) {
    mgx_conn_poll_events(c, s_events);
  } else if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "Content-Type: text/plain\r\n", "%s\n", "Hello, World!");
  }
}

static void asked(struct mg_mgr *mgr, const char *line) {
  int n = 0;
  if (sscanf(line, "poll %d", &n) == 1 && n > 0) {
    double begin = ms(CLOCK_PROCESS_CPUTIME_ID);
    for (int i = 0; i < n; i++) mg_mgr_poll(mgr, 0);
    printf("%.3f\n", (ms(CLOCK_PROCESS_CPUTIME_ID) - begin) * 1e3 / n);
  } else if (strncmp(line, "drain", 5) == 0) {
    struct mgx_drain_status st;
    double begin = ms(CLOCK_MONOTONIC), cpu = ms(CLOCK_PROCESS_CPUTIME_ID);
    mgx_mgr_drain(mgr, NULL);
    while (mgx_mgr_phase(mgr) != MGX_MGR_DONE) mg_mgr_poll(mgr, 100);
    mgx_mgr_drain_status(mgr, &st);
    printf("%.0f %.0f %zu\n", ms(CLOCK_MONOTONIC) - begin, ms(CLOCK_PROCESS_CPUTIME_ID) - cpu, st.forced);
  }
  fflush(stdout);
}

// The standard output has the answers alone.
static void log_char(char ch, void *arg) {
  (void) arg;
  fputc(ch, stderr);
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  char url[64], line[64];
  fd_set in;
  if (argc != 3) return 2;
  s_events = strcmp(argv[2], "on") == 0;
  mg_log_set(MG_LL_ERROR);
  mg_log_set_fn(log_char, NULL);
  mg_mgr_init(&mgr);
  snprintf(url, sizeof(url), "http://127.0.0.1:%s", argv[1]);
  if (mg_http_listen(&mgr, url, fn, NULL) == NULL) return 1;
  mgx_conn_poll_events(mgr.conns, s_events);
  for (;;) {
    struct timeval none = {0, 0};
    mg_mgr_poll(&mgr, 100);
    FD_ZERO(&in);
    FD_SET(0, &in);
    if (select(1, &in, NULL, NULL, &none) > 0) {
      if (fgets(line, sizeof(line), stdin) == NULL) break;
      asked(&mgr, line);
    }
  }
  mg_mgr_free(&mgr);
  return 0;
}
