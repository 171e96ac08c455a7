//! EC private keys in PEM or DER.

use crate::hash::{base64, ecc};
use crate::memory::prelude::*;
use zeroize::Zeroizing;

/// The bytes of the first PEM block with this label. Ignores surrounding text and white space.
fn pem(text: &[u8], label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let from = memchr::memmem::find(text, begin.as_bytes())? + begin.len();
    let len = memchr::memmem::find(&text[from..], end.as_bytes())?;
    let mut coded = Zeroizing::new(Vec::with_capacity(len));
    coded.extend(text[from..from + len].iter().filter(|b| !b.is_ascii_whitespace()));
    let mut data = Zeroizing::new(vec![0; coded.len() / 4 * 3 + 1]);
    if coded.len() % 4 != 0 {
        return None;
    }
    let n = base64::decode(&coded, &mut data)?;
    data.truncate(n);
    Some(data)
}

/// See `mg_uecc_parse_private_key`.
pub(crate) fn p256_scalar(key: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    match pem(key, "EC PRIVATE KEY").or_else(|| pem(key, "PRIVATE KEY")) {
        Some(der) => ecc::p256_scalar(&der),
        None => ecc::p256_scalar(key),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PEM: &str = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n\
        -----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAFoAoGCCqGSM49\n\
        AwEHoUQDQgAEUVkLelFRQNLXhMhWCGaP3++Mgv0fW+UkIVVKDcPQM+3gwX2okEpy\nfYrhvza/inkmDQEvANTYCIjR0LtE/aFtpA==\n\
        -----END EC PRIVATE KEY-----\n";

    #[test]
    fn a_parameters_block_before_the_key_is_skipped() {
        assert_eq!(p256_scalar(PEM.as_bytes()).unwrap()[28..], [0, 0, 0, 5]);
    }

    #[test]
    fn a_mismatched_public_key_is_refused() {
        assert_eq!(p256_scalar(PEM.replace("AAAFoAoG", "AAAGoAoG").as_bytes()), None);
    }

    #[test]
    fn invalid_scalars_are_refused() {
        let key = |scalar: &[u8]| [&[0x30, 0x25 + 12, 2, 1, 1, 4, 32], scalar, &CURVE].concat();
        const CURVE: [u8; 12] = [0xa0, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
        assert!(p256_scalar(&key(&[1; 32])).is_some());
        assert_eq!(p256_scalar(&key(&[0; 32])), None);
        assert_eq!(p256_scalar(&key(&[0xff; 32])), None);
    }

    proptest! {
        #[test]
        fn changed_text_never_yields_another_key(at in 0usize..PEM.len(), to: u8) {
            let mut text = PEM.as_bytes().to_vec();
            text[at] = to;
            if let Some(key) = p256_scalar(&text) {
                prop_assert_eq!(&key[28..], [0, 0, 0, 5]);
            }
        }
    }
}
