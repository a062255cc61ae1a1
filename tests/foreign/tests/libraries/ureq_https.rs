//! ureq over HTTPS by rustls: its client on green threads, its server on OS threads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use foreign::check::{Check, many, timed};
use foreign::peer;
use foreign::table::UREQ_TLS;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::tls::certificate;

fn server(delay: Duration) -> (SocketAddr, Certificate<'static>) {
    let ours = certificate();
    let key = PrivateKeyDer::try_from(ours.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(vec![ours.cert.der().clone()], key).unwrap());
    let at = peer::serve(move |stream| {
        let session = ServerConnection::new(config.clone()).unwrap();
        peer::http(StreamOwned::new(session, stream), delay);
    });
    (at, Certificate::from_der(ours.cert.der()).to_owned())
}

fn agent(roots: RootCerts) -> ureq::Agent {
    let tls = TlsConfig::builder().root_certs(roots).build();
    ureq::Agent::config_builder().proxy(None).tls_config(tls).build().into()
}

#[test]
fn fifty_at_once() {
    Check::of(UREQ_TLS).run(|| {
        let (at, trusted) = server(Duration::from_millis(200));
        let url = format!("https://localhost:{}/", at.port());
        let answers = timed("50 x https of 200 ms", Duration::from_secs(5), || {
            many(50, move |_| {
                let agent = agent(RootCerts::new_with_certs(std::slice::from_ref(&trusted)));
                agent.get(&url).call().unwrap().body_mut().read_to_string().unwrap()
            })
        });
        assert!(answers.iter().all(|answer| answer == "hello"));
    });
}

#[test]
fn stranger_is_refused() {
    Check::of(UREQ_TLS).run(|| {
        let (at, _) = server(Duration::ZERO);
        let url = format!("https://localhost:{}/", at.port());
        let (_, other) = server(Duration::ZERO);
        many(5, move |_| {
            let agent = agent(RootCerts::new_with_certs(std::slice::from_ref(&other)));
            let error = agent.get(&url).call().unwrap_err();
            assert!(error.to_string().contains("certificate"), "{error}");
        });
    });
}
