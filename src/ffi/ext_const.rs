//! Extension API: constants by name, for languages that cannot read a header.

use crate::abi::*;
use crate::ffi_util::bytes;
use core::ffi::{c_char, c_int};

macro_rules! values {
    ($name:expr, $($number:ident)*; $($enum:ident: $($member:ident)*;)*) => {
        match $name {
            $(n if n == stringify!($number).as_bytes() => $number as c_int,)*
            $($(n if n == stringify!($member).as_bytes() => $enum::$member as c_int,)*)*
            _ => c_int::MIN,
        }
    };
}

fn value(name: &[u8]) -> c_int {
    values!(
        name,
        MG_DATA_SIZE MG_MAX_HTTP_HEADERS MG_DASH_MAX_USER_NAME MG_IO_SIZE MG_MAX_RECV_SIZE MG_INVALID_SOCKET MG_DNS_RTYPE_A
        MG_DNS_RTYPE_AAAA MG_DNS_RTYPE_PTR MG_DNS_RTYPE_SRV MG_DNS_RTYPE_TXT MG_MODBUS_ERR_DEVICE_FAILURE
        MG_MODBUS_ERR_ILLEGAL_ADDRESS MG_MODBUS_ERR_ILLEGAL_FUNCTION MG_MODBUS_ERR_ILLEGAL_VALUE MG_MODBUS_ERR_NONE
        MG_MODBUS_FUNC_READ_COILS MG_MODBUS_FUNC_READ_DISCRETE_INPUTS MG_MODBUS_FUNC_READ_HOLDING_REGISTERS
        MG_MODBUS_FUNC_READ_INPUT_REGISTERS MG_MODBUS_FUNC_WRITE_MULTIPLE_COILS MG_MODBUS_FUNC_WRITE_MULTIPLE_REGISTERS
        MG_MODBUS_FUNC_WRITE_SINGLE_COIL MG_MODBUS_FUNC_WRITE_SINGLE_REGISTER MG_TIMER_AUTODELETE MG_TIMER_CALLED MG_TIMER_ONCE
        MG_TIMER_REPEAT MG_TIMER_RUN_NOW MG_WIFI_BAND_2G MG_WIFI_BAND_5G MG_WIFI_SECURITY_OPEN MG_WIFI_SECURITY_WEP
        MG_WIFI_SECURITY_WPA MG_WIFI_SECURITY_WPA2 MG_WIFI_SECURITY_WPA2_ENTERPRISE MG_WIFI_SECURITY_WPA3
        MG_WIFI_SECURITY_WPA3_ENTERPRISE MG_WIFI_SECURITY_WPA_ENTERPRISE MQTT_CMD_AUTH MQTT_CMD_CONNACK MQTT_CMD_CONNECT
        MQTT_CMD_DISCONNECT MQTT_CMD_PINGREQ MQTT_CMD_PINGRESP MQTT_CMD_PUBACK MQTT_CMD_PUBCOMP MQTT_CMD_PUBLISH MQTT_CMD_PUBREC
        MQTT_CMD_PUBREL MQTT_CMD_SUBACK MQTT_CMD_SUBSCRIBE MQTT_CMD_UNSUBACK MQTT_CMD_UNSUBSCRIBE
        MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER MQTT_PROP_AUTHENTICATION_DATA MQTT_PROP_AUTHENTICATION_METHOD MQTT_PROP_CONTENT_TYPE
        MQTT_PROP_CORRELATION_DATA MQTT_PROP_MAXIMUM_PACKET_SIZE MQTT_PROP_MAXIMUM_QOS MQTT_PROP_MESSAGE_EXPIRY_INTERVAL
        MQTT_PROP_PAYLOAD_FORMAT_INDICATOR MQTT_PROP_REASON_STRING MQTT_PROP_RECEIVE_MAXIMUM
        MQTT_PROP_REQUEST_PROBLEM_INFORMATION MQTT_PROP_REQUEST_RESPONSE_INFORMATION MQTT_PROP_RESPONSE_INFORMATION
        MQTT_PROP_RESPONSE_TOPIC MQTT_PROP_RETAIN_AVAILABLE MQTT_PROP_SERVER_KEEP_ALIVE MQTT_PROP_SERVER_REFERENCE
        MQTT_PROP_SESSION_EXPIRY_INTERVAL MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE MQTT_PROP_SUBSCRIPTION_IDENTIFIER
        MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE MQTT_PROP_TOPIC_ALIAS MQTT_PROP_TOPIC_ALIAS_MAXIMUM MQTT_PROP_USER_PROPERTY
        MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE MQTT_PROP_WILL_DELAY_INTERVAL WEBSOCKET_OP_BINARY WEBSOCKET_OP_CLOSE
        WEBSOCKET_OP_CONTINUE WEBSOCKET_OP_PING WEBSOCKET_OP_PONG WEBSOCKET_OP_TEXT MG_LL_NONE MG_LL_ERROR MG_LL_INFO MG_LL_DEBUG
        MG_LL_VERBOSE MG_FS_READ MG_FS_WRITE MG_FS_DIR MG_FS_EXCL MG_EV_ERROR MG_EV_OPEN MG_EV_POLL MG_EV_RESOLVE MG_EV_CONNECT
        MG_EV_ACCEPT MG_EV_TLS_HS MG_EV_READ MG_EV_WRITE MG_EV_CLOSE MG_EV_HTTP_HDRS MG_EV_HTTP_MSG MG_EV_WS_OPEN MG_EV_WS_MSG
        MG_EV_WS_CTL MG_EV_MQTT_CMD MG_EV_MQTT_MSG MG_EV_MQTT_OPEN MG_EV_SNTP_TIME MG_EV_WAKEUP MG_EV_MDNS_REQ MG_EV_MDNS_RESP
        MG_EV_MODBUS_REQ MG_EV_USER MGX_EV_HTTP_CHUNK MG_IO_ERR MG_IO_WAIT MQTT_PROP_TYPE_BYTE MQTT_PROP_TYPE_STRING MQTT_PROP_TYPE_STRING_PAIR
        MQTT_PROP_TYPE_BINARY_DATA MQTT_PROP_TYPE_VARIABLE_INT MQTT_PROP_TYPE_INT MQTT_PROP_TYPE_SHORT MQTT_OK MQTT_INCOMPLETE
        MQTT_MALFORMED MG_JSON_TOO_DEEP MG_JSON_INVALID MG_JSON_NOT_FOUND MG_OTA_CONFIRMED MG_OTA_TESTING MG_OTA_FAILED
        MG_OTA_ROLLEDBACK;
        mg_val_type: MG_VAL_INT MG_VAL_UINT64 MG_VAL_BOOL MG_VAL_DBL MG_VAL_STR MG_VAL_RAW;
        mg_dash_op: MG_DASH_READ MG_DASH_WRITE MG_DASH_DELETE MG_DASH_ADD;
        mgx_phase: MGX_ACTIVE MGX_DRAINING MGX_FLUSHING MGX_CLOSED;
        mgx_reason: MGX_REASON_NONE MGX_REASON_DRAINED MGX_REASON_PEER_CLOSED MGX_REASON_RESET MGX_REASON_CLOSED_BY_USER
        MGX_REASON_FLUSH_TIMEOUT MGX_REASON_RESPONSE_TIMEOUT MGX_REASON_FORCED MGX_REASON_IDLE_TIMEOUT MGX_REASON_HEADER_TIMEOUT
        MGX_REASON_BODY_TIMEOUT MGX_REASON_LIMIT MGX_REASON_ERROR;
        mgx_mgr_phase: MGX_MGR_RUNNING MGX_MGR_LAME_DUCK MGX_MGR_IDLE_GRACE MGX_MGR_FINISHING MGX_MGR_DONE;
        mgx_event: MGX_EV_DRAIN MGX_EV_BACKPRESSURE MGX_EV_EOF;
        mgx_flag: MGX_IS_LISTENING MGX_IS_CLIENT MGX_IS_ACCEPTED MGX_IS_RESOLVING MGX_IS_ARPLOOKING MGX_IS_CONNECTING MGX_IS_TLS
        MGX_IS_TLS_HS MGX_IS_UDP MGX_IS_WEBSOCKET MGX_IS_MQTT5 MGX_IS_HEXDUMPING MGX_IS_DRAINING MGX_IS_CLOSING MGX_IS_FULL
        MGX_IS_TLS_THROTTLED MGX_IS_RESP MGX_IS_READABLE MGX_IS_WRITABLE;
    )
}

/// Returns the value of a constant by its name, for example "MG_EV_HTTP_MSG", "MGX_REASON_DRAINED" or "MG_DATA_SIZE". Returns
/// INT_MIN, which no constant has, if the name is unknown.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mgx_const(name: *const c_char) -> c_int {
    // SAFETY: a C string or NULL, as the caller promises.
    value(unsafe { bytes::cstr(name) })
}

#[cfg(test)]
mod tests {
    use super::value;

    /// The list contains every constant and enumerator of the API; a missing one would be INT_MIN.
    #[test]
    fn every_constant_has_its_name() {
        let sources = [include_str!("../abi/consts.rs"), include_str!("../abi/ext.rs")];
        let mut seen = 0;
        for source in sources {
            let mut next = 0;
            let mut in_enum = false;
            for line in source.lines() {
                let text = line.trim();
                if line.starts_with("pub enum ") {
                    (in_enum, next) = (true, 0);
                } else if line.starts_with('}') {
                    in_enum = false;
                }
                if let Some(name) = text.strip_prefix("pub const ").and_then(|l| l.split(':').next()) {
                    assert_ne!(value(name.as_bytes()), i32::MIN, "{name}");
                    seen += 1;
                } else if in_enum && text.starts_with('M') && text.ends_with(',') {
                    let (name, number) = text.trim_end_matches(',').split_once(" = ").unwrap_or((text.trim_end_matches(','), ""));
                    let number = number.replace('_', "");
                    let given = number.strip_prefix("0x").map(|hex| i32::from_str_radix(hex, 16)).unwrap_or(number.parse());
                    let expected = given.unwrap_or(next);
                    assert_eq!(value(name.as_bytes()), expected, "{name}");
                    (next, seen) = (expected + 1, seen + 1);
                }
            }
        }
        assert!(seen > 200, "{seen}");
    }

    #[test]
    fn other_names_are_unknown() {
        for name in ["", "MG_EV", "MG_EV_HTTP_MSGS", "mg_ev_poll", "MG_VERSION"] {
            assert_eq!(value(name.as_bytes()), i32::MIN, "{name}");
        }
        assert_eq!((value(b"MG_EV_HTTP_MSG"), value(b"MG_EV_ERROR"), value(b"MG_DATA_SIZE") % 8), (11, 0, 0));
    }
}
