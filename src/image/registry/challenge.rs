//! `WWW-Authenticate`, as RFC 9110 section 11 writes it: any number of challenges in any number of headers, values
//! bare or quoted. What does not parse is left out, so a server cannot make us guess.

/// One way in that a server offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    /// Lower case: `basic`, `bearer`.
    pub scheme: String,
    /// Names in lower case, in the server's order.
    pub params: Vec<(String, String)>,
}

impl Challenge {
    pub fn param(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// The challenges in one header value.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = Cursor(header);
    loop {
        rest.skip(|c| c == ' ' || c == '\t' || c == ',');
        let word = rest.token();
        if word.is_empty() {
            // Garbage: whatever follows cannot be told apart from parameters of the last challenge.
            break;
        }
        rest.skip(|c| c == ' ' || c == '\t');
        if rest.eat('=') {
            rest.skip(|c| c == ' ' || c == '\t');
            let Some(value) = rest.value() else { break };
            match challenges.last_mut() {
                Some(challenge) => challenge.params.push((word.to_ascii_lowercase(), value)),
                None => break,
            }
        } else {
            challenges.push(Challenge { scheme: word.to_ascii_lowercase(), params: Vec::new() });
        }
    }
    challenges
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self, which: impl Fn(char) -> bool) {
        self.0 = self.0.trim_start_matches(which);
    }
    fn eat(&mut self, c: char) -> bool {
        match self.0.strip_prefix(c) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
    fn token(&mut self) -> &'a str {
        let is_tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        let end = self.0.find(|c| !is_tchar(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        token
    }
    /// A token or a quoted string; `None` if a quote is never closed.
    fn value(&mut self) -> Option<String> {
        if !self.eat('"') {
            // Registries write unquoted realms; a URL is no token, so take all up to a comma or a blank.
            let end = self.0.find([',', ' ', '\t']).unwrap_or(self.0.len());
            let (value, rest) = self.0.split_at(end);
            self.0 = rest;
            return Some(value.into());
        }
        let mut value = String::new();
        let mut chars = self.0.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.0 = &self.0[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(chars.next()?.1),
                c => value.push(c),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn challenge(scheme: &str, params: &[(&str, &str)]) -> Challenge {
        Challenge {
            scheme: scheme.into(),
            params: params.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect(),
        }
    }

    #[test]
    fn reads_what_registries_send() {
        assert_eq!(parse(r#"Basic realm="Registry Realm""#), [challenge("basic", &[("realm", "Registry Realm")])]);
        assert_eq!(
            parse(r#"Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push""#),
            [challenge(
                "bearer",
                &[
                    ("realm", "https://auth.example/token"),
                    ("service", "registry"),
                    ("scope", "repository:a/b:pull,push"),
                ]
            )]
        );
        assert_eq!(
            parse("Bearer realm=https://auth.example/token?a=b, service=x"),
            [challenge("bearer", &[("realm", "https://auth.example/token?a=b"), ("service", "x")])]
        );
    }

    #[test]
    fn several_challenges_in_one_header() {
        assert_eq!(
            parse(r#"Negotiate, Basic realm="a, \"b\"", BEARER Realm = "https://x/" , error="invalid_token""#),
            [
                challenge("negotiate", &[]),
                challenge("basic", &[("realm", "a, \"b\"")]),
                challenge("bearer", &[("realm", "https://x/"), ("error", "invalid_token")]),
            ]
        );
    }

    #[test]
    fn garbage_gives_nothing_made_up() {
        assert_eq!(parse(""), []);
        assert_eq!(parse(r#"realm="x""#), []);
        assert_eq!(parse(r#"Bearer realm="never closed"#), [challenge("bearer", &[])]);
        assert_eq!(parse("\"\"\u{1}, Basic"), []);
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}") {
            parse(&text);
        }

        #[test]
        fn quoted_values_come_back(value in "[ -~]{0,30}") {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(parse(&format!("Bearer realm=\"{quoted}\", x=1")), [challenge("bearer", &[("realm", &value), ("x", "1")])]);
        }
    }
}
