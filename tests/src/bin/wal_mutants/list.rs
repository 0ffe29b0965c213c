//! The safeguards, each with the smallest change that takes it away.

/// One safeguard, taken away.
pub(super) struct Mutant {
    pub(super) name: &'static str,
    /// One of those that must never be missing.
    pub(super) gate: bool,
    pub(super) file: &'static str,
    /// What is replaced, and by what. Each old text is in the file exactly once.
    pub(super) changes: &'static [(&'static str, &'static str)],
    /// In words.
    pub(super) removed: &'static str,
    /// Part of the names of the tests that are tried first.
    pub(super) hunted_by: &'static str,
}

const BATCH: &str = "wal/src/batch.rs";
const FAST: &str = "wal/src/recovery/fast.rs";
const LOG: &str = "wal/src/log.rs";
const LOOK: &str = "wal/src/recovery/look.rs";
const RECOVERY: &str = "wal/src/recovery.rs";
const REPLAY: &str = "wal/src/replay.rs";
const SEGMENT: &str = "wal/src/segment.rs";
const SLOTS: &str = "wal/src/slots.rs";
const UPKEEP: &str = "wal/src/log/upkeep.rs";
const VERDICT: &str = "wal/src/verdict.rs";

/// All of them.
pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "crc-seed",
        gate: true,
        file: BATCH,
        changes: &[("Hasher::new_with_initial(self.0)", "Hasher::new()")],
        removed: "the segment in every checksum",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "chain",
        gate: true,
        file: REPLAY,
        changes: &[("\n            && header.previous_crc == self.chain", "")],
        removed: "the chain from batch to batch",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "watermark",
        gate: true,
        file: BATCH,
        changes: &[("&place.durable_seq.to_le_bytes()", "&0_u64.to_le_bytes()")],
        removed: "the durable watermark in every batch",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "zeroing",
        gate: true,
        file: SEGMENT,
        changes: &[(
            "file.write_at(zeros.as_slice().get(..to_usize(step)).unwrap_or_default(), offset)?;",
            "file.set_len(capacity)?;",
        )],
        removed: "the zeros written ahead",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "directory-fsync",
        gate: true,
        file: SEGMENT,
        changes: &[(
            "    io.sync_dir().map_err(Error::io(\"sync the directory of\", &path))?;\n",
            "",
        )],
        removed: "the sync of the directory after a segment is made",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "header-crc",
        gate: true,
        file: BATCH,
        changes: &[(" || u32::from_le_bytes(*crc) != seed.crc(offset, &[covered])", "")],
        removed: "the check of a batch header's checksum",
        hunted_by: "wal_damage",
    },
    Mutant {
        name: "crc-position",
        gate: false,
        file: BATCH,
        changes: &[
            ("        hasher.update(&offset.to_le_bytes());\n", ""),
            ("        put(&mut covered, 0, &offset.to_le_bytes());\n", ""),
        ],
        removed: "the position in every checksum",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "body-crc",
        gate: false,
        file: BATCH,
        changes: &[("self.body_crc == seed.crc(body_offset(offset), &[body])", "true")],
        removed: "the check of a batch body's checksum",
        hunted_by: "wal_crash",
    },
    Mutant {
        name: "frame-crc",
        gate: false,
        file: BATCH,
        changes: &[("if checksum != checksum_of(subkind, &[content]) {", "if false {")],
        removed: "the check of an entry's checksum when it is read",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "watermark-reading",
        gate: false,
        file: LOOK,
        changes: &[("if header.durable_seq >= seq {", "if false {")],
        removed: "the look for a later batch that knows this one durable",
        hunted_by: "wal_sectors",
    },
    Mutant {
        name: "ledger",
        gate: false,
        file: RECOVERY,
        changes: &[("vote.durable_seq.max(manifest.durable_seq)", "0")],
        removed: "what manifest and vote file know to be durable",
        hunted_by: "wal_damage",
    },
    Mutant {
        name: "torn-without-proof",
        gate: false,
        file: VERDICT,
        changes: &[("HeaderSeen::Follows if sector_lost =>", "HeaderSeen::Follows =>")],
        removed: "the proof, a lost sector, that a batch is torn",
        hunted_by: "wal_damage",
    },
    Mutant {
        name: "cut",
        gate: false,
        file: RECOVERY,
        changes: &[("        cut.apply()?;\n", "")],
        removed: "the zeroing of a torn end",
        hunted_by: "wal_crash",
    },
    Mutant {
        name: "cut-sync",
        gate: false,
        file: RECOVERY,
        changes: &[("segment.file.sync_data().map_err(&failed)\n", "Ok(())\n")],
        removed: "the sync after a torn end is zeroed",
        hunted_by: "wal_crash",
    },
    Mutant {
        name: "poison",
        gate: false,
        file: LOG,
        changes: &[("            self.shared.lock().poisoned = true;\n", "")],
        removed: "the end of everything after a failed write or sync",
        hunted_by: "wal_faults",
    },
    Mutant {
        name: "sync-before-read",
        gate: false,
        file: SEGMENT,
        changes: &[(
            "        self.file.sync_data().map_err(Error::io(\"sync\", &self.path))?;\n",
            "",
        )],
        removed: "the sync of a segment before it is read at the opening",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "drop-before-read",
        gate: false,
        file: SEGMENT,
        changes: &[(
            "let dropped = self.file.drop_cache(start..pieces.end.saturating_mul(CACHED_BYTES));",
            "let dropped = std::io::Result::Ok(());",
        )],
        removed: "the drop of the cache before a segment is read",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "slot-sync-before-read",
        gate: false,
        file: SLOTS,
        changes: &[(
            "        file.sync_data().map_err(Error::io(\"sync\", path))?;\n        file.drop",
            "        file.drop",
        )],
        removed: "the sync of manifest and vote file before they are read",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "slot-sync",
        gate: false,
        file: SLOTS,
        changes: &[("            file.sync_data().map_err(Error::io(\"sync\", path))?;\n", "")],
        removed: "the sync of manifest and vote file after they are written",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "slot-order",
        gate: false,
        file: SLOTS,
        changes: &[("for slot in [*newest ^ 1, *newest]", "for slot in [*newest, *newest ^ 1]")],
        removed: "the order of the slots: the newest state is overwritten first",
        hunted_by: "wal_slots",
    },
    Mutant {
        name: "slot-double",
        gate: false,
        file: SLOTS,
        changes: &[("for slot in [*newest ^ 1, *newest]", "for slot in [*newest ^ 1]")],
        removed: "the second slot of a state",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "doubt-without-manifest",
        gate: false,
        file: LOG,
        changes: &[(
            "manifest.is_rebuilt &= recovered.tail == TailVerdict::Unknown;",
            "manifest.is_rebuilt = false;",
        )],
        removed: "the memory that the manifest was lost",
        hunted_by: "wal_slots",
    },
    Mutant {
        name: "doubt-without-vote-file",
        gate: false,
        file: RECOVERY,
        changes: &[("        && (may_lack_vote || !scan.cuts.is_empty())\n", "        && false\n")],
        removed: "the refusal to take a vote from a log with a doubtful end",
        hunted_by: "wal_slots",
    },
    Mutant {
        name: "directory-fsync-at-open",
        gate: false,
        file: LOG,
        changes: &[("        io.sync_dir().map_err(Error::io(\"sync\", &io.path(\"\")))?;\n", "")],
        removed: "the sync of the directory at the opening",
        hunted_by: "wal_faults",
    },
    Mutant {
        name: "vote-file",
        gate: false,
        file: LOG,
        changes: &[("if (self.voted.hard_state, self.voted.bindings) != known {", "if false {")],
        removed: "the vote's second copy",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "listing",
        gate: false,
        file: UPKEEP,
        changes: &[("        self.manifest_file.store(&*self.io, &self.manifest)?;\n", "")],
        removed: "the listing of a segment before its first batch",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "segment-sync",
        gate: false,
        file: SEGMENT,
        changes: &[("    file.sync_all()?;\n", "")],
        removed: "the sync of a segment before it is listed",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "epoch",
        gate: false,
        file: LOG,
        changes: &[("        manifest.epoch += 1;\n", "")],
        removed: "the new epoch of every opening",
        hunted_by: "wal_",
    },
    Mutant {
        name: "sync-before-rotation",
        gate: false,
        file: LOG,
        changes: &[("        self.sync_active()?;\n        let needed", "        let needed")],
        removed: "the sync of a segment before the next is started",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "sync-of-start",
        gate: false,
        file: LOG,
        changes: &[(
            "        self.sync_active()?;\n        self.unsealed.extend(full.map(Arc::new));\n",
            "        self.unsealed.extend(full.map(Arc::new));\n",
        )],
        removed: "the sync of a segment's start before anything follows",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "map-of-active",
        gate: false,
        file: SEGMENT,
        changes: &[(
            "if self.sealed.get().is_some() && !self.is_distrusted",
            "if !self.is_distrusted",
        )],
        removed: "the seal that a segment has before it is mapped",
        hunted_by: "wal_protocol",
    },
    Mutant {
        name: "footer-proof",
        gate: false,
        file: FAST,
        changes: &[("&& next.previous_crc == summary.chain", "")],
        removed: "the proof that a footer speaks of the batches before the next segment",
        hunted_by: "wal_footers",
    },
    Mutant {
        name: "footer-of-stop",
        gate: false,
        file: FAST,
        changes: &[("                    && ends_clean(segment, &summary)\n", "")],
        removed: "the look for the last batch that a footer names",
        hunted_by: "wal_footers",
    },
    Mutant {
        name: "footer-sync",
        gate: false,
        file: UPKEEP,
        changes: &[("if matches!(sealed, Sealed::Footer(_)) {", "if false {")],
        removed: "the sync of a footer before its segment is mapped",
        hunted_by: "wal_protocol",
    },
];
