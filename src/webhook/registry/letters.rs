//! Messages that were published, and what became of their deliveries.

#![forbid(unsafe_code)]

use super::Webhooks;
use super::error::Error;
use crate::webhook::id::{DeliveryId, EndpointId, MessageId};
use crate::webhook::model::{Attempt, Delivery, DeliveryState, EndpointState, Message};
use crate::webhook::store::Filter;
use crate::webhook::time::Time;

impl Webhooks {
    /// The message with this id.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), also when it was kept for its time, [`Store`](Error::Store).
    pub fn message(&self, id: &MessageId) -> Result<Message, Error> {
        self.inner.store.message(id)?.ok_or(Error::NotFound)
    }

    /// At most `limit` messages that were published at `since` or later, in the order in which they were, after this one.
    ///
    /// # Errors
    /// [`Store`](Error::Store).
    pub fn messages(
        &self,
        since: Time,
        after: Option<&MessageId>,
        limit: usize,
    ) -> Result<Vec<Message>, Error> {
        Ok(self.inner.store.messages(since, after, limit)?)
    }

    /// The delivery with this id.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn delivery(&self, id: &DeliveryId) -> Result<Delivery, Error> {
        self.inner.store.delivery(id)?.ok_or(Error::NotFound)
    }

    /// At most `limit` deliveries that the filter lets through, after this one.
    ///
    /// # Errors
    /// [`Store`](Error::Store).
    pub fn deliveries(
        &self,
        filter: &Filter,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, Error> {
        Ok(self.inner.store.deliveries(filter, after, limit)?)
    }

    /// At most `limit` dead letters, of one endpoint or of all, after this one.
    ///
    /// # Errors
    /// [`Store`](Error::Store).
    pub fn dead(
        &self,
        endpoint: Option<&EndpointId>,
        after: Option<&DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, Error> {
        let state = Some(DeliveryState::Dead);
        let filter = Filter { endpoint: endpoint.cloned(), state, ..Filter::default() };
        self.deliveries(&filter, after, limit)
    }

    /// The attempts of a delivery, first to last, with what came back.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Store`](Error::Store).
    pub fn attempts(&self, id: &DeliveryId) -> Result<Vec<Attempt>, Error> {
        self.delivery(id)?;
        Ok(self.inner.store.attempts(id)?)
    }

    /// Sends a delivery again that has ended, delivered or dead, with its whole schedule before it. The receiver sees the same
    /// `webhook-id`.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound); [`Conflict`](Error::Conflict) if it has not ended, or its endpoint is gone, disabled or
    /// unverified; [`Store`](Error::Store).
    pub fn resend(&self, id: &DeliveryId) -> Result<(), Error> {
        let delivery = self.delivery(id)?;
        let endpoint = self.inner.store.endpoint(&delivery.endpoint)?;
        let endpoint = endpoint.ok_or_else(|| Error::conflict("the endpoint is gone"))?;
        gets_messages(&endpoint.state)?;
        if !self.inner.store.resend(id, Time::now())? {
            return Err(Error::conflict("the delivery has not ended"));
        }
        self.inner.nudge();
        Ok(())
    }

    /// Sends an endpoint every dead letter whose message was published at `since` or later, and what it subscribes to and has missed
    /// since then because it was disabled or not there. Returns how many deliveries are on their way now.
    ///
    /// # Errors
    /// [`NotFound`](Error::NotFound), [`Conflict`](Error::Conflict) if it is disabled or unverified, [`Store`](Error::Store).
    pub fn recover(&self, endpoint: &EndpointId, since: Time) -> Result<usize, Error> {
        gets_messages(&self.endpoint(endpoint)?.state)?;
        let recovered = self.inner.store.recover(endpoint, since, Time::now())?;
        self.inner.nudge();
        Ok(recovered)
    }
}

fn gets_messages(state: &EndpointState) -> Result<(), Error> {
    match state {
        EndpointState::Active | EndpointState::Paused => Ok(()),
        EndpointState::Unverified => Err(Error::conflict("the endpoint is not verified")),
        EndpointState::Disabled { .. } => Err(Error::conflict("the endpoint is disabled")),
    }
}
