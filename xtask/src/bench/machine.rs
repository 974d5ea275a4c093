//! The machine that was measured on, and how busy it was with other work.

use std::fs;

pub(super) struct Machine {
    processor: String,
    cores: usize,
    memory_gb: u64,
    kernel: String,
    /// Before and after.
    load: [String; 2],
}

impl Machine {
    pub(super) fn look() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, name)| name.trim());
        let memory = read("/proc/meminfo");
        let kib: u64 =
            memory.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
        let load = load_average();
        Self {
            processor: model.to_owned(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gb: kib.div_ceil(1 << 20),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: [load.clone(), load],
        }
    }

    /// At the end of the run.
    pub(super) fn look_again(&mut self) {
        self.load[1] = load_average();
    }

    pub(super) fn text(&self) -> String {
        let Self { processor, cores, memory_gb, kernel, load: [before, after] } = self;
        format!(
            "{processor}, {cores} cores, {memory_gb} GB, Linux {kernel}; load average {before} before, {after} after"
        )
    }
}

/// Over the last minute.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
