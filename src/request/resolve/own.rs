//! hardrun's own flags.

use super::reader::{non_empty, one_of, switch};
use crate::cli::flags::OwnFlags;
use crate::error::Result;
use crate::image::lock::DEFAULT_NAME;
use crate::request::{OutputFormat, OwnRequest, Request};

pub fn resolve(flags: OwnFlags, request: &mut Request) -> Result<()> {
    let OwnFlags { allow, dry_run, format, locked, preset, print_docker } = flags;
    request.own = OwnRequest {
        preset: non_empty(preset),
        locked: locked.map(|file| if file.is_empty() { DEFAULT_NAME.into() } else { file.into() }),
        // A rule that does not exist would override nothing: an error, with what may be meant.
        allow: allow.iter().map(|text| text.parse()).collect::<Result<_>>()?,
        dry_run: switch("--dry-run", dry_run)?.unwrap_or(false),
        format: one_of("--format", format, &["text", "json"])?.map(|word| match word {
            "json" => OutputFormat::Json,
            _ => OutputFormat::Text,
        }),
        print_docker: switch("--print-docker", print_docker)?.unwrap_or(false),
    };
    Ok(())
}
