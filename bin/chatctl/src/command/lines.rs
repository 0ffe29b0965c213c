//! `send --lines`: every line of stdin a message, pipelined, in order, exactly once.

use std::{
    io::{self, BufRead, Read},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;

use super::app::App;
use crate::{ClientError, Stop, StreamSummary, Target};

/// Lines that are read ahead of the network.
const LINES_AHEAD_MAX: usize = 256;
const LINE_BYTES_MAX: usize = chat::limits::TEXT_BYTES_MAX;

pub(super) async fn send_lines(app: &App, to: &Target) -> Result<(), ClientError> {
    let client = app.client()?;
    let (sender, lines) = mpsc::channel(LINES_AHEAD_MAX);
    let failure = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&failure);
    std::thread::spawn(move || {
        let result = read_lines(io::stdin().lock(), |line| sender.blocking_send(line).is_ok());
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = result.err();
        // The channel closes after the failure is noted.
        drop(sender);
    });

    let progress = progress(app);
    let started = Instant::now();
    let (mut first, mut last) = (None, 0);
    let mut unwritten = None;
    let observer = |message: &crate::Message| {
        first = first.or(Some(message.id));
        last = message.id;
        progress.inc(1);
        if app.output.is_json() && unwritten.is_none() {
            unwritten = app.output.item(message, "").err();
        }
    };
    let summary = client.stream_send(to, lines, observer).await;
    progress.finish_and_clear();

    let ids = first.map_or(String::new(), |first| format!(", ids {first} to {last}"));
    let reconnects = match summary.reconnects {
        0 => String::new(),
        1 => ", 1 reconnect".to_owned(),
        more => format!(", {more} reconnects"),
    };
    app.output.note(&format!(
        "{} messages sent to {to} in {:.1} s{ids}{reconnects}",
        summary.acknowledged,
        started.elapsed().as_secs_f64(),
    ));
    let unread = failure.lock().unwrap_or_else(PoisonError::into_inner).take();
    conclude(summary, unread.or(unwritten))
}

/// The stream's own failure first; else that of input or output.
fn conclude(summary: StreamSummary, other: Option<ClientError>) -> Result<(), ClientError> {
    let Some(Stop { position, error }) = summary.stopped else {
        return other.map_or(Ok(()), Err);
    };
    let before = |what: String| {
        format!("message {position}: {what} (the {} before it are done)", position - 1)
    };
    Err(match error {
        ClientError::Refused { status, code, message, hint } => {
            ClientError::Refused { status, code, message: before(message), hint }
        }
        ClientError::Unavailable { detail } if position == 1 => ClientError::Unavailable { detail },
        // What was acknowledged stays done; the rest was not.
        ClientError::Unavailable { detail } => ClientError::Unavailable { detail: before(detail) },
        ClientError::Unknown { request_id, detail } => {
            ClientError::Unknown { request_id, detail: before(detail) }
        }
        other @ (ClientError::Usage { .. }
        | ClientError::Protocol { .. }
        | ClientError::Found { .. }
        | ClientError::Io { .. }) => other,
    })
}

fn progress(app: &App) -> ProgressBar {
    if !app.output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} sent, {per_sec}, {elapsed}")
        .unwrap_or_else(|_template| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

/// Passes on every line that is not empty, until the input ends or nobody wants more.
fn read_lines(
    mut input: impl BufRead,
    mut take: impl FnMut(String) -> bool,
) -> Result<(), ClientError> {
    let most = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX);
    for number in 1_u64.. {
        let mut line = Vec::new();
        // Two more than the longest: its newline, and one that shows that it is longer.
        (&mut input)
            .take(most + 2)
            .read_until(b'\n', &mut line)
            .map_err(|source| ClientError::Io { action: "reading stdin".to_owned(), source })?;
        if line.is_empty() {
            break;
        }
        let kept = line.trim_suffix_newline();
        if kept.len() > LINE_BYTES_MAX {
            let message = format!("line {number} of stdin is longer than {LINE_BYTES_MAX} bytes");
            return Err(ClientError::usage_hint(message, "the lines before it are sent"));
        }
        let text = std::str::from_utf8(kept).map_err(|error| {
            let message = format!("line {number} of stdin is no UTF-8: {error}");
            ClientError::usage_hint(message, "the lines before it are sent")
        })?;
        if text.is_empty() {
            continue;
        }
        chat::limits::text(text).map_err(|rejection| {
            let message = format!("line {number} of stdin: {}", rejection.message());
            ClientError::usage_hint(message, "the lines before it are sent")
        })?;
        if !take(text.to_owned()) {
            break;
        }
    }
    Ok(())
}

trait TrimNewline {
    fn trim_suffix_newline(&self) -> &[u8];
}

impl TrimNewline for Vec<u8> {
    fn trim_suffix_newline(&self) -> &[u8] {
        let line = self.strip_suffix(b"\n").unwrap_or(self);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: &[u8]) -> (Vec<String>, Result<(), ClientError>) {
        let mut taken = Vec::new();
        let result = read_lines(input, |line| {
            taken.push(line);
            true
        });
        (taken, result)
    }

    #[test]
    fn empty_lines_are_left_out_and_the_last_needs_no_newline() {
        let (taken, result) = lines(b"one\n\ntwo\r\n  \nlast");
        assert_eq!(taken, ["one", "two", "  ", "last"]);
        result.unwrap();
    }

    #[test]
    fn a_line_has_a_bound() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        let (taken, result) = lines(&[longest.as_slice(), b"\nnext"].concat());
        assert_eq!((taken.len(), taken[0].len()), (2, LINE_BYTES_MAX));
        result.unwrap();
        let (taken, result) = lines(&[b"ok\n", longest.as_slice(), b"x\nnext"].concat());
        assert_eq!(taken, ["ok"]);
        assert!(result.unwrap_err().to_string().contains("line 2"));
    }

    #[test]
    fn what_is_no_text_ends_the_input() {
        let (taken, result) = lines(b"ok\n\xff\n");
        assert_eq!(taken, ["ok"]);
        assert_eq!(result.unwrap_err().exit_code(), 2);
        let (taken, result) = lines(b"ok\n\x1b[2J\n");
        assert_eq!(taken, ["ok"]);
        assert_eq!(result.unwrap_err().exit_code(), 2);
    }
}
