
// ---- Compatibility with earlier 7.x versions, selected by MGX_COMPAT_7: functions that were removed or had other arguments. See
// docs/migrating.md. Where the number of arguments identifies the version, both forms work.
#if MGX_COMPAT_7 < 722

#define MGX_JOIN(a, b) MGX_JOIN_(a, b)
#define MGX_JOIN_(a, b) a##b
#define MGX_SEVENTH(a, b, c, d, e, f, g, ...) g
#define MGX_COUNT(...) MGX_SEVENTH(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define MGX_BY_COUNT(name, ...) MGX_JOIN(name, MGX_COUNT(__VA_ARGS__))(__VA_ARGS__)

// Defined in every file that includes this; the linker merges the definitions into one variable.
#ifdef _WIN32
#define MGX_ONE_OF_ALL __declspec(selectany)
#else
#define MGX_ONE_OF_ALL __attribute__((weak))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// ---- before 7.15
#if MGX_COMPAT_7 < 715
// Defined by files of the older generator, and served by mg_fs_packed. The library's own definitions are empty.
extern const char *mg_unlist(size_t no);
extern const char *mg_unpack(const char *path, size_t *size, time_t *mtime);

static inline bool mg_http_match_uri(const struct mg_http_message *hm, const char *glob) {
  return mg_match(hm->uri, mg_str(glob), NULL);
}

static inline int mg_vcmp(const struct mg_str *s1, const char *s2) { return mg_strcmp(*s1, mg_str(s2)); }

static inline int mg_vcasecmp(const struct mg_str *s1, const char *s2) { return mg_strcasecmp(*s1, mg_str(s2)); }

static inline const char *mg_strstr(const struct mg_str haystack, const struct mg_str needle) {
  size_t i;
  if (needle.len == 0) return haystack.buf;
  for (i = 0; i + needle.len <= haystack.len; i++) {
    if (memcmp(haystack.buf + i, needle.buf, needle.len) == 0) return haystack.buf + i;
  }
  return NULL;
}

static inline struct mg_str mg_strstrip(struct mg_str s) {
  while (s.len > 0 && isspace((unsigned char) s.buf[0])) s.buf++, s.len--;
  while (s.len > 0 && isspace((unsigned char) s.buf[s.len - 1])) s.len--;
  return s;
}

// Next entry of a SUBSCRIBE packet, or of an UNSUBSCRIBE packet if qos is NULL. Start with position 4; 0 means the end.
static inline size_t mg_mqtt_next_topic(struct mg_mqtt_message *msg, struct mg_str *topic, uint8_t *qos, size_t pos) {
  const uint8_t *p = (const uint8_t *) msg->dgram.buf;
  size_t len = msg->dgram.len, begin = 1, size;
  while (begin < len && begin < 4 && (p[begin] & 128) != 0) begin++;
  begin += 3;
  if (msg->props_size > 0 && msg->props_start + msg->props_size > begin) begin = msg->props_start + msg->props_size;
  if (pos < begin) pos = begin;
  if (pos >= len || len - pos < 2) return 0;
  size = ((size_t) p[pos] << 8) | p[pos + 1];
  if (len - pos - 2 < size + (qos != NULL ? 1 : 0)) return 0;
  topic->buf = msg->dgram.buf + pos + 2;
  topic->len = size;
  pos += 2 + size;
  if (qos != NULL) *qos = p[pos++];
  return pos;
}

static inline size_t mg_mqtt_next_sub(struct mg_mqtt_message *msg, struct mg_str *topic, uint8_t *qos, size_t pos) {
  uint8_t ignored;
  return mg_mqtt_next_topic(msg, topic, qos != NULL ? qos : &ignored, pos);
}

static inline size_t mg_mqtt_next_unsub(struct mg_mqtt_message *msg, struct mg_str *topic, size_t pos) {
  return mg_mqtt_next_topic(msg, topic, NULL, pos);
}
#endif

// ---- any: mg_http_upload(c, hm, dir), mg_http_upload(c, hm, fs, dir), with the file name in `name` or `file`, without a limit.
// Returns the number of bytes in the request, or a negative value on failure.
static inline int mgx_http_upload_4(struct mg_connection *c, struct mg_http_message *hm, struct mg_fs *fs, const char *dir) {
  struct mg_http_message copy = *hm;
  struct mg_str name = mg_http_var(hm->query, mg_str("name")), offset = mg_http_var(hm->query, mg_str("offset"));
  int len = (int) hm->body.len;
  char *query = NULL;
  long n;
  if (mg_http_var(hm->query, mg_str("file")).buf == NULL && name.buf != NULL) {
    query = mg_mprintf("file=%.*s&offset=%.*s", (int) name.len, name.buf, (int) offset.len, offset.buf);
    copy.query = mg_str(query);
  }
  n = mg_http_upload(c, &copy, fs, dir, (size_t) LONG_MAX);
  mg_free(query);
  return n < 0 ? (int) n : len;
}

#define mgx_http_upload_3(c, hm, dir) mgx_http_upload_4(c, hm, &mg_fs_posix, dir)
#define mgx_http_upload_5(c, hm, fs, dir, max_size) (mg_http_upload)(c, hm, fs, dir, max_size)
#define mg_http_upload(...) MGX_BY_COUNT(mgx_http_upload_, __VA_ARGS__)

// ---- any: mg_json_unescape(text, to, size), for a string without its quotes
static inline bool mgx_json_unescape_3(struct mg_str s, char *to, size_t n) {
  char *quoted = (char *) mg_calloc(1, s.len + 3);
  size_t len;
  if (n > 0) to[0] = '\0';
  if (quoted == NULL) return false;
  quoted[0] = quoted[s.len + 1] = '"';
  if (s.len > 0) memcpy(quoted + 1, s.buf, s.len);
  len = mg_json_unescape(mg_str_n(quoted, s.len + 2), "$", to, n);
  mg_free(quoted);
  return n > 0 && (len > 0 || s.len == 0);
}

#if MGX_COMPAT_7 < 711
#define mgx_json_unescape_4(buf, len, to, n) mgx_json_unescape_3(mg_str_n(buf, (size_t) (len)), to, n)
#else
#define mgx_json_unescape_4(json, path, to, n) (mg_json_unescape)(json, path, to, n)
#endif
#define mg_json_unescape(...) MGX_BY_COUNT(mgx_json_unescape_, __VA_ARGS__)

// ---- before 7.14: handlers have a fourth argument, see mg_event_handler_t
#if MGX_COMPAT_7 < 714
// `struct mg_http_message *`: the body, in `chunk`.
#define MG_EV_HTTP_CHUNK (-714)

extern void mgx_http_delete_chunk(struct mg_connection *c);

// Marks the chunk as consumed. The message then ends with an empty chunk instead of MG_EV_HTTP_MSG.
static inline void mg_http_delete_chunk(struct mg_connection *c, struct mg_http_message *hm) {
  (void) hm;
  mgx_http_delete_chunk(c);
}

// A pipe to a connection: data written to the descriptor arrives as MG_EV_READ.
#ifdef _WIN32
static inline int mg_mkpipe(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data, bool udp) {
  SOCKET l = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0), from = INVALID_SOCKET;
  struct sockaddr_in sin;
  int len = sizeof(sin);
  (void) udp;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = MG_IPV4(127, 0, 0, 1);
  if (bind(l, (struct sockaddr *) &sin, len) == 0 && listen(l, 1) == 0 && getsockname(l, (struct sockaddr *) &sin, &len) == 0 &&
      connect(to, (struct sockaddr *) &sin, len) == 0) {
    from = accept(l, NULL, NULL);
  }
  closesocket(l);
  if (from != INVALID_SOCKET && mg_wrapfd(mgr, (int) from, fn, fn_data) != NULL) return (int) to;
  closesocket(from);
  closesocket(to);
  return -1;
}
#else
static inline int mg_mkpipe(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data, bool udp) {
  int fd[2];
  (void) udp;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) return -1;
  if (mg_wrapfd(mgr, fd[1], fn, fn_data) != NULL) return fd[0];
  close(fd[0]);
  close(fd[1]);
  return -1;
}
#endif

// Stores the size of the file in `*size`. Free the result with mg_free.
static inline char *mgx_file_read_3(struct mg_fs *fs, const char *path, size_t *size) {
  struct mg_str s = mg_file_read(fs, path);
  if (size != NULL) *size = s.len;
  return s.buf;
}

#if MGX_COMPAT_7 < 704
#define mgx_file_read_2(path, size) mgx_file_read_3(&mg_fs_posix, path, size)
#define mgx_file_write_3(path, buf, len) (mg_file_write)(&mg_fs_posix, path, buf, len)
#define mgx_file_write_4(fs, path, buf, len) (mg_file_write)(fs, path, buf, len)
#define mg_file_write(...) MGX_BY_COUNT(mgx_file_write_, __VA_ARGS__)
#else
#define mgx_file_read_2(fs, path) (mg_file_read)(fs, path)
#endif
#define mg_file_read(...) MGX_BY_COUNT(mgx_file_read_, __VA_ARGS__)

static inline size_t mgx_base64_encode_3(const void *p, size_t n, char *to) {
  return mg_base64_encode((const uint8_t *) p, n, to, 4 * ((n + 2) / 3) + 1);
}

static inline size_t mgx_base64_decode_3(const char *src, size_t n, char *to) {
  return mg_base64_decode(src, n, to, n / 4 * 3 + 1);
}

#define mgx_base64_encode_4(p, n, to, len) (mg_base64_encode)(p, n, to, len)
#define mgx_base64_decode_4(src, n, to, len) (mg_base64_decode)(src, n, to, len)
#define mg_base64_encode(...) MGX_BY_COUNT(mgx_base64_encode_, __VA_ARGS__)
#define mg_base64_decode(...) MGX_BY_COUNT(mgx_base64_decode_, __VA_ARGS__)
#endif

// ---- before 7.12: TLS options for both roles, kept by the manager or given to each connection
#if MGX_COMPAT_7 < 712
struct mgx_older_tls_opts {
#if MGX_COMPAT_7 < 710
  // PEM text or a file name.
  const char *ca;
  const char *crl;      // ignored
  const char *cert;
  const char *certkey;
  const char *ciphers;  // ignored
#else
  struct mg_str ca;
  struct mg_str crl;    // ignored
  struct mg_str cert;
  struct mg_str certkey;
  struct mg_str ciphers;  // ignored
  struct mg_str key;
  struct mg_str name;
#endif
  struct mg_str srvname;
  struct mg_fs *fs;
  struct mg_str client_ca;  // for servers: CA of the clients
  struct mg_str server_ca;  // for clients: CA of the server
  struct mg_str srvcert;
  struct mg_str srvkey;
  struct mg_str server_cert;
  struct mg_str server_key;
  struct mg_str client_cert;
  struct mg_str client_key;
};

// Options passed to mg_tls_ctx_init.
struct mgx_older_tls {
  struct mgx_older_tls *next;
  struct mg_mgr *mgr;
  struct mg_tls_opts role[2];  // server, client
};
MGX_ONE_OF_ALL struct mgx_older_tls *mgx_older_tls_list = NULL;

#if MGX_COMPAT_7 < 710
// Returns a copy. Free it with mg_free.
static inline struct mg_str mgx_older_pem(const char *s, struct mg_fs *fs) {
  if (s == NULL) return mg_str_n(NULL, 0);
  if (strstr(s, "-----") != NULL) return mg_strdup(mg_str(s));
  return (mg_file_read) (fs != NULL ? fs : &mg_fs_posix, s);
}
#else
static inline struct mg_str mgx_older_pem(struct mg_str s, struct mg_fs *fs) {
  struct mg_str none = mg_str_n(NULL, 0);
  (void) fs;
  return s.len > 0 ? mg_strdup(s) : none;
}
#endif

static inline struct mg_str mgx_older_first(struct mg_str a, struct mg_str b) { return a.len > 0 ? a : b; }

static inline void mgx_older_choose(struct mg_str *to, struct mg_str a, struct mg_str b) {
  struct mg_str s = mgx_older_first(a, b);
  if (s.len == 0) return;
  mg_free(to->buf);
  *to = mg_strdup(s);
}

static inline struct mg_tls_opts mgx_older_role(const struct mgx_older_tls_opts *o, bool client) {
  struct mg_str none = mg_str_n(NULL, 0);
  struct mg_tls_opts t;
  memset(&t, 0, sizeof(t));
  t.ca = mgx_older_pem(o->ca, o->fs);
  t.cert = mgx_older_pem(o->cert, o->fs);
  t.key = mgx_older_pem(o->certkey, o->fs);
  mgx_older_choose(&t.name, o->srvname, none);
#if MGX_COMPAT_7 >= 710
  mgx_older_choose(&t.key, o->key, none);
  mgx_older_choose(&t.name, o->name, none);
#endif
  mgx_older_choose(&t.ca, client ? o->server_ca : o->client_ca, none);
  mgx_older_choose(&t.cert, client ? o->client_cert : o->server_cert, client ? none : o->srvcert);
  mgx_older_choose(&t.key, client ? o->client_key : o->server_key, client ? none : o->srvkey);
  // One file for both.
  if (t.key.len == 0 && t.cert.len > 0) t.key = mg_strdup(t.cert);
  return t;
}

static inline void mgx_older_free(struct mg_tls_opts *t) {
  mg_free(t->ca.buf);
  mg_free(t->cert.buf);
  mg_free(t->key.buf);
  mg_free(t->name.buf);
}

static inline void mgx_tls_ctx_free_1(struct mg_mgr *mgr) {
  struct mgx_older_tls **at = &mgx_older_tls_list, *found;
  while (*at != NULL && (*at)->mgr != mgr) at = &(*at)->next;
  if ((found = *at) == NULL) return;
  *at = found->next;
  mgx_older_free(&found->role[0]);
  mgx_older_free(&found->role[1]);
  mg_free(found);
}

static inline void mgx_tls_ctx_init_2(struct mg_mgr *mgr, const struct mgx_older_tls_opts *opts) {
  struct mgx_older_tls *kept = (struct mgx_older_tls *) mg_calloc(1, sizeof(*kept));
  mgx_tls_ctx_free_1(mgr);
  if (kept == NULL) return;
  kept->mgr = mgr;
  kept->role[0] = mgx_older_role(opts, false);
  kept->role[1] = mgx_older_role(opts, true);
  kept->next = mgx_older_tls_list;
  mgx_older_tls_list = kept;
}

static inline void mgx_older_mgr_free(struct mg_mgr *mgr) {
  mg_mgr_free(mgr);
  mgx_tls_ctx_free_1(mgr);
}

// mg_tls_init(c, name), after mg_tls_ctx_init(mgr, opts)
static inline void mgx_tls_init_name(struct mg_connection *c, struct mg_str name) {
  struct mgx_older_tls *kept = mgx_older_tls_list;
  struct mg_tls_opts t;
  while (kept != NULL && kept->mgr != c->mgr) kept = kept->next;
  memset(&t, 0, sizeof(t));
  if (kept != NULL) t = kept->role[c->is_client];
  if (name.len > 0) t.name = name;
  mg_tls_init(c, &t);
}

// mg_tls_init(c, opts)
static inline void mgx_tls_init_opts(struct mg_connection *c, const struct mgx_older_tls_opts *opts) {
  struct mg_tls_opts t = mgx_older_role(opts, c->is_client);
  mg_tls_init(c, &t);
  mgx_older_free(&t);
}

#define mg_mgr_free(mgr) mgx_older_mgr_free(mgr)
#define mgx_tls_ctx_init_1(mgr) (mg_tls_ctx_init)(mgr)
#define mg_tls_ctx_init(...) MGX_BY_COUNT(mgx_tls_ctx_init_, __VA_ARGS__)
#define mg_tls_ctx_free(mgr) mgx_tls_ctx_free_1(mgr)
#define mg_tls_opts mgx_older_tls_opts
#ifndef __cplusplus
#define mg_tls_init(c, with) (__extension__ _Generic((with), struct mg_str: mgx_tls_init_name, default: mgx_tls_init_opts)(c, with))
#endif
#endif

// ---- before 7.11: JSON text as pointer and length, MQTT without options, addresses as text
#if MGX_COMPAT_7 < 711
#define mgx_json_text(buf, len) mg_str_n(buf, (size_t) (len))
#define mgx_json_get_3(json, path, toklen) (mg_json_get)(json, path, toklen)
#define mgx_json_get_4(buf, len, path, toklen) (mg_json_get)(mgx_json_text(buf, len), path, toklen)
#define mg_json_get(...) MGX_BY_COUNT(mgx_json_get_, __VA_ARGS__)
#define mgx_json_get_num_3(json, path, v) (mg_json_get_num)(json, path, v)
#define mgx_json_get_num_4(buf, len, path, v) (mg_json_get_num)(mgx_json_text(buf, len), path, v)
#define mg_json_get_num(...) MGX_BY_COUNT(mgx_json_get_num_, __VA_ARGS__)
#define mgx_json_get_bool_3(json, path, v) (mg_json_get_bool)(json, path, v)
#define mgx_json_get_bool_4(buf, len, path, v) (mg_json_get_bool)(mgx_json_text(buf, len), path, v)
#define mg_json_get_bool(...) MGX_BY_COUNT(mgx_json_get_bool_, __VA_ARGS__)
#define mgx_json_get_long_3(json, path, dflt) (mg_json_get_long)(json, path, dflt)
#define mgx_json_get_long_4(buf, len, path, dflt) (mg_json_get_long)(mgx_json_text(buf, len), path, dflt)
#define mg_json_get_long(...) MGX_BY_COUNT(mgx_json_get_long_, __VA_ARGS__)
#define mgx_json_get_str_2(json, path) (mg_json_get_str)(json, path)
#define mgx_json_get_str_3(buf, len, path) (mg_json_get_str)(mgx_json_text(buf, len), path)
#define mg_json_get_str(...) MGX_BY_COUNT(mgx_json_get_str_, __VA_ARGS__)
#define mgx_json_get_hex_3(json, path, n) (mg_json_get_hex)(json, path, n)
#define mgx_json_get_hex_4(buf, len, path, n) (mg_json_get_hex)(mgx_json_text(buf, len), path, n)
#define mg_json_get_hex(...) MGX_BY_COUNT(mgx_json_get_hex_, __VA_ARGS__)
#define mgx_json_get_b64_3(json, path, n) (mg_json_get_b64)(json, path, n)
#define mgx_json_get_b64_4(buf, len, path, n) (mg_json_get_b64)(mgx_json_text(buf, len), path, n)
#define mg_json_get_b64(...) MGX_BY_COUNT(mgx_json_get_b64_, __VA_ARGS__)

static inline void mgx_mqtt_pub_5(struct mg_connection *c, struct mg_str topic, struct mg_str data, int qos, bool retain) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.topic = topic, o.message = data, o.qos = (uint8_t) qos, o.retain = retain;
  mg_mqtt_pub(c, &o);
}

static inline void mgx_mqtt_sub_3(struct mg_connection *c, struct mg_str topic, int qos) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.topic = topic, o.qos = (uint8_t) qos;
  mg_mqtt_sub(c, &o);
}

#define mgx_mqtt_pub_2(c, opts) (mg_mqtt_pub)(c, opts)
#define mg_mqtt_pub(...) MGX_BY_COUNT(mgx_mqtt_pub_, __VA_ARGS__)
#define mgx_mqtt_sub_2(c, opts) (mg_mqtt_sub)(c, opts)
#define mg_mqtt_sub(...) MGX_BY_COUNT(mgx_mqtt_sub_, __VA_ARGS__)
#define mgx_mqtt_disconnect_1(c) (mg_mqtt_disconnect)(c, NULL)
#define mgx_mqtt_disconnect_2(c, opts) (mg_mqtt_disconnect)(c, opts)
#define mg_mqtt_disconnect(...) MGX_BY_COUNT(mgx_mqtt_disconnect_, __VA_ARGS__)

static inline char *mg_ntoa(const struct mg_addr *addr, char *buf, size_t len) {
  mg_snprintf(buf, len, "%M", mg_print_ip, addr);
  return buf;
}

static inline char *mgx_straddr_addr(const struct mg_addr *addr, char *buf, size_t len) {
  mg_snprintf(buf, len, "%M", mg_print_ip_port, addr);
  return buf;
}

static inline char *mgx_straddr_conn(const struct mg_connection *c, char *buf, size_t len) {
  return mgx_straddr_addr(&c->rem, buf, len);
}

#ifndef __cplusplus
#define mg_straddr(of, buf, len)                                                                               \
  (__extension__ _Generic((of), struct mg_connection *: mgx_straddr_conn, default: mgx_straddr_addr)(of, buf, len))
#endif

static inline char *mg_hex(const void *buf, size_t len, char *to) {
  const char *digits = "0123456789abcdef";
  size_t i;
  for (i = 0; i < len; i++) {
    to[2 * i] = digits[((const uint8_t *) buf)[i] >> 4];
    to[2 * i + 1] = digits[((const uint8_t *) buf)[i] & 15];
  }
  to[2 * len] = '\0';
  return to;
}

// The next of `key=value,key=value`.
static inline bool mg_commalist(struct mg_str *s, struct mg_str *k, struct mg_str *v) {
  struct mg_str entry, key, value;
  if (s->buf == NULL || s->len == 0 || !mg_span(*s, &entry, s, ',')) return false;
  mg_span(entry, &key, &value, '=');
  if (k != NULL) *k = key;
  if (v != NULL) *v = value;
  return true;
}
#endif

// ---- before 7.8: growth of buffers per call, timers on a list of the library, other names
#if MGX_COMPAT_7 < 708
#define mgx_iobuf_init_2(io, size) (mg_iobuf_init)(io, size, 0)
#define mgx_iobuf_init_3(io, size, align) (mg_iobuf_init)(io, size, align)
#define mg_iobuf_init(...) MGX_BY_COUNT(mgx_iobuf_init_, __VA_ARGS__)
#define mgx_iobuf_add_4(io, ofs, buf, len) (mg_iobuf_add)(io, ofs, buf, len)
#define mgx_iobuf_add_5(io, ofs, buf, len, chunk) ((void) (chunk), (mg_iobuf_add)(io, ofs, buf, len))
#define mg_iobuf_add(...) MGX_BY_COUNT(mgx_iobuf_add_, __VA_ARGS__)

static inline bool mg_globmatch(const char *pattern, size_t pattern_len, const char *s, size_t len) {
  return mg_match(mg_str_n(s, len), mg_str_n(pattern, pattern_len), NULL);
}

MGX_ONE_OF_ALL struct mg_timer *mgx_older_timers = NULL;

static inline void mgx_older_mgr_poll(struct mg_mgr *mgr, int ms) {
  uint64_t now = mg_millis();
  struct mg_timer *t;
  mg_timer_poll(&mgx_older_timers, now);
  for (t = mgx_older_timers; t != NULL; t = t->next) {
    uint64_t left = t->expire > now ? t->expire - now : 0;
    // A finished timer does not limit the wait.
    if ((t->flags & MG_TIMER_REPEAT) == 0 && (t->flags & MG_TIMER_CALLED) != 0) continue;
    if (ms < 0 || left < (uint64_t) ms) ms = left < 1000000 ? (int) left : 1000000;
  }
  mg_mgr_poll(mgr, ms);
  mg_timer_poll(&mgx_older_timers, mg_millis());
}

#define mg_mgr_poll(mgr, ms) mgx_older_mgr_poll(mgr, ms)
#define mgx_timer_init_5(t, ms, flags, fn, arg) (mg_timer_init)(&mgx_older_timers, t, ms, flags, fn, arg)
#define mgx_timer_init_6(head, t, ms, flags, fn, arg) (mg_timer_init)(head, t, ms, flags, fn, arg)
#define mg_timer_init(...) MGX_BY_COUNT(mgx_timer_init_, __VA_ARGS__)
#define mgx_timer_free_1(t) (mg_timer_free)(&mgx_older_timers, t)
#define mgx_timer_free_2(head, t) (mg_timer_free)(head, t)
#define mg_timer_free(...) MGX_BY_COUNT(mgx_timer_free_, __VA_ARGS__)
#define mgx_timer_poll_1(now) (mg_timer_poll)(&mgx_older_timers, now)
#define mgx_timer_poll_2(head, now) (mg_timer_poll)(head, now)
#define mg_timer_poll(...) MGX_BY_COUNT(mgx_timer_poll_, __VA_ARGS__)

#ifndef LOG
#define LL_NONE MG_LL_NONE
#define LL_ERROR MG_LL_ERROR
#define LL_INFO MG_LL_INFO
#define LL_DEBUG MG_LL_DEBUG
#define LL_VERBOSE_DEBUG MG_LL_VERBOSE
#define LOG(level, args) MG_LOG(level, args)
#endif

static inline void mgx_log_set_text(const char *level) { mg_log_level = atoi(level); }
static inline void mgx_log_set_number(int level) { mg_log_level = level; }
#undef mg_log_set
#ifndef __cplusplus
#define mg_log_set(level) \
  (__extension__ _Generic((level), char *: mgx_log_set_text, const char *: mgx_log_set_text, default: mgx_log_set_number)(level))
#endif
#endif

#ifdef __cplusplus
}

#if MGX_COMPAT_7 < 712
static inline void mg_tls_init(struct mg_connection *c, struct mg_str name) { mgx_tls_init_name(c, name); }
static inline void mg_tls_init(struct mg_connection *c, const struct mgx_older_tls_opts *opts) { mgx_tls_init_opts(c, opts); }
#endif
#if MGX_COMPAT_7 < 711
static inline char *mg_straddr(const struct mg_connection *c, char *buf, size_t len) { return mgx_straddr_conn(c, buf, len); }
static inline char *mg_straddr(const struct mg_addr *addr, char *buf, size_t len) { return mgx_straddr_addr(addr, buf, len); }
#endif
#if MGX_COMPAT_7 < 708
static inline void mg_log_set(const char *level) { mgx_log_set_text(level); }
static inline void mg_log_set(int level) { mgx_log_set_number(level); }
#endif
#endif

#endif
