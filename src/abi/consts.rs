//! Constants of the API that have one value in every build. Those that an application may set with -D stand in
//! `include/preamble.h`.

use super::*;

/// cbindgen:ignore
pub const MG_DATA_SIZE: usize = 32;
/// cbindgen:ignore
pub const MG_MAX_HTTP_HEADERS: usize = 30;
/// cbindgen:ignore
pub const MG_DASH_MAX_USER_NAME: usize = 32;
/// cbindgen:ignore
pub const MG_IO_SIZE: usize = 16384;
/// What buffers begin with: memory of a device is small.
pub(crate) const IO_SIZE: usize = if cfg!(feature = "std") { MG_IO_SIZE } else { 512 };
/// cbindgen:ignore
pub const MG_MAX_RECV_SIZE: usize = 3 * 1024 * 1024;
/// cbindgen:ignore
pub const MG_INVALID_SOCKET: c_int = -1;
/// MG_EV_HTTP_CHUNK of versions before 7.14, which had other numbers: see include/compat.h.
///
/// cbindgen:ignore
pub const MGX_EV_HTTP_CHUNK: c_int = -714;

pub const MG_DNS_RTYPE_A: c_int = 1;
pub const MG_DNS_RTYPE_AAAA: c_int = 28;
pub const MG_DNS_RTYPE_PTR: c_int = 12;
pub const MG_DNS_RTYPE_SRV: c_int = 33;
pub const MG_DNS_RTYPE_TXT: c_int = 16;
pub const MG_MODBUS_ERR_DEVICE_FAILURE: c_int = 4;
pub const MG_MODBUS_ERR_ILLEGAL_ADDRESS: c_int = 2;
pub const MG_MODBUS_ERR_ILLEGAL_FUNCTION: c_int = 1;
pub const MG_MODBUS_ERR_ILLEGAL_VALUE: c_int = 3;
pub const MG_MODBUS_ERR_NONE: c_int = 0;
pub const MG_MODBUS_FUNC_READ_COILS: c_int = 1;
pub const MG_MODBUS_FUNC_READ_DISCRETE_INPUTS: c_int = 2;
pub const MG_MODBUS_FUNC_READ_HOLDING_REGISTERS: c_int = 3;
pub const MG_MODBUS_FUNC_READ_INPUT_REGISTERS: c_int = 4;
pub const MG_MODBUS_FUNC_WRITE_MULTIPLE_COILS: c_int = 15;
pub const MG_MODBUS_FUNC_WRITE_MULTIPLE_REGISTERS: c_int = 16;
pub const MG_MODBUS_FUNC_WRITE_SINGLE_COIL: c_int = 5;
pub const MG_MODBUS_FUNC_WRITE_SINGLE_REGISTER: c_int = 6;
pub const MG_TIMER_AUTODELETE: c_int = 8;
pub const MG_TIMER_CALLED: c_int = 4;
pub const MG_TIMER_ONCE: c_int = 0;
pub const MG_TIMER_REPEAT: c_int = 1;
pub const MG_TIMER_RUN_NOW: c_int = 2;
pub const MG_WIFI_BAND_2G: c_int = 0;
pub const MG_WIFI_BAND_5G: c_int = 1;
pub const MG_WIFI_SECURITY_OPEN: c_int = 0;
pub const MG_WIFI_SECURITY_WEP: c_int = 1;
pub const MG_WIFI_SECURITY_WPA: c_int = 2;
pub const MG_WIFI_SECURITY_WPA2: c_int = 4;
pub const MG_WIFI_SECURITY_WPA2_ENTERPRISE: c_int = 32;
pub const MG_WIFI_SECURITY_WPA3: c_int = 8;
pub const MG_WIFI_SECURITY_WPA3_ENTERPRISE: c_int = 64;
pub const MG_WIFI_SECURITY_WPA_ENTERPRISE: c_int = 16;
pub const MQTT_CMD_AUTH: c_int = 15;
pub const MQTT_CMD_CONNACK: c_int = 2;
pub const MQTT_CMD_CONNECT: c_int = 1;
pub const MQTT_CMD_DISCONNECT: c_int = 14;
pub const MQTT_CMD_PINGREQ: c_int = 12;
pub const MQTT_CMD_PINGRESP: c_int = 13;
pub const MQTT_CMD_PUBACK: c_int = 4;
pub const MQTT_CMD_PUBCOMP: c_int = 7;
pub const MQTT_CMD_PUBLISH: c_int = 3;
pub const MQTT_CMD_PUBREC: c_int = 5;
pub const MQTT_CMD_PUBREL: c_int = 6;
pub const MQTT_CMD_SUBACK: c_int = 9;
pub const MQTT_CMD_SUBSCRIBE: c_int = 8;
pub const MQTT_CMD_UNSUBACK: c_int = 11;
pub const MQTT_CMD_UNSUBSCRIBE: c_int = 10;
pub const MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER: c_int = 18;
pub const MQTT_PROP_AUTHENTICATION_DATA: c_int = 22;
pub const MQTT_PROP_AUTHENTICATION_METHOD: c_int = 21;
pub const MQTT_PROP_CONTENT_TYPE: c_int = 3;
pub const MQTT_PROP_CORRELATION_DATA: c_int = 9;
pub const MQTT_PROP_MAXIMUM_PACKET_SIZE: c_int = 39;
pub const MQTT_PROP_MAXIMUM_QOS: c_int = 36;
pub const MQTT_PROP_MESSAGE_EXPIRY_INTERVAL: c_int = 2;
pub const MQTT_PROP_PAYLOAD_FORMAT_INDICATOR: c_int = 1;
pub const MQTT_PROP_REASON_STRING: c_int = 31;
pub const MQTT_PROP_RECEIVE_MAXIMUM: c_int = 33;
pub const MQTT_PROP_REQUEST_PROBLEM_INFORMATION: c_int = 23;
pub const MQTT_PROP_REQUEST_RESPONSE_INFORMATION: c_int = 25;
pub const MQTT_PROP_RESPONSE_INFORMATION: c_int = 26;
pub const MQTT_PROP_RESPONSE_TOPIC: c_int = 8;
pub const MQTT_PROP_RETAIN_AVAILABLE: c_int = 37;
pub const MQTT_PROP_SERVER_KEEP_ALIVE: c_int = 19;
pub const MQTT_PROP_SERVER_REFERENCE: c_int = 28;
pub const MQTT_PROP_SESSION_EXPIRY_INTERVAL: c_int = 17;
pub const MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE: c_int = 42;
pub const MQTT_PROP_SUBSCRIPTION_IDENTIFIER: c_int = 11;
pub const MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE: c_int = 41;
pub const MQTT_PROP_TOPIC_ALIAS: c_int = 35;
pub const MQTT_PROP_TOPIC_ALIAS_MAXIMUM: c_int = 34;
pub const MQTT_PROP_USER_PROPERTY: c_int = 38;
pub const MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE: c_int = 40;
pub const MQTT_PROP_WILL_DELAY_INTERVAL: c_int = 24;
pub const WEBSOCKET_OP_BINARY: c_int = 2;
pub const WEBSOCKET_OP_CLOSE: c_int = 8;
pub const WEBSOCKET_OP_CONTINUE: c_int = 0;
pub const WEBSOCKET_OP_PING: c_int = 9;
pub const WEBSOCKET_OP_PONG: c_int = 10;
pub const WEBSOCKET_OP_TEXT: c_int = 1;

/// Log levels. A message is logged if its level is at most `mg_log_level`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_log_level_t {
    MG_LL_NONE = 0,
    MG_LL_ERROR = 1,
    MG_LL_INFO = 2,
    MG_LL_DEBUG = 3,
    MG_LL_VERBOSE = 4,
}

/// Open modes of mg_fs_open, and file attributes reported by the `st` member of struct mg_fs.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_fs_flags {
    MG_FS_READ = 1,
    MG_FS_WRITE = 2,
    MG_FS_DIR = 4,
    MG_FS_EXCL = 8,
}

/// Events passed to an event handler, with the type of `ev_data` for each. `ev_data` is valid only during the handler call.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_event {
    /// `char *`: error message. The connection is about to close.
    MG_EV_ERROR = 0,
    /// Clients: `char *`, the URL. Others: NULL. The connection was created.
    MG_EV_OPEN = 1,
    /// `uint64_t *`: current time of mg_millis. Sent once per mg_mgr_poll.
    MG_EV_POLL = 2,
    /// NULL. The host name was resolved.
    MG_EV_RESOLVE = 3,
    /// NULL. A client connection is established.
    MG_EV_CONNECT = 4,
    /// NULL. A listener accepted this connection.
    MG_EV_ACCEPT = 5,
    /// NULL. The TLS handshake completed.
    MG_EV_TLS_HS = 6,
    /// `long *`: number of bytes appended to `c->recv`.
    MG_EV_READ = 7,
    /// `long *`: number of bytes sent.
    MG_EV_WRITE = 8,
    /// NULL. The connection is closed; this is its last event.
    MG_EV_CLOSE = 9,
    /// `struct mg_http_message *`: start line and headers were received. The body may be incomplete.
    MG_EV_HTTP_HDRS = 10,
    /// `struct mg_http_message *`: a complete request or response was received.
    MG_EV_HTTP_MSG = 11,
    /// `struct mg_http_message *`: the WebSocket handshake completed.
    MG_EV_WS_OPEN = 12,
    /// `struct mg_ws_message *`: a WebSocket message was received.
    MG_EV_WS_MSG = 13,
    /// `struct mg_ws_message *`: a WebSocket control frame was received.
    MG_EV_WS_CTL = 14,
    /// `struct mg_mqtt_message *`: an MQTT packet was received.
    MG_EV_MQTT_CMD = 15,
    /// `struct mg_mqtt_message *`: an MQTT PUBLISH packet was received.
    MG_EV_MQTT_MSG = 16,
    /// `int *`: return code of the CONNACK packet; 0 means success.
    MG_EV_MQTT_OPEN = 17,
    /// `uint64_t *`: time in milliseconds since 1970.
    MG_EV_SNTP_TIME = 18,
    /// `struct mg_str *`: message sent by mg_wakeup.
    MG_EV_WAKEUP = 19,
    /// `struct mg_mdns_req *`: an mDNS query was received.
    MG_EV_MDNS_REQ = 20,
    /// `struct mg_mdns_resp *`: an mDNS response was received.
    MG_EV_MDNS_RESP = 21,
    /// `struct mg_modbus_req *`: a Modbus request was received.
    MG_EV_MODBUS_REQ = 22,
    /// First event number available to applications.
    MG_EV_USER = 23,
}

/// Negative results of mg_io_send, mg_io_recv, mg_tls_send and mg_tls_recv.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_io_result {
    /// The connection failed or was closed.
    MG_IO_ERR = -1,
    /// The operation would block; try again later.
    MG_IO_WAIT = -2,
}

/// Value types of MQTT 5 properties.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_mqtt_prop_type {
    MQTT_PROP_TYPE_BYTE = 0,
    MQTT_PROP_TYPE_STRING = 1,
    MQTT_PROP_TYPE_STRING_PAIR = 2,
    MQTT_PROP_TYPE_BINARY_DATA = 3,
    MQTT_PROP_TYPE_VARIABLE_INT = 4,
    MQTT_PROP_TYPE_INT = 5,
    MQTT_PROP_TYPE_SHORT = 6,
}

/// Results of mg_mqtt_parse.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_mqtt_parse_result {
    MQTT_OK = 0,
    MQTT_INCOMPLETE = 1,
    MQTT_MALFORMED = 2,
}

/// Negative results of mg_json_get.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_json_error {
    MG_JSON_TOO_DEEP = -1,
    MG_JSON_INVALID = -2,
    MG_JSON_NOT_FOUND = -3,
}

/// Types of dashboard variables.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_val_type {
    MG_VAL_INT = 0,
    MG_VAL_UINT64 = 1,
    MG_VAL_BOOL = 2,
    MG_VAL_DBL = 3,
    MG_VAL_STR = 4,
    MG_VAL_RAW = 5,
}

/// Operations passed to the callback of a struct mg_field_set.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_dash_op {
    MG_DASH_READ = 0,
    MG_DASH_WRITE = 1,
    MG_DASH_DELETE = 2,
    MG_DASH_ADD = 3,
}

/// State of the running firmware.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mg_ota_status {
    MG_OTA_CONFIRMED = 0,
    MG_OTA_TESTING = 1,
    MG_OTA_FAILED = 2,
    MG_OTA_ROLLEDBACK = 3,
}

/// The enumerators again as the integers C passes.
///
/// cbindgen:ignore
mod ints {
    use super::*;
    pub const MG_LL_NONE: c_int = mg_log_level_t::MG_LL_NONE as c_int;
    pub const MG_LL_ERROR: c_int = mg_log_level_t::MG_LL_ERROR as c_int;
    pub const MG_LL_INFO: c_int = mg_log_level_t::MG_LL_INFO as c_int;
    pub const MG_LL_DEBUG: c_int = mg_log_level_t::MG_LL_DEBUG as c_int;
    pub const MG_LL_VERBOSE: c_int = mg_log_level_t::MG_LL_VERBOSE as c_int;
    pub const MG_FS_READ: c_int = mg_fs_flags::MG_FS_READ as c_int;
    pub const MG_FS_WRITE: c_int = mg_fs_flags::MG_FS_WRITE as c_int;
    pub const MG_FS_DIR: c_int = mg_fs_flags::MG_FS_DIR as c_int;
    pub const MG_FS_EXCL: c_int = mg_fs_flags::MG_FS_EXCL as c_int;
    pub const MG_EV_ERROR: c_int = mg_event::MG_EV_ERROR as c_int;
    pub const MG_EV_OPEN: c_int = mg_event::MG_EV_OPEN as c_int;
    pub const MG_EV_POLL: c_int = mg_event::MG_EV_POLL as c_int;
    pub const MG_EV_RESOLVE: c_int = mg_event::MG_EV_RESOLVE as c_int;
    pub const MG_EV_CONNECT: c_int = mg_event::MG_EV_CONNECT as c_int;
    pub const MG_EV_ACCEPT: c_int = mg_event::MG_EV_ACCEPT as c_int;
    pub const MG_EV_TLS_HS: c_int = mg_event::MG_EV_TLS_HS as c_int;
    pub const MG_EV_READ: c_int = mg_event::MG_EV_READ as c_int;
    pub const MG_EV_WRITE: c_int = mg_event::MG_EV_WRITE as c_int;
    pub const MG_EV_CLOSE: c_int = mg_event::MG_EV_CLOSE as c_int;
    pub const MG_EV_HTTP_HDRS: c_int = mg_event::MG_EV_HTTP_HDRS as c_int;
    pub const MG_EV_HTTP_MSG: c_int = mg_event::MG_EV_HTTP_MSG as c_int;
    pub const MG_EV_WS_OPEN: c_int = mg_event::MG_EV_WS_OPEN as c_int;
    pub const MG_EV_WS_MSG: c_int = mg_event::MG_EV_WS_MSG as c_int;
    pub const MG_EV_WS_CTL: c_int = mg_event::MG_EV_WS_CTL as c_int;
    pub const MG_EV_MQTT_CMD: c_int = mg_event::MG_EV_MQTT_CMD as c_int;
    pub const MG_EV_MQTT_MSG: c_int = mg_event::MG_EV_MQTT_MSG as c_int;
    pub const MG_EV_MQTT_OPEN: c_int = mg_event::MG_EV_MQTT_OPEN as c_int;
    pub const MG_EV_SNTP_TIME: c_int = mg_event::MG_EV_SNTP_TIME as c_int;
    pub const MG_EV_WAKEUP: c_int = mg_event::MG_EV_WAKEUP as c_int;
    pub const MG_EV_MDNS_REQ: c_int = mg_event::MG_EV_MDNS_REQ as c_int;
    pub const MG_EV_MDNS_RESP: c_int = mg_event::MG_EV_MDNS_RESP as c_int;
    pub const MG_EV_MODBUS_REQ: c_int = mg_event::MG_EV_MODBUS_REQ as c_int;
    pub const MG_EV_USER: c_int = mg_event::MG_EV_USER as c_int;
    pub const MG_IO_ERR: c_int = mg_io_result::MG_IO_ERR as c_int;
    pub const MG_IO_WAIT: c_int = mg_io_result::MG_IO_WAIT as c_int;
    pub const MQTT_PROP_TYPE_BYTE: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_BYTE as c_int;
    pub const MQTT_PROP_TYPE_STRING: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_STRING as c_int;
    pub const MQTT_PROP_TYPE_STRING_PAIR: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_STRING_PAIR as c_int;
    pub const MQTT_PROP_TYPE_BINARY_DATA: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_BINARY_DATA as c_int;
    pub const MQTT_PROP_TYPE_VARIABLE_INT: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_VARIABLE_INT as c_int;
    pub const MQTT_PROP_TYPE_INT: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_INT as c_int;
    pub const MQTT_PROP_TYPE_SHORT: c_int = mg_mqtt_prop_type::MQTT_PROP_TYPE_SHORT as c_int;
    pub const MQTT_OK: c_int = mg_mqtt_parse_result::MQTT_OK as c_int;
    pub const MQTT_INCOMPLETE: c_int = mg_mqtt_parse_result::MQTT_INCOMPLETE as c_int;
    pub const MQTT_MALFORMED: c_int = mg_mqtt_parse_result::MQTT_MALFORMED as c_int;
    pub const MG_JSON_TOO_DEEP: c_int = mg_json_error::MG_JSON_TOO_DEEP as c_int;
    pub const MG_JSON_INVALID: c_int = mg_json_error::MG_JSON_INVALID as c_int;
    pub const MG_JSON_NOT_FOUND: c_int = mg_json_error::MG_JSON_NOT_FOUND as c_int;
    pub const MG_OTA_CONFIRMED: c_int = mg_ota_status::MG_OTA_CONFIRMED as c_int;
    pub const MG_OTA_TESTING: c_int = mg_ota_status::MG_OTA_TESTING as c_int;
    pub const MG_OTA_FAILED: c_int = mg_ota_status::MG_OTA_FAILED as c_int;
    pub const MG_OTA_ROLLEDBACK: c_int = mg_ota_status::MG_OTA_ROLLEDBACK as c_int;
}
pub use ints::*;
