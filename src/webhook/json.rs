//! JSON from strangers, as a value: not nested so deeply that reading it needs more stack than a green thread has.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::problem::Problem;
pub(crate) use crate::http::nesting::depth;

/// serde_json goes to 128, which is most of a small stack in code that is not optimised. Nobody means more than this.
pub(crate) const DEEPEST: usize = 32;

/// The value.
pub(crate) fn parse(text: &[u8]) -> Result<Value, Problem> {
    if depth(text) > DEEPEST {
        return Err(Problem::malformed(format!("the body is nested deeper than {DEEPEST}")));
    }
    serde_json::from_slice(text)
        .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, parse};

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        assert!(parse(nested(DEEPEST + 1).as_bytes()).is_err());
    }
}
