//! From the words of the command line to a [`Request`]. Every struct of flags is taken apart without `..`: a flag that is
//! added to the table and forgotten here does not compile.

mod container;
mod image;
mod isolation;
mod mounts;
mod network;
mod own;
mod process;
mod reader;
mod resources;

use super::{Env, Request};
use crate::cli::RunArgs;
use crate::error::{Error, Kind, Result};

pub use process::environment;

/// What resolving says besides the values.
#[derive(Debug, Default)]
struct Notes {
    notices: Vec<String>,
    unsupported: Vec<String>,
}

impl Notes {
    /// A flag that is taken and does nothing, and why.
    fn notice(&mut self, line: impl Into<String>) {
        self.notices.push(line.into());
    }

    /// A flag that is understood, judged by the policy, and not carried out.
    fn unsupported(&mut self, line: impl Into<String>) {
        self.unsupported.push(line.into());
    }

    /// The same for a flag that was given at all.
    fn not_applicable<T>(&mut self, flag: &str, value: &Option<T>, why: &str) {
        if value.is_some() {
            self.unsupported(format!("{flag} is not applicable: {why}"));
        }
    }

    fn not_applicable_list<T>(&mut self, flag: &str, values: &[T], why: &str) {
        if !values.is_empty() {
            self.unsupported(format!("{flag} is not applicable: {why}"));
        }
    }
}

impl Request {
    /// Turn words into values. Files that flags name (`--env-file`, `--label-file`, a seccomp profile) are read here.
    ///
    /// # Errors
    /// [`Kind::UsageClient`] where docker's client exits with 1 (no image, `-d` with `-a`), else [`Kind::Runner`] with
    /// the flag, the value and docker's own words for what is wrong with it.
    pub fn resolve(args: RunArgs, env: &Env) -> Result<Request> {
        let RunArgs { isolation, resources, mounts, network, process, container, image, own, help: _, words } = args;
        let mut words = words.into_iter();
        let Some(image_word) = words.next() else {
            return Err(Error::new(Kind::UsageClient, "'hardrun run' requires at least 1 argument")
                .hint("usage: hardrun run [OPTIONS] IMAGE [COMMAND] [ARG...]\nSee 'hardrun run --help'."));
        };
        let mut notes = Notes::default();
        let mut request = Request { image: image_word, args: words.collect(), ..Request::default() };
        own::resolve(own, &mut request)?;
        isolation::resolve(isolation, &mut request, env, &mut notes)?;
        resources::resolve(resources, &mut request, &mut notes)?;
        mounts::resolve(mounts, &mut request, env, &mut notes)?;
        network::resolve(network, &mut request, env, &mut notes)?;
        process::resolve(process, &mut request, env, &mut notes)?;
        container::resolve(container, &mut request, env, &mut notes)?;
        image::resolve(image, &mut request, env, &mut notes)?;
        request.notices = notes.notices;
        request.unsupported = notes.unsupported;
        Ok(request)
    }
}

impl Request {
    /// Limits alone, for `update`.
    pub fn limits(flags: crate::cli::flags::ResourceFlags) -> Result<Request> {
        let (mut request, mut notes) = (Request::default(), Notes::default());
        resources::resolve(flags, &mut request, &mut notes)?;
        match notes.unsupported.first() {
            Some(line) => Err(Error::runner(line.clone())),
            None => Ok(request),
        }
    }
}

#[cfg(test)]
mod docker;
#[cfg(test)]
mod tests;
