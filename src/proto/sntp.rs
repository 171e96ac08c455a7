//! SNTP (RFC 4330, and RFC 5905 for the formats).

/// Size of a message without extensions.
pub(crate) const LEN: usize = 48;
/// Seconds from 1900, the NTP epoch, to 1970.
const SINCE_1900: u32 = 2_208_988_800;
/// Units of the protocol's fractions of a second; 2^32 would be exact.
const FRACTION: f64 = u32::MAX as f64;

/// Offsets of the origin timestamp in a response and of the transmit timestamp in a request.
const ORIGIN: usize = 24;
const RECEIVED: usize = 32;
const TRANSMITTED: usize = 40;

pub(crate) type Timestamp = [u8; 8];

/// Converts milliseconds to a timestamp.
pub(crate) fn timestamp(ms: u64) -> Timestamp {
    let seconds = ((ms / 1000) as u32).wrapping_add(SINCE_1900);
    let fraction = ((ms % 1000) as f64 / 1000.0 * FRACTION) as u32;
    (u64::from(seconds) << 32 | u64::from(fraction)).to_be_bytes()
}

fn field(message: &[u8], at: usize) -> Timestamp {
    let mut field = [0; 8];
    field.copy_from_slice(&message[at..at + 8]);
    field
}

/// Converts a timestamp to milliseconds since 1970. Seconds before 1970 are taken as after 2036.
fn milliseconds(message: &[u8], at: usize) -> i64 {
    let t = u64::from_be_bytes(field(message, at));
    let (seconds, fraction) = ((t >> 32) as u32, t as u32);
    let seconds = if seconds == 0 { 0 } else { seconds.wrapping_sub(SINCE_1900) };
    i64::from(seconds) * 1000 + (f64::from(fraction) / FRACTION * 1000.0) as i64
}

/// A client's message, version 4.
pub(crate) fn request(sent: Timestamp) -> [u8; LEN] {
    let mut message = [0; LEN];
    message[0] = 4 << 3 | 3;
    message[TRANSMITTED..].copy_from_slice(&sent);
    message
}

/// Milliseconds since 1970 when `now` was the time of the clock that also made the request's timestamp. None if the message is
/// not from a server. See `mg_sntp_parse`.
pub(crate) fn parse(message: &[u8], now: u64) -> Option<i64> {
    let [first, stratum, ..] = *message else { return None };
    let (mode, version) = (first & 7, first >> 3 & 7);
    if message.len() < LEN || !matches!(mode, 4 | 5) || stratum == 0 || !matches!(version, 3 | 4) {
        return None;
    }
    let [origin, received, transmitted] = [ORIGIN, RECEIVED, TRANSMITTED].map(|at| milliseconds(message, at));
    let on_the_way = (now as i64).wrapping_sub(origin).wrapping_sub(transmitted - received);
    Some(transmitted.wrapping_add(on_the_way / 2))
}

/// True if the message answers the request sent with this timestamp.
pub(crate) fn answers(message: &[u8], sent: Timestamp) -> bool {
    message.len() >= LEN && field(message, ORIGIN) == sent
}

/// True if a response may set the clock: it is from a server, not a broadcast, whose clock is synchronised and has not jumped
/// between request and response. `most` is the maximum time between these, in milliseconds.
pub(crate) fn is_usable(message: &[u8], most: u64) -> bool {
    if message.len() < LEN || message[0] & 7 != 4 || message[0] >> 6 == 3 || field(message, TRANSMITTED) == [0; 8] {
        return false;
    }
    milliseconds(message, TRANSMITTED).abs_diff(milliseconds(message, RECEIVED)) <= most
}

/// Replaces the origin timestamp of a response.
pub(crate) fn set_origin(message: &mut [u8], origin: Timestamp) {
    if let Some(field) = message.get_mut(ORIGIN..ORIGIN + 8) {
        field.copy_from_slice(&origin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reply(first: u8, origin: u64, received: u64, transmitted: u64) -> [u8; LEN] {
        let mut message = [0; LEN];
        (message[0], message[1]) = (first, 1);
        for (at, ms) in [(ORIGIN, origin), (RECEIVED, received), (TRANSMITTED, transmitted)] {
            message[at..at + 8].copy_from_slice(&timestamp(ms));
        }
        message
    }

    #[test]
    fn half_of_the_round_trip_is_added() {
        // Sent at 1000 local time, 100 ms to the server, 30 ms there, 100 ms back.
        let t = 1_700_000_000_000;
        let now = parse(&reply(0x24, 1000, t, t + 30), 1230).unwrap();
        assert!((now - (t + 130) as i64).abs() <= 1, "{now}");
    }

    #[test]
    fn only_matching_server_replies_set_the_clock() {
        let good = reply(0x24, 1, 2, 3);
        assert!(is_usable(&good, 1) && parse(&good, 9).is_some());
        // A broadcast; an unset clock. The parser accepts both.
        for first in [0x25, 0xe4] {
            assert!(!is_usable(&reply(first, 1, 2, 3), 1) && parse(&reply(first, 1, 2, 3), 9).is_some());
        }
        let mut never_sent = good;
        set_origin(&mut never_sent, [1; 8]);
        assert!(answers(&never_sent, [1; 8]) && !answers(&never_sent, [2; 8]) && !answers(&never_sent[..47], [1; 8]));
        never_sent[TRANSMITTED..].fill(0);
        assert!(!is_usable(&never_sent, 1));
        // Otherwise the result would be half the time since 1970.
        let mut never_received = reply(0x24, 1, 2, 1_700_000_000_000);
        assert!(!is_usable(&never_received, 3000));
        never_received[RECEIVED..TRANSMITTED].fill(0);
        assert!(!is_usable(&never_received, 3000));
        assert!(is_usable(&reply(0x24, 1, 5000, 2000), 3001) && !is_usable(&reply(0x24, 1, 6000, 2000), 3001));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 1000 }))]
        #[test]
        fn arbitrary_messages(message in proptest::collection::vec(any::<u8>(), 0..60), now: u64) {
            let _ = parse(&message, now);
            let _ = (answers(&message, [0; 8]), is_usable(&message, 3000));
        }
        #[test]
        fn times_round_trip(ms in 1u64..4_294_967_295_000) {
            let got = milliseconds(&timestamp(ms), 0) as u64;
            prop_assert!(ms - got <= 1, "{}", got);
        }
    }
}
