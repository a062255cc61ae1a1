//! The store in MongoDB, against a server that speaks its protocol.

use std::env;
use std::process::Command;
use std::sync::Arc;

use sward::webhook::store::MongoStore;

use crate::server::Server;

fn start() -> Server {
    Server::start("nx-27017", |server| {
        let program = env::var_os("NX_27017").unwrap_or_else(|| "nx-27017".into());
        let mut command = Command::new(program);
        command.args(["--host", "127.0.0.1", "--port", &server.port.to_string()]);
        command.args(["--data-dir", "memory"]);
        command.arg("--log-file").arg(server.folder.join("server.log"));
        command.arg("--pid-file").arg(server.folder.join("pid"));
        command
    })
}

fn url(server: &Server, database: &str) -> String {
    format!("mongodb://127.0.0.1:{}/{database}", server.port)
}

#[test]
#[ignore = "needs nx-27017"]
fn mongodb_passes_the_battery() {
    let server = start();
    crate::battery(|number| {
        Arc::new(MongoStore::open(&url(&server, &format!("battery{number}"))).unwrap())
    });
}
