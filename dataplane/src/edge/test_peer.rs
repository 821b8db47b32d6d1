//! For the edge's tests: a service that does what it is told, and peers to call it with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request as HttpRequest};

use crate::edge::limits::{Limits, Patience};
use crate::edge::replies::Replies;
use crate::edge::server::Server;
use crate::refusal::Refusal;
use crate::service::{Answer, CallId, Method, Request, Service};

/// Answers by the method's name.
pub struct TestService {
    pub replies: Replies,
    /// Calls that wait for the test to finish them.
    pub held: Mutex<Vec<CallId>>,
    pub answered: AtomicUsize,
    pub gone: AtomicUsize,
}

const PATHS: [(&str, bool, bool); 9] = [
    ("/t/Echo", false, true),
    ("/t/EchoStream", true, true),
    ("/t/Hold", false, true),
    ("/t/LaterStream", true, true),
    ("/t/Watch", true, false),
    ("/t/Panic", false, true),
    ("/t/Health", false, false),
    ("/t/Refuse", false, true),
    ("/t/BurstStream", true, true),
];

impl Service for TestService {
    /// What is put off until the burst has ended.
    type Thread = Vec<(CallId, Vec<u8>)>;

    fn thread(&self) -> Self::Thread {
        Vec::new()
    }

    fn burst_ended(&self, later: &mut Self::Thread) {
        for (call, message) in later.drain(..) {
            self.replies.send(call, message);
        }
    }

    fn method(&self, path: &[u8]) -> Option<Method> {
        let id = PATHS.iter().position(|(name, ..)| name.as_bytes() == path)?;
        Some(Method { id: id as u8, streaming: PATHS[id].1, limited: PATHS[id].2 })
    }

    fn answer(&self, later: &mut Self::Thread, request: &Request<'_>, reply: &mut Vec<u8>) -> Answer {
        self.answered.fetch_add(1, Ordering::SeqCst);
        match PATHS[usize::from(request.method.id)].0 {
            "/t/Hold" => {
                self.held.lock().unwrap().push(request.call);
                return Answer::Later;
            }
            "/t/LaterStream" => {
                let (replies, call, message) = (self.replies.clone(), request.call, request.message.to_vec());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(2));
                    replies.send(call, message);
                });
                return Answer::Later;
            }
            "/t/BurstStream" => {
                later.push((request.call, request.message.to_vec()));
                return Answer::Later;
            }
            "/t/Watch" => {
                self.held.lock().unwrap().push(request.call);
                reply.extend_from_slice(b"first");
                return Answer::Subscribed;
            }
            "/t/Panic" => panic!("as the test asked"),
            "/t/Refuse" => {
                return Answer::Refuse(Refusal::invalid(String::from_utf8_lossy(request.message)));
            }
            _ => reply.extend_from_slice(request.message),
        }
        Answer::Reply
    }

    fn gone(&self, _: CallId, _: Method) {
        self.gone.fetch_add(1, Ordering::SeqCst);
    }
}

/// A server on a port of its own.
pub struct Running {
    pub service: Arc<TestService>,
    pub server: Server<TestService>,
    pub address: SocketAddr,
}

pub fn limits() -> Limits {
    Limits { event_loops: 1, max_in_flight: 64, max_message_bytes: 4 << 20 }
}

pub fn start(limits: &Limits, patience: Patience) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let replies = Replies::new(limits.event_loops).unwrap();
    let service = Arc::new(TestService {
        replies: replies.clone(),
        held: Mutex::default(),
        answered: AtomicUsize::new(0),
        gone: AtomicUsize::new(0),
    });
    let server =
        Server::start_with(Arc::clone(&service), replies, vec![listener.into()], limits, patience).unwrap();
    Running { service, server, address }
}

/// Wait until something is so.
pub async fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come to be");
}

pub fn framed(message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::edge::grpc::put_framed(&mut bytes, message);
    bytes
}

/// How a call went.
#[derive(Debug)]
pub struct Outcome {
    pub http: u16,
    pub messages: Vec<Vec<u8>>,
    /// Of a response without a body, its headers.
    pub trailers: HeaderMap,
}

impl Outcome {
    pub fn status(&self) -> &str {
        self.trailers.get("grpc-status").map_or("none", |value| value.to_str().unwrap())
    }

    pub fn message(&self) -> &str {
        self.trailers.get("grpc-message").map_or("", |value| value.to_str().unwrap())
    }
}

/// The call was answered, with these messages.
pub fn ok(outcome: &Outcome, messages: &[&[u8]]) {
    assert_eq!((outcome.http, outcome.status(), outcome.message()), (200, "0", ""));
    assert_eq!(outcome.messages, messages);
}

/// A well-behaved client.
#[derive(Clone)]
pub struct Peer(SendRequest<Bytes>);

impl Peer {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(send)
    }

    pub fn request(path: &str) -> http::request::Builder {
        HttpRequest::post(format!("http://test{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
    }

    pub async fn open(
        &self,
        request: http::request::Builder,
        end: bool,
    ) -> Result<(h2::client::ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
        self.0.clone().ready().await?.send_request(request.body(()).unwrap(), end)
    }

    /// Send these bytes as DATA frames of their own, and take the whole reply.
    pub async fn call(
        &self,
        request: http::request::Builder,
        chunks: &[&[u8]],
    ) -> Result<Outcome, h2::Error> {
        let (response, mut body) = self.open(request, chunks.is_empty()).await?;
        for (index, chunk) in chunks.iter().enumerate() {
            body.send_data(Bytes::copy_from_slice(chunk), index + 1 == chunks.len())?;
        }
        take(response).await
    }

    pub async fn echo(&self, message: &[u8]) -> Outcome {
        self.call(Self::request("/t/Echo"), &[&framed(message)]).await.unwrap()
    }
}

/// Take a whole response.
pub async fn take(response: h2::client::ResponseFuture) -> Result<Outcome, h2::Error> {
    let response = response.await?;
    let http = response.status().as_u16();
    let (head, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    let trailers = body.trailers().await?.unwrap_or(head.headers);
    Ok(Outcome { http, messages: messages(&bytes), trailers })
}

fn messages(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    while let Some((&[0, a, b, c, d], rest)) = bytes.split_first_chunk() {
        let (message, rest) = rest.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
        messages.push(message.to_vec());
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a part of a message is left");
    messages
}

/// A client that sends whatever it is told.
pub struct RawPeer(pub TcpStream);

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

impl RawPeer {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    pub fn greet(address: SocketAddr) -> Self {
        let mut peer = Self::connect(address);
        peer.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
        peer.send(&frame(SETTINGS, 0, 0, &[])).unwrap();
        peer
    }

    pub fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    /// The type, flags, stream and payload of the next frame; none at the end.
    pub fn next_frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).ok()?;
        Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }

    /// Read until the server has closed the connection; all frames, without SETTINGS.
    pub fn read_to_the_end(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        std::iter::from_fn(|| self.next_frame()).filter(|frame| frame.0 != SETTINGS).collect()
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A header block of literals that no table learns.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fn text(bytes: &mut Vec<u8>, text: &str) {
        if text.len() < 127 {
            bytes.push(text.len() as u8);
        } else {
            bytes.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                bytes.push(rest as u8 | 128);
                rest >>= 7;
            }
            bytes.push(rest as u8);
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(&mut bytes, name);
        text(&mut bytes, value);
    }
    bytes
}

pub fn request_block(path: &str) -> Vec<u8> {
    block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ])
}
