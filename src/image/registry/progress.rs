//! What a pull or push says while it goes on: bars on a terminal, docker's plain lines elsewhere, nothing when quiet.

use crate::ui;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::sync::Mutex;

/// Where to: `pull` talks on stdout, `run` must leave stdout to the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Stdout,
    Stderr,
}

/// What a layer is at, in docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Waiting,
    AlreadyExists,
    Pulling,
    Verifying,
    Downloaded,
    Complete,
    Preparing,
    Pushing,
    Pushed,
    LayerExists,
}

impl Stage {
    fn text(self) -> &'static str {
        match self {
            Stage::Waiting => "Waiting",
            Stage::AlreadyExists => "Already exists",
            Stage::Pulling => "Pulling fs layer",
            Stage::Verifying => "Verifying Checksum",
            Stage::Downloaded => "Download complete",
            Stage::Complete => "Pull complete",
            Stage::Preparing => "Preparing",
            Stage::Pushing => "Pushing",
            Stage::Pushed => "Pushed",
            Stage::LayerExists => "Layer already exists",
        }
    }
    fn is_last(self) -> bool {
        matches!(self, Stage::AlreadyExists | Stage::Complete | Stage::Pushed | Stage::LayerExists)
    }
}

pub struct Progress {
    channel: Channel,
    kind: Kind,
}

enum Kind {
    Quiet,
    Plain,
    /// In the order of the layers.
    Bars {
        all: MultiProgress,
        bars: Mutex<Vec<(String, ProgressBar)>>,
    },
}

impl Progress {
    pub fn new(quiet: bool, channel: Channel) -> Progress {
        let terminal = match channel {
            Channel::Stdout => std::io::stdout().is_terminal(),
            Channel::Stderr => std::io::stderr().is_terminal(),
        };
        let kind = if quiet {
            Kind::Quiet
        } else if terminal {
            let target = match channel {
                Channel::Stdout => ProgressDrawTarget::stdout(),
                Channel::Stderr => ProgressDrawTarget::stderr(),
            };
            Kind::Bars { all: MultiProgress::with_draw_target(target), bars: Mutex::default() }
        } else {
            Kind::Plain
        };
        Progress { channel, kind }
    }

    /// A line of docker's: `1.2: Pulling from app`, `Digest: …`, `Status: …`.
    pub fn line(&self, text: &str) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Plain => self.write(text),
            Kind::Bars { .. } => {
                self.settle();
                self.write(text);
            }
        }
    }

    /// Turn the bars into lines that stay, so that what is said next comes below them, as with docker.
    fn settle(&self) {
        let Kind::Bars { all, bars } = &self.kind else { return };
        let mut bars = bars.lock().expect("no panics while held");
        if bars.is_empty() {
            return;
        }
        // A terminal that went away must not end the pull.
        let _ = all.clear();
        for (layer, bar) in bars.drain(..) {
            all.remove(&bar);
            self.write(&format!("{layer}: {}", bar.message()));
        }
    }

    /// A line for the operator, also when quiet; always on stderr.
    pub fn note(&self, text: &str) {
        match &self.kind {
            Kind::Bars { all, .. } => all.suspend(|| ui::note(text)),
            _ => ui::note(text),
        }
    }

    pub fn warn(&self, text: &str) {
        match &self.kind {
            Kind::Bars { all, .. } => all.suspend(|| ui::warn(text)),
            _ => ui::warn(text),
        }
    }

    /// A layer, by its 12 digits, comes to a stage. `size` in bytes.
    pub fn stage(&self, layer: &str, size: u64, stage: Stage) {
        if matches!((&self.kind, stage), (Kind::Plain, Stage::Pushing)) {
            // Docker shows this one as a bar only.
            return;
        }
        self.show(layer, size, stage.text().into(), stage.is_last());
    }

    /// The registry has the layer in another repository of its own.
    pub fn mounted(&self, layer: &str, size: u64, repository: &str) {
        self.show(layer, size, format!("Mounted from {repository}"), true);
    }

    fn show(&self, layer: &str, size: u64, text: String, last: bool) {
        match &self.kind {
            Kind::Quiet => {}
            Kind::Plain => self.write(&format!("{layer}: {text}")),
            Kind::Bars { all, bars } => {
                let mut bars = bars.lock().expect("no panics while held");
                let bar = match bars.iter().find(|(id, _)| id == layer) {
                    Some((_, bar)) => bar.clone(),
                    None => {
                        let bar = ProgressBar::new(size).with_prefix(layer.to_owned());
                        bars.push((layer.to_owned(), all.add(bar.clone())));
                        bar
                    }
                };
                bar.set_message(text);
                bar.set_style(style("{prefix}: {msg}"));
                if last {
                    bar.finish();
                } else {
                    bar.tick();
                }
            }
        }
    }

    /// Bytes of a layer that are here.
    pub fn bytes(&self, layer: &str, done: u64) {
        if let Kind::Bars { bars, .. } = &self.kind
            && let Some((_, bar)) = bars.lock().expect("no panics while held").iter().find(|(id, _)| id == layer)
        {
            if bar.position() == 0 {
                bar.set_message("Downloading");
                bar.set_style(style("{prefix}: {msg} [{bar:40}] {bytes}/{total_bytes} {bytes_per_sec}"));
            }
            bar.set_position(done);
        }
    }

    fn write(&self, text: &str) {
        let text = ui::clean(text);
        // A reader that went away must not end the pull: what counts is the image, and the last line, which is checked.
        let _ = match self.channel {
            Channel::Stdout => writeln!(std::io::stdout().lock(), "{text}"),
            Channel::Stderr => writeln!(std::io::stderr().lock(), "{text}"),
        };
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.settle();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("=> ")
}
