//! One request and its reply over a connection, by `ureq-proto`.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Method, Uri};
use ureq_proto::client::state::{RecvBody, RecvResponse};
use ureq_proto::client::{Call, RecvBodyResult, RecvResponseResult, SendRequestResult};

use super::dial::{Connection, interrupted};
use super::{Failure, Reply};
use crate::webhook::guard::Target;

/// The longest head of a reply, with all heads that announce it (1xx).
const HEAD: usize = 32 << 10;

/// What is read at once.
const PIECE: usize = 4 << 10;

/// A `Retry-After` beyond this says no more than that.
const YEAR: u64 = 365 * 24 * 3600;

/// Headers that say how the request is sent: ours.
const OURS: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "expect",
    "te",
    "trailer",
    "upgrade",
];

/// A request, ready to be sent, more than once if need be.
pub(super) struct Request<'a> {
    request: http::Request<()>,
    body: &'a [u8],
}

/// What the connection is good for afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Another request.
    Reusable,
    /// Nothing, and it was so all along: it was closed without a byte.
    Silent,
    /// Nothing.
    Spent,
}

impl<'a> Request<'a> {
    pub(super) fn new(
        method: &Method,
        target: &Target,
        headers: &[(&str, &str)],
        user_agent: &str,
        body: &'a [u8],
    ) -> Result<Request<'a>, Failure> {
        let scheme = if target.is_https() { "https" } else { "http" };
        let uri: Uri = format!("{scheme}://{}{}", target.authority(), target.path())
            .parse()
            .map_err(|_| Failure::BadUrl("the URL cannot be sent"))?;
        let mut request = http::Request::new(());
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        let map = request.headers_mut();
        map.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if *method == Method::POST {
            map.insert(CONTENT_LENGTH, body.len().into());
        }
        for &(name, value) in [("user-agent", user_agent)].iter().chain(headers) {
            let bad = || Failure::BadHeader(name.to_owned());
            let given = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            // It takes no line ends, nor anything else that is not seen.
            let value = HeaderValue::from_str(value).map_err(|_| bad())?;
            if OURS.contains(&given.as_str()) {
                return Err(bad());
            }
            map.insert(given, value);
        }
        Ok(Request { request, body })
    }

    /// Sends it and reads the reply, of whose body no more than `cap` bytes.
    pub(super) fn exchange(
        &self,
        connection: &mut Connection,
        cap: usize,
    ) -> (Result<Reply, Failure>, State) {
        let mut heard = false;
        match self.try_exchange(connection, cap, &mut heard) {
            Ok((reply, true)) => (Ok(reply), State::Reusable),
            Ok((reply, false)) => (Ok(reply), State::Spent),
            Err(Broken::Closed(_)) if !heard => {
                let why = "the connection was closed without an answer";
                (Err(Failure::Protocol(why.into())), State::Silent)
            }
            Err(Broken::Closed(why)) => (Err(Failure::Protocol(why)), State::Spent),
            Err(Broken::For(failure)) => (Err(failure), State::Spent),
        }
    }

    /// The reply, and whether the connection can be used again.
    fn try_exchange(
        &self,
        connection: &mut Connection,
        cap: usize,
        heard: &mut bool,
    ) -> Result<(Reply, bool), Broken> {
        let (message, call) = self.encode()?;
        // A server may answer before it has read everything, and close. So a write that fails is not the end.
        let stream = &mut connection.stream;
        let all_sent = match stream.write_all(&message).and_then(|()| stream.flush()) {
            Ok(()) => true,
            Err(error) if is_closed(&error) => false,
            Err(error) => return Err(Broken::by(error)),
        };
        let mut input = Input { connection, bytes: Vec::new() };
        let (status, headers, result) = head(call, &mut input, heard)?;
        let (body, truncated, clean) = match result {
            RecvResponseResult::RecvBody(call) => body(call, &mut input, cap)?,
            RecvResponseResult::Redirect(call) => {
                (Vec::new(), false, !call.must_close_connection())
            }
            RecvResponseResult::Cleanup(call) => (Vec::new(), false, !call.must_close_connection()),
        };
        let reusable = clean && !truncated && all_sent && input.bytes.is_empty();
        let (body, cut) = utf8(body);
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value.to_str().ok()?, SystemTime::now()));
        Ok((Reply { status, retry_after, body, truncated: truncated || cut }, reusable))
    }

    /// All that is sent, and what then awaits the reply.
    fn encode(&self) -> Result<(Vec<u8>, Call<RecvResponse>), Broken> {
        let mut call = Call::new(self.request.clone())?.proceed();
        let mut message = Vec::with_capacity(1024 + self.body.len());
        let mut piece = vec![0; HEAD];
        while !call.can_proceed() {
            let length = call.write(&mut piece)?;
            message.extend_from_slice(&piece[..length]);
        }
        let call = match call.proceed()? {
            Some(SendRequestResult::SendBody(mut call)) => {
                message.extend_from_slice(self.body);
                call.consume_direct_write(self.body.len())?;
                call.proceed()
            }
            Some(SendRequestResult::RecvResponse(call)) => Some(call),
            // Nobody asked for a 100.
            Some(SendRequestResult::Await100(_)) | None => None,
        };
        call.map(|call| (message, call))
            .ok_or_else(|| Broken::not_http("the request is unfinished"))
    }
}

/// Why there is no reply.
enum Broken {
    /// The other side closed, somewhere.
    Closed(String),
    /// This.
    For(Failure),
}

impl Broken {
    fn by(error: io::Error) -> Broken {
        match error.kind() {
            _ if is_closed(&error) => Broken::Closed(error.to_string()),
            ErrorKind::TimedOut => Broken::For(Failure::Timeout),
            _ => Broken::For(
                interrupted(&error).unwrap_or_else(|| Failure::Protocol(error.to_string())),
            ),
        }
    }

    fn not_http(why: &str) -> Broken {
        Broken::For(Failure::Protocol(why.to_owned()))
    }
}

impl From<ureq_proto::Error> for Broken {
    fn from(error: ureq_proto::Error) -> Broken {
        Broken::not_http(&error.to_string())
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
    )
}

/// What has come and was not understood yet.
struct Input<'c> {
    connection: &'c mut Connection,
    bytes: Vec<u8>,
}

impl Input<'_> {
    /// Reads more; 0 is the end. The time is that of the scope around it all, which ends waits; for servers that never let us
    /// wait there are limits in bytes.
    fn more(&mut self) -> Result<usize, Broken> {
        let had = self.bytes.len();
        self.bytes.resize(had + PIECE, 0);
        let read = loop {
            match self.connection.stream.read(&mut self.bytes[had..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.bytes.truncate(had + read.as_ref().map_or(0, |length| *length));
        read.map_err(Broken::by)
    }
}

/// Reads up to the end of the head.
fn head(
    mut call: Call<RecvResponse>,
    input: &mut Input<'_>,
    heard: &mut bool,
) -> Result<(u16, HeaderMap, RecvResponseResult), Broken> {
    let mut total = 0;
    loop {
        // Looked for in what is new, so that a head that comes byte by byte is parsed once.
        let from = input.bytes.len().saturating_sub(3);
        let length = input.more()?;
        if length == 0 {
            return Err(Broken::Closed("the reply stopped before its head's end".into()));
        }
        *heard = true;
        total += length;
        let mut ended = ends_a_line(&input.bytes[from..]);
        while ended {
            let (used, response) = call.try_response(&input.bytes, false)?;
            input.bytes.drain(..used);
            if let Some(response) = response {
                let result = call.proceed().ok_or_else(|| Broken::not_http("half a reply"))?;
                return Ok((response.status().as_u16(), response.into_parts().0.headers, result));
            }
            // One that only announced it.
            ended = used > 0 && ends_a_line(&input.bytes);
        }
        if total > HEAD {
            return Err(Broken::not_http("the reply's head is too long"));
        }
    }
}

/// Whether an empty line is in it, by any reading.
fn ends_a_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|two| two == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

/// Reads the body up to `cap` bytes: it, whether there is more, whether the connection can be used again. Once the head is
/// there the reply is one: that its body is late or cut off only means that there would have been more.
fn body(
    mut call: Call<RecvBody>,
    input: &mut Input<'_>,
    cap: usize,
) -> Result<(Vec<u8>, bool, bool), Broken> {
    let (mut kept, mut read) = (Vec::new(), 0);
    let mut piece = vec![0; PIECE];
    loop {
        // Framing may take bytes without giving any.
        while !input.bytes.is_empty() {
            let Ok((used, given)) = call.read(&input.bytes, &mut piece) else {
                return Ok((kept, true, false));
            };
            input.bytes.drain(..used);
            let fits = given.min(cap - kept.len());
            kept.extend_from_slice(&piece[..fits]);
            if fits < given {
                return Ok((kept, true, false));
            }
            if used == 0 && given == 0 {
                break;
            }
        }
        let to_the_end = call.body_mode() == ureq_proto::BodyMode::CloseDelimited;
        if call.can_proceed() && !to_the_end {
            let clean = match call.proceed() {
                Some(RecvBodyResult::Cleanup(call)) => !call.must_close_connection(),
                Some(RecvBodyResult::Redirect(call)) => !call.must_close_connection(),
                None => false,
            };
            return Ok((kept, false, clean));
        }
        // So much framing for so little of a body is not meant well.
        if read > HEAD + 8 * cap {
            return Ok((kept, true, false));
        }
        match input.more() {
            Ok(0) => return Ok((kept, !to_the_end, false)),
            Ok(length) => read += length,
            Err(Broken::For(Failure::Cancelled)) => return Err(Broken::For(Failure::Cancelled)),
            Err(_) => return Ok((kept, true, false)),
        }
    }
}

/// The beginning that is UTF-8, and whether that is not all.
fn utf8(bytes: Vec<u8>) -> (String, bool) {
    String::from_utf8(bytes).map_or_else(
        |error| {
            let end = error.utf8_error().valid_up_to();
            (String::from_utf8_lossy(&error.as_bytes()[..end]).into_owned(), true)
        },
        |text| (text, false),
    )
}

/// How long from `now`: `120`, or a date.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(YEAR).min(YEAR)));
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default().min(Duration::from_secs(YEAR)))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::{YEAR, retry_after, utf8};

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", Some(0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("99999999999999999999999", Some(YEAR)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(YEAR)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn text_ends_where_it_is_none() {
        assert_eq!(utf8("né".into()), ("né".into(), false));
        assert_eq!(utf8(b"n\xc3".to_vec()), ("n".into(), true));
        assert_eq!(utf8(b"\xff\xfe".to_vec()), (String::new(), true));
    }
}
