//! The source of cryptography: ring or aws-lc, or RustCrypto on systems without std.

use alloc::sync::Arc;
use core::net::IpAddr;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, Error, OtherError, ServerConfig, WantsVersions};

#[cfg(feature = "std")]
pub(super) use super::crypto::{default_provider as default, sign::any_supported_type};

#[cfg(feature = "std")]
pub(crate) use rustls::KeyLogFile;

/// The name of a server that is known by its address.
#[cfg(feature = "std")]
pub(super) fn address(peer: IpAddr) -> ServerName<'static> {
    peer.into()
}

#[cfg(feature = "std")]
pub(super) fn text<'a>(name: &'a ServerName<'_>) -> alloc::borrow::Cow<'a, str> {
    name.to_str()
}

/// The error of webpki in one of rustls.
#[cfg(feature = "std")]
pub(super) fn webpki_error(e: &OtherError) -> Option<&webpki::Error> {
    e.0.downcast_ref()
}

#[cfg(feature = "std")]
pub(super) fn set_ticketer(config: &mut ServerConfig) -> Result<(), Error> {
    config.ticketer = super::crypto::Ticketer::new()?;
    Ok(())
}

#[cfg(feature = "std")]
pub(super) fn server_builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ServerConfig, WantsVersions> {
    ServerConfig::builder_with_provider(provider)
}

#[cfg(feature = "std")]
pub(super) fn client_builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVersions> {
    ClientConfig::builder_with_provider(provider)
}

#[cfg(not(feature = "std"))]
pub(crate) use device::KeyLogFile;
#[cfg(not(feature = "std"))]
pub(super) use device::{address, any_supported_type, client_builder, default, server_builder, set_ticketer, text, webpki_error};

#[cfg(not(feature = "std"))]
mod device {
    use super::*;
    use crate::memory::prelude::*;
    use crate::sys::random;
    use p256::ecdsa::signature::Verifier;
    use p256::ecdsa::{DerSignature, VerifyingKey};
    use rustls::SignatureScheme;
    use rustls::crypto::{
        ActiveKeyExchange, GetRandomFailed, KeyProvider, SharedSecret, SupportedKxGroup, WebPkiSupportedAlgorithms,
    };
    use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
    use rustls::pki_types::{PrivateKeyDer, UnixTime};
    use rustls::sign::SigningKey;
    use rustls::{NamedGroup, PeerMisbehaved};
    use rustls_rustcrypto as crypto;
    use zeroize::Zeroizing;

    /// Each kind once, because flash is short: TLS 1.3, AES-128-GCM and ChaCha20-Poly1305, P-256 for keys and certificates.
    pub(in crate::tls) fn default() -> CryptoProvider {
        CryptoProvider {
            cipher_suites: vec![crypto::TLS13_CHACHA20_POLY1305_SHA256, crypto::TLS13_AES_128_GCM_SHA256],
            kx_groups: vec![&P256],
            signature_verification_algorithms: WebPkiSupportedAlgorithms {
                all: &[&P256],
                mapping: &[(SignatureScheme::ECDSA_NISTP256_SHA256, &[&P256 as _])],
            },
            secure_random: &crypto::Provider,
            key_provider: &Keys,
        }
    }

    // RustCrypto's own are not to be had apart from those of all other groups, of RSA among them.
    #[derive(Debug)]
    struct P256;

    impl SupportedKxGroup for P256 {
        fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
            let mut bytes = Zeroizing::new([0; 32]);
            loop {
                if !random::fill(&mut *bytes) {
                    return Err(GetRandomFailed.into());
                }
                // One in four billion is not below the order of the curve.
                if let Ok(secret) = p256::SecretKey::from_slice(&*bytes) {
                    let public = secret.public_key().to_sec1_bytes();
                    return Ok(Box::new(Exchange { secret, public }));
                }
            }
        }

        fn name(&self) -> NamedGroup {
            NamedGroup::secp256r1
        }
    }

    struct Exchange {
        secret: p256::SecretKey,
        public: Box<[u8]>,
    }

    impl ActiveKeyExchange for Exchange {
        fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
            let peer = p256::PublicKey::from_sec1_bytes(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
            let shared = p256::ecdh::diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
            Ok(SharedSecret::from(&shared.raw_secret_bytes()[..]))
        }

        fn pub_key(&self) -> &[u8] {
            &self.public
        }

        fn group(&self) -> NamedGroup {
            NamedGroup::secp256r1
        }
    }

    impl SignatureVerificationAlgorithm for P256 {
        fn public_key_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_P256
        }

        fn signature_alg_id(&self) -> AlgorithmIdentifier {
            alg_id::ECDSA_SHA256
        }

        fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
            let key = VerifyingKey::from_sec1_bytes(key).map_err(|_| InvalidSignature)?;
            let signature = DerSignature::try_from(signature).map_err(|_| InvalidSignature)?;
            key.verify(message, &signature).map_err(|_| InvalidSignature)
        }
    }

    #[derive(Debug)]
    struct Keys;

    impl KeyProvider for Keys {
        fn load_private_key(&self, der: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
            any_supported_type(&der)
        }
    }

    /// A key for ECDSA on P-256.
    pub(in crate::tls) fn any_supported_type(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Error> {
        Ok(Arc::new(crypto::sign::ecdsa::EcdsaSigningKeyP256::try_from(der)?))
    }

    /// No tickets: sessions are not resumed.
    pub(in crate::tls) fn set_ticketer(_config: &mut ServerConfig) -> Result<(), Error> {
        Ok(())
    }

    pub(in crate::tls) fn address(peer: IpAddr) -> ServerName<'static> {
        // The text of an address is one.
        let nobody = ServerName::IpAddress(rustls::pki_types::IpAddr::V4([0; 4].into()));
        ServerName::try_from(peer.to_string()).unwrap_or(nobody)
    }

    pub(in crate::tls) fn text(name: &ServerName<'_>) -> String {
        match name {
            ServerName::DnsName(name) => name.as_ref().into(),
            other => format!("{other:?}"),
        }
    }

    /// Without std, rustls leaves the cause out.
    pub(in crate::tls) fn webpki_error(_e: &OtherError) -> Option<&webpki::Error> {
        None
    }

    /// There is no file to log keys to.
    #[derive(Debug)]
    pub(crate) struct KeyLogFile;

    impl KeyLogFile {
        pub(crate) fn new() -> KeyLogFile {
            KeyLogFile
        }
    }

    impl rustls::KeyLog for KeyLogFile {
        fn log(&self, _label: &str, _client_random: &[u8], _secret: &[u8]) {}
    }

    /// The time of SNTP or of the program, once there is one.
    #[derive(Debug)]
    struct Time;

    impl rustls::time_provider::TimeProvider for Time {
        fn current_time(&self) -> Option<UnixTime> {
            let now = crate::platform::clock::now();
            Some(UnixTime::since_unix_epoch(core::time::Duration::from_millis(now)))
        }
    }

    pub(in crate::tls) fn server_builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ServerConfig, WantsVersions> {
        ServerConfig::builder_with_details(provider, Arc::new(Time))
    }

    pub(in crate::tls) fn client_builder(provider: Arc<CryptoProvider>) -> ConfigBuilder<ClientConfig, WantsVersions> {
        ClientConfig::builder_with_details(provider, Arc::new(Time))
    }

    fn fill(buf: &mut [u8]) -> Result<(), getrandom_custom::Error> {
        if crate::sys::random::fill(buf) { Ok(()) } else { Err(getrandom_custom::Error::UNEXPECTED) }
    }
    getrandom_custom::register_custom_getrandom!(fill);
}
