//! The receiver's side of HTTP: [`Verifier::handler`] and [`Verifier::receive`].

#![forbid(unsafe_code)]

use serde::de::DeserializeOwned;

use super::seen::{Known, Seen};
use super::verifier::{Verifier, VerifyError};
use super::{ID, SIGNATURE, TIMESTAMP};
use crate::http::{Error, IntoResponse, Request, Response, StatusCode};
use crate::webhook::{Time, json};

/// A message that was received and verified.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Incoming {
    /// The message's name, the same in every attempt: what doubles are told by.
    pub id: String,
    /// When this attempt was made.
    pub sent: Time,
    /// What was posted.
    pub body: Vec<u8>,
}

impl Incoming {
    /// The body as JSON.
    ///
    /// # Errors
    /// 400 if it is not JSON or nested deeper than 32, 422 if it does not fit `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        // It is signed, but by whom, and their data may be others'.
        if json::depth(&self.body) > json::DEEPEST {
            return Err(Error::new(StatusCode::BAD_REQUEST, "the message is nested too deeply"));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let status = match error.classify() {
                serde_json::error::Category::Data => StatusCode::UNPROCESSABLE_ENTITY,
                _ => StatusCode::BAD_REQUEST,
            };
            Error::new(status, format!("the message is not what was expected: {error}"))
        })
    }
}

impl Verifier {
    /// A handler that receives messages: verified, and each once if the verifier [remembers](Verifier::remember).
    ///
    /// `f` gets what is verified; anything else is answered as [`Verifier::receive`] says. If what `f` returns is no success,
    /// or it panics, the message counts as not received, and the sender's next attempt is handed to `f`. With a memory, `f`
    /// does not get
    /// - another attempt of what was received: 200;
    /// - another attempt while the first is being handled: 409, so that the sender comes again;
    /// - a copy of a request, recognised by the same timestamp: 409.
    ///
    /// ```
    /// use sward::http::{Router, testing::Client};
    /// use sward::webhook::{Incoming, Secret, Seen, Time, Verifier, sign};
    ///
    /// let secret = Secret::random();
    /// let verifier = Verifier::new([secret.to_string()]).unwrap().remember(Seen::new(10_000));
    /// let app = Router::new()
    ///     .post("/hook", verifier.handler(|hook: &Incoming| println!("{} has come", hook.id)));
    ///
    /// // What a sender sends:
    /// let client = Client::new(app);
    /// let now = Time::now().as_secs();
    /// let send = |signature: &str| {
    ///     client
    ///         .post("/hook")
    ///         .header("webhook-id", "msg_1")
    ///         .header("webhook-timestamp", &now.to_string())
    ///         .header("webhook-signature", signature)
    ///         .body("{}")
    ///         .send()
    ///         .status()
    /// };
    /// let signature = sign(&[secret], "msg_1", now, b"{}");
    /// assert_eq!(send("v1,forged"), 403);
    /// assert_eq!(send(&signature), 204);
    /// assert_eq!(send(&signature), 409);
    /// ```
    pub fn handler<F, R>(
        self,
        f: F,
    ) -> impl Fn(&mut Request<'_>) -> Result<Response, Error> + Send + Sync + 'static
    where
        F: Fn(&Incoming) -> R + Send + Sync + 'static,
        R: IntoResponse,
    {
        move |request: &mut Request<'_>| {
            let incoming = self.receive(request)?;
            let Some(seen) = &self.seen else { return Ok(f(&incoming).into_response()) };
            let timestamp = request.header(TIMESTAMP).unwrap_or("");
            match seen.begin(&incoming.id, timestamp) {
                Known::New => {}
                Known::Done => return Ok("has been received\n".into_response()),
                Known::Underway => return Err(conflict("an earlier attempt is being handled")),
                Known::Copy => return Err(conflict("this request has been received")),
            }
            let mut underway = Underway { seen, id: &incoming.id, done: false };
            let response = f(&incoming).into_response();
            underway.done = response.status().is_success();
            Ok(response)
        }
    }

    /// Reads a request's body and checks its signature, for handlers that do the rest themselves. Does not ask the memory.
    ///
    /// # Errors
    /// To be returned with `?`: 400 if a header is missing or the timestamp is none, 403 if it is too old or too far ahead or no
    /// signature fits, and what [`Request::bytes`] says.
    ///
    /// ```
    /// use sward::http::{Error, Request, Router};
    /// use sward::webhook::Verifier;
    ///
    /// let verifier = Verifier::new(["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]).unwrap();
    /// let app = Router::new().post("/hook", move |request: &mut Request| -> Result<(), Error> {
    ///     let hook = verifier.receive(request)?;
    ///     println!("{} has come from {}", hook.id, request.client_addr());
    ///     Ok(())
    /// });
    /// # drop(app);
    /// ```
    pub fn receive(&self, request: &mut Request<'_>) -> Result<Incoming, Error> {
        let [id, timestamp, signature] =
            [ID, TIMESTAMP, SIGNATURE].map(|name| request.header(name).unwrap_or(""));
        let body = request.bytes()?;
        self.verify(id, timestamp, signature, &body, Time::now())?;
        // OK to default: it was parsed to be verified.
        let seconds: u64 = timestamp.parse().unwrap_or_default();
        let sent = Time::from_millis(seconds.saturating_mul(1000));
        Ok(Incoming { id: id.to_owned(), sent, body })
    }
}

/// A message that a handler has in hand. However the handler ends, this says so.
struct Underway<'a> {
    seen: &'a Seen,
    id: &'a str,
    done: bool,
}

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.seen.end(self.id, self.done);
    }
}

fn conflict(why: &'static str) -> Error {
    Error::new(StatusCode::CONFLICT, why)
}

impl From<VerifyError> for Error {
    fn from(why: VerifyError) -> Error {
        let status = match why {
            VerifyError::Missing(_) | VerifyError::Timestamp => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        Error::new(status, why.to_string())
    }
}
