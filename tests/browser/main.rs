//! The example's page, and what pages do, in a real browser: headless Chromium, driven by chromedriver over its plain
//! HTTP protocol. Needs both programs, so it is run by hand and by the checks that have them:
//! `cargo test --test browser -- --ignored`. The endpoints are tested without a browser in
//! `tweet_feed.rs`.

#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[path = "../clients/app.rs"]
mod app;
#[path = "../http_support/mod.rs"]
mod http_support;
mod page;
#[path = "../tweet_feed_support/mod.rs"]
mod support;
mod webdriver;
mod webhooks;

use serde_json::{Value, json};
use support::{App, tweet, wait_until};
use webdriver::Browser;

/// How many posts show on the page.
const SHOWN: &str =
    "return [...document.querySelectorAll('#feed > li')].filter(e => !e.hidden).length";
const STATE: &str = "return document.querySelector('#state').dataset.state";

fn shown(page: &Browser) -> u64 {
    page.run(SHOWN).as_u64().unwrap()
}

#[test]
#[ignore = "needs chromium"]
fn posts_filter_pause_and_recover() {
    let mut app = App::start(&["--rate", "20"]);
    let page = Browser::start();
    page.open(&app.base);
    assert_eq!(page.run("return document.querySelector('#source').textContent"), "simulated");

    // Posts arrive, the newest on top.
    wait_until("the first posts", || shown(&page) >= 10);
    wait_until("the live state", || page.run(STATE) == "live");
    let first = "return document.querySelector('#feed > li .text').textContent";
    let before = page.run(first);
    wait_until("a newer post on top", || page.run(first) != before);
    let per_second =
        "return document.querySelector('[data-series=posts_per_second] b').textContent";
    wait_until("the server's figures", || page.run(per_second) != "–");
    assert_eq!(
        page.run("return document.querySelector('[data-series=subscribers] b').textContent"),
        "1"
    );

    // The filter hides what does not match, as one types.
    let type_in = |text: &str| {
        page.run_with(
            "const box = document.querySelector('#search'); box.value = arguments[0];
             box.dispatchEvent(new Event('input', {bubbles: true}))",
            &json!([text]),
        );
    };
    type_in("#CATS");
    wait_until("a post about cats", || shown(&page) > 0);
    let all_match = "return [...document.querySelectorAll('#feed > li')].filter(e => !e.hidden)
        .every(e => e.innerText.toLowerCase().includes('#cats'))";
    assert_eq!(page.run(all_match), true);
    assert_eq!(page.run("return new URL(location).searchParams.get('q')"), "#CATS");
    type_in("");
    wait_until("all posts again", || shown(&page) >= 10);

    // Pause holds posts back and counts them; resume shows them.
    page.run("document.querySelector('#pause').click()");
    let top = page.run(first);
    let held = "const b = document.querySelector('#held'); return b.hidden ? '' : b.textContent";
    wait_until("a count of new posts", || page.run(held).as_str().unwrap().contains("new post"));
    assert_eq!(page.run(first), top, "nothing moves while paused");
    page.run("document.querySelector('#held').click()");
    wait_until("newer posts", || page.run(first) != top);
    assert_eq!(page.run(held), "");

    // Kill the server, start it again on the same port: the page comes back by itself.
    let addr = app.addr().to_owned();
    app.kill();
    wait_until("the page to notice", || page.run(STATE) == "waiting");
    let _again = App::start(&["--rate", "20", "--addr", &addr]);
    wait_until("the live state again", || page.run(STATE) == "live");
    let last = page.run(first);
    wait_until("new posts from the new server", || page.run(first) != last);
    let keys: Value =
        page.run("return [...document.querySelectorAll('#feed > li')].map(e => e.dataset.key)");
    let keys = keys.as_array().unwrap();
    let unique: std::collections::HashSet<_> = keys.iter().map(Value::to_string).collect();
    assert_eq!(unique.len(), keys.len(), "no post shows twice");
}

/// The same page over a WebSocket: posts come, and come again after the server was away.
#[test]
#[ignore = "needs chromium"]
fn posts_over_a_websocket() {
    let mut app = App::start(&["--rate", "20"]);
    let page = Browser::start();
    page.open(&format!("{}/?transport=ws", app.base));
    wait_until("the first posts", || shown(&page) >= 10);
    wait_until("the live state", || page.run(STATE) == "live");
    let fine = "return document.querySelector('#fine').textContent";
    wait_until("its name", || page.run(fine).as_str().unwrap().ends_with("over a WebSocket"));
    let addr = app.addr().to_owned();
    app.kill();
    wait_until("the page to notice", || page.run(STATE) == "waiting");
    let app = App::start(&["--rate", "2", "--addr", &addr]);
    wait_until("the live state again", || page.run(STATE) == "live");
    app.api(&json!([tweet("1", "hello over a socket")]).to_string(), &[]);
    let texts = "return document.querySelector('#feed').innerText";
    wait_until("the post", || page.run(texts).as_str().unwrap().contains("hello over a socket"));
}

#[test]
#[ignore = "needs chromium"]
fn markup_shows_as_text() {
    let app = App::start(&["--source", "file:/dev/null"]);
    let page = Browser::start();
    page.open(&app.base);
    let evil = [
        "<img src=x onerror=\"window.broken = 1\">",
        "</script><script>window.broken = 1</script>",
        "&lt;b&gt; <svg/onload=window.broken=1>",
        "javascript:window.broken=1 https://a.example/\"onmouseover=\"window.broken=1",
    ];
    for (n, text) in evil.iter().enumerate() {
        let mut post = tweet(&n.to_string(), text);
        post["user"]["full_name"] = json!(text);
        post["user"]["handle"] = json!(text);
        post["url"] = json!("javascript:window.broken=1");
        post["entities"]["urls"] = json!([{"url": "https://a.example/", "display_url": text,
            "expanded_url": "javascript:window.broken=1"}]);
        app.api(&json!([post]).to_string(), &[]);
    }
    wait_until("the posts", || shown(&page) == 4);
    let texts =
        page.run("return [...document.querySelectorAll('#feed .text')].map(e => e.textContent)");
    for (text, shown) in evil.iter().rev().zip(texts.as_array().unwrap()).skip(1) {
        assert_eq!(shown, &text.replace("&lt;", "<").replace("&gt;", ">"));
    }
    let made = "return document.querySelectorAll('#feed img, #feed script, #feed b, #feed svg:not(.avatar)').length";
    assert_eq!(page.run(made), 0);
    assert_eq!(page.run("return [...document.querySelectorAll('#feed a')].every(a => a.protocol.startsWith('http'))"), true);
    assert_eq!(page.run("return window.broken === undefined"), true);
    assert_eq!(page.errors(), json!([]), "a clean console");
}
