//! `fuseboard load` and `fuseboard curl`: fortio's flags, fortio's output, and honest latency besides.

use std::ffi::OsString;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use fuseboard_load::go::flag::FlagError;
use fuseboard_load::{Beyond, Cancel, CommandLine, Event, Observer, RunError, Style, UsageError};
use jiff::Timestamp;

use crate::exit::{Exit, Failure, Outcome};
use crate::expecting::{self, Expecting};
use crate::output;
use crate::signals::StopSignals;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// fortio's flags, then the URL
    #[arg(value_name = "FLAGS URL", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

pub(crate) fn load(arguments: &Arguments) -> Outcome {
    call(&arguments.rest, Style::Fuseboard, false)
}

pub(crate) fn curl(arguments: &Arguments) -> Outcome {
    call(&arguments.rest, Style::Fuseboard, true)
}

/// Reads the flags and does what they say.
pub(crate) fn call(arguments: &[OsString], style: Style, curl: bool) -> Outcome {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let line = match CommandLine::parse(&words, style) {
        Ok(line) => line,
        Err(error) => return Ok(usage(&error, style)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // fortio writes its log as JSON where nobody looks; a person reads ours, also in a pipe.
    let as_text = style == Style::Fuseboard || output::stderr_is_terminal();
    let curl = curl || line.curl;
    if curl && line.beyond != Beyond::default() {
        return Err(Failure::message(Exit::Usage, "curl makes one call, of which nothing can be expected")
            .next("leave out what is not fortio's, or use `fuseboard load`"));
    }
    let expecting = Arc::new(Expecting::of(&line.beyond)?);
    let told = Arc::clone(&expecting);
    let observer = Observer::new(move |event| match event {
        Event::WarmedUp => told.begin(),
        Event::Line(text) => output::note(text),
        Event::Log(log) if as_text => output::note(log.to_text(Timestamp::now())),
        Event::Log(log) => output::note(log.to_json(Timestamp::now())),
        _ => {}
    });
    runtime.block_on(async {
        if curl { fetch(&line, &observer).await } else { measure(&line, observer, &expecting).await }
    })
}

async fn fetch(line: &CommandLine, observer: &Observer) -> Outcome {
    let fetched = fuseboard_load::curl(&line.options, observer).await.map_err(failed)?;
    if !line.quiet {
        output::note_raw(&String::from_utf8_lossy(&fetched.head));
    }
    output::out_bytes(&fetched.body);
    Ok(if fetched.exit_code() == 0 { Exit::Ok } else { Exit::Error })
}

async fn measure(line: &CommandLine, observer: Observer, expecting: &Expecting) -> Outcome {
    let cancel = Cancel::new();
    let interrupted = cancel.clone();
    let mut signals = StopSignals::listen()?;
    tokio::spawn(async move {
        signals.next().await;
        interrupted.cancel();
        // The second one does not wait for answers that may never come.
        signals.next().await;
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    let mut report =
        fuseboard_load::run_observed(line.options.clone(), cancel, observer).await.map_err(failed)?;
    let holds = expecting.judge(&mut report)?;
    // fortio prints to stderr. Here the result is data, unless the JSON result takes its place.
    if line.options.style == Style::Fuseboard && line.json.as_deref() != Some("-") {
        output::out_raw(&report.text());
        output::out_raw(&expecting::verdicts(report.verdicts()));
    } else {
        output::note_raw(&report.text());
        output::note_raw(&expecting::verdicts(report.verdicts()));
    }
    if let Some(path) = &line.json {
        let json = report.json();
        if path == "-" {
            output::out_raw(&json);
        } else {
            std::fs::write(path, &json).with_context(|| format!("the result cannot be written to {path}"))?;
            output::note(format_args!("Successfully wrote {} bytes of Json data to {path}", json.len()));
        }
    }
    Ok(if holds { Exit::Ok } else { Exit::ExpectationFailed })
}

fn failed(error: RunError) -> Failure {
    Failure::new(Exit::Error, error)
}

fn usage(error: &UsageError, style: Style) -> Exit {
    if matches!(error, UsageError::Flag(FlagError::Help)) {
        output::out_raw(&fuseboard_load::usage(style));
        return Exit::Ok;
    }
    output::note(error);
    if style == Style::Fortio {
        output::note_raw(&fuseboard_load::usage(style));
        return Exit::Error;
    }
    output::note(
        "\nUsage: fuseboard load [FLAGS] URL, flags first\n\nFor more information, try 'fuseboard load -h'.",
    );
    Exit::Usage
}
