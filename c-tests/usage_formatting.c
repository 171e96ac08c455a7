// Formatting and the memory it returns, as applications use them.
#include "mongoose.h"

#include "check.h"

static bool prints(const char *want, const char *fmt, ...) {
  char buf[200];
  va_list ap;
  size_t n;
  va_start(ap, fmt);
  n = mg_vsnprintf(buf, sizeof(buf), fmt, &ap);
  va_end(ap);
  if (n == strlen(want) && strcmp(buf, want) == 0) return true;
  fprintf(stderr, "%s: '%s', not '%s'\n", fmt, buf, want);
  return false;
}

static void conversions(void) {
  size_t n = 3;
  unsigned char byte = 200;
  char buf[10];
  CHECK(prints("abc|", "%.*s|", n, "abcdef"));
  CHECK(prints("7 200 8 9", "%hu %hhu %lu %llu", (unsigned short) 7, byte, 8UL, 9ULL));
  CHECK(prints("5  | 12|  ab|ab  |", "%-3lu|%3d|%4s|%-4s|", 5UL, 12, "ab", "ab"));
  CHECK(prints("007 ff 0x1f -1 18446744073709551615", "%03d %x %#x %d %llu", 7, 255, 31, -1, ~0ULL));
  CHECK(prints("12345678901 -5", "%lld %ld", 12345678901LL, -5L));
  CHECK(prints("1.5 0.25 100% %", "%g %.2f 100%% %%", 1.5, 0.25));
  CHECK(prints("", "%s", (char *) NULL));
  CHECK(prints("0x0", "%p", (void *) NULL));
  CHECK(prints("42", "%zu", (size_t) 42));
  CHECK(mg_snprintf(buf, sizeof(buf), "a%cb", 0) == 3);
  CHECK(memcmp(buf, "a\0b", 4) == 0);
  CHECK(mg_snprintf(buf, sizeof(buf), "%s", "longer than ten") == 15);
  CHECK(strcmp(buf, "longer th") == 0);
  CHECK(mg_snprintf(NULL, 0, "%d", 1234) == 4);
}

// ---- printers of the application's own
struct point {
  int x, y;
};

static size_t print_point(void (*out)(char, void *), void *arg, va_list *ap) {
  struct point *p = va_arg(*ap, struct point *);
  return mg_xprintf(out, arg, "(%d,%d)", p->x, p->y);
}

static size_t print_repeated(void (*out)(char, void *), void *arg, va_list *ap) {
  int n = va_arg(*ap, int);
  const char *text = va_arg(*ap, const char *);
  double sum = va_arg(*ap, double);
  size_t done = 0;
  while (n-- > 0) done += mg_xprintf(out, arg, "%s;", text);
  return done + mg_xprintf(out, arg, "%g", sum);
}

static size_t print_list(void (*out)(char, void *), void *arg, va_list *ap) {
  struct point *p = va_arg(*ap, struct point *);
  int i, n = va_arg(*ap, int);
  size_t done = 0;
  for (i = 0; i < n; i++) done += mg_xprintf(out, arg, "%s%M", i == 0 ? "" : " ", print_point, &p[i]);
  return done;
}

static void printers(void) {
  struct point p[2] = {{1, 2}, {3, 4}};
  struct mg_addr addr;
  memset(&addr, 0, sizeof(addr));
  addr.addr.ip4 = MG_IPV4(127, 0, 0, 1);
  addr.port = mg_htons(80);
  CHECK(prints("[(1,2)] 7", "[%M] %d", print_point, &p[0], 7));
  CHECK(prints("ab;ab;2.5 x", "%M %s", print_repeated, 2, "ab", 2.5, "x"));
  CHECK(prints("{\"points\":\"(1,2) (3,4)\"}", "{%m:%m}", MG_ESC("points"), print_list, p, 2));
  CHECK(prints("\"a\\\"b\\n\" \"\"", "%m %m", MG_ESC("a\"b\n"), MG_ESC(NULL)));
  CHECK(prints("6162 YWI= 127.0.0.1 127.0.0.1:80", "%M %M %M %M", mg_print_hex, 2, "ab", mg_print_base64, 2, "ab", mg_print_ip, &addr,
               mg_print_ip_port, &addr));
  CHECK(prints("&lt;a&gt;", "%M", mg_print_html_esc, 3, "<a>"));
}

// ---- memory
static char *kept[3];

static void memory(void) {
  struct mg_str json = mg_str("{\"name\":\"x\\ty\",\"empty\":\"\",\"key\":\"aGVsbG8=\",\"n\":1}"), copy;
  int len = 0;
  char *text = strdup("from the C library");
  mg_free(text);
  copy = mg_strdup(mg_str("from the library"));
  CHECK(copy.buf != NULL && copy.len == 16 && copy.buf[16] == '\0');
  free(copy.buf);
  copy = mg_strdup(mg_str(""));
  CHECK(copy.buf == NULL && copy.len == 0);

  kept[0] = mg_json_get_str(json, "$.name");
  kept[1] = mg_json_get_b64(json, "$.key", &len);
  kept[2] = mg_mprintf("%s-%d", "made", 1);
  CHECK(kept[0] != NULL && strcmp(kept[0], "x\ty") == 0);
  CHECK(kept[1] != NULL && len == 5 && memcmp(kept[1], "hello", 5) == 0);
  CHECK(kept[2] != NULL && strcmp(kept[2], "made-1") == 0);
  mg_free(kept[0]);
  mg_free(kept[1]);
  mg_free(kept[2]);
  text = mg_json_get_str(json, "$.empty");
  CHECK(text != NULL && text[0] == '\0');
  mg_free(text);
  CHECK(mg_json_get_str(json, "$.n") == NULL);
  CHECK(mg_mprintf("%s", "") == NULL);
  mg_free(NULL);
}

static void nothing_printed_no_buffer(void) {
  struct mg_iobuf io = {0, 0, 0, 128};
  CHECK(mg_xprintf(mg_pfn_iobuf, &io, "%s", "") == 0);
  CHECK(io.buf == NULL && io.len == 0 && io.size == 0);
  CHECK(mg_xprintf(mg_pfn_iobuf, &io, "%s", "x") == 1);
  CHECK(io.buf != NULL && io.len == 1 && io.size == 128 && io.buf[1] == 0);
  mg_iobuf_free(&io);
  CHECK(io.align == 128);
}

static void a_buffer_of_fixed_size(void) {
  char buf[6];
  struct mg_iobuf io = {(uint8_t *) buf, sizeof(buf), 0, 0};
  mg_xprintf(mg_pfn_iobuf_noresize, &io, "%s", "abc");
  CHECK(strcmp(buf, "abc") == 0 && io.len == 3);
  mg_xprintf(mg_pfn_iobuf_noresize, &io, "%s", "defgh");
  CHECK(strcmp(buf, "abcde") == 0 && io.buf == (uint8_t *) buf);
}

// ---- a connection that exists only on the stack
static void a_connection_without_a_manager(void) {
  struct mg_connection c;
  memset(&c, 0, sizeof(c));
  CHECK(mg_printf(&c, "GET %s HTTP/1.1\r\n", "/") == 16);
  mg_http_bauth(&c, "user", "pass");
  CHECK(mg_send(&c, "\r\n", 2));
  CHECK_EQ(c.send.len, 53);
  CHECK(c.send.buf != NULL && memcmp(c.send.buf, "GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpwYXNz\r\n\r\n", 53) == 0);
  mg_iobuf_free(&c.send);
  mg_http_reply(&c, 200, "A: b\r\n", "%d", 42);
  CHECK(c.send.buf != NULL && c.send.len == 56 && memcmp(c.send.buf + 54, "42", 2) == 0);
  c.is_resp = 1;
  mg_http_printf_chunk(&c, "%s", "x");
  mg_http_write_chunk(&c, "y", 1);
  CHECK_EQ(c.is_resp, 1);
  mg_http_printf_chunk(&c, "%s", "");
  CHECK_EQ(c.is_resp, 0);
  CHECK(memcmp(c.send.buf + 56, "00000001\r\nx\r\n1\r\ny\r\n00000000\r\n\r\n", 31) == 0);
  mg_iobuf_free(&c.send);
  c.fn = NULL;
  mg_call(&c, MG_EV_USER, NULL);
  CHECK(mg_send(&c, NULL, 0));
  CHECK(c.send.buf == NULL);
}

// ---- an application's log function
static char line[200];
static size_t line_len;

static void into_line(char ch, void *arg) {
  (void) arg;
  if (line_len + 1 < sizeof(line)) line[line_len++] = ch, line[line_len] = '\0';
}

static void logging(void) {
  int level = mg_log_level;
  mg_log_set_fn(into_line, NULL);
  mg_log_level = MG_LL_INFO;  // written directly
  MG_DEBUG(("%s", "not this"));
  CHECK_EQ(line_len, 0);
  MG_INFO(("%s %d", "this", 1));
  CHECK(line_len == 40 + 8 && strcmp(line + 40, "this 1\r\n") == 0);
  // The longer the machine runs, the less of the name fits.
  CHECK(strstr(line, "usage_formatting.c:") != NULL && strstr(line, ":log") != NULL);
  line_len = 0;
  mg_hexdump("ab", 2);
  CHECK(strcmp(line, "0000   61 62                                             ab              \r\n") == 0);
  mg_log_set_fn(mg_pfn_stdout, NULL);
  mg_log_set(level);
}

int main(void) {
  conversions();
  printers();
  memory();
  nothing_printed_no_buffer();
  a_buffer_of_fixed_size();
  a_connection_without_a_manager();
  logging();
  return DONE();
}
