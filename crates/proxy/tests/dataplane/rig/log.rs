//! Reading back the access log, in either format, into the same fields.

use std::path::{Path, PathBuf};

use fuseboard_proxy::{AccessLog, AccessLogFormat, LogSink};
use tempfile::TempDir;

/// One line. Absent values are `-`, as in the text format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub method: String,
    pub path: String,
    pub protocol: String,
    pub code: u16,
    pub flags: String,
    pub details: String,
    pub transport_failure: String,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    pub service_time: String,
    pub forwarded_for: String,
    pub user_agent: String,
    pub request_id: String,
    pub authority: String,
    pub upstream_host: String,
    pub cluster: String,
    pub route: String,
    pub reason: String,
    /// What the client was given in place of a failure.
    pub fallback: Option<String>,
}

/// A log in a folder that is removed with it.
pub struct LogFile {
    path: PathBuf,
    format: AccessLogFormat,
    _folder: TempDir,
}

impl LogFile {
    pub fn new(format: AccessLogFormat) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().join("access.log"), format, _folder: folder }
    }

    pub fn option(&self) -> AccessLog {
        AccessLog { format: self.format, sink: LogSink::File(self.path.clone()) }
    }

    /// The text itself.
    pub fn raw(&self) -> String {
        read(&self.path)
    }

    /// All lines. Complete once the proxy has ended.
    pub fn lines(&self) -> Vec<LogLine> {
        let text = read(&self.path);
        let parse = match self.format {
            AccessLogFormat::Text => from_text,
            AccessLogFormat::Json => from_json,
        };
        text.lines().map(parse).collect()
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Istio's text format, by position.
fn from_text(line: &str) -> LogLine {
    let words = words(line);
    assert!([23, 24].contains(&words.len()), "fields of {line}");
    let request: Vec<&str> = words[1].split(' ').collect();
    assert_eq!(request.len(), 3, "method, path and protocol in {line}");
    LogLine {
        method: request[0].to_owned(),
        path: request[1].to_owned(),
        protocol: request[2].to_owned(),
        code: words[2].parse().unwrap(),
        flags: words[3].clone(),
        details: words[4].clone(),
        transport_failure: words[6].clone(),
        bytes_received: words[7].parse().unwrap(),
        bytes_sent: words[8].parse().unwrap(),
        service_time: words[10].clone(),
        forwarded_for: words[11].clone(),
        user_agent: words[12].clone(),
        request_id: words[13].clone(),
        authority: words[14].clone(),
        upstream_host: words[15].clone(),
        cluster: words[16].clone(),
        route: words[21].clone(),
        reason: words[22].clone(),
        fallback: words.get(23).cloned(),
    }
}

/// Words between blanks; a quoted one may contain blanks, and quotes behind a backslash.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            '\\' => words.last_mut().unwrap().extend(characters.next()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

fn from_json(line: &str) -> LogLine {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |key: &str| match &value[key] {
        serde_json::Value::Null => "-".to_owned(),
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let number = |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("no number {key} in {line}"));
    LogLine {
        method: text("method"),
        path: text("path"),
        protocol: text("protocol"),
        code: u16::try_from(number("response_code")).unwrap(),
        flags: text("response_flags"),
        details: text("response_code_details"),
        transport_failure: text("upstream_transport_failure_reason"),
        bytes_received: number("bytes_received"),
        bytes_sent: number("bytes_sent"),
        service_time: text("upstream_service_time"),
        forwarded_for: text("x_forwarded_for"),
        user_agent: text("user_agent"),
        request_id: text("request_id"),
        authority: text("authority"),
        upstream_host: text("upstream_host"),
        cluster: text("upstream_cluster"),
        route: text("route_name"),
        reason: text("refusal_reason"),
        fallback: value.get("fallback").map(|fallback| fallback.as_str().unwrap().to_owned()),
    }
}
