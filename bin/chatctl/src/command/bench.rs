//! `bench send`: load on a conversation, and what came of it.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::app::App;
use crate::{Client, ClientError, Ended, Finding, Load, LoadEvent, Target, args::BenchArgs};

/// Latencies are told apart to three digits, up to this.
const LATENCY_US_MAX: u64 = 600_000_000;
/// How often the progress bar moves.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn send(app: &App, args: &BenchArgs) -> Result<(), ClientError> {
    let client = app.client()?;
    prepare(client, &args.to).await?;
    let mut tally = Tally::new(args)?;
    let load = Load {
        to: args.to.clone(),
        clients: args.clients,
        in_flight: args.inflight,
        size_bytes: usize::try_from(args.size).unwrap_or(usize::MAX),
        duration: args.duration,
    };
    let bar = progress(app, args.duration);
    let (stopping, stop) = watch::channel(false);
    let acknowledged = AtomicU64::new(0);
    let started = Instant::now();
    let result = {
        let running = client.load(&load, stop, |event| {
            tally.take(event);
            acknowledged.store(tally.latency_us.len(), Ordering::Relaxed);
        });
        tokio::pin!(running);
        let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
        loop {
            tokio::select! {
                result = &mut running => break result,
                _tick = ticks.tick() => {
                    bar.set_position(millis(started.elapsed()));
                    bar.set_message(format!(
                        "{} acknowledged",
                        acknowledged.load(Ordering::Relaxed)
                    ));
                }
                _interrupt = tokio::signal::ctrl_c() => drop(stopping.send(true)),
            }
        }
    };
    bar.finish_and_clear();
    result?;
    tally.finish()?;
    tally.tell(app, args)?;
    tally.judge()
}

/// A channel is there, and the user is in it.
async fn prepare(client: &Client, to: &Target) -> Result<(), ClientError> {
    let Target::Channel(name) = to else { return Ok(()) };
    match client.create_channel(name, false, None).await {
        Ok(_made) => Ok(()),
        Err(ClientError::Refused { code, .. }) if code == "channel_exists" => {
            client.join(name).await
        }
        Err(error) => Err(error),
    }
}

fn progress(app: &App, duration: Duration) -> ProgressBar {
    if !app.output.shows_progress() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{elapsed:>3} {wide_bar} {msg}")
        .unwrap_or_else(|_template| ProgressStyle::default_bar());
    ProgressBar::new(millis(duration)).with_style(style)
}

/// What is counted.
struct Tally {
    to: String,
    size: u32,
    latency_us: Histogram<u64>,
    refused: u64,
    /// The first code that was given for a refusal.
    refusal: Option<String>,
    unknown: u64,
    /// When the first send went out and when the last was acknowledged.
    first: Option<Instant>,
    last: Option<Instant>,
    history: Option<History>,
}

/// The history, and why it could not be written on.
struct History {
    path: String,
    file: BufWriter<File>,
    failure: Option<std::io::Error>,
}

impl Tally {
    fn new(args: &BenchArgs) -> Result<Self, ClientError> {
        let latency_us = Histogram::new_with_max(LATENCY_US_MAX, 3)
            .map_err(|error| ClientError::usage(format!("latencies cannot be counted: {error}")))?;
        Ok(Self {
            to: args.to.to_string(),
            size: args.size,
            latency_us,
            refused: 0,
            refusal: None,
            unknown: 0,
            first: None,
            last: None,
            history: args.history.as_deref().map(History::create).transpose()?,
        })
    }

    fn take(&mut self, event: &LoadEvent) {
        match &event.ended {
            None => self.first = self.first.or_else(|| Some(Instant::now())),
            Some((Ended::Sent { .. }, took)) => {
                self.last = Some(Instant::now());
                self.latency_us.saturating_record(micros(*took));
            }
            Some((Ended::Refused { code }, _)) => {
                self.refused += 1;
                self.refusal.get_or_insert_with(|| code.clone());
            }
            Some((Ended::Unknown { .. }, _)) => self.unknown += 1,
        }
        if let Some(history) = &mut self.history {
            history.write(event, &self.to, self.size);
        }
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        self.history.as_mut().map_or(Ok(()), History::finish)
    }

    fn seconds(&self) -> f64 {
        match (self.first, self.last) {
            (Some(first), Some(last)) => last.duration_since(first).as_secs_f64(),
            _ => 0.0,
        }
    }

    fn per_second(&self) -> f64 {
        let acknowledged = self.latency_us.len();
        if acknowledged < 2 { 0.0 } else { float(acknowledged) / self.seconds() }
    }

    fn at(&self, quantile: f64) -> f64 {
        float(self.latency_us.value_at_quantile(quantile)) / 1000.0
    }

    fn tell(&self, app: &App, args: &BenchArgs) -> Result<(), ClientError> {
        let acknowledged = self.latency_us.len();
        let object = json!({
            "to": self.to, "clients": args.clients, "inflight": args.inflight, "size": self.size,
            "seconds": rounded(self.seconds()), "acknowledged": acknowledged,
            "per_second": rounded(self.per_second()), "p50_ms": self.at(0.5),
            "p99_ms": self.at(0.99), "p999_ms": self.at(0.999), "refused": self.refused,
            "unknown": self.unknown,
        });
        let text = format!(
            "{acknowledged} messages of {} bytes acknowledged in {:.1} s by {} clients with {} under way each\n\
             {:.0} acknowledged sends/s\n\
             latency p50 {:.2} ms, p99 {:.2} ms, p999 {:.2} ms\n\
             {} refused, {} unknown",
            self.size,
            self.seconds(),
            args.clients,
            args.inflight,
            self.per_second(),
            self.at(0.5),
            self.at(0.99),
            self.at(0.999),
            self.refused,
            self.unknown,
        );
        app.output.item(&object, &text)
    }

    fn judge(&self) -> Result<(), ClientError> {
        if self.unknown > 0 {
            return Err(ClientError::Found {
                finding: Finding::Undecided,
                message: format!("the outcome of {} sends is unknown", self.unknown),
                hint: Some("their connection was lost while they were under way".to_owned()),
            });
        }
        if self.refused > 0 {
            let code = self.refusal.as_deref().unwrap_or_default();
            return Err(ClientError::Found {
                finding: Finding::PartlyRefused,
                message: format!("{} sends were refused, the first with {code}", self.refused),
                hint: Some(
                    "with `busy` or `too_fast`, use fewer clients or less --inflight".to_owned(),
                ),
            });
        }
        Ok(())
    }
}

impl History {
    fn create(path: &Path) -> Result<Self, ClientError> {
        let shown = path.display().to_string();
        let file = File::create(path).map_err(|error| {
            ClientError::usage_hint(
                format!("history {shown}: {error}"),
                "give a file that can be written",
            )
        })?;
        Ok(Self { path: shown, file: BufWriter::new(file), failure: None })
    }

    fn write(&mut self, event: &LoadEvent, to: &str, size: u32) {
        let kind = match &event.ended {
            None => "invoke",
            Some((Ended::Sent { .. }, _)) => "ok",
            Some((Ended::Refused { .. }, _)) => "fail",
            Some((Ended::Unknown { .. }, _)) => "info",
        };
        let mut line = json!({
            "type": kind, "client": event.client, "request_id": event.request_id,
            "time_us": Timestamp::now().as_microsecond(), "conversation": to, "size": size,
        });
        match &event.ended {
            None => {}
            Some((Ended::Sent { id, seq }, _)) => {
                line["id"] = id.to_string().into();
                line["seq"] = (*seq).into();
            }
            Some((Ended::Refused { code }, _)) => line["code"] = code.as_str().into(),
            Some((Ended::Unknown { reason }, _)) => line["reason"] = reason.as_str().into(),
        }
        if self.failure.is_none() {
            self.failure = writeln!(self.file, "{line}").err();
        }
    }

    fn finish(&mut self) -> Result<(), ClientError> {
        let failed = self.failure.take().map_or_else(|| self.file.flush(), Err);
        failed.map_err(|source| ClientError::Io {
            action: format!("writing history {}", self.path),
            source,
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Counts and microseconds of one run are far below 2^52.
#[expect(clippy::cast_precision_loss, reason = "shown to a few digits")]
fn float(count: u64) -> f64 {
    count as f64
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_history_tells_every_step_and_the_tally_counts_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut args = BenchArgs {
            clients: 1,
            inflight: 1,
            size: 10,
            duration: Duration::from_secs(1),
            to: "#load".parse().unwrap(),
            history: Some(path.clone()),
        };
        let mut tally = Tally::new(&args).unwrap();
        let id = Uuid::now_v7();
        let took = Duration::from_millis(5);
        for ended in [
            None,
            Some((Ended::Sent { id: 7, seq: 3 }, took)),
            Some((Ended::Refused { code: "busy".to_owned() }, took)),
            Some((Ended::Unknown { reason: "gone".to_owned() }, took)),
        ] {
            tally.take(&LoadEvent { client: 0, request_id: id, ended });
        }
        tally.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["invoke", "ok", "fail", "info"]);
        assert_eq!((&lines[1]["id"], &lines[1]["seq"]), (&json!("7"), &json!(3)));
        for line in &lines {
            assert_eq!(line["request_id"], id.to_string());
            assert_eq!((&line["conversation"], &line["size"]), (&json!("#load"), &json!(10)));
            assert!(line["time_us"].as_i64().unwrap() > 0);
        }
        assert_eq!((tally.latency_us.len(), tally.refused, tally.unknown), (1, 1, 1));
        assert!((tally.at(0.5) - 5.0).abs() < 0.1);
        assert_eq!(tally.judge().unwrap_err().exit_code(), 5);
        args.history = Some(folder.path().join("no/such/place"));
        assert_eq!(Tally::new(&args).err().unwrap().exit_code(), 2);
    }
}
