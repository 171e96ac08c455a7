// Shared by all C test programs: CHECK counts and reports failures, DONE ends main.
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>

static int checks_done, checks_failed;

#define CHECK(cond)                                                    \
  do {                                                                 \
    checks_done++;                                                     \
    if (!(cond)) {                                                     \
      checks_failed++;                                                 \
      fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #cond); \
    }                                                                  \
  } while (0)

// Like CHECK, for integers; prints both.
#define CHECK_EQ(got, want)                                                                      \
  do {                                                                                           \
    long long check_got = (long long) (got), check_want = (long long) (want);                    \
    checks_done++;                                                                               \
    if (check_got != check_want) {                                                               \
      checks_failed++;                                                                           \
      fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #got, check_got, check_want); \
    }                                                                                            \
  } while (0)

// `return DONE();` fails if the program made no check.
#define DONE()                                                                      \
  (fprintf(stderr, "%d checks, %d failed\n", checks_done, checks_failed), checks_failed > 0 || checks_done == 0)

#endif
