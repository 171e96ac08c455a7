use super::*;

/// cbindgen:ignore
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field {
    pub name: *const c_char,
    pub r#type: c_int,
    pub value: *mut c_void,
    pub value_size: usize,
}
layout!(mg_field, 32, name @ 0, r#type @ 8, value @ 16, value_size @ 24);

/// A dashboard user with a session.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_user {
    pub next: *mut mg_dash_user,
    pub name: [c_char; MG_DASH_MAX_USER_NAME],
    /// Session token.
    pub token: [c_char; 21],
    /// Access level that `authenticate` returned.
    pub level: c_int,
    /// When the session ends, milliseconds of mg_millis.
    pub expire: u64,
    pub dash: *mut mg_dash,
}
layout!(mg_dash_user, 88, next @ 0, name @ 8, token @ 40, level @ 64, expire @ 72, dash @ 80);

/// Variables that a dashboard shows and changes together.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field_set {
    pub name: *const c_char,
    /// Ends with an entry whose `name` is NULL.
    pub fields: *mut mg_field,
    /// Called to refresh, check and apply; false refuses. NULL: always allowed.
    pub r#fn: Option<unsafe extern "C" fn(op: mg_dash_op, user: *mut mg_dash_user) -> bool>,
    /// Non-NULL makes the set an array: the element that `fn` is to work on; -1 asks for the size.
    pub index: *mut c_int,
    /// Non-NULL makes the set a file list: puts the directory into `buf`.
    pub get_dir: Option<unsafe extern "C" fn(user: *const mg_dash_user, buf: *mut c_char, len: usize) -> bool>,
    pub next: *mut mg_field_set,
}
layout!(mg_field_set, 48, name @ 0, fields @ 8, r#fn @ 16, index @ 24, get_dir @ 32, next @ 40);

/// An HTTP handler of the application beside the dashboard's own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_custom_handler {
    pub next: *mut mg_dash_custom_handler,
    /// Pattern for mg_match.
    pub uri_pattern: mg_str,
    pub handler: mg_event_handler_t,
    pub handler_data: *mut c_void,
}
layout!(mg_dash_custom_handler, 40, next @ 0, uri_pattern @ 8, handler @ 24, handler_data @ 32);

/// A dashboard: the fn_data of mg_dash_ev_handler.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash {
    /// See MG_DASH_ADD_FIELD_SET.
    pub sets: *mut mg_field_set,
    /// See MG_DASH_REGISTER_CUSTOM_HANDLER.
    pub custom_handlers: *mut mg_dash_custom_handler,
    /// Returns the user's level, 0 or less to refuse; may rewrite `user`. NULL: everybody is a guest of level 9.
    pub authenticate: Option<unsafe extern "C" fn(user: *mut c_char, user_size: usize, pass: *const c_char) -> c_int>,
    /// 0 means 3600.
    pub session_auto_expiration_seconds: c_int,
    /// Set by the library while `authenticate` is NULL.
    pub guest: *mut mg_dash_user,
    /// File system of file lists; NULL for the machine's own.
    pub upload_fs: *mut mg_fs,
}
layout!(mg_dash, 48, sets @ 0, custom_handlers @ 8, authenticate @ 16, session_auto_expiration_seconds @ 24, guest @ 32, upload_fs @ 40);
