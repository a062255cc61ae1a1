//! [`Verifier`]: whether a message comes from somebody who has the key, and was sent now.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::secret::{self, KeyError, PUBLIC, SYMMETRIC};
use super::seen::Seen;
use crate::webhook::Time;

/// How far the clocks of sender and receiver may be apart, and how long a message may have been on its way.
const TOLERANCE: Duration = Duration::from_secs(300);

/// More signatures than this in one header are not looked at: each costs the computation of one.
const MOST: usize = 32;

/// Checks signatures: the receiver's side.
///
/// It accepts a message if one of its signatures fits one of the keys, and its timestamp is not more than 5 minutes away from
/// now, either way. Signatures of versions that it has no key for are skipped, so senders can add new ones. Comparing takes
/// the same time however much of a signature is right.
///
/// ```
/// use sward::webhook::{Secret, Time, Verifier, VerifyError, sign};
///
/// let secret = Secret::random();
/// let signature = sign(&[secret.clone()], "msg_1", 1_700_000_000, b"hello");
///
/// let verifier = Verifier::new([secret.to_string()]).unwrap();
/// let now = Time::from_millis(1_700_000_010_000);
/// assert_eq!(verifier.verify("msg_1", "1700000000", &signature, b"hello", now), Ok(()));
/// let forged = verifier.verify("msg_1", "1700000000", &signature, b"hullo", now);
/// assert_eq!(forged, Err(VerifyError::Mismatch));
/// ```
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<Key>,
    tolerance: Duration,
    pub(super) seen: Option<Arc<Seen>>,
}

#[derive(Clone)]
enum Key {
    Hmac(hmac::Key),
    Ed25519(UnparsedPublicKey<[u8; 32]>),
}

/// Why a message is not accepted. What it says may be told to the sender: there is nothing in it that helps to forge one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// This header is missing or empty.
    Missing(&'static str),
    /// The timestamp is not a whole number of seconds.
    Timestamp,
    /// The timestamp is too long ago.
    TooOld,
    /// The timestamp is too far in the future.
    TooNew,
    /// None of the signatures is of a version that there is a key for.
    NoSignature,
    /// None of the signatures fits.
    Mismatch,
}

impl Verifier {
    /// Accepts what was signed with one of these keys: `whsec_...` or `whpk_...`.
    ///
    /// # Errors
    /// If there is none, or one of them is none.
    pub fn new<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Result<Verifier, KeyError> {
        let keys =
            keys.into_iter().map(|key| Key::parse(key.as_ref())).collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(KeyError("there is no key"));
        }
        Ok(Verifier { keys, tolerance: TOLERANCE, seen: None })
    }

    /// How far a timestamp may be away from now, before or after. 5 minutes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Verifier {
        self.tolerance = tolerance;
        self
    }

    /// Remembers what was received, so that nothing is received twice: see [`Seen`]. Nothing is remembered without. Clones
    /// remember together.
    #[must_use]
    pub fn remember(mut self, seen: Seen) -> Verifier {
        self.seen = Some(Arc::new(seen));
        self
    }

    /// Checks the three headers, as they came, and the body, at `now`.
    ///
    /// It does not ask [`Seen`]: that is for those who know what becomes of the message, [`Verifier::handler`] and
    /// [`Verifier::receive`].
    ///
    /// # Errors
    /// Why not.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: Time,
    ) -> Result<(), VerifyError> {
        for (name, value) in
            [(super::ID, id), (super::TIMESTAMP, timestamp), (super::SIGNATURE, signature)]
        {
            if value.is_empty() {
                return Err(VerifyError::Missing(name));
            }
        }
        // Digits only: `parse` would take a plus sign.
        let digits = timestamp.bytes().all(|b| b.is_ascii_digit());
        let seconds: u64 =
            timestamp.parse().ok().filter(|_| digits).ok_or(VerifyError::Timestamp)?;
        let (now, tolerance) = (now.as_secs(), self.tolerance.as_secs());
        if now.saturating_sub(seconds) > tolerance {
            return Err(VerifyError::TooOld);
        }
        if seconds.saturating_sub(now) > tolerance {
            return Err(VerifyError::TooNew);
        }

        let content = secret::content(id, timestamp, body);
        let (mut known, mut fits) = (false, false);
        for entry in signature.split(' ').take(MOST) {
            let Some((version, text)) = entry.split_once(',') else { continue };
            let given = BASE64_STANDARD.decode(text);
            for key in self.keys.iter().filter(|key| key.version() == version) {
                known = true;
                fits |= given.as_ref().is_ok_and(|given| key.fits(&content, given));
            }
        }
        match (fits, known) {
            (true, _) => Ok(()),
            (false, true) => Err(VerifyError::Mismatch),
            (false, false) => Err(VerifyError::NoSignature),
        }
    }
}

impl Key {
    /// Secrets of other lengths than [`Secret`](super::Secret) allows are taken: they are the sender's.
    fn parse(text: &str) -> Result<Key, KeyError> {
        if let Some(text) = text.strip_prefix(SYMMETRIC) {
            let bytes = secret::decode(text)?;
            if bytes.is_empty() {
                return Err(KeyError("the secret is empty"));
            }
            return Ok(Key::Hmac(hmac::Key::new(hmac::HMAC_SHA256, &bytes)));
        }
        if let Some(text) = text.strip_prefix(PUBLIC) {
            let bytes = secret::decode(text)?.try_into();
            let bytes = bytes.map_err(|_| KeyError("a whpk_ key has 32 bytes"))?;
            return Ok(Key::Ed25519(UnparsedPublicKey::new(&ED25519, bytes)));
        }
        Err(KeyError("a key to verify with begins with whsec_ (HMAC-SHA256) or whpk_ (Ed25519)"))
    }

    fn version(&self) -> &'static str {
        match self {
            Key::Hmac(_) => "v1",
            Key::Ed25519(_) => "v1a",
        }
    }

    /// In constant time, which ring promises for the first, and which does not matter for a public key.
    fn fits(&self, content: &[u8], signature: &[u8]) -> bool {
        match self {
            Key::Hmac(key) => hmac::verify(key, content, signature).is_ok(),
            Key::Ed25519(key) => key.verify(content, signature).is_ok(),
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Missing(header) => write!(f, "the header {header} is missing"),
            VerifyError::Timestamp => f.write_str("the timestamp is not a number of seconds"),
            VerifyError::TooOld => f.write_str("the timestamp is too old"),
            VerifyError::TooNew => f.write_str("the timestamp is in the future"),
            VerifyError::NoSignature => {
                f.write_str("there is no signature of a version that is known here")
            }
            VerifyError::Mismatch => f.write_str("no signature fits"),
        }
    }
}

impl std::error::Error for VerifyError {}

/// How many keys of which kind; not the keys.
impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<_> = self.keys.iter().map(Key::version).collect();
        f.debug_struct("Verifier")
            .field("keys", &versions)
            .field("tolerance", &self.tolerance)
            .field("seen", &self.seen)
            .finish()
    }
}
