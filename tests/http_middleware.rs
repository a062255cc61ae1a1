//! Middleware, nested routers and mounts over sockets, in every mode.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "not library code")]

#[macro_use]
mod http_support;
mod support;

use http_support::{Running, body_of, get_once, start, status_of};
use sward::http::{Config, Mode, Next, Request, Response, Router, StatusCode};

fn serve(mode: Mode, app: Router) -> Running {
    support::alarm();
    start(mode, Config::default(), app)
}

/// Adds a letter to the header `Trail`, in the order in which responses come out.
fn trail(letter: &'static str) -> impl Fn(&mut Request<'_>, Next<'_>) -> Response {
    move |req: &mut Request<'_>, next: Next<'_>| {
        let mut response = next.run(req);
        let trail = response.get_header("trail").unwrap_or("").to_string() + letter;
        response.set_header("Trail", trail);
        response
    }
}

fn whoami(req: &mut Request<'_>) -> String {
    format!("{:?} {:?}", req.route(), req.sub_path())
}

fn order_and_reach(mode: Mode) {
    let app = Router::new()
        .with(trail("a"))
        .get("/", |_: &mut Request| "hello")
        .with(trail("b"))
        .nest("/in", Router::new().get("/x", |_: &mut Request| "in").with(trail("c")));
    let server = serve(mode, app);
    // Responses come out from the innermost to the outermost; around 404, 405 and OPTIONS too.
    for (line, status, trail) in [
        ("GET /", "200", "ba"),
        ("GET /nowhere", "404", "ba"),
        ("POST /", "405", "ba"),
        ("OPTIONS /", "204", "ba"),
        ("OPTIONS *", "204", "ba"),
        ("GET /in/x", "200", "cba"),
        ("GET /in/nowhere", "404", "cba"),
        ("DELETE /in/x", "405", "cba"),
    ] {
        let text =
            server.exchange(format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"));
        assert_eq!(status_of(&text), status, "{line}");
        assert!(text.contains(&format!("\r\nTrail: {trail}\r\n")), "{line}: {text}");
    }
}

fn answers_by_itself(mode: Mode) {
    let app = Router::new()
        .get("/{n}", |req: &mut Request| {
            let left = req.extensions().get::<u32>().copied();
            format!("{left:?}")
        })
        .with(|req: &mut Request, next: Next| {
            if req.path() == "/stop" {
                return Err(StatusCode::IM_A_TEAPOT);
            }
            if req.path() == "/panic" {
                panic!("on purpose");
            }
            req.extensions_mut().insert(7_u32);
            Ok(next.run(req))
        });
    let server = serve(mode, app);
    for (path, status) in [("/go", "200"), ("/stop", "418"), ("/panic", "500")] {
        assert_eq!(status_of(&server.exchange(get_once(path))), status, "{path}");
    }
    assert_eq!(body_of(&server.exchange(get_once("/go"))), "Some(7)");
}

fn nested_paths(mode: Mode) {
    let ids = |req: &mut Request<'_>| -> Result<String, sward::http::Error> {
        let (team, id): (String, String) = (req.param("team")?, req.param("id")?);
        Ok(format!("{team} {id} {:?}", req.route()))
    };
    let deep = Router::new().get("/", whoami).get("/{id}", ids);
    let api = Router::new().get("/", whoami).nest("/users", deep).mount("/files", whoami);
    let app = Router::new()
        .get("/teams/{team}/special", |_: &mut Request| "special")
        .nest("/teams/{team}", api)
        .mount("/all", whoami)
        .fallback(|req: &mut Request<'_>| format!("fallback {}", whoami(req)));
    let server = serve(mode, app);
    for (path, body) in [
        ("/teams/7", r#"Some("/teams/{team}/") """#),
        ("/teams/7/", r#"Some("/teams/{team}/") "/""#),
        ("/teams/7/users", r#"Some("/teams/{team}/users/") """#),
        ("/teams/7/users/a%20b?x=/y", r#"7 a b Some("/teams/{team}/users/{id}")"#),
        ("/teams/7/special", "special"),
        ("/teams/7/files", r#"Some("/teams/{team}/files/{*rest}") """#),
        ("/all", r#"Some("/all/{*rest}") """#),
        ("/all/", r#"Some("/all/{*rest}") "/""#),
        ("/all//a/", r#"Some("/all/{*rest}") "//a/""#),
        ("/all/a/../b", r#"Some("/all/{*rest}") "/a/../b""#),
        ("/allx", r#"fallback None "/allx""#),
    ] {
        let text = server.exchange(get_once(path));
        assert_eq!(body_of(&text), body, "{path}");
    }
    // A nested router answers for all that is below it.
    assert_eq!(status_of(&server.exchange(get_once("/teams/7/nowhere/at/all"))), "404");
}

fn what_is_nested_at_the_root_gets_the_rest(mode: Mode) {
    let inner = Router::new()
        .get("/", |_: &mut Request| "inner root")
        .get("/b", whoami)
        .get("/a", |_: &mut Request| "never")
        .with(trail("i"));
    let app = Router::new().get("/a", |_: &mut Request| "outer").nest("/", inner).with(trail("o"));
    let server = serve(mode, app);
    for (path, body, trail) in [
        ("/a", "outer", "o"),
        ("/", "inner root", "io"),
        ("/b", r#"Some("/b") "/b""#, "io"),
        ("/c/d", "Not Found", "io"),
    ] {
        let text = server.exchange(get_once(path));
        assert_eq!(body_of(&text), body, "{path}");
        assert!(text.contains(&format!("\r\nTrail: {trail}\r\n")), "{path}: {text}");
    }
}

fn routes_are_known_outside(mode: Mode) {
    let app = Router::new().nest("/a", Router::new().get("/{b}", |_: &mut Request| "x")).with(
        |req: &mut Request, next: Next| {
            let before = req.route();
            let response = next.run(req);
            let b = req.param::<String>("b").unwrap_or_default();
            response.header("Route", format!("{before:?} {:?} {b} {}", req.route(), req.sub_path()))
        },
    );
    let server = serve(mode, app);
    let text = server.exchange(get_once("/a/c"));
    assert!(text.contains("\r\nRoute: None Some(\"/a/{b}\") c /a/c\r\n"), "{text}");
    let text = server.exchange(get_once("/b"));
    assert!(text.contains("\r\nRoute: None None  /b\r\n"), "{text}");
}

in_each_mode! {
    order_and_reach answers_by_itself nested_paths what_is_nested_at_the_root_gets_the_rest
    routes_are_known_outside
}
