//! JSON from strangers, as a value: not nested so deeply that reading it needs more stack than a green thread has.

#![forbid(unsafe_code)]

use serde_json::Value;

use super::problem::Problem;

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

/// How many brackets are open at once. Of what is not JSON it says something, too.
pub(crate) fn depth(text: &[u8]) -> usize {
    let (mut open, mut most, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' if !quoted => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::{DEEPEST, depth, parse};

    #[test]
    fn depths() {
        for (text, deep) in [
            ("", 0),
            ("1", 0),
            ("[]", 1),
            (r#"[{"a":[1]},[]]"#, 3),
            (r#"["[[\"[["]"#, 1),
            (r#"["\\",[]]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth(text.as_bytes()), deep, "{text}");
        }
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(parse(nested(DEEPEST).as_bytes()).is_ok());
        assert!(parse(nested(DEEPEST + 1).as_bytes()).is_err());
    }
}
