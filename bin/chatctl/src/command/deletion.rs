//! `account delete`: says what it means, asks, and does it.

use std::io::{self, BufRead, IsTerminal, Write};

use serde_json::json;

use super::{app::App, password};
use crate::{ClientError, args::PasswordArgs, output::visible_line};

/// Bytes of the longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 256;

/// What was asked for.
pub(super) struct Asked {
    pub(super) erase_messages: bool,
    pub(super) yes: bool,
    pub(super) password: PasswordArgs,
}

pub(super) async fn delete(app: &mut App, asked: &Asked) -> Result<(), ClientError> {
    let may_ask = !app.no_input && !asked.password.password_stdin && io::stdin().is_terminal();
    if !asked.yes && !may_ask {
        return Err(ClientError::usage_hint(
            "deleting an account cannot be undone, and there is nobody to ask",
            "give --yes if it is meant",
        ));
    }
    let me = app.client()?.me().await?;
    app.output.note(&consequences(&me.name, me.unread, asked.erase_messages));
    if !asked.yes && !confirmed(&me.name)? {
        return Err(ClientError::usage("the name was not repeated; nothing was done"));
    }
    let password = password::obtain(app, &asked.password, &me.name, false)?;
    app.client()?
        .delete_account(&password, asked.erase_messages)
        .await
        .map_err(|error| unclear(error, &me.name))?;
    app.signed_out()?;
    let object = json!({
        "user": {"name": me.name, "deleted": true},
        "erased": asked.erase_messages, "unread": me.unread,
    });
    app.output.item(&object, &format!("the account {} is deleted", visible_line(&me.name)))
}

fn consequences(name: &str, unread: u64, erase: bool) -> String {
    let name = visible_line(name);
    let unread = match unread {
        0 => "Nothing is unread.".to_owned(),
        1 => "1 message is unread: it stays with whoever sent it, and reaches nobody.".to_owned(),
        more => format!(
            "{more} messages are unread: they stay with those who sent them, and reach nobody."
        ),
    };
    let own = if erase {
        "Every message that you sent is deleted, for everyone, read or not."
    } else {
        "Every message that you sent stays readable under \"deleted user\"; --erase-messages \
         deletes them, for everyone."
    };
    format!(
        "Deleting the account {name}:\n  {unread}\n  {own}\n  You leave all channels and are logged \
         out everywhere.\n  Nobody can ever register as {name} again. It cannot be undone."
    )
}

/// Asks for the name, on the terminal that the answer comes from.
fn confirmed(name: &str) -> Result<bool, ClientError> {
    let wrong = |source| ClientError::Io { action: "asking".to_owned(), source };
    let mut err = io::stderr().lock();
    write!(err, "Type the name {} to go on: ", visible_line(name)).map_err(wrong)?;
    err.flush().map_err(wrong)?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX).read_line(&mut answer).map_err(wrong)?;
    Ok(answer.trim() == name)
}

/// A deleted account has no session any more: asking again would not tell.
fn unclear(error: ClientError, name: &str) -> ClientError {
    let ClientError::Unknown { request_id, detail } = error else { return error };
    let tells = format!("`chatctl login {name}` tells: a deleted account cannot log in");
    ClientError::Unknown { request_id, detail: format!("{detail}; {tells}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_consequences_are_told_for_unread_and_own_messages() {
        let kept = consequences("alice", 3, false);
        assert!(kept.contains("3 messages are unread") && kept.contains("deleted user"), "{kept}");
        let erased = consequences("alice", 0, true);
        assert!(erased.contains("deleted, for everyone") && !erased.contains("under"), "{erased}");
        assert!(erased.contains("Nothing is unread"), "{erased}");
    }
}
