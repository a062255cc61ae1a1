//! native-tls over OpenSSL: clients and their server on the one worker, so that each handshake and each record switches
//! inside of OpenSSL, whose error queue belongs to the OS thread.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use foreign::check::{Check, many, spawn, timed};
use foreign::table::NATIVE_TLS;
use native_tls::{Certificate, Identity, TlsAcceptor, TlsConnector, TlsStream};

use crate::tls::certificate;

const BYTES: usize = 512 * 1024;

/// Sends back what it is sent, in pieces, after a pause.
fn serve(mut stream: TlsStream<TcpStream>) {
    let mut bytes = vec![0; BYTES];
    stream.read_exact(&mut bytes).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    bytes.chunks(10_000).for_each(|piece| stream.write_all(piece).unwrap());
    stream.shutdown().unwrap();
}

/// Reads all the system's certificates, which takes long: one for all.
fn connector(trusted: Option<&[u8]>) -> TlsConnector {
    let mut builder = TlsConnector::builder();
    if let Some(pem) = trusted {
        builder.add_root_certificate(Certificate::from_pem(pem).unwrap());
    }
    builder.build().unwrap()
}

#[test]
fn twenty_sessions() {
    Check::of(NATIVE_TLS).run(|| {
        let ours = certificate();
        let (pem, key) = (ours.cert.pem(), ours.signing_key.serialize_pem());
        let acceptor =
            TlsAcceptor::new(Identity::from_pkcs8(pem.as_bytes(), key.as_bytes()).unwrap())
                .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let server = spawn(move || {
            let mut served = Vec::new();
            for stream in listener.incoming().take(30) {
                let acceptor = acceptor.clone();
                served.push(spawn(move || match acceptor.accept(stream.unwrap()) {
                    Ok(stream) => {
                        serve(stream);
                        1
                    }
                    // Refused by who does not trust us.
                    Err(_) => 0,
                }));
            }
            served.into_iter().map(|join| join()).sum::<usize>()
        });
        let (friend, stranger) = (connector(Some(pem.as_bytes())), connector(None));
        timed("30 TLS sessions, 10 of them refused", Duration::from_secs(10), || {
            many(30, move |i| {
                let stream = TcpStream::connect(at).unwrap();
                if i % 3 == 0 {
                    let error = stranger.connect("localhost", stream).unwrap_err();
                    assert!(error.to_string().contains("certificate verify failed"), "{error}");
                    return;
                }
                let mut stream = friend.connect("localhost", stream).unwrap();
                let sent: Vec<u8> = (0..BYTES).map(|n| (n * i) as u8).collect();
                stream.write_all(&sent).unwrap();
                let mut back = Vec::new();
                stream.read_to_end(&mut back).unwrap();
                assert!(back == sent, "the bytes come back as they were");
            })
        });
        assert_eq!(server(), 20);
    });
}
