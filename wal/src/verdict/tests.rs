//! The decision against a table written on its own, and against the laws that every table must keep.

use super::{Beyond, Evidence, HeaderSeen, Verdict, judge};
use crate::error::Damage;

/// One letter each for what every column may be, `*` for anything:
///
/// ```text
/// header  F follows, S strays, B bad, Z zero, N no room      body   + holds
/// lost    + more zero sectors than were written              ledger + manifest or vote knows it
/// beyond  0 zeros, r remains, b later batch, d knows it durable
/// ```
///
/// Every combination fits exactly one row.
const TABLE: &str = "
header body lost beyond ledger stopped above rebuilt missing  verdict
*      *    *    *      *      *       +     *       *        stale
S      *    *    *      *      *       -     *       *        stray
F      +    *    *      *      *       -     *       *        whole
F      -    *    d      *      *       -     *       *        corrupt
F      -    *    0rb    +      *       -     *       *        corrupt
F      -    +    0rb    -      *       -     -       -        torn
F      -    -    0rb    -      *       -     *       *        suspect
F      -    +    0rb    -      *       -     +       *        suspect
F      -    +    0rb    -      *       -     -       +        suspect
BZN    *    *    d      *      *       -     *       *        corrupt
BZN    *    *    b      +      *       -     *       *        corrupt
BZN    *    *    0r     +      *       -     *       *        end-unknown
Z      *    *    b      -      *       -     -       -        torn
Z      *    *    b      -      *       -     +       *        suspect
Z      *    *    b      -      *       -     -       +        suspect
BN     *    *    b      -      *       -     *       *        suspect
BZN    *    *    0r     -      +       -     *       *        stopped
ZN     *    *    0      -      -       -     -       -        clean-end
Z      *    *    r      -      -       -     -       -        torn
N      *    *    r      -      -       -     -       -        end-unknown
B      *    *    0r     -      -       -     -       -        end-unknown
BZN    *    *    0r     -      -       -     +       *        end-unknown
BZN    *    *    0r     -      -       -     -       +        end-unknown
";

const HEADERS: [HeaderSeen; 5] = [
    HeaderSeen::Follows,
    HeaderSeen::Strays,
    HeaderSeen::Bad,
    HeaderSeen::Zero,
    HeaderSeen::NoRoom,
];
const BEYONDS: [Beyond; 4] = [Beyond::Zeros, Beyond::Remains, Beyond::Batch, Beyond::Durable];

/// Every combination there is.
fn all() -> Vec<Evidence> {
    let mut all = Vec::new();
    for header in HEADERS {
        for beyond in BEYONDS {
            for bits in 0..1 << 7 {
                let bit = |n: u32| bits & (1 << n) != 0;
                all.push(Evidence {
                    header,
                    body_holds: bit(0),
                    sector_lost: bit(1),
                    beyond,
                    ledger_knows: bit(2),
                    stopped: bit(3),
                    epoch_above: bit(4),
                    rebuilt: bit(5),
                    missing: bit(6),
                });
            }
        }
    }
    assert_eq!(all.len(), 2560);
    all
}

/// An evidence as the letters of its row.
fn letters(evidence: &Evidence) -> [char; 9] {
    let header = match evidence.header {
        HeaderSeen::Follows => 'F',
        HeaderSeen::Strays => 'S',
        HeaderSeen::Bad => 'B',
        HeaderSeen::Zero => 'Z',
        HeaderSeen::NoRoom => 'N',
    };
    let beyond = match evidence.beyond {
        Beyond::Zeros => '0',
        Beyond::Remains => 'r',
        Beyond::Batch => 'b',
        Beyond::Durable => 'd',
    };
    let sign = |holds: bool| if holds { '+' } else { '-' };
    [
        header,
        sign(evidence.body_holds),
        sign(evidence.sector_lost),
        beyond,
        sign(evidence.ledger_knows),
        sign(evidence.stopped),
        sign(evidence.epoch_above),
        sign(evidence.rebuilt),
        sign(evidence.missing),
    ]
}

fn verdict_named(name: &str) -> Verdict {
    match name {
        "whole" => Verdict::Whole,
        "stopped" => Verdict::Stopped,
        "clean-end" => Verdict::CleanEnd,
        "torn" => Verdict::Torn,
        "suspect" => Verdict::Suspect,
        "corrupt" => Verdict::Corrupt,
        "end-unknown" => Verdict::EndUnknown,
        "stale" => Verdict::Refused(Damage::Stale),
        "stray" => Verdict::Refused(Damage::OutOfSequence),
        _ => panic!("no verdict is called {name}"),
    }
}

/// F15: a crash and damage are told apart, for every combination of what can be seen.
#[test]
fn every_combination_of_evidence_gets_the_one_verdict_of_the_table() {
    let rows: Vec<Vec<&str>> =
        TABLE.lines().skip(2).map(|row| row.split_whitespace().collect()).collect();
    for evidence in all() {
        let letters = letters(&evidence);
        let fits = |row: &&Vec<&str>| {
            row.iter().zip(letters).all(|(allowed, is)| *allowed == "*" || allowed.contains(is))
        };
        let fitting: Vec<_> = rows.iter().filter(fits).collect();
        assert_eq!(fitting.len(), 1, "{evidence:?} fits {fitting:?}");
        assert_eq!(judge(&evidence), verdict_named(fitting[0][9]), "{evidence:?}");
    }
}

/// F16: what was acknowledged is never cut, nor taken for the end.
#[test]
fn what_was_acknowledged_is_never_called_torn_or_the_end() {
    for evidence in all() {
        if evidence.beyond == Beyond::Durable || evidence.ledger_knows {
            let verdict = judge(&evidence);
            assert!(
                !matches!(verdict, Verdict::Stopped | Verdict::CleanEnd | Verdict::Torn),
                "{evidence:?} is called {verdict:?}"
            );
        }
    }
}

/// F16: only a sector that never reached the disk proves that nobody was told.
#[test]
fn nothing_is_cut_without_a_lost_sector() {
    for evidence in all().into_iter().filter(|evidence| judge(evidence) == Verdict::Torn) {
        let sector_lost = match evidence.header {
            HeaderSeen::Zero => evidence.beyond != Beyond::Zeros,
            HeaderSeen::Follows => evidence.sector_lost,
            HeaderSeen::Strays | HeaderSeen::Bad | HeaderSeen::NoRoom => false,
        };
        assert!(sector_lost, "{evidence:?}");
        assert!(!evidence.rebuilt && !evidence.missing, "{evidence:?}");
    }
}

/// The end is only where zeros are, or where the log itself says so.
#[test]
fn the_end_is_never_where_something_lies_unexplained() {
    for evidence in all() {
        match judge(&evidence) {
            Verdict::CleanEnd => assert_eq!(evidence.beyond, Beyond::Zeros),
            Verdict::Stopped => assert!(evidence.stopped),
            Verdict::Whole
            | Verdict::Torn
            | Verdict::Corrupt
            | Verdict::Suspect
            | Verdict::EndUnknown
            | Verdict::Refused(_) => {}
        }
    }
}

/// How much a verdict trusts: the lower, the less.
fn trust(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Whole => 7,
        Verdict::Stopped => 6,
        Verdict::CleanEnd => 5,
        Verdict::Torn => 4,
        Verdict::Suspect => 3,
        Verdict::Corrupt => 2,
        Verdict::EndUnknown => 1,
        Verdict::Refused(_) => 0,
    }
}

/// F15: whatever else goes wrong, the verdict never becomes more trusting for it.
#[test]
fn more_damage_never_gives_a_more_trusting_verdict() {
    for less in all() {
        let damages = [
            Evidence { body_holds: false, ..less },
            Evidence { sector_lost: false, ..less },
            Evidence { ledger_knows: true, ..less },
            Evidence { stopped: false, ..less },
            Evidence { epoch_above: true, ..less },
            Evidence { rebuilt: true, ..less },
            Evidence { missing: true, ..less },
        ];
        // A header may rot too: one that follows, and one that never came.
        let rots = matches!(less.header, HeaderSeen::Follows | HeaderSeen::Zero);
        let rotten = rots.then_some(Evidence { header: HeaderSeen::Bad, ..less });
        for more in damages.into_iter().chain(rotten) {
            let (before, after) = (judge(&less), judge(&more));
            // With its header a damaged batch loses its bound; where the run had ended in order before
            // it, its own header was what said otherwise, and the manifest knows better.
            let lost_witness = more.header != less.header && after == Verdict::Stopped;
            assert!(
                trust(after) <= trust(before) || lost_witness,
                "{less:?} is {before:?}, {more:?} is {after:?}"
            );
        }
    }
}
