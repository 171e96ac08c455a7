//! Connections, by name.

use crate::event::slice;
use crate::manager::Shared;
use crate::sys::{self, mg_connection, mg_http_message};
use crate::{Drain, Manager, MqttOptions, TlsOptions, c_string, header_lines, view};
use engine::abi::*;
use std::ffi::{CString, c_char, c_int};
use std::net::SocketAddr;
use std::rc::Rc;

/// The name of a connection: of a listener, an accepted or a client connection. When the connection is gone, methods have no effect.
#[derive(Clone)]
pub struct Connection {
    pub(crate) id: u64,
    pub(crate) shared: Rc<Shared>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "connection {}", self.id)
    }
}

impl PartialEq for Connection {
    fn eq(&self, other: &Connection) -> bool {
        self.id == other.id && Rc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Connection {
    /// Its number, for [`Remote`](crate::Remote) and [`Manager::find`].
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The manager of the connection, for opening others and for timers. It does not poll, and dropping it closes nothing.
    pub fn manager(&self) -> Manager {
        Manager::guest(self.shared.clone())
    }

    /// Whether it is still there.
    pub fn is_open(&self) -> bool {
        self.pointer().is_some()
    }

    fn pointer(&self) -> Option<*mut mg_connection> {
        self.shared.connections.borrow().get(&self.id).copied()
    }

    /// Calls the library with the connection, if it is there. No borrow is held: handlers may be called meanwhile.
    fn with<R: Default>(&self, f: impl FnOnce(*mut mg_connection) -> R) -> R {
        self.pointer().map(|c| self.shared.enter(|| f(c))).unwrap_or_default()
    }

    /// What moves the received bytes makes messages in them void.
    fn forget_message(&self) {
        self.shared.messages.borrow_mut().retain(|(id, _)| *id != self.id);
    }

    /// The same inside the handler of [`Event::Http`](crate::Event::Http), once, with its message.
    fn with_message(&self, f: impl FnOnce(*mut mg_connection, *mut mg_http_message)) -> bool {
        let message = {
            let mut current = self.shared.messages.borrow_mut();
            let at = current.iter().rposition(|(id, _)| *id == self.id);
            at.map(|at| current.remove(at).1)
        };
        match (self.pointer(), message) {
            (Some(c), Some(hm)) => {
                self.shared.enter(|| f(c, hm));
                true
            }
            _ => false,
        }
    }

    fn flag(&self, flag: mgx_flag) -> bool {
        // SAFETY: the connection is alive.
        self.with(|c| unsafe { sys::mgx_conn_flag(c, flag) })
    }

    /// Whether it is a listener.
    pub fn is_listening(&self) -> bool {
        self.flag(mgx_flag::MGX_IS_LISTENING)
    }

    /// Whether it was accepted by a listener.
    pub fn is_accepted(&self) -> bool {
        self.flag(mgx_flag::MGX_IS_ACCEPTED)
    }

    /// Whether it is a WebSocket.
    pub fn is_websocket(&self) -> bool {
        self.flag(mgx_flag::MGX_IS_WEBSOCKET)
    }

    fn address(&self, f: unsafe extern "C" fn(*const mg_connection, *mut c_char, usize) -> usize) -> Option<SocketAddr> {
        let mut text = [0u8; 80];
        // SAFETY: the connection is alive, and the buffer has the size that is given.
        let len = self.with(|c| unsafe { f(c, text.as_mut_ptr().cast(), text.len()) });
        std::str::from_utf8(text.get(..len)?).ok()?.parse().ok()
    }

    /// The local address.
    pub fn local(&self) -> Option<SocketAddr> {
        self.address(sys::mgx_conn_local)
    }

    /// The peer's address.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.address(sys::mgx_conn_remote)
    }

    /// Takes the bytes that have arrived, of a connection without a protocol.
    pub fn take(&self) -> Vec<u8> {
        self.forget_message();
        self.with(|c| {
            let mut len = 0;
            // SAFETY: the connection is alive; the bytes are copied before they are consumed.
            unsafe {
                let bytes = slice(sys::mgx_conn_recv(c, &mut len), len).to_vec();
                sys::mgx_conn_consume(c, len);
                bytes
            }
        })
    }

    /// Queues bytes. False when the connection is gone, and when out of memory.
    pub fn send(&self, bytes: &[u8]) -> bool {
        // SAFETY: the connection is alive; the bytes are copied.
        self.with(|c| unsafe { sys::mgx_send(c, bytes.as_ptr().cast(), bytes.len()) })
    }

    /// Bytes that wait to be sent.
    pub fn queued(&self) -> usize {
        // SAFETY: the connection is alive.
        self.with(|c| unsafe { sys::mgx_conn_send_queue(c) })
    }

    /// Stops reading, or goes on: for a peer that sends faster than its data can be used.
    pub fn pause(&self, on: bool) {
        // SAFETY: the connection is alive.
        self.with(|c| unsafe { sys::mgx_conn_set_flag(c, mgx_flag::MGX_IS_FULL, on) });
    }

    // ---- ending

    /// Ends in order: a request in progress is answered, an idle client may ask once more, a WebSocket gets a Close frame.
    pub fn drain(&self, how: &Drain) -> bool {
        let opts = how.to_c();
        // SAFETY: the connection is alive; the options are copied.
        self.with(|c| unsafe { sys::mgx_conn_drain(c, &opts) })
    }

    /// Sends what is queued, handles nothing any more, and closes.
    pub fn drain_now(&self) {
        // SAFETY: the connection is alive.
        self.with(|c| unsafe { sys::mgx_conn_set_flag(c, mgx_flag::MGX_IS_DRAINING, true) });
    }

    /// Closes, and discards what is queued.
    pub fn close(&self) {
        // SAFETY: the connection is alive; it is closed in its next turn.
        self.with(|c| unsafe { sys::mgx_conn_close(c) });
    }

    /// Closes with a reset.
    pub fn abort(&self) {
        // SAFETY: the connection is alive; it is closed in its next turn.
        self.with(|c| unsafe { sys::mgx_conn_abort(c) });
    }

    // ---- TLS

    /// Starts TLS: in the event `Accept` or `Connect`, or for a client right after it was opened.
    pub fn tls_init(&self, options: &TlsOptions) {
        self.forget_message();
        let opts = mg_tls_opts {
            ca: view(&options.ca),
            cert: view(&options.cert),
            key: view(&options.key),
            name: view(options.name.as_bytes()),
            skip_verification: options.skip_verification,
        };
        // SAFETY: the connection is alive; nothing of the options is used after the call.
        self.with(|c| unsafe { sys::mg_tls_init(c, &opts) });
    }

    // ---- HTTP

    /// Queues a whole answer.
    pub fn reply(&self, status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) {
        let (lines, body) = (header_lines(headers), body.as_ref());
        // SAFETY: the connection is alive; headers and body are copied.
        self.with(|c| unsafe { sys::mgx_http_reply(c, status.into(), lines.as_ptr(), body.as_ptr().cast(), body.len()) });
    }

    /// Begins an answer in chunks.
    pub fn begin(&self, status: u16, headers: &[(&str, &str)]) {
        let lines = header_lines(headers);
        // SAFETY: the connection is alive; the headers are copied.
        self.with(|c| unsafe { sys::mgx_http_begin(c, status.into(), lines.as_ptr()) });
    }

    /// A piece of an answer that `begin` has begun.
    pub fn chunk(&self, piece: impl AsRef<[u8]>) {
        let piece = piece.as_ref();
        if !piece.is_empty() {
            // SAFETY: the connection is alive; the piece is copied.
            self.with(|c| unsafe { sys::mgx_http_chunk(c, piece.as_ptr().cast(), piece.len()) });
        }
    }

    /// The end of the answer.
    pub fn end(&self) {
        // SAFETY: the connection is alive.
        self.with(|c| unsafe { sys::mgx_http_chunk(c, std::ptr::null(), 0) });
    }

    /// In the event `Http`: answers with a file of a directory, or a listing.
    pub fn serve_dir(&self, root: &str) -> bool {
        let root = c_string(root);
        self.with_message(|c, hm| {
            let none = std::ptr::null();
            let opts = mg_http_serve_opts {
                root_dir: root.as_ptr(),
                ssi_pattern: none,
                extra_headers: none,
                mime_types: none,
                page404: none,
                fs: std::ptr::null_mut(),
            };
            // SAFETY: connection and message are alive: we are in the handler that got it.
            unsafe { sys::mg_http_serve_dir(c, hm, &opts) }
        })
    }

    /// Sends a request, of a client.
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> bool {
        let body = body.as_ref();
        let clean = |s: &str| s.replace([' ', '\r', '\n', '\0'], "");
        let mut text = format!("{} {} HTTP/1.1\r\n", clean(method), clean(path)).into_bytes();
        let host = self.shared.hosts.borrow().get(&self.id).cloned().unwrap_or_default();
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.extend_from_slice(header_lines(&[("Host", &host)]).as_bytes());
        }
        if !body.is_empty() || !matches!(method, "GET" | "HEAD") {
            text.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
        }
        text.extend_from_slice(header_lines(headers).as_bytes());
        text.extend_from_slice(b"\r\n");
        text.extend_from_slice(body);
        self.send(&text)
    }

    // ---- WebSocket

    /// In the event `Http`: makes a WebSocket of the connection. False elsewhere.
    pub fn ws_upgrade(&self, headers: &[(&str, &str)]) -> bool {
        let lines = header_lines(headers);
        // SAFETY: connection and message are alive: we are in the handler that got it.
        self.with_message(|c, hm| unsafe { sys::mgx_ws_upgrade(c, hm, lines.as_ptr()) })
    }

    fn ws_send(&self, op: c_int, bytes: &[u8]) -> bool {
        // SAFETY: the connection is alive; the bytes are copied.
        self.is_websocket() && self.with(|c| unsafe { sys::mgx_ws_send(c, op, bytes.as_ptr().cast(), bytes.len()) }) > 0
    }

    /// Queues a text message.
    pub fn ws_text(&self, text: &str) -> bool {
        self.ws_send(WEBSOCKET_OP_TEXT, text.as_bytes())
    }

    /// Queues a binary message.
    pub fn ws_binary(&self, bytes: &[u8]) -> bool {
        self.ws_send(WEBSOCKET_OP_BINARY, bytes)
    }

    /// Queues a Close frame; the peer's answer ends the connection.
    pub fn ws_close(&self, code: u16, reason: &str) {
        let reason = c_string(reason);
        // SAFETY: the connection is alive; the reason is copied.
        self.with(|c| unsafe { sys::mgx_ws_close(c, code.into(), reason.as_ptr()) });
    }

    // ---- MQTT

    /// Subscribes to a topic, which may have wildcards.
    pub fn subscribe(&self, topic: &str, qos: u8) {
        let opts = mqtt(&MqttOptions::default(), topic.as_bytes(), b"", qos, false);
        // SAFETY: the connection is alive; the packet is made in the call.
        self.with(|c| unsafe { sys::mg_mqtt_sub(c, &opts) });
    }

    /// Publishes a message. Returns the id of its packet, 0 for QoS 0.
    pub fn publish(&self, topic: &str, message: impl AsRef<[u8]>, qos: u8, retain: bool) -> u16 {
        let opts = mqtt(&MqttOptions::default(), topic.as_bytes(), message.as_ref(), qos, retain);
        // SAFETY: the connection is alive; the packet is made in the call.
        self.with(|c| unsafe { sys::mg_mqtt_pub(c, &opts) })
    }

    /// Says good-bye to the broker, and closes when that is sent.
    pub fn mqtt_disconnect(&self) {
        // SAFETY: the connection is alive; NULL are no options.
        self.with(|c| unsafe { sys::mg_mqtt_disconnect(c, std::ptr::null()) });
        self.drain_now();
    }
}

/// What the functions for MQTT take, as long as its parts live.
pub(crate) fn mqtt(o: &MqttOptions, topic: &[u8], message: &[u8], qos: u8, retain: bool) -> mg_mqtt_opts {
    mg_mqtt_opts {
        user: view(o.user.as_bytes()),
        pass: view(o.password.as_bytes()),
        client_id: view(o.client_id.as_bytes()),
        topic: view(topic),
        message: view(message),
        qos: qos.min(2),
        version: if o.version5 { 5 } else { 4 },
        keepalive: o.keepalive,
        retransmit_id: 0,
        retain,
        clean: o.clean,
        props: std::ptr::null_mut(),
        num_props: 0,
        will_props: std::ptr::null_mut(),
        num_will_props: 0,
    }
}

/// What stands in the Host header for a URL.
pub(crate) fn host_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
    authority.rsplit('@').next().unwrap_or("").to_string()
}

/// A URL as C takes it; `None` when there is a NUL in it.
pub(crate) fn url(text: &str) -> Option<CString> {
    CString::new(text).ok()
}
