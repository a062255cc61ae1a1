//! The simulator's second language: Mastodon's public streams over Server-Sent Events, said by the same
//! people. Enough for a reader; there is no WebSocket side and no posting.

#![forbid(unsafe_code)]

use std::sync::Arc;

use serde_json::json;
use sward::http::{Request, Response};

use super::people::AUTHORS;
use super::stream::{Dialect, begin};
use super::talk::Draft;
use super::{World, answer};
use crate::date;
use crate::post::words_after;
use crate::text::escape;

/// `GET /api/v1/streaming/public`.
pub(crate) fn public(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    open(world, req, None)
}

/// `GET /api/v1/streaming/hashtag?tag=`.
pub(crate) fn hashtag(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    match req.query::<String>("tag").ok().flatten() {
        Some(tag) if !tag.is_empty() => open(world, req, Some(tag.to_lowercase())),
        _ => answer(400, &json!({"error": "Missing tag name parameter"})),
    }
}

fn open(world: &Arc<World>, req: &mut Request<'_>, tag: Option<String>) -> Response {
    let refused = world.refuse(req).map(|_| {
        let why = if req.header("authorization").is_some() { "Invalid" } else { "Missing" };
        (401, answer(401, &json!({"error": format!("{why} access token")})))
    });
    let ordered = world.lock().faults.answers.pop_front();
    let refused =
        refused.or(ordered.map(|status| (status, answer(status, &json!({"error": "ordered"})))));
    match begin(world, refused, Dialect::Mastodon { tag }) {
        Err(response) => response,
        Ok(place) => Response::stream(move |out| place.pump(out, 0))
            .header("content-type", "text/event-stream")
            .header("cache-control", "no-store"),
    }
}

/// A status as an `update` event.
pub(super) fn encode(draft: &Draft, now: i64) -> String {
    let author = AUTHORS[draft.author];
    let id = draft.id.to_string();
    let status = json!({
        "id": id, "created_at": date::iso_ms(now), "content": html(draft),
        "url": format!("https://meadow.example/@{}/{id}", author.1),
        "visibility": "public", "language": draft.lang, "sensitive": false, "spoiler_text": "",
        "reblog": null, "media_attachments": [], "mentions": [], "tags": [],
        "account": {
            "id": author.0.to_string(), "username": author.1, "acct": author.1,
            "display_name": author.2, "url": format!("https://meadow.example/@{}", author.1),
            "avatar": format!("https://images.example/{}.png", author.1),
        },
    });
    format!("event: update\ndata: {status}\n\n")
}

/// Whether the post has this hashtag.
pub(super) fn tagged(draft: &Draft, tag: &str) -> bool {
    words_after(&draft.text.to_lowercase(), '#').any(|(_, word)| word == tag)
}

/// Mastodon writes links out, wraps tags, and sends HTML.
fn html(draft: &Draft) -> String {
    let text = match &draft.url {
        Some((short, _, long)) => draft.text.replace(short.as_str(), long),
        None => draft.text.clone(),
    };
    let mut out = String::from("<p>");
    let mut done = 0;
    for (at, word) in words_after(&text, '#') {
        out.push_str(&escape(&text[done..at]));
        out.push_str(&format!(
            "<a href=\"https://meadow.example/tags/{word}\" class=\"mention hashtag\" rel=\"tag\">#<span>{word}</span></a>"
        ));
        done = at + 1 + word.len();
    }
    out.push_str(&escape(&text[done..]));
    out + "</p>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;
    use crate::sim::talk::Talk;

    #[test]
    fn our_parser_reads_it() {
        let mut talk = Talk::new(3);
        for _ in 0..500 {
            let draft = talk.next();
            let event = encode(&draft, 1_767_261_600_250);
            let data = event.trim_end().strip_prefix("event: update\ndata: ").unwrap();
            let post = parse::mastodon(&serde_json::from_str(data).unwrap(), "mastodon").unwrap();
            if draft.url.is_none() {
                assert_eq!(post.content, draft.text);
            }
            assert_eq!(post.user.full_name, AUTHORS[draft.author].2);
        }
    }
}
