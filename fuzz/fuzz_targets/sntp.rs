//! SNTP messages: whatever they say, there is a time or there is none, and the clock follows.

#![no_main]

use libfuzzer_sys::fuzz_target;

unsafe extern "C" {
    fn mg_sntp_parse(buf: *const u8, len: usize) -> i64;
    static mut mg_boot_timestamp_ms: u64;
}

fuzz_target!(|input: Box<[u8]>| {
    // SAFETY: input is a block of exactly its length; there is one thread.
    unsafe {
        mg_boot_timestamp_ms = 7;
        let ms = mg_sntp_parse(input.as_ptr(), input.len());
        assert!(input.len() >= 48 || ms == -1);
        assert!(ms != -1 || mg_boot_timestamp_ms == 7 || input.len() >= 48);
    }
});
