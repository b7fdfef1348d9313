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
    assert!(accept(&listener, &"not heard").unwrap().is_none());
    let client = wire::connect(&deep, "control").unwrap();
    send(&client, &Ask::Wait, &[]).unwrap();
    let connection = accept(&listener, &"not heard").unwrap().unwrap();
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
fn notes_of_any_length_arrive() {
    for (count, text) in [(1, "a".repeat(200_000)), (40, "\u{1}é\"\\".repeat(60_000)), (200, "漢".repeat(1000))] {
        let (ours, theirs) = pair().unwrap();
        send(&ours, &Answer::started(vec![text; count]), &[]).unwrap();
        let received = receive::<Answer>(&theirs).unwrap();
        let wire::Received::Message(Answer::Started { notes }, _) = received else { panic!() };
        assert!(notes.len() == count && notes.iter().all(|note| note.ends_with(" more bytes]")));
    }
    assert_eq!(Answer::started(vec!["short".into()]), Answer::Started { notes: vec!["short".into()] });
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

#[test]
fn whoever_has_the_number_of_one_that_connected_and_went_is_not_believed() {
    let dir = tempfile::tempdir().unwrap();
    let listener = listen(dir.path(), "control").unwrap();
    let client = wire::connect(dir.path(), "control").unwrap();
    let connection = accept(&listener, &"not heard").unwrap().unwrap();
    match crate::sys::net::peer(&connection).unwrap() {
        Some(peer) => {
            assert_eq!(crate::sys::process::number_of(peer.as_fd()), Some(std::process::id() as i32));
        }
        None => return eprintln!("skipped: no SO_PEERPIDFD before Linux 6.5"),
    }
    drop((client, connection));
    const CONNECT: &str =
        "use Socket; socket(S, PF_UNIX, SOCK_SEQPACKET, 0) && connect(S, sockaddr_un($ARGV[0])) or die $!";
    // Others may be quicker.
    for _ in 0..20 {
        let mut perl = std::process::Command::new("perl");
        let Ok(mut gone) = perl.args(["-e", CONNECT]).arg(dir.path().join("control")).spawn() else {
            return eprintln!("skipped: no perl");
        };
        let pid = gone.id();
        assert!(gone.wait().unwrap().success());
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            return eprintln!("skipped: numbers of processes cannot be chosen here");
        }
        let mut other = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let same = other.id() == pid;
        let heard = accept(&listener, &"not heard").unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(heard.is_none());
        if same {
            return;
        }
    }
    eprintln!("skipped: no number was given twice");
}
