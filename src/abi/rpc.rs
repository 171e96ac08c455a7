use super::*;

/// A JSON-RPC request being processed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc_req {
    /// The list of methods.
    pub head: *mut *mut mg_rpc,
    /// The entry whose handler runs.
    pub rpc: *mut mg_rpc,
    /// Where the answer goes, character by character.
    pub pfn: mg_pfn_t,
    /// Its argument.
    pub pfn_data: *mut c_void,
    /// The application's own.
    pub req_data: *mut c_void,
    /// The request text.
    pub frame: mg_str,
}
layout!(mg_rpc_req, 56, head @ 0, rpc @ 8, pfn @ 16, pfn_data @ 24, req_data @ 32, frame @ 40);

/// A method in a list of methods.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc {
    /// List link.
    pub next: *mut mg_rpc,
    /// Pattern for mg_match.
    pub method: mg_str,
    /// Handler.
    pub r#fn: Option<unsafe extern "C" fn(req: *mut mg_rpc_req)>,
    /// For the handler.
    pub fn_data: *mut c_void,
}
layout!(mg_rpc, 40, next @ 0, method @ 8, r#fn @ 24, fn_data @ 32);
