use super::*;

/// A WebSocket message or control frame. Valid during the handler call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_ws_message {
    /// Payload, unmasked.
    pub data: mg_str,
    /// First byte of the frame; the low four bits are a WEBSOCKET_OP_* value.
    pub flags: u8,
}
layout!(mg_ws_message, 24, data @ 0, flags @ 16);
