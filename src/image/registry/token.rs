//! From a challenge to an `Authorization` header: basic, or a token from the server that the registry names.

use super::challenge::Challenge;
use super::client::Scopes;
use super::credentials::Credential;
use super::url::{Origin, Url, query_escape};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What a registry wants.
pub enum Asked {
    /// This very header.
    Basic(String),
    Bearer(Request),
}

/// A request to a token server. Holds secrets, so it is not `Debug`.
pub struct Request {
    /// With the query, if it is a GET.
    pub realm: Url,
    /// For a GET with user and password.
    pub authorization: Option<String>,
    /// For a POST with an identity token.
    pub form: Option<String>,
}

/// The best challenge that we have an answer to. A bearer challenge is answered anonymously where there is no
/// credential; a basic one cannot be.
pub fn understand(
    challenges: &[Challenge],
    repository: &str,
    scopes: &Scopes,
    credential: Option<&Credential>,
) -> Option<Asked> {
    for c in challenges.iter().filter(|c| c.scheme == "bearer") {
        if let Some(realm) = c.param("realm").and_then(Url::parse) {
            return Some(Asked::Bearer(request(c, realm, repository, scopes, credential)));
        }
    }
    let basic = challenges.iter().any(|c| c.scheme == "basic");
    match credential {
        Some(Credential::Password { user, secret }) if basic => Some(Asked::Basic(basic_header(user, secret.expose()))),
        _ => None,
    }
}

fn basic_header(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}

fn request(
    challenge: &Challenge,
    realm: Url,
    repository: &str,
    scopes: &Scopes,
    credential: Option<&Credential>,
) -> Request {
    let service = challenge.param("service").unwrap_or_default();
    let scopes = match (scopes, challenge.param("scope")) {
        (Scopes::These(scopes), _) => scopes.clone(),
        // The server may name the repository otherwise than we do, but it may not make us ask for more than to pull.
        (Scopes::Pull, Some(scope))
            if scope.starts_with("repository:") && scope.ends_with(":pull") && !scope.contains(' ') =>
        {
            vec![scope.into()]
        }
        (Scopes::Pull, _) => vec![format!("repository:{repository}:pull")],
    };
    if let Some(Credential::Identity(token)) = credential {
        let mut form = String::from("grant_type=refresh_token&client_id=hardrun");
        for (name, value) in [("service", service), ("scope", &scopes.join(" ")), ("refresh_token", token.expose())] {
            form.push_str(&format!("&{name}={}", query_escape(value)));
        }
        return Request { realm, authorization: None, form: Some(form) };
    }
    let mut query: Vec<String> = scopes.iter().map(|scope| format!("scope={}", query_escape(scope))).collect();
    if !service.is_empty() {
        query.insert(0, format!("service={}", query_escape(service)));
    }
    let authorization = match credential {
        Some(Credential::Password { user, secret }) => {
            query.insert(0, format!("account={}", query_escape(user)));
            Some(basic_header(user, secret.expose()))
        }
        _ => None,
    };
    if query.is_empty() {
        return Request { realm, authorization, form: None };
    }
    let separator = if realm.path.contains('?') { '&' } else { '?' };
    let path = format!("{}{separator}{}", realm.path, query.join("&"));
    Request { realm: Url { path, ..realm }, authorization, form: None }
}

/// Whether a password may go there because the registry says so: over https, or where the registry itself is plain HTTP
/// on this host and so is the realm.
pub fn realm_is_safe(realm: &Url, registry: &Origin) -> bool {
    realm.origin.tls || (!registry.tls && registry.is_loopback() && realm.origin.is_loopback())
}

/// The header from a token server's answer.
pub fn read_answer(body: &[u8]) -> Result<String, String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: String,
        #[serde(default)]
        access_token: String,
    }
    // Not the parser's message: it may quote the token.
    let answer: Answer = serde_json::from_slice(body).map_err(|_| "its answer is not JSON with a token".to_owned())?;
    let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
    // Also keeps line breaks out of the header.
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("its answer holds no usable token".into());
    }
    Ok(format!("Bearer {token}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::registry::challenge::parse;
    use crate::image::registry::credentials::Secret;

    fn password() -> Credential {
        Credential::Password { user: "me".into(), secret: Secret::new("p&w") }
    }
    fn bearer(header: &str, credential: Option<&Credential>) -> Request {
        match understand(&parse(header), "team/app", &Scopes::Pull, credential) {
            Some(Asked::Bearer(r)) => r,
            _ => panic!("{header}"),
        }
    }

    #[test]
    fn basic_needs_a_password() {
        let c = parse(r#"Basic realm="x""#);
        assert!(understand(&c, "a", &Scopes::Pull, None).is_none());
        let Some(Asked::Basic(header)) = understand(&c, "a", &Scopes::Pull, Some(&password())) else { panic!() };
        assert_eq!(header, "Basic bWU6cCZ3");
    }

    #[test]
    fn bearer_is_asked_for_pull_only() {
        let r = bearer(
            r#"Bearer realm="https://auth.lan/t?x=1",service="reg istry",scope="repository:team/app:pull,push""#,
            None,
        );
        assert_eq!(r.realm.full(), "https://auth.lan/t?x=1&service=reg%20istry&scope=repository%3Ateam%2Fapp%3Apull");
        assert_eq!(r.authorization, None);
        let r = bearer(r#"Bearer realm="https://auth.lan/t",scope="repository:proxied/app:pull""#, Some(&password()));
        assert_eq!(r.realm.full(), "https://auth.lan/t?account=me&scope=repository%3Aproxied%2Fapp%3Apull");
        assert_eq!(r.authorization.as_deref(), Some("Basic bWU6cCZ3"));
    }

    #[test]
    fn scopes_of_our_own_are_asked_for_as_they_are() {
        let asked = |scopes: &[&str]| {
            let scopes = Scopes::These(scopes.iter().map(ToString::to_string).collect());
            let c = parse(r#"Bearer realm="https://auth.lan/t",scope="repository:app:pull""#);
            match understand(&c, "app", &scopes, None) {
                Some(Asked::Bearer(r)) => r.realm.full(),
                _ => panic!(),
            }
        };
        assert_eq!(
            asked(&["repository:app:pull,push", "repository:b:pull"]),
            "https://auth.lan/t?scope=repository%3Aapp%3Apull%2Cpush&scope=repository%3Ab%3Apull"
        );
        assert_eq!(asked(&[]), "https://auth.lan/t");
    }

    #[test]
    fn identity_tokens_go_in_a_form_not_in_the_address() {
        let identity = Credential::Identity(Secret::new("re fresh"));
        let r = bearer(r#"Bearer realm="https://auth.lan/t",service="s""#, Some(&identity));
        assert_eq!(r.realm.full(), "https://auth.lan/t");
        let form = r.form.unwrap();
        assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=re%20fresh"), "{form}");
    }

    #[test]
    fn realms() {
        let check = |realm: &str, registry: &str, tls| {
            realm_is_safe(&Url::parse(realm).unwrap(), &Origin::new(registry, tls).unwrap())
        };
        assert!(check("https://auth.lan/t", "reg.lan", true));
        assert!(check("http://127.0.0.1:5001/t", "127.0.0.1:5000", false));
        assert!(!check("http://127.0.0.1:5001/t", "reg.lan", true));
        assert!(!check("http://auth.lan/t", "127.0.0.1:5000", false));
        assert!(!check("http://auth.lan/t", "reg.lan", false));
    }

    #[test]
    fn answers() {
        assert_eq!(read_answer(br#"{"token":"abc"}"#).unwrap(), "Bearer abc");
        assert_eq!(read_answer(br#"{"access_token":"abc","expires_in":60}"#).unwrap(), "Bearer abc");
        for bad in [&b"{}"[..], b"[]", br#"{"token":"a\r\nX: y"}"#, b"s3cret"] {
            assert!(!read_answer(bad).unwrap_err().contains("s3cret"));
        }
    }
}
