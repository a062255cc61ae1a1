//! The servers: the same two handlers on each, one worker each, as their own documentation would write it. Each prints
//! its address and serves until its process is killed.

use serde::Serialize;

/// What `/json` answers.
#[derive(Serialize)]
struct Message {
    message: &'static str,
}

/// What `/plaintext` answers.
const HELLO: &str = "Hello, World!";

const MESSAGE: Message = Message { message: HELLO };

/// The names, in the order in which they are reported. The first is ours.
pub(crate) const NAMES: &[&str] = if cfg!(feature = "peers") {
    &["sward", "may_minihttp", "hyper", "axum", "actix", "floor"]
} else {
    &["sward", "floor"]
};

/// Serves as `name` for ever.
pub(crate) fn serve(name: &str) {
    match name {
        "sward" => sward(),
        "floor" => crate::floor::serve(),
        #[cfg(feature = "peers")]
        "may_minihttp" => peers::may_minihttp(),
        #[cfg(feature = "peers")]
        "hyper" => peers::hyper(),
        #[cfg(feature = "peers")]
        "axum" => peers::axum(),
        #[cfg(feature = "peers")]
        "actix" => peers::actix(),
        _ => panic!("no server is called {name:?}"),
    }
}

fn sward() {
    use sward::http::{Config, Request, Response, Router, Server};

    sward::Builder::new().workers(1).run(|| {
        let mut config = Config::default();
        config.server_name = Some("S".into());
        let server = Server::bind("127.0.0.1:0").expect("a port").config(config);
        println!("{}", server.local_addr().expect("bound"));
        let app = Router::new()
            .get("/plaintext", |_: &mut Request<'_>| HELLO)
            .get("/json", |_: &mut Request<'_>| Response::json(&MESSAGE));
        server.serve(app).expect("it serves");
    });
}

#[cfg(feature = "peers")]
mod peers {
    use std::convert::Infallible;
    use std::io;

    use super::{HELLO, MESSAGE};

    pub(super) fn may_minihttp() {
        use bytes::BufMut;
        use may_minihttp::{HttpServer, HttpService, Request, Response};

        #[derive(Clone)]
        struct App;

        impl HttpService for App {
            fn call(
                &mut self,
                request: Request<'_, '_, '_>,
                response: &mut Response<'_>,
            ) -> io::Result<()> {
                match request.path() {
                    "/plaintext" => response.header("Content-Type: text/plain").body(HELLO),
                    "/json" => {
                        response.header("Content-Type: application/json");
                        serde_json::to_writer(response.body_mut().writer(), &MESSAGE)?;
                    }
                    _ => drop(response.status_code(404, "Not Found")),
                }
                Ok(()) // it adds Server and Date itself
            }
        }

        may::config().set_workers(1);
        // It does not say which port it got, so one is chosen before.
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let addr = free.expect("a port");
        let server = HttpServer(App).start(addr).expect("it starts");
        println!("{addr}");
        server.join().expect("it serves");
    }

    /// One worker, as the others have.
    fn tokio() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    }

    async fn listener() -> tokio::net::TcpListener {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("bound"));
        listener
    }

    pub(super) fn hyper() {
        use http_body_util::Full;
        use hyper::body::{Bytes, Incoming};
        use hyper::header::{CONTENT_TYPE, HeaderValue, SERVER};
        use hyper::server::conn::http1;
        use hyper::{Request, Response, StatusCode};
        use hyper_util::rt::{TokioIo, TokioTimer};

        fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
            let mut response = Response::new(Full::default());
            let mime = match request.uri().path() {
                "/plaintext" => {
                    *response.body_mut() = Full::new(Bytes::from_static(HELLO.as_bytes()));
                    "text/plain"
                }
                "/json" => {
                    let body = serde_json::to_vec(&MESSAGE).expect("it is plain data");
                    *response.body_mut() = Full::new(Bytes::from(body));
                    "application/json"
                }
                _ => {
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    return response;
                }
            };
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(mime));
            headers.insert(SERVER, HeaderValue::from_static("H"));
            response
        }

        let runtime = tokio();
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let listener = listener().await;
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                // OK to ignore: Nagle's algorithm changes nothing for one answer per request.
                let _ = socket.set_nodelay(true);
                tokio::task::spawn_local(async move {
                    let service = hyper::service::service_fn(|request| async move {
                        Ok::<_, Infallible>(answer(&request))
                    });
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .pipeline_flush(true)
                        .serve_connection(TokioIo::new(socket), service);
                    // OK to ignore: that client is gone.
                    let _ = connection.await;
                });
            }
        });
    }

    pub(super) fn axum() {
        use axum::http::header::{HeaderName, SERVER};
        use axum::routing::get;
        use axum::serve::ListenerExt;
        use axum::{Json, Router};

        const S: [(HeaderName, &str); 1] = [(SERVER, "A")];
        tokio().block_on(async {
            // OK to ignore: as above.
            let listener = listener().await.tap_io(|socket| drop(socket.set_nodelay(true)));
            let app = Router::new()
                .route("/plaintext", get(async || (S, HELLO)))
                .route("/json", get(async || (S, Json(MESSAGE))));
            axum::serve(listener, app).await.expect("it serves");
        });
    }

    pub(super) fn actix() {
        use actix_web::http::header::{ContentType, SERVER};
        use actix_web::{App, HttpResponse, HttpServer, web};

        async fn plaintext() -> HttpResponse {
            let mut response = HttpResponse::Ok();
            response.insert_header((SERVER, "X")).content_type(ContentType::plaintext()).body(HELLO)
        }

        async fn json() -> HttpResponse {
            HttpResponse::Ok().insert_header((SERVER, "X")).json(MESSAGE)
        }

        let served = actix_web::rt::System::new().block_on(async {
            let server = HttpServer::new(|| {
                App::new()
                    .route("/plaintext", web::get().to(plaintext))
                    .route("/json", web::get().to(json))
            });
            let server = server.workers(1).bind("127.0.0.1:0")?;
            println!("{}", server.addrs()[0]);
            server.run().await
        });
        served.expect("it serves");
    }
}
