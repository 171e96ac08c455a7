//! WebSocket frames, MQTT packets and HTTP responses as peers make and read them: written from the standards for this program, so
//! that nothing of the library judges itself.

use core::fmt;

/// What one side tells the other: a frame, a packet.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// Opcode; first byte of a packet; status.
    pub(crate) kind: u16,
    pub(crate) id: u16,
    pub(crate) data: Vec<u8>,
}

impl Item {
    pub(crate) fn new(kind: u16, id: u16, data: &[u8]) -> Item {
        Item { kind, id, data: data.to_vec() }
    }
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = String::from_utf8_lossy(&self.data[..self.data.len().min(8)]);
        write!(f, "{:#x} id {} {} bytes {start:?}", self.kind, self.id, self.data.len())
    }
}

// ---- WebSocket, RFC 6455

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUE: u8 = 0;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

pub(crate) fn frame(out: &mut Vec<u8>, first: u8, payload: &[u8], mask: Option<[u8; 4]>) {
    let bit = if mask.is_some() { 0x80 } else { 0 };
    out.push(first);
    match payload.len() {
        n if n < 126 => out.push(bit | n as u8),
        n if n < 65536 => {
            out.push(bit | 126);
            out.extend((n as u16).to_be_bytes());
        }
        n => {
            out.push(bit | 127);
            out.extend((n as u64).to_be_bytes());
        }
    }
    let mask_bytes = mask.unwrap_or([0; 4]);
    if mask.is_some() {
        out.extend(mask_bytes);
    }
    out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask_bytes[i % 4]));
}

/// A frame at the beginning: first byte and payload, and how long it is. None: it is not all there.
pub(crate) fn take_frame(data: &[u8], masked: bool) -> Result<Option<(u8, Vec<u8>, usize)>, String> {
    let [first, second, rest @ ..] = data else { return Ok(None) };
    if (second & 0x80 != 0) != masked {
        return Err(format!("a frame whose mask bit is {}", second >> 7));
    }
    if first & 0x70 != 0 || first & FIN == 0 {
        return Err(format!("a frame that begins with {first:#x}"));
    }
    let size = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, rest)) = rest.split_at_checked(size) else { return Ok(None) };
    let length = match size {
        0 => usize::from(second & 0x7f),
        _ => length.iter().fold(0, |n, b| n << 8 | usize::from(*b)),
    };
    let Some((mask, rest)) = rest.split_at_checked(if masked { 4 } else { 0 }) else { return Ok(None) };
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    let payload = payload.iter().enumerate().map(|(i, b)| if masked { b ^ mask[i % 4] } else { *b }).collect();
    Ok(Some((*first, payload, 2 + size + mask.len() + length)))
}

pub(crate) fn ws_accept(key: &str) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let digest = sha1::Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let mut text = [0; 28];
    base64::engine::general_purpose::STANDARD.encode_slice(digest, &mut text).expect("28 characters");
    String::from_utf8_lossy(&text).into_owned()
}

// ---- MQTT 3.1.1 and 5

pub(crate) fn packet(out: &mut Vec<u8>, first: u8, parts: &[&[u8]]) {
    out.push(first);
    let mut n: usize = parts.iter().map(|p| p.len()).sum();
    loop {
        out.push((n % 128) as u8 | if n >= 128 { 0x80 } else { 0 });
        n /= 128;
        if n == 0 {
            break;
        }
    }
    parts.iter().for_each(|p| out.extend(*p));
}

pub(crate) fn publish(out: &mut Vec<u8>, version: u8, qos: u8, id: u16, payload: &[u8]) {
    let id = id.to_be_bytes();
    let props: &[u8] = if version == 5 { &[0] } else { &[] };
    packet(out, 0x30 | qos << 1, &[b"\0\x01t", if qos > 0 { &id } else { &[] }, props, payload]);
}

/// A packet at the beginning, and how long it is.
pub(crate) fn take_packet(data: &[u8], version: u8) -> Result<Option<(Item, usize)>, String> {
    let [first, rest @ ..] = data else { return Ok(None) };
    let (mut length, mut at) = (0, 0);
    loop {
        let Some(b) = rest.get(at) else { return Ok(None) };
        length |= usize::from(b & 0x7f) << (7 * at);
        at += 1;
        if b & 0x80 == 0 {
            break;
        }
        if at == 4 {
            return Err("a length of five bytes".into());
        }
    }
    let Some(body) = rest.get(at..at + length) else { return Ok(None) };
    let bad = || format!("packet {first:#x} of {length} bytes");
    let number = |at: usize| body.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]])).ok_or_else(bad);
    let item = match first >> 4 {
        3 => {
            let mut at = 2 + usize::from(number(0)?);
            if body.get(2..at) != Some(b"t") {
                return Err(bad());
            }
            let mut id = 0;
            if first & 6 > 0 {
                id = number(at)?;
                at += 2;
            }
            if version == 5 {
                at += 1 + usize::from(*body.get(at).ok_or_else(bad)?);
            }
            Item::new(u16::from(*first), id, body.get(at..).ok_or_else(bad)?)
        }
        4..=11 => Item::new(u16::from(*first), number(0)?, b""),
        _ => Item::new(u16::from(*first), 0, b""),
    };
    Ok(Some((item, 1 + at + length)))
}
