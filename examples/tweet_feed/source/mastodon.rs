//! Mastodon's public stream over Server-Sent Events. The decoder takes lines, so it needs no socket to
//! be tested. WebSocket, which Mastodon offers too, is not needed for reading.

#![forbid(unsafe_code)]

use std::io::Read;

use ureq::Agent;

use crate::backoff::{Failure, Policy};
use crate::client;
use crate::parse;
use crate::post::Post;
use crate::reader::Upstream;
use crate::source::{refused, unanswered, wanted};

#[derive(Debug)]
pub(crate) struct Mastodon {
    agent: Agent,
    url: String,
    token: String,
    track: Vec<String>,
    event: String,
    data: String,
}

impl Mastodon {
    /// `host` is a bare name, or a whole `http://` address for tests. One `--track` word becomes a
    /// hashtag stream; several are looked for in the public one.
    pub(crate) fn new(host: &str, token: &str, track: &[String], policy: Policy) -> Mastodon {
        let base = if host.contains("://") { host.to_owned() } else { format!("https://{host}") };
        let base = base.trim_end_matches('/');
        let url = match track {
            [tag] if !tag.contains(' ') => {
                format!("{base}/api/v1/streaming/hashtag?tag={}", tag.trim_start_matches('#'))
            }
            _ => format!("{base}/api/v1/streaming/public"),
        };
        let track = if track.len() == 1 && url.contains("/hashtag?") { &[][..] } else { track };
        Mastodon {
            agent: client::agent(policy.stall),
            url,
            token: format!("Bearer {token}"),
            track: track.iter().map(|t| t.to_lowercase()).collect(),
            event: String::new(),
            data: String::new(),
        }
    }
}

impl Upstream for Mastodon {
    fn connect(&mut self) -> Result<Box<dyn Read>, Failure> {
        self.event.clear();
        self.data.clear();
        let request = self.agent.get(&self.url).header("authorization", &self.token);
        let response = request.header("accept", "text/event-stream").call().map_err(unanswered)?;
        if response.status() == 200 {
            Ok(Box::new(response.into_body().into_reader()))
        } else {
            Err(refused(response))
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Post>, String> {
        if line.is_empty() {
            let (event, data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
            if event != "update" {
                return Ok(None); // deletes, edits, filters: not for a page that only shows what is new
            }
            let value = serde_json::from_str(&data).map_err(|e| format!("bad status: {e}"))?;
            return Ok(parse::mastodon(&value, "mastodon").filter(|post| wanted(&self.track, post)));
        }
        // A line that begins with a colon is a comment, which is what the heartbeat is.
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = value.to_owned(),
            "data" => self.data.push_str(value),
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ":)\n:thump\nevent: delete\ndata: 12\n\nevent: update\ndata: {\"id\":\"9001\",\
        \"created_at\":\"2026-01-01T10:00:00.000Z\",\"content\":\"<p>green <b>tea</b></p>\",\
        \"account\":{\"acct\":\"ada\"}}\n\nevent: filters_changed\ndata: undefined\n\n";

    fn posts(track: &[&str]) -> Vec<String> {
        let track: Vec<String> = track.iter().map(|t| (*t).to_owned()).collect();
        let mut stream = Mastodon::new("m.example", "t", &track, Policy::mastodon());
        STREAM.lines().filter_map(|line| stream.line(line).unwrap()).map(|p| p.content).collect()
    }

    #[test]
    fn updates_only() {
        assert_eq!(posts(&[]), ["green tea"]);
    }

    #[test]
    fn track_words() {
        assert_eq!(posts(&["coffee", "tea green"]), ["green tea"]);
        assert_eq!(posts(&["coffee", "cake"]), [""; 0]);
        let one = Mastodon::new("m.example", "t", &["#tea".to_owned()], Policy::mastodon());
        assert_eq!(one.url, "https://m.example/api/v1/streaming/hashtag?tag=tea");
    }
}
