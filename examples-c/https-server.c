// An HTTPS server: files of a directory; /echo sends back what it is sent, and so does /websocket, message by message.
//
// usage: https-server -c CERT -k KEY [-a CA] [-d DIR] [URL]     default . and https://0.0.0.0:8443; Ctrl-C ends it
//
//   -c CERT   the server's certificate, PEM or DER; a chain has its own certificate first
//   -k KEY    its private key
//   -a CA     refuse clients without a certificate of this authority
//   -d DIR    the directory
//
//   openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost
//       -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem          (one line)
//   https-server -c cert.pem -k key.pem &
//   curl --cacert cert.pem https://localhost:8443/echo -d hello

#include "mongoose.h"
#include "mongoose_ext.h"

struct server {
  struct mg_tls_opts tls;
  const char *dir;
  unsigned long requests, handshakes;
};

static volatile sig_atomic_t s_signal;

static void on_signal(int number) {
  s_signal = number;
}

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
      mg_ws_upgrade(c, hm, NULL);
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
  int i, result = 1;

  memset(&s, 0, sizeof(s));
  s.dir = ".";
  for (i = 1; i < argc; i++) {
    if (i + 1 < argc && strcmp(argv[i], "-c") == 0) {
      cert = argv[++i];
    } else if (i + 1 < argc && strcmp(argv[i], "-k") == 0) {
      key = argv[++i];
    } else if (i + 1 < argc && strcmp(argv[i], "-a") == 0) {
      ca = argv[++i];
    } else if (i + 1 < argc && strcmp(argv[i], "-d") == 0) {
      s.dir = argv[++i];
    } else if (i + 1 == argc && argv[i][0] != '-') {
      url = argv[i];
    } else {
      break;
    }
  }
  if (i < argc || cert == NULL || key == NULL) {
    fprintf(stderr, "usage: %s -c CERT -k KEY [-a CA] [-d DIR] [URL]     default . and https://0.0.0.0:8443\n", argv[0]);
    return 2;
  }
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  mgx_mgr_limits(&mgr, mgx_limits_public());
  if (read_file(cert, &s.tls.cert) && read_file(key, &s.tls.key) && (ca == NULL || read_file(ca, &s.tls.ca))) {
    if ((listener = mg_http_listen(&mgr, url, handler, &s)) == NULL) {
      fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    } else {
      printf("%s://localhost:%u\n", listener->is_tls ? "https" : "http", mg_ntohs(listener->loc.port));
      fflush(stdout);
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
