//! DNS messages (RFC 1035), as far as a forwarder looks at them. Everything read here comes from a container or from the
//! network.

use std::net::IpAddr;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const PTR: u16 = 12;
pub const AAAA: u16 = 28;
const ANY: u16 = 255;
const IN: u16 = 1;
const HEADER: usize = 12;

/// Answers to a question that is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Good = 0,
    Malformed = 1,
    Failed = 2,
    NotImplemented = 4,
    Refused = 5,
}

/// A question, as a client asked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub id: u16,
    /// Lower case, without the dot at the end; bytes that are not letters, digits, `-` or `_` as `\ddd`.
    pub name: String,
    pub kind: u16,
    pub class: u16,
    /// Recursion desired.
    recursion: bool,
    /// The question section as it came.
    section: Vec<u8>,
}

impl Question {
    /// # Errors
    /// What to answer, and with which id: not a question, or not one that this server knows. `None`: nothing at all.
    pub fn parse(message: &[u8]) -> Result<Question, Option<(u16, Code)>> {
        let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
        let (Some(id), Some(flags)) = (word(0), word(2)) else { return Err(None) };
        if flags & 0x8000 != 0 {
            return Err(None);
        }
        if flags & 0x7800 != 0 {
            return Err(Some((id, Code::NotImplemented)));
        }
        let bad = Err(Some((id, Code::Malformed)));
        if message.len() < HEADER || word(4) != Some(1) {
            return bad;
        }
        let Some((name, end)) = name(message, HEADER) else { return bad };
        let (Some(kind), Some(class)) = (word(end), word(end + 2)) else { return bad };
        let section = message[HEADER..end + 4].to_vec();
        // A question stands first: there is nothing before it that it could point to.
        if section.len() != end + 4 - HEADER || !is_spelled_out(&section) {
            return bad;
        }
        Ok(Question { id, name, kind, class, recursion: flags & 0x100 != 0, section })
    }

    pub fn wants(&self, kind: u16) -> bool {
        self.class == IN && (self.kind == kind || self.kind == ANY)
    }

    /// The answer with these records: kind and data.
    pub fn answer(&self, code: Code, records: &[(u16, Vec<u8>)], ttl: u32) -> Vec<u8> {
        let mut m = Vec::with_capacity(HEADER + self.section.len() + records.len() * 28);
        let recursion = if self.recursion { 0x0100 } else { 0 };
        let authoritative = if code == Code::Good { 0x0400 } else { 0 };
        m.extend_from_slice(&self.id.to_be_bytes());
        m.extend_from_slice(&(0x8080u16 | recursion | authoritative | code as u16).to_be_bytes());
        for count in [1, records.len() as u16, 0, 0] {
            m.extend_from_slice(&count.to_be_bytes());
        }
        m.extend_from_slice(&self.section);
        for (kind, data) in records {
            m.extend_from_slice(&[0xc0, HEADER as u8]);
            m.extend_from_slice(&kind.to_be_bytes());
            m.extend_from_slice(&IN.to_be_bytes());
            m.extend_from_slice(&ttl.to_be_bytes());
            m.extend_from_slice(&(data.len() as u16).to_be_bytes());
            m.extend_from_slice(data);
        }
        m
    }

    /// Whether a message is an answer to this question with that id. Servers may change the case of letters.
    pub fn is_answered_by(&self, id: u16, message: &[u8]) -> bool {
        message.len() >= HEADER + self.section.len()
            && message[..2] == id.to_be_bytes()
            && message[2] & 0x80 != 0
            && message[4..6] == [0, 1]
            && message[HEADER..HEADER + self.section.len()].eq_ignore_ascii_case(&self.section)
    }

    /// Addresses that an answer gives for the name, through its aliases, and for how many seconds.
    pub fn addresses(&self, message: &[u8]) -> Vec<(IpAddr, u32)> {
        let mut names = vec![self.name.clone()];
        let records = records(message).unwrap_or_default();
        // Aliases may stand in any order; each adds a name, and there are no more names than records.
        for _ in 0..records.len() {
            let more =
                records.iter().find(|r| r.kind == CNAME && names.contains(&r.owner) && !names.contains(&r.target));
            match more {
                Some(alias) => names.push(alias.target.clone()),
                None => break,
            }
        }
        let of_name = records.iter().filter(|r| names.contains(&r.owner));
        of_name.filter_map(|r| Some((r.ip?, r.ttl))).collect()
    }
}

/// An answer with no more than an id and a code, to what could not be read.
pub fn bare(id: u16, code: Code) -> [u8; HEADER] {
    let mut m = [0; HEADER];
    m[..2].copy_from_slice(&id.to_be_bytes());
    m[2..4].copy_from_slice(&(0x8080 | code as u16).to_be_bytes());
    m
}

struct Record {
    owner: String,
    kind: u16,
    ttl: u32,
    ip: Option<IpAddr>,
    /// Of a CNAME.
    target: String,
}

/// The records of the answer section; `None` where the message is torn.
fn records(message: &[u8]) -> Option<Vec<Record>> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let (questions, answers) = (word(4)?, word(6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = name(message, at)?.1 + 4;
    }
    let mut found = Vec::new();
    // A message of 64 KiB holds no more: what the header promises is not trusted.
    for _ in 0..answers.min(4096) {
        let (owner, next) = name(message, at)?;
        let (kind, class, length) = (word(next)?, word(next + 2)?, usize::from(word(next + 8)?));
        let ttl = u32::from(word(next + 4)?) << 16 | u32::from(word(next + 6)?);
        let data = message.get(next + 10..next + 10 + length)?;
        let ip = match (kind, class) {
            (A, IN) => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            (AAAA, IN) => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
            _ => None,
        };
        let target = if kind == CNAME { name(message, next + 10)?.0 } else { String::new() };
        found.push(Record { owner, kind, ttl, ip, target });
        at = next + 10 + length;
    }
    Some(found)
}

fn is_spelled_out(section: &[u8]) -> bool {
    let mut at = 0;
    while let Some(length) = section.get(at) {
        match length {
            0 => return true,
            1..=63 => at += usize::from(*length) + 1,
            _ => return false,
        }
    }
    false
}

/// The name at an offset, and where what follows it starts. Pointers lead backwards only, so that they come to an end.
fn name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let (mut at, mut end, mut length) = (start, None, 0);
    loop {
        match *message.get(at)? {
            0 => return Some((text, end.unwrap_or(at + 1))),
            n @ 1..=63 => {
                let label = message.get(at + 1..at + 1 + usize::from(n))?;
                length += label.len() + 1;
                if length > 254 {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                for byte in label {
                    match byte {
                        b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*byte)),
                        b'A'..=b'Z' => text.push(char::from(byte.to_ascii_lowercase())),
                        _ => text.push_str(&format!("\\{byte:03}")),
                    }
                }
                at += 1 + label.len();
            }
            high @ 0xc0.. => {
                let to = usize::from(high & 0x3f) << 8 | usize::from(*message.get(at + 1)?);
                end.get_or_insert(at + 2);
                if to >= at {
                    return None;
                }
                at = to;
            }
            _ => return None,
        }
    }
}

/// A name as a record's data: for names of containers, whose labels fit.
pub fn encode(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|n| (1..=63).contains(n))?;
        bytes.push(length);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

/// The address that a reverse name is about.
pub fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(rest) = name.strip_suffix(".in-addr.arpa") {
        let octets: Vec<u8> = rest.rsplit('.').map(|o| o.parse().ok()).collect::<Option<_>>()?;
        return Some(IpAddr::from(<[u8; 4]>::try_from(octets).ok()?));
    }
    let rest = name.strip_suffix(".ip6.arpa")?;
    let nibbles: Vec<u8> = rest
        .rsplit('.')
        .map(|n| (n.len() == 1).then(|| u8::from_str_radix(n, 16).ok()).flatten())
        .collect::<Option<_>>()?;
    if nibbles.len() != 32 {
        return None;
    }
    let bytes: Vec<u8> = nibbles.chunks(2).map(|p| p[0] << 4 | p[1]).collect();
    Some(IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?))
}

/// A question in a message of its own, for tests and for the servers that are asked.
pub fn ask(id: u16, name: &str, kind: u16) -> Option<Vec<u8>> {
    let mut m = id.to_be_bytes().to_vec();
    m.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    m.extend(encode(name)?);
    m.extend_from_slice(&kind.to_be_bytes());
    m.extend_from_slice(&IN.to_be_bytes());
    Some(m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn question(name: &str, kind: u16) -> Question {
        Question::parse(&ask(7, name, kind).unwrap()).unwrap()
    }

    #[test]
    fn questions_are_read_and_answered() {
        let q = question("Web.Example", A);
        assert_eq!((q.id, q.name.as_str(), q.kind, q.class), (7, "web.example", A, IN));
        let answer = q.answer(Code::Good, &[(A, vec![10, 0, 0, 2]), (A, vec![10, 0, 0, 3])], 600);
        assert!(q.is_answered_by(7, &answer) && !q.is_answered_by(8, &answer));
        let ips: Vec<String> = q.addresses(&answer).iter().map(|(ip, ttl)| format!("{ip}/{ttl}")).collect();
        assert_eq!(ips, ["10.0.0.2/600", "10.0.0.3/600"]);
        assert!(!question("other", A).is_answered_by(7, &answer));
    }

    #[test]
    fn addresses_are_followed_through_aliases_and_no_further() {
        let q = question("a.example", A);
        let mut m = q.answer(Code::Good, &[], 0);
        m[7] = 4;
        let mut put = |owner: &str, kind: u16, data: Vec<u8>| {
            m.extend(encode(owner).unwrap());
            m.extend_from_slice(&kind.to_be_bytes());
            m.extend_from_slice(&[0, 1, 0, 0, 0, 30, 0, data.len() as u8]);
            m.extend(data);
        };
        put("c.example", A, vec![192, 0, 2, 1]);
        put("b.example", CNAME, encode("c.example").unwrap());
        put("evil.example", A, vec![192, 0, 2, 66]);
        put("a.example", CNAME, encode("b.example").unwrap());
        assert_eq!(q.addresses(&m), [("192.0.2.1".parse().unwrap(), 30)]);
    }

    #[test]
    fn what_is_no_question_gets_a_code_or_nothing() {
        let good = ask(7, "a", A).unwrap();
        let with = |at: usize, byte: u8| {
            let mut m = good.clone();
            m[at] = byte;
            Question::parse(&m)
        };
        assert_eq!(with(2, 0x81), Err(None), "an answer is not answered: two servers would talk for ever");
        assert_eq!(with(2, 0x29), Err(Some((7, Code::NotImplemented))));
        assert_eq!(with(5, 2), Err(Some((7, Code::Malformed))));
        assert_eq!(with(12, 0xc0), Err(Some((7, Code::Malformed))));
        assert_eq!(Question::parse(&good[..14]), Err(Some((7, Code::Malformed))));
        assert_eq!(Question::parse(&[1]), Err(None));
    }

    #[test]
    fn reverse_names() {
        assert_eq!(reverse("2.0.17.172.in-addr.arpa"), Some("172.17.0.2".parse().unwrap()));
        let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(v6), Some("fd00::2".parse().unwrap()));
        for bad in ["", "in-addr.arpa", "2.0.17.in-addr.arpa", "x.0.17.172.in-addr.arpa", "1.ip6.arpa"] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_message_panics(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let q = question("a", A);
            let _ = q.addresses(&bytes);
            let _ = q.is_answered_by(7, &bytes);
            if let Ok(q) = Question::parse(&bytes) {
                prop_assert!(q.answer(Code::Refused, &[], 0).len() >= 12);
            }
        }
        #[test]
        fn torn_and_changed_answers_do_not_panic(at in 0usize..80, byte: u8, cut in 0usize..80) {
            let q = question("a.b.c", AAAA);
            let mut m = q.answer(Code::Good, &[(AAAA, vec![1; 16]), (CNAME, vec![0xc0, 12])], 9);
            if let Some(b) = m.get_mut(at) {
                *b = byte;
            }
            m.truncate(cut.max(1));
            let _ = (q.addresses(&m), Question::parse(&m));
        }
        #[test]
        fn names_round_trip(name in "[a-z0-9_-]{1,20}(\\.[a-z0-9-]{1,63}){0,3}") {
            prop_assert_eq!(question(&name, A).name, name);
        }
    }
}
