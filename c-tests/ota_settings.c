// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
// Firmware checks with settings that are compile-time switches elsewhere: the version of the application, and the CA trusted for
// https.
// A check has 5 s to connect, and valgrind no haste.
#include "clock.h"
#include "tls.h"

static struct mg_mgr s_mgr;
static const char *s_scheme_of_image = "https", *s_version = "2.0.0";
static char s_request[400], s_message[200];
static char *s_image;
static size_t s_written;
static int s_calls, s_handshakes, s_ids;
static unsigned short s_port;
static bool s_poll_in_begin;

#ifdef __linux__
#include <sys/syscall.h>

static unsigned short s_well_known;  // connections to this port go to s_port

// In front of the system's, for ports that only root may listen on.
int connect(int fd, const struct sockaddr *to, socklen_t len) {
  struct sockaddr_in there;
  memset(&there, 0, sizeof(there));
  if (to->sa_family == AF_INET) memcpy(&there, to, sizeof(there));
  if (s_well_known != 0 && ntohs(there.sin_port) == s_well_known) {
    there.sin_port = htons(s_port);
    to = (const struct sockaddr *) &there;
  }
  return (int) syscall(SYS_connect, fd, to, len);
}
#endif

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

void mg_ota_device_id(char *buf, size_t len) {
  s_ids++;
  mg_snprintf(buf, len, "id");
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
  char longest[70], url[100];
#ifdef __linux__
  int i;
#endif
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
  // The authority is gone before the connection is there: no request is made.
  s_calls = s_ids = 0;
  mg_snprintf(url, sizeof(url), "https://127.0.0.1:%d/meta", s_port);
  mg_ota_url_check(&s_mgr, url, done);
  mgx_ota_set_ca(mg_str(""));
  POLL_UNTIL(&s_mgr, s_calls > 0);
  CHECK(s_calls == 1 && strcmp(s_message, "MG_OTA_TLS_CA is not configured") == 0);
  CHECK_EQ(s_ids, 0);
  POLL_UNTIL(&s_mgr, count_conns(&s_mgr) == 2);
#ifdef __linux__
  // Only the scheme's own port is not named.
  mgx_ota_set_ca(pem("ca.pem"));
  s_version = "1.0.0";
  for (i = 0; i < 4; i++) {
    static const char *const hosts[] = {"localhost", "localhost:80", "127.0.0.1", "127.0.0.1:443"};
    s_well_known = i % 3 == 0 ? 443 : 80;
    s_port = port_of(i < 2 ? secure : plain);
    s_calls = 0;
    mg_snprintf(url, sizeof(url), "%s://%s/meta", i < 2 ? "https" : "http", hosts[i]);
    mg_ota_url_check(&s_mgr, url, done);
    POLL_UNTIL(&s_mgr, s_calls > 0);
    CHECK(strcmp(s_message, "Same version") == 0);
    mg_snprintf(url, sizeof(url), "\r\nHost: %s\r\n", hosts[i]);
    CHECK(strstr(s_request, url) != NULL);
    POLL_UNTIL(&s_mgr, count_conns(&s_mgr) == 2);
  }
  s_well_known = 0, s_port = port_of(secure), s_version = "2.0.0";
#endif
  // The authority and the name count.
  mgx_ota_set_ca(pem("other-ca.pem"));
  CHECK(!checked("https", "localhost", "NULL"));
  mgx_ota_set_ca(pem("ca.pem"));
  CHECK(!checked("https", "elsewhere.localhost", "NULL"));
  mgx_ota_set_ca(mg_str("rubbish"));
  s_ids = 0;
  CHECK(!checked("https", "localhost", "NULL"));
  CHECK_EQ(s_ids, 0);
  mgx_ota_set_ca(mg_str(""));
  CHECK(checked("https", "localhost", "MG_OTA_TLS_CA is not configured"));

  mg_mgr_free(&s_mgr);
  pem_free();
  free(s_image);
  return DONE();
}
