//! As much of the WebDriver protocol as the tests need: it is JSON over HTTP.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// A headless browser with one page, and the driver that steers it.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    profile: PathBuf,
}

impl Browser {
    pub(crate) fn start() -> Browser {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (in Debian: chromium-driver) is installed");
        // It says which port it took: "... started successfully on port 12345."
        let mut lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port: u16 = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                line.rsplit_once("successfully on port ")?.1.trim_end_matches('.').parse().ok()
            })
            .expect("chromedriver names its port");
        // Whatever else it says must be read, or it would wait for us some day.
        std::thread::spawn(move || lines.for_each(drop));

        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let profile =
            std::env::temp_dir().join(format!("sward-browser-{}-{number}", std::process::id()));
        let mut args: Vec<String> = [
            "headless",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            // The certificates of the tests are nobody's business but theirs.
            "ignore-certificate-errors",
            "window-size=1280,800",
        ]
        .map(str::to_owned)
        .into();
        args.push(format!("user-data-dir={}", profile.display()));
        let mut browser = Browser { driver, session: format!("http://127.0.0.1:{port}"), profile };
        let made = browser.post(
            "/session",
            &json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": args},
                "goog:loggingPrefs": {"browser": "SEVERE"},
            }}}),
        );
        let id = made["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    pub(crate) fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    /// Runs the body of a function in the page and returns what it returns.
    pub(crate) fn run(&self, script: &str) -> Value {
        self.run_with(script, &json!([]))
    }

    pub(crate) fn run_with(&self, script: &str, args: &Value) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": args}))
    }

    /// What the page's console holds of errors.
    pub(crate) fn errors(&self) -> Value {
        self.post("/se/log", &json!({"type": "browser"}))
    }

    #[track_caller]
    fn post(&self, path: &str, body: &Value) -> Value {
        let request = crate::support::agent().post(format!("{}{path}", self.session));
        let mut response = request
            .header("content-type", "application/json")
            .send(body.to_string())
            .expect("chromedriver answers");
        let text = response.body_mut().read_to_string().expect("a body");
        assert!(response.status().is_success(), "{path}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser itself; the driver would leave it behind.
        let _ = crate::support::agent().delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
