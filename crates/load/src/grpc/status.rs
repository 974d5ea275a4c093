//! What became of a gRPC call, as a number that is counted beside HTTP's: where they stand, and what they are called.

/// The health of a service stands here and above: its number in the protocol is added.
const HEALTH: i32 = 10_100;
/// An error of gRPC stands above this: its number is added.
const ERRORS: i32 = 10_000;
/// The longest row of numbers that a service may have for its health.
const MOST: i32 = 899;

/// The service is fine; also what a ping that came back counts as, as with fortio.
pub(crate) const SERVING: i32 = HEALTH + 1;

/// Where gRPC's errors stand.
const NAMES: [(i32, &str, &str); 16] = [
    (1, "CANCELLED", "Canceled"),
    (2, "UNKNOWN_ERROR", "Unknown"),
    (3, "INVALID_ARGUMENT", "InvalidArgument"),
    (4, "DEADLINE_EXCEEDED", "DeadlineExceeded"),
    (5, "NOT_FOUND", "NotFound"),
    (6, "ALREADY_EXISTS", "AlreadyExists"),
    (7, "PERMISSION_DENIED", "PermissionDenied"),
    (8, "RESOURCE_EXHAUSTED", "ResourceExhausted"),
    (9, "FAILED_PRECONDITION", "FailedPrecondition"),
    (10, "ABORTED", "Aborted"),
    (11, "OUT_OF_RANGE", "OutOfRange"),
    (12, "UNIMPLEMENTED", "Unimplemented"),
    (13, "INTERNAL", "Internal"),
    (14, "UNAVAILABLE", "Unavailable"),
    (15, "DATA_LOSS", "DataLoss"),
    (16, "UNAUTHENTICATED", "Unauthenticated"),
];

const HEALTHS: [(i32, &str); 4] =
    [(0, "UNKNOWN"), (1, "SERVING"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")];

/// An error of gRPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) code: i32,
    pub(crate) message: String,
}

impl Status {
    pub(crate) const CANCELLED: i32 = 1;
    const UNKNOWN: i32 = 2;
    pub(crate) const DEADLINE_EXCEEDED: i32 = 4;
    pub(crate) const PERMISSION_DENIED: i32 = 7;
    pub(crate) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(crate) const INTERNAL: i32 = 13;
    pub(crate) const UNAVAILABLE: i32 = 14;

    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// What a server that does not speak gRPC means by its status (the protocol's table).
    pub(crate) fn of_http(status: u16) -> Self {
        let code = match status {
            400 => Self::INTERNAL,
            401 => 16,
            403 => Self::PERMISSION_DENIED,
            404 => 12,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        };
        Self::new(code, format!("unexpected HTTP status code received from server: {status}"))
    }

    /// As it is counted. A number that gRPC does not have is an unknown error.
    pub(crate) fn counted(&self) -> i32 {
        ERRORS + if (1..=16).contains(&self.code) { self.code } else { Self::UNKNOWN }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = NAMES.iter().find(|(code, ..)| *code == self.code).map(|(.., name)| *name);
        match name {
            Some(name) => write!(f, "rpc error: code = {name} desc = {}", self.message),
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

/// What a code is called in results: the name of gRPC's, the number of HTTP's.
pub(crate) fn shown(code: i32) -> String {
    let named = NAMES.iter().map(|(number, name, _)| (ERRORS + number, *name));
    let healths = HEALTHS.iter().map(|(number, name)| (HEALTH + number, *name));
    match named.chain(healths).find(|(known, _)| *known == code) {
        Some((_, name)) => name.to_owned(),
        None if code >= HEALTH => (code - HEALTH).to_string(),
        None => code.to_string(),
    }
}

/// The code of this name.
pub(crate) fn named(name: &str) -> Option<i32> {
    let named = NAMES.iter().map(|(number, name, _)| (ERRORS + number, *name));
    let healths = HEALTHS.iter().map(|(number, name)| (HEALTH + number, *name));
    named.chain(healths).find(|(_, known)| *known == name).map(|(code, _)| code)
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
        let status = Status::new(Status::UNAVAILABLE, "down");
        assert_eq!(status.to_string(), "rpc error: code = Unavailable desc = down");
        assert!(is_error(status.counted()) && !is_error(SERVING));
    }
}
