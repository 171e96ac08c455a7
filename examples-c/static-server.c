// Serves directories: files of any size, ranges, listings, server-side includes, compressed files (NAME.gz beside NAME).
//
// usage: static-server -h
//
//   curl localhost:8000/                              index.html, or a listing
//   curl -C - -O localhost:8000/large-file            resumes an interrupted download
//   curl -I localhost:8000/large-file                 length and ETag

#include "example.h"

static const char *const s_usage =
    "usage: static-server [-l URL] [-r ROOTS] [-s PATTERN] [-4 PAGE]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default http://0.0.0.0:8000; port 0 is any free port\n"
    "  -r ROOTS   what to serve, default the current directory. Also a list: www,/data=/mnt/data serves /mnt/data as /data\n"
    "  -s PATTERN   names of pages with server-side includes, for example #.shtml\n"
    "  -4 PAGE   page for files that do not exist\n";

static struct mg_http_serve_opts s_opts;
static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    size_t start = c->send.len;
    bool get = mg_strcmp(hm->method, mg_str("GET")) == 0, head = mg_strcmp(hm->method, mg_str("HEAD")) == 0;
    if (get || head) {
      mg_http_serve_dir(c, hm, &s_opts);
    } else {
      mg_http_reply(c, 405, "Allow: GET, HEAD\r\n", "GET or HEAD\n");
    }
    // The head of the response is already queued.
    if (c->send.len >= start + 12) {
      printf("%.*s %.*s %.3s\n", (int) hm->method.len, hm->method.buf, (int) hm->uri.len, hm->uri.buf,
             (char *) c->send.buf + start + 9);
      fflush(stdout);
    }
  }
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int opt;

  s_opts.root_dir = ".";
  while ((opt = getopt(argc, argv, "hl:r:s:4:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'r': s_opts.root_dir = optarg; break;
      case 's': s_opts.ssi_pattern = optarg; break;
      case '4': s_opts.page404 = optarg; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) return example_usage(s_usage, '?');
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  listener = mg_http_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "http");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
