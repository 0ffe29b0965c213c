//! `register`, `login`, `logout`, `whoami`, `users`.

use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use super::{app::App, password};
use crate::{
    Client, ClientError, Signed, args::PasswordArgs, client::PAGE_ITEMS_MAX, output::visible,
};

/// How long a login waits to learn the other nodes of the cluster.
const DISCOVERY_LIMIT: Duration = Duration::from_secs(2);

pub(super) async fn register(
    app: &mut App,
    name: &str,
    invite: Option<&str>,
    args: &PasswordArgs,
) -> Result<(), ClientError> {
    let password = password::obtain(app, args, name, true)?;
    let signed = app.anonymous().register(name, &password, invite).await?;
    welcome(app, &signed, "registered").await
}

pub(super) async fn login(
    app: &mut App,
    name: &str,
    args: &PasswordArgs,
) -> Result<(), ClientError> {
    let password = password::obtain(app, args, name, false)?;
    let signed = app.anonymous().login(name, &password).await?;
    welcome(app, &signed, "logged in").await
}

async fn welcome(app: &mut App, signed: &Signed, what: &str) -> Result<(), ClientError> {
    let nodes = discover(app.anonymous()).await;
    app.signed_in(signed, nodes)?;
    let shown = json!({
        "user": &signed.user, "expires": &signed.expires, "unread": signed.unread.unwrap_or(0),
    });
    let unread = match signed.unread {
        Some(unread) if unread > 0 => format!(", {unread} unread"),
        _ => String::new(),
    };
    let (name, role) = (visible(&signed.user.name), visible(&signed.user.role));
    app.output.item(&shown, &format!("{what} as {name} ({role}){unread}"))
}

/// The public addresses of all nodes, as far as one tells them in time. Best effort: a login is complete
/// without.
async fn discover(client: &Client) -> Vec<String> {
    match timeout(DISCOVERY_LIMIT, client.cluster()).await {
        Ok(Ok(cluster)) => cluster
            .nodes
            .into_iter()
            .filter_map(|node| node.client?.parse::<crate::Endpoint>().ok())
            .map(|endpoint| endpoint.to_string())
            .collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}

pub(super) async fn logout(app: &mut App) -> Result<(), ClientError> {
    let name = app.user()?.to_owned();
    match app.client()?.logout().await {
        Ok(()) => {}
        // The session is over already: the same end.
        Err(ClientError::Refused { status: 401, .. }) => {}
        Err(error) => return Err(error),
    }
    app.signed_out()?;
    app.output.item(&json!({"user": {"name": name}}), &format!("{name} is logged out"))
}

pub(super) async fn whoami(app: &App) -> Result<(), ClientError> {
    let me = app.client()?.me().await?;
    let text = format!("{} ({}), {} unread", visible(&me.name), visible(&me.role), me.unread);
    app.output.item(&me, &text)
}

pub(super) async fn users(
    app: &App,
    glob: Option<&str>,
    limit: u64,
    mut after: Option<String>,
) -> Result<(), ClientError> {
    let client = app.client()?;
    let mut left = limit;
    while left > 0 {
        let page = client.users(glob, after.as_deref(), Some(left.min(PAGE_ITEMS_MAX))).await?;
        left = left.saturating_sub(u64::try_from(page.items.len()).unwrap_or(u64::MAX));
        for user in &page.items {
            let note = if user.deleted { " (deleted)" } else { "" };
            let text = format!("{} {}{note}", visible(&user.name), visible(&user.role));
            app.output.item(user, &text)?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
    if let Some(next) = after {
        app.output.note(&format!("there are more: continue with --after {}", visible(&next)));
    }
    Ok(())
}
