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


// Why a connection ended.
enum mgx_reason {
  MGX_REASON_NONE,
  // A drain was completed: everything was sent.
  MGX_REASON_DRAINED,
  MGX_REASON_PEER_CLOSED,
  MGX_REASON_RESET,
  // The application set is_closing or called mg_close_conn.
  MGX_REASON_CLOSED_BY_USER,
  // Output did not move.
  MGX_REASON_FLUSH_TIMEOUT,
  // A request was not answered.
  MGX_REASON_RESPONSE_TIMEOUT,
  // The manager's drain deadline passed, or the manager was freed.
  MGX_REASON_FORCED,
  MGX_REASON_IDLE_TIMEOUT,
  MGX_REASON_HEADER_TIMEOUT,
  MGX_REASON_BODY_TIMEOUT,
  // One of struct mgx_limits.
  MGX_REASON_LIMIT,
  MGX_REASON_ERROR,
};

// How far the end of a connection has come.
enum mgx_phase {
  MGX_ACTIVE,
  // It takes no new requests, but an answer is still to come.
  MGX_DRAINING,
  // Only its last bytes are being sent.
  MGX_FLUSHING,
  MGX_CLOSED,
};

// The steps of a manager's graceful shutdown.
enum mgx_mgr_phase {
  MGX_MGR_RUNNING,
  // Still accepting; every reply closes its connection.
  MGX_MGR_LAME_DUCK,
  // Listeners are closed; idle connections may send one last request.
  MGX_MGR_IDLE_GRACE,
  // What is in flight is being finished.
  MGX_MGR_FINISHING,
  // The last server-side connection is gone and no socket lingers any more, or the deadline has passed. An application may
  // exit without harm to any client.
  MGX_MGR_DONE,
};

// Events of the extension, delivered like those of the mg_* API.
enum mgx_event {
  // A drain of the manager has reached this connection: an event stream or a long poll can say good-bye. `ev_data` is a
  // `struct mgx_drain_opts *`; changes count. Comes once more when an answer begins during the drain, of the connection or of
  // the manager, and does not end in the same call.
  MGX_EV_DRAIN = 1296498689,
  // c->send grew above mgx_limits.max_send_queue. `ev_data` is a `size_t *` with its length.
  MGX_EV_BACKPRESSURE = 1296498690,
  // The peer has sent its last byte while output is queued or an answer is pending: it may have half-closed the connection, or
  // be gone. `ev_data` is NULL. The connection closes when all is sent; an answer that has not begun, or does not go on, is
  // awaited for `half_close_ms` of struct mgx_limits.
  MGX_EV_EOF = 1296498691,
};

// The bit fields of struct mg_connection, in their order.
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

// How one connection is drained. Zero-initialise: 0 in a member means its default, -1 means no limit.
struct mgx_drain_opts {
  // Default 1000. How long a keep-alive connection without a request in progress may still deliver one last request,
  // which is answered with `Connection: close`. -1: until it does. What is not HTTP: until nothing has arrived for this long.
  int idle_grace_ms;
  // Default 30000. How long an answer that is pending or does not end is waited for, and a request that does not go on.
  int response_timeout_ms;
  // Default 60000. How long output may stand still.
  int flush_timeout_ms;
  // Default 10000. How long what the peer still sends is read and forgotten after the last byte was sent.
  int linger_total_ms;
  // Default 1000. The same, when nothing comes.
  int linger_idle_ms;
  // Default: no limit. Most bytes to read and forget.
  size_t linger_bytes;
  // Default 1001. Code of the Close frame that a WebSocket gets after its queued frames.
  int ws_close_code;
  // Reason text in that frame, at most 123 bytes, copied. NULL: none.
  const char *ws_close_reason;
  // Default 2000. How long to wait for the peer's Close frame.
  int ws_close_timeout_ms;
};

// Limits on what peers may do. Zero-initialise: 0 in a member means off.
struct mgx_limits {
  // Accepted connections of this manager; one more is accepted and closed at once.
  size_t max_conns;
  // The same for one peer address.
  size_t max_conns_per_ip;
  // From accept, or the first byte of a request, to the end of its head: 408 and drain.
  int header_timeout_ms;
  // No progress of a request body: 408 and drain.
  int body_timeout_ms;
  // No request in progress, and nothing received or sent: drain.
  int idle_timeout_ms;
  // No write progress while output is queued: close.
  int write_timeout_ms;
  // 431 and drain.
  size_t max_header_bytes;
  // 413 and drain.
  size_t max_body_bytes;
  // WebSocket message, fragments joined: Close 1009 and drain.
  size_t max_ws_message;
  // c->send above this: MGX_EV_BACKPRESSURE once, and again after it fell below half.
  size_t max_send_queue;
  // Requests of one keep-alive connection; the last reply says `Connection: close`.
  unsigned int max_requests;
  // How long an answer that has not begun, or does not go on, is awaited after the peer's half-close. 0: 5 s. -1: the end of
  // stream means that the peer is gone: close at once.
  int half_close_ms;
  // How long a client connection may take from the first attempt to reach one of its addresses to MG_EV_CONNECT: MG_EV_ERROR.
  // 0: as long as the system tries.
  int connect_timeout_ms;
  // Bytes that connections hold: structs, records, buffers and TLS sessions, not what the program allocates. Above it no connection
  // is accepted, those who come wait until others have gone, and mg_tls_init fails; an eighth above it, a connection that needs a
  // buffer to receive ends. Both with MG_EV_ERROR `OOM`.
  size_t max_memory;
};

// How a manager is drained. Zero-initialise: 0 in a member means its default, -1 means no limit.
struct mgx_mgr_drain_opts {
  // Default 0. First step: still accepting, because a load balancer needs time to notice; every reply closes.
  int lame_duck_ms;
  // Default 1000. Second step, after the listeners are closed: idle keep-alive connections may send one last request.
  int idle_grace_ms;
  // Default 30000, from the call. Last step: whatever is left is closed by force.
  int deadline_ms;
  // Default 0. The drain reaches connections spread over this time, WebSockets and other long-lived ones too, so that clients
  // do not all reconnect at once.
  int spread_ms;
  // For each connection that is drained.
  struct mgx_drain_opts conn;
};

// A drain in numbers.
struct mgx_drain_status {
  enum mgx_mgr_phase phase;
  // Connections by state, now. `idle` to `websockets` are accepted ones, each counted once.
  size_t listeners;
  size_t idle;
  size_t active;
  // A request was dispatched and its answer has not begun.
  size_t pending;
  size_t flushing;
  size_t websockets;
  // Sockets whose connection is gone and that only wait for the peer's last byte.
  size_t lingering;
  // Since the drain began: requests dispatched, connections ended in order, connections ended by force.
  size_t served;
  size_t drained;
  size_t forced;
  // Bytes still queued, now, with the rest of files that are being served.
  size_t unsent_bytes;
  uint64_t elapsed_ms;
  uint64_t remaining_ms;
};

// Counters of a manager, since mg_mgr_init.
struct mgx_stats {
  uint64_t accepted;
  // Closed at once because of mgx_limits.
  uint64_t refused;
  uint64_t requests;
  uint64_t bytes_in;
  uint64_t bytes_out;
  // Connections ended by a time-out.
  uint64_t timeouts;
  uint64_t drained;
  uint64_t forced;
  uint64_t resets;
  // Accepted connections, now.
  size_t conns;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of the mg_* API that the library offers: "7.22".
const char *mgx_api_version(void);

// The errno of the system call that failed, such as ECONNREFUSED; meaningful inside MG_EV_ERROR and MG_EV_CLOSE. 0 when it was
// something else that ends the connection.
int mgx_close_errno(const struct mg_connection *c);

// Why the connection ends; meaningful inside MG_EV_CLOSE.
enum mgx_reason mgx_close_reason(const struct mg_connection *c);

// Bytes that did not reach the kernel, the rest of a file that was being served among them; meaningful inside MG_EV_CLOSE.
size_t mgx_close_unsent(const struct mg_connection *c);

// Closes a connection in its next poll with a reset, so that nothing of it lives on in the kernel: for abusive peers.
void mgx_conn_abort(struct mg_connection *c);

// Closes a connection in its next poll and discards what it has not sent yet: `is_closing = 1`.
void mgx_conn_close(struct mg_connection *c);

// Takes the first `n` received bytes away, or all there are. Returns how many.
size_t mgx_conn_consume(struct mg_connection *c, size_t n);

// c->data: MG_DATA_SIZE bytes for the application, zero at the start.
void *mgx_conn_data(struct mg_connection *c);

// Ends a connection in order: a request in progress is answered, with `Connection: close`; a keep-alive connection without one
// may send one more within `idle_grace_ms`; a WebSocket gets a Close frame after its queued frames. Sets is_draining in the
// end. `opts` NULL: all defaults; nothing of it is used after the call. Returns false for listeners and UDP, which it closes.
bool mgx_conn_drain(struct mg_connection *c, const struct mgx_drain_opts *opts);

// One of the bit fields. False for NULL and for unknown flags.
bool mgx_conn_flag(const struct mg_connection *c, enum mgx_flag flag);

// c->id; 0 for NULL.
unsigned long mgx_conn_id(const struct mg_connection *c);

// The same for the local address.
size_t mgx_conn_local(const struct mg_connection *c, char *buf, size_t len);

// The manager of a connection.
struct mg_mgr *mgx_conn_mgr(const struct mg_connection *c);

// The next connection in the list that mgx_mgr_first begins, newest first; NULL at its end.
struct mg_connection *mgx_conn_next(const struct mg_connection *c);

// How far the end of the connection has come. MGX_CLOSED for NULL.
enum mgx_phase mgx_conn_phase(const struct mg_connection *c);

// Switches MG_EV_POLL of one connection off, or on again. Without it, a connection costs a poll nothing while nothing happens on
// it, so that a poll costs what is ready and not what is open. Output queued by mg_send and the like, mgx_conn_drain and
// mgx_conn_close take effect at once as ever; flags of such a connection that are written directly from elsewhere, and output
// written straight into c->send, are noticed within 100 ms or at the end of the current wait.
void mgx_conn_poll_events(struct mg_connection *c, bool on);

// Received bytes of a connection that nobody has consumed yet; valid until the next call into the library.
const char *mgx_conn_recv(const struct mg_connection *c, size_t *len);

// Writes the peer's address, as `1.2.3.4:80` or `[::1]:80`, into `buf`, cut to `len` - 1 characters and NUL-terminated. Returns
// the full length.
size_t mgx_conn_remote(const struct mg_connection *c, char *buf, size_t len);

// Bytes waiting to be sent.
size_t mgx_conn_send_queue(const struct mg_connection *c);

// Sets one of the bit fields that applications may set: MGX_IS_DRAINING, MGX_IS_CLOSING, MGX_IS_FULL, MGX_IS_RESP,
// MGX_IS_HEXDUMPING. False, without effect, for the others.
bool mgx_conn_set_flag(struct mg_connection *c, enum mgx_flag flag, bool on);

// Sets c->fn_data.
void mgx_conn_set_user_data(struct mg_connection *c, void *data);

// c->fn_data; NULL for NULL.
void *mgx_conn_user_data(const struct mg_connection *c);

// The value of a constant by its name ("MG_EV_HTTP_MSG", "MGX_REASON_DRAINED", "MG_DATA_SIZE"); INT_MIN, which none of them has,
// when unknown.
int mgx_const(const char *name);

// As mg_error, with a message that is no format.
void mgx_error(struct mg_connection *c, const char *message);

// Begins an answer whose length is not known: status line, `headers` (each ends with CR LF; NULL for none) and
// `Transfer-Encoding: chunked`. mgx_http_chunk goes on.
void mgx_http_begin(struct mg_connection *c, int status, const char *headers);

// The body. In MG_EV_HTTP_HDRS `*len` is the announced length, of which the part in mgx_conn_recv has arrived.
const char *mgx_http_body(const struct mg_http_message *hm, size_t *len);

// Queues a piece of an answer that mgx_http_begin has begun, `len` bytes of any kind. `len` 0 ends the answer.
void mgx_http_chunk(struct mg_connection *c, const void *buf, size_t len);

// In MG_EV_HTTP_CHUNK of versions before 7.14: the application has taken the chunk. The message then ends with an empty chunk in
// place of MG_EV_HTTP_MSG.
void mgx_http_delete_chunk(struct mg_connection *c);

// The value of the first header called `name`, in any case; NULL when there is none, not NULL when it is empty.
const char *mgx_http_header(const struct mg_http_message *hm, const char *name, size_t *len);

// Writes the name and the value of header number `index`, counted from 0, to `*name` and `*value`, each of which may be NULL.
// False when there are not that many.
bool mgx_http_header_at(const struct mg_http_message *hm,
                        size_t index,
                        const char **name,
                        size_t *name_len,
                        const char **value,
                        size_t *value_len);

// Request: the method. The text is not NUL-terminated: its length goes into `*len`, which may be NULL. Valid during the
// handler's call, as what the functions below return. NULL and 0 for NULL.
const char *mgx_http_method(const struct mg_http_message *hm, size_t *len);

// Request: the protocol version. Response: the reason phrase.
const char *mgx_http_proto(const struct mg_http_message *hm, size_t *len);

// What follows the first `?` of the URI; NULL when there is none.
const char *mgx_http_query(const struct mg_http_message *hm, size_t *len);

// As mg_http_reply, with a body of `body_len` bytes of any kind. `headers` NULL: none.
void mgx_http_reply(struct mg_connection *c, int status, const char *headers, const void *body, size_t body_len);

// Response: the status code; 0 when there is none.
int mgx_http_status(const struct mg_http_message *hm);

// Request: the path, still percent-encoded, without the query. Response: the status code; see mgx_http_status.
const char *mgx_http_uri(const struct mg_http_message *hm, size_t *len);

// Limits for a server that strangers can reach: mgx_mgr_limits(&mgr, mgx_limits_public()). Nobody occupies it with slow heads
// (10 s) or bodies (30 s without progress), with answers that are not read (60 s), with idle connections (60 s), with many (10,000;
// 1000 from one address), or with large heads (16 KiB) and WebSocket messages (3 MiB). Bodies may be as long as MG_MAX_RECV_SIZE
// allows, and uploads to files longer. To differ, copy the struct and change members; behind a reverse proxy, which is one address,
// set max_conns_per_ip to 0, and for WebSocket or MQTT peers that may be silent, idle_timeout_ms.
const struct mgx_limits *mgx_limits_public(void);

// Adopts a socket that is bound, and listening if it is a stream: from systemd socket activation or from a predecessor process.
// It may be a Unix stream socket, whose file is left alone. It is the manager's from then on. `url` tells the scheme only (`http:`, `https:`); to serve HTTP, set the handler as
// mg_http_listen would: with a URL of scheme `http:`, `https:`, `ws:` or `wss:` this is done here. NULL when `fd` is no such
// socket; it then stays the caller's.
struct mg_connection *mgx_listen_fd(struct mg_mgr *mgr,
                             int fd,
                             const char *url,
                             mg_event_handler_t fn,
                             void *fn_data);

// Sets SO_REUSEPORT on listeners opened from now on: several managers, in threads or processes of their own, share one port.
bool mgx_listen_reuseport(struct mg_mgr *mgr, bool on);

// The socket of a listener, to hand it to a successor process; -1 for anything else. It stays the library's.
int mgx_listener_fd(const struct mg_connection *c);

// Logs `text`, which is no format, with the usual prefix, when `level` (MG_LL_*) is up to the log level.
void mgx_log(int level, const char *text);

// mg_log_level.
int mgx_log_get(void);

// Sets mg_log_level.
void mgx_log_set(int level);

// Restores the original's behaviour for applications that depend on it: reading goes on while a connection drains, the last
// reply is not announced, HTTP/1.0 connections stay open. Half-closing peers and lingering stay as they are here.
void mgx_mgr_compat(struct mg_mgr *mgr, bool on);

// mg_mgr_free for a manager of mgx_mgr_new, and frees its memory. NULL is fine.
void mgx_mgr_delete(struct mg_mgr *mgr);

// Starts the graceful shutdown of a manager; mg_mgr_poll does the rest, in steps: lame duck, idle grace, finishing, and force
// at the deadline. `opts` NULL: all defaults. May be called from any thread and from a signal handler, after
// mgx_mgr_drain_init. A second call can only bring the deadline nearer. Returns false for a manager that is not initialised.
bool mgx_mgr_drain(struct mg_mgr *mgr, const struct mgx_mgr_drain_opts *opts);

// Goes back to normal work while the listeners are still open, that is in the lame duck phase. False when it is too late, or
// when no drain has begun.
bool mgx_mgr_drain_cancel(struct mg_mgr *mgr);

// Prepares the manager, once, before other threads or signal handlers may call mgx_mgr_drain.
bool mgx_mgr_drain_init(struct mg_mgr *mgr);

// Has signal `signo` start the drain of a manager, as mgx_mgr_drain with these options, which are copied; NULL: all defaults.
// Several managers may share a signal, and one may have several. The handler that the application had before comes back when the
// last manager of the signal is freed. False for a signal that cannot be caught, and when 64 are taken.
bool mgx_mgr_drain_on_signal(struct mg_mgr *mgr, int signo, const struct mgx_mgr_drain_opts *opts);

// Fills `*status` with the state of the drain in numbers; also before one has begun.
void mgx_mgr_drain_status(const struct mg_mgr *mgr, struct mgx_drain_status *status);

// Polls until the drain is done, at most until its deadline; starts a drain with all defaults when none has begun. True when nothing had to be closed by force.
bool mgx_mgr_drain_wait(struct mg_mgr *mgr);

// A descriptor for the event loop of another library, in which the manager is a guest: readable, level-triggered, when
// mg_mgr_poll(mgr, 0) has something to do. It stays the library's: only wait for it. -1 for a manager that is not initialised.
//
// A loop waits for it, at most as long as mgx_mgr_timeout_ms says, and then calls mg_mgr_poll(mgr, 0). MG_EV_POLL comes only with
// those calls.
int mgx_mgr_fd(const struct mg_mgr *mgr);

// The newest connection of a manager; NULL when there is none.
struct mg_connection *mgx_mgr_first(const struct mg_mgr *mgr);

// For the readiness page that a load balancer asks: false from the lame duck phase on.
bool mgx_mgr_is_ready(const struct mg_mgr *mgr);

// Sets limits and time-outs, all off until then; they hold from the next poll on. Copied. NULL pointers have no effect.
void mgx_mgr_limits(struct mg_mgr *mgr, const struct mgx_limits *limits);

// A manager on the heap, initialised. NULL when out of memory. Free it with mgx_mgr_delete.
struct mg_mgr *mgx_mgr_new(void);

// Whether mg_mgr_init succeeded, and mg_mgr_free was not called since. It fails when the process or the system has no descriptors
// or memory left.
bool mgx_mgr_ok(const struct mg_mgr *mgr);

// Sets what is otherwise decided when the library is built. Call it after mg_mgr_init; it holds for what is opened or read from
// then on. NULL pointers have no effect.
void mgx_mgr_options(struct mg_mgr *mgr, const struct mgx_options *opts);

// The step that the manager's drain has reached. MGX_MGR_DONE for a manager that is not initialised.
enum mgx_mgr_phase mgx_mgr_phase(const struct mg_mgr *mgr);

// Fills `*stats` with the manager's counters.
void mgx_mgr_stats(const struct mg_mgr *mgr, struct mgx_stats *stats);

// How long, in milliseconds, another event loop may wait for mgx_mgr_fd before it calls mg_mgr_poll(mgr, 0): until the next
// timer or deadline; 0 when there is something to do now; -1 without limit. Ask right before each wait, or again after what the
// application did outside mg_mgr_poll: output queued, a connection opened or its flags set, a timer added. What other threads
// and signal handlers may call makes the descriptor readable.
int mgx_mgr_timeout_ms(struct mg_mgr *mgr);

// Says for which version 7.x of the API the application was written, such as 713 for 7.13. mg_mgr_init does that for an
// application which defines MGX_COMPAT_7. Below 714, handlers are called with `c->fn_data` (protocol handlers: `c->pfn_data`) as
// a fourth argument, and MG_EV_HTTP_CHUNK of that time comes before MG_EV_HTTP_MSG.
void mgx_mgr_written_for(struct mg_mgr *mgr, int version);

// Makes WebSocket servers and clients of this manager follow RFC 6455 to the letter, from now on: clients must mask their
// frames, lengths must be in their shortest form, both sides of the handshake are checked in full, and the Host header names the
// port. Off at the start, because applications written for the mg_* API live with peers that are not so exact. Text must be
// UTF-8 unless this was called with false (or mgx_mgr_compat with true): whoever sends other text is disconnected with code
// 1007.
void mgx_mgr_ws_strict(struct mg_mgr *mgr, bool on);

// MQTT_CMD_* value, for MG_EV_MQTT_CMD.
int mgx_mqtt_cmd(const struct mg_mqtt_message *mm);

// Packet id; 0 when the packet has none.
int mgx_mqtt_id(const struct mg_mqtt_message *mm);

// Its payload.
const char *mgx_mqtt_payload(const struct mg_mqtt_message *mm, size_t *len);

// Its quality of service.
int mgx_mqtt_qos(const struct mg_mqtt_message *mm);

// The topic of a published message.
const char *mgx_mqtt_topic(const struct mg_mqtt_message *mm, size_t *len);

// Sets the certificates, in PEM, one of which must have issued that of the server, for updates by https: MG_OTA_TLS_CA. Copied;
// an empty string takes them away, and https is refused again. It counts for the whole process.
void mgx_ota_set_ca(struct mg_str pem);

// Sets the version of the firmware that is running, which mg_ota_url_check tells the server and compares with what it offers:
// MG_OTA_FIRMWARE_VERSION, `1.0.0` at the start and for NULL and "". Copied. False, without effect, for more than 63 characters, or
// others than visible ones of ASCII. It counts for the whole process.
bool mgx_ota_set_version(const char *version);

// In a JSON-RPC handler: prints the response `{"id":..,"error":..}`. `error` is the error object, `{"code":..,"message":..}`; any
// other JSON becomes the message of one with code -32603, an internal error. NULL means `null`.
void mgx_rpc_err(struct mg_rpc_req *r, const char *error);

// mg_rpc_ok with a result that is no format but JSON as it stands; NULL means `null`.
void mgx_rpc_ok(struct mg_rpc_req *r, const char *result);

// Queues `len` bytes. False when out of memory. `buf` may be NULL when `len` is 0.
bool mgx_send(struct mg_connection *c, const void *buf, size_t len);

// Queues output on the connection with this id, from any thread or signal handler; it is sent by the polling thread. Output of
// one thread stays in order. False when 64 MiB wait already, or the manager is not initialised. Output for a connection that is
// gone is dropped.
bool mgx_send_to(struct mg_mgr *mgr, unsigned long conn_id, const void *buf, size_t len);

// As mgx_send_to, for one WebSocket message or control frame. False for what is no frame too, see mgx_ws_send; dropped when the
// connection is no WebSocket.
bool mgx_send_ws_to(struct mg_mgr *mgr, unsigned long conn_id, int op, const void *buf, size_t len);

// The size of a public struct, by its name ("mg_connection"); 0 when unknown. A binding checks its own layouts with it.
size_t mgx_sizeof(const char *struct_name);

// What mg_wakeup sent: ev_data of MG_EV_WAKEUP, or any other `struct struct mg_str *`.
const char *mgx_str_data(const struct mg_str *s, size_t *len);

// Ends and frees a timer of mg_timer_add before its time; does nothing when it is over already. May be called in its callback.
void mgx_timer_cancel(struct mg_mgr *mgr, struct mg_timer *timer);

// This library's own version.
const char *mgx_version(void);

// Ends the wait of mg_mgr_poll. From any thread or signal handler. False for a manager that is not initialised.
bool mgx_wakeup_mgr(struct mg_mgr *mgr);

// Queues a C string. Returns its length, or 0 when out of memory.
size_t mgx_write(struct mg_connection *c, const char *text);

// Queues a WebSocket Close frame with a status code (1000 for a normal end, and for a code that RFC 6455 lets nobody send) and a
// reason of at most 123 bytes, NULL for none. The peer's answer drains the connection. Does nothing when a Close frame was queued
// before, and to what is no WebSocket.
void mgx_ws_close(struct mg_connection *c, int code, const char *reason);

// mg_ws_connect with header lines that are no format. `headers` NULL: none.
struct mg_connection *mgx_ws_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data, const char *headers);

// The payload of a WebSocket message or control frame.
const char *mgx_ws_data(const struct mg_ws_message *wm, size_t *len);

// The first byte of the frame; its low four bits are a WEBSOCKET_OP_* value.
int mgx_ws_flags(const struct mg_ws_message *wm);

// mg_ws_send that tolerates NULL: queues one message or control frame. Returns the number of bytes queued, 0 for an `op` that is
// no WEBSOCKET_OP_* value and for a control frame of more than 125 bytes.
size_t mgx_ws_send(struct mg_connection *c, int op, const void *buf, size_t len);

// mg_ws_upgrade with header lines that are no format. `headers` NULL: none.
void mgx_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *headers);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus


#endif
