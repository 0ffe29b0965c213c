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
    let count = cluster.nodes.len();
    let page = cluster.nodes.first().map(|node| node.own().client.to_string()).unwrap_or_default();
    let nodes: String = cluster
        .nodes
        .iter()
        .map(|node| {
            let pid = pids.get(&node.node.id).map_or_else(|| "-".to_owned(), u32::to_string);
            format!("  node {}   {}   pid {pid}\n", node.node.id, node.own().client)
        })
        .collect();
    let say_hello = if count > 1 { "still here" } else { "here again" };
    format!(
        r#"
{nodes}
  page and API                          {page}
  owner's sign-up token (works once)    {token}

Type in a second terminal, in this folder:

  chatctl() {{ {chatctl} "$@"; }}
  export HOLDFAST_CONFIG={config} HOLDFAST_PROFILE=alice
  chatctl register alice --invite {token}
  chatctl follow

And in a third:

  chatctl() {{ {chatctl} "$@"; }}
  export HOLDFAST_CONFIG={config} HOLDFAST_PROFILE=bob
  chatctl register bob
  chatctl send @alice 'hello from bob'
  chatctl cluster status
  kill -9 $(cat {dir}/node-1/pid)
  chatctl send @alice '{say_hello}'
  chatctl cluster status

Here: r N restarts node N, k N kills it (-9), q or Ctrl-C stops all. Logs: {dir}/node-N/node.log
"#
    )
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
