// Invalid listening URLs are refused: NULL, errno and one log line with the cause. Schemes are case-insensitive. Failures in the
// kernel are reported with its error texts.

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static struct mg_mgr mgr;
static char said[4096];
static size_t said_len;

static void log_fn(char c, void *arg) {
  (void) arg;
  if (said_len + 1 < sizeof(said)) said[said_len++] = c, said[said_len] = '\0';
}

static int lines(void) {
  int n = 0;
  size_t i;
  for (i = 0; i < said_len; i++) n += said[i] == '\n';
  return n;
}

static void clear_log(void) {
  said_len = 0;
  said[0] = '\0';
}

static void quiet_fn(struct mg_connection *c, int ev, void *ev_data) {
  (void) c, (void) ev, (void) ev_data;
}

typedef struct mg_connection *(*listen_fn)(struct mg_mgr *, const char *, mg_event_handler_t, void *);

static void refused(const char *url, const char *why) {
  const listen_fn all[] = {mg_listen, mg_http_listen, mg_mqtt_listen};
  size_t i;
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
    bool well;
    clear_log();
    errno = 0;
    well = all[i](&mgr, url, quiet_fn, NULL) == NULL && errno == EINVAL && lines() == 1 && strstr(said, why) != NULL &&
           strstr(said, url) != NULL && mgr.conns == NULL;
    if (!well) fprintf(stderr, "%s: errno %d, said: %s\n", url, errno, said);
    CHECK(well);
  }
}

static void bad_urls(void) {
  static const struct {
    const char *url, *why;
  } all[] = {
      {"http://127.0.0.1:99999", "port above 65535"},
      {"http://127.0.0.1:65536", "port above 65535"},
      {"udp://127.0.0.1:4294967297", "port above 65535"},
      {"tcp://[::1]:99999999999999999999999999", "port above 65535"},
      {"http://127.0.0.1:", "empty port"},
      {"http://127.0.0.1:/x", "empty port"},
      {":", "empty port"},
      {"http://127.0.0.1: 8000", "no number"},
      {"http://127.0.0.1:\t8000", "no number"},
      {"http://127.0.0.1:+8000", "no number"},
      {"http://127.0.0.1:-8000", "no number"},
      {"http://127.0.0.1:8000 ", "no number"},
      {"http://127.0.0.1:80a", "no number"},
      {"http://127.0.0.1:http", "no number"},
      {"http://127.0.0.1:0x50", "no number"},
      {"htp://127.0.0.1:0", "unknown scheme"},
      {"htp://:0", "unknown scheme"},
      {"://127.0.0.1:0", "unknown scheme"},
      {" http://127.0.0.1:0", "unknown scheme"},
      {"udps://127.0.0.1:0", "unknown scheme"},
      {"http:127.0.0.1:0", "no //"},
      {"http:/127.0.0.1:0", "no //"},
      {"UDP:127.0.0.1:0", "no //"},
      {"http://nohost:0", "no address"},
      {"http://300.0.0.1:0", "no address"},
      {"http://127.0.0.1.:0", "no address"},
      {"http://127.0.0.1 :0", "no address"},
      {"http://[::1:0", "no "},
      {"http://[::g]:0", "no address"},
      {"http://[fe80::1%no-such-if]:0", "no address"},
      {"http://[fe80::1%25no-such-if]:0", "no address"},
      {"8000", "no address"},
      {"", "empty"},
      {"unix:", "no path"},
      {"unix://", "no path"},
      {"unix:///", "no path"},
      {"unix://host/path", "no host"},
  };
  size_t i;
  for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) refused(all[i].url, all[i].why);
}

static struct mg_connection *accepted(const char *url) {
  struct mg_connection *c;
  clear_log();
  c = mg_listen(&mgr, url, quiet_fn, NULL);
  CHECK(c != NULL && lines() == 0);
  if (c == NULL) fprintf(stderr, "%s: %s\n", url, said);
  return c;
}

static void good_urls(void) {
  struct mg_connection *c = accepted("UDP://127.0.0.1:0");
  CHECK(c != NULL && c->is_udp && !c->is_tls && c->loc.port != 0);
  c = accepted("TCPS://127.0.0.1:0");
  CHECK(c != NULL && !c->is_udp && c->is_tls);
  c = accepted("wSs://127.0.0.1:0/path?x=1:2");
  CHECK(c != NULL && c->is_tls);
  c = accepted("Http://user@127.0.0.1:00");
  CHECK(c != NULL && !c->is_tls);
  accepted(":0");
  accepted("127.0.0.1:0");
  accepted("localhost:0");
  accepted("//127.0.0.1:0");
  accepted("mqtt://127.0.0.1:0");
  accepted("tcp://127.0.0.1");
  CHECK(mg_url_is_ssl("HTTPS://a") && mg_url_is_ssl("Tls://a") && !mg_url_is_ssl("HTTP://a"));
}

static int errors, closes, numbers[2], resolved_port;
static char error[200];

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_RESOLVE) resolved_port = mg_ntohs(c->rem.port);
  if (ev == MG_EV_ERROR) errors++, numbers[0] = mgx_close_errno(c), mg_snprintf(error, sizeof(error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) closes++, numbers[1] = mgx_close_errno(c);
}

static void connect_to(const char *url) {
  errors = closes = numbers[0] = numbers[1] = resolved_port = 0;
  error[0] = '\0';
  clear_log();
  CHECK(mg_connect(&mgr, url, client_fn, NULL) != NULL);
  POLL_UNTIL(&mgr, closes == 1);
}

static void connection_errors(void) {
  struct mg_connection *l = accepted("http://127.0.0.1:0");
  char url[400];
  unsigned short port;
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d", port_of(l));
  clear_log();
  errno = 0;
  CHECK(mg_http_listen(&mgr, url, quiet_fn, NULL) == NULL);
  CHECK_EQ(errno, EADDRINUSE);
  CHECK(lines() == 1 && strstr(said, strerror(EADDRINUSE)) != NULL && strstr(said, "bind") != NULL);
  // An address of the documentation is no address of this machine.
  clear_log();
  CHECK(mg_listen(&mgr, "tcp://192.0.2.1:0", quiet_fn, NULL) == NULL);
  CHECK_EQ(errno, EADDRNOTAVAIL);
  CHECK(lines() == 1 && strstr(said, strerror(EADDRNOTAVAIL)) != NULL);
  // Nobody listens there any more.
  port = port_of(l);
  l->is_closing = 1;
  poll_often(&mgr);
  mg_snprintf(url, sizeof(url), "tcp://127.0.0.1:%d", port);
  connect_to(url);
  CHECK(errors == 1 && strcmp(error, "socket error") == 0);
  CHECK_EQ(numbers[0], ECONNREFUSED);
  CHECK_EQ(numbers[1], ECONNREFUSED);
  CHECK(strstr(said, strerror(ECONNREFUSED)) != NULL && lines() == 1);
  // One that the kernel knows no way to.
  connect_to("tcp://255.255.255.255:9");
  CHECK(errors == 1 && strstr(error, "connect: ") == error && atoi(error + 9) == numbers[0] && numbers[0] == numbers[1]);
  CHECK(numbers[0] > 0 && strstr(said, strerror(numbers[0])) != NULL);
  // The port of a scheme in capitals.
  connect_to("WSS://255.255.255.255/");
  CHECK_EQ(resolved_port, 443);
  CHECK_EQ(mgx_close_errno(NULL), 0);
  // Texts of our own are told in full.
  memset(url, 'x', 300);
  memcpy(url, "tcp://", 6);
  mg_snprintf(url + 300, sizeof(url) - 300, "%s", ".test:1");
  connect_to(url);
  CHECK(errors == 1 && strlen(error) > 63 && strlen(error) == sizeof(error) - 1);
}

int main(void) {
  mg_log_set(MG_LL_ERROR);
  mg_log_set_fn(log_fn, NULL);
  mg_mgr_init(&mgr);
  bad_urls();
  good_urls();
  connection_errors();
  // What goes wrong is told; nothing was opened that stays.
  mg_mgr_free(&mgr);
  CHECK_EQ(mgr.conns == NULL, 1);
  return DONE();
}
