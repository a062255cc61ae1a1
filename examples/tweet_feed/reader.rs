//! The reader: plain blocking code from the first line to the last. It connects, reads lines, and
//! publishes what they hold; when the connection ends it waits as `backoff.rs` says and starts again.
//! It is started on a green thread, and would run on an OS thread without a change. What is special
//! about each upstream is in `source/`.

#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read};
use std::time::Instant;

use sward::thread;

use crate::backoff::{Backoff, Failure, Policy};
use crate::client;
use crate::feed::Feed;
use crate::post::Post;

/// What differs from feed to feed.
pub(crate) trait Upstream {
    /// Opens the stream. Blocks until the answer's head is there.
    fn connect(&mut self) -> Result<Box<dyn Read>, Failure>;

    /// Takes one line. `Err` is something the upstream said that people should see.
    fn line(&mut self, line: &str) -> Result<Option<Post>, String>;
}

/// Reads until the feed is closed.
pub(crate) fn run(mut upstream: impl Upstream, policy: Policy, feed: &Feed) {
    let mut backoff = Backoff::new(policy);
    loop {
        let failure = match upstream.connect() {
            Ok(body) => follow(&mut upstream, body, &mut backoff, feed),
            Err(failure) => failure,
        };
        if feed.is_closed() {
            return;
        }
        let wait = backoff.failed(&failure);
        eprintln!("tweet_feed: upstream: {failure}; trying again in {wait:?}");
        thread::sleep(wait);
    }
}

/// Reads one connection to its end and says how it ended.
fn follow(
    upstream: &mut impl Upstream,
    body: Box<dyn Read>,
    backoff: &mut Backoff,
    feed: &Feed,
) -> Failure {
    let since = Instant::now();
    for line in BufReader::new(body).lines() {
        match line {
            Ok(line) => {
                backoff.received(since.elapsed()); // an empty line is a keep-alive: news as well
                match upstream.line(&line) {
                    Ok(Some(post)) => drop(feed.publish_once(&post)),
                    Ok(None) => {}
                    Err(said) => eprintln!("tweet_feed: upstream says: {said}"),
                }
            }
            Err(error) if client::is_stall(&error) => return Failure::Stall,
            Err(error) => return Failure::Network(error.to_string()),
        }
    }
    Failure::Network("the stream ended".into())
}
