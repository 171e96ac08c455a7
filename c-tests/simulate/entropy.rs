//! The random numbers of the library, from the seed.

use crate::numbers::Numbers;
use core::cell::RefCell;
use core::ffi::c_void;

thread_local! {
    static NUMBERS: RefCell<Numbers> = const { RefCell::new(Numbers(0)) };
}

pub(crate) fn seed(seed: u64) {
    NUMBERS.with(|n| n.borrow_mut().0 = seed ^ 0xe17);
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mg_random(buf: *mut c_void, len: usize) -> bool {
    let bytes = unsafe { std::slice::from_raw_parts_mut(buf.cast::<u8>(), len) };
    NUMBERS.with(|n| bytes.fill_with(|| n.borrow_mut().next() as u8));
    true
}
