//! A library that is async only: its runtime on one OS thread, green threads wait by `sward::block_on`.

use std::future::pending;
use std::time::Duration;

use foreign::check::{Check, best_of_three, many};
use foreign::server;
use foreign::table::TOKIO_POSTGRES;
use tokio::runtime::{self, Handle};
use tokio_postgres::NoTls;

/// A runtime on an OS thread of its own, for as long as the process lives.
fn runtime() -> Handle {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handle = runtime.handle().clone();
    std::thread::spawn(move || runtime.block_on(pending::<()>()));
    handle
}

#[test]
#[ignore = "needs postgresql"]
fn sleeping_queries() {
    Check::of(TOKIO_POSTGRES).run_with(server::postgres, |port| {
        let runtime = runtime();
        let how = format!("host=127.0.0.1 port={port} user=postgres");
        let own = runtime.clone();
        let clients = many(50, move |_| {
            let (own, how) = (own.clone(), how.clone());
            let connect = async move {
                let (client, connection) = tokio_postgres::connect(&how, NoTls).await.unwrap();
                tokio::spawn(connection);
                client
            };
            sward::block_on(own.spawn(connect)).unwrap()
        });
        let clients = std::sync::Arc::new(clients);
        best_of_three("50 x pg_sleep(1) by tokio-postgres", Duration::from_millis(1500), || {
            let clients = clients.clone();
            // A query only talks to the task of its connection: it needs no runtime around it.
            many(50, move |i| {
                let row = sward::block_on(clients[i].query_one("SELECT 42 FROM pg_sleep(1)", &[]));
                assert_eq!(row.unwrap().get::<_, i32>(0), 42);
            });
        });
        drop(runtime);
    });
}
