//! Messages: send, read, mark, change, delete.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{Client, HistoryQuery, Outgoing, call::Key};
use crate::{
    ClientError,
    types::{History, Message, Target},
};

impl Client {
    /// Sends one message.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(&self, message: &Outgoing) -> Result<Message, ClientError> {
        let mut body = Map::new();
        body.insert("to".to_owned(), message.to.to_string().into());
        body.insert("text".to_owned(), message.text.as_str().into());
        if let Some(id) = message.reply_to {
            body.insert("reply_to".to_owned(), id.to_string().into());
        }
        if let Some(id) = message.after_request {
            body.insert("after_request".to_owned(), id.to_string().into());
        }
        let key = message.request_id.map_or(Key::Fresh, Key::Given);
        let answer =
            self.write(Method::POST, vec!["messages"], Some(Value::Object(body)), key).await?;
        let sent: Message = answer.json()?;
        Ok(Message { request_id: sent.request_id.or(answer.request_id), ..sent })
    }

    /// A piece of a conversation; with neither `before` nor `after` the newest.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn history(&self, of: &Target, query: HistoryQuery) -> Result<History, ClientError> {
        let [kind, name] = of.path();
        let parts = [("before", query.before), ("after", query.after), ("limit", query.limit)];
        let query = parts
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_string())))
            .collect();
        self.get(vec![kind, name, "messages"], query).await
    }

    /// Moves the read mark up to this `seq`; it never goes back.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn mark_read(&self, of: &Target, upto: u64) -> Result<(), ClientError> {
        let [kind, name] = of.path();
        let body = Some(json!({"upto": upto}));
        self.write(Method::POST, vec![kind, name, "read"], body, Key::Fresh).await?;
        Ok(())
    }

    /// One message.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn message(&self, id: u64) -> Result<Message, ClientError> {
        self.get(vec!["messages", &id.to_string()], Vec::new()).await
    }

    /// Changes the text of an own message; gives the message after the change.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn edit(&self, id: u64, text: &str) -> Result<Message, ClientError> {
        let (id, body) = (id.to_string(), Some(json!({"text": text})));
        self.write(Method::PATCH, vec!["messages", &id], body, Key::Fresh).await?.json()
    }

    /// Deletes a message: an own one for everyone, a received one for oneself.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete(&self, id: u64) -> Result<Message, ClientError> {
        let id = id.to_string();
        self.write(Method::DELETE, vec!["messages", &id], None, Key::Fresh).await?.json()
    }
}
