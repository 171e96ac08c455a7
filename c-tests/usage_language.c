// Language constructs of applications: initialisers, names of their own, switches tested by the preprocessor. All of it must
// compile in C and C++ without warnings.
// flags:
// flags: -DMG_ENABLE_LINES
// flags: -DMG_ENABLE_SSI=1
// flags: -DMG_ENABLE_IPV6=0
// flags: -DMG_ENABLE_PACKED_FS=0
// flags: -DMG_TLS=MG_TLS_OPENSSL
// flags: -DMG_TLS=MG_TLS_BUILTIN
// flags: -DMG_IO_SIZE=128 -DMG_ENABLE_POLL=1 -DMG_ENABLE_EPOLL=0
// flags: -D_GNU_SOURCE -DMG_ENABLE_MD5=0 -DMG_ENABLE_POSIX_FS=0 -DMG_SOME_NAME_OF_THE_PROGRAM=7
#include "mongoose.h"

#include "check.h"

#ifdef closesocket
#error Programs for several systems define this themselves
#endif
#define closesocket(x) close(x)

struct mg_str mg_str(const char *s);  // stays out of the way of the macro

// Names that belong to the application.
struct mg_mgr g_mgr;
static int own_calls;
void mg_mqtt_init(struct mg_mgr *mgr) {
  own_calls += mgr == &g_mgr ? 1 : 0;
}
void mg_mqtt_poll(struct mg_mgr *mgr) {
  own_calls += mgr == &g_mgr ? 10 : 0;
}
void mg_dash_init(struct mg_mgr *mgr) {
  own_calls += mgr == &g_mgr ? 100 : 0;
}
void mg_dash_poll(struct mg_mgr *mgr) {
  own_calls += mgr == &g_mgr ? 1000 : 0;
}
static const unsigned char page[] = "<html>";
const struct mg_mem_file mg_packed_files[] = {
    {"/web_root/index.html", page, sizeof(page) - 1, 1700000000},
    {NULL, NULL, 0, 0},
};

#ifdef __cplusplus
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"  // zero, as in C
#endif

static void options(void) {
  const char *topic = "a/b";
  struct mg_http_serve_opts serve = {.root_dir = "x", .page404 = "y"};
  struct mg_mqtt_opts mqtt = {.topic = mg_str(topic), .qos = 1, .clean = true};
  struct mg_jwt_opts jwt = {.claims = mg_str("{}"), .secret = mg_str("s")};
  struct mg_http_serve_opts zero = {0};
  struct mg_mqtt_opts cleared;
#ifdef __cplusplus
  struct mg_http_serve_opts empty = {};
  CHECK(empty.root_dir == NULL && empty.fs == NULL);
#endif
  memset(&cleared, 0, sizeof(cleared));
  CHECK(strcmp(serve.root_dir, "x") == 0 && serve.ssi_pattern == NULL && serve.extra_headers == NULL && serve.mime_types == NULL);
  CHECK(strcmp(serve.page404, "y") == 0 && serve.fs == NULL);
  CHECK(mqtt.clean && mqtt.qos == 1 && mqtt.topic.len == 3 && mqtt.user.buf == NULL && mqtt.num_props == 0);
  CHECK(jwt.claims.len == 2 && jwt.kid.len == 0 && jwt.secret.buf[0] == 's' && jwt.private_key == NULL);
  CHECK(zero.root_dir == NULL && zero.page404 == NULL && cleared.version == 0);
}

// The order of members is part of the API.
static void members_in_order(void) {
  struct mg_iobuf io = {0, 0, 0, 512};
  struct mg_rpc *head = NULL;
  struct mg_rpc_req r = {&head, 0, mg_pfn_iobuf, &io, 0, mg_str("{\"id\":1,\"method\":\"none\"}")};
  static struct mg_dnssd_record records[] = {
      {{(char *) "_http._tcp", 10}, {(char *) "\x03" "a=b", 4}, 80},
      {{(char *) "_mqtt._tcp", 10}, {NULL, 0}, 1883},
  };
  static struct mg_mem_file files[] = {{"/a", (const uint8_t *) "abc", 3, 0}, {NULL, NULL, 0, 0}};
  struct mg_str s = {(char *) "xyz", 2};
  CHECK(mg_iobuf_add(&io, 0, "hello", 5) == 5 && io.len == 5 && io.size == 512);
  mg_iobuf_del(&io, 0, 5);
  mg_rpc_process(&r);
  CHECK(io.buf != NULL && strcmp((char *) io.buf, "{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"none not found\"}}") == 0);
  mg_iobuf_free(&io);
  CHECK(records[1].port == 1883 && records[0].txt.len == 4 && records[0].srvcproto.buf[1] == 'h');
  CHECK(files[0].size == 3 && files[0].data[2] == 'c' && files[1].path == NULL);
  CHECK(mg_strcmp(s, mg_str("xy")) == 0);
}

static void preprocessor(void) {
  struct mg_http_message *hm = NULL;
#if MG_TLS
  CHECK(MG_TLS != MG_TLS_NONE);
#else
  CHECK(MG_TLS == MG_TLS_NONE);
#endif
#if MG_TLS == MG_TLS_BUILTIN
  CHECK(MG_TLS == 3);
#elif MG_TLS == MG_TLS_OPENSSL
  CHECK(MG_TLS == 2);
#elif MG_TLS == MG_TLS_MBED || MG_TLS == MG_TLS_WOLFSSL
  CHECK(false);
#endif
#if MG_ARCH == MG_ARCH_UNIX
  CHECK(MG_ARCH == 1 && MG_INVALID_SOCKET == -1 && sizeof(MG_SOCKET_TYPE) == sizeof(int));
#elif MG_ARCH == MG_ARCH_WIN32
  CHECK(MG_ARCH == 2 && MG_INVALID_SOCKET == (MG_SOCKET_TYPE) -1 && sizeof(MG_SOCKET_TYPE) == sizeof(void *));
#else
  CHECK(false);
#endif
#if MG_ENABLE_SSI
  CHECK(MG_ENABLE_SSI == 1);
#endif
#ifdef MG_SOME_NAME_OF_THE_PROGRAM
  CHECK(MG_SOME_NAME_OF_THE_PROGRAM == 7);
#endif
  CHECK(sizeof(hm->headers) / sizeof(hm->headers[0]) == 30);
  CHECK(MG_HTTP_INDEX != NULL && MG_DIRSEP == '/' && MG_ENABLE_SOCKET == 1 && MG_ENABLE_TCPIP == 0);
  CHECK(strncmp(MG_VERSION, "7.22", 4) == 0);
}

static void small_things(void) {
  int sock = socket(AF_INET, SOCK_STREAM, 0);
  char small[MG_IO_SIZE];
  signal(SIGPIPE, SIG_IGN);
  CHECK(closesocket(sock) == 0);
  mg_snprintf(small, sizeof(small), "%d", 7);
  CHECK(small[0] == '7');
  mg_mqtt_init(&g_mgr);
  mg_mqtt_poll(&g_mgr);
  mg_dash_init(&g_mgr);
  mg_dash_poll(&g_mgr);
  CHECK_EQ(own_calls, 1111);
  CHECK(mg_packed_files[0].size == 6 && mg_packed_files[1].path == NULL);
}

static int events;

// Handlers need not have C linkage.
static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) events++;
  if (ev == MG_EV_CLOSE) events += 10;
  (void) c, (void) ev_data;
}

static void runs(void) {
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&g_mgr);
  CHECK(mg_http_listen(&g_mgr, "http://127.0.0.1:0", handler, NULL) != NULL);
  mg_mgr_poll(&g_mgr, 0);
  mg_mgr_free(&g_mgr);
  CHECK_EQ(events, 11);
}

int main(void) {
  options();
  members_in_order();
  preprocessor();
  small_things();
  runs();
  return DONE();
}
