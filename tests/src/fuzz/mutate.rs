//! Changes bytes here and there, for runs without a fuzzer: seeded, so that what is found is found
//! again.

use election::Random;

/// Flips, cuts, repeats, inserts, copies, and numbers at their bounds; at most `bytes_max` remain.
///
/// # Panics
/// Never: positions are drawn within the bytes.
pub fn mutate(random: &mut Random, bytes: &mut Vec<u8>, bytes_max: usize) {
    for _ in 0..=random.up_to(3) {
        let at = below(random, bytes.len() + 1);
        let byte = random.next().to_le_bytes()[0];
        match random.up_to(8) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, byte),
            2 => {
                let tail = bytes[at..].to_vec();
                bytes.extend_from_slice(&tail);
            }
            3 => drop(bytes.drain(at.saturating_sub(3)..at)),
            4 => {
                let from = below(random, bytes.len() + 1);
                let part: Vec<u8> = bytes[from..].iter().take(16).copied().collect();
                for (target, new) in bytes.iter_mut().skip(at).zip(part) {
                    *target = new;
                }
            }
            5 => bytes.iter_mut().skip(at).take(8).for_each(|target| *target = 0xff),
            6 => {
                if let Some(target) = bytes.get_mut(at) {
                    *target = [0, 0x7f, 0x80, 0xff][usize::from(byte % 4)];
                }
            }
            7 => {
                if let Some(target) = bytes.get_mut(at) {
                    *target = target.wrapping_add(byte % 5).wrapping_sub(2);
                }
            }
            _ => {
                if let Some(target) = bytes.get_mut(at) {
                    *target ^= 1 << (byte % 8);
                }
            }
        }
        bytes.truncate(bytes_max);
    }
}

fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.next() % bound as u64).unwrap_or(0)
}
