//! The store as a whole: in, out, names, and what is left behind.

use super::archive::{load_archive, load_folder};
use super::digest::Digest;
use super::import::{self, import};
use super::layout::{self, Descriptor};
use super::reference::Reference;
use super::store::Store;
use super::testtar::{Tar, docker_archive};
use super::view::View;
use crate::state::Paths;
use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&Paths::new(Some(&dir.path().join("root")))).unwrap();
    (dir, store)
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn layer(content: &str) -> Vec<u8> {
    Tar::new().dir("etc").file("etc/content", content).bytes()
}

/// Every file of the store except the locks, relative to its root.
fn files(store: &Store) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    let mut todo = vec![store.paths.root.clone()];
    while let Some(path) = todo.pop() {
        for entry in std::fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            let name = entry.path().strip_prefix(&store.paths.root).unwrap().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            // What was done is kept, whatever goes.
            if !name.ends_with(".lock") && name != "events.log" {
                out.insert(name);
            }
        }
    }
    out
}

fn text(store: &Store, image: &str, path: &str) -> Option<String> {
    let image = store.find(image, None).unwrap()?;
    let bytes = View::new(&image.layers).read(Path::new(path), 1000).unwrap()?;
    Some(String::from_utf8(bytes).unwrap())
}

fn list_filters(text: &str) -> Vec<super::list::Filter> {
    super::list::Filter::all(&[text.to_owned()]).unwrap()
}

#[test]
fn an_imported_root_is_found_by_name_id_and_prefix() {
    let (_dir, store) = store();
    let options = import::Options { changes: vec!["CMD [\"sh\"]".parse().unwrap()], ..Default::default() };
    let id = import(&store, layer("one").as_slice(), Some(&reference("app:1")), &options).unwrap();
    let image = store.find("app:1", None).unwrap().unwrap();
    assert_eq!((image.name.as_str(), image.config_digest.as_str()), ("app:1", id.as_str()));
    assert_eq!(image.config.config().as_ref().unwrap().cmd().as_ref().unwrap(), &["sh"]);
    for name in [id.as_str(), id.hex(), id.short(), &id.hex()[..4], "docker.io/library/app:1", &image.manifest_digest] {
        assert_eq!(store.find(name, None).unwrap().unwrap().config_digest, id.as_str(), "{name}");
    }
    let by_digest = format!("app@{}", image.manifest_digest);
    assert!(store.lookup(&reference(&by_digest), None).unwrap().is_some());
    for name in ["app", "app:2", "other:1", "abc", "ffff"] {
        assert!(store.find(name, None).unwrap().is_none() || id.hex().starts_with(name), "{name}");
    }
    assert!(store.find("UPPER", None).is_err());
    let other = if layout::host_architecture() == "arm64" { "linux/amd64" } else { "linux/arm64" };
    assert!(store.find("app:1", Some(other)).unwrap().is_none());
    for folder in ["images", "layers", "tmp", "images/blobs"] {
        let mode = std::fs::metadata(store.paths.root.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}

#[test]
fn docker_archives_load_compressed_and_not_and_the_last_layer_wins() {
    let (_dir, store) = store();
    let plain = docker_archive("app:1", &[layer("low"), layer("high")]);
    let loaded = load_archive(&store, plain.as_slice(), None).unwrap();
    assert_eq!(loaded[0].name.as_ref().unwrap().familiar(), "app:1");
    assert_eq!(text(&store, "app:1", "/etc/content").as_deref(), Some("high"));
    let before = files(&store);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    assert_eq!(load_archive(&store, gzip.finish().unwrap().as_slice(), None).unwrap(), loaded);
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    assert_eq!(load_archive(&store, zstd.as_slice(), None).unwrap(), loaded);
    assert_eq!(files(&store), before, "the same image again adds nothing");
}

#[test]
fn a_layer_that_is_there_twice_is_given_to_overlayfs_once() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app", &[layer("a"), layer("b"), layer("a")]).as_slice(), None).unwrap();
    let image = store.find("app", None).unwrap().unwrap();
    assert_eq!(image.layers.len(), 2);
    assert_eq!(text(&store, "app", "/etc/content").as_deref(), Some("a"));
    load_archive(&store, docker_archive("empty", &[]).as_slice(), None).unwrap();
    assert_eq!(store.find("empty", None).unwrap().unwrap().layers.len(), 1, "overlayfs wants at least one");
}

#[test]
fn a_layer_that_hides_everything_below_is_the_lowest() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: trusted attributes need root");
        return;
    }
    let (_dir, store) = store();
    let opaque = Tar::new().file(".wh..wh..opq", "").file("new", "").bytes();
    load_archive(&store, docker_archive("app", &[layer("a"), opaque, layer("b")]).as_slice(), None).unwrap();
    assert_eq!(store.find("app", None).unwrap().unwrap().layers.len(), 2);
}

#[test]
fn a_bad_archive_names_its_entry_and_leaves_no_trace() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("good", &[layer("good")]).as_slice(), None).unwrap();
    let before = files(&store);
    let evil = Tar::new().file("fine", "").file("../../evil", "").bytes();
    let mut wrong_diff_id = docker_archive("evil", &[layer("aaaa")]);
    let at = wrong_diff_id.windows(4).position(|w| w == b"aaaa").unwrap();
    wrong_diff_id[at] = b'b';
    let mut wrong_config = docker_archive("evil", &[layer("x")]);
    wrong_config[512 + 20] ^= 1;
    for (archive, wanted) in [
        (docker_archive("evil", &[layer("fresh"), evil.clone()]), "entry \"../../evil\" has '..'"),
        (wrong_diff_id, "the image's config says"),
        (wrong_config, "damaged or tampered"),
        (docker_archive("evil", &[layer("x")])[..3000].to_vec(), "cut off"),
        (layer("x"), "neither manifest.json"),
        (Tar::new().file("manifest.json", r#"[{"Config":"../x","Layers":[]}]"#).bytes(), "lacks the image config"),
        (Tar::new().file("manifest.json", "{").bytes(), "reading manifest.json"),
        (Tar::new().symlink("a", "../../../etc/passwd").bytes(), "is a link out of the archive"),
        (Vec::new(), "neither manifest.json"),
    ] {
        let e = load_archive(&store, archive.as_slice(), None).unwrap_err();
        assert!(e.chain().join(": ").contains(wanted), "{:?} does not say {wanted}", e.chain());
        assert_eq!(files(&store), before, "{wanted}");
    }
    let e = import(&store, evil.as_slice(), Some(&reference("evil")), &import::Options::default()).unwrap_err();
    assert!(e.chain().join(": ").contains("../../evil"));
    assert_eq!(files(&store), before);
}

#[test]
fn a_saved_image_loads_again_as_an_archive_and_as_a_folder() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app:1", &[layer("low"), layer("high")]).as_slice(), None).unwrap();
    store.tag("app:1", &reference("host:5000/other:2")).unwrap();
    let mut archive = Vec::new();
    store.save(&["app:1".into(), "host:5000/other:2".into()], None, &mut archive).unwrap();
    let mut again = Vec::new();
    store.save(&["app:1".into(), "host:5000/other:2".into()], None, &mut again).unwrap();
    assert_eq!(archive, again, "an archive depends on the image alone");
    let (_dir, other) = self::store();
    let loaded = load_archive(&other, archive.as_slice(), None).unwrap();
    let names: Vec<String> = loaded.iter().map(|l| l.name.as_ref().unwrap().familiar()).collect();
    assert_eq!(names, ["app:1", "host:5000/other:2"]);
    let digest = |store: &Store| store.find("app:1", None).unwrap().unwrap().manifest_digest;
    assert_eq!(digest(&store), digest(&other));
    let (_dir, third) = self::store();
    assert_eq!(load_folder(&third, &store.paths.images(), None).unwrap().len(), 2);
    assert_eq!(digest(&store), digest(&third));
    assert!(store.save(&["none".into()], None, Vec::new()).unwrap_err().message.starts_with("No such image"));
}

#[test]
fn a_folder_with_a_wrong_blob_is_refused() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app:1", &[layer("x")]).as_slice(), None).unwrap();
    let blob = store.blob_path(&Digest::of(&layer("x")));
    let mut bytes = std::fs::read(&blob).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    let (_dir, other) = self::store();
    let empty = files(&other);
    let e = load_folder(&other, &store.paths.images(), None).unwrap_err();
    assert!(e.chain().join(": ").contains("tampered"), "{:?}", e.chain());
    assert_eq!(files(&other), empty);
}

#[test]
fn what_skopeo_wrote_into_the_store_is_found_and_unpacked_when_it_is_first_used() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app:1", &[layer("x")]).as_slice(), None).unwrap();
    let mut index = store.index().unwrap();
    index.manifests[0].annotations.insert(layout::REF_NAME.into(), "other".into());
    store.write_index(&index).unwrap();
    std::fs::remove_dir_all(store.paths.layers()).unwrap();
    std::fs::create_dir(store.paths.layers()).unwrap();
    assert_eq!(text(&store, "other:latest", "/etc/content").as_deref(), Some("x"));
    assert!(store.find("app:1", None).unwrap().is_none());
    // A blob that was changed on disk is not unpacked.
    std::fs::remove_dir_all(store.paths.layers()).unwrap();
    std::fs::create_dir(store.paths.layers()).unwrap();
    let blob = store.blob_path(&Digest::of(&layer("x")));
    std::fs::write(&blob, layer("y")).unwrap();
    let e = store.find("other", None).unwrap_err();
    assert!(e.chain().join(": ").contains("tampered"), "{:?}", e.chain());
}

#[test]
fn removal_takes_what_nobody_else_needs() {
    let (_dir, store) = store();
    let empty = files(&store);
    load_archive(&store, docker_archive("base", &[layer("base")]).as_slice(), None).unwrap();
    let only_base = files(&store);
    load_archive(&store, docker_archive("app", &[layer("base"), layer("app")]).as_slice(), None).unwrap();
    store.tag("app", &reference("alias:1")).unwrap();
    let id = store.find("app", None).unwrap().unwrap().config_digest;
    let e = store.remove(&id, false).unwrap_err();
    assert!(e.message.contains("must be forced"), "{e}");
    let removed = store.remove("app", false).unwrap();
    assert_eq!((removed.untagged, removed.deleted.len()), (vec!["app:latest".to_owned()], 0));
    let removed = store.remove("alias:1", false).unwrap();
    assert_eq!(removed.deleted[0].as_str(), id);
    assert_eq!(removed.deleted[1..], [Digest::of(&layer("app"))]);
    assert_eq!(files(&store), only_base);
    assert_eq!(store.remove("alias:1", false).unwrap_err().message, "No such image: alias:1");
    store.remove("base", false).unwrap();
    assert_eq!(files(&store), empty);
}

#[test]
fn an_image_in_use_stays_until_its_container_ends() {
    let (_dir, store) = store();
    let empty = files(&store);
    load_archive(&store, docker_archive("app", &[layer("x")]).as_slice(), None).unwrap();
    let image = store.find("app", None).unwrap().unwrap();
    let hold = store.hold_layers(&image).unwrap();
    assert!(store.remove("app", false).unwrap_err().message.contains("running container"));
    assert!(store.remove(&image.config_digest, true).unwrap_err().message.contains("cannot be forced"));
    let removed = store.remove("app", true).unwrap();
    assert_eq!((removed.untagged.len(), removed.deleted.len()), (1, 0));
    assert!(image.layers[0].join("etc/content").exists());
    drop(hold.into_fds());
    store.remove(&image.config_digest, false).unwrap();
    assert_eq!(files(&store), empty);
    assert!(store.hold_layers(&image).unwrap_err().message.contains("was removed while"));
}

#[test]
fn a_name_moves_and_the_image_that_had_it_stays_nameless() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app", &[layer("1")]).as_slice(), None).unwrap();
    load_archive(&store, docker_archive("app", &[layer("2")]).as_slice(), None).unwrap();
    assert_eq!(text(&store, "app", "/etc/content").as_deref(), Some("2"));
    let dangling = store.list(&list_filters("dangling=true")).unwrap();
    assert_eq!(dangling.len(), 1);
    assert_eq!(store.list(&list_filters("reference=a?p")).unwrap().len(), 1);
    assert_eq!(store.list(&list_filters("label=test=app")).unwrap().len(), 2);
    store.tag(dangling[0].id.as_str(), &reference("app:old")).unwrap();
    assert_eq!(text(&store, "app:old", "/etc/content").as_deref(), Some("1"));
    assert!(store.list(&list_filters("dangling=true")).unwrap().is_empty());
    for text in ["nonsense", "nope=x", "dangling=maybe"] {
        assert!(super::list::Filter::all(&[text.to_owned()]).is_err());
    }
    assert!(super::list::Filter::all(&[String::new()]).unwrap().is_empty());
}

#[test]
fn a_pull_by_digest_and_an_index_of_platforms() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("app:1", &[layer("x")]).as_slice(), None).unwrap();
    let image = store.find("app:1", None).unwrap().unwrap();
    let manifest = Digest::parse(&image.manifest_digest).unwrap();
    let platform = |arch: &str, digest: &Digest| {
        format!(
            r#"{{"mediaType":"{}","digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{arch}"}}}}"#,
            layout::OCI_MANIFEST
        )
    };
    let absent = Digest::of(b"not fetched");
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        platform("s390x", &absent),
        platform(layout::host_architecture(), &manifest)
    );
    let ingest = store.ingest().unwrap();
    let mut entry = ingest.put_manifest(index.as_bytes(), layout::OCI_INDEX).unwrap();
    let known_as = format!("registry.example/app@{}", entry.digest);
    entry.annotations.insert(layout::REPO_DIGESTS.into(), known_as);
    let pinned = reference(&format!("registry.example/app@{}", entry.digest));
    store.record(Some(&pinned), &entry).unwrap();
    drop(ingest);
    assert_eq!(store.lookup(&pinned, None).unwrap().unwrap().manifest_digest, image.manifest_digest);
    assert!(store.lookup(&pinned, Some("linux/s390x")).unwrap().is_none());
    let rows = store.list(&[]).unwrap();
    let row = rows.iter().find(|r| r.tag.is_none()).unwrap();
    assert_eq!(
        (row.repository.as_deref(), row.digest.as_deref()),
        (Some("registry.example/app"), Some(entry.digest.as_str()))
    );
    store.remove("app:1", false).unwrap();
    assert!(store.lookup(&pinned, None).unwrap().is_some(), "the other entry needs the same manifest");
}

#[test]
fn a_name_with_a_digest_says_nothing_of_where_an_image_is_from() {
    let (_dir, store) = store();
    import(&store, layer("one").as_slice(), Some(&reference("app:1")), &import::Options::default()).unwrap();
    let image = store.find("app:1", None).unwrap().unwrap();
    let (mut entry, _) = store.find_entry("app:1").unwrap().unwrap();
    let forged = reference(&format!("reg.lan/loaded@sha256:{}", "b".repeat(64)));
    store.record(Some(&forged), &entry).unwrap();
    assert!(store.lookup(&forged, None).unwrap().is_none());
    let own = reference(&format!("reg.lan/loaded@{}", image.manifest_digest));
    store.record(Some(&own), &entry).unwrap();
    assert_eq!(store.find("app:1", None).unwrap().unwrap().repositories, Vec::<String>::new());
    // An annotation that somebody else wrote counts for the digest that the content has.
    entry.annotations.insert(layout::REPO_DIGESTS.into(), format!("{forged} reg.lan/true@{}", entry.digest));
    store.record(Some(&reference("app:1")), &entry).unwrap();
    assert!(store.lookup(&forged, None).unwrap().is_none());
    assert_eq!(store.find("app:1", None).unwrap().unwrap().repositories, ["reg.lan/true"]);
}

#[test]
fn leftovers_of_killed_processes_go_with_the_next_command() {
    let (_dir, store) = store();
    let before = files(&store);
    let root = store.paths.root.clone();
    std::fs::create_dir_all(root.join("tmp/4242-0/layer-x/root/etc")).unwrap();
    std::fs::create_dir_all(root.join("layers").join(Digest::of(b"orphan").hex()).join("root")).unwrap();
    std::fs::write(root.join("images/.hardrun-tmp-abc"), "half").unwrap();
    let old = std::fs::File::create(root.join("images/blobs/sha256").join(Digest::of(b"old").hex())).unwrap();
    old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(200_000)).unwrap();
    let fresh = root.join("images/blobs/sha256").join(Digest::of(b"fresh").hex());
    std::fs::write(&fresh, "skopeo is still writing").unwrap();
    store.recover().unwrap();
    assert!(fresh.exists());
    // The same blob, noted by a hardrun that was killed before it recorded the image.
    std::fs::create_dir_all(root.join("tmp/4242-0")).unwrap();
    std::fs::write(root.join("tmp/4242-0/journal"), format!("{}\n", Digest::of(b"fresh"))).unwrap();
    store.recover().unwrap();
    assert_eq!(files(&store), before);
}

#[test]
fn commands_at_the_same_time_do_no_harm() {
    let (_dir, store) = store();
    let archive = |i: u32| docker_archive(&format!("app:{i}"), &[layer("shared"), layer(&format!("own {i}"))]);
    std::thread::scope(|scope| {
        for i in 0..6 {
            let store = &store;
            scope.spawn(move || {
                for _ in 0..3 {
                    load_archive(store, archive(i).as_slice(), None).unwrap();
                    assert_eq!(text(store, &format!("app:{i}"), "/etc/content"), Some(format!("own {i}")));
                    if i % 2 == 0 {
                        store.remove(&format!("app:{i}"), false).unwrap();
                    }
                }
            });
        }
    });
    let names: BTreeSet<String> = store.list(&[]).unwrap().into_iter().filter_map(|r| r.tag).collect();
    assert_eq!(names, ["1", "3", "5"].map(String::from).into());
    drop(store.ingest().unwrap());
    let layers: Vec<PathBuf> = std::fs::read_dir(store.paths.layers()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(layers.len(), 4, "one shared, three of their own");
}

#[test]
fn a_damaged_image_hides_no_other_and_can_be_removed() {
    let (_dir, store) = store();
    load_archive(&store, docker_archive("good", &[layer("x")]).as_slice(), None).unwrap();
    let ingest = store.ingest().unwrap();
    let bad = ingest.put_manifest(b"{}", layout::OCI_MANIFEST).unwrap();
    store.record(Some(&reference("bad")), &bad).unwrap();
    drop(ingest);
    assert!(store.find("bad", None).is_err());
    assert_eq!(store.list(&[]).unwrap().len(), 1);
    assert!(store.find(&store.find("good", None).unwrap().unwrap().config_digest, None).unwrap().is_some());
    store.remove("bad", false).unwrap();
    let unknown = Descriptor::new(layout::OCI_MANIFEST, Digest::of(b"gone"), 4);
    store.record(Some(&reference("gone")), &unknown).unwrap();
    assert!(store.find("gone", None).unwrap_err().chain().join(": ").contains("cannot be read"));
    store.remove("gone", false).unwrap();
    assert_eq!(store.index().unwrap().manifests.len(), 1);
}

#[test]
fn what_is_removed_while_another_adds_goes_with_the_next_command() {
    let (_dir, store) = store();
    let options = import::Options::default();
    import(&store, layer("one").as_slice(), Some(&reference("app:1")), &options).unwrap();
    let adding = store.ingest().unwrap();
    store.remove("app:1", false).unwrap();
    assert!(files(&store).iter().any(|f| f.contains("sha256/")), "not while somebody adds to the store");
    drop(adding);
    // In this process the lock on the journal is still held: its folder is as a process that has ended leaves it.
    let left: Vec<PathBuf> = std::fs::read_dir(store.tmp()).unwrap().map(|e| e.unwrap().path()).collect();
    let [left] = left.as_slice() else { panic!("{left:?}") };
    let ended = left.with_file_name("99999999-0");
    std::fs::create_dir(&ended).unwrap();
    std::fs::rename(left.join("journal"), ended.join("journal")).unwrap();
    store.recover().unwrap();
    let rest: Vec<String> =
        files(&store).into_iter().filter(|f| f.contains("sha256/") || f.starts_with("layers/")).collect();
    assert_eq!(rest, [""; 0]);
}

#[test]
fn what_lies_around_a_layer_is_its_owners_only() {
    let (_dir, store) = store();
    import(&store, layer("one").as_slice(), Some(&reference("app:1")), &import::Options::default()).unwrap();
    let image = store.find("app:1", None).unwrap().unwrap();
    let folder = image.layers[0].parent().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(folder), mode(&folder.join("complete"))), (0o700, 0o600));
}

#[test]
fn an_archive_does_not_answer_for_a_digest_that_it_only_claims() {
    let (_from, from) = store();
    let (_to, to) = store();
    import(&from, layer("evil").as_slice(), Some(&reference("app:1")), &import::Options::default()).unwrap();
    let claimed = format!("busybox@{}", Digest::of(b"the image that is pinned"));
    let mut index = from.index().unwrap();
    index.manifests[0].annotations.insert(layout::REPO_DIGESTS.into(), reference(&claimed).to_string());
    from.write_index(&index).unwrap();
    assert!(from.find(&claimed, None).unwrap().is_none(), "the content has another digest");
    load_folder(&to, &from.paths.images(), None).unwrap();
    assert!(to.find("app:1", None).unwrap().is_some());
    assert!(to.find(&claimed, None).unwrap().is_none());
}

#[test]
fn an_image_gets_no_layer_that_it_does_not_hold() {
    let (_dir, store) = store();
    let secret = layer("of another image");
    load_archive(&store, docker_archive("private", std::slice::from_ref(&secret)).as_slice(), None).unwrap();
    let claim = |blob: Vec<u8>| {
        let config = serde_json::json!({"architecture": layout::host_architecture(), "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&secret)]}});
        let table = r#"[{"Config":"c","RepoTags":["evil:1"],"Layers":["l"]}]"#;
        let archive = Tar::new().file("c", &config.to_string()).raw(b'0', b"l", b"", 0o644, &blob);
        load_archive(&store, archive.file("manifest.json", table).bytes().as_slice(), None)
    };
    let e = claim(layer("junk")).unwrap_err();
    assert!(e.chain().join(": ").contains("the image's config says"), "{:?}", e.chain());
    assert!(store.find("evil:1", None).unwrap().is_none());
    let packed = zstd::encode_all(secret.as_slice(), 1).unwrap();
    for _ in 0..2 {
        claim(packed.clone()).unwrap();
    }
    assert_eq!(text(&store, "evil:1", "/etc/content").as_deref(), Some("of another image"));
}

#[test]
fn a_root_without_a_folder_above_it_is_no_layer() {
    let manifest = tempfile::NamedTempFile::new().unwrap();
    // As a store that somebody has put together himself may say.
    let e = super::layers::hold(manifest.path(), &[PathBuf::from("/")]).unwrap_err();
    assert!(e.to_string().contains("/ is no layer"), "{e}");
}
