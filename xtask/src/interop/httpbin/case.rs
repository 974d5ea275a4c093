//! One request that both servers get, and how their answers are compared.

use std::io::Read as _;
use std::net::SocketAddr;

use flate2::read::{GzDecoder, ZlibDecoder};

use super::wire::{self, Answer};

/// Headers that are different in every answer.
const VOLATILE: [&str; 1] = ["date"];

/// What part of an answer may differ, as the row of docs/httpbin.md says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Status,
    Header(&'static str),
    /// The body, and its length with it.
    Body,
    /// Fields behind the body.
    Trailers,
}

/// What of two bodies is compared.
#[derive(Debug, Clone, Copy)]
enum Likeness {
    /// The text, but for what is random or the time.
    Text,
    /// How long they are: their bytes are random.
    Length,
    /// What they hold when decompressed.
    Unpacked,
    /// Frames of a WebSocket.
    Frames,
}

/// A request, and what is known about its answers.
pub(super) struct Case {
    line: String,
    headers: Vec<String>,
    body: Vec<u8>,
    likeness: Likeness,
    differs: Vec<(&'static str, Part)>,
}

/// What came of a case.
pub(super) struct Outcome {
    /// Both answers in a few words, where they differ; the same words where they don't.
    pub(super) theirs: String,
    pub(super) ours: String,
    /// Differences that no row explains, and rows that explain nothing.
    pub(super) is_wrong: bool,
    pub(super) rows: Vec<&'static str>,
}

impl Case {
    /// `GET /path`, without headers or body.
    pub(super) fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            headers: Vec::new(),
            body: Vec::new(),
            likeness: Likeness::Text,
            differs: Vec::new(),
        }
    }

    pub(super) fn header(mut self, header: &str) -> Self {
        self.headers.push(header.to_owned());
        self
    }

    pub(super) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    pub(super) fn random(mut self) -> Self {
        self.likeness = Likeness::Length;
        self
    }

    pub(super) fn packed(mut self) -> Self {
        self.likeness = Likeness::Unpacked;
        self
    }

    /// A WebSocket conversation: these frames after the handshake.
    pub(super) fn talking(mut self, frames: &[Vec<u8>]) -> Self {
        self.headers = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
            .into_iter()
            .chain(["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="])
            .map(str::to_owned)
            .collect();
        self.body = frames.concat();
        self.likeness = Likeness::Frames;
        self
    }

    /// Differs in this part, for the reason in that row.
    pub(super) fn but(mut self, row: &'static str, part: Part) -> Self {
        self.differs.push((row, part));
        self
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.differs.iter().map(|(row, _)| *row)
    }

    pub(super) fn what(&self) -> String {
        let headers = self.headers.iter().filter(|_| !matches!(self.likeness, Likeness::Frames));
        let mut what = std::iter::once(&self.line).chain(headers).cloned().collect::<Vec<_>>().join("  ");
        if what.chars().count() > 72 {
            what = what.chars().take(71).collect::<String>() + "…";
        }
        what
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} HTTP/1.1\r\nHost: test:8000\r\n", self.line);
        for header in &self.headers {
            text.extend([header.as_str(), "\r\n"]);
        }
        if !matches!(self.likeness, Likeness::Frames) {
            text.push_str("Connection: close\r\n");
            let chunked = self.headers.iter().any(|header| header.starts_with("Transfer-Encoding"));
            if !self.body.is_empty() && !chunked {
                text.extend(["Content-Length: ", self.body.len().to_string().as_str(), "\r\n"]);
            }
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Asks both and compares.
    pub(super) fn run(&self, theirs: SocketAddr, ours: SocketAddr) -> anyhow::Result<Outcome> {
        let theirs = wire::ask(theirs, &self.bytes())?;
        let ours = wire::ask(ours, &self.bytes())?;
        let differences = self.differences(&theirs, &ours);
        let explained = |part: &Part| self.differs.iter().any(|(_, known)| known == part);
        let unexplained: Vec<&Difference> = differences.iter().filter(|one| !explained(&one.part)).collect();
        let idle: Vec<&str> = self
            .differs
            .iter()
            .filter(|(_, part)| !differences.iter().any(|one| one.part == *part))
            .map(|(row, _)| *row)
            .collect();
        if differences.is_empty() && idle.is_empty() {
            let told = format!("{}, {} bytes", ours.status, ours.body.len());
            return Ok(Outcome { theirs: told.clone(), ours: told, is_wrong: false, rows: Vec::new() });
        }
        let is_wrong = !unexplained.is_empty() || !idle.is_empty();
        let shown: Vec<&Difference> = if is_wrong { unexplained } else { differences.iter().collect() };
        let side = |value: fn(&Difference) -> &String| {
            let parts = shown.iter().map(|one| format!("{}: {}", one.name(), short(value(one), is_wrong)));
            parts.collect::<Vec<_>>().join(" | ")
        };
        let mut told = side(|one| &one.ours);
        if !idle.is_empty() {
            told = format!("no difference left for {} {told}", idle.join(", "));
        }
        Ok(Outcome { theirs: side(|one| &one.theirs), ours: told, is_wrong, rows: self.rows().collect() })
    }

    fn differences(&self, theirs: &Answer, ours: &Answer) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut compare = |part: Part, theirs: String, ours: String| {
            if theirs != ours {
                differences.push(Difference { part, theirs, ours });
            }
        };
        compare(Part::Status, theirs.status.to_string(), ours.status.to_string());
        let may_differ = |name: &str| {
            let is_length = matches!(name, "content-length" | "transfer-encoding");
            let is_other = self.differs.iter().any(|(_, part)| *part == Part::Body);
            let is_packed = matches!(self.likeness, Likeness::Unpacked);
            VOLATILE.contains(&name) || is_length && (is_other || is_packed)
        };
        let mut names: Vec<&str> =
            theirs.headers.iter().chain(&ours.headers).map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names.into_iter().filter(|name| !may_differ(name)) {
            let part = self
                .differs
                .iter()
                .map(|(_, part)| *part)
                .find(|part| matches!(part, Part::Header(known) if *known == name))
                // Leaked once for each kind of surprise, which ends the run.
                .unwrap_or_else(|| Part::Header(Box::leak(name.to_owned().into_boxed_str())));
            compare(part, values(theirs, name), values(ours, name));
        }
        compare(Part::Body, self.shown(&theirs.body), self.shown(&ours.body));
        compare(Part::Trailers, trailers(theirs), trailers(ours));
        differences
    }

    fn shown(&self, body: &[u8]) -> String {
        match self.likeness {
            Likeness::Text => blurred(&String::from_utf8_lossy(body)),
            Likeness::Length => format!("{} bytes", body.len()),
            Likeness::Unpacked => blurred(&unpacked(body)),
            Likeness::Frames => wire::frames(body).join(", "),
        }
    }
}

struct Difference {
    part: Part,
    theirs: String,
    ours: String,
}

impl Difference {
    fn name(&self) -> &'static str {
        match self.part {
            Part::Status => "status",
            Part::Header(name) => name,
            Part::Body => "body",
            Part::Trailers => "trailers",
        }
    }
}

/// One line of it, as much as a table has room for: more where somebody has to find out why.
fn short(text: &str, is_wrong: bool) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ").replace(char::is_control, ".");
    let most = if is_wrong { 400 } else { 24 };
    if line.chars().count() <= most { line } else { line.chars().take(most - 1).collect::<String>() + "…" }
}

fn values(answer: &Answer, name: &str) -> String {
    let values = answer.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| blurred(value));
    if name == "trailer" {
        // Go sends names in the order of a map, which is a different one each time; hyper puts them on one line.
        let values: Vec<String> = values.collect();
        let mut names: Vec<&str> = values.iter().flat_map(|value| value.split(", ")).collect();
        names.sort_unstable();
        return names.join(", ");
    }
    values.collect::<Vec<_>>().join(" + ")
}

fn trailers(answer: &Answer) -> String {
    let mut trailers: Vec<String> =
        answer.trailers.iter().map(|(name, value)| format!("{name}: {}", blurred(value))).collect();
    trailers.sort();
    trailers.join(" + ")
}

fn unpacked(body: &[u8]) -> String {
    let mut text = String::new();
    let done = match body {
        [0x1F, 0x8B, ..] => GzDecoder::new(body).read_to_string(&mut text),
        _ => ZlibDecoder::new(body).read_to_string(&mut text),
    };
    done.map_or_else(|error| format!("not to be decompressed: {error}"), |_| text)
}

/// The text with a mark for what is random or the time: long hexadecimal numbers, dates, measured durations, ports of
/// the client.
fn blurred(text: &str) -> String {
    let mut out = String::new();
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        let digits = rest[..run].bytes().filter(u8::is_ascii_hexdigit).count();
        // A run of one letter is content, such as padding.
        let is_mixed = rest[..run].bytes().any(|byte| !rest.starts_with(char::from(byte)));
        if run >= 13 && digits >= 13 && is_mixed {
            out.push('#');
            rest = &rest[run..];
        } else if let Some(length) = date(rest) {
            out.push_str("DATE");
            rest = &rest[length..];
        } else if let Some(tail) = rest.strip_prefix("total_duration;dur=") {
            let end = tail.find(';').unwrap_or(tail.len());
            out.push_str("total_duration;dur=#");
            rest = &tail[end..];
        } else if let Some(tail) = rest.strip_prefix("request from 127.0.0.1:") {
            let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
            out.push_str("request from CLIENT");
            rest = &tail[end..];
        } else {
            let step = run.max(first.len_utf8());
            out.push_str(&rest[..step]);
            rest = &rest[step..];
        }
    }
    out
}

/// The length of a date such as `Tue, 24 Nov 2026 17:40:10 GMT` at the start of `text`.
fn date(text: &str) -> Option<usize> {
    const SHAPE: &str = "Aaa, 00 Aaa 0000 00:00:00 ";
    let head = text.get(..SHAPE.len())?;
    let fits = head.chars().zip(SHAPE.chars()).all(|(c, shape)| match shape {
        'A' => c.is_ascii_uppercase(),
        'a' => c.is_ascii_lowercase(),
        '0' => c.is_ascii_digit(),
        other => c == other,
    });
    let zone = text.get(SHAPE.len()..SHAPE.len() + 3)?;
    (fits && matches!(zone, "GMT" | "UTC")).then_some(SHAPE.len() + 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_random_or_the_time_is_blurred_and_nothing_else() {
        assert_eq!(blurred("id 1f0c9a7e-33aa-4bcd-8f00-0123456789ab."), "id #.");
        assert_eq!(blurred("at Tue, 24 Nov 2026 17:40:10 GMT!"), "at DATE!");
        assert_eq!(blurred("total_duration;dur=12.34;desc"), "total_duration;dur=#;desc");
        assert_eq!(blurred("{\"timestamp\":1795542009942}"), "{\"timestamp\":#}");
        for text in ["dur=100.00", "abcdefghijkl", "************", "deadbeef", "aaaaaaaaaaaaaaaaaa"] {
            assert_eq!(blurred(text), text);
        }
    }
}
