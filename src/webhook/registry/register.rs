//! Registering: who wants what, and for how long.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::check;
use super::error::Error;
use super::{Inner, Webhooks};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, EndpointState, Keys, Settings};
use crate::webhook::store::Change;
use crate::webhook::time::Time;

/// What somebody wants to be posted to, for [`Webhooks::register`].
#[derive(Debug, Clone)]
#[must_use = "register it"]
pub struct Registration {
    url: String,
    keys: Keys,
    ttl: Option<Duration>,
    settings: Option<Settings>,
    challenge: bool,
}

impl Registration {
    /// Messages are to be posted to `url`: `http` or `https`, at most 2,048 bytes.
    pub fn new(url: impl Into<String>) -> Registration {
        Registration {
            url: url.into(),
            keys: Keys::new(),
            ttl: None,
            settings: None,
            challenge: false,
        }
    }

    /// Those published under one of these keys. Added to what the endpoint subscribes to already.
    pub fn keys(mut self, keys: Keys) -> Registration {
        self.keys = keys;
        self
    }

    /// The keys are wanted for so long only, unless they are asked for again. Without: until they are unregistered.
    pub fn ttl(mut self, ttl: Duration) -> Registration {
        self.ttl = Some(ttl);
        self
    }

    /// What its owner chooses. Without: the defaults for a new endpoint; one that is there keeps what it has.
    pub fn settings(mut self, settings: Settings) -> Registration {
        self.settings = Some(settings);
        self
    }

    /// Whether a new endpoint must show first that its owner wants this. Off.
    pub fn challenge(mut self, challenge: bool) -> Registration {
        self.challenge = challenge;
        self
    }
}

impl Webhooks {
    /// Registers an endpoint, or adds to the one with this URL: the keys are added, their leases renewed, the settings replaced if
    /// given. Registering twice is registering once. One that was disabled is posted to again, since somebody asks for it. True with
    /// it: it is new.
    ///
    /// # Errors
    /// [`Invalid`](Error::Invalid) for a URL, keys, settings or a time that cannot be used, [`Store`](Error::Store).
    pub fn register(&self, registration: Registration) -> Result<(Endpoint, bool), Error> {
        let Registration { url, keys, ttl, settings, challenge } = registration;
        self.inner.check_url(&url)?;
        check::keys(&keys, self.inner.config.max_keys)?;
        ttl.map_or(Ok(()), check::ttl)?;
        settings.as_ref().map_or(Ok(()), check::settings)?;

        let mut wanted = Endpoint::new(url);
        wanted.settings = settings.clone().unwrap_or_default();
        if challenge {
            wanted.state = EndpointState::Unverified;
        }
        let (endpoint, created) = self.inner.store.add_endpoint(&wanted)?;
        if !created {
            let _changing = self.inner.changing.lock();
            let enabled = matches!(endpoint.state, EndpointState::Disabled { .. });
            let change = Change {
                state: enabled.then_some(EndpointState::Active),
                health: enabled.then(Default::default),
                settings,
                ..Change::default()
            };
            self.inner.store.change_endpoint(&endpoint.id, &change)?;
        }
        self.inner.lease(&endpoint.id, &keys, ttl)?;
        let endpoint = self.endpoint(&endpoint.id)?;
        Ok((endpoint, created))
    }

    /// The endpoint with this id or URL no longer wants these keys; without keys, it is removed, and what was not delivered to it is
    /// cancelled. Returns how many values it had wanted of those.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn unregister(&self, url_or_id: &str, keys: Option<&Keys>) -> Result<usize, Error> {
        let id = self.find(url_or_id)?.id;
        let Some(keys) = keys else {
            let had = self.inner.store.subscriptions(&id)?.len();
            let was = self.inner.store.remove_endpoint(&id, Time::now())?;
            return if was { Ok(had) } else { Err(Error::NotFound) };
        };
        Ok(self.inner.store.unsubscribe(&id, keys)?)
    }

    /// Renews the leases of these keys, or begins them: they are wanted for `ttl` from now.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Invalid`](Error::Invalid) for the keys or the time, [`Store`](Error::Store).
    pub fn renew(&self, id: &EndpointId, keys: &Keys, ttl: Duration) -> Result<(), Error> {
        check::keys(keys, self.inner.config.max_keys)?;
        check::ttl(ttl)?;
        self.endpoint(id)?;
        self.inner.lease(id, keys, Some(ttl))
    }

    /// An id has no colon and a URL has one.
    fn find(&self, url_or_id: &str) -> Result<Endpoint, Error> {
        match EndpointId::parse(url_or_id) {
            Some(id) => self.endpoint(&id),
            None => self.inner.store.endpoint_at(url_or_id)?.ok_or(Error::NotFound),
        }
    }
}

impl Inner {
    fn lease(&self, id: &EndpointId, keys: &Keys, ttl: Option<Duration>) -> Result<(), Error> {
        if keys.is_empty() {
            return Ok(());
        }
        let now = Time::now();
        Ok(self.store.subscribe(id, keys, now, ttl.map(|ttl| now + ttl))?)
    }

    fn check_url(&self, url: &str) -> Result<(), Error> {
        check::url_length(url)?;
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Error::invalid("url", "neither http nor https"));
        }
        Ok(())
    }
}
