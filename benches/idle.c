// Idle connections: each sends one request, reads the answer, and waits for the end. Source addresses are 127.0.1.1 and so on,
// with some thousand ports each. Says `ready` when all have been answered, and `ended` when the server has closed them all.
// usage: idle PORT COUNT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PER_ADDRESS 10000
#define AT_ONCE 100

int main(int argc, char **argv) {
  static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
  int on = 1, ep = epoll_create1(0), count = argc == 3 ? atoi(argv[2]) : 0, fds[AT_ONCE];
  char buf[4096];
  if (count <= 0) return fprintf(stderr, "usage: %s PORT COUNT\n", argv[0]), 2;
  to.sin_port = htons((unsigned short) atoi(argv[1]));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int i = 0; i < count;) {
    int n = 0;
    for (; n < AT_ONCE && i < count; n++, i++) {
      int fd = fds[n] = socket(AF_INET, SOCK_STREAM, 0);
      from.sin_addr.s_addr = htonl(0x7f000101 + (unsigned) (i / PER_ADDRESS));
      setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
      if (fd < 0 || bind(fd, (struct sockaddr *) &from, sizeof(from)) || connect(fd, (struct sockaddr *) &to, sizeof(to)) ||
          send(fd, request, sizeof(request) - 1, 0) < 0) {
        return perror("idle"), 1;
      }
    }
    for (int k = 0; k < n; k++) {
      struct epoll_event e = {.events = EPOLLIN, .data.fd = fds[k]};
      if (recv(fds[k], buf, sizeof(buf), 0) <= 0) return perror("answer"), 1;
      epoll_ctl(ep, EPOLL_CTL_ADD, fds[k], &e);
    }
  }
  puts("ready"), fflush(stdout);
  for (int open = count; open > 0;) {
    struct epoll_event evs[256];
    int ready = epoll_wait(ep, evs, 256, -1);
    for (int i = 0; i < ready; i++) {
      if (recv(evs[i].data.fd, buf, sizeof(buf), 0) <= 0) close(evs[i].data.fd), open--;
    }
  }
  puts("ended"), fflush(stdout);
  return 0;
}
