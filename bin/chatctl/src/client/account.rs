//! The own account and its logins.

use reqwest::Method;
use serde_json::json;

use super::{Client, call::Key};
use crate::{
    ClientError,
    types::{Login, Me, Page},
};

impl Client {
    /// The own account.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.get(vec!["me"], Vec::new()).await
    }

    /// Where the account is logged in.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn logins(&self) -> Result<Vec<Login>, ClientError> {
        let page: Page<Login> = self.get(vec!["me", "sessions"], Vec::new()).await?;
        Ok(page.items)
    }

    /// Ends one login of the account.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end_login(&self, id: u64) -> Result<(), ClientError> {
        let id = id.to_string();
        self.write(Method::DELETE, vec!["me", "sessions", &id], None, Key::Fresh).await?;
        Ok(())
    }

    /// Changes the password; every other login ends.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_password(&self, present: &str, new: &str) -> Result<(), ClientError> {
        let body = Some(json!({"password": present, "new_password": new}));
        self.write(Method::PUT, vec!["me", "password"], body, Key::Fresh).await?;
        Ok(())
    }

    /// Deletes the account, for good, and its messages too when they are to be erased.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_account(
        &self,
        password: &str,
        erase_messages: bool,
    ) -> Result<(), ClientError> {
        let body = Some(json!({"password": password, "erase_messages": erase_messages}));
        self.write(Method::DELETE, vec!["me"], body, Key::Fresh).await?;
        self.set_token(None);
        Ok(())
    }
}
