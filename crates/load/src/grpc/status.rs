//! What became of a gRPC call, as a number that is counted beside HTTP's: where they stand, and what they are called.

use fuseboard_grpc::Code;
use fuseboard_grpc::frame::BadMessage;
use fuseboard_grpc::message::{HealthCheckResponse, SERVINGS};

/// The health of a service stands here and above: its number in the protocol is added.
const HEALTH: i32 = 10_100;
/// An error of gRPC stands above this: its number is added.
const ERRORS: i32 = 10_000;
/// The longest row of numbers that a service may have for its health.
const MOST: i32 = 899;

/// The service is fine; also what a ping that came back counts as, as with fortio.
pub(crate) const SERVING: i32 = HEALTH + HealthCheckResponse::SERVING;

/// An error of gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Status {
    /// `code`: as it came, which may be none of gRPC's.
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn of(code: Code, message: impl Into<String>) -> Self {
        Self::new(code.number().into(), message)
    }

    /// What a server that does not speak gRPC means by its status (the protocol's table).
    pub(crate) fn of_http(status: u16) -> Self {
        let code = if status == 200 { Code::Unknown } else { Code::of_http(status) };
        Self::of(code, format!("unexpected HTTP status code received from server: {status}"))
    }

    /// The error, if it is one of gRPC's.
    fn known(&self) -> Option<Code> {
        u32::try_from(self.code).ok().and_then(Code::of_number).filter(|code| code.is_error())
    }

    /// As it is counted. A number that gRPC does not have is an unknown error.
    pub(crate) fn counted(&self) -> i32 {
        ERRORS + i32::from(self.known().unwrap_or(Code::Unknown).number())
    }
}

impl From<BadMessage> for Status {
    fn from(bad: BadMessage) -> Self {
        Self::of(bad.code, bad.problem)
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.known() {
            // Go's spelling.
            Some(Code::Cancelled) => write!(f, "rpc error: code = Canceled desc = {}", self.message),
            Some(code) => write!(f, "rpc error: code = {code:?} desc = {}", self.message),
            None => write!(f, "rpc error: code = Code({}) desc = {}", self.code, self.message),
        }
    }
}

/// How the health of a service is counted.
pub(crate) fn of_health(status: i32) -> i32 {
    HEALTH + status.clamp(0, MOST)
}

/// Whether this counts an error of gRPC, and not an answer.
pub(crate) fn is_error(code: i32) -> bool {
    (ERRORS + 1..=ERRORS + 16).contains(&code)
}

/// Every code with a name of its own, and that name.
fn names() -> impl Iterator<Item = (i32, &'static str)> {
    let errors = Code::errors().map(|code| {
        // UNKNOWN is a health.
        let name = if code == Code::Unknown { "UNKNOWN_ERROR" } else { code.name() };
        (ERRORS + i32::from(code.number()), name)
    });
    errors.chain((HEALTH..).zip(SERVINGS))
}

/// What a code is called in results: the name of gRPC's, the number of HTTP's.
pub(crate) fn shown(code: i32) -> String {
    match names().find(|(known, _)| *known == code) {
        Some((_, name)) => name.to_owned(),
        None if code >= HEALTH => (code - HEALTH).to_string(),
        None => code.to_string(),
    }
}

/// The code of this name.
pub(crate) fn named(name: &str) -> Option<i32> {
    names().find(|(_, known)| *known == name).map(|(code, _)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_one_code_and_back() {
        for code in (ERRORS + 1..=ERRORS + 16).chain(HEALTH..HEALTH + 4) {
            assert_eq!(named(&shown(code)), Some(code));
        }
        assert_eq!([shown(200), shown(-1), shown(of_health(7))], ["200", "-1", "7"]);
        assert_eq!(named("200"), None);
        assert_eq!([of_health(-5), of_health(i32::MAX)], [HEALTH, HEALTH + MOST]);
    }

    #[test]
    fn what_is_no_grpc_is_told_by_its_http_status() {
        for (status, name) in [(503, "UNAVAILABLE"), (404, "UNIMPLEMENTED"), (200, "UNKNOWN_ERROR")] {
            assert_eq!(shown(Status::of_http(status).counted()), name);
        }
        assert_eq!(shown(Status::new(99, "").counted()), "UNKNOWN_ERROR");
        let status = Status::of(Code::Unavailable, "down");
        assert_eq!(status.to_string(), "rpc error: code = Unavailable desc = down");
        assert!(is_error(status.counted()) && !is_error(SERVING));
    }
}
