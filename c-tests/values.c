// Values in text: what functions print, parse and match, compared with the C library and with guarded memory.
#include <limits.h>
#include <math.h>

#include "peer.h"

// ---- mg_match

#define ENTRIES 6

// Matches with an array of just `entries`, with others behind it that must stay as they are.
static void matches(const char *s, const char *pattern, size_t entries, const char *want) {
  struct mg_str caps[ENTRIES + 4], untouched = mg_str("untouched");
  char got[200] = "";
  size_t i;
  for (i = 0; i < ENTRIES + 4; i++) caps[i] = untouched;
  CHECK(mg_match(mg_str(s), mg_str(pattern), NULL) == (want != NULL));
  CHECK(mg_match(mg_str(s), mg_str(pattern), caps) == (want != NULL));
  for (i = entries; i < ENTRIES + 4; i++) {
    if (caps[i].buf != untouched.buf || caps[i].len != untouched.len) {
      fprintf(stderr, "%s %s: entry %d is written\n", s, pattern, (int) i);
      checks_failed++;
    }
  }
  if (want == NULL) {
    CHECK(caps[0].buf == NULL && caps[0].len == 0);
    return;
  }
  for (i = 0; i < entries; i++) {
    if (caps[i].buf == NULL) {
      CHECK(i + 1 == entries && caps[i].len == 0);
      strcat(got, "|");
    } else {
      snprintf(got + strlen(got), 50, "(%.*s)", (int) caps[i].len, caps[i].buf);
    }
  }
  if (strcmp(got, want) != 0) fprintf(stderr, "%s %s: %s, not %s\n", s, pattern, got, want);
  CHECK(strcmp(got, want) == 0);
}

static void captures(void) {
  // A pattern that ends in a run has no terminator.
  matches("/user/7", "/user/*", 1, "(7)");
  matches("/user/", "/user/*", 1, "()");
  matches("/a/b/c", "/#", 1, "(a/b/c)");
  matches("", "*", 1, "()");
  matches("", "#", 1, "()");
  matches("a/b", "*#", 1, "(a/b)");
  matches("ab", "#*", 1, "(ab)");
  matches("ab", "***", 1, "(ab)");
  matches("/a/b", "/*/*", 2, "(a)(b)");
  matches("/a/b/c", "/*/#", 2, "(a)(b/c)");
  matches("abc", "?*", 2, "(a)(bc)");
  matches("axb", "*x#", 2, "(a)(b)");
  matches("a?b", "a?b*", 2, "(?)()");
  // Others have one.
  matches("acb", "a*b", 2, "(c)|");
  matches("/a/b", "/#/b", 2, "(a)|");
  matches("abc", "abc", 1, "|");
  matches("", "", 1, "|");
  matches("a", "?", 2, "(a)|");
  matches("ab", "*?", 3, "(a)(b)|");
  matches("a*", "a*?", 3, "()(*)|");
  // What does not match writes one entry at most, and it may be the only one there is.
  matches("/a/b", "/*", 1, NULL);
  matches("x", "/#", 1, NULL);
  matches("abc", "a*d", 1, NULL);
  matches("abcabc", "?b?x*", 1, NULL);
  matches("", "?", 1, NULL);
}

// ---- formatting

static unsigned long long s_state = 88172645463325252ULL;

static unsigned rnd(unsigned n) {
  s_state ^= s_state << 13;
  s_state ^= s_state >> 7;
  s_state ^= s_state << 17;
  return (unsigned) ((s_state >> 20) % n);
}

// Prints with both, also into a buffer that is too small.
#define SAME(fmt, ...)                                                                            \
  do {                                                                                            \
    static char ours[3000], theirs[3000];                                                         \
    int want_len = snprintf(theirs, sizeof(theirs), fmt, __VA_ARGS__);                            \
    size_t got_len = mg_snprintf(ours, sizeof(ours), fmt, __VA_ARGS__);                           \
    checks_done++;                                                                                \
    if ((size_t) want_len != got_len || strcmp(ours, theirs) != 0) {                              \
      fprintf(stderr, "%s:%d: %s gives %s, not %s\n", __FILE__, __LINE__, fmt, ours, theirs);     \
      checks_failed++;                                                                            \
    }                                                                                             \
    CHECK(mg_snprintf(ours, 8, fmt, __VA_ARGS__) == got_len && strncmp(ours, theirs, 7) == 0 && strlen(ours) < 8); \
  } while (0)

static double random_double(void) {
  union {
    unsigned long long bits;
    double d;
  } u;
  double special[] = {0.0, -0.0, 0.087, 0.15, 1.15, 2.5, 0.5, 1e-5, 1e22, 1e23, 1e300, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308};
  switch (rnd(5)) {
    case 0: rnd(1); u.bits = s_state; return u.d;
    case 1: return special[rnd(sizeof(special) / sizeof(special[0]))];
    case 2: return (double) rnd(2000000) / 1000.0 - 1000.0;
    case 3: return (double) rnd(1000) / 8;
    default: return rnd(2) ? HUGE_VAL : -HUGE_VAL;
  }
}

#ifdef _WIN32
#define WITH_WIDTH "feEF"  // mingw-w64's %g omits a space before or after a number
#else
#define WITH_WIDTH "feEgGF"
#endif

static void numbers(void) {
  char fmt[50];
  int i;
  for (i = 0; i < 20000; i++) {
    char flags[4] = "";
    double d = random_double();
    int width = (int) rnd(40) - 20, precision = (int) rnd(30) - 2, n = (int) rnd(2000) - 1000;
    unsigned k, count = rnd(4);
    for (k = 0; k < count; k++) flags[k] = "-+ 0#"[rnd(5)];
    snprintf(fmt, sizeof(fmt), "[%%%s*.*%c]", flags, WITH_WIDTH[rnd(sizeof(WITH_WIDTH) - 1)]);
    SAME(fmt, width, precision, d);
    snprintf(fmt, sizeof(fmt), "%%%s%u%c%%%c", flags, rnd(20) + 1, WITH_WIDTH[rnd(sizeof(WITH_WIDTH) - 1)], "feg"[rnd(3)]);
    SAME(fmt, d, d);
    for (k = 0; flags[k] != '\0'; k++) flags[k] = flags[k] == '#' ? '+' : flags[k];
    snprintf(fmt, sizeof(fmt), "%%%s*.*i %%%s5li %%hhi", flags, flags);
    SAME(fmt, width, precision, n, (long) i * 1000000, n);
  }
  snprintf(fmt, sizeof(fmt), "%s", "%.0f %.1f %.2f %f");
  SAME(fmt, 2.5, 0.087, 0.0096, 0.0);
  snprintf(fmt, sizeof(fmt), "%s", "%.1074f|%.1100f|%.800e|%.900g");
  SAME(fmt, 5e-324, 5e-324, 5e-324, 5e-324);
  snprintf(fmt, sizeof(fmt), "%s", "%i %s");
  SAME(fmt, 7, "seven");
}

// Widths and precisions of any size only count, where there is nowhere to put them.
static void huge_widths(void) {
  char buf[10];
  CHECK_EQ(mg_snprintf(buf, sizeof(buf), "%.2147483647f", 1.0), 2147483649ULL);
  CHECK(strcmp(buf, "1.0000000") == 0);
  CHECK_EQ(mg_snprintf(buf, sizeof(buf), "%2147483647i", 1), 2147483647);
  CHECK_EQ(mg_snprintf(buf, sizeof(buf), "%-*i|%*i", 5, 1, INT_MIN, 1), 2147483648ULL + 6);
}

// Behind the data there is always a NUL, as far as there is room.
static void fixed_buffers(void) {
  unsigned char mem[5];
  struct mg_iobuf io;
  size_t size, n;
  for (size = 0; size < sizeof(mem); size++) {
    memset(mem, 0xff, sizeof(mem));
    memset(&io, 0, sizeof(io));
    io.buf = mem, io.size = size;
    for (n = 1; n < 8; n++) {
      mg_pfn_iobuf_noresize('x', &io);
      CHECK_EQ(io.len, n < size ? n : size);
      if (size > 0) CHECK(strlen((char *) mem) == (n < size ? n : size - 1));
      CHECK_EQ(mem[size], 0xff);
    }
  }
}

// ---- URLs

static void urls(void) {
  CHECK_EQ(mg_url_port("http://host: 81"), 81);
  CHECK_EQ(mg_url_port("http://host:+81/"), 81);
  CHECK_EQ(mg_url_port("tcp://host:\t +81"), 81);
  CHECK_EQ(mg_url_port("tcp://[::1]: 81"), 81);
  CHECK_EQ(mg_url_port("http://host:+-81"), 0);
  CHECK_EQ(mg_url_port("http://host:+ 81"), 0);
}

// ---- JSON

static void string_is(const char *text, const char *want) {
  char json[200], *s;
  snprintf(json, sizeof(json), "{\"a\":\"%s\"}", text);
  s = mg_json_get_str(mg_str(json), "$.a");
  if (s == NULL || strcmp(s, want) != 0) fprintf(stderr, "%s gives %s\n", text, s == NULL ? "NULL" : s);
  CHECK(s != NULL && strcmp(s, want) == 0);
  mg_free(s);
}

static void json(void) {
  char buf[10];
  string_is("caf\\u00e9", "caf\xc3\xa9");
  string_is("\\u0416", "\xd0\x96");
  string_is("\\u20ac\\uFFFF", "\xe2\x82\xac\xef\xbf\xbf");
  string_is("\\uD83D\\ude00", "\xf0\x9f\x98\x80");
  string_is("\\ud83d", "\xef\xbf\xbd");
  string_is("a\\ude00b", "a\xef\xbf\xbd" "b");
  string_is("\\ud83d\\n", "\xef\xbf\xbd\n");
  string_is("\\ud83d\\ud83d\\ude00", "\xef\xbf\xbd\xf0\x9f\x98\x80");
  CHECK(mg_json_unescape(mg_str("\"\\u00e9\""), "$", buf, sizeof(buf)) == 1 && strcmp(buf, "\xe9") == 0);
  CHECK_EQ(mg_json_unescape(mg_str("\"\\u0416\""), "$", buf, sizeof(buf)), 0);
  CHECK_EQ(mg_json_get_long(mg_str("4.35e2"), "$", 0), 435);
  CHECK_EQ(mg_json_get_long(mg_str("1000000e-3"), "$", 0), 1000);
  CHECK_EQ(mg_json_get_long(mg_str("-1.55e1"), "$", 0), -15);
  CHECK_EQ(mg_json_get_long(mg_str("1e99999999999"), "$", 0), LONG_MAX);
  CHECK_EQ(mg_json_get_long(mg_str("-1e99999999999"), "$", 0), LONG_MIN);
  if (sizeof(long) == 8) {
    CHECK(mg_json_get_long(mg_str("9007199254740993"), "$", 0) == (long) 9007199254740993LL);
    CHECK(mg_json_get_long(mg_str("9.223372036854775807e18"), "$", 0) == LONG_MAX);
    CHECK(mg_json_get_long(mg_str("-9223372036854775807"), "$", 0) == LONG_MIN + 1);
  }
}

// ---- multipart

#define HEAD "Content-Disposition: form-data; name=\"n\"; filename=\"f\"\r\n\r\n"

// The parts of a body: their texts, each in parentheses.
static void parts_are(const char *body, const char *want) {
  struct mg_http_part part;
  char got[200] = "";
  size_t ofs = 0;
  while ((ofs = mg_http_next_multipart(mg_str(body), ofs, &part)) > 0) {
    CHECK(mg_strcmp(part.name, mg_str("n")) == 0 && mg_strcmp(part.filename, mg_str("f")) == 0);
    snprintf(got + strlen(got), 50, "(%.*s)", (int) part.body.len, part.body.buf);
  }
  CHECK(part.name.buf == NULL && part.body.buf == NULL && part.body.len == 0);
  if (strcmp(got, want) != 0) fprintf(stderr, "%s: %s, not %s\n", body, got, want);
  CHECK(strcmp(got, want) == 0);
}

static void multipart(void) {
  parts_are("--B\r\n" HEAD "a\r\n--B\r\n" HEAD "b\r\n--B--\r\n", "(a)(b)");
  parts_are("\r\n--B\r\n" HEAD "line1\r\nline2\r\n\r\n--B--\r\n", "(line1\r\nline2\r\n)");
  parts_are("For old clients.\r\n\r\n--B\r\n" HEAD "a\r\n--B--\r\nMore.\r\n--B\r\n" HEAD "b\r\n--B--", "(a)");
  parts_are("--B \t\r\n" HEAD "a\r\n--B\t\r\n" HEAD "b\r\n--B--  \r\n", "(a)(b)");
  parts_are("--B\r\n" HEAD "a\r\n--Bx\r\nb\r\n--B", "(a\r\n--Bx\r\nb)");
  parts_are("--B\r\n" HEAD "file cut sho", "");
  parts_are("--B\r\n" HEAD "a\r\n--B\r\n" HEAD "file cut sho", "(a)");
  parts_are("--B\nContent-Disposition: form-data; name=\"n\"\n\na\n--B--\n", "");
  parts_are("B\r\n" HEAD "a\r\nB--\r\n", "");
}

int main(void) {
  struct mg_mgr mgr;
  mg_log_set(MG_LL_NONE);
  captures();
  numbers();
  huge_widths();
  fixed_buffers();
  urls();
  json();
  multipart();
  mg_mgr_init(&mgr);
  CHECK(mg_modbus_listen(&mgr, "udp://127.0.0.1:0", NULL, NULL) == NULL);
  errno = 0;
  CHECK(mg_modbus_listen(&mgr, "UDP://127.0.0.1:0", NULL, NULL) == NULL && errno == EINVAL);
  CHECK(mgr.conns == NULL);
  mg_mgr_free(&mgr);
  return DONE();
}
