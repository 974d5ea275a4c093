//! `fuseboard breaker watch`: follows the stream of events on a terminal. Connects again when the connection breaks, and says when
//! something was lost.

use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use fuseboard_admin::events::{self, Gap};
use fuseboard_admin::follow::{EventStream, FollowError, Next, ServerEvent};
use fuseboard_admin::{AdminClient, Query, Wanted};
use fuseboard_load::Cancel;

use super::event::Told;
use super::{Asked, short, unknown_service};
use crate::exit::{Exit, Failure, Outcome};
use crate::{argument, asking, output, signals};

/// How long a wait for events lasts before other things are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// A server that lives says so more often.
const SILENCE: Duration = Duration::from_secs(45);
/// Between attempts to connect again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only this service: httpbin, httpbin.default or in full, with :PORT for one port
    #[arg(value_name = "HOST", value_parser = Wanted::parse)]
    service: Option<Wanted>,
    /// Only these types, separated by commas
    #[arg(long = "type", value_name = "TYPES", value_delimiter = ',', hide_possible_values = true, value_parser = events::TYPES)]
    types: Vec<String>,
    /// End after this time
    #[arg(long = "for", value_name = "DURATION", value_parser = argument::duration)]
    time: Option<Duration>,
    /// End after so many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    asked: Asked,
}

/// What is followed, and how far that has come.
struct Watch<'a> {
    client: AdminClient,
    target: String,
    arguments: &'a Arguments,
    cancel: Cancel,
    end: Option<Instant>,
    left: Option<u64>,
    position: Option<String>,
}

/// Why the watch is over, or the stream.
enum Over {
    Enough,
    Interrupted,
    Broken(String),
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let client = arguments.asked.target.client()?;
    if let Some(wanted) = &arguments.service {
        let found = arguments.asked.read()?;
        let is_it = |service: &fuseboard_admin::hosts::Service| {
            wanted.is(&service.host, &service.name, &service.namespace, service.port)
        };
        if !found.clusters.iter().any(|cluster| is_it(&cluster.service)) {
            return Err(unknown_service(wanted, &found));
        }
    }
    let service = arguments.service.as_ref().map(|wanted| Query::escape(&wanted.to_string()));
    let mut watch = Watch {
        client,
        target: format!(
            "/fuseboard/v1/events?service={}&type={}",
            service.unwrap_or_default(),
            arguments.types.join(",")
        ),
        arguments,
        cancel: signals::cancelled_when_stopped()?,
        end: arguments.time.map(|time| Instant::now() + time),
        left: arguments.count,
        position: None,
    };
    let first = watch.connect().map_err(refused)?;
    watch.follow(first)
}

fn refused(problem: FollowError) -> Failure {
    match problem {
        FollowError::Client(problem) => asking::unreachable(problem),
        refused @ FollowError::Refused { .. } => Failure::new(Exit::Error, refused),
    }
}

impl Watch<'_> {
    fn connect(&self) -> Result<EventStream, FollowError> {
        self.client.follow(&self.target, self.position.as_deref())
    }

    /// Until it is over, over as many connections as it takes.
    fn follow(&mut self, first: EventStream) -> Outcome {
        let mut stream = Some(first);
        let mut told = false;
        loop {
            let over = match stream.take() {
                Some(stream) => {
                    told = false;
                    self.print(stream)
                }
                None => match self.connect() {
                    Ok(again) => {
                        output::note("connected again");
                        stream = Some(again);
                        continue;
                    }
                    Err(problem) => Over::Broken(problem.to_string()),
                },
            };
            match over {
                Over::Enough => return Ok(Exit::Ok),
                Over::Interrupted => return Ok(Exit::Interrupted),
                Over::Broken(why) => {
                    if !told {
                        output::note(format_args!("the stream broke ({why}); connecting again"));
                        told = true;
                    }
                    if let Some(over) = self.pause() {
                        return Ok(over);
                    }
                }
            }
        }
    }

    /// Waits for a moment; whether the watch is over meanwhile.
    fn pause(&self) -> Option<Exit> {
        let end = Instant::now() + PAUSE;
        while Instant::now() < end {
            if let Some(exit) = self.is_over() {
                return Some(exit);
            }
            thread::sleep(LOOK);
        }
        None
    }

    fn is_over(&self) -> Option<Exit> {
        if self.cancel.is_cancelled() {
            return Some(Exit::Interrupted);
        }
        self.end.is_some_and(|end| end <= Instant::now()).then_some(Exit::Ok)
    }

    /// Prints what one connection brings.
    fn print(&mut self, mut stream: EventStream) -> Over {
        loop {
            match self.is_over() {
                Some(Exit::Ok) => return Over::Enough,
                Some(_) => return Over::Interrupted,
                None => {}
            }
            let next = stream.next(LOOK);
            self.position = stream.position().map(str::to_owned).or(self.position.take());
            match next {
                Ok(Next::Event(event)) => {
                    if !self.line(&event) {
                        return Over::Enough;
                    }
                }
                Ok(Next::Nothing) if stream.silent_for() < SILENCE => {}
                Ok(Next::Nothing) => return Over::Broken("not even a sign of life".to_owned()),
                Ok(Next::End) => return Over::Broken("the proxy ended it".to_owned()),
                Err(problem) => return Over::Broken(problem.to_string()),
            }
        }
    }

    /// Prints an event; false: it was the last one.
    fn line(&mut self, event: &ServerEvent) -> bool {
        let json = self.arguments.asked.output == "json";
        match event.kind.as_str() {
            "hello" => return true,
            "gap" => {
                let gap = serde_json::from_str::<Gap>(&event.data).ok().and_then(|gap| gap.lost);
                output::out_raw(&if json { lost_as_json(gap) } else { lost(gap) });
                return true;
            }
            _ => {}
        }
        if json {
            output::out(&event.data);
        } else if let Ok(event) = serde_json::from_str::<events::Event>(&event.data) {
            output::out_raw(&line(&event));
        } else {
            // A newer proxy may tell what this tool does not know.
            output::out(format_args!("{} {}", event.kind, event.data));
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        self.left != Some(0) && !output::is_closed()
    }
}

/// Columns that hold for most of what comes; a longer text pushes the rest of its own line.
fn line(event: &events::Event) -> String {
    let Told { style, what, place, why, time } = Told::of(&event.event.what);
    let what = output::padded(style, what, 20);
    let service = format!("{}:{}", short(&event.service), event.service.port);
    let rest: Vec<String> = [place, why, time].into_iter().filter(|text| !text.is_empty()).collect();
    format!("{}   {what} {service:<28} {}\n", event.event.at, rest.join("   "))
}

fn lost(count: Option<u64>) -> String {
    let words = match count {
        Some(1) => "1 event was lost here".to_owned(),
        Some(count) => format!("up to {count} events were lost here"),
        None => "events were lost here: the proxy was started anew".to_owned(),
    };
    format!("{}   {words}\n", output::padded(output::BAD, "GAP", 24))
}

fn lost_as_json(count: Option<u64>) -> String {
    let count = count.map_or_else(|| "null".to_owned(), |count| count.to_string());
    format!("{{\"version\":1,\"what\":\"gap\",\"lost\":{count}}}\n")
}
