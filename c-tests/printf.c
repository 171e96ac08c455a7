// Formatting: custom printers, every destination, output into the memory that is printed.
#include "mongoose.h"

static int s_failures;

#define CHECK(cond)                                             \
  do {                                                          \
    if (!(cond)) {                                              \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond); \
      s_failures++;                                             \
    }                                                           \
  } while (0)

// Takes two arguments of its own and prints through the library.
static size_t print_pair(void (*out)(char, void *), void *arg, va_list *ap) {
  int x = va_arg(*ap, int);
  double y = va_arg(*ap, double);
  return mg_xprintf(out, arg, "(%d, %g, %m)", x, y, MG_ESC("\"in\""));
}

// Calls the character function itself.
static size_t print_stars(void (*out)(char, void *), void *arg, va_list *ap) {
  int n = va_arg(*ap, int);
  for (int i = 0; i < n; i++) out('*', arg);
  return (size_t) n;
}

static void count_char(char ch, void *arg) {
  (void) ch;
  (*(size_t *) arg)++;
}

static void test_printers(void) {
  char buf[100];
  const char *want = "a(1, 2.5, \"\\\"in\\\"\")b***c\"**\"7";
  size_t len = strlen(want), n = 0;
  CHECK(mg_snprintf(buf, sizeof(buf), "a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7) == len);
  CHECK(strcmp(buf, want) == 0);
  CHECK(mg_snprintf(buf, 10, "a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7) == len);
  CHECK(strlen(buf) == 9 && memcmp(buf, want, 9) == 0);
  CHECK(mg_snprintf(NULL, 0, "a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7) == len);
  CHECK(mg_xprintf(count_char, &n, "a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7) == len && n == len);

  char *s = mg_mprintf("a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7);
  CHECK(s != NULL && strcmp(s, want) == 0);
  mg_free(s);

  struct mg_iobuf io = {0, 0, 0, 16};
  CHECK(mg_xprintf(mg_pfn_iobuf, &io, "a%Mb%Mc%m%d", print_pair, 1, 2.5, print_stars, 3, print_stars, 2, 7) == len);
  CHECK(io.len == len && io.size == 32 && strcmp((char *) io.buf, want) == 0);
  mg_iobuf_free(&io);
}

static void test_iobuf(void) {
  // The capacity is what appending byte by byte gives.
  for (size_t align = 0; align < 40; align += 13) {
    struct mg_iobuf io = {0, 0, 0, align};
    CHECK(mg_xprintf(mg_pfn_iobuf, &io, "%s", "") == 0 && io.buf == NULL && io.size == 0);
    for (int i = 0; i < 100; i++) {
      CHECK(mg_xprintf(mg_pfn_iobuf, &io, "%d%c%s%05d-%M", i, 'x', "abc", i, mg_print_hex, 2, "hi") > 0);
      size_t size = io.len + 1;
      if (align > 0) size = (size + align - 1) / align * align;
      CHECK(io.size == size && io.buf[io.len] == 0);
    }
    mg_iobuf_free(&io);
  }

  // A source inside the buffer that grows.
  struct mg_iobuf io = {0, 0, 0, 0};
  mg_xprintf(mg_pfn_iobuf, &io, "0123456789");
  mg_xprintf(mg_pfn_iobuf, &io, "%s", io.buf);
  CHECK(io.len == 20 && strcmp((char *) io.buf, "01234567890123456789") == 0);
  mg_iobuf_free(&io);

  // No growth: the last byte becomes a NUL, which counts.
  unsigned char mem[4] = {1, 1, 1, 1};
  struct mg_iobuf fixed = {mem, sizeof(mem), 0, 0};
  CHECK(mg_xprintf(mg_pfn_iobuf_noresize, &fixed, "%s", "ab") == 2 && fixed.len == 2);
  CHECK(mg_xprintf(mg_pfn_iobuf_noresize, &fixed, "%s", "cdef") == 4 && fixed.len == 4 && memcmp(mem, "abc", 4) == 0);
}

static void test_own_memory(void) {
  char buf[20] = "abc";
  CHECK(mg_snprintf(buf, sizeof(buf), "%s, %d", buf, 5) == 6 && strcmp(buf, "abc, 5") == 0);
}

static void test_large(void) {
  size_t n = 3000000;
  char *big = (char *) mg_calloc(1, n + 1);
  memset(big, 'x', n);
  char *s = mg_mprintf("%.*s|%s", (int) n, big, "end");
  CHECK(s != NULL && strlen(s) == n + 4 && memcmp(s, big, n) == 0 && strcmp(s + n, "|end") == 0);
  mg_free(s);
  mg_free(big);
}

static void test_queue(void) {
  char mem[64], *p;
  struct mg_queue q;
  mg_queue_init(&q, mem, sizeof(mem));
  CHECK(mg_queue_printf(&q, "%M %s", print_stars, 2, "hi") == 5);
  CHECK(mg_queue_printf(&q, "%s", "") == 0);
  CHECK(mg_queue_printf(&q, "%64d", 1) == 0);
  CHECK(mg_queue_next(&q, &p) == 5 && memcmp(p, "** hi", 6) == 0);
  mg_queue_del(&q, 5);
  CHECK(mg_queue_next(&q, &p) == 0);
}

static void test_log(void) {
  struct mg_iobuf io = {0, 0, 0, 64};
  mg_log_set_fn(mg_pfn_iobuf, &io);
  mg_log_set(MG_LL_INFO);
  MG_DEBUG(("not this"));
  CHECK(io.len == 0);
  MG_INFO(("%s %M", "this", print_stars, 3));
  CHECK(io.len == 40 + 8 + 2 && memcmp(io.buf + 40, "this ***\r\n", 11) == 0);
  mg_log_set_fn(NULL, NULL);
  mg_iobuf_free(&io);
}

int main(void) {
  test_printers();
  test_iobuf();
  test_own_memory();
  test_large();
  test_queue();
  test_log();
  return s_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
