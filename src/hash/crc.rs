//! Checksums. The result for one piece is the initial value for the next; the first initial value is 0.

/// CRC-32 as in zlib.
#[cfg(feature = "std")]
pub(crate) fn crc32(crc: u32, data: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(crc);
    hasher.update(data);
    hasher.finalize()
}

/// By half a byte: the tables for more are 16 KB.
#[cfg(not(feature = "std"))]
pub(crate) fn crc32(crc: u32, data: &[u8]) -> u32 {
    const NIBBLES: [u32; 16] = {
        let mut table = [0; 16];
        let mut i = 0;
        while i < 16 {
            let (mut crc, mut bit) = (i as u32, 0);
            while bit < 4 {
                crc = (crc >> 1) ^ (if crc & 1 == 1 { 0xedb8_8320 } else { 0 });
                bit += 1;
            }
            table[i] = crc;
            i += 1;
        }
        table
    };
    let step = |crc: u32, n: u32| (crc >> 4) ^ NIBBLES[((crc ^ n) & 15) as usize];
    !data.iter().fold(!crc, |crc, &byte| step(step(crc, byte.into()), u32::from(byte >> 4)))
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let (mut crc, mut bit) = (i as u16, 0);
        while bit < 8 {
            crc = (crc >> 1) ^ (if crc & 1 == 1 { 0x8408 } else { 0 });
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// CRC-16/X.25.
pub(crate) fn crc16(crc: u16, data: &[u8]) -> u16 {
    !data.iter().fold(!crc, |crc, &byte| (crc >> 8) ^ TABLE[usize::from((crc ^ u16::from(byte)) & 0xff)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values() {
        assert_eq!(crc32(0, b"123456789"), 0xcbf43926);
        assert_eq!(crc16(0, b"123456789"), 0x906e);
    }

    #[test]
    fn split_input_gives_the_same_crc() {
        let all = b"some longer text, cut anywhere";
        for cut in 0..all.len() {
            let (a, b) = all.split_at(cut);
            assert_eq!(crc32(crc32(0, a), b), crc32(0, all));
            assert_eq!(crc16(crc16(0, a), b), crc16(0, all));
        }
    }
}
