// Functions that stable Rust cannot define because they are variadic. Each is one call into Rust. Names beginning with mgc_ are
// private: the hidden visibility given here keeps them out of the shared library's symbol table, whichever side defines them.
#include "shim.h"

// MGX_NO_...: the library is built without this protocol.

// ---- va_list readers for src/fmt/va.rs
PRIVATE int mgc_va_int(va_list *ap) { return va_arg(*ap, int); }
PRIVATE long mgc_va_long(va_list *ap) { return va_arg(*ap, long); }
PRIVATE int64_t mgc_va_i64(va_list *ap) { return va_arg(*ap, int64_t); }
PRIVATE double mgc_va_double(va_list *ap) { return va_arg(*ap, double); }
PRIVATE void *mgc_va_ptr(va_list *ap) { return va_arg(*ap, void *); }

// ---- formatting: the prototypes of the public functions are here because the header is generated from the library
typedef void (*mg_pfn_t)(char, void *);
struct mg_connection;
typedef void (*mg_event_handler_t)(struct mg_connection *, int, void *);
struct mg_http_message;
struct mg_mgr;
struct mg_queue;
struct mg_rpc_req;

API size_t mg_vxprintf(mg_pfn_t fn, void *arg, const char *fmt, va_list *ap);
API size_t mg_vsnprintf(char *buf, size_t len, const char *fmt, va_list *ap);
API char *mg_vmprintf(const char *fmt, va_list *ap);
API void mg_rpc_vok(struct mg_rpc_req *r, const char *fmt, va_list *ap);
API void mg_rpc_verr(struct mg_rpc_req *r, int code, const char *fmt, va_list *ap);
PRIVATE size_t mgc_queue_printf(struct mg_queue *q, const char *fmt, va_list *ap, va_list *again);
#ifndef MGX_NO_STD
PRIVATE void mgc_print(const void *s, size_t len) { fwrite(s, 1, len, stdout); }
#endif

API size_t mg_xprintf(mg_pfn_t fn, void *arg, const char *fmt, ...) {
  size_t n;
  WITH_ARGS(fmt, n = mg_vxprintf(fn, arg, fmt, &ap));
  return n;
}

API size_t mg_snprintf(char *buf, size_t len, const char *fmt, ...) {
  size_t n;
  WITH_ARGS(fmt, n = mg_vsnprintf(buf, len, fmt, &ap));
  return n;
}

API char *mg_mprintf(const char *fmt, ...) {
  char *s;
  WITH_ARGS(fmt, s = mg_vmprintf(fmt, &ap));
  return s;
}

// The length must be known before space is reserved, so the arguments are read twice.
API size_t mg_queue_printf(struct mg_queue *q, const char *fmt, ...) {
  va_list ap, again;
  va_start(ap, fmt);
  va_start(again, fmt);
  size_t n = mgc_queue_printf(q, fmt, &ap, &again);
  va_end(again);
  va_end(ap);
  return n;
}

#ifndef MGX_NO_RPC
API void mg_rpc_ok(struct mg_rpc_req *r, const char *fmt, ...) { WITH_ARGS(fmt, mg_rpc_vok(r, fmt, &ap)); }

API void mg_rpc_err(struct mg_rpc_req *r, int code, const char *fmt, ...) { WITH_ARGS(fmt, mg_rpc_verr(r, code, fmt, &ap)); }
#endif

// ---- connections
API size_t mg_vprintf(struct mg_connection *c, const char *fmt, va_list *ap);
PRIVATE void mgc_error(struct mg_connection *c, const char *fmt, va_list *ap);
PRIVATE void mgc_http_printf_chunk(struct mg_connection *c, const char *fmt, va_list *ap);
API size_t mg_ws_vprintf(struct mg_connection *c, int op, const char *fmt, va_list *ap);
PRIVATE void mgc_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *fmt, va_list *ap);
PRIVATE struct mg_connection *mgc_ws_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data,
                                             const char *fmt, va_list *ap);
PRIVATE void mgc_http_reply(struct mg_connection *c, int code, const char *headers, const char *fmt, va_list *ap);

API size_t mg_printf(struct mg_connection *c, const char *fmt, ...) {
  size_t n;
  WITH_ARGS(fmt, n = mg_vprintf(c, fmt, &ap));
  return n;
}

API void mg_error(struct mg_connection *c, const char *fmt, ...) { WITH_ARGS(fmt, mgc_error(c, fmt, &ap)); }

#ifndef MGX_NO_HTTP
API void mg_http_printf_chunk(struct mg_connection *c, const char *fmt, ...) { WITH_ARGS(fmt, mgc_http_printf_chunk(c, fmt, &ap)); }

API void mg_http_reply(struct mg_connection *c, int code, const char *headers, const char *fmt, ...) {
  WITH_ARGS(fmt, mgc_http_reply(c, code, headers, fmt, &ap));
}
#endif

#ifndef MGX_NO_WS
API void mg_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *fmt, ...) {
  WITH_ARGS(fmt, mgc_ws_upgrade(c, hm, fmt, &ap));
}

API struct mg_connection *mg_ws_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data, const char *fmt,
                                        ...) {
  struct mg_connection *c;
  WITH_ARGS(fmt, c = mgc_ws_connect(mgr, url, fn, fn_data, fmt, &ap));
  return c;
}

API size_t mg_ws_printf(struct mg_connection *c, int op, const char *fmt, ...) {
  size_t n;
  WITH_ARGS(fmt, n = mg_ws_vprintf(c, op, fmt, &ap));
  return n;
}
#endif

// ---- log
API int mg_log_level = 3;  // MG_LL_DEBUG

// ---- clock
// Data is defined here, so both languages access it through the dynamic symbol table, wherever the application's copy is.
API uint64_t mg_boot_timestamp_ms = 0;

// ---- files: tables and a list whose address applications take, and which they copy and change
struct mg_fs {
  int (*st)(const char *path, size_t *size, time_t *mtime);
  void (*ls)(const char *path, void (*fn)(const char *, void *), void *arg);
  void *(*op)(const char *path, int flags);
  void (*cl)(void *fd);
  size_t (*rd)(void *fd, void *buf, size_t len);
  size_t (*wr)(void *fd, const void *buf, size_t len);
  size_t (*sk)(void *fd, size_t offset);
  bool (*mv)(const char *from, const char *to);
  bool (*rm)(const char *path);
  bool (*mkd)(const char *path);
};
struct mg_mem_file;

#define FILE_SYSTEM(name)                                                                         \
  PRIVATE int mgc_##name##_st(const char *path, size_t *size, time_t *mtime);                     \
  PRIVATE void mgc_##name##_ls(const char *path, void (*fn)(const char *, void *), void *arg);    \
  PRIVATE void *mgc_##name##_op(const char *path, int flags);                                     \
  PRIVATE void mgc_##name##_cl(void *fd);                                                         \
  PRIVATE size_t mgc_##name##_rd(void *fd, void *buf, size_t len);                                \
  PRIVATE size_t mgc_##name##_wr(void *fd, const void *buf, size_t len);                          \
  PRIVATE size_t mgc_##name##_sk(void *fd, size_t offset);                                        \
  PRIVATE bool mgc_##name##_mv(const char *from, const char *to);                                 \
  PRIVATE bool mgc_##name##_rm(const char *path);                                                 \
  PRIVATE bool mgc_##name##_mkd(const char *path);                                                \
  API struct mg_fs mg_fs_##name = {mgc_##name##_st, mgc_##name##_ls, mgc_##name##_op,             \
                                   mgc_##name##_cl, mgc_##name##_rd, mgc_##name##_wr,             \
                                   mgc_##name##_sk, mgc_##name##_mv, mgc_##name##_rm,             \
                                   mgc_##name##_mkd}

FILE_SYSTEM(posix);
FILE_SYSTEM(packed);
API const struct mg_mem_file *mg_mem_files = NULL;

PRIVATE bool mgc_file_printf(struct mg_fs *fs, const char *path, const char *fmt, va_list *ap);

API bool mg_file_printf(struct mg_fs *fs, const char *path, const char *fmt, ...) {
  bool ok;
  WITH_ARGS(fmt, ok = mgc_file_printf(fs, path, fmt, &ap));
  return ok;
}
