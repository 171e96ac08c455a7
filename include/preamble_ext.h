// The extension of libmongoose-rs to the mg_* API: draining, limits, scale, and access for other languages. Generated from its
// Rust sources. Everything here is off, or equal to the mg_* API, until it is called. NULL pointers are tolerated everywhere: 0,
// false or no effect.

#ifndef MONGOOSE_EXT_H
#define MONGOOSE_EXT_H

#include "mongoose.h"

// The macros of these names are functions too, for languages that look them up and for their addresses.
#ifdef __cplusplus
extern "C" {
#endif
uint16_t(mg_htons)(uint16_t n);
uint32_t(mg_htonl)(uint32_t n);
uint64_t(mg_htonll)(uint64_t n);
#ifdef __cplusplus
}
#else  // in C++ it would hide the struct
typedef struct mg_str mgx_str;
mgx_str(mg_str)(const char *s);
#endif

// Settings that are compile-time switches in the mg_* API. Zero-initialise: 0 in a member means the library's default.
#ifndef MGX_OPTIONS
#define MGX_OPTIONS
struct mgx_options {
  size_t max_recv_size;     // MG_MAX_RECV_SIZE
  size_t io_size;           // MG_IO_SIZE: size and step of buffers; 1024 for smaller values
  int listen_backlog;       // MG_SOCK_LISTEN_BACKLOG_SIZE
  bool v6only;              // MG_IPV6_V6ONLY
  bool no_dirlist;          // MG_ENABLE_DIRLIST 0
  bool tls_keylog;          // MG_TLS_SSLKEYLOGFILE
  bool no_fsync;            // uploads and mg_file_write do not wait for the disk; the last call counts for the process
  const char *http_index;   // MG_HTTP_INDEX
};
#endif
