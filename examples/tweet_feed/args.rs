//! The command line, parsed by hand: so few flags do not need a library.
//! Pure; `main.rs` acts on what comes out.

#![forbid(unsafe_code)]

use sward::http::Mode;

use crate::sim::people::TOPICS;

pub(crate) const HELP: &str = "\
tweet_feed: a page that shows posts in real time, on green threads

Usage: tweet_feed [FLAGS]          then open http://127.0.0.1:8080/

Where posts come from:
  --source sim            a simulated X on a loopback port, made-up people (default)
  --source file:PATH      replay a file, one post a line: X v1.1, X v2, Mastodon or our own form,
                          with its original timing, or at --rate
  --source x              X's filtered stream; the bearer token is in X_BEARER_TOKEN,
                          --track says what to look for
  --source mastodon:HOST  a Mastodon server's public stream; the token is in MASTODON_TOKEN,
                          one --track word reads that hashtag, several filter
                          (HOST may be an http:// address: the simulator speaks it too)
  --source bluesky        every public post on Bluesky, no account needed; --track keeps those
                          with these words; bluesky:ws://HOST/subscribe asks another server
  --track WORDS           commas separate alternatives, all words of one must occur:
                          --track 'green threads,tea'
  --rate N                posts per second of sim (default 2) and file

How they are served:
  --addr ADDR             where to listen (default 127.0.0.1:8080; port 0 picks a free one)
  --mode MODE             green      a green thread per busy connection (default)
                          threads    an OS thread per connection
                          pool:N     N OS threads; a page holds one for as long as it is open
  --workers N             OS threads that run green threads (default: one per core)
  --history N             posts that a new page gets at once (default 50)

Compared:
  --compare               starts two servers of this feed, one in mode green and one in mode threads, lets simulated
                          viewers join both, and shows the memory of both as it grows, on the page at --addr
  --viewers N             how many join each server (default 1000)
  --join SECONDS          how long it takes until all have joined (default 30)

For tests and demonstrations:
  --seed N                another set of simulated posts (default 1)
  --time-scale F          multiplies all waits of the upstream protocol: keep-alive, stall, back-off
  --until-eof             ends when the standard input does, for programs that start this one
  --help                  this text

Endpoints: / the page, /events (SSE), /websocket, /poll?cursor= (long poll), POST /api (a JSON array
of posts), /stats (JSON). The simulator prints its own address; POST /sim/fault there with drop,
close, stall, garbage, disconnect, split, dup, burst:N, http:CODE or none breaks it on purpose.
";

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source {
    Sim,
    File(String),
    X,
    Mastodon(String),
    /// A server's address; without one the public ones.
    Bluesky(Option<String>),
}

impl Source {
    /// As the page and the posts name it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Source::Sim => "sim",
            Source::File(_) => "file",
            Source::X => "x",
            Source::Mastodon(_) => "mastodon",
            Source::Bluesky(_) => "bluesky",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) addr: String,
    pub(crate) mode: Mode,
    pub(crate) workers: Option<usize>,
    pub(crate) rate: Option<f64>,
    pub(crate) history: usize,
    pub(crate) track: Vec<String>,
    pub(crate) seed: u64,
    pub(crate) time_scale: f64,
    /// Whether to end with the standard input.
    pub(crate) until_eof: bool,
    /// Two servers beside each other, instead of one.
    pub(crate) compare: bool,
    pub(crate) viewers: usize,
    /// In seconds.
    pub(crate) join: f64,
    /// The flags that both servers get.
    pub(crate) shared: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            source: Source::Sim,
            addr: "127.0.0.1:8080".into(),
            mode: Mode::Green,
            workers: None,
            rate: None,
            history: 50,
            track: Vec::new(),
            seed: 1,
            time_scale: 1.0,
            until_eof: false,
            compare: false,
            viewers: 1000,
            join: 30.0,
            shared: Vec::new(),
        }
    }
}

/// `Ok(None)` means `--help`. An error says what to do about it.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options::default();
    let mut args = args.into_iter();
    let (mut alone, mut has_mode) = (None, false);
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        if matches!(flag.as_str(), "--help" | "-h") {
            return Ok(None);
        }
        match flag.as_str() {
            "--compare" => options.compare = true,
            "--until-eof" => options.until_eof = true,
            _ => {}
        }
        if matches!(flag.as_str(), "--compare" | "--until-eof") {
            continue;
        }
        const KNOWN: [&str; 11] = [
            "--source",
            "--addr",
            "--mode",
            "--workers",
            "--rate",
            "--history",
            "--track",
            "--seed",
            "--time-scale",
            "--viewers",
            "--join",
        ];
        if !KNOWN.contains(&flag.as_str()) {
            return Err(format!(
                "there is no flag {flag}; the flags are --compare {}",
                KNOWN.join(" ")
            ));
        }
        let value =
            inline.or_else(|| args.next()).ok_or_else(|| format!("{flag} needs a value"))?;
        if !matches!(flag.as_str(), "--addr" | "--mode" | "--viewers" | "--join") {
            options.shared.extend([flag.clone(), value.clone()]);
        }
        if matches!(flag.as_str(), "--viewers" | "--join") {
            alone = Some(flag.clone());
        }
        has_mode |= flag == "--mode";
        match flag.as_str() {
            "--viewers" => options.viewers = number(&flag, &value, 1, 100_000)?,
            "--join" => options.join = positive(&flag, &value, 86_400.0)?,
            "--source" => options.source = source(&value)?,
            "--addr" => options.addr = value,
            "--mode" => options.mode = value.parse().map_err(|e| format!("--mode {value}: {e}"))?,
            "--workers" => options.workers = Some(number(&flag, &value, 1, 1024)?),
            "--history" => options.history = number(&flag, &value, 0, 100_000)?,
            "--seed" => options.seed = number(&flag, &value, 0, usize::MAX)? as u64,
            "--rate" => options.rate = Some(positive(&flag, &value, 100_000.0)?),
            "--time-scale" => options.time_scale = positive(&flag, &value, 1000.0)?,
            _ => options.track = phrases(&value),
        }
    }
    if let Some(flag) = alone.filter(|_| !options.compare) {
        return Err(format!("{flag} means something with --compare only"));
    }
    if options.compare && has_mode {
        return Err("--compare runs mode green and mode threads; leave --mode out".into());
    }
    if options.track.is_empty() && options.source == Source::Sim {
        options.track = TOPICS.iter().map(|t| (*t).to_owned()).collect();
    }
    if options.track.is_empty() && options.source == Source::X {
        return Err("--source x needs --track WORDS: X sends only what a rule asks for".into());
    }
    Ok(Some(options))
}

fn source(text: &str) -> Result<Source, String> {
    match text.split_once(':') {
        Some(("file", path)) if !path.is_empty() => Ok(Source::File(path.into())),
        Some(("mastodon", host)) if !host.is_empty() => Ok(Source::Mastodon(host.into())),
        None if text == "sim" => Ok(Source::Sim),
        None if text == "x" => Ok(Source::X),
        None if text == "bluesky" => Ok(Source::Bluesky(None)),
        Some(("bluesky", url)) if url.starts_with("ws://") || url.starts_with("wss://") => {
            Ok(Source::Bluesky(Some(url.into())))
        }
        _ => Err(format!(
            "--source {text}: use sim, file:PATH, x, mastodon:HOST, bluesky or bluesky:wss://HOST/subscribe"
        )),
    }
}

fn phrases(text: &str) -> Vec<String> {
    let trimmed = text.split(',').map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "));
    trimmed.filter(|p| !p.is_empty()).collect()
}

fn number(flag: &str, value: &str, min: usize, max: usize) -> Result<usize, String> {
    let wanted = format!("{flag} {value}: give a whole number from {min} to {max}");
    value.parse().ok().filter(|n| (min..=max).contains(n)).ok_or(wanted)
}

fn positive(flag: &str, value: &str, max: f64) -> Result<f64, String> {
    let wanted = format!("{flag} {value}: give a number above 0, up to {max}");
    value.parse().ok().filter(|n| *n > 0.0 && *n <= max).ok_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        parse(line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned))
    }

    #[test]
    fn defaults() {
        let options = parsed("").unwrap().unwrap();
        assert_eq!(options.addr, "127.0.0.1:8080");
        assert_eq!((options.history, options.mode), (50, Mode::Green));
        assert_eq!(options.track.len(), TOPICS.len());
    }

    #[test]
    fn every_flag() {
        let line = "--source mastodon:m.example --addr=[::1]:0 --mode pool:64 --workers 2 \
                    --rate 0.5 --history 10 --track tea,coffee --seed 7 --time-scale 0.01";
        let options = parsed(line).unwrap().unwrap();
        assert_eq!(options.source, Source::Mastodon("m.example".into()));
        assert_eq!((options.addr.as_str(), options.mode), ("[::1]:0", Mode::Pool(64)));
        assert_eq!((options.rate, options.track.len()), (Some(0.5), 2));
        assert_eq!(parsed("--mode green --help"), Ok(None));
        let bluesky = |line| parsed(line).unwrap().unwrap().source;
        assert_eq!(bluesky("--source bluesky"), Source::Bluesky(None));
        let url = "ws://127.0.0.1:7/subscribe";
        assert_eq!(bluesky(&format!("--source bluesky:{url}")), Source::Bluesky(Some(url.into())));
    }

    #[test]
    fn what_is_compared_gets_the_same_flags() {
        let line = "--compare --addr 127.0.0.1:0 --rate=5 --viewers 10 --seed 3 --join 0.5";
        let options = parsed(line).unwrap().unwrap();
        assert!(options.compare && !options.until_eof);
        assert_eq!((options.viewers, options.join), (10, 0.5));
        assert_eq!(options.shared, ["--rate", "5", "--seed", "3"]);
        assert!(parsed("--until-eof").unwrap().unwrap().until_eof);
    }

    #[test]
    fn mistakes_are_explained() {
        for (line, says) in [
            ("--port 1", "the flags are"),
            ("--addr", "needs a value"),
            ("--mode fast", "green, threads, pool:N"),
            ("--workers 0", "from 1"),
            ("--rate -1", "above 0"),
            ("--rate nan", "above 0"),
            ("--source bluesky:https://host", "bluesky:wss://"),
            ("--source file:", "file:PATH"),
            ("--source x", "--track"),
            ("--viewers 5", "--compare"),
            ("--compare --viewers none", "from 1"),
            ("--compare --mode green", "leave --mode out"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
