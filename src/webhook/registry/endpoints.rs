//! What may be asked of endpoints and done to them.

#![forbid(unsafe_code)]

use super::check;
use super::error::Error;
use super::{Inner, Webhooks};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, EndpointState, Health, Settings, SigningKey, Subscription};
use crate::webhook::signature::Secret;
use crate::webhook::store::{Change, Totals};
use crate::webhook::time::Time;

/// So many old secrets may sign beside the newest.
const OLD_KEYS: usize = 10;

impl Webhooks {
    /// The endpoint with this id.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn endpoint(&self, id: &EndpointId) -> Result<Endpoint, Error> {
        self.inner.store.endpoint(id)?.ok_or(Error::NotFound)
    }

    /// At most `limit` endpoints, in the order in which they registered, after this one.
    ///
    /// # Errors
    /// [`Store`](Error::Store).
    pub fn endpoints(
        &self,
        after: Option<&EndpointId>,
        limit: usize,
    ) -> Result<Vec<Endpoint>, Error> {
        Ok(self.inner.store.endpoints(after, limit)?)
    }

    /// What an endpoint subscribes to.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn subscriptions(&self, id: &EndpointId) -> Result<Vec<Subscription>, Error> {
        self.endpoint(id)?;
        Ok(self.inner.store.subscriptions(id)?)
    }

    /// Counts, of one endpoint or of all.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn totals(&self, endpoint: Option<&EndpointId>) -> Result<Totals, Error> {
        endpoint.map_or(Ok(()), |id| self.endpoint(id).map(drop))?;
        Ok(self.inner.store.totals(endpoint)?)
    }

    /// Replaces what the owner of an endpoint chose.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Invalid`](Error::Invalid), [`Store`](Error::Store).
    pub fn configure(&self, id: &EndpointId, settings: Settings) -> Result<(), Error> {
        check::settings(&settings)?;
        self.inner.change(id, Change { settings: Some(settings), ..Change::default() })?;
        self.inner.nudge();
        Ok(())
    }

    /// Keeps the messages of an active endpoint until it is [enabled](Webhooks::enable). What is in flight ends.
    ///
    /// # Errors
    /// [`Conflict`](Error::Conflict) if it is not active, [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn pause(&self, id: &EndpointId) -> Result<(), Error> {
        let _changing = self.inner.changing();
        match self.endpoint(id)?.state {
            EndpointState::Active | EndpointState::Paused => {
                let state = Some(EndpointState::Paused);
                self.inner.change(id, Change { state, ..Change::default() })
            }
            _ => Err(Error::conflict("the endpoint is not active")),
        }
    }

    /// Posts to a paused or disabled endpoint again, and forgets that it failed. What died while it was disabled can be
    /// [recovered](Webhooks::recover).
    ///
    /// # Errors
    /// [`Conflict`](Error::Conflict) if its owner has not shown yet that they want this, [`NotFound`](Error::NotFound),
    /// [`Store`](Error::Store).
    pub fn enable(&self, id: &EndpointId) -> Result<(), Error> {
        let _changing = self.inner.changing();
        if self.endpoint(id)?.state == EndpointState::Unverified {
            return Err(Error::conflict("the endpoint has not answered its challenge"));
        }
        let (state, health) = (Some(EndpointState::Active), Some(Health::default()));
        self.inner.change(id, Change { state, health, ..Change::default() })?;
        self.inner.nudge();
        Ok(())
    }
}

impl Webhooks {
    /// Gives an endpoint a new secret, of the kind that it has, and returns it. The old one signs beside it for
    /// [`Config::rotation`](super::Config::rotation).
    ///
    /// # Errors
    /// [`Conflict`](Error::Conflict) if ten old ones still sign, [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn rotate(&self, id: &EndpointId) -> Result<Secret, Error> {
        let _changing = self.inner.changing();
        let endpoint = self.endpoint(id)?;
        let old = endpoint.keys.first().and_then(|key| Secret::parse(&key.text).ok());
        let new = match old.and_then(|old| old.public_key()) {
            Some(_) => Secret::random_ed25519(),
            None => Secret::random(),
        };
        let keys = Some(self.inner.rotated(&endpoint, &new)?);
        self.inner.change(id, Change { keys, ..Change::default() })?;
        Ok(new)
    }

    /// Asks an unverified endpoint to show that its owner wants to be posted to, as [`challenge`](super::Registration::challenge) says;
    /// from then on it gets messages. Does nothing with others.
    ///
    /// # Errors
    /// [`Conflict`](Error::Conflict), with the reason, if it does not; [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn verify(&self, id: &EndpointId) -> Result<Endpoint, Error> {
        let endpoint = self.endpoint(id)?;
        if endpoint.state != EndpointState::Unverified {
            return Ok(endpoint);
        }
        // Nobody can guess it.
        let token = EndpointId::random().to_string();
        let answer = self.inner.post.get(&challenge(&endpoint.url, &token));
        let why = match &answer.result {
            Ok(reply) if !(200..300).contains(&reply.status) => {
                format!("answered {}", reply.status)
            }
            Ok(reply) if reply.body.trim() != token => "answered something else".to_owned(),
            Ok(_) => {
                let (state, health) = (Some(EndpointState::Active), Some(Health::default()));
                self.inner.change(id, Change { state, health, ..Change::default() })?;
                return self.endpoint(id);
            }
            Err(failure) => failure.to_string(),
        };
        Err(Error::Conflict(format!("the challenge failed: {why}")))
    }
}

/// What an endpoint with no other key has.
pub(super) fn newest(secret: &Secret) -> SigningKey {
    SigningKey { text: secret.to_string(), expires: None }
}

/// The URL, asked this.
fn challenge(url: &str, token: &str) -> String {
    let url = url.split('#').next().unwrap_or(url);
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}challenge={token}")
}

impl Inner {
    /// The keys of an endpoint whose newest is `new`.
    pub(super) fn rotated(
        &self,
        endpoint: &Endpoint,
        new: &Secret,
    ) -> Result<Vec<SigningKey>, Error> {
        let now = Time::now();
        let last = now + self.config.rotation;
        let mut keys = vec![newest(new)];
        for key in &endpoint.keys {
            let expires = key.expires.map_or(last, |expires| expires.min(last));
            if now < expires && key.text != keys[0].text {
                keys.push(SigningKey { text: key.text.clone(), expires: Some(expires) });
            }
        }
        if keys.len() > 1 + OLD_KEYS {
            return Err(Error::conflict("ten old secrets still sign; wait for one to expire"));
        }
        Ok(keys)
    }

    pub(super) fn change(&self, id: &EndpointId, change: Change) -> Result<(), Error> {
        let there = self.store.change_endpoint(id, &change)?;
        if there { Ok(()) } else { Err(Error::NotFound) }
    }
}

#[cfg(test)]
mod tests {
    use super::challenge;

    #[test]
    fn the_challenge_is_part_of_the_query() {
        for (url, asked) in [
            ("http://a/b", "http://a/b?challenge=x"),
            ("http://a/b?c=d", "http://a/b?c=d&challenge=x"),
            ("http://a/b#c", "http://a/b?challenge=x"),
        ] {
            assert_eq!(challenge(url, "x"), asked);
        }
    }
}
