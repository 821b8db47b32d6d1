//! Calls that wait for the service, subscriptions, and how the server stops with and without them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::edge::limits::{Limits, Patience};
use crate::edge::test_peer::{Peer, framed, limits, ok, start, take, until};
use crate::refusal::Status;

#[tokio::test]
async fn callers_that_go_are_noticed() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    for path in ["/t/Hold", "/t/Watch"] {
        let (response, mut body) = peer.open(Peer::request(path), false).await.unwrap();
        body.send_data(framed(b"").into(), false).unwrap();
        until("the call is held", || !running.service.held.lock().unwrap().is_empty()).await;
        body.send_reset(h2::Reason::CANCEL);
        drop(response);
        until("the service is told", || running.service.gone.swap(0, Ordering::SeqCst) == 1).await;
        let call = running.service.held.lock().unwrap().pop().unwrap();
        running.service.replies.finish(call, Ok(Some(b"nobody".to_vec())));
    }
    let lost = Peer::connect(running.address).await;
    let (response, mut body) = lost.open(Peer::request("/t/Hold"), false).await.unwrap();
    body.send_data(framed(b"").into(), true).unwrap();
    until("the call is held", || running.server.in_flight() == 1).await;
    drop((response, body, lost));
    until("the service is told", || running.service.gone.load(Ordering::SeqCst) == 1).await;
    assert_eq!(running.server.in_flight(), 0);
    ok(&peer.echo(b"on").await, &[b"on"]);
    assert_eq!(running.server.errors(), [0; Status::COUNT]);
}

#[tokio::test]
async fn a_subscription_gets_what_is_sent_until_it_is_finished() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/Watch"), false).await.unwrap();
    body.send_data(framed(b"").into(), true).unwrap();
    until("the call is held", || !running.service.held.lock().unwrap().is_empty()).await;
    let call = running.service.held.lock().unwrap()[0];
    let replies = running.service.replies.clone();
    replies.send(call, b"second".to_vec());
    tokio::time::sleep(Duration::from_millis(20)).await;
    replies.send(call, b"third".to_vec());
    replies.finish(call, Ok(None));
    replies.send(call, b"after the end".to_vec());
    ok(&take(response).await.unwrap(), &[b"first", b"second", b"third"]);
    assert_eq!(running.service.gone.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_subscription_that_falls_behind_is_ended() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (response, mut body) = peer.open(Peer::request("/t/Watch"), false).await.unwrap();
    body.send_data(framed(b"").into(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let call = running.service.held.lock().unwrap()[0];
    for _ in 0..200 {
        running.service.replies.send(call, vec![0; 1000]);
    }
    until("the service is told", || running.service.gone.load(Ordering::SeqCst) == 1).await;
    let end = async {
        while let Some(chunk) = body.data().await {
            chunk?;
        }
        Ok::<_, h2::Error>(())
    };
    assert_eq!(end.await.unwrap_err().reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn who_leaves_refuses_and_finishes() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (held, mut body) = peer.open(Peer::request("/t/Hold"), false).await.unwrap();
    body.send_data(framed(b"").into(), true).unwrap();
    until("the call is held", || running.server.in_flight() == 1).await;
    running.server.leave();
    let newcomer = Peer::connect(running.address).await;
    for peer in [&peer, &newcomer] {
        let refused = peer.echo(b"").await;
        assert_eq!(refused.status(), "14");
        assert_eq!(refused.message(), "the sidecar is stopping; nothing was done, send again");
    }
    ok(&newcomer.call(Peer::request("/t/Health"), &[&framed(b"?")]).await.unwrap(), &[b"?"]);
    let service = running.service.clone();
    let finishing = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let call = service.held.lock().unwrap()[0];
        service.replies.finish(call, Ok(Some(b"done".to_vec())));
    });
    let begun = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || running.server.stop(Duration::from_secs(20)));
    ok(&take(held).await.unwrap(), &[b"done"]);
    stopped.await.unwrap();
    assert!((200..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    finishing.await.unwrap();
    assert!(tokio::net::TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn the_grace_ends() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let (held, mut body) = peer.open(Peer::request("/t/Hold"), false).await.unwrap();
    body.send_data(framed(b"").into(), true).unwrap();
    until("the call is held", || running.server.in_flight() == 1).await;
    let begun = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || running.server.stop(Duration::from_millis(200)));
    assert!(take(held).await.is_err());
    stopped.await.unwrap();
    assert!((200..1000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert_eq!(running.service.gone.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn several_loops_share_the_connections() {
    let running = start(&Limits { event_loops: 3, ..limits() }, Patience::default());
    let mut loops = std::collections::HashSet::new();
    let mut peers = Vec::new();
    for index in 0..6 {
        let peer = Peer::connect(running.address).await;
        let (response, mut body) = peer.open(Peer::request("/t/Hold"), false).await.unwrap();
        body.send_data(framed(b"").into(), true).unwrap();
        until("the call is held", || running.service.held.lock().unwrap().len() == index + 1).await;
        let call = running.service.held.lock().unwrap()[index];
        loops.insert(call.event_loop);
        running.service.replies.finish(call, Ok(Some(vec![index as u8])));
        ok(&take(response).await.unwrap(), &[&[index as u8]]);
        peers.push(peer);
    }
    assert_eq!(loops.len(), 3);
    running.server.stop(Duration::from_secs(5));
}

#[tokio::test]
async fn what_a_reply_lets_in_ends_a_burst_too() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let messages = [framed(b"1"), framed(b"2"), framed(b"3")].concat();
    // Its replies come from `burst_ended`, with no other event to wake the loop.
    let outcome = peer.call(Peer::request("/t/BurstStream"), &[&messages]).await.unwrap();
    ok(&outcome, &[b"1", b"2", b"3"]);
}
