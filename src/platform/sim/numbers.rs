//! Numbers from a seed, and what a network is like. `c-tests/simulate` shares this file.

/// What this world's network is like. Ranges include both ends; what is drawn from them holds for one end of one connection.
#[derive(Clone, Debug)]
pub struct Climate {
    /// How long a segment takes, at most, microseconds.
    pub delay_us: (u64, u64),
    /// Bytes in a segment, at most.
    pub segment: (u64, u64),
    /// Bytes that one direction of a connection holds.
    pub room: (u64, u64),
    /// Of 1,000 segments, so many take `stall_us` longer.
    pub stalls: u32,
    pub stall_us: u64,
    /// Of 1,000 reads and writes of the library, so many do less than they could.
    pub short: u32,
    /// Of 1,000 writes, so many find no room although there is some.
    pub refuses: u32,
    /// Of 1,000 calls of accept, so many fail.
    pub accept_fails: u32,
    /// A read says whether something is left behind it.
    pub tells_rest: bool,
    /// A reset takes away what had arrived and was not read, on the side of the peers.
    pub destroys: bool,
    /// What one poll costs.
    pub poll_us: u64,
    /// What one call on a socket costs, at most: things happen between two calls of one poll, too.
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

    /// Below `n`; 0 when that is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// So many times out of 1,000.
    pub fn chance(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }

    /// Between two numbers, small ones as likely as all larger ones together.
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
