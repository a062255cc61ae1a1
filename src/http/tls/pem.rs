//! Certificates and keys from PEM, with errors that say which file, what is wrong with it, and what to do.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustls::Error as TlsError;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};

/// Where PEM comes from.
#[derive(Clone)]
pub(super) enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

/// A certificate with those that lead to its authority, and its key.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) certificates: Source,
    pub(super) key: Source,
}

impl Source {
    pub(super) fn file(path: impl AsRef<Path>) -> Source {
        Source::File(path.as_ref().to_owned())
    }

    fn read(&self) -> io::Result<Vec<u8>> {
        match self {
            Source::Bytes(bytes) => Ok(bytes.clone()),
            Source::File(path) => fs::read(path).map_err(|error| {
                let hint = match error.kind() {
                    ErrorKind::PermissionDenied => {
                        "; the user that the server runs as must be allowed to read it"
                    }
                    _ => "",
                };
                io::Error::new(error.kind(), format!("TLS: {self}: {error}{hint}"))
            }),
        }
    }

    /// When it was changed last; `None` if that is unknown, or it cannot change.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        match self {
            Source::File(path) => fs::metadata(path).and_then(|about| about.modified()).ok(),
            Source::Bytes(_) => None,
        }
    }

    fn certificates(&self) -> io::Result<Vec<CertificateDer<'static>>> {
        let bytes = self.read()?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let all = all.map_err(|error| self.malformed(&error))?;
        if all.is_empty() {
            return Err(self.wrong(
                "no certificate in it: there must be at least one, between -----BEGIN CERTIFICATE----- and \
                 -----END CERTIFICATE-----",
            ));
        }
        Ok(all)
    }

    fn key(&self) -> io::Result<PrivateKeyDer<'static>> {
        let bytes = self.read()?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
            pem::Error::NoItemsFound if is_encrypted(&bytes) => self.wrong(
                "the key in it is encrypted: decrypt it (openssl pkey -in KEY -out PLAIN) and let only the server read it",
            ),
            pem::Error::NoItemsFound => self.wrong(
                "no private key in it: there must be one, between -----BEGIN PRIVATE KEY----- and -----END PRIVATE KEY-----",
            ),
            error => self.malformed(&error),
        })
    }

    /// The authorities in it.
    pub(super) fn roots(&self) -> io::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| {
                self.wrong(&format!("a certificate in it cannot be an authority: {error}"))
            })?;
        }
        Ok(roots)
    }

    fn malformed(&self, error: &pem::Error) -> io::Error {
        self.wrong(&format!("not proper PEM: {error}"))
    }

    fn wrong(&self, what: &str) -> io::Error {
        io::Error::new(ErrorKind::InvalidData, format!("TLS: {self}: {what}"))
    }
}

fn is_encrypted(bytes: &[u8]) -> bool {
    String::from_utf8_lossy(bytes).contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Bytes(_) => f.write_str("the given PEM"),
        }
    }
}

/// Never what is in it: that may be a key.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Pair {
    /// Both files, as rustls wants them.
    pub(super) fn load(&self, provider: &CryptoProvider) -> io::Result<CertifiedKey> {
        let certificates = self.certificates.certificates()?;
        let key = self.key.key()?;
        if let Err(error) = ParsedCertificate::try_from(&certificates[0]) {
            return Err(self
                .certificates
                .wrong(&format!("the first certificate in it is invalid: {error}")));
        }
        CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => self.key.wrong(&format!(
                "the key does not belong to the first certificate in {}: the server's own certificate must come first, \
                 and both files from the same order",
                self.certificates
            )),
            error => self.key.wrong(&format!("the key cannot be used: {error}")),
        })
    }

    /// # Errors
    /// If the certificate is not for `name`.
    pub(super) fn check_name(&self, pair: &CertifiedKey, name: &str) -> io::Result<()> {
        // Any name that the pattern stands for will do.
        let example = match name.strip_prefix("*.") {
            Some(domain) => format!("any.{domain}"),
            None => name.to_owned(),
        };
        let wrong = |why: String| self.certificates.wrong(&why);
        let server = ServerName::try_from(example)
            .map_err(|_| wrong(format!("{name:?} is not a host name")))?;
        let own = ParsedCertificate::try_from(&pair.cert[0]);
        own.and_then(|own| rustls::client::verify_server_name(&own, &server))
            .map_err(|error| wrong(format!("its certificate is not for {name}: {error}")))
    }

    pub(super) fn changed(&self) -> [Option<SystemTime>; 2] {
        [self.certificates.changed(), self.key.changed()]
    }
}
