
#ifdef __cplusplus
extern "C" {
#endif

// For mg_mem_files. Defined by the application if it has embedded files.
extern const struct mg_mem_file mg_packed_files[];

// Names shared between source files of an application. Defined by the application, never by the library.
extern struct mg_mgr g_mgr;
void mg_dash_init(struct mg_mgr *mgr);
void mg_dash_poll(struct mg_mgr *mgr);
void mg_mqtt_init(struct mg_mgr *mgr);
void mg_mqtt_poll(struct mg_mgr *mgr);

// Sizes other than those of the library.
#if MG_MAX_HTTP_HEADERS != 30
extern int mgx_http_parse(const char *s, size_t len, struct mg_http_message *hm, size_t max_headers);
static inline int mgx_http_parse_as_compiled(const char *s, size_t len, struct mg_http_message *hm) {
  return mgx_http_parse(s, len, hm, MG_MAX_HTTP_HEADERS);
}
#define mg_http_parse mgx_http_parse_as_compiled
#endif
#if MG_DATA_SIZE > 32 || MG_MAX_HTTP_HEADERS != 30
#define MGX_SIZES
extern void mgx_mgr_sizes(struct mg_mgr *mgr, size_t conn_size, size_t data_offset, size_t max_http_headers);
#endif

// Settings made with -D or in mongoose_config.h, applied by mg_mgr_init.
#if defined(MGX_SET_MAX_RECV_SIZE) || defined(MGX_SET_IO_SIZE) || defined(MGX_SET_LISTEN_BACKLOG) || \
    defined(MGX_SET_HTTP_INDEX) || defined(MG_TLS_SSLKEYLOGFILE) || \
    MG_IPV6_V6ONLY || !MG_ENABLE_DIRLIST || !MG_ENABLE_LOG
#define MGX_SETTINGS
#endif

#if defined(MGX_SETTINGS) || defined(MGX_SIZES) || MGX_COMPAT_7 < 714
#ifdef MGX_SETTINGS
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
extern void mgx_mgr_options(struct mg_mgr *mgr, const struct mgx_options *options);
#endif
#endif
extern void mgx_mgr_written_for(struct mg_mgr *mgr, int version);

static inline void mgx_mgr_init_as_compiled(struct mg_mgr *mgr) {
#ifdef MGX_SETTINGS
  struct mgx_options options;
  memset(&options, 0, sizeof(options));
#ifdef MGX_SET_MAX_RECV_SIZE
  options.max_recv_size = (size_t) (MGX_SET_MAX_RECV_SIZE);
#endif
#ifdef MGX_SET_IO_SIZE
  options.io_size = (size_t) (MGX_SET_IO_SIZE);
#endif
#ifdef MGX_SET_LISTEN_BACKLOG
  options.listen_backlog = (int) (MGX_SET_LISTEN_BACKLOG);
#endif
#ifdef MGX_SET_HTTP_INDEX
  options.http_index = MGX_SET_HTTP_INDEX;
#endif
#if MG_IPV6_V6ONLY
  options.v6only = true;
#endif
#if !MG_ENABLE_DIRLIST
  options.no_dirlist = true;
#endif
#ifdef MG_TLS_SSLKEYLOGFILE
  options.tls_keylog = true;
#endif
#if !MG_ENABLE_LOG
  mg_log_level = MG_LL_NONE;
#endif
#endif
  mg_mgr_init(mgr);
#ifdef MGX_SIZES
  mgx_mgr_sizes(mgr, sizeof(struct mg_connection), offsetof(struct mg_connection, data), MG_MAX_HTTP_HEADERS);
#endif
#ifdef MGX_SETTINGS
  mgx_mgr_options(mgr, &options);
#endif
#if MGX_COMPAT_7 < 714
  mgx_mgr_written_for(mgr, MGX_COMPAT_7);
#endif
}
#undef mg_mgr_init
#define mg_mgr_init(mgr) mgx_mgr_init_as_compiled(mgr)
#endif

#ifdef __cplusplus
}
#endif
