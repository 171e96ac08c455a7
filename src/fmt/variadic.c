// Functions that Rust cannot define on its stable compiler: those with variable arguments, and those that a program may
// replace by its own (weak symbols). Each is one call into Rust. Names beginning with mgc_ are private: the hidden
// visibility given here keeps them out of the shared library's symbol table, whichever side defines them.
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define API __attribute__((visibility("default")))
#define REPLACEABLE __attribute__((visibility("default"), weak))
#define PRIVATE __attribute__((visibility("hidden")))

// ---- va_list readers for src/fmt/va.rs
PRIVATE int mgc_va_int(va_list *ap) { return va_arg(*ap, int); }
PRIVATE long mgc_va_long(va_list *ap) { return va_arg(*ap, long); }
PRIVATE int64_t mgc_va_i64(va_list *ap) { return va_arg(*ap, int64_t); }
PRIVATE double mgc_va_double(va_list *ap) { return va_arg(*ap, double); }
PRIVATE void *mgc_va_ptr(va_list *ap) { return va_arg(*ap, void *); }

// ---- memory: a program may bring its own pair
static void *libc_calloc(size_t count, size_t size) { return calloc(count, size); }
API __attribute__((weak, alias("libc_calloc"))) void *mg_calloc(size_t count, size_t size);
REPLACEABLE void mg_free(void *ptr) { free(ptr); }
PRIVATE bool mgc_heap_is_libc(void) { return mg_calloc == libc_calloc; }

// ---- clock: a program may bring its own mg_millis
PRIVATE uint64_t mgc_millis(void);
REPLACEABLE uint64_t mg_millis(void) { return mgc_millis(); }
// Data lives here so that both languages reach it through the dynamic symbol table, wherever the program's copy of it is.
API uint64_t mg_boot_timestamp_ms = 0;

// ---- random numbers: a program may bring its own mg_random
PRIVATE bool mgc_random(void *buf, size_t len);
REPLACEABLE bool mg_random(void *buf, size_t len) { return mgc_random(buf, len); }
