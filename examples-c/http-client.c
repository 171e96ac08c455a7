// Fetches a URL and prints the response: the head to stderr, the body to stdout.
//
// usage: http-client -h
// try:   http-client http://localhost:8000/api/hello
// exit:  0 when the status is below 400

#include "example.h"

static const char *const s_usage =
    "usage: http-client [-t SECONDS] URL     such as http://localhost:8000/\n"
    "  -t SECONDS   timeout, default 10\n";

struct request {
  const char *url;
  uint64_t deadline;
  int status;
  bool failed, done;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct request *r = (struct request *) c->fn_data;
  if (ev == MG_EV_CONNECT) {
    struct mg_str host = mg_url_host(r->url);
    mg_printf(c, "GET %s HTTP/1.1\r\nHost: %.*s:%d\r\nConnection: close\r\n\r\n", mg_url_uri(r->url), (int) host.len, host.buf,
              mg_url_port(r->url));
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    fwrite(hm->head.buf, 1, hm->head.len, stderr);
    fwrite(hm->body.buf, 1, hm->body.len, stdout);
    r->status = mg_http_status(hm);
    c->is_draining = 1;
  } else if (ev == MG_EV_POLL && r->status == 0 && *(uint64_t *) ev_data > r->deadline) {
    mg_error(c, "timed out waiting for the response");
  } else if (ev == MG_EV_ERROR) {
    fprintf(stderr, "%s: %s\n", r->url, (char *) ev_data);
    r->failed = true;
  } else if (ev == MG_EV_CLOSE) {
    if (r->status == 0 && !r->failed) fprintf(stderr, "%s: closed without a response\n", r->url);
    r->done = true;
  }
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  struct request r;
  int opt, seconds = 10;

  while ((opt = getopt(argc, argv, "ht:")) != -1) {
    switch (opt) {
      case 't': seconds = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind + 2 == argc) seconds = atoi(argv[optind + 1]);
  if (optind == argc || optind + 2 < argc || seconds <= 0) return example_usage(s_usage, '?');
  memset(&r, 0, sizeof(r));
  r.url = argv[optind];
  r.deadline = mg_millis() + (uint64_t) seconds * 1000;
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  if (mg_http_connect(&mgr, r.url, handler, &r) == NULL) r.done = true;
  while (!r.done && s_signal == 0) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  return r.status >= 100 && r.status < 400 ? 0 : 1;
}
