use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_ws_message {
    pub data: mg_str,
    pub flags: u8,
}
layout!(mg_ws_message, 24, data @ 0, flags @ 16);

