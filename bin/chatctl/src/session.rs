//! A login between two runs: the token, for whom, and which nodes it belongs to.
//!
//! One file per profile under `$XDG_STATE_HOME/holdfast`, readable by its owner only. A token is only ever
//! sent to nodes of the cluster that issued it: those it was obtained from, and those they named.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{ClientError, Endpoint, config};

/// What is kept between runs.
#[derive(Clone, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Session {
    pub(crate) user: String,
    pub(crate) token: String,
    #[serde(default)]
    pub(crate) expires: Option<String>,
    /// The nodes of the cluster, the one that answered last first.
    #[serde(default)]
    pub(crate) endpoints: Vec<String>,
    /// The log index that session reads must have seen.
    #[serde(default)]
    pub(crate) index: u64,
}

/// Where the session of one profile is kept.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
}

impl Session {
    /// Whether the token belongs to the cluster of one of these nodes.
    pub(crate) fn belongs_to(&self, endpoints: &[Endpoint]) -> bool {
        endpoints.iter().any(|endpoint| self.endpoints.contains(&endpoint.to_string()))
    }
}

impl Store {
    pub(crate) fn new(profile: &str) -> Result<Self, ClientError> {
        let folder = config::xdg("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
            ClientError::usage_hint("no place for the login", "set HOME or XDG_STATE_HOME")
        })?;
        Ok(Self { path: folder.join("holdfast").join(format!("{profile}.json")) })
    }

    /// The session, or none when nobody is logged in.
    pub(crate) fn load(&self) -> Result<Option<Session>, ClientError> {
        match fs::read(&self.path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
                ClientError::usage_hint(
                    format!("login file {}: {error}", self.path.display()),
                    "remove it and log in again",
                )
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.wrong(error)),
        }
    }

    /// Replaces the session in one step.
    pub(crate) fn save(&self, session: &Session) -> Result<(), ClientError> {
        self.replace(session).map_err(|error| self.wrong(error))
    }

    fn replace(&self, session: &Session) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Another run may replace it at the same time: each has a file of its own until the rename.
        let fresh = self.path.with_extension(format!("{}.new", std::process::id()));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)?;
        file.write_all(&serde_json::to_vec(session)?)?;
        drop(file);
        fs::rename(&fresh, &self.path)
    }

    /// Forgets the session.
    pub(crate) fn remove(&self) -> Result<(), ClientError> {
        match fs::remove_file(&self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(self.wrong(error)),
        }
    }

    fn wrong(&self, source: io::Error) -> ClientError {
        ClientError::Io { action: format!("login file {}", self.path.display()), source }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_login_is_kept_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store { path: folder.path().join("holdfast").join("default.json") };
        assert!(store.load().unwrap().is_none());
        let session = Session { user: "alice".to_owned(), index: 7, ..Session::default() };
        store.save(&session).unwrap();
        store.save(&session).unwrap();
        assert!(store.load().unwrap() == Some(session));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&store.path), 0o600);
        assert_eq!(mode(store.path.parent().unwrap()), 0o700);
        store.remove().unwrap();
        store.remove().unwrap();
        assert!(store.load().unwrap().is_none());
    }

    #[test]
    fn a_token_stays_with_its_cluster() {
        let endpoints = vec!["http://127.0.0.1:1".to_owned(), "https://a:1".to_owned()];
        let session = Session { endpoints, ..Session::default() };
        let at = |url: &str| vec![url.parse::<Endpoint>().unwrap()];
        assert!(session.belongs_to(&at("https://a:1")));
        assert!(session.belongs_to(&at("http://127.0.0.1:1/")));
        assert!(!session.belongs_to(&at("https://b:1")));
    }
}
