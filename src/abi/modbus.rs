/// Values of a Modbus request: booleans for coils and discrete inputs, 16-bit words for registers.
#[repr(C)]
#[derive(Clone, Copy)]
pub union mg_modbus_values {
    pub bits: *mut bool,
    pub regs: *mut u16,
}

/// A Modbus request, passed with MG_EV_MODBUS_REQ. The handler reads or fills in the values, or sets `error`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_modbus_req {
    /// Function code, an MG_MODBUS_FUNC_* value.
    pub func: u8,
    /// Set by the handler: MG_MODBUS_ERR_* value.
    pub error: u8,
    /// Address of the first value.
    pub addr: u16,
    /// Array of `len` values, owned by the library.
    pub u: mg_modbus_values,
    /// Number of values.
    pub len: u16,
}
layout!(mg_modbus_req, 24, func @ 0, error @ 1, addr @ 2, u @ 8, len @ 16);
