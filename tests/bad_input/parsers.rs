//! Requests that are nearly right, seeded, so that what is found is found again. The parsers behind them
//! are tried one by one in `tests::fuzz`.

use election::Random;
use serde_json::json;
use tests::fuzz::mutate;

use crate::target::attack;

/// A head or a body of more bytes than this is tried elsewhere.
const PART_BYTES_MAX: usize = 4096;

/// Requests that are nearly right, whole: heads and bodies. Never an error of the node's own, never
/// silence where there was a request.
#[tokio::test(flavor = "multi_thread")]
async fn mutated_requests_are_answered_or_cut_off() {
    const ROUNDS: usize = 400;
    attack(async |target| {
        let to = json!({"to": "#general", "text": "gr\u{fc}\u{df}e", "reply_to": null}).to_string();
        let requests = [
            ("POST", "/v1/messages", to),
            ("POST", "/v1/channels", json!({"name": "fuzz", "private": false}).to_string()),
            ("POST", "/v1/channels/general/read", json!({"upto": 1}).to_string()),
            ("POST", "/v1/channels/general/invites", json!({"user": "bob"}).to_string()),
            ("GET", "/v1/channels/general/messages?before=9&limit=3", String::new()),
            ("GET", "/v1/users?match=*a*&after=a&limit=2", String::new()),
        ];
        let mut random = Random::new(3);
        let bytes: Vec<Vec<u8>> = (0..ROUNDS)
            .map(|round| {
                let (method, path, body) = &requests[round % requests.len()];
                let mut body = body.clone().into_bytes();
                if round % 2 == 0 {
                    mutate(&mut random, &mut body, PART_BYTES_MAX);
                }
                let mut head = format!(
                    "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: \
                     Bearer {}\r\nContent-Length: {}\r\n",
                    target.alice,
                    body.len()
                )
                .into_bytes();
                if round % 2 == 1 {
                    mutate(&mut random, &mut head, PART_BYTES_MAX);
                }
                [&head[..], b"\r\n", &body].concat()
            })
            .collect();
        for some in bytes.chunks(200) {
            let answers = some.iter().map(|bytes| target.raw(bytes));
            for (bytes, answers) in
                some.iter().zip(futures_util::future::join_all(answers).await)
            {
                let shown = String::from_utf8_lossy(bytes);
                if !answers.is_silence() {
                    let status = answers.first().status;
                    assert!((200..500).contains(&status) || status == 503, "{status}: {shown:?}");
                }
            }
        }
    })
    .await;
}
