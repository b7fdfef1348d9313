//! What `image inspect` says about an image, with docker's keys in docker's order. Everything in it is read from the image
//! and the store.

use super::digest::Digest;
use super::gc::no_such_image;
use super::layers;
use super::store::Store;
use crate::error::{Error, Result};
use oci_spec::image::History;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Docker's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Described {
    pub id: String,
    pub repo_tags: Vec<String>,
    pub repo_digests: Vec<String>,
    pub parent: String,
    pub comment: String,
    pub created: String,
    pub container: String,
    pub container_config: Config,
    pub docker_version: String,
    pub author: String,
    pub config: Config,
    pub architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
    pub os: String,
    /// Bytes of the files in all layers.
    pub size: u64,
    pub virtual_size: u64,
    pub graph_driver: GraphDriver,
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
    pub metadata: Metadata,
}

/// The `config` object of an image. `None` is `null`, as in the image's own file; optional ones are left out as docker does.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Config {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposed_ports: Option<Value>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    pub env: Option<Value>,
    pub cmd: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub args_escaped: Option<Value>,
    pub image: String,
    pub volumes: Option<Value>,
    pub working_dir: String,
    pub entrypoint: Option<Value>,
    pub on_build: Option<Value>,
    pub labels: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shell: Option<Value>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    /// Folders of the unpacked layers. There is no `MergedDir`: nothing is mounted for an image.
    pub data: BTreeMap<String, String>,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    pub r#type: String,
    pub layers: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metadata {
    pub last_tag_time: String,
}

/// An image by name or ID, as JSON; keys come out sorted. [`Store::described`] keeps docker's order.
pub fn describe(store: &Store, name: &str) -> Result<Value> {
    serde_json::to_value(store.described(name)?).map_err(|e| Error::verb(format!("describing image {name}")).because(e))
}

/// Whether one history is the beginning of the other.
fn began_as(whole: &Option<Vec<History>>, start: &Option<Vec<History>>) -> bool {
    let steps = |history: &Option<Vec<History>>| history.clone().unwrap_or_default();
    steps(whole).starts_with(&steps(start))
}

impl Store {
    /// # Errors
    /// `No such image: NAME`; an image that cannot be read.
    pub fn described(&self, name: &str) -> Result<Described> {
        let (entry, _) = self.find_entry(name)?.ok_or_else(|| no_such_image(name))?;
        let missing = || Error::verb(format!("image {name} is not there for the platform of this host"));
        let (_, id) = self.ids(&entry)?.ok_or_else(missing)?;
        let file: Value = serde_json::from_slice(&self.read_blob(&id, super::layout::CONFIG_MAX)?)
            .map_err(|e| Error::verb(format!("reading the image config {id}")).because(e))?;
        let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
        let history = file["history"].as_array().and_then(|h| h.last());
        let comment = match text("comment") {
            own if own.is_empty() => history.and_then(|h| h["comment"].as_str()).unwrap_or_default().to_owned(),
            own => own,
        };
        let diff_ids: Vec<String> = file["rootfs"]["diff_ids"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect();
        let size = self.size_of(&diff_ids);
        let (tags, digests) = self.names_of(&id)?;
        Ok(Described {
            id: id.to_string(),
            repo_tags: tags,
            repo_digests: digests,
            parent: String::new(),
            comment,
            created: Some(text("created")).filter(|t| !t.is_empty()).unwrap_or_else(|| NEVER.into()),
            container: text("container"),
            container_config: Config::read(&file["container_config"]),
            docker_version: text("docker_version"),
            author: text("author"),
            config: Config::read(&file["config"]),
            architecture: text("architecture"),
            variant: text("variant"),
            os: text("os"),
            size,
            virtual_size: size,
            graph_driver: self.graph_driver(&diff_ids)?,
            root_fs: RootFs { r#type: "layers".into(), layers: diff_ids },
            metadata: Metadata { last_tag_time: NEVER.into() },
        })
    }

    /// The id of an image, and those of the images that were made from it: their layers are its own and more, and so is their
    /// history, for two images that have a layer in common need not have anything else. Empty where the name means none.
    pub fn family(&self, name: &str) -> Vec<String> {
        let Ok(head) = self.described(name) else { return Vec::new() };
        let Some(base) = Digest::parse(&head.id).ok().and_then(|id| self.config(&id).ok()) else {
            return vec![head.id];
        };
        let own = &head.root_fs.layers;
        let mut family = vec![head.id];
        for entry in self.index().map(|index| index.manifests).unwrap_or_default() {
            // One that cannot be read was made from nothing that is known.
            let Ok(Some((_, id))) = self.ids(&entry) else { continue };
            let Ok(config) = self.config(&id) else { continue };
            let layers = config.rootfs().diff_ids();
            let id = id.to_string();
            let from = layers.len() > own.len() && layers.starts_with(own);
            if from && began_as(config.history(), base.history()) && !family.contains(&id) {
                family.push(id);
            }
        }
        family
    }

    pub(super) fn size_of(&self, diff_ids: &[String]) -> u64 {
        let folder = self.paths.layers();
        diff_ids.iter().filter_map(|d| Digest::parse(d).ok()).filter_map(|d| layers::size(&folder, &d)).sum()
    }

    /// Every name and `name@digest` of an image, as docker shows them.
    fn names_of(&self, id: &Digest) -> Result<(Vec<String>, Vec<String>)> {
        let (mut tags, mut digests) = (BTreeSet::new(), BTreeSet::new());
        for entry in self.index()?.manifests {
            if self.ids(&entry).ok().flatten().is_some_and(|(_, config)| config == *id) {
                tags.extend(entry.name().map(|name| name.familiar()));
                digests.extend(entry.repo_digests());
            }
        }
        Ok((tags.into_iter().collect(), digests.into_iter().collect()))
    }

    fn graph_driver(&self, diff_ids: &[String]) -> Result<GraphDriver> {
        let mut folders: Vec<String> = layers::unpacked(&self.paths.layers(), diff_ids)?
            .unwrap_or_default()
            .iter()
            .map(|folder| folder.display().to_string())
            .collect();
        let mut data = BTreeMap::new();
        if let Some(upper) = folders.pop() {
            data.insert("UpperDir".to_owned(), upper);
        }
        if !folders.is_empty() {
            folders.reverse();
            data.insert("LowerDir".to_owned(), folders.join(":"));
        }
        Ok(GraphDriver { data, name: "overlay2".into() })
    }
}

impl Config {
    /// From the image's file. What is of another type than it should be is as if it were not there.
    fn read(config: &Value) -> Config {
        let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
        let flag = |key: &str| config[key].as_bool().unwrap_or_default();
        let list = |key: &str| config.get(key).filter(|v| v.is_array()).cloned();
        let object = |key: &str| config.get(key).filter(|v| v.is_object()).cloned();
        let filled = |value: Option<Value>| value.filter(|v| v != &Value::Object(Map::new()));
        Config {
            hostname: text("Hostname"),
            domainname: text("Domainname"),
            user: text("User"),
            attach_stdin: flag("AttachStdin"),
            attach_stdout: flag("AttachStdout"),
            attach_stderr: flag("AttachStderr"),
            exposed_ports: filled(object("ExposedPorts")),
            tty: flag("Tty"),
            open_stdin: flag("OpenStdin"),
            stdin_once: flag("StdinOnce"),
            env: list("Env"),
            cmd: list("Cmd"),
            healthcheck: filled(object("Healthcheck")),
            args_escaped: config.get("ArgsEscaped").filter(|v| v.as_bool() == Some(true)).cloned(),
            image: text("Image"),
            volumes: object("Volumes"),
            working_dir: text("WorkingDir"),
            entrypoint: list("Entrypoint"),
            on_build: list("OnBuild"),
            labels: object("Labels"),
            stop_signal: config.get("StopSignal").filter(|v| v.as_str().is_some_and(|s| !s.is_empty())).cloned(),
            stop_timeout: config.get("StopTimeout").filter(|v| v.is_number()).cloned(),
            shell: list("Shell"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_config_has_dockers_keys_in_dockers_order() {
        let text = serde_json::to_string(&Config::read(&Value::Null)).unwrap();
        assert_eq!(
            text,
            r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}"#
        );
        let config = Config::read(&json!({"Env": "wrong", "ExposedPorts": {"80/tcp": {}}, "StopSignal": "SIGQUIT"}));
        assert_eq!((config.env, config.exposed_ports), (None, Some(json!({"80/tcp": {}}))));
        assert_eq!(config.stop_signal, Some(json!("SIGQUIT")));
    }
}
