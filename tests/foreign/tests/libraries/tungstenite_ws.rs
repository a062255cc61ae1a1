//! tungstenite: WebSocket clients and their server, all on the one worker.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use foreign::check::{Check, many, spawn, timed};
use foreign::table::TUNGSTENITE;
use tungstenite::{Error, Message, WebSocket, accept, client};

fn echo_server(connections: usize) -> (SocketAddr, impl FnOnce()) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let server = spawn(move || {
        let mut served = Vec::new();
        for stream in listener.incoming().take(connections) {
            served.push(spawn(move || echo(accept(stream.unwrap()).unwrap())));
        }
        served.into_iter().for_each(|join| join());
    });
    (at, server)
}

fn echo(mut socket: WebSocket<TcpStream>) {
    loop {
        match socket.read() {
            Ok(message) if message.is_text() || message.is_binary() => {
                socket.send(message).unwrap()
            }
            Ok(_) => {}
            Err(Error::ConnectionClosed) => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn connect(at: SocketAddr) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(at).unwrap();
    client(format!("ws://{at}/"), stream).unwrap().0
}

fn leave(mut socket: WebSocket<TcpStream>) {
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
}

#[test]
fn hundred_clients() {
    Check::of(TUNGSTENITE).run(|| {
        let (at, server) = echo_server(100);
        timed("100 clients x 10 echoes", Duration::from_secs(15), || {
            many(100, move |i| {
                let mut socket = connect(at);
                for n in 0..10 {
                    let text = format!("{i}: {n}");
                    socket.send(Message::text(text.clone())).unwrap();
                    assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), text);
                    std::thread::sleep(Duration::from_millis(10));
                }
                leave(socket);
            })
        });
        server();
    });
}

/// More than the sockets' buffers hold, so both sides wait in `send`.
#[test]
fn large_messages() {
    Check::of(TUNGSTENITE).run(|| {
        let (at, server) = echo_server(4);
        many(4, move |i| {
            let mut socket = connect(at);
            let bytes: Vec<u8> = (0..4 << 20).map(|n: usize| (n + i) as u8).collect();
            socket.send(Message::binary(bytes.clone())).unwrap();
            assert!(
                socket.read().unwrap().into_data() == bytes,
                "the bytes come back as they were"
            );
            leave(socket);
        });
        server();
    });
}

#[test]
fn read_timeout() {
    Check::of(TUNGSTENITE).run(|| {
        let (at, server) = echo_server(1);
        let mut socket = connect(at);
        socket.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let error = socket.read().unwrap_err();
        assert!(
            matches!(&error, Error::Io(e) if e.kind() == std::io::ErrorKind::WouldBlock),
            "{error}"
        );
        socket.get_ref().set_read_timeout(None).unwrap();
        socket.send(Message::text("still there")).unwrap();
        assert_eq!(socket.read().unwrap().into_text().unwrap().as_str(), "still there");
        leave(socket);
        server();
    });
}
