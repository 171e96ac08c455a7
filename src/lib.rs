//! A drop-in replacement for libmongoose: the `mg_*` C API, version 7.22, written in Rust.
//!
//! | Module | Its one job | May import |
//! | --- | --- | --- |
//! | [`abi`] | what C sees: structs, constants, callback types | - |
//! | `ffi` | what C calls: the exports, one file per area; check, convert, call, convert back | all |
//! | `ffi_util` | the border's tools: pointers to slices, C memory, growable C buffers, messages as C sees them | abi, proto |
//! | `proto` | protocol code: bytes in, values out; no I/O, no unsafe | hash |
//! | `hash` | digests, signatures, base64, checksums over well-kept crates; no unsafe | - |
//! | `fmt` | the printf engine, `%M` printers and the C shim `variadic.c` | abi, ffi_util, hash, proto |
//! | `platform` | the operating system: sockets, readiness, wakeups, signals, clocks, threads, files; a folder for each system | abi, ffi_util |
//! | `sys` | what applications may replace: random numbers, log, file systems | abi, ffi_util, fmt, platform |
//! | `tls` | TLS sessions over rustls, and their configurations from `mg_tls_opts`; no I/O, no unsafe | hash, proto, platform, sys |
//! | `net` | the engine: poll loop, connections, draining, timers, wakeups | abi, ffi_util, platform, sys, fmt, proto, tls |
//! | `handler` | the protocol handlers that sit in `c->pfn` | abi, ffi_util, net, platform, proto, fmt, sys |
//!
//! Nothing imports `ffi`. A function of the C API is found by its name: `mg_http_reply` is exported in `ffi/http.rs`, its
//! behaviour is in `handler/`, its parsing in `proto/http/`. `c-tests/modules.rs` checks the table.

pub mod abi;
mod ffi;
mod ffi_util;
mod fmt;
mod handler;
mod hash;
mod net;
mod platform;
mod proto;
mod sys;
#[cfg(feature = "tls")]
mod tls;

/// The network in memory: see `c-tests/simulate`.
#[cfg(feature = "sim")]
pub use platform::peer as sim;
