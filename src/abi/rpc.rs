use super::*;

/// A JSON-RPC request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc_req {
    /// List of methods.
    pub head: *mut *mut mg_rpc,
    /// Entry of the method being called.
    pub rpc: *mut mg_rpc,
    /// Output callback for the response.
    pub pfn: mg_pfn_t,
    /// User data of `pfn`.
    pub pfn_data: *mut c_void,
    /// User data of the request.
    pub req_data: *mut c_void,
    /// Request text.
    pub frame: mg_str,
}
layout!(mg_rpc_req, 56, head @ 0, rpc @ 8, pfn @ 16, pfn_data @ 24, req_data @ 32, frame @ 40);

/// An entry in a list of JSON-RPC methods.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc {
    /// Next entry.
    pub next: *mut mg_rpc,
    /// Method name pattern for mg_match.
    pub method: mg_str,
    /// Method handler.
    pub r#fn: Option<unsafe extern "C" fn(req: *mut mg_rpc_req)>,
    /// User data of the handler.
    pub fn_data: *mut c_void,
}
layout!(mg_rpc, 40, next @ 0, method @ 8, r#fn @ 24, fn_data @ 32);
