//! Nodes fail while clients talk: how long the clients of each node wait for their next acknowledgement.
//!
//! Every message is checked at the end: none lost, none doubled, none out of its sender's order.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chatctl::{Client, Message, Outgoing, Target};
use tokio::task::{JoinHandle, JoinSet};

use crate::{
    cluster::{Cluster, Programs, eventually},
    conversation::{Spoken, check_promises, whole_history},
};

/// How long a client of one node waited.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The node that the client prefers.
    pub node: u64,
    /// From the failure, or the acknowledgement before, to the next one.
    pub span: Duration,
}

/// A cluster in which a client of every node talks.
#[derive(Debug)]
pub struct Talk {
    /// The nodes.
    pub cluster: Cluster,
    owner: Client,
    general: Target,
    rounds: usize,
    spoken: Vec<Spoken>,
}

impl Talk {
    /// Start a cluster with a channel to talk in.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(programs: Programs, count: usize) -> Self {
        let cluster = Cluster::start(programs, count).await;
        let owner = cluster.owner().await;
        owner.create_channel("general", false, None).await.expect("a channel");
        let general = "#general".parse().expect("a channel's name");
        Self { cluster, owner, general, rounds: 0, spoken: Vec::new() }
    }

    /// Who leads.
    pub async fn leader(&self) -> u64 {
        self.cluster.leader(&self.owner).await
    }

    /// kill -9 of these nodes in one instant. For every node a client that prefers it, and has talked to
    /// it just before, sends at once.
    ///
    /// # Panics
    /// When a send fails.
    pub async fn kill(&mut self, victims: &[u64]) -> Vec<Wait> {
        self.rounds += 1;
        let mut clients = Vec::new();
        for node in self.cluster.ids() {
            let client = self.client_of(node);
            let text = format!("{} of {node} before", self.rounds);
            let before = say(&client, &self.general, text).await.expect("all is well");
            clients.push((node, client, before));
        }
        let start = Instant::now();
        self.cluster.kill_all(victims);
        let mut sends = JoinSet::new();
        for (node, client, before) in clients {
            let general = self.general.clone();
            let text = format!("{} of {node} after", self.rounds);
            sends.spawn(async move {
                let after = say(&client, &general, text).await.expect("it is sent in the end");
                let span = start.elapsed();
                (
                    Wait { node, span },
                    Spoken { acknowledged: vec![before, after], ..Spoken::default() },
                )
            });
        }
        let (waits, spoken): (Vec<Wait>, Vec<Spoken>) = sends.join_all().await.into_iter().unzip();
        self.spoken.extend(spoken);
        waits
    }

    /// SIGTERM to the leader while a client of every node talks without a pause: the longest that each
    /// waited for an acknowledgement from then on.
    ///
    /// # Panics
    /// When a send fails, or the node does not end in good order.
    pub async fn stop_leader(&mut self) -> (u64, Vec<Wait>) {
        self.rounds += 1;
        let leader = self.leader().await;
        let ids = self.cluster.ids();
        let talkers: Vec<Talker> = ids.iter().map(|node| self.talker(*node)).collect();
        for talker in &talkers {
            talker.goes_on().await;
        }
        let start = Instant::now();
        assert_eq!(self.cluster.terminate(leader).await, Some(0), "a clean exit");
        let mut waits = Vec::new();
        for (node, talker) in ids.into_iter().zip(talkers) {
            talker.goes_on().await;
            let (spoken, acknowledged) = talker.stop().await;
            let gaps = acknowledged.windows(2).filter(|pair| pair[1] >= start);
            let span = gaps.map(|pair| pair[1] - pair[0]).max().expect("it went on");
            waits.push(Wait { node, span });
            self.spoken.push(spoken);
        }
        (leader, waits)
    }

    /// Start these again, and wait until all nodes hold the same.
    pub async fn mend(&mut self, victims: &[u64]) {
        for node in victims {
            self.cluster.spawn(*node);
        }
        for node in victims {
            self.cluster.ready(*node).await;
        }
        self.cluster.converged(&self.owner).await;
    }

    /// Everything that was acknowledged is there, once and in order. Gives how many messages that are.
    pub async fn check(self) -> usize {
        let history = whole_history(&self.owner, &self.general).await;
        check_promises(&history, &self.spoken);
        history.len()
    }

    /// A client of this node, and of the others when it does not answer.
    fn client_of(&self, node: u64) -> Client {
        let mut ids = self.cluster.ids();
        let place = ids.iter().position(|id| *id == node).unwrap_or(0);
        ids.rotate_left(place);
        self.cluster.client_with(&ids, self.owner.token())
    }

    fn talker(&self, node: u64) -> Talker {
        let (client, general) = (self.client_of(node), self.general.clone());
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let round = self.rounds;
        let (ends, times) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let task = tokio::spawn(async move {
            let mut spoken = Spoken::default();
            while !ends.load(Ordering::Relaxed) {
                let text = format!("{round} of {node}: {}", spoken.acknowledged.len());
                let message = say(&client, &general, text).await.expect("no send fails");
                spoken.acknowledged.push(message);
                lock(&times).push(Instant::now());
            }
            spoken
        });
        Talker { task, stop, acknowledged }
    }
}

/// A client that sends one message after the other.
struct Talker {
    task: JoinHandle<Spoken>,
    stop: Arc<AtomicBool>,
    /// When each was acknowledged.
    acknowledged: Arc<Mutex<Vec<Instant>>>,
}

impl Talker {
    /// Wait until some more are acknowledged.
    async fn goes_on(&self) {
        let count = || lock(&self.acknowledged).len();
        let wanted = count() + 20;
        eventually("a client's sends are acknowledged", async || {
            count() >= wanted || self.task.is_finished()
        })
        .await;
    }

    async fn stop(self) -> (Spoken, Vec<Instant>) {
        self.stop.store(true, Ordering::Relaxed);
        let spoken = self.task.await.expect("no send failed");
        let times = std::mem::take(&mut *lock(&self.acknowledged));
        (spoken, times)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn say(client: &Client, to: &Target, text: String) -> Result<Message, chatctl::ClientError> {
    let to = to.clone();
    client.send(&Outgoing { to, text, reply_to: None, after_request: None, request_id: None }).await
}
