//! What can be made to go wrong. `POST /sim/fault` with one word as body orders it: once for what
//! ends or spoils a stream, for good (until `none`) for the ways of sending.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::json;
use sward::http::{Request, Response};

use super::{World, answer};

/// Something that happens once to the running stream, or to the next one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The connection breaks in the middle of the body.
    Drop,
    /// The body ends as it should.
    Close,
    /// Not a byte any more, keep-alives included, but the connection stays.
    Stall,
    /// A line that is not JSON.
    Garbage,
    /// X's own error message, then the end.
    Disconnect,
    /// So many posts at once.
    Burst(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// For the stream, in order.
    pub(crate) once: VecDeque<Fault>,
    /// Statuses for the next attempts to connect.
    pub(crate) answers: VecDeque<u16>,
    /// Cut chunks inside JSON and inside UTF-8.
    pub(crate) split: bool,
    /// Send everything twice.
    pub(crate) dup: bool,
}

impl Faults {
    /// Reads one order. `http:503*3` answers 503 three times.
    fn order(&mut self, text: &str) -> Result<(), String> {
        match text.split_once(':') {
            Some(("http", rest)) => {
                let (code, times) = rest.split_once('*').unwrap_or((rest, "1"));
                let code = code.parse().ok().filter(|c| (400..600u16).contains(c));
                let times = times.parse().ok().filter(|n| (1..=1000usize).contains(n));
                let (code, times) = code.zip(times).ok_or("use http:CODE or http:CODE*TIMES")?;
                self.answers.extend(std::iter::repeat_n(code, times));
            }
            Some(("burst", n)) => {
                let n = n.parse().map_err(|_| "use burst:N")?;
                self.once.push_back(Fault::Burst(n));
            }
            _ => match text {
                "drop" => self.once.push_back(Fault::Drop),
                "close" => self.once.push_back(Fault::Close),
                "stall" => self.once.push_back(Fault::Stall),
                "garbage" => self.once.push_back(Fault::Garbage),
                "disconnect" => self.once.push_back(Fault::Disconnect),
                "split" => self.split = true,
                "dup" => self.dup = true,
                "none" => *self = Faults::default(),
                _ => return Err(format!("no such fault: {text:.40}")),
            },
        }
        Ok(())
    }
}

/// `POST /sim/fault`.
pub(crate) fn order(world: &Arc<World>, req: &mut Request<'_>) -> Response {
    let text = req.text().unwrap_or_default();
    let result = world.lock().faults.order(text.trim());
    world.changed.notify_all();
    match result {
        Ok(()) => answer(200, &json!({"ordered": text.trim()})),
        Err(why) => answer(400, &json!({"error": why})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        let mut faults = Faults::default();
        for text in ["drop", "burst:7", "http:503*2", "http:429", "split"] {
            faults.order(text).unwrap();
        }
        assert_eq!(faults.once, [Fault::Drop, Fault::Burst(7)]);
        assert_eq!(faults.answers, [503, 503, 429]);
        assert!(faults.split && !faults.dup);
        for text in ["", "explode", "http:200", "http:503*0", "burst:", "http:"] {
            assert!(faults.order(text).is_err(), "{text}");
        }
        faults.order("none").unwrap();
        assert!(faults.once.is_empty() && faults.answers.is_empty() && !faults.split);
    }
}
