//! X's v2 filtered stream: put our rules in place, then read JSON lines. Empty lines are keep-alives.
//! Not a full client of the API; only what a feed needs.

#![forbid(unsafe_code)]

use std::io::Read;

use serde_json::{Value, json};
use ureq::Agent;

use crate::backoff::{Failure, Policy};
use crate::client;
use crate::parse;
use crate::post::Post;
use crate::reader::Upstream;
use crate::source::{refused, unanswered};

/// Our rules carry this before their tag, so that we never delete anybody else's.
const OURS: &str = "sward: ";
const FIELDS: &str = "tweet.fields=created_at,entities&expansions=author_id\
                      &user.fields=name,username,profile_image_url";

#[derive(Debug)]
pub(crate) struct XStream {
    agent: Agent,
    base: String,
    token: String,
    track: Vec<String>,
    source: &'static str,
    rules_in_place: bool,
}

impl XStream {
    /// `base` is `https://api.x.com`, or the simulator's address. `source` names the posts.
    pub(crate) fn new(
        base: &str,
        token: &str,
        track: &[String],
        source: &'static str,
        policy: Policy,
    ) -> XStream {
        XStream {
            agent: client::agent(policy.stall),
            base: base.trim_end_matches('/').to_owned(),
            token: format!("Bearer {token}"),
            track: track.to_vec(),
            source,
            rules_in_place: false,
        }
    }

    /// Makes the rules on the other side equal to `track`.
    fn sync_rules(&self) -> Result<(), Failure> {
        let url = format!("{}/2/tweets/search/stream/rules", self.base);
        let mut response =
            self.agent.get(&url).header("authorization", &self.token).call().map_err(unanswered)?;
        if response.status() != 200 {
            return Err(refused(response));
        }
        let text = response.body_mut().read_to_string().map_err(unanswered)?;
        let listed: Value = serde_json::from_str(&text).unwrap_or_default();
        let listed = listed["data"].as_array().cloned().unwrap_or_default();

        let wanted = |rule: &Value| self.track.iter().any(|t| rule["value"] == t.as_str());
        let stale: Vec<&Value> = listed
            .iter()
            .filter(|rule| rule["tag"].as_str().is_some_and(|tag| tag.starts_with(OURS)))
            .filter(|rule| !wanted(rule))
            .map(|rule| &rule["id"])
            .collect();
        if !stale.is_empty() {
            self.change_rules(&url, &json!({"delete": {"ids": stale}}))?;
        }
        let missing: Vec<Value> = self
            .track
            .iter()
            .filter(|phrase| !listed.iter().any(|rule| rule["value"] == phrase.as_str()))
            .map(|phrase| json!({"value": phrase, "tag": format!("{OURS}{phrase}")}))
            .collect();
        if !missing.is_empty() {
            self.change_rules(&url, &json!({"add": missing}))?;
        }
        Ok(())
    }

    fn change_rules(&self, url: &str, change: &Value) -> Result<(), Failure> {
        let mut response = self
            .agent
            .post(url)
            .header("authorization", &self.token)
            .content_type("application/json")
            .send(change.to_string())
            .map_err(unanswered)?;
        if !response.status().is_success() {
            return Err(refused(response));
        }
        let text = response.body_mut().read_to_string().map_err(unanswered)?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        for error in answer["errors"].as_array().into_iter().flatten() {
            eprintln!("tweet_feed: rule {} was refused: {}", error["value"], error["title"]);
        }
        Ok(())
    }
}

impl Upstream for XStream {
    fn connect(&mut self) -> Result<Box<dyn Read>, Failure> {
        if !self.rules_in_place {
            self.sync_rules()?;
            self.rules_in_place = true;
        }
        let mut url = format!("{}/2/tweets/search/stream?{FIELDS}", self.base);
        if self.source == "sim" {
            // What was missed, or at first a handful to begin with. X sells this apart.
            url.push_str("&backfill_minutes=1");
        }
        let response =
            self.agent.get(&url).header("authorization", &self.token).call().map_err(unanswered)?;
        if response.status() == 200 {
            return Ok(Box::new(response.into_body().into_reader()));
        }
        if response.status() == 409 {
            self.rules_in_place = false; // no rules over there any more: send them again
        }
        Err(refused(response))
    }

    fn line(&mut self, line: &str) -> Result<Option<Post>, String> {
        if line.trim().is_empty() {
            return Ok(None);
        }
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return Err(format!("not JSON: {:.60}", line.escape_debug().to_string()));
        };
        if let Some(errors) = value["errors"].as_array().filter(|_| value.get("data").is_none()) {
            let detail =
                |e: &Value| e["detail"].as_str().or(e["title"].as_str()).map(str::to_owned);
            return Err(errors.iter().filter_map(detail).collect::<Vec<_>>().join("; "));
        }
        Ok(parse::x_v2(&value, self.source))
    }
}
