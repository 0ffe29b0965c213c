//! The state of the simulated disk: names, files, and what is planned to go wrong.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, ErrorKind},
    sync::Arc,
};

use super::{
    Call, Fault, Piece, Unsettled, eio,
    inode::{Inode, Kept, Unsynced},
    random::{Random, hash, mix},
};

#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) random: Random,
    /// Which process may use it; counts ends.
    pub(super) process: u64,
    /// By number. Forks share a file until one of them writes to it.
    pub(super) files: BTreeMap<u64, Arc<Inode>>,
    next_inode: u64,
    /// Names as a process sees them, and as a crash would find them at worst.
    pub(super) names: BTreeMap<Arc<str>, u64>,
    durable_names: BTreeMap<Arc<str>, u64>,
    /// Each state of a name since the last sync of the directory.
    unsynced_names: BTreeMap<Arc<str>, Vec<Option<u64>>>,
    pub(super) locks: BTreeSet<String>,
    pub(super) calls: u64,
    pub(super) garbage: bool,
    pub(super) room: Option<u64>,
    pub(super) power_cut: Option<u64>,
    /// How many calls of a kind go well before one does not.
    pub(super) planned: BTreeMap<Call, (u64, Fault)>,
}

/// How a call goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fate {
    Succeeds,
    /// The power goes: it fails, and what it did is for the crash to decide.
    Cut,
    Strikes(Fault),
}

impl Volume {
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            process: 0,
            files: BTreeMap::new(),
            next_inode: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            unsynced_names: BTreeMap::new(),
            locks: BTreeSet::new(),
            calls: 0,
            garbage: false,
            room: None,
            power_cut: None,
            planned: BTreeMap::new(),
        }
    }

    pub(super) fn end_process(&mut self) {
        self.process += 1;
        self.locks.clear();
        self.clear_faults();
    }

    pub(super) fn clear_faults(&mut self) {
        self.power_cut = None;
        self.planned.clear();
    }

    /// Power fails; what is kept is drawn.
    pub(super) fn crash(&mut self) {
        let mut random = self.random;
        // Most crashes are all or nothing somewhere; a fair coin for each sector never is.
        let keep_percent = [0, 10, 50, 90, 100][random.below(5)];
        let garbage = self.garbage;
        let mut draw = |what, versions| {
            if what == Some(Unsynced::Sector) && garbage && random.below(4) == 0 {
                return Kept::Garbage(random.next());
            }
            if random.below(100) >= keep_percent {
                return Kept::Old;
            }
            let last = versions - 1;
            Kept::Version(if random.below(4) == 0 { random.below(versions) } else { last })
        };
        self.crash_names(&mut |versions| draw(None, versions));
        self.drop_unreachable();
        self.crash_files(&mut |what, versions| draw(Some(what), versions));
        self.random = random;
    }

    /// Power fails; what is kept is chosen, in the order of [`Volume::unsettled`].
    pub(super) fn crash_with(&mut self, choices: &[usize]) {
        let mut random = self.random;
        let mut choices = choices.iter().copied();
        let mut choose =
            |versions| match choices.next().expect("a choice for all that is unsettled") {
                0 => Kept::Old,
                n if n <= versions => Kept::Version(n - 1),
                _ => Kept::Garbage(random.next()),
            };
        self.crash_names(&mut choose);
        self.crash_files(&mut |_, versions| choose(versions));
        assert!(choices.next().is_none(), "as many choices as are unsettled");
        self.drop_unreachable();
        self.random = random;
    }

    /// Everything that a crash may leave in one of several states.
    pub(super) fn unsettled(&self) -> Vec<Unsettled> {
        let named = self.unsynced_names.iter().map(|(name, states)| Unsettled {
            what: Piece::Name(name.to_string()),
            states: 1 + states.len(),
        });
        let mut all: Vec<_> = named.collect();
        let garbage = usize::from(self.garbage);
        for (&file, inode) in &self.files {
            let (sectors, lens) = inode.unsettled();
            all.extend(sectors.map(|(number, versions)| Unsettled {
                what: Piece::Sector { file, number },
                states: 1 + versions + garbage,
            }));
            if lens > 0 {
                all.push(Unsettled { what: Piece::Length { file }, states: 1 + lens });
            }
        }
        all
    }

    fn crash_names(&mut self, keep: &mut impl FnMut(usize) -> Kept) {
        self.end_process();
        for (name, states) in std::mem::take(&mut self.unsynced_names) {
            if let Kept::Version(number) = keep(states.len()) {
                match states[number] {
                    Some(inode) => self.durable_names.insert(name, inode),
                    None => self.durable_names.remove(&name),
                };
            }
        }
        self.names.clone_from(&self.durable_names);
    }

    fn crash_files(&mut self, keep: &mut impl FnMut(Unsynced, usize) -> Kept) {
        for file in self.files.values_mut().filter(|file| !(file.is_synced() && file.is_honest())) {
            Arc::make_mut(file).crash(keep);
        }
    }

    fn drop_unreachable(&mut self) {
        let reachable: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|inode, _| reachable.contains(inode));
    }

    /// A value that differs where what is durable differs. Means something only while all is synced.
    pub(super) fn image(&self) -> u64 {
        let files =
            self.names.iter().filter_map(|(name, inode)| Some((name, self.files.get(inode)?)));
        let images = files.map(|(name, file)| mix(hash(name.as_bytes()) ^ mix(file.image())));
        images.fold(0, |all, image| all ^ image)
    }

    /// Every call comes through here.
    pub(super) fn enter(&mut self, process: u64, call: Call) -> io::Result<Fate> {
        if process != self.process {
            return Err(io::Error::other("this process is dead"));
        }
        let number = self.calls;
        self.calls += 1;
        if let Some(cut) = self.power_cut
            && number >= cut
        {
            // The call that is cut short may have done a part; later ones do nothing.
            return if number == cut { Ok(Fate::Cut) } else { Err(power_is_off()) };
        }
        match self.planned.get_mut(&call) {
            Some((0, fault)) => {
                let fault = *fault;
                self.planned.remove(&call);
                Ok(Fate::Strikes(fault))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(Fate::Succeeds)
            }
            None => Ok(Fate::Succeeds),
        }
    }

    pub(super) fn create(&mut self, name: &str) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        self.files.insert(inode, Arc::default());
        self.set_name(name, Some(inode));
        inode
    }

    pub(super) fn set_name(&mut self, name: &str, inode: Option<u64>) {
        let name = Arc::<str>::from(name);
        self.unsynced_names.entry(Arc::clone(&name)).or_default().push(inode);
        match inode {
            Some(inode) => self.names.insert(name, inode),
            None => self.names.remove(&name),
        };
    }

    pub(super) fn sync_names(&mut self) {
        self.durable_names.clone_from(&self.names);
        self.unsynced_names.clear();
    }

    pub(super) fn lose(&mut self, name: &str) {
        self.names.remove(name);
        self.durable_names.remove(name);
        self.unsynced_names.remove(name);
    }

    /// Would a file, this or a new one, with this many bytes fit?
    pub(super) fn has_room(&self, inode: Option<u64>, allocated: u64) -> bool {
        self.room.is_none_or(|room| self.taken_bytes(inode) + allocated <= room)
    }

    /// What all files take, or all others.
    pub(super) fn taken_bytes(&self, without: Option<u64>) -> u64 {
        let others = self.names.values().filter(|&&other| Some(other) != without);
        others.filter_map(|other| self.files.get(other)).map(|file| file.allocated).sum()
    }

    pub(super) fn file(&self, inode: u64) -> io::Result<&Inode> {
        self.files.get(&inode).map(|file| &**file).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn file_mut(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.files.get_mut(&inode).map(Arc::make_mut).ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn named(&self, name: &str) -> Option<&Inode> {
        self.files.get(self.names.get(name)?).map(|file| &**file)
    }

    pub(super) fn named_mut(&mut self, name: &str) -> Option<&mut Inode> {
        self.files.get_mut(self.names.get(name)?).map(Arc::make_mut)
    }
}

impl Fate {
    /// The plain outcome of a call that changes nothing, or whose change the crash settles.
    pub(super) fn outcome(self) -> io::Result<()> {
        match self {
            Self::Succeeds => Ok(()),
            Self::Cut => Err(power_is_off()),
            Self::Strikes(fault) => Err(fault.error()),
        }
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => ErrorKind::StorageFull.into(),
            // Of the silent ones, those that this call cannot suffer are plain errors.
            Self::Eio | Self::Lost | Self::Misdirected { .. } | Self::Stale => eio(),
        }
    }
}
