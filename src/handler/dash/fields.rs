//! Variable sets: reads and writes them through the application's callbacks, as JSON.

use super::users::User;
use crate::abi::*;
use crate::ffi_util::bytes::{cstr, slice_mut, until_nul};
use crate::memory;
use crate::memory::prelude::*;
pub(super) use crate::proto::escape::json_string as quoted;
use crate::proto::json::{self, Escapes, Unescape};
use crate::sys::fs::{Fs, is_temporary};
use core::ffi::{CStr, c_char, c_int};

/// Size limit of a response; no element is added beyond it.
const MAX_JSON: usize = 16 << 20;

/// A field set of the application, which does not move. Each method reads its members again.
#[derive(Clone, Copy)]
pub(super) struct Set(*mut mg_field_set);

/// The sets of a dashboard.
///
/// # Safety
/// `dash` is a dashboard of the application, whose sets are not taken away while this is used.
pub(super) unsafe fn sets(dash: *mut mg_dash) -> impl Iterator<Item = Set> {
    // SAFETY: as the caller promises.
    let mut next = unsafe { (*dash).sets };
    core::iter::from_fn(move || {
        let set = (!next.is_null()).then_some(Set(next))?;
        next = set.get().next;
        Some(set)
    })
}

/// # Safety
/// As [`sets`].
pub(super) unsafe fn find(dash: *mut mg_dash, name: &[u8]) -> Option<Set> {
    // SAFETY: guaranteed by the caller.
    unsafe { sets(dash) }.find(|s| s.name() == name)
}

/// Restores the index of an array.
struct Index(*mut c_int, c_int);

impl Drop for Index {
    fn drop(&mut self) {
        // SAFETY: the index of a set, see Set::new.
        unsafe { *self.0 = self.1 };
    }
}

impl Set {
    /// None for NULL.
    ///
    /// # Safety
    /// `set` is NULL or a set of the application with all it points to, for as long as this is used.
    pub(super) unsafe fn new(set: *mut mg_field_set) -> Option<Set> {
        (!set.is_null()).then_some(Set(set))
    }

    fn get(self) -> mg_field_set {
        // SAFETY: see new().
        unsafe { *self.0 }
    }

    pub(super) fn name(self) -> Vec<u8> {
        // SAFETY: see new().
        unsafe { cstr(self.get().name) }.to_vec()
    }

    pub(super) fn is_array(self) -> bool {
        !self.get().index.is_null()
    }

    pub(super) fn is_files(self) -> bool {
        self.get().get_dir.is_some()
    }

    pub(super) fn has_fn(self) -> bool {
        self.get().r#fn.is_some()
    }

    /// The index of an array; negative for a set that is not an array.
    pub(super) fn index(self) -> c_int {
        // SAFETY: see new().
        unsafe { self.get().index.as_ref() }.map_or(-1, |i| *i)
    }

    /// Runs `f` with the index set to `i`.
    pub(super) fn with_index<T>(self, i: c_int, f: impl FnOnce() -> T) -> T {
        let p = self.get().index;
        if p.is_null() {
            return f();
        }
        // SAFETY: see new().
        let _before = Index(p, unsafe { p.replace(i) });
        f()
    }

    /// Calls the application's callback; without one everything is allowed.
    pub(super) fn call(self, op: mg_dash_op, user: &User) -> bool {
        // SAFETY: the application's function; the user is held.
        self.get().r#fn.is_none_or(|f| unsafe { f(op, user.as_ptr()) })
    }

    /// Refreshes the variables. False if the user may not read them.
    fn read(self, user: &User) -> bool {
        if !self.has_fn() && self.is_files() {
            // SAFETY: see new(); the user is held.
            return unsafe { dir_read(self.0, user.as_ptr()) };
        }
        self.call(mg_dash_op::MG_DASH_READ, user)
    }

    /// Refreshes element `i`, with the index set to it. None if the user may not read it. Some(false) if it does not exist.
    pub(super) fn read_element(self, user: &User, i: c_int) -> Option<bool> {
        self.read(user).then(|| self.index() == i)
    }

    /// The size of an array; None if it is unknown, or the user may not read it.
    fn size(self, user: &User) -> Option<c_int> {
        self.with_index(-1, || self.read(user).then(|| self.index())).filter(|n| *n >= 0)
    }

    /// True if the user may see the set at all.
    pub(super) fn is_visible(self, user: &User) -> bool {
        self.with_index(-1, || self.read(user))
    }

    fn fields(self) -> impl Iterator<Item = mg_field> {
        let mut next = self.get().fields;
        core::iter::from_fn(move || {
            // SAFETY: see new(): the list ends with a NULL name.
            let field = unsafe { next.as_ref() }.filter(|f| !f.name.is_null())?;
            next = next.wrapping_add(1);
            Some(*field)
        })
    }

    fn field(self, name: &[u8]) -> Option<mg_field> {
        // SAFETY: see new().
        self.fields().find(|f| unsafe { cstr(f.name) } == name)
    }

    /// The value of a scalar set, or the size of an array.
    pub(super) fn value(self, user: &User) -> Option<Vec<u8>> {
        if self.is_array() {
            return self.size(user).map(|n| n.to_string().into_bytes());
        }
        self.read(user).then(|| self.print())
    }

    /// The notification about a change of the set: its name and value.
    pub(super) fn change(self, user: &User) -> Option<(Vec<u8>, Vec<u8>)> {
        let i = self.index();
        if !self.is_array() || i < 0 {
            return Some((self.name(), self.value(user)?));
        }
        let value = self.with_index(i, || self.read_element(user, i)?.then(|| self.print()))?;
        Some(([&self.name(), format!("/{i}").as_bytes()].concat(), value))
    }

    /// Elements `from` to `to`, as far as they exist.
    pub(super) fn elements(self, user: &User, from: c_int, to: c_int) -> Option<Vec<u8>> {
        let mut out = b"[".to_vec();
        for i in from..=to {
            let element = self.with_index(i, || self.read_element(user, i).map(|there| there.then(|| self.print())));
            match element {
                None if i == from => return None,
                Some(Some(text)) if out.len() + text.len() < MAX_JSON => {
                    if i > from {
                        out.push(b',');
                    }
                    if !memory::append(&mut out, &text) {
                        break;
                    }
                }
                _ => break,
            }
        }
        out.push(b']');
        Some(out)
    }

    /// The variables in their current state.
    pub(super) fn print(self) -> Vec<u8> {
        let mut out = b"{".to_vec();
        for field in self.fields() {
            if out.len() > 1 {
                out.push(b',');
            }
            // SAFETY: see new().
            unsafe {
                quoted(&mut out, cstr(field.name));
                out.push(b':');
                print(&mut out, &field);
            }
        }
        out.push(b'}');
        out
    }

    /// Stores the members of the object that match a field. Returns their number.
    pub(super) fn store(self, object: &[u8]) -> usize {
        if object.first() != Some(&b'{') {
            return 0;
        }
        // SAFETY: see new().
        self.fields().filter(|field| unsafe { store(field, object) }).count()
    }

    /// Stores a name in the field for it, if there is one. False if it does not fit.
    pub(super) fn set_name(self, name: &[u8]) -> bool {
        let Some(field) = self.field(b"name").filter(|f| f.r#type == mg_val_type::MG_VAL_STR as c_enum && f.value_size > 0)
        else {
            return true;
        };
        // SAFETY: see new().
        name.len() < field.value_size && unsafe { put_text(&field, name) }
    }

    /// The directory of a file list.
    pub(super) fn dir(self, user: *const mg_dash_user) -> Option<Vec<u8>> {
        let (get_dir, mut buf) = (self.get().get_dir?, [0 as c_char; 512]);
        // SAFETY: the application's function; its buffer is one byte longer than it knows.
        let good = unsafe { get_dir(user, buf.as_mut_ptr(), buf.len() - 1) };
        // SAFETY: the last byte is a NUL.
        good.then(|| unsafe { cstr(buf.as_ptr()) }.to_vec())
    }
}

/// The text of a variable: as long as its memory at most, where the size of that is known.
///
/// # Safety
/// The field describes a text.
unsafe fn text<'a>(field: &mg_field) -> &'a [u8] {
    // SAFETY: as the caller promises.
    unsafe {
        if field.value_size == 0 {
            return cstr(field.value.cast());
        }
        until_nul(field.value.cast(), Some(field.value_size))
    }
}

/// Prints a variable.
///
/// # Safety
/// The field describes a variable of its type, or a type that does not exist.
unsafe fn print(out: &mut Vec<u8>, field: &mg_field) {
    const INT: c_enum = mg_val_type::MG_VAL_INT as c_enum;
    const UINT64: c_enum = mg_val_type::MG_VAL_UINT64 as c_enum;
    const BOOL: c_enum = mg_val_type::MG_VAL_BOOL as c_enum;
    const DBL: c_enum = mg_val_type::MG_VAL_DBL as c_enum;
    const STR: c_enum = mg_val_type::MG_VAL_STR as c_enum;
    const RAW: c_enum = mg_val_type::MG_VAL_RAW as c_enum;
    if field.value.is_null() {
        return out.extend(b"null");
    }
    let mut number = |text: core::fmt::Arguments<'_>| memory::append_text(out, text);
    // SAFETY: as the caller promises. A bool of C may hold anything.
    unsafe {
        match field.r#type {
            INT => number(format_args!("{}", field.value.cast::<c_int>().read_unaligned())),
            UINT64 => number(format_args!("{}", field.value.cast::<u64>().read_unaligned())),
            BOOL => number(format_args!("{}", field.value.cast::<u8>().read() != 0)),
            DBL => match field.value.cast::<f64>().read_unaligned() {
                v if v.is_finite() => number(format_args!("{v:.2}")),
                _ => out.extend(b"null"),
            },
            STR => quoted(out, text(field)),
            RAW if !text(field).is_empty() => out.extend(text(field)),
            _ => out.extend(b"null"),
        }
    }
}

/// Copies a text and its NUL into a variable, truncated to its size, which is not 0. Always true.
///
/// # Safety
/// The field describes a text that can be written.
unsafe fn put_text(field: &mg_field, s: &[u8]) -> bool {
    let n = s.len().min(field.value_size - 1);
    // SAFETY: as the caller promises.
    let to = unsafe { slice_mut(field.value.cast(), n + 1) };
    to[..n].copy_from_slice(&s[..n]);
    to[n] = 0;
    true
}

/// An integer between two bounds.
fn whole(object: &[u8], path: &[u8], min: f64, end: f64) -> Option<f64> {
    json::number_at(object, path).filter(|v| *v as i64 as f64 == *v && *v >= min && *v < end)
}

/// Stores the value that `object` has for a variable, if there is one that fits.
///
/// # Safety
/// The field describes a variable of its type; `object` is not a part of it.
unsafe fn store(field: &mg_field, object: &[u8]) -> bool {
    const INT: c_enum = mg_val_type::MG_VAL_INT as c_enum;
    const UINT64: c_enum = mg_val_type::MG_VAL_UINT64 as c_enum;
    const BOOL: c_enum = mg_val_type::MG_VAL_BOOL as c_enum;
    const DBL: c_enum = mg_val_type::MG_VAL_DBL as c_enum;
    const STR: c_enum = mg_val_type::MG_VAL_STR as c_enum;
    const RAW: c_enum = mg_val_type::MG_VAL_RAW as c_enum;
    let (value, size) = (field.value, field.value_size);
    if value.is_null() || size == 0 {
        return false;
    }
    // SAFETY: as the caller promises; the size is that of the type.
    unsafe {
        let path = [b"$.", cstr(field.name)].concat();
        let stored = match field.r#type {
            INT if size == size_of::<c_int>() => whole(object, &path, c_int::MIN.into(), f64::from(c_int::MAX) + 1.0)
                .map(|v| value.cast::<c_int>().write_unaligned(v as c_int)),
            UINT64 if size == size_of::<u64>() => {
                let digits = json::token(object, &path).and_then(|t| core::str::from_utf8(t).ok()?.parse().ok());
                let v = digits.or_else(|| whole(object, &path, 0.0, 18_446_744_073_709_551_616.0).map(|v| v as u64));
                v.map(|v: u64| value.cast::<u64>().write_unaligned(v))
            }
            BOOL if size == size_of::<bool>() => {
                let v = json::token(object, &path).filter(|t| matches!(*t, b"true" | b"false"));
                v.map(|v| value.cast::<bool>().write(v == b"true"))
            }
            DBL if size == size_of::<f64>() => json::number_at(object, &path).map(|v| value.cast::<f64>().write_unaligned(v)),
            STR => json::text(object, &path).and_then(|s| {
                let mut decoded = memory::zeroed(size)?;
                match json::unescape(s, &mut decoded, Escapes::Utf8) {
                    Unescape::Done(n) | Unescape::Full(n) => put_text(field, &decoded[..n]).then_some(()),
                    Unescape::Bad => None,
                }
            }),
            RAW => json::token(object, b"$").filter(|t| t.len() < size).map(|t| _ = put_text(field, t)),
            _ => None,
        };
        stored.is_some()
    }
}

/// See `mg_dash_dir_read`.
///
/// # Safety
/// `set` is NULL or a set of the application, `user` NULL or a user.
pub(crate) unsafe fn dir_read(set: *mut mg_field_set, user: *mut mg_dash_user) -> bool {
    // SAFETY: as the caller promises.
    let Some(set) = (unsafe { Set::new(set) }).filter(|s| s.is_array()) else { return false };
    let is_text = |f: &mg_field| f.r#type == mg_val_type::MG_VAL_STR as c_enum && f.value_size > 0 && !f.value.is_null();
    let Some(name_field) = set.field(b"name").filter(is_text) else { return false };
    let Some(dir) = set.dir(user) else { return false };
    // SAFETY: as the caller promises, and so for what they point to.
    let fs = unsafe {
        let dash = user.as_ref().map_or(core::ptr::null_mut(), |u| u.dash);
        dash.as_ref().and_then(|d| Fs::new(d.upload_fs)).unwrap_or_else(Fs::posix)
    };
    let (mut names, mut whole) = (Vec::new(), true);
    let c_path = |path: Vec<u8>| alloc::ffi::CString::new(path).unwrap_or_default();
    fs.list(&c_path(dir.clone()), |name: &CStr| {
        if !is_temporary(name.to_bytes()) && whole {
            whole = !memory::is_low() && memory::grow(&mut names, 1);
            if whole {
                names.push(name.to_bytes().to_vec());
            }
        }
    });
    if !whole {
        return false;
    }
    // The system returns them unsorted.
    names.sort_unstable();
    let store = |i: c_int| {
        // SAFETY: the set is an array.
        unsafe { *set.get().index = i };
        true
    };
    let Ok(at) = usize::try_from(set.index()) else { return store(c_int::try_from(names.len()).unwrap_or(c_int::MAX)) };
    let Some(name) = names.get(at) else { return store(-1) };
    // SAFETY: a text that can be written.
    unsafe { put_text(&name_field, name) };
    if let Some(field) = set.field(b"size").filter(|f| !f.value.is_null()) {
        let size = fs.status(&c_path([&dir[..], b"/", name].concat())).map_or(0, |(_, size, _)| size);
        // SAFETY: a variable of its type.
        unsafe {
            if field.r#type == mg_val_type::MG_VAL_UINT64 as c_enum {
                field.value.cast::<u64>().write_unaligned(size as u64);
            } else if field.r#type == mg_val_type::MG_VAL_INT as c_enum {
                field.value.cast::<c_int>().write_unaligned(c_int::try_from(size).unwrap_or(c_int::MAX));
            }
        }
    }
    true
}
