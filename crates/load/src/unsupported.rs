//! Flags that fortio has and this does not: what each is for, why it is refused, and what helps instead. A flag that is
//! given as its own default changes nothing and passes.

use crate::go::flag::Flag;

/// Why a flag is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Reflection,
    GrpcPing,
    Server,
    Nc,
    Dynamic,
    Profile,
    Udp,
}

impl Reason {
    const fn text(self) -> &'static str {
        match self {
            Self::Reflection => {
                "methods of other services would need the server's reflection; -grpc makes health checks, and with -ping fortio's ping"
            }
            Self::GrpcPing => {
                "it is a flag of grpcping; load -grpc makes health checks unless -ping is given"
            }
            Self::Server => "it is a flag of fortio's servers and means nothing to a client",
            Self::Nc => "it is a flag of nc",
            Self::Dynamic => "flags cannot be changed while a run goes on",
            Self::Profile => "there is no profiler inside; run the command under `perf record`",
            Self::Udp => {
                "only http:// and https:// are called over and over; `nc udp://host:port` talks to a UDP server once"
            }
        }
    }
}

/// Name, what stands behind it (`None` for a boolean), its default, and why not.
type Row = (&'static str, Option<&'static str>, &'static str, Reason);

const ROWS: &[Row] = &[
    ("M", Some("value"), "", Reason::Server),
    ("P", Some("value"), "", Reason::Server),
    ("base-url", Some("URL"), "", Reason::Server),
    ("config-dir", Some("directory"), "", Reason::Dynamic),
    ("config-port", Some("port"), "", Reason::Dynamic),
    ("echo-debug-path", Some("URI"), "/debug", Reason::Server),
    ("echo-server-default-params", Some("value"), "", Reason::Server),
    ("grpc-max-streams", Some("uint"), "0", Reason::Server),
    ("grpc-method", Some("service/method"), "", Reason::Reflection),
    ("grpc-port", Some("port"), "8079", Reason::Server),
    ("health", None, "false", Reason::GrpcPing),
    ("http-port", Some("port"), "8080", Reason::Server),
    ("max-echo-delay", Some("value"), "1.5s", Reason::Server),
    ("mtls", None, "false", Reason::Server),
    ("multi-mirror-origin", None, "true", Reason::Server),
    ("multi-serial-mode", None, "false", Reason::Server),
    ("nc-dont-stop-on-eof", None, "false", Reason::Nc),
    ("pprof", None, "false", Reason::Server),
    ("profile", Some("file"), "", Reason::Profile),
    ("proxy-all-headers", None, "true", Reason::Server),
    ("redirect-port", Some("port"), "8081", Reason::Server),
    ("server-idle-timeout", Some("value"), "30s", Reason::Server),
    ("static-dir", Some("path"), "", Reason::Server),
    ("sync", Some("URL"), "", Reason::Server),
    ("sync-interval", Some("duration"), "0s", Reason::Server),
    ("tcp-port", Some("port"), "8078", Reason::Server),
    ("udp-async", None, "false", Reason::Server),
    ("udp-port", Some("port"), "8078", Reason::Server),
    ("udp-timeout", Some("duration"), "750ms", Reason::Udp),
    ("ui-path", Some("URI"), "/fortio/", Reason::Server),
];

/// The same as flags, so that they are told from typing errors.
pub(crate) fn flags() -> impl Iterator<Item = Flag> {
    ROWS.iter().map(|(name, value, default, _)| Flag { name, value: *value, help: "", default })
}

/// What to make of a flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// One of ours.
    Ours,
    /// Not supported, and given with a value that asks for nothing.
    Harmless,
    /// Not supported, and why.
    Refused(&'static str),
}

/// What to make of this flag with this value.
pub(crate) fn judge(name: &str, value: &str) -> Verdict {
    let Some((_, kind, default, reason)) = ROWS.iter().find(|row| row.0 == name) else {
        return Verdict::Ours;
    };
    let asks_for_nothing = match kind {
        None => crate::go::flag::boolean("", value).is_ok_and(|on| on == (*default == "true")),
        Some(_) => value == *default,
    };
    if asks_for_nothing { Verdict::Harmless } else { Verdict::Refused(reason.text()) }
}

/// The refused flags, one line for each reason, for the usage text.
pub(crate) fn listed() -> String {
    let reasons = [
        Reason::Reflection,
        Reason::GrpcPing,
        Reason::Server,
        Reason::Nc,
        Reason::Dynamic,
        Reason::Profile,
        Reason::Udp,
    ];
    let mut text = String::new();
    for reason in reasons {
        let mut width = 0;
        for (name, ..) in ROWS.iter().filter(|row| row.3 == reason) {
            width += name.len() + 2;
            let gap = match width - name.len() - 2 {
                0 => "  -",
                before if before + name.len() > 75 => {
                    width = name.len() + 2;
                    "\n  -"
                }
                _ => " -",
            };
            text.extend([gap, name]);
        }
        text.extend(["\n    \t", reason.text(), "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_changes_nothing_passes_and_another_is_refused_with_its_reason() {
        assert_eq!(judge("health", "false"), Verdict::Harmless);
        assert_eq!(judge("multi-mirror-origin", "true"), Verdict::Harmless);
        assert_eq!(judge("http-port", "8080"), Verdict::Harmless);
        assert_eq!(judge("qps", "8"), Verdict::Ours);
        assert_eq!(judge("mtls", "true"), Verdict::Refused(Reason::Server.text()));
        assert_eq!(judge("health", "maybe"), Verdict::Refused(Reason::GrpcPing.text()));
        assert_eq!(judge("http-port", "1"), Verdict::Refused(Reason::Server.text()));
    }

    #[test]
    fn every_refused_flag_is_listed_once() {
        let text = listed();
        for (name, ..) in ROWS {
            let count = text.split_whitespace().filter(|word| *word == format!("-{name}")).count();
            assert_eq!(count, 1, "{name}");
        }
    }
}
