// Shared by variadic.c and replaceable.c.
#ifndef SHIM_H
#define SHIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#ifdef _WIN32  // packaging/link-dll.sh selects the exports of the DLL
#define API
#define REPLACEABLE
#define PRIVATE
#else
#define API __attribute__((visibility("default")))
#define REPLACEABLE __attribute__((visibility("default"), weak))
#define PRIVATE __attribute__((visibility("hidden")))
#endif

#define WITH_ARGS(last, call) \
  do {                        \
    va_list ap;               \
    va_start(ap, last);       \
    call;                     \
    va_end(ap);               \
  } while (0)

#endif
