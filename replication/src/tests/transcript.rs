//! Scenarios as text: `testdata/*.txt` hold commands and what followed, and the test compares.
//!
//! `REWRITE=1 cargo test -p replication transcripts` writes what follows now; read the difference,
//! and commit only what you understand.
//!
//! A command stands on a line of its own, then `----`, then what happened until it was done:
//!
//! ```text
//! cluster N [seed S]         N fresh nodes, none started
//! start N...                 kill N (in silence)      crash N (its links tell)
//! run MS                     let time pass
//! propose N TEXT             read N                   leave N
//! cut A B                    isolate N                heal
//! stall N, unstall N         its disk                 wipe N (another disk under its number)
//! trace on, trace off        messages too             status (a line per node)
//! ```

use std::{env, fs, path::PathBuf};

use election::{Micros, NodeId, StoreId};

use super::{cluster::Cluster, disk::Disk};
use crate::Input;

#[test]
fn transcripts() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let files = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|end| end == "txt")).collect();
    files.sort();
    assert!(!files.is_empty(), "there are transcripts in {}", directory.display());
    for path in files {
        let before = fs::read_to_string(&path).unwrap();
        let after = replay(&before);
        if env::var_os("REWRITE").is_some() {
            fs::write(&path, after).unwrap();
        } else {
            assert!(before == after, "{} differs; it went like this:\n{after}", path.display());
        }
    }
}

/// Do what the text says, and give it back with what followed.
fn replay(text: &str) -> String {
    let mut out = String::new();
    let mut cluster = Cluster::new(1, 1);
    let mut in_output = false;
    for line in text.lines() {
        if in_output {
            in_output = !line.is_empty();
        } else if line.is_empty() || line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        } else if line != "----" {
            cluster.journal.clear();
            command(&mut cluster, line);
            out.extend([line, "\n----\n"]);
            for line in cluster.journal.drain(..) {
                out.extend([line.trim_end(), "\n"]);
            }
            out.push('\n');
        } else {
            in_output = true;
        }
    }
    out
}

fn command(cluster: &mut Cluster, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<u64>().unwrap();
    let node = |at: usize| NodeId(number(at));
    match words[0] {
        "cluster" => {
            *cluster = Cluster::new(number(1), if words.len() > 3 { number(3) } else { 1 });
        }
        "start" => (1..words.len()).for_each(|at| cluster.start(node(at))),
        "run" => cluster.run_for(Micros::from_millis(number(1))),
        "kill" => cluster.kill(node(1), false),
        "crash" => cluster.kill(node(1), true),
        "propose" => {
            cluster.propose(node(1), &words[2..].join(" "));
        }
        "read" => {
            cluster.read(node(1));
        }
        "cut" => cluster.set_link(node(1), node(2), false, false),
        "isolate" => cluster.isolate(node(1)),
        "heal" => cluster.heal(),
        "leave" => cluster.input(node(1), Input::Leave),
        "stall" => cluster.nodes.get_mut(&node(1)).unwrap().stalled = true,
        "unstall" => cluster.unstall(node(1)),
        "wipe" => {
            let this = cluster.nodes.get_mut(&node(1)).unwrap();
            this.id.store = StoreId(this.id.store.0 + 0x100);
            (this.disk, this.joined) = (Disk::default(), true);
        }
        "trace" => cluster.trace = words[1] == "on",
        "status" => status(cluster),
        other => panic!("no such command: {other}"),
    }
}

fn status(cluster: &mut Cluster) {
    let lines: Vec<String> = cluster
        .nodes
        .iter()
        .map(|(node, this)| {
            let Some(replica) = &this.replica else { return format!("n{node} is down") };
            let status = replica.status();
            let leader =
                status.leader.map_or_else(|| "nobody".to_owned(), |leader| leader.to_string());
            format!(
                "n{node} {:?} term {} under {leader}, last {}/{}, durable {}, commit {}",
                status.role,
                status.term,
                status.last.term,
                status.last.index,
                status.durable,
                status.commit
            )
        })
        .collect();
    cluster.journal.extend(lines);
}
