// libevent's evhttp beside hello.c.
// usage: evhttp PORT DIRECTORY
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void hello(struct evhttp_request *r, void *arg) {
  struct evbuffer *b = evbuffer_new();
  (void) arg;
  evhttp_add_header(evhttp_request_get_output_headers(r), "Content-Type", "text/plain");
  evbuffer_add_printf(b, "%s\n", "Hello, World!");
  evhttp_send_reply(r, 200, "OK", b);
  evbuffer_free(b);
}

static void file(struct evhttp_request *r, void *dir) {
  const char *uri = evhttp_request_get_uri(r);
  char path[512];
  struct stat st;
  snprintf(path, sizeof(path), "%s%s", (char *) dir, uri);
  int fd = strstr(uri, "..") != NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &st) != 0) {
    evhttp_send_error(r, 404, NULL);
    return;
  }
  struct evbuffer *b = evbuffer_new();
  evbuffer_add_file(b, fd, 0, st.st_size);
  evhttp_send_reply(r, 200, "OK", b);
  evbuffer_free(b);
}

int main(int argc, char **argv) {
  struct event_base *base = event_base_new();
  struct evhttp *server = evhttp_new(base);
  if (argc != 3) return 2;
  evhttp_set_cb(server, "/hello", hello, NULL);
  evhttp_set_gencb(server, file, argv[2]);
  if (evhttp_bind_socket(server, "127.0.0.1", (unsigned short) atoi(argv[1])) != 0) return 1;
  return event_base_dispatch(base);
}
