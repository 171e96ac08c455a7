//! Output sinks. An application may call back into the library while a sink is in use, so a sink keeps no reference to C memory
//! and reads every field of an iobuf again.

use super::text::{Out, Text};
use crate::memory::atomic::{AtomicUsize, Ordering::Relaxed};
use crate::{
    abi::{mg_iobuf, mg_pfn_t},
    ffi_util::{bytes, iobuf},
};
use core::ffi::{c_char, c_void};
use core::ptr;

unsafe extern "C" {
    // By its C name: applications pass its address.
    fn mg_pfn_iobuf(ch: c_char, param: *mut c_void);
}

/// A sink that a printer of the application can write to.
pub(crate) trait Callback: Out {
    /// The character function and its argument, good until the sink is used again.
    fn callback(&mut self) -> (mg_pfn_t, *mut c_void);
}

/// Counts the texts that iobufs had no memory for. Printers of the application append through functions that return nothing, so
/// a caller that needs to know compares this before and after.
static LOST: AtomicUsize = AtomicUsize::new(0);

pub(crate) fn lost() -> usize {
    LOST.load(Relaxed)
}

/// Appends to an iobuf and keeps a NUL after the data. Drops the rest of the output if out of memory.
pub(crate) struct IobufSink {
    io: *mut mg_iobuf,
    growths: u32,
    failed: bool,
}

impl IobufSink {
    /// # Safety
    /// `io` is a consistent buffer as long as the sink is used.
    pub(crate) unsafe fn new(io: *mut mg_iobuf) -> IobufSink {
        IobufSink { io, growths: 0, failed: false }
    }

    /// Makes room for `n` more bytes and a NUL: exactly that at first, then by doubling, which `finish` undoes.
    #[cold]
    fn grow(&mut self, n: usize) {
        self.growths += 1;
        // SAFETY: io is consistent.
        let grown = unsafe {
            let double = if self.growths > 1 { (*self.io).size.saturating_mul(2) } else { 0 };
            match (*self.io).len.checked_add(n).and_then(|len| len.checked_add(1)) {
                Some(needed) => (double > needed && iobuf::resize(self.io, double)) || iobuf::resize(self.io, needed),
                None => false,
            }
        };
        if !grown {
            self.failed = true;
            LOST.fetch_add(1, Relaxed);
        }
    }

    /// Reduces the capacity to the one that appending character by character would yield.
    pub(crate) fn finish(&mut self) {
        if self.growths > 1 {
            // SAFETY: io is consistent, and its data and NUL fit what remains. A failure leaves it larger.
            unsafe {
                if (*self.io).len < (*self.io).size {
                    iobuf::resize(self.io, (*self.io).len + 1);
                }
            }
        }
    }
}

impl Out for IobufSink {
    #[inline]
    fn text(&mut self, s: Text<'_>) {
        if s.len() == 0 || self.failed {
            return;
        }
        // SAFETY: io is consistent, and has room for the text and a NUL when they are written.
        unsafe {
            let io = self.io;
            let mut from = s.as_ptr();
            if s.len() >= (*io).size.saturating_sub((*io).len) {
                let at = (from as usize).wrapping_sub((*io).buf as usize);
                let inside = at < (*io).size;
                self.grow(s.len());
                if self.failed {
                    return;
                }
                if inside {
                    from = (*io).buf.add(at);
                }
            }
            let end = (*io).buf.add((*io).len);
            bytes::copy(from, end, s.len());
            *end.add(s.len()) = 0;
            (*io).len += s.len();
        }
    }

    fn room(&self) -> usize {
        if self.failed { 0 } else { usize::MAX }
    }
}

impl Callback for IobufSink {
    fn callback(&mut self) -> (mg_pfn_t, *mut c_void) {
        (Some(mg_pfn_iobuf), self.io.cast())
    }
}

/// Fills memory of a fixed size. Then drops the rest, or passes the text to `spill` and starts again.
pub(crate) struct BufferSink {
    start: *mut u8,
    size: usize,
    used: usize,
    spill: Option<fn(&[u8])>,
}

impl BufferSink {
    /// # Safety
    /// `size` bytes at `start` are writable as long as the sink is used; there are some when it spills.
    pub(crate) unsafe fn new(start: *mut u8, size: usize, spill: Option<fn(&[u8])>) -> BufferSink {
        BufferSink { start, size, used: 0, spill }
    }

    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Passes on the rest.
    pub(crate) fn flush(&mut self) {
        if let Some(spill) = self.spill {
            // SAFETY: the first `used` bytes have been written.
            spill(unsafe { bytes::slice(self.start, self.used) });
            self.used = 0;
        }
    }
}

impl Out for BufferSink {
    #[inline]
    fn text(&mut self, s: Text<'_>) {
        let (mut from, mut left) = (s.as_ptr(), s.len());
        loop {
            let part = left.min(self.size - self.used);
            if part > 0 {
                // SAFETY: s is readable, and the memory has room for part. The two may overlap.
                unsafe {
                    ptr::copy(from, self.start.add(self.used), part);
                    from = from.add(part);
                }
                self.used += part;
                left -= part;
            }
            if left == 0 || self.spill.is_none() {
                return;
            }
            self.flush();
        }
    }

    fn room(&self) -> usize {
        if self.spill.is_some() { usize::MAX } else { self.size - self.used }
    }
}

unsafe extern "C" fn buffer_put(ch: c_char, sink: *mut c_void) {
    // SAFETY: callback() made the pointer, and the sink waits for the printer to return.
    unsafe { (*sink.cast::<BufferSink>()).bytes(&[ch as u8]) }
}

impl Callback for BufferSink {
    fn callback(&mut self) -> (mg_pfn_t, *mut c_void) {
        (Some(buffer_put), ptr::from_mut(self).cast())
    }
}

/// Any output callback of an application; the library's own ones are written to in slices.
pub(crate) enum AnySink<'a> {
    Iobuf(IobufSink),
    Buffer(&'a mut BufferSink),
    Function(mg_pfn_t, *mut c_void),
}

impl AnySink<'_> {
    /// # Safety
    /// `arg` is valid for `f` as long as the sink is used.
    pub(crate) unsafe fn new<'a>(f: mg_pfn_t, arg: *mut c_void) -> AnySink<'a> {
        let address = f.map(|f| f as usize);
        // SAFETY: for the two functions the type of arg is known.
        unsafe {
            if address == Some(mg_pfn_iobuf as *const () as usize) {
                AnySink::Iobuf(IobufSink::new(arg.cast()))
            } else if address == Some(buffer_put as *const () as usize) {
                AnySink::Buffer(&mut *arg.cast())
            } else {
                AnySink::Function(f, arg)
            }
        }
    }
}

impl Out for AnySink<'_> {
    fn text(&mut self, s: Text<'_>) {
        match self {
            AnySink::Iobuf(sink) => sink.text(s),
            AnySink::Buffer(sink) => sink.text(s),
            AnySink::Function(Some(f), arg) => {
                for i in 0..s.len() {
                    // SAFETY: s is readable. It is read one byte at a time because f may write to its memory.
                    unsafe { f(*s.as_ptr().add(i) as c_char, *arg) }
                }
            }
            AnySink::Function(None, _) => {}
        }
    }

    fn room(&self) -> usize {
        match self {
            AnySink::Iobuf(sink) => sink.room(),
            AnySink::Buffer(sink) => sink.room(),
            AnySink::Function(f, _) => f.map_or(0, |_| usize::MAX),
        }
    }
}

impl Callback for AnySink<'_> {
    fn callback(&mut self) -> (mg_pfn_t, *mut c_void) {
        match self {
            AnySink::Iobuf(sink) => sink.callback(),
            AnySink::Buffer(sink) => sink.callback(),
            AnySink::Function(f, arg) => (*f, *arg),
        }
    }
}

impl Drop for AnySink<'_> {
    fn drop(&mut self) {
        if let AnySink::Iobuf(sink) = self {
            sink.finish();
        }
    }
}
