// The practical floor for WebSocket echo: one thread, one epoll, one recv and one send per message where the kernel allows it.
// The handshake is answered without being looked at, and a message is unmasked, given a new header and sent back: no events, no
// fragments, no checks.
// usage: ws_floor PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SIZE = 256 * 1024, HEAD = 10 };
struct conn {
  unsigned char *buf;  // HEAD bytes of room, then what has arrived
  size_t len, out_at, out_len;
  int fd, open;
};
static int s_ep;

static void unmask(unsigned char *p, size_t n, const unsigned char *mask) {
  uint64_t m, w;
  size_t i = 0;
  memcpy(&m, mask, 4);
  memcpy((char *) &m + 4, mask, 4);
  for (; i + 8 <= n; i += 8) memcpy(&w, p + i, 8), w ^= m, memcpy(p + i, &w, 8);
  for (; i < n; i++) p[i] ^= mask[i & 3];
}

static void want(struct conn *c, uint32_t events) {
  struct epoll_event e = {.events = events, .data.ptr = c};
  epoll_ctl(s_ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void flush(struct conn *c) {
  ssize_t k = send(c->fd, c->buf + c->out_at, c->out_len, MSG_NOSIGNAL);
  if (k < 0) return;
  c->out_at += (size_t) k;
  c->out_len -= (size_t) k;
  want(c, c->out_len > 0 ? EPOLLOUT : EPOLLIN);
}

// One message at a time: the load does not send another before it has the answer.
static void readable(struct conn *c) {
  unsigned char *in = c->buf + HEAD;
  ssize_t k = recv(c->fd, in + c->len, SIZE - c->len, 0);
  size_t head = 2, n;
  if (k <= 0) {
    if (k == 0 || errno != EAGAIN) close(c->fd), free(c->buf), free(c);
    return;
  }
  c->len += (size_t) k;
  if (!c->open) {
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    if (memmem(in, c->len, "\r\n\r\n", 4) == NULL) return;
    if (send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) perror("send");
    c->open = 1, c->len = 0;
    return;
  }
  if (c->len < 14) return;
  n = in[1] & 127;
  if (n == 126) n = (size_t) in[2] << 8 | in[3], head = 4;
  else if (n == 127) n = (size_t) in[6] << 24 | (size_t) in[7] << 16 | (size_t) in[8] << 8 | in[9], head = 10;
  if (c->len < head + 4 + n) return;
  unmask(in + head + 4, n, in + head);
  memmove(in + 4, in, head);
  in[5] &= 127;
  c->out_at = HEAD + 4, c->out_len = head + n, c->len = 0;
  k = send(c->fd, in + 4, c->out_len, MSG_NOSIGNAL);
  if (k == (ssize_t) c->out_len) return;
  if (k > 0) c->out_at += (size_t) k, c->out_len -= (size_t) k;
  want(c, EPOLLOUT);
}

int main(int argc, char **argv) {
  int on = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) (argc > 1 ? atoi(argv[1]) : 8000))};
  struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, evs[256];
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(ls, (void *) &a, sizeof a) || listen(ls, 1024)) return perror("bind"), 1;
  s_ep = epoll_create1(0);
  epoll_ctl(s_ep, EPOLL_CTL_ADD, ls, &ev);
  for (;;) {
    int n = epoll_wait(s_ep, evs, 256, -1);
    for (int i = 0; i < n; i++) {
      struct conn *c = (struct conn *) evs[i].data.ptr;
      int fd;
      if (c != NULL && (evs[i].events & EPOLLOUT)) flush(c);
      else if (c != NULL) readable(c);
      else while ((fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event e = {.events = EPOLLIN};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = (struct conn *) calloc(1, sizeof *c);
        c->buf = (unsigned char *) malloc(HEAD + SIZE);
        c->fd = fd;
        e.data.ptr = c;
        epoll_ctl(s_ep, EPOLL_CTL_ADD, fd, &e);
      }
    }
  }
}
