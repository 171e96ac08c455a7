//! PEM, DER and X.509 in isolation: these modules are not visible outside their parent.

#[allow(unused)]
#[path = "../src/tls/pem.rs"]
mod pem;
#[allow(unused)]
#[path = "../src/tls/x509.rs"]
mod x509;

/// Elements: those found cover all bytes and are written again as they were.
pub(crate) mod of_der {
    use super::{pem, x509};

    fuzz_target!(|data: &[u8]| {
        if let Some(all) = x509::elements(data) {
            let again: Vec<u8> = all.iter().flat_map(|e| x509::wrap(e.tag, e.content)).collect();
            assert_eq!(again, data);
        }
        if let Some(found) = pem::elements(data) {
            let len: usize = found.iter().map(|e| e.len()).sum();
            assert!(found.concat() == data[..len] && data[len..].iter().all(|b| *b == 0));
        }
        x509::key_bits(data);
    });
}

/// PEM texts: what is in a well-formed one is found, by us and by rustls' reader.
pub(crate) mod of_pem {
    use super::pem;
    use rustls::pki_types::{CertificateDer, pem::PemObject};

    fuzz_target!(|input: (Vec<Vec<u8>>, u8, &[u8])| {
        let (blocks, width, text) = input;
        let _ = pem::elements(text);
        pem::blocks(text).for_each(|b| drop((b.is_encrypted(), b.decode())));
        let (found, _) = pem::certificates(text);
        assert!(found.iter().map(Vec::len).sum::<usize>() <= text.len());

        let blocks: Vec<Vec<u8>> = blocks.into_iter().filter(|b| !b.is_empty()).collect();
        let mut written = Vec::new();
        for block in &blocks {
            let mut code = vec![0; block.len() * 2 + 8];
            let n = crate::hash::base64::encode(block, &mut code).unwrap();
            written.extend(b"-----BEGIN CERTIFICATE-----\n");
            for line in code[..n].chunks(usize::from(width % 76) + 1) {
                written.extend([line, b"\n"].concat());
            }
            written.extend(b"-----END CERTIFICATE-----\n");
        }
        let theirs: Vec<_> = CertificateDer::pem_slice_iter(&written).map(|c| c.unwrap().to_vec()).collect();
        assert_eq!(theirs, blocks);
        if !blocks.is_empty() {
            assert_eq!(pem::certificates(&written), (blocks, 0));
        }
    });
}

/// Certificates: where webpki reads one, too, the names and the key are the same.
pub(crate) mod of_x509 {
    use super::x509::Certificate;
    use rustls::pki_types::CertificateDer;
    use webpki::EndEntityCert;

    fuzz_target!(|data: &[u8]| {
        let Some(ours) = Certificate::read(data) else { return };
        let inside = |part: &[u8]| {
            let at = (part.as_ptr() as usize).wrapping_sub(data.as_ptr() as usize);
            assert!(part.is_empty() || at <= data.len() && part.len() <= data.len() - at);
        };
        [ours.tbs, ours.algorithm, ours.signature, ours.issuer, ours.subject, ours.key_info].into_iter().for_each(inside);
        ours.key_bits().into_iter().for_each(inside);
        ours.is_anchor();
        ours.common_name_is("localhost");
        let der = CertificateDer::from(data);
        if let Ok(theirs) = EndEntityCert::try_from(&der) {
            assert_eq!(theirs.issuer(), ours.issuer);
            assert_eq!(theirs.subject(), ours.subject);
            assert_eq!(theirs.subject_public_key_info().as_ref(), ours.key_info);
        }
    });
}
