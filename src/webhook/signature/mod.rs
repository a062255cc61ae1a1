//! Signatures as Standard Webhooks 1.0.0 has them: made by [`sign`] with [`Secret`]s, checked by a [`Verifier`].
//!
//! What is signed is `{webhook-id}.{webhook-timestamp}.{body}`, by HMAC-SHA256 (`v1`, a secret that both sides have) or by
//! Ed25519 (`v1a`, the receiver has the public half). The body is bytes; nothing here reads it.
//!
//! What it is not: encryption. Who reads the connection reads the message; that is what https is for.
//!
//! To read on: `secret.rs` makes signatures, `verifier.rs` checks them, `seen.rs` remembers what has come, `incoming.rs` is
//! the receiver's side of HTTP.

#![forbid(unsafe_code)]

mod incoming;
mod secret;
mod seen;
mod verifier;

pub use self::incoming::Incoming;
pub use self::secret::{KeyError, Secret, sign};
pub use self::seen::Seen;
pub use self::verifier::{Verifier, VerifyError};

// The three headers: the message's name; the time of the attempt, in seconds since 1970; the signatures, with a space between.
pub(crate) const ID: &str = "webhook-id";
pub(crate) const TIMESTAMP: &str = "webhook-timestamp";
pub(crate) const SIGNATURE: &str = "webhook-signature";
