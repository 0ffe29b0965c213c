//! `mark`, `edit` and `delete`.

use serde_json::json;

use super::app::App;
use crate::{ClientError, Finding, HistoryQuery, Target, output::visible_line};

pub(super) async fn mark(app: &App, to: &Target, upto: Option<u64>) -> Result<(), ClientError> {
    let client = app.client()?;
    let upto = match upto {
        Some(upto) => upto,
        None => {
            let query = HistoryQuery { limit: Some(1), ..HistoryQuery::default() };
            let newest = client.history(to, query).await?;
            newest.items.last().map_or(0, |message| message.seq)
        }
    };
    client.mark_read(to, upto).await?;
    let text = format!("{to} is read up to {upto}");
    app.output.item(&json!({"conversation": to.to_string(), "read_upto": upto}), &text)
}

pub(super) async fn edit(app: &App, id: u64, text: &str) -> Result<(), ClientError> {
    let message = app.client()?.edit(id, text).await.map_err(|error| about(id, error))?;
    app.output.message(&message)
}

/// Deletes one after the other, and says of each what became of it. A refusal does not keep the others.
pub(super) async fn delete(app: &App, ids: &[u64]) -> Result<(), ClientError> {
    let mut refused = 0;
    for id in ids {
        match delete_one(app, *id).await {
            Ok(()) => {}
            Err(error @ ClientError::Refused { status, .. }) if status != 401 && ids.len() > 1 => {
                app.output.error(&error);
                refused += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if refused == 0 {
        return Ok(());
    }
    Err(ClientError::Found {
        finding: Finding::PartlyRefused,
        message: format!("{refused} of {} messages could not be deleted", ids.len()),
        hint: Some("the reason stands above, for each; the others are done".to_owned()),
    })
}

async fn delete_one(app: &App, id: u64) -> Result<(), ClientError> {
    let (client, me) = (app.client()?, app.user()?);
    let message = client.message(id).await.map_err(|error| about(id, error))?;
    let done = if message.deleted {
        "was deleted already"
    } else {
        client.delete(id).await.map_err(|error| about(id, error))?;
        if message.author == me { "deleted for everyone" } else { "hidden for you" }
    };
    let kind = match done {
        "deleted for everyone" => "everyone",
        "hidden for you" => "you",
        _ => "nobody",
    };
    let conversation = visible_line(&message.conversation);
    let object = json!({
        "id": id.to_string(), "conversation": message.conversation, "seq": message.seq,
        "deleted": true, "text": null, "deleted_for": kind,
    });
    app.output.item(&object, &format!("{id} {conversation} {done}"))
}

/// Says which message a refusal is about.
fn about(id: u64, error: ClientError) -> ClientError {
    let ClientError::Refused { status, code, message, hint } = error else { return error };
    let message = if status == 401 { message } else { format!("message {id}: {message}") };
    ClientError::Refused { status, code, message, hint }
}
