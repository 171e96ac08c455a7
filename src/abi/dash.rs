use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field {
    pub name: *const c_char,
    pub r#type: c_int,
    pub value: *mut c_void,
    pub value_size: usize,
}
layout!(mg_field, 32, name @ 0, r#type @ 8, value @ 16, value_size @ 24);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_user {
    pub next: *mut mg_dash_user,
    pub name: [c_char; MG_DASH_MAX_USER_NAME],
    pub token: [c_char; 21],
    pub level: c_int,
    pub expire: u64,
    pub dash: *mut mg_dash,
}
layout!(mg_dash_user, 88, next @ 0, name @ 8, token @ 40, level @ 64, expire @ 72, dash @ 80);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field_set {
    pub name: *const c_char,
    pub fields: *mut mg_field,
    pub r#fn: Option<unsafe extern "C" fn(mg_dash_op, *mut mg_dash_user) -> bool>,
    pub index: *mut c_int,
    pub get_dir: Option<unsafe extern "C" fn(*const mg_dash_user, *mut c_char, usize) -> bool>,
    pub next: *mut mg_field_set,
}
layout!(mg_field_set, 48, name @ 0, fields @ 8, r#fn @ 16, index @ 24, get_dir @ 32, next @ 40);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_custom_handler {
    pub next: *mut mg_dash_custom_handler,
    pub uri_pattern: mg_str,
    pub handler: mg_event_handler_t,
    pub handler_data: *mut c_void,
}
layout!(mg_dash_custom_handler, 40, next @ 0, uri_pattern @ 8, handler @ 24, handler_data @ 32);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash {
    pub sets: *mut mg_field_set,
    pub custom_handlers: *mut mg_dash_custom_handler,
    pub authenticate: Option<unsafe extern "C" fn(*mut c_char, usize, *const c_char) -> c_int>,
    pub session_auto_expiration_seconds: c_int,
    pub guest: *mut mg_dash_user,
    pub upload_fs: *mut mg_fs,
}
layout!(mg_dash, 48, sets @ 0, custom_handlers @ 8, authenticate @ 16, session_auto_expiration_seconds @ 24, guest @ 32, upload_fs @ 40);

