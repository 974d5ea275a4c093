//! `fuseboard run`: a stand-alone proxy that follows a folder of rules.

mod handover;
mod tls;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{ArgAction, Args};
use fuseboard_admin::logging::{Level, Loggers, logger};
use fuseboard_config::{Destination, ListenPlan, Takes, Workload};
use fuseboard_proxy::{AccessLog, AccessLogFormat, BoundListener, LogSink, ProxyOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use crate::exit::{Exit, Failure, Outcome};
use crate::serving::{Plan, Serving, Told};
use crate::signals::StopSignals;
use crate::{argument, logging, output, service_manager};

use self::handover::{Attempt, Predecessor, Successor};
use self::tls::{Addresses, Listen, ListenService, ListenTcp};

/// Serve services behind their DestinationRules, without Kubernetes
#[derive(Args)]
#[command(after_help = "Examples:
  # the Services, ServiceEntries and DestinationRules of a folder, by Host
  fuseboard run -f rules/ --listen 127.0.0.1:15001
  curl -H 'Host: httpbin:8000' http://127.0.0.1:15001/get
  http_proxy=http://127.0.0.1:15001 curl http://httpbin:8000/get
  # with TLS, and who calls must show a certificate too
  fuseboard run -f rules/ --listen :8443 --tls-cert a.crt --tls-key a.key --client-ca ca.crt
  # one service behind its rule, whatever Host says
  fuseboard run --listen :9000 --to 127.0.0.1:8080 -f dr.yaml
  # a database behind its rule: bytes, and not HTTP
  fuseboard run --listen :5432 --to tcp://10.0.0.5:5432 -f dr.yaml
  # a service of gRPC behind its rule: refusals are statuses of gRPC
  fuseboard run --listen :50051 --to grpc://10.0.0.5:50051 -f dr.yaml
  # a service that speaks HTTP or something else: by what each client begins with
  fuseboard run --listen :9000 --to auto://127.0.0.1:8080 -f dr.yaml
  # a TCP port of a service of the folder, beside all the HTTP ones
  fuseboard run -f rules/ --listen :15001 --listen-tcp :5432=postgres:5432
  # a port of a service as it declares; one that declares nothing, as each client begins
  fuseboard run -f rules/ --listen-service :6379=cache:6379
  # a database with TLS from whoever calls it
  fuseboard run -f rules/ --listen-tcp tls://:5432=pg:5432 --tls-cert a.crt --tls-key a.key

Addresses: `:9000` means 127.0.0.1:9000; write 0.0.0.0:9000 or [::]:9000 to let
other machines in. Port 0 takes a free one.

Edits of the files apply at once; a broken edit is reported, and the last good
rules go on serving. A file that became shorter may be half saved and applies
after 1s without a change. SIGHUP reads all files again, as they are. SIGTERM and
Ctrl-C drain; a second one ends at once. SIGUSR2 starts the binary anew with the
same arguments, hands it the listening sockets, and drains when it is ready: no
request is lost, and a new one that fails changes nothing.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Arguments {
    /// File or folder with rules and services; may be repeated
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    #[arg(long, help = "Address to listen on, or https://ADDR, tls://ADDR; may be repeated", value_name = "ADDR", required_unless_present_any = ["listen_tcp", "listen_service"], value_parser = Listen::parse)]
    listen: Vec<Listen>,
    /// Address to listen on for a TCP port of a service, as :5432=postgres:5432, or tls://ADDR=HOST:PORT; may be repeated
    #[arg(long, value_name = "ADDR=HOST:PORT", value_parser = ListenTcp::parse, conflicts_with = "to")]
    listen_tcp: Vec<ListenTcp>,
    /// Address to listen on for one port of a service, as :6379=cache:6379, or tls://ADDR=HOST:PORT: HTTP or TCP, as the port
    /// declares; of one that declares nothing it is found out, for each connection; may be repeated
    #[arg(long, value_name = "ADDR=TARGET", value_parser = ListenService::parse, conflicts_with = "to")]
    listen_service: Vec<ListenService>,
    /// Take only connections that begin with a PROXY header, version 1 or 2; the client that it names is the one in the log
    /// and, with HTTP, in x-forwarded-for
    #[arg(long)]
    accept_proxy_protocol: bool,
    /// Address of the one service to serve, with `h2c://` or `grpc://` before it if that speaks HTTP/2, `tcp://` if it is not HTTP,
    /// or `auto://` to find out by what each client begins with; may be repeated for several endpoints
    #[arg(long, value_name = "ADDR", value_parser = Endpoints::parse)]
    to: Vec<Endpoints>,
    /// With `auto://` and ports that declare no protocol: a client that is not understood for so long waits for the server to speak,
    /// and is served as TCP
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = argument::duration)]
    detection_timeout: Duration,
    /// With --to: the service's name, by which its rule is found
    #[arg(long, value_name = "NAME", requires = "to")]
    host: Option<String>,
    /// Address of the admin server: loopback, or unix:PATH
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000", value_parser = admin_address)]
    admin: fuseboard_proxy::AdminAddress,
    /// Start no admin server
    #[arg(long, conflicts_with = "admin")]
    no_admin: bool,
    /// Address for Prometheus, which other machines may reach: /stats/prometheus and /ready, nothing else
    #[arg(long, value_name = "ADDR", value_parser = argument::listen)]
    metrics: Option<std::net::SocketAddr>,
    /// Worker threads; 0 means one for each processor
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(..=1024))]
    concurrency: u16,
    /// Follow edits of the files
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watch: bool,
    /// Bound of a whole exchange where no DestinationPolicy says otherwise, for example 15s; default: none, as Istio
    #[arg(long, value_name = "DURATION", value_parser = argument::duration)]
    timeout: Option<Duration>,
    /// An upgraded connection (WebSocket) through which nothing goes for so long is broken off; 0s: never
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = argument::duration)]
    upgrade_idle_timeout: Duration,
    /// Connections of clients at a time, over all addresses; further ones are closed at once. Default: half of what the system gives
    /// of file descriptors, at most 100000
    #[arg(long, value_name = "N")]
    max_connections: Option<std::num::NonZeroUsize>,
    /// How long running exchanges may go on after SIGTERM
    #[arg(long, value_name = "DURATION", default_value = "45s", value_parser = argument::duration)]
    drain_time: Duration,
    /// Write an access log: - is stdout, or a file to append to
    #[arg(long, value_name = "PATH")]
    access_log: Option<String>,
    /// Format of the access log
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    access_log_format: String,
    /// Level of the log on stderr: trace, debug, info, warning, error or off; `/logging` of the admin server changes it
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = log_level)]
    log_level: Level,
    /// Levels of single loggers, as NAME:LEVEL,NAME:LEVEL
    #[arg(long, value_name = "LEVELS", default_value = "", hide_default_value = true)]
    component_log_level: String,
    /// Log ejections and returns of endpoints, a line of JSON each, in the shape of Envoy's event log: - is stdout, or a
    /// file to append to
    #[arg(long, value_name = "PATH")]
    outlier_log: Option<String>,
    /// Namespace of the client: its services may be called by their short name, its rules come first
    #[arg(short, long, value_name = "NS", default_value = "default")]
    namespace: String,
    /// Label of the client for rules with a workloadSelector, as key=value; may be repeated
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Whether refusals say in headers what refused and that nothing was sent; off for clients outside the mesh
    #[arg(long, value_name = "WHEN", default_value = "on", value_parser = ["on", "off"])]
    refusal_headers: String,
    /// Seed of balancing, back-off and request ids; default: a random one
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// One listening socket per worker instead of one acceptor
    #[arg(long)]
    reuse_port: bool,
    #[command(flatten)]
    tls: tls::Flags,
}

/// The addresses that one `--to` names, and what is carried there.
#[derive(Clone, Debug)]
struct Endpoints {
    addresses: Vec<std::net::SocketAddr>,
    carried: Carried,
}

/// What is carried to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carried {
    Http,
    /// HTTP/2 without TLS, by prior knowledge; or with TLS, where a rule asks for that.
    Http2,
    Tcp,
    /// As each connection begins.
    Either,
}

impl Endpoints {
    fn parse(text: &str) -> Result<Self, String> {
        let schemes = [
            ("tcp://", Carried::Tcp),
            ("auto://", Carried::Either),
            ("http://", Carried::Http),
            ("h2c://", Carried::Http2),
            ("grpc://", Carried::Http2),
        ];
        let found = schemes.iter().find_map(|(scheme, carried)| Some((text.strip_prefix(scheme)?, *carried)));
        let (address, carried) = found.unwrap_or((text, Carried::Http));
        Ok(Self { addresses: argument::connect(address)?, carried })
    }
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    if arguments.files.is_empty() && arguments.to.is_empty() {
        return Err(Failure::message(
            Exit::Usage,
            "nothing to serve: neither rules (-f) nor a service (--to)",
        )
        .next("fuseboard run -f rules/ --listen 127.0.0.1:15001"));
    }
    check(&arguments)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let admin = !arguments.no_admin;
    // Before anybody can know that it runs, so that the first signal finds it prepared.
    let mut signals = runtime.block_on(async { Signals::listen() })?;
    let loggers = loggers(&arguments)?;
    let (log, _written_when_dropped) =
        logging::start(loggers).map_err(|error| Failure::new(Exit::Error, error))?;
    let mut plan = plan(arguments, admin);
    plan.proxy.log = Some(Arc::new(log));
    let predecessor = Predecessor::find()?.map(|(predecessor, sockets)| {
        plan.proxy.inherited = Some(Arc::new(sockets));
        predecessor
    });
    let mut serving = Serving::start(plan, tell)?;
    if let Some(predecessor) = predecessor {
        predecessor.take_over()?;
        serving.begin();
    }
    let ready = ready_line(&serving);
    output::out(&ready);
    service_manager::ready(&ready);
    let end = runtime.block_on(signals.until_the_end(&mut serving));
    let more = match end {
        End::Stop => {
            service_manager::stopping();
            info!(target: logger::MAIN, "draining; SIGTERM or Ctrl-C once more to end at once");
            1
        }
        End::HandedOver(pid) => {
            serving.proxy().hand_over();
            info!(target: logger::MAIN, "process {pid} serves; draining; SIGTERM or Ctrl-C twice to end at once");
            // A service manager that ends the service says so to all of its processes; this one is ending already.
            2
        }
    };
    std::thread::spawn(move || {
        for _ in 0..more {
            runtime.block_on(signals.stop.next());
        }
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    serving.drain();
    Ok(Exit::Ok)
}

/// What each argument for itself cannot know.
fn check(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.files.iter().any(|path| path.as_os_str() == "-") {
        return Err(Failure::message(Exit::Usage, "rules from standard input could not be read again")
            .next("put them into a file, so that they can be edited"));
    }
    if arguments.to.windows(2).any(|pair| pair[0].carried != pair[1].carried) {
        return Err(Failure::message(Exit::Usage, "--to names addresses with different schemes").next(
            "all of them are endpoints of one service: write tcp:// or auto:// before each, or before none",
        ));
    }
    if arguments.tls.is_given() && carried(arguments) == Carried::Either {
        return Err(Failure::message(
            Exit::Usage,
            "--tls-cert with --to auto://: TLS of clients passes through as it is",
        )
        .next("write --to tcp:// or an address without a scheme, as what comes in TLS is"));
    }
    let of_tcp = arguments.listen_tcp.iter().map(|tcp| &tcp.listen.address);
    let of_ports = of_tcp.chain(arguments.listen_service.iter().map(|own| &own.listen.address));
    let all = arguments.listen.iter().map(|listen| &listen.address).chain(of_ports);
    let mut listen: Vec<_> = all.filter(|address| address.port() != 0).collect();
    listen.sort();
    match listen.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            Err(Failure::message(Exit::Usage, format_args!("the address {} is given twice", pair[0])))
        }
        None => arguments.tls.check(addresses(arguments)),
    }
}

fn carried(arguments: &Arguments) -> Carried {
    arguments.to.first().map_or(Carried::Http, |to| to.carried)
}

fn addresses(arguments: &Arguments) -> Addresses<'_> {
    let bytes = carried(arguments) == Carried::Tcp;
    let (listen, tcp, services) = (&arguments.listen, &arguments.listen_tcp, &arguments.listen_service);
    Addresses { listen, tcp, services, bytes }
}

fn log_level(name: &str) -> Result<Level, String> {
    let names = || Level::ALL.map(Level::name).join(", ");
    name.parse().map_err(|_| format!("write one of {}", names()))
}

/// The levels that the arguments ask for.
fn loggers(arguments: &Arguments) -> Result<Loggers, Failure> {
    Loggers::at(arguments.log_level).with(&arguments.component_log_level).map_err(|error| {
        let names: Vec<_> = Loggers::default().iter().map(|(name, _)| name).collect();
        Failure::message(
            Exit::Usage,
            format_args!("--component-log-level {}: {error}", arguments.component_log_level),
        )
        .next(format!("write for example upstream:debug,http:trace; loggers are {}", names.join(", ")))
    })
}

fn plan(arguments: Arguments, admin: bool) -> Plan {
    let takes = match carried(&arguments) {
        Carried::Tcp => Takes::Bytes,
        Carried::Http2 => Takes::Http2,
        Carried::Either => Takes::Either,
        Carried::Http => Takes::Http1,
    };
    let addresses = addresses(&arguments);
    let (tls, ports) = (arguments.tls.plan(addresses), arguments.tls.plan_ports(addresses));
    let to: Vec<_> = arguments.to.into_iter().flat_map(|endpoints| endpoints.addresses).collect();
    let destination = if to.is_empty() {
        Destination::ByHost
    } else {
        Destination::Fixed { to, host: arguments.host.map(Into::into), takes }
    };
    let labels = arguments.label.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let format =
        if arguments.access_log_format == "json" { AccessLogFormat::Json } else { AccessLogFormat::Text };
    let sink = |path: String| match path.as_str() {
        "-" | "/dev/stdout" => LogSink::Stdout,
        "/dev/stderr" => LogSink::Stderr,
        _ => LogSink::File(path.into()),
    };
    Plan {
        watch: arguments.watch && (!arguments.files.is_empty() || arguments.tls.is_given()),
        paths: arguments.files,
        workload: Workload { namespace: arguments.namespace.into(), labels, ..Workload::default() },
        listen: ListenPlan {
            ports,
            accept_proxy: arguments.accept_proxy_protocol,
            detection_timeout: arguments.detection_timeout,
            timeout: arguments.timeout,
            refusal_headers: arguments.refusal_headers == "on",
            upgrade_idle_timeout: match arguments.upgrade_idle_timeout {
                Duration::ZERO => Duration::MAX,
                time => time,
            },
            tls,
            forward_client_cert: arguments.tls.forward_client_cert,
            ..ListenPlan::new(
                arguments.listen.into_iter().map(|listen| listen.address).collect(),
                destination,
            )
        },
        proxy: ProxyOptions {
            concurrency: arguments.concurrency.into(),
            admin: admin.then_some(arguments.admin),
            metrics: arguments.metrics,
            drain_time: arguments.drain_time,
            max_connections: arguments.max_connections.map(std::num::NonZeroUsize::get),
            access_log: arguments.access_log.map(|path| AccessLog { format, sink: sink(path) }),
            outlier_log: arguments.outlier_log.map(sink),
            seed: arguments.seed.unwrap_or_else(argument::random_seed),
            reuse_port: arguments.reuse_port,
            ..ProxyOptions::default()
        },
    }
}

/// The one line that says where everything is.
fn ready_line(serving: &Serving) -> String {
    let proxy = serving.proxy();
    let url = |listener: &BoundListener| {
        let scheme = scheme(listener);
        format!("{scheme}://{}", listener.address)
    };
    let listeners: Vec<String> = proxy.listeners().iter().map(url).collect();
    let admin = proxy.admin_address().map_or_else(|| "none".to_owned(), ToString::to_string);
    let metrics = proxy
        .metrics_address()
        .map_or_else(String::new, |at| format!("  metrics http://{at}/stats/prometheus"));
    format!("ready  listen {}  admin {admin}{metrics}", listeners.join(" "))
}

const fn scheme(listener: &BoundListener) -> &'static str {
    if listener.detects {
        return "auto";
    }
    match (listener.tcp, listener.tls) {
        (true, true) => "tls",
        (true, false) => "tcp",
        (false, true) => "https",
        (false, false) => "http",
    }
}

fn tell(told: Told<'_>) {
    match told {
        Told::Diagnostics(diagnostics) => output::diagnostics(diagnostics),
        Told::Gone(diagnostics) => output::gone(diagnostics),
        Told::Applied(update) if update.held_back => {
            let version = update.snapshot.version;
            warn!(target: logger::CONFIG, "rules {version} in force; what is broken stays as it was");
        }
        Told::Applied(update) => {
            info!(target: logger::CONFIG, "rules {} in force", update.snapshot.version);
        }
        Told::NotApplied(reason) => {
            error!(target: logger::CONFIG, "not applied: {reason}; the rules of before stay in force");
        }
    }
}

/// What is asked of a proxy from outside.
struct Signals {
    stop: StopSignals,
    hangup: Signal,
    replace: Signal,
}

/// Why a proxy drains.
enum End {
    /// It was told to.
    Stop,
    /// This process serves in its place.
    HandedOver(u32),
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            stop: StopSignals::listen()?,
            hangup: signal(SignalKind::hangup())?,
            replace: signal(SignalKind::user_defined2())?,
        })
    }

    /// Returns at SIGTERM, Ctrl-C, when the admin server is asked to end, or when a new process serves that SIGUSR2 asked for;
    /// reads the files again at SIGHUP.
    async fn until_the_end(&mut self, serving: &mut Serving) -> End {
        let mut attempt: Option<Attempt> = None;
        loop {
            tokio::select! {
                () = self.stop.next() => return End::Stop,
                _ = self.hangup.recv() => serving.reload(),
                () = serving.proxy().draining() => return End::Stop,
                _ = self.replace.recv() => match &attempt {
                    Some(_) => warn!(target: logger::MAIN, "a new process is being started already"),
                    None => attempt = begun(serving),
                },
                settled = settled(&mut attempt) => {
                    attempt = None;
                    let new = match settled {
                        Ok(successor) => hand_over(successor, serving),
                        Err(error) => not_replaced(&error),
                    };
                    if let Some(pid) = new {
                        return End::HandedOver(pid);
                    }
                }
            }
        }
    }
}

fn begun(serving: &Serving) -> Option<Attempt> {
    let sockets = serving.proxy().sockets().map_err(anyhow::Error::from);
    match sockets.and_then(Attempt::start) {
        Ok(attempt) => {
            info!(target: logger::MAIN, "process {} is to take over", attempt.pid());
            Some(attempt)
        }
        Err(error) => not_replaced(&error),
    }
}

/// How an attempt ends; never, without one.
async fn settled(attempt: &mut Option<Attempt>) -> anyhow::Result<Successor> {
    match attempt {
        Some(attempt) => attempt.settled().await,
        None => std::future::pending().await,
    }
}

/// The new process begins; its id. Who asks meanwhile finds it, or nobody.
fn hand_over(mut successor: Successor, serving: &mut Serving) -> Option<u32> {
    serving.withdraw();
    let pid = successor.pid();
    service_manager::succeeded_by(pid);
    match successor.go() {
        Ok(()) => Some(pid),
        Err(error) => {
            service_manager::succeeded_by(std::process::id());
            serving.announce();
            not_replaced(&error.into())
        }
    }
}

fn not_replaced<T>(error: &anyhow::Error) -> Option<T> {
    error!(target: logger::MAIN, "no new process, this one goes on: {error:#}");
    None
}

fn admin_address(text: &str) -> Result<fuseboard_proxy::AdminAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("write unix:PATH".to_owned()),
        Some(path) => Ok(fuseboard_proxy::AdminAddress::Unix(path.into())),
        None => {
            let address = argument::listen(text)?;
            if !address.ip().is_loopback() {
                return Err("the admin server has no password, so it listens on a loopback address or a unix socket only".to_owned());
            }
            Ok(fuseboard_proxy::AdminAddress::Tcp(address))
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| format!("`{text}` is no label; write key=value"))
}
