//! Replays a file of posts, one JSON value a line, in any form that `parse.rs` knows, with the pauses
//! that lay between them when they were written, or at a steady rate.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use sward::thread;

use crate::feed::Feed;
use crate::parse;

/// Publishes the file's posts and returns how many there were. Lines that hold no post are skipped.
pub(crate) fn replay(file: File, rate: Option<f64>, feed: &Feed) -> std::io::Result<u64> {
    let start = Instant::now();
    let mut first_ms = None;
    let mut count = 0;
    for line in BufReader::new(file).lines() {
        let line = line?;
        let Some(post) = serde_json::from_str(&line).ok().and_then(|v| parse::any(&v, "file"))
        else {
            continue;
        };
        let due = match rate {
            Some(rate) => Duration::from_secs_f64(count as f64 / rate),
            // A post that is older than the one before it comes at once.
            None => {
                let since = post.date_ms - *first_ms.get_or_insert(post.date_ms);
                Duration::from_millis(u64::try_from(since).unwrap_or(0))
            }
        };
        thread::sleep((start + due).saturating_duration_since(Instant::now()));
        feed.publish(&post);
        count += 1;
    }
    Ok(count)
}
