// The application's own mg_calloc, mg_free, mg_random, mg_millis, mg_log and mg_log_prefix are called by the library too, with
// and without the switches that announce them.
// flags:
// flags: -DMG_ENABLE_CUSTOM_CALLOC=1 -DMG_ENABLE_CUSTOM_RANDOM=1 -DMG_ENABLE_CUSTOM_MILLIS=1 -DMG_ENABLE_CUSTOM_LOG=1
#include "mongoose.h"

#include "check.h"

static int blocks, logged, prefixed;
static char last[100];

// Logs each block, as applications do that look for leaks: the log itself must not allocate.
void *mg_calloc(size_t count, size_t size) {
  void *p = calloc(count, size);
  blocks++;
  MG_DEBUG(("calloc %lu %lu", (unsigned long) count, (unsigned long) size));
  return p;
}

void mg_free(void *ptr) {
  if (ptr != NULL) blocks--;
  MG_DEBUG(("free"));
  free(ptr);
}

bool mg_random(void *buf, size_t len) {
  memset(buf, 1, len);
  return true;
}

uint64_t mg_millis(void) {
  return 12345;
}

void mg_log(const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  mg_vsnprintf(last, sizeof(last), fmt, &ap);
  va_end(ap);
  logged++;
}

void mg_log_prefix(int level, const char *file, int line, const char *fname) {
  prefixed++;
  (void) level, (void) file, (void) line, (void) fname;
}

int main(void) {
  struct mg_iobuf io = {NULL, 0, 0, 16};
  struct mg_str copy;
  struct mg_mgr mgr;
  char name[8], *text;

  copy = mg_strdup(mg_str("hello"));
  CHECK_EQ(blocks, 1);
  CHECK_EQ(logged, 1);
  CHECK_EQ(prefixed, 1);
  CHECK(strcmp(last, "calloc 1 6") == 0 || strcmp(last, "calloc 6 1") == 0);
  mg_free(copy.buf);
  CHECK_EQ(blocks, 0);

  text = mg_mprintf("%d %s", 1, "two");
  CHECK(text != NULL && strcmp(text, "1 two") == 0);
  CHECK_EQ(blocks, 1);
  mg_free(text);

  CHECK_EQ(mg_iobuf_add(&io, 0, "abc", 3), 3);
  CHECK_EQ(blocks, 1);
  mg_iobuf_free(&io);
  CHECK_EQ(blocks, 0);

  mg_random_str(name, sizeof(name));
  CHECK(strlen(name) == 7 && memcmp(name, name + 1, 6) == 0);
  CHECK_EQ(mg_millis(), 12345);
  CHECK_EQ(mg_now(), 12345);

  mg_mgr_init(&mgr);
  CHECK(mg_timer_add(&mgr, 1000, MG_TIMER_REPEAT, NULL, NULL) != NULL);
  CHECK(mg_listen(&mgr, "tcp://127.0.0.1:0", NULL, NULL) != NULL);
  CHECK(blocks > 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(blocks, 0);

  last[0] = '\0';
  MG_ERROR(("%s %d", "own log", 7));
  CHECK(strcmp(last, "own log 7") == 0);
  return DONE();
}
