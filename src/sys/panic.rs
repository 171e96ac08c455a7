//! The end of the process after a bug, for the small library. Std's own prints a backtrace, which takes a third of a small program.
//! packaging/small.sh gives these functions the names of std's, in whose place they are linked then.

use core::panic::PanicInfo;
use std::io::{Write, stderr};
use std::process::abort;

/// Like a function marked `#[panic_handler]`.
#[unsafe(no_mangle)]
fn mgx_small_panic(info: &PanicInfo) -> ! {
    let _ = writeln!(stderr(), "libmongoose: {info}");
    abort()
}

/// As `__rust_alloc_error_handler`.
#[unsafe(no_mangle)]
fn mgx_small_no_memory(size: usize, _align: usize) -> ! {
    let _ = writeln!(stderr(), "libmongoose: no memory for {size} bytes");
    abort()
}
