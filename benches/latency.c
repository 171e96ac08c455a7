// Open-loop load: requests are due at a fixed rate, whatever the answers do, and the time of each counts from when it was due, also
// when it had to wait for a connection to be free. So a server that stops for a while pays for all requests that fell into the pause.
// Beside them, on connections of their own: uploads of 10 MB one after the other, at 100 Mbit/s or as fast as they go, or a reader
// that takes a large file slowly.
// Prints the percentiles in us, the rate that was reached, and what went wrong.
// usage: latency PORT CONNECTIONS SECONDS RATE none|paced|upload|slow
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define UPLOAD 10000000
#define SLICE 65536         // of an upload, so that it does not hold up the requests here
#define PACE 12500000.0      // bytes per second of a paced one
#define PACED_SLICE 16384
#define SLOW_BYTES 4096     // every
#define SLOW_NS 10000000LL
#define ANSWER 14           // bytes of a body

struct conn {
  int fd;
  long long due;  // of the request in flight; 0 when idle
  size_t got;
  char buf[1024];
};
static long long *s_took;
static size_t s_done, s_errors, s_uploads;
static int s_port;

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int dial(int receive_buffer) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) s_port)};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (receive_buffer > 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  if (connect(fd, (struct sockaddr *) &a, sizeof(a))) perror("connect"), exit(1);
  fcntl(fd, F_SETFL, O_NONBLOCK);
  return fd;
}

static void ask(struct conn *c, long long due) {
  static const char request[] = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
  c->due = due;
  c->got = 0;
  if (send(c->fd, request, sizeof(request) - 1, MSG_NOSIGNAL) != (ssize_t) (sizeof(request) - 1)) s_errors++;
}

// True when the answer is complete.
static int answered(struct conn *c) {
  ssize_t k = recv(c->fd, c->buf + c->got, sizeof(c->buf) - c->got, 0);
  if (k == 0 || (k < 0 && errno != EAGAIN)) perror("answer"), exit(1);
  if (k <= 0) return 0;
  c->got += (size_t) k;
  char *end = memmem(c->buf, c->got, "\r\n\r\n", 4);
  return end != NULL && c->got >= (size_t) (end - c->buf) + 4 + ANSWER;
}

// A step of the upload that goes on, and of its answer.
static void upload(struct conn *c, int paced) {
  static char body[SLICE];
  static size_t left, head_left;
  static char head[128];
  static long long began;
  static size_t head_len;
  if (c->fd < 0) {
    c->fd = dial(0);
    head_len = head_left = (size_t) snprintf(head, sizeof(head), "POST /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n", UPLOAD);
    left = UPLOAD, c->got = 0, began = now();
  }
  if (head_left > 0) {
    ssize_t k = send(c->fd, head + head_len - head_left, head_left, MSG_NOSIGNAL);
    if (k > 0) head_left -= (size_t) k;
  } else if (left > 0) {
    size_t most = paced ? PACED_SLICE : SLICE;
    if (paced && (double) (UPLOAD - left + most) > (double) (now() - began) / 1e9 * PACE) return;
    ssize_t k = send(c->fd, body, left < most ? left : most, MSG_NOSIGNAL);
    if (k > 0) left -= (size_t) k;
    if (k < 0 && errno != EAGAIN) perror("upload"), exit(1);
  } else if (answered(c)) {
    close(c->fd);
    c->fd = -1, s_uploads++;
  }
}

static void read_slowly(struct conn *c) {
  static char buf[SLOW_BYTES];
  if (c->due == 0) {
    static const char request[] = "GET /10m HTTP/1.1\r\nHost: localhost\r\n\r\n";
    c->fd = dial(SLOW_BYTES * 4), c->due = 1;
    if (send(c->fd, request, sizeof(request) - 1, 0) < 0) s_errors++;
  }
  ssize_t k = recv(c->fd, buf, sizeof(buf), 0);
  if (k == 0 || (k < 0 && errno != EAGAIN)) perror("slow reader"), exit(1);
}

static int by_size(const void *a, const void *b) {
  long long x = *(const long long *) a, y = *(const long long *) b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 6) return fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS RATE none|paced|upload|slow\n", argv[0]), 2;
  s_port = atoi(argv[1]);
  int n = atoi(argv[2]), ep = epoll_create1(0), free_count = 0;
  double seconds = atof(argv[3]), rate = atof(argv[4]);
  size_t total = (size_t) (seconds * rate), asked = 0;
  struct conn *all = (struct conn *) calloc((size_t) n, sizeof(*all)), **idle = (struct conn **) calloc((size_t) n, sizeof(*idle));
  struct conn beside = {.fd = -1};
  s_took = (long long *) calloc(total + 1, sizeof(*s_took));
  for (int i = 0; i < n; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
    all[i].fd = dial(0);
    epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
    idle[free_count++] = &all[i];
  }
  long long start = now(), give_up = start + (long long) ((seconds * 2 + 5) * 1e9), slow_at = 0, last = start;
  while (s_done < total && last < give_up) {
    struct epoll_event evs[256];
    long long t = last = now();
    size_t due = (size_t) ((double) (t - start) * rate / 1e9);
    if (due > total) due = total;
    for (; asked < due && free_count > 0; asked++) ask(idle[--free_count], start + (long long) ((double) (asked + 1) * 1e9 / rate));
    int ready = epoll_wait(ep, evs, 256, 0);
    for (int i = 0; i < ready; i++) {
      struct conn *c = (struct conn *) evs[i].data.ptr;
      if (!answered(c)) continue;
      if (memcmp(c->buf, "HTTP/1.1 200", 12) != 0) s_errors++;
      s_took[s_done++] = now() - c->due;
      idle[free_count++] = c;
    }
    if (argv[5][0] == 'u' || argv[5][0] == 'p') upload(&beside, argv[5][0] == 'p');
    if (argv[5][0] == 's' && t >= slow_at) read_slowly(&beside), slow_at = t + SLOW_NS;
  }
  double elapsed = (double) (last - start) / 1e9;
  qsort(s_took, s_done, sizeof(*s_took), by_size);
#define P(f) (s_done == 0 ? 0.0 : (double) s_took[(size_t) ((double) (s_done - 1) * (f))] / 1e3)
  printf("p50 %.1f p99 %.1f p999 %.1f rate %.0f errors %zu uploads %zu\n", P(.5), P(.99), P(.999), (double) s_done / elapsed,
         s_errors + (total - s_done), s_uploads);
  return 0;
}
