//! As much of Rust's grammar as the house rules need: words, paths and inline modules, on text whose comments and
//! strings are blanked out.

/// The text with comments, strings and character literals blanked out, byte for byte.
pub(crate) fn code_of(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut blank = |from: usize, to: usize| {
        for byte in &mut out[from..to.min(bytes.len())] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    let find = |from: usize, what: &str| {
        text[from..].find(what).map_or(bytes.len(), |at| from + at + what.len())
    };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            find(at, "\n")
        } else if rest.starts_with(b"/*") {
            let (mut depth, mut i) = (0, at);
            loop {
                if bytes[i..].starts_with(b"/*") {
                    (depth, i) = (depth + 1, i + 2);
                } else if bytes[i..].starts_with(b"*/") {
                    (depth, i) = (depth - 1, i + 2);
                } else {
                    i += 1;
                }
                if depth == 0 || i >= bytes.len() {
                    break i;
                }
            }
        } else if let Some(hashes) = raw_string(rest).filter(|_| at == 0 || !is_word(bytes[at - 1]))
        {
            let start = at + rest.iter().position(|b| *b == b'"').unwrap() + 1;
            find(start, &format!("\"{}", "#".repeat(hashes)))
        } else if rest[0] == b'"' {
            let mut i = at + 1;
            while i < bytes.len() && bytes[i] != b'"' {
                i += if bytes[i] == b'\\' { 2 } else { 1 };
            }
            i + 1
        } else if rest[0] == b'\'' && rest.get(1) == Some(&b'\\') {
            at + 3 + rest[3..].iter().position(|b| *b == b'\'').unwrap_or(0) + 1
        } else if rest[0] == b'\'' && text[at + 1..].chars().nth(1) == Some('\'') {
            find(at + 1, "'")
        } else {
            at += 1;
            continue;
        };
        blank(at, end);
        at = end;
    }
    String::from_utf8(out).expect("only whole literals are blanked out")
}

/// How many hashes the raw string has that begins here, if one does.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|b| **b == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// Identifiers and keywords, with their places.
pub(crate) fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = code.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() && !is_word(bytes[at]) {
            at += 1;
        }
        let start = at;
        while at < bytes.len() && is_word(bytes[at]) {
            at += 1;
        }
        (start < at).then(|| (start, &code[start..at]))
    })
}

/// What stands after the `::` at the end of the word at `at`, if there is one.
fn after_path_separator(code: &str, at: usize, word: &str) -> Option<String> {
    let rest = code[at + word.len()..].trim_start().strip_prefix("::")?;
    Some(rest.trim_start().to_owned())
}

/// The names that follow `crate::`, those in the outermost braces of `crate::{...}` included.
pub(crate) fn crate_names(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, word) in words(code) {
        if word != "crate" {
            continue;
        }
        let Some(rest) = after_path_separator(code, at, word) else {
            continue;
        };
        let Some(group) = rest.strip_prefix('{') else {
            names.extend(
                words(&rest).next().filter(|(at, _)| *at == 0).map(|(_, name)| name.to_owned()),
            );
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                c if depth == 0 && fresh && is_word(c as u8) => {
                    names.extend(words(&group[i..]).next().map(|(_, name)| name.to_owned()));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    names
}

/// The names of `mod name;` and `mod name {`.
pub(crate) fn declared_modules(code: &str) -> Vec<String> {
    let all: Vec<_> = words(code).collect();
    all.windows(2).filter(|pair| pair[0].1 == "mod").map(|pair| pair[1].1.to_owned()).collect()
}

/// Whether `code` names the crate at the head of a path or in a `use`.
pub(crate) fn names_crate(code: &str, name: &str) -> bool {
    words(code).any(|(at, word)| {
        let before = code[..at].trim_end();
        let head = !before.ends_with("::")
            || before.trim_end_matches("::").ends_with([' ', '(', '<', '{', ';', '\n']);
        let used = before.ends_with("use") && code[at + word.len()..].trim_start().starts_with(';');
        word == name && head && (used || after_path_separator(code, at, word).is_some())
    })
}

/// Whether some `super::super::...` reaches the crate's root. Inline modules are counted by their braces.
pub(crate) fn climbs_out(path: &str, code: &str) -> bool {
    let depth_of_file = path.trim_end_matches("/mod.rs").split('/').count();
    let mut inline: Vec<usize> = Vec::new(); // the brace depth at which each inline module ends
    let mut braces = 0;
    let mut supers = 0;
    let mut module = false;
    let mut last_end = 0;
    for (at, word) in words(code) {
        let between = &code[last_end..at];
        for c in between.chars() {
            match c {
                '{' => {
                    if std::mem::take(&mut module) {
                        inline.push(braces);
                    }
                    braces += 1;
                }
                '}' => {
                    braces -= 1;
                    if inline.last() == Some(&braces) {
                        inline.pop();
                    }
                }
                ';' => module = false,
                _ => {}
            }
        }
        supers = match word {
            "super" if between.trim() == "::" && supers > 0 => supers + 1,
            "super" => 1,
            _ => 0,
        };
        module |= word == "mod";
        last_end = at + word.len();
        let path_goes_on = after_path_separator(code, at, word).is_some();
        if supers > 0 && path_goes_on && supers >= depth_of_file + inline.len() {
            return true;
        }
    }
    false
}
