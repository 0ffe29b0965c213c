//! The peers' port: whoever can send datagrams to it can do no more.

use std::net::{SocketAddr, UdpSocket};

use election::Random;
use tests::{
    cluster::Cluster,
    conversation::{Speaker, check_promises, whole_history},
};

use crate::PROGRAMS;

/// Bytes of a datagram that may begin a connection.
const INITIAL_BYTES: usize = 1200;

/// The head of an Initial of QUIC version 1, or of whatever version is asked for.
fn initial(random: &mut Random, version: u32, bytes: usize) -> Vec<u8> {
    let mut datagram = vec![0xc0 | u8::try_from(random.up_to(15)).unwrap()];
    datagram.extend_from_slice(&version.to_be_bytes());
    // Connection ids of any claimed length, a token of any claimed length, a length of any kind.
    while datagram.len() < bytes {
        datagram.extend_from_slice(&random.next().to_le_bytes());
    }
    datagram.truncate(bytes);
    datagram
}

/// One hostile datagram.
fn datagram(random: &mut Random) -> Vec<u8> {
    let bytes = usize::try_from(random.up_to(1472)).unwrap();
    match random.up_to(5) {
        0 => (0..bytes).map(|_| random.next().to_le_bytes()[0]).collect(),
        1 => initial(random, 1, bytes.max(5)),
        2 => initial(random, 1, INITIAL_BYTES),
        3 => initial(random, 0x0a0a_0a0a, INITIAL_BYTES),
        4 => initial(random, 0, INITIAL_BYTES),
        _ => {
            // An Initial whose ids are right and whose rest is not.
            let mut good = vec![0xc3, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 8];
            good.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 0, 0x44, 0x9e]);
            while good.len() < INITIAL_BYTES {
                good.push(random.next().to_le_bytes()[0]);
            }
            good
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn random_datagrams_and_malformed_initials_hinder_no_cluster() {
    const DATAGRAMS: usize = 30_000;
    let cluster = Cluster::start(PROGRAMS, 3).await;
    let owner = cluster.owner().await;
    owner.create_channel("general", false, None).await.unwrap();
    let pids: Vec<u32> = cluster.ids().into_iter().map(|id| cluster.pid(id)).collect();
    let ports: Vec<SocketAddr> = cluster
        .ids()
        .into_iter()
        .map(|id| {
            let client: SocketAddr =
                cluster.url(id).trim_start_matches("https://").parse().unwrap();
            SocketAddr::new(client.ip(), client.port() - 1)
        })
        .collect();
    let before = owner.cluster().await.unwrap();
    let speaker = Speaker::start(owner.clone(), "#general".parse().unwrap(), "through the storm");
    let storm = tokio::task::spawn_blocking(move || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut random = Random::new(7);
        for number in 0..DATAGRAMS {
            // What the system has no room for is lost, as datagrams are.
            drop(socket.send_to(&datagram(&mut random), ports[number % ports.len()]));
        }
    });
    speaker.goes_on(30).await;
    storm.await.unwrap();
    speaker.goes_on(30).await;
    let spoken = speaker.stop().await;
    assert!(spoken.unknown.is_empty(), "{:?}", spoken.unknown);
    let after = cluster.converged(&owner).await;
    assert_eq!((before.leader, before.term), (after.leader, after.term), "nobody was deposed");
    assert_eq!(pids, cluster.ids().into_iter().map(|id| cluster.pid(id)).collect::<Vec<_>>());
    check_promises(&whole_history(&owner, &"#general".parse().unwrap()).await, &[spoken]);
    for id in cluster.ids() {
        let log = std::fs::read_to_string(cluster.node_dir(id).join("node.log")).unwrap();
        assert!(!log.contains("panicked at"), "{log}");
        let complaints = log.lines().filter(|line| line.contains("refused a connection")).count();
        assert!(complaints < 100, "strangers filled the log: {complaints} lines");
    }
}
