//! `fuseboard load` and `fuseboard curl`: fortio's flags, fortio's output, and honest latency besides.

use std::ffi::OsString;
use std::io::{self, Read};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ColorChoice};
use fuseboard_load::go::flag::FlagError;
use fuseboard_load::{
    Beyond, Cancel, CommandLine, Event, Level, LogLine, Observer, Receiver, Report, RunError, Style,
    UsageError,
};
use jiff::Timestamp;

use crate::exit::{Exit, Failure, Outcome};
use crate::expecting::{self, Expecting};
use crate::output;
use crate::progress_line::ProgressLine;
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
    let parsed = CommandLine::parse(&words, style);
    let mut line = match if curl { parsed } else { parsed.and_then(CommandLine::for_load) } {
        Ok(line) => line,
        Err(error) => return Ok(usage(&error, style, if curl { "curl" } else { "load" })),
    };
    let curl = curl || line.curl;
    if curl && line.beyond != Beyond::default() {
        return Err(Failure::message(Exit::Usage, "curl makes one call, of which nothing can be expected")
            .next("leave out what is not fortio's, or use `fuseboard load`"));
    }
    if curl && line.options.grpc.is_some() {
        return Err(Failure::message(Exit::Usage, "curl makes one call of HTTP, and none of gRPC")
            .next("use `fuseboard load -grpc -n 1 host:port`"));
    }
    let expecting = Arc::new(Expecting::of(&line.beyond)?);
    let shows_progress = line.options.style == Style::Fuseboard && !line.quiet && !curl;
    let progress = Arc::new(ProgressLine::new(shows_progress));
    let observer = log_of(&line, curl, Arc::clone(&expecting), Arc::clone(&progress));
    for note in line.notes.iter().cloned().chain(line.payload.note()) {
        observer.warn(note);
    }
    if !line.stream {
        line.options.http.payload = line.payload.read()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        if curl {
            fetch(&line, &observer).await
        } else {
            measure(&line, observer, &expecting, &progress).await
        }
    })
}

/// fortio writes its log as JSON where nobody looks; a person reads ours, also in a pipe.
fn log_of(
    line: &CommandLine,
    curl: bool,
    expecting: Arc<Expecting>,
    progress: Arc<ProgressLine>,
) -> Observer {
    let look = line.log;
    let (forced, level) = (look.color == Some(true), line.options.log_level);
    let by_default = line.options.style == Style::Fuseboard || curl || output::stderr_is_terminal();
    let as_text = forced || look.json.map_or(by_default, |json| !json);
    if let Some(colour) = look.color {
        output::choose_color(if colour { ColorChoice::Always } else { ColorChoice::Never });
    }
    Observer::new(move |event| match event {
        Event::WarmedUp(run) => {
            expecting.begin();
            progress.begin(run);
        }
        Event::Line(text) => progress.beside(|| output::note(text)),
        Event::Log(log) if log.level < level => {}
        Event::Log(log) => {
            let now = look.timestamps.then(Timestamp::now);
            let text = if as_text { painted(&log, now) } else { log.to_json(now) };
            progress.beside(|| output::note(text));
        }
        _ => {}
    })
}

fn painted(log: &LogLine, now: Option<Timestamp>) -> String {
    let style = match log.level {
        Level::Debug | Level::Verbose => output::FAINT,
        Level::Info => output::GOOD,
        Level::Warning => output::WARN,
        Level::Error | Level::Critical | Level::Fatal => output::BAD,
    };
    output::styled(style, log.to_text(now)).to_string()
}

/// Prints an answer as it comes: the body to stdout, the head to stderr.
struct Printer {
    head_to_stdout: bool,
    /// `fortio` prints all that came with a bad status to stdout, and no head that its standard client read.
    as_fortio: bool,
    without_head: bool,
}

impl Receiver for Printer {
    fn head(&mut self, status: u16, head: &[u8]) {
        let is_ok = (200..300).contains(&status) || status == 418;
        if self.head_to_stdout || (self.as_fortio && !is_ok && !self.without_head) {
            output::out_bytes(head);
        } else if !self.without_head {
            output::note_raw(&String::from_utf8_lossy(head));
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        output::out_bytes(bytes);
    }
}

async fn fetch(line: &CommandLine, observer: &Observer) -> Outcome {
    let http = &line.options.http;
    let as_fortio = line.options.style == Style::Fortio;
    let without_head =
        if as_fortio { http.whole_answers || http.follow_redirects || http.http2 } else { line.quiet };
    let mut printer = Printer { head_to_stdout: line.head_to_stdout, as_fortio, without_head };
    let upload: Option<Box<dyn Read + Send>> = if line.stream { Some(Box::new(io::stdin())) } else { None };
    let code =
        fuseboard_load::curl_to(&line.options, upload, observer, &mut printer).await.map_err(failed)?;
    Ok(if code == 200 { Exit::Ok } else { Exit::Error })
}

async fn measure(
    line: &CommandLine,
    observer: Observer,
    expecting: &Expecting,
    progress: &ProgressLine,
) -> Outcome {
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
    let run = fuseboard_load::run_observed(line.options.clone(), cancel, observer).await;
    progress.end();
    let mut report = run.map_err(|error| not_run(error, line.options.style))?;
    let judged = expecting.judge(&mut report);
    // fortio prints to stderr. Here the result is data, unless the JSON result takes its place.
    if line.options.style == Style::Fuseboard && line.json.as_deref() != Some("-") {
        output::out_raw(&report.text());
        output::out_raw(&expecting::verdicts(report.verdicts()));
    } else {
        output::note_raw(&report.text());
        output::note_raw(&expecting::verdicts(report.verdicts()));
    }
    // Whatever cannot be written or asked any more, the rest of the result is not lost.
    let saved = [save(line, &report), expecting.save(&report)];
    let holds = judged?;
    saved.into_iter().collect::<Result<(), Failure>>()?;
    Ok(if holds { Exit::Ok } else { Exit::ExpectationFailed })
}

/// `-json` and `-a`.
fn save(line: &CommandLine, report: &Report) -> Result<(), Failure> {
    let path = match &line.json {
        Some(path) => path.into(),
        None if line.save => line.data_dir.join(report.file_name()),
        None => return Ok(()),
    };
    let json = format!("{}\n", report.json());
    let shown = if path.as_os_str() == "-" {
        output::out_raw(&json);
        "stdout".into()
    } else {
        let shown = path.display().to_string();
        std::fs::write(&path, &json).with_context(|| format!("the result cannot be written to {shown}"))?;
        shown.strip_prefix("./").map(str::to_owned).unwrap_or(shown)
    };
    output::note(format_args!("Successfully wrote {} bytes of Json data to {shown}", json.len()));
    Ok(())
}

fn not_run(error: RunError, style: Style) -> Failure {
    let helps = style == Style::Fuseboard && matches!(error, RunError::Warmup { .. });
    let failure = failed(error);
    if helps {
        return failure.next(
            "a warm-up call failed: begin with fewer connections (-c), warm up one by one (-sequential-warmup), or go on all the same (-allow-initial-errors)",
        );
    }
    failure
}

fn failed(error: RunError) -> Failure {
    let exit = if matches!(error, RunError::Interrupted) { Exit::Interrupted } else { Exit::Error };
    Failure::new(exit, error)
}

fn usage(error: &UsageError, style: Style, command: &str) -> Exit {
    if matches!(error, UsageError::Flag(FlagError::Help)) {
        output::out_raw(&fuseboard_load::usage(style));
        return Exit::Ok;
    }
    if style == Style::Fortio {
        // Go's flag package complains first and exits with 2; fortio itself complains last and exits with 1.
        let by_go = matches!(error, UsageError::Flag(_) | UsageError::Unsupported { .. });
        let (first, last, exit) = if by_go {
            (format!("{error}\n"), String::new(), Exit::Usage)
        } else {
            (String::new(), format!("{error}\n"), Exit::Error)
        };
        output::note_raw(&format!("{first}{}{last}", fuseboard_load::usage(style)));
        return exit;
    }
    output::note(error);
    output::note(format_args!(
        "\nUsage: fuseboard {command} [FLAGS] URL, flags first\n\nFor more information, try 'fuseboard {command} -h'.",
    ));
    Exit::Usage
}
