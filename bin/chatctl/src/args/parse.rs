//! Words of the command line that are more than text: names and times.

use std::time::Duration;

use crate::{ClientError, types::checked_name};

const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// A user name; a leading `@` is allowed.
#[derive(Clone, Debug)]
pub(crate) struct Name(pub(crate) String);

impl std::str::FromStr for Name {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        checked_name(text.strip_prefix('@').unwrap_or(text)).map(Self)
    }
}

/// A channel name; a leading `#` is allowed.
#[derive(Clone, Debug)]
pub(crate) struct ChannelName(pub(crate) String);

impl std::str::FromStr for ChannelName {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        checked_name(text.strip_prefix('#').unwrap_or(text)).map(Self)
    }
}

/// A time such as `500ms`, `10s` or `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let allowed = || format!("{text:?} is not a time from 1ms to 1h, such as 500ms, 10s or 2m");
    let span: jiff::SignedDuration = text.parse().map_err(|_unclear| allowed())?;
    let time = Duration::try_from(span).map_err(|_negative| allowed())?;
    if time.is_zero() || time > TIMEOUT_MAX { Err(allowed()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_bounds() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1h"), Ok(TIMEOUT_MAX));
        for wrong in ["", "0s", "-1s", "3601s", "ten"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
