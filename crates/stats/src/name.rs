//! Names of stats inside their scope: declared ones, and those that are made from statuses or labels. Put together only when
//! printed.

use std::fmt;

use crate::block::Desc;
use crate::scope::sanitized;

/// Which responses a status counter is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CodeOrigin {
    /// `upstream_rq_503`: every final response.
    All,
    /// `external.upstream_rq_503`: those to requests that came from outside the mesh; for now, all.
    External,
    /// `retry.upstream_rq_503`: responses that were not passed on because the request was tried again.
    Retry,
}

impl CodeOrigin {
    const fn prefix(self) -> &'static str {
        match self {
            Self::All => "",
            Self::External => "external.",
            Self::Retry => "retry.",
        }
    }
}

/// A counter that exists once per value of a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagDesc {
    /// Name in the text, before the dot and the label's value.
    pub name: &'static str,
    /// Name in Prometheus.
    pub family: &'static str,
    /// The label.
    pub label: &'static str,
    /// One line of help.
    pub help: &'static str,
}

/// Name of a stat inside its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatName {
    /// A declared stat.
    Declared(&'static Desc),
    /// `<base>_<status>`
    Status(CodeOrigin, &'static str, u16),
    /// `<base>_<class>xx`
    Class(CodeOrigin, &'static str, u8),
    /// `<base>_completed`
    Completed(CodeOrigin, &'static str),
    /// One value of a label.
    Tagged(&'static TagDesc, &'static str),
}

impl fmt::Display for StatName {
    /// As in the text, without the scope.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(desc) => f.write_str(desc.name),
            Self::Status(origin, base, status) => write!(f, "{}{base}_{status}", origin.prefix()),
            Self::Class(origin, base, class) => write!(f, "{}{base}_{class}xx", origin.prefix()),
            Self::Completed(origin, base) => write!(f, "{}{base}_completed", origin.prefix()),
            Self::Tagged(tag, value) => write!(f, "{}.{value}", tag.name),
        }
    }
}

impl StatName {
    /// Name of the Prometheus family without the scope's part, and the label that the name itself carries: the counters by
    /// status and by class share one family (Istio's tags `response_code` and `response_code_class`).
    pub fn family(&self) -> (String, Option<(&'static str, String)>) {
        let base = |origin: &CodeOrigin, base: &str| format!("{}{base}", sanitized(origin.prefix()));
        match self {
            Self::Declared(desc) => match class_suffix(desc.name) {
                Some((family, class)) => (sanitized(family), Some(("response_code_class", class.to_owned()))),
                None => (sanitized(desc.name), None),
            },
            Self::Status(origin, name, status) => {
                (base(origin, name), Some(("response_code", status.to_string())))
            }
            Self::Class(origin, name, class) => {
                (base(origin, name), Some(("response_code_class", format!("{class}xx"))))
            }
            Self::Completed(origin, name) => (base(origin, name) + "_completed", None),
            Self::Tagged(tag, value) => (tag.family.to_owned(), Some((tag.label, (*value).to_owned()))),
        }
    }
}

/// Splits `downstream_rq_2xx` into `downstream_rq` and `2xx`.
fn class_suffix(name: &str) -> Option<(&str, &str)> {
    let (family, class) = name.rsplit_once('_')?;
    let is_class = matches!(class.as_bytes(), [b'0'..=b'9', b'x', b'x']) && family.ends_with("_rq");
    is_class.then_some((family, class))
}
