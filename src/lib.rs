//! A drop-in replacement for libmongoose: the `mg_*` C API, version 7.22, written in Rust.
//!
//! | Module | Its one job | May import |
//! | --- | --- | --- |
//! | [`abi`] | what C sees: structs, constants, callback types | - |
//! | `ffi` | what C calls: the exports, one file per area; check, convert, call, convert back | all |
//! | `memory` | memory that may run out: growth that can fail, and the reserve behind the allocator | - |
//! | `ffi_util` | the border's tools: pointers to slices, C memory, growable C buffers, messages as C sees them | abi, proto, memory |
//! | `proto` | protocol code: bytes in, values out; no I/O, no unsafe | hash, memory |
//! | `hash` | digests, signatures, base64, checksums over well-kept crates; no unsafe | memory |
//! | `fmt` | the printf engine, `%M` printers and the C shim: `variadic.c`, `replaceable.c` | abi, ffi_util, hash, proto, memory |
//! | `platform` | the operating system: sockets, readiness, wakeups, signals, clocks, threads, files; a folder for each system | abi, ffi_util, hash, memory |
//! | `sys` | what applications may replace: random numbers, log, file systems | abi, ffi_util, fmt, platform, memory |
//! | `tls` | TLS sessions over rustls, and their configurations from `mg_tls_opts`; no I/O, no unsafe | hash, proto, platform, sys, memory |
//! | `net` | the engine: poll loop, connections, draining, timers, wakeups | abi, ffi_util, platform, sys, fmt, proto, tls, memory |
//! | `handler` | the protocol handlers that sit in `c->pfn` | abi, ffi_util, net, platform, proto, fmt, sys, memory |
//!
//! Nothing imports `ffi`. A function of the C API is found by its name: `mg_http_reply` is exported in `ffi/http.rs`, its
//! behaviour is in `handler/`, its parsing in `proto/http/`. `c-tests/modules.rs` checks the table.

// Builds without some protocols leave unused code to the compiler.
#![cfg_attr(not(feature = "protocols"), allow(dead_code, unused_imports))]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

#[cfg(all(feature = "tls", not(feature = "std"), not(feature = "ecc")))]
compile_error!("tls without std needs the feature ecc");
#[cfg(all(not(feature = "std"), not(target_os = "none")))]
compile_error!("an operating system needs the feature std");

pub mod abi;
mod ffi;
mod ffi_util;
mod fmt;
mod handler;
mod hash;
mod memory;
mod net;
mod platform;
mod proto;
mod sys;
#[cfg(feature = "tls")]
mod tls;

/// The network in memory: see `c-tests/simulate`.
#[cfg(feature = "sim")]
pub use platform::peer as sim;
