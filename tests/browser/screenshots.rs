//! The README's pictures: `cargo screenshots` takes them again, from a real cluster of three.

use serde_json::json;
use tests::{
    browser::play,
    cluster::{Cluster, Programs},
};

const PROGRAMS: Programs = Programs { node: env!("CARGO_BIN_EXE_victim") };
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/browser/screenshots");

#[tokio::main]
async fn main() {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    play(&mut cluster, "screenshots", json!({"folder": FOLDER})).await;
}
