// libh2o with its own event loop beside hello.c.
// usage: h2o PORT DIRECTORY
#define H2O_USE_LIBUV 0
#include <arpa/inet.h>
#include <h2o.h>
#include <stdlib.h>
#include <sys/socket.h>

static h2o_globalconf_t s_config;
static h2o_context_t s_context;
static h2o_accept_ctx_t s_accept;

static int hello(h2o_handler_t *self, h2o_req_t *r) {
  static h2o_generator_t generator = {NULL, NULL};
  h2o_iovec_t body = h2o_iovec_init(H2O_STRLIT("Hello, World!\n"));
  (void) self;
  r->res.status = 200;
  r->res.reason = "OK";
  r->res.content_length = body.len;
  h2o_add_header(&r->pool, &r->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, H2O_STRLIT("text/plain"));
  h2o_start_response(r, &generator);
  h2o_send(r, &body, 1, H2O_SEND_STATE_FINAL);
  return 0;
}

static void on_accept(h2o_socket_t *listener, const char *err) {
  h2o_socket_t *s;
  if (err != NULL) return;
  while ((s = h2o_evloop_socket_accept(listener)) != NULL) h2o_accept(&s_accept, s);
}

int main(int argc, char **argv) {
  struct sockaddr_in a = {.sin_family = AF_INET};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  if (argc != 3) return 2;
  a.sin_port = htons((unsigned short) atoi(argv[1]));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, (struct sockaddr *) &a, sizeof(a)) || listen(fd, 1024)) return 1;
  h2o_config_init(&s_config);
  h2o_hostconf_t *host = h2o_config_register_host(&s_config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
  h2o_handler_t *h = h2o_create_handler(h2o_config_register_path(host, "/hello", 0), sizeof(*h));
  h->on_req = hello;
  h2o_file_register(h2o_config_register_path(host, "/", 0), argv[2], NULL, NULL, 0);
  h2o_context_init(&s_context, h2o_evloop_create(), &s_config);
  s_accept.ctx = &s_context;
  s_accept.hosts = s_config.hosts;
  h2o_socket_read_start(h2o_evloop_socket_create(s_context.loop, fd, H2O_SOCKET_FLAG_DONT_READ), on_accept);
  while (h2o_evloop_run(s_context.loop, INT32_MAX) == 0) continue;
  return 1;
}
