//! [`Post`]: what the dispatcher posts with. The real one is the client; tests have receivers that follow a script.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::webhook::client::{Answer, Client, ClientConfig};
use crate::webhook::guard::Guard;

/// Makes one attempt. Waits for its end.
pub(in crate::webhook) trait Post: Send + Sync + 'static {
    /// Posts `body` with these headers.
    fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer;

    /// Asks for what is there.
    fn get(&self, url: &str) -> Answer;

    /// How long either may take.
    fn longest(&self) -> Duration;
}

/// By HTTP.
pub(in crate::webhook) struct ByHttp {
    client: Client,
    longest: Duration,
}

impl ByHttp {
    pub(in crate::webhook) fn new(config: ClientConfig, guard: Guard) -> ByHttp {
        let longest = config.total_timeout;
        ByHttp { client: Client::new(config, guard), longest }
    }
}

impl Post for ByHttp {
    fn post(&self, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.client.post(url, headers, body)
    }

    fn get(&self, url: &str) -> Answer {
        self.client.get(url)
    }

    fn longest(&self) -> Duration {
        self.longest
    }
}
