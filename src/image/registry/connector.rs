//! The TLS link of the HTTP client's connector chain. ureq's own takes only a list of roots; ours takes a whole
//! configuration, and tells a failed handshake apart from every other failure.

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport, TransportAdapter,
};

/// A TLS handshake that did not come about.
#[derive(Debug)]
pub enum Handshake {
    /// The other side does not speak TLS, or hung up before it did.
    NotTls(String),
    /// It does, and its certificate does not convince.
    Certificate(String),
    /// It does, and something else went wrong.
    Other(String),
}

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Handshake::NotTls(s) => write!(f, "the server does not speak TLS: {s}"),
            Handshake::Certificate(s) => write!(f, "the server's certificate is not valid: {s}"),
            Handshake::Other(s) => write!(f, "the TLS handshake failed: {s}"),
        }
    }
}

impl std::error::Error for Handshake {}

impl Handshake {
    fn from_io(e: &std::io::Error) -> Handshake {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(_)) => Handshake::NotTls("it answers with something else".into()),
            Some(rustls::Error::InvalidCertificate(c)) => Handshake::Certificate(match c {
                rustls::CertificateError::UnknownIssuer => "it is signed by an unknown authority".into(),
                _ if super::tls::is_authority_as_server(c) => "it is self-signed and not a known one".into(),
                other => other.to_string(),
            }),
            Some(other) => Handshake::Other(other.to_string()),
            None if matches!(e.kind(), UnexpectedEof | ConnectionReset | ConnectionAborted | BrokenPipe) => {
                Handshake::NotTls("it closed the connection".into())
            }
            None => Handshake::Other(e.to_string()),
        }
    }
}

/// Wraps a connection in TLS where the address says https.
pub struct Tls(pub Arc<ClientConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Stream>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else { return Ok(None) };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = rustls::pki_types::ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::Tls("the host is no valid server name"))?;
        let connection = ClientConnection::new(self.0.clone(), name)
            .map_err(|e| ureq::Error::Other(Handshake::Other(e.to_string()).into()))?;
        let boxed: Box<dyn Transport> = Box::new(transport);
        let mut adapter = TransportAdapter::new(boxed, details.current_time.clone());
        adapter.set_timeout(details.timeout);
        let mut stream = StreamOwned::new(connection, adapter);
        stream.conn.complete_io(&mut stream.sock).map_err(|e| {
            // The adapter hides the client's own errors (time-outs) in io errors; those are not the handshake's.
            if e.get_ref().is_some_and(|inner| inner.is::<ureq::Error>()) {
                return ureq::Error::from(e);
            }
            ureq::Error::Other(Handshake::from_io(&e).into())
        })?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Stream { buffers, stream })))
    }
}

/// An established TLS connection.
pub struct Stream {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

impl Transport for Stream {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }
    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        self.stream.flush()?;
        Ok(())
    }
    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.sock.set_timeout(timeout);
        let read = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }
    fn is_open(&mut self) -> bool {
        self.stream.sock.get_mut().is_open()
    }
    fn is_tls(&self) -> bool {
        true
    }
}
