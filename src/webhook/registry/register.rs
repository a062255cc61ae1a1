//! Registering: who wants what, and for how long.

#![forbid(unsafe_code)]

use std::time::Duration;

use super::check;
use super::endpoints::newest;
use super::error::Error;
use super::{Inner, Webhooks};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, EndpointState, Keys, Settings};
use crate::webhook::signature::Secret;
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
    signing: Signing,
    challenge: bool,
}

/// What the deliveries of an endpoint are signed with.
#[derive(Debug, Clone)]
enum Signing {
    /// A new secret, if it is new.
    Fresh,
    Own(Secret),
    Nothing,
}

impl Registration {
    /// Messages are to be posted to `url`: `http` or `https`, at most 2,048 bytes.
    pub fn new(url: impl Into<String>) -> Registration {
        Registration {
            url: url.into(),
            keys: Keys::new(),
            ttl: None,
            settings: None,
            signing: Signing::Fresh,
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

    /// Sign with this secret. If the endpoint is there and has another one, it is replaced as by [`rotate`](Webhooks::rotate): both sign
    /// for a while. Without: a new endpoint gets a random one, which is in [`Endpoint::keys`].
    pub fn secret(mut self, secret: Secret) -> Registration {
        self.signing = Signing::Own(secret);
        self
    }

    /// A new endpoint gets no secret, and its deliveries are not signed: for receivers on networks that nobody else is on.
    pub fn unsigned(mut self) -> Registration {
        self.signing = Signing::Nothing;
        self
    }

    /// Whether a new endpoint must show first that its owner wants this: it is asked by `GET` with `challenge=` and a random text added
    /// to the query, and must answer 2xx with that text and nothing else. Until it has, it gets no messages; see
    /// [`verify`](Webhooks::verify). Off.
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
    /// An endpoint that has to answer a challenge is asked before this returns; if it did not answer rightly, its state is
    /// [`Unverified`](EndpointState::Unverified) still, and registering again asks again.
    ///
    /// # Errors
    /// [`Invalid`](Error::Invalid) for a URL, keys, settings or a time that cannot be used, [`Store`](Error::Store).
    pub fn register(&self, registration: Registration) -> Result<(Endpoint, bool), Error> {
        let Registration { url, keys, ttl, settings, signing, challenge } = registration;
        self.inner.check_url(&url)?;
        check::keys(&keys, self.inner.config.max_keys)?;
        ttl.map_or(Ok(()), check::ttl)?;
        settings.as_ref().map_or(Ok(()), check::settings)?;

        let mut wanted = Endpoint::new(url);
        wanted.settings = settings.clone().unwrap_or_default();
        wanted.keys = match &signing {
            Signing::Fresh => vec![newest(&Secret::random())],
            Signing::Own(secret) => vec![newest(secret)],
            Signing::Nothing => Vec::new(),
        };
        if challenge {
            wanted.state = EndpointState::Unverified;
        }
        // Somebody may remove it at the same moment: then it is a new one.
        let mut tries = 3;
        let (endpoint, created) = loop {
            let (endpoint, created) = self.inner.store.add_endpoint(&wanted)?;
            if !created {
                self.add_to(&endpoint, settings.clone(), &signing)?;
            }
            self.inner.lease(&endpoint.id, &keys, ttl)?;
            tries -= 1;
            match self.inner.store.endpoint(&endpoint.id)? {
                Some(endpoint) => break (endpoint, created),
                None if tries > 0 => wanted.id = EndpointId::random(),
                None => return Err(Error::conflict("somebody removes the endpoint all the time")),
            }
        };
        if endpoint.state == EndpointState::Unverified {
            return match self.verify(&endpoint.id) {
                Ok(endpoint) => Ok((endpoint, created)),
                Err(Error::Conflict(_)) => Ok((endpoint, created)),
                Err(error) => Err(error),
            };
        }
        Ok((endpoint, created))
    }

    /// What registering changes of an endpoint that is there.
    fn add_to(
        &self,
        endpoint: &Endpoint,
        settings: Option<Settings>,
        signing: &Signing,
    ) -> Result<(), Error> {
        let _changing = self.inner.changing();
        let enabled = matches!(endpoint.state, EndpointState::Disabled { .. });
        let keys = match signing {
            Signing::Own(secret) if !has(endpoint, secret) => {
                Some(self.inner.rotated(endpoint, secret)?)
            }
            _ => None,
        };
        let change = Change {
            state: enabled.then_some(EndpointState::Active),
            health: enabled.then(Default::default),
            settings,
            keys,
        };
        self.inner.store.change_endpoint(&endpoint.id, &change)?;
        self.inner.nudge();
        Ok(())
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

/// Whether the newest key is this one.
fn has(endpoint: &Endpoint, secret: &Secret) -> bool {
    endpoint.keys.first().is_some_and(|key| key.text == secret.to_string())
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
        let refused = self.config.guard.check_url(url).err();
        refused.map_or(Ok(()), |why| Err(Error::invalid("url", why.to_string())))
    }
}
