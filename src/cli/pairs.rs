//! `--label` and `--opt` of volumes and networks.

/// `KEY=VALUE`, or a key whose value is empty.
pub fn pairs<P: FromIterator<(String, String)>>(words: &[String]) -> P {
    let pair =
        |word: &String| word.split_once('=').map_or((word.clone(), String::new()), |(k, v)| (k.into(), v.into()));
    words.iter().map(pair).collect()
}
