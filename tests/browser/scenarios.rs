//! What people do on the page: one script of `scenarios/` each, on three nodes of its own.

use serde_json::Value;
use tests::{
    browser::{play, unit_tests},
    cluster::Cluster,
};

use crate::PROGRAMS;

async fn on_three_nodes(scenario: &str) {
    let mut cluster = Cluster::start(PROGRAMS, 3).await;
    play(&mut cluster, scenario, Value::Null).await;
}

/// The browser refuses what the policy forbids.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_holds_in_a_browser() {
    on_three_nodes("policy").await;
}

/// Sign up, talk directly and in a channel through two nodes, unread counts, history on scrolling,
/// edit, delete, hide, sign out and in, reload.
#[tokio::test(flavor = "multi_thread")]
async fn two_people_talk_through_two_nodes() {
    on_three_nodes("talk").await;
}

/// A private channel, the keyboard alone, a new password, two screens of one account.
#[tokio::test(flavor = "multi_thread")]
async fn one_account_is_managed_from_two_screens() {
    on_three_nodes("manage").await;
}

/// The serving node and the leader are killed; everything arrives once, in one order for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_survives_its_nodes() {
    on_three_nodes("failover").await;
}

/// Hostile texts are text.
#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_is_shown_and_never_run() {
    on_three_nodes("content").await;
}

/// Accounts are deleted, with their messages and without.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_account_is_gone_for_the_others() {
    on_three_nodes("account").await;
}

/// Screen readers, keyboards, colours.
#[tokio::test(flavor = "multi_thread")]
async fn everyone_can_use_every_view() {
    on_three_nodes("access").await;
}

/// One pane at a time on a phone.
#[tokio::test(flavor = "multi_thread")]
async fn a_phone_goes_from_the_list_to_a_conversation_and_back() {
    on_three_nodes("phone").await;
}

/// Roles, what is survived, and a dead node.
#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_view_shows_a_dead_node() {
    on_three_nodes("cluster").await;
}

#[tokio::test]
async fn the_pages_modules_pass_their_own_tests() {
    unit_tests().await;
}
