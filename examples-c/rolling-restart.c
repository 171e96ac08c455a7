// A server that is replaced by its next version without a failed request. Start it; to restart, start it again with the same
// arguments: the new process gets the listening socket from the old one, reports when it is serving, and the old one drains.
//
// usage: rolling-restart -h
//
// Both processes share one socket. With SO_REUSEPORT each would have its own, with its own accept queue, and the kernel
// resets the connections in the queue of a socket that closes.

#include "monitor.h"

#include <pthread.h>
#include <sys/un.h>

static const char *const s_usage =
    "usage: rolling-restart [-l URL] -c CONTROL     SIGTERM ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -c CONTROL   path of the UNIX socket over which the listener is passed\n"
    "  try: rolling-restart -c /tmp/control & sleep 5; rolling-restart -c /tmp/control\n";

static struct mg_mgr s_mgr;
static struct mgx_mgr_drain_opts s_drain;
static int s_listener_fd, s_control;

static void on_signal(int number) {
  mgx_mgr_drain(&s_mgr, &s_drain);
  (void) number;
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev != MG_EV_HTTP_MSG) return;
  if (monitor_http(c, (struct mg_http_message *) ev_data, "Rolling restart",
                   "Start the program again with the same arguments and watch this process drain; reload to see its successor.",
                   MONITOR_REQUESTS)) {
    return;
  }
  mg_http_reply(c, 200, "", "%d\n", (int) getpid());
}

// ---- one descriptor over a UNIX socket
union ancillary {
  struct cmsghdr header;
  char room[CMSG_SPACE(sizeof(int))];
};

static struct msghdr message(union ancillary *a, struct iovec *iov, char *byte) {
  struct msghdr msg;
  memset(&msg, 0, sizeof(msg));
  memset(a, 0, sizeof(*a));
  iov->iov_base = byte;
  iov->iov_len = 1;
  msg.msg_iov = iov;
  msg.msg_iovlen = 1;
  msg.msg_control = a->room;
  msg.msg_controllen = sizeof(a->room);
  return msg;
}

static bool give(int to, int fd) {
  union ancillary a;
  struct iovec iov;
  char byte = 'f';
  struct msghdr msg = message(&a, &iov, &byte);
  struct cmsghdr *h = CMSG_FIRSTHDR(&msg);
  h->cmsg_level = SOL_SOCKET;
  h->cmsg_type = SCM_RIGHTS;
  h->cmsg_len = CMSG_LEN(sizeof(fd));
  memcpy(CMSG_DATA(h), &fd, sizeof(fd));
  return sendmsg(to, &msg, MSG_NOSIGNAL) == 1;
}

static int take(int from) {
  union ancillary a;
  struct iovec iov;
  char byte;
  struct msghdr msg = message(&a, &iov, &byte);
  int fd = -1;
  if (recvmsg(from, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg) != NULL) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
  return fd;
}

static struct sockaddr_un address(const char *path) {
  struct sockaddr_un sun;
  memset(&sun, 0, sizeof(sun));
  sun.sun_family = AF_UNIX;
  mg_snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
  return sun;
}

// ---- the successor's side
static int predecessor(const char *path) {
  struct sockaddr_un sun = address(path);
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  if (connect(s, (struct sockaddr *) &sun, sizeof(sun)) == 0) return s;
  close(s);
  return -1;
}

static struct mg_connection *take_over(int from) {
  int fd = take(from);
  struct mg_connection *c = fd < 0 ? NULL : mgx_listen_fd(&s_mgr, fd, "http://", handler, NULL);
  if (c == NULL && fd >= 0) close(fd);
  return c;
}

// ---- the predecessor's side: a thread, because it waits
static void *hand_over(void *arg) {
  for (;;) {
    int s = accept(s_control, NULL, NULL);
    char byte;
    if (s < 0) return arg;
    // A successor that dies before it is ready changes nothing.
    if (give(s, s_listener_fd) && read(s, &byte, 1) == 1) {
      mgx_mgr_drain(&s_mgr, &s_drain);
      close(s);
      return arg;
    }
    close(s);
  }
}

// Takes the place of the predecessor's control socket in one step.
static bool open_control(const char *path) {
  char fresh[100];
  struct sockaddr_un sun;
  mg_snprintf(fresh, sizeof(fresh), "%s.%d", path, (int) getpid());
  sun = address(fresh);
  s_control = socket(AF_UNIX, SOCK_STREAM, 0);
  return bind(s_control, (struct sockaddr *) &sun, sizeof(sun)) == 0 && listen(s_control, 5) == 0 && rename(fresh, path) == 0;
}

int main(int argc, char **argv) {
  struct mg_connection *listener;
  pthread_t thread;
  int old;
  bool all;
  const char *url = "http://0.0.0.0:8000", *control = NULL;
  int opt;

  while ((opt = getopt(argc, argv, "hl:c:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'c': control = optarg; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) control = argv[optind++];
  if (optind < argc || control == NULL) return example_usage(s_usage, '?');
  s_drain.deadline_ms = 20000;
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&s_mgr);
  mgx_mgr_drain_init(&s_mgr);
  mg_timer_add(&s_mgr, 200, MG_TIMER_REPEAT | MG_TIMER_AUTODELETE, monitor_tick, &s_mgr);
  signal(SIGTERM, on_signal);
  signal(SIGINT, on_signal);
  old = predecessor(control);
  listener = old < 0 ? mg_http_listen(&s_mgr, url, handler, NULL) : take_over(old);
  if (listener == NULL) return example_cannot_listen(&s_mgr, argv[0], url);
  if (!open_control(control)) {
    fprintf(stderr, "%s: cannot create the socket %s: choose a path in a writable directory\n", argv[0], control);
    mg_mgr_free(&s_mgr);
    return 1;
  }
  s_listener_fd = dup(mgx_listener_fd(listener));  // for the thread, which must not access the manager
  pthread_create(&thread, NULL, hand_over, NULL);
  pthread_detach(thread);
  if (old >= 0) {
    if (write(old, "r", 1) != 1) perror("predecessor");  // ready
    close(old);
  }
  printf("%d serves http://localhost:%u\n", (int) getpid(), mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (mgx_mgr_phase(&s_mgr) != MGX_MGR_DONE) mg_mgr_poll(&s_mgr, 1000);
  all = mgx_mgr_drain_wait(&s_mgr);
  // The manager is not freed, because the thread may still use it until the process exits.
  return all ? 0 : 1;
}
