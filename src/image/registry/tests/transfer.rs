//! Blobs over bad lines and from bad servers.

use super::*;

#[test]
fn a_cut_connection_is_taken_up_with_a_range() {
    let content: Vec<u8> = (0..200_000u32).map(|i| i as u8).collect();
    let image = Image::new(&[&content]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server = Server::start(move |seen| {
        let mut reply = served.answer(seen);
        if seen.target == path && seen.from() < 150_000 {
            reply.cut = Some(60_000);
        }
        reply
    });
    let sink = Folder::new();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(&content));
    let ranges: Vec<usize> = server.seen().iter().filter(|s| s.target == image.blob_path(0)).map(Seen::from).collect();
    assert_eq!(ranges, [0, 60_000, 120_000, 180_000]);
}

#[test]
fn what_a_killed_pull_left_is_taken_up() {
    let image = Image::new(&[b"0123456789"]);
    let digest = digest_of(b"0123456789", None);
    let served = image.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let sink = Folder::new();
    std::fs::write(sink.partial(&digest), "0123").unwrap();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"0123456789"));
    assert_eq!(server.seen().last().unwrap().from(), 4);
}

#[test]
fn a_damaged_rest_is_fetched_again_once() {
    let image = Image::new(&[b"0123456789"]);
    let digest = digest_of(b"0123456789", None);
    let served = image.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let sink = Folder::new();
    std::fs::write(sink.partial(&digest), "XXXX").unwrap();
    pull(&server, &sink).unwrap();
    assert!(sink.has_bytes(b"0123456789"));
}

#[test]
fn a_server_without_ranges_or_with_a_wrong_one_is_no_trap() {
    for wrong in [false, true] {
        let content = vec![7u8; 100_000];
        let image = Image::new(&[&content]);
        let (served, path, first) = (image.clone(), image.blob_path(0), AtomicU32::new(0));
        let server = Server::start(move |seen| {
            if seen.target != path {
                return served.answer(seen);
            }
            match first.fetch_add(1, Ordering::Relaxed) {
                0 => Reply { cut: Some(70_000), ..Reply::ok(content.clone()) },
                1 if wrong => {
                    Reply { status: 206, ..Reply::ok(content.clone()) }.header("Content-Range", "bytes 5-99999/100000")
                }
                _ => Reply::ok(content.clone()),
            }
        });
        let sink = Folder::new();
        pull(&server, &sink).unwrap();
        assert!(sink.has_bytes(&[7u8; 100_000]));
    }
}

#[test]
fn wrong_bytes_never_reach_the_store() {
    let image = Image::new(&[b"the layer!"]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server =
        Server::start(move |seen| if seen.target == path { Reply::ok("the l4yer!") } else { served.answer(seen) });
    let sink = Folder::new();
    let text = pull(&server, &sink).unwrap_err().to_string();
    assert_eq!(text, format!("filesystem layer verification failed for digest {}", digest_of(b"the layer!", None)));
    assert!(!sink.blob(&digest_of(b"the layer!", None)).exists());
    assert!(sink.names.lock().unwrap().is_empty());
}

#[test]
fn a_blob_longer_than_the_manifest_says_is_cut_short() {
    let image = Image::new(&[b"the layer!"]);
    let (served, path) = (image.clone(), image.blob_path(0));
    let server =
        Server::start(move |seen| if seen.target == path { Reply::ok([b'x'; 5000]) } else { served.answer(seen) });
    assert!(error(&server).contains("sends more for"));
}

#[test]
fn silence_and_dripping_end_in_an_error() {
    for drip in [false, true] {
        let content = vec![1u8; 5000];
        let image = Image::new(&[&content]);
        let (served, path) = (image.clone(), image.blob_path(0));
        let server = Server::start(move |seen| {
            let mut reply = served.answer(seen);
            if seen.target == path {
                match drip {
                    true => reply.drip = Some(Duration::from_millis(30)),
                    false => (reply.cut, reply.silence) = (Some(10), Duration::from_secs(20)),
                }
            }
            reply
        });
        let hasty = Timeouts { stall: Duration::from_millis(300), min_bytes: 50, ..PATIENT };
        let start = Instant::now();
        let e = pull_within(hasty, &server, &Folder::new(), "app:1", &options(), false).unwrap_err();
        let text = e.chain().join(": ");
        // On a busy machine the head of an answer may already be late.
        assert!(text.contains("was cut off") || text.contains("timed out"), "{text}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    }
}

#[test]
fn server_trouble_is_waited_for_within_bounds() {
    let image = Image::new(&[b"x"]);
    let (served, count) = (image.clone(), AtomicU32::new(0));
    let server = Server::start(move |seen| match count.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => Reply::status(503),
        1 => Reply::status(429).header("Retry-After", "0"),
        _ => served.answer(seen),
    });
    pull(&server, &Folder::new()).unwrap();

    let server = Server::start(|seen| if seen.target == "/v2/" { Reply::ok("") } else { Reply::status(500) });
    assert!(error(&server).contains("500"));
    assert_eq!(server.seen().len(), 4);

    let server = Server::start(|seen| {
        if seen.target == "/v2/" { Reply::ok("") } else { Reply::status(429).header("Retry-After", "86400") }
    });
    assert!(error(&server).contains("toomanyrequests"));
    assert_eq!(server.seen().len(), 1, "a day is not waited for");
}

#[test]
fn several_layers_come_at_once_and_one_failure_stops_the_rest() {
    let layers: Vec<Vec<u8>> = (0..12u8).map(|i| vec![i; 10]).collect();
    let image = Image::new(&layers.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let (served, now, most) = (image.clone(), AtomicU32::new(0), std::sync::Arc::new(AtomicU32::new(0)));
    let peak = most.clone();
    let server = Server::start(move |seen| {
        if !seen.target.contains("/blobs/") {
            return served.answer(seen);
        }
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(40));
        now.fetch_sub(1, Ordering::SeqCst);
        served.answer(seen)
    });
    pull(&server, &Folder::new()).unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 3);

    let (served, bad) = (image.clone(), image.blob_path(0));
    let server = Server::start(move |seen| {
        if seen.target == bad {
            return Reply::status(404);
        }
        if seen.target.contains("/blobs/") {
            std::thread::sleep(Duration::from_millis(40));
        }
        served.answer(seen)
    });
    assert!(error(&server).contains("does not give out"));
    assert!(server.seen().len() < 10, "{}", server.seen().len());
}
