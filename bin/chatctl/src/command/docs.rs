//! `completions` and `man`: made from the same description as the help.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use clap::Command;
use clap_complete::Shell;

use crate::{
    ClientError,
    args::{self, DocsCommand},
    output::stdout_error,
};

pub(super) fn print(command: &DocsCommand) -> Result<(), ClientError> {
    match command {
        DocsCommand::Completions { shell } => completions(*shell),
        DocsCommand::Man { dir } => man(dir.as_deref()),
    }
}

fn completions(shell: Shell) -> Result<(), ClientError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "chatctl", &mut script);
    io::stdout().lock().write_all(&script).map_err(stdout_error)
}

fn man(dir: Option<&Path>) -> Result<(), ClientError> {
    let mut command = args::command();
    command.build();
    let Some(dir) = dir else {
        return io::stdout().lock().write_all(&page(&command)?).map_err(stdout_error);
    };
    pages(&command, dir)
}

/// The page of a command, and those of everything below it.
fn pages(command: &Command, dir: &Path) -> Result<(), ClientError> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = dir.join(format!("{name}.1"));
    fs::write(&path, page(command)?).map_err(|source| ClientError::Io {
        action: format!("writing {}", path.display()),
        source,
    })?;
    let below = command.get_subcommands().filter(|below| below.get_name() != "help");
    below.into_iter().try_for_each(|below| pages(below, dir))
}

fn page(command: &Command) -> Result<Vec<u8>, ClientError> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page).map_err(stdout_error)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        man(Some(dir.path())).unwrap();
        for name in ["chatctl", "chatctl-send", "chatctl-account-delete", "chatctl-cluster-verify"]
        {
            let page = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
            assert!(page.contains("Example"), "{name} has no example");
        }
    }
}
