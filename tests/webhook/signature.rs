//! Signatures as a receiver sees them: what is accepted, what is refused and with which words, and that nothing is received
//! twice. The vectors of signing are beside the code.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ring::signature::{ED25519, UnparsedPublicKey};
use sward::http::testing::{Client, Reply};
use sward::http::{Router, StatusCode};
use sward::webhook::{Incoming, Secret, Seen, Time, Verifier, VerifyError, sign};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SENT: u64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const FITS: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
const WRONG: &str = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
const OF_PAIR: &str =
    "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";
const PUBLIC: &str = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=";

fn now() -> Time {
    Time::from_millis(SENT * 1000)
}

fn check(keys: &[&str], signature: &str) -> Result<(), VerifyError> {
    let verifier = Verifier::new(keys).unwrap();
    verifier.verify(ID, &SENT.to_string(), signature, BODY, now())
}

#[test]
fn the_published_vectors_verify() {
    assert_eq!(check(&[SECRET], FITS), Ok(()));
    assert_eq!(check(&[PUBLIC], OF_PAIR), Ok(()));
    let other = Verifier::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]).unwrap();
    let verified = other.verify(
        "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
        "1649367553",
        "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        br#"{"email":"test@example.com","username":"test_user"}"#,
        Time::from_millis(1_649_367_553_000),
    );
    assert_eq!(verified, Ok(()));
}

#[test]
fn one_of_several_signatures_is_enough() {
    for signatures in [
        format!("{WRONG} v2,MzJsNDk4MzI0K2VvdSMjMTEjQEBAQDEyMzMzMzEyMwo= {FITS} {WRONG}"),
        format!("v1a,AAAA {FITS}"),
        format!("what is this {FITS}"),
    ] {
        assert_eq!(check(&[SECRET], &signatures), Ok(()), "{signatures}");
    }
    assert_eq!(check(&[SECRET], &[WRONG; 3].join(" ")), Err(VerifyError::Mismatch));
    // A header of many wrong ones is not worth the work.
    let many = format!("{} {FITS}", [WRONG; 32].join(" "));
    assert_eq!(check(&[SECRET], &many), Err(VerifyError::Mismatch));
}

#[test]
fn one_of_several_keys_is_enough() {
    let new = Secret::random().to_string();
    assert_eq!(check(&[&new, SECRET], FITS), Ok(()));
    assert_eq!(check(&[&new, PUBLIC], OF_PAIR), Ok(()));
    assert_eq!(check(&[&new], FITS), Err(VerifyError::Mismatch));
}

#[test]
fn what_does_not_fit_is_refused() {
    for (signature, why) in [
        ("", VerifyError::Missing("webhook-signature")),
        ("v1,", VerifyError::Mismatch),
        (&FITS[..FITS.len() - 1], VerifyError::Mismatch),
        (&FITS[..FITS.len() - 8], VerifyError::Mismatch),
        (&FITS[3..], VerifyError::NoSignature),
        (&FITS.replace("v1", "v2"), VerifyError::NoSignature),
        (&FITS.replace("v1", "v1a"), VerifyError::NoSignature),
        (OF_PAIR, VerifyError::NoSignature),
    ] {
        assert_eq!(check(&[SECRET], signature), Err(why), "{signature}");
    }
    // A signature of one kind is nothing for a key of the other.
    assert_eq!(check(&[PUBLIC], FITS), Err(VerifyError::NoSignature));
    assert_eq!(check(&[PUBLIC], &OF_PAIR.replace("v1a", "v1")), Err(VerifyError::NoSignature));

    let verifier = Verifier::new([SECRET]).unwrap();
    let sent = SENT.to_string();
    for (id, timestamp, body, why) in [
        ("", &*sent, BODY, VerifyError::Missing("webhook-id")),
        (ID, "", BODY, VerifyError::Missing("webhook-timestamp")),
        ("msg_other", &*sent, BODY, VerifyError::Mismatch),
        (ID, "1614265331", BODY, VerifyError::Mismatch),
        (ID, &*sent, b"{}", VerifyError::Mismatch),
        (ID, "+1614265330", BODY, VerifyError::Timestamp),
        (ID, "2021-02-25", BODY, VerifyError::Timestamp),
        (ID, "-1", BODY, VerifyError::Timestamp),
        (ID, "99999999999999999999", BODY, VerifyError::Timestamp),
        (ID, "18446744073709551615", BODY, VerifyError::TooNew),
    ] {
        assert_eq!(verifier.verify(id, timestamp, FITS, body, now()), Err(why), "{id} {timestamp}");
    }
}

#[test]
fn old_and_future_messages_are_refused() {
    let verifier = Verifier::new([SECRET]).unwrap();
    let at = |verifier: &Verifier, now| {
        verifier.verify(ID, &SENT.to_string(), FITS, BODY, Time::from_millis(now * 1000))
    };
    for (now, expected) in [
        (SENT - 301, Err(VerifyError::TooNew)),
        (SENT - 300, Ok(())),
        (SENT + 300, Ok(())),
        (SENT + 301, Err(VerifyError::TooOld)),
    ] {
        assert_eq!(at(&verifier, now), expected, "{now}");
    }
    let patient = verifier.tolerance(Duration::from_secs(3600));
    assert_eq!(at(&patient, SENT + 3600), Ok(()));
    assert_eq!(at(&patient, SENT + 3601), Err(VerifyError::TooOld));
}

#[test]
fn what_is_no_key_is_refused_without_repeating_it() {
    for key in
        ["", "whsec_", "whsec_%%%%", "whpk_AAAA", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_AAAA"]
    {
        let error = Verifier::new([key]).unwrap_err().to_string();
        assert!(!error.contains("MfKQ") && !error.contains("%%"), "{error}");
    }
    assert!(Verifier::new([""; 0]).is_err(), "no key at all");
    let shown = format!("{:?}", Verifier::new([SECRET]).unwrap());
    assert!(!shown.contains("MfKQ"), "{shown}");
}

#[test]
fn ed25519_signatures_are_what_ring_verifies() {
    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    let secret = Secret::random_ed25519();
    let public = secret.public_key().unwrap();
    let signature = sign(&[secret], "msg_1", 1, b"\x00\xff");
    let key = BASE64_STANDARD.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    let bytes = BASE64_STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
    UnparsedPublicKey::new(&ED25519, key).verify(b"msg_1.1.\x00\xff", &bytes).unwrap();
}

/// A receiver, and how often its handler ran. The handler answers what the body says.
fn receiver(verifier: Verifier) -> (Client, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let handler = verifier.handler(move |hook: &Incoming| {
        counted.fetch_add(1, Ordering::SeqCst);
        match &*hook.body {
            b"panic" => panic!("as it should"),
            body => StatusCode::from_bytes(body).unwrap(),
        }
    });
    (Client::new(Router::new().post("/", handler)), runs)
}

fn send(client: &Client, secret: &Secret, id: &str, timestamp: u64, body: &str) -> Reply {
    let signature = sign(std::slice::from_ref(secret), id, timestamp, body.as_bytes());
    client
        .post("/")
        .header("webhook-id", id)
        .header("webhook-timestamp", timestamp.to_string())
        .header("webhook-signature", signature)
        .body(body)
        .send()
}

#[test]
fn a_receiver_handles_each_message_once() {
    let secret = Secret::random();
    let verifier = Verifier::new([secret.to_string()]).unwrap().remember(Seen::new(100));
    let (client, runs) = receiver(verifier);
    let now = Time::now().as_secs();

    assert_eq!(send(&client, &secret, "msg_1", now, "202").status(), 202);
    assert_eq!(send(&client, &secret, "msg_1", now, "202").status(), 409, "a copy");
    assert_eq!(send(&client, &secret, "msg_1", now + 1, "202").status(), 200, "another attempt");
    assert_eq!(runs.load(Ordering::SeqCst), 1);

    // What failed is handled again.
    for attempt in 0..3 {
        assert_eq!(send(&client, &secret, "msg_2", now + attempt, "503").status(), 503);
    }
    assert_eq!(send(&client, &secret, "msg_3", now, "panic").status(), 500);
    assert_eq!(send(&client, &secret, "msg_3", now + 1, "204").status(), 204);
    assert_eq!(runs.load(Ordering::SeqCst), 6);
}

#[test]
fn a_receiver_says_what_is_wrong() {
    let secret = Secret::random();
    let (client, runs) = receiver(Verifier::new([secret.to_string()]).unwrap());
    let now = Time::now().as_secs();

    let forged = send(&client, &Secret::random(), "msg_1", now, "204");
    assert_eq!((forged.status().as_u16(), forged.text()), (403, "no signature fits"));
    let old = send(&client, &secret, "msg_1", now - 310, "204");
    assert_eq!((old.status().as_u16(), old.text()), (403, "the timestamp is too old"));
    let bare = client.post("/").body("204").send();
    assert_eq!((bare.status().as_u16(), bare.text()), (400, "the header webhook-id is missing"));
    let large = send(&client, &secret, "msg_1", now, &"x".repeat(3 << 20));
    assert_eq!(large.status(), 413);
    assert_eq!(runs.load(Ordering::SeqCst), 0);

    // Without a memory each attempt is handled.
    for _ in 0..2 {
        assert_eq!(send(&client, &secret, "msg_1", now, "204").status(), 204);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[test]
fn a_deeply_nested_message_is_no_overflow() {
    let secret = Secret::random();
    let verifier = Verifier::new([secret.to_string()]).unwrap();
    let app = verifier.handler(|hook: &Incoming| hook.json::<serde_json::Value>().map(|_| "fine"));
    let client = Client::new(Router::new().post("/", app));
    let now = Time::now().as_secs();
    for (depth, status) in [(32, 200), (33, 400), (100_000, 400)] {
        let body = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let reply = sward::run(|| send(&client, &secret, "msg_1", now, &body).status());
        assert_eq!(reply, status, "{depth}");
    }
    assert_eq!(send(&client, &secret, "msg_1", now, "[").status(), 400);
}
