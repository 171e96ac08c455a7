// not under: valgrind asan short: they need more memory themselves
// C only
// timeout: 200
// A server with limited memory gets more partial requests than fit, in clear text and in TLS handshakes: it survives, and serves
// clients that come after these have disconnected. The same with max_memory of mgx_limits as the only limit.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "tls.h"

enum { CLIENTS = 5000, MEMORY = 24 << 20 };

static int tell[2], stop[2];

struct word {
  unsigned short port;
  unsigned long grown;  // bytes of data that the server has come to use
};

static bool secure;

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && secure) {
    struct mg_tls_opts o = server_tls();
    mg_tls_init(c, &o);
  }
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hello\n");
  (void) ev_data;
}

// What the process has of a kind of memory, from /proc/self/status.
static unsigned long in_use(const char *kind) {
  char text[4096], *at;
  FILE *f = fopen("/proc/self/status", "r");
  size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);
  if (f != NULL) fclose(f);
  text[n] = '\0';
  at = strstr(text, kind);
  return at == NULL ? 0 : strtoul(at + strlen(kind), NULL, 10) * 1024;
}

// Serves until it is told to stop. Does not return.
static void serve_in_child(int resource, size_t most) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct word word;
  struct pollfd fd = {stop[0], POLLIN, 0};
  unsigned long before;
  memset(&word, 0, sizeof(word));
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "http://127.0.0.1:0", server_fn, NULL);
  if (most > 0) {
    struct mgx_limits limits;
    memset(&limits, 0, sizeof(limits));
    limits.max_memory = most;
    mgx_mgr_limits(&mgr, &limits);
  } else {
    struct rlimit limit;
    limit.rlim_cur = limit.rlim_max = in_use(resource == RLIMIT_AS ? "VmSize:" : "VmData:") + MEMORY;
    setrlimit((__rlimit_resource_t) resource, &limit);
  }
  before = in_use("VmRSS:");
  if (l == NULL) _exit(3);
  word.port = port_of(l);
  if (write(tell[1], &word, sizeof(word)) != sizeof(word)) _exit(4);
  while (poll(&fd, 1, 0) == 0) {
    unsigned long now = in_use("VmRSS:");
    if (now > before + word.grown) word.grown = now - before;
    mg_mgr_poll(&mgr, 10);
  }
  if (write(tell[1], &word, sizeof(word)) != sizeof(word)) _exit(4);
  mg_mgr_free(&mgr);
  _exit(count_conns(&mgr) == 0 ? 0 : 5);
}

// A socket that connects, or waits for that.
static int begin_connect(unsigned short port) {
  struct sockaddr_in sin;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port);
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0 && errno != EINPROGRESS) CHECK_EQ(errno, 0);
  return fd;
}

// Whether a whole request is answered, once the server has come round.
static bool is_served(unsigned short port) {
  uint64_t end = real_ms() + 30000;
  struct mg_mgr mgr;
  bool served = false;
  if (secure) {
    while (!served && real_ms() < end) {
      static struct side s;
      char url[64];
      struct mg_connection *c;
      memset(&s, 0, sizeof(s));
      mg_mgr_init(&mgr);
      mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
      c = mg_connect(&mgr, url, NULL, NULL);
      if (c != NULL) {
        struct mg_tls_opts o = client_tls();
        uint64_t patience = real_ms() + 3000;
        mg_tls_init(c, &o);
        mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        while (mgr.conns != NULL && !served && real_ms() < patience) {
          mg_mgr_poll(&mgr, 10);
          served = mgr.conns == c && c->recv.len > 6 && memmem(c->recv.buf, c->recv.len, "hello\n", 6) != NULL;
        }
      }
      mg_mgr_free(&mgr);
    }
    return served;
  }
  while (!served && real_ms() < end) {
    struct peer p;
    uint64_t patience = real_ms() + 3000;
    peer_connect(&p, port, 0);
    peer_send_text(&p, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!served && !peer_read(&p) && real_ms() < patience) {
      struct pollfd fd = {p.fd, POLLIN, 0};
      poll(&fd, 1, 100);
      peer_read(&p);
      served = p.len > 6 && memmem(p.buf, p.len, "hello\n", 6) != NULL;
    }
    peer_free(&p);
  }
  return served;
}

static void flood_with_partial_requests(const char *name, int resource, size_t most, bool with_tls, int clients) {
  static const char half[] = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc", hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
  int *fds = (int *) calloc((size_t) clients, sizeof(int)), i, status, ended = 0, sent = 0, idle = 0;
  struct word word;
  pid_t pid;
  secure = with_tls;
  server_tls(), client_tls();
  CHECK(pipe(tell) == 0 && pipe(stop) == 0);
  pid = fork();
  if (pid == 0) serve_in_child(resource, most);
  CHECK_EQ(read(tell[0], &word, sizeof(word)), sizeof(word));
  CHECK(is_served(word.port));
  for (i = 0; i < clients; i++) fds[i] = begin_connect(word.port);
  // Each says its half as soon as it can, until for a while nobody could.
  while (idle < 8) {
    int now = 0;
    for (i = 0; i < clients; i++) {
      if (fds[i] < 0) continue;
      if (send(fds[i], with_tls ? hello : half, with_tls ? sizeof(hello) - 1 : sizeof(half) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
        // It stays connected, and silent from now on.
        now++, sent++;
        fds[i] = -fds[i] - 1;
      } else if (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) {
        close(fds[i]);
        fds[i] = -1, now++, ended++;
      }
    }
    idle = now > 0 ? 0 : idle + 1;
    if (now == 0) usleep(100000);
  }
  CHECK_EQ(waitpid(pid, &status, WNOHANG), 0);
  for (i = 0; i < clients; i++) {
    if (fds[i] == -1) continue;
    close(fds[i] >= 0 ? fds[i] : -fds[i] - 1);
  }
  CHECK(is_served(word.port));
  CHECK_EQ(write(stop[1], "x", 1), 1);
  CHECK_EQ(read(tell[0], &word, sizeof(word)), sizeof(word));
  // Spare blocks, the heap's own bookkeeping and half a dozen pages come on top.
  CHECK(most == 0 || word.grown < most / 8 * 9 + (5 << 20));
  waitpid(pid, &status, 0);
  CHECK_EQ(status, 0);
  printf("%s: %d clients, %d said their half, %d were cut off, the server grew by %lu KB\n", name, clients, sent, ended, word.grown / 1024);
  for (i = 0; i < 2; i++) close(tell[i]), close(stop[i]);
  free(fds);
}

// A listener that finds no memory leaves no descriptor. Does not return.
static void listen_in_child(void) {
  struct mg_mgr mgr;
  struct mg_connection *c;
  struct rlimit limit;
  int i, before, after;
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  limit.rlim_cur = limit.rlim_max = in_use("VmData:") + (1 << 20);
  setrlimit(RLIMIT_DATA, &limit);
  for (i = 0; i < 100000; i++) {
    c = mg_alloc_conn(&mgr);
    if (c == NULL) _exit(3);
    before = dup(0), close(before);
    if (mg_open_listener(c, "udp://127.0.0.1:0")) continue;
    if (errno != ENOMEM) _exit(4);
    after = dup(0);
    _exit(after != before);
  }
  _exit(5);
}

static void listeners_without_memory(void) {
  int status = -1;
  pid_t pid = fork();
  if (pid == 0) listen_in_child();
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

int main(void) {
  rlim_t files = raise_file_limit();
  int clients = files < CLIENTS + 100 ? (int) files - 100 : CLIENTS;
  listeners_without_memory();
  flood_with_partial_requests("address space", RLIMIT_AS, 0, false, clients);
  flood_with_partial_requests("data", RLIMIT_DATA, 0, false, clients);
  flood_with_partial_requests("handshakes", RLIMIT_DATA, 0, true, clients);
  flood_with_partial_requests("max_memory", 0, 8 << 20, false, clients);
  flood_with_partial_requests("max_memory, handshakes", 0, 8 << 20, true, clients);
  pem_free();
  return DONE();
}
