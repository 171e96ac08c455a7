//! A peer's end of a connection: bytes as they are, or TLS by rustls, which knows nothing of the library under test.

use crate::wire::{self, Read, Wire};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject};
use rustls::{ClientConfig, Connection, DigitallySignedStruct, ServerConfig, SignatureScheme};
use std::io::Read as _;
use std::io::Write as _;
use std::sync::Arc;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Secure {
    No,
    V12,
    V13,
}

/// Ed25519: signatures of the same length each time, so that segments are, too.
pub(crate) const CERT: &str = include_str!("../certs/server-ed25519.pem");
pub(crate) const KEY: &str = include_str!("../certs/server-ed25519.key");

/// What certificates say is tested elsewhere.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(m, c, d, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(m, c, d, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

struct Configs {
    clients: [Arc<ClientConfig>; 2],
    servers: [Arc<ServerConfig>; 2],
}

thread_local! {
    static CONFIGS: Configs = Configs::new();
}

impl Configs {
    fn new() -> Configs {
        let provider = Arc::new(ring::default_provider());
        let versions = [&[&rustls::version::TLS12], &[&rustls::version::TLS13]];
        // They remember nothing: a run depends on no other.
        let client = |v: &[&'static rustls::SupportedProtocolVersion]| {
            let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(v).expect("versions");
            let verifier = Arc::new(Anyone(provider.clone()));
            let mut config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
            config.resumption = rustls::client::Resumption::disabled();
            Arc::new(config)
        };
        let server = |v: &[&'static rustls::SupportedProtocolVersion]| {
            let builder = ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(v).expect("versions");
            let cert = CertificateDer::from_pem_slice(CERT.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).expect("a key");
            let mut config = builder.with_no_client_auth().with_single_cert(vec![cert], key).expect("a pair");
            config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            Arc::new(config)
        };
        Configs { clients: versions.map(|v| client(v)), servers: versions.map(|v| server(v)) }
    }
}

struct Session {
    conn: Connection,
    out: Vec<u8>,
    out_at: usize,
    /// Bytes of the stream so far.
    queued: u64,
    got: Vec<u8>,
    /// close_notify has come.
    is_over: bool,
    /// This side ends when the stream has taken what is queued.
    shuts: bool,
}

impl Session {
    /// Records that have arrived.
    fn take(&mut self, mut raw: &[u8]) -> Result<(), String> {
        while !raw.is_empty() && !self.is_over {
            self.conn.read_tls(&mut raw).map_err(|e| e.to_string())?;
            let state = self.conn.process_new_packets().map_err(|e| e.to_string())?;
            let from = self.got.len();
            self.got.resize(from + state.plaintext_bytes_to_read(), 0);
            self.conn.reader().read_exact(&mut self.got[from..]).map_err(|e| e.to_string())?;
            self.is_over = state.peer_has_closed();
        }
        Ok(())
    }
}

pub(crate) struct Line {
    wire: Wire,
    tls: Option<Box<Session>>,
    written: u64,
    /// Bytes read, without what TLS adds.
    pub(crate) received: u64,
    /// Bytes written, and what they have become on the wire.
    marks: Vec<(u64, u64)>,
    /// The other side's end came without close_notify.
    pub(crate) is_truncated: bool,
    pub(crate) error: Option<String>,
}

impl Line {
    pub(crate) fn connect(token: u64, port: u16, secure: Secure) -> Line {
        let config = CONFIGS.with(|c| match secure {
            Secure::No => None,
            v => Some(c.clients[usize::from(v == Secure::V13)].clone()),
        });
        let name = || ServerName::try_from("server.example").expect("a name");
        let conn = config.map(|config| rustls::ClientConnection::new(config, name()).expect("a session").into());
        Line::new(wire::connect(token, port), conn)
    }

    pub(crate) fn accepted(wire: Wire, secure: Secure) -> Line {
        let config = CONFIGS.with(|c| match secure {
            Secure::No => None,
            v => Some(c.servers[usize::from(v == Secure::V13)].clone()),
        });
        Line::new(wire, config.map(|config| rustls::ServerConnection::new(config).expect("a session").into()))
    }

    fn new(wire: Wire, conn: Option<Connection>) -> Line {
        let session = |conn| {
            Box::new(Session { conn, out: Vec::new(), out_at: 0, queued: 0, got: Vec::new(), is_over: false, shuts: false })
        };
        Line { wire, tls: conn.map(session), written: 0, received: 0, marks: Vec::new(), is_truncated: false, error: None }
    }

    pub(crate) fn wire(&self) -> Wire {
        self.wire
    }

    pub(crate) fn is_shaking_hands(&self) -> bool {
        self.tls.as_ref().is_some_and(|s| s.conn.is_handshaking())
    }

    /// Bytes written, with what TLS adds.
    pub(crate) fn sent(&self) -> u64 {
        self.tls.as_ref().map_or(self.written, |s| s.queued)
    }

    /// Where on the wire the first `n` bytes that were written end.
    pub(crate) fn wire_end(&self, n: u64) -> u64 {
        if self.tls.is_none() {
            return n;
        }
        self.marks.iter().find(|(plain, _)| *plain >= n).map_or(u64::MAX, |m| m.1)
    }

    /// Writes what TLS has to say. Called whenever something may have happened.
    pub(crate) fn flush(&mut self) {
        let Some(s) = &mut self.tls else { return };
        while s.conn.wants_write() {
            s.queued += s.conn.write_tls(&mut s.out).unwrap_or(0) as u64;
        }
        while s.out_at < s.out.len() {
            match self.wire.write(&s.out[s.out_at..]) {
                Some(0) => return,
                Some(n) => s.out_at += n,
                None => break,
            }
        }
        s.out.clear();
        s.out_at = 0;
        if core::mem::take(&mut s.shuts) {
            self.wire.shutdown();
        }
    }

    pub(crate) fn read(&mut self, most: usize, into: &mut Vec<u8>) -> Read {
        let read = self.read_some(most, into);
        if let Read::Bytes(n) = read {
            self.received += n as u64;
        }
        read
    }

    fn read_some(&mut self, most: usize, into: &mut Vec<u8>) -> Read {
        loop {
            let Some(s) = &mut self.tls else { return self.wire.read(most, into) };
            if !s.got.is_empty() {
                let n = s.got.len().min(most);
                into.extend(s.got.drain(..n));
                return Read::Bytes(n);
            }
            if s.is_over {
                return Read::End;
            }
            let mut raw = Vec::new();
            match self.wire.read(most, &mut raw) {
                Read::Bytes(_) => {}
                Read::End => {
                    self.is_truncated = true;
                    return Read::End;
                }
                other => return other,
            }
            if let Err(text) = s.take(&raw) {
                self.error = Some(text);
                return Read::Reset;
            }
            self.flush();
        }
    }

    /// How many bytes there was room for; None when the connection is gone.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Option<usize> {
        let Some(s) = &mut self.tls else {
            let n = self.wire.write(bytes)?;
            self.written += n as u64;
            return Some(n);
        };
        if s.conn.is_handshaking() || !s.out.is_empty() {
            self.flush();
            return match &self.tls {
                Some(s) if s.conn.is_handshaking() || !s.out.is_empty() => {
                    if self.wire.is_reset() {
                        None
                    } else {
                        Some(0)
                    }
                }
                _ => self.write(bytes),
            };
        }
        let n = bytes.len().min(16_000);
        s.conn.writer().write_all(&bytes[..n]).ok()?;
        self.flush();
        self.written += n as u64;
        let queued = self.tls.as_ref().map_or(0, |s| s.queued);
        self.marks.push((self.written, queued));
        Some(n)
    }

    pub(crate) fn shutdown(&mut self) {
        let Some(s) = &mut self.tls else { return self.wire.shutdown() };
        s.conn.send_close_notify();
        s.shuts = true;
        self.flush();
    }

    pub(crate) fn close(&mut self) {
        if let Some(s) = &mut self.tls {
            s.conn.send_close_notify();
            self.flush();
        }
        self.wire.close();
    }

    pub(crate) fn reset(&mut self) {
        self.wire.reset();
    }
}
