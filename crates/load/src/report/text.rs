//! The result as fortio prints it, line by line. Which lines stand at which log level is fortio's choice.

use super::{Report, honest, phases};
use crate::event::Level;
use crate::go;
use crate::go::number::{shortest, significant};
use crate::histogram::Histogram;
use crate::options::Style;

impl Report {
    /// The lines after the calls, each with its line feed: all of them at level Info, without the connections'
    /// histogram at Warning, and the essential ones at Error (`-quiet`).
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        let level = self.options.log_level;
        if level <= Level::Warning {
            let (elapsed, calls) = (go::duration::format(self.elapsed), self.calls());
            lines.push(format!("Ended after {elapsed} : {calls} calls. qps={}", significant(self.qps(), 5)));
        }
        self.add_sleeps(&mut lines);
        self.add_durations(&mut lines);
        if self.options.grpc.is_some() {
            self.add_statuses(&mut lines);
        } else {
            self.add_connections(&mut lines);
            self.add_codes(&mut lines);
        }
        let (head, total) = (&self.tally.head_sizes, &self.tally.sizes);
        if self.options.grpc.is_some() {
            // fortio tells no sizes of gRPC.
        } else if level <= Level::Verbose {
            add_buckets(&mut lines, "Response Header Sizes Histogram", head, &[]);
            add_buckets(&mut lines, "Response Body/Total Sizes Histogram", total, &[]);
        } else if level <= Level::Warning {
            lines.push(format!("Response Header Sizes : {}", head.counter().line()));
            lines.push(format!("Response Body/Total Sizes : {}", total.counter().line()));
        }
        if self.options.style == Style::Fuseboard {
            lines.extend(honest::refusals(self));
            lines.extend(honest::shortfall(self));
            lines.extend(phases::table(&self.phases));
            lines.extend(honest::table(self));
        }
        let average = self.durations().average() * 1e3;
        lines.push(format!(
            "All done {} calls (plus {} warmup) {average:.3} ms avg, {:.1} qps\n",
            self.calls(),
            self.warmups,
            self.qps()
        ));
        lines.join("\n")
    }

    fn add_sleeps(&self, lines: &mut Vec<String>) {
        let sleeps = &self.tally.sleeps;
        if self.options.rate().is_none() {
            return;
        }
        let behind = sleeps.percent_in_lowest();
        if behind > 5.0 {
            add_buckets(lines, "Aggregated Sleep Time", sleeps, &[50.0]);
            lines.push(format!("WARNING {behind:.2}% of sleep were falling behind"));
        } else if self.options.log_level <= Level::Verbose {
            add_buckets(lines, "Aggregated Sleep Time", sleeps, &[50.0]);
        } else if self.options.log_level <= Level::Warning {
            lines.push(format!("Sleep times : {}", sleeps.counter().line()));
        }
    }

    fn add_durations(&self, lines: &mut Vec<String>) {
        let percentiles = &self.options.percentiles;
        let (all, errors) = (&self.tally.durations, &self.tally.errors);
        if self.options.log_level <= Level::Warning {
            add_buckets(lines, "Aggregated Function Time", all, percentiles);
            add_buckets(lines, "Error cases", errors, percentiles);
            return;
        }
        lines.push(format!("Aggregated Function Time : {}", all.counter().line()));
        if all.counter().count > 0 {
            add_targets(lines, all, percentiles);
        }
        lines.push(format!("Error cases : {}", errors.counter().line()));
    }

    fn add_connections(&self, lines: &mut Vec<String>) {
        lines.push("# Socket and IP used for each connection:".to_owned());
        for (id, socket) in self.sockets.iter().enumerate() {
            let mut addresses: Vec<_> = socket.addresses.iter().collect();
            addresses.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
            let resolved = match addresses.as_slice() {
                [(address, _)] => address.to_string(),
                several => {
                    let listed = several.iter().map(|(address, count)| format!("{address} ({count})"));
                    format!("[{}]", listed.collect::<Vec<_>>().join(", "))
                }
            };
            let (used, timing) = (socket.used, socket.connecting.counter().line());
            lines.push(format!(
                "[{id}] {used:3} socket used, resolved to {resolved}, connection timing : {timing}"
            ));
        }
        let connecting = self.connecting();
        match self.options.log_level {
            Level::Debug | Level::Verbose | Level::Info => {
                add_buckets(lines, "Connection time histogram (s)", &connecting, &self.options.percentiles);
            }
            Level::Warning => lines.push(format!("Connection time (s) : {}", connecting.counter().line())),
            Level::Error | Level::Critical | Level::Fatal => {}
        }
        let (used, least) = (self.sockets_used(), self.connections);
        lines.push(format!("Sockets used: {used} (for perfect keepalive, would be {least})"));
        let (uniform, jitter, catch_up) =
            (self.options.uniform, self.options.jitter, !self.options.no_catch_up);
        lines.push(format!("Uniform: {uniform}, Jitter: {jitter}, Catchup allowed: {catch_up}"));
        lines.push("IP addresses distribution:".to_owned());
        let mut addresses: Vec<_> = self.addresses().into_iter().collect();
        addresses.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        lines.extend(addresses.iter().map(|(address, count)| format!("{address}: {count}")));
    }

    /// What a run of gRPC ends with.
    fn add_statuses(&self, lines: &mut Vec<String>) {
        let ping = self.options.grpc.as_ref().is_some_and(|grpc| grpc.ping);
        let which = if ping { "Ping" } else { "Health" };
        lines.push(format!("Jitter: {}", self.options.jitter));
        if self.options.style == Style::Fuseboard {
            let (used, least) = (self.sockets_used(), self.connections);
            lines.push(format!("Sockets used: {used} (for perfect keepalive, would be {least})"));
        }
        lines.extend(self.statuses().iter().map(|(name, count)| format!("{which} {name} : {count}")));
    }

    fn add_codes(&self, lines: &mut Vec<String>) {
        for (code, count) in self.codes() {
            let percent = 100.0 * *count as f64 / self.calls() as f64;
            lines.push(format!("Code {code:3} : {count} ({percent:.1} %)"));
        }
    }
}

/// The counter, the buckets that hold something, and the percentiles.
fn add_buckets(lines: &mut Vec<String>, name: &str, histogram: &Histogram, percentiles: &[f64]) {
    if histogram.counter().count == 0 {
        lines.push(format!("{name} : no data"));
        return;
    }
    lines.push(format!("{name} : {}", histogram.counter().line()));
    lines.push("# range, mid point, percentile, count".to_owned());
    for (index, interval) in histogram.intervals().iter().enumerate() {
        let sign = if index == 0 { ">=" } else { ">" };
        let middle = f64::midpoint(interval.start, interval.end);
        lines.push(format!(
            "{sign} {} <= {} , {} , {:.2}, {}",
            significant(interval.start, 6),
            significant(interval.end, 6),
            significant(middle, 6),
            interval.percent,
            interval.count
        ));
    }
    add_targets(lines, histogram, percentiles);
}

fn add_targets(lines: &mut Vec<String>, histogram: &Histogram, percentiles: &[f64]) {
    for &percentile in percentiles {
        let value = significant(histogram.percentile(percentile), 6);
        lines.push(format!("# target {}% {value}", shortest(percentile)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use fuseboard_core::refusal::RefusalReason;

    use crate::answer::Refusal;
    use crate::client::Reply;
    use crate::event::Level;
    use crate::options::Style;
    use crate::report::sample;

    #[test]
    fn the_full_text_is_fortio_s_line_by_line() {
        assert_eq!(
            sample::report(Style::Fortio, Level::Info).text(),
            include_str!("../../tests/golden/info.txt")
        );
    }

    #[test]
    fn a_warning_level_leaves_the_connections_histogram_out() {
        let (info, warning) =
            (include_str!("../../tests/golden/info.txt"), sample::report(Style::Fortio, Level::Warning));
        let (before, rest) = info.split_once("Connection time histogram (s) : ").unwrap();
        let (counter, rest) = rest.split_once('\n').unwrap();
        let after = &rest[rest.find("Sockets used").unwrap()..];
        assert_eq!(warning.text(), format!("{before}Connection time (s) : {counter}\n{after}"));
    }

    #[test]
    fn quiet_keeps_the_essential_lines() {
        assert_eq!(
            sample::report(Style::Fortio, Level::Error).text(),
            include_str!("../../tests/golden/quiet.txt")
        );
    }

    #[test]
    fn our_own_style_says_why_the_proxy_refused() {
        let mut report = sample::report(Style::Fuseboard, Level::Error);
        let refusal = Refusal { reason: Some(RefusalReason::LimitQueueFull), overloaded: true };
        let reply = Reply { code: 503, bytes: 0, head_bytes: 0, refusal };
        report.tally.record(reply, Duration::from_millis(1), None);
        report.tally.record(reply, Duration::from_millis(1), None);
        assert!(report.text().contains("\nRefused limit.queue_full : 2 (25.0 %)\n"), "{}", report.text());
        let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!(json["fuseboard"]["refused"], serde_json::json!({ "limit.queue_full": 2 }));
        assert_eq!(json["fuseboard"]["overloaded"], 2);
        report.options.style = Style::Fortio;
        assert!(!report.text().contains("Refused"));
    }

    #[test]
    fn our_own_style_adds_exact_latencies_in_front_of_the_last_line() {
        let ours = sample::report(Style::Fuseboard, Level::Error).text();
        let mut lines: Vec<&str> = ours.lines().collect();
        let last = lines.pop().unwrap();
        let added = lines.split_off(lines.len() - 3);
        assert_eq!(
            added,
            [
                "Exact latency           p50          p75          p90          p99        p99.9",
                "  since sent       5.001 ms     7.000 ms    30.000 ms    30.000 ms    30.000 ms",
                "  since due        5.001 ms     7.000 ms    50.000 ms    50.000 ms    50.000 ms",
            ]
        );
        let theirs = include_str!("../../tests/golden/quiet.txt");
        assert_eq!(format!("{}\n{last}\n", lines.join("\n")), theirs);
    }
}
