//! `fuseboard breaker`: which breaker is open, why, by which setting of which rule, and what happened before; opening or closing one by
//! hand; and following what happens.

mod endpoints;
mod event;
mod order;
mod watch;

use std::time::Duration;

use clap::{Args, Subcommand};
use fuseboard_admin::Wanted;
use fuseboard_admin::breakers::{
    Breaker, Breakers, ClusterState, EndpointBreakers, Event, Limit, Order, Setting,
};
use fuseboard_admin::hosts::Service;

use event::Told;

use crate::asking::{self, Target};
use crate::exit::{Exit, Failure, Outcome};
use crate::table::{self, Cell};
use crate::{hosts, output};

/// Print breakers: which one is open, why, by which setting, what happened before; open or close one by hand
#[derive(Args)]
#[command(after_help = "Examples:
  fuseboard breaker list
  fuseboard breaker show httpbin
  fuseboard br history httpbin.default:8000 -o json
  fuseboard breaker watch
  fuseboard breaker open reports --for 10m --reason 'INC-42: database is down'")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Command,
}

#[derive(Subcommand)]
enum Command {
    /// All services: state of the breaker, why, how full the limits are, hosts in rotation
    #[command(after_help = "Examples:
  fuseboard breaker list
  fuseboard breaker list -o json

STATE is the breaker's: - where no CircuitBreaker is for the service, 1/3 OPEN where
each endpoint has a breaker and one of three is open. REASON also has limits that
are full and hosts that are ejected. CONN, PENDING, REQ and RETRY
are what counts now and the limit, - for none; HOSTS are those in rotation of all.")]
    List(All),
    /// One service: its state in words, and every setting with the place it came from
    #[command(after_help = "Examples:
  fuseboard breaker show httpbin
  fuseboard breaker show httpbin.default:8000 -o json")]
    Show(One),
    /// One service: changes of its breaker and ejections of its hosts, the last 128
    #[command(after_help = "Examples:
  fuseboard breaker history httpbin
  fuseboard breaker history httpbin.default:8000 -o json

Times are UTC. What happened is kept while the proxy runs.")]
    History(One),
    /// Follow what happens, a line for each: breakers, ejections, limits, overrides
    #[command(after_help = "Examples:
  fuseboard breaker watch
  fuseboard breaker watch httpbin --type breaker,limit_reached
  fuseboard br watch --for 1m -o json | jq .what

Types: breaker, ejected, returned, ejection_refused, limit_reached, limit_left,
override_set, override_ended. Times are UTC. A limit is reached when it refuses the
first call, and left when it has refused none for a second. Connects again when
the connection breaks and goes on where it was; GAP says that events were lost.
With -o json each line is one JSON object. Ctrl-C ends it, with exit code 130.")]
    Watch(watch::Arguments),
    /// Refuse every call to a service, or to one endpoint of it, for a time
    #[command(after_help = "Examples:
  fuseboard breaker open reports --for 10m --reason 'INC-42: database is down'
  fuseboard breaker open reports.shop --port 8080 --for 1h --reason migration -o json
  fuseboard breaker open reports --endpoint 10.0.0.7:8080 --for 1h --reason 'odd answers'

Every call to the service is refused with 503, breaker.open and Retry-After, with a
CircuitBreaker or without one. It ends by itself after --for; probes follow where a
CircuitBreaker is, else all traffic. It outlives changes of rules and endpoints,
but not the proxy. A second order takes the place of the first.

With --endpoint nothing is sent to that endpoint, and the others take its share;
calls are refused only when no endpoint is left. The override goes with the endpoint.")]
    Open(order::Forced),
    /// Let every call to a service, or to one endpoint, through, whatever its breaker says
    #[command(after_help = "Examples:
  fuseboard breaker close reports --for 30m --reason 'false alarm, see INC-43'

Nothing is counted meanwhile. It ends by itself after --for; the breaker is then
closed and remembers nothing. With --endpoint it is the breaker of that endpoint;
outlier detection may still eject it.")]
    Close(order::Forced),
    /// End an override, and close the breaker with nothing remembered
    #[command(after_help = "Examples:
  fuseboard breaker reset reports
  fuseboard breaker reset reports --reason 'fixed, see INC-42' -o json
  fuseboard breaker reset reports --endpoint 10.0.0.7:8080

For a breaker that opened by itself too: the next call goes through. Breakers of
endpoints are all reset. With --endpoint only that one is; and if outlier detection
has ejected the endpoint, it is back at once.")]
    Reset(order::Reset),
}

#[derive(Args)]
struct All {
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
struct One {
    /// Service: httpbin, httpbin.default or in full, with :PORT for one port
    #[arg(value_name = "HOST", value_parser = Wanted::parse)]
    service: Wanted,
    #[command(flatten)]
    asked: Asked,
}

#[derive(Args)]
struct Asked {
    #[command(flatten)]
    target: Target,
    /// text or json
    #[arg(short, long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    output: String,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    match &arguments.what {
        Command::List(All { asked }) => print(&asked.read()?, asked, list),
        Command::Show(one) => print(&one.read("show")?, &one.asked, |found| sections(found, show)),
        Command::History(one) => print(&one.read("history")?, &one.asked, |found| sections(found, history)),
        Command::Watch(arguments) => watch::run(arguments),
        Command::Open(forced) => order::open(forced),
        Command::Close(forced) => order::close(forced),
        Command::Reset(arguments) => order::reset(arguments),
    }
}

impl Asked {
    fn read(&self) -> Result<Breakers, Failure> {
        asking::document(&self.target.client()?, "/fuseboard/v1/breakers")
    }
}

impl One {
    fn read(&self, command: &str) -> Result<Breakers, Failure> {
        let mut found = self.asked.read()?;
        let known = found.clusters.first().map(|cluster| cluster.service.host.clone());
        found.clusters.retain(|cluster| {
            let service = &cluster.service;
            self.service.is(&service.host, &service.name, &service.namespace, service.port)
        });
        if found.clusters.is_empty() {
            let failure = Failure::message(Exit::Error, "the proxy has no such service");
            return Err(match known {
                Some(one) => failure.next(format!("fuseboard breaker {command} {one}")),
                None => failure,
            });
        }
        Ok(found)
    }
}

/// The proxy has no service of this name, or none at this port.
fn unknown_service(wanted: &Wanted, found: &Breakers) -> Failure {
    let host = wanted.host();
    let of_host = |cluster: &&ClusterState| {
        let service = &cluster.service;
        wanted.is_at_any_port(&service.host, &service.name, &service.namespace)
    };
    let ports = found.clusters.iter().filter(of_host).map(|cluster| cluster.service.port.to_string());
    let mut ports: Vec<_> = ports.collect();
    ports.dedup();
    if !ports.is_empty() {
        let message = format!("`{host}` has no such port; there is {}", ports.join(", "));
        return Failure::message(Exit::Error, message);
    }
    let names: Vec<&str> = found.clusters.iter().map(|cluster| cluster.cluster.as_str()).collect();
    let hint = hosts::hint(host, &names);
    Failure::message(Exit::Error, format_args!("the proxy has no service `{host}`; {hint}"))
}

fn print(found: &Breakers, asked: &Asked, text: impl Fn(&Breakers) -> String) -> Outcome {
    output::out_raw(&if asked.output == "json" { asking::pretty(found)? } else { text(found) });
    Ok(Exit::Ok)
}

fn list(found: &Breakers) -> String {
    if found.clusters.is_empty() {
        return "The proxy has no service.\n".to_owned();
    }
    let heads = [
        "SERVICE", "PORT", "STATE", "REASON", "OPEN FOR", "PROBE IN", "CONN", "PENDING", "REQ", "RETRY",
        "HOSTS",
    ];
    let rows: Vec<_> = found.clusters.iter().map(row).collect();
    table::lines("", &heads, &rows)
}

fn row(cluster: &ClusterState) -> Vec<Cell> {
    let breaker = speaking(cluster);
    let open = breaker.filter(|breaker| breaker.state == "open");
    let limits = &cluster.limits;
    let mut row = vec![
        Cell::plain(short(&cluster.service)),
        Cell::plain(cluster.service.port.to_string()),
        speaking_endpoints(cluster).map_or_else(
            || cluster.breaker.as_ref().map_or_else(|| Cell::plain("-"), state),
            |breakers| endpoints::state(breakers, cluster.hosts.total),
        ),
        Cell::plain(reason(cluster)),
        Cell::plain(open.map(|breaker| in_words(breaker.since_ms / 1000)).unwrap_or_default()),
        Cell::plain(open.and_then(|breaker| breaker.next_probe_in_ms).map(next_probe).unwrap_or_default()),
    ];
    row.extend([limits.connections, limits.pending, limits.requests, limits.retries].map(usage));
    row.push(Cell::plain(format!("{}/{}", cluster.hosts.healthy, cluster.hosts.total)));
    row
}

/// `httpbin.default`, with the subset if it is for one.
fn short(service: &Service) -> String {
    let subset = if service.subset.is_empty() { String::new() } else { format!(" ({})", service.subset) };
    if service.name == service.host || service.namespace.is_empty() {
        format!("{}{subset}", service.host)
    } else {
        format!("{}.{}{subset}", service.name, service.namespace)
    }
}

fn state(breaker: &Breaker) -> Cell {
    state_behind("", breaker)
}

fn state_behind(count: &str, breaker: &Breaker) -> Cell {
    let style = match breaker.state.as_str() {
        "closed" => output::GOOD,
        "open" => output::BAD,
        _ => output::WARN,
    };
    Cell::styled(style, format!("{count}{}", breaker.state.to_uppercase().replace('_', "-")))
}

/// The breaker that has most to say: that of all calls, or that of the endpoint which is worst off.
fn speaking(cluster: &ClusterState) -> Option<&Breaker> {
    let of_endpoint = speaking_endpoints(cluster).and_then(endpoints::worst).map(|one| &one.breaker);
    of_endpoint.or(cluster.breaker.as_ref())
}

/// The breakers of endpoints, unless that of all calls stands above them: then it is not simply closed.
fn speaking_endpoints(cluster: &ClusterState) -> Option<&EndpointBreakers> {
    let is_calm = |breaker: &Breaker| {
        breaker.state == "closed" && breaker.r#override.is_none() && breaker.traffic_percent == 100
    };
    cluster.endpoint_breakers.as_ref().filter(|_| cluster.breaker.as_ref().is_none_or(is_calm))
}

/// Why the breaker is not simply closed, which limits are full, how many hosts are out.
fn reason(cluster: &ClusterState) -> String {
    let mut reasons = Vec::new();
    if let Some(breaker) = speaking(cluster) {
        if breaker.state != "closed" {
            reasons.push(breaker.cause.words.clone());
        } else if let Some(order) = &breaker.r#override {
            reasons.push(format!("closed by hand: {}", order.reason));
        } else if breaker.traffic_percent < 100 {
            reasons.push(format!("{} % of traffic", breaker.traffic_percent));
        }
        if breaker.mode != "enforce" && !breaker.settings.is_empty() {
            reasons.push(breaker.mode.clone());
        }
    }
    let limits = &cluster.limits;
    let named = [
        ("connections", limits.connections),
        ("pending", limits.pending),
        ("requests", limits.requests),
        ("retries", limits.retries),
    ];
    let full = named.iter().filter(|(_, limit)| limit.is_full());
    reasons.extend(full.map(|(name, _)| format!("LIMIT {name} FULL")));
    match cluster.hosts.ejected {
        0 => {}
        1 => reasons.push("1 host ejected".to_owned()),
        ejected => reasons.push(format!("{ejected} hosts ejected")),
    }
    if reasons.is_empty() { "-".to_owned() } else { reasons.join(", ") }
}

fn usage(limit: Limit) -> Cell {
    let style = if limit.is_full() { output::WARN } else { anstyle::Style::new() };
    let bound = limit.limit.map_or_else(|| "-".to_owned(), |bound| bound.to_string());
    Cell::styled(style, format!("{}/{bound}", limit.now))
}

fn next_probe(millis: u64) -> String {
    if millis == 0 { "next call".to_owned() } else { in_words(millis.div_ceil(1000)) }
}

fn sections(found: &Breakers, of: fn(&ClusterState) -> String) -> String {
    let section = |cluster: &ClusterState| {
        format!("{}\n{}", output::styled(output::STRONG, &cluster.cluster), of(cluster))
    };
    found.clusters.iter().map(section).collect::<Vec<_>>().join("\n")
}

fn show(cluster: &ClusterState) -> String {
    let mut text = show_breaker(cluster);
    if !cluster.fallback.is_empty() {
        text.push_str("\nWhat fails is answered in this order:\n");
        let rows: Vec<_> = cluster.fallback.iter().map(setting).collect();
        text.push_str(&table::lines("  ", &["FALLBACK", "VALUE", "SET BY"], &rows));
    }
    text
}

fn show_breaker(cluster: &ClusterState) -> String {
    let of_all = cluster.breaker.as_ref().map(show_whole);
    let of_endpoints = cluster.endpoint_breakers.as_ref().map(|breakers| {
        let text = endpoints::show(breakers);
        if breakers.settings.is_empty() { text } else { text + &settings(&breakers.settings) }
    });
    let parts: Vec<String> = of_all.into_iter().chain(of_endpoints).collect();
    if parts.is_empty() {
        return "no breaker: no CircuitBreaker is for this service\n".to_owned();
    }
    parts.concat()
}

fn show_whole(breaker: &Breaker) -> String {
    let mut text = sentences(breaker).join("\n") + "\n";
    if breaker.settings.is_empty() {
        text.push_str("no CircuitBreaker is for this service: the breaker goes with the override\n");
        return text;
    }
    text.push_str(&settings(&breaker.settings));
    text
}

fn settings(settings: &[Setting]) -> String {
    let rows: Vec<_> = settings.iter().map(setting).collect();
    table::lines("  ", &["SETTING", "VALUE", "SET BY"], &rows)
}

/// What the state is and means, one line for each thing that is worth one.
fn sentences(breaker: &Breaker) -> Vec<String> {
    let for_time = in_words(breaker.since_ms / 1000);
    let mut lines = vec![match breaker.state.as_str() {
        "open" => {
            let shadow = if breaker.mode == "shadow" && breaker.r#override.is_none() {
                "shadow: nothing is refused"
            } else {
                "calls are refused"
            };
            let next = match breaker.next_probe_in_ms {
                Some(0) => "; the next call is a probe".to_owned(),
                Some(left) => format!("; a probe in {}", in_words(left.div_ceil(1000))),
                None => String::new(),
            };
            format!("open for {for_time}: {} ({shadow}{next})", breaker.cause.words)
        }
        "half_open" => format!(
            "half-open for {for_time}: {} (probes out {}, good {})",
            breaker.cause.words, breaker.probes_out, breaker.good_probes
        ),
        _ => {
            format!(
                "closed for {for_time}: {} ({} % of traffic)",
                breaker.cause.words, breaker.traffic_percent
            )
        }
    }];
    let window = &breaker.window;
    let percent = |percent: Option<f64>| percent.map(|percent| format!(" ({percent} %)")).unwrap_or_default();
    lines.push(format!(
        "calls in the window {}, failed {}{}, slow {}{}; failures in a row {}; trips {}",
        window.calls,
        window.failures,
        percent(window.failure_percent),
        window.slow,
        percent(window.slow_percent),
        breaker.consecutive_failures,
        breaker.trips
    ));
    if breaker.mode == "shadow" || breaker.would_have_refused > 0 {
        lines.push(format!("calls that enforce would have refused: {}", breaker.would_have_refused));
    }
    if let Some(order) = &breaker.r#override {
        lines.push(by_hand(order));
    }
    lines
}

/// `held open by hand for another 10m, until 2026-11-23T12:03:11.000Z, by anna: on fire`
fn by_hand(order: &Order) -> String {
    let held = if order.force == "open" { "open" } else { "closed" };
    let by = if order.by.is_empty() { String::new() } else { format!(", by {}", order.by) };
    let left = in_words(order.left_ms.div_ceil(1000));
    format!("held {held} by hand for another {left}, until {}{by}: {}", order.until, order.reason)
}

fn setting(setting: &Setting) -> Vec<Cell> {
    let place = match (&setting.file, setting.line) {
        (Some(file), Some(line)) => format!(", {file}:{line}"),
        _ => String::new(),
    };
    let by = match &setting.rule {
        Some(rule) => Cell::plain(format!("{} {}.{}{place}", rule.kind, rule.name, rule.namespace)),
        None => Cell::styled(output::FAINT, "default"),
    };
    vec![Cell::plain(&setting.setting), Cell::plain(setting.value.as_deref().unwrap_or("off")), by]
}

fn history(cluster: &ClusterState) -> String {
    if cluster.history.is_empty() {
        return "nothing happened yet\n".to_owned();
    }
    let rows: Vec<_> = cluster.history.iter().map(happened).collect();
    table::lines("  ", &["TIME", "WHAT", "WHERE", "WHY", "FOR"], &rows)
}

fn happened(event: &Event) -> Vec<Cell> {
    let Told { style, what, place, why, time } = Told::of(&event.what);
    vec![
        Cell::plain(&event.at),
        Cell::styled(style, what),
        Cell::plain(place),
        Cell::plain(why),
        Cell::plain(time),
    ]
}

fn in_words(seconds: u64) -> String {
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}
