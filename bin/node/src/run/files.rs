//! The bound on open files: every connection of a client is one. Many systems start a process with
//! 1,024 and let it ask for more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that a node opens besides its clients' connections: its log, its sockets, its runtime's.
const FILES_ELSE: u64 = 256;

/// Has the system allow files for so many connections, as far as it lets a process.
pub(super) fn allow(connections_max: u64) {
    let limit = getrlimit(Resource::Nofile);
    let Some(raised) = raised(limit, connections_max + FILES_ELSE) else { return };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the bound on open files cannot be raised");
    }
    if let Some(allowed) = raised.current.filter(|allowed| *allowed < connections_max + FILES_ELSE)
    {
        tracing::warn!(
            allowed,
            connections_max,
            "the system allows fewer open files than limits.connections needs: raise LimitNOFILE or \
             `ulimit -n`"
        );
    }
}

/// The bound to ask for; none when there is room.
fn raised(limit: Rlimit, wanted: u64) -> Option<Rlimit> {
    let current = limit.current.filter(|current| *current < wanted)?;
    let allowed = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    Some(Rlimit { current: Some(allowed), ..limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_never_less_than_is_allowed_nor_more_than_may_be() {
        let limit = |current, maximum| Rlimit { current, maximum };
        for (before, wanted, after) in [
            (limit(None, None), 5_000, None),
            (limit(Some(5_000), Some(9_000)), 5_000, None),
            (limit(Some(1_024), Some(9_000)), 5_000, Some(limit(Some(5_000), Some(9_000)))),
            (limit(Some(1_024), None), 5_000, Some(limit(Some(5_000), None))),
            (limit(Some(1_024), Some(4_096)), 5_000, Some(limit(Some(4_096), Some(4_096)))),
            (limit(Some(1_024), Some(1_024)), 5_000, Some(limit(Some(1_024), Some(1_024)))),
        ] {
            assert_eq!(raised(before, wanted), after, "{before:?}");
        }
    }
}
