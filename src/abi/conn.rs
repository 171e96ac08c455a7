use super::*;

/// `void (*mg_event_handler_t)(struct mg_connection *, int ev, void *ev_data)`.
pub type mg_event_handler_t = Option<unsafe extern "C" fn(*mut mg_connection, c_int, *mut c_void)>;

/// cbindgen:ignore
#[repr(C)]
pub struct mg_connection {
    pub next: *mut mg_connection,
    pub mgr: *mut mg_mgr,
    pub loc: mg_addr,
    pub rem: mg_addr,
    pub fd: *mut c_void,
    pub id: c_ulong,
    pub recv: mg_iobuf,
    pub send: mg_iobuf,
    pub prof: mg_iobuf,
    pub rtls: mg_iobuf,
    pub r#fn: mg_event_handler_t,
    pub fn_data: *mut c_void,
    pub pfn: mg_event_handler_t,
    pub pfn_data: *mut c_void,
    pub data: [c_char; MG_DATA_SIZE],
    pub tls: *mut c_void,
    pub flags: Flags,
}
layout!(mg_connection, 288, next @ 0, mgr @ 8, loc @ 16, rem @ 40, fd @ 64, id @ 72, recv @ 80, send @ 112, prof @ 144,
    rtls @ 176, r#fn @ 208, fn_data @ 216, pfn @ 224, pfn_data @ 232, data @ 240, tls @ 272, flags @ 280);

/// The bit fields of `struct mg_connection`, in one word. The C view is in `header.rs`; `c-tests/abi.c` compares the two.
///
/// cbindgen:ignore
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub c_uint);

/// Bit positions: lowest first on little-endian targets, highest first on big-endian ones, as C compilers lay out bit fields.
const fn shift(ofs: u32, width: u32) -> u32 {
    if cfg!(target_endian = "big") { 32 - ofs - width } else { ofs }
}

macro_rules! bits {
    ($($name:ident $set:ident @ $ofs:literal;)*) => {
        impl Flags {
            $(
                #[inline]
                pub const fn $name(self) -> bool { self.0 & (1 << shift($ofs, 1)) != 0 }
                #[inline]
                pub const fn $set(&mut self, on: bool) {
                    let m = 1 << shift($ofs, 1);
                    self.0 = if on { self.0 | m } else { self.0 & !m };
                }
            )*
        }

        #[cfg(test)]
        const BITS: &[(&str, fn(Flags) -> bool, fn(&mut Flags, bool))] = &[$((stringify!($name), Flags::$name, Flags::$set)),*];
    };
}

bits! {
    is_listening set_listening @ 6;
    is_client set_client @ 7;
    is_accepted set_accepted @ 8;
    is_resolving set_resolving @ 9;
    is_arplooking set_arplooking @ 10;
    is_connecting set_connecting @ 11;
    is_tls set_tls @ 12;
    is_tls_hs set_tls_hs @ 13;
    is_udp set_udp @ 14;
    is_websocket set_websocket @ 15;
    is_mqtt5 set_mqtt5 @ 16;
    is_hexdumping set_hexdumping @ 17;
    is_draining set_draining @ 18;
    is_closing set_closing @ 19;
    is_full set_full @ 20;
    is_tls_throttled set_tls_throttled @ 21;
    is_resp set_resp @ 22;
    is_readable set_readable @ 23;
    is_writable set_writable @ 24;
}

impl Flags {
    /// The one-bit field that begins at this bit of the struct's declaration.
    pub(crate) const fn bit(self, ofs: u32) -> bool {
        self.0 & (1 << shift(ofs, 1)) != 0
    }
    pub(crate) const fn set_bit(&mut self, ofs: u32, on: bool) {
        let m = 1 << shift(ofs, 1);
        self.0 = if on { self.0 | m } else { self.0 & !m };
    }
    pub const fn dscp(self) -> u8 {
        ((self.0 >> shift(0, 6)) & 63) as u8
    }
    pub const fn set_dscp(&mut self, v: u8) {
        let m = 63 << shift(0, 6);
        self.0 = (self.0 & !m) | ((v as c_uint & 63) << shift(0, 6));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset and width of each bit field, from the table that `c-tests/abi.c` checks on the C side.
    fn table() -> Vec<(String, u32, u32)> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/c-tests/abi/layout-x86_64-linux.tsv");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text
            .lines()
            .map(|l| l.split('\t').collect::<Vec<_>>())
            .filter(|r| r[0] == "mg_connection" && r.len() == 7 && !r[6].is_empty());
        let in_flags = |bit: &str| bit.parse::<u32>().unwrap() - 8 * core::mem::offset_of!(mg_connection, flags) as u32;
        rows.map(|r| (r[1].to_string(), in_flags(r[5]), r[6].parse().unwrap())).collect()
    }

    #[test]
    fn bit_fields_match_the_c_layout() {
        let table = table();
        assert_eq!(table.len(), BITS.len() + 1);
        for (name, ofs, width) in table {
            let mask = ((1 << width) - 1) << shift(ofs, width);
            let (mut set, mut cleared) = (Flags(0), Flags(!0));
            if name == "dscp" {
                set.set_dscp(63);
                cleared.set_dscp(0);
                assert_eq!((set.dscp(), cleared.dscp(), Flags(mask).dscp(), Flags(!mask).dscp()), (63, 0, 63, 0));
            } else {
                let &(_, get, put) = BITS.iter().find(|b| b.0 == name).unwrap_or_else(|| panic!("no {name}"));
                put(&mut set, true);
                put(&mut cleared, false);
                assert!(get(set) && !get(cleared) && get(Flags(mask)) && !get(Flags(!mask)), "{name}");
            }
            assert_eq!((set.0, cleared.0), (mask, !mask), "{name}");
        }
    }
}
