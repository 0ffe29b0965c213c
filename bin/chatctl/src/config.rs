//! The configuration file and the environment, resolved to what a command works with.
//!
//! ```toml
//! endpoints = ["https://chat1.example.org:7411", "https://chat2.example.org:7411"]
//! ca = "ca.pem"                      # relative to this file
//! [profiles.ops]
//! endpoints = ["https://10.0.0.1:7411"]
//! password_command = "pass show chat"
//! ```
//!
//! A profile inherits what it does not set; one that the file does not name is the top level under a login
//! of its own. Without any endpoint the five nodes of `node dev` on this machine are meant.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{ClientError, Endpoint, args::Global};

const DEFAULT_PROFILE: &str = "default";
const PROFILE_BYTES_MAX: usize = 64;
/// The client ports of the five nodes of `node dev`.
const DEV_PORTS: [u16; 5] = [7411, 7421, 7431, 7441, 7451];

/// What a command works with.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) profile: String,
    pub(crate) endpoints: Vec<Endpoint>,
    /// Whether the endpoints were given for this very run, and so are not to be added to.
    pub(crate) exactly: bool,
    /// Whether nobody named an endpoint, and those of `node dev` are tried.
    pub(crate) guessed: bool,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) password_command: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    endpoints: Option<Vec<String>>,
    ca: Option<PathBuf>,
    password_command: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, RawProfile>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawProfile {
    endpoints: Option<Vec<String>>,
    ca: Option<PathBuf>,
    password_command: Option<String>,
}

impl Config {
    /// Resolves flags, environment, file and defaults.
    pub(crate) fn load(global: &Global) -> Result<Self, ClientError> {
        let given = global.config.as_deref().filter(|path| !path.as_os_str().is_empty());
        let file = given.map_or_else(default_file, |path| Some(path.to_owned()));
        let raw = match &file {
            Some(path) => read(path, given.is_some())?,
            None => Raw::default(),
        };
        let from_env = env::var("HOLDFAST_ENDPOINTS").ok();
        resolve(global, raw, file.as_deref(), from_env.as_deref())
    }
}

fn resolve(
    global: &Global,
    mut raw: Raw,
    file: Option<&Path>,
    from_env: Option<&str>,
) -> Result<Config, ClientError> {
    let profile = match global.profile.as_deref() {
        None | Some("") => DEFAULT_PROFILE.to_owned(),
        Some(name) => checked_profile(name)?,
    };
    let own = raw.profiles.remove(&profile).unwrap_or_default();
    let from_env: Vec<_> = from_env
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|endpoint| !endpoint.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let exactly = !global.endpoint.is_empty() || !from_env.is_empty();
    let mut guessed = false;
    let endpoints = if !global.endpoint.is_empty() {
        global.endpoint.clone()
    } else if !from_env.is_empty() {
        from_env
    } else {
        match own.endpoints.or(raw.endpoints) {
            Some(listed) => {
                listed.iter().map(|endpoint| endpoint.parse()).collect::<Result<_, _>>()?
            }
            None => {
                guessed = true;
                dev_endpoints()?
            }
        }
    };
    let beside = |path: PathBuf| match file.and_then(Path::parent) {
        Some(folder) => folder.join(path),
        None => path,
    };
    Ok(Config {
        profile,
        endpoints,
        exactly,
        guessed,
        ca: global.ca.clone().or_else(|| own.ca.or(raw.ca).map(beside)),
        password_command: own.password_command.or(raw.password_command),
    })
}

fn checked_profile(name: &str) -> Result<String, ClientError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() <= PROFILE_BYTES_MAX && !name.starts_with('.') && name.chars().all(plain) {
        return Ok(name.to_owned());
    }
    Err(ClientError::usage_hint(
        format!("{name:?} is not a profile name"),
        format!("use 1 to {PROFILE_BYTES_MAX} letters, digits, . _ - and no leading dot"),
    ))
}

fn dev_endpoints() -> Result<Vec<Endpoint>, ClientError> {
    DEV_PORTS.iter().map(|port| format!("http://127.0.0.1:{port}").parse()).collect()
}

fn default_file() -> Option<PathBuf> {
    Some(xdg("XDG_CONFIG_HOME", ".config")?.join("holdfast").join("chatctl.toml"))
}

/// An XDG base directory: the variable when it is an absolute path, else the default under `$HOME`.
pub(crate) fn xdg(variable: &str, under_home: &str) -> Option<PathBuf> {
    let set = env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    set.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(under_home)))
}

fn read(path: &Path, must_exist: bool) -> Result<Raw, ClientError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => {
            return Ok(Raw::default());
        }
        Err(error) => {
            return Err(ClientError::usage(format!("configuration {}: {error}", path.display())));
        }
    };
    toml::from_str(&text).map_err(|error| {
        ClientError::usage_hint(
            format!("configuration {}: {}", path.display(), error.to_string().trim_end()),
            "allowed are endpoints, ca, password_command, and the same under [profiles.NAME]",
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Cli;

    const FILE: &str = r#"
        endpoints = ["https://a:1", "https://b:1"]
        ca = "ca.pem"
        [profiles.ops]
        endpoints = ["https://c:1"]
        password_command = "pass show chat"
    "#;

    fn config(flags: &[&str], text: &str, from_env: Option<&str>) -> Result<Config, ClientError> {
        let words = ["chatctl", "whoami"].iter().chain(flags);
        let global = Cli::try_parse_from(words).unwrap().global;
        let raw = toml::from_str(text).unwrap();
        resolve(&global, raw, Some(Path::new("/etc/holdfast/chatctl.toml")), from_env)
    }

    fn endpoints(config: &Config) -> Vec<String> {
        config.endpoints.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let all = config(&["--endpoint", "https://f:1"], FILE, Some("https://e:1")).unwrap();
        assert_eq!((endpoints(&all), all.exactly), (vec!["https://f:1".to_owned()], true));
        let environment = config(&[], FILE, Some("https://e:1,https://e:2")).unwrap();
        assert_eq!(endpoints(&environment), ["https://e:1", "https://e:2"]);
        let file = config(&[], FILE, None).unwrap();
        assert_eq!(endpoints(&file), ["https://a:1", "https://b:1"]);
        assert!(!file.exactly);
        let default = config(&[], "", None).unwrap();
        assert_eq!(default.endpoints.len(), DEV_PORTS.len());
        assert_eq!(endpoints(&default)[0], "http://127.0.0.1:7411");
        assert!(default.guessed && !file.guessed && !environment.guessed && !all.guessed);
    }

    #[test]
    fn a_profile_inherits_what_it_does_not_set() {
        let ops = config(&["--profile", "ops"], FILE, None).unwrap();
        assert_eq!(endpoints(&ops), ["https://c:1"]);
        assert_eq!(ops.ca.unwrap(), Path::new("/etc/holdfast/ca.pem"));
        assert_eq!(ops.password_command.unwrap(), "pass show chat");
        let unnamed = config(&["--profile", "alice"], FILE, None).unwrap();
        assert_eq!(unnamed.profile, "alice");
        assert_eq!(endpoints(&unnamed), ["https://a:1", "https://b:1"]);
    }

    #[test]
    fn a_profile_name_cannot_leave_its_directory() {
        for wrong in ["../x", ".x", "a/b", "ä"] {
            let refused = config(&["--profile", wrong], "", None).unwrap_err();
            assert_eq!(refused.exit_code(), 2, "{wrong}");
        }
        let longest = "x".repeat(PROFILE_BYTES_MAX);
        config(&["--profile", &longest], "", None).unwrap();
        config(&["--profile", &(longest + "x")], "", None).unwrap_err();
    }

    #[test]
    fn an_unknown_key_is_refused_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chatctl.toml");
        std::fs::write(&path, "endpoints = []\nendpoint = 1\n").unwrap();
        let error = read(&path, true).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("chatctl.toml") && text.contains("line 2"), "{text}");
        assert!(text.contains("endpoint"), "{text}");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn secrets_do_not_go_over_plain_http_but_to_loopback() {
        for fine in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "https://x"] {
            assert!(fine.parse::<Endpoint>().is_ok(), "{fine}");
        }
        for wrong in ["http://10.0.0.1:1", "http://x:1", "ftp://x", "x:1", "https://x/path"] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
