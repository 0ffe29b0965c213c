//! `doctor`: why it does not work, one line per thing looked at, with the mend.
//!
//! Every endpoint is looked at from outside first, which needs no login; then what the cluster tells.

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::app::App;
use crate::{ClientError, ClusterStatus, Endpoint, Finding, Probe, output::visible_line};

/// A certificate with fewer days left is warned about.
const EXPIRY_DAYS_WARN: i64 = 30;
/// A clock that is further off is warned about.
const SKEW_WARN: SignedDuration = SignedDuration::from_secs(2);
const SECONDS_PER_DAY: i64 = 86_400;

/// How one check came out.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Pass,
    Warn,
    Fail,
}

/// One line.
#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    verdict: Verdict,
    /// What was looked at: an endpoint, or the cluster.
    subject: String,
    detail: String,
    /// What to do about it.
    mend: Option<String>,
}

impl Line {
    fn new(check: &'static str, subject: &str, verdict: Verdict, detail: String) -> Self {
        Self { check, verdict, subject: subject.to_owned(), detail, mend: None }
    }

    fn mend(mut self, mend: impl Into<String>) -> Self {
        self.mend = Some(mend.into());
        self
    }
}

pub(super) async fn doctor(app: &App) -> Result<(), ClientError> {
    let client = app.anonymous();
    let mut endpoints = client.endpoints();
    if app.config.guessed && app.user().is_ok() {
        // What was guessed before the login is known better now.
        endpoints.retain(|endpoint| app.knows(endpoint));
    }
    let mut sheet = Sheet { app, failed: 0, width: 0 };
    sheet.width = endpoints.iter().map(|endpoint| endpoint.to_string().len()).max().unwrap_or(0);
    let probes = join_all(endpoints.iter().map(|endpoint| client.probe(endpoint))).await;
    let is_up = |probe: &Probe| matches!(probe.answer, Some(Ok(_)));
    let reached = probes.iter().filter(|probe| is_up(probe)).count();
    for (endpoint, probe) in endpoints.iter().zip(&probes) {
        // Of the addresses that are only guessed, one that answers is enough.
        let is_guess = app.config.guessed && app.user().is_err() && reached > 0;
        if is_up(probe) || !is_guess {
            for line in outside(endpoint, probe) {
                sheet.tell(&line)?;
            }
        }
    }
    if reached == 0 {
        return Err(ClientError::Unavailable {
            detail: format!("none of {} endpoints is reachable", endpoints.len()),
        });
    }
    inside(&mut sheet).await?;
    sheet.conclude()
}

/// The lines as they are told.
struct Sheet<'a> {
    app: &'a App,
    failed: usize,
    width: usize,
}

impl Sheet<'_> {
    fn tell(&mut self, line: &Line) -> Result<(), ClientError> {
        self.failed += usize::from(line.verdict == Verdict::Fail);
        let verdict = match line.verdict {
            Verdict::Pass => "PASS",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        let subject = visible_line(&line.subject);
        let mut text = format!(
            "{}  {:<8}  {subject:<width$}  {}",
            self.app.output.bold(verdict),
            line.check,
            visible_line(&line.detail),
            width = self.width,
        );
        if let Some(mend) = &line.mend {
            text.push_str(&format!("; {}", visible_line(mend)));
        }
        self.app.output.item(line, &text)
    }

    fn conclude(self) -> Result<(), ClientError> {
        match self.failed {
            0 => Ok(()),
            failed => Err(ClientError::Found {
                finding: Finding::Unhealthy,
                message: match failed {
                    1 => "1 check failed".to_owned(),
                    many => format!("{many} checks failed"),
                },
                hint: Some("mend what is marked FAIL, from the top".to_owned()),
            }),
        }
    }
}

/// What one endpoint looks like.
fn outside(endpoint: &Endpoint, probe: &Probe) -> Vec<Line> {
    let subject = endpoint.to_string();
    let line = |check, verdict, detail: String| Line::new(check, &subject, verdict, detail);
    let mut lines = vec![match &probe.addresses {
        Ok(addresses) => {
            let all: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            line("name", Verdict::Pass, all.join(", "))
        }
        Err(reason) => line("name", Verdict::Fail, reason.clone())
            .mend("correct the name in --endpoint or the configuration, or the name server"),
    }];
    lines.extend(probe.connected.as_ref().map(|connected| {
        match connected {
            Ok(address) => line("port", Verdict::Pass, format!("{} is open", address.port())),
            Err(reason) => line("port", Verdict::Fail, reason.clone())
                .mend("start the node, or let the port through the firewall"),
        }
    }));
    lines.extend(probe.expires.as_ref().map(|expires| match expires {
        Ok(expires) => certificate(&subject, *expires, Timestamp::now()),
        Err(reason) => line("tls", Verdict::Fail, reason.clone()).mend(tls_mend(reason)),
    }));
    match &probe.answer {
        None => {}
        Some(Err(reason)) => lines.push(
            line("answer", Verdict::Fail, reason.clone())
                .mend("is it a node's client port, and http or https as the node has it?"),
        ),
        Some(Ok(answer)) => {
            lines.push(if answer.is_ready {
                line("answer", Verdict::Pass, "ready".to_owned())
            } else {
                let detail = "the node is up, and knows no leader or has not caught up";
                line("answer", Verdict::Fail, detail.to_owned())
                    .mend("start the other nodes, and look at this node's log")
            });
            lines.push(match answer.ahead {
                Some(ahead) => clock(&subject, ahead),
                None => line("clock", Verdict::Warn, "it does not tell its time".to_owned())
                    .mend("is it a node of this version?"),
            });
        }
    }
    lines
}

fn certificate(subject: &str, expires: Timestamp, now: Timestamp) -> Line {
    let days = expires.duration_since(now).as_secs().div_euclid(SECONDS_PER_DAY);
    let detail = format!("the certificate chain is good for {days} more days");
    if days < EXPIRY_DAYS_WARN {
        Line::new("tls", subject, Verdict::Warn, detail)
            .mend("node certs renew --dir DIR; the node takes the new one up by itself")
    } else {
        Line::new("tls", subject, Verdict::Pass, detail)
    }
}

fn tls_mend(reason: &str) -> &'static str {
    if reason.contains("UnknownIssuer") {
        "give the cluster's ca.pem with --ca, or as `ca` in the configuration"
    } else if reason.contains("xpired") {
        "node certs renew --dir DIR"
    } else if reason.contains("NotValidForName") {
        "use a name that stands in the node's certificate"
    } else {
        "is it https there? Otherwise look at the node's log"
    }
}

fn clock(subject: &str, ahead: SignedDuration) -> Line {
    let seconds = ahead.abs().as_secs_f64();
    let way = if ahead.is_negative() { "behind" } else { "ahead of" };
    if ahead.abs() > SKEW_WARN {
        let detail = format!("the node's clock is {seconds:.1} s {way} this machine's");
        Line::new("clock", subject, Verdict::Warn, detail)
            .mend("set the wrong one right; both need a time service such as chrony")
    } else {
        let detail = format!("within {:.1} s of this machine's", (seconds * 10.0).ceil() / 10.0);
        Line::new("clock", subject, Verdict::Pass, detail)
    }
}

/// What only an account is told.
async fn inside(sheet: &mut Sheet<'_>) -> Result<(), ClientError> {
    let app = sheet.app;
    let login = |verdict, detail: String| Line::new("login", "cluster", verdict, detail);
    let Ok(client) = app.client() else {
        let line =
            login(Verdict::Warn, "not logged in: versions and quorum are not told".to_owned());
        return sheet.tell(&line.mend("chatctl login NAME"));
    };
    let line = match client.me().await {
        Ok(me) => login(Verdict::Pass, format!("{} ({})", me.name, me.role)),
        Err(error @ ClientError::Refused { .. }) => {
            login(Verdict::Fail, error.to_string()).mend("log in again: chatctl login NAME")
        }
        Err(error) => login(Verdict::Fail, error.to_string())
            .mend("a majority of the nodes must run; see the lines above"),
    };
    sheet.tell(&line)?;
    match client.cluster().await {
        Ok(status) => {
            sheet.tell(&versions(&status))?;
            sheet.tell(&quorum(&status))
        }
        Err(error) => {
            let line = Line::new("quorum", "cluster", Verdict::Fail, error.to_string());
            sheet.tell(&line.mend("see the lines above"))
        }
    }
}

fn versions(status: &ClusterStatus) -> Line {
    let told = |text: &String| !text.is_empty();
    let mut all: Vec<&str> = status
        .nodes
        .iter()
        .filter_map(|node| node.version.as_ref().filter(|v| told(v)))
        .map(String::as_str)
        .collect();
    all.sort_unstable();
    all.dedup();
    let own = env!("CARGO_PKG_VERSION");
    let line = |verdict, detail| Line::new("version", "cluster", verdict, detail);
    match all.as_slice() {
        [one] if *one == own => line(Verdict::Pass, format!("every node and chatctl: {one}")),
        [one] => line(Verdict::Warn, format!("every node: {one}, chatctl: {own}"))
            .mend("use the chatctl of the nodes' version"),
        many => line(Verdict::Warn, format!("the nodes differ: {}", many.join(", ")))
            .mend("bring every node to the newest, one after the other"),
    }
}

fn quorum(status: &ClusterStatus) -> Line {
    let line = |verdict, detail| Line::new("quorum", "cluster", verdict, detail);
    let Some(leader) = status.leader else {
        return line(Verdict::Fail, "no leader".to_owned())
            .mend("a majority of the nodes must run and reach each other");
    };
    let survives = super::cluster::survives(status);
    let detail = format!("leader node {leader}, {survives}");
    if status.nodes.iter().any(|node| !node.reachable) {
        line(Verdict::Warn, detail).mend("start what is down")
    } else {
        line(Verdict::Pass, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProbeAnswer;

    fn probe() -> Probe {
        let answer = ProbeAnswer { is_ready: true, ahead: Some(SignedDuration::from_millis(-12)) };
        Probe {
            addresses: Ok(vec!["10.0.0.1:7411".parse().unwrap()]),
            connected: Some(Ok("10.0.0.1:7411".parse().unwrap())),
            expires: None,
            answer: Some(Ok(answer)),
        }
    }

    fn verdicts(probe: &Probe) -> Vec<(&'static str, Verdict)> {
        let endpoint = "https://chat1.example.org:7411".parse().unwrap();
        let lines = outside(&endpoint, probe);
        for line in &lines {
            assert_eq!(line.mend.is_some(), line.verdict != Verdict::Pass, "{line:?}");
        }
        lines.iter().map(|line| (line.check, line.verdict)).collect()
    }

    #[test]
    fn what_fails_ends_the_steps_of_its_endpoint() {
        use Verdict::{Fail, Pass, Warn};
        let down = Some(Err("Connection refused (os error 111)".to_owned()));
        let closed = Probe { connected: down, answer: None, ..probe() };
        assert_eq!(verdicts(&closed), [("name", Pass), ("port", Fail)]);
        let unknown = Probe {
            addresses: Err("no such name".to_owned()),
            connected: None,
            answer: None,
            ..probe()
        };
        assert_eq!(verdicts(&unknown), [("name", Fail)]);
        let all = [("name", Pass), ("port", Pass), ("answer", Pass), ("clock", Pass)];
        assert_eq!(verdicts(&probe()), all);
        let skewed = ProbeAnswer { is_ready: false, ahead: Some(SignedDuration::from_secs(-3)) };
        let skewed = Probe { answer: Some(Ok(skewed)), ..probe() };
        assert_eq!(verdicts(&skewed)[2..], [("answer", Fail), ("clock", Warn)]);
    }

    #[test]
    fn a_certificate_is_warned_about_in_time() {
        let now = Timestamp::now();
        let line =
            |days: i64| certificate("x", now + SignedDuration::from_hours(24 * days), now).verdict;
        assert_eq!((line(365), line(30), line(29)), (Verdict::Pass, Verdict::Pass, Verdict::Warn));
        assert!(tls_mend("invalid peer certificate: UnknownIssuer").contains("ca.pem"));
    }

    #[test]
    fn versions_and_quorum_are_judged_for_the_whole_cluster() {
        let status = |versions: [&str; 2], leader: &str, reachable: bool| -> ClusterStatus {
            let text = format!(
                r#"{{"cluster":"x","leader":{leader},"survives":[],"nodes":[
                    {{"id":1,"role":"leader","reachable":true,"version":"{}"}},
                    {{"id":2,"role":"follower","reachable":{reachable},"version":"{}"}}]}}"#,
                versions[0], versions[1]
            );
            serde_json::from_str(&text).unwrap()
        };
        let own = env!("CARGO_PKG_VERSION");
        assert_eq!(versions(&status([own, own], "1", true)).verdict, Verdict::Pass);
        assert_eq!(versions(&status([own, "9.9.9"], "1", true)).verdict, Verdict::Warn);
        assert_eq!(versions(&status([own, ""], "1", false)).verdict, Verdict::Pass);
        assert_eq!(quorum(&status([own, own], "1", true)).verdict, Verdict::Pass);
        assert_eq!(quorum(&status([own, ""], "1", false)).verdict, Verdict::Warn);
        assert_eq!(quorum(&status([own, own], "null", true)).verdict, Verdict::Fail);
    }
}
