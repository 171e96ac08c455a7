// floor.c with io_uring in place of epoll: multishot accept, and a recv and a send per request, submitted together with the wait. Shows
// what a backend over io_uring could gain: docs/performance.md. Needs liburing-dev.
// usage: uring_floor PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
enum { ACCEPT, RECV, SEND, BUFS = 1024, SIZE = 2048 };
static char s_buf[4096][SIZE];
static const char rep[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14        \r\n\r\nHello, World!\n";
static struct io_uring r;
static struct io_uring_sqe *sqe(void) {
  struct io_uring_sqe *s = io_uring_get_sqe(&r);
  if (s == NULL) io_uring_submit(&r), s = io_uring_get_sqe(&r);
  return s;
}
static void want(int fd) {
  struct io_uring_sqe *s = sqe();
  io_uring_prep_recv(s, fd, s_buf[fd], SIZE, 0);
  io_uring_sqe_set_data64(s, (unsigned long) fd << 2 | RECV);
}
int main(int argc, char **argv) {
  int on = 1, ls = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) atoi(argv[1]))};
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(ls, (void *) &a, sizeof a) || listen(ls, 1024)) return perror("bind"), 1;
  struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL};
  if (io_uring_queue_init_params(2048, &r, &p)) return perror("io_uring"), 1;
  struct io_uring_sqe *s = sqe();
  io_uring_prep_multishot_accept(s, ls, NULL, NULL, 0);
  io_uring_sqe_set_data64(s, ACCEPT);
  (void) argc;
  for (;;) {
    io_uring_submit_and_wait(&r, 1);
    struct io_uring_cqe *c;
    unsigned head, n = 0;
    io_uring_for_each_cqe(&r, head, c) {
      n++;
      int fd = (int) (c->user_data >> 2);
      switch (c->user_data & 3) {
        case ACCEPT:
          if (c->res >= 0) setsockopt(c->res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), want(c->res);
          break;
        case RECV:
          if (c->res <= 0) { close(fd); break; }
          if (memmem(s_buf[fd], (size_t) c->res, "\r\n\r\n", 4)) {
            s = sqe();
            io_uring_prep_send(s, fd, rep, sizeof rep - 1, MSG_NOSIGNAL);
            s->flags |= IOSQE_CQE_SKIP_SUCCESS;
            io_uring_sqe_set_data64(s, (unsigned long) fd << 2 | SEND);
          }
          want(fd);
          break;
      }
    }
    io_uring_cq_advance(&r, n);
  }
}
