// An application of version 7.11: the manager has the TLS options, mg_tls_init takes a name; addresses are numbers.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#define MGX_COMPAT_7 711
#include "peer.h"

static struct mg_str pem(const char *name) {
  char path[1000];
  struct mg_str text;
  mg_snprintf(path, sizeof(path), "%.*scerts/%s", (int) (strlen(__FILE__) - strlen("compat_711.c")), __FILE__, name);
  text = mg_file_read(&mg_fs_posix, path);
  CHECK(text.len > 0);
  return text;
}

static int served, answered, handshakes;

static void server(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_ACCEPT) {
    if (fn_data == c->mgr) {
      mg_tls_init(c, mg_str(""));
    } else {
      mg_tls_init(c, (const struct mg_tls_opts *) fn_data);
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    CHECK_EQ(c->rem.ip, htonl(INADDR_LOOPBACK));
    CHECK(mg_http_match_uri(hm, "/"));
    served++;
    mg_http_reply(c, 200, "", "hello");
  }
}

static void client(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_CONNECT) {
    mg_tls_init(c, mg_str((const char *) fn_data));
    mg_printf(c, "GET / HTTP/1.1\r\n\r\n");
  } else if (ev == MG_EV_TLS_HS) {
    handshakes++;
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    answered += mg_vcmp(&hm->body, "hello") == 0;
    c->is_closing = 1;
  } else if (ev == MG_EV_ERROR) {
    answered--;
  }
}

int main(void) {
  static char name[] = "localhost", wrong[] = "elsewhere.example";
  struct mg_str ca = pem("ca.pem"), cert = pem("server-p256.pem"), key = pem("server-p256.key");
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct mg_tls_opts opts;
  char url[64];
  memset(&opts, 0, sizeof(opts));
  opts.server_ca = ca;
  opts.server_cert = cert;
  opts.server_key = key;
  mg_mgr_init(&mgr);
  mg_tls_ctx_init(&mgr, &opts);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server, &mgr);
  mg_snprintf(url, sizeof(url), "https://127.0.0.1:%d", port_of(l));
  mg_http_connect(&mgr, url, client, name);
  POLL_UNTIL(&mgr, answered != 0);
  CHECK(answered == 1 && served == 1 && handshakes == 1);
  // The options of the manager include whom to trust.
  mg_http_connect(&mgr, url, client, wrong);
  POLL_UNTIL(&mgr, answered != 1);
  CHECK(answered == 0 && served == 1);

  // Other names. These options replace the first ones.
  memset(&opts, 0, sizeof(opts));
  opts.srvcert = cert;
  opts.srvkey = key;
  mg_tls_ctx_init(&mgr, &opts);
  mg_http_connect(&mgr, url, client, name);
  POLL_UNTIL(&mgr, answered != 0);
  CHECK(answered == 1 && served == 2);
  mg_tls_ctx_free(&mgr);
  // Options of one connection.
  l->fn_data = &opts;
  mg_http_connect(&mgr, url, client, name);
  POLL_UNTIL(&mgr, answered != 1);
  CHECK(answered == 2 && served == 3);
  mg_mgr_free(&mgr);
  mg_free(ca.buf), mg_free(cert.buf), mg_free(key.buf);
  return DONE();
}
