//! Damage to what was synced.

use super::model::Random;
use crate::sim::disk::{SECTOR_BYTES, SimDisk};

/// What was done.
#[derive(Debug)]
pub(super) struct Struck {
    pub(super) what: String,
    /// How many sectors that held something, and perhaps entries, are not what they were.
    pub(super) places: usize,
}

/// The draws that lose `MANIFEST` and `VOTE`.
pub(super) const LOSSES: [u64; 2] = [0, 1];

/// Damage something, drawn from this number.
pub(super) fn strike(disk: &SimDisk, draw: u64) -> Struck {
    if LOSSES.contains(&draw) {
        let name = if draw == 0 { "MANIFEST" } else { "VOTE" };
        disk.lose(name);
        return Struck { what: format!("{name} lost"), places: 0 };
    }
    let mut random = Random(draw);
    let mut sectors = Vec::new();
    for name in disk.names() {
        sectors.extend(disk.used_sectors(&name).into_iter().map(|sector| (name.clone(), sector)));
    }
    if sectors.is_empty() {
        return Struck { what: "nothing to damage".to_owned(), places: 0 };
    }
    let pick = |random: &mut Random| {
        let (name, sector) = &sectors[random.place(sectors.len())];
        (name.as_str(), *sector)
    };
    let (name, sector) = pick(&mut random);
    let place = format!("sector {sector} of {name}");
    let mut places = 1;
    let what = match random.below(8) {
        0 | 1 => {
            let offset = random.below(SECTOR_BYTES as u64);
            let bit = random.below(8);
            disk.corrupt(name, sector * SECTOR_BYTES as u64 + offset, 1 << bit);
            format!("{place}: bit {bit} of byte {offset} flipped")
        }
        2 => {
            disk.zero_sector(name, sector);
            format!("{place}: zeros")
        }
        3 | 4 => {
            disk.revert_sector(name, sector);
            format!("{place}: the newest write lost")
        }
        5 => {
            let (other, near) = pick(&mut random);
            let to = (near + random.below(5)).saturating_sub(1);
            // What it lands on may be zeros that count.
            places = 2;
            disk.misdirect_write((name, sector), (other, to));
            format!("{place}: went to sector {to} of {other}, and its own place is as before")
        }
        6 => {
            let (other, near) = pick(&mut random);
            let to = (near + random.below(5)).saturating_sub(1);
            disk.misdirect((name, sector), (other, to));
            format!("{place}: went to sector {to} of {other} too")
        }
        _ => {
            disk.spoil_sector(name, sector);
            format!("{place}: cannot be read")
        }
    };
    Struck { what, places }
}
