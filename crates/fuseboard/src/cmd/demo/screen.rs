//! How a walk looks: aligned, coloured on a terminal, plain in a pipe.

use std::fmt::Display;
use std::time::Duration;

use anstyle::Style;

use super::Show;
use super::expect::Expectations;
use super::stage::{Calls, HOST, Stage};
use crate::asking;
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
    let replicas: Vec<String> = stage.replicas.iter().map(|replica| replica.address.to_string()).collect();
    part("httpbin", format_args!("{}   {} replicas", replicas.join("  "), replicas.len()));
    part("proxy", format_args!("{}   admin http://{}", stage.proxy, stage.admin.address()));
    part("rule", stage.rule_file.display());
    for setting in settings(&stage.rule) {
        output::out(format_args!("             {}", styled(FAINT, setting)));
    }
    output::out("");
}

fn part(name: &str, text: impl Display) {
    output::out(format_args!("  {} {name:<8} {text}", styled(GOOD, "✔")));
}

/// One step of the classic experiment: two lines, the second says what to see in it.
pub(super) fn step(number: &str, what: &str, flags: &str, calls: &Calls, remark: &str) {
    let codes: Vec<String> = calls
        .codes
        .iter()
        .map(|(code, count)| {
            let style = if *code == 200 { GOOD } else { BAD };
            let percent = 100.0 * *count as f64 / calls.total.max(1) as f64;
            styled(style, format_args!("Code {code:>3} : {count} ({percent:.1} %)")).to_string()
        })
        .collect();
    output::out(format_args!("  {number} {what:<13}  {flags}  {}", codes.join("  ")));
    output::out(format_args!("      {}", styled(FAINT, remark)));
}

pub(super) fn heading(text: impl Display) {
    output::out("");
    output::out(format_args!("  {}", styled(STRONG, text)));
}

pub(super) fn line(text: impl Display) {
    output::out(format_args!("    {text}"));
}

/// What is so, under a name.
pub(super) fn fact(name: &str, text: impl Display) {
    line(format_args!("  {} {text}", padded(FAINT, name, 6)));
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
    let width = expectations.iter().map(|one| one.what.chars().count()).max().unwrap_or_default();
    for one in expectations.iter() {
        let (what, actual) = (padded(Style::new(), &one.what, width), &one.actual);
        if one.holds {
            output::out(format_args!("  {} {what}   {actual}", styled(GOOD, "✔")));
        } else {
            let expected = styled(BAD, format!("{actual}, expected {}", one.expected));
            output::out(format_args!("  {} {what}   {expected}", styled(BAD, "✘")));
        }
    }
}

pub(super) fn try_it(stage: &Stage, show: Show) {
    let (fuseboard, admin) = (program(), admin(stage));
    let proxy = stage.proxy;
    heading("Try it in a second terminal");
    let (path, grep) = match show {
        Show::Pool => ("/delay/5ms", "pending"),
        Show::Outlier => ("/get", "outlier"),
    };
    line(format_args!("{fuseboard} load -c 3 -qps 0 -n 30 -H Host:{HOST} http://{proxy}{path}"));
    line(format_args!("{fuseboard} why{admin}"));
    line(format_args!("{fuseboard} stats{admin} | grep httpbin | grep {grep}"));
    line(format_args!("curl -i -H Host:{HOST} http://{proxy}/get"));
    output::out("");
    output::out("  Edit the rule and call again: an edit applies at once. Ctrl-C stops.");
}

/// ` --admin …` where tools would not find this proxy by themselves.
fn admin(stage: &Stage) -> String {
    let own = stage.admin.address();
    match asking::discover() {
        Ok(found) if found == *own => String::new(),
        _ => format!(" --admin {own}"),
    }
}

/// The settings of the rule in the order written, without their nesting.
fn settings(rule: &str) -> impl Iterator<Item = &str> {
    let policy = rule.lines().map(str::trim).skip_while(|line| *line != "trafficPolicy:");
    policy.filter(|line| !line.ends_with(':'))
}

/// How to call this program: as it was called.
fn program() -> String {
    let name = std::env::args().next().unwrap_or_else(|| "fuseboard".to_owned());
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+".contains(c);
    if name.chars().all(is_plain) { name } else { format!("'{}'", name.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_shown_are_those_of_the_rule() {
        let shown: Vec<&str> = settings(Show::Pool.rule()).collect();
        assert_eq!(shown, ["maxConnections: 1", "http1MaxPendingRequests: 1", "maxRequestsPerConnection: 1"]);
        assert_eq!(settings(Show::Outlier.rule()).count(), 5);
    }
}
