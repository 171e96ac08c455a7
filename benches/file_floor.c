// The practical floor for files: one thread, one epoll; per request one recv, open, fstat, close, and a read and one send for a
// small file, or sendfile for a large one. The only thing looked at is the name in the first line.
// usage: file_floor PORT DIRECTORY
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SMALL 16384

static struct {
  int fd;
  off_t at, size;
} s_files[1024];

// Sends what the socket takes; true when all of the file has left.
static int go_on(int c) {
  while (s_files[c].at < s_files[c].size) {
    if (sendfile(c, s_files[c].fd, &s_files[c].at, 1 << 20) <= 0) return 0;
  }
  close(s_files[c].fd);
  s_files[c].fd = -1;
  return 1;
}

static void answer(int c, const char *dir, char *request) {
  static char out[SMALL + 256];
  char path[512];
  char *end = strchr(request + 4, ' ');
  struct stat st;
  if (end == NULL) return;
  snprintf(path, sizeof(path), "%s%.*s", dir, (int) (end - request - 4), request + 4);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0) exit(1);
  int n = snprintf(out, 256, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nEtag: \"%ld.%ld\"\r\nContent-Length: %ld\r\n\r\n",
                   (long) st.st_mtime, (long) st.st_size, (long) st.st_size);
  if (st.st_size <= SMALL) {
    n += (int) read(fd, out + n, SMALL);
    close(fd);
    send(c, out, (size_t) n, MSG_NOSIGNAL);
  } else {
    send(c, out, (size_t) n, MSG_NOSIGNAL | MSG_MORE);
    s_files[c].fd = fd;
    s_files[c].at = 0;
    s_files[c].size = st.st_size;
    go_on(c);
  }
}

int main(int argc, char **argv) {
  int on = 1, ep = epoll_create1(0), ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short) atoi(argv[1]))};
  static char buf[16384];
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(ls, (void *) &a, sizeof a) || listen(ls, 1024)) return perror("bind"), 1;
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = ls}, evs[256];
  epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
  for (int i = 0; i < 1024; i++) s_files[i].fd = -1;
  for (;;) {
    int n = epoll_wait(ep, evs, 256, -1);
    for (int i = 0; i < n; i++) {
      int fd = evs[i].data.fd;
      if (fd == ls) {
        int c;
        while ((c = accept4(ls, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
          setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
          struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = c};
          epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
        }
      } else if (s_files[fd].fd >= 0) {
        if (evs[i].events & (EPOLLERR | EPOLLHUP)) {
          close(s_files[fd].fd);
          s_files[fd].fd = -1;
          close(fd);
        } else {
          go_on(fd);
        }
      } else if (evs[i].events & EPOLLIN) {
        ssize_t k = recv(fd, buf, sizeof buf - 1, 0);
        if (k == 0 || (k < 0 && errno != EAGAIN)) close(fd);
        if (k <= 0) continue;
        buf[k] = '\0';
        answer(fd, argv[2], buf);
      }
    }
  }
}
