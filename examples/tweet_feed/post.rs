//! One post, whatever feed it came from, and its one JSON form: tweefee's wire format plus `source`
//! and `url`. Text here is plain text, decoded once by the parser. How the feeds' own shapes become
//! a `Post` is in `parse.rs`; how it becomes an SSE frame is in `feed.rs`.

#![forbid(unsafe_code)]

use serde_json::{Value, json};

use crate::date;

/// A post as the feed keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Post {
    /// The feed's own id; unique within `source` only.
    pub(crate) id: String,
    /// Plain text. May hold anything, `<script>` included: it is shown, never interpreted.
    pub(crate) content: String,
    /// Milliseconds since 1970, UTC.
    pub(crate) date_ms: i64,
    /// Where it came from: `sim`, `x`, `mastodon`, `bluesky`, `file`, `api`.
    pub(crate) source: &'static str,
    /// The post's own page, or empty.
    pub(crate) url: String,
    pub(crate) user: User,
    /// Shortened links that occur in `content`, with what they stand for.
    pub(crate) urls: Vec<Link>,
}

/// Who wrote it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct User {
    /// Without the `@`.
    pub(crate) handle: String,
    pub(crate) full_name: String,
    pub(crate) avatar_url: String,
}

/// A link in the text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Link {
    /// As it occurs in `content`.
    pub(crate) url: String,
    pub(crate) display_url: String,
    pub(crate) expanded_url: String,
}

impl Post {
    /// The wire form. Feeds count entity positions in their escaped text, so the positions are found
    /// again here, in code points of the decoded text.
    pub(crate) fn to_json(&self) -> Value {
        let urls: Vec<Value> = self
            .urls
            .iter()
            .filter_map(|link| {
                let at = self.content.find(&link.url)?;
                Some(json!({
                    "url": link.url, "display_url": link.display_url,
                    "expanded_url": link.expanded_url,
                    "indices": indices(&self.content, at, link.url.len()),
                }))
            })
            .collect();
        let tags: Vec<Value> = words_after(&self.content, '#')
            .map(|(at, tag)| json!({"text": tag, "indices": indices(&self.content, at, tag.len() + 1)}))
            .collect();
        let mentions: Vec<Value> = words_after(&self.content, '@')
            .map(|(at, who)| json!({"screen_name": who, "indices": indices(&self.content, at, who.len() + 1)}))
            .collect();
        json!({
            "id": self.id,
            "content": self.content,
            "date": date::wire(self.date_ms),
            "source": self.source,
            "url": self.url,
            "entities": {"urls": urls, "hashtags": tags, "user_mentions": mentions},
            "user": {
                "handle": self.user.handle, "full_name": self.user.full_name,
                "avatar_url": self.user.avatar_url,
            },
        })
    }
}

fn indices(text: &str, at: usize, len: usize) -> [usize; 2] {
    let start = text[..at].chars().count();
    [start, start + text[at..at + len].chars().count()]
}

/// The words that follow `sign` where a word may begin: `#tea` but not the `#` in `a#b`.
/// Yields the byte offset of the sign and the word without it.
pub(crate) fn words_after(text: &str, sign: char) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices(sign).filter_map(move |(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '/' || c == '&') {
            return None;
        }
        let rest = &text[at + sign.len_utf8()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| (at, &rest[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wire_form() {
        let post = Post {
            id: "7".into(),
            content: "é <b> https://t.example/x by @ada #tea a#b".into(),
            date_ms: 1_446_122_923_000,
            source: "api",
            user: User { handle: "ada".into(), full_name: "Ada L.".into(), ..User::default() },
            urls: vec![
                Link { url: "https://t.example/x".into(), ..Link::default() },
                Link { url: "https://gone.example/".into(), ..Link::default() },
            ],
            ..Post::default()
        };
        let json = post.to_json();
        assert_eq!(json["date"], "2015-10-29T12:48:43");
        assert_eq!(json["content"], post.content);
        assert_eq!(json["entities"]["urls"].as_array().unwrap().len(), 1);
        assert_eq!(json["entities"]["urls"][0]["indices"], json!([6, 25]));
        assert_eq!(json["entities"]["hashtags"], json!([{"text": "tea", "indices": [34, 38]}]));
        assert_eq!(json["entities"]["user_mentions"][0]["screen_name"], "ada");
    }
}
