// Serves directories: files of any size, ranges, listings, server-side includes, compressed files (NAME.gz beside NAME).
//
// usage: static-server [-l URL] [-r ROOTS] [-s PATTERN] [-4 PAGE]     Ctrl-C ends it
//   -l   where to listen, default http://0.0.0.0:8000
//   -r   what to serve, default the current directory. Also a list: www,/data=/mnt/data serves /mnt/data as /data
//   -s   names of pages with server-side includes, for example #.shtml
//   -4   page for what is not found
//
//   curl localhost:8000/                              index.html, or a listing
//   curl -C - -O localhost:8000/large-file            goes on with a download that was cut off
//   curl -I localhost:8000/large-file                 length and ETag

#include "mongoose.h"
#include "mongoose_ext.h"

static struct mg_http_serve_opts s_opts;
static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

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
    // The head of the answer is there already.
    if (c->send.len >= start + 12) {
      printf("%.*s %.*s %.3s\n", (int) hm->method.len, hm->method.buf, (int) hm->uri.len, hm->uri.buf,
             (char *) c->send.buf + start + 9);
      fflush(stdout);
    }
  }
}

static int usage(const char *name) {
  fprintf(stderr, "usage: %s [-l URL] [-r ROOTS] [-s PATTERN] [-4 PAGE]\n", name);
  return 2;
}

int main(int argc, char **argv) {
  const char *url = "http://0.0.0.0:8000";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int i;

  s_opts.root_dir = ".";
  for (i = 1; i < argc; i += 2) {
    if (argv[i][0] != '-' || i + 1 == argc) return usage(argv[0]);
    switch (argv[i][1]) {
      case 'l': url = argv[i + 1]; break;
      case 'r': s_opts.root_dir = argv[i + 1]; break;
      case 's': s_opts.ssi_pattern = argv[i + 1]; break;
      case '4': s_opts.page404 = argv[i + 1]; break;
      default: return usage(argv[0]);
    }
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  if ((listener = mg_http_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("http://localhost:%u\n", mg_ntohs(listener->loc.port));
  fflush(stdout);
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
