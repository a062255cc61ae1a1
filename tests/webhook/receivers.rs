//! Receivers that others wrote: the reference libraries of Standard Webhooks verify what we deliver, and sign as we do.
//!
//! `.ci/run` installs the libraries, and says to Python and node where they are, by PYTHONPATH and NODE_PATH.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sward::webhook::{
    Client, ClientConfig, DeliveryId, DeliveryState, Guard, Publication, Registration, Secret,
    Time, sign,
};

use super::receiver::{account, becomes, config, webhooks};

/// A receiver in a process of its own. Ends when dropped.
struct Other {
    process: Child,
    url: String,
}

impl Other {
    fn start(program: &str, script: &str, key: &str) -> Other {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webhook/receivers");
        let mut process = Command::new(program)
            .arg(format!("{folder}/{script}"))
            .arg(key)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
        assert!(!port.is_empty(), "{program} has ended");
        Other { process, url: format!("http://127.0.0.1:{}/", port.trim()) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The whole way: published, delivered, verified by them; again after the key was changed, as they have the old one.
fn verifies(program: &str, script: &str, secret: &Secret) {
    let key = secret.public_key().unwrap_or_else(|| secret.to_string());
    let other = Other::start(program, script, &key);
    sward::run(|| {
        let webhooks = webhooks(config());
        let _dispatcher = webhooks.start();
        let wanted = Registration::new(&other.url).keys(account("1")).secret(secret.clone());
        let (endpoint, _) = webhooks.register(wanted).unwrap();
        let deliver = |data: &Value| {
            let message = webhooks.publish(Publication::new(account("1"), data)).unwrap().id;
            becomes(&webhooks, &message, &endpoint.id, DeliveryState::Delivered);
            let attempts = webhooks.attempts(&DeliveryId::of(&message, &endpoint.id)).unwrap();
            assert_eq!(attempts.len(), 1, "{attempts:?}");
            serde_json::from_str::<Value>(&attempts[0].response).unwrap()
        };
        for data in
            [json!({}), json!(["é \u{1f331} \u{0} \"\\", 1.5, null]), json!("x".repeat(5000))]
        {
            assert_eq!(deliver(&data)["verified"]["data"], data);
        }
        webhooks.rotate(&endpoint.id).unwrap();
        assert_eq!(deliver(&json!("rotated"))["verified"]["data"], "rotated");
    });
}

/// Byte by byte: they make the same signature; and they refuse what we signed with another key.
fn agrees(program: &str, script: &str) {
    let secret = Secret::random();
    let other = Other::start(program, script, &secret.to_string());
    let client = Client::new(ClientConfig::default(), Guard::default().allow_loopback());
    let post = |with: &[Secret], now: u64, body: &str| {
        let signature = sign(with, "msg_1", now, body.as_bytes());
        let now = now.to_string();
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", &*now),
            ("webhook-signature", &signature),
        ];
        let reply = client.post(&other.url, &headers, body.as_bytes()).result.unwrap();
        (reply.status, serde_json::from_str::<Value>(&reply.body).unwrap(), signature)
    };
    let now = Time::now().as_secs();
    for body in ["{}", "[ 1,\n2 ]", "\"\u{e9}\u{1f331}\""] {
        let (status, said, signature) = post(std::slice::from_ref(&secret), now, body);
        assert_eq!((status, &said["signature"]), (200, &signature.into()), "{said}");
    }
    let many = [Secret::random(), Secret::random_ed25519(), secret.clone()];
    assert_eq!(post(&many, now, "{}").0, 200);
    assert_eq!(post(&many[..2], now, "{}").0, 403);
    assert_eq!(post(&many, now - 310, "{}").0, 403);
}

#[test]
#[ignore = "needs python3 and PyPI's standardwebhooks"]
fn python() {
    verifies("python3", "receiver.py", &Secret::random());
    agrees("python3", "receiver.py");
}

#[test]
#[ignore = "needs node and npm's standardwebhooks"]
fn node() {
    verifies("node", "receiver.js", &Secret::random());
    agrees("node", "receiver.js");
}

#[test]
#[ignore = "needs node"]
fn ed25519_by_node() {
    verifies("node", "receiver.js", &Secret::random_ed25519());
}
