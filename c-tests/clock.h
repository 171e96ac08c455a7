// A clock set by the test, through the application's own mg_millis.
#ifndef CLOCK_H
#define CLOCK_H

#include "mongoose.h"

static uint64_t clock_ms = 1000000;

uint64_t mg_millis(void) {
  return clock_ms;
}

#endif
