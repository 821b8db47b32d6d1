#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::edge::limits::{Limits, Patience};
use crate::edge::test_peer::{Peer, framed, limits, ok, start, take, until};
use crate::refusal::Status;

#[tokio::test]
async fn a_message_may_be_split_anywhere() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let bytes = framed(b"twenty bytes of text");
    for at in 1..bytes.len() {
        let (one, two) = bytes.split_at(at);
        ok(&peer.call(Peer::request("/t/Echo"), &[one, two]).await.unwrap(), &[b"twenty bytes of text"]);
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    ok(&peer.call(Peer::request("/t/Echo"), &single).await.unwrap(), &[b"twenty bytes of text"]);
    ok(&peer.echo(b"").await, &[b""]);
    assert_eq!(running.server.in_flight(), 0);
}

#[tokio::test]
async fn a_stream_may_be_cut_anywhere() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let bytes = [framed(b"a"), framed(b""), framed(b"three")].concat();
    for at in 1..bytes.len() {
        let (one, two) = bytes.split_at(at);
        for path in ["/t/EchoStream", "/t/LaterStream"] {
            let outcome = peer.call(Peer::request(path), &[one, two]).await.unwrap();
            ok(&outcome, &[b"a", b"", b"three"]);
        }
    }
    ok(&peer.call(Peer::request("/t/EchoStream"), &[&bytes]).await.unwrap(), &[b"a", b"", b"three"]);
    ok(&peer.call(Peer::request("/t/EchoStream"), &[]).await.unwrap(), &[]);
}

#[tokio::test]
async fn a_unary_call_has_one_message() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let none = peer.call(Peer::request("/t/Echo"), &[]).await.unwrap();
    assert_eq!(none.status(), "12");
    let cut = peer.call(Peer::request("/t/Echo"), &[b"\0\0\0\0\x05four"]).await.unwrap();
    assert_eq!(cut.status(), "13");
    let two = [framed(b"first"), framed(b"second")].concat();
    ok(&peer.call(Peer::request("/t/Echo"), &[&two]).await.unwrap(), &[b"first"]);
    assert_eq!(running.server.errors(), [0; Status::COUNT], "gRPC's own errors are not counted");
}

#[tokio::test]
async fn long_messages_flow_both_ways() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let message: Vec<u8> = (0..4_usize << 20).map(|at| ((at * 31) >> 3) as u8).collect();
    let calls = (0..8).map(|_| {
        let (peer, message) = (peer.clone(), message.clone());
        tokio::spawn(async move { ok(&peer.echo(&message).await, &[&message]) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    let too_long = peer.echo(&[0; (4 << 20) + 1]).await;
    assert_eq!(too_long.status(), "8");
    assert_eq!(too_long.message(), "SERVER: Received message larger than max (4194305 vs. 4194304)");
    ok(&peer.echo(b"still here").await, &[b"still here"]);
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_not_read() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/EchoStream"), false).await.unwrap();
    let message = framed(&[7; 10_000]);
    for _ in 0..400 {
        body.send_data(Bytes::copy_from_slice(&message), false).unwrap();
    }
    body.send_data(Bytes::new(), true).unwrap();
    let answered = || running.service.answered.load(Ordering::SeqCst);
    until("the first answers", || answered() > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    // h2 gives a stream 64 KiB; as much may wait here.
    assert!(answered() < 20, "{} messages answered for nobody", answered());
    let other = Peer::connect(running.address).await;
    ok(&other.echo(b"others go on").await, &[b"others go on"]);
    let outcome = take(response).await.unwrap();
    assert_eq!((outcome.messages.len(), outcome.status()), (400, "0"));
}

#[tokio::test]
async fn compressed_requests_are_read() {
    let running = start(&Limits { max_message_bytes: 100_000, ..limits() }, Patience::default());
    let peer = Peer::connect(running.address).await;
    let compressed = |bytes: &[u8]| {
        let mut message = framed(bytes);
        message[0] = 1;
        message
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        compressed(&encoder.finish().unwrap())
    };
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(b"squeezed").unwrap();
    let deflate = compressed(&zlib.finish().unwrap());
    let send = async |encoding: &str, bytes: &[u8]| {
        peer.call(Peer::request("/t/Echo").header("grpc-encoding", encoding), &[bytes]).await.unwrap()
    };
    ok(&send("gzip", &gzip(b"squeezed")).await, &[b"squeezed"]);
    ok(&send("deflate", &deflate).await, &[b"squeezed"]);
    ok(&send("gzip", &framed(b"as it is")).await, &[b"as it is"]);
    ok(&send("identity", &framed(b"as it is")).await, &[b"as it is"]);
    ok(&send("gzip", &gzip(&[0; 100_000])).await, &[&[0; 100_000]]);
    assert_eq!(send("gzip", &gzip(&[0; 100_001])).await.status(), "8", "a bomb");
    assert_eq!(send("gzip", &compressed(b"no gzip")).await.status(), "13");
    assert_eq!(send("identity", &gzip(b"squeezed")).await.status(), "13");
    assert_eq!(send("gzip", b"\x02\0\0\0\0").await.status(), "13");
    let unknown = send("snappy", &framed(b"?")).await;
    assert_eq!(unknown.status(), "12");
    assert_eq!(unknown.trailers["grpc-accept-encoding"], "identity,deflate,gzip");
}

#[tokio::test]
async fn what_is_no_call_of_ours_is_told_so() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let unknown = peer.call(Peer::request("/t/Nothing"), &[&framed(b"")]).await.unwrap();
    assert_eq!((unknown.status(), unknown.message()), ("12", "Method not found!"));
    let plain = http::Request::post("http://test/t/Echo").header("content-type", "application/grpcish");
    assert_eq!(peer.call(plain, &[b"{}"]).await.unwrap().http, 415);
    let get = http::Request::get("http://test/t/Echo").header("content-type", "application/grpc");
    assert_eq!(peer.call(get, &[]).await.unwrap().http, 405);
    let proto = http::Request::post("http://test/t/Echo").header("content-type", "application/grpc+proto");
    ok(&peer.call(proto, &[&framed(b"x")]).await.unwrap(), &[b"x"]);
}

#[tokio::test]
async fn messages_of_errors_travel() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let refused =
        peer.call(Peer::request("/t/Refuse"), &[&framed("100 % größer\n".as_bytes())]).await.unwrap();
    assert_eq!((refused.status(), refused.message()), ("3", "100 %25 gr%C3%B6%C3%9Fer%0A"));
    let long = ["ä".repeat(999), "€€€".into()].concat();
    let refused = peer.call(Peer::request("/t/Refuse"), &[&framed(long.as_bytes())]).await.unwrap();
    assert_eq!(refused.message().len(), 999 * 6, "cut between characters");
    assert_eq!(running.server.errors()[Status::InvalidArgument as usize], 2);
}

#[tokio::test]
async fn a_panic_costs_one_call() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let failed = peer.call(Peer::request("/t/Panic"), &[&framed(b"")]).await.unwrap();
    assert_eq!((failed.status(), failed.message()), ("13", "the sidecar failed; its log says how"));
    ok(&peer.echo(b"on").await, &[b"on"]);
    assert_eq!(running.server.errors()[Status::Internal as usize], 1);
}

#[tokio::test]
async fn deadlines_are_kept() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let call = async |path: &str, timeout: &str, bytes: &[u8]| {
        peer.call(Peer::request(path).header("grpc-timeout", timeout), &[bytes]).await.unwrap()
    };
    ok(&call("/t/Echo", "10S", &framed(b"in time")).await, &[b"in time"]);
    let late = call("/t/Echo", "1n", &framed(b"")).await;
    assert_eq!(
        (late.status(), late.message()),
        ("4", "the deadline had passed before the work began; nothing was done")
    );
    for path in ["/t/Hold", "/t/Watch"] {
        let begun = Instant::now();
        assert_eq!(call(path, "50m", &framed(b"")).await.status(), "4", "{path}");
        assert!((50..1000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
    assert_eq!(running.service.gone.load(Ordering::SeqCst), 2);
    let (response, mut body) =
        peer.open(Peer::request("/t/Echo").header("grpc-timeout", "50m"), false).await.unwrap();
    body.send_data(Bytes::from_static(b"\0\0"), false).unwrap();
    assert_eq!(take(response).await.unwrap().status(), "4", "a message that never comes whole");
    assert_eq!(running.server.errors()[Status::DeadlineExceeded as usize], 3, "Watch is not limited");
    assert_eq!(running.server.in_flight(), 0);
}

#[tokio::test]
async fn slow_senders_hold_no_place() {
    let patience = Patience { message: Duration::from_millis(100), ..Patience::default() };
    let running = start(&limits(), patience);
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/Echo"), false).await.unwrap();
    body.send_data(Bytes::from_static(b"\0\0"), false).unwrap();
    let refused = take(response).await.unwrap();
    assert_eq!((refused.status(), running.server.in_flight()), ("4", 0));
    // Neither a stream that is quiet nor a call that waits for us is slow.
    let (quiet, mut body) = peer.open(Peer::request("/t/EchoStream"), false).await.unwrap();
    let held = peer.open(Peer::request("/t/Hold"), false).await.unwrap();
    let (waits, mut sends) = held;
    sends.send_data(framed(b"").into(), true).unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    body.send_data(framed(b"late").into(), true).unwrap();
    ok(&take(quiet).await.unwrap(), &[b"late"]);
    let call = running.service.held.lock().unwrap()[0];
    running.service.replies.finish(call, Ok(Some(b"done".to_vec())));
    ok(&take(waits).await.unwrap(), &[b"done"]);
}

#[tokio::test]
async fn slow_readers_hold_no_place() {
    let patience = Patience { message: Duration::from_millis(100), ..Patience::default() };
    let running = start(&limits(), patience);
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/Echo"), false).await.unwrap();
    body.send_data(framed(&[1; 200_000]).into(), true).unwrap();
    let response = response.await.unwrap();
    until("the call is let go", || running.server.in_flight() == 0).await;
    let mut body = response.into_body();
    let end = async {
        while let Some(chunk) = body.data().await {
            chunk?;
        }
        Ok::<_, h2::Error>(())
    };
    assert_eq!(end.await.unwrap_err().reason(), Some(h2::Reason::CANCEL));
}

#[tokio::test]
async fn calls_over_the_limit_are_refused_and_health_is_not() {
    let running = start(&Limits { max_in_flight: 2, ..limits() }, Patience::default());
    let peer = Peer::connect(running.address).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let (response, mut body) = peer.open(Peer::request("/t/Hold"), false).await.unwrap();
        body.send_data(framed(b"").into(), true).unwrap();
        waiting.push(response);
    }
    until("both are held", || running.service.held.lock().unwrap().len() == 2).await;
    assert_eq!(running.server.in_flight(), 2);
    let other = Peer::connect(running.address).await;
    for _ in 0..100 {
        let refused = other.echo(b"").await;
        assert_eq!(refused.status(), "8");
        assert_eq!(refused.message(), "2 calls are in flight, the limit; retry with back-off");
        let details = refused.trailers["grpc-status-details-bin"].to_str().unwrap();
        assert_eq!(
            details,
            "CAgSNTIgY2FsbHMgYXJlIGluIGZsaWdodCwgdGhlIGxpbWl0OyByZXRyeSB3aXRoIGJhY2stb2ZmGjMKKHR5cGUuZ29vZ2xl\
             YXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8SBwoFEIDC1y8"
        );
    }
    ok(&other.call(Peer::request("/t/Health"), &[&framed(b"?")]).await.unwrap(), &[b"?"]);
    assert_eq!(running.server.errors()[Status::ResourceExhausted as usize], 100);
    for call in running.service.held.lock().unwrap().drain(..) {
        running.service.replies.finish(call, Ok(Some(b"done".to_vec())));
        running.service.replies.finish(call, Ok(Some(b"twice".to_vec())));
    }
    for response in waiting {
        ok(&take(response).await.unwrap(), &[b"done"]);
    }
    ok(&other.echo(b"a place is free").await, &[b"a place is free"]);
}

#[tokio::test]
async fn an_early_refusal_asks_to_send_no_more() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/Nothing"), false).await.unwrap();
    assert_eq!(take(response).await.unwrap().status(), "12");
    let reason = std::future::poll_fn(|context| body.poll_reset(context)).await.unwrap();
    assert_eq!(reason, h2::Reason::NO_ERROR);
}
