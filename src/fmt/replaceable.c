// Functions that applications may replace: weak symbols. The object files of Windows have no weak definitions. There build.rs compiles
// each part to an object of its own, which the linker leaves out if the application defines the function.
#include "shim.h"

#ifdef MGX_PART
#define PART(n) (MGX_PART == (n))
#else
#define PART(n) 1
#endif

// ---- memory: applications may define both
#if PART(1)
REPLACEABLE void mg_free(void *ptr) { free(ptr); }
#endif
#if PART(2)
#if defined(__APPLE__) || defined(_WIN32)
// Mach-O has no aliases; on Windows this part may be left out.
REPLACEABLE void *mg_calloc(size_t count, size_t size) { return calloc(count, size); }
#else
static void *libc_calloc(size_t count, size_t size) { return calloc(count, size); }
API __attribute__((weak, alias("libc_calloc"))) void *mg_calloc(size_t count, size_t size);
PRIVATE bool mgc_heap_is_libc(void) { return mg_calloc == libc_calloc; }
#endif
#endif

// ---- log: applications may define both
#if PART(3)
PRIVATE void mgc_log(const char *fmt, va_list *ap);
REPLACEABLE void mg_log(const char *fmt, ...) { WITH_ARGS(fmt, mgc_log(fmt, &ap)); }
#endif
#if PART(4)
PRIVATE void mgc_log_prefix(int level, const char *file, int line, const char *fname);
REPLACEABLE void mg_log_prefix(int level, const char *file, int line, const char *fname) {
  mgc_log_prefix(level, file, line, fname);
}
#endif

// ---- clock: applications may define mg_millis; without an operating system they must
#if PART(5) && !defined(MGX_NO_STD)
PRIVATE uint64_t mgc_millis(void);
REPLACEABLE uint64_t mg_millis(void) { return mgc_millis(); }
#endif

// ---- random numbers: applications may define mg_random; without an operating system they must
#if PART(6) && !defined(MGX_NO_STD)
PRIVATE bool mgc_random(void *buf, size_t len);
REPLACEABLE bool mg_random(void *buf, size_t len) { return mgc_random(buf, len); }
#endif

// ---- without an operating system
#ifdef MGX_NO_STD
REPLACEABLE void mgx_panic(const char *message) {
  mg_log_prefix(1, "", 0, "");
  mg_log("%s", message);
  abort();
}

// Interrupts, as an RTOS masks them on one core. Other processors have no default: the application defines both.
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
REPLACEABLE uint32_t mgx_critical_begin(void) {
  uint32_t state;
  __asm__ volatile("mrs %0, primask\n\tcpsid i" : "=r"(state) : : "memory");
  return state;
}

REPLACEABLE void mgx_critical_end(uint32_t state) { __asm__ volatile("msr primask, %0" : : "r"(state) : "memory"); }
#elif defined(__riscv)
#define CSR(instruction) ".option push\n\t.option arch, +zicsr\n\t" instruction "\n\t.option pop"
REPLACEABLE uint32_t mgx_critical_begin(void) {
  uintptr_t state;
  __asm__ volatile(CSR("csrrci %0, mstatus, 8") : "=r"(state) : : "memory");
  return (uint32_t) (state & 8);
}

REPLACEABLE void mgx_critical_end(uint32_t state) { __asm__ volatile(CSR("csrs mstatus, %0") : : "r"((uintptr_t) state) : "memory"); }
#endif
#endif

// ---- defined by files of the generator before 7.15
#if PART(7)
REPLACEABLE const char *mg_unlist(size_t no) { return (void) no, (const char *) NULL; }
#endif
#if PART(8)
REPLACEABLE const char *mg_unpack(const char *name, size_t *size, time_t *mtime) {
  return (void) name, (void) size, (void) mtime, (const char *) NULL;
}
#endif

// ---- firmware updates: applications may define these; the defaults accept everything and store nothing
#if PART(9)
REPLACEABLE bool mg_ota_begin(size_t size) { return (void) size, true; }
#endif
#if PART(10)
REPLACEABLE bool mg_ota_write(const void *buf, size_t len) { return (void) buf, (void) len, true; }
#endif
#if PART(11)
REPLACEABLE bool mg_ota_end(void) { return true; }
#endif
#if PART(12)
API size_t mg_snprintf(char *buf, size_t len, const char *fmt, ...);
REPLACEABLE void mg_ota_device_id(char *buf, size_t len) { mg_snprintf(buf, len, "0"); }
#endif
