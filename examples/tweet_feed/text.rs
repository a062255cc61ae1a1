//! Turns the two kinds of marked-up text that arrive, entity-escaped (X) and HTML (Mastodon), into
//! plain text. This happens once, in the parsers; from there on text is text, and the page shows it
//! with `textContent`. It is not an HTML sanitiser: nothing that comes out is ever used as HTML.
//! Read `parse.rs` next.

#![forbid(unsafe_code)]

/// Decodes HTML character references, one level: `&amp;lt;` becomes `&lt;` and stays so.
///
/// What is not a known reference is left as it stands, as browsers do.
pub(crate) fn decode_entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        // The longest reference that we know is `&#x10FFFF;`, ten bytes.
        let end = rest.bytes().take(12).position(|b| b == b';');
        match end.and_then(|end| Some((end, reference(&rest[1..end])?))) {
            Some((end, c)) => {
                out.push(c);
                rest = &rest[end + 1..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

/// Escapes `&`, `<` and `>`, as X does in the `text` that it sends. Only the simulator needs it.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// The text of an HTML fragment: tags gone, `<br>` and paragraphs as line ends, references decoded.
pub(crate) fn strip_html(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut rest = html;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let Some(close) = rest.find('>') else {
            break; // a tag that never ends: nothing after it is text
        };
        let tag = rest[1..close].trim_end_matches('/').trim();
        let name = tag.split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        match name.as_str() {
            "br" => out.push('\n'),
            "/p" => out.push_str("\n\n"),
            _ => {}
        }
        rest = &rest[close + 1..];
    }
    if !rest.starts_with('<') {
        out.push_str(rest);
    }
    // Decoding comes last, so that an escaped `&lt;b&gt;` ends up as the text it stands for.
    decode_entities(out.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_only() {
        assert_eq!(decode_entities("a &amp;lt; b"), "a &lt; b");
        assert_eq!(decode_entities("&lt;b&gt; &amp; &quot;x&#39;&#x1F331;"), "<b> & \"x'🌱");
    }

    #[test]
    fn unknown_stays() {
        for text in
            ["AT&T", "&", "&;", "&bogus;", "&#xD800;", "&#99999999999;", "a&é;b", "&ééééééé;"]
        {
            assert_eq!(decode_entities(text), text);
        }
    }

    #[test]
    fn escape_and_back() {
        let text = "<img src=x onerror=alert(1)> & </script>";
        assert_eq!(decode_entities(&escape(text)), text);
        assert!(!escape(text).contains('<'));
    }

    #[test]
    fn html_to_text() {
        assert_eq!(
            strip_html("<p>green <b>threads</b><br/>&amp; tea</p><p>two &lt;b&gt;</p>"),
            "green threads\n& tea\n\ntwo <b>"
        );
        assert_eq!(strip_html("cut <a href="), "cut");
        assert_eq!(strip_html("plain"), "plain");
    }
}
