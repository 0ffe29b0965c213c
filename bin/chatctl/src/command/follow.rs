//! `follow`: messages live, over failovers, without gap or repeat.

use super::app::App;
use crate::{ClientError, Event, EventKind, Target};

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
        (EventKind::Resync, _) => {
            app.output.note("older events are gone; `chatctl read` shows what is kept");
            Ok(())
        }
        _ => Ok(()),
    }
}
