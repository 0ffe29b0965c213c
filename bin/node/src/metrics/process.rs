//! The process itself: which build, since when, how much memory.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    metrics::info::Info,
    registry::{Registry, Unit},
};

use super::{Level, Seconds, bytes};

#[derive(Clone, Debug)]
pub(super) struct Process {
    resident: Level,
}

impl Process {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        let start = Seconds::default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        start.set(since.as_secs_f64());
        let help = "When the process started, since 1970";
        registry.register_with_unit("process_start_time", help, Unit::Seconds, start);
        let help = "Memory of the process that is in RAM";
        Self { resident: bytes(registry, "process_resident_memory", help) }
    }

    /// Where the system does not tell, the figure stays at zero.
    pub(super) fn sample(&self) {
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
        if let Some(pages) = pages {
            let page_bytes = super::count(rustix::param::page_size());
            self.resident.set(pages.saturating_mul(page_bytes));
        }
    }
}
