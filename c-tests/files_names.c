// Names that Windows treats as aliases of a file, or as devices: clients cannot access any of them. Elsewhere no such files exist.
#include "peer.h"

static struct mg_mgr mgr;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.root_dir = "www";
    mg_http_serve_dir(c, (struct mg_http_message *) ev_data, &opts);
  }
}

static int status_of(unsigned short port, const char *uri) {
  struct sockaddr_in sin;
  char request[200];
  struct peer p;
  int status;
  memset(&p, 0, sizeof(p));
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_port = htons(port);
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  p.fd = socket(AF_INET, SOCK_STREAM, 0);
  CHECK_EQ(connect(p.fd, (struct sockaddr *) &sin, sizeof(sin)), 0);
  snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nConnection: close\r\n\r\n", uri);
  CHECK(peer_send(&p, request, strlen(request)));
  POLL_UNTIL(&mgr, peer_read(&p));
  status = p.len > 12 ? atoi((char *) p.buf + 9) : 0;
  peer_free(&p);
  return status;
}

int main(void) {
  const char *odd[] = {"/long-name.txt.",    "/long-name.txt%20", "/long-name.txt::$DATA", "/long-name.txt%3a%3a$DATA", "/LONG-N~1.TXT",
                       "/sub%5clong-name.txt", "/sub\\x",          "/nul",                  "/NUL.txt",                  "/sub/con",
                       "/com1",              "/aux.html",          "/C:/",                  "/c%3a",                     "/%5c%5clocalhost%5cc$",
                       "/sub./x",            "/sub%20/x",          "/long-name.tx?",        "/long-nam*.txt"};
  struct mg_connection *l;
  size_t i;
  mg_log_set(MG_LL_NONE);
  CHECK(mg_fs_posix.mkd("www") && mg_fs_posix.mkd("www/sub"));
  CHECK(mg_file_write(&mg_fs_posix, "www/long-name.txt", "x", 1) && mg_file_write(&mg_fs_posix, "www/sub/x", "x", 1));
  CHECK(mg_file_write(&mg_fs_posix, "www/\xc3\xa4 b", "x", 1));
  l = serve(&mgr, handler, NULL);
  CHECK(l != NULL);
  CHECK_EQ(status_of(port_of(l), "/long-name.txt"), 200);
  CHECK_EQ(status_of(port_of(l), "/sub/x"), 200);
  CHECK_EQ(status_of(port_of(l), "/sub/./x"), 200);
  CHECK_EQ(status_of(port_of(l), "/%c3%a4%20b"), 200);
  CHECK_EQ(status_of(port_of(l), "/sub/"), 200);
  for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
    int status = status_of(port_of(l), odd[i]);
    if (status != 404) fprintf(stderr, "%s: %d\n", odd[i], status);
    CHECK_EQ(status, 404);
  }
  mg_mgr_free(&mgr);
  return DONE();
}
