//! The searches: every state within bounds, the nearest first, and walks at random beyond them.
//!
//! What always holds: the trace of a violation is a shortest one, in the names of one history.
//! A state is known by 64 bits of hash: among ten million states the chance that two share them is below
//! one in a hundred thousand.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    hash::{BuildHasherDefault, DefaultHasher, Hasher},
};

use super::{
    rules::{Bounds, Naive},
    state::{Config, State},
    step::{Model, Step, Violation},
    symmetry::Naming,
};
use crate::sim::rng::Rng;

/// What a search found.
#[derive(Debug)]
pub struct Report {
    /// Different states, or steps of all walks.
    pub states: usize,
    /// The longest of the shortest ways to a state.
    pub depth: usize,
    /// How the configurations that were committed followed each other, each way once.
    pub histories: usize,
    /// Were there more states than asked for?
    pub unfinished: bool,
    /// A broken law, and the way there.
    pub violation: Option<Trace>,
}

/// The way to a violation.
#[derive(Debug)]
pub struct Trace {
    steps: Vec<(Step, State)>,
    violation: Violation,
}

/// Visit every state within the bounds, but no more than so many.
#[must_use]
pub fn explore(bounds: Bounds, naive: Option<Naive>, states_max: usize) -> Report {
    Search::new(Model::new(bounds, naive)).run(states_max)
}

/// Go so many steps at random, from the start again whenever there is nowhere to go.
#[must_use]
pub fn walk(bounds: Bounds, naive: Option<Naive>, seed: u64, steps: usize) -> Report {
    let model = Model::new(bounds, naive);
    let mut rng = Rng::new(seed);
    let mut way: Vec<(Step, State)> = Vec::new();
    let (mut choices, mut histories) = (Vec::new(), BTreeSet::new());
    let mut report = Report::new();
    while report.states < steps {
        let state = way.last().map_or_else(State::default, |(_, state)| *state);
        model.steps(&state, &mut choices);
        if choices.is_empty() {
            way.clear();
            continue;
        }
        let step = drawn(&choices, &mut rng);
        let (next, violation) = model.after(&state, step);
        report.states += 1;
        way.push((step, next));
        report.depth = report.depth.max(way.len());
        histories.insert(committed_configs(&next));
        if let Some(violation) = violation {
            report.violation = Some(Trace { steps: way, violation });
            break;
        }
    }
    report.histories = histories.len();
    report
}

/// One of the kinds of steps first, then one of that kind: otherwise the most frequent kind is all
/// that happens.
fn drawn(choices: &[Step], rng: &mut Rng) -> Step {
    let first = rng.pick(choices);
    let kind = std::mem::discriminant(if rng.chance(500) { rng.pick(choices) } else { first });
    let same = choices.iter().filter(|step| std::mem::discriminant(*step) == kind);
    let same: Vec<Step> = same.copied().collect();
    *rng.pick(&same)
}

/// How one came to a state.
#[derive(Clone, Copy)]
struct Origin {
    before: u32,
    step: Step,
}

struct Search {
    model: Model,
    seen: HashSet<u64, BuildHasherDefault<Known>>,
    origins: Vec<Origin>,
    histories: BTreeSet<Vec<Config>>,
    /// Of the state that is looked at.
    bytes: Vec<u8>,
}

impl Search {
    fn new(model: Model) -> Self {
        let (origins, histories) = (Vec::new(), BTreeSet::new());
        Self { model, seen: HashSet::default(), origins, histories, bytes: Vec::new() }
    }

    fn run(mut self, states_max: usize) -> Report {
        let mut report = Report::new();
        let mut edge = vec![(0, State::default())];
        self.origins.push(Origin { before: 0, step: Step::Append { term: 0 } });
        let mut steps = Vec::new();
        while !edge.is_empty() && !report.unfinished {
            let mut next = Vec::new();
            for (origin, state) in edge {
                self.model.steps(&state, &mut steps);
                for step in &steps {
                    let (after, violation) = self.model.after(&state, *step);
                    if violation.is_some() {
                        report.states = self.seen.len();
                        report.violation = Some(self.retraced(origin, *step));
                        return report;
                    }
                    self.visit(&after, Origin { before: origin, step: *step }, &mut next);
                }
                if self.seen.len() >= states_max {
                    report.unfinished = true;
                    break;
                }
            }
            edge = next;
            report.depth += usize::from(!edge.is_empty());
        }
        report.states = self.seen.len();
        report.histories = self.histories.len();
        report
    }

    /// Take a state to the edge when it is new.
    fn visit(&mut self, state: &State, origin: Origin, edge: &mut Vec<(u32, State)>) {
        let Bounds { nodes, voters, .. } = self.model.bounds;
        let state = Naming::of(state, nodes, voters).state(state);
        state.write(nodes, &mut self.bytes);
        let mut hasher = DefaultHasher::new();
        hasher.write(&self.bytes);
        if self.seen.insert(hasher.finish()) {
            let place = u32::try_from(self.origins.len()).expect("fewer than 2^32 states");
            self.origins.push(origin);
            edge.push((place, state));
            let configs = committed_configs(&state);
            if !self.histories.contains(&configs) {
                self.histories.insert(configs);
            }
        }
    }

    /// The way to the state at `place` and one step on, in the names of one history: every state on it
    /// was renamed as soon as it was found.
    fn retraced(&self, mut place: u32, last: Step) -> Trace {
        let Bounds { nodes, voters, .. } = self.model.bounds;
        let mut way = vec![last];
        while place > 0 {
            let Origin { before, step } = self.origins[usize::try_from(place).expect("a place")];
            way.push(step);
            place = before;
        }
        // From the names of the search to those of the history.
        let (mut state, mut back) = (State::default(), Naming::SAME);
        let mut steps = Vec::new();
        loop {
            let step = way.pop().expect("the last step breaks a law");
            let (after, violation) = self.model.after(&state, step);
            steps.push(back.step(step));
            if violation.is_some() {
                return self.replayed(&steps);
            }
            let naming = Naming::of(&after, nodes, voters);
            state = naming.state(&after);
            back = naming.inverse().then(back);
        }
    }

    fn replayed(&self, steps: &[Step]) -> Trace {
        let (mut state, mut way) = (State::default(), Vec::new());
        let mut broken = None;
        for step in steps {
            (state, broken) = self.model.after(&state, *step);
            way.push((*step, state));
        }
        Trace { steps: way, violation: broken.expect("nodes are alike") }
    }
}

impl Report {
    fn new() -> Self {
        Self { states: 0, depth: 0, histories: 0, unfinished: false, violation: None }
    }
}

impl Trace {
    /// How many steps it takes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Never: a violation takes steps.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

fn committed_configs(state: &State) -> Vec<Config> {
    let mut configs: Vec<Config> = state.committed.configs().map(|(_, config)| config).collect();
    configs.reverse();
    configs
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut leaders, mut committed) = (0, 0);
        for (place, (step, state)) in self.steps.iter().enumerate() {
            write!(f, "{:>4}  {step}", place + 1)?;
            let now = state.leaders.iter().filter(|leader| leader.node != 0).count();
            if now > leaders {
                write!(f, ", and so is elected")?;
            }
            if state.committed.len() > committed {
                write!(f, ": committed up to {}", state.committed.len())?;
            }
            (leaders, committed) = (now, state.committed.len());
            writeln!(f)?;
        }
        write!(f, "      {}", self.violation)
    }
}

/// What is a hash already is not hashed again.
#[derive(Default)]
struct Known(u64);

impl Hasher for Known {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a number is written as one");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
