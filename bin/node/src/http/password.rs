//! Passwords, off the hot threads: Argon2id in the blocking pool, few at once and a bounded number
//! waiting. An unknown account costs the same hash and gets the same answer as a wrong password.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{error::Refusal, limits};
use crate::config::Limits;

/// The hashing of passwords, with its bounds. Parameters are Argon2id's m = 19456 KiB, t = 2, p =
/// 1.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    at_once: usize,
    places_max: usize,
}

impl Passwords {
    pub(super) fn new(bounds: &Limits) -> Self {
        let at_once = limits::size(bounds.password_hashes);
        let places_max = at_once + limits::size(bounds.password_queue);
        Self {
            running: Arc::new(Semaphore::new(at_once)),
            places: Arc::new(Semaphore::new(places_max)),
            at_once,
            places_max,
        }
    }

    /// Passwords being hashed now.
    pub(super) fn running(&self) -> usize {
        self.at_once.saturating_sub(self.running.available_permits())
    }

    /// Passwords that wait for their turn now.
    pub(super) fn waiting(&self) -> usize {
        self.places_max
            .saturating_sub(self.places.available_permits())
            .saturating_sub(self.running())
    }

    /// The PHC string of a password under a salt: the same for a retry of the request that brought
    /// both.
    pub(super) async fn hash(&self, password: String, salt: [u8; 16]) -> Result<String, Refusal> {
        let hashed = self
            .run(move || Argon2::default().hash_password_with_salt(password.as_bytes(), &salt))
            .await?;
        let hashed: PasswordHash = hashed.map_err(|error| cannot(&error))?;
        Ok(hashed.to_string())
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no, at the
    /// same cost.
    pub(super) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Refusal> {
        let Some(hash) = hash else {
            self.hash(password, [0; 16]).await?;
            return Ok(false);
        };
        self.run(move || {
            PasswordHash::new(&hash).is_ok_and(|parsed| {
                Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
            })
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| Refusal::too_fast("too many people are logging in at once"))?;
        let turn =
            Arc::clone(&self.running).acquire_owned().await.map_err(|closed| cannot(&closed))?;
        // The permits travel with the work: a client that goes away frees its place when the hash
        // is done.
        let task = move |held: (OwnedSemaphorePermit, OwnedSemaphorePermit)| {
            let result = work();
            drop(held);
            result
        };
        tokio::task::spawn_blocking(move || task((place, turn)))
            .await
            .map_err(|error| cannot(&error))
    }
}

fn cannot(error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "a password could not be hashed");
    Refusal::unavailable("unavailable", "passwords cannot be checked on this node now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_known_again_and_another_is_not() {
        let passwords = Passwords::new(&Limits::DEFAULT);
        let hash = passwords.hash("correct horse".to_owned(), [7; 16]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let again = passwords.hash("correct horse".to_owned(), [7; 16]).await.unwrap();
        assert_eq!(hash, again, "a retry of a registration is the same registration");
        assert!(passwords.verify("correct horse".to_owned(), Some(hash.clone())).await.unwrap());
        assert!(!passwords.verify("wrong horse".to_owned(), Some(hash)).await.unwrap());
        assert!(!passwords.verify("correct horse".to_owned(), None).await.unwrap());
    }

    #[tokio::test]
    async fn whoever_finds_all_places_taken_is_told_at_once() {
        let bounds = Limits { password_hashes: 1, password_queue: 2, ..Limits::DEFAULT };
        let passwords = Passwords::new(&bounds);
        let held = Arc::clone(&passwords.places).acquire_many_owned(2).await.unwrap();
        passwords.hash("password".to_owned(), [0; 16]).await.unwrap();
        let last = Arc::clone(&passwords.places).acquire_owned().await.unwrap();
        let refusal = passwords.hash("password".to_owned(), [0; 16]).await.unwrap_err();
        assert_eq!(refusal.code, "too_fast");
        assert_eq!((passwords.running(), passwords.waiting()), (0, 3));
        drop((held, last));
        passwords.hash("password".to_owned(), [0; 16]).await.unwrap();
    }
}
