// Fetches a URL over TLS and prints the response: the head to stderr, the body to stdout.
//
// usage: https-client -h
//
//   -a CA        check the server's certificate against these authorities, PEM or DER
//   -i           do not check the server's certificate
//   -c CERT -k KEY   show this certificate if the server asks for one
//   -t SECONDS   timeout, default 10
//
// try:   https-client -a cert.pem https://localhost:8443/
// exit:  0 when the status is below 400

#include "example.h"

static const char *const s_usage =
    "usage: https-client [-a CA | -i] [-c CERT -k KEY] [-t SECONDS] URL     such as https://localhost:8443/\n"
    "  -a CA   check the server's certificate against these authorities, PEM or DER\n"
    "  -i   do not check the server's certificate\n"
    "  -c CERT -k KEY   show this certificate if the server asks for one\n"
    "  -t SECONDS   timeout, default 10\n";

struct request {
  const char *url;
  struct mg_tls_opts tls;
  uint64_t deadline;
  int status;
  bool failed, done;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct request *r = (struct request *) c->fn_data;
  if (ev == MG_EV_CONNECT) {
    struct mg_str host = mg_url_host(r->url);
    if (c->is_tls) mg_tls_init(c, &r->tls);
    // Sent when the handshake is complete.
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

static bool read_file(const char *path, struct mg_str *to) {
  if (path == NULL) return true;
  *to = mg_file_read(&mg_fs_posix, path);
  if (to->buf == NULL) fprintf(stderr, "cannot read %s\n", path);
  return to->buf != NULL;
}

int main(int argc, char **argv) {
  const char *ca = NULL, *cert = NULL, *key = NULL;
  struct mg_mgr mgr;
  struct request r;
  int opt, seconds = 10;

  memset(&r, 0, sizeof(r));
  while ((opt = getopt(argc, argv, "ha:c:k:t:i")) != -1) {
    switch (opt) {
      case 'a': ca = optarg; break;
      case 'c': cert = optarg; break;
      case 'k': key = optarg; break;
      case 't': seconds = atoi(optarg); break;
      case 'i': r.tls.skip_verification = true; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind + 1 == argc) r.url = argv[optind];
  if (r.url == NULL || seconds <= 0 || (ca == NULL && !r.tls.skip_verification && mg_url_is_ssl(r.url))) {
    return example_usage(s_usage, '?');
  }
  r.tls.name = mg_url_host(r.url);
  r.deadline = mg_millis() + (uint64_t) seconds * 1000;
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  if (!read_file(ca, &r.tls.ca) || !read_file(cert, &r.tls.cert) || !read_file(key, &r.tls.key)) r.done = true;
  if (!r.done && mg_http_connect(&mgr, r.url, handler, &r) == NULL) r.done = true;
  while (!r.done && s_signal == 0) mg_mgr_poll(&mgr, 100);
  mg_mgr_free(&mgr);
  mg_free(r.tls.ca.buf);
  mg_free(r.tls.cert.buf);
  mg_free(r.tls.key.buf);
  return r.status >= 100 && r.status < 400 ? 0 : 1;
}
