//! `cargo fuzz-all`: build the fuzz targets with coverage and run each for a while.
//!
//! What always holds: it needs the stable compiler and a C++ compiler, nothing else; the committed corpus
//! is only read; an input that breaks a target is kept and named, and ends the run; so does a target that
//! was not really fuzzed, by libFuzzer's own account of its runs and of the code that they reached.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

const USAGE: &str = "\
Fuzz every parser, with coverage.

  cargo fuzz-all                    every target, 5 seconds each
  cargo fuzz-all --seconds 600      longer
  cargo fuzz-all --seed 1           from the committed corpus alone, the same inputs each time
  cargo fuzz-all NAME...            these
  cargo fuzz-all --list             what there is
  cargo fuzz-all --seeds            write the seeds to the corpus again

Keep an input that broke a target: copy it to tests/fuzz/corpus/NAME, where `cargo test` tries it.";

/// Coverage as libFuzzer wants it, from flags that the stable compiler passes on.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
const INPUT_BYTES_MAX: usize = 4096;
const MEMORY_MAX_MIB: usize = 1024;
/// The smallest parser has more places to reach than this; what reaches no more does not see it.
const PLACES_MIN: u64 = 50;

#[derive(Default)]
struct Wanted {
    seconds: Option<u64>,
    /// The same seed tries the same inputs in the same order; 0 is another one each time.
    seed: u32,
    list: bool,
    seeds: bool,
    /// None: all.
    names: Vec<String>,
}

/// The program that holds all targets, and where it keeps what it finds.
struct Fuzzer {
    program: PathBuf,
    folder: PathBuf,
}

/// What libFuzzer says that it did.
#[derive(Debug, Default, Eq, PartialEq)]
struct Account {
    /// Inputs of the corpus, run before any was changed.
    read: u64,
    /// All inputs run.
    runs: u64,
    /// Places in the code that any of them reached.
    places: u64,
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(problem) => {
            eprintln!("fuzz-all: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("fuzz-all: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted::default();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let seconds = words.next().and_then(|seconds| seconds.parse().ok());
                wanted.seconds = Some(seconds.ok_or("--seconds takes a number")?);
            }
            "--seed" => {
                let seed = words.next().and_then(|seed| seed.parse().ok());
                wanted.seed = seed.ok_or("--seed takes a number")?;
            }
            "--list" => wanted.list = true,
            "--seeds" => wanted.seeds = true,
            option if option.starts_with('-') => return Err(format!("what is `{option}`?")),
            _ => wanted.names.push(word),
        }
    }
    Ok(wanted)
}

fn run(wanted: &Wanted) -> Result<(), String> {
    let fuzzer = Fuzzer::build()?;
    if wanted.seeds {
        return fuzzer.ask("FUZZ_SEEDS", &corpus()).map(drop);
    }
    let told = fuzzer.ask("FUZZ_LIST", Path::new(""))?;
    let known: Vec<&str> = told.lines().collect();
    if wanted.list {
        println!("{told}");
        return Ok(());
    }
    if let Some(unknown) = wanted.names.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(format!("there is no target `{unknown}`; --list says what there is"));
    }
    let chosen = |name: &&&str| wanted.names.is_empty() || wanted.names.iter().any(|n| n == *name);
    let chosen: Vec<&&str> = known.iter().filter(chosen).collect();
    if chosen.is_empty() {
        return Err("there is nothing to fuzz".to_owned());
    }
    chosen.into_iter().try_for_each(|name| fuzzer.fuzz(name, wanted))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn corpus() -> PathBuf {
    folder().join("corpus")
}

impl Fuzzer {
    fn build() -> Result<Self, String> {
        let host = host()?;
        let target_dir = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| folder().join("../../target"), PathBuf::from)
            .join("fuzz");
        // The versions that everything else is built with; cargo adds what the fuzzer alone needs.
        fs::copy(folder().join("../../Cargo.lock"), folder().join("Cargo.lock"))
            .map_err(|error| format!("cannot copy Cargo.lock: {error}"))?;
        // With a target named, the flags are for it alone and not for build scripts.
        let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--target", &host, "--target-dir"])
            .arg(&target_dir)
            .current_dir(folder())
            .env("RUSTFLAGS", FLAGS)
            .status()
            .map_err(|error| format!("cannot run cargo: {error}"))?;
        if !built.success() {
            return Err("the fuzzer does not build".to_owned());
        }
        Ok(Self { program: target_dir.join(&host).join("debug/fuzzer"), folder: target_dir })
    }

    /// Something that it tells without fuzzing.
    fn ask(&self, wish: &str, value: &Path) -> Result<String, String> {
        let output = Command::new(&self.program).env(wish, value).output();
        let output = output.map_err(|error| format!("cannot run the fuzzer: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn fuzz(&self, name: &str, wanted: &Wanted) -> Result<(), String> {
        let seconds = wanted.seconds.unwrap_or(5);
        // libFuzzer adds what it finds to the first folder. With a seed that is an empty one: what was found
        // before would change what is tried now.
        let grown = self.folder.join(if wanted.seed == 0 { "corpus" } else { "fresh" }).join(name);
        if wanted.seed != 0 && grown.exists() {
            fs::remove_dir_all(&grown).map_err(|error| error.to_string())?;
        }
        let broken = self.folder.join("broken").join(name);
        for folder in [&grown, &broken] {
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        }
        let committed = Some(corpus().join(name)).filter(|folder| folder.exists());
        let output = Command::new(&self.program)
            .env("FUZZ_TARGET", name)
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-seed={}", wanted.seed))
            .arg(format!("-max_len={INPUT_BYTES_MAX}"))
            .arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"))
            .arg("-timeout=20")
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", broken.display()))
            .arg(grown)
            .args(committed)
            .output()
            .map_err(|error| format!("cannot run {}: {error}", self.program.display()))?;
        let told = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            let tail: Vec<&str> = told.lines().rev().take(60).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            return Err(format!("{name}: broken\n{}", tail.join("\n")));
        }
        let account = Account::of(&told).ok_or_else(|| format!("{name}: no account\n{told}"))?;
        account.check().map_err(|problem| format!("{name}: {problem}: {account:?}\n{told}"))?;
        let Account { runs, places, .. } = account;
        println!("{name:<18} {runs:>9} inputs in {seconds} s, {places} places covered");
        Ok(())
    }
}

impl Account {
    /// What stands in libFuzzer's output, if all of it does.
    fn of(told: &str) -> Option<Self> {
        let (mut account, mut has_begun) = (Self::default(), false);
        for line in told.lines() {
            if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
                account.runs = runs.trim().parse().ok()?;
            }
            // `#31	INITED cov: 352 ft: 901 corp: 29/8Kb exec/s: 0 rss: 45Mb`
            let Some((number, rest)) =
                line.strip_prefix('#').and_then(|line| line.split_once('\t'))
            else {
                continue;
            };
            if rest.starts_with("INITED") {
                account.read = number.parse().ok()?;
                has_begun = true;
            }
            if let Some(places) = rest.split("cov: ").nth(1) {
                account.places = places.split(' ').next()?.parse().ok()?;
            }
        }
        (has_begun && account.runs > 0).then_some(account)
    }

    /// Was anything tried beside the corpus, and was it seen what that does?
    fn check(&self) -> Result<(), &'static str> {
        if self.runs <= self.read {
            return Err("no input was tried but those of the corpus");
        }
        if self.places < PLACES_MIN {
            return Err("what the inputs reach is not seen");
        }
        Ok(())
    }
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Account;

    const TOLD: &str = "\
INFO: Running with entropic power schedule (0xFF, 100).
INFO: Loaded 1 modules   (81234 inline 8-bit counters): 81234 [0x1, 0x2),
#32\tINITED cov: 352 ft: 901 corp: 29/8Kb exec/s: 0 rss: 45Mb
#64\tNEW    cov: 360 ft: 950 corp: 30/8Kb lim: 4096 exec/s: 0 rss: 45Mb L: 9/9 MS: 1 CopyPart-
#5120\tDONE   cov: 361 ft: 960 corp: 31/8Kb lim: 4096 exec/s: 1706 rss: 46Mb
Done 5120 runs in 3 second(s)
stat::number_of_executed_units: 5120
";

    #[test]
    fn what_libfuzzer_did_is_read() {
        let account = Account::of(TOLD).unwrap();
        assert_eq!(account, Account { read: 32, runs: 5120, places: 361 });
        assert_eq!(account.check(), Ok(()));
    }

    #[test]
    fn a_run_that_tried_nothing_or_saw_nothing_is_no_run() {
        assert_eq!(Account::of("Done 5120 runs in 3 second(s)\n"), None);
        assert_eq!(Account::of(&TOLD.replace("5120", "0")), None);
        let idle = Account::of(&TOLD.replace("units: 5120", "units: 32")).unwrap();
        idle.check().unwrap_err();
        let blind = Account::of(&TOLD.replace("cov: 36", "cov: ")).unwrap();
        blind.check().unwrap_err();
    }
}
