// A preload that lets allocations fail: from one on, so many in a row, of those of at least so many bytes; and counts blocks in use.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static int (*real_memalign)(void **, size_t, size_t);
static void *(*real_aligned)(size_t, size_t);
static void (*real_free)(void *);
// dlsym allocates.
static char early[65536];
static size_t early_used;
static int finding;
static long made, first = -1, last, blocks;
static size_t least;
static int on;

static void find(void) {
  if (finding || real_calloc != NULL) return;
  finding = 1;
  *(void **) &real_malloc = dlsym(RTLD_NEXT, "malloc");
  *(void **) &real_realloc = dlsym(RTLD_NEXT, "realloc");
  *(void **) &real_memalign = dlsym(RTLD_NEXT, "posix_memalign");
  *(void **) &real_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
  *(void **) &real_free = dlsym(RTLD_NEXT, "free");
  *(void **) &real_calloc = dlsym(RTLD_NEXT, "calloc");
}

// Of the allocations that are made while `on`, counted from 0: `n` from `at` on fail. -1: none.
void starve_arm(long at, long n, size_t size) {
  made = 0, first = at, last = n > 0 && at >= 0 ? at + n : 0, least = size;
}

void starve_on(int value) {
  on = value;
}

long starve_made(void) {
  return made;
}

long starve_blocks(void) {
  return blocks;
}

static int fails(size_t size) {
  long n;
  if (!on || size < least) return 0;
  n = __sync_fetch_and_add(&made, 1);
  if (first < 0 || n < first || n >= last) return 0;
  errno = ENOMEM;
  return 1;
}

static void *counted(void *p) {
  if (p != NULL) __sync_fetch_and_add(&blocks, 1);
  return p;
}

void *malloc(size_t n) {
  find();
  return fails(n) ? NULL : counted(real_malloc(n));
}

void *calloc(size_t n, size_t size) {
  find();
  if (real_calloc == NULL) {
    void *p = early + early_used;
    early_used += (n * size + 15) & ~(size_t) 15;
    if (early_used > sizeof(early)) _exit(98);
    return p;
  }
  return fails(n * size) ? NULL : counted(real_calloc(n, size));
}

void *realloc(void *p, size_t n) {
  void *q;
  find();
  if (fails(n)) return NULL;
  q = real_realloc(p, n);
  return p == NULL ? counted(q) : q;
}

int posix_memalign(void **p, size_t align, size_t n) {
  int result;
  find();
  if (fails(n)) return ENOMEM;
  result = real_memalign(p, align, n);
  if (result == 0) counted(*p);
  return result;
}

void *aligned_alloc(size_t align, size_t n) {
  find();
  return fails(n) ? NULL : counted(real_aligned(align, n));
}

void free(void *p) {
  if (p == NULL || ((char *) p >= early && (char *) p < early + sizeof(early))) return;
  find();
  __sync_fetch_and_sub(&blocks, 1);
  real_free(p);
}
