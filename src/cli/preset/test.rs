//! `hardrun preset test`

use super::json;
use crate::cli::Context;
use crate::error::{Context as _, Error, Result};
use crate::image::store::Store;
use crate::preset::proof::{self, Grant, Trace, Used};
use crate::preset::{self, Preset};
use crate::ui::{self, clean};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name, or path of a file
    #[arg(value_name = "PRESET")]
    name: String,
    /// Shell script that proves it: called with `work` and then with `outside`. Built-in presets have one
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    /// Image to work with, instead of the one that the script names
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Do the work and leave out what is to be denied, and the tries without each capability
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    format: String,
}

/// What is written of a test, and the exit status: 1 where something fails or is unused.
pub(super) fn test(args: &Args, ctx: &Context) -> Result<(String, u8)> {
    let preset = preset::load(&args.name)?;
    let script = script(args, &preset)?;
    let image = image(args, &script, ctx)?;
    let folder = tempfile::tempdir().context(|| "cannot make a temporary folder".into())?;
    let file = folder.path().join("proof.sh");
    std::fs::write(&file, format!("{}\n{script}", proof::PRELUDE)).context(|| "cannot write the proof".into())?;
    let work = folder.path().join("work");
    let run = Run { name: &args.name, file: &file, work: &work, image: &image, ctx };

    let used = run.traced()?;
    if !args.quick && !run.plain("outside", "")? {
        return Err(failed(&args.name, "what is to be denied is not"));
    }
    let mut grants = proof::grants(&preset, &used);
    if !args.quick {
        for capability in &preset.capabilities.value {
            let needed = !run.plain("work", &format!("--cap-drop {capability}"))?;
            grants.push(Grant::capability(capability, needed));
        }
    }
    let unused = grants.iter().any(|g| !g.used);
    let text =
        if args.format == "json" { json(&report(&preset, &grants, &used))? } else { text(&preset, &grants, &used) };
    Ok((text, u8::from(unused)))
}

fn script(args: &Args, preset: &Preset) -> Result<String> {
    if let Some(path) = &args.proof {
        return std::fs::read_to_string(path).context(|| format!("cannot read the proof {}", path.display()));
    }
    let builtin = proof::PROOFS.iter().find(|(name, _)| *name == args.name);
    builtin.map(|(_, script)| (*script).to_owned()).ok_or_else(|| {
        Error::runner(format!("preset {} has no proof", preset.name))
            .hint("name one with --proof FILE: a shell script that does the program's work under the preset")
    })
}

fn image(args: &Args, script: &str, ctx: &Context) -> Result<String> {
    if let Some(image) = &args.image {
        return Ok(image.clone());
    }
    let Some(name) = proof::image_of(script) else {
        return Err(Error::runner("the proof names no image").hint("--image, or a line `# image: NAME` in the script"));
    };
    let image = format!("hardrun-proof/{name}");
    match Store::open(&ctx.paths)?.find(&image, None)? {
        Some(_) => Ok(image),
        None => Err(Error::runner(format!("the proof works with the image {image}, which is not here")).hint(format!(
            "in the source: integration/fixtures {name}.tar && hardrun import target/fixtures/{name}.tar {image}"
        ))),
    }
}

fn failed(name: &str, what: &str) -> Error {
    Error::runner(format!("the proof of preset {name} failed: {what}")).hint("what its script says is above")
}

/// One preset's proof, to be run more than once.
struct Run<'a> {
    name: &'a str,
    file: &'a std::path::Path,
    work: &'a std::path::Path,
    image: &'a str,
    ctx: &'a Context,
}

impl Run<'_> {
    /// The script's half `half`, with `flags` for each container. `before`: words to run it with.
    fn command(&self, before: &[&str], half: &str, flags: &str) -> Result<Command> {
        if self.work.exists() {
            std::fs::remove_dir_all(self.work).context(|| "cannot empty the proof's folder".into())?;
        }
        std::fs::create_dir(self.work).context(|| "cannot make the proof's folder".into())?;
        crate::selinux::open_to_containers(self.work)?;
        let own = std::env::current_exe().context(|| "cannot find hardrun's own file".into())?;
        // A file is named from the folder that the script works in.
        let preset = match self.name.contains('/') || self.name.ends_with(".toml") {
            true => std::fs::canonicalize(self.name).context(|| self.name.to_owned())?.into_os_string(),
            false => self.name.into(),
        };
        let mut words: Vec<&str> = before.to_vec();
        words.extend(["sh", "-c", "exec sh \"$0\" \"$1\" >&2"]);
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg(self.file).arg(half).stdin(Stdio::null());
        command.env("HARDRUN", &own).env("ROOT", &self.ctx.paths.root).env("PRESET", preset).env("IMAGE", self.image);
        let aside = self.file.with_file_name("aside");
        if !aside.exists() {
            std::os::unix::fs::symlink(&own, &aside).context(|| "cannot link to hardrun's own file".into())?;
        }
        command.env("ASIDE", aside).env("WORK", self.work).env("FLAGS", flags);
        Ok(command)
    }

    fn plain(&self, half: &str, flags: &str) -> Result<bool> {
        let mut command = self.command(&[], half, flags)?;
        if !flags.is_empty() {
            ui::note(&format!("once more with {flags}"));
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
        Ok(command.status().context(|| "cannot run sh".into())?.success())
    }

    fn traced(&self) -> Result<Used> {
        // Strings are cut, names of files are not. A host without udev has no /dev/stdout, and would get a file of that name.
        let strace = ["strace", "-f", "-qq", "--decode-pids=pidns", "-s", "0", "-o", "/proc/self/fd/1"];
        let mut child = self.command(&strace, "work", "")?.stdout(Stdio::piped()).spawn().map_err(|e| {
            Error::runner("cannot start strace, which sees what a program uses")
                .hint("apt-get install strace")
                .because(e)
        })?;
        let mut trace = Trace::default();
        if let Some(out) = child.stdout.take() {
            for line in BufReader::new(out).split(b'\n') {
                let line = line.context(|| "cannot read what strace writes".into())?;
                trace.line(&String::from_utf8_lossy(&line));
            }
        }
        match child.wait().context(|| "cannot wait for strace".into())?.success() {
            true => Ok(trace.finish()),
            false => Err(failed(self.name, "the work was not done")),
        }
    }
}

fn report(preset: &Preset, grants: &[Grant], used: &Used) -> serde_json::Value {
    let granted = preset.calls();
    let (made, refused): (Vec<&String>, Vec<&String>) =
        used.calls.iter().partition(|call| granted.contains(call.as_str()));
    serde_json::json!({
        "preset": preset.name,
        "grants": grants,
        "unused": grants.iter().filter(|g| !g.used).map(|g| format!("{}: {}", g.key, g.name)).collect::<Vec<_>>(),
        "granted-calls": granted.len(),
        "calls": made,
        "refused-calls": refused,
        "sockets": used.sockets,
        "listened": used.listened,
        "connected": used.connected,
        "executed": used.executed,
        "written": used.written,
        "read": used.read,
    })
}

fn text(preset: &Preset, grants: &[Grant], used: &Used) -> String {
    let granted = preset.calls();
    let made = used.calls.iter().filter(|call| granted.contains(call.as_str())).count();
    let mut out = format!(
        "{}: the proof holds; {made} of {} system calls were made, {} of {} grants used\n",
        clean(&preset.name),
        granted.len(),
        grants.iter().filter(|g| g.used).count(),
        grants.len()
    );
    let refused: Vec<&str> = used.calls.iter().map(String::as_str).filter(|call| !granted.contains(call)).collect();
    if !refused.is_empty() {
        out.push_str(&format!("asked for, refused and done without: {}\n", clean(&refused.join(" "))));
    }
    for grant in grants.iter().filter(|g| !g.used) {
        out.push_str(&format!("granted and never used: {}: {}\n", grant.key, clean(&grant.name)));
    }
    out
}
