//! mysql, with MariaDB.

use std::time::Duration;

use foreign::check::{Check, best_of_three, many, timed};
use foreign::server;
use foreign::table::MYSQL;
use mysql::prelude::Queryable as _;
use mysql::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};

fn options(port: u16) -> OptsBuilder {
    let options = OptsBuilder::new().ip_or_hostname(Some("127.0.0.1")).tcp_port(port);
    // Otherwise it moves to the server's Unix socket once connected, which is fine, but another test.
    options.user(Some("root")).prefer_socket(false)
}

#[test]
#[ignore = "needs mariadb-server"]
fn sleeping_queries() {
    Check::of(MYSQL).run_with(server::mariadb, |port| {
        let connections = timed("50 x connect", Duration::from_secs(10), || {
            many(50, move |_| std::sync::Mutex::new(Conn::new(options(port)).unwrap()))
        });
        let connections = std::sync::Arc::new(connections);
        best_of_three("50 x SELECT SLEEP(1)", Duration::from_millis(1500), || {
            let connections = connections.clone();
            many(50, move |i| {
                let row: Option<(i64, usize)> = connections[i]
                    .lock()
                    .unwrap()
                    .query_first(format!("SELECT SLEEP(1), {i}"))
                    .unwrap();
                assert_eq!(row, Some((0, i)));
            });
        });
    });
}

/// Its pool waits in std's `Condvar`.
#[test]
#[ignore = "needs mariadb-server"]
fn pool_is_shared() {
    Check::of(MYSQL).run_with(server::mariadb, |port| {
        let limits = PoolOpts::default().with_constraints(PoolConstraints::new(1, 10).unwrap());
        let pool = Pool::new(Opts::from(options(port).pool_opts(limits))).unwrap();
        pool.get_conn().unwrap().query_drop("CREATE DATABASE shop").unwrap();
        pool.get_conn()
            .unwrap()
            .query_drop("CREATE TABLE shop.orders (id INT PRIMARY KEY, what VARCHAR(100))")
            .unwrap();
        let own = pool.clone();
        timed("50 x 100 ms by 10 connections", Duration::from_secs(3), || {
            many(50, move |i| {
                let mut connection = own.get_conn().unwrap();
                let values = (i, "grass ".repeat(i % 10));
                connection.exec_drop("INSERT INTO shop.orders VALUES (?, ?)", values).unwrap();
                connection.query_drop("SELECT SLEEP(0.1)").unwrap();
            })
        });
        let sum: Option<u64> = pool
            .get_conn()
            .unwrap()
            .query_first("SELECT CAST(SUM(id) AS UNSIGNED) FROM shop.orders")
            .unwrap();
        assert_eq!(sum, Some((0..50).sum()));
    });
}
