use super::*;
use crate::error::{Error, Kind};
use std::os::fd::AsFd;

#[test]
fn messages_and_descriptors_arrive_whole() {
    let (ours, theirs) = pair().unwrap();
    let (read, write) = rustix::pipe::pipe().unwrap();
    let ask = Ask::Attach { stdin: false, stdout: true, stderr: false };
    send(&ours, &ask, &[write.as_fd()]).unwrap();
    drop(write);
    let wire::Received::Message(got, fds) = receive::<Ask>(&theirs).unwrap() else { panic!("no message") };
    assert_eq!((got, fds.len()), (ask, 1));
    rustix::io::write(&fds[0], b"x").unwrap();
    let mut byte = [0u8; 1];
    assert_eq!(rustix::io::read(&read, &mut byte).unwrap(), 1);
    drop(ours);
    assert!(matches!(receive::<Ask>(&theirs).unwrap(), wire::Received::Gone));
}

#[test]
fn a_folder_deeper_than_an_address_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a".repeat(120)).join("b".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    let listener = listen(&deep, "control").unwrap();
    // Once more over what is there.
    drop(listener);
    let listener = listen(&deep, "control").unwrap();
    assert!(accept(&listener).unwrap().is_none());
    let client = wire::connect(&deep, "control").unwrap();
    send(&client, &Ask::Wait, &[]).unwrap();
    let connection = accept(&listener).unwrap().unwrap();
    assert!(matches!(receive::<Ask>(&connection).unwrap(), wire::Received::Message(Ask::Wait, _)));
    assert!(matches!(receive::<Ask>(&connection).unwrap(), wire::Received::Nothing));
}

#[test]
fn an_error_keeps_its_causes_hint_and_exit_code() {
    let error = Error::new(Kind::NotFound, "exec").because(Error::runner("inner").because("deep")).hint("look");
    let chain = error.chain();
    let json = serde_json::to_string(&Answer::Failed((&error).into())).unwrap();
    let Answer::Failed(wire) = serde_json::from_str(&json).unwrap() else { panic!("{json}") };
    let back = wire.into_error();
    assert_eq!((back.chain(), back.hint.as_deref(), back.kind), (chain, Some("look"), Kind::NotFound));
}

#[test]
fn an_error_of_any_length_arrives() {
    for text in ["x".repeat(200_000), "\u{1}é\"\\".repeat(60_000), "漢".repeat(100_000)] {
        let mut error = Error::new(Kind::NotFound, text.clone()).hint(text.clone());
        for n in 0..50 {
            error = Error::new(Kind::NotFound, format!("{n} {text}")).because(error).hint(format!("look {text}"));
        }
        let (ours, theirs) = pair().unwrap();
        send(&ours, &Answer::Failed((&error).into()), &[]).unwrap();
        let wire::Received::Message(Answer::Failed(wire), _) = receive::<Answer>(&theirs).unwrap() else { panic!() };
        let back = wire.into_error();
        assert_eq!(back.kind, Kind::NotFound);
        assert!(back.message.starts_with("49 ") && back.message.ends_with(" more bytes]"));
        assert!(back.hint.unwrap().starts_with("look "));
    }
    // What fits is left as it is.
    let error = Error::new(Kind::NotFound, "y".repeat(20_000)).because(Error::runner("inner")).hint("look");
    let back = WireError::from(&error).into_error();
    assert_eq!((back.chain(), back.hint.as_deref()), (error.chain(), Some("look")));
}
