// A scripted peer on a plain socket, and helpers of the drain tests: waiting, bodies, open files.
#ifndef PEER_H
#define PEER_H

#include <sys/resource.h>

#ifdef __GLIBC__
#if __GLIBC_PREREQ(2, 33)
#define PEER_MALLINFO2 1
#include <malloc.h>
#endif
#endif

#include "check.h"
#include "mongoose.h"

// The system's time in milliseconds, independent of the application's mg_millis.
static inline uint64_t real_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

// Polls until `cond` holds; fails after 50 seconds.
#define POLL_UNTIL(mgr, cond)                                                                      \
  do {                                                                                             \
    uint64_t poll_end = real_ms() + 50000;                                                         \
    bool poll_met;                                                                                 \
    while (!(poll_met = (cond)) && real_ms() < poll_end) mg_mgr_poll(mgr, 5);                      \
    checks_done++;                                                                                 \
    if (!poll_met) {                                                                               \
      checks_failed++;                                                                             \
      fprintf(stderr, "%s:%d: timed out waiting for: %s\n", __FILE__, __LINE__, #cond);            \
    }                                                                                              \
  } while (0)

// How often c-tests/preload/short_io.c, if it is loaded, has cut a transfer.
#ifdef __linux__
#ifdef __cplusplus
extern "C"
#endif
    __attribute__((weak)) unsigned long
    short_io_cuts(void);
#endif

static inline unsigned long cut_transfers(void) {
#ifdef __linux__
  if (short_io_cuts != NULL) return short_io_cuts();
#endif
  return 0;
}

// Polls without sleeping until everything that can happen without input has happened.
static inline void poll_often(struct mg_mgr *mgr) {
  int i, rounds = 0;
  unsigned long cuts;
#ifdef _WIN32  // a thread of the system reports readiness
  const int ms = 1;
#else
  const int ms = 0;
#endif
  do {
    cuts = cut_transfers();
    for (i = 0; i < 30; i++) mg_mgr_poll(mgr, ms);
  } while (cut_transfers() != cuts && ++rounds < 1000);
}

// A fresh manager with one HTTP listener.
static inline struct mg_connection *serve(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data) {
  mg_mgr_init(mgr);
  return mg_http_listen(mgr, "http://127.0.0.1:0", fn, fn_data);
}

static inline unsigned short port_of(const struct mg_connection *c) {
  return mg_ntohs(c->loc.port);
}

static inline const char *url_of(const struct mg_connection *listener, const char *scheme) {
  static char url[64];
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:%d", scheme, port_of(listener));
  return url;
}

static inline size_t count_conns(const struct mg_mgr *mgr) {
  size_t n = 0;
  struct mg_connection *c;
  for (c = mgr->conns; c != NULL; c = c->next) n++;
  return n;
}

// Bytes that are allocated; 0 where the C library does not tell.
static inline size_t memory_in_use(void) {
#ifdef PEER_MALLINFO2
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#else
  return 0;
#endif
}

static inline size_t open_files(void) {
#ifdef _WIN32
  // Only sockets: wine does not count handles.
  size_t n = 0;
  int fd;
  for (fd = 4; fd < 4 * 8192; fd += 4) n += posix_is_socket(fd);
  return n;
#else
  size_t n = 0;
  DIR *dir = opendir("/proc/self/fd");
  if (dir == NULL) return 0;
  while (readdir(dir) != NULL) n++;
  closedir(dir);
  return n;
#endif
}

static inline rlim_t raise_file_limit(void) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

// A body in which lost, duplicated or swapped bytes are detected.
static inline char *make_body(size_t len) {
  char *body = (char *) malloc(len + 1);
  size_t i;
  for (i = 0; i < len; i++) body[i] = (char) ('a' + (i * 7 + i / 26 + i / 4096) % 26);
  body[len] = '\0';
  return body;
}

// The bytes of mg_http_reply with this status, such as "200 OK".
static inline struct mg_str make_reply(const char *status, const char *headers, const char *body, size_t len) {
  struct mg_str s;
  size_t size = len + strlen(headers) + 100, head;
  s.buf = (char *) malloc(size);
  head = (size_t) snprintf(s.buf, size, "HTTP/1.1 %s\r\n%sContent-Length: %-10lu \r\n\r\n", status, headers, (unsigned long) len);
  memcpy(s.buf + head, body, len);
  s.len = head + len;
  return s;
}

enum { PEER_OPEN = 0, PEER_FIN = -1 };  // other values: the errno that ended it

struct peer {
  int fd;
  char *buf;
  size_t len, size;
  int end;
};

// A connected socket, or -1 and errno.
static inline int connect_loopback(unsigned short port, int receive_buffer) {
  struct sockaddr_in sin;
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0), failure;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port);
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));  // send small packets at once
  if (receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0) return fd;
  failure = errno;
  close(fd);
  errno = failure;
  return -1;
}

static inline bool port_answers(unsigned short port) {
  int fd = connect_loopback(port, 0);
  if (fd >= 0) close(fd);
  return fd >= 0;
}

static inline void peer_connect(struct peer *p, unsigned short port, int receive_buffer) {
  memset(p, 0, sizeof(*p));
  p->fd = connect_loopback(port, receive_buffer);
  if (p->fd < 0) {
    p->end = errno;
    perror("connect");
  }
}

static inline void peer_open(struct peer *p, const struct mg_connection *listener) {
  peer_connect(p, port_of(listener), 0);
}

static inline bool peer_send(struct peer *p, const void *data, size_t len) {
  return send(p->fd, data, len, MSG_NOSIGNAL) == (ssize_t) len;
}

static inline bool peer_send_text(struct peer *p, const char *text) {
  return peer_send(p, text, strlen(text));
}

static inline void peer_shut(struct peer *p) {
  shutdown(p->fd, SHUT_WR);
}

// Receives at most `limit` bytes. True once the server has closed its side.
static inline bool peer_take(struct peer *p, size_t limit) {
  ssize_t n = 1;
  while (p->end == PEER_OPEN && limit > 0) {
    if (p->size - p->len < 65536) {
      p->size = p->size * 2 + 65537;
      p->buf = (char *) realloc(p->buf, p->size);
    }
    n = recv(p->fd, p->buf + p->len, limit < 65536 ? limit : 65536, MSG_DONTWAIT);
    if (n > 0) {
      p->len += (size_t) n;
      limit -= (size_t) n;
    } else if (n == 0) {
      p->end = PEER_FIN;
    } else if (errno == EAGAIN) {
      break;
    } else if (errno != EINTR) {
      p->end = errno;
    }
  }
  return p->end != PEER_OPEN;
}

static inline bool peer_read(struct peer *p) {
  return peer_take(p, (size_t) -1);
}

static inline bool peer_was_reset(const struct peer *p) {
#ifdef _WIN32
  if (p->end == PEER_FIN) return true;  // wine sends a FIN instead of a reset
#endif
  return p->end == ECONNRESET;
}

// The same of a reset that came behind the end of the stream, which recv does not tell.
static inline bool peer_was_reset_late(const struct peer *p) {
  int error = 0;
  socklen_t len = sizeof(error);
  CHECK(getsockopt(p->fd, SOL_SOCKET, SO_ERROR, (void *) &error, &len) == 0);
  return error != 0;
}

static inline bool peer_has(struct peer *p, size_t len) {
  peer_read(p);
  return p->len >= len;
}

static inline bool peer_got_bytes(const struct peer *p, const void *data, size_t len) {
  size_t same = 0, n = p->len < len ? p->len : len;
  if (p->len == len && (len == 0 || memcmp(p->buf, data, len) == 0)) return true;
  while (same < n && p->buf[same] == ((const char *) data)[same]) same++;
  fprintf(stderr, "got %lu bytes, expected %lu; the first %lu match; then: %.*s\n", (unsigned long) p->len, (unsigned long) len,
          (unsigned long) same, (int) (p->len - same < 300 ? p->len - same : 300), p->buf == NULL ? "" : p->buf + same);
  return false;
}

static inline bool peer_got(const struct peer *p, const char *text) {
  return peer_got_bytes(p, text, strlen(text));
}

static inline bool peer_got_str(const struct peer *p, struct mg_str s) {
  return peer_got_bytes(p, s.buf, s.len);
}

// Removes a line, given as CR LF and its text, from the head at `ofs`. Returns how many there were.
static inline int peer_drop_line(struct peer *p, size_t ofs, const char *line) {
  const size_t n = strlen(line);
  size_t i;
  int found = 0;
  for (i = ofs; i + n <= p->len && !(i > ofs && memcmp(p->buf + i, "\r\n\r\n", 4) == 0);) {
    if (memcmp(p->buf + i, line, n) == 0 && (i + n + 2 <= p->len && memcmp(p->buf + i + n, "\r\n", 2) == 0)) {
      memmove(p->buf + i, p->buf + i + n, p->len - i - n);
      p->len -= n;
      found++;
    } else {
      i++;
    }
  }
  return found;
}

static inline int peer_drop_close(struct peer *p, size_t ofs) {
  return peer_drop_line(p, ofs, "\r\nConnection: close");
}

static inline void peer_free(struct peer *p) {
  if (p->fd >= 0) close(p->fd);
  free(p->buf);
  memset(p, 0, sizeof(*p));
  p->fd = -1;
}

#endif
