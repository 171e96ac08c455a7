//! What the header declares and this build does not export yet. A function moves from here to `ffi` when it is written; the
//! test `exports_match_header` fails as long as it stands in both places, or in none.

#![allow(dead_code, unreachable_pub)]

use super::*;

// ---- TLS
unsafe extern "C" {
    /// Starts TLS on a connection. Failures are reported with MG_EV_ERROR.
    pub fn mg_tls_init(c: *mut mg_connection, opts: *const mg_tls_opts);

    /// Frees the TLS state; harmless when there is none.
    pub fn mg_tls_free(c: *mut mg_connection);

    /// Encrypts and sends. Returns the number of bytes taken, MG_IO_WAIT or MG_IO_ERR.
    pub fn mg_tls_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> c_long;

    /// Decrypts. Returns the number of bytes, MG_IO_WAIT or MG_IO_ERR.
    pub fn mg_tls_recv(c: *mut mg_connection, buf: *mut c_void, len: usize) -> c_long;

    /// Number of decrypted bytes that have not been delivered yet.
    pub fn mg_tls_pending(c: *mut mg_connection) -> usize;

    /// Sends what the TLS layer holds back.
    pub fn mg_tls_flush(c: *mut mg_connection);

    /// Advances the handshake.
    pub fn mg_tls_handshake(c: *mut mg_connection);

    /// Called by mg_mgr_init.
    pub fn mg_tls_ctx_init(mgr: *mut mg_mgr);

    /// Called by mg_mgr_free.
    pub fn mg_tls_ctx_free(mgr: *mut mg_mgr);
}

// ---- MQTT
unsafe extern "C" {
    /// Connects to a broker and queues the login. `opts` may be NULL. NULL on failure.
    pub fn mg_mqtt_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        opts: *const mg_mqtt_opts,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
    ) -> *mut mg_connection;

    /// Listens for MQTT clients. NULL on failure.
    pub fn mg_mqtt_listen(
        mgr: *mut mg_mgr,
        url: *const c_char,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
    ) -> *mut mg_connection;

    /// Queues an MQTT CONNECT packet.
    pub fn mg_mqtt_login(c: *mut mg_connection, opts: *const mg_mqtt_opts);

    /// Publishes an MQTT message. Returns the packet id, 0 for quality of service 0.
    pub fn mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16;

    /// Subscribes to an MQTT topic.
    pub fn mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts);

    /// Ends an MQTT subscription.
    pub fn mg_mqtt_unsub(c: *mut mg_connection, opts: *const mg_mqtt_opts);

    /// Parses one MQTT packet. Returns MQTT_OK, MQTT_INCOMPLETE or MQTT_MALFORMED.
    pub fn mg_mqtt_parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> c_int;

    /// Queues the first bytes of an MQTT packet; `len` is the size of what follows them.
    pub fn mg_mqtt_send_header(c: *mut mg_connection, cmd: u8, flags: u8, len: u32);

    /// Queues a PINGREQ packet.
    pub fn mg_mqtt_ping(c: *mut mg_connection);

    /// Queues a PINGRESP packet.
    pub fn mg_mqtt_pong(c: *mut mg_connection);

    /// Queues a DISCONNECT packet. `opts` may be NULL unless the connection speaks MQTT 5.
    pub fn mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts);

    /// Steps through MQTT 5 properties: begin with 0, go on with the value returned, end at 0.
    pub fn mg_mqtt_next_prop(msg: *mut mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> usize;
}

// ---- DNS and mDNS
unsafe extern "C" {
    /// Parses a DNS message.
    pub fn mg_dns_parse(buf: *const u8, len: usize, dm: *mut mg_dns_message) -> bool;

    /// Parses the question or record at `ofs`. Returns its length, or 0.
    pub fn mg_dns_parse_rr(buf: *const u8, len: usize, ofs: usize, is_question: bool, rr: *mut mg_dns_rr) -> usize;

    /// Listens for mDNS queries and answers. `fn_data` is the host name to answer for, without `.local`, or NULL.
    pub fn mg_mdns_listen(mgr: *mut mg_mgr, r#fn: mg_event_handler_t, fn_data: *mut c_void) -> *mut mg_connection;

    /// Sends an mDNS query; `rtype` is an MG_DNS_RTYPE_* value.
    pub fn mg_mdns_query(c: *mut mg_connection, name: *const c_char, rtype: c_uint) -> bool;

    /// Finds the address of a connection's host. mg_connect does this by itself.
    pub fn mg_resolve(c: *mut mg_connection, url: *const c_char);

    /// Forgets that a connection waits for an address.
    pub fn mg_resolve_cancel(c: *mut mg_connection);

    /// Opens the connection to a DNS server.
    pub fn mg_dnsc_init(mgr: *mut mg_mgr, dnsc: *mut mg_dns) -> bool;
}
