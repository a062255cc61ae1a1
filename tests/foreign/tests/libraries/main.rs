//! Libraries that know nothing of green threads, on green threads of one worker: a module each. Those that need a server
//! of their own are ignored unless asked for; `bash .ci/foreign` runs everything.

mod async_only;
mod command;
mod crossbeam_channels;
mod curl_http;
mod lettre_smtp;
mod libpq;
mod minreq_http;
mod mysql_server;
mod native_tls_openssl;
mod parking_lot_lock;
mod postgres_sync;
mod r2d2_pool;
mod rayon_pool;
mod redis_server;
mod reqwest_blocking;
mod std_mpsc;
mod table;
mod tls;
mod tungstenite_ws;
mod ureq_http;
mod ureq_https;
