//! Peers that mean ill, or that are broken: each costs itself, and nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::edge::limits::{Limits, Patience};
use crate::edge::test_peer::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, Peer, RST_STREAM, RawPeer, SETTINGS,
    WINDOW_UPDATE, block, frame, framed, limits, request_block, start, until,
};
use crate::refusal::Status;

async fn still_answers(address: SocketAddr) {
    let outcome = Peer::connect(address).await.echo(b"still here").await;
    assert_eq!((outcome.status(), &*outcome.messages), ("0", &[b"still here".to_vec()][..]));
}

#[tokio::test]
async fn garbage_is_no_http2() {
    let running = start(&limits(), Patience::default());
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0; 1000], &[0xff; 70_000], b"PRI * HTTP/2.0\r\n\r\nxx"]
    {
        let mut peer = RawPeer::connect(running.address);
        let _ = peer.send(garbage);
        peer.read_to_the_end();
    }
    still_answers(running.address).await;
}

#[tokio::test]
async fn frames_of_nonsense_end_their_connection_only() {
    let running = start(&limits(), Patience::default());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..300 {
        let mut peer = RawPeer::greet(running.address);
        let mut bytes = Vec::new();
        for _ in 0..20 {
            let payload = match random() % 3 {
                0 => request_block("/t/EchoStream"),
                1 => framed(&[1; 50]),
                _ => (0..random() % 40).map(|_| random() as u8).collect(),
            };
            let (kind, flags) = ((random() % 11) as u8, random() as u8 & 0x2d);
            bytes.extend(frame(kind, flags, (random() % 9) as u32, &payload));
        }
        if random() % 2 == 0 {
            let at = random() as usize % bytes.len();
            bytes[at] ^= 1 << (random() % 8);
        }
        let _ = peer.send(&bytes);
        let _ = peer.0.shutdown(std::net::Shutdown::Write);
        peer.read_to_the_end();
    }
    still_answers(running.address).await;
    until("every call has ended", || running.server.in_flight() == 0).await;
}

#[tokio::test]
async fn a_long_header_list_is_refused_alone() {
    let running = start(&limits(), Patience::default());
    let peer = Peer::connect(running.address).await;
    let request = Peer::request("/t/Echo").header("big", "x".repeat(15_000));
    assert_eq!(peer.call(request, &[&framed(b"")]).await.unwrap().status(), "0");
    let mut raw = RawPeer::greet(running.address);
    let big = "x".repeat(17_000);
    let mut long = request_block("/t/Echo");
    long.extend(block(&[("big", &big)]));
    raw.send(&frame(HEADERS, END_STREAM, 1, &long[..16_000])).unwrap();
    raw.send(&frame(CONTINUATION, END_HEADERS, 1, &long[16_000..])).unwrap();
    raw.send(&frame(HEADERS, END_HEADERS, 3, &request_block("/t/Echo"))).unwrap();
    raw.send(&frame(DATA, END_STREAM, 3, &framed(b"reply"))).unwrap();
    let mut streams = Vec::new();
    while streams.iter().filter(|(_, flags)| flags & END_STREAM != 0).count() < 2 {
        let (kind, flags, stream, payload) = raw.next_frame().unwrap();
        assert_ne!(kind, GOAWAY, "{payload:?}");
        if kind == HEADERS {
            streams.push((stream, flags));
        }
    }
    assert_eq!(streams.iter().map(|(stream, _)| *stream).collect::<Vec<_>>(), [1, 3, 3]);
}

#[tokio::test]
async fn a_header_bomb_costs_little() {
    let running = start(&limits(), Patience::default());
    let mut raw = RawPeer::greet(running.address);
    // One entry of 4 KB in the table, then a byte for each time it is to be repeated.
    let mut bomb = request_block("/t/Echo");
    bomb.extend([0x40]);
    bomb.extend(&block(&[("bomb", &"x".repeat(3900))])[1..]);
    bomb.extend(vec![0x80 | 62; 10_000]);
    let begun = Instant::now();
    raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &bomb)).unwrap();
    while raw.next_frame().unwrap().0 != HEADERS {}
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    still_answers(running.address).await;
}

#[tokio::test]
async fn floods_end_their_connection() {
    let running = start(&limits(), Patience::default());
    let one_block = request_block("/t/Echo");
    let mut continuations = frame(HEADERS, 0, 1, &one_block);
    let mut resets = Vec::new();
    for index in 0..12_000 {
        continuations.extend(frame(CONTINUATION, 0, 1, &block(&[("a", "b")])));
        resets.extend(frame(HEADERS, END_HEADERS, index * 2 + 1, &one_block));
        resets.extend(frame(RST_STREAM, 0, index * 2 + 1, &8_u32.to_be_bytes()));
    }
    let entries = [0, 3, 0, 0, 1, 0].repeat(100);
    for (what, flood) in [
        ("CONTINUATION", continuations),
        ("resets", resets),
        ("SETTINGS", frame(SETTINGS, 0, 0, &entries)),
        ("empty DATA", {
            let mut bytes = frame(HEADERS, END_HEADERS, 1, &request_block("/t/EchoStream"));
            bytes.extend(frame(DATA, 0, 1, &[]).repeat(12_000));
            bytes
        }),
        ("no increment", frame(WINDOW_UPDATE, 0, 0, &[0; 4])),
    ] {
        let mut raw = RawPeer::greet(running.address);
        let mut reader = RawPeer(raw.0.try_clone().unwrap());
        let writer = std::thread::spawn(move || {
            let _ = raw.send(&flood);
        });
        // To the end: the server has closed the connection, with a word or without.
        reader.read_to_the_end();
        writer.join().unwrap();
        still_answers(running.address).await;
        until(what, || running.server.in_flight() == 0).await;
    }
    assert_eq!(running.server.errors()[Status::ResourceExhausted as usize], 0);
}

#[tokio::test]
async fn callers_that_time_out_often_are_no_flood() {
    let running = start(&limits(), Patience::default());
    let mut raw = RawPeer::greet(running.address);
    let block = request_block("/t/Hold");
    for index in 0..5_000 {
        let mut bytes = frame(HEADERS, END_HEADERS, index * 2 + 1, &block);
        bytes.extend(frame(DATA, END_STREAM, index * 2 + 1, &framed(b"")));
        bytes.extend(frame(RST_STREAM, 0, index * 2 + 1, &8_u32.to_be_bytes()));
        raw.send(&bytes).unwrap();
    }
    raw.send(&frame(PING, 0, 0, b"are you?")).unwrap();
    loop {
        match raw.next_frame().unwrap() {
            (PING, ..) => break,
            (GOAWAY, ..) => panic!("taken for a flood"),
            _ => {}
        }
    }
    assert_eq!(running.server.in_flight(), 0);
}

#[tokio::test]
async fn pings_that_are_not_read_end_their_connection() {
    let patience = Patience { message: Duration::from_millis(300), ..Patience::default() };
    let running = start(&limits(), patience);
    let mut raw = RawPeer::greet(running.address);
    raw.0.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let pings = frame(PING, 0, 0, b"are you?").repeat(1000);
    // Until the server takes no more, because its replies are not taken, and then closes.
    let begun = Instant::now();
    while raw.send(&pings).is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    still_answers(running.address).await;
}

#[tokio::test]
async fn who_does_not_shake_hands_is_shown_out() {
    let patience = Patience { handshake: Duration::from_millis(100), ..Patience::default() };
    let running = start(&limits(), patience);
    for said in [&b""[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"PRI"] {
        let begun = Instant::now();
        let mut raw = RawPeer::connect(running.address);
        raw.send(said).unwrap();
        raw.read_to_the_end();
        assert!((100..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }
    let mut quiet = RawPeer::greet(running.address);
    tokio::time::sleep(Duration::from_millis(300)).await;
    quiet.send(&frame(PING, 0, 0, b"are you?")).unwrap();
    while quiet.next_frame().expect("a connection that shook hands stays").0 != PING {}
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let running = start(&Limits { max_in_flight: 2, ..limits() }, Patience::default());
    let mut raw = RawPeer::greet(running.address);
    for index in 0..200 {
        raw.send(&frame(HEADERS, END_HEADERS, index * 2 + 1, &request_block("/t/EchoStream"))).unwrap();
    }
    let mut refused = 0;
    let mut limited = 0;
    while refused + limited < 198 {
        match raw.next_frame().unwrap() {
            (HEADERS, flags, ..) if flags & END_STREAM != 0 => limited += 1,
            (RST_STREAM, _, _, reason) if reason == 7_u32.to_be_bytes() => refused += 1,
            (GOAWAY, ..) => panic!("gone"),
            _ => {}
        }
    }
    assert_eq!(running.server.in_flight(), 2);
    assert_eq!(running.service.answered.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_busy_connection_leaves_the_others_their_turn() {
    let running = start(&limits(), Patience::default());
    let mut raw = RawPeer::greet(running.address);
    raw.send(&frame(WINDOW_UPDATE, 0, 0, &0x3fff_0000_u32.to_be_bytes())).unwrap();
    let mut reader = raw.0.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
    let writer = std::thread::spawn(move || {
        let block = request_block("/t/Echo");
        let mut stream = 1;
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            let mut bytes = Vec::new();
            for _ in 0..32 {
                bytes.extend(frame(HEADERS, END_HEADERS, stream, &block));
                bytes.extend(frame(DATA, END_STREAM, stream, &framed(&[1; 8_000])));
                stream += 2;
            }
            if raw.send(&bytes).is_err() {
                return stream;
            }
        }
        stream
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let peer = Peer::connect(running.address).await;
    let mut worst = Duration::ZERO;
    for _ in 0..50 {
        let begun = Instant::now();
        assert_eq!(peer.echo(b"me too").await.status(), "0");
        worst = worst.max(begun.elapsed());
    }
    assert!(worst < Duration::from_millis(500), "{worst:?}");
    assert!(writer.join().unwrap() > 1000);
}
