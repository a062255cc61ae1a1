//! The pipeline that skyhooks was made for, whole: users connect to one of several instances and ask for a job on their account; one
//! worker does it, however many ask; the result goes to every instance that somebody of the account is connected to, and from there
//! to each of them, by SSE, WebSocket or long poll. Between workers and instances is the durable webhook registry.
//!
//! ```text
//! cargo run --release --example webhooks        # then open the URL that it prints
//! ```
//!
//! Read in this order: `jobs.rs` (workers), `accounts.rs` (who waits), `instance.rs` (the web side), `gateway.rs` (the reverse webhook
//! proxy). The page is in `page/`.

#![forbid(unsafe_code)]

mod accounts;
mod args;
#[path = "../tweet_feed/client.rs"]
#[allow(dead_code, reason = "the tweet feed uses all of it")]
mod client;
mod gateway;
mod instance;
mod jobs;

use std::env;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sward::http::{Router, Server, ServerHandle};
use sward::signal::{SIGINT, SIGTERM, Signals};
use sward::thread;
use sward::webhook::hooks::{Hooks, Poster};
use sward::webhook::store::{self, Store};
use sward::webhook::{
    Client, ClientConfig, Config, Error, Guard, Keys, MessageId, Publication, Schedule, Secret,
    Webhooks,
};

use accounts::{Accounts, KEY};
use args::{Options, Role};
use gateway::Gateway;
use instance::Instance;
use jobs::Jobs;

fn main() -> ExitCode {
    let options = match args::parse(env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(message) => {
            eprintln!("webhooks: {message}\nRun with --help to see all flags.");
            return ExitCode::from(2);
        }
    };
    match sward::run(move || run(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("webhooks: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let store =
        store::open(&options.store).map_err(|e| format!("--store {}: {e}", options.store))?;
    let signals = Signals::new(&[SIGINT, SIGTERM]).map_err(|e| format!("no signals: {e}"))?;
    // Everything here is on this machine, where a registry posts only if it is told that it may. And a demonstration should not
    // take three days to give up.
    let guard = Guard::default().allow_loopback();
    let waits: Vec<Duration> = [1, 2, 4, 8].map(Duration::from_secs).into();
    let config =
        Config { guard: guard.clone(), schedule: Schedule::new(waits), ..Config::default() };
    let webhooks = Webhooks::new(store.clone(), config);
    let client = Client::new(ClientConfig::default(), guard);

    let mut servers = Vec::new();
    // Who publishes delivers: the workers' process, which hears of its own messages at once.
    let dispatcher = (options.role != Role::Web).then(|| webhooks.start());
    let jobs = match &options.jobs {
        Some(url) => url.clone(),
        None => {
            let addr = if options.role == Role::Worker { &options.addr[..] } else { "127.0.0.1:0" };
            let jobs = workers(&options, &webhooks, &store, &client);
            let (server, url) = bind(addr)?;
            servers.push(server.handle());
            serve(server, jobs.routes(Router::new()));
            url
        }
    };
    let mut accounts = Vec::new();
    if options.role != Role::Worker {
        let token = options.token.clone().unwrap_or_else(|| MessageId::random().to_string());
        let mut bound = Vec::new();
        for n in 0..options.instances {
            bound.push(bind(&address(&options.addr, n)?)?);
        }
        let instances: Vec<_> = bound.iter().map(|(_, url)| url.clone()).collect();
        for (server, url) in bound {
            let hooks = Hooks::new(store.clone(), format!("{url}/hooks"))
                .renew_every(Duration::from_secs(options.renew))
                .secret(&Secret::random())
                .start();
            let here = Accounts::new(hooks.clone());
            accounts.push(here.clone());
            let instance = Instance {
                webhooks: webhooks.clone(),
                hooks,
                accounts: here,
                gateway: Gateway::new(&url, &format!("{url}/backend"), Duration::from_secs(10)),
                jobs: jobs.clone(),
                client: client.clone(),
                token: token.clone(),
                instances: instances.clone(),
            };
            println!("webhooks: {url}/#token={token}");
            servers.push(server.handle());
            serve(server.mode(options.mode), instance.routes());
        }
    }
    println!("webhooks: workers at {jobs}/");
    // OK to ignore: without signals only kill ends us, which nothing here minds.
    _ = signals.wait();
    end(&accounts, &servers);
    if let Some(dispatcher) = dispatcher {
        dispatcher.stop(Duration::from_secs(5));
    }
    Ok(())
}

/// Streams first, so that nobody's answer is cut short.
fn end(accounts: &[Accounts], servers: &[ServerHandle]) {
    accounts.iter().for_each(Accounts::close);
    servers.iter().for_each(ServerHandle::shutdown);
    for server in servers {
        if !server.wait_timeout(Duration::from_secs(5)) {
            server.shutdown_now();
        }
    }
}

fn workers(
    options: &Options,
    webhooks: &Webhooks,
    store: &Arc<dyn Store>,
    client: &Client,
) -> Jobs {
    let keys = |account: &str| Keys::new().with(KEY, account);
    if options.direct {
        let poster = Poster::new(store.clone(), client.clone());
        return Jobs::start(options.workers, move |account: &str, result: &Value| {
            let posted = poster.post(&keys(account), result)?;
            posted
                .iter()
                .filter(|post| !post.is_taken())
                .for_each(|post| eprintln!("webhooks: {post}"));
            Ok::<_, store::StoreError>(())
        });
    }
    let webhooks = webhooks.clone();
    Jobs::start(options.workers, move |account: &str, result: &Value| {
        let result = Publication::new(keys(account), result).kind("job.done");
        webhooks.publish(result).map(drop)?;
        Ok::<_, Error>(())
    })
}

/// The n-th address: the ports after the first, or any if that may be any.
fn address(first: &str, n: u16) -> Result<String, String> {
    let wrong = || format!("--addr {first}: not an address with a port");
    let (host, port) = first.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let port = if port == 0 { 0 } else { port.checked_add(n).ok_or_else(wrong)? };
    Ok(format!("{host}:{port}"))
}

fn bind(addr: &str) -> Result<(Server, String), String> {
    let server = Server::bind(addr).map_err(|e| format!("cannot listen on {addr}: {e}"))?;
    let at: SocketAddr = server.local_addr().map_err(|e| e.to_string())?;
    Ok((server, format!("http://{at}")))
}

fn serve(server: Server, app: Router) {
    thread::spawn(move || {
        if let Err(error) = server.serve(app) {
            eprintln!("webhooks: {error}");
        }
    });
}
