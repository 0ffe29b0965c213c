//! Identities in and out of certificates.

use election::NodeId;

use super::{parse_san_uri, san_uri, server_name};

#[test]
fn names_are_frozen() {
    assert_eq!(san_uri(0xab, NodeId(12)), "holdfast://000000000000000000000000000000ab/node/12");
    assert_eq!(server_name(NodeId(12)), "node-12.holdfast");
    assert_eq!(parse_san_uri(&san_uri(u128::MAX, NodeId(3))), Some((u128::MAX, NodeId(3))));
}

#[test]
fn anything_else_is_no_identity() {
    let refused = [
        "",
        "holdfast://",
        "holdfast:///node/",
        "holdfast://ab/node/12",
        "holdfast://000000000000000000000000000000AB/node/12",
        "holdfast://+00000000000000000000000000000ab/node/12",
        "holdfast://000000000000000000000000000000ab/node/+12",
        "holdfast://000000000000000000000000000000ab/node/012",
        "holdfast://000000000000000000000000000000ab/node/12/",
        "holdfast://000000000000000000000000000000ab/node/18446744073709551616",
        "https://000000000000000000000000000000ab/node/12",
    ];
    for uri in refused {
        assert_eq!(parse_san_uri(uri), None, "{uri}");
    }
}
