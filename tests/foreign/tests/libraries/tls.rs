//! Certificates for the tests: made when the process starts, so that none expires in the repository.

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};

/// A certificate for localhost that only those trust who are told to, with its key.
pub fn certificate() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}
