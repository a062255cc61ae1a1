//! The page that lists what is in a folder. Text only.

#![forbid(unsafe_code)]

use std::fmt::Write;

/// The page for the folder at `path`, as the request had it; `names` in any order, folders marked.
pub(super) fn page(path: &str, mut names: Vec<(Vec<u8>, bool)>, is_root: bool) -> String {
    names.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut page = String::with_capacity(256 + names.len() * 64);
    page.push_str("<!doctype html>\n<meta charset=\"utf-8\">\n<title>");
    escape(&mut page, path.as_bytes());
    page.push_str("</title>\n<h1>");
    escape(&mut page, path.as_bytes());
    page.push_str("</h1>\n<ul>\n");
    if !is_root {
        page.push_str("<li><a href=\"../\">../</a>\n");
    }
    for (name, is_folder) in &names {
        let slash = if *is_folder { "/" } else { "" };
        // The `./` keeps a name with a colon from being taken for a scheme.
        page.push_str("<li><a href=\"./");
        encode(&mut page, name);
        page.push_str(slash);
        page.push_str("\">");
        escape(&mut page, name);
        page.push_str(slash);
        page.push_str("</a>\n");
    }
    page.push_str("</ul>\n");
    page
}

/// What stands for itself in a part of a URL's path; everything else is percent-encoded.
fn encode(page: &mut String, name: &[u8]) {
    for &byte in name {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            page.push(char::from(byte));
        } else {
            // OK to ignore: a String takes everything.
            let _ = write!(page, "%{byte:02X}");
        }
    }
}

fn escape(page: &mut String, text: &[u8]) {
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '&' => page.push_str("&amp;"),
            '<' => page.push_str("&lt;"),
            '>' => page.push_str("&gt;"),
            '"' => page.push_str("&quot;"),
            '\'' => page.push_str("&#39;"),
            c => page.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped() {
        let names = vec![
            (b"b<script>\"&'.txt".to_vec(), false),
            (b"javascript:x".to_vec(), false),
            (b"\xff".to_vec(), false),
            (b"z".to_vec(), true),
        ];
        let page = page("/a<b/", names, false);
        let items: Vec<&str> = page.lines().filter(|line| line.starts_with("<li>")).collect();
        assert_eq!(
            items,
            [
                "<li><a href=\"../\">../</a>",
                "<li><a href=\"./z/\">z/</a>",
                "<li><a href=\"./b%3Cscript%3E%22%26%27.txt\">b&lt;script&gt;&quot;&amp;&#39;.txt</a>",
                "<li><a href=\"./javascript%3Ax\">javascript:x</a>",
                "<li><a href=\"./%FF\">\u{fffd}</a>",
            ]
        );
        assert!(page.contains("<h1>/a&lt;b/</h1>"));
    }

    #[test]
    fn nothing_above_the_root() {
        assert!(!page("/", vec![], true).contains("../"));
    }
}
