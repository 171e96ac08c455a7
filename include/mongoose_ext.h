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


// Reason why a connection closed.
enum mgx_reason {
  // The connection is open.
  MGX_REASON_NONE,
  // Drained: everything was sent.
  MGX_REASON_DRAINED,
  // The peer closed the connection.
  MGX_REASON_PEER_CLOSED,
  // The peer reset the connection.
  MGX_REASON_RESET,
  // The application set is_closing or called mg_close_conn.
  MGX_REASON_CLOSED_BY_USER,
  // Output made no progress in time.
  MGX_REASON_FLUSH_TIMEOUT,
  // The application did not complete a response in time.
  MGX_REASON_RESPONSE_TIMEOUT,
  // The drain deadline of the manager passed, or the manager was freed.
  MGX_REASON_FORCED,
  // `idle_timeout_ms` of struct mgx_limits expired.
  MGX_REASON_IDLE_TIMEOUT,
  // `header_timeout_ms` of struct mgx_limits expired.
  MGX_REASON_HEADER_TIMEOUT,
  // `body_timeout_ms` of struct mgx_limits expired.
  MGX_REASON_BODY_TIMEOUT,
  // A received message exceeded a size limit.
  MGX_REASON_LIMIT,
  // Any other error.
  MGX_REASON_ERROR,
};

// Shutdown phase of a connection.
enum mgx_phase {
  // No shutdown in progress.
  MGX_ACTIVE,
  // Accepts no new requests; a response is still pending.
  MGX_DRAINING,
  // Sending the last queued bytes.
  MGX_FLUSHING,
  // Closed.
  MGX_CLOSED,
};

// Phases of a manager's graceful shutdown.
enum mgx_mgr_phase {
  // No shutdown in progress.
  MGX_MGR_RUNNING,
  // Still accepting connections; every reply closes its connection.
  MGX_MGR_LAME_DUCK,
  // Listeners are closed; idle connections may send one last request.
  MGX_MGR_IDLE_GRACE,
  // Completing the requests in flight.
  MGX_MGR_FINISHING,
  // The last server-side connection is closed and no socket lingers, or the deadline has passed. The process may exit without
  // affecting any client.
  MGX_MGR_DONE,
};

// Events of the extension, delivered like those of enum mg_event.
enum mgx_event {
  // A drain of the manager has reached this connection, for example to let an event stream or long poll end cleanly. `ev_data`
  // is a `struct mgx_drain_opts *`; the handler may modify it. Sent again when a response begins while the connection or the
  // manager drains and does not complete in the same call.
  MGX_EV_DRAIN = 1296498689,
  // `c->send` grew above `max_send_queue` of struct mgx_limits. `ev_data` is a `size_t *`: its length in bytes.
  MGX_EV_BACKPRESSURE = 1296498690,
  // The peer closed its sending side while output is queued or a response is pending: it half-closed the connection or is
  // gone. `ev_data` is NULL. The connection closes when everything is sent. A response that does not begin or stalls is given
  // `half_close_ms` of struct mgx_limits.
  MGX_EV_EOF = 1296498691,
};

// Bit fields of struct mg_connection, in the order of their declaration.
enum mgx_flag {
  MGX_IS_LISTENING,
  MGX_IS_CLIENT,
  MGX_IS_ACCEPTED,
  MGX_IS_RESOLVING,
  MGX_IS_ARPLOOKING,
  MGX_IS_CONNECTING,
  MGX_IS_TLS,
  MGX_IS_TLS_HS,
  MGX_IS_UDP,
  MGX_IS_WEBSOCKET,
  MGX_IS_MQTT5,
  MGX_IS_HEXDUMPING,
  MGX_IS_DRAINING,
  MGX_IS_CLOSING,
  MGX_IS_FULL,
  MGX_IS_TLS_THROTTLED,
  MGX_IS_RESP,
  MGX_IS_READABLE,
  MGX_IS_WRITABLE,
};

// Threads started by mgx_threads.
struct mgx_group;

// How to drain a connection. Zero-initialise: 0 in a member means its default, -1 means no limit. Times are in milliseconds.
struct mgx_drain_opts {
  // Default 1000. How long an idle keep-alive connection may still send one last request; the reply carries `Connection:
  // close`. -1 waits until it does. Connections that do not speak HTTP drain after this long without input.
  int idle_grace_ms;
  // Default 30000. How long to wait for a pending response to complete, or for an incomplete request to make progress.
  int response_timeout_ms;
  // Default 60000. How long output may make no progress.
  int flush_timeout_ms;
  // Default 10000. How long to keep discarding the peer's input after the last byte was sent.
  int linger_total_ms;
  // Default 1000. How long to keep waiting for the peer's input after the last byte was sent, if nothing arrives.
  int linger_idle_ms;
  // Default: no limit. Maximum number of bytes to discard after the last byte was sent.
  size_t linger_bytes;
  // Default 1001. Status code of the Close frame that a WebSocket sends after its queued frames.
  int ws_close_code;
  // Reason in the Close frame, at most 123 bytes; NULL for none. The library copies it.
  const char *ws_close_reason;
  // Default 2000. How long to wait for the peer's Close frame.
  int ws_close_timeout_ms;
};

// How to drain a manager. Zero-initialise: 0 in a member means its default, -1 means no limit. Times are in milliseconds.
struct mgx_mgr_drain_opts {
  // Default 0. How long to keep accepting connections, so that load balancers notice the shutdown; every reply closes its
  // connection.
  int lame_duck_ms;
  // Default 1000. How long idle keep-alive connections may send one last request after the listeners close.
  int idle_grace_ms;
  // Default 30000, from the call. When it passes, the remaining connections are closed by force.
  int deadline_ms;
  // Default 0. Spreads the drain of the connections over this time, WebSockets and other long-lived ones included, so that
  // clients do not all reconnect at once.
  int spread_ms;
  // Options for each connection.
  struct mgx_drain_opts conn;
};

// Progress of a manager's drain.
struct mgx_drain_status {
  enum mgx_mgr_phase phase;
  // Open listeners.
  size_t listeners;
  // Idle accepted connections. Every accepted connection is counted in exactly one of `idle`, `active`, `pending`, `flushing`
  // and `websockets`.
  size_t idle;
  // Accepted connections in no other state: receiving a request or sending a response.
  size_t active;
  // Accepted connections with a request dispatched and no response begun.
  size_t pending;
  // Accepted connections sending their last bytes.
  size_t flushing;
  // Accepted WebSocket connections.
  size_t websockets;
  // Sockets without a connection that only wait for the peer's last byte.
  size_t lingering;
  // Requests dispatched since the drain began.
  size_t served;
  // Connections closed gracefully since the drain began.
  size_t drained;
  // Connections closed by force since the drain began.
  size_t forced;
  // Bytes still to be sent, including the rest of files being served.
  size_t unsent_bytes;
  // Time since the drain began.
  uint64_t elapsed_ms;
  // Time until the deadline.
  uint64_t remaining_ms;
};

// Limits on what peers may do. Zero-initialise: 0 in a member disables the limit unless noted. Times are in milliseconds.
// "Drain" means to send the error response and close gracefully.
struct mgx_limits {
  // Accepted connections of the manager. A connection above the limit is accepted and closed at once.
  size_t max_conns;
  // Accepted connections from one peer address. A connection above the limit is accepted and closed at once.
  size_t max_conns_per_ip;
  // Time to receive a complete request head, from accept or the first byte of the request. Expiry: 408 and drain.
  int header_timeout_ms;
  // Time without progress of a request body. Expiry: 408 and drain.
  int body_timeout_ms;
  // Time without a request in progress and without traffic. Expiry: drain.
  int idle_timeout_ms;
  // Time without write progress while output is queued. Expiry: close, with a reset.
  int write_timeout_ms;
  // Size of a request head. Excess: 431 and drain.
  size_t max_header_bytes;
  // Size of a request body. Excess: 413 and drain.
  size_t max_body_bytes;
  // Size of a WebSocket message, fragments included. Excess: Close frame with code 1009 and drain.
  size_t max_ws_message;
  // Length of `c->send` that triggers MGX_EV_BACKPRESSURE; triggers again after the length fell below half.
  size_t max_send_queue;
  // Requests on one keep-alive connection. The last reply carries `Connection: close`.
  unsigned int max_requests;
  // After the peer's half-close: how long to wait for a response that has not begun or stalls. 0 means 5000. -1 treats end of
  // stream as a disconnect and closes at once.
  int half_close_ms;
  // Time for a client connection from its first connection attempt to MG_EV_CONNECT. Expiry: MG_EV_ERROR. 0 leaves it to the
  // operating system.
  int connect_timeout_ms;
  // Memory of connections in bytes: structs, records, buffers and TLS sessions, but not allocations of the application. Above
  // it new connections wait to be accepted until others have closed, and mg_tls_init fails; an eighth above it, connections
  // that need a receive buffer close. Both with MG_EV_ERROR `OOM`.
  size_t max_memory;
};

// Counters of a manager since mg_mgr_init.
struct mgx_stats {
  // Connections accepted.
  uint64_t accepted;
  // Connections closed at once because of `max_conns` or `max_conns_per_ip` of struct mgx_limits.
  uint64_t refused;
  // HTTP requests received.
  uint64_t requests;
  // Bytes received.
  uint64_t bytes_in;
  // Bytes sent.
  uint64_t bytes_out;
  // Connections closed by a timeout.
  uint64_t timeouts;
  // Connections closed gracefully.
  uint64_t drained;
  // Connections closed by force.
  uint64_t forced;
  // Connections reset by the peer.
  uint64_t resets;
  // Accepted connections currently open.
  size_t conns;
};

// Prepares the manager of one thread, in that thread: mg_mgr_init, mgx_listen_reuseport, listeners, timers, what else belongs to it.
// False: the thread is not wanted.
typedef bool (*mgx_setup_t)(struct mg_mgr *mgr, int index, void *arg);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the version of the mg_* API that the library implements: "7.22".
const char *mgx_api_version(void);

// Returns the errno of the system call that failed, such as ECONNREFUSED. 0 if no system call failed, and for NULL. Valid in
// MG_EV_ERROR and MG_EV_CLOSE.
int mgx_close_errno(const struct mg_connection *c);

// Returns why the connection closed. Valid in MG_EV_CLOSE. MGX_REASON_NONE for NULL.
enum mgx_reason mgx_close_reason(const struct mg_connection *c);

// Returns the number of bytes that were never passed to the kernel, including the rest of a file being served. Valid in
// MG_EV_CLOSE. 0 for NULL.
size_t mgx_close_unsent(const struct mg_connection *c);

// Resets a connection in the next poll (TCP RST), so that the kernel keeps no state of it. For abusive peers. NULL is a no-op.
void mgx_conn_abort(struct mg_connection *c);

// Closes a connection in the next poll, discarding queued output. Equivalent to `c->is_closing = 1`. NULL is a no-op.
void mgx_conn_close(struct mg_connection *c);

// Removes up to `n` bytes from the start of the received data. Returns the number removed.
size_t mgx_conn_consume(struct mg_connection *c, size_t n);

// Returns `c->data`: MG_DATA_SIZE bytes for the application, initially zero.
void *mgx_conn_data(struct mg_connection *c);

// Closes a connection gracefully: completes the request in progress with a `Connection: close` response, gives an idle
// keep-alive connection `idle_grace_ms` to send one last request, or sends a WebSocket Close frame after the queued frames. Sets
// `is_draining` when done. `opts` NULL means all defaults; the options are copied. Returns false for listeners and UDP sockets,
// which it closes, and for NULL.
bool mgx_conn_drain(struct mg_connection *c, const struct mgx_drain_opts *opts);

// Returns a bit field of a connection. False for NULL and unknown flags.
bool mgx_conn_flag(const struct mg_connection *c, enum mgx_flag flag);

// Returns `c->id`. 0 for NULL.
unsigned long mgx_conn_id(const struct mg_connection *c);

// Writes the local address to `buf` as `1.2.3.4:80` or `[::1]:80`, truncated to `len` - 1 characters and NUL-terminated. Returns
// the full length.
size_t mgx_conn_local(const struct mg_connection *c, char *buf, size_t len);

// Returns the manager of a connection.
struct mg_mgr *mgx_conn_mgr(const struct mg_connection *c);

// Returns the next older connection in the list that starts with mgx_mgr_first; NULL at the end.
struct mg_connection *mgx_conn_next(const struct mg_connection *c);

// Returns the shutdown phase of a connection. MGX_CLOSED for NULL.
enum mgx_phase mgx_conn_phase(const struct mg_connection *c);

// Turns MG_EV_POLL for a connection on or off. Without MG_EV_POLL an inactive connection adds no cost to a poll. mg_send and
// similar functions, mgx_conn_drain and mgx_conn_close still take effect at once. Flags set directly from outside its handlers,
// and data written directly to `c->send`, are noticed within 100 ms or at the end of the current wait.
void mgx_conn_poll_events(struct mg_connection *c, bool on);

// Returns the received data that has not been consumed. Not NUL-terminated: its length is stored in `*len`, which may be NULL.
// Valid until the next call into the library.
const char *mgx_conn_recv(const struct mg_connection *c, size_t *len);

// Writes the peer's address to `buf` as `1.2.3.4:80` or `[::1]:80`, truncated to `len` - 1 characters and NUL-terminated.
// Returns the full length.
size_t mgx_conn_remote(const struct mg_connection *c, char *buf, size_t len);

// Returns the number of bytes waiting to be sent. 0 for NULL.
size_t mgx_conn_send_queue(const struct mg_connection *c);

// Sets a bit field of a connection. Applications may set MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP and
// MGX_IS_HEXDUMPING; for all others it returns false and does nothing.
bool mgx_conn_set_flag(struct mg_connection *c, enum mgx_flag flag, bool on);

// Sets `c->fn_data`.
void mgx_conn_set_user_data(struct mg_connection *c, void *data);

// Returns `c->fn_data`. NULL for NULL.
void *mgx_conn_user_data(const struct mg_connection *c);

// Returns the value of a constant by its name, for example "MG_EV_HTTP_MSG", "MGX_REASON_DRAINED" or "MG_DATA_SIZE". Returns
// INT_MIN, which no constant has, if the name is unknown.
int mgx_const(const char *name);

// Like mg_error, with a plain message instead of a format.
void mgx_error(struct mg_connection *c, const char *message);

// Starts the drain of all managers with the same options and so the same deadline, as mgx_mgr_drain does for one. May be called from any
// thread and from a signal handler, until mgx_group_wait returns. False if no thread is left to drain.
bool mgx_group_drain(const struct mgx_group *group,
                     const struct mgx_mgr_drain_opts *opts);

// Stores the progress of all managers together in `*status`: sums of what is counted, the phase of the one that is furthest behind, the
// longest times. May be called from any thread until mgx_group_wait returns.
void mgx_group_drain_status(const struct mgx_group *group,
                            struct mgx_drain_status *status);

// Number of threads; 0 for NULL.
size_t mgx_group_size(const struct mgx_group *group);

// Waits until all managers are drained and their threads have ended, and frees the group. True if no connection had to be closed by
// force. True for NULL. Not from one of the threads.
bool mgx_group_wait(struct mgx_group *group);

// Starts an HTTP response of unknown length: queues the status line, `headers` (each terminated by CR LF; NULL for none) and
// `Transfer-Encoding: chunked`. Continue with mgx_http_chunk.
void mgx_http_begin(struct mg_connection *c, int status, const char *headers);

// The body. In MG_EV_HTTP_HDRS `*len` is the announced length, of which the part in mgx_conn_recv has arrived.
const char *mgx_http_body(const struct mg_http_message *hm, size_t *len);

// Queues `len` bytes as a chunk of a response started by mgx_http_begin. `len` 0 ends the response.
void mgx_http_chunk(struct mg_connection *c, const void *buf, size_t len);

// Marks the chunk as consumed. Call it in MG_EV_HTTP_CHUNK of versions before 7.14. The message then ends with an empty chunk
// instead of MG_EV_HTTP_MSG.
void mgx_http_delete_chunk(struct mg_connection *c);

// The value of the first header called `name`, ignoring case; NULL if there is none, not NULL if it is empty.
const char *mgx_http_header(const struct mg_http_message *hm, const char *name, size_t *len);

// Stores the name and the value of header number `index`, counted from 0, in `*name` and `*value`, each of which may be NULL.
// False if there are fewer headers.
bool mgx_http_header_at(const struct mg_http_message *hm,
                        size_t index,
                        const char **name,
                        size_t *name_len,
                        const char **value,
                        size_t *value_len);

// Request: the method. Not NUL-terminated: its length is stored in `*len`, which may be NULL. Valid during the handler's call,
// like the results of the functions below. NULL and 0 for NULL.
const char *mgx_http_method(const struct mg_http_message *hm, size_t *len);

// mg_http_parse calls it in applications that define MG_MAX_HTTP_HEADERS: `max_headers` is its value. May be called from any thread.
int mgx_http_parse(const char *s,
                   size_t len,
                   struct mg_http_message *hm,
                   size_t max_headers);

// Request: the protocol version. Response: the reason phrase.
const char *mgx_http_proto(const struct mg_http_message *hm, size_t *len);

// The part of the URI after the first `?`; NULL if there is none.
const char *mgx_http_query(const struct mg_http_message *hm, size_t *len);

// Like mg_http_reply, but sends a body of `body_len` arbitrary bytes. `headers` are header lines, each terminated by CR LF; NULL
// for none.
void mgx_http_reply(struct mg_connection *c, int status, const char *headers, const void *body, size_t body_len);

// Response: the status code; 0 if there is none.
int mgx_http_status(const struct mg_http_message *hm);

// Request: the path, still percent-encoded, without the query. Response: the status code; see mgx_http_status.
const char *mgx_http_uri(const struct mg_http_message *hm, size_t *len);

// Returns limits for a server exposed to the internet: mgx_mgr_limits(&mgr, mgx_limits_public()). Timeouts: request head 10 s,
// body 30 s without progress, unread response 60 s, idle connection 60 s. Sizes: request head 16 KiB, WebSocket message 3 MiB.
// Connections: 10,000, and 1000 per address. Request bodies are limited only by MG_MAX_RECV_SIZE, uploads to files not at all.
// To change a limit, copy the struct. Set `max_conns_per_ip` to 0 behind a reverse proxy, and `idle_timeout_ms` to 0 for
// WebSocket and MQTT peers that may be silent.
const struct mgx_limits *mgx_limits_public(void);

// Creates a listener from an open socket, for example from systemd socket activation or a predecessor process. The socket must
// be bound, and a stream socket must be listening; Unix stream sockets are allowed, and their file is not removed. Only the
// scheme of `url` is used: `https:`, `wss:` and other TLS schemes set `c->is_tls`; `http:`, `https:`, `ws:` and `wss:` install
// the HTTP protocol handler, as mg_http_listen does. The manager owns the descriptor on success. Returns NULL on failure; the
// caller then keeps the descriptor.
struct mg_connection *mgx_listen_fd(struct mg_mgr *mgr, int fd, const char *url, mg_event_handler_t fn, void *fn_data);

// Sets SO_REUSEPORT on listeners opened from now on, so that managers in several threads or processes can share a port. Returns
// false if the manager is not initialised.
bool mgx_listen_reuseport(struct mg_mgr *mgr, bool on);

// Returns the socket of a listener, for example to pass it to a successor process; -1 for other connections and NULL. The
// library keeps ownership.
int mgx_listener_fd(const struct mg_connection *c);

// Logs plain text with the usual prefix if `level` (MG_LL_*) does not exceed the log level.
void mgx_log(int level, const char *text);

// Returns `mg_log_level`.
int mgx_log_get(void);

// Sets `mg_log_level`.
void mgx_log_set(int level);

// Restores the behaviour of the original library for applications that depend on it: a draining connection keeps reading, the
// last reply carries no `Connection: close`, HTTP/1.0 connections stay open, and a poll walks the list of timers however long it
// is. Half-close handling and lingering do not change.
void mgx_mgr_compat(struct mg_mgr *mgr, bool on);

// Closes a manager created by mgx_mgr_new, as mg_mgr_free does, and frees its memory. NULL is a no-op.
void mgx_mgr_delete(struct mg_mgr *mgr);

// Starts the graceful shutdown of a manager. mg_mgr_poll carries it out in phases: lame duck, idle grace, finishing, and forced
// close at the deadline. `opts` NULL means all defaults; the options are copied. A second call can only shorten the deadline.
// After mgx_mgr_drain_init it may be called from any thread and from a signal handler. Returns false if the manager is not
// initialised.
bool mgx_mgr_drain(struct mg_mgr *mgr, const struct mgx_mgr_drain_opts *opts);

// Cancels the drain of a manager while its listeners are still open, that is in the lame duck phase. Returns false if no drain
// has begun or the listeners are closed.
bool mgx_mgr_drain_cancel(struct mg_mgr *mgr);

// Prepares a manager for mgx_mgr_drain calls from other threads and signal handlers. Call it once before the first of them.
// Returns false if the manager is not initialised.
bool mgx_mgr_drain_init(struct mg_mgr *mgr);

// Makes signal `signo` start the drain of a manager, as mgx_mgr_drain with `opts` does; NULL means all defaults. The options are
// copied. Managers may share a signal, and a manager may use several. Freeing the last manager of a signal restores the
// application's previous signal handler. Returns false if the signal cannot be caught or 64 registrations exist.
bool mgx_mgr_drain_on_signal(struct mg_mgr *mgr, int signo, const struct mgx_mgr_drain_opts *opts);

// Stores the progress of the drain in `*status`. May be called before a drain begins.
void mgx_mgr_drain_status(const struct mg_mgr *mgr, struct mgx_drain_status *status);

// Polls the manager until the drain is done or its deadline passes. Starts a drain with default options if none has begun.
// Returns true if no connection had to be closed by force.
bool mgx_mgr_drain_wait(struct mg_mgr *mgr);

// Returns a descriptor for use in another event loop. It is readable, level-triggered, when mg_mgr_poll(mgr, 0) has work to do.
// The loop waits for it at most mgx_mgr_timeout_ms milliseconds, then calls mg_mgr_poll(mgr, 0). MG_EV_POLL is sent only by
// those calls. The library owns the descriptor: do not read from it or close it. Returns -1 if the manager is not initialised.
int mgx_mgr_fd(const struct mg_mgr *mgr);

// Makes a manager keep up to `entries` files that mg_http_serve_dir and mg_http_serve_file have sent lately: the content of those of
// up to 16 KiB, an open descriptor of larger ones. Initially off; `entries` 0 turns it off again and forgets all. An entry is
// used for `revalidate_ms` milliseconds without a look at the file system; then the file is opened and checked as without a cache, so
// that a file that was replaced, removed or moved out of the directory is noticed no later. 0: with each request. Pages with
// server-side includes, listings and files of other file systems than mg_fs_posix are not kept. A transfer keeps its file, whatever
// happens to the entry. Each call begins with an empty cache. Returns false if the manager is not initialised.
bool mgx_mgr_file_cache(struct mg_mgr *mgr,
                        size_t entries,
                        uint64_t revalidate_ms);

// Returns the newest connection of a manager; NULL if there is none.
struct mg_connection *mgx_mgr_first(const struct mg_mgr *mgr);

// Returns true until a drain of the manager begins. For the health check of a load balancer. False if the manager is not
// initialised.
bool mgx_mgr_is_ready(const struct mg_mgr *mgr);

// Sets limits and timeouts of a manager, effective from the next poll. Initially all are off. The limits are copied. No effect
// if a pointer is NULL.
void mgx_mgr_limits(struct mg_mgr *mgr, const struct mgx_limits *limits);

// Allocates and initialises a manager. Returns NULL if out of memory. Free it with mgx_mgr_delete.
struct mg_mgr *mgx_mgr_new(void);

// Returns true if mg_mgr_init succeeded and mg_mgr_free has not been called since. mg_mgr_init fails if the process or the
// system is out of descriptors or memory.
bool mgx_mgr_ok(const struct mg_mgr *mgr);

// Sets options that are compile-time switches in the mg_* API. Call it after mg_mgr_init; they apply to connections opened and data
// read from then on. NULL pointers have no effect.
void mgx_mgr_options(struct mg_mgr *mgr, const struct mgx_options *opts);

// Returns the shutdown phase of a manager. MGX_MGR_DONE if the manager is not initialised.
enum mgx_mgr_phase mgx_mgr_phase(const struct mg_mgr *mgr);

// Tells the library what the application was compiled with: `sizeof(struct mg_connection)`, `offsetof(struct mg_connection, data)` and
// MG_MAX_HTTP_HEADERS. mg_mgr_init calls it in applications that define MG_DATA_SIZE or MG_MAX_HTTP_HEADERS. Call it before anything
// is opened. Ignored, with a log line, if the sizes are not those of this header.
void mgx_mgr_sizes(struct mg_mgr *mgr,
                   size_t conn_size,
                   size_t data_offset,
                   size_t max_http_headers);

// Stores the counters of a manager in `*stats`.
void mgx_mgr_stats(const struct mg_mgr *mgr, struct mgx_stats *stats);

// Returns how long another event loop may wait for mgx_mgr_fd before it calls mg_mgr_poll(mgr, 0), in milliseconds: the time to
// the next timer or deadline, 0 if there is work to do, -1 if there is no limit. Call it right before each wait, and again after
// queuing output, opening a connection, setting its flags or adding a timer outside mg_mgr_poll. Functions that are safe in
// other threads and signal handlers make the descriptor readable instead.
int mgx_mgr_timeout_ms(struct mg_mgr *mgr);

// Sets the 7.x version of the mg_* API that the application was written for, such as 713 for 7.13. mg_mgr_init calls it in
// applications that define MGX_COMPAT_7. Below 714, handlers receive `c->fn_data` (protocol handlers: `c->pfn_data`) as a fourth
// argument, and the MG_EV_HTTP_CHUNK of those versions precedes MG_EV_HTTP_MSG.
void mgx_mgr_written_for(struct mg_mgr *mgr, int version);

// Enforces RFC 6455 in the WebSocket servers and clients of a manager: clients must mask frames, lengths must use the shortest
// encoding, both sides of the handshake are validated in full, and the Host header includes the port. Initially off, because
// applications written for the mg_* API depend on lenient peers. Text must be valid UTF-8, otherwise the connection closes with
// code 1007, unless this function was called with false or mgx_mgr_compat with true.
void mgx_mgr_ws_strict(struct mg_mgr *mgr, bool on);

// MQTT_CMD_* value, for MG_EV_MQTT_CMD.
int mgx_mqtt_cmd(const struct mg_mqtt_message *mm);

// Packet id; 0 if the packet has none.
int mgx_mqtt_id(const struct mg_mqtt_message *mm);

// The payload of a published message.
const char *mgx_mqtt_payload(const struct mg_mqtt_message *mm, size_t *len);

// The quality of service of a published message.
int mgx_mqtt_qos(const struct mg_mqtt_message *mm);

// The topic of a published message.
const char *mgx_mqtt_topic(const struct mg_mqtt_message *mm, size_t *len);

// Sets the trusted CA certificates, in PEM, for updates over https, for the whole process (MG_OTA_TLS_CA). They are copied. An empty
// string removes them; https is then refused.
void mgx_ota_set_ca(struct mg_str pem);

// Sets the version of the running firmware for the whole process (MG_OTA_FIRMWARE_VERSION). mg_ota_url_check sends it to the server
// and compares it with the offered version. Initially `1.0.0`, as for NULL and "". The string is copied. Returns false, without
// effect, if it has more than 63 characters or contains anything but visible ASCII.
bool mgx_ota_set_version(const char *version);

// In a JSON-RPC handler: prints the response `{"id":..,"error":..}`. `error` is an error object, `{"code":..,"message":..}`; any
// other JSON becomes the message of an error with code -32603, internal error. NULL means `null`.
void mgx_rpc_err(struct mg_rpc_req *r, const char *error);

// Like mg_rpc_ok, with JSON text instead of a format; NULL means `null`.
void mgx_rpc_ok(struct mg_rpc_req *r, const char *result);

// Queues `len` bytes for sending, like mg_send. Returns false if out of memory. `buf` may be NULL if `len` is 0.
bool mgx_send(struct mg_connection *c, const void *buf, size_t len);

// Queues `len` bytes for sending on the connection with id `conn_id`. The polling thread sends them; data from one thread stays
// in order. Data for a closed connection is dropped. May be called from any thread and from a signal handler. Returns false if
// 64 MiB are already waiting or the manager is not initialised.
bool mgx_send_to(struct mg_mgr *mgr, unsigned long conn_id, const void *buf, size_t len);

// Like mgx_send_to, for one WebSocket message or control frame. Also returns false for invalid frames, see mgx_ws_send. Dropped if
// the connection is not a WebSocket.
bool mgx_send_ws_to(struct mg_mgr *mgr, unsigned long conn_id, int op, const void *buf, size_t len);

// Returns the size of a public struct by its name, for example "mg_connection"; 0 if unknown. Lets bindings verify their
// layouts.
size_t mgx_sizeof(const char *struct_name);

// Returns the data of a `struct mg_str`, for example the `ev_data` of MG_EV_WAKEUP. Not NUL-terminated: its length is stored in
// `*len`, which may be NULL.
const char *mgx_str_data(const struct mg_str *s, size_t *len);

// Starts `n` threads, one for each CPU that the process may use if `n` is 0, which poll a manager each. `setup` is called in each
// thread with a zero-filled manager, the number of the thread, from 0, and `arg`; the calls follow each other, so those after the first
// can use what it has stored at `arg`, such as a port. It calls mg_mgr_init, and before it listens mgx_listen_reuseport: then all threads
// listen on the same port, and the kernel spreads the connections. A connection stays in its thread, and so do its handlers.
//
// Returns when all are ready, or NULL, with no thread left, if `setup` has returned false, or has not initialised the manager, or if the
// system refuses a thread. Wait for the end, and free the result, with mgx_group_wait.
//
// ```c
// static bool setup(struct struct mg_mgr *mgr, int index, void *arg) {
//   mg_mgr_init(mgr);
//   return mgx_listen_reuseport(mgr, true) && mgx_mgr_drain_on_signal(mgr, SIGTERM, NULL) &&
//          mg_http_listen(mgr, "http://0.0.0.0:8000", fn, arg) != NULL;
// }
// mgx_group_wait(mgx_threads(0, setup, NULL));
// ```
struct mgx_group *mgx_threads(int n,
                              mgx_setup_t setup,
                              void *arg);

// Cancels and frees a timer created by mg_timer_add. No effect if the timer has already finished. May be called from its
// callback.
void mgx_timer_cancel(struct mg_mgr *mgr, struct mg_timer *timer);

// Returns the version of this library.
const char *mgx_version(void);

// Interrupts the wait of mg_mgr_poll. May be called from any thread and from a signal handler. Returns false if the manager is
// not initialised.
bool mgx_wakeup_mgr(struct mg_mgr *mgr);

// Queues a C string for sending. Returns its length, or 0 if out of memory.
size_t mgx_write(struct mg_connection *c, const char *text);

// Queues a WebSocket Close frame with a status code (1000 is a normal close, and replaces codes that RFC 6455 forbids to send) and
// a reason of at most 123 bytes, NULL for none. The peer's response drains the connection. No effect if a Close frame was queued
// before, or if the connection is not a WebSocket.
void mgx_ws_close(struct mg_connection *c, int code, const char *reason);

// Like mg_ws_connect, with plain header lines instead of a format. `headers` NULL: none.
struct mg_connection *mgx_ws_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data, const char *headers);

// The payload of a WebSocket message or control frame.
const char *mgx_ws_data(const struct mg_ws_message *wm, size_t *len);

// The first byte of the frame; its low four bits are a WEBSOCKET_OP_* value.
int mgx_ws_flags(const struct mg_ws_message *wm);

// Like mg_ws_send, but accepts NULL: queues one message or control frame. Returns the number of bytes queued, 0 if `op` is not a
// WEBSOCKET_OP_* value or a control frame exceeds 125 bytes.
size_t mgx_ws_send(struct mg_connection *c, int op, const void *buf, size_t len);

// Like mg_ws_upgrade, with plain header lines instead of a format. `headers` NULL: none.
void mgx_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *headers);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus


#endif
