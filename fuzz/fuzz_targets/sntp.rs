//! SNTP messages: there is a time exactly if a server of a known version sends one, and the clock is set to it or left alone.

use core::cell::Cell;
use mongoose as _; // it has the functions
use std::sync::LazyLock;
use std::time::Instant;

unsafe extern "C" {
    fn mg_sntp_parse(buf: *const u8, len: usize) -> i64;
    fn mg_now() -> u64;
    static mut mg_boot_timestamp_ms: u64;
}

thread_local! {
    static UPTIME: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The library takes the clock of the program; in the other targets it goes on.
#[unsafe(no_mangle)]
extern "C" fn mg_millis() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    UPTIME.get().unwrap_or_else(|| START.elapsed().as_millis() as u64)
}

const SINCE_1900: u64 = 2_208_988_800;

/// Milliseconds of a timestamp, without the floating point of the library.
fn time(message: &[u8], at: usize) -> i128 {
    let t = u64::from_be_bytes(message[at..at + 8].try_into().unwrap());
    let (seconds, fraction) = ((t >> 32) as u32, u128::from(t as u32));
    let seconds = if seconds == 0 { 0 } else { seconds.wrapping_sub(SINCE_1900 as u32) };
    i128::from(seconds) * 1000 + (fraction * 1000 / u128::from(u32::MAX)) as i128
}

fuzz_target!(|input: (u8, [u32; 6], u64, u16, Box<[u8]>)| {
    let (kind, words, uptime, cut, more) = input;
    // Half of them are answers but for what `words` says; the others are whatever comes.
    let mut message = more.to_vec();
    if kind & 1 == 1 {
        message = vec![0; 24];
        (message[0], message[1]) = (kind, 1);
        message.extend(words.iter().flat_map(|w| w.to_be_bytes()));
        message.extend(&*more);
        message.truncate(usize::from(cut % 128).max(40));
    }
    let message = message.into_boxed_slice();
    let uptime = if cut >= 1 << 15 { uptime } else { uptime % (1 << 41) };
    UPTIME.set(Some(uptime));
    // SAFETY: the message is a block of exactly its length; there is one thread.
    unsafe {
        mg_boot_timestamp_ms = 7;
        let ms = mg_sntp_parse(message.as_ptr(), message.len());
        let is_good =
            message.len() >= 48 && matches!(message[0] & 7, 4 | 5) && message[1] != 0 && matches!(message[0] >> 3 & 7, 3 | 4);
        if !is_good {
            assert!(ms == -1 && mg_boot_timestamp_ms == 7);
            return;
        }
        assert_eq!(mg_now(), ms as u64);
        let [origin, received, sent] = [24, 32, 40].map(|at| time(&message, at));
        if uptime < 1 << 41 {
            let want = sent + (uptime as i128 - origin - (sent - received)) / 2;
            assert!((want - i128::from(ms)).abs() <= 2, "{ms}, not {want}");
        }
    }
});
