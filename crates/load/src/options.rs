//! What a run is asked to do, with fortio's defaults. How the command line spells it is in `command_line`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Level;
use crate::profile::{Phase, Profile};

/// The fortio release whose texts and numbers are reproduced.
pub const FORTIO_VERSION: &str = "1.66.5";

/// Whose output a run shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// fortio's lines under our name, and exact percentiles besides.
    #[default]
    Fuseboard,
    /// What fortio prints and nothing else.
    Fortio,
}

impl Style {
    /// Name and version in front of the first line.
    pub(crate) const fn product(self) -> (&'static str, &'static str) {
        match self {
            Self::Fuseboard => ("Fuseboard", env!("CARGO_PKG_VERSION")),
            Self::Fortio => ("Fortio", FORTIO_VERSION),
        }
    }

    /// Default `User-Agent`.
    pub(crate) fn user_agent(self) -> String {
        match self {
            Self::Fuseboard => concat!("fuseboard/", env!("CARGO_PKG_VERSION")).to_owned(),
            Self::Fortio => format!("fortio.org/fortio-{FORTIO_VERSION}"),
        }
    }
}

/// A run: how fast, how long, against what.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, independent of the others"
)]
pub struct Options {
    /// Requests: where and what.
    pub http: HttpOptions,
    /// Calls of gRPC instead of HTTP; `http.url` is then `host:port`, or `https://host:port` over TLS.
    pub grpc: Option<GrpcOptions>,
    /// Connections, each making its calls one after the other. Default 4.
    pub connections: usize,
    /// Callers that share a connection, each with a stream of its own: in HTTP/2 only. Default 1.
    pub streams: usize,
    /// Calls per second over all connections; zero or less: as fast as possible. Default 8.
    pub qps: f64,
    /// How long, unless `calls` is set; `None`: until cancelled. Default 5 s.
    pub duration: Option<Duration>,
    /// Exactly so many calls, without warm-up. Default `None`.
    pub calls: Option<u64>,
    /// Moves each call by up to a tenth of the pause before it, so that connections drift apart.
    pub jitter: bool,
    /// Spreads the connections' first calls over one period.
    pub uniform: bool,
    /// Skips calls that came due while an earlier one was late, instead of making them at once.
    pub no_catch_up: bool,
    /// Percentiles to report. Default 50, 75, 90, 99, 99.9.
    pub percentiles: Vec<f64>,
    /// Width of the lowest buckets of the histogram, in seconds. Default 0.001.
    pub resolution: f64,
    /// Where the histogram begins. Default zero.
    pub offset: Duration,
    /// Ends the run when a call returns this code; -1 is a socket error. Default `None`.
    pub abort_on: Option<i32>,
    /// Goes on when a warm-up call fails.
    pub allow_initial_errors: bool,
    /// Makes the warm-up calls one after the other.
    pub sequential_warmup: bool,
    /// Label of the result; default: the URL and the host name.
    pub labels: Option<String>,
    /// Number of the result. Default 0.
    pub run_id: i64,
    /// The least important level that is logged and reported. Default Info; Error shortens the report.
    pub log_level: Level,
    /// Whose output to show.
    pub style: Style,
    /// Threads that make the calls, and the number that the first lines show. Default: one for each core.
    pub threads: Option<usize>,
    /// Writes a line for each call.
    pub access_log: Option<AccessLogOptions>,
    /// A rate that changes over time, instead of `qps`, `calls` and `duration`.
    pub profile: Option<Arc<Profile>>,
    /// Calls start when they are due, whatever became of earlier ones; `connections` is then the most that may be in
    /// flight. Needs a rate.
    pub open: bool,
}

/// Which calls of gRPC are made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GrpcOptions {
    /// fortio's ping, with the payload of [`HttpOptions`], instead of health checks.
    pub ping: bool,
    /// The service whose health is asked for; empty for the whole server's.
    pub service: String,
    /// How long the server is to wait before it answers a ping.
    pub delay: Duration,
    /// Sends compressed messages.
    pub compression: bool,
}

/// Where each call is written, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLogOptions {
    /// The file; lines are added at its end.
    pub path: PathBuf,
    /// The form of a line.
    pub format: AccessLogFormat,
}

impl AccessLogOptions {
    /// What a format without a file stands for: nothing is written.
    pub(crate) fn unnamed() -> Self {
        Self { path: PathBuf::new(), format: AccessLogFormat::default() }
    }

    /// `mode json to calls.log`, as it stands in the starting line and in the result.
    pub(crate) fn info(&self) -> String {
        format!("mode {} to {}", self.format.name(), self.path.display())
    }
}

/// The form of a line of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLogFormat {
    /// An object a line.
    #[default]
    Json,
    /// `InfluxDB`'s line protocol.
    Influx,
}

impl AccessLogFormat {
    /// Its name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Influx => "influx",
        }
    }
}

impl Options {
    /// The defaults against `url`.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            http: HttpOptions::to(url),
            grpc: None,
            connections: 4,
            streams: 1,
            qps: 8.0,
            duration: Some(Duration::from_secs(5)),
            calls: None,
            jitter: false,
            uniform: false,
            no_catch_up: false,
            percentiles: vec![50.0, 75.0, 90.0, 99.0, 99.9],
            resolution: 0.001,
            offset: Duration::ZERO,
            abort_on: None,
            allow_initial_errors: false,
            sequential_warmup: false,
            labels: None,
            run_id: 0,
            log_level: Level::Info,
            style: Style::default(),
            threads: None,
            access_log: None,
            profile: None,
            open: false,
        }
    }

    /// Whether there is a rate to keep; the mean of one that changes.
    pub(crate) fn rate(&self) -> Option<f64> {
        match &self.profile {
            Some(profile) => Some(profile.mean_rate()),
            None => (self.qps > 0.0).then_some(self.qps),
        }
    }

    /// Every call with its time, where all connections share one row of them: a changing rate, or open arrivals.
    pub(crate) fn arrivals(&self) -> Option<Arc<Profile>> {
        let rate = self.rate().filter(|_| self.open);
        let even = |rate: f64| {
            let of_calls = self.calls.map(|calls| Duration::try_from_secs_f64(calls as f64 / rate).ok());
            let length = of_calls.unwrap_or(self.duration).unwrap_or(Profile::ENDLESS).min(Profile::ENDLESS);
            Profile::of(&[Phase::line(rate, rate, length)]).map(Arc::new)
        };
        self.profile.clone().or_else(|| even(rate?))
    }
}

/// Where requests go and what they say.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, independent of the others"
)]
pub struct HttpOptions {
    /// `http://host:port/path` or `https://…`; without a scheme, `http://` is meant.
    pub url: String,
    /// Additional headers. `Host` replaces the URL's; an empty `User-Agent` removes ours (one space sends it empty);
    /// `Content-Type` makes the request a POST.
    pub headers: Vec<(String, String)>,
    /// Method; default GET, or POST when there is a payload or content type.
    pub method: Option<String>,
    /// Body of each request; `{uuid}` in it and in the URL is another one in each call.
    pub payload: Vec<u8>,
    /// Content type; default `application/octet-stream` when there is a payload.
    pub content_type: Option<String>,
    /// `user:password` for basic authentication.
    pub user: Option<String>,
    /// Keeps the connection for the next call. Default true.
    pub keep_alive: bool,
    /// Closes the sending side after the request, when connections are not kept.
    pub half_close: bool,
    /// Speaks HTTP/1.0.
    pub http10: bool,
    /// Bound on connecting and on each answer. Default 3 s.
    pub timeout: Duration,
    /// Logs each answer that is not 2xx or 418. Default true.
    pub log_errors: bool,
    /// Host or address to connect to instead of the URL's.
    pub resolve: Option<String>,
    /// Which addresses of a name are used. Default IPv4.
    pub address_family: AddressFamily,
    /// Which of several addresses a new connection takes.
    pub address_order: AddressOrder,
    /// Stays with the first address instead of looking the name up for each new connection.
    pub resolve_once: bool,
    /// Calls that a connection is used for: a number between these, drawn for each connection. Default: no bound.
    pub connection_reuse: Option<(u32, u32)>,
    /// Unix domain socket to connect to, whatever the URL's host is.
    pub unix_socket: Option<PathBuf>,
    /// Most bytes read at once. Default 16 KiB.
    pub read_buffer: usize,
    /// Asks for compressed answers.
    pub compression: bool,
    /// Follows redirects, up to ten in a call.
    pub follow_redirects: bool,
    /// Speaks HTTP/2: at once on `http://`, agreed upon in the handshake on `https://`. Answers are read to their end.
    pub http2: bool,
    /// Reads each answer to its end and keeps the connection whatever the status, as fortio's standard client does.
    pub whole_answers: bool,
    /// What connections to `https://` show and check.
    pub tls: TlsOptions,
}

/// What connections to `https://` show and check.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsOptions {
    /// Takes whatever certificate the server shows.
    pub insecure: bool,
    /// PEM file with who may sign the server's certificate. Default: whom the system trusts.
    pub ca_cert: Option<PathBuf>,
    /// PEM file with the certificate to show, if asked; needs `key`.
    pub cert: Option<PathBuf>,
    /// PEM file with the key of `cert`.
    pub key: Option<PathBuf>,
}

/// Which addresses of a name are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressFamily {
    /// IPv4 only.
    #[default]
    Ip4,
    /// IPv6 only.
    Ip6,
    /// Both.
    Any,
}

/// Which of several addresses a new connection takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressOrder {
    /// In turns over what the first look-up found.
    #[default]
    CachedRoundRobin,
    /// In turns, looked up each time.
    RoundRobin,
    /// Any, looked up each time.
    Random,
    /// The first, looked up each time.
    First,
}

impl HttpOptions {
    /// The defaults against `url`.
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            headers: Vec::new(),
            method: None,
            payload: Vec::new(),
            content_type: None,
            user: None,
            keep_alive: true,
            half_close: false,
            http10: false,
            timeout: Duration::from_secs(3),
            log_errors: true,
            resolve: None,
            address_family: AddressFamily::default(),
            address_order: AddressOrder::default(),
            resolve_once: false,
            connection_reuse: None,
            unix_socket: None,
            read_buffer: 16 * 1024,
            compression: false,
            follow_redirects: false,
            http2: false,
            whole_answers: false,
            tls: TlsOptions::default(),
        }
    }

    /// The content type that was asked for, on its own or as a header.
    pub(crate) fn given_content_type(&self) -> Option<&str> {
        let given = || self.given_header("content-type").map(str::trim);
        self.content_type.as_deref().or_else(given).filter(|text| !text.is_empty())
    }

    /// The value of a header that was asked for, as given; of several the last.
    pub(crate) fn given_header(&self, wanted: &str) -> Option<&str> {
        let found = self.headers.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether connections outlive their call at all.
    pub(crate) fn keeps_connections(&self) -> bool {
        self.keep_alive && !self.http10
    }
}
