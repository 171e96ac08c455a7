//! Modbus over TCP, server side. A frame is transaction (2 bytes), protocol (2, zero), length of the rest (2), unit (1), function
//! (1) and data.

use crate::memory::prelude::*;

pub(crate) const ILLEGAL_FUNCTION: u8 = 1;
pub(crate) const ILLEGAL_ADDRESS: u8 = 2;
pub(crate) const ILLEGAL_VALUE: u8 = 3;
pub(crate) const DEVICE_FAILURE: u8 = 4;

/// Bytes before the function; `length` counts from one byte earlier.
pub(crate) const HEAD: usize = 7;
/// Minimum length of the requests known here.
const SHORTEST: usize = 12;

#[derive(Debug, PartialEq)]
pub(crate) enum Scan {
    /// The frame is not complete.
    Wait,
    /// No frame at all.
    Invalid,
    /// A frame of so many bytes.
    Frame(usize),
}

/// Looks for a frame at the start of the received data.
pub(crate) fn scan(data: &[u8]) -> Scan {
    let [_, _, p0, p1, l0, l1, ..] = *data else { return Scan::Wait };
    let (protocol, length) = (u16::from_be_bytes([p0, p1]), usize::from(u16::from_be_bytes([l0, l1])));
    let (size, few) = (length + 6, data.len() < SHORTEST);
    let is_short = size < SHORTEST;
    if protocol != 0 || is_short && !(few && size > HEAD) {
        // With so few bytes, wait for more before deciding.
        return if few { Scan::Wait } else { Scan::Invalid };
    }
    if data.len() < size { Scan::Wait } else { Scan::Frame(size) }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// Coils and discrete inputs; 0 is off.
    Bits(Vec<u8>),
    /// Registers.
    Regs(Vec<u16>),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) func: u8,
    pub(crate) addr: u16,
    /// Zeros for functions that read.
    pub(crate) values: Values,
}

fn word(data: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([data[at], data[at + 1]])
}

fn unpack(packed: &[u8], count: usize) -> Vec<u8> {
    (0..count).map(|i| packed[i / 8] >> (i % 8) & 1).collect()
}

fn pack(bits: &[u8]) -> impl Iterator<Item = u8> {
    bits.chunks(8).map(|eight| eight.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit != 0) << i))
}

/// Parses function and data of a frame. Err: the exception to respond with.
pub(crate) fn request(pdu: &[u8]) -> Result<Request, u8> {
    let func = *pdu.first().ok_or(ILLEGAL_FUNCTION)?;
    if !matches!(func, 1..=6 | 15 | 16) {
        return Err(ILLEGAL_FUNCTION);
    }
    if pdu.len() < 5 || func <= 6 && pdu.len() != 5 {
        return Err(ILLEGAL_VALUE);
    }
    let (addr, second) = (word(pdu, 1), word(pdu, 3));
    let count = usize::from(second);
    let data = pdu.get(6..).unwrap_or_default();
    // The length of the data is repeated before it.
    let has = |n: usize| data.len() == n && pdu.get(5).copied().map(usize::from) == Some(n);
    let values = match func {
        1 | 2 if (1..=2000).contains(&count) => Values::Bits(vec![0; count]),
        3 | 4 if (1..=125).contains(&count) => Values::Regs(vec![0; count]),
        5 if matches!(second, 0 | 0xff00) => Values::Bits(vec![u8::from(second != 0)]),
        6 => Values::Regs(vec![second]),
        15 if (1..=1968).contains(&count) && has(count.div_ceil(8)) => Values::Bits(unpack(data, count)),
        16 if (1..=123).contains(&count) && has(2 * count) => Values::Regs((0..count).map(|i| word(data, 2 * i)).collect()),
        _ => return Err(ILLEGAL_VALUE),
    };
    let last = usize::from(addr) + if matches!(func, 5 | 6) { 1 } else { count };
    if last > 65536 { Err(ILLEGAL_ADDRESS) } else { Ok(Request { func, addr, values }) }
}

/// Function and data of the response.
pub(crate) fn response(request: &Request) -> Vec<u8> {
    let Request { func, addr, values } = request;
    let mut pdu = vec![*func];
    match (func, values) {
        (5, Values::Bits(bits)) => {
            pdu.extend(addr.to_be_bytes());
            pdu.extend(if bits.first().is_some_and(|b| *b != 0) { [0xff, 0] } else { [0, 0] });
        }
        (6, Values::Regs(regs)) => {
            pdu.extend(addr.to_be_bytes());
            pdu.extend(regs.first().copied().unwrap_or_default().to_be_bytes());
        }
        (15, Values::Bits(v)) => pdu.extend([addr.to_be_bytes(), (v.len() as u16).to_be_bytes()].concat()),
        (16, Values::Regs(v)) => pdu.extend([addr.to_be_bytes(), (v.len() as u16).to_be_bytes()].concat()),
        (_, Values::Bits(bits)) => {
            pdu.push(bits.len().div_ceil(8) as u8);
            pdu.extend(pack(bits));
        }
        (_, Values::Regs(regs)) => {
            pdu.push((2 * regs.len()) as u8);
            pdu.extend(regs.iter().flat_map(|r| r.to_be_bytes()));
        }
    }
    pdu
}

/// Function and data of an exception response.
pub(crate) fn exception(func: u8, code: u8) -> Vec<u8> {
    vec![func | 0x80, code]
}

/// The response frame to the one beginning with `head`.
pub(crate) fn frame(head: [u8; HEAD], pdu: &[u8]) -> Vec<u8> {
    let length = (pdu.len() as u16 + 1).to_be_bytes();
    [&[head[0], head[1], 0, 0, length[0], length[1], head[6]], pdu].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_requests_are_complete_frames() {
        assert_eq!(scan(&[0, 1, 0, 0, 0, 2, 1, 7]), Scan::Frame(8));
        assert_eq!(scan(&[0, 1, 0, 0, 0, 2, 1, 7, 0, 2]), Scan::Frame(8));
        assert_eq!(scan(&[0, 1, 0, 0, 0, 2, 1]), Scan::Wait);
        assert_eq!(scan(&[0, 1, 0, 0, 0, 1, 1]), Scan::Wait, "no function");
        assert_eq!(scan(&[0, 1, 0, 1, 0, 2, 1, 7]), Scan::Wait, "not Modbus");
        assert_eq!(scan(&[0, 1, 0, 0, 0, 2, 1, 7, 0, 2, 0, 0]), Scan::Invalid);
        assert_eq!(request(&[7]), Err(ILLEGAL_FUNCTION));
        assert_eq!(request(&[3, 0, 0]), Err(ILLEGAL_VALUE));
    }

    #[test]
    fn addresses_beyond_65535_are_refused() {
        for func in [1, 2, 3, 4] {
            assert!(request(&[func, 0xff, 0xfe, 0, 2]).is_ok());
            assert_eq!(request(&[func, 0xff, 0xff, 0, 2]), Err(ILLEGAL_ADDRESS));
        }
        assert!(request(&[5, 0xff, 0xff, 0xff, 0]).is_ok() && request(&[6, 0xff, 0xff, 0xff, 0xff]).is_ok());
        assert_eq!(request(&[15, 0xff, 0xff, 0, 2, 1, 3]), Err(ILLEGAL_ADDRESS));
        assert_eq!(request(&[16, 0xff, 0xff, 0, 2, 4, 0, 1, 0, 2]), Err(ILLEGAL_ADDRESS));
        assert_eq!(request(&[3, 0xff, 0xff, 0, 126]), Err(ILLEGAL_VALUE), "the count is looked at first");
    }

    #[test]
    fn writes_are_answered_with_address_and_count() {
        let answer = |pdu: &[u8]| response(&request(pdu).unwrap());
        assert_eq!(answer(&[15, 1, 2, 0, 10, 2, 0xff, 3]), [15, 1, 2, 0, 10]);
        assert_eq!(answer(&[16, 1, 2, 0, 2, 4, 0, 7, 0, 8]), [16, 1, 2, 0, 2]);
    }

    #[test]
    fn the_longest_responses_fit() {
        for (func, count) in [(1, 2000u16), (3, 125)] {
            let [hi, lo] = count.to_be_bytes();
            assert!(response(&request(&[func, 0, 0, hi, lo]).unwrap()).len() <= 252);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1000 }))]
        #[test]
        fn bits_round_trip(bits in proptest::collection::vec(0u8..2, 1..200)) {
            let packed: Vec<u8> = pack(&bits).collect();
            prop_assert_eq!(unpack(&packed, bits.len()), bits);
        }
        #[test]
        fn responses_to_arbitrary_pdus_fit(pdu in proptest::collection::vec(any::<u8>(), 0..300), func in 0u8..18) {
            let mut pdu = pdu;
            if let Some(first) = pdu.first_mut() {
                *first = func;
            }
            if let Ok(request) = request(&pdu) {
                prop_assert!(response(&request).len() <= 252);
            }
        }
        #[test]
        fn frames_lie_inside_the_buffer(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Scan::Frame(n) = scan(&data) {
                prop_assert!(n > HEAD && n <= data.len());
            }
        }
    }
}
