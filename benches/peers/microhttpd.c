// libmicrohttpd beside hello.c: one thread besides the main one, which sleeps. It polls: the epoll mode of 0.9.75 stops answering with
// 128 connections and more.
// usage: microhttpd PORT DIRECTORY
#include <arpa/inet.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *s_dir;

static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version,
                              const char *data, size_t *size, void **state) {
  static int begun;
  struct MHD_Response *r = NULL;
  enum MHD_Result done;
  (void) arg, (void) method, (void) version, (void) data, (void) size;
  if (*state == NULL) return *state = &begun, MHD_YES;  // the head; the second call answers
  if (strcmp(url, "/hello") == 0) {
    r = MHD_create_response_from_buffer(14, (void *) "Hello, World!\n", MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header(r, "Content-Type", "text/plain");
  } else {
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), "%s%s", s_dir, url);
    int fd = strstr(url, "..") != NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) return MHD_NO;
    r = MHD_create_response_from_fd((size_t) st.st_size, fd);
  }
  done = MHD_queue_response(c, 200, r);
  MHD_destroy_response(r);
  return done;
}

int main(int argc, char **argv) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  struct MHD_Daemon *d;
  if (argc != 3) return 2;
  s_dir = argv[2];
  a.sin_port = htons((unsigned short) atoi(argv[1]));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  d = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR, &a, MHD_OPTION_CONNECTION_LIMIT,
                       4000u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u, MHD_OPTION_END);
  if (d == NULL) return 1;
  for (;;) pause();
}
