//! Modbus TCP: the handler in `c->pfn` of connections of mg_modbus_listen.

use crate::abi::*;
use crate::ffi_util::{bytes, iobuf};
use crate::memory::prelude::*;
use crate::net::engine::ConnState;
use crate::net::event::{call, error};
use crate::net::handle::ConnRef;
use crate::net::output;
use crate::net::protocol::Protocol;
use crate::net::recv::OUTPUT_MAX;
use crate::net::view::dispatch;
use crate::proto::modbus::{self, HEAD, Request, Scan, Values};
use crate::sys::log::log_error;
use core::ffi::{c_int, c_void};
use core::ptr;

static PROTOCOL: Protocol =
    Protocol { handler, skips_poll: true, answers_in_turn: false, throttles_input: true, at_limit: None, before_send: None };

/// Installs the handler on a listener.
pub(crate) fn install(c: ConnRef) {
    c.set_pfn(Some(handler));
    c.engine().inspect(|e| e.protocols.add(&PROTOCOL));
}

/// The protocol handler.
///
/// # Safety
/// `c` is the connection the event is for.
unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, _ev_data: *mut c_void) {
    // SAFETY: called by the engine, which has a callback open, or by the application for a connection of its own.
    let c = unsafe { ConnRef::new(c) };
    if matches!(ev, MG_EV_READ | MG_EV_WRITE) {
        if let Some(rec) = c.rec().filter(|rec| c.flags().is_accepted() && !rec.dispatching.get()) {
            run(c, rec);
        }
    }
}

fn run(c: ConnRef, rec: &ConnState) {
    while !c.is_gone() && !c.flags().is_closing() && !c.flags().is_draining() {
        if c.send_len() >= OUTPUT_MAX {
            // Reading pauses too: removing a request from the front of the buffer moves all that follow.
            return;
        }
        // SAFETY: the connection's own data, copied before anything is called.
        let data = unsafe { c.recv_info().data() };
        match modbus::scan(data) {
            Scan::Wait => return,
            Scan::Invalid => return error(c, format_args!("invalid pdu")),
            Scan::Frame(size) => {
                let mut head = [0; HEAD];
                head.copy_from_slice(&data[..HEAD]);
                let pdu = data[HEAD..size].to_vec();
                let answer = modbus::request(&pdu).and_then(|request| ask(c, rec, request));
                if c.is_gone() {
                    return;
                }
                let answer = answer.unwrap_or_else(|code| modbus::exception(pdu[0], code));
                if !output::append_bytes(c, &modbus::frame(head, &answer)) {
                    return error(c, format_args!("OOM"));
                }
                // SAFETY: the connection's own buffer; del clamps to what the application has left of it.
                unsafe { iobuf::del(c.recv(), 0, size) };
            }
        }
    }
}

/// Lets the application handle the request, and builds the response from the result. The library owns the values: if the
/// application replaces the pointer, the request fails; if it increases the number of values, the original number counts.
fn ask(c: ConnRef, rec: &ConnState, mut request: Request) -> Result<Vec<u8>, u8> {
    let (values, count): (*mut c_void, usize) = match &mut request.values {
        Values::Bits(bits) => (bits.as_mut_ptr().cast(), bits.len()),
        Values::Regs(regs) => (regs.as_mut_ptr().cast(), regs.len()),
    };
    let u = mg_modbus_values { regs: values.cast() };
    let mut req = mg_modbus_req { func: request.func, error: 0, addr: request.addr, u, len: count as u16 };
    dispatch(c, rec, 0, || call(c, MG_EV_MODBUS_REQ, (&raw mut req).cast()));
    if c.is_gone() {
        return Err(modbus::DEVICE_FAILURE);
    }
    if req.error != 0 {
        return Err(req.error);
    }
    // SAFETY: both members of the union are pointers.
    if !ptr::eq(unsafe { req.u.regs }.cast(), values) {
        log_error!("{} handler replaced the values of a Modbus request", c.id());
        return Err(modbus::DEVICE_FAILURE);
    }
    let len = count.min(req.len.into());
    match &mut request.values {
        // SAFETY: our own values, which the application may have written: any byte is one.
        Values::Bits(bits) => *bits = unsafe { bytes::slice(values.cast(), len) }.to_vec(),
        Values::Regs(regs) => regs.truncate(len),
    }
    request.addr = req.addr;
    Ok(modbus::response(&request))
}
