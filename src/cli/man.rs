//! `hardrun man`

use super::Context;
use crate::error::{Context as _, Result};
use clap::Command;
use clap_mangen::Man;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for every verb into this folder, which is made where it is missing
    #[arg(value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    let mut command = super::command();
    command.build();
    match args.folder {
        Some(folder) => write_all(&command, &folder)?,
        None => {
            let page = page(&command).verb_context(|| "make the man page".into())?;
            std::io::stdout().lock().write_all(&page).verb_context(|| "write the man page".into())?;
        }
    }
    Ok(0)
}

fn page(command: &Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    // No date: the same program gives the same page.
    Man::new(command.clone()).date("").source(concat!("hardrun ", env!("CARGO_PKG_VERSION"))).render(&mut page)?;
    Ok(page)
}

fn write_all(command: &Command, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).verb_context(|| format!("make the folder {}", folder.display()))?;
    for (name, command) in pages(command) {
        let path = folder.join(format!("{name}.1"));
        let page = page(&command).verb_context(|| format!("make the man page {name}"))?;
        std::fs::write(&path, page).verb_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// `hardrun`, `hardrun-run`, `hardrun-audit-log-show`, …
fn pages(command: &Command) -> Vec<(String, Command)> {
    let name = command.get_display_name().unwrap_or(command.get_name()).to_owned();
    let mut all = vec![(name.clone(), command.clone().name(name))];
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help" && !s.is_hide_set()) {
        all.extend(pages(sub));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_for_every_verb() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = super::super::command();
        command.build();
        write_all(&command, &folder.path().join("man1")).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(read("hardrun.1").contains("hardrun\\-run(1)"));
        assert!(read("hardrun.1").contains(concat!("hardrun ", env!("CARGO_PKG_VERSION"))));
        let run = read("hardrun-run.1");
        for word in ["\\-\\-cap\\-add", "ISOLATION", "HARDENING"] {
            assert!(run.contains(word), "{word}");
        }
        assert!(folder.path().join("man1/hardrun-audit-log.1").exists());
    }
}
