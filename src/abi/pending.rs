//! Functions being written, until they stand in `ffi`.

#![allow(dead_code, unreachable_pub)]

use super::*;

unsafe extern "C" {
    pub fn mg_base64_update(input_byte: u8, buf: *mut c_char, len: usize) -> usize;
    pub fn mg_base64_final(buf: *mut c_char, len: usize) -> usize;
    pub fn mg_base64_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    pub fn mg_base64_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize;
    pub fn mg_base64url_encode(p: *const u8, n: usize, buf: *mut c_char, len: usize) -> usize;
    pub fn mg_base64url_decode(src: *const c_char, n: usize, dst: *mut c_char, len: usize) -> usize;
    pub fn mg_json_get(json: mg_str, path: *const c_char, toklen: *mut c_int) -> c_int;
    pub fn mg_json_get_tok(json: mg_str, path: *const c_char) -> mg_str;
    pub fn mg_json_get_num(json: mg_str, path: *const c_char, v: *mut f64) -> bool;
    pub fn mg_json_get_bool(json: mg_str, path: *const c_char, v: *mut bool) -> bool;
    pub fn mg_json_get_long(json: mg_str, path: *const c_char, dflt: c_long) -> c_long;
    pub fn mg_json_get_str(json: mg_str, path: *const c_char) -> *mut c_char;
    pub fn mg_json_get_hex(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char;
    pub fn mg_json_get_b64(json: mg_str, path: *const c_char, len: *mut c_int) -> *mut c_char;
    pub fn mg_json_unescape(json: mg_str, path: *const c_char, arg2: *mut c_char, len: usize) -> usize;
    pub fn mg_json_next(obj: mg_str, ofs: usize, key: *mut mg_str, val: *mut mg_str) -> usize;
    pub fn mg_md5_init(c: *mut mg_md5_ctx);
    pub fn mg_md5_update(c: *mut mg_md5_ctx, data: *const u8, len: usize);
    pub fn mg_md5_final(c: *mut mg_md5_ctx, digest: *mut u8);
    pub fn mg_aton(str: mg_str, addr: *mut mg_addr) -> bool;
    pub fn mg_timer_add(mgr: *mut mg_mgr, milliseconds: u64, flags: c_uint, r#fn: Option<unsafe extern "C" fn(*mut c_void)>, arg: *mut c_void) -> *mut mg_timer;
    pub fn mg_queue_init(q: *mut mg_queue, buf: *mut c_char, size: usize);
    pub fn mg_queue_next(q: *mut mg_queue, buf: *mut *mut c_char) -> usize;
    pub fn mg_queue_del(q: *mut mg_queue, len: usize);
    pub fn mg_sha1_init(ctx: *mut mg_sha1_ctx);
    pub fn mg_sha1_update(ctx: *mut mg_sha1_ctx, data: *const u8, len: usize);
    pub fn mg_sha1_final(digest: *mut u8, ctx: *mut mg_sha1_ctx);
    pub fn mg_sha256_init(ctx: *mut mg_sha256_ctx);
    pub fn mg_sha256_update(ctx: *mut mg_sha256_ctx, data: *const u8, len: usize);
    pub fn mg_sha256_final(digest: *mut u8, ctx: *mut mg_sha256_ctx);
    pub fn mg_sha256(dst: *mut u8, data: *mut u8, datasz: usize);
    pub fn mg_hmac_sha256(dst: *mut u8, key: *mut u8, keysz: usize, data: *mut u8, datasz: usize);
    pub fn mg_sha384_init(ctx: *mut mg_sha384_ctx);
    pub fn mg_sha384_update(ctx: *mut mg_sha384_ctx, data: *const u8, len: usize);
    pub fn mg_sha384_final(digest: *mut u8, ctx: *mut mg_sha384_ctx);
    pub fn mg_sha384(dst: *mut u8, data: *mut u8, datasz: usize);
    pub fn mg_now() -> u64;
    pub fn mg_timer_expired(expiration: *mut u64, period: u64, now: u64) -> bool;
    pub fn mg_str_s(s: *const c_char) -> mg_str;
    pub fn mg_str_n(s: *const c_char, n: usize) -> mg_str;
    pub fn mg_casecmp(s1: *const c_char, s2: *const c_char) -> c_int;
    pub fn mg_strcmp(str1: mg_str, str2: mg_str) -> c_int;
    pub fn mg_strcasecmp(str1: mg_str, str2: mg_str) -> c_int;
    pub fn mg_strdup(s: mg_str) -> mg_str;
    pub fn mg_match(str: mg_str, pattern: mg_str, caps: *mut mg_str) -> bool;
    pub fn mg_span(s: mg_str, a: *mut mg_str, b: *mut mg_str, sep: c_char) -> bool;
    pub fn mg_str_to_num(str: mg_str, base: c_int, val: *mut c_void, val_len: usize) -> bool;
    pub fn mg_timer_init(head: *mut *mut mg_timer, timer: *mut mg_timer, milliseconds: u64, flags: c_uint, r#fn: Option<unsafe extern "C" fn(*mut c_void)>, arg: *mut c_void);
    pub fn mg_timer_free(head: *mut *mut mg_timer, arg1: *mut mg_timer);
    pub fn mg_timer_poll(head: *mut *mut mg_timer, new_ms: u64);
    pub fn mg_url_port(url: *const c_char) -> u16;
    pub fn mg_url_is_ssl(url: *const c_char) -> bool;
    pub fn mg_url_host(url: *const c_char) -> mg_str;
    pub fn mg_url_user(url: *const c_char) -> mg_str;
    pub fn mg_url_pass(url: *const c_char) -> mg_str;
    pub fn mg_url_uri(url: *const c_char) -> *const c_char;
    pub fn mg_bzero(buf: *mut mg_volatile_byte, len: usize);
    pub fn mg_memeq(a: *const c_void, b: *const c_void, n: usize) -> bool;
    pub fn mg_random_str(buf: *mut c_char, len: usize) -> *mut c_char;
    pub fn mg_crc32(crc: u32, buf: *const c_char, len: usize) -> u32;
    pub fn mg_crc16(crc: u16, buf: *const c_char, len: usize) -> u16;
    pub fn mg_path_is_sane(path: mg_str) -> bool;
    pub fn mg_delayms(ms: c_uint);
    pub fn mg_timegm(year: c_uint, month: c_uint, day: c_uint, hour: c_uint, min: c_uint, sec: c_uint) -> u64;
    pub fn mg_ntohs(net: u16) -> u16;
    pub fn mg_ntohl(net: u32) -> u32;
    pub fn mg_ntohll(net: u64) -> u64;
    pub fn mg_check_ip_acl(acl: mg_str, remote_ip: *mut mg_addr) -> c_int;
    pub fn mg_to_size_t(str: mg_str, val: *mut usize) -> bool;
}
