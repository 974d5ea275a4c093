//! fortio's flags for `load` and `curl`: what each sets. Their table is in `flag_table`, the grammar in
//! `go::flag`; fortio's others are refused with a reason (`unsupported`).

use std::path::PathBuf;
use std::time::Duration;

use crate::beyond::{self, Beyond, Misfit, Mistakes};
use crate::event::Level;
use crate::flag_table::FLAGS;
use crate::flag_values::{
    access_log_format, address_family, address_order, credentials, duration, finite, header, kilobytes,
    level, number, offset, path, percentiles, reuse, token,
};
use crate::go;
use crate::go::flag::{Flag, FlagError, boolean};
use crate::options::{AccessLogOptions, GrpcOptions, Options, Style};
use crate::payload::PayloadFlags;
use crate::unsupported::{self, Verdict};

/// What the arguments of `load` or `curl` ask for.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag, independent of the others")]
pub struct CommandLine {
    /// The run.
    pub options: Options,
    /// `-json`: where the result goes, `-` for standard output.
    pub json: Option<String>,
    /// `-curl`: one call, as the command `curl` makes it.
    pub curl: bool,
    /// `-quiet` was given.
    pub quiet: bool,
    /// What fortio does not have.
    pub beyond: Beyond,
    /// `-a`: the result is saved under [`crate::Report::file_name`] in `data_dir`, unless `-json` says where.
    pub save: bool,
    /// `-data-dir`.
    pub data_dir: PathBuf,
    /// `-payload…`: where the body comes from.
    pub payload: PayloadFlags,
    /// `-stream`: standard input is the body (curl).
    pub stream: bool,
    /// `-curl-stdout-headers`.
    pub head_to_stdout: bool,
    /// `-logger-…`: the look of the log.
    pub log: LogLook,
    /// What was accepted and changes nothing, one sentence each.
    pub notes: Vec<String>,
    /// `-grpc`, and the flags that count only beside it.
    grpc: bool,
    grpc_options: GrpcOptions,
    grpc_streams: usize,
}

/// The look of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLook {
    /// As JSON or as text; `None` where nobody said.
    pub json: Option<bool>,
    /// With or without colour; `None` where nobody said.
    pub color: Option<bool>,
    /// With the time.
    pub timestamps: bool,
}

impl Default for LogLook {
    fn default() -> Self {
        Self { json: None, color: None, timestamps: true }
    }
}

/// What is wrong with the arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UsageError {
    /// A flag; its text is printed in front of the usage text.
    #[error(transparent)]
    Flag(#[from] FlagError),
    /// No URL behind the flags.
    #[error("Error: {program} load/curl needs a URL or destination")]
    NoUrl {
        /// Name of the program.
        program: &'static str,
    },
    /// A flag of fortio that is not supported.
    #[error("-{flag}: {why}")]
    Unsupported {
        /// The flag without its dash.
        flag: &'static str,
        /// Why, and what helps.
        why: &'static str,
    },
    /// `-calc-qps` without the two numbers that it needs.
    #[error("Error: can't use `-calc-qps` without also specifying `-n` and `-t`")]
    CalcQps,
    /// `-stream` in a run of many calls.
    #[error("Error: -stream is for curl: standard input can be sent only once")]
    StreamedLoad,
    /// Flags behind the URL would be ignored.
    #[error("Error: unexpected {argument:?} behind the URL: flags come before it")]
    Trailing {
        /// The first argument behind the URL.
        argument: String,
    },
    /// Flags of ours that make no sense together.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Expectations that cannot be understood.
    #[error("{0}")]
    Expectations(Mistakes),
    /// An expectation about when calls were due, in a run that is as fast as possible.
    #[error("-expect '{expectation}': no call is due at a certain time without a rate; add -qps")]
    NoRate {
        /// As given.
        expectation: String,
    },
}

impl CommandLine {
    /// Reads the arguments behind `load` or `curl`.
    pub fn parse(arguments: &[String], style: Style) -> Result<Self, UsageError> {
        let table: Vec<Flag> = table(style).into_iter().chain(unsupported::flags()).collect();
        let parsed = go::flag::parse(&table, arguments)?;
        let mut line = Self::empty(style);
        let mut calc_qps = false;
        for (name, value) in &parsed.flags {
            match unsupported::judge(name, value) {
                Verdict::Ours => {}
                Verdict::Harmless => continue,
                Verdict::Refused(why) => return Err(UsageError::Unsupported { flag: name, why }),
            }
            if *name == "calc-qps" {
                calc_qps = boolean(name, value)?;
            } else if !(line.beyond.set(name, value)?
                || line.set_http(name, value)?
                || line.set_connecting(name, value)?
                || line.set_grpc(name, value)?
                || line.set_switch(name, value)?
                || line.set_output(name, value)?
                || line.payload.set(name, value)?)
            {
                line.set_value(name, value)?;
            }
        }
        line.options.access_log = line.options.access_log.filter(|log| log.path != *"");
        if line.quiet {
            line.options.log_level = Level::Error;
        }
        if calc_qps {
            let both = line.options.calls.zip(line.options.duration);
            let (calls, duration) = both.ok_or(UsageError::CalcQps)?;
            line.options.qps = calls as f64 / duration.as_secs_f64();
        }
        line.beyond.check().map_err(UsageError::Expectations)?;
        line.settle_protocol();
        let given = |name: &str| parsed.flags.iter().any(|(flag, _)| *flag == name);
        line.beyond.arrange(&mut line.options, given)?;
        let needs_rate = line.beyond.expectations.iter().find(|one| one.needs_rate());
        if let (None, Some(expectation)) = (line.options.rate(), needs_rate) {
            return Err(UsageError::NoRate { expectation: expectation.text().to_owned() });
        }
        let mut rest = parsed.rest.into_iter();
        line.options.http.url = rest.next().ok_or(UsageError::NoUrl { program: program(style) })?;
        match rest.next() {
            Some(argument) => Err(UsageError::Trailing { argument }),
            None => Ok(line),
        }
    }

    fn empty(style: Style) -> Self {
        let mut options = Options::to("");
        options.style = style;
        Self {
            options,
            json: None,
            curl: false,
            quiet: false,
            save: false,
            data_dir: PathBuf::from("."),
            beyond: Beyond::default(),
            payload: PayloadFlags::default(),
            stream: false,
            head_to_stdout: false,
            log: LogLook::default(),
            notes: Vec::new(),
            grpc: false,
            grpc_options: GrpcOptions::default(),
            grpc_streams: 1,
        }
    }

    /// Checks what only `load` must not have.
    pub fn for_load(self) -> Result<Self, UsageError> {
        if self.stream && !self.curl { Err(UsageError::StreamedLoad) } else { Ok(self) }
    }

    /// Flags about requests; `false` for another one.
    fn set_http(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        let http = &mut self.options.http;
        match name {
            "H" => http.headers.push(header(name, value)?),
            "X" => http.method = Some(token(name, value)?),
            "content-type" => http.content_type = Some(value.to_owned()),
            "halfclose" => http.half_close = boolean(name, value)?,
            "h2" => http.http2 = boolean(name, value)?,
            "http1.0" => http.http10 = boolean(name, value)?,
            "keepalive" => http.keep_alive = boolean(name, value)?,
            "log-errors" => http.log_errors = boolean(name, value)?,
            "L" => http.follow_redirects = boolean(name, value)?,
            "compression" => http.compression = boolean(name, value)?,
            "httpbufferkb" => http.read_buffer = kilobytes(name, value)?,
            "stdclient" => http.whole_answers = boolean(name, value)?,
            // fortio takes the default for what makes no sense.
            "timeout" => http.timeout = duration(name, value)?.unwrap_or(Duration::from_secs(3)),
            "user" => http.user = credentials(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Flags about gRPC; `false` for another one.
    fn set_grpc(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        match name {
            "grpc" => self.grpc = boolean(name, value)?,
            "grpc-compression" => self.grpc_options.compression = boolean(name, value)?,
            "grpc-ping-delay" => self.grpc_options.delay = duration(name, value)?.unwrap_or_default(),
            "healthservice" => value.clone_into(&mut self.grpc_options.service),
            "ping" => self.grpc_options.ping = boolean(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Puts together what several flags say about gRPC and HTTP/2.
    fn settle_protocol(&mut self) {
        let http = &self.options.http;
        if http.http2 && (http.http10 || http.half_close) {
            self.notes.push("-http1.0 and -halfclose change nothing beside -h2".to_owned());
        }
        if self.grpc {
            self.options.grpc = Some(self.grpc_options.clone());
            self.options.streams = self.grpc_streams;
            return;
        }
        if self.grpc_options != GrpcOptions::default() {
            self.notes.push("flags about gRPC change nothing without -grpc".to_owned());
        }
        if self.grpc_streams > 1 {
            let streams = self.grpc_streams;
            self.notes.push(format!(
                "-s {streams}: these streams belong to gRPC; beside -h2, -streams has several calls share a connection"
            ));
        }
    }

    /// Flags about where and how often to connect; `false` for another one.
    fn set_connecting(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        let http = &mut self.options.http;
        match name {
            "connection-reuse" => http.connection_reuse = reuse(name, value)?,
            "dns-method" => http.address_order = address_order(name, value)?,
            "cacert" => http.tls.ca_cert = path(value),
            "cert" => http.tls.cert = path(value),
            "k" | "https-insecure" => http.tls.insecure |= boolean(name, value)?,
            "key" => http.tls.key = path(value),
            "no-reresolve" => http.resolve_once = boolean(name, value)?,
            "resolve" => http.resolve = Some(value.to_owned()).filter(|host| !host.is_empty()),
            "resolve-ip-type" => http.address_family = address_family(name, value)?,
            "unix-socket" => http.unix_socket = path(value),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Flags about results, logs and what is printed where; `false` for another one.
    fn set_output(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        let log = |line: &mut Self| line.options.access_log.take().unwrap_or_else(AccessLogOptions::unnamed);
        match name {
            "access-log-file" => {
                let given = AccessLogOptions { path: PathBuf::from(value), ..log(self) };
                self.options.access_log = Some(given);
            }
            "access-log-format" => {
                let given = AccessLogOptions { format: access_log_format(name, value)?, ..log(self) };
                self.options.access_log = Some(given);
            }
            "data-dir" => self.data_dir = PathBuf::from(value),
            "logger-force-color" if boolean(name, value)? => self.log.color = Some(true),
            "logger-no-color" if boolean(name, value)? => self.log.color = Some(false),
            "logger-json" => self.log.json = Some(boolean(name, value)?),
            "logger-timestamp" => self.log.timestamps = boolean(name, value)?,
            // They ask for what is always or never so; the table says which.
            "httpccch" | "logger-file-line" | "logger-goroutine" | "logger-force-color"
            | "logger-no-color" => drop(boolean(name, value)?),
            "s" => self.grpc_streams = usize::try_from(number::<i64>(name, value)?).unwrap_or(1).max(1),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Flags that are on or off; `false` for another one.
    fn set_switch(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        let options = &mut self.options;
        let place = match name {
            "a" => &mut self.save,
            "allow-initial-errors" => &mut options.allow_initial_errors,
            "curl" => &mut self.curl,
            "curl-stdout-headers" => &mut self.head_to_stdout,
            "jitter" => &mut options.jitter,
            "nocatchup" => &mut options.no_catch_up,
            "quiet" => &mut self.quiet,
            "sequential-warmup" => &mut options.sequential_warmup,
            "stream" => &mut self.stream,
            "uniform" => &mut options.uniform,
            _ => return Ok(false),
        };
        *place = boolean(name, value)?;
        Ok(true)
    }

    fn set_value(&mut self, name: &'static str, value: &str) -> Result<(), FlagError> {
        let options = &mut self.options;
        match name {
            "abort-on" => options.abort_on = Some(number(name, value)?).filter(|code| *code != 0),
            "c" => options.connections = usize::try_from(number::<i64>(name, value)?).unwrap_or(0),
            "gomaxprocs" => {
                options.threads = usize::try_from(number::<i64>(name, value)?).ok().filter(|n| *n > 0);
            }
            "json" => self.json = Some(value.to_owned()).filter(|path| !path.is_empty()),
            "labels" => options.labels = Some(value.to_owned()).filter(|labels| !labels.is_empty()),
            "loglevel" => options.log_level = level(name, value)?,
            "n" => options.calls = u64::try_from(number::<i64>(name, value)?).ok().filter(|calls| *calls > 0),
            "offset" => options.offset = offset(name, value)?,
            "p" => options.percentiles = percentiles(name, value)?,
            "qps" => options.qps = finite(name, value)?,
            "r" => options.resolution = finite(name, value)?,
            "runid" => options.run_id = number(name, value)?,
            "t" => options.duration = duration(name, value)?,
            // The table has no other: the test below goes through all of it.
            _ => return Err(FlagError::Unknown { name: name.to_owned(), nearest: None }),
        }
        Ok(())
    }
}

/// The table of flags, for completion and manual pages.
pub fn flags() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().chain(beyond::FLAGS)
}

/// fortio's flags, and under our own name ours besides.
fn table(style: Style) -> Vec<Flag> {
    match style {
        Style::Fortio => FLAGS.to_vec(),
        Style::Fuseboard => [FLAGS, beyond::FLAGS].concat(),
    }
}

const fn program(style: Style) -> &'static str {
    match style {
        Style::Fuseboard => "fuseboard",
        Style::Fortio => "fortio",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expect::Expectation;

    fn parse(arguments: &[&str]) -> Result<CommandLine, UsageError> {
        let owned: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        CommandLine::parse(&owned, Style::Fortio)
    }

    fn said(arguments: &[&str]) -> String {
        parse(arguments).unwrap_err().to_string()
    }

    #[test]
    fn without_flags_the_defaults_are_fortio_s() {
        let line = parse(&["http://h/"]).unwrap();
        let mut expected = Options::to("http://h/");
        expected.style = Style::Fortio;
        assert_eq!(line, CommandLine { options: expected, ..CommandLine::empty(Style::Fortio) });
    }

    #[test]
    fn the_classic_experiment_is_understood() {
        let line =
            parse(&["-c", "3", "-qps", "0", "-n", "30", "-loglevel", "Warning", "http://httpbin:8000/get"]);
        let options = line.unwrap().options;
        assert_eq!((options.connections, options.calls, options.log_level), (3, Some(30), Level::Warning));
        assert_eq!(options.rate(), None);
    }

    #[test]
    fn every_flag_of_the_table_changes_something() {
        let plain = parse(&["u"]).unwrap();
        for flag in FLAGS {
            // What they ask for is so anyway; `-s` is noted.
            if matches!(flag.name, "httpccch" | "logger-file-line" | "logger-goroutine") {
                continue;
            }
            let sample = match flag.name {
                "H" => "a:b",
                "X" => "PUT",
                "p" => "42",
                "loglevel" => "debug",
                "access-log-format" => "influx",
                "connection-reuse" => "2:3",
                "dns-method" => "rr",
                "resolve" => "127.0.0.9",
                "resolve-ip-type" => "ip6",
                "user" => "u:p",
                "t" | "timeout" | "offset" | "grpc-ping-delay" => "77s",
                "r" | "qps" => "0.5",
                "keepalive" | "log-errors" | "logger-timestamp" => "false",
                _ if flag.value.is_none() => "true",
                _ => "7",
            };
            let mut arguments = vec![format!("-{}={sample}", flag.name)];
            match flag.name {
                "calc-qps" => arguments.push("-n=100".into()),
                "access-log-format" => arguments.push("-access-log-file=calls.log".into()),
                _ => {}
            }
            arguments.push("u".into());
            let line = CommandLine::parse(&arguments, Style::Fortio).unwrap();
            assert_ne!(line, plain, "{}", flag.name);
        }
    }

    #[test]
    fn what_fortio_does_not_have_is_unknown_under_its_name() {
        let arguments = ["-expect", "errors == 0", "-junit", "x.xml", "u"].map(str::to_owned);
        let line = CommandLine::parse(&arguments, Style::Fuseboard).unwrap();
        assert_eq!(line.beyond.expectations, [Expectation::parse("errors == 0").unwrap()]);
        assert_eq!(line.beyond.junit.as_deref(), Some("x.xml"));
        assert!(said(&["-expect", "errors == 0", "u"]).starts_with("flag provided but not defined: -expect"));
    }

    #[test]
    fn all_mistakes_in_expectations_are_told_at_once() {
        let arguments =
            ["-expect", "errors = 0", "-expect", "calls > 1", "-expect", "p99 < 5", "u"].map(str::to_owned);
        let error = CommandLine::parse(&arguments, Style::Fuseboard).unwrap_err().to_string();
        assert_eq!(
            error,
            "-expect: write == for equal\n  errors = 0\n         ^\n-expect: expected a duration with its unit, such as 50ms or 1.5s\n  p99 < 5\n        ^"
        );
    }

    fn ours(arguments: &str) -> Result<CommandLine, UsageError> {
        let arguments: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        CommandLine::parse(&arguments, Style::Fuseboard)
    }

    #[test]
    fn phases_follow_each_other_in_the_order_of_the_flags() {
        let options = ours("-ramp 0:10:2s -steps 10,20:1s --burst=5:1s:2s u").unwrap().options;
        let profile = options.profile.unwrap();
        let names: Vec<String> = profile.phases().map(crate::profile::Phase::name).collect();
        assert_eq!(names, ["0/s to 10/s in 2s", "10/s for 1s", "20/s for 1s", "5 each 1s for 2s"]);
        assert_eq!((profile.calls(), options.duration), (50, Some(Duration::from_secs(6))));
        for wrong in ["-ramp 1:2", "-steps 10", "-burst 1:1", "-ramp 1:2:3s -t 5s", "-steps 1:5s -qps 3"] {
            assert!(ours(&format!("{wrong} u")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn verdicts_are_written_only_of_expectations() {
        assert_eq!(ours("-junit x u").err(), Some(UsageError::Misfit(Misfit::JunitOfNothing)));
        assert!(ours("-junit x -expect-file f u").is_ok());
    }

    #[test]
    fn open_arrivals_need_a_rate_and_have_a_bound() {
        let connections = |arguments: &str| ours(arguments).map(|line| line.options.connections);
        assert_eq!(connections("-open -qps 5 u"), Ok(256));
        assert_eq!(connections("-open -c 9 u"), Ok(9));
        assert_eq!(connections("-open -qps 0 u"), Err(UsageError::Misfit(Misfit::OpenWithoutRate)));
        assert_eq!(
            connections("-open -qps 0 -steps 5:1s u"),
            Err(UsageError::Misfit(Misfit::BesidePhases("qps")))
        );
    }

    #[test]
    fn being_due_needs_a_rate() {
        let line = |qps: &str| {
            let arguments = ["-qps", qps, "-expect", "p99 since due < 1s", "u"].map(str::to_owned);
            CommandLine::parse(&arguments, Style::Fuseboard)
        };
        assert!(line("8").is_ok());
        assert!(matches!(line("0"), Err(UsageError::NoRate { .. })));
    }

    #[test]
    fn every_flag_of_fortio_is_known_and_those_of_servers_are_refused() {
        // The names in the help of fortio 1.66.5.
        let theirs = include_str!("../tests/golden/fortio-flags.txt");
        let known: Vec<Flag> = FLAGS.iter().copied().chain(unsupported::flags()).collect();
        for line in theirs.lines() {
            let (name, has_value) = line.split_once(' ').map_or((line, false), |(name, _)| (name, true));
            let found: Vec<&Flag> = known.iter().filter(|flag| flag.name == name).collect();
            assert_eq!(found.len(), 1, "{name}");
            assert_eq!(found[0].value.is_some(), has_value, "{name}");
        }
        assert!(said(&["-http-port", "80", "u"]).contains("fortio's servers"));
        assert!(parse(&["-http-port", "8080", "-mtls=false", "u"]).is_ok());
    }

    #[test]
    fn standard_input_is_sent_once_and_so_not_by_load() {
        assert!(parse(&["-stream", "u"]).unwrap().for_load().is_err());
        assert!(parse(&["-stream", "-curl", "u"]).unwrap().for_load().is_ok());
    }

    #[test]
    fn durations_take_days_and_zero_means_until_interrupted() {
        assert_eq!(parse(&["-t", "1d4h", "u"]).unwrap().options.duration, Some(Duration::from_secs(100_800)));
        assert_eq!(parse(&["-t", "0", "u"]).unwrap().options.duration, None);
        assert_eq!(parse(&["-t", "-1s", "u"]).unwrap().options.duration, None);
    }

    #[test]
    fn a_rate_can_be_computed() {
        let options = parse(&["-calc-qps", "-n", "100", "-t", "10s", "u"]).unwrap().options;
        assert!((options.qps - 10.0).abs() < f64::EPSILON);
    }

    #[test]
    fn mistakes_are_told_in_fortio_s_words() {
        assert_eq!(said(&["-c", "x", "u"]), "invalid value \"x\" for flag -c: parse error");
        let duration = said(&["-t", "1x", "u"]);
        assert!(duration.starts_with("invalid value \"1x\" for flag -t: parse error"), "{duration}");
        assert_eq!(said(&["-quiet=maybe", "u"]), "invalid boolean value \"maybe\" for -quiet: parse error");
        assert_eq!(
            said(&["-loglevel", "foo", "u"]),
            "invalid value \"foo\" for flag -loglevel: should be one of [Debug Verbose Info Warning Error Critical Fatal]"
        );
        assert_eq!(
            said(&["-H", "foo", "u"]),
            "invalid value \"foo\" for flag -H: invalid extra header 'foo', expecting Key: Value"
        );
        assert_eq!(said(&[]), "Error: fortio load/curl needs a URL or destination");
        assert_eq!(said(&["-h3", "u"]), "flag provided but not defined: -h3 (did you mean -h2?)");
        assert_eq!(
            said(&["-calc-qps", "-t", "0", "-n", "4", "u"]),
            "Error: can't use `-calc-qps` without also specifying `-n` and `-t`"
        );
        let method = said(&["-grpc-method", "a/b", "u"]);
        assert!(method.starts_with("-grpc-method: methods of other services"), "{method}");
    }

    #[test]
    fn a_header_cannot_smuggle_another_one() {
        assert!(parse(&["-H", "a: b\r\nc: d", "u"]).is_err());
        assert!(parse(&["-H", "a b: c", "u"]).is_err());
        assert!(parse(&["-X", "GET / HTTP/1.1\r\n", "u"]).is_err());
    }

    #[test]
    fn flags_behind_the_url_are_not_ignored_in_silence() {
        assert_eq!(said(&["u", "-c", "2"]), "Error: unexpected \"-c\" behind the URL: flags come before it");
    }
}
