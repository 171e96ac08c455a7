//! The numbers of errors that the engine tells apart or reports: newlib's and picolibc's. No call of C sets them here.

#![allow(dead_code)] // not each platform has each

use core::ffi::c_int;

pub(crate) const EIO: c_int = 5;
pub(crate) const EBADF: c_int = 9;
pub(crate) const EAGAIN: c_int = 11;
pub(crate) const ENOMEM: c_int = 12;
pub(crate) const EACCES: c_int = 13;
pub(crate) const EINVAL: c_int = 22;
pub(crate) const ENFILE: c_int = 23;
pub(crate) const EMFILE: c_int = 24;
pub(crate) const EPIPE: c_int = 32;
pub(crate) const ENOSYS: c_int = 88;
pub(crate) const ENAMETOOLONG: c_int = 91;
pub(crate) const EOPNOTSUPP: c_int = 95;
pub(crate) const ECONNRESET: c_int = 104;
pub(crate) const ENOBUFS: c_int = 105;
pub(crate) const EAFNOSUPPORT: c_int = 106;
pub(crate) const ECONNREFUSED: c_int = 111;
pub(crate) const EADDRINUSE: c_int = 112;
pub(crate) const ENETUNREACH: c_int = 114;
pub(crate) const ENETDOWN: c_int = 115;
pub(crate) const ETIMEDOUT: c_int = 116;
pub(crate) const EHOSTDOWN: c_int = 117;
pub(crate) const EHOSTUNREACH: c_int = 118;
pub(crate) const EMSGSIZE: c_int = 122;
pub(crate) const EADDRNOTAVAIL: c_int = 125;
pub(crate) const ENOTCONN: c_int = 128;
