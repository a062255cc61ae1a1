//! A folder of files to be served, and a client whose answers may be any bytes.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What no answer may ever hold.
pub(crate) const SECRET: &str = "the-secret-outside";

/// Sun, 06 Nov 1994 08:49:37 GMT
pub(crate) const CHANGED: Duration = Duration::from_secs(784_111_777);

/// Length of `big.bin`.
pub(crate) const BIG: usize = 3_000_000;

/// A temporary folder with `root` in it, and something beside that. Removed when dropped.
pub(crate) struct Site(pub(crate) PathBuf);

impl Site {
    pub(crate) fn new() -> Site {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("sward-http-files-{}-{number}", std::process::id());
        let site = Site(std::env::temp_dir().join(name));
        fs::create_dir_all(site.root()).unwrap();
        fs::write(site.0.join("secret.txt"), SECRET).unwrap();
        for (path, text) in [
            ("hello.txt", "hello, world"),
            ("index.html", "<p>root"),
            ("sub/index.html", "<p>sub"),
            ("sub/page.html", "<p>page"),
            ("list/b.txt", "b"),
            ("list/<a>.txt", "a"),
            ("list/deep/x", "x"),
            ("list/.hidden", "hidden"),
            ("empty.txt", ""),
            ("a b.txt", "blank"),
            ("é.html", "accent"),
            ("data.sward", "own type"),
            (".hidden", "hidden"),
            (".git/config", "hidden"),
            (".well-known/here", "known"),
            ("app.js", "plain"),
            ("app.js.br", "brotli"),
            ("app.js.gz", "gzip"),
            ("app.js.zst", "zstd"),
            ("old.css", "plain"),
        ] {
            site.put(path, text.as_bytes());
        }
        site.put("big.bin", &big());
        site.put("old.css.gz", b"from before");
        site.set_changed("old.css.gz", UNIX_EPOCH + CHANGED - Duration::from_secs(1));
        symlink("../secret.txt", site.path("link-out")).unwrap();
        symlink("..", site.path("folder-out")).unwrap();
        symlink("/etc/passwd", site.path("link-abs")).unwrap();
        symlink("hello.txt", site.path("link-in")).unwrap();
        symlink("link-round", site.path("link-round")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(site.path("fifo")).status().unwrap();
        assert!(made.success());
        site
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.0.join("root")
    }

    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let at = self.path(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(&at, bytes).unwrap();
        self.set_changed(path, UNIX_EPOCH + CHANGED);
    }

    pub(crate) fn set_changed(&self, path: &str, at: SystemTime) {
        File::options().write(true).open(self.path(path)).unwrap().set_modified(at).unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // OK to ignore: what is left of a temporary folder harms nobody.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Bytes that differ wherever one looks.
pub(crate) fn big() -> Vec<u8> {
    let mut word = 1_u64;
    let mut next = move || {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 56) as u8
    };
    (0..BIG).map(|_| next()).collect()
}

/// What a client got: the head without its Date, and the body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// Reads one answer, whose body is as long as it says.
pub(crate) fn answer(stream: &mut TcpStream, is_head: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let head: String =
        head.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    let answer = Answer { head, body: Vec::new() };
    let length = answer.header("Content-Length").map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; if is_head { 0 } else { length }];
    stream.read_exact(&mut body).unwrap();
    Answer { body, ..answer }
}

/// Asks on an open connection. `headers` are whole lines.
pub(crate) fn ask(stream: &mut TcpStream, method: &str, path: &str, headers: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream, method == "HEAD")
}
