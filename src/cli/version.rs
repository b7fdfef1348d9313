//! `hardrun version`, `hardrun --version`

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::observe::format::{Missing, Options, Purpose, Template, Value};
use crate::observe::host::{self, API, LIBCONTAINER, VERSION, arch};
use crate::ui;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Format the output: json, or a template such as '{{.Server.Version}}'
    #[arg(short, long, value_name = "string")]
    format: Option<String>,
}

pub fn run(args: Args, _ctx: &Context) -> Result<u8> {
    match args.format.as_deref() {
        None | Some("") => {
            ui::stdout(&plain())?;
            Ok(0)
        }
        Some(format) => template(format, "version")?.show(&host::version()),
    }
}

/// One line: what `--version` says. Under docker's name in docker's form, for scripts cut it into words; the numbers are
/// hardrun's own.
pub fn line(program: &str) -> String {
    match program {
        "docker" => format!("Docker version {VERSION}, build hardrun"),
        _ => format!("hardrun version {VERSION}, libcontainer {LIBCONTAINER}"),
    }
}

fn plain() -> String {
    let arch = arch();
    format!(
        "Client:\n Version:           {VERSION}\n API version:       {API}\n OS/Arch:           linux/{arch}\n Context:           \
         default\n\nServer: hardrun, without a daemon\n Engine:\n  Version:          {VERSION}\n  API version:      {API} (minimum \
         version {API})\n  OS/Arch:          linux/{arch}\n libcontainer:\n  Version:          {LIBCONTAINER}\n"
    )
}

/// A `--format` over one thing.
pub struct OneOff {
    template: Template,
    /// Of the template, in Go's errors.
    name: &'static str,
}

/// # Errors
/// A template that cannot be parsed, with docker's exit status, 64.
pub fn template(format: &str, name: &'static str) -> Result<OneOff> {
    let text = if format == "json" { "{{json .}}" } else { format };
    let wrong = |e: String| Error::new(Kind::TemplateSyntax, format!("template parsing error: {}", named(&e, name)));
    Ok(OneOff { template: Template::parse(text).map_err(wrong)?, name })
}

impl OneOff {
    /// Print what the value gives. As docker: an error ends an empty line.
    pub fn show(&self, value: &Value) -> Result<u8> {
        let options = Options { missing: Missing::Error, purpose: Purpose::Data, clean: ui::on_terminal() };
        let typed = self.template.render(value, options);
        // The names of JSON as well as Go's: `.Server.ApiVersion`.
        match typed.or_else(|e| self.template.render(&value.raw(), options).map_err(|_| e)) {
            Ok(text) => {
                ui::stdout(&format!("{text}\n"))?;
                Ok(0)
            }
            Err(e) => {
                ui::stdout("\n")?;
                Err(Error::verb(named(&e, self.name)))
            }
        }
    }
}

/// `template: :1:2: executing "" at …` with the template's name in it.
fn named(error: &str, name: &str) -> String {
    error.replacen("template: :", &format!("template: {name}:"), 1).replacen(
        "executing \"\"",
        &format!("executing {name:?}"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: &str) -> Result<String, String> {
        let one = template(format, "version").map_err(|e| e.message)?;
        let options = Options { missing: Missing::Error, purpose: Purpose::Data, clean: false };
        one.template.render(&host::version(), options).map_err(|e| named(&e, one.name))
    }

    #[test]
    fn fields_exist_or_are_errors() {
        assert_eq!(shown("{{.Server.Version}}").unwrap(), VERSION);
        assert_eq!(shown("{{ .Client.Os }} {{.Client.APIVersion}}").unwrap(), format!("linux {API}"));
        assert!(shown("json").unwrap().starts_with("{\"Client\":{\"Version\":"));
        assert_eq!(
            shown("{{.Nosuch}}").unwrap_err(),
            "template: version:1:2: executing \"version\" at <.Nosuch>: can't evaluate field Nosuch in type system.versionInfo"
        );
        assert_eq!(template("{{", "version").err().unwrap().kind.exit_code(), 64);
    }

    #[test]
    fn one_line_under_either_name() {
        assert!(line("hardrun").starts_with(&format!("hardrun version {VERSION}")));
        assert_eq!(line("docker"), format!("Docker version {VERSION}, build hardrun"));
    }
}
