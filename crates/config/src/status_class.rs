//! Answers that have a name: sets of HTTP statuses (`5xx`, `gateway`), and codes of gRPC (`UNAVAILABLE`).

use fuseboard_core::classifier::StatusSet;
use fuseboard_grpc::Code;

/// The set called so.
pub(crate) fn parse(text: &str) -> Option<StatusSet> {
    match text {
        "gateway" => return Some(StatusSet::of(&[502, 503, 504])),
        "server" => return Some(StatusSet::class(5)),
        _ => {}
    }
    let class = text.strip_suffix("xx")?;
    let class = matches!(class, "1" | "2" | "3" | "4" | "5").then(|| class.parse().ok()).flatten()?;
    Some(StatusSet::class(class))
}

/// The code called so that a call can fail with.
pub(crate) fn code(text: &str) -> Option<Code> {
    Code::of_name(text).filter(|code| code.is_error())
}

/// The names that somebody may have misspelt.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ["gateway", "server"].into_iter().chain(Code::errors().map(Code::name))
}

/// The name of the code that is meant by a number, or by a name in another spelling.
pub(crate) fn code_meant(text: &str) -> Option<&'static str> {
    Code::meant_by(text).filter(|code| code.is_error()).map(Code::name)
}
