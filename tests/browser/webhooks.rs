//! The page of `examples/webhooks` in a browser: five users hear of one job, an endpoint is registered, published to, and
//! what came back is shown.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{example, wait_until};
use crate::webdriver::Browser;

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
#[ignore = "needs chromium"]
fn everybody_hears_and_deliveries_are_shown() {
    let mut command = Command::new(example::executable("webhooks"));
    command.args(["--addr", "127.0.0.1:0", "--token", "t"]);
    let mut app = Running(command.stdout(Stdio::piped()).spawn().unwrap());
    // Kept: who prints to nobody fails.
    let mut said = BufReader::new(app.0.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    let url = line.split_whitespace().last().unwrap();
    let page = Browser::start();
    page.open(url);
    let text = |of: &str| {
        let shown = page.run(&format!("return document.querySelector('{of}').innerText"));
        shown.as_str().unwrap().to_owned()
    };
    wait_until("five who listen", || text("#users").matches("listens").count() == 5);
    wait_until("the registry", || text("#state") == "Live.");
    page.run("document.querySelector('#job-form button').click()");
    wait_until("the result", || text("#verdict").contains("5 of 5 users"));

    // Whatever an endpoint answers and a publisher says is text.
    let base = url.split("/#").next().unwrap();
    let evil = "<img src=x onerror=\"window.broken = 1\">";
    let fill = "const [url, data] = arguments;
        document.querySelector('#url').value = url; document.querySelector('#data').value = data;
        document.querySelector('#register-form button:not([type])').click();";
    page.run_with(fill, &json!([format!("{base}/sink/ok"), json!({"x": evil}).to_string()]));
    wait_until("the endpoint", || text("#endpoints").contains("/sink/ok"));
    page.run("document.querySelector('#publish-form button').click()");
    wait_until("the delivery", || text("#deliveries").contains("/sink/ok"));
    wait_until("what users hear", || text("#users").contains("<img"));
    page.run(
        "for (const one of document.querySelectorAll('#deliveries details'))
            one.open = one.textContent.includes('/sink/ok')",
    );
    wait_until("the attempt", || text("#deliveries").contains("thank you"));
    assert_eq!(page.run("return document.querySelectorAll('#users img').length"), 0);
    assert_eq!(page.run("return window.broken === undefined"), true);
    assert_eq!(page.errors(), json!([]), "a clean console");
}
