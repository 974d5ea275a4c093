//! What a caller wishes for, in the metadata `fuseboard-wish`: fortio's grammar of shares in percent
//! (`status=unavailable:20,8:5&delay=2ms:50`), with what only gRPC has.

use std::time::Duration;

use fuseboard_go::duration::parse;
use fuseboard_grpc::Code;
use http::{HeaderMap, StatusCode};

use super::status::Status;
use crate::echo::{Bounds, Shares, always_or_share, headers};
use crate::query;
use crate::random::Random;

/// The name of the metadata.
const NAME: &str = "fuseboard-wish";
const KNOWN: &str =
    "status, message, after, delay, every, messages, size, reset, http, close, header, trailer";
/// Most messages that a stream of the server has.
const MOST_MESSAGES: u64 = 10_000;
const USUAL_MESSAGES: u64 = 10;

/// What one call gets, after the dice were thrown.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// How it ends.
    pub(super) end: End,
    /// Messages before an end that is not good.
    pub(super) after: u64,
    /// Pause before the first message.
    pub(super) delay: Duration,
    /// Pause between messages.
    pub(super) every: Duration,
    /// Messages of a server's stream.
    pub(super) messages: u64,
    /// Random bytes instead of the payload that came.
    pub(super) payload: Option<Vec<u8>>,
    pub(super) close: bool,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
}

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    With(Status),
    Reset,
    Http(StatusCode),
}

impl End {
    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::With(Status { code: Code::Ok, .. }))
    }
}

impl Wanted {
    /// What the metadata asks for; every problem, where there is one.
    pub(super) fn read(metadata: &HeaderMap, bounds: Bounds, random: &mut Random) -> Result<Self, Status> {
        let mut texts = Vec::new();
        for value in metadata.get_all(NAME) {
            texts.push(String::from_utf8_lossy(value.as_bytes()));
        }
        let mut problems = Vec::new();
        let wanted = Self::parse(&texts.join("&"), bounds, random, &mut problems);
        if problems.is_empty() {
            return Ok(wanted);
        }
        Err(Status::new(Code::InvalidArgument, format!("{NAME}: {}", problems.join("; "))))
    }

    fn parse(text: &str, bounds: Bounds, random: &mut Random, problems: &mut Vec<String>) -> Self {
        let (pairs, problem) = query::pairs(text);
        problems.extend(problem);
        for name in pairs.keys().filter(|name| !KNOWN.split(", ").any(|known| known == name.as_str())) {
            problems.push(format!("{name}: not known here; there are {KNOWN}"));
        }
        let all = |name: &str| pairs.get(name).map_or(&[][..], Vec::as_slice);
        let first = |name: &str| all(name).first().map_or("", String::as_str);
        let mut drawn = |name: &str, expected: &str, problems: &mut Vec<String>| {
            let duration = |text: &str| {
                let delay = parse(text)?;
                Some(if delay.negative { Duration::ZERO } else { delay.magnitude.min(bounds.delay) })
            };
            Shares::read(name, first(name), expected, duration, problems).draw(random).unwrap_or_default()
        };
        let delay = drawn("delay", "a duration such as 150us or 2ms", problems);
        let every = drawn("every", "a duration such as 150us or 2ms", problems);
        let status = Shares::read("status", first("status"), "a code of gRPC", Code::meant_by, problems);
        let http = Shares::read("http", first("http"), "a status between 200 and 599", http_status, problems);
        let size = |text: &str| Some(text.parse::<usize>().ok()?.min(bounds.size));
        let size = Shares::read("size", first("size"), "a number of bytes", size, problems);
        let mut often = |name: &str, problems: &mut Vec<String>| {
            let share = always_or_share(name, first(name), problems);
            random.unit() * 100.0 < share
        };
        let (reset, close) = (often("reset", problems), often("close", problems));
        let mut count = |name: &str, usual: u64| match first(name) {
            "" => usual,
            text => text.parse().ok().filter(|count| *count <= MOST_MESSAGES).unwrap_or_else(|| {
                problems.push(format!("{name}: {text:?} is not a number up to {MOST_MESSAGES}"));
                usual
            }),
        };
        let (after, messages) = (count("after", 0), count("messages", USUAL_MESSAGES));
        let code = status.draw(random).unwrap_or(Code::Ok);
        let message = match (first("message"), code) {
            ("", Code::Ok) => String::new(),
            ("", code) => format!("{code:?} as asked for"),
            (message, _) => message.to_owned(),
        };
        let end = match http.draw(random) {
            _ if reset => End::Reset,
            Some(status) => End::Http(status),
            None => End::With(Status { code, message }),
        };
        if after > 0 && matches!(end, End::Http(_)) {
            problems.push("http: takes the place of the whole answer; leave after away".to_owned());
        }
        Self {
            end,
            after,
            delay,
            every,
            messages,
            payload: size.draw(random).map(|size| random.bytes(size)),
            close,
            headers: headers(all("header"), problems),
            trailers: headers(all("trailer"), problems),
        }
    }
}

fn http_status(text: &str) -> Option<StatusCode> {
    let code = text.parse().ok().filter(|code| (200..=599).contains(code))?;
    StatusCode::from_u16(code).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { delay: Duration::from_secs(1), size: 100, body: 0 };

    fn read(text: &str) -> Result<Wanted, Status> {
        let mut metadata = HeaderMap::new();
        metadata.insert(NAME, text.parse().unwrap());
        Wanted::read(&metadata, BOUNDS, &mut Random::new(3))
    }

    #[test]
    fn shares_choose_codes() {
        let mut random = Random::new(5);
        let mut metadata = HeaderMap::new();
        metadata.insert(NAME, "status=unavailable:20,8:5".parse().unwrap());
        let mut count = |code: Code| {
            let ended = |_: &i32| match Wanted::read(&metadata, BOUNDS, &mut random).unwrap().end {
                End::With(status) => status.code == code,
                _ => false,
            };
            (0..2_000).filter(ended).count()
        };
        assert!((340..460).contains(&count(Code::Unavailable)));
        assert!((60..140).contains(&count(Code::ResourceExhausted)));
        assert!((1_400..1_600).contains(&count(Code::Ok)));
    }

    #[test]
    fn bounds_hold_and_defaults_do_nothing() {
        let wanted = read("delay=1h&every=-1s&size=1000&messages=3&after=2&status=DataLoss").unwrap();
        assert_eq!((wanted.delay, wanted.every), (BOUNDS.delay, Duration::ZERO));
        assert_eq!(
            (wanted.payload.map(|payload| payload.len()), wanted.messages, wanted.after),
            (Some(100), 3, 2)
        );
        let wanted = read("").unwrap();
        assert!(wanted.end.is_good() && wanted.payload.is_none() && !wanted.close && wanted.messages == 10);
        assert_eq!(read("reset=true&status=5").unwrap().end, End::Reset);
        assert_eq!(read("http=503").unwrap().end, End::Http(StatusCode::SERVICE_UNAVAILABLE));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = read("status=gone&delai=1s&messages=99999&http=99&after=1").unwrap_err();
        assert_eq!(problems.code, Code::InvalidArgument);
        assert_eq!(
            problems.message,
            "fuseboard-wish: delai: not known here; there are status, message, after, delay, every, messages, size, \
             reset, http, close, header, trailer; status: \"gone\" is not a code of gRPC; \
             http: \"99\" is not a status between 200 and 599; messages: \"99999\" is not a number up to 10000"
        );
    }
}
