// Load for MQTT brokers: one client publishes, and all the others have subscribed. It keeps a few messages in flight. What is
// delivered is counted, and printed as wrk prints requests.
// usage: mqtt_load PORT SUBSCRIBERS SECONDS BYTES
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

#define IN_FLIGHT 16

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void want(int fd, size_t n) {
  char answer[16];
  while (n > 0) {
    ssize_t k = recv(fd, answer, n < sizeof(answer) ? n : sizeof(answer), 0);
    if (k <= 0) perror("login"), exit(1);
    n -= (size_t) k;
  }
}

static int dial(int port, int id) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) port)};
  unsigned char hello[] = {0x10, 17, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, 5, 'b', '0', '0', '0', '0'};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  char name[8];
  snprintf(name, sizeof(name), "b%04d", id % 10000);
  memcpy(hello + 14, name, 5);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, (struct sockaddr *) &a, sizeof(a)) || send(fd, hello, sizeof(hello), 0) < 0) perror("connect"), exit(1);
  want(fd, 4);
  return fd;
}

int main(int argc, char **argv) {
  static const unsigned char subscribe[] = {0x82, 10, 0, 1, 0, 5, 'b', 'e', 'n', 'c', 'h', 0};
  static unsigned char message[128] = {0x30, 0, 0, 5, 'b', 'e', 'n', 'c', 'h'}, buf[65536];
  if (argc != 5) return fprintf(stderr, "usage: %s PORT SUBSCRIBERS SECONDS BYTES\n", argv[0]), 2;
  int ep = epoll_create1(0), subscribers = atoi(argv[2]), bytes = atoi(argv[4]), publisher = dial(atoi(argv[1]), 0);
  if (bytes < 0 || bytes > 100) return fprintf(stderr, "%s: at most 100 bytes\n", argv[0]), 2;
  message[1] = (unsigned char) (7 + bytes);
  size_t len = 9 + (size_t) bytes;
  for (int i = 0; i < subscribers; i++) {
    int fd = dial(atoi(argv[1]), i + 1);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
    if (send(fd, subscribe, sizeof(subscribe), 0) < 0) return perror("subscribe"), 1;
    want(fd, 5);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
  }
  unsigned long sent = 0, got = 0, last = 0, errors = 0;
  double start = now(), end = start + atof(argv[3]), moved = start;
  while (now() < end) {
    struct epoll_event evs[256];
    while (sent * (unsigned long) subscribers < got / len + IN_FLIGHT * (unsigned long) subscribers) {
      if (send(publisher, message, len, MSG_NOSIGNAL) != (ssize_t) len) return perror("publish"), 1;
      sent++;
    }
    int ready = epoll_wait(ep, evs, 256, 100);
    for (int i = 0; i < ready; i++) {
      ssize_t k = recv(evs[i].data.fd, buf, sizeof(buf), 0);
      if (k > 0) got += (unsigned long) k;
      if (k == 0 || (k < 0 && errno != EAGAIN)) errors++, close(evs[i].data.fd);
    }
    if (got != last) last = got, moved = now();
    if (now() - moved > 1) {  // messages were dropped: the rest counts as an error, and new ones go out
      errors++;
      got = sent * (unsigned long) subscribers * len;
      moved = now();
    }
  }
  printf("  %lu requests in %.2fs\n", got / len, now() - start);
  if (errors > 0) printf("  Socket errors: %lu\n", errors);
  printf("Requests/sec: %.2f\n", (double) (got / len) / (now() - start));
  return 0;
}
