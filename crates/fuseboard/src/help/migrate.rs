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
            step("fortio nc HOST:PORT", "fuseboard nc HOST:PORT", "answers go to stdout"),
            step("fortio report", "fuseboard report DIR", "a table in place of a web page"),
            step("fortio server", "fuseboard server", "the same echo and redirector, on this machine; no UI"),
        ],
    },
    Tool {
        name: "istioctl",
        about: "The binary under the name istioctl takes istioctl's flags for analyze, proxy-config and version, and prints its tables. \
                Kubernetes as a source is not there yet: what needs a cluster is refused with exit code 64.",
        steps: &[
            step(
                "istioctl analyze --use-kube=false rules/",
                "fuseboard analyze rules/",
                "IST codes kept, FB codes added",
            ),
            step(
                "istioctl proxy-config cluster POD",
                "fuseboard proxy-config cluster",
                "of the running proxy; pc c for short",
            ),
            step(
                "istioctl pc endpoint POD --port 8080",
                "fuseboard pc endpoint --port 8080",
                "FAILED: ejected now",
            ),
            step(
                "istioctl pc cluster --file envoy.json",
                "fuseboard pc cluster --file envoy.json",
                "a real Envoy's dump, too",
            ),
            step(
                "istioctl proxy-config log POD --level upstream:debug",
                "fuseboard pc log --level upstream:debug",
                "loggers by Envoy's names",
            ),
            step("istioctl version --remote=false", "fuseboard version", ""),
        ],
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
        about: "What was Java in the caller is a DestinationRule with a CircuitBreaker and a Fallback beside it.",
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
            step("circuitBreaker.errorThresholdPercentage", "trip.failurePercent of a CircuitBreaker", ""),
            step(
                "circuitBreaker.requestVolumeThreshold",
                "trip.minimumCalls of a CircuitBreaker",
                "calls in its window",
            ),
            step(
                "circuitBreaker.sleepWindowInMilliseconds",
                "open.openFor of a CircuitBreaker",
                "then probes, then a ramp",
            ),
            step("getFallback()", "steps of a Fallback", "cached, service, static; for each reason its own"),
            step("fallback.isolation.semaphore.maxConcurrentRequests", "maxConcurrent of a Fallback", ""),
        ],
    },
    Tool {
        name: "resilience4j",
        about: "As Hystrix: rules beside the caller, for every language.",
        steps: &[
            step("CircuitBreaker failureRateThreshold", "trip.failurePercent of a CircuitBreaker", ""),
            step(
                "CircuitBreaker slowCallRateThreshold",
                "trip.slowPercent, slowerThan",
                "calls that hang count while they run",
            ),
            step(
                "Bulkhead maxConcurrentCalls",
                "connectionPool.http.http2MaxRequests",
                "for a whole destination",
            ),
            step("Bulkhead maxWaitDuration", "queueTimeout of a DestinationPolicy", ""),
            step("ThreadPoolBulkhead queueCapacity", "connectionPool.http.http1MaxPendingRequests", ""),
            step("TimeLimiter timeoutDuration", "timeout of a DestinationPolicy", "or run --timeout"),
            step(
                "fallbackMethod, Decorators.withFallback",
                "when and steps of a Fallback",
                "never a success of the call",
            ),
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
    text.push_str("\nA name is a link: ln -s \"$(command -v fuseboard)\" ~/bin/istioctl\n");
    let steps = TOOLS.iter().flat_map(|tool| tool.steps);
    (text, steps.map(|step| Entry::new(step.typed, format!("{}{}", step.here, step.remark()))).collect())
}

impl Step {
    fn remark(&self) -> String {
        if self.note.is_empty() { String::new() } else { format!("  # {}", self.note) }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;
    use std::path::Path;

    use super::TOOLS;

    const BEGIN: &str = "<!-- Made from crates/fuseboard/src/help/migrate.rs by `cargo xtask bless`. -->\n";
    const END: &str = "<!-- Until here. -->\n";

    fn table() -> String {
        let mut table = String::from("\n| You typed | Here | |\n|---|---|---|\n");
        for tool in TOOLS {
            let _ = writeln!(table, "| **{}** | | {} |", tool.name, tool.about);
            for step in tool.steps {
                let _ = writeln!(table, "| `{}` | `{}` | {} |", step.typed, step.here, step.note);
            }
        }
        table + "\n"
    }

    #[test]
    fn the_table_of_the_readme_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (written, after) = rest.split_once(END).unwrap();
        if std::env::var_os("FUSEBOARD_BLESS").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", table())).unwrap();
        } else {
            assert_eq!(written, table(), "run `cargo xtask bless` and look at the difference");
        }
    }
}
