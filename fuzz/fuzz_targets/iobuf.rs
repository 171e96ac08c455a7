//! Buffers against a vector: the same data after any calls, capacities that are multiples of the alignment, and zeros after the
//! data.

use arbitrary::Arbitrary;
use core::ffi::c_void;
use core::ptr;
use mongoose::abi::mg_iobuf;

unsafe extern "C" {
    fn mg_iobuf_init(io: *mut mg_iobuf, size: usize, align: usize) -> bool;
    fn mg_iobuf_resize(io: *mut mg_iobuf, size: usize) -> bool;
    fn mg_iobuf_free(io: *mut mg_iobuf);
    fn mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize;
    fn mg_iobuf_del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize;
}

#[derive(Arbitrary, Debug)]
enum Step {
    Resize(u16),
    Add(u16, Vec<u8>),
    /// Room, filled with what is in the buffer by then.
    Reserve(u16, u8),
    /// Part of the buffer itself.
    Repeat(u16, u16, u8),
    Del(u16, u16),
    Free,
    Absurd(bool),
}

fn insert(model: &mut Vec<u8>, ofs: usize, data: &[u8]) {
    if model.len() < ofs {
        model.resize(ofs, 0);
    }
    model.splice(ofs..ofs, data.iter().copied());
}

static ZEROS: [u8; 4096] = [0; 4096];

unsafe fn view<'a>(p: *const u8, len: usize) -> &'a [u8] {
    // SAFETY: the caller's bytes, or none.
    if len == 0 { &[] } else { unsafe { core::slice::from_raw_parts(p, len) } }
}

/// Mostly small: large buffers take long to compare.
fn size(n: u16) -> usize {
    usize::from(if n < 0xff00 { n % 1000 } else { n })
}

fuzz_target!(|input: (u16, u16, Vec<Step>)| {
    let (room, align, steps) = input;
    let align = usize::from(align % 600);
    let mut model: Vec<u8> = Vec::new();
    // SAFETY: a buffer of its own; sources of the lengths that are passed.
    unsafe {
        let mut io: mg_iobuf = core::mem::zeroed();
        assert!(mg_iobuf_init(&mut io, size(room), align) && io.size >= size(room));
        for step in steps.into_iter().take(64) {
            match step {
                Step::Resize(n) => {
                    assert!(mg_iobuf_resize(&mut io, size(n)));
                    model.truncate(io.size);
                    assert!(io.size >= size(n));
                }
                Step::Add(ofs, data) => {
                    let n = mg_iobuf_add(&mut io, size(ofs), data.as_ptr().cast(), data.len());
                    assert_eq!(n, data.len());
                    insert(&mut model, size(ofs), &data);
                }
                Step::Reserve(ofs, len) => {
                    let (ofs, len) = (size(ofs), usize::from(len));
                    assert_eq!(mg_iobuf_add(&mut io, ofs, ptr::null(), len), len);
                    insert(&mut model, ofs, &vec![7; len]);
                    if len > 0 {
                        ptr::write_bytes(io.buf.add(ofs), 7, len);
                    }
                }
                Step::Repeat(ofs, at, len) => {
                    let at = usize::from(at).min(io.len);
                    let len = usize::from(len).min(io.len - at);
                    if len > 0 {
                        let part = model[at..at + len].to_vec();
                        assert_eq!(mg_iobuf_add(&mut io, size(ofs), io.buf.add(at).cast(), len), len);
                        insert(&mut model, size(ofs), &part);
                    }
                }
                Step::Del(ofs, len) => {
                    let start = usize::from(ofs).min(model.len());
                    let end = (start + usize::from(len)).min(model.len());
                    assert_eq!(mg_iobuf_del(&mut io, ofs.into(), len.into()), end - start);
                    model.drain(start..end);
                }
                Step::Free => {
                    mg_iobuf_free(&mut io);
                    assert!(io.buf.is_null() && io.size == 0);
                    model.clear();
                }
                // More than there is: refused, with nothing changed.
                Step::Absurd(resize) => {
                    let n = usize::MAX - 7;
                    assert!(if resize { !mg_iobuf_resize(&mut io, n) } else { mg_iobuf_add(&mut io, 0, ptr::null(), n) == 0 });
                }
            }
            assert!(io.size >= io.len && (align == 0 || io.size % align == 0));
            assert!(view(io.buf, io.len) == model);
            let spare = view(io.buf.wrapping_add(io.len), io.size - io.len);
            assert!(spare.chunks(ZEROS.len()).all(|part| *part == ZEROS[..part.len()]));
        }
        mg_iobuf_free(&mut io);
    }
});
