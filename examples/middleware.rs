//! What goes around handlers: log, ids, figures, logins, limits. A notebook that everybody reads and some may write.
//!
//! `cargo run --release --example middleware -- [ADDRESS]`, then
//! `curl -u ann:secret -d 'buy milk' http://127.0.0.1:8080/edit/notes` and `curl http://127.0.0.1:8080/notes`

use std::sync::Arc;
use std::time::{Duration, Instant};

use sward::http::middleware::{
    AccessLog, BasicAuth, ConcurrencyLimit, Cors, Metrics, RequestIds, TimeLimit, User,
};
use sward::http::{Error, Json, Next, Request, Router, Server, StatusCode};
use sward::sync::Mutex;

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".into());
    let notes = Arc::new(Mutex::new(Vec::<String>::new()));
    let metrics = Metrics::new();

    // Only those who are known get here; what goes around a nested router goes around its routes only.
    let add = notes.clone();
    let edit = Router::new()
        .post("/notes", move |req: &mut Request| -> Result<StatusCode, Error> {
            let text = req.text()?;
            let author = req.extensions().get::<User>().map_or("?", |user| &user.0);
            add.lock().unwrap().push(format!("{author}: {text}"));
            Ok(StatusCode::CREATED)
        })
        .with(BasicAuth::new("notebook").user("ann", "secret"))
        .with(ConcurrencyLimit::new(100));

    // The first is the outermost: the log has everything, refused requests too.
    let app = Router::new()
        .with(RequestIds::new())
        .with(AccessLog::json(std::io::stdout()))
        .with(metrics.clone())
        .with(TimeLimit::new(Duration::from_secs(5)))
        .with(Cors::new().any_origin())
        .with(|req: &mut Request, next: Next| {
            let start = Instant::now();
            let response = next.run(req);
            response.header("Server-Timing", format!("app;dur={}", start.elapsed().as_millis()))
        })
        .get("/notes", move |_: &mut Request| Json(notes.lock().unwrap().clone()))
        .get("/metrics", metrics.page())
        .nest("/edit", edit);

    let server = Server::bind(address)?.stop_on_signals();
    metrics.server(server.handle());
    eprintln!("http://{}", server.local_addr()?);
    sward::run(|| server.serve(app))
}
