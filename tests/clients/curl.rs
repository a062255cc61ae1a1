//! curl, and what it says under `-v`: it notices more than it fails for.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::app::{BIG, pattern, sum};
use crate::{FILE, Target};

/// What curl remarks on a connection that is not as it should be.
const COMPLAINTS: &[&str] = &[
    "Excess",
    "Empty reply",
    "Recv failure",
    "Send failure",
    "Illegal",
    "Invalid",
    "malformed",
    "transfer closed",
    "Received HTTP/0.9",
    "no chunk, no close",
    "Connection died",
    "Done waiting for 100-continue",
    "HTTP error before end of send",
    "has been reset",
];

/// One run of curl. Its requests share one connection.
struct Run {
    /// The bodies, one after the other.
    body: Vec<u8>,
    /// What `-v` says.
    talk: String,
}

impl Run {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    fn says(&self, what: &str) -> &Run {
        assert!(self.talk.contains(what), "not {what:?} in:\n{}", self.talk);
        self
    }
}

fn run(target: &Target, args: &[&str], paths: &[&str], input: &[u8]) -> Run {
    let mut command = Command::new("curl");
    command.args(["-v", "-sS", "--max-time", "30", "--noproxy", "*"]).args(args);
    if let Some(ca) = &target.ca {
        command.arg("--cacert").arg(ca);
    }
    command.args(paths.iter().map(|path| format!("{}{path}", target.base)));
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("curl is installed");
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        // OK to ignore: who has not asked for it need not read it.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().unwrap()
    });
    let talk = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{talk}", output.status);
    for complaint in COMPLAINTS {
        let found = talk.lines().any(|line| line.starts_with("* ") && line.contains(complaint));
        assert!(!found, "{command:?}: {complaint}\n{talk}");
    }
    Run { body: output.stdout, talk }
}

/// The connection is kept, from the first request to the last.
fn kept(target: &Target, args: &[&str], paths: &[&str], input: &[u8]) -> Run {
    let run = run(target, args, paths, input);
    run.says("left intact");
    assert!(!run.talk.contains("Closing connection"), "{args:?} {paths:?}:\n{}", run.talk);
    let reused = run.talk.matches("Re-using existing connection").count();
    let requests = run.talk.lines().filter(|line| line.contains("< HTTP/1.1 ")).count()
        - run.talk.matches("< HTTP/1.1 100 ").count();
    assert!(reused + 1 == requests, "{reused} of {requests} on the same:\n{}", run.talk);
    run
}

pub(crate) fn everything(target: &Target) {
    answers(target);
    bodies(target);
    files(target);
    ends(target);
}

fn answers(target: &Target) {
    let many = kept(target, &[], &["/", "/pieces", "/page", "/", "/nowhere", "/"], b"");
    assert!(many.text().starts_with("hellopiece 0\n") && many.text().ends_with("hello"));
    kept(target, &["-I"], &["/", "/pieces", "/big", "/file"], b"").says("< Content-Length: 5\r");
    let none = kept(target, &["-X", "DELETE"], &["/nothing", "/nothing"], b"");
    assert_eq!(none.says("< HTTP/1.1 204 ").text(), "");
    assert_eq!(kept(target, &["-L"], &["/moved"], b"").says("< HTTP/1.1 303 ").text(), "hello");
    let again = kept(target, &["-L", "-d", "again"], &["/moved"], b"");
    assert_eq!(again.says("< HTTP/1.1 307 ").text(), "again");
    for status in ["400", "404", "500", "503"] {
        kept(target, &[], &[&format!("/status/{status}"), "/"], b"")
            .says(&format!("< HTTP/1.1 {status} "));
    }
    for coding in ["gzip", "br", "zstd"] {
        let accept = format!("Accept-Encoding: {coding}");
        let text = kept(target, &["--compressed", "-H", &accept], &["/text", "/text"], b"");
        assert_eq!(text.text().matches("dull").count(), 4000, "{coding}");
    }
    let events = kept(target, &["-N", "-H", "Last-Event-ID: 7"], &["/events", "/"], b"");
    let wanted = "retry: 100\n\ndata: event 8\ndata: in two lines\nid: 8\n\ndata: event 9\n";
    assert!(events.text().starts_with(wanted), "{}", events.text());
    assert_eq!(kept(target, &["-N"], &["/slow"], b"").text().lines().count(), 5);
}

fn bodies(target: &Target) {
    let json = ["--json", r#"{"a": ["ä"]}"#];
    assert_eq!(kept(target, &json, &["/json", "/json"], b"").text(), r#"{"a":["ä"]}"#.repeat(2));
    let form = kept(target, &["--data-urlencode", "a=x y"], &["/form"], b"");
    assert_eq!(form.text(), r#"[["a","x y"]]"#);
    let part = format!("two=@{}", target.file.display());
    let parts = kept(target, &["-F", "one=12345", "-F", &part], &["/parts", "/parts"], b"");
    assert_eq!(parts.text(), format!("one 5, two {FILE}").repeat(2));
    // From a file by its length; from a pipe in chunks; and both only after the server has agreed.
    let file = target.file.to_str().unwrap();
    assert_eq!(kept(target, &["-T", file], &["/up"], b"").text(), sum(FILE));
    let big = pattern(BIG);
    let chunked = kept(target, &["-X", "POST", "-T", "-"], &["/up"], &big);
    assert_eq!(chunked.says("> Transfer-Encoding: chunked").text(), sum(BIG));
    let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "20"];
    for how in [["--data-binary", "@-"], ["-T", "-"]] {
        let args = [&how[..], &expect, &["-X", "POST"]].concat();
        let agreed = kept(target, &args, &["/up"], &big);
        assert_eq!(agreed.says("< HTTP/1.1 100 ").text(), sum(BIG));
    }
    let both = kept(target, &["-X", "POST", "-T", "-"], &["/echo"], &big[..100_000]);
    assert!(both.says("< Transfer-Encoding: chunked").body == big[..100_000]);
    assert!(kept(target, &[], &["/big"], b"").body == big);
}

fn files(target: &Target) {
    let whole = pattern(FILE);
    assert!(kept(target, &[], &["/file"], b"").body == whole);
    assert!(kept(target, &["-r", "100-199"], &["/file"], b"").body == whole[100..200]);
    assert!(kept(target, &["-r", "-7"], &["/file", "/file"], b"").body[7..] == whole[FILE - 7..]);
    let two = kept(target, &["-r", "0-9,20-29"], &["/file", "/"], b"");
    two.says("< HTTP/1.1 206 ").says("multipart/byteranges");
    kept(target, &["-r", "999999-"], &["/file", "/"], b"").says("< HTTP/1.1 416 ");
    // The rest of a download that broke off, and only if it has changed.
    let begun = target.file.with_extension("part");
    std::fs::write(&begun, &whole[..1000]).unwrap();
    kept(target, &["-C", "-", "-o", begun.to_str().unwrap()], &["/file"], b"")
        .says("< HTTP/1.1 206 ");
    assert!(std::fs::read(&begun).unwrap() == whole);
    let etag = target.file.with_extension("etag");
    let (etag, nothing) = (etag.to_str().unwrap(), target.file.with_extension("nothing"));
    kept(target, &["--etag-save", etag], &["/file"], b"");
    let unchanged = ["--etag-compare", etag, "-o", nothing.to_str().unwrap()];
    kept(target, &unchanged, &["/file"], b"").says("< HTTP/1.1 304 ");
    let modified = ["-z", target.file.to_str().unwrap()];
    kept(target, &modified, &["/file"], b"").says("< HTTP/1.1 304 ");
}

/// Connections that end, because one of the two wants it.
fn ends(target: &Target) {
    let closed = "Closing connection";
    assert_eq!(run(target, &[], &["/close"], b"").says(closed).text(), "the last");
    let asked = run(target, &["-H", "Connection: close"], &["/pieces"], b"");
    assert_eq!(asked.says("< Connection: close").says(closed).text().lines().count(), 100);
    let old = run(target, &["--http1.0"], &["/"], b"");
    assert_eq!(old.says(closed).text(), "hello");
    let stream = run(target, &["--http1.0"], &["/pieces"], b"");
    assert_eq!(stream.says(closed).text().lines().count(), 100);
    // Too much is refused before it is sent.
    let big = pattern(BIG);
    let refused = ["--data-binary", "@-", "-H", "Expect: 100-continue"];
    run(target, &refused, &["/echo"], &big).says("< HTTP/1.1 413 ");
}
