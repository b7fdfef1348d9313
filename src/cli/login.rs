//! `hardrun login`

use super::Context;
use super::registry_flags::ContactFlags;
use crate::error::{Context as _, Error, Result};
use crate::image::registry::{self, Credential, Kept, Options, Secret, Server};
use crate::request::parse_bool;
use crate::ui;
use std::io::{IsTerminal, Read, Write};

/// A password longer than this is something else on standard input.
const PASSWORD_MAX: u64 = 64 << 10;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Password or access token; other users of this machine can see it in the process list
    #[arg(short, long, value_name = "PASSWORD")]
    password: Option<String>,
    /// Read the password or access token from standard input
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = parse_bool, default_value = "false", hide_default_value = true, value_name = "BOOL")]
    password_stdin: bool,
    /// User name
    #[arg(short, long, value_name = "USER")]
    username: Option<String>,
    #[command(flatten)]
    contact: ContactFlags,
    /// Registry; docker.io without one
    #[arg(value_name = "SERVER")]
    server: Option<String>,
}

pub fn run(args: Args, ctx: &Context) -> Result<u8> {
    let Args { password, password_stdin, username, contact, server } = args;
    let server = Server::parse(server.as_deref())?;
    let options = contact.options();
    let user = username.filter(|u| !u.is_empty());
    if password.is_some() && password_stdin {
        return Err(Error::verb("conflicting options: cannot specify both --password and --password-stdin"));
    }
    if password.is_some() {
        // Docker's line.
        eprintln!("WARNING! Using --password via the CLI is insecure. Use --password-stdin.");
    }
    let secret = match password {
        Some(password) => Some(password),
        None if password_stdin && user.is_none() => {
            return Err(Error::verb("the --password-stdin option requires --username to be set"));
        }
        None if password_stdin => Some(from_stdin()?),
        None => None,
    };
    let secret = secret.filter(|s| !s.is_empty());
    if user.is_none()
        && secret.is_none()
        && let Some(known) = server.known()?
        && again(ctx, &server, known, &options)?
    {
        return Ok(0);
    }
    let credential = match (user, secret) {
        (Some(user), Some(secret)) => Credential::Password { user, secret: Secret::new(secret) },
        (user, secret) => ask(user, secret)?,
    };
    let login = registry::login(&ctx.paths, &server, credential, &options)?;
    if let Kept::File(file) = &login.kept {
        // Docker's words.
        eprintln!(
            "\nWARNING! Your credentials are stored unencrypted in '{}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n",
            ui::clean(&file.display().to_string())
        );
    }
    ui::stdout("Login Succeeded\n")?;
    Ok(0)
}

/// With what is known already; `false` where the registry does not take that any more and somebody can be asked.
fn again(ctx: &Context, server: &Server, known: Credential, options: &Options) -> Result<bool> {
    if let Credential::Password { user, .. } = &known {
        eprintln!("Authenticating with existing credentials... [Username: {}]", ui::clean(user));
        eprintln!("\n Info -> To login with a different account, run 'docker logout' followed by 'docker login'\n\n");
    } else {
        eprintln!("Authenticating with existing credentials...");
    }
    match registry::login(&ctx.paths, server, known, options) {
        Ok(_) => {
            ui::stdout("Login Succeeded\n")?;
            Ok(true)
        }
        Err(e) if std::io::stdin().is_terminal() => {
            eprintln!("Login did not succeed, error: {}", ui::clean(&e.message));
            Ok(false)
        }
        Err(e) => Err(e),
    }
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(PASSWORD_MAX).read_to_string(&mut text);
    read.verb_context(|| "reading the password from standard input".into())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

/// What is missing, from a terminal.
fn ask(user: Option<String>, secret: Option<String>) -> Result<Credential> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::verb("Cannot perform an interactive login from a non TTY device")
            .hint("… | hardrun login -u USER --password-stdin SERVER"));
    }
    let user = match user {
        Some(user) => user,
        None => prompt("Username: ")?,
    };
    if user.is_empty() {
        return Err(Error::verb("username is required"));
    }
    let secret = match secret {
        Some(secret) => secret,
        None => without_echo(|| prompt("Password: "))?,
    };
    if secret.is_empty() {
        return Err(Error::verb("password is required"));
    }
    Ok(Credential::Password { user, secret: Secret::new(secret) })
}

fn prompt(text: &str) -> Result<String> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).verb_context(|| "cannot write to stdout".into())?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).verb_context(|| "reading from the terminal".into())?;
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

fn without_echo(read: impl FnOnce() -> Result<String>) -> Result<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let say = || "hiding what is typed".to_owned();
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).verb_context(say)?;
    let mut quiet = before.clone();
    quiet.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &quiet).verb_context(say)?;
    let answer = read();
    tcsetattr(&stdin, OptionalActions::Now, &before).verb_context(say)?;
    ui::stdout("\n")?;
    answer
}
