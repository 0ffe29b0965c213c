//! The cluster: its status, and who is in it.

use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Client, call::Key};
use crate::{
    ClientError,
    types::{ClusterStatus, decimal},
};

/// Where a change stands in the log.
#[derive(Deserialize)]
struct Changed {
    #[serde(deserialize_with = "decimal::deserialize")]
    index: u64,
}

impl Client {
    /// The cluster as the answering node sees it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn cluster(&self) -> Result<ClusterStatus, ClientError> {
        self.get(vec!["cluster"], Vec::new()).await
    }

    /// Admits a node, which becomes a voter by itself once it has caught up. Gives the log index of
    /// the change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_node(&self, node: u64, peer: &str, client: &str) -> Result<u64, ClientError> {
        let body = json!({"node": node, "peer": peer, "client": client});
        self.change(Method::POST, &["nodes"], Some(body)).await
    }

    /// Has a node leave for good. Gives the log index of the change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_node(&self, node: u64) -> Result<u64, ClientError> {
        self.change(Method::DELETE, &["nodes", &node.to_string()], None).await
    }

    /// Takes a node whose disk is lost for a new one under its old number. With that disk, as the status
    /// tells it, it is done already when the number has another one by now. Gives the log index of the
    /// change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn replace_node(&self, node: u64, disk: Option<&str>) -> Result<u64, ClientError> {
        let body = json!({"disk": disk});
        self.change(Method::POST, &["nodes", &node.to_string(), "replace"], Some(body)).await
    }

    /// Has the leader hand over, to this node or to the best there is. Gives the log index at which it
    /// began to.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn transfer(&self, to: Option<u64>) -> Result<u64, ClientError> {
        self.change(Method::POST, &["transfer"], Some(json!({"to": to}))).await
    }

    /// Has a node lead no more until it is started again, or undoes that.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn drain_node(&self, node: u64, undo: bool) -> Result<(), ClientError> {
        let node = node.to_string();
        let path = vec!["admin", "cluster", "nodes", &node, "drain"];
        let method = if undo { Method::DELETE } else { Method::POST };
        self.write(method, path, None, Key::Fresh).await?;
        Ok(())
    }

    async fn change(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Value>,
    ) -> Result<u64, ClientError> {
        let path = ["admin", "cluster"].iter().chain(path).copied().collect();
        let changed: Changed = self.write(method, path, body, Key::Fresh).await?.json()?;
        Ok(changed.index)
    }
}
