//! Stands for `tls` where that feature is off: there are no sessions, so nothing of this ever runs.

#![forbid(unsafe_code)]

use std::io;
use std::time::Instant;

use super::link::Link;
use crate::io::Descriptor;

/// There is none.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tls {}

/// There is none.
#[derive(Debug)]
pub(crate) enum Session {}

/// What a handshake would come to.
#[allow(dead_code, reason = "nobody makes one")]
pub(crate) enum Shaken {
    More,
    Done,
    Refused,
    Gone,
}

impl Session {
    pub(crate) fn has_more(&self) -> bool {
        match *self {}
    }

    pub(crate) fn has_begun(&self) -> bool {
        match *self {}
    }

    pub(crate) fn break_off(&self) {
        match *self {}
    }
}

impl Link<'_> {
    pub(crate) fn recv_tls(
        &self,
        session: &Session,
        _: &mut [u8],
        _: Option<Instant>,
    ) -> io::Result<usize> {
        match *session {}
    }

    pub(crate) fn try_recv_tls(
        &self,
        session: &Session,
        _: &mut [u8],
    ) -> io::Result<Option<usize>> {
        match *session {}
    }

    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn recv_lent_tls(
        &self,
        session: &Session,
        _: Option<Instant>,
    ) -> io::Result<(Vec<u8>, usize)> {
        match *session {}
    }

    #[cfg_attr(not(feature = "ws"), allow(dead_code, reason = "who uses it is a feature"))]
    pub(crate) fn try_recv_lent_tls(&self, session: &Session) -> io::Result<(Vec<u8>, usize)> {
        match *session {}
    }

    pub(crate) fn send_tls(&self, session: &Session, _: [&[u8]; 2], _: bool) -> io::Result<()> {
        match *session {}
    }

    pub(crate) fn try_send_tls(&self, session: &Session, _: &[u8]) -> io::Result<usize> {
        match *session {}
    }

    pub(crate) fn goodbye(&self) {}

    pub(crate) fn shake(
        &self,
        tls: &Tls,
        _: &mut Option<Box<Session>>,
        _: Option<Instant>,
    ) -> Shaken {
        match *tls {}
    }
}

pub(crate) fn goodbye_now(session: &Session, _: &Descriptor) {
    match *session {}
}
