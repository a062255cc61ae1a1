//! From the path of a request to a path below the root, or to nothing. Bytes only: what the file system makes of it is
//! `open.rs`'s business, and the kernel holds it below the root once more.

#![forbid(unsafe_code)]

/// What a request's path names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Relative, decoded, without `.`, `..`, empty parts and a slash at its end. Empty: the root itself.
    pub(super) path: Vec<u8>,
    /// The request's path ended with a slash, so it means a folder.
    pub(super) folder: bool,
}

/// Longer ones are not looked for; the kernel would not either.
const LONGEST: usize = 4096;

/// The part of a site whose name begins with a dot and which is there to be served (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

/// Decodes `path`, which begins with a slash and is still percent-encoded. `None` if it can name nothing here.
pub(super) fn parse(path: &str, dotfiles: bool) -> Option<Name> {
    let path = path.strip_prefix('/')?;
    if path.len() > LONGEST {
        return None;
    }
    let mut name = Name { path: Vec::with_capacity(path.len()), folder: false };
    if path.is_empty() {
        return Some(Name { folder: true, ..name });
    }
    for part in path.split('/') {
        // An empty part but the last is refused too: `//host/` as a Location would lead to another site.
        if name.folder {
            return None;
        }
        if part.is_empty() {
            name.folder = true;
            continue;
        }
        if !name.path.is_empty() {
            name.path.push(b'/');
        }
        let start = name.path.len();
        decode(part, &mut name.path)?;
        let part = &name.path[start..];
        let hidden = part.starts_with(b".")
            && !(start == 0 && part == WELL_KNOWN)
            && (!dotfiles || matches!(part, b"." | b".."));
        // The slash, because it was hidden as %2F; the backslash, because other systems separate by it.
        if hidden || part.iter().any(|b| b"/\\\0".contains(b)) {
            return None;
        }
    }
    // The first part was empty: `//`.
    if name.path.is_empty() { None } else { Some(name) }
}

/// Appends `part` without its percent-encoding. `None` if that is malformed: then nobody meant a file by it.
fn decode(part: &str, into: &mut Vec<u8>) -> Option<()> {
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        into.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            byte => byte,
        });
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (path, name, folder) in [
            ("/", "", true),
            ("/a", "a", false),
            ("/a/", "a", true),
            ("/a/b.txt", "a/b.txt", false),
            ("/a%20b/%C3%A9", "a b/é", false),
            ("/%61", "a", false),
            ("/a+b", "a+b", false),
            ("/...", "...", false),
            ("/.well-known/x", ".well-known/x", false),
            ("/a:b;c=d", "a:b;c=d", false),
        ] {
            let got = parse(path, path == "/...").unwrap_or_else(|| panic!("{path}"));
            assert_eq!(got, Name { path: name.into(), folder }, "{path}");
        }
    }

    #[test]
    fn nothing() {
        for path in [
            "",
            "a",
            "*",
            "//",
            "///",
            "//a",
            "/a//b",
            "/a//",
            "/.",
            "/..",
            "/../a",
            "/a/..",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e/a",
            "/a%2fb",
            "/a%2Fb",
            "/..%2fa",
            "/a%5cb",
            "/a\\b",
            "/..\\a",
            "/a%00",
            "/%00",
            "/%",
            "/%4",
            "/%zz",
            "/a%",
            "/%+1a",
            "/%c0%ae/a\0",
        ] {
            assert_eq!(parse(path, true), None, "{path}");
            assert_eq!(parse(path, false), None, "{path}");
        }
        assert_eq!(parse(&format!("/{}", "a".repeat(LONGEST + 1)), true), None);
    }

    #[test]
    fn dotfiles() {
        for path in ["/.git/config", "/a/.htaccess", "/%2egit", "/a/.well-known/x", "/.x/"] {
            assert_eq!(parse(path, false), None, "{path}");
            assert!(parse(path, true).is_some(), "{path}");
        }
    }
}
