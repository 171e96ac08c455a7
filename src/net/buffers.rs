//! Spare buffers of a manager. An idle connection owns no buffer; it borrows one when there is something to read or send. Each
//! buffer is an ordinary heap block, because applications free and resize the buffers of their connections themselves.

use crate::abi::mg_iobuf;
use crate::ffi_util::{heap, iobuf};
use crate::memory::prelude::*;
use core::cell::{Cell, RefCell};
use core::ptr;

/// Number of small blocks kept for each direction.
const SMALL: usize = if cfg!(feature = "std") { 64 } else { 2 };
/// Number of large send blocks kept, and their maximum total size.
const LARGE: usize = 64;
const LARGE_BYTES: usize = if cfg!(feature = "std") { 32 << 20 } else { 0 };

#[derive(Default)]
pub(crate) struct Buffers {
    /// Blocks of one capacity, all zero.
    recv: RefCell<Vec<*mut u8>>,
    recv_size: Cell<usize>,
    /// Blocks with their capacities, holding old output.
    send: RefCell<Vec<(*mut u8, usize)>>,
    large: RefCell<Vec<(*mut u8, usize)>>,
    large_bytes: Cell<usize>,
}

impl Buffers {
    /// Gives an empty receive buffer a zeroed block of `size` bytes. False if out of memory.
    ///
    /// # Safety
    /// `io` is a buffer without memory.
    pub(crate) unsafe fn lend_recv(&self, io: *mut mg_iobuf, size: usize) -> bool {
        let spare = if self.recv_size.get() == size { self.recv.borrow_mut().pop() } else { None };
        let mut p = spare.unwrap_or_else(|| heap::calloc(size));
        if p.is_null() && self.give_up() {
            p = heap::calloc(size);
        }
        if p.is_null() {
            return false;
        }
        // SAFETY: io is the caller's; the block is ours and has size bytes.
        unsafe { ((*io).buf, (*io).size, (*io).len) = (p, size, 0) };
        true
    }

    /// Takes back an empty receive buffer whose first `used` bytes may be dirty.
    ///
    /// # Safety
    /// `io` is consistent and holds no data that is still wanted.
    pub(crate) unsafe fn return_recv(&self, io: *mut mg_iobuf, size: usize, used: usize) {
        // SAFETY: io is the caller's; used is clamped to the block.
        unsafe {
            if (*io).buf.is_null() {
                return;
            }
            let mut spare = self.recv.borrow_mut();
            if (*io).size == size && spare.len() < SMALL && (self.recv_size.get() == size || spare.is_empty()) {
                ptr::write_bytes((*io).buf, 0, used.min(size));
                self.recv_size.set(size);
                spare.push((*io).buf);
            } else {
                self.give((*io).buf, (*io).size);
            }
            ((*io).buf, (*io).size, (*io).len) = (ptr::null_mut(), 0, 0);
        }
    }

    /// Makes room for `more` bytes after the data of a buffer, with the capacity that `mg_iobuf_add` would choose. The new bytes
    /// are unspecified. `wipe` zeroes the old block when it is replaced. False if out of memory.
    ///
    /// # Safety
    /// `io` is consistent.
    pub(crate) unsafe fn grow(&self, io: *mut mg_iobuf, more: usize, wipe: bool) -> bool {
        // SAFETY: io is the caller's; a block from the lists has the capacity stored beside it.
        unsafe {
            let Some(need) = (*io).len.checked_add(more) else { return false };
            if need <= (*io).size {
                return true;
            }
            let Some(size) = iobuf::round_up(need, (*io).align) else { return false };
            let Some(p) = self.take(size) else {
                return iobuf::resize(io, need) || self.give_up() && iobuf::resize(io, need);
            };
            if (*io).len > 0 {
                ptr::copy_nonoverlapping((*io).buf, p, (*io).len);
            }
            let (old, old_size) = ((*io).buf, (*io).size);
            if wipe && !old.is_null() {
                ptr::write_bytes(old, 0, (*io).len);
            }
            ((*io).buf, (*io).size) = (p, size);
            self.give(old, old_size);
            true
        }
    }

    /// Takes back a send buffer whose data was sent.
    ///
    /// # Safety
    /// `io` is consistent and holds no data that is still wanted.
    pub(crate) unsafe fn return_send(&self, io: *mut mg_iobuf) {
        // SAFETY: io is the caller's.
        unsafe {
            let (p, size) = ((*io).buf, (*io).size);
            ((*io).buf, (*io).size, (*io).len) = (ptr::null_mut(), 0, 0);
            self.give(p, size);
        }
    }

    fn take(&self, size: usize) -> Option<*mut u8> {
        let small = size <= crate::abi::IO_SIZE;
        let mut list = if small { self.send.borrow_mut() } else { self.large.borrow_mut() };
        let i = list.iter().rposition(|&(_, s)| s == size)?;
        if !small {
            self.large_bytes.set(self.large_bytes.get() - size);
        }
        Some(list.swap_remove(i).0)
    }

    /// # Safety
    /// `p` is NULL or an unused heap block of `size` bytes.
    unsafe fn give(&self, p: *mut u8, size: usize) {
        if p.is_null() {
            return;
        }
        if size <= crate::abi::IO_SIZE {
            let mut list = self.send.borrow_mut();
            if list.len() < SMALL {
                return list.push((p, size));
            }
        } else if size <= LARGE_BYTES {
            let mut list = self.large.borrow_mut();
            // Evict the oldest: sizes still in use will be returned again. Do not hold the borrow, because an application's
            // mg_free may call the library.
            while list.len() >= LARGE || self.large_bytes.get() + size > LARGE_BYTES {
                let (old, old_size) = list.remove(0);
                self.large_bytes.set(self.large_bytes.get() - old_size);
                drop(list);
                // SAFETY: blocks on the list belonged to it.
                unsafe { heap::free(old) };
                list = self.large.borrow_mut();
            }
            self.large_bytes.set(self.large_bytes.get() + size);
            return list.push((p, size));
        }
        // SAFETY: guaranteed by the caller.
        unsafe { heap::free(p) };
    }

    /// Frees the large blocks when the manager is idle.
    pub(crate) fn trim(&self) {
        self.large_bytes.set(0);
        for (p, _) in self.large.take() {
            // SAFETY: blocks on the list belong to it.
            unsafe { heap::free(p) };
        }
    }

    /// Frees all blocks because memory is short. False if there are none.
    #[cold]
    pub(crate) fn give_up(&self) -> bool {
        self.trim();
        let (recv, send) = (self.recv.take(), self.send.take());
        let any = !recv.is_empty() || !send.is_empty();
        for p in recv.into_iter().chain(send.into_iter().map(|(p, _)| p)) {
            // SAFETY: blocks on the lists belong to them.
            unsafe { heap::free(p) };
        }
        any
    }

    /// Total size of the blocks.
    pub(crate) fn bytes(&self) -> usize {
        let send: usize = self.send.borrow().iter().map(|(_, size)| size).sum();
        self.recv.borrow().len() * self.recv_size.get() + send + self.large_bytes.get()
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(size: usize, fill: u8) -> mg_iobuf {
        let buf = heap::calloc(size);
        // SAFETY: a new block of that size.
        unsafe { ptr::write_bytes(buf, fill, size) };
        mg_iobuf { buf, size, len: 0, align: 0 }
    }

    #[test]
    fn returned_receive_blocks_are_zeroed() {
        let buffers = Buffers::default();
        let mut io = block(4096, b'x');
        let before = io.buf;
        // SAFETY: consistent buffers, and blocks of 4,096 bytes.
        unsafe {
            buffers.return_recv(&mut io, 4096, 4096);
            assert!(io.buf.is_null());
            assert!(buffers.lend_recv(&mut io, 4096));
            assert_eq!(io.buf, before);
            assert!(core::slice::from_raw_parts(io.buf, 4096).iter().all(|b| *b == 0));
            heap::free(io.buf);
        }
    }

    #[test]
    fn receive_blocks_of_another_size_are_not_reused() {
        let buffers = Buffers::default();
        let mut io = block(4096, 0);
        // SAFETY: consistent buffers.
        unsafe {
            buffers.return_recv(&mut io, 4096, 0);
            assert!(buffers.lend_recv(&mut io, 8192));
            assert_eq!((io.size, buffers.recv.borrow().len()), (8192, 1));
            heap::free(io.buf);
        }
    }

    #[test]
    fn the_number_of_spare_blocks_is_bounded() {
        let buffers = Buffers::default();
        for _ in 0..2 * SMALL {
            // SAFETY: consistent buffers that nobody else uses.
            unsafe {
                buffers.return_recv(&mut block(4096, 0), 4096, 0);
                buffers.return_send(&mut block(4096, 0));
            }
        }
        assert_eq!((buffers.recv.borrow().len(), buffers.send.borrow().len()), (SMALL, SMALL));
        let large = crate::abi::IO_SIZE + 1;
        for _ in 0..2 * LARGE {
            // SAFETY: as above.
            unsafe { buffers.return_send(&mut block(large, 0)) };
        }
        assert_eq!((buffers.large.borrow().len(), buffers.large_bytes.get()), (LARGE, LARGE * large));
        for _ in 0..40 {
            // SAFETY: as above.
            unsafe { buffers.return_send(&mut block(1 << 20, 0)) };
        }
        let sum: usize = buffers.large.borrow().iter().map(|(_, size)| size).sum();
        assert_eq!(buffers.large_bytes.get(), sum);
        assert!((LARGE_BYTES - (1 << 20)..=LARGE_BYTES).contains(&sum), "{sum}");
        // SAFETY: a consistent buffer, too large to keep.
        unsafe { buffers.return_send(&mut block(LARGE_BYTES + 1, 0)) };
        assert_eq!(buffers.large_bytes.get(), sum);
        buffers.trim();
        assert_eq!((buffers.large.borrow().len(), buffers.large_bytes.get()), (0, 0));
    }

    #[test]
    fn the_total_size_is_used_up_to_the_last_byte() {
        let buffers = Buffers::default();
        let keep = |size| {
            let mut io = mg_iobuf { buf: heap::calloc(size), size, len: 0, align: 0 };
            // SAFETY: a new block of that size.
            unsafe { buffers.return_send(&mut io) };
            (buffers.large.borrow().len(), buffers.large_bytes.get())
        };
        assert_eq!(keep(LARGE_BYTES / 2), (1, LARGE_BYTES / 2));
        assert_eq!(keep(LARGE_BYTES / 2), (2, LARGE_BYTES));
        assert_eq!(keep(LARGE_BYTES), (1, LARGE_BYTES));
    }

    #[test]
    fn spare_blocks_are_counted_and_given_up() {
        let buffers = Buffers::default();
        assert!(!buffers.give_up());
        // SAFETY: consistent buffers that nobody else uses.
        unsafe {
            for _ in 0..3 {
                buffers.return_recv(&mut block(4096, 0), 4096, 0);
            }
            assert_eq!(buffers.bytes(), 3 * 4096);
            assert!(buffers.give_up());
            assert_eq!(buffers.bytes(), 0);
            buffers.return_recv(&mut block(4096, 0), 4096, 0);
            buffers.return_recv(&mut block(4096, 0), 4096, 0);
            buffers.return_send(&mut block(100, 0));
            buffers.return_send(&mut block(1 << 20, 0));
            assert_eq!(buffers.bytes(), 2 * 4096 + 100 + (1 << 20));
            assert!(buffers.give_up());
            assert_eq!(buffers.bytes(), 0);
            buffers.return_send(&mut block(100, 0));
            assert!(buffers.give_up());
        }
        assert!(!buffers.give_up());
    }

    #[test]
    fn growth_takes_spare_blocks_and_keeps_the_data() {
        const SIZE: usize = crate::abi::IO_SIZE;
        let buffers = Buffers::default();
        let (mut io, mut spare) = (block(8, b'x'), block(SIZE, 0));
        let [first, second] = [io.buf, spare.buf];
        io.len = 1;
        // SAFETY: consistent buffers, and blocks of the sizes in them.
        unsafe {
            buffers.return_send(&mut spare);
            assert!(buffers.grow(&mut io, SIZE - 1, true));
            assert_eq!((io.buf, io.size, io.len, *io.buf), (second, SIZE, 1, b'x'));
            // The smaller block is kept, without its data.
            assert_eq!((buffers.take(SIZE), buffers.take(8), *first), (None, Some(first), 0));
            // What is large enough stays.
            buffers.return_send(&mut block(SIZE, 0));
            assert!(buffers.grow(&mut io, SIZE - 1, true));
            assert_eq!(io.buf, second);
            heap::free(first);
            buffers.return_send(&mut io);
        }
    }

    #[test]
    fn impossible_sizes_fail() {
        let buffers = Buffers::default();
        let mut io = block(8, b'x');
        io.len = 8;
        let before = io.buf;
        // SAFETY: consistent buffers.
        unsafe {
            assert!(!buffers.grow(&mut io, usize::MAX, false));
            assert_eq!((io.buf, io.size, io.len), (before, 8, 8));
            buffers.return_send(&mut io);
            assert!(!buffers.lend_recv(&mut io, usize::MAX));
        }
        assert!(io.buf.is_null());
    }
}
