//! One unary gRPC call on an open HTTP/2 connection, judged by its grpc-status.

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use h2::client::{Builder, SendRequest};
use http::{HeaderMap, Request, Uri};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::spawn_local;

const WINDOW: u32 = 1 << 24;
/// gRPC's five bytes before a message.
const FRAME: usize = 5;

/// Where the server listens.
#[derive(Clone, Debug)]
pub enum Target {
    /// host:port
    Tcp(String),
    /// The path of a socket.
    Unix(PathBuf),
}

/// What is sent in each call: the method, and the message with gRPC's five bytes before it.
pub struct Sent {
    pub method: Uri,
    pub framed: Bytes,
}

/// How one call ended.
pub enum End {
    /// With a grpc-status; the reply's message when there was one.
    Status { code: u32, message: Bytes },
    /// Without one: the connection or the stream broke, or the answer was no gRPC.
    Broken(String),
}

/// An open connection; clones share it.
#[derive(Clone)]
pub struct Connection(SendRequest<Bytes>);

impl Connection {
    /// Connects; the connection is driven by a task of its own.
    pub async fn open(target: &Target) -> Result<Self, String> {
        match target {
            Target::Tcp(address) => {
                let stream =
                    TcpStream::connect(address).await.map_err(|error| format!("{address}: {error}"))?;
                stream.set_nodelay(true).map_err(|error| error.to_string())?;
                Self::handshake(stream).await
            }
            Target::Unix(path) => {
                let shown = path.display();
                Self::handshake(UnixStream::connect(path).await.map_err(|error| format!("{shown}: {error}"))?)
                    .await
            }
        }
    }

    async fn handshake(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Self, String> {
        let (sender, connection) = Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .handshake(stream)
            .await
            .map_err(|error| error.to_string())?;
        spawn_local(async move {
            // How it ended is told by the calls that were on it.
            let _ = connection.await;
        });
        Ok(Self(sender))
    }

    /// Makes one call. Waits for the server when it allows no further stream for now.
    pub async fn call(self, sent: &Sent) -> End {
        match self.try_call(sent).await {
            Ok(end) => end,
            Err(error) => End::Broken(error.to_string()),
        }
    }

    async fn try_call(self, sent: &Sent) -> Result<End, h2::Error> {
        let mut request = Request::new(());
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = sent.method.clone();
        *request.version_mut() = http::Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
        headers.insert(http::header::TE, http::HeaderValue::from_static("trailers"));
        let mut sender = self.0.ready().await?;
        let (response, mut stream) = sender.send_request(request, false)?;
        stream.send_data(sent.framed.clone(), true)?;
        let (head, mut body) = response.await?.into_parts();
        if head.status != http::StatusCode::OK {
            return Ok(End::Broken(format!("HTTP {}", head.status)));
        }
        let mut framed = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece?;
            body.flow_control().release_capacity(piece.len())?;
            framed.extend_from_slice(&piece);
        }
        // An error may come as headers alone, which then carry the status.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        Ok(match status(&trailers) {
            Some(0) if framed.len() < FRAME => End::Broken("status 0 without a message".to_owned()),
            Some(code) => {
                let message =
                    if framed.len() < FRAME { Bytes::new() } else { framed.split_off(FRAME).freeze() };
                End::Status { code, message }
            }
            None => End::Broken("no grpc-status".to_owned()),
        })
    }
}

fn status(trailers: &HeaderMap) -> Option<u32> {
    trailers.get("grpc-status")?.to_str().ok()?.parse().ok()
}
