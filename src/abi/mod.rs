//! What C sees: every public struct, constant and callback type, with its layout asserted at compile time.

#![allow(non_camel_case_types, non_snake_case)]

use core::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

/// As wide as the C compiler has it, which build.rs asks: 32-bit systems have both kinds.
#[cfg(mg_time64)]
pub type time_t = i64;
#[cfg(not(mg_time64))]
pub type time_t = i32;

/// Asserts size and member offsets on 64-bit targets, where they are the published ABI.
macro_rules! layout {
    ($t:ident, $size:literal $(, $f:ident @ $ofs:literal)* $(,)?) => {
        #[cfg(target_pointer_width = "64")]
        const _: () = {
            assert!(size_of::<$t>() == $size);
            $(assert!(core::mem::offset_of!($t, $f) == $ofs);)*
        };
    };
}

/// The same on 32-bit targets: [`layout32`] has the numbers.
#[cfg(target_pointer_width = "32")]
macro_rules! layout32 {
    ($t:ident, $size:literal $(, $f:ident @ $ofs:literal)* $(,)?) => {
        assert!(size_of::<$t>() == $size);
        $(assert!(core::mem::offset_of!($t, $f) == $ofs);)*
    };
}

mod addr;
mod conn;
mod consts;
mod dash;
mod dns;
mod ext;
mod fs;
mod hash;
#[cfg(cbindgen)]
mod header;
mod http;
mod iobuf;
mod jwt;
#[cfg(target_pointer_width = "32")]
mod layout32;
mod mgr;
mod modbus;
mod mqtt;
mod queue;
mod rpc;
mod sizes;
mod str;
/// C has these from include/tcpip.h: cbindgen knows neither packed unions nor members of some builds only.
///
/// cbindgen:ignore
#[cfg(feature = "tcpip")]
mod tcpip;
mod timer;
mod tls;
mod wifi;
mod ws;

pub use self::str::*;
pub use addr::*;
pub use conn::*;
pub use consts::*;
pub use dash::*;
pub use dns::*;
pub use ext::*;
pub use fs::*;
pub use hash::*;
pub use http::*;
pub use iobuf::*;
pub use jwt::*;
pub use mgr::*;
pub use modbus::*;
pub use mqtt::*;
pub use queue::*;
pub use rpc::*;
pub(crate) use sizes::*;
#[cfg(feature = "tcpip")]
pub use tcpip::*;
pub use timer::*;
pub use tls::*;
pub use wifi::*;
pub use ws::*;

/// Output callback: receives one character and the user data.
pub type mg_pfn_t = Option<unsafe extern "C" fn(c_char, *mut c_void)>;

/// Custom printer for `%M` and `%m`. Reads its own arguments from `*ap` and returns the number of characters printed.
pub type mg_pm_t = Option<unsafe extern "C" fn(mg_pfn_t, *mut c_void, *mut va_list) -> usize>;

/// What C sees as `volatile`, by way of a typedef in `include/preamble.h`.
///
/// cbindgen:ignore
pub type mg_volatile_size_t = usize;
/// cbindgen:ignore
pub type mg_volatile_byte = u8;

/// C's `va_list`, only ever handled by pointer.
///
/// cbindgen:ignore
#[repr(C)]
pub struct va_list {
    _opaque: [u8; 0],
}
