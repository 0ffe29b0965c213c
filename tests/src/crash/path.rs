//! How a crash state came about, in a form that can be typed in again.
//!
//! ```text
//! 41:0110/7:01~3      the power went in call 41 of the history, of four unsettled pieces the second
//!                     and third were new; then in call 7 of the recovery; then fault 3 struck
//! ```

use std::{fmt, str::FromStr};

/// One thing after another that happened to the disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Path(pub Vec<Step>);

/// One thing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// The power goes during a call of the history, or of the recovery from the step before.
    Crash {
        /// Which call; the number of all when it goes after the last.
        call: u64,
        /// In which state each unsettled piece is found, at most 61 of them each.
        choices: Vec<usize>,
    },
    /// The disk damages what was synced, in a way drawn from this number.
    Fault(u64),
}

impl Path {
    /// This, and then another step.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.0.iter().enumerate() {
            match step {
                Step::Crash { call, choices } => {
                    let slash = if number > 0 { "/" } else { "" };
                    write!(f, "{slash}{call}:")?;
                    choices.iter().try_for_each(|&choice| write!(f, "{}", digit(choice)))?;
                }
                Step::Fault(draw) => write!(f, "~{draw}")?,
            }
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        for crash in text.split('/') {
            let mut parts = crash.split('~');
            let first = parts.next().unwrap_or_default();
            let (call, choices) = first.split_once(':').ok_or("a crash is CALL:CHOICES")?;
            let choices =
                choices.chars().map(|c| value(c).ok_or_else(|| format!("no choice: {c:?}")));
            steps.push(Step::Crash {
                call: number(call)?,
                choices: choices.collect::<Result<_, _>>()?,
            });
            for draw in parts {
                steps.push(Step::Fault(number(draw)?));
            }
        }
        Ok(Self(steps))
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|error| format!("{text:?}: {error}"))
}

const DIGITS: &str = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn digit(choice: usize) -> char {
    DIGITS.chars().nth(choice).expect("a piece has few states")
}

fn value(digit: char) -> Option<usize> {
    DIGITS.find(digit)
}

#[cfg(test)]
mod tests {
    use super::{Path, Step};

    #[test]
    fn a_path_can_be_typed_in_again() {
        let crash = |call, choices: &[usize]| Step::Crash { call, choices: choices.to_vec() };
        let path = Path(vec![crash(41, &[0, 1, 11, 61]), crash(7, &[]), Step::Fault(3)]);
        assert_eq!(path.to_string(), "41:01bZ/7:~3");
        assert_eq!(path.to_string().parse(), Ok(path));
        for bad in ["", "7", "x:0", "7:-", "7:0~", "7:0/"] {
            bad.parse::<Path>().unwrap_err();
        }
    }
}
