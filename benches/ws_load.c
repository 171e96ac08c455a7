// Load for WebSocket echo servers: each connection sends a message, waits for it to come back, and sends the next. What comes
// back is counted, and compared now and then. Prints what wrk would.
// usage: ws_load PORT CONNECTIONS SECONDS BYTES
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct conn {
  int fd;
  size_t sent, got;
};
static unsigned char *s_frame, *s_answer;
static size_t s_frame_len, s_answer_len;
static unsigned long s_count, s_errors;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static size_t header(unsigned char *p, size_t n) {
  p[0] = 0x82;
  if (n < 126) return p[1] = (unsigned char) n, 2;
  if (n < 65536) return p[1] = 126, p[2] = (unsigned char) (n >> 8), p[3] = (unsigned char) n, 4;
  memset(p + 1, 0, 9);
  p[1] = 127, p[6] = (unsigned char) (n >> 24), p[7] = (unsigned char) (n >> 16), p[8] = (unsigned char) (n >> 8), p[9] = (unsigned char) n;
  return 10;
}

static void push(int ep, struct conn *c) {
  struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
  ssize_t k = send(c->fd, s_frame + c->sent, s_frame_len - c->sent, MSG_NOSIGNAL);
  int was_cut = c->sent > 0;
  if (k > 0) c->sent += (size_t) k;
  if (c->sent < s_frame_len) e.events |= EPOLLOUT;
  if (was_cut || c->sent < s_frame_len) epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void pull(int ep, struct conn *c) {
  static unsigned char buf[1 << 20];
  for (;;) {
    ssize_t k = recv(c->fd, buf, s_answer_len - c->got < sizeof buf ? s_answer_len - c->got : sizeof buf, 0);
    if (k <= 0) {
      if (k == 0 || errno != EAGAIN) s_errors++, close(c->fd), c->fd = -1;
      return;
    }
    if (s_count % 64 == 0 && memcmp(buf, s_answer + c->got, (size_t) k) != 0) s_errors++;
    if ((c->got += (size_t) k) < s_answer_len) continue;
    s_count++;
    c->got = c->sent = 0;
    push(ep, c);
    return;
  }
}

static int connect_loopback(int port) {
  static const char request[] = "GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) port)};
  char answer[1024];
  size_t len = 0;
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(fd, (void *) &a, sizeof a) || send(fd, request, sizeof request - 1, 0) < 0) return perror("connect"), -1;
  while (len < sizeof answer && memmem(answer, len, "\r\n\r\n", 4) == NULL) {
    ssize_t k = recv(fd, answer + len, sizeof answer - len, 0);
    if (k <= 0) return perror("handshake"), -1;
    len += (size_t) k;
  }
  return fd;
}

int main(int argc, char **argv) {
  int ep = epoll_create1(0), i, conns = argc > 4 ? atoi(argv[2]) : 0;
  size_t n = argc > 4 ? (size_t) atol(argv[4]) : 0, head, k;
  struct conn *all = (struct conn *) calloc((size_t) conns + 1, sizeof *all);
  static const unsigned char mask[] = {0x9a, 0x3c, 0x55, 0xe7};
  double start, end;
  if (argc != 5) return fprintf(stderr, "usage: %s PORT CONNECTIONS SECONDS BYTES\n", argv[0]), 2;
  s_frame = (unsigned char *) malloc(n + 14), s_answer = (unsigned char *) malloc(n + 14);
  head = header(s_answer, n);
  memcpy(s_frame, s_answer, head);
  s_frame[1] |= 128;
  memcpy(s_frame + head, mask, 4);
  for (k = 0; k < n; k++) s_answer[head + k] = (unsigned char) (k * 31), s_frame[head + 4 + k] = (unsigned char) (k * 31) ^ mask[k & 3];
  s_frame_len = head + 4 + n, s_answer_len = head + n;
  for (i = 0; i < conns; i++) {
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &all[i]};
    if ((all[i].fd = connect_loopback(atoi(argv[1]))) < 0) return 1;
    epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &e);
  }
  start = now(), end = start + atof(argv[3]);
  for (i = 0; i < conns; i++) push(ep, &all[i]);
  while (now() < end) {
    struct epoll_event evs[256];
    int ready = epoll_wait(ep, evs, 256, 100);
    for (i = 0; i < ready; i++) {
      struct conn *c = (struct conn *) evs[i].data.ptr;
      if (c->fd >= 0 && (evs[i].events & EPOLLOUT)) push(ep, c);
      if (c->fd >= 0 && (evs[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) pull(ep, c);
    }
  }
  printf("  %lu requests in %.2fs\n", s_count, now() - start);
  if (s_errors > 0) printf("  Socket errors: %lu\n", s_errors);
  printf("Requests/sec: %.2f\n", (double) s_count / (now() - start));
  return 0;
}
