//! `read` and `inbox`.
//!
//! What is unread is shown oldest first over all conversations; the own messages are never unread.

use std::collections::{BTreeMap, VecDeque};

use comfy_table::{Table, presets};

use super::app::App;
use crate::{
    Client, ClientError, Conversation, HistoryQuery, Message, Target,
    args::ReadArgs,
    client::PAGE_ITEMS_MAX,
    output::{columns, visible, visible_line},
};

const LIMIT_DEFAULT: u64 = 50;
/// Characters of the newest message that the inbox shows.
const EXCERPT_CHARS_MAX: usize = 60;

pub(super) async fn read(app: &App, args: ReadArgs) -> Result<(), ClientError> {
    let mut shown = Shown { app, mark: args.mark, upto: BTreeMap::new() };
    match &args.to {
        None => unread(app, None, args.limit, &mut shown).await?,
        Some(to) if args.unread => unread(app, Some(to), args.limit, &mut shown).await?,
        Some(to) => one(app, to, &args, &mut shown).await?,
    }
    shown.mark_read().await
}

/// Shows messages and remembers how far.
struct Shown<'a> {
    app: &'a App,
    mark: bool,
    upto: BTreeMap<String, u64>,
}

impl Shown<'_> {
    fn message(&mut self, message: &Message) -> Result<(), ClientError> {
        self.app.output.message(message)?;
        if self.mark {
            let upto = self.upto.entry(message.conversation.clone()).or_default();
            *upto = message.seq.max(*upto);
        }
        Ok(())
    }

    async fn mark_read(self) -> Result<(), ClientError> {
        for (conversation, upto) in &self.upto {
            self.app.client()?.mark_read(&conversation.parse()?, *upto).await?;
        }
        Ok(())
    }
}

/// A piece of one conversation: the newest, or around the given places.
async fn one(
    app: &App,
    to: &Target,
    args: &ReadArgs,
    shown: &mut Shown<'_>,
) -> Result<(), ClientError> {
    let client = app.client()?;
    let mut left = args.limit.unwrap_or(LIMIT_DEFAULT);
    if let Some(after) = args.after {
        let mut pages = Pages::new(client, to.clone(), after);
        while left > 0 {
            let Some(message) = pages.next().await? else { break };
            shown.message(&message)?;
            left -= 1;
        }
        return Ok(());
    }
    let mut newest_last = VecDeque::new();
    let mut before = args.before;
    while left > 0 {
        let limit = Some(left.min(PAGE_ITEMS_MAX));
        let page = client.history(to, HistoryQuery { before, after: None, limit }).await?;
        before = page.items.first().map(|message| message.seq);
        left = left.saturating_sub(u64::try_from(page.items.len()).unwrap_or(u64::MAX));
        page.items.into_iter().rev().for_each(|message| newest_last.push_front(message));
        if !page.more_before || before.is_none() {
            break;
        }
    }
    newest_last.iter().try_for_each(|message| shown.message(message))?;
    if let Some(before) = before.filter(|before| *before > 1 && app.output.is_terminal()) {
        app.output.note(&format!("older ones: chatctl read '{to}' --before {before}"));
    }
    Ok(())
}

/// Everything unread, of one conversation or of all, merged by id, which is the order of the log.
async fn unread(
    app: &App,
    only: Option<&Target>,
    limit: Option<u64>,
    shown: &mut Shown<'_>,
) -> Result<(), ClientError> {
    let (client, me) = (app.client()?, app.user()?);
    let wanted = only.map(ToString::to_string);
    let mut heads = BTreeMap::new();
    for conversation in all_conversations(client).await? {
        let is_wanted = wanted.as_ref().is_none_or(|wanted| *wanted == conversation.conversation);
        if conversation.unread == 0 || !is_wanted {
            continue;
        }
        let of: Target = conversation.conversation.parse()?;
        let mut pages = Pages::new(client, of, conversation.read_upto);
        if let Some(message) = pages.next().await? {
            heads.insert(message.id, (message, pages));
        }
    }
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some((_, (message, mut pages))) = heads.pop_first() else { break };
        if message.author != me && !message.deleted {
            shown.message(&message)?;
            left -= 1;
        }
        if let Some(next) = pages.next().await? {
            heads.insert(next.id, (next, pages));
        }
    }
    Ok(())
}

/// The messages of a conversation after a place, page by page.
struct Pages<'a> {
    client: &'a Client,
    of: Target,
    after: u64,
    items: VecDeque<Message>,
    more: bool,
}

impl<'a> Pages<'a> {
    fn new(client: &'a Client, of: Target, after: u64) -> Self {
        Self { client, of, after, items: VecDeque::new(), more: true }
    }

    async fn next(&mut self) -> Result<Option<Message>, ClientError> {
        if self.items.is_empty() && self.more {
            let query =
                HistoryQuery { before: None, after: Some(self.after), limit: Some(PAGE_ITEMS_MAX) };
            let page = self.client.history(&self.of, query).await?;
            self.more = page.more_after;
            self.items = page.items.into();
        }
        let next = self.items.pop_front();
        if let Some(message) = &next {
            self.after = message.seq;
        }
        Ok(next)
    }
}

async fn all_conversations(client: &Client) -> Result<Vec<Conversation>, ClientError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = client.conversations(after.as_deref()).await?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

pub(super) async fn inbox(app: &App) -> Result<(), ClientError> {
    let all = all_conversations(app.client()?).await?;
    if app.output.is_json() {
        return all.iter().try_for_each(|conversation| app.output.item(conversation, ""));
    }
    if all.is_empty() {
        app.output.note("no conversation yet");
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["conversation", "unread", "mentions", "latest"]);
    for conversation in &all {
        table.add_row([
            visible_line(&conversation.conversation),
            conversation.unread.to_string(),
            conversation.mentions.to_string(),
            excerpt(conversation.last.as_ref()),
        ]);
    }
    app.output.line(&columns(&table))
}

fn excerpt(message: Option<&Message>) -> String {
    let Some(message) = message else { return String::new() };
    let Some(text) = message.text.as_deref() else { return "(deleted)".to_owned() };
    let mut short = visible(text).replace(['\n', '\t'], " ");
    if let Some((end, _)) = short.char_indices().nth(EXCERPT_CHARS_MAX) {
        short.truncate(end);
        short.push_str("...");
    }
    format!("{}: {short}", visible_line(&message.author))
}
