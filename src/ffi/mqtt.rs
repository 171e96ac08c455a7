//! MQTT 3.1.1 and 5.

use crate::abi::*;
use crate::ffi_util::mqtt::{self as message, Opts};
use crate::handler::mqtt;
use crate::net::conn::{self, Client};
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::proto::mqtt::{Malformed, PINGREQ, PINGRESP, SUBSCRIBE, UNSUBSCRIBE};
use core::ffi::{c_char, c_int, c_void};
use core::ptr;

/// Opens an MQTT client connection, see mg_connect, and queues a CONNECT packet, see mg_mqtt_login. `opts` may be NULL. The
/// default ports are 1883 for `mqtt:` and 8883 for `mqtts:`. Packets queued right after this call follow the CONNECT.
///
/// MG_EV_MQTT_OPEN reports the return code of the broker as an `int *`: 0 means accepted, otherwise the connection closes.
/// Messages arrive as MG_EV_MQTT_MSG and all packets as MG_EV_MQTT_CMD, with a `struct mg_mqtt_message *` that is valid during
/// the call. Messages with QoS 1 and 2 are acknowledged before MG_EV_MQTT_MSG. If `keepalive` is set, a PINGREQ is sent after
/// three quarters of it without traffic, and a broker silent for one and a half times as long raises MG_EV_ERROR. Retransmission,
/// and subscribing again after a reconnect, are up to the application.
///
/// Returns NULL if the URL is empty or if out of memory. Other failures raise MG_EV_ERROR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_connect(
    mgr: *mut mg_mgr,
    url: *const c_char,
    opts: *const mg_mqtt_opts,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    let client = Client { url, handler: r#fn, handler_data: fn_data, pfn: None, pfn_data: ptr::null_mut() };
    // SAFETY: a manager, a C string or NULL, and options or NULL, as the caller promises.
    unsafe {
        Engine::enter_mgr(mgr).and_then(|e| mqtt::connect(&e, client, Opts::new(opts))).map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// Opens an MQTT listener; see mg_listen for URLs. Its connections get MG_EV_MQTT_CMD for every packet, and MG_EV_MQTT_MSG before
/// it for published messages. Messages with QoS 1 and 2 are acknowledged. The application responds to CONNECT, SUBSCRIBE,
/// UNSUBSCRIBE and PINGREQ with mg_mqtt_send_header and mg_send, or mg_mqtt_pong. `c->is_mqtt5` is set if the client uses MQTT 5.
/// Returns NULL on failure.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_listen(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a manager and a C string, as the caller promises.
    unsafe {
        let Some(e) = Engine::enter_mgr(mgr) else { return ptr::null_mut() };
        conn::listen(&e, url, r#fn, fn_data).inspect(|c| c.set_pfn(Some(mqtt::handler))).map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}

/// Queues a CONNECT packet; mg_mqtt_connect calls it. `opts` may be NULL. `version` 5 selects MQTT 5 and sets `c->is_mqtt5`. An
/// empty `client_id` is replaced by a random one. `topic` and `message` are the will, `qos` and `retain` its flags. Raises
/// MG_EV_ERROR and queues nothing if a string exceeds 65535 bytes or a property is unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_login(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::login(ConnRef::new(c), Opts::new(opts)) }
}

/// Queues a PUBLISH packet with `topic`, `message`, `qos`, `retain` and, for MQTT 5, `props`. With QoS 1 and 2, `retransmit_id` 0
/// assigns the next packet id of the manager; another value retransmits the message with that id and the DUP flag. Other members
/// are ignored. Returns the packet id, which PUBACK and PUBCOMP carry as `id`; for QoS 0, `retransmit_id`. If a string exceeds
/// 65535 bytes or a property is unknown, raises MG_EV_ERROR, queues nothing and returns 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16 {
    enter!(@raw c, 0);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::publish(ConnRef::new(c), Opts::new(opts)) }
}

/// Queues a SUBSCRIBE packet with `topic`, `qos` and, for MQTT 5, `props`. Other members are ignored. Its packet id is
/// `mgr->mqtt_id` after the call. The response arrives as MG_EV_MQTT_CMD with MQTT_CMD_SUBACK. Raises MG_EV_ERROR and queues
/// nothing if a string exceeds 65535 bytes or a property is unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::subscription(ConnRef::new(c), SUBSCRIBE, Opts::new(opts)) }
}

/// Queues an UNSUBSCRIBE packet with `topic` and, for MQTT 5, `props`. Other members are ignored. Its packet id is `mgr->mqtt_id`
/// after the call. Raises MG_EV_ERROR and queues nothing if a string exceeds 65535 bytes or a property is unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_unsub(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::subscription(ConnRef::new(c), UNSUBSCRIBE, Opts::new(opts)) }
}

/// Parses the MQTT packet at the start of `buf`. `version` is 4 or 5. Returns MQTT_OK, MQTT_INCOMPLETE or MQTT_MALFORMED. Zeroes
/// `*m` first; its strings point into `buf`. The next packet starts at offset `m->dgram.len`. May be called from any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> c_int {
    // SAFETY: len bytes and room for a message, as the caller promises.
    match unsafe { message::parse(buf, len, version, m) } {
        Ok(Some(_)) => MQTT_OK,
        Ok(None) => MQTT_INCOMPLETE,
        Err(Malformed) => MQTT_MALFORMED,
    }
}

/// Queues the fixed header of an MQTT packet: type, flags, and the length `len` of the rest, which the application then queues
/// with mg_send. Raises MG_EV_ERROR if `len` exceeds 268435455.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_send_header(c: *mut mg_connection, cmd: u8, flags: u8, len: u32) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    mqtt::send_header(unsafe { ConnRef::new(c) }, cmd, flags, len);
}

/// Queues a PINGREQ packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_ping(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    mqtt::send_header(unsafe { ConnRef::new(c) }, PINGREQ, 0, 0);
}

/// Queues a PINGRESP packet, the response to PINGREQ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_pong(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    mqtt::send_header(unsafe { ConnRef::new(c) }, PINGRESP, 0, 0);
}

/// Queues a DISCONNECT packet, with `props` for MQTT 5. `opts` may be NULL. To close the connection after the packet is sent, set
/// `c->is_draining`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::disconnect(ConnRef::new(c), Opts::new(opts)) }
}

/// Iterates over the MQTT 5 properties of a PUBLISH packet. `ofs` is 0 for the first call, then the result of the previous call.
/// Fills in `*prop`; its strings point into the packet. Returns 0 at the end or if the rest is malformed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_next_prop(msg: *mut mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> usize {
    // SAFETY: a message, room for a property, as the caller promises.
    unsafe { message::next_prop(msg, prop, ofs).unwrap_or(0) }
}
