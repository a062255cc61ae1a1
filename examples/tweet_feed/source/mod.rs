//! Where posts come from: one file per kind of upstream. `x.rs` is also the client of the built-in
//! simulator, which speaks the same protocol.

#![forbid(unsafe_code)]

pub(crate) mod bluesky;
pub(crate) mod file;
pub(crate) mod mastodon;
pub(crate) mod x;

use ureq::http::Response;

use crate::backoff::Failure;
use crate::post::Post;

/// Whether a post is about what `track`, in lower case, asks for. Several phrases: any of them; several words in one: all of
/// them. Nothing asked for: everything.
fn wanted(track: &[String], post: &Post) -> bool {
    let text = post.content.to_lowercase();
    let all = |phrase: &String| phrase.split_whitespace().all(|word| text.contains(word));
    track.is_empty() || track.iter().any(all)
}

/// What a client that got no answer at all reports.
fn unanswered(error: ureq::Error) -> Failure {
    match error {
        ureq::Error::Timeout(_) => Failure::Stall,
        error => Failure::Network(error.to_string()),
    }
}

/// Turns an answer other than 2xx into a failure with the first lines of what it said.
fn refused(mut response: Response<ureq::Body>) -> Failure {
    let code = response.status().as_u16();
    let said = response.body_mut().with_config().limit(4096).lossy_utf8(true).read_to_string();
    let said = said.unwrap_or_default();
    let json: serde_json::Value = serde_json::from_str(&said).unwrap_or_default();
    let words = ["detail", "title", "error"].iter().find_map(|key| json[*key].as_str());
    Failure::Http(code, words.unwrap_or(&said).chars().take(200).collect())
}
