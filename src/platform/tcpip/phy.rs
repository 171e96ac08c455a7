//! Ethernet PHYs, through the registers of IEEE 802.3 clause 22 and vendor-specific ones.

/// Functions that read and write a register.
pub(crate) struct Registers<R, W> {
    pub(crate) read: R,
    pub(crate) write: W,
}

const CONTROL: u8 = 0;
const STATUS: u8 = 1;
const ID1: u8 = 2;
const ID2: u8 = 3;

const RESET: u16 = 1 << 15;
const NEGOTIATED: u16 = 1 << 5;
const LINK: u16 = 1 << 2;

/// Maximum number of reads while waiting for a register to change: a missing PHY never changes it.
const PATIENCE: usize = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ksz8,
    Dp83,
    Dp83867,
    Lan87,
    Rtl8201,
    Rtl8211,
    Ics1894,
    Unknown,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Ksz8 => "KSZ8x",
            Kind::Dp83 => "DP83x",
            Kind::Dp83867 => "DP83867",
            Kind::Lan87 => "LAN87x",
            Kind::Rtl8201 => "RTL8201",
            Kind::Rtl8211 => "RTL8211",
            Kind::Ics1894 => "ICS1894",
            Kind::Unknown => "unknown",
        }
    }

    fn of(id1: u16, id2: u16) -> Kind {
        match (id1, id2) {
            (0x0022, _) => Kind::Ksz8,
            (0x2000, id2) if id2 & 0xfff0 == 0xa230 => Kind::Dp83867,
            (0x2000, _) => Kind::Dp83,
            (0x0007, _) => Kind::Lan87,
            (0x001c, id2) if id2 & 0xfff0 == 0xc810 => Kind::Rtl8201,
            (0x001c, id2) if id2 & 0xfff0 == 0xc910 => Kind::Rtl8211,
            (0x0015, _) => Kind::Ics1894,
            _ => Kind::Unknown,
        }
    }
}

/// Speed as MG_PHY_SPEED_*, and whether the link is full-duplex.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mode {
    pub(crate) speed: u8,
    pub(crate) full: bool,
}

impl<R: FnMut(u8) -> u16, W: FnMut(u8, u16)> Registers<R, W> {
    /// The model.
    pub(crate) fn kind(&mut self) -> Kind {
        Kind::of((self.read)(ID1), (self.read)(ID2))
    }

    /// Resets the PHY and identifies it. None: it does not come back.
    pub(crate) fn reset(&mut self) -> Option<Kind> {
        (self.write)(CONTROL, RESET);
        (0..PATIENCE).any(|_| (self.read)(CONTROL) & RESET == 0).then(|| self.kind())
    }

    pub(crate) fn is_up(&mut self) -> bool {
        let status = (self.read)(STATUS);
        // The register latches a lost link until it is read: read again for the current state.
        let status = if status & NEGOTIATED != 0 && status & LINK == 0 { (self.read)(STATUS) } else { status };
        status & LINK != 0
    }

    /// The negotiated mode of the link. None: unknown PHY.
    pub(crate) fn mode(&mut self) -> Option<Mode> {
        let coded = |code: u16| Mode { speed: u8::from(code & 3 == 2), full: code & 4 != 0 };
        Some(match self.kind() {
            Kind::Ksz8 => coded((self.read)(30)),
            Kind::Lan87 => coded((self.read)(31) >> 2),
            Kind::Dp83 => {
                let status = (self.read)(16);
                Mode { speed: u8::from(status & 2 == 0), full: status & 4 != 0 }
            }
            Kind::Dp83867 => {
                let status = (self.read)(17);
                Mode { speed: ((status >> 14) as u8).min(2), full: status & 1 << 13 != 0 }
            }
            Kind::Rtl8201 => {
                let control = (self.read)(CONTROL);
                Mode { speed: u8::from(control & 1 << 13 != 0), full: control & 1 << 8 != 0 }
            }
            Kind::Rtl8211 => {
                // On a separate page.
                (self.write)(31, 0xa43);
                let status = (self.read)(26);
                (self.write)(31, 0);
                Mode { speed: ((status >> 4 & 3) as u8).min(2), full: status & 8 != 0 }
            }
            Kind::Ics1894 => {
                let status = (self.read)(17);
                Mode { speed: u8::from(status & 1 << 15 != 0), full: status & 1 << 14 != 0 }
            }
            Kind::Unknown => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::cell::RefCell;

    fn of(ids: (u16, u16), registers: &[(u8, u16)]) -> Option<Mode> {
        let all = RefCell::new([0u16; 32]);
        (all.borrow_mut()[2], all.borrow_mut()[3]) = ids;
        registers.iter().for_each(|(at, value)| all.borrow_mut()[usize::from(*at)] = *value);
        let read = |at: u8| all.borrow()[usize::from(at)];
        Registers { read, write: |at: u8, value| all.borrow_mut()[usize::from(at)] = value }.mode()
    }

    #[test]
    fn modes_are_read_where_each_maker_has_them() {
        let full = |speed| Some(Mode { speed, full: true });
        assert_eq!(of((0x22, 0x1560), &[(30, 6)]), full(1));
        assert_eq!(of((0x22, 0x1560), &[(30, 1)]), Some(Mode { speed: 0, full: false }));
        assert_eq!(of((7, 0xc0f1), &[(31, 6 << 2)]), full(1));
        assert_eq!(of((0x2000, 0x5c90), &[(16, 4)]), full(1));
        assert_eq!(of((0x2000, 0xa231), &[(17, 0xa000)]), full(2));
        assert_eq!(of((0x1c, 0xc816), &[(0, 0x2100)]), full(1));
        assert_eq!(of((0x1c, 0xc916), &[(26, 0x28)]), full(2));
        assert_eq!(of((0x15, 0xf450), &[(17, 0xc000)]), full(1));
        assert_eq!(of((1, 2), &[]), None);
    }

    #[test]
    fn a_reset_that_does_not_end_is_given_up() {
        assert_eq!(Registers { read: |_| 0xffff, write: |_, _| {} }.reset(), None);
    }
}
