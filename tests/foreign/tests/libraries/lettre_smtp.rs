//! lettre, with a mail server of a few lines.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use foreign::check::{Check, many, timed};
use foreign::peer;
use foreign::table::LETTRE;
use lettre::{Message, SmtpTransport, Transport as _};

/// Speaks as much SMTP as lettre asks for; takes `delay` for each mail.
fn serve(stream: TcpStream, delay: Duration, mails: &Mutex<Vec<String>>) {
    let mut answers = stream.try_clone().unwrap();
    let mut say = |text: &str| answers.write_all(format!("{text}\r\n").as_bytes());
    if say("220 localhost here").is_err() {
        return;
    }
    let (mut mail, mut in_mail) = (String::new(), false);
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let verb = line.split([' ', ':']).next().unwrap_or_default().to_ascii_uppercase();
        let said = match verb.as_str() {
            _ if in_mail && line != "." => {
                mail.push_str(&line);
                mail.push('\n');
                Ok(())
            }
            _ if in_mail => {
                in_mail = false;
                mails.lock().unwrap().push(std::mem::take(&mut mail));
                thread::sleep(delay);
                say("250 taken")
            }
            "DATA" => {
                in_mail = true;
                say("354 go on")
            }
            "QUIT" => {
                _ = say("221 bye");
                return;
            }
            _ => say("250 fine"),
        };
        if said.is_err() {
            return;
        }
    }
}

fn transport(at: SocketAddr, timeout: Duration) -> SmtpTransport {
    SmtpTransport::builder_dangerous("127.0.0.1").port(at.port()).timeout(Some(timeout)).build()
}

fn mail(text: String) -> Message {
    let (from, to) = ("a@example.org".parse().unwrap(), "b@example.org".parse().unwrap());
    Message::builder().from(from).to(to).subject("hello").body(text).unwrap()
}

#[test]
fn fifty_mails() {
    Check::of(LETTRE).run(|| {
        let mails = Arc::new(Mutex::new(Vec::new()));
        let taken = mails.clone();
        let at = peer::serve(move |stream| serve(stream, Duration::from_millis(200), &taken));
        timed("50 mails of 200 ms", Duration::from_secs(3), || {
            many(50, move |i| {
                let answer =
                    transport(at, Duration::from_secs(20)).send(&mail(format!("mail {i}.")));
                assert!(answer.unwrap().is_positive());
            })
        });
        let mails = mails.lock().unwrap();
        assert!((0..50).all(|i| mails.iter().any(|text| text.contains(&format!("mail {i}.\n")))));
    });
}

#[test]
fn own_timeout() {
    Check::of(LETTRE).run(|| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        timed("20 x a time-out of 300 ms", Duration::from_secs(2), || {
            many(20, move |_| {
                let result =
                    transport(at, Duration::from_millis(300)).send(&mail("nobody".to_owned()));
                result.expect_err("nobody answers");
            })
        });
    });
}
