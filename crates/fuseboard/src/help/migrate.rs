//! What people typed elsewhere, and what they type here. Only what exists; a test goes through every line, and the table of
//! the README is made from it.

use std::fmt::Write as _;

use super::{Entry, paragraph};

/// One habit.
pub(crate) struct Step {
    /// What was typed.
    pub(crate) typed: &'static str,
    /// What is typed here.
    pub(crate) here: &'static str,
    /// What is different or worth knowing; may be empty.
    pub(crate) note: &'static str,
}

/// A tool that people come from.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) steps: &'static [Step],
}

const fn step(typed: &'static str, here: &'static str, note: &'static str) -> Step {
    Step { typed, here, note }
}

pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "fortio",
        about: "The binary under the name fortio prints what fortio prints and nothing else.",
        steps: &[
            step(
                "fortio load -c 2 -qps 0 -n 20 URL",
                "fuseboard load -c 2 -qps 0 -n 20 URL",
                "the same flags, text and JSON",
            ),
            step("fortio curl URL", "fuseboard curl URL", ""),
        ],
    },
    Tool {
        name: "istioctl",
        about: "Kubernetes as a source is not there yet.",
        steps: &[step(
            "istioctl analyze --use-kube=false rules/",
            "fuseboard analyze rules/",
            "IST codes kept, FB codes added",
        )],
    },
    Tool {
        name: "pilot-agent",
        about: "The binary under the name pilot-agent answers to the same line.",
        steps: &[
            step("pilot-agent request GET stats", "fuseboard stats", "or fuseboard admin request GET stats"),
            step("pilot-agent request GET clusters", "fuseboard admin request GET clusters", "Envoy's paths"),
        ],
    },
    Tool {
        name: "Hystrix",
        about: "What was Java in the caller is a DestinationRule beside it. The three-state breaker and fallbacks are not there yet.",
        steps: &[
            step(
                "execution.isolation.semaphore.maxConcurrentRequests",
                "connectionPool.http.http2MaxRequests",
                "for a whole destination",
            ),
            step("threadpool coreSize", "connectionPool.tcp.maxConnections", ""),
            step(
                "threadpool maxQueueSize",
                "connectionPool.http.http1MaxPendingRequests",
                "first come, first served",
            ),
            step(
                "execution.isolation.thread.timeoutInMilliseconds",
                "timeout of a DestinationPolicy",
                "or run --timeout",
            ),
            step(
                "circuit opens on errors",
                "outlierDetection",
                "the failing endpoint is ejected, not the service",
            ),
        ],
    },
    Tool {
        name: "resilience4j",
        about: "As Hystrix: rules beside the caller, for every language.",
        steps: &[
            step(
                "Bulkhead maxConcurrentCalls",
                "connectionPool.http.http2MaxRequests",
                "for a whole destination",
            ),
            step("Bulkhead maxWaitDuration", "queueTimeout of a DestinationPolicy", ""),
            step("ThreadPoolBulkhead queueCapacity", "connectionPool.http.http1MaxPendingRequests", ""),
            step("TimeLimiter timeoutDuration", "timeout of a DestinationPolicy", "or run --timeout"),
        ],
    },
];

/// `fuseboard help migrate`.
pub(super) fn page() -> (String, Vec<Entry>) {
    let mut text = String::from("What you typed, and what you type here:\n");
    for tool in TOOLS {
        let _ = write!(text, "\n{}\n", tool.name);
        for step in tool.steps {
            let _ = writeln!(text, "  {}\n      {}{}", step.typed, step.here, step.remark());
        }
        text.push_str(&paragraph(tool.about));
    }
    text.push_str("\nA name is a link: ln -s \"$(command -v fuseboard)\" ~/bin/fortio\n");
    let steps = TOOLS.iter().flat_map(|tool| tool.steps);
    (text, steps.map(|step| Entry::new(step.typed, format!("{}{}", step.here, step.remark()))).collect())
}

impl Step {
    fn remark(&self) -> String {
        if self.note.is_empty() { String::new() } else { format!("  # {}", self.note) }
    }
}
