//! The window alone: order, bound, rewinding.

use super::*;

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn message(number: u64) -> Message {
    serde_json::from_str(&format!(r#"{{"id":"{number}","conversation":"@b","seq":{number}}}"#))
        .unwrap()
}

fn refused(code: &str) -> FailureBody {
    FailureBody { code: code.to_owned(), ..FailureBody::default() }
}

fn window(count: u128) -> Window {
    let mut window = Window::default();
    (1..=count).for_each(|number| window.push(id(number), format!("text {number}")));
    window
}

fn drain(window: &mut Window) -> Vec<String> {
    std::iter::from_fn(|| window.next_frame("@b"))
        .map(|frame| {
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            frame["text"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[test]
fn frames_are_chained_to_the_one_before() {
    let mut window = window(2);
    let first: serde_json::Value = serde_json::from_str(&window.next_frame("@b").unwrap()).unwrap();
    let second: serde_json::Value =
        serde_json::from_str(&window.next_frame("@b").unwrap()).unwrap();
    assert!(first.get("after_request").is_none());
    assert_eq!(second["after_request"], id(1).to_string());
    assert_eq!((&first["type"], &first["to"]), (&"send".into(), &"@b".into()));
}

#[test]
fn the_window_has_a_bound() {
    let mut window = window(MESSAGES_IN_FLIGHT_MAX as u128);
    assert!(!window.has_room());
    assert_eq!(drain(&mut window).len(), MESSAGES_IN_FLIGHT_MAX);
    window.sent(id(1), message(1));
    assert!(!window.has_room(), "only what was handed out makes room");
    window.pop().unwrap().unwrap();
    assert!(window.has_room());
}

#[test]
fn outcomes_are_handed_out_in_order() {
    let mut window = window(3);
    drain(&mut window);
    window.sent(id(2), message(2));
    assert!(window.pop().is_none());
    window.sent(id(1), message(1));
    assert_eq!(window.pop().unwrap().unwrap().id, 1);
    assert_eq!(window.pop().unwrap().unwrap().id, 2);
    assert!(window.pop().is_none());
    assert_eq!(window.first_unknown(), Some(id(3)));
}

#[test]
fn a_retry_waits_for_all_answers_and_resends_what_has_none() {
    let mut window = window(4);
    drain(&mut window);
    window.sent(id(1), message(1));
    window.failed(id(2), refused("no_leader"), true);
    window.failed(id(3), refused("out_of_order"), false);
    window.push(id(5), "text 5".to_owned());
    assert!(window.next_frame("@b").is_none(), "nothing new overtakes what is to be sent again");
    assert!(!window.must_rewind());
    window.sent(id(4), message(4));
    assert!(window.must_rewind());
    window.rewind();
    assert_eq!(drain(&mut window), ["text 2", "text 3", "text 5"]);
}

#[test]
fn a_lost_connection_resends_everything_unanswered() {
    let mut window = window(3);
    drain(&mut window);
    window.sent(id(1), message(1));
    window.rewind();
    assert_eq!(drain(&mut window), ["text 2", "text 3"]);
    assert!(window.awaits_answers());
}

#[test]
fn answers_to_nothing_are_ignored() {
    let mut window = window(2);
    window.sent(id(1), message(1));
    assert!(window.pop().is_none(), "it was never sent");
    drain(&mut window);
    window.sent(id(9), message(9));
    window.sent(id(1), message(1));
    window.sent(id(1), message(1));
    window.sent(id(2), message(2));
    assert!(!window.awaits_answers());
    assert_eq!(window.pop().unwrap().unwrap().id, 1);
    assert_eq!(window.pop().unwrap().unwrap().id, 2);
    assert!(window.is_empty());
}
