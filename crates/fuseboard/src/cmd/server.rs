//! `fuseboard server`, and `server`, `redirect`, `tcp-echo` and `udp-echo` under the name fortio: fortio's flags for
//! fortio's servers. A flag that stands in the table acts; one that does not is refused.

pub(crate) mod tls;

use std::ffi::OsString;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use clap::Args;
use fuseboard_go::flag::{self, Flag, FlagError};
use fuseboard_httpbin::{Fortio, FortioOptions, Listening, serve_fortio};
use fuseboard_load::{FORTIO_VERSION, Level, LogLine, Style};
use jiff::Timestamp;

use super::httpbin::not_served;
use crate::exit::{Exit, Outcome};
use crate::signals::StopSignals;
use crate::{argument, output};

/// Instead of a port: not this server.
const DISABLED: &str = "disabled";

pub(crate) const FLAGS: &[Flag] = &[
    address("http-port", "8080", "Where HTTP is echoed: PORT, HOST:PORT, or \"disabled\""),
    address("tcp-port", "8078", "Where TCP is echoed: PORT, HOST:PORT, or \"disabled\""),
    address("udp-port", "8078", "Where UDP is echoed: PORT, HOST:PORT, or \"disabled\""),
    address("redirect-port", "8081", "Where all is redirected to https: PORT, HOST:PORT, or \"disabled\""),
    address("grpc-port", "8079", "Where gRPC is answered: PORT, HOST:PORT, or \"disabled\""),
    file("cert", "Certificate, in PEM: HTTP and gRPC speak TLS. Needs -key"),
    file("key", "Private key of -cert, in PEM"),
    file("cacert", "Authorities of the certificates that clients show, in PEM; for -mtls"),
    Flag {
        name: "mtls",
        value: None,
        help: "Only clients with a certificate of -cacert are let in",
        default: "false",
    },
    Flag {
        name: "echo-debug-path",
        value: Some("path"),
        help: "Path of the page that shows the request; empty: none",
        default: "/debug",
    },
    Flag {
        name: "max-echo-delay",
        value: Some("duration"),
        help: "Longest delay= of an echo",
        default: "1.5s",
    },
    Flag {
        name: "maxpayloadsizekb",
        value: Some("int"),
        help: "Largest size= of an echo, in kilobytes",
        default: "256",
    },
    Flag {
        name: "echo-server-default-params",
        value: Some("query"),
        help: "What an echo without a query does, for example status=503:20",
        default: "",
    },
    Flag { name: "ui-path", value: Some("path"), help: "There is no UI here: empty only", default: "" },
];

const fn address(name: &'static str, default: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some("address"), help, default }
}

const fn file(name: &'static str, help: &'static str) -> Flag {
    Flag { name, value: Some("path"), help, default: "" }
}

pub(crate) const EXAMPLES: &str = "\
Examples:
  fuseboard server
  curl 'http://127.0.0.1:8080/any/path?status=503:20,429:1.5&delay=150us:10,2ms:5'
  curl 'http://127.0.0.1:8080/?size=1024:50&close=5&header=X-Answer:42'
  curl -d hello http://127.0.0.1:8080/debug
  # HTTP/2, by prior knowledge; with -cert, curl asks for it by itself
  curl --http2-prior-knowledge 'http://127.0.0.1:8080/?status=503:20'
  fuseboard server -cert server.pem -key server-key.pem
  curl --cacert ca.pem https://localhost:8080/
  # gRPC on 8079: health, fortio's ping, and calls that fail as asked (docs/httpbin.md has the messages)
  grpcurl -plaintext -proto echo.proto -H 'fuseboard-wish: status=unavailable:20&delay=10ms' \\
    127.0.0.1:8079 fuseboard.test.v1.Echo/Unary
  # for other machines too, without the redirector
  fuseboard server -http-port 0.0.0.0:8080 -redirect-port disabled
";

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Arguments {
    /// fortio's flags of its servers
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

/// Which of fortio's commands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Servers {
    /// All.
    All,
    /// The redirector only.
    Redirect,
    /// TCP echo only.
    Tcp,
    /// UDP echo only.
    Udp,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome {
    call(Servers::All, &arguments.rest, Style::Fuseboard)
}

/// Reads the flags and serves until somebody wants the end.
pub(crate) fn call(servers: Servers, arguments: &[OsString], style: Style) -> Outcome {
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (mut options, files) = match read(servers, &words, style) {
        Ok(options) => options,
        Err(problems) => return Ok(refuse(&problems, style)),
    };
    options.tls = match files.map(|files| files.policy()).transpose() {
        Ok(tls) => tls,
        Err(problem) => return Ok(refuse(&Problems::Wrong(vec![problem]), style)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = StopSignals::listen()?;
        let running = serve_fortio(options).await.map_err(not_served)?;
        announce(&running, style);
        signals.next().await;
        running.stop().await;
        Ok(Exit::Ok)
    })
}

/// Why the arguments make no sense.
enum Problems {
    Help,
    Wrong(Vec<String>),
}

/// What the flags say, and the files of TLS, which are not read here.
fn read(
    servers: Servers,
    words: &[String],
    style: Style,
) -> Result<(FortioOptions, Option<tls::Files>), Problems> {
    let parsed = flag::parse(FLAGS, words).map_err(|error| match error {
        FlagError::Help => Problems::Help,
        error => Problems::Wrong(vec![error.to_string()]),
    })?;
    let mut problems: Vec<String> =
        parsed.rest.iter().map(|word| format!("{word:?} is no flag, and nothing else is taken")).collect();
    let said = |name: &str| {
        let default = FLAGS.iter().find(|flag| flag.name == name).map_or("", |flag| flag.default);
        let given = parsed.flags.iter().rev().find(|(known, _)| *known == name);
        given.map_or(default, |(_, value)| value.as_str())
    };
    let mut wrong = |name: &str, value: &str, why: &str| {
        problems.push(format!("invalid value {value:?} for flag -{name}: {why}"));
    };
    let mut options = FortioOptions {
        debug_path: said("echo-debug-path").to_owned(),
        usual_query: said("echo-server-default-params").to_owned(),
        ..FortioOptions::default()
    };
    for (name, place, of) in [
        ("http-port", &mut options.http, None),
        ("tcp-port", &mut options.tcp, Some(Servers::Tcp)),
        ("udp-port", &mut options.udp, Some(Servers::Udp)),
        ("grpc-port", &mut options.grpc, None),
        ("redirect-port", &mut options.redirect, Some(Servers::Redirect)),
    ] {
        let value = said(name);
        if value != DISABLED && (servers == Servers::All || of == Some(servers)) {
            match listen(value, style) {
                Ok(address) => *place = Some(address),
                Err(why) => wrong(name, value, &why),
            }
        }
    }
    if !said("ui-path").is_empty() {
        wrong("ui-path", said("ui-path"), "there is no UI here; leave the flag out");
    }
    match fuseboard_go::duration::parse(said("max-echo-delay")) {
        Some(delay) if !delay.negative => options.max_delay = delay.magnitude,
        _ => wrong("max-echo-delay", said("max-echo-delay"), "write a duration, for example 1.5s"),
    }
    match said("maxpayloadsizekb").parse::<u32>().ok().and_then(|size| usize::try_from(size).ok()) {
        Some(size) if size <= 1 << 20 => options.max_size = size << 10,
        _ => wrong("maxpayloadsizekb", said("maxpayloadsizekb"), "write a number up to 1048576"),
    }
    let files = secured(said("cert"), said("key"), said("cacert"), said("mtls") == "true");
    problems.extend(files.as_ref().err().map(ToString::to_string));
    match files {
        Ok(files) if problems.is_empty() => Ok((options, files)),
        _ => Err(Problems::Wrong(problems)),
    }
}

/// TLS as the flags want it; none where they want none.
fn secured(
    cert: &str,
    key: &str,
    authorities: &str,
    is_mutual: bool,
) -> Result<Option<tls::Files>, &'static str> {
    match (cert, key, authorities) {
        ("", "", _) if is_mutual => Err("-mtls needs -cert, -key and -cacert"),
        ("", "", _) => Ok(None),
        ("", _, _) | (_, "", _) => Err("-cert and -key need each other; both may name one file"),
        (_, _, "") if is_mutual => Err("-mtls needs -cacert: whose certificates are taken"),
        (cert, key, authorities) => Ok(Some(tls::Files {
            certificate: cert.into(),
            key: key.into(),
            authorities: is_mutual.then(|| authorities.into()),
        })),
    }
}

/// Whether our own command takes these words.
#[cfg(test)]
pub(crate) fn check(words: &[String]) -> Result<(), String> {
    match read(Servers::All, words, Style::Fuseboard) {
        Ok(_) | Err(Problems::Help) => Ok(()),
        Err(Problems::Wrong(problems)) => Err(problems.join("; ")),
    }
}

/// `8080` and `:8080` mean this machine only; under fortio's name they mean every address, as they do there.
fn listen(text: &str, style: Style) -> Result<SocketAddr, String> {
    let full = if text.contains(':') { text.to_owned() } else { format!(":{text}") };
    match full.strip_prefix(':') {
        Some(port) if style == Style::Fortio => {
            let port = port.parse().map_err(|_| format!("`{port}` is not a port"))?;
            Ok(every_address(port))
        }
        _ => argument::listen(&full),
    }
}

/// Every address of both families, where the machine has both.
fn every_address(port: u16) -> SocketAddr {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(_) => (Ipv6Addr::UNSPECIFIED, port).into(),
        Err(_) => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

/// Under our own name, a line of data for each; under fortio's, its log lines.
fn announce(running: &Fortio, style: Style) {
    for Listening { name, network, address, is_secure } in running.listening() {
        // fortio's name of the server says what health calls it.
        let short =
            name.split_once(' ').filter(|(first, _)| *first == "grpc").map_or(*name, |(first, _)| first);
        let scheme = match (*network, short) {
            ("udp", _) => "udp",
            (_, "tcp-echo") => "tcp",
            _ if *is_secure => "https",
            _ => "http",
        };
        match style {
            Style::Fuseboard => output::out(format_args!("ready  {short} {scheme}://{address}")),
            Style::Fortio => {
                log(format!("Fortio {FORTIO_VERSION} {name} server listening on {network} {address}"));
            }
        }
    }
    if style == Style::Fortio {
        log(format!("All fortio {FORTIO_VERSION} servers started!"));
    }
}

fn log(message: String) {
    let line = LogLine { level: Level::Info, message, values: Vec::new() };
    let now = Some(Timestamp::now());
    output::note(if output::stderr_is_terminal() { line.to_text(now) } else { line.to_json(now) });
}

fn refuse(problems: &Problems, style: Style) -> Exit {
    match problems {
        Problems::Help => {
            output::out_raw(&usage(style));
            Exit::Ok
        }
        Problems::Wrong(problems) => {
            problems.iter().for_each(output::note);
            if style == Style::Fortio {
                output::note_raw(&usage(style));
                return Exit::Error;
            }
            output::note("\nFor more information, try 'fuseboard server -h'.");
            Exit::Usage
        }
    }
}

fn usage(style: Style) -> String {
    let flags = flag::usage(FLAGS);
    match style {
        Style::Fortio => format!("Usage: fortio server|redirect|tcp-echo|udp-echo [flags]\nflags:\n{flags}"),
        Style::Fuseboard => format!(
            "Serve what `fortio server` serves: an echo over HTTP and gRPC whose failures the caller chooses, a redirector, TCP and UDP echo\n\n\
             Usage: fuseboard server [FLAGS]\n\nFlags (one dash or two):\n{flags}\n\
             A PORT alone means this machine; others are let in by an address that says so.\n\n{EXAMPLES}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(servers: Servers, line: &str) -> Result<FortioOptions, Vec<String>> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let read = read(servers, &words, Style::Fuseboard).map_err(|problems| match problems {
            Problems::Help => vec![],
            Problems::Wrong(problems) => problems,
        });
        read.map(|(options, _)| options)
    }

    #[test]
    fn the_defaults_are_fortio_s_on_this_machine() {
        let options = parsed(Servers::All, "").unwrap();
        let shown = |address: Option<SocketAddr>| address.map(|address| address.to_string());
        assert_eq!(shown(options.http).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(shown(options.tcp).as_deref(), Some("127.0.0.1:8078"));
        assert_eq!(shown(options.udp).as_deref(), Some("127.0.0.1:8078"));
        assert_eq!(shown(options.redirect).as_deref(), Some("127.0.0.1:8081"));
        assert_eq!(shown(options.grpc).as_deref(), Some("127.0.0.1:8079"));
        assert_eq!(options.max_size, 256 << 10);
    }

    #[test]
    fn a_command_of_one_server_runs_that_one() {
        let options = parsed(Servers::Tcp, "-tcp-port 0 -http-port=1").unwrap();
        assert!(options.tcp.is_some() && options.http.is_none() && options.redirect.is_none());
        assert!(parsed(Servers::All, "-http-port disabled").unwrap().http.is_none());
        assert!(parsed(Servers::Tcp, "").unwrap().grpc.is_none());
    }

    #[test]
    fn under_fortio_s_name_a_port_means_every_address() {
        assert!(listen("80", Style::Fortio).unwrap().ip().is_unspecified());
        assert!(listen(":80", Style::Fuseboard).unwrap().ip().is_loopback());
        assert_eq!(listen("127.0.0.1:80", Style::Fortio).unwrap().to_string(), "127.0.0.1:80");
    }

    #[test]
    fn the_flags_of_tls_need_each_other() {
        let refused = |line: &str| parsed(Servers::All, line).unwrap_err().concat();
        assert_eq!(refused("-cert a.pem"), "-cert and -key need each other; both may name one file");
        assert_eq!(refused("-mtls"), "-mtls needs -cert, -key and -cacert");
        assert_eq!(refused("-mtls -cert a -key a"), "-mtls needs -cacert: whose certificates are taken");
        assert!(parsed(Servers::All, "-cert a -key a -cacert b -mtls").is_ok());
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems =
            parsed(Servers::All, "-http-port x -max-echo-delay 5 -grpc-port y -ui-path /fortio/ now")
                .unwrap_err();
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems[1].starts_with("invalid value \"x\" for flag -http-port: "), "{problems:?}");
        let unknown = parsed(Servers::All, "-htp-port 1").unwrap_err();
        assert_eq!(unknown, ["flag provided but not defined: -htp-port (did you mean -http-port?)"]);
    }
}
