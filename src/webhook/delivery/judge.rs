//! What an answer means. No clock, no store.
//!
//! | answer | means |
//! |---|---|
//! | 2xx | taken |
//! | 410 | gone: the endpoint is disabled, this delivery and all that wait are dead |
//! | 429 | failed; the endpoint is paused, for `Retry-After` if it says so |
//! | 502, 503, 504 | the same; and for the breaker it is a failure, as 429 is not |
//! | 3xx | failed: redirects are not followed, whoever moves registers the new URL |
//! | everything else, and no answer | failed |

#![forbid(unsafe_code)]

use std::time::Duration;

use super::lane::Outcome;
use crate::webhook::client::{Answer, Failure};

/// What an answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    Gone,
    Throttled { asked: Option<Duration>, failed: bool },
    Failed { asked: Option<Duration> },
}

impl Verdict {
    /// What the lane is told; pauses no longer than `longest`.
    pub(super) fn outcome(&self, longest: Duration) -> Outcome {
        match *self {
            Verdict::Taken => Outcome::Well,
            Verdict::Throttled { asked, failed } => {
                Outcome::Throttled { pause: asked.map(|asked| asked.min(longest)), failed }
            }
            Verdict::Gone | Verdict::Failed { .. } => Outcome::Failed,
        }
    }

    /// The `Retry-After` that came with it.
    pub(super) fn asked(&self) -> Option<Duration> {
        match *self {
            Verdict::Throttled { asked, .. } | Verdict::Failed { asked } => asked,
            Verdict::Taken | Verdict::Gone => None,
        }
    }

    /// Its name in the metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Verdict::Taken => "delivered",
            Verdict::Gone => "gone",
            Verdict::Throttled { .. } => "throttled",
            Verdict::Failed { .. } => "failed",
        }
    }
}

pub(super) fn judge(answer: &Answer) -> Verdict {
    let Ok(reply) = &answer.result else { return Verdict::Failed { asked: None } };
    let asked = reply.retry_after;
    match reply.status {
        200..=299 => Verdict::Taken,
        410 => Verdict::Gone,
        429 => Verdict::Throttled { asked, failed: false },
        502..=504 => Verdict::Throttled { asked, failed: true },
        _ => Verdict::Failed { asked },
    }
}

/// Why it failed, for people.
pub(super) fn why(answer: &Answer, verdict: &Verdict) -> Option<String> {
    match (&answer.result, verdict) {
        (_, Verdict::Taken) => None,
        (Err(failure), _) => Some(failure.to_string()),
        (Ok(reply), _) => Some(match reply.status {
            410 => "410: it is gone".to_owned(),
            300..=399 => format!("{}: redirects are not followed", reply.status),
            status => format!("answered {status}"),
        }),
    }
}

/// Whether the attempt was ended from outside, so that it says nothing about the endpoint.
pub(super) fn is_cancelled(answer: &Answer) -> bool {
    matches!(answer.result, Err(Failure::Cancelled))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Duration, Failure, Outcome, Verdict, judge, why};
    use crate::webhook::client::Reply;

    fn answer(status: u16, retry_after: Option<u64>) -> Answer {
        let retry_after = retry_after.map(Duration::from_secs);
        let reply = Reply { status, retry_after, body: String::new(), truncated: false };
        Answer { took: Duration::ZERO, address: None, result: Ok(reply) }
    }

    #[test]
    fn only_2xx_is_taken() {
        for status in 100..=599 {
            let verdict = judge(&answer(status, None));
            assert_eq!(verdict == Verdict::Taken, (200..300).contains(&status), "{status}");
            assert_eq!(verdict == Verdict::Gone, status == 410);
            let throttled = matches!(verdict, Verdict::Throttled { .. });
            assert_eq!(throttled, [429, 502, 503, 504].contains(&status), "{status}");
            assert_eq!(why(&answer(status, None), &verdict).is_none(), verdict == Verdict::Taken);
        }
        let none = Answer { took: Duration::ZERO, address: None, result: Err(Failure::Timeout) };
        assert_eq!(judge(&none), Verdict::Failed { asked: None });
    }

    #[test]
    fn what_is_asked_for_is_heard_and_capped() {
        let hour = Duration::from_secs(3600);
        let verdict = judge(&answer(429, Some(7)));
        let pause = Some(Duration::from_secs(7));
        assert_eq!(verdict.outcome(hour), Outcome::Throttled { pause, failed: false });
        let verdict = judge(&answer(503, Some(1 << 40)));
        assert_eq!(verdict.outcome(hour), Outcome::Throttled { pause: Some(hour), failed: true });
        assert_eq!(judge(&answer(500, Some(7))).asked(), Some(Duration::from_secs(7)));
        assert_eq!(judge(&answer(200, Some(7))).asked(), None);
    }
}
