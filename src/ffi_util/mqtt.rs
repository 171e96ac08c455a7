//! MQTT structs of the C API: messages passed to handlers, and options, of which applications set only those the packet needs.

use super::bytes;
use crate::abi::{mg_mqtt_message, mg_mqtt_opts, mg_mqtt_prop, mg_str};
use crate::memory::prelude::*;
use crate::proto::mqtt::{self, Fault, Kind, Malformed, Value};
use core::marker::PhantomData;
use core::{ptr, slice};

/// See `mg_mqtt_parse`. Returns the length of the packet, or None while it is incomplete.
///
/// # Safety
/// `buf` is NULL or covers `len` bytes, `m` points at memory for a message. The views in `*m` are as short-lived as `buf`.
pub(crate) unsafe fn parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> Result<Option<usize>, Malformed> {
    // SAFETY: the caller vouches for both. All-zero is a valid message; what lies between its members is zero as well, because
    // applications read `ack` as an int.
    unsafe {
        ptr::write_bytes(m, 0, 1);
        (*m).dgram.buf = buf.cast_mut().cast();
        let data = bytes::slice(buf, len);
        if let [first, _, ..] = data {
            ((*m).cmd, (*m).qos) = (first >> 4, first >> 1 & 3);
        }
        let Some(packet) = mqtt::parse(data, version)? else { return Ok(None) };
        let place = |r: core::ops::Range<usize>| mg_str { buf: buf.add(r.start).cast_mut().cast(), len: r.len() };
        ((*m).id, (*m).ack, (*m).dgram.len) = (packet.id, packet.ack, packet.end);
        if let Some(publish) = packet.publish {
            ((*m).topic, (*m).data) = (place(publish.topic), place(publish.data));
            if let Some(props) = publish.props {
                ((*m).props_start, (*m).props_size) = (props.start, props.len());
            }
        }
        Ok(Some(packet.end))
    }
}

/// See `mg_mqtt_next_prop`.
///
/// # Safety
/// `m` is a message whose packet is still there, `prop` points at memory for a property.
pub(crate) unsafe fn next_prop(m: *const mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> Option<usize> {
    // SAFETY: as the caller promises. Applications move the views about, so the window is checked.
    unsafe {
        let end = (*m).props_start.checked_add((*m).props_size)?;
        let props = (*m).dgram.bytes().get((*m).props_start..end)?;
        if ofs >= props.len() {
            return None;
        }
        ptr::write_bytes(prop, 0, 1);
        let (id, value, next) = mqtt::property(props, ofs)?;
        (*prop).id = id;
        match value {
            Value::Number(n) => (*prop).iv = n,
            Value::Text(val) => (*prop).val = mg_str::of(val),
            Value::Pair(key, val) => ((*prop).key, (*prop).val) = (mg_str::of(key), mg_str::of(val)),
        }
        Some(next)
    }
}

/// Options of an application; NULL means all zero. Members that a packet does not need may hold anything, so each is read
/// individually, and only when needed.
#[derive(Clone, Copy)]
pub(crate) struct Opts<'a>(*const mg_mqtt_opts, PhantomData<&'a u8>);

macro_rules! member {
    ($($name:ident: $type:ty, $as:ident;)*) => {$(
        pub(crate) fn $name(self) -> $type {
            // SAFETY: Opts::new's caller vouches for the members that are asked for.
            unsafe { if self.0.is_null() { Default::default() } else { $as(&raw const (*self.0).$name) } }
        }
    )*};
}

/// # Safety
/// As [`mg_str::bytes`].
unsafe fn text<'a>(s: *const mg_str) -> &'a [u8] {
    // SAFETY: guaranteed by the caller.
    unsafe { s.read().bytes() }
}

/// # Safety
/// `b` is readable.
unsafe fn flag(b: *const bool) -> bool {
    // A byte, because it may be neither 0 nor 1.
    // SAFETY: guaranteed by the caller.
    unsafe { b.cast::<u8>().read() != 0 }
}

/// # Safety
/// `n` is readable.
unsafe fn number<T>(n: *const T) -> T {
    // SAFETY: guaranteed by the caller.
    unsafe { n.read() }
}

impl<'a> Opts<'a> {
    /// # Safety
    /// `p` is NULL or points to options whose used members, and the data they point to, stay readable during `'a`.
    pub(crate) unsafe fn new(p: *const mg_mqtt_opts) -> Opts<'a> {
        Opts(p, PhantomData)
    }

    member! {
        user: &'a [u8], text;
        pass: &'a [u8], text;
        client_id: &'a [u8], text;
        topic: &'a [u8], text;
        message: &'a [u8], text;
        qos: u8, number;
        version: u8, number;
        keepalive: u16, number;
        retransmit_id: u16, number;
        retain: bool, flag;
        clean: bool, flag;
    }

    /// Writes the properties, prefixed with their size.
    pub(crate) fn put_props(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        // SAFETY: see Opts::new.
        let list = unsafe { (!self.0.is_null()).then(|| ((*self.0).props, (*self.0).num_props)) };
        put(list, out)
    }

    /// Writes the properties of the will, prefixed with their size.
    pub(crate) fn put_will_props(self, out: &mut Vec<u8>) -> Result<(), Fault> {
        // SAFETY: see Opts::new.
        let list = unsafe { (!self.0.is_null()).then(|| ((*self.0).will_props, (*self.0).num_will_props)) };
        put(list, out)
    }
}

fn put(list: Option<(*mut mg_mqtt_prop, usize)>, out: &mut Vec<u8>) -> Result<(), Fault> {
    let list = match list {
        // SAFETY: an array of that many properties, see Opts::new.
        Some((props, n)) if !props.is_null() && n > 0 => unsafe { slice::from_raw_parts(props, n) },
        _ => &[],
    };
    mqtt::put_properties(out, |out| {
        for p in list {
            let value = match mqtt::kind(p.id).ok_or(Fault::UnknownProperty)? {
                // SAFETY: the texts of a property of that kind, see Opts::new.
                Kind::Text => Value::Text(unsafe { p.val.bytes() }),
                // SAFETY: as above.
                Kind::Pair => unsafe { Value::Pair(p.key.bytes(), p.val.bytes()) },
                _ => Value::Number(p.iv),
            };
            mqtt::put_property(out, p.id, value)?;
        }
        Ok(())
    })
}
