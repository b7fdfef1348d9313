//! `--mount type=…,source=…,target=…,…`

use super::Refusal;
use super::env::Env;
use super::golang::parse_bool;
use super::mount::{
    BindRequest, ImageMount, MountRequest, PROPAGATIONS, RecursiveReadonly, TmpfsRequest, VolumeRequest,
};
use super::mount::{destination, volume_name};
use super::size::Size;
use super::tmpfs::parse_mode;

/// Parse one `--mount` as docker's client and engine together do.
pub fn parse_mount(text: &str, env: &Env) -> Result<MountRequest, Refusal> {
    let mut fields = Fields::default();
    for field in super::csv::record(text)? {
        fields.set(&field)?;
    }
    if fields.target.is_empty() {
        return Err("target is required".into());
    }
    fields.reject_mixed()?;
    if text.contains('\0') {
        return Err("a NUL byte is not allowed here".into());
    }
    fields.finish(format!("--mount {text}"), env)
}

/// The fields as written, before it is known what the mount is.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    source: Option<String>,
    target: String,
    readonly: Option<bool>,
    propagation: Option<String>,
    nonrecursive: bool,
    recursive: Option<String>,
    create: bool,
    relabel: Option<char>,
    nocopy: bool,
    subpath: Option<String>,
    driver: Option<String>,
    opts: Vec<(String, String)>,
    labels: Vec<(String, String)>,
    image_subpath: Option<String>,
    tmpfs_size: Option<u64>,
    tmpfs_mode: Option<u32>,
    /// Families of type-specific keys that were used: `bind`, `volume`, `tmpfs`, `image`.
    families: Vec<&'static str>,
}

impl Fields {
    fn set(&mut self, field: &str) -> Result<(), Refusal> {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key.to_lowercase(), Some(value)),
            None => (field.to_lowercase(), None),
        };
        let flag = || match value {
            None => Ok(true),
            Some(value) => parse_bool(value).map_err(|_| format!("invalid value for {key}: {value}")),
        };
        match key.as_str() {
            "readonly" | "ro" => self.readonly = Some(flag()?),
            "volume-nocopy" => {
                self.nocopy = flag()?;
                self.families.push("volume");
            }
            "bind-nonrecursive" => {
                self.nonrecursive = flag()?;
                self.families.push("bind");
            }
            "bind-create-src" => {
                self.create = flag()?;
                self.families.push("bind");
            }
            _ => {
                let value = value.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
                return self.set_value(&key, value, field);
            }
        }
        Ok(())
    }

    fn set_value(&mut self, key: &str, value: &str, field: &str) -> Result<(), Refusal> {
        let invalid = || format!("invalid value for {key}: {value}");
        let text = || Some(value.to_owned());
        match key {
            "type" => self.kind = Some(value.to_lowercase()),
            "source" | "src" => self.source = text(),
            "target" | "dst" | "destination" => self.target = value.to_owned(),
            // Meant for Docker Desktop's file sharing; without an effect on Linux.
            "consistency" => match value.to_lowercase().as_str() {
                "" | "default" | "consistent" | "cached" | "delegated" => {}
                _ => return Err(invalid().into()),
            },
            "bind-propagation" => {
                let value = value.to_lowercase();
                if !PROPAGATIONS.contains(&value.as_str()) {
                    return Err(Refusal::engine(format!("invalid propagation mode: {value}")));
                }
                self.propagation = Some(value);
            }
            "bind-recursive" => match value {
                "enabled" | "disabled" | "writable" | "readonly" => self.recursive = text(),
                _ => {
                    let words = "(must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")";
                    return Err(format!("{} {words}", invalid()).into());
                }
            },
            "relabel" => match value {
                "shared" => self.relabel = Some('z'),
                "private" => self.relabel = Some('Z'),
                _ => return Err(invalid().into()),
            },
            "volume-subpath" => self.subpath = text(),
            "volume-driver" => self.driver = text(),
            "volume-opt" => self.opts.push(pair(value)),
            "volume-label" => self.labels.push(pair(value)),
            "image-subpath" => self.image_subpath = text(),
            "tmpfs-size" => {
                let size: Size = value.parse().map_err(|_| invalid())?;
                self.tmpfs_size = u64::try_from(size.0).ok();
            }
            "tmpfs-mode" => self.tmpfs_mode = Some(parse_mode(value).ok_or_else(invalid)?),
            _ => return Err(format!("unexpected key '{key}' in '{field}'").into()),
        }
        let family = ["bind", "volume", "tmpfs", "image"]
            .into_iter()
            .find(|f| key.strip_prefix(f).is_some_and(|rest| rest.starts_with('-')));
        self.families.extend(family);
        Ok(())
    }

    fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or("volume")
    }

    fn reject_mixed(&self) -> Result<(), String> {
        let kind = self.kind();
        match self.families.iter().find(|family| **family != kind) {
            Some(family) => Err(format!("cannot mix '{family}-*' options with mount type '{kind}'")),
            None => Ok(()),
        }
    }

    fn finish(self, typed: String, env: &Env) -> Result<MountRequest, Refusal> {
        let config = |what: &str| Refusal::engine(format!("invalid mount config for type {:?}: {what}", self.kind()));
        let destination = destination(&self.target).map_err(|e| config(&e))?;
        let source = self.source.as_deref().filter(|s| !s.is_empty());
        match self.kind() {
            "bind" => {
                let source = source.ok_or_else(|| config("field Source must not be empty"))?;
                let dotted = source == "." || source == ".." || source.starts_with("./") || source.starts_with("../");
                if !source.starts_with('/') && !dotted {
                    return Err(config(&format!("invalid mount path: '{source}' mount path must be absolute")));
                }
                let source = env.absolute(source);
                Ok(MountRequest::Bind(self.bind(source, destination, typed)?))
            }
            "volume" => Ok(MountRequest::Volume(VolumeRequest {
                name: source.map(volume_name).transpose().map_err(|e| config(&e))?,
                destination,
                readonly: self.readonly,
                nocopy: self.nocopy,
                subpath: self.subpath,
                driver: self.driver,
                opts: self.opts,
                labels: self.labels,
                noexec: false,
                typed,
            })),
            "tmpfs" if source.is_some() => Err(config("field Source must not be specified")),
            "tmpfs" => Ok(MountRequest::Tmpfs(TmpfsRequest {
                destination,
                readonly: self.readonly,
                size: self.tmpfs_size,
                mode: self.tmpfs_mode,
                typed,
                ..TmpfsRequest::default()
            })),
            "image" => Ok(MountRequest::Image(ImageMount {
                reference: source.ok_or_else(|| config("field Source must not be empty"))?.to_owned(),
                destination,
                subpath: self.image_subpath,
                typed,
            })),
            "npipe" => Err(config("named pipes are a thing of Windows")),
            "cluster" => Err(config("cluster volumes are a thing of a swarm")),
            _ => Err(config("mount type unknown")),
        }
    }

    fn bind(&self, source: std::path::PathBuf, destination: String, typed: String) -> Result<BindRequest, String> {
        let mut recursive = !self.nonrecursive;
        let mut recursive_readonly = RecursiveReadonly::Enabled;
        if let Some(mode) = self.recursive.as_deref() {
            let needs = |what: &str| {
                Err(format!("option 'bind-recursive={mode}' requires '{what}' to be specified in conjunction"))
            };
            match mode {
                "disabled" => recursive = false,
                "writable" => recursive_readonly = RecursiveReadonly::Writable,
                "readonly" => recursive_readonly = RecursiveReadonly::Forced,
                _ => {}
            }
            if matches!(mode, "writable" | "readonly") && self.readonly != Some(true) {
                return needs("readonly");
            }
            if mode == "readonly" && self.propagation.as_deref() != Some("rprivate") {
                return needs("bind-propagation=rprivate");
            }
        }
        Ok(BindRequest {
            source,
            destination,
            readonly: self.readonly,
            create: self.create,
            recursive,
            recursive_readonly,
            propagation: self.propagation.clone(),
            relabel: self.relabel,
            noexec: false,
            typed,
        })
    }
}

fn pair(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::PathBuf;

    fn parse(text: &str) -> Result<MountRequest, String> {
        parse_mount(text, &Env { vars: vec![], cwd: "/w".into() }).map_err(String::from)
    }

    fn bind(text: &str) -> BindRequest {
        match parse(text) {
            Ok(MountRequest::Bind(bind)) => bind,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn binds() {
        let b = bind("type=bind,source=/a,target=/b,readonly");
        assert_eq!(
            (b.source, b.destination.as_str(), b.readonly, b.create, b.recursive),
            ("/a".into(), "/b", Some(true), false, true)
        );
        assert_eq!(bind("type=bind,src=/a,dst=/b").readonly, None);
        assert_eq!(bind("type=bind,src=/a,dst=/b,readonly=0").readonly, Some(false));
        assert_eq!(bind("TYPE=BIND,SRC=./a,destination=/b").source, PathBuf::from("/w/./a"));
        assert_eq!(bind("type=bind,\"src=/a,b\",dst=/c").source, PathBuf::from("/a,b"));
        assert_eq!(bind("type=bind,src=/a,dst=/b,bind-propagation=RShared").propagation.as_deref(), Some("rshared"));
        assert!(!bind("type=bind,src=/a,dst=/b,bind-nonrecursive").recursive);
        assert!(!bind("type=bind,src=/a,dst=/b,bind-recursive=disabled").recursive);
        assert!(bind("type=bind,src=/a,dst=/b,bind-create-src").create);
        assert_eq!(
            bind("type=bind,src=/a,dst=/b,bind-recursive=readonly,ro,bind-propagation=rprivate").recursive_readonly,
            RecursiveReadonly::Forced
        );
    }

    #[test]
    fn volumes_tmpfs_and_images() {
        let text = "src=data,dst=/b,volume-opt=a=b,volume-label=x=y,volume-driver=local,volume-nocopy,volume-subpath=z";
        let Ok(MountRequest::Volume(v)) = parse(text) else { panic!() };
        assert_eq!((v.name.as_deref(), v.nocopy, v.subpath.as_deref()), (Some("data"), true, Some("z")));
        assert_eq!(v.opts, [("a".to_owned(), "b".to_owned())]);
        let Ok(MountRequest::Tmpfs(t)) = parse("type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=1777") else { panic!() };
        assert_eq!((t.size, t.mode), (Some(1 << 20), Some(0o1777)));
        let Ok(MountRequest::Image(i)) = parse("type=image,src=alpine,dst=/b,image-subpath=x") else { panic!() };
        assert_eq!((i.reference.as_str(), i.subpath.as_deref()), ("alpine", Some("x")));
    }

    #[test]
    fn slips_are_dockers() {
        for (text, error) in [
            ("", "EOF"),
            ("foo", "invalid field 'foo' must be a key=value pair"),
            ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
            ("type=bind,src=/a", "target is required"),
            ("type=bind,src=/a,dst=/b,", "invalid field '' must be a key=value pair"),
            ("type=bind,source=/a,target=/b,ro=x", "invalid value for ro: x"),
            ("type=bind,src=/a,dst=/b,readonly=", "invalid value for readonly: "),
            ("type=tmpfs,dst=/b,tmpfs-size=x", "invalid value for tmpfs-size: x"),
            ("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
            ("type=bind,src=/a,dst=/b,tmpfs-size=1", "cannot mix 'tmpfs-*' options with mount type 'bind'"),
            (
                "type=volume,src=aa,dst=/b,bind-propagation=shared",
                "cannot mix 'bind-*' options with mount type 'volume'",
            ),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction",
            ),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=readonly,ro",
                "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction",
            ),
            ("type=bind,dst=/b", "invalid mount config for type \"bind\": field Source must not be empty"),
            ("type=tmpfs,src=/a,dst=/b", "invalid mount config for type \"tmpfs\": field Source must not be specified"),
            (
                "type=bind,src=a,dst=/b",
                "invalid mount config for type \"bind\": invalid mount path: 'a' mount path must be absolute",
            ),
            ("type=foo,dst=/b", "invalid mount config for type \"foo\": mount type unknown"),
            ("type=bind,src=/a,dst=/b,bind-propagation=foo", "invalid propagation mode: foo"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn order_does_not_matter(mut fields in Just(vec!["type=bind", "src=/a", "dst=/b", "ro"]).prop_shuffle()) {
            let mut sorted = bind(&fields.join(","));
            fields.sort_unstable();
            sorted.typed = format!("--mount {}", fields.join(","));
            prop_assert_eq!(sorted, bind(&fields.join(",")));
        }
        #[test]
        fn no_text_panics(text in "[a-z=,/\"-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
