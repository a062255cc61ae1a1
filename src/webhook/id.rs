//! Ids: of endpoints, messages and deliveries.
//!
//! An id is text that may stand in a URL and in a header, has no dot (the signed content is divided by dots), and cannot be
//! guessed. Those made here begin with the time, so that they sort by it; stores must not rely on that.

#![forbid(unsafe_code)]

use std::fmt;

use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use super::time::Time;

/// What an id may be at most, in bytes.
const LONGEST: usize = 200;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id with this text; none if it is empty, longer than 200 bytes, or has anything in it but ASCII letters,
            /// digits, `_`, `-` and `~`.
            #[must_use]
            pub fn parse(text: &str) -> Option<$name> {
                let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'~');
                let right = !text.is_empty() && text.len() <= LONGEST && text.bytes().all(fine);
                right.then(|| $name(text.to_owned()))
            }

            /// Its text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// Names an endpoint: `ep_` and 26 characters.
    EndpointId
}
id! {
    /// Names a message, and is its `webhook-id`: `msg_` and 26 characters, or what the publisher gave it.
    MessageId
}
id! {
    /// Names a delivery: the message's id, `~`, and the endpoint's. So a delivery cannot be there twice.
    DeliveryId
}

impl EndpointId {
    /// A new one.
    #[must_use]
    pub fn random() -> EndpointId {
        EndpointId(random("ep_"))
    }
}

impl MessageId {
    /// A new one.
    #[must_use]
    pub fn random() -> MessageId {
        MessageId(random("msg_"))
    }
}

impl DeliveryId {
    /// The delivery of `message` to `endpoint`.
    #[must_use]
    pub fn of(message: &MessageId, endpoint: &EndpointId) -> DeliveryId {
        DeliveryId(format!("{message}~{endpoint}"))
    }
}

/// 48 bits of time and 80 of chance, in Crockford's base 32.
fn random(prefix: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut chance = [0; 16];
    // Without random bytes there is no secret and no id: nothing here can go on.
    SystemRandom::new().fill(&mut chance[6..]).expect("the system has no random bytes");
    chance[..6].copy_from_slice(&Time::now().as_millis().to_be_bytes()[2..]);
    let number = u128::from_be_bytes(chance);
    let digits = (0..26).rev().map(|at| char::from(DIGITS[(number >> (5 * at)) as usize & 31]));
    prefix.chars().chain(digits).collect()
}

#[cfg(test)]
mod tests {
    use super::{DeliveryId, EndpointId, MessageId};

    #[test]
    fn ids_sort_by_time_and_read_back() {
        let (first, endpoint) = (MessageId::random(), EndpointId::random());
        while MessageId::random().as_str()[..14] == first.as_str()[..14] {}
        assert!(first < MessageId::random());
        assert_eq!(MessageId::parse(first.as_str()).unwrap(), first);
        let delivery = DeliveryId::of(&first, &endpoint);
        assert_eq!(DeliveryId::parse(delivery.as_str()).unwrap(), delivery);
        assert_eq!(first.as_str().len(), 30);
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in ["", "a.b", "a b", "a/b", "é", "a\r\nb", &"x".repeat(201)] {
            assert_eq!(MessageId::parse(text), None, "{text:?}");
        }
    }
}
