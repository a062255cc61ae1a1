//! From what the feeds send to a [`Post`]: X's v1.1 and v2 shapes, Mastodon's statuses, Bluesky's messages, tweefee's
//! wire format. Unknown fields and unknown messages are normal and give `None`, never an error.
//! Not a stream reader: it takes one JSON value at a time. `source/` holds the readers.

#![forbid(unsafe_code)]

use serde_json::Value;

use crate::date;
use crate::post::{Link, Post, User};
use crate::text::{decode_entities, strip_html};

/// Guesses the shape by the keys that are there, as every client of these streams has to.
pub(crate) fn any(value: &Value, source: &'static str) -> Option<Post> {
    if value["data"].is_object() {
        x_v2(value, source)
    } else if value.get("account").is_some() {
        mastodon(value, source)
    } else if value["user"].get("screen_name").is_some() {
        x_v1(value, source)
    } else {
        wire(value, source)
    }
}

/// X's v2 filtered stream: `{"data": {...}, "includes": {"users": [...]}, "matching_rules": [...]}`.
pub(crate) fn x_v2(value: &Value, source: &'static str) -> Option<Post> {
    let data = &value["data"];
    let author = text(&data["author_id"]);
    let users = value["includes"]["users"].as_array();
    let user = users.and_then(|users| users.iter().find(|u| text(&u["id"]) == author));
    let handle = user.map_or_else(|| author.clone(), |u| text(&u["username"]));
    let id = some_text(&data["id"])?;
    Some(Post {
        content: decode_entities(data["text"].as_str()?),
        date_ms: date(&data["created_at"]),
        source,
        url: x_url(source, &handle, &id),
        user: User {
            full_name: user.map_or_else(|| handle.clone(), |u| decode_entities(&text(&u["name"]))),
            avatar_url: user.map_or_else(String::new, |u| text(&u["profile_image_url"])),
            handle,
        },
        urls: links(&data["entities"]["urls"]),
        id,
    })
}

/// X's v1.1 status. `extended_tweet`, where present, has the text that was not cut at 140.
pub(crate) fn x_v1(value: &Value, source: &'static str) -> Option<Post> {
    let full = &value["extended_tweet"];
    let content = full["full_text"]
        .as_str()
        .or_else(|| value["full_text"].as_str())
        .or_else(|| value["text"].as_str())?;
    let entities = if full.is_object() { &full["entities"] } else { &value["entities"] };
    let user = &value["user"];
    let handle = some_text(&user["screen_name"])?;
    let id = some_text(&value["id_str"]).or_else(|| some_text(&value["id"]))?;
    Some(Post {
        content: decode_entities(content),
        date_ms: date(&value["created_at"]),
        source,
        url: x_url(source, &handle, &id),
        user: User {
            full_name: decode_entities(&text(&user["name"])),
            avatar_url: text(&user["profile_image_url"]),
            handle,
        },
        urls: links(&entities["urls"]),
        id,
    })
}

/// A Mastodon status. Its `content` is HTML; a boost shows what was boosted.
pub(crate) fn mastodon(value: &Value, source: &'static str) -> Option<Post> {
    let status = if value["reblog"].is_object() { &value["reblog"] } else { value };
    let account = &status["account"];
    let handle = some_text(&account["acct"]).or_else(|| some_text(&account["username"]))?;
    let full_name = some_text(&account["display_name"]).unwrap_or_else(|| handle.clone());
    let mut content = strip_html(status["content"].as_str()?);
    if let Some(warning) = some_text(&status["spoiler_text"]) {
        content = format!("{warning}\n\n{content}");
    }
    Some(Post {
        id: some_text(&value["id"])?,
        content,
        date_ms: date(&status["created_at"]),
        source,
        url: text(&status["url"]),
        user: User { full_name, avatar_url: text(&account["avatar"]), handle },
        urls: Vec::new(), // Mastodon writes links out in full, so the page finds them itself
    })
}

/// Where Bluesky keeps posts.
pub(crate) const POSTS: &str = "app.bsky.feed.post";

/// A new post in a message of Bluesky's Jetstream. Its text is plain. Links show shortened in it, and `facets` say, counted
/// in bytes, where they are and where they lead: here the address takes the place of what is shown, as with X.
pub(crate) fn jetstream(value: &Value, handle: Option<&str>) -> Option<Post> {
    let commit = &value["commit"];
    if commit["operation"] != "create" || commit["collection"] != POSTS {
        return None;
    }
    let did = some_text(&value["did"])?;
    let rkey = some_text(&commit["rkey"])?;
    let record = &commit["record"];
    let shown = record["text"].as_str()?;
    let mut found: Vec<(usize, usize, &str)> = record["facets"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter_map(|facet| {
            let at = |key: &str| usize::try_from(facet["index"][key].as_u64()?).ok();
            let link = facet["features"].as_array()?.iter().find_map(|f| f["uri"].as_str())?;
            let (start, end) = (at("byteStart")?, at("byteEnd")?);
            shown.get(start..end).filter(|text| !text.is_empty())?;
            Some((start, end, link))
        })
        .collect();
    found.sort_unstable();
    let (mut content, mut urls, mut done) = (String::new(), Vec::new(), 0);
    for (start, end, link) in found {
        if start >= done {
            content += &shown[done..start];
            content += link;
            let (url, expanded_url) = (link.to_owned(), link.to_owned());
            urls.push(Link { url, expanded_url, display_url: shown[start..end].to_owned() });
            done = end;
        }
    }
    content += &shown[done..];
    let handle = handle.unwrap_or(&did).to_owned();
    Some(Post {
        id: format!("{did}/{rkey}"),
        content,
        date_ms: date(&record["createdAt"]),
        source: "bluesky",
        url: format!("https://bsky.app/profile/{did}/post/{rkey}"),
        // Who this is beyond the name would be another request for each.
        user: User { full_name: handle.clone(), avatar_url: String::new(), handle },
        urls,
    })
}

/// Tweefee's wire format, which is also what we send. By its rule `content` comes escaped.
pub(crate) fn wire(value: &Value, source: &'static str) -> Option<Post> {
    let user = &value["user"];
    let handle = some_text(&user["handle"])?;
    let id = some_text(&value["id"])?;
    let url = some_text(&value["url"]).unwrap_or_else(|| x_url("x", &handle, &id));
    Some(Post {
        content: decode_entities(value["content"].as_str()?),
        date_ms: date(&value["date"]),
        source,
        url,
        user: User {
            full_name: some_text(&user["full_name"]).unwrap_or_else(|| handle.clone()),
            avatar_url: text(&user["avatar_url"]),
            handle,
        },
        urls: links(&value["entities"]["urls"]),
        id,
    })
}

/// A simulated post has no page of its own, and must not lead to a stranger's.
fn x_url(source: &str, handle: &str, id: &str) -> String {
    if source == "sim" { String::new() } else { format!("https://x.com/{handle}/status/{id}") }
}

fn links(urls: &Value) -> Vec<Link> {
    let urls = urls.as_array().map_or(&[][..], Vec::as_slice);
    urls.iter()
        .filter_map(|entity| {
            let url = some_text(&entity["url"])?;
            let expanded_url = some_text(&entity["expanded_url"]).unwrap_or_else(|| url.clone());
            let display_url = some_text(&entity["display_url"]).unwrap_or_else(|| url.clone());
            Some(Link { url, display_url, expanded_url })
        })
        .collect()
}

fn date(value: &Value) -> i64 {
    value.as_str().and_then(date::parse).unwrap_or_else(date::now_ms)
}

/// A string, or a number written as one: ids come as both.
fn text(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    }
}

fn some_text(value: &Value) -> Option<String> {
    Some(text(value)).filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(line: &str) -> Option<Post> {
        any(&serde_json::from_str(line).unwrap(), "file")
    }

    #[test]
    fn x_v2_shape() {
        let post = parsed(
            r#"{"data":{"id":"501","text":"tea &lt;3 &amp;amp; https://t.co/a","author_id":"9",
            "created_at":"2026-01-01T10:00:00.000Z","entities":{"urls":[{"start":8,"end":20,
            "url":"https://t.co/a","expanded_url":"https://ex.am/p","display_url":"ex.am/p"}]}},
            "includes":{"users":[{"id":"8","username":"bob"},{"id":"9","username":"ada","name":"Ada &amp; co"}]},
            "matching_rules":[{"id":"77","tag":"g"}]}"#,
        )
        .unwrap();
        assert_eq!(post.content, "tea <3 &amp; https://t.co/a");
        assert_eq!((post.user.handle.as_str(), post.user.full_name.as_str()), ("ada", "Ada & co"));
        assert_eq!(post.date_ms, 1_767_261_600_000);
        assert_eq!(post.urls[0].display_url, "ex.am/p");
        assert_eq!(post.url, "https://x.com/ada/status/501");
    }

    #[test]
    fn x_v1_shape() {
        let post = parsed(
            r#"{"created_at":"Wed Feb 29 19:42:02 +0000 2012","id":101,"id_str":"101","text":"cut…",
            "extended_tweet":{"full_text":"the whole &gt; text","entities":{"urls":[]}},
            "user":{"id":1,"screen_name":"ada","name":"Ada"}}"#,
        )
        .unwrap();
        assert_eq!(post.content, "the whole > text");
        assert_eq!(post.id, "101");
    }

    #[test]
    fn mastodon_shape() {
        let post = parsed(
            r#"{"id":"9001","created_at":"2026-01-01T10:00:00.000Z","content":"<p>green &lt;i&gt;</p>",
            "url":"https://m.ex/@ada/9001","reblog":null,
            "account":{"username":"ada","acct":"ada@m.ex","display_name":""}}"#,
        )
        .unwrap();
        assert_eq!(post.content, "green <i>");
        assert_eq!(post.user.full_name, "ada@m.ex");
    }

    #[test]
    fn jetstream_shape() {
        let message = |operation: &str, facets: Value| {
            json!({"did": "did:plc:abc", "time_us": 1_767_261_600_000_000_i64, "kind": "commit", "commit": {
                "rev": "3k", "operation": operation, "collection": "app.bsky.feed.post", "rkey": "3kx",
                "record": {"$type": "app.bsky.feed.post", "text": "thé <b> ex.am/p… &amp; ex.am", "langs": ["en"],
                    "createdAt": "2026-01-01T10:00:00.000Z", "facets": facets}, "cid": "bafy"}})
        };
        let link = |start: usize, end: usize, uri: &str| {
            json!({"index": {"byteStart": start, "byteEnd": end},
                "features": [{"$type": "app.bsky.richtext.facet#link", "uri": uri}]})
        };
        let facets = json!([
            link(26, 31, "https://ex.am/"),
            link(9, 19, "https://ex.am/path?q"),
            link(10, 12, "https://over.lap/"),
            link(3, 5, "https://half.of/é"),
            link(9, 900, "https://too.far/"),
            link(4, 4, "https://empty/"),
            {"index": {}, "features": [{"tag": "tea"}]},
            7
        ]);
        let post = jetstream(&message("create", facets), Some("ada.example")).unwrap();
        assert_eq!(post.content, "thé <b> https://ex.am/path?q &amp; https://ex.am/");
        assert_eq!(
            post.urls.iter().map(|u| &*u.display_url).collect::<Vec<_>>(),
            ["ex.am/p…", "ex.am"]
        );
        assert_eq!(
            (post.id.as_str(), post.user.handle.as_str()),
            ("did:plc:abc/3kx", "ada.example")
        );
        assert_eq!(post.url, "https://bsky.app/profile/did:plc:abc/post/3kx");
        assert_eq!(post.date_ms, 1_767_261_600_000);
        assert_eq!(
            jetstream(&message("create", json!(null)), None).unwrap().user.handle,
            "did:plc:abc"
        );
        assert_eq!(jetstream(&message("update", json!([])), None), None);
        assert_eq!(jetstream(&message("delete", json!([])), None), None);
        let mut like = message("create", json!([]));
        like["commit"]["collection"] = json!("app.bsky.feed.like");
        assert_eq!(jetstream(&like, None), None);
    }

    #[test]
    fn wire_round_trip() {
        let mut post = parsed(
            r#"{"content":"a &lt;b&gt;","date":"2015-10-29T12:48:43","id":"65","entities":{"urls":[]},
            "user":{"handle":"ada","full_name":"Ada L.","avatar_url":"http://x/a.png"}}"#,
        )
        .unwrap();
        assert_eq!(post.content, "a <b>");
        post.content = "no markup".into(); // else the second decoding could tell
        assert_eq!(wire(&post.to_json(), "file").unwrap(), post);
    }

    #[test]
    fn other_messages_are_none() {
        for value in [
            json!({"limit": {"track": 12}}),
            json!({"delete": {"status": {"id": 1}}}),
            json!({"errors": [{"title": "operational-disconnect"}]}),
            json!({"data": {"id": "1"}}),
            json!([1, 2]),
            json!(null),
            json!("text"),
        ] {
            assert_eq!(any(&value, "x"), None, "{value}");
        }
    }
}
