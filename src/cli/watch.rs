//! What the verbs share that connect their caller to a container's streams.

use crate::control::{Answer, Client};
use crate::error::{Error, Result};
use crate::launch::client::{self, Wish};
use crate::request::DetachKeys;
use crate::state::Container;
use std::str::FromStr;

/// `--detach-keys`, else docker's ctrl-p ctrl-q.
pub fn detach_keys(typed: Option<&str>) -> Result<Vec<u8>> {
    let typed = typed.unwrap_or("ctrl-p,ctrl-q");
    let keys = DetachKeys::from_str(typed).map_err(|why| Error::runner(format!("--detach-keys: {why}")))?;
    Ok(keys.bytes)
}

/// Connect to a running container and stay until it ends or is let go of.
pub fn attach(container: &Container, wish: &Wish) -> Result<u8> {
    let client = Client::to(container)?;
    let (ours, theirs) = client::pipes(wish)?;
    client.attach(&theirs)?;
    drop(theirs);
    match client.answer()? {
        Some((Answer::Failed(error), _)) => Err(error.into_error()),
        Some(_) => Ok(client::follow(&client, ours, wish)?.status()),
        None => Err(Error::verb(format!("Container {} is not running", container.id()))),
    }
}
