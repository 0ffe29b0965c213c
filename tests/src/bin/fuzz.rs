//! `cargo fuzz-all`: build the fuzz targets with coverage and run each for a while.
//!
//! What always holds: it needs the stable compiler and a C++ compiler, nothing else; the committed corpus
//! is only read; an input that breaks a target is kept and named, and ends the run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program's output")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use tests::fuzz::{TARGETS, Target};

const USAGE: &str = "\
Fuzz every parser, with coverage.

  cargo fuzz-all                    every target of the cores, 5 seconds each
  cargo fuzz-all --seconds 600      longer
  cargo fuzz-all --seed 1           the same inputs each time
  cargo fuzz-all --node             those of bin/node too (a long build)
  cargo fuzz-all NAME...            these
  cargo fuzz-all --list             what there is
  cargo fuzz-all --seeds            write the seeds to the corpus again

Keep an input that broke a target: copy it to tests/fuzz/corpus/NAME, where `cargo test` tries it.";

/// Coverage as libFuzzer wants it, from flags that the stable compiler passes on.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// Targets that only a build with bin/node has.
const NODE_TARGETS: [&str; 2] = ["node_toml", "genesis"];
const INPUT_BYTES_MAX: usize = 4096;
const MEMORY_MAX_MIB: usize = 1024;

struct Wanted {
    seconds: u64,
    /// The same seed tries the same inputs in the same order; 0 is another one each time.
    seed: u32,
    node: bool,
    names: Vec<String>,
}

fn main() -> ExitCode {
    let wanted = match parse(std::env::args().skip(1)) {
        Ok(Some(wanted)) => wanted,
        Ok(None) => return ExitCode::SUCCESS,
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

fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Wanted>, String> {
    let mut wanted = Wanted { seconds: 5, seed: 0, node: false, names: Vec::new() };
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seconds" => {
                let seconds = words.next().and_then(|seconds| seconds.parse().ok());
                wanted.seconds = seconds.ok_or("--seconds takes a number")?;
            }
            "--seed" => {
                let seed = words.next().and_then(|seed| seed.parse().ok());
                wanted.seed = seed.ok_or("--seed takes a number")?;
            }
            "--node" => wanted.node = true,
            "--list" => {
                TARGETS.iter().for_each(|target| println!("{}", target.name));
                return Ok(None);
            }
            "--seeds" => return write_seeds().map(|()| None),
            name if TARGETS.iter().any(|target| target.name == name) => wanted.names.push(word),
            name if NODE_TARGETS.contains(&name) => {
                wanted.node = true;
                wanted.names.push(word);
            }
            other => return Err(format!("what is `{other}`?")),
        }
    }
    if wanted.names.is_empty() {
        wanted.names = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        if wanted.node {
            wanted.names.extend(NODE_TARGETS.map(str::to_owned));
        }
    }
    Ok(Some(wanted))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn write_seeds() -> Result<(), String> {
    for Target { name, seeds, .. } in TARGETS {
        let folder = folder().join("corpus").join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        for (number, seed) in seeds().iter().enumerate() {
            let path = folder.join(format!("seed-{number:03}"));
            fs::write(path, seed).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

fn run(wanted: &Wanted) -> Result<(), String> {
    let host = host()?;
    let target_dir = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| folder().join("../../target"), PathBuf::from)
        .join("fuzz");
    let features: &[&str] = if wanted.node { &["--features", "processes"] } else { &[] };
    // The versions that everything else is built with; cargo adds what the fuzzer alone needs.
    fs::copy(folder().join("../../Cargo.lock"), folder().join("Cargo.lock"))
        .map_err(|error| format!("cannot copy Cargo.lock: {error}"))?;
    // With a target named, the flags are for it alone and not for build scripts.
    let built = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--target", &host, "--target-dir"])
        .arg(&target_dir)
        .args(features)
        .current_dir(folder())
        .env("RUSTFLAGS", FLAGS)
        .status()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if !built.success() {
        return Err("the fuzzer does not build".to_owned());
    }
    let program = target_dir.join(&host).join("debug/fuzzer");
    for name in &wanted.names {
        fuzz(&program, &target_dir, name, wanted)?;
    }
    Ok(())
}

fn fuzz(program: &Path, target_dir: &Path, name: &str, wanted: &Wanted) -> Result<(), String> {
    let Wanted { seconds, seed, .. } = wanted;
    let grown = target_dir.join("corpus").join(name);
    let broken = target_dir.join("broken").join(name);
    for folder in [&grown, &broken] {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let committed = folder().join("corpus").join(name);
    let output = Command::new(program)
        .env("FUZZ_TARGET", name)
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-seed={seed}"))
        .arg(format!("-max_len={INPUT_BYTES_MAX}"))
        .arg(format!("-rss_limit_mb={MEMORY_MAX_MIB}"))
        .arg("-timeout=20")
        .arg("-print_final_stats=1")
        .arg(format!("-artifact_prefix={}/", broken.display()))
        .args([&grown, &committed].into_iter().filter(|folder| folder.exists()))
        .output()
        .map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let tail: Vec<&str> = told.lines().rev().take(60).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return Err(format!("{name}: broken\n{}", tail.join("\n")));
    }
    let runs = told.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let covered = told.lines().rev().find_map(|line| line.split("cov: ").nth(1));
    let covered = covered.and_then(|rest| rest.split(' ').next()).unwrap_or("?");
    println!(
        "{name:<18} {:>9} inputs in {seconds} s, {covered} places covered",
        runs.unwrap_or("?").trim()
    );
    Ok(())
}

/// The triple of this machine.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("cannot run rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc names no host".to_owned())
}
