//! What `node dev` prints when the cluster is up: where it is, and what to type next.

use std::{collections::BTreeMap, path::Path};

use election::NodeId;

use super::prepare::Cluster;

/// How chatctl is started from another terminal: the binary beside this one, if there is one.
pub(super) fn chatctl() -> String {
    let beside = std::env::current_exe().ok().map(|exe| exe.with_file_name("chatctl"));
    match beside {
        Some(path) if path.is_file() => quote(&path),
        Some(_) | None => "cargo run --quiet --release --bin chatctl --".to_owned(),
    }
}

/// All that is printed. `chatctl` starts chatctl.
pub(super) fn text(cluster: &Cluster, pids: &BTreeMap<NodeId, u32>, chatctl: &str) -> String {
    let dir = quote(&cluster.dir);
    let config = quote(&cluster.dir.join("chatctl.toml"));
    let token = &cluster.owner_token;
    let page = cluster.nodes.first().map(|node| node.own().client.to_string()).unwrap_or_default();
    let nodes: String = cluster
        .nodes
        .iter()
        .map(|node| {
            let pid = pids.get(&node.node.id).map_or_else(|| "-".to_owned(), u32::to_string);
            format!("  node {}   {}   pid {pid}\n", node.node.id, node.own().client)
        })
        .collect();
    let losses = losses(&dir, cluster.nodes.len());
    format!(
        r#"
{nodes}
  page and API                          {page}
  owner's sign-up token (works once)    {token}

In a second terminal, in this folder, alice signs up and listens:

  chatctl() {{ {chatctl} "$@"; }}
  export HOLDFAST_CONFIG={config} HOLDFAST_PROFILE=alice
  chatctl register alice --invite {token}
  chatctl follow

In a third, bob writes to her:

  chatctl() {{ {chatctl} "$@"; }}
  export HOLDFAST_CONFIG={config} HOLDFAST_PROFILE=bob
  chatctl register bob
  chatctl send @alice 'hello from bob'
{losses}
Here: r N starts or restarts node N, k N kills it (-9), q or Ctrl-C stops all.
What node N logs is in {dir}/node-N/node.log
"#
    )
}

/// How to see that the cluster goes on: kill as many as it survives, the leader first.
fn losses(dir: &str, count: usize) -> String {
    let mut text = String::new();
    if count >= 3 {
        text.push_str(&format!(
            r#"
Kill the node that leads, and chat on:

  leader=$(chatctl cluster status -o json | sed 's/.*"leader":\([0-9]*\).*/\1/')
  kill -9 $(cat {dir}/node-$leader/pid)
  chatctl send @alice 'the leader is dead'
"#
        ));
    }
    if count >= 5 {
        text.push_str(&format!(
            r"
And another one:

  kill -9 $(cat {dir}/node-$((leader % {count} + 1))/pid)
  chatctl send @alice 'and one more'
"
        ));
    }
    if count >= 3 {
        text.push_str("\nType `r N` here for each dead node N, and see them catch up:\n");
    } else {
        text.push_str("\nSee who leads:\n");
    }
    text.push_str("\n  chatctl cluster status\n");
    text
}

/// As a shell takes it for one word.
fn quote(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@,".contains(&byte);
    if text.bytes().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
