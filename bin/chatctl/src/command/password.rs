//! Where a password comes from: stdin when asked for, the environment, the profile's command, a prompt.
//!
//! Never from an argument, which everybody on the machine can see, and never echoed.

use std::{
    io::{self, BufRead, IsTerminal},
    process::{Command, Stdio},
};

use super::app::App;
use crate::{
    ClientError,
    args::{NewPasswordArgs, PasswordArgs},
};

/// Bytes of the longest password that is read.
const PASSWORD_BYTES_MAX: u64 = 4096;

/// The password; a new one is asked for twice.
pub(super) fn obtain(
    app: &App,
    args: &PasswordArgs,
    name: &str,
    is_new: bool,
) -> Result<String, ClientError> {
    if args.password_stdin {
        return first_line(io::stdin().lock(), "stdin");
    }
    if let Ok(password) = std::env::var("HOLDFAST_PASSWORD") {
        return Ok(password);
    }
    if let Some(command) = &app.config.password_command {
        return from_command(command);
    }
    if app.no_input || !io::stderr().is_terminal() && !io::stdin().is_terminal() {
        return Err(ClientError::usage_hint(
            "no password: there is nobody to ask",
            "use --password-stdin, HOLDFAST_PASSWORD or password_command in the profile",
        ));
    }
    let password = ask(&format!("Password for {name}: "))?;
    if is_new && ask("Again: ")? != password {
        return Err(ClientError::usage("the two passwords differ; nothing was done"));
    }
    Ok(password)
}

/// The present password, and the new one that takes its place.
pub(super) fn obtain_new(
    app: &App,
    args: &NewPasswordArgs,
    name: &str,
) -> Result<(String, String), ClientError> {
    if args.password_stdin {
        let mut stdin = io::stdin().lock();
        let present = first_line(&mut stdin, "the first line of stdin")?;
        return Ok((present, first_line(&mut stdin, "the second line of stdin")?));
    }
    if app.no_input || !io::stdin().is_terminal() {
        return Err(ClientError::usage_hint(
            "no new password: there is nobody to ask",
            "use --password-stdin, with the present password on the first line and the new one on the second",
        ));
    }
    let present = obtain(app, &PasswordArgs { password_stdin: false }, name, false)?;
    let new = ask(&format!("New password for {name}: "))?;
    if ask("Again: ")? != new {
        return Err(ClientError::usage("the two passwords differ; nothing was done"));
    }
    Ok((present, new))
}

fn ask(prompt: &str) -> Result<String, ClientError> {
    rpassword::prompt_password(prompt).map_err(|source| ClientError::Usage {
        message: format!("the terminal cannot be asked for the password: {source}"),
        hint: Some("use --password-stdin or HOLDFAST_PASSWORD".to_owned()),
    })
}

fn from_command(command: &str) -> Result<String, ClientError> {
    let wrong = |what: String| ClientError::usage(format!("password_command {command:?}: {what}"));
    let made = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| wrong(error.to_string()))?;
    if !made.status.success() {
        return Err(wrong(made.status.to_string()));
    }
    first_line(made.stdout.as_slice(), "password_command")
}

fn first_line(from: impl BufRead, what: &str) -> Result<String, ClientError> {
    let mut line = String::new();
    from.take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|error| ClientError::usage(format!("no password from {what}: {error}")))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(ClientError::usage(format!("no password from {what}: it is empty")));
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line() {
        assert_eq!(first_line(&b"secret word\r\nmore"[..], "x").unwrap(), "secret word");
        assert_eq!(first_line(&b" kept "[..], "x").unwrap(), " kept ");
        assert_eq!(first_line(&b""[..], "x").unwrap_err().exit_code(), 2);
        assert_eq!(first_line(&b"\n"[..], "x").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_password_command_speaks_or_fails() {
        assert_eq!(from_command("printf 'a b\\nc'").unwrap(), "a b");
        let failed = from_command("exit 3").unwrap_err().to_string();
        assert!(failed.contains("exit 3") && failed.contains("exit status: 3"), "{failed}");
    }
}
