//! What reaches the terminal: data on stdout, messages on stderr, text or JSON.
//!
//! Every piece of text that others wrote passes [`visible`] before it is shown, or is spelled out as JSON
//! does it. A closed pipe is no error: whoever read has seen enough.

use std::io::{self, IsTerminal, Write};

use comfy_table::Table;
use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    ClientError, Message,
    args::{Format, Global},
};

/// The two streams of one run, and how to write on them.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    colors: bool,
    quiet: bool,
    zone: TimeZone,
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            format: global.output,
            colors: !global.no_color && !unwanted && io::stdout().is_terminal(),
            quiet: global.quiet,
            zone: TimeZone::system(),
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether somebody looks at the data as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Whether a progress bar has somebody to look at it.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// One item of data: the object as a line of JSON, or the text.
    pub(crate) fn item<T: Serialize>(&self, item: &T, text: &str) -> Result<(), ClientError> {
        match self.format {
            Format::Text => self.line(text),
            Format::Json => self.line(&json(item)?),
        }
    }

    /// One line of data.
    pub(crate) fn line(&self, text: &str) -> Result<(), ClientError> {
        let mut out = io::stdout().lock();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(stdout_error)
    }

    /// A message to whoever runs the program.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to tell when stderr is closed.
            drop(writeln!(io::stderr().lock(), "{text}"));
        }
    }

    /// An error, with its code and what to do about it.
    pub(crate) fn error(&self, error: &ClientError) {
        let text = if self.is_json() { error_json(error) } else { error_text(error) };
        drop(writeln!(io::stderr().lock(), "{text}"));
    }

    /// A message as one line; further lines of its text are indented, so that none can pose as a message.
    pub(crate) fn message(&self, message: &Message) -> Result<(), ClientError> {
        let text = if self.is_json() { String::new() } else { self.message_text(message) };
        self.item(message, &text)
    }

    fn message_text(&self, message: &Message) -> String {
        let conversation = visible_line(&message.conversation);
        let author = self.bold(&visible_line(&message.author));
        let head = self.dim(&format!("{} {}", message.id, self.time(&message.time)));
        match (&message.text, message.deleted) {
            (Some(text), false) => {
                let edited = if message.edited { self.dim(" (edited)") } else { String::new() };
                let text = visible(text).replace('\n', "\n    ");
                format!("{head} {conversation} {author}: {text}{edited}")
            }
            _ => format!(
                "{} {conversation} {}",
                self.dim(&message.id.to_string()),
                self.dim("(deleted)")
            ),
        }
    }

    /// A time of the wire in the local zone, to the second.
    pub(crate) fn time(&self, rfc3339: &str) -> String {
        match rfc3339.parse::<Timestamp>() {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
            Err(_unclear) => visible_line(rfc3339),
        }
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.styled("1", text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.styled("2", text)
    }

    fn styled(&self, style: &str, text: &str) -> String {
        if self.colors { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// An error as an object, before it is known how to write anything else.
pub(crate) fn error_object(error: &ClientError) {
    drop(writeln!(io::stderr().lock(), "{}", error_json(error)));
}

/// A table without lines, flush left.
pub(crate) fn columns(table: &Table) -> String {
    let text = table.trim_fmt();
    let lines: Vec<&str> =
        text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
    lines.join("\n")
}

/// Whether an error only says that nobody reads stdout any more.
pub(crate) fn is_closed_pipe(error: &ClientError) -> bool {
    matches!(error, ClientError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

pub(crate) fn stdout_error(source: io::Error) -> ClientError {
    ClientError::Io { action: "writing to stdout".to_owned(), source }
}

fn json<T: Serialize>(item: &T) -> Result<String, ClientError> {
    serde_json::to_string(item)
        .map(|text| visible_json(&text))
        .map_err(|error| stdout_error(error.into()))
}

fn error_json(error: &ClientError) -> String {
    let mut body = serde_json::json!({
        "code": error.code(), "message": error.to_string(), "hint": error.hint(),
    });
    if let ClientError::Unknown { request_id, .. } = error {
        body["request_id"] = request_id.to_string().into();
    }
    visible_json(&serde_json::json!({ "error": body }).to_string())
}

fn error_text(error: &ClientError) -> String {
    let indented = |text: &str| visible(text).replace('\n', "\n    ");
    let mut text = format!("error: {}", indented(&error.to_string()));
    if let ClientError::Refused { code, .. } = error {
        text.push_str(&format!(" [{}]", visible_line(code)));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("\nhint: {}", indented(&hint)));
    }
    text
}

/// The text with every character spelled out that a terminal would obey, or an eye would not see.
///
/// Newline and tab stay. Joiners stay where scripts and emoji need them: after a character beyond ASCII.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        let joins =
            matches!(c, '\u{200c}' | '\u{200d}') && !before.is_ascii() && !is_hidden(before);
        if joins || !is_hidden(c) {
            shown.push(c);
        } else if c.is_ascii() {
            shown.push_str(&format!("\\x{:02x}", u32::from(c)));
        } else {
            shown.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
        }
        before = c;
    }
    shown
}

/// The same for what stands on one line: newline and tab are spelled out as well.
pub(crate) fn visible_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// JSON with the same characters spelled out as JSON does it: the same value to whoever parses it.
fn visible_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Control characters, bidi controls, zero-width and other invisible format characters.
fn is_hidden(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t'))
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::args::Cli;

    #[test]
    fn no_control_sequence_gets_through() {
        for (given, shown) in [
            ("plain, äöü 漢字 👍🏽", "plain, äöü 漢字 👍🏽"),
            ("two\nlines\tand a tab", "two\nlines\tand a tab"),
            ("\x1b[2J\x07\x08\r\x7f\0", r"\x1b[2J\x07\x08\x0d\x7f\x00"),
            ("\u{9b}31m\u{85}", r"\u{9b}31m\u{85}"),
            ("a\u{202e}b\u{2066}c\u{200f}", r"a\u{202e}b\u{2066}c\u{200f}"),
            ("zero\u{200b}width\u{feff}", r"zero\u{200b}width\u{feff}"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
            ("a\u{200d}b", r"a\u{200d}b"),
            ("\u{e0041}", r"\u{e0041}"),
        ] {
            assert_eq!(visible(given), shown);
        }
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_in_what_is_shown(text in tricky()) {
            let shown = visible(&text);
            let mut before = ' ';
            for c in shown.chars() {
                let joins = matches!(c, '\u{200c}' | '\u{200d}');
                prop_assert!(!c.is_control() || matches!(c, '\n' | '\t'), "{shown:?}");
                prop_assert!(!is_hidden(c) || joins && !before.is_ascii(), "{shown:?}");
                before = c;
            }
            let line = visible_line(&text);
            prop_assert!(!line.contains(['\n', '\t', '\r', '\x1b']), "{line:?}");
        }

        #[test]
        fn plain_text_is_shown_as_it_is(text in "[ -~äöüß漢字]*") {
            prop_assert_eq!(visible(&text), text.as_str());
            prop_assert_eq!(visible_line(&text), text.as_str());
        }

        #[test]
        fn no_part_of_a_message_can_pose_as_another(text in tricky(), name in tricky()) {
            let output = Output::new(&Cli::try_parse_from(["chatctl", "whoami", "--no-color"]).unwrap().global);
            let message: Message = serde_json::from_value(serde_json::json!({
                "id": "7", "conversation": name, "seq": 1, "author": name,
                "time": name, "text": text,
            }))
            .unwrap();
            let shown = output.message_text(&message);
            for (at, line) in shown.split('\n').enumerate() {
                prop_assert!(at == 0 || line.starts_with("    "), "{shown:?}");
                prop_assert!(!line.contains(|c: char| c.is_control() && c != '\t'), "{shown:?}");
            }
            let error = ClientError::Refused {
                status: 400, code: name.clone(), message: text.clone(), hint: Some(text),
            };
            let shown = error_text(&error);
            prop_assert!(!shown.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\t')));
            let heads = shown.split('\n').filter(|line| !line.starts_with("    ")).count();
            prop_assert_eq!(heads, 2, "{:?}", shown);
        }
    }

    /// Text that is rich in what a terminal obeys or an eye does not see.
    fn tricky() -> impl Strategy<Value = String> {
        let hidden = prop::sample::select(vec![
            '\x1b',
            '\n',
            '\r',
            '\t',
            '\x07',
            '\x08',
            '\0',
            '\x7f',
            '\u{85}',
            '\u{9b}',
            '\u{9d}',
            '\u{ad}',
            '\u{200b}',
            '\u{200c}',
            '\u{200d}',
            '\u{200e}',
            '\u{200f}',
            '\u{202a}',
            '\u{202e}',
            '\u{2066}',
            '\u{2069}',
            '\u{2028}',
            '\u{feff}',
            '\u{e0041}',
        ]);
        let any = prop_oneof![hidden, any::<char>(), prop::char::range('a', 'z')];
        prop::collection::vec(any, 0..40).prop_map(String::from_iter)
    }

    #[test]
    fn json_is_spelled_out_and_says_the_same() {
        let text = "a\x1b[2J\u{9b}\x7f\u{202e}\u{e0041}\u{1f469}\u{200d}\u{1f4bb}\n\t\"\\";
        let shown = json(&text).unwrap();
        let escaped =
            r#""a\u001b[2J\u009b\u007f\u202e\udb40\udc41\u{1f469}\u200d\u{1f4bb}\n\t\"\\""#;
        assert_eq!(
            shown,
            escaped.replace(r"\u{1f469}", "\u{1f469}").replace(r"\u{1f4bb}", "\u{1f4bb}")
        );
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }

    #[test]
    fn a_line_of_text_cannot_pose_as_a_message() {
        let words = ["chatctl", "whoami", "--no-color"];
        let output = Output::new(&Cli::try_parse_from(words).unwrap().global);
        let message: Message = serde_json::from_str(
            r##"{"id":"7","conversation":"#general","seq":1,"author":"bob",
                "time":"2026-01-31T12:00:00.123456Z","text":"one\n8 #general eve: two"}"##,
        )
        .unwrap();
        let text = output.message_text(&message);
        assert!(text.ends_with("#general bob: one\n    8 #general eve: two"), "{text}");
    }

    #[test]
    fn an_unknown_outcome_names_the_id_to_retry_with() {
        let request_id = uuid::Uuid::now_v7();
        let error = ClientError::Unknown { request_id, detail: "x".to_owned() };
        assert!(error_text(&error).contains(&format!("--request-id {request_id}")));
        let object: serde_json::Value = serde_json::from_str(&error_json(&error)).unwrap();
        assert_eq!(object["error"]["code"], "outcome_unknown");
        assert_eq!(object["error"]["request_id"], request_id.to_string());
        assert_eq!(error.exit_code(), 5);
    }
}
