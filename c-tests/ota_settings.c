// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// Firmware checks with settings that are compile-time switches elsewhere: the version of the application, and the CA trusted for
// https.
#include "tls.h"

static struct mg_mgr s_mgr;
static const char *s_scheme_of_image = "https", *s_version = "2.0.0";
static char s_request[400], s_message[200];
static char *s_image;
static size_t s_written;
static int s_calls, s_handshakes;
static unsigned short s_port;
static bool s_poll_in_begin;

bool mg_ota_begin(size_t size) {
  int i;
  s_written = 0;
  for (i = 0; s_poll_in_begin && i < 20; i++) mg_mgr_poll(&s_mgr, 1);
  return size == 100001;
}

bool mg_ota_write(const void *buf, size_t len) {
  bool same = s_written + len <= 100001 && memcmp(s_image + s_written, buf, len) == 0;
  s_written += len;
  if (s_poll_in_begin) mg_mgr_poll(&s_mgr, 0);
  return same;
}

bool mg_ota_end(void) {
  return s_written == 100001;
}

static void server(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && c->fn_data != NULL) {
    struct mg_tls_opts opts = server_tls();
    mg_tls_init(c, &opts);
  } else if (ev == MG_EV_TLS_HS) {
    s_handshakes++;
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/image"), NULL)) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n");
      mg_send(c, s_image, 100001);
      c->is_resp = 0;
    } else {
      mg_snprintf(s_request, sizeof(s_request), "%.*s", (int) hm->head.len, hm->head.buf);
      mg_http_reply(c, 200, "", "{%m:%m,%m:\"%s://localhost:%d/image\",%m:100001}", MG_ESC("version"), MG_ESC(s_version), MG_ESC("url"),
                    s_scheme_of_image, s_port, MG_ESC("size"));
    }
  }
}

static void done(const char *message) {
  s_calls++;
  mg_snprintf(s_message, sizeof(s_message), "%s", message == NULL ? "NULL" : message);
}

static bool checked(const char *scheme, const char *host, const char *want) {
  char url[100];
  s_calls = 0;
  mg_snprintf(url, sizeof(url), "%s://%s:%d/meta", scheme, host, s_port);
  mg_ota_url_check(&s_mgr, url, done);
  POLL_UNTIL(&s_mgr, s_calls > 0);
  POLL_UNTIL(&s_mgr, count_conns(&s_mgr) <= 3);
  if (s_calls == 1 && strstr(s_message, want) == s_message) return true;
  fprintf(stderr, "got %s, not %s\n", s_message, want);
  return false;
}

int main(void) {
  struct mg_connection *plain, *secure;
  char longest[70];
  mg_log_set(MG_LL_NONE);
  s_image = make_body(100001);
  mg_mgr_init(&s_mgr);
  plain = mg_http_listen(&s_mgr, "http://127.0.0.1:0", server, NULL);
  secure = mg_http_listen(&s_mgr, "http://127.0.0.1:0", server, &s_mgr);

  // The version.
  s_port = port_of(plain), s_scheme_of_image = "http";
  s_version = "1.0.0";
  CHECK(checked("http", "127.0.0.1", "Same version"));
  CHECK(strstr(s_request, "&version=1.0.0&") != NULL);
  CHECK(mgx_ota_set_version("2.5+b&c"));
  CHECK(checked("http", "127.0.0.1", "NULL"));
  CHECK(strstr(s_request, "&version=2.5%2bb%26c&") != NULL);
  s_version = "2.5+b&c";
  CHECK(checked("http", "127.0.0.1", "Same version"));
  memset(longest, '1', sizeof(longest));
  longest[64] = '\0';
  CHECK(!mgx_ota_set_version(longest) && !mgx_ota_set_version("a b") && !mgx_ota_set_version("a\r\n"));
  CHECK(checked("http", "127.0.0.1", "Same version"));
  longest[63] = '\0';
  CHECK(mgx_ota_set_version(longest));
  s_version = longest;
  CHECK(checked("http", "127.0.0.1", "Same version"));
  CHECK(mgx_ota_set_version(NULL));
  s_version = "1.0.0";
  CHECK(checked("http", "127.0.0.1", "Same version"));

  s_version = "2.0.0", s_poll_in_begin = true;
  CHECK(checked("http", "127.0.0.1", "NULL"));
  CHECK_EQ(s_written, 100001);
  s_poll_in_begin = false;

  // https.
  s_version = "2.0.0", s_port = port_of(secure), s_scheme_of_image = "https";
  CHECK(checked("https", "localhost", "MG_OTA_TLS_CA is not configured"));
  CHECK_EQ(s_handshakes, 0);
  mgx_ota_set_ca(pem("ca.pem"));
  CHECK(checked("https", "localhost", "NULL"));
  CHECK_EQ(s_written, 100001);
  CHECK_EQ(s_handshakes, 2);
  s_poll_in_begin = true;
  CHECK(checked("https", "localhost", "NULL"));
  CHECK_EQ(s_written, 100001);
  s_poll_in_begin = false;
  // The authority and the name count.
  mgx_ota_set_ca(pem("other-ca.pem"));
  CHECK(!checked("https", "localhost", "NULL"));
  mgx_ota_set_ca(pem("ca.pem"));
  CHECK(!checked("https", "elsewhere.localhost", "NULL"));
  mgx_ota_set_ca(mg_str("rubbish"));
  CHECK(!checked("https", "localhost", "NULL"));
  mgx_ota_set_ca(mg_str(""));
  CHECK(checked("https", "localhost", "MG_OTA_TLS_CA is not configured"));

  mg_mgr_free(&s_mgr);
  pem_free();
  free(s_image);
  return DONE();
}
