//! [`open`]: a store by its URL, for options on a command line.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::{MemoryStore, Result, SqliteStore, Store, StoreError};

/// Opens the store that `url` names:
///
/// - `memory`: a [`MemoryStore`];
/// - `sqlite:PATH`: a [`SqliteStore`] in this file;
/// - `redis:URL`: a `RedisStore`, with the feature `redis`; `redis://host:port/0` and `unix:///path` are themselves such URLs;
/// - `mongodb:URL`: a `MongoStore`, with the feature `mongodb`; `mongodb://host:port/database` is itself such a URL.
///
/// # Errors
/// If it is none of these, if the feature was not compiled in, and those of the store's own `open`.
///
/// ```
/// use sward::webhook::store;
///
/// assert!(store::open("memory").is_ok());
/// let error = store::open("postgres://localhost").unwrap_err();
/// assert!(error.to_string().contains("sqlite:PATH"));
/// ```
pub fn open(url: &str) -> Result<Arc<dyn Store>> {
    let (kind, rest) = url.split_once(':').unwrap_or((url, ""));
    // `redis://host` is a URL as it is; in `redis:redis://host` it is what follows.
    let within = if rest.starts_with("//") { url } else { rest };
    match kind {
        "memory" if rest.is_empty() => Ok(Arc::new(MemoryStore::new())),
        "sqlite" if !rest.is_empty() => Ok(Arc::new(SqliteStore::open(rest)?)),
        "redis" | "unix" if !rest.is_empty() => redis(within),
        "mongodb" if !rest.is_empty() => mongodb(within),
        _ => Err(StoreError::new(
            "opening",
            format!("`{kind}` is no store: say sqlite:PATH, redis:URL, mongodb:URL or memory"),
        )),
    }
}

#[cfg(feature = "redis")]
fn redis(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::RedisStore::open(url)?))
}

#[cfg(feature = "mongodb")]
fn mongodb(url: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(super::MongoStore::open(url)?))
}

#[cfg(not(feature = "redis"))]
fn redis(_: &str) -> Result<Arc<dyn Store>> {
    Err(StoreError::new("opening Redis", "sward was compiled without its feature `redis`"))
}

#[cfg(not(feature = "mongodb"))]
fn mongodb(_: &str) -> Result<Arc<dyn Store>> {
    Err(StoreError::new("opening MongoDB", "sward was compiled without its feature `mongodb`"))
}

#[cfg(test)]
mod tests {
    use super::open;

    #[test]
    fn what_is_no_store_is_refused() {
        for url in ["", "memory:x", "sqlite", "sqlite:", "redis", "mongodb:", "file:x", "redis:x y"]
        {
            let error = open(url).unwrap_err().to_string();
            assert!(error.contains("opening") || error.contains("Redis"), "{url}: {error}");
        }
        #[cfg(not(feature = "redis"))]
        assert!(
            open("redis://h/").unwrap_err().to_string().contains("without its feature `redis`")
        );
        #[cfg(not(feature = "mongodb"))]
        assert!(open("mongodb://h/").unwrap_err().to_string().contains("feature `mongodb`"));
    }
}
