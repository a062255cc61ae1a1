//! The store in MongoDB, against a server that speaks its protocol.

use std::env;
use std::process::Command;
use std::sync::Arc;

use mongodb::bson::{Document, doc};
use mongodb::{Client, Database};
use sward::webhook::store::{MongoStore, Store};
use sward::webhook::{Message, MessageId};

use crate::battery::{at, endpoint_id, keys, message, publish, register};
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

/// On the driver itself, as another program would.
fn with_driver<T>(url: &str, look: impl AsyncFnOnce(Database) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::with_uri_str(url).await.unwrap();
        look(client.default_database().unwrap()).await
    })
}

#[test]
#[ignore = "needs nx-27017"]
fn subscriptions_are_found_as_skyhooks_workers_do() {
    let server = start();
    let url = url(&server, "skyhooks");
    let store: Arc<dyn Store> = Arc::new(MongoStore::open(&url).unwrap());
    let a = register(&store, "a", &[("account_id", "42"), ("user_id", "7")]);
    register(&store, "b", &[("account_id", "42"), ("a.b", "1")]);
    store.subscribe(&a, &keys(&[("account_id", "42")]), at(1), None).unwrap();
    with_driver(&url, async |database| {
        let hooks = database.collection::<Document>("skyhooks_webhooks");
        let mut found = hooks.find(doc! { "account_id": "42" }).await.unwrap();
        let mut urls = Vec::new();
        while found.advance().await.unwrap() {
            let hook = found.deserialize_current().unwrap();
            assert_eq!(hook.get_array("account_id").unwrap().len(), 1);
            // nx-27017 makes text of a time that is set; MongoDB does not.
            let renewed = hook.get_str("url").unwrap() == "http://a.example/hook";
            assert!(hook.get_datetime("updated").is_ok() || renewed);
            assert!(hook.contains_key("updated") && hook.contains_key("expires"));
            urls.push(hook.get_str("url").unwrap().to_owned());
        }
        urls.sort();
        assert_eq!(urls, ["http://a.example/hook", "http://b.example/hook"]);
        assert_eq!(hooks.count_documents(doc! { "a%2Eb": "1" }).await.unwrap(), 1);
        // What skyhooks itself has put there is left alone.
        let theirs = doc! { "url": "http://theirs", "account_id": ["42"] };
        hooks.insert_one(theirs).await.unwrap();
    });
    assert_eq!(publish(&store, "m", at(1), &[("account_id", "42")]), 2);
    assert_eq!(store.expire(at(1_000_000)).unwrap(), 0);
    assert_eq!(store.totals(None).unwrap().subscriptions, 4);
}

/// A process was killed amid a publish, and another amid a removal: each leaves what it had written by then.
#[test]
#[ignore = "needs nx-27017"]
fn what_was_broken_off_is_completed() {
    let server = start();
    let url = url(&server, "broken");
    let store: Arc<dyn Store> = Arc::new(MongoStore::open(&url).unwrap());
    for name in ["a", "b", "c"] {
        register(&store, name, &[("k", "1")]);
    }
    let mut keyed = message("m", at(1), &[("k", "1")]);
    keyed.idempotency_key = Some("key".into());
    let repeated = |store: &Arc<dyn Store>| {
        let accepted = store.publish(&keyed, &[]).unwrap();
        assert_eq!(accepted.deliveries, 3);
        accepted.repeated
    };
    assert!(!repeated(&store));
    let half = || {
        with_driver(&url, async |database| {
            let all = |name| database.collection::<Document>(name);
            let gone = all("sward_deliveries").delete_one(doc! { "e": "b" }).await.unwrap();
            assert_eq!(gone.deleted_count, 1);
            let open = doc! { "$set": { "complete": false } };
            all("sward_messages").update_one(doc! { "_id": "m" }, open).await.unwrap();
        });
    };
    half();
    assert!(repeated(&store), "by publishing again");
    half();
    let store: Arc<dyn Store> = Arc::new(MongoStore::open(&url).unwrap());
    assert_eq!(store.totals(None).unwrap().pending, 3, "by opening it");

    // The key is kept before the message is.
    with_driver(&url, async |database| {
        let all = |name| database.collection::<Document>(name);
        all("sward_messages").delete_one(doc! { "_id": "m" }).await.unwrap();
        all("sward_deliveries").delete_many(doc! {}).await.unwrap();
    });
    let other = Message { id: MessageId::parse("other").unwrap(), ..keyed.clone() };
    let accepted = store.publish(&other, &[]).unwrap();
    assert_eq!((accepted.id.as_str(), accepted.deliveries, accepted.repeated), ("m", 3, false));

    with_driver(&url, async |database| {
        let gone = doc! { "$set": { "is": "gone", "url": "gone a", "gone": 5_i64 } };
        let all = database.collection::<Document>("sward_endpoints");
        all.update_one(doc! { "_id": "a" }, gone).await.unwrap();
    });
    assert_eq!(store.endpoint(&endpoint_id("a")).unwrap(), None);
    let store: Arc<dyn Store> = Arc::new(MongoStore::open(&url).unwrap());
    let totals = store.totals(None).unwrap();
    assert_eq!((totals.endpoints, totals.subscriptions, totals.pending), (2, 2, 2));
}
