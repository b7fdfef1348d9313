//! Out of a store into a registry.

use super::*;
use crate::image::archive::load_archive;
use crate::image::registry::login::{Server as Named, verify};
use crate::image::registry::push::push_with;
use crate::image::store::Store;
use crate::image::testtar::{Tar, docker_archive};
use crate::state::Paths;
use std::sync::Arc;

/// A registry that keeps what it is sent.
#[derive(Default)]
struct Kept {
    /// `repository/digest` of blobs; `repository/tag` of manifests.
    blobs: Mutex<Vec<String>>,
    manifests: Mutex<HashMap<String, String>>,
    /// Uploads that are cut before one succeeds.
    troubles: AtomicU32,
}

impl Kept {
    fn answer(&self, seen: &Seen) -> Reply {
        let path = seen.target.strip_prefix("/v2/").unwrap_or_default();
        let mut blobs = self.blobs.lock().unwrap();
        if let Some((repository, digest)) = path.split_once("/blobs/sha256:") {
            return Reply::status(if blobs.contains(&format!("{repository}/sha256:{digest}")) { 200 } else { 404 });
        }
        if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
            let query = |name: &str| {
                let value = rest.split(['?', '&']).find_map(|p| p.strip_prefix(name)?.strip_prefix('='))?;
                Some(value.replace("%3A", ":").replace("%2F", "/"))
            };
            return match seen.method.as_str() {
                "POST" => match (query("mount"), query("from")) {
                    (Some(digest), Some(from)) if blobs.contains(&format!("{from}/{digest}")) => {
                        blobs.push(format!("{repository}/{digest}"));
                        Reply::status(201)
                    }
                    _ => Reply::status(202).header("Location", format!("/v2/{repository}/blobs/uploads/u?state=a%20b")),
                },
                "PATCH" if self.troubles.load(Ordering::Relaxed) > 0 => {
                    self.troubles.fetch_sub(1, Ordering::Relaxed);
                    Reply::status(503)
                }
                "PATCH" => {
                    let digest = digest_of(seen.body.as_bytes(), None);
                    assert_eq!(seen.header("content-length"), Some(seen.body.len().to_string().as_str()));
                    Reply::status(202)
                        .header("Location", format!("/v2/{repository}/blobs/uploads/u?state=a%20b&is={digest}"))
                }
                _ => {
                    assert_eq!(query("is"), query("digest"), "{rest}");
                    blobs.push(format!("{repository}/{}", query("digest").unwrap()));
                    Reply::status(201)
                }
            };
        }
        if let Some((repository, tag)) = path.split_once("/manifests/") {
            let manifest: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
            for layer in manifest["layers"].as_array().unwrap() {
                let digest = layer["digest"].as_str().unwrap();
                assert!(blobs.contains(&format!("{repository}/{digest}")), "the manifest came first");
            }
            let digest = digest_of(seen.body.as_bytes(), None);
            self.manifests.lock().unwrap().insert(format!("{repository}/{tag}"), digest.clone());
            return Reply::status(201).header("Docker-Content-Digest", digest);
        }
        Reply::ok("{}")
    }
}

fn store(names: &[&str]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Paths::new(Some(&dir.path().join("root")))).unwrap();
    let layers = [Tar::new().file("a", "1").bytes(), Tar::new().file("b", "2").bytes()];
    load_archive(&store, docker_archive("app", &layers).as_slice(), None).unwrap();
    for name in names {
        store.tag("app", &name.parse().unwrap()).unwrap();
    }
    (dir, store)
}

fn push(store: &Store, name: &str, options: &Options, all: bool) -> Result<()> {
    let world = World {
        timeouts: PATIENT,
        env: &|_| None,
        record: &|_, _| Ok(()),
        demands: Demands::NONE,
        site: &crate::site::Site::default(),
    };
    let reference = crate::image::reference::Reference::parse_bare(name).unwrap();
    push_with(store, &reference, options, all, &Progress::new(true, Channel::Stderr), &world)
}

#[test]
fn blobs_are_sent_once_taken_from_elsewhere_and_the_manifest_comes_last() {
    let kept = Arc::<Kept>::default();
    kept.troubles.store(2, Ordering::Relaxed);
    let served = kept.clone();
    let server = Server::start(move |seen| served.answer(seen));
    let (one, two, other) =
        (format!("{}/app:1", server.host), format!("{}/app:2", server.host), format!("{}/other:1", server.host));
    let (_dir, store) = store(&[&one, &two, &other]);
    push(&store, &one, &options(), false).unwrap();
    let bodies = |server: &Server| server.seen().iter().filter(|s| s.method == "PATCH").count();
    assert_eq!(bodies(&server), 3 + 2, "two layers, the config, and two more tries");
    let digest = kept.manifests.lock().unwrap()["app/1"].clone();
    let known = store.list(&[]).unwrap().into_iter().find(|r| r.tag.as_deref() == Some("1")).unwrap();
    assert_eq!(known.digest.as_ref(), Some(&digest), "known by the registry's digest from now on");
    push(&store, &format!("{}/app", server.host), &options(), true).unwrap();
    assert_eq!(bodies(&server), 5, "nothing is sent twice");
    assert_eq!(kept.manifests.lock().unwrap().len(), 2);
    push(&store, &other, &options(), false).unwrap();
    assert_eq!(bodies(&server), 6, "layers were mounted, the config was sent");
    let blobs = kept.blobs.lock().unwrap();
    assert_eq!(blobs.iter().filter(|b| b.starts_with("other/")).count(), 3);
}

#[test]
fn who_may_not_push_hears_it_in_dockers_words() {
    let server = Server::start(|seen| match seen.header("authorization") {
        None if seen.target != "/v2/" => Reply::status(401).header("WWW-Authenticate", "Basic realm=\"r\""),
        _ => Reply {
            body: br#"{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}"#.to_vec(),
            ..Reply::status(403)
        },
    });
    let name = format!("{}/app:1", server.host);
    let (_dir, store) = store(&[&name]);
    assert_eq!(push(&store, &name, &options(), false).unwrap_err().message, "no basic auth credentials");
    let mut o = options();
    o.sources.creds = Some(Credential::from_flag("me:pw").unwrap());
    let denied = push(&store, &name, &o, false).unwrap_err().message;
    assert_eq!(denied, "denied: requested access to the resource is denied");
    let missing = push(&store, &format!("{}/nope:1", server.host), &options(), false).unwrap_err().message;
    assert_eq!(missing, format!("An image does not exist locally with the tag: {}/nope", server.host));
}

#[test]
fn a_login_is_tried_at_the_registry() {
    let server = Server::start(|seen| {
        let host = seen.header("host").unwrap().to_owned();
        match (seen.target.starts_with("/token"), seen.header("authorization")) {
            (true, Some("Basic bWU6cHc=")) => Reply::ok(json!({"token": "good"}).to_string()),
            (true, _) => Reply::status(401),
            (false, Some("Bearer good")) => Reply::ok("{}"),
            _ => Reply::status(401)
                .header("WWW-Authenticate", format!("Bearer realm=\"http://{host}/token\",service=\"reg\"")),
        }
    });
    let named = Named::parse(Some(&server.host)).unwrap();
    let world = World {
        timeouts: PATIENT,
        env: &|_| None,
        record: &|_, _| Ok(()),
        demands: Demands::NONE,
        site: &crate::site::Site::default(),
    };
    let attempt = |creds: &str| verify(&named, &Credential::from_flag(creds).unwrap(), &options(), &world);
    attempt("me:pw").unwrap();
    let refused = attempt("me:wrong").unwrap_err().message;
    assert_eq!(refused, format!("login attempt to http://{}/v2/ failed with status: 401 Unauthorized", server.host));
}
