//! MQTT 3.1.1 and 5 packets.

use crate::memory;
use crate::memory::prelude::*;
use core::ops::Range;

pub(crate) const CONNECT: u8 = 1;
pub(crate) const CONNACK: u8 = 2;
pub(crate) const PUBLISH: u8 = 3;
pub(crate) const PUBACK: u8 = 4;
pub(crate) const PUBREC: u8 = 5;
pub(crate) const PUBREL: u8 = 6;
pub(crate) const PUBCOMP: u8 = 7;
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const UNSUBSCRIBE: u8 = 10;
pub(crate) const UNSUBACK: u8 = 11;
pub(crate) const PINGREQ: u8 = 12;
pub(crate) const PINGRESP: u8 = 13;
pub(crate) const DISCONNECT: u8 = 14;

const SERVER_KEEPALIVE: u8 = 0x13;

/// Reason code: packet too large.
pub(crate) const TOO_LARGE: u8 = 0x95;

/// The largest four-byte variable-length integer: the maximum remaining length of a packet.
pub(crate) const MAX_VARINT: usize = (1 << 28) - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Malformed;

/// A variable-length integer, seven bits per byte, least significant first. Returns the number and its size; None while it is
/// incomplete.
fn varint(data: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut value = 0;
    for (i, b) in data.iter().take(4).enumerate() {
        value |= usize::from(b & 127) << (7 * i);
        if b & 128 == 0 {
            return Ok(Some((value, i + 1)));
        }
    }
    if data.len() < 4 { Ok(None) } else { Err(Malformed) }
}

/// The fixed header of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fixed {
    pub(crate) first: u8,
    /// Offsets of the start of the body and of the end of the packet.
    pub(crate) body: usize,
    pub(crate) end: usize,
}

impl Fixed {
    /// None while it is incomplete.
    pub(crate) fn parse(data: &[u8]) -> Result<Option<Fixed>, Malformed> {
        let Some((first, rest)) = data.split_first() else { return Ok(None) };
        let fixed = |(len, n)| Fixed { first: *first, body: 1 + n, end: 1 + n + len };
        Ok(varint(rest)?.map(fixed))
    }
}

/// A packet; positions are offsets in the buffer it was found in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Packet {
    pub(crate) cmd: u8,
    pub(crate) qos: u8,
    pub(crate) end: usize,
    /// Packet id, 0 if there is none.
    pub(crate) id: u16,
    /// Code of a CONNACK.
    pub(crate) ack: u8,
    /// Of a PUBLISH.
    pub(crate) publish: Option<Publish>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Publish {
    pub(crate) topic: Range<usize>,
    /// In packets of version 5.
    pub(crate) props: Option<Range<usize>>,
    pub(crate) data: Range<usize>,
}

/// The packet at the start of `data`; None while it is incomplete.
pub(crate) fn parse(data: &[u8], version: u8) -> Result<Option<Packet>, Malformed> {
    let Some(fixed) = Fixed::parse(data)? else { return Ok(None) };
    let Some(packet) = data.get(..fixed.end) else { return Ok(None) };
    let (cmd, qos) = (fixed.first >> 4, fixed.first >> 1 & 3);
    let mut p = Packet { cmd, qos, end: fixed.end, ..Packet::default() };
    let body = fixed.body;
    match cmd {
        CONNACK => p.ack = *packet.get(body + 1).ok_or(Malformed)?,
        PUBACK..=UNSUBACK => p.id = short(packet, body)?,
        PUBLISH => {
            let topic = body + 2..body + 2 + usize::from(short(packet, body)?);
            let mut at = topic.end;
            match qos {
                0 => {}
                1 | 2 => {
                    p.id = short(packet, at)?;
                    at += 2;
                }
                _ => return Err(Malformed),
            }
            let mut props = None;
            if version == 5 {
                let (len, n) = varint(packet.get(at..).unwrap_or_default())?.ok_or(Malformed)?;
                at += n;
                // A single byte is not a property: at the end of the packet it is reported as none, as in the original.
                props = Some(at..at + len).filter(|_| !(len == 1 && at + len == packet.len()));
                at += len;
            }
            if at > packet.len() {
                return Err(Malformed);
            }
            p.publish = Some(Publish { topic, props, data: at..packet.len() });
        }
        _ => {}
    }
    Ok(Some(p))
}

fn short(data: &[u8], at: usize) -> Result<u16, Malformed> {
    let bytes = data.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*bytes))
}

/// The protocol level that a CONNECT packet requests.
pub(crate) fn level(connect: &[u8]) -> Option<u8> {
    let fixed = Fixed::parse(connect).ok()??;
    connect.get(fixed.body..)?.strip_prefix(b"\0\x04MQTT")?.first().copied()
}

/// The keep-alive, in seconds, that a version 5 CONNACK imposes on the client.
pub(crate) fn server_keepalive(connack: &[u8]) -> Option<u16> {
    let fixed = Fixed::parse(connack).ok()??;
    let rest = connack.get(fixed.body + 2..fixed.end)?;
    let (len, n) = varint(rest).ok()??;
    let props = rest.get(n..n + len)?;
    let mut ofs = 0;
    while let Some((id, value, next)) = property(props, ofs) {
        match value {
            Value::Number(n) if id == SERVER_KEEPALIVE => return u16::try_from(n).ok(),
            _ => ofs = next,
        }
    }
    None
}

/// True if a version 5 acknowledgement refuses the packet.
pub(crate) fn is_refusal(ack: &[u8]) -> bool {
    let reason = Fixed::parse(ack).ok().flatten().and_then(|f| ack.get(f.body + 2));
    reason.is_some_and(|r| *r >= 0x80)
}

// ---- properties

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Byte,
    Short,
    Int,
    Varint,
    Text,
    Pair,
}

/// The encoding of a property's value; None for unknown properties.
pub(crate) fn kind(id: u8) -> Option<Kind> {
    Some(match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => Kind::Byte,
        0x13 | 0x21 | 0x22 | 0x23 => Kind::Short,
        0x02 | 0x11 | 0x18 | 0x27 => Kind::Int,
        0x0b => Kind::Varint,
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => Kind::Text,
        0x26 => Kind::Pair,
        _ => return None,
    })
}

/// The value of a property; its kind determines the variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Value<'a> {
    Number(u32),
    Text(&'a [u8]),
    Pair(&'a [u8], &'a [u8]),
}

/// The property at `ofs`, and the offset of the next one. None at the end and if malformed.
pub(crate) fn property(props: &[u8], ofs: usize) -> Option<(u8, Value<'_>, usize)> {
    let (id, mut rest) = props.get(ofs..)?.split_first()?;
    let value = match kind(*id)? {
        Kind::Byte => Value::Number(take::<1>(&mut rest)?[0].into()),
        Kind::Short => Value::Number(u16::from_be_bytes(*take(&mut rest)?).into()),
        Kind::Int => Value::Number(u32::from_be_bytes(*take(&mut rest)?)),
        Kind::Varint => {
            let (value, n) = varint(rest).ok()??;
            rest = &rest[n..];
            Value::Number(value as u32)
        }
        Kind::Text => Value::Text(text(&mut rest)?),
        Kind::Pair => Value::Pair(text(&mut rest)?, text(&mut rest)?),
    };
    Some((*id, value, props.len() - rest.len()))
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = u16::from_be_bytes(*take(rest)?);
    let (head, tail) = rest.split_at_checked(len.into())?;
    *rest = tail;
    Some(head)
}

// ---- output

/// Why a packet cannot be encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    LongText,
    LongPacket,
    UnknownProperty,
    BigProperty,
    /// For a client id.
    NoRandomNumbers,
    NoMemory,
}

impl Fault {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Fault::LongText => "MQTT string too long",
            Fault::LongPacket => "MQTT packet too long",
            Fault::NoRandomNumbers => "no random numbers",
            Fault::NoMemory => "OOM",
            Fault::UnknownProperty => "unknown MQTT property",
            Fault::BigProperty => "MQTT property out of range",
        }
    }
}

fn put_varint(out: &mut Vec<u8>, mut n: usize) -> Result<(), Fault> {
    if n > MAX_VARINT {
        return Err(Fault::LongPacket);
    }
    while n > 127 {
        out.push(n as u8 | 128);
        n >>= 7;
    }
    out.push(n as u8);
    Ok(())
}

/// The fixed header of a packet with `len` bytes after it.
pub(crate) fn header(cmd: u8, flags: u8, len: usize) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(5);
    out.push(cmd << 4 | flags);
    put_varint(&mut out, len)?;
    Ok(out)
}

/// A length-prefixed string.
pub(crate) fn put_text(out: &mut Vec<u8>, s: &[u8]) -> Result<(), Fault> {
    let len = u16::try_from(s.len()).map_err(|_| Fault::LongText)?;
    if !memory::grow(out, 2 + s.len()) {
        return Err(Fault::NoMemory);
    }
    out.extend(len.to_be_bytes());
    out.extend(s);
    Ok(())
}

/// A property. Numbers are truncated to their type.
pub(crate) fn put_property(out: &mut Vec<u8>, id: u8, value: Value) -> Result<(), Fault> {
    let kind = kind(id).ok_or(Fault::UnknownProperty)?;
    out.push(id);
    match (kind, value) {
        (Kind::Byte, Value::Number(n)) => out.push(n as u8),
        (Kind::Short, Value::Number(n)) => out.extend((n as u16).to_be_bytes()),
        (Kind::Int, Value::Number(n)) => out.extend(n.to_be_bytes()),
        (Kind::Varint, Value::Number(n)) => put_varint(out, n as usize).map_err(|_| Fault::BigProperty)?,
        (Kind::Text, Value::Text(val)) => put_text(out, val)?,
        (Kind::Pair, Value::Pair(key, val)) => {
            put_text(out, key)?;
            put_text(out, val)?;
        }
        _ => return Err(Fault::UnknownProperty),
    }
    Ok(())
}

/// A list of properties prefixed with its size; `write` writes them.
pub(crate) fn put_properties(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut props = Vec::new();
    write(&mut props)?;
    put_varint(out, props.len())?;
    if !memory::append(out, &props) {
        return Err(Fault::NoMemory);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(version: u8, qos: u8, topic: &[u8], id: u16, props: &[u8], data: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        put_text(&mut body, topic).unwrap();
        if qos > 0 {
            body.extend(id.to_be_bytes());
        }
        if version == 5 {
            put_properties(&mut body, |out| {
                out.extend(props);
                Ok(())
            })
            .unwrap();
        }
        body.extend(data);
        [header(PUBLISH, qos << 1, body.len()).unwrap(), body].concat()
    }

    #[test]
    fn fixed_headers_have_the_shortest_length() {
        for (len, want) in [
            (0, &[0xc0, 0][..]),
            (127, &[0xc0, 127]),
            (128, &[0xc0, 128, 1]),
            (16384, &[0xc0, 128, 128, 1]),
            (MAX_VARINT, &[0xc0, 255, 255, 255, 127]),
        ] {
            let head = header(PINGREQ, 0, len).unwrap();
            assert_eq!(head, want);
            assert_eq!(Fixed::parse(&head), Ok(Some(Fixed { first: 0xc0, body: head.len(), end: head.len() + len })));
        }
        assert_eq!(header(PINGREQ, 0, MAX_VARINT + 1), Err(Fault::LongPacket));
    }

    #[test]
    fn overlong_lengths_of_up_to_four_bytes_are_accepted() {
        assert_eq!(varint(&[0x81, 0x80, 0x80, 0]), Ok(Some((1, 4))));
        assert_eq!(varint(&[0x81, 0x80, 0x80]), Ok(None));
        assert_eq!(varint(&[0x81, 0x80, 0x80, 0x80]), Err(Malformed));
    }

    #[test]
    fn a_version_5_publish_without_properties_keeps_its_payload() {
        for data in [&b""[..], b"1", b"22"] {
            let packet = publish(5, 0, b"t", 0, b"", data);
            let p = parse(&packet, 5).unwrap().unwrap();
            assert_eq!(packet[p.publish.unwrap().data], *data);
        }
    }

    #[test]
    fn qos_3_and_missing_property_blocks_are_malformed() {
        assert_eq!(parse(b"\x36\x06\0\x01t\0\x01x", 4), Err(Malformed));
        assert_eq!(parse(b"\x30\x03\0\x01t", 5), Err(Malformed));
        assert_eq!(parse(b"\x30\x05\0\x01t\x05x", 5), Err(Malformed));
        assert_eq!(parse(b"\x30\x03\0\x02t", 4), Err(Malformed));
    }

    #[test]
    fn connect_levels_are_found_after_lengths_of_any_size() {
        assert_eq!(level(b"\x10\x0c\0\x04MQTT\x05\x02\0\0\0\0"), Some(5));
        assert_eq!(level(b"\x10\x8c\x80\0\0\x04MQTT\x05\x02\0\0\0\0"), Some(5));
        assert_eq!(level(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0"), None);
        assert_eq!(level(b"\x10\x00"), None);
    }

    #[test]
    fn the_server_keep_alive_property_is_found() {
        assert_eq!(server_keepalive(b"\x20\x03\0\0\0"), None);
        assert_eq!(server_keepalive(b"\x20\x02\0\0"), None);
        assert_eq!(server_keepalive(b"\x20\x08\0\0\x05\x24\x01\x13\x01\x02"), Some(258));
        assert_eq!(server_keepalive(b"\x20\x07\0\0\x05\x24\x01\x13\x01"), None);
    }

    #[test]
    fn reasons_from_0x80_are_refusals() {
        assert!(is_refusal(b"\x50\x03\0\x01\x80"));
        assert!(!is_refusal(b"\x50\x03\0\x01\x10"));
        assert!(!is_refusal(b"\x50\x02\0\x01"));
    }

    #[test]
    fn unencodable_values_are_errors() {
        let mut out = Vec::new();
        assert_eq!(put_text(&mut out, &[b'x'; 65536]), Err(Fault::LongText));
        assert_eq!(put_property(&mut out, 0x7f, Value::Number(1)), Err(Fault::UnknownProperty));
        assert_eq!(put_property(&mut out, 0x0b, Value::Number(1 << 28)), Err(Fault::BigProperty));
        assert_eq!(put_property(&mut out, 0x0b, Value::Number((1 << 28) - 1)), Ok(()));
    }

    const IDS: [u8; 27] = [
        0x01, 0x02, 0x03, 0x08, 0x09, 0x0b, 0x11, 0x12, 0x13, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1c, 0x1f, 0x21, 0x22, 0x23,
        0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a,
    ];

    #[derive(Clone, Debug)]
    struct Prop {
        id: u8,
        n: u32,
        key: Vec<u8>,
        val: Vec<u8>,
    }

    impl Prop {
        fn value(&self) -> Value<'_> {
            match kind(self.id).unwrap() {
                Kind::Byte => Value::Number(self.n & 0xff),
                Kind::Short => Value::Number(self.n & 0xffff),
                Kind::Int => Value::Number(self.n),
                Kind::Varint => Value::Number(self.n & MAX_VARINT as u32),
                Kind::Text => Value::Text(&self.val),
                Kind::Pair => Value::Pair(&self.key, &self.val),
            }
        }
    }

    fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..max)
    }

    fn prop() -> impl Strategy<Value = Prop> {
        (proptest::sample::select(&IDS[..]), any::<u32>(), bytes(9), bytes(300)).prop_map(|(id, n, key, val)| Prop {
            id,
            n,
            key,
            val,
        })
    }

    proptest! {
        #[test]
        fn encoded_packets_parse_back(
            version in 4..=5u8, qos in 0..=2u8, topic in bytes(200), id: u16,
            props in proptest::collection::vec(prop(), 0..8), data in bytes(20000), behind in bytes(5),
        ) {
            let mut window = Vec::new();
            for p in &props {
                put_property(&mut window, p.id, p.value()).unwrap();
            }
            let packet = publish(version, qos, &topic, id, &window, &data);
            for cut in (0..packet.len()).step_by(packet.len().div_ceil(50)) {
                prop_assert_eq!(parse(&packet[..cut], version), Ok(None));
            }
            let input = [&packet[..], &behind].concat();
            let p = parse(&input, version).unwrap().unwrap();
            prop_assert_eq!((p.cmd, p.qos, p.end, p.id), (PUBLISH, qos, packet.len(), if qos > 0 { id } else { 0 }));
            let publish = p.publish.unwrap();
            prop_assert_eq!(&input[publish.topic], topic);
            prop_assert_eq!(&input[publish.data], data);
            prop_assert_eq!(publish.props.is_some(), version == 5);
            let found = publish.props.map_or(&[][..], |r| &input[r]);
            let mut ofs = 0;
            for p in props.iter().filter(|_| version == 5) {
                let (id, value, next) = property(found, ofs).unwrap();
                prop_assert_eq!((id, value), (p.id, p.value()));
                ofs = next;
            }
            prop_assert_eq!(property(found, ofs), None);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(input in bytes(300), version in 3..=6u8) {
            if let Ok(Some(p)) = parse(&input, version) {
                prop_assert!(p.end <= input.len());
                if let Some(publish) = p.publish {
                    prop_assert!(publish.topic.end <= publish.data.start && publish.data.end == p.end);
                }
            }
            let mut ofs = 0;
            while let Some((_, _, next)) = property(&input, ofs) {
                prop_assert!(next > ofs && next <= input.len());
                ofs = next;
            }
            level(&input);
            server_keepalive(&input);
            is_refusal(&input);
        }
    }
}
