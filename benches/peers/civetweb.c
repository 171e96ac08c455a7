// CivetWeb's library beside hello.c and ws_echo.c. Each connection occupies a thread of it.
// usage: civetweb PORT DIRECTORY
#include <civetweb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int hello(struct mg_connection *c, void *arg) {
  (void) arg;
  mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\n%s\n", "Hello, World!");
  return 200;
}

static int echo(struct mg_connection *c, int flags, char *data, size_t len, void *arg) {
  (void) arg;
  mg_websocket_write(c, flags & 15, data, len);
  return 1;
}

int main(int argc, char **argv) {
  struct mg_callbacks none;
  struct mg_context *context;
  char port[32];
  if (argc != 3) return 2;
  memset(&none, 0, sizeof(none));
  snprintf(port, sizeof(port), "127.0.0.1:%s", argv[1]);
  const char *options[] = {"listening_ports", port, "document_root", argv[2], "num_threads", "300", "enable_keep_alive", "yes",
                           "tcp_nodelay", "1", NULL};
  mg_init_library(0);
  context = mg_start(&none, NULL, options);
  if (context == NULL) return 1;
  mg_set_request_handler(context, "/hello", hello, NULL);
  mg_set_websocket_handler(context, "/websocket", NULL, NULL, echo, NULL, NULL);
  for (;;) pause();
}
