//! The genesis: what a cluster starts from, the same on every node, written once by `node init`.
//!
//! It lies in the data directory as the file `genesis` and never changes. It says which cluster and
//! which node the directory belongs to, who votes before the log says anything, and the SHA-256 of
//! the owner's one-time sign-up token. A directory with a genesis and no log is fresh. A node that
//! comes later asks a peer for it, and its own file says so for ever.
//!
//! ```text
//! 0        8         12        16              48
//! | magic  | version | length  | SHA-256        | postcard ...  |
//! | HFGENE | u32 LE  | u32 LE  | of what follows, length bytes  |
//! ```

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use election::{Index, NodeId};
use replication::{ClusterConfig, Member, Mode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{NodeError, config::Config};

/// The name of the file in the data directory.
pub const GENESIS_FILE: &str = "genesis";
/// The format of the file.
pub const GENESIS_VERSION: u32 = 1;
/// The most voters that a cluster starts with.
pub const VOTERS_MAX: usize = 7;

const MAGIC: [u8; 8] = *b"HFGENES\n";
const HEADER_BYTES: usize = 48;
/// Far above seven nodes with the longest names.
const PAYLOAD_BYTES_MAX: usize = 16 * 1024;

/// Which cluster: drawn by `node init`, never reused.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ClusterId(pub u128);

/// What a node is born with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Genesis {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name, for people.
    pub cluster_name: String,
    /// The node whose data directory this is; no voter of these when it joined later.
    pub node: NodeId,
    /// Whether a peer told it, and not `node init`: such a directory never founds a cluster, for it
    /// does not know what this one has done since.
    pub joined: bool,
    /// Those who vote before the log says anything, ascending by node.
    pub nodes: Vec<GenesisNode>,
    /// SHA-256 of the text of the owner's one-time sign-up token.
    pub owner_token_hash: [u8; 32],
}

/// A voter of the first configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GenesisNode {
    /// Its number.
    pub node: NodeId,
    /// Where its peers reach it: `HOST:PORT`.
    pub peer: String,
    /// Where its clients reach it: a URL.
    pub client: String,
}

/// SHA-256 of a token's text: what the genesis and the log keep of it.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// For an identity or a secret.
pub(crate) fn random_u128() -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("without randomness there is no identity and no secret");
    u128::from_le_bytes(bytes)
}

impl Genesis {
    /// Read the genesis of a data directory; `None` when it has none: that node asks a running cluster
    /// for it.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is of a newer version.
    pub fn load(data_dir: &Path) -> Result<Option<Self>, NodeError> {
        let path = data_dir.join(GENESIS_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(NodeError::io("read", path)(error)),
        };
        match Self::decode(&bytes) {
            Ok(genesis) => Ok(Some(genesis)),
            Err(problem) => Err(NodeError::Damaged { path, problem }),
        }
    }

    /// Is this the data of the node that the configuration speaks of?
    ///
    /// # Errors
    /// It belongs to another node or cluster.
    pub fn check_owner(&self, config: &Config) -> Result<(), NodeError> {
        let of = |node: NodeId, name: &str| format!("node {node} of cluster \"{name}\"");
        if self.node == config.node.id && self.cluster_name == config.cluster.name {
            return Ok(());
        }
        Err(NodeError::ForeignData {
            path: config.node.data_dir.clone(),
            found: of(self.node, &self.cluster_name),
            wanted: of(config.node.id, &config.cluster.name),
        })
    }

    /// The configuration at index 0: one voter is solo, two are a pair, more are a majority; no disk
    /// is bound yet.
    #[must_use]
    pub fn config(&self) -> ClusterConfig {
        let member = |node: &GenesisNode| Member {
            node: node.node,
            store: None,
            peer: node.peer.clone(),
            client: node.client.clone(),
        };
        let mode = match self.nodes.len() {
            1 => Mode::Solo,
            2 => Mode::Pair,
            _ => Mode::Majority,
        };
        ClusterConfig {
            mode,
            voters: self.nodes.iter().map(member).collect(),
            learners: Vec::new(),
            known: Vec::new(),
            target_size: u8::try_from(self.nodes.len()).unwrap_or(u8::MAX),
            predecessor: Index(0),
            // Whatever build reads it: the first leader raises it.
            level: 1,
        }
    }

    /// The bytes of the file.
    ///
    /// # Panics
    /// When the genesis breaks its own rules, which `node init` has checked.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!((1..=VOTERS_MAX).contains(&self.nodes.len()), "1 to {VOTERS_MAX} voters");
        assert!(self.nodes.is_sorted_by(|a, b| a.node < b.node), "ascending, each once");
        let payload = postcard::to_allocvec(&Payload::V1(PayloadV1::from(self)))
            .expect("numbers, text and lists of them can be encoded");
        assert!(payload.len() <= PAYLOAD_BYTES_MAX);
        let length = u32::try_from(payload.len()).expect("checked against the bound");
        let mut bytes = Vec::with_capacity(HEADER_BYTES + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&GENESIS_VERSION.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&Sha256::digest(&payload));
        assert_eq!(bytes.len(), HEADER_BYTES);
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// The inverse of [`Genesis::encode`].
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (magic, rest) = bytes.split_first_chunk::<8>().ok_or("it is cut short")?;
        if *magic != MAGIC {
            return Err("it is no genesis file".to_owned());
        }
        let (version, rest) = rest.split_first_chunk::<4>().ok_or("it is cut short")?;
        let version = u32::from_le_bytes(*version);
        if version != GENESIS_VERSION {
            return Err(format!(
                "its format is {version} and this program knows {GENESIS_VERSION}: use the newer \
                 program"
            ));
        }
        let (length, rest) = rest.split_first_chunk::<4>().ok_or("it is cut short")?;
        let (checksum, payload) = rest.split_first_chunk::<32>().ok_or("it is cut short")?;
        let length = u32::from_le_bytes(*length);
        if usize::try_from(length) != Ok(payload.len()) || payload.len() > PAYLOAD_BYTES_MAX {
            return Err(format!("its length is {} and should be {length}", payload.len()));
        }
        if Sha256::digest(payload)[..] != checksum[..] {
            return Err("its checksum does not hold".to_owned());
        }
        let (decoded, rest) = postcard::take_from_bytes::<Payload>(payload)
            .map_err(|error| format!("it cannot be decoded: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("{} bytes follow its end", rest.len()));
        }
        match decoded {
            Payload::V1(payload) => payload.checked(),
        }
    }

    /// The path of the file in `data_dir`.
    #[must_use]
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(GENESIS_FILE)
    }
}

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClusterId({self})")
    }
}

/// What stands in the file. Variants are only ever appended; a struct that was released is frozen.
#[derive(Deserialize, Serialize)]
enum Payload {
    V1(PayloadV1),
}

#[derive(Deserialize, Serialize)]
struct PayloadV1 {
    cluster: u128,
    cluster_name: String,
    node: u64,
    joined: bool,
    /// (node, peer, client), ascending by node.
    nodes: Vec<(u64, String, String)>,
    owner_token_hash: [u8; 32],
}

impl From<&Genesis> for PayloadV1 {
    fn from(genesis: &Genesis) -> Self {
        let nodes = genesis.nodes.iter();
        Self {
            cluster: genesis.cluster.0,
            cluster_name: genesis.cluster_name.clone(),
            node: genesis.node.0,
            joined: genesis.joined,
            nodes: nodes.map(|one| (one.node.0, one.peer.clone(), one.client.clone())).collect(),
            owner_token_hash: genesis.owner_token_hash,
        }
    }
}

impl PayloadV1 {
    fn checked(self) -> Result<Genesis, String> {
        let nodes: Vec<GenesisNode> = self
            .nodes
            .into_iter()
            .map(|(node, peer, client)| GenesisNode { node: NodeId(node), peer, client })
            .collect();
        if !(1..=VOTERS_MAX).contains(&nodes.len()) {
            return Err(format!("it names {} voters; 1 to {VOTERS_MAX} are allowed", nodes.len()));
        }
        if !nodes.is_sorted_by(|a, b| a.node < b.node) {
            return Err("its nodes are not in order".to_owned());
        }
        Ok(Genesis {
            cluster: ClusterId(self.cluster),
            cluster_name: self.cluster_name,
            node: NodeId(self.node),
            joined: self.joined,
            nodes,
            owner_token_hash: self.owner_token_hash,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for count in 1..=VOTERS_MAX {
            let genesis = sample(count);
            assert_eq!(Genesis::decode(&genesis.encode()), Ok(genesis.clone()));
            let joined = Genesis { joined: true, ..genesis };
            assert_eq!(Genesis::decode(&joined.encode()), Ok(joined));
        }
    }

    /// The format of version 1 is frozen: these bytes must stay readable and be written the same.
    #[test]
    fn golden_bytes_of_version_1() {
        let hex: String = sample(2).encode().iter().map(|byte| format!("{byte:02x}")).collect();
        let golden = include_str!("../testdata/genesis-v1.hex");
        let golden: String = golden.split_whitespace().collect();
        assert_eq!(hex, golden);
    }

    #[test]
    fn every_changed_bit_and_every_cut_is_refused() {
        let bytes = sample(3).encode();
        for at in 0..bytes.len() {
            assert!(Genesis::decode(&bytes[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(Genesis::decode(&damaged).is_err(), "bit {bit} of byte {at}");
            }
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Genesis::decode(&longer), Err("its length is 224 and should be 223".to_owned()));
    }

    #[test]
    fn modes_follow_the_number_of_voters() {
        let mode = |count| sample(count).config().mode;
        assert_eq!(mode(1), Mode::Solo);
        assert_eq!(mode(2), Mode::Pair);
        assert_eq!(mode(3), Mode::Majority);
        assert_eq!(mode(4), Mode::Majority);
        let config = sample(7).config();
        assert_eq!((config.mode, config.target_size, config.voters.len()), (Mode::Majority, 7, 7));
        assert!(config.voters.iter().all(|voter| voter.store.is_none()));
    }

    #[test]
    fn a_directory_without_a_genesis_has_none_and_a_garbled_one_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Genesis::load(dir.path()).unwrap(), None);
        fs::write(Genesis::path(dir.path()), sample(1).encode()).unwrap();
        assert_eq!(Genesis::load(dir.path()).unwrap(), Some(sample(1)));
        fs::write(Genesis::path(dir.path()), b"").unwrap();
        let error = Genesis::load(dir.path()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("genesis is damaged: it is cut short"), "{error}");
    }

    fn sample(count: usize) -> Genesis {
        let node = |number: u64| GenesisNode {
            node: NodeId(number),
            peer: format!("chat{number}.example.org:7410"),
            client: format!("https://chat{number}.example.org:7411"),
        };
        Genesis {
            cluster: ClusterId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
            cluster_name: "team".to_owned(),
            node: NodeId(1),
            joined: false,
            nodes: (1..).take(count).map(node).collect(),
            owner_token_hash: token_hash("a token"),
        }
    }
}
