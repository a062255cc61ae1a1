//! The turn of one connection: read what came, answer all of it, and say what comes next. The same code for
//! green threads and OS threads; who waits between two turns is the business of `connection.rs` and `held.rs`.

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::time::Instant;

use http::StatusCode;

use super::answer::{Step, StepError, panicked, reply};
use super::body::Body;
use super::buffer;
use super::config::Config;
use super::encode::{self, Exchange};
use super::follow::Following;
use super::head::{self, Head, Parsed, Refused};
use super::into_response::IntoResponse;
use super::link::Link;
use super::repeat;
use super::request::Request;
use super::response::{Producer, Takeover};
use super::router::Handler;
use super::state::State;
use super::stream::BodyWriter;
use super::upgrade::Upgrade;
use crate::hub::clock::Moment;
use crate::hub::{park, trim};

/// What is to happen with a connection after its turn.
pub(crate) enum Next {
    /// Everything is answered, the last of it at about this time: wait for the next request. No buffer is held.
    Idle(Option<Moment>),
    /// There was nothing to read ([`Holder::Turn`](super::link::Holder) only): wait on as before.
    Nothing,
    /// A head has begun and its rest is not here yet (`Holder::Turn` only): wait for it, with this.
    Head(Begun),
    /// Close it.
    Close,
    /// Everything is said, and the client was told; it may still be sending. Wait a moment before closing.
    Linger,
    /// It has left HTTP: run this, then close it.
    Upgrade(Box<Upgrade>),
    /// The head is sent; a topic follows ([`Holder::Turn`](super::link::Holder) only), in chunks or not.
    Follow(Box<Following>, bool),
}

/// The beginning of a request's head: what a connection keeps, without a stack, while its client dawdles.
pub(crate) struct Begun {
    bytes: Box<[u8]>,
    /// When it has to be whole.
    pub(crate) deadline: Option<Instant>,
}

/// What a turn needs to know of its server.
pub(crate) struct Context {
    /// The limits.
    pub(crate) config: Config,
    /// Whether it is to stop.
    pub(crate) state: Arc<State>,
}

/// Responses that have come together are sent when there is this much.
const BATCH: usize = 64 << 10;

/// Serves what came, behind what had `begun`. If the link's holder keeps its thread, waits for that until `deadline`,
/// or without one as long as a connection may be idle; otherwise only looks whether it is there.
pub(crate) fn turn(
    context: &Context,
    app: &dyn Handler,
    link: &Link<'_>,
    peer: &SocketAddr,
    deadline: Option<Instant>,
    begun: Option<Begun>,
) -> Next {
    let mut turn = Turn {
        context,
        app,
        link,
        peer,
        input: buffer::head(),
        start: 0,
        end: 0,
        out: Vec::new(),
        now: None,
        answered: None,
    };
    let after = turn.run(deadline, begun);
    turn.end(after)
}

/// Answers the client whose head was not whole in its time.
#[cold]
pub(crate) fn too_slow(link: &Link<'_>) -> Next {
    let mut out = buffer::output();
    let sent = refusal(link, &mut out, SLOW_HEAD);
    buffer::give_output(out);
    if sent.is_ok() && link.end() { Next::Linger } else { Next::Close }
}

const SLOW_HEAD: Refused =
    Refused { status: StatusCode::REQUEST_TIMEOUT, why: "the head came too slowly" };

/// Sends what is in `out`, and behind it why a request cannot be read further.
#[cold]
fn refusal(link: &Link<'_>, out: &mut Vec<u8>, refused: Refused) -> io::Result<()> {
    let Refused { status, why } = refused;
    let response = (status, why).into_response();
    encode::head(out, &response, Exchange::LAST, link.config, Moment::about_now());
    out.extend_from_slice(why.as_bytes());
    let sent = link.send(out, false);
    out.clear();
    sent
}

/// How a turn ends.
enum After {
    Idle,
    Nothing,
    /// The rest of a head is waited for, until then.
    Head(Option<Instant>),
    Close,
    /// Close, but the client may still be sending.
    Linger,
    /// Reset: the response was cut off.
    Abort,
    /// The head of a 101 is sent.
    Upgrade(Takeover),
    /// The head is sent; a topic follows, in chunks or not.
    Follow(Box<Following>, bool),
}

struct Turn<'t> {
    context: &'t Context,
    app: &'t dyn Handler,
    link: &'t Link<'t>,
    peer: &'t SocketAddr,
    /// Received bytes; those that are not used yet are `start..end`.
    input: Vec<u8>,
    start: usize,
    end: usize,
    /// Responses not sent yet.
    out: Vec<u8>,
    /// Roughly now: read once per batch of responses.
    now: Option<Moment>,
    /// The same, of the last batch.
    answered: Option<Moment>,
}

impl Turn<'_> {
    fn run(&mut self, wait: Option<Instant>, begun: Option<Begun>) -> After {
        // Of the head that is being received.
        let mut deadline = None;
        match begun {
            Some(begun) => {
                deadline = begun.deadline;
                if let Err(after) = self.resume(begun, &mut deadline) {
                    return after;
                }
            }
            None => match self.link.recv_first(&mut self.input, wait) {
                Ok(Some(n @ 1..)) => {
                    self.input = buffer::fitted(std::mem::take(&mut self.input), n);
                    self.end = n;
                }
                Ok(Some(0)) | Err(_) => return After::Close,
                Ok(None) => return After::Nothing,
            },
        }
        loop {
            let mut stepped = self.step_known();
            if let Ok(Step::Slots) = stepped
                && self.end - self.start <= head::SHORT
            {
                stepped = self.step::<{ head::FEW }>();
            }
            if let Ok(Step::Slots) = stepped {
                stepped = self.step::<{ head::SLOTS }>();
            }
            match stepped {
                Ok(Step::Slots) => unreachable!("only of few slots"),
                Ok(Step::Done) => {
                    deadline = None;
                    if self.start < self.end {
                        if self.out.len() >= BATCH && self.flush().is_err() {
                            return After::Close;
                        }
                        continue;
                    }
                    if let Err(after) = self.end_of_input() {
                        return after;
                    }
                }
                Ok(Step::Partial) => {
                    if let Err(after) = self.await_line(&mut deadline) {
                        return after;
                    }
                }
                Ok(Step::Stream { producer, head_first, exchange, linger }) => {
                    deadline = None;
                    match self.stream(producer, head_first, exchange) {
                        Ok(()) if !exchange.keep_alive && linger => return After::Linger,
                        Ok(()) if !exchange.keep_alive => return After::Close,
                        Ok(()) if self.start < self.end => {}
                        Ok(()) => {
                            if let Err(after) = self.end_of_input() {
                                return after;
                            }
                        }
                        Err(after) => return after,
                    }
                }
                Ok(Step::Upgrade(takeover)) => {
                    let sent = self.flush().is_ok();
                    return if sent { After::Upgrade(takeover) } else { After::Close };
                }
                Ok(Step::Follow(following, chunked)) => {
                    let sent = self.flush().is_ok();
                    return if sent { After::Follow(following, chunked) } else { After::Close };
                }
                Ok(Step::Last { linger }) => {
                    let sent = self.link.send_last(&self.out).is_ok();
                    return if sent && linger { After::Linger } else { After::Close };
                }
                Err(StepError::Refused(refused)) => return self.refuse(refused),
                Err(StepError::Io) => return After::Close,
            }
        }
    }

    /// Goes on with a head that has begun.
    #[cold]
    #[inline(never)]
    fn resume(&mut self, begun: Begun, deadline: &mut Option<Instant>) -> Result<(), After> {
        let len = begun.bytes.len();
        if self.input.len() <= len {
            self.input.resize(len.next_power_of_two() * 2, 0);
        }
        self.input[..len].copy_from_slice(&begun.bytes);
        self.end = len;
        self.await_line(deadline)
    }

    /// Gives the buffers back. Never inlined: a handler does not carry this along.
    #[inline(never)]
    fn end(self, after: After) -> Next {
        buffer::give_output(self.out);
        let (start, end, answered) = (self.start, self.end, self.answered);
        match after {
            After::Upgrade(takeover) => {
                let upgrade = Upgrade::new(takeover, self.input, start, end);
                return Next::Upgrade(Box::new(upgrade));
            }
            After::Head(deadline) => {
                let bytes = self.input[start..end].into();
                buffer::give_input(self.input);
                return Next::Head(Begun { bytes, deadline });
            }
            _ => buffer::give_input(self.input),
        }
        match after {
            After::Upgrade(_) | After::Head(_) => unreachable!("returned above"),
            After::Follow(following, chunked) => Next::Follow(following, chunked),
            After::Idle => Next::Idle(answered),
            After::Nothing => Next::Nothing,
            After::Close => Next::Close,
            After::Linger => match self.link.end() {
                true => Next::Linger,
                false => Next::Close,
            },
            After::Abort => {
                self.link.abort();
                Next::Close
            }
        }
    }

    /// All that was received is used. Looks whether there is more that no event will announce; if not, what was
    /// answered goes out, and so ends the turn: `Err`.
    fn end_of_input(&mut self) -> Result<(), After> {
        if self.link.may_have_more() {
            match self.fill(None) {
                Ok(Some(1..)) => return Ok(()),
                Ok(None) => {}
                Ok(Some(0)) => {
                    // No more is to come, but the client may still wait for its answers.
                    drop(self.flush());
                    return Err(After::Close);
                }
                Err(_) => return Err(After::Close),
            }
        }
        Err(if self.flush().is_ok() { After::Idle } else { After::Close })
    }

    /// Receives until there is a further line to parse, so that a head that comes byte by byte is not parsed from
    /// its start for each of them. Sets the head's deadline if it has none yet. `Err`: how the turn ends.
    #[cold]
    #[inline(never)]
    fn await_line(&mut self, deadline: &mut Option<Instant>) -> Result<(), After> {
        let config = &self.context.config;
        if deadline.is_none() {
            *deadline = Link::after(config.header_timeout);
        }
        let mut acknowledged = false;
        loop {
            // Nothing is waited for before the client has its answers. What is here already is not waited for.
            if !self.link.may_have_more() {
                if self.flush().is_err() {
                    return Err(After::Close);
                }
                if !std::mem::replace(&mut acknowledged, true) {
                    self.link.acknowledge();
                }
            }
            let n = match self.fill(*deadline) {
                Ok(Some(0)) => {
                    drop(self.flush());
                    return Err(After::Close);
                }
                Ok(Some(n)) => n,
                Ok(None) => {
                    let sent = self.flush().is_ok();
                    return Err(if sent { After::Head(*deadline) } else { After::Close });
                }
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Err(self.refuse(SLOW_HEAD));
                }
                Err(_) => return Err(After::Close),
            };
            let fresh = &self.input[self.end - n..self.end];
            let large = self.end - self.start > config.max_line.min(config.max_head);
            if large || fresh.contains(&b'\n') {
                return Ok(());
            }
        }
    }

    /// Receives once, behind what is there. `None` if there is nothing yet and the turn is not to wait.
    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<Option<usize>> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.input.len() {
            if self.start > 0 {
                self.input.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.input = buffer::larger(std::mem::take(&mut self.input));
            }
        }
        let n = self.link.recv_head(&mut self.input[self.end..], deadline)?;
        self.end += n.unwrap_or(0);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.answered = None;
        if self.out.is_empty() {
            return Ok(()); // sent on its way, whenever that was
        }
        self.answered = self.now.take();
        let sent = self.link.send(&self.out, true);
        self.out.clear();
        sent
    }

    /// Answers a request that cannot be read further.
    #[cold]
    fn refuse(&mut self, refused: Refused) -> After {
        self.now = None;
        let sent = refusal(self.link, &mut self.out, refused);
        if sent.is_ok() { After::Linger } else { After::Close }
    }

    /// Answers a request whose head is known; [`Step::Slots`] if it is not.
    #[inline(never)]
    fn step_known(&mut self) -> Result<Step, StepError> {
        let bytes = &self.input[self.start..self.end];
        let Some(known) = repeat::known(bytes, &self.context.config) else {
            return Ok(Step::Slots);
        };
        let input = std::mem::take(&mut self.input);
        let step = self.answer(known.head(), &input);
        self.take_back(input);
        step
    }

    /// Parses and answers one request. A handler that waits keeps this frame, so that only what it needs is in it: the
    /// header slots, the request and what becomes of it. Never inlined, so that streams do not carry them along.
    #[inline(never)]
    fn step<const SLOTS: usize>(&mut self) -> Result<Step, StepError> {
        let input = std::mem::take(&mut self.input);
        let step = self.read_and_answer::<SLOTS>(&input);
        self.take_back(input);
        step
    }

    /// The end of a step, which may have gone over to another buffer.
    fn take_back(&mut self, input: Vec<u8>) {
        if self.input.is_empty() {
            self.input = input;
        } else {
            buffer::give_input(input);
        }
    }

    #[inline(always)]
    fn read_and_answer<const SLOTS: usize>(&mut self, input: &[u8]) -> Result<Step, StepError> {
        let mut slots = [const { MaybeUninit::uninit() }; SLOTS];
        let mut many;
        let bytes = &input[self.start..self.end];
        let config = &self.context.config;
        // By reference from here on: a head, a body and a response are large, and most of what a small request costs is
        // moving them about.
        let mut parsed = head::parse(bytes, &mut slots, config);
        if let Ok(Parsed::Slots) = parsed {
            if SLOTS < head::SLOTS {
                return Ok(Step::Slots);
            }
            many = Vec::new();
            many.resize_with(config.max_headers, MaybeUninit::uninit);
            parsed = head::parse(bytes, &mut many, config);
        }
        match &parsed {
            Ok(Parsed::Head(head)) => {
                repeat::note(&bytes[..head.len], head, config);
                self.answer(head, input)
            }
            Ok(_) => Ok(Step::Partial),
            Err(refused) => Err(StepError::Refused(*refused)),
        }
    }

    /// Lets the handler answer the request that begins with `head`.
    #[inline(always)]
    fn answer(&mut self, head: &Head<'_, '_>, input: &[u8]) -> Result<Step, StepError> {
        let ahead = &input[self.start + head.len..self.end];
        self.link.begin();
        let body = Body::new(self.link, &mut self.out, ahead, head.framing, head.expects_continue);
        let mut request = Request::new(head, body, self.peer);

        let app = self.app;
        let mut response = None;
        let call = AssertUnwindSafe(|| response = Some(app.call(&mut request)));
        if let Err(payload) = panic::catch_unwind(call) {
            pass_quiet_unwind(payload);
        }
        let response = response.get_or_insert_with(panicked);
        let step = reply(self.context, self.link, &mut self.now, head, &mut request, response)?;
        let (ahead, extra) = request.body().remains();
        drop(request);
        match extra {
            None => self.start = self.end - ahead,
            Some((input, start, end)) => (self.input, self.start, self.end) = (input, start, end),
        }
        Ok(step)
    }

    /// Runs the producer of a streamed body. The head is in `out`. Never inlined: handlers do not carry this along.
    #[inline(never)]
    fn stream(
        &mut self,
        producer: Producer,
        head_first: bool,
        exchange: Exchange,
    ) -> Result<(), After> {
        if self.start == self.end {
            // Streams may last for days: they do not keep what they do not need.
            buffer::give_input(std::mem::take(&mut self.input));
        }
        self.now = None;
        let out = std::mem::take(&mut self.out);
        let mut writer =
            BodyWriter::new(self.link, &self.context.state.stopping, out, exchange.is_11);
        if head_first {
            // Endless, as a rule: what parsing and the handler needed of the stack is not needed again.
            trim::trim_stack();
        }
        let produced = panic::catch_unwind(AssertUnwindSafe(|| {
            if head_first {
                io::Write::flush(&mut writer)?;
            }
            self.link.while_connected(|| producer(&mut writer))?
        }));
        let begun = writer.begun;
        let ended = match produced {
            Ok(Ok(())) => writer.finish().map_err(|_| After::Abort),
            Ok(Err(error)) if begun || error.kind() == ErrorKind::ConnectionAborted => {
                Err(After::Abort)
            }
            Err(payload) => {
                pass_quiet_unwind(payload);
                if begun { Err(After::Abort) } else { Err(self.fail()) }
            }
            Ok(Err(_)) => Err(self.fail()),
        };
        if self.input.is_empty() {
            self.input = buffer::head();
        }
        ended
    }

    /// A stream failed before anything of it was sent: the client gets a proper error.
    #[cold]
    fn fail(&mut self) -> After {
        self.refuse(Refused {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            why: "Internal Server Error",
        })
    }
}

/// Cancellation and elapsed time-outs unwind through handlers; they are not panics of theirs.
pub(crate) fn pass_quiet_unwind(payload: Box<dyn std::any::Any + Send>) {
    if park::caught(&*payload).is_some() {
        park::pass_on(payload);
    }
}
