//! [`Secret`]: a key to sign with, and its text forms `whsec_`, `whsk_` and `whpk_`.

#![forbid(unsafe_code)]

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// What the texts begin with.
pub(super) const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
pub(super) const PUBLIC: &str = "whpk_";

/// An Ed25519 seed, and a public key.
const HALF: usize = 32;

/// A key to sign with. Its `Display` is the key itself; its `Debug` is not.
///
/// | text | what it is | signs as |
/// |---|---|---|
/// | `whsec_` + base64 of 24 to 64 bytes | HMAC-SHA256; the receiver has the same | `v1` |
/// | `whsk_` + base64 of an Ed25519 seed (32 bytes) and its public key (32 more, which may be left out) | the receiver has the [public half](Secret::public_key) | `v1a` |
///
/// ```
/// use sward::webhook::{Secret, sign};
///
/// let secret: Secret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD".parse().unwrap();
/// let body = br#"{"email":"test@example.com","username":"test_user"}"#;
/// assert_eq!(
///     sign(&[secret], "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", 1_649_367_553, body),
///     "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
/// );
/// ```
#[derive(Clone)]
pub struct Secret(Kind);

#[derive(Clone)]
enum Kind {
    /// The bytes.
    Hmac(Vec<u8>),
    /// The seed; the public half is computed from it.
    Ed25519([u8; HALF]),
}

/// A text is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyError(pub(super) &'static str);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for KeyError {}

impl Secret {
    /// A new one for HMAC-SHA256, of 24 random bytes.
    ///
    /// # Panics
    /// If the system has no random bytes.
    #[must_use]
    pub fn random() -> Secret {
        let mut bytes = vec![0; 24];
        fill(&mut bytes);
        Secret(Kind::Hmac(bytes))
    }

    /// A new one for Ed25519.
    ///
    /// # Panics
    /// If the system has no random bytes.
    #[must_use]
    pub fn random_ed25519() -> Secret {
        let mut seed = [0; HALF];
        fill(&mut seed);
        Secret(Kind::Ed25519(seed))
    }

    /// The secret with this text.
    ///
    /// # Errors
    /// If it is none; the error does not repeat it.
    pub fn parse(text: &str) -> Result<Secret, KeyError> {
        if let Some(text) = text.strip_prefix(SYMMETRIC) {
            let bytes = decode(text)?;
            if !(24..=64).contains(&bytes.len()) {
                return Err(KeyError("a whsec_ secret has 24 to 64 bytes"));
            }
            return Ok(Secret(Kind::Hmac(bytes)));
        }
        if let Some(text) = text.strip_prefix(PRIVATE) {
            let bytes = decode(text)?;
            let why = KeyError("a whsk_ key is a seed of 32 bytes and its public key of 32");
            let (seed, public) = bytes.split_at_checked(HALF).ok_or(why)?;
            let seed: [u8; HALF] = seed.try_into().map_err(|_| why)?;
            if !public.is_empty()
                && Ed25519KeyPair::from_seed_and_public_key(&seed, public).is_err()
            {
                return Err(why);
            }
            return Ok(Secret(Kind::Ed25519(seed)));
        }
        Err(KeyError("a secret begins with whsec_ (HMAC-SHA256) or whsk_ (Ed25519)"))
    }

    /// What the receiver verifies with, as `whpk_...`, if it is not the secret itself: of Ed25519.
    ///
    /// ```
    /// use sward::webhook::Secret;
    ///
    /// assert!(Secret::random_ed25519().public_key().unwrap().starts_with("whpk_"));
    /// assert_eq!(Secret::random().public_key(), None);
    /// ```
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        match &self.0 {
            Kind::Hmac(_) => None,
            Kind::Ed25519(seed) => {
                Some(format!("{PUBLIC}{}", BASE64_STANDARD.encode(pair(seed).public_key())))
            }
        }
    }

    /// Adds its entry, `version,base64`, to `header`.
    fn add_to(&self, header: &mut String, content: &[u8]) {
        let (version, signature);
        let tag;
        let of_pair;
        match &self.0 {
            Kind::Hmac(bytes) => {
                tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), content);
                (version, signature) = ("v1", tag.as_ref());
            }
            Kind::Ed25519(seed) => {
                of_pair = pair(seed).sign(content);
                (version, signature) = ("v1a", of_pair.as_ref());
            }
        }
        header.push_str(version);
        header.push(',');
        BASE64_STANDARD.encode_string(signature, header);
    }
}

/// The value of `webhook-signature` for a body that is sent at `timestamp` (seconds since 1970) as message `id`: one entry per
/// secret, in their order (the newest first). Empty if there is none.
///
/// The time is that of the attempt: each attempt is signed anew.
#[must_use]
pub fn sign(secrets: &[Secret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let content = content(id, &timestamp.to_string(), body);
    let mut header = String::new();
    for secret in secrets {
        if !header.is_empty() {
            header.push(' ');
        }
        secret.add_to(&mut header, &content);
    }
    header
}

/// What is signed. The timestamp as it stands in its header, so that a receiver checks what was sent.
pub(super) fn content(id: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(id.len() + timestamp.len() + body.len() + 2);
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        content.extend_from_slice(part);
    }
    content
}

pub(super) fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    BASE64_STANDARD.decode(text).map_err(|_| KeyError("what follows the prefix is not base64"))
}

fn pair(seed: &[u8; HALF]) -> Ed25519KeyPair {
    // OK to expect: every 32 bytes are a seed.
    Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are a seed")
}

fn fill(bytes: &mut [u8]) {
    // Without random bytes there are no secrets: nothing here can go on.
    SystemRandom::new().fill(bytes).expect("the system has no random bytes");
}

impl FromStr for Secret {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Secret, KeyError> {
        Secret::parse(text)
    }
}

/// The whole key, to be kept and to be shown to its owner.
impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Hmac(bytes) => {
                f.write_str(SYMMETRIC)?;
                f.write_str(&BASE64_STANDARD.encode(bytes))
            }
            Kind::Ed25519(seed) => {
                f.write_str(PRIVATE)?;
                let mut both = seed.to_vec();
                both.extend_from_slice(pair(seed).public_key().as_ref());
                f.write_str(&BASE64_STANDARD.encode(both))
            }
        }
    }
}

/// Says of which kind it is, and of an Ed25519 key the public half, which tells it from others.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(")?;
        match self.public_key() {
            None => f.write_str("whsec_...")?,
            Some(public) => write!(f, "whsk_... of {public}")?,
        }
        f.write_char(')')
    }
}

#[cfg(test)]
mod tests {
    use super::{Secret, sign};

    // The pair and the signature that Svix publishes; no other test vectors for v1a are known.
    const PAIR: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const SEED: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbc=";

    #[test]
    fn vectors() {
        for (secret, id, timestamp, body, expected) in [
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                PAIR,
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==",
            ),
        ] {
            let secret = Secret::parse(secret).unwrap();
            assert_eq!(sign(&[secret], id, timestamp, body.as_bytes()), expected);
        }
    }

    #[test]
    fn several_secrets_sign_side_by_side() {
        let (new, old) = (Secret::random(), Secret::random_ed25519());
        let both = sign(&[new.clone(), old.clone()], "msg_1", 1, b"\xff\x00");
        let (first, second) = both.split_once(' ').unwrap();
        assert_eq!(first, sign(&[new], "msg_1", 1, b"\xff\x00"));
        assert_eq!(second, sign(&[old], "msg_1", 1, b"\xff\x00"));
        assert_eq!(sign(&[], "msg_1", 1, b""), "");
    }

    #[test]
    fn texts_read_back() {
        for secret in [Secret::random(), Secret::random_ed25519()] {
            let text = secret.to_string();
            assert_eq!(Secret::parse(&text).unwrap().to_string(), text);
        }
        assert_eq!(Secret::parse(SEED).unwrap().to_string(), PAIR);
        assert_eq!(
            Secret::parse(PAIR).unwrap().public_key().unwrap(),
            "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
        );
        assert_ne!(Secret::random().to_string(), Secret::random().to_string());
    }

    #[test]
    fn debug_hides_the_secret() {
        let secret = Secret::parse("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD").unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(whsec_...)");
        let pair = format!("{:?}", Secret::parse(PAIR).unwrap());
        assert!(!pair.contains("6Xb/"), "{pair}");
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        for text in [
            "",
            "whsec_",
            "whsec_%",
            "whsec_c2hvcnQ=",                                    // 5 bytes
            &format!("whsec_{}", "AAAA".repeat(22)),             // 66 bytes
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",                  // no prefix
            "hwsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",            // another
            "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=", // public
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMQ==", // 31 bytes
            // Its public half is of another key.
            "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlaaaaaaaaaaAJ6p9lMicMFs6Kvg==",
        ] {
            let error = Secret::parse(text).unwrap_err();
            assert!(text.len() < 8 || !error.to_string().contains(&text[6..]), "{error}");
        }
    }
}
