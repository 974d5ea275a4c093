//! What a row of the bench is made of: a load, the contenders that carry it, what is compared, and what was promised.

use std::fmt;

use super::contender::Contender;

/// One question: what Fuseboard needs for this work, beside each peer that can do it.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// By which `--row` picks it.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    pub(super) work: Work,
    pub(super) setting: Setting,
    /// How Fuseboard is configured in it.
    pub(super) subject: Variant,
    pub(super) peers: &'static [Contender],
    pub(super) goals: &'static [Goal],
    /// Whether it belongs to `--quick`.
    pub(super) quick: bool,
}

/// What the contenders of a row have to do.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// HTTP/1.1 by wrk: as many requests as it can over so many connections.
    Wrk { connections: usize, path: &'static str, post: usize },
    /// HTTP/2 by h2load: so many clients with so many streams each.
    H2load { clients: usize, streams: usize },
    /// `fuseboard load` with these flags.
    Load { flags: &'static str },
    /// So many requests per second that come whatever became of those before.
    Rate { per_second: usize },
    /// Bytes that stream to the host over connections that stay.
    Bulk { connections: usize },
    /// TCP connections that carry one small message each way.
    Short { connections: usize },
    /// From exec to the first answer.
    Start,
    /// The same with so many clusters, then the statistics page and requests.
    Clusters,
    /// So many clients that are connected and say nothing.
    Idle { connections: usize },
}

/// What comes in, what goes out, and among how many destinations.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    pub(super) front: Front,
    pub(super) back: Back,
    pub(super) clusters: usize,
}

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Front {
    Http1,
    Http2,
    Tls,
    MutualTls,
    Tcp,
}

/// What the origin speaks, or does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Back {
    Http1,
    Http2,
    MutualTls,
    /// A server of gRPC.
    Grpc,
    /// Every second host refuses to be connected to.
    HalfGone,
    /// Every host answers 503.
    Failing,
    /// Takes bytes.
    Sink,
    /// Sends bytes back.
    Echo,
}

/// What a contender does beyond its work.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Variant {
    Plain,
    /// Writes an access log.
    Logged,
    /// A closed breaker with every condition.
    Breaker,
    /// The same, and a fallback that is never needed.
    Fallback,
    /// Refuses everything.
    Refusing,
    /// Refuses because its limits are reached.
    Full,
    /// Lets the kernel move the bytes.
    Spliced,
}

/// A promise about a row.
#[derive(Clone, Copy)]
pub(super) struct Goal {
    pub(super) metric: Metric,
    pub(super) to: To,
    pub(super) at_most: f64,
}

/// What a goal is measured against.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum To {
    /// The number itself.
    Itself,
    /// The same of this peer in the same round.
    Peer(&'static str),
}

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Metric {
    /// Processor time for each request, connection or megabyte, in microseconds.
    Cpu,
    /// Of these per second.
    Rate,
    /// Context switches for each of them.
    Switches,
    /// System calls for each of them.
    SystemCalls,
    /// Memory in use, in MB.
    Memory,
    /// From exec to the first answer, in milliseconds.
    Ready,
    /// The page of statistics, in milliseconds.
    StatsPage,
    /// Its length, in KB.
    StatsLength,
    /// How many silent connections there were.
    Connections,
    /// Latency since a call was due, in microseconds.
    P50,
    P99,
    P999,
}

impl Setting {
    pub(super) const fn new(front: Front, back: Back) -> Self {
        Self { front, back, clusters: 1 }
    }
}

impl Work {
    /// Whether it is as much as can be done in some time.
    pub(super) const fn is_load(self) -> bool {
        !matches!(self, Self::Rate { .. } | Self::Start | Self::Clusters | Self::Idle { .. })
    }

    /// What contenders are compared by.
    pub(super) const fn compared(self) -> &'static [Metric] {
        match self {
            Self::Rate { .. } => &[Metric::P50, Metric::P99, Metric::P999, Metric::Cpu],
            Self::Start => &[Metric::Ready, Metric::Memory],
            Self::Clusters => &[Metric::Ready, Metric::Memory, Metric::StatsPage, Metric::Cpu],
            Self::Idle { .. } => &[Metric::Memory],
            _ => &[Metric::Cpu],
        }
    }

    /// What one of its units is.
    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "MB",
            Self::Short { .. } => "connection",
            _ => "request",
        }
    }

    /// How often it is measured, where the other rows are so often.
    pub(super) fn rounds(self, usual: usize, quick: bool) -> usize {
        match self {
            // Memory is the same each time.
            Self::Idle { .. } => 1,
            Self::Clusters => usual.min(if quick { 1 } else { 3 }),
            _ => usual,
        }
    }
}

impl Goal {
    pub(super) const fn peer(metric: Metric, peer: &'static str, at_most: f64) -> Self {
        Self { metric, to: To::Peer(peer), at_most }
    }

    pub(super) const fn itself(metric: Metric, at_most: f64) -> Self {
        Self { metric, to: To::Itself, at_most }
    }

    /// As it is shown beside what was measured.
    pub(super) fn text(&self) -> String {
        match self.to {
            To::Itself => format!("≤ {} {}", self.at_most, self.metric.unit()),
            To::Peer(_) => format!("≤ {:.2}", self.at_most),
        }
    }
}

impl Variant {
    /// What is added to a contender's name.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Logged => ", log on",
            Self::Breaker => ", breaker",
            Self::Fallback => ", breaker and fallback",
            Self::Refusing => ", refusing",
            Self::Full => ", limits reached",
            Self::Spliced => ", splicing",
        }
    }

    /// Whether it answers everything with 503.
    pub(super) const fn refuses(self) -> bool {
        matches!(self, Self::Refusing | Self::Full)
    }

    /// What the origin must do for that.
    pub(super) const fn back(self, usual: Back) -> Back {
        match self {
            Self::Refusing => Back::Failing,
            Self::Full => Back::Sink,
            _ => usual,
        }
    }
}

impl Metric {
    pub(super) const ALL: [Self; 12] = [
        Self::Cpu,
        Self::Rate,
        Self::Switches,
        Self::SystemCalls,
        Self::Memory,
        Self::Ready,
        Self::StatsPage,
        Self::StatsLength,
        Self::Connections,
        Self::P50,
        Self::P99,
        Self::P999,
    ];

    /// Its key in JSON.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::Cpu => "cpuMicros",
            Self::Rate => "perSecond",
            Self::Switches => "contextSwitches",
            Self::SystemCalls => "systemCalls",
            Self::Memory => "memoryMB",
            Self::Ready => "readyMillis",
            Self::StatsPage => "statsPageMillis",
            Self::StatsLength => "statsPageKB",
            Self::Connections => "connections",
            Self::P50 => "p50Micros",
            Self::P99 => "p99Micros",
            Self::P999 => "p999Micros",
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        match self {
            Self::Cpu | Self::P50 | Self::P99 | Self::P999 => "us",
            Self::Rate | Self::Switches | Self::SystemCalls | Self::Connections => "",
            Self::Memory => "MB",
            Self::Ready | Self::StatsPage => "ms",
            Self::StatsLength => "KB",
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "CPU",
            Self::Rate => "per second",
            Self::Switches => "switches",
            Self::SystemCalls => "system calls",
            Self::Memory => "memory",
            Self::Ready => "ready",
            Self::StatsPage => "/stats",
            Self::StatsLength => "/stats length",
            Self::Connections => "connections",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
        })
    }
}
