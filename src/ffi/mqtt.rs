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

/// Opens a client connection as mg_connect does, for MQTT, and queues the login as mg_mqtt_login does; `opts` may be NULL. The
/// ports 1883 of `mqtt:` and 8883 of `mqtts:` need not be given. What is queued next, right after this call, follows the login.
/// MG_EV_MQTT_OPEN brings the broker's answer as an `int *`, 0 when it accepts; otherwise the connection closes. Messages arrive
/// as MG_EV_MQTT_MSG, all packets as MG_EV_MQTT_CMD, both with a `struct mg_mqtt_message *` that is valid during the call.
/// Messages with QoS 1 and 2 are acknowledged before MG_EV_MQTT_MSG. With `keepalive` a PINGREQ goes out when nothing was sent or
/// received for three quarters of it, and a broker that is silent for one and a half times it raises MG_EV_ERROR. Repeated
/// sending and subscribing anew after a reconnect are the application's. NULL when the URL is empty or memory is short; other
/// failures come as MG_EV_ERROR.
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

/// Opens a listener as mg_listen does, for MQTT: connections it accepts get MG_EV_MQTT_CMD for every packet, and MG_EV_MQTT_MSG
/// for messages in front of that. Messages with QoS 1 and 2 are acknowledged; CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ are for
/// the application to answer with mg_mqtt_send_header and mg_send, or mg_mqtt_pong. `c->is_mqtt5` is set for a client that logs
/// in with version 5. NULL when the listener cannot be opened.
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

/// Queues a CONNECT packet; mg_mqtt_connect has done so already. `opts` may be NULL. `version` 5 makes the connection an MQTT 5
/// one (`c->is_mqtt5`). Without a client id a random one is sent. `topic` and `message` are the will, `qos` and `retain` its
/// flags. What cannot be sent - strings above 65535 bytes, unknown properties - raises MG_EV_ERROR, as in the functions below;
/// then nothing is queued.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_login(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::login(ConnRef::new(c), Opts::new(opts)) }
}

/// Queues a PUBLISH packet with `topic`, `message`, `qos`, `retain` and, on an MQTT 5 connection, `props`. Other members are not
/// read, `retransmit_id` only for QoS 1 and 2: 0 takes the next packet id of the manager, another value sends the message of that
/// id again, with the duplicate flag. Returns the packet id, to be compared with `id` of the PUBACK or PUBCOMP; for QoS 0
/// `retransmit_id`, and 0 after MG_EV_ERROR.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16 {
    enter!(@raw c, 0);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::publish(ConnRef::new(c), Opts::new(opts)) }
}

/// Queues a SUBSCRIBE packet with `topic`, `qos` and, on an MQTT 5 connection, `props`; other members are not read. Its packet id
/// is `mgr->mqtt_id` after the call. The answer arrives as MG_EV_MQTT_CMD with MQTT_CMD_SUBACK.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::subscription(ConnRef::new(c), SUBSCRIBE, Opts::new(opts)) }
}

/// Queues an UNSUBSCRIBE packet with `topic` and, on an MQTT 5 connection, `props`. Otherwise as mg_mqtt_sub.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_unsub(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::subscription(ConnRef::new(c), UNSUBSCRIBE, Opts::new(opts)) }
}

/// Parses the packet at the start of `buf`. `version` is 4 or 5. Returns MQTT_OK, MQTT_INCOMPLETE or MQTT_MALFORMED. `m` is zeroed
/// first; its strings point into `buf`. `m->dgram.len` is the length of the packet, behind which the next one begins. Needs no
/// connection; any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> c_int {
    // SAFETY: len bytes and room for a message, as the caller promises.
    match unsafe { message::parse(buf, len, version, m) } {
        Ok(Some(_)) => MQTT_OK,
        Ok(None) => MQTT_INCOMPLETE,
        Err(Malformed) => MQTT_MALFORMED,
    }
}

/// Queues the first bytes of a packet: type, flags, and `len`, the number of bytes that the application then adds with mg_send.
/// More than 268435455 raise MG_EV_ERROR.
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

/// Queues a PINGRESP packet, the answer to PINGREQ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_pong(c: *mut mg_connection) {
    enter!(@raw c);
    // SAFETY: a connection, as the caller promises.
    mqtt::send_header(unsafe { ConnRef::new(c) }, PINGRESP, 0, 0);
}

/// Queues a DISCONNECT packet, on an MQTT 5 connection with `props`; `opts` may be NULL. To close the connection once the packet
/// is sent, set `c->is_draining`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts) {
    enter!(@raw c);
    // SAFETY: a connection and options or NULL, as the caller promises.
    unsafe { mqtt::disconnect(ConnRef::new(c), Opts::new(opts)) }
}

/// Steps through the MQTT 5 properties of a PUBLISH packet: begin with `ofs` 0, go on with the value returned, end at 0, which also
/// means that the rest is malformed. `prop` is overwritten; its strings point into the packet.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_mqtt_next_prop(msg: *mut mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> usize {
    // SAFETY: a message, room for a property, as the caller promises.
    unsafe { message::next_prop(msg, prop, ofs).unwrap_or(0) }
}
