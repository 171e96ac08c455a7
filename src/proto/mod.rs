//! Protocol code: bytes in, values out. No I/O, no C, no unsafe.

#![forbid(unsafe_code)]

pub(crate) mod accept;
pub(crate) mod creds;
pub(crate) mod date;
pub(crate) mod dns;
#[cfg(feature = "ecc")]
pub(crate) mod ec_key;
pub(crate) mod escape;
pub(crate) mod glob;
pub(crate) mod http;
pub(crate) mod ip;
pub(crate) mod json;
pub(crate) mod jwt;
pub(crate) mod listing;
pub(crate) mod mdns;
pub(crate) mod mime;
pub(crate) mod modbus;
pub(crate) mod mqtt;
pub(crate) mod multipart;
pub(crate) mod num;
pub(crate) mod path;
pub(crate) mod precondition;
pub(crate) mod range;
pub(crate) mod resolv;
pub(crate) mod sntp;
pub(crate) mod ssi;
pub(crate) mod url;
pub(crate) mod urlcodec;
pub(crate) mod webroot;
pub(crate) mod ws;

/// Counts the bytes that the scanners look at, so that tests can tell linear from quadratic without a clock.
#[cfg(test)]
pub(crate) mod meter {
    use core::cell::Cell;

    thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn add(bytes: usize) {
        LOOKED_AT.set(LOOKED_AT.get() + bytes);
    }

    pub(crate) fn take() -> usize {
        LOOKED_AT.take()
    }
}
