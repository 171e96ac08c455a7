//! Random numbers from a seed, and the parameters of a network. Shared with `c-tests/simulate`.

/// The parameters of a simulated network. Ranges include both ends; each end of a connection draws its own values.
#[derive(Clone, Debug)]
pub struct Climate {
    /// Maximum delay of a segment, in microseconds.
    pub delay_us: (u64, u64),
    /// Maximum number of bytes in a segment.
    pub segment: (u64, u64),
    /// Buffer size of one direction of a connection.
    pub room: (u64, u64),
    /// Per mille of segments that take `stall_us` longer.
    pub stalls: u32,
    pub stall_us: u64,
    /// Per mille of the library's reads and writes that transfer less than they could.
    pub short: u32,
    /// Per mille of writes that find the buffer full although it is not.
    pub refuses: u32,
    /// Per mille of accept calls that fail.
    pub accept_fails: u32,
    /// Reads report whether data is left.
    pub tells_rest: bool,
    /// The poller reports an accepted stream again as long as it has input.
    pub reports_again: bool,
    /// A reset discards data that a peer has received but not read.
    pub destroys: bool,
    /// Duration of a poll.
    pub poll_us: u64,
    /// Maximum duration of a socket call: events also happen between two calls of one poll.
    pub call_us: u64,
}

impl Climate {
    pub const CALM: Climate = Climate {
        delay_us: (50, 50),
        segment: (1460, 1460),
        room: (1 << 18, 1 << 18),
        stalls: 0,
        stall_us: 0,
        short: 0,
        refuses: 0,
        accept_fails: 0,
        tells_rest: true,
        reports_again: true,
        destroys: false,
        poll_us: 0,
        call_us: 0,
    };
}

/// splitmix64.
#[derive(Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// True with the given probability, per mille.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// A number in the range, biased towards small ones.
    pub fn between(&mut self, (low, high): (u64, u64)) -> u64 {
        if low >= high {
            return low;
        }
        let (from, to) = (low.max(1).ilog2(), high.max(1).ilog2());
        let top = from as u64 + self.below(u64::from(to - from) + 1);
        let start = 1u64 << top;
        (start + self.below(start)).clamp(low, high)
    }
}
