//! `send`: one message, from the command line or stdin.

use std::io::{self, IsTerminal, Read};

use super::app::App;
use crate::{ClientError, Outgoing, args::SendArgs};

/// Bytes of stdin that are read for one message; the cluster's own bound is lower.
const STDIN_BYTES_MAX: usize = 64 << 10;

pub(super) async fn send(app: &App, args: SendArgs) -> Result<(), ClientError> {
    let client = app.client()?;
    let text = match args.text {
        Some(text) => text,
        None => from_stdin(app)?,
    };
    let sent = client
        .send(&Outgoing {
            to: args.to,
            text,
            reply_to: args.reply_to,
            after_request: None,
            request_id: args.request_id,
        })
        .await?;
    let text = format!("id {} seq {} time {}", sent.id, sent.seq, app.output.time(&sent.time));
    app.output.item(&sent, &text)
}

fn from_stdin(app: &App) -> Result<String, ClientError> {
    if io::stdin().is_terminal() {
        if app.no_input {
            return Err(ClientError::usage("no text: give it as an argument or on stdin"));
        }
        app.output.note("type the message; Ctrl-D on a line of its own sends it");
    }
    let mut text = String::new();
    let most = u64::try_from(STDIN_BYTES_MAX).unwrap_or(u64::MAX);
    io::stdin()
        .take(most + 1)
        .read_to_string(&mut text)
        .map_err(|source| ClientError::Io { action: "reading stdin".to_owned(), source })?;
    if text.len() > STDIN_BYTES_MAX {
        return Err(ClientError::usage_hint(
            format!("the message on stdin is longer than {STDIN_BYTES_MAX} bytes"),
            "--lines sends each line as a message of its own",
        ));
    }
    let kept = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(kept);
    Ok(text)
}
