//! How a walk looks: aligned, coloured on a terminal, plain in a pipe.

use std::fmt::{Display, Write as _};
use std::time::Duration;

use anstyle::Style;

use super::Show;
use super::expect::Expectations;
use super::stage::{Calls, HOST, Stage};
use crate::asking;
use crate::output::{self, BAD, FAINT, GOOD, OTHER, STRONG, WARN, padded, styled};

/// What is left of a line of the usual terminal.
const SETTINGS_WIDTH: usize = 66;

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
    for (service, names) in stage.cast {
        let own = stage.replicas.iter().filter(|replica| names.contains(&replica.name));
        let addresses: Vec<String> = own.map(|replica| replica.address.to_string()).collect();
        let many =
            if addresses.len() > 1 { format!("   {} replicas", addresses.len()) } else { String::new() };
        part(service, format_args!("{}{many}", addresses.join("  ")));
    }
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

/// What became of one call, as a letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Letter {
    Service,
    Cache,
    StandIn,
    Waiting,
    Error,
}

impl Letter {
    pub(super) const ALL: [Self; 5] = [Self::Service, Self::Cache, Self::StandIn, Self::Waiting, Self::Error];

    const fn look(self) -> (Style, char, &'static str) {
        match self {
            Self::Service => (GOOD, 'h', "httpbin"),
            Self::Cache => (WARN, 'c', "cache"),
            Self::StandIn => (OTHER, 's', "stand-in"),
            Self::Waiting => (BAD, '.', "waits"),
            Self::Error => (BAD, 'X', "error"),
        }
    }
}

/// What the letters mean.
pub(super) fn legend(letters: &[Letter], rate: usize) {
    let meanings: Vec<String> = letters
        .iter()
        .map(|letter| {
            let (style, sign, meaning) = letter.look();
            format!("{} {meaning}", styled(style, sign))
        })
        .collect();
    output::out(format_args!("  {rate} calls a second:  {}", meanings.join("  ")));
    output::out("");
}

/// The calls of the second before `at`, and how many there were of each kind.
pub(super) fn second(at: Duration, letters: &[Letter]) {
    let mut text = String::new();
    for run in letters.chunk_by(|one, next| one == next) {
        let (style, sign, _) = run[0].look();
        let signs: String = run.iter().map(|_| sign).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "{}", styled(style, signs));
    }
    let counts: Vec<String> = Letter::ALL
        .iter()
        .map(|letter| (letter.look().2, letters.iter().filter(|other| *other == letter).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(meaning, count)| format!("{meaning} {count}"))
        .collect();
    output::out(format_args!("  {:>6.1}s  {text}  {}", at.as_secs_f64(), styled(FAINT, counts.join(", "))));
}

/// A moment of the story: when, what kind, and what happened.
pub(super) fn moment(at: Duration, kind: &str, text: impl Display) {
    let style = match kind {
        "EJECT" | "OPEN" => BAD,
        "RETURN" | "MEND" | "CLOSED" => GOOD,
        "FAIL" | "HANG" => WARN,
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
        Show::Breaker => return try_breaker(stage, &fuseboard, &admin),
    };
    line(format_args!("{fuseboard} load -c 3 -qps 0 -n 30 -H Host:{HOST} http://{proxy}{path}"));
    line(format_args!("{fuseboard} why{admin}"));
    line(format_args!("{fuseboard} stats{admin} | grep httpbin | grep {grep}"));
    line(format_args!("curl -i -H Host:{HOST} http://{proxy}/get"));
    last_words();
}

fn try_breaker(stage: &Stage, fuseboard: &str, admin: &str) {
    let proxy = stage.proxy;
    line(format_args!("{fuseboard} load -qps 20 -t 60s -H Host:{HOST} http://{proxy}/get"));
    line(format_args!("{fuseboard} breaker watch{admin}"));
    line(format_args!("{fuseboard} breaker show{admin} {HOST}"));
    line(format_args!("{fuseboard} breaker history{admin} {HOST}"));
    for door in stage.replicas.iter().take(1).filter_map(|replica| replica.door) {
        line(format_args!("curl -d '{{\"hang\": true}}' http://{door}/_ctl"));
    }
    last_words();
}

fn last_words() {
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

/// The settings of the rule in the order written, without their nesting: a line each of a policy for traffic, as many in a line as fit
/// of our own resources.
fn settings(rule: &str) -> Vec<String> {
    let values = |part: &str, after: &str| -> Vec<String> {
        let lines = part.lines().map(|line| line.trim().trim_start_matches("- "));
        let below = lines.skip_while(|line| *line != after).filter(|line| !line.ends_with(':'));
        below.map(str::to_owned).collect()
    };
    let policy = values(rule, "trafficPolicy:");
    if !policy.is_empty() {
        return policy;
    }
    rule.split("---").flat_map(|resource| filled(values(resource, "spec:").into_iter().skip(1))).collect()
}

/// In lines that fit under the name of a part.
fn filled(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| line.len() + word.len() + 2 <= SETTINGS_WIDTH) {
            Some(line) => line.extend(["  ", &word]),
            None => lines.push(word),
        }
    }
    lines
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
        let shown = settings(Show::Pool.rule());
        assert_eq!(shown, ["maxConnections: 1", "http1MaxPendingRequests: 1", "maxRequestsPerConnection: 1"]);
        assert_eq!(settings(Show::Outlier.rule()).len(), 5);
        let shown = settings(Show::Breaker.rule());
        assert!(shown[0].starts_with("slowPercent: 50  slowerThan: 300ms"), "{shown:?}");
        assert!(shown.iter().all(|line| line.len() <= SETTINGS_WIDTH), "{shown:?}");
        assert_eq!(shown.last().map(String::as_str), Some("maxAge: 2s  host: stand-in"));
    }
}
