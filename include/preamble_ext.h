// Extensions of libmongoose-rs to the mg_* API: graceful draining, limits, scaling, and access for other languages. Generated
// from its Rust sources. Behaviour is that of the mg_* API until an extension is used.
//
// Conventions: those of mongoose.h, and
//   NULL       Any pointer may be NULL. The function then does nothing and returns 0, false or NULL, unless its comment says
//              otherwise.
//   Ownership  The library copies options, limits and strings. Pointers returned to data belong to the library.
//   Strings    A result with a length parameter is not NUL-terminated; the pointer to the length may be NULL.
//   Options    Zero-initialise option structs: 0 in a member means its default.
//   Units      Times are in milliseconds and sizes in bytes.
//   Threads    Any thread and signal handlers may call mgx_mgr_drain (after mgx_mgr_drain_init), mgx_send_to, mgx_send_ws_to and
//              mgx_wakeup_mgr. Call other functions that take a manager or a connection from the thread that polls.

#ifndef MONGOOSE_EXT_H
#define MONGOOSE_EXT_H

#include "mongoose.h"

// Functions with the names of macros, for languages that look up symbols and for taking their addresses.
#ifdef __cplusplus
extern "C" {
#endif
uint16_t(mg_htons)(uint16_t n);
uint32_t(mg_htonl)(uint32_t n);
uint64_t(mg_htonll)(uint64_t n);
#ifdef __cplusplus
}
#else  // in C++ the function would hide the struct
typedef struct mg_str mgx_str;
mgx_str(mg_str)(const char *s);
#endif

// Without an operating system (docs/firmware.md): functions that a program may define itself.
#if !MGX_HOSTED
#ifdef __cplusplus
extern "C" {
#endif
// Called with a message when the library finds a bug of its own, or no memory for what it cannot do without. Must not return. The
// library's own writes the message to the log and calls abort().
void mgx_panic(const char *message);

// Begin and end a section that no interrupt handler, and no other core, enters; sections are short, and nest. The result of the one is
// the argument of the other. The library's own mask the interrupts of an ARM Cortex-M, or of a RISC-V core in machine mode. Define
// both for other processors, for several cores, or under an RTOS some of whose interrupts must not be masked.
uint32_t mgx_critical_begin(void);
void mgx_critical_end(uint32_t state);
#ifdef __cplusplus
}
#endif
#endif

// Settings that are compile-time options in the mg_* API. Zero-initialise: 0 in a member means the library's default.
#ifndef MGX_OPTIONS
#define MGX_OPTIONS
struct mgx_options {
  size_t max_recv_size;     // MG_MAX_RECV_SIZE
  size_t io_size;           // MG_IO_SIZE: size and step of buffers; 1024 for smaller values
  int listen_backlog;       // MG_SOCK_LISTEN_BACKLOG_SIZE
  bool v6only;              // MG_IPV6_V6ONLY
  bool no_dirlist;          // MG_ENABLE_DIRLIST 0
  bool tls_keylog;          // MG_TLS_SSLKEYLOGFILE
  bool no_fsync;            // do not wait until files are on disk; process-wide, the last call wins
  const char *http_index;   // MG_HTTP_INDEX
};
#endif
