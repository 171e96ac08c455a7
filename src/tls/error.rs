//! Error texts for applications: `MG_EV_ERROR` has room for 63 bytes, the log for the rest.

use super::provider;
use crate::memory::prelude::*;
use core::fmt;
use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage, PeerIncompatible};

/// Maximum length of an error text.
const ROOM: usize = 63;

/// Unusable options.
#[derive(Debug)]
pub(crate) struct Error {
    text: String,
    detail: String,
}

impl Error {
    pub(super) fn new(text: impl Into<String>, detail: impl fmt::Display) -> Self {
        Self { text: cut(text.into()), detail: detail.to_string() }
    }

    pub(super) fn ca(text: &str, detail: impl fmt::Display) -> Self {
        Self::new(format!("CA err: {text}"), detail)
    }

    pub(super) fn cert(text: &str, detail: impl fmt::Display) -> Self {
        Self::new(format!("CERT err 1: {text}"), detail)
    }

    pub(super) fn key(text: &str, detail: impl fmt::Display) -> Self {
        Self::new(format!("KEY err 1: {text}"), detail)
    }

    /// Details for the log.
    pub(crate) fn detail(&self) -> String {
        if self.detail.is_empty() { self.text.clone() } else { format!("{}: {}", self.text, self.detail) }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Truncates to 63 printable bytes: names in certificates may contain anything.
fn cut(text: String) -> String {
    text.chars().take(ROOM).map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Error text of a failed handshake or connection: the cause, and whose certificate.
pub(crate) fn explain(e: &Tls) -> String {
    cut(match e {
        Tls::InvalidCertificate(e) => certificate(e),
        Tls::NoCertificatesPresented => "tls hs: the peer has no certificate".into(),
        Tls::AlertReceived(alert) => format!("tls hs: the peer says: {}", alert_text(*alert)),
        Tls::PeerIncompatible(e) => match e {
            PeerIncompatible::NoCertificateRequestSignatureSchemesInCommon | PeerIncompatible::NoSignatureSchemesInCommon => {
                "tls hs: the peer cannot use this kind of certificate".into()
            }
            PeerIncompatible::SignatureAlgorithmsExtensionRequired
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13 => "tls hs: the peer's TLS is older than 1.2".into(),
            other => format!("tls hs: the peer's TLS does not fit: {other:?}"),
        },
        Tls::General(text) if text == super::session::OOM => text.clone(),
        Tls::General(text) if text.contains("certificate chain resolved") => "tls hs: this server has no certificate".into(),
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => "tls hs: the peer does not speak TLS".into(),
        Tls::InvalidMessage(e) => format!("tls hs: damaged message: {e:?}"),
        _ => format!("tls hs: {e}"),
    })
}

fn certificate(e: &CertificateError) -> String {
    match e {
        CertificateError::NotValidForName => "failed to verify hostname".into(),
        CertificateError::NotValidForNameContext { expected, .. } => {
            format!("failed to verify hostname: not for {}", provider::text(expected))
        }
        e => format!("tls hs: peer's certificate: {}", reason(e)),
    }
}

fn reason(e: &CertificateError) -> String {
    use CertificateError::*;
    match e {
        Expired | ExpiredContext { .. } => "expired".into(),
        NotValidYet | NotValidYetContext { .. } => "not valid yet".into(),
        UnknownIssuer => "issuer is not in ca".into(),
        BadSignature => "bad signature".into(),
        BadEncoding => "damaged".into(),
        InvalidPurpose | InvalidPurposeContext { .. } => "not for this purpose".into(),
        Other(e) => match provider::webpki_error(e) {
            Some(webpki::Error::UnsupportedCriticalExtension) => "unknown extension".into(),
            Some(webpki::Error::NameConstraintViolation) => "a CA forbids its name".into(),
            _ => e.to_string(),
        },
        e => e.to_string(),
    }
}

/// An alert as words: `UnknownCA` is "unknown ca".
fn alert_text(alert: AlertDescription) -> String {
    let name = format!("{alert:?}");
    let mut text = String::new();
    let mut last = 'A';
    for c in name.chars() {
        if c.is_ascii_uppercase() && last.is_ascii_lowercase() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
        last = c;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_readable_names() {
        assert_eq!(explain(&Tls::AlertReceived(AlertDescription::UnknownCA)), "tls hs: the peer says: unknown ca");
        assert_eq!(
            explain(&Tls::AlertReceived(AlertDescription::CertificateExpired)),
            "tls hs: the peer says: certificate expired"
        );
    }

    #[test]
    fn texts_fit_and_are_printable() {
        let name = |text: &str| rustls::pki_types::ServerName::try_from(text.to_string()).unwrap();
        let e = CertificateError::NotValidForNameContext { expected: name("a.test"), presented: vec![] };
        assert_eq!(explain(&Tls::InvalidCertificate(e)), "failed to verify hostname: not for a.test");
        let text = explain(&Tls::General("ä\x1b[31m\n".repeat(99)));
        assert!(text.starts_with("tls hs: unexpected error: ??[31m??"), "{text}");
        assert_eq!(text.len(), ROOM);
        assert_eq!(Error::key("x", "why").detail(), "KEY err 1: x: why");
    }
}
