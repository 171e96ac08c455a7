//! Formatting: functions that take a `va_list`, output callbacks, printers. The variadic functions are documented in
//! `variadic.rs`.

use super::queue::{mg_queue_add, mg_queue_book};
use crate::{
    abi::{mg_addr, mg_iobuf, mg_pfn_t, mg_queue, va_list},
    ffi_util::{
        addr::{self, Addr},
        bytes, iobuf,
    },
    fmt::{self, VaArgs, engine::Out, printers, sink::AnySink, sink::IobufSink},
    proto::ip::Ip,
    sys::log,
};
use core::ffi::{c_char, c_void};

/// Like mg_xprintf, with the arguments in `*ap`, which is advanced. Returns the number of characters. `fn` NULL only counts them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_vxprintf(r#fn: mg_pfn_t, arg: *mut c_void, fmt: *const c_char, ap: *mut va_list) -> usize {
    // SAFETY: arg belongs to fn, and the arguments match fmt.
    unsafe { fmt::engine::format(&mut AnySink::new(r#fn, arg), bytes::cstr(fmt), &mut VaArgs::new(ap)) }
}

/// Like mg_snprintf, with the arguments in `*ap`: formats into `buf`, truncated to `len` - 1 characters and NUL-terminated.
/// Returns the length of the whole text. `buf` may be NULL if `len` is 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_vsnprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ap: *mut va_list) -> usize {
    // SAFETY: buf has len bytes, and the arguments match fmt.
    unsafe { fmt::to_memory(buf.cast(), len, fmt, ap) }
}

/// Like mg_mprintf, with the arguments in `*ap`: formats into allocated memory. Free it with mg_free. Returns NULL if the text is
/// empty or if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_vmprintf(fmt: *const c_char, ap: *mut va_list) -> *mut c_char {
    /// Enough for most texts.
    const FIRST: usize = 64;
    let mut io = mg_iobuf { buf: core::ptr::null_mut(), size: 0, len: 0, align: 0 };
    let io = &raw mut io;
    // SAFETY: io is a consistent buffer, and the arguments match fmt.
    unsafe {
        iobuf::resize(io, FIRST);
        if fmt::to_iobuf(io, fmt, ap).is_none_or(|n| n == 0) {
            iobuf::free(io);
        }
        (*io).buf.cast()
    }
}

/// Implementation of mg_queue_printf: measures with `ap`, prints with `again`.
#[unsafe(no_mangle)]
unsafe extern "C" fn mgc_queue_printf(q: *mut mg_queue, fmt: *const c_char, ap: *mut va_list, again: *mut va_list) -> usize {
    // SAFETY: the booked space has len + 1 bytes; both lists match fmt.
    unsafe {
        let len = fmt::to_buffer(&mut [], fmt, ap);
        let mut buf = core::ptr::null_mut();
        if len == 0 || mg_queue_book(q, &mut buf, len + 1) < len + 1 {
            return 0;
        }
        // A printer may print less the second time.
        let len = len.min(fmt::to_memory(buf.cast(), len + 1, fmt, again));
        if len > 0 {
            mg_queue_add(q, len);
        }
        len
    }
}

/// Output callback for mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param`, which grows as needed, and keeps a NUL after
/// the data. Drops the character if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_pfn_iobuf(ch: c_char, param: *mut c_void) {
    // SAFETY: param is a buffer of the caller.
    unsafe { IobufSink::new(param.cast()) }.bytes(&[ch as u8]);
}

/// Output callback for mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param` without growing it, and keeps a NUL after the
/// data. The first character that does not fit is replaced by a NUL in the last byte, which counts as data; the others are
/// dropped.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_pfn_iobuf_noresize(ch: c_char, param: *mut c_void) {
    let io: *mut mg_iobuf = param.cast();
    // SAFETY: io is a buffer of the caller; the new bytes lie within its capacity.
    unsafe {
        let (len, size) = ((*io).len, (*io).size);
        if len < size {
            if len + 1 < size {
                *(*io).buf.add(len) = ch as u8;
            }
            *(*io).buf.add((len + 1).min(size - 1)) = 0;
            (*io).len = len + 1;
        }
    }
}

/// Output callback for mg_xprintf: writes `c` to stdout. `param` is unused.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_pfn_stdout(c: c_char, _param: *mut c_void) {
    log::put(c as u8);
}

/// Printer arguments: a length and a pointer. A negative length counts as 0.
unsafe fn block<'a>(args: &mut VaArgs) -> &'a [u8] {
    let n = usize::try_from(args.int()).unwrap_or(0);
    // SAFETY: the application passed a block of that length.
    unsafe { bytes::slice(args.pointer().cast(), n) }
}

/// Printer argument: a pointer to `N` bytes, or NULL.
unsafe fn array<'a, const N: usize>(args: &mut VaArgs) -> Option<&'a [u8; N]> {
    // SAFETY: the application passed such a pointer.
    unsafe { args.pointer().cast::<[u8; N]>().as_ref() }
}

/// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints two lowercase hex digits per byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_hex(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: as for all printers, arg belongs to fn and ap yields the documented arguments.
    unsafe { printers::hex(&mut AnySink::new(r#fn, arg), block(&mut VaArgs::new(ap))) }
}

/// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints padded base64.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_base64(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { printers::base64(&mut AnySink::new(r#fn, arg), block(&mut VaArgs::new(ap))) }
}

/// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints the text escaped for a JSON string, without quotes.
/// Stops at a NUL; length 0 means no other limit. Prints nothing for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_esc(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex. With a length the text may be that long or end with a NUL before.
    unsafe {
        let args = &mut VaArgs::new(ap);
        let n = args.int();
        let s: *const c_char = args.pointer().cast();
        let len = match usize::try_from(n) {
            _ if s.is_null() => 0,
            Ok(0) => bytes::nul_at(s, None),
            Ok(n) => bytes::nul_at(s, Some(n)),
            Err(_) => 0,
        };
        printers::json(&mut AnySink::new(r#fn, arg), bytes::slice(s.cast(), len))
    }
}

/// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints the text with `&`, `<`, `>` and `"` as HTML
/// entities.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_html_esc(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { printers::html(&mut AnySink::new(r#fn, arg), block(&mut VaArgs::new(ap))) }
}

/// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints the IP address: `1.2.3.4` or `[1:2:3:4:5:6:7:8]`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_ip(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex. The address is copied.
    unsafe {
        let a: *const mg_addr = VaArgs::new(ap).pointer().cast();
        if a.is_null() { 0 } else { printers::display(&mut AnySink::new(r#fn, arg), addr::ip_of(&*a)) }
    }
}

/// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints IP address and port: `1.2.3.4:80` or `[1:2:3:4:5:6:7:8]:80`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_ip_port(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex. The address is copied.
    unsafe {
        let a: *const mg_addr = VaArgs::new(ap).pointer().cast();
        if a.is_null() { 0 } else { printers::display(&mut AnySink::new(r#fn, arg), Addr(*a)) }
    }
}

/// Printer for `%M` and `%m`. Argument: pointer to the four bytes of an IPv4 address in network byte order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_ip4(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { array(&mut VaArgs::new(ap)).map_or(0, |ip| printers::display(&mut AnySink::new(r#fn, arg), Ip::V4(*ip))) }
}

/// Printer for `%M` and `%m`. Argument: pointer to the 16 bytes of an IPv6 address. Prints it in brackets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_ip6(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { array(&mut VaArgs::new(ap)).map_or(0, |ip| printers::display(&mut AnySink::new(r#fn, arg), Ip::V6(*ip, 0))) }
}

/// Printer for `%M` and `%m`. Argument: pointer to the six bytes of a MAC address. Prints `xx:xx:xx:xx:xx:xx`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_mac(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { array::<6>(&mut VaArgs::new(ap)).map_or(0, |mac| printers::colon_hex(&mut AnySink::new(r#fn, arg), mac)) }
}

/// Printer for `%M` and `%m`. Argument: pointer to the eight bytes of an IEEE 64-bit address. Prints eight pairs of hex digits
/// separated by colons.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_ieee64(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex.
    unsafe { array::<8>(&mut VaArgs::new(ap)).map_or(0, |id| printers::colon_hex(&mut AnySink::new(r#fn, arg), id)) }
}
