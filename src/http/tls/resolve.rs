//! Which certificate a client gets, by the name that it asks for; and that name, for the requests that follow.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// By name; whoever asks for none of them, or for nothing, gets the default.
#[derive(Debug)]
pub(super) struct ByName {
    pub(super) hosts: HashMap<Box<str>, Arc<CertifiedKey>>,
    pub(super) default: Arc<CertifiedKey>,
}

impl ByName {
    fn choose(&self, name: &str) -> &Arc<CertifiedKey> {
        if self.hosts.is_empty() {
            return &self.default;
        }
        let name = name.to_ascii_lowercase();
        let exact = self.hosts.get(name.as_str());
        let chosen = exact.or_else(|| {
            // `*.` stands for one label, as in certificates.
            let (_, domain) = name.split_once('.')?;
            self.hosts.get(format!("*.{domain}").as_str())
        });
        chosen.unwrap_or(&self.default)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name().unwrap_or("")).clone())
    }
}

thread_local! {
    /// The name in the ClientHello that is being processed: rustls tells it to nobody else, the way we use it.
    static ASKED: Cell<Option<Box<str>>> = const { Cell::new(None) };
}

/// Notes the name that is asked for before another decides.
#[derive(Debug)]
pub(super) struct Noting(pub(super) Arc<dyn ResolvesServerCert>);

impl ResolvesServerCert for Noting {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        ASKED.set(hello.server_name().map(Into::into));
        self.0.resolve(hello)
    }

    fn only_raw_public_keys(&self) -> bool {
        self.0.only_raw_public_keys()
    }
}

/// The name that was asked for in what this OS thread has processed last.
pub(super) fn take_name() -> Option<Box<str>> {
    ASKED.take()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoKey;

    impl rustls::sign::SigningKey for NoKey {
        fn choose_scheme(
            &self,
            _: &[rustls::SignatureScheme],
        ) -> Option<Box<dyn rustls::sign::Signer>> {
            None
        }

        fn algorithm(&self) -> rustls::SignatureAlgorithm {
            rustls::SignatureAlgorithm::ECDSA
        }
    }

    #[test]
    fn the_name_decides() {
        let key = |n: u8| Arc::new(CertifiedKey::new(vec![vec![n].into()], Arc::new(NoKey)));
        let hosts = [("a.test", 1), ("*.b.test", 2), ("x.b.test", 3)];
        let hosts = hosts.into_iter().map(|(name, n)| (name.into(), key(n))).collect();
        let by_name = ByName { hosts, default: key(0) };
        let cases = [
            ("a.test", 1),
            ("A.Test", 1),
            ("any.b.test", 2),
            ("x.b.test", 3),
            ("two.labels.b.test", 0),
            ("b.test", 0),
            (".b.test", 2),
            ("c.test", 0),
            ("", 0),
        ];
        for (name, n) in cases {
            assert_eq!(by_name.choose(name).cert[0][0], n, "{name}");
        }
    }
}
