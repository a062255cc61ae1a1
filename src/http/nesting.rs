//! How deeply JSON is nested, before it is parsed. A parser goes one call deeper with every bracket, and a stack ends: in code
//! that is not optimised serde_json takes up to 2.5 KB a level and stops at 128 levels, which is more than a green thread's
//! stack; optimised, a quarter of that.

#![forbid(unsafe_code)]

/// What a request's body may have. 160 KB of the 256 KB of a stack, at worst.
pub(crate) const DEEPEST: usize = 64;

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
    use super::depth;

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
    }
}
