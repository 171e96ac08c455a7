use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc_req {
    pub head: *mut *mut mg_rpc,
    pub rpc: *mut mg_rpc,
    pub pfn: mg_pfn_t,
    pub pfn_data: *mut c_void,
    pub req_data: *mut c_void,
    pub frame: mg_str,
}
layout!(mg_rpc_req, 56, head @ 0, rpc @ 8, pfn @ 16, pfn_data @ 24, req_data @ 32, frame @ 40);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_rpc {
    pub next: *mut mg_rpc,
    pub method: mg_str,
    pub r#fn: Option<unsafe extern "C" fn(*mut mg_rpc_req)>,
    pub fn_data: *mut c_void,
}
layout!(mg_rpc, 40, next @ 0, method @ 8, r#fn @ 24, fn_data @ 32);

