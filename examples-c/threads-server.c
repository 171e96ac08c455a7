// A server that uses all processors: a manager in each thread, all on the same port. SIGTERM or Ctrl-C drains all of them together.
//
// usage: threads-server -h
//
//   /        which thread has replied, and how many requests it has served

#include "example.h"

static const char *const s_usage =
    "usage: threads-server [-l URL] [-n THREADS] [-t DEADLINE_MS]\n"
    "  -l URL       where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -n THREADS   default 0: one for each processor\n"
    "  -t MS        from the signal to the end by force, default 20000\n";

static struct options {
  char url[200];
  struct mgx_mgr_drain_opts drain;
} s_options;

// What belongs to one thread; nobody else touches it.
struct worker {
  int index;
  unsigned long requests;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct worker *w = (struct worker *) c->fn_data;
  if (ev == MG_EV_HTTP_MSG) {
    mg_http_reply(c, 200, "Content-Type: text/plain\r\n", "thread %d, request %lu\n", w->index, ++w->requests);
  } else if (ev == MG_EV_CLOSE && c->is_listening) {
    free(w);
  }
  (void) ev_data;
}

// Runs in each thread, one after the other.
static bool setup(struct mg_mgr *mgr, int index, void *arg) {
  struct options *o = (struct options *) arg;
  struct worker *w = (struct worker *) calloc(1, sizeof(*w));
  struct mg_connection *listener;
  mg_mgr_init(mgr);
  if (w == NULL || !mgx_listen_reuseport(mgr, true) || !mgx_mgr_drain_on_signal(mgr, SIGTERM, &o->drain) ||
      !mgx_mgr_drain_on_signal(mgr, SIGINT, &o->drain)) {
    free(w);
    return false;
  }
  mgx_mgr_limits(mgr, mgx_limits_public());
  w->index = index;
  listener = mg_http_listen(mgr, o->url, handler, w);
  if (listener == NULL) {
    free(w);
    example_cannot_listen(mgr, "threads-server", o->url);
    return false;
  }
  if (index == 0) {
    // Port 0 is any free port, but the same one for all.
    char *port = strrchr(o->url, ':');
    if (port != NULL && atoi(port + 1) == 0) {
      mg_snprintf(port, sizeof(o->url) - (size_t) (port - o->url), ":%d", mg_ntohs(listener->loc.port));
    }
    example_ready(listener, "http");
  }
  return true;
}

int main(int argc, char *argv[]) {
  struct mgx_group *group;
  int opt, threads = 0;
  bool all;
  mg_snprintf(s_options.url, sizeof(s_options.url), "http://0.0.0.0:8000");
  s_options.drain.deadline_ms = 20000;
  while ((opt = getopt(argc, argv, "hl:n:t:")) != -1) {
    switch (opt) {
      case 'l': mg_snprintf(s_options.url, sizeof(s_options.url), "%s", optarg); break;
      case 'n': threads = atoi(optarg); break;
      case 't': s_options.drain.deadline_ms = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) return example_usage(s_usage, '?');
  mg_log_set(MG_LL_ERROR);
  group = mgx_threads(threads, setup, &s_options);
  if (group == NULL) return 1;
  printf("%lu threads\n", (unsigned long) mgx_group_size(group));
  fflush(stdout);
  all = mgx_group_wait(group);
  printf("%s\n", all ? "drained" : "some connections were closed by force");
  return all ? 0 : 1;
}
