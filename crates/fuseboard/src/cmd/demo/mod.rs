//! `fuseboard demo`: a circuit that breaks before one's eyes. Two httpbin servers, the proxy, the rule and the callers live
//! in this one process; what is shown comes from the admin server, as any user would see it.

mod breaker;
mod expect;
mod outlier;
mod pool;
mod screen;
mod stage;

use clap::{Args, ValueEnum};

use fuseboard_load::Cancel;

use crate::exit::{Exit, Failure, Outcome};
use crate::{argument, output, signals};
use expect::Expectations;
use screen::Screen;
use stage::{Cast, Ports, Stage};

/// Watch a circuit break: httpbin, the proxy, the rule and the callers in one process
#[derive(Args)]
#[command(after_help = "Examples:
  # one, two and three callers against one connection
  fuseboard demo
  # a failing replica is ejected, comes back, and is ejected for longer
  fuseboard demo outlier
  # a service hangs: the breaker opens, cache and stand-in answer, traffic returns
  fuseboard demo breaker
  # end after the walk; exit 99 when it did not go as it must
  fuseboard demo --once --expect

Without --once it stays up, so that you can try the lines that it prints, and
edit the rule.")]
pub(crate) struct Arguments {
    /// What to show
    #[arg(value_enum, default_value = "pool")]
    show: Show,
    /// End after the walk instead of staying up
    #[arg(long)]
    once: bool,
    /// Check that everything went as it must; exit 99 and the difference otherwise
    #[arg(long)]
    expect: bool,
    /// Seed of every random choice in the proxy and the replicas
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Ports to use: admin N, proxy N+1, replicas N+2 and N+3; default: 15000, or free ones where those are taken
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..65532))]
    port_base: Option<u16>,
    /// Plain lines only: no colour and no line that changes while one waits
    #[arg(long)]
    no_ui: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// Limits: part of the calls of three callers is refused
    Pool,
    /// Ejection: a failing replica is taken out and comes back
    Outlier,
    /// Breaker and fallback: a service hangs, others answer, and traffic comes back in steps
    Breaker,
}

impl Show {
    const fn name(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Outlier => "outlier",
            Self::Breaker => "breaker",
        }
    }

    const fn rule(self) -> &'static str {
        match self {
            Self::Pool => include_str!("pool.yaml"),
            Self::Outlier => include_str!("outlier.yaml"),
            Self::Breaker => include_str!("breaker.yaml"),
        }
    }

    /// The services, each with the names of its servers.
    const fn cast(self) -> Cast {
        match self {
            Self::Pool | Self::Outlier => &[("httpbin", &["httpbin-a", "httpbin-b"])],
            Self::Breaker => &[("httpbin", &["httpbin"]), ("stand-in", &["stand-in"])],
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if arguments.no_ui {
        output::choose_color(clap::ColorChoice::Never);
    }
    let stop = signals::cancelled_when_stopped()?;
    screen::title(arguments.show.name(), arguments.once);
    let stage = set(arguments, &stop)?;
    let outcome = perform(arguments, &stage, &stop);
    stage.strike();
    outcome
}

/// On the ports asked for; else on those that people know, where somebody stays to use them; else on free ones.
fn set(arguments: &Arguments, stop: &Cancel) -> Result<Stage, Failure> {
    let seed = arguments.seed.unwrap_or_else(argument::random_seed);
    let show = arguments.show;
    let on = |folder, ports| Stage::set((show.cast(), show.rule()), folder, ports, seed, stop.clone());
    let folder = stage::folder;
    if let Some(base) = arguments.port_base {
        let next = "give other ports with --port-base N, or leave it out for free ones";
        return on(folder()?, Ports::from(base)).map_err(|failure| failure.next(next));
    }
    // Trying is the only way to know: what is free now may be taken a moment later.
    let usual = if arguments.once { None } else { on(folder()?, Ports::USUAL).ok() };
    usual.map_or_else(|| on(folder()?, Ports::ANY), Ok)
}

/// The walk, what came of it, and what there is to try.
fn perform(arguments: &Arguments, stage: &Stage, stop: &Cancel) -> Outcome {
    let screen = Screen::new(!arguments.no_ui && output::stderr_is_terminal());
    screen::stage(stage);
    let mut expectations = Expectations::default();
    let walked = match arguments.show {
        Show::Pool => pool::walk(stage, &mut expectations),
        Show::Outlier => outlier::walk(stage, screen, &mut expectations),
        Show::Breaker => breaker::walk(stage, &mut expectations),
    };
    if stop.is_cancelled() {
        return Err(Failure::message(Exit::Interrupted, "interrupted before the walk was done"));
    }
    walked?;
    if arguments.expect {
        screen::expectations(&expectations);
    }
    if !arguments.once {
        screen::try_it(stage, arguments.show);
        stage.wait_for_stop();
    }
    Ok(expectations.verdict(arguments.expect))
}
