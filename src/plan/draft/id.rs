//! Names for containers.

use crate::error::{Context as _, Result};
use std::io::Read;

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut f| f.read_exact(&mut bytes))
        .context(|| "cannot read /dev/urandom".to_owned())?;
    Ok(bytes)
}

/// 64 random hexadecimal digits. As with docker, no id's first 12 digits are all decimal: they become the hostname, and
/// programs take a name of digits for an address.
pub fn new_id() -> Result<String> {
    loop {
        let id = hex::encode(random::<32>()?);
        if id[..12].bytes().any(|b| b.is_ascii_alphabetic()) {
            return Ok(id);
        }
    }
}

const ADJECTIVES: [&str; 32] = [
    "able", "bold", "brave", "bright", "brisk", "calm", "clever", "cosy", "crisp", "eager", "fair", "fond", "frank",
    "gentle", "glad", "grand", "happy", "keen", "kind", "lively", "lucid", "merry", "neat", "nimble", "patient",
    "proud", "quick", "quiet", "sober", "steady", "vivid", "wise",
];
const SURNAMES: [&str; 32] = [
    "allen", "bartik", "borg", "clarke", "curie", "dijkstra", "euler", "faraday", "franklin", "gauss", "goldberg",
    "hamilton", "hopper", "johnson", "kepler", "knuth", "lamarr", "lamport", "liskov", "lovelace", "meitner",
    "noether", "pascal", "perlman", "ritchie", "shannon", "snyder", "thompson", "turing", "wilkes", "wing", "wozniak",
];

/// `adjective_surname`. Where it is taken, a part of the container's id is added when the container is made.
pub fn random_name() -> Result<String> {
    let [a, b] = random::<2>()?;
    Ok(format!("{}_{}", ADJECTIVES[usize::from(a) % 32], SURNAMES[usize::from(b) % 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_names_have_dockers_shape() {
        let id = new_id().unwrap();
        assert_eq!(id.len(), 64);
        assert!(id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
        assert_ne!(id, new_id().unwrap());
        let (adjective, surname) =
            random_name().map(|n| n.split_once('_').map(|(a, s)| (a.to_owned(), s.to_owned()))).unwrap().unwrap();
        assert!(ADJECTIVES.contains(&adjective.as_str()) && SURNAMES.contains(&surname.as_str()));
    }
}
