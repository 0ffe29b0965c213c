//! `follow`: messages live, over failovers, without gap or repeat.

use serde_json::json;

use super::app::App;
use crate::{ClientError, Event, EventKind, Target, output::visible_line};

pub(super) async fn follow(
    app: &App,
    only: &[Target],
    since: Option<u64>,
) -> Result<(), ClientError> {
    let client = app.client()?;
    let wanted: Vec<String> = only.iter().map(ToString::to_string).collect();
    let mut events = client.follow(since);
    let mut stood = false;
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _interrupt = tokio::signal::ctrl_c() => return Ok(()),
        };
        if event.kind == EventKind::Ready {
            let node = events.endpoint().unwrap_or_default();
            if stood {
                app.output.note(&format!("connected again, to {node}"));
            } else {
                app.output.note(&format!("following on {node}; Ctrl-C ends"));
            }
            stood = true;
        }
        show(app, &event, &wanted)?;
    }
}

fn show(app: &App, event: &Event, wanted: &[String]) -> Result<(), ClientError> {
    match (event.kind, &event.message) {
        (EventKind::Message | EventKind::Edited | EventKind::Deleted, Some(message))
            if wanted.is_empty() || wanted.contains(&message.conversation) =>
        {
            app.output.message(message)
        }
        (EventKind::Account, _) => gone(app, event),
        (EventKind::Resync, _) => {
            app.output
                .note("edits and deletions may have been missed meanwhile; new messages were not");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// An account was deleted: its erased messages are told of in no other way.
fn gone(app: &App, event: &Event) -> Result<(), ClientError> {
    let Some(user) = &event.user else { return Ok(()) };
    if app.output.is_json() {
        let cursor = event.cursor.map(|cursor| cursor.to_string());
        let object = json!({
            "type": "account", "cursor": cursor, "user": user, "deleted": true,
            "erased": event.erased,
        });
        return app.output.item(&object, "");
    }
    let messages = if event.erased { "their messages are deleted" } else { "their messages stay" };
    app.output.note(&format!("{} deleted the account; {messages}", visible_line(user)));
    Ok(())
}
