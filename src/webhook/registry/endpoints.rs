//! What may be asked of endpoints and done to them.

#![forbid(unsafe_code)]

use super::check;
use super::error::Error;
use super::{Inner, Webhooks};
use crate::webhook::id::EndpointId;
use crate::webhook::model::{Endpoint, EndpointState, Health, Settings, Subscription};
use crate::webhook::store::{Change, Totals};

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
        self.inner.wake.set();
        Ok(())
    }

    /// Keeps the messages of an active endpoint until it is [enabled](Webhooks::enable). What is in flight ends.
    ///
    /// # Errors
    /// [`Conflict`](Error::Conflict) if it is not active, [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn pause(&self, id: &EndpointId) -> Result<(), Error> {
        let _changing = self.inner.changing.lock();
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
        let _changing = self.inner.changing.lock();
        if self.endpoint(id)?.state == EndpointState::Unverified {
            return Err(Error::conflict("the endpoint has not answered its challenge"));
        }
        let (state, health) = (Some(EndpointState::Active), Some(Health::default()));
        self.inner.change(id, Change { state, health, ..Change::default() })?;
        self.inner.wake.set();
        Ok(())
    }
}

impl Inner {
    pub(super) fn change(&self, id: &EndpointId, change: Change) -> Result<(), Error> {
        let there = self.store.change_endpoint(id, &change)?;
        if there { Ok(()) } else { Err(Error::NotFound) }
    }
}
