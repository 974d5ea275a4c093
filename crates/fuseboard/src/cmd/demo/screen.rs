//! How a walk looks: aligned, coloured on a terminal, plain in a pipe.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Show;
use super::expect::Expectations;
use super::stage::{Calls, HOST, Stage};
use crate::output::{self, BAD, FAINT, GOOD, STRONG, WARN, padded, styled};

/// Whether lines may change, which is all that is to know of where a walk is shown.
#[derive(Clone, Copy)]
pub(super) struct Screen {
    /// Whether a line may change while one waits.
    live: bool,
}

impl Screen {
    pub(super) fn new(live: bool) -> Self {
        Self { live }
    }

    /// A line that is overwritten by the next; nothing where lines stay.
    pub(super) fn waiting(self, text: impl Display) {
        if self.live {
            output::note_raw(&format!("\r\x1b[K  {text}"));
        }
    }

    /// The waiting is over.
    pub(super) fn waited(self) {
        if self.live {
            output::note_raw("\r\x1b[K");
        }
    }
}

pub(super) fn title(show: &str, once: bool) {
    let stop = if once { "" } else { "Ctrl-C to stop · " };
    output::out(format_args!(
        "{} {}  demo \"{show}\"  {}",
        styled(STRONG, "fuseboard"),
        env!("CARGO_PKG_VERSION"),
        styled(FAINT, format_args!("({stop}nothing leaves this machine)"))
    ));
}

pub(super) fn stage(stage: &Stage) {
    let good = styled(GOOD, "✔").to_string();
    let addresses: Vec<String> = stage.replicas.iter().map(|replica| replica.address.to_string()).collect();
    let count = stage.replicas.len();
    output::out(format_args!("  {good} {:<12}{}   {count} replicas", "httpbin", addresses.join("  ")));
    output::out(format_args!(
        "  {good} {:<12}{}   admin http://{}",
        "proxy",
        stage.proxy,
        stage.admin.address()
    ));
    output::out(format_args!("  {good} {:<12}DestinationRule/httpbin   {}", "rule", settings(&stage.rule)));
    output::out(format_args!("    {:<12}{}", "", styled(FAINT, stage.rule_file.display())));
    output::out("");
}

/// One step of the classic experiment.
pub(super) fn step(number: &str, what: &str, flags: &str, calls: &Calls, remark: &str) {
    let codes: Vec<String> = calls
        .codes
        .iter()
        .map(|(code, count)| {
            let style = if *code == 200 { GOOD } else { BAD };
            let percent = 100.0 * *count as f64 / calls.total.max(1) as f64;
            padded(style, format_args!("Code {code:>3} : {count} ({percent:.1} %)"), 24)
        })
        .collect();
    let line = format!("  {number}  {what:<15} {flags:<12}  {}", codes.join(" "));
    output::out(format_args!("{}   {}", line.trim_end(), styled(FAINT, remark)));
}

pub(super) fn heading(text: impl Display) {
    output::out("");
    output::out(format_args!("  {}", styled(STRONG, text)));
}

pub(super) fn line(text: impl Display) {
    output::out(format_args!("    {text}"));
}

/// A moment of the story: when, what kind, and what happened.
pub(super) fn moment(at: Duration, kind: &str, text: impl Display) {
    let style = match kind {
        "EJECT" => BAD,
        "RETURN" => GOOD,
        "FAIL" => WARN,
        _ => STRONG,
    };
    output::out(format_args!("  {:>6.1}s  {}  {text}", at.as_secs_f64(), padded(style, kind, 7)));
}

pub(super) fn expectations(expectations: &Expectations) {
    heading("Expected");
    for one in expectations.iter() {
        if one.holds {
            output::out(format_args!("  {} {}: {}", styled(GOOD, "✔"), one.what, one.actual));
        } else {
            output::out(format_args!(
                "  {} {}: expected {}, got {}",
                styled(BAD, "✘"),
                one.what,
                one.expected,
                one.actual
            ));
        }
    }
}

pub(super) fn try_it(stage: &Stage, show: Show) {
    let fuseboard = program();
    let proxy = stage.proxy;
    heading("Try it in a second terminal");
    line(format_args!("{fuseboard} why"));
    let grep = if show == Show::Pool { "pending" } else { "outlier" };
    line(format_args!("{fuseboard} stats | grep httpbin | grep {grep}"));
    line(format_args!("curl -i -H 'Host: {HOST}' http://{proxy}/get"));
    line(format_args!("{fuseboard} load -c 3 -qps 0 -n 30 -H 'Host: {HOST}' http://{proxy}/get"));
    output::out("");
    output::out(format_args!("  Edit {}: it applies at once. Ctrl-C stops.", stage.rule_file.display()));
}

/// The settings of the rule in the order written, without their nesting.
fn settings(rule: &str) -> String {
    let known = [
        "maxConnections",
        "http1MaxPendingRequests",
        "maxRequestsPerConnection",
        "consecutive5xxErrors",
        "baseEjectionTime",
    ];
    let pairs = rule.lines().filter_map(|line| line.trim().split_once(": "));
    let shown = pairs.filter(|(key, _)| known.contains(key)).map(|(key, value)| format!("{key} {value}"));
    shown.take(3).collect::<Vec<_>>().join(" · ")
}

/// How to call this program from the folder the user is in.
fn program() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let Ok(own) = std::env::current_exe() else { return "fuseboard".to_owned() };
    let is_own = |candidate: &PathBuf| candidate.canonicalize().is_ok_and(|candidate| candidate == own);
    if std::env::split_paths(&path).map(|folder| folder.join("fuseboard")).any(|candidate| is_own(&candidate))
    {
        return "fuseboard".to_owned();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let shown: &Path = own.strip_prefix(&here).unwrap_or(&own);
    shown.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_shown_are_those_of_the_rule() {
        assert_eq!(
            settings(Show::Pool.rule()),
            "maxConnections 1 · http1MaxPendingRequests 1 · maxRequestsPerConnection 1"
        );
    }
}
