//! What the handshake said of a client, for handlers.

#![forbid(unsafe_code)]

use std::fmt;

use rustls::pki_types::CertificateDer;
use rustls::{CommonState, ProtocolVersion};

/// What is known of a client from its handshake: what [`Request::tls`](crate::http::Request::tls) returns.
pub struct TlsClient {
    server_name: Option<Box<str>>,
    protocol: Option<Box<[u8]>>,
    version: Option<ProtocolVersion>,
    certificates: Box<[CertificateDer<'static>]>,
}

impl TlsClient {
    pub(super) fn new(server_name: Option<Box<str>>, state: &CommonState) -> TlsClient {
        TlsClient {
            server_name,
            protocol: state.alpn_protocol().map(Into::into),
            version: state.protocol_version(),
            certificates: state.peer_certificates().unwrap_or_default().into(),
        }
    }

    /// The host that the client asked for (by SNI), if it did. It need not be that of the `Host` header.
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that was agreed on by ALPN: `http/1.1`, `http/1.0`, or `None` if the client offered none.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref().and_then(|name| std::str::from_utf8(name).ok())
    }

    /// `TLSv1.3` or `TLSv1.2`.
    pub fn version(&self) -> &'static str {
        match self.version {
            Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "unknown",
        }
    }

    /// The client's certificate, and behind it what it sent to lead to its authority. Empty if it has shown none; what is
    /// here was verified.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.server_name())
            .field("protocol", &self.protocol())
            .field("version", &self.version())
            .field("certificates", &self.certificates.len())
            .finish()
    }
}
