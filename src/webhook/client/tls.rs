//! [`Roots`]: whose certificates are trusted.

#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// The authorities whose certificates are trusted. What is known of earlier handshakes is kept here, for shorter ones: clones
/// share it.
#[derive(Clone)]
pub struct Roots(Arc<ClientConfig>);

impl Roots {
    /// Those that Mozilla trusts, as they were when this was compiled.
    #[must_use]
    pub fn mozilla() -> Roots {
        static MOZILLA: LazyLock<Roots> = LazyLock::new(|| Roots::of(mozilla_store()));
        MOZILLA.clone()
    }

    /// Those of this PEM text, and no others.
    ///
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if there is no certificate in it, or one that cannot be read.
    pub fn pem(pem: &[u8]) -> io::Result<Roots> {
        add(RootCertStore::empty(), pem).map(Roots::of)
    }

    /// Mozilla's, and those of this PEM text.
    ///
    /// # Errors
    /// As [`Roots::pem`].
    pub fn mozilla_and_pem(pem: &[u8]) -> io::Result<Roots> {
        add(mozilla_store(), pem).map(Roots::of)
    }

    fn of(store: RootCertStore) -> Roots {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            // OK to expect: ring has what every version needs.
            .expect("ring knows all versions")
            .with_root_certificates(store)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Roots(Arc::new(config))
    }

    pub(super) fn config(&self) -> Arc<ClientConfig> {
        self.0.clone()
    }
}

fn mozilla_store() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

fn add(mut store: RootCertStore, pem: &[u8]) -> io::Result<RootCertStore> {
    let bad = |what: &dyn fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidData, format!("the trusted certificates: {what}"))
    };
    let before = store.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        store.add(certificate.map_err(|e| bad(&e))?).map_err(|e| bad(&e))?;
    }
    if store.len() == before {
        return Err(bad(&"there is none"));
    }
    Ok(store)
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Roots(..)")
    }
}
