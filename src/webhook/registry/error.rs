//! [`Error`]: why the registry refused or could not.

#![forbid(unsafe_code)]

use std::fmt;

use crate::webhook::store::StoreError;

/// Why a call of the registry did nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// What was given cannot be used.
    Invalid {
        /// What it was about: `url`, `keys`, `data`.
        field: &'static str,
        /// What is wrong with it, for people.
        why: String,
    },
    /// The body is longer than a message may be.
    TooLarge {
        /// How long it may be, in bytes.
        limit: usize,
    },
    /// There is no such endpoint, message or delivery.
    NotFound,
    /// It is there, but not in a state for this; or somebody else changed it at the same moment. For people.
    Conflict(String),
    /// The store failed. The call may be made again.
    Store(StoreError),
}

impl Error {
    pub(super) fn invalid(field: &'static str, why: impl Into<String>) -> Error {
        Error::Invalid { field, why: why.into() }
    }

    pub(super) fn conflict(why: impl Into<String>) -> Error {
        Error::Conflict(why.into())
    }

    /// The status that an HTTP answer about this has: 422, 413, 404, 409, 503.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Error::Invalid { .. } => 422,
            Error::TooLarge { .. } => 413,
            Error::NotFound => 404,
            Error::Conflict(_) => 409,
            Error::Store(_) => 503,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Invalid { field, why } => write!(f, "{field}: {why}"),
            Error::TooLarge { limit } => write!(f, "the body is longer than {limit} bytes"),
            Error::NotFound => f.write_str("not found"),
            Error::Conflict(why) => f.write_str(why),
            Error::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Store(error) => Some(error),
            _ => None,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Error {
        Error::Store(error)
    }
}
