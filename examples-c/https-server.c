// An HTTPS server for the files of a directory; /echo returns the request body, and /websocket echoes messages.
//
// usage: https-server -h
//
//   -c CERT   the server's certificate, PEM or DER; a chain begins with it
//   -k KEY    its private key
//   -a CA     refuse clients without a certificate of this authority
//   -d DIR    the directory
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost
//       -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem          (one line)
//   https-server -c cert.pem -k key.pem &
//   curl --cacert cert.pem https://localhost:8443/echo -d hello

#include "example.h"

static const char *const s_usage =
    "usage: https-server -c CERT -k KEY [-a CA] [-d DIR] [-l URL]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default https://0.0.0.0:8443; port 0 is any free port\n"
    "  -c CERT   the server's certificate, PEM or DER; a chain begins with it\n"
    "  -k KEY   its private key\n"
    "  -a CA   refuse clients without a certificate of this authority\n"
    "  -d DIR   the directory, default the current one\n";

struct server {
  struct mg_tls_opts tls;
  const char *dir;
  unsigned long requests, handshakes;
};

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  struct server *s = (struct server *) c->fn_data;
  if (ev == MG_EV_ACCEPT && c->is_tls) {
    mg_tls_init(c, &s->tls);
  } else if (ev == MG_EV_TLS_HS) {
    s->handshakes++;
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    s->requests++;
    if (mg_match(hm->uri, mg_str("/echo"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %lu\r\n\r\n",
                (unsigned long) hm->body.len);
      mg_send(c, hm->body.buf, hm->body.len);
      c->is_resp = 0;
    } else if (mg_match(hm->uri, mg_str("/websocket"), NULL)) {
      example_ws_upgrade(c, hm);
    } else {
      struct mg_http_serve_opts opts;
      memset(&opts, 0, sizeof(opts));
      opts.root_dir = s->dir;
      mg_http_serve_dir(c, hm, &opts);
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, wm->flags & 15);
  } else if (ev == MG_EV_ERROR) {
    fprintf(stderr, "connection %lu: %s\n", c->id, (char *) ev_data);
  }
}

static bool read_file(const char *path, struct mg_str *to) {
  *to = mg_file_read(&mg_fs_posix, path);
  if (to->buf == NULL) fprintf(stderr, "cannot read %s\n", path);
  return to->buf != NULL;
}

int main(int argc, char **argv) {
  const char *url = "https://0.0.0.0:8443", *cert = NULL, *key = NULL, *ca = NULL;
  struct server s;
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int opt, result = 1;

  memset(&s, 0, sizeof(s));
  s.dir = ".";
  while ((opt = getopt(argc, argv, "hl:c:k:a:d:")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'c': cert = optarg; break;
      case 'k': key = optarg; break;
      case 'a': ca = optarg; break;
      case 'd': s.dir = optarg; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc || cert == NULL || key == NULL) return example_usage(s_usage, '?');
  example_catch_signals();
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  if (read_file(cert, &s.tls.cert) && read_file(key, &s.tls.key) && (ca == NULL || read_file(ca, &s.tls.ca))) {
    listener = mg_http_listen(&mgr, url, handler, &s);
    if (listener == NULL) {
      example_cannot_listen(&mgr, argv[0], url);
    } else {
      example_ready(listener, listener->is_tls ? "https" : "http");
      while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
      printf("%lu requests, %lu handshakes\n", s.requests, s.handshakes);
      result = 0;
    }
  }
  mg_mgr_free(&mgr);
  mg_free(s.tls.cert.buf);
  mg_free(s.tls.key.buf);
  mg_free(s.tls.ca.buf);
  return result;
}
