//! `channels` and `channel create|join|leave|invite|members`.

use serde_json::json;

use super::app::{App, Cut};
use crate::{Channel, ClientError, output::visible_line};

pub(super) async fn list(app: &App, glob: Option<&str>, cut: Cut) -> Result<(), ClientError> {
    let client = app.client()?;
    let fetch = async |after: Option<&str>, limit| client.channels(glob, after, Some(limit)).await;
    app.list(cut, fetch, text).await
}

fn text(channel: &Channel) -> String {
    let private = if channel.private { " (private)" } else { "" };
    let topic = match channel.topic.as_deref() {
        None | Some("") => String::new(),
        Some(topic) => format!(": {}", visible_line(topic)),
    };
    format!("#{}{private}{topic}", visible_line(&channel.name))
}

pub(super) async fn create(
    app: &App,
    name: &str,
    private: bool,
    topic: Option<&str>,
) -> Result<(), ClientError> {
    let channel = app.client()?.create_channel(name, private, topic).await?;
    app.output.item(&channel, &format!("made {}", text(&channel)))
}

pub(super) async fn join(app: &App, name: &str) -> Result<(), ClientError> {
    app.client()?.join(name).await?;
    app.output.item(&json!({"channel": name, "member": true}), &format!("joined #{name}"))
}

pub(super) async fn leave(app: &App, name: &str) -> Result<(), ClientError> {
    app.client()?.leave(name).await?;
    app.output.item(&json!({"channel": name, "member": false}), &format!("left #{name}"))
}

pub(super) async fn invite(app: &App, name: &str, user: &str) -> Result<(), ClientError> {
    app.client()?.invite(name, user).await?;
    let text = format!("{user} may join #{name} now: chatctl channel join {name}");
    app.output.item(&json!({"channel": name, "invited": user}), &text)
}

pub(super) async fn members(app: &App, name: &str) -> Result<(), ClientError> {
    let client = app.client()?;
    let mut after = None;
    loop {
        let page = client.members(name, after.as_deref()).await?;
        for user in &page.items {
            app.output.item(user, &visible_line(&user.name))?;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}
