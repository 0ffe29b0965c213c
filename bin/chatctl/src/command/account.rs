//! `register`, `login`, `logout`, `whoami`, `passwd`, `account sessions`, `users`.

use std::time::Duration;

use comfy_table::{Table, presets};
use serde_json::json;
use tokio::time::timeout;

use super::{
    app::{App, Cut},
    password,
};
use crate::{
    Client, ClientError, Signed, User,
    args::{NewPasswordArgs, PasswordArgs},
    output::{columns, visible_line},
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
    let (name, role) = (visible_line(&signed.user.name), visible_line(&signed.user.role));
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
    let text =
        format!("{} ({}), {} unread", visible_line(&me.name), visible_line(&me.role), me.unread);
    app.output.item(&me, &text)
}

pub(super) async fn passwd(app: &App, args: &NewPasswordArgs) -> Result<(), ClientError> {
    let name = app.user()?;
    let (present, new) = password::obtain_new(app, args, name)?;
    app.client()?.set_password(&present, &new).await?;
    let text =
        format!("the password of {} is changed; every other login has ended", visible_line(name));
    app.output.item(&json!({"user": {"name": name}}), &text)
}

pub(super) async fn sessions(app: &mut App, end: Option<u64>) -> Result<(), ClientError> {
    match end {
        None => list_sessions(app).await,
        Some(id) => end_session(app, id).await,
    }
}

async fn list_sessions(app: &App) -> Result<(), ClientError> {
    let logins = app.client()?.logins().await?;
    if app.output.is_json() {
        return logins.iter().try_for_each(|login| app.output.item(login, ""));
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["id", "since", "until", ""]);
    for login in &logins {
        let here = if login.current { "this one" } else { "" };
        table.add_row([
            login.id.to_string(),
            app.output.time(&login.opened),
            app.output.time(&login.expires),
            here.to_owned(),
        ]);
    }
    app.output.line(&columns(&table))
}

async fn end_session(app: &mut App, id: u64) -> Result<(), ClientError> {
    let client = app.client()?;
    let is_this = client.logins().await?.iter().any(|login| login.id == id && login.current);
    client.end_login(id).await?;
    if is_this {
        app.signed_out()?;
    }
    let text = if is_this {
        "this login has ended".to_owned()
    } else {
        format!("the login {id} has ended")
    };
    app.output.item(&json!({"id": id.to_string(), "ended": true, "current": is_this}), &text)
}

pub(super) async fn users(app: &App, glob: Option<&str>, cut: Cut) -> Result<(), ClientError> {
    let client = app.client()?;
    let fetch = async |after: Option<&str>, limit| client.users(glob, after, Some(limit)).await;
    let text = |user: &User| {
        let note = if user.deleted { " (deleted)" } else { "" };
        format!("{} {}{note}", visible_line(&user.name), visible_line(&user.role))
    };
    app.list(cut, fetch, text).await
}
