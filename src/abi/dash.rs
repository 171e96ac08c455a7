use super::*;

/// A small enum as a member of a struct: arm-none-eabi makes it as short as it gets.
#[cfg(all(target_arch = "arm", target_os = "none"))]
pub type c_enum = u8;
#[cfg(not(all(target_arch = "arm", target_os = "none")))]
pub type c_enum = c_int;

/// cbindgen:ignore
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field {
    pub name: *const c_char,
    pub r#type: c_enum,
    pub value: *mut c_void,
    pub value_size: usize,
}
layout!(mg_field, 32, name @ 0, r#type @ 8, value @ 16, value_size @ 24);

/// A logged-in dashboard user.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_user {
    pub next: *mut mg_dash_user,
    pub name: [c_char; MG_DASH_MAX_USER_NAME],
    /// Session token.
    pub token: [c_char; 21],
    /// Access level returned by `authenticate`.
    pub level: c_int,
    /// Session expiry time, in milliseconds of mg_millis.
    pub expire: u64,
    pub dash: *mut mg_dash,
}
layout!(mg_dash_user, 88, next @ 0, name @ 8, token @ 40, level @ 64, expire @ 72, dash @ 80);

/// A group of variables that a dashboard reads and writes together.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_field_set {
    pub name: *const c_char,
    /// Array of variables, terminated by an entry whose `name` is NULL.
    pub fields: *mut mg_field,
    /// Called to refresh, validate and apply the values. Returns false to refuse. NULL allows every operation.
    pub r#fn: Option<unsafe extern "C" fn(op: mg_dash_op, user: *mut mg_dash_user) -> bool>,
    /// NULL for a plain set. Otherwise the set is an array and `*index` selects the element that `fn` works on; -1 requests the
    /// size.
    pub index: *mut c_int,
    /// NULL for an ordinary set. Otherwise the set is a file list, and this callback writes the directory to `buf`.
    pub get_dir: Option<unsafe extern "C" fn(user: *const mg_dash_user, buf: *mut c_char, len: usize) -> bool>,
    pub next: *mut mg_field_set,
}
layout!(mg_field_set, 48, name @ 0, fields @ 8, r#fn @ 16, index @ 24, get_dir @ 32, next @ 40);

/// An HTTP handler that the application adds to a dashboard.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash_custom_handler {
    pub next: *mut mg_dash_custom_handler,
    /// URI pattern for mg_match.
    pub uri_pattern: mg_str,
    pub handler: mg_event_handler_t,
    pub handler_data: *mut c_void,
}
layout!(mg_dash_custom_handler, 40, next @ 0, uri_pattern @ 8, handler @ 24, handler_data @ 32);

/// A dashboard. Pass a pointer to it to mg_http_listen as `fn_data`, with mg_dash_ev_handler as handler.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dash {
    /// Linked list of variable sets; add to it with MG_DASH_ADD_FIELD_SET.
    pub sets: *mut mg_field_set,
    /// Linked list of HTTP handlers; add to it with MG_DASH_REGISTER_CUSTOM_HANDLER.
    pub custom_handlers: *mut mg_dash_custom_handler,
    /// Returns the access level of a user, or 0 or less to deny access. May rewrite `user`. NULL makes everyone a guest with
    /// level 9.
    pub authenticate: Option<unsafe extern "C" fn(user: *mut c_char, user_size: usize, pass: *const c_char) -> c_int>,
    /// Session lifetime in seconds; 0 means 3600.
    pub session_auto_expiration_seconds: c_int,
    /// Set by the library while `authenticate` is NULL.
    pub guest: *mut mg_dash_user,
    /// File system for file lists; NULL means mg_fs_posix.
    pub upload_fs: *mut mg_fs,
}
layout!(mg_dash, 48, sets @ 0, custom_handlers @ 8, authenticate @ 16, session_auto_expiration_seconds @ 24, guest @ 32, upload_fs @ 40);
