use super::*;

/// The values of a request: booleans for coils and discrete inputs, 16-bit words for registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub union mg_modbus_values {
    pub bits: *mut bool,
    pub regs: *mut u16,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_modbus_req {
    pub func: u8,
    pub error: u8,
    pub addr: u16,
    pub u: mg_modbus_values,
    pub len: u16,
}
layout!(mg_modbus_req, 24, func @ 0, error @ 1, addr @ 2, u @ 8, len @ 16);
