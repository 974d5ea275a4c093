//! Fields of a `Fallback` on their own: words, numbers, and what an answer may hold. How settings of several resources fit
//! together, and where steps lead, is looked at when they are put together (`resolve::fallback`).

use std::ops::RangeInclusive;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use fuseboard_api::scalar::IntOrText;
use fuseboard_api::tree::{Node, Value};
use fuseboard_api::{List, Span, Spanned, field};
use fuseboard_core::fallback::{MAX_STEPS, Placeholder, Template, Triggers};
use fuseboard_grpc::Code as Called;

use super::block::{Block, DAY, HOUR, MILLI};
use super::{key_span, name, port_number};
use crate::bytes;
use crate::diagnostic::Code;
use crate::load::body_file::MAX_BODY;
use crate::load::report::{FieldPath, Report};
use crate::load::suggest;
use crate::status_class;

const SECOND: Duration = Duration::from_secs(1);
const CONCURRENT: (RangeInclusive<u32>, &str) = (1..=100_000, "a number of requests, 1 to 100000");
const KINDS: [&str; 3] = ["cached", "service", "static"];

/// Fields of an answer that its writer decides.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "date",
];

/// All fields.
pub(super) fn check(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    if let Some(host) = field::<String>(node, "host") {
        name::host(&host, &path.key("host"), report);
    }
    if let Some(port) = field::<u32>(node, "port") {
        port_number(port, &path.key("port"), report);
    }
    narrowing(node, path, report);
    if let Some(cache) = node.get("cache") {
        let path = path.key("cache");
        kept(&mut Block { node: cache, path: &path, report });
    }
    let Some(list) = node.get("steps") else { return };
    let steps = list.elements();
    if steps.len() > MAX_STEPS || (steps.is_empty() && matches!(list.value, Value::List(_))) {
        let message = format!("a chain has 1 to {MAX_STEPS} steps, this one has {}", steps.len());
        report.add(Code::OutOfRange, list.span, &path.key("steps"), message, "write fewer steps, or one");
    }
    for (index, one) in steps.iter().enumerate() {
        step(one, &path.item("steps", index), report);
    }
}

/// What a chain and a step have in common.
fn narrowing(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    Block { node, path, report: &mut *report }.number("maxConcurrent", &CONCURRENT);
    for (index, word) in
        field::<List<IntOrText>>(node, "when").iter().flat_map(|list| list.iter()).enumerate()
    {
        trigger(word, &path.item("when", index), report);
    }
    let Some(matching) = node.get("match") else { return };
    let path = path.key("match");
    for (index, method) in
        field::<List<String>>(matching, "methods").iter().flat_map(|list| list.iter()).enumerate()
    {
        if method.value != "*" && !is_token(method) {
            let message = format!("{:?} is no method", method.value);
            let path = path.item("methods", index);
            report.add(Code::UnknownWord, method.span, &path, message, "write GET, POST, or \"*\" for all");
        }
    }
    for (index, pattern) in matching.get("paths").map(Node::elements).unwrap_or_default().iter().enumerate() {
        path_pattern(pattern, &path.item("paths", index), report);
    }
}

fn trigger(word: &Spanned<IntOrText>, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let text = word_of(word);
    if Triggers::of_word(&text).is_some() {
        return;
    }
    let message = format!("{text:?} is no failure that a fallback can be for");
    let near = status_class::code_meant(&text).or_else(|| suggest::nearest(&text, Triggers::words()));
    let help = match near {
        Some(near) => format!("did you mean {near}?"),
        None => "write any, breaker, limit, no_healthy, timeout, connect_failure, reset, a status from 400, 5xx, or a code of gRPC (UNAVAILABLE)".to_owned(),
    };
    report.add(Code::UnknownFailure, word.span, path, message, help);
}

/// A word of `when`, as it is looked up.
pub(crate) fn word_of(word: &IntOrText) -> String {
    match word {
        IntOrText::Int(number) => number.to_string(),
        IntOrText::Text(text) => text.clone(),
    }
}

fn path_pattern(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let exact = field::<String>(node, "exact");
    let prefix = field::<String>(node, "prefix");
    match (&exact, &prefix) {
        (Some(_), Some(prefix)) => {
            let message = "a pattern is exact or a prefix, not both";
            report.add(Code::FieldsExclude, prefix.span, path, message, "write two patterns");
        }
        (None, None) => {
            let message = "a pattern has exact or prefix";
            report.add(Code::FieldsExclude, node.span, path, message, "write prefix: /");
        }
        _ => {}
    }
    for text in [exact, prefix].into_iter().flatten().filter(|text| !text.starts_with('/')) {
        let message = format!("{:?} is never the beginning of a path", text.value);
        report.add(Code::OutOfRange, text.span, path, message, "begin it with /");
    }
}

fn kept(cache: &mut Block<'_, '_>) {
    cache.time("maxAge", SECOND..=DAY);
    size(cache, "maxBytes", 64 << 10..=1 << 30, "64Ki to 1Gi: a cache without bound is not to be had");
    size(cache, "maxAnswerBytes", 1 << 10..=16 << 20, "1Ki to 16Mi");
    for (index, name) in
        field::<List<String>>(cache.node, "headers").iter().flat_map(|list| list.iter()).enumerate()
    {
        if !is_token(name) {
            let message = format!("{:?} is no name of a field", name.value);
            let path = cache.path.item("headers", index);
            cache.report.add(
                Code::UnknownWord,
                name.span,
                &path,
                message,
                "write a name, such as accept-language",
            );
        }
    }
}

fn size(cache: &mut Block<'_, '_>, key: &str, range: RangeInclusive<usize>, wanted: &str) {
    let Some(written) = field::<IntOrText>(cache.node, key) else { return };
    if bytes::parse(&written).is_none_or(|size| !range.contains(&size)) {
        cache.refuse(key, written.span, &word_of(&written), wanted);
    }
}

fn step(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    narrowing(node, path, report);
    let written: Vec<_> = KINDS.into_iter().filter(|kind| node.get(kind).is_some()).collect();
    match written.as_slice() {
        [] => {
            let message = "a step is cached, service or static";
            let help = "write cached: {}, service: {host: other} or static: {status: 200}";
            report.add(Code::FieldsExclude, node.span, path, message, help);
        }
        [_] => {}
        [first, second, ..] => {
            let message = format!("a step is {first} or {second}, not both");
            let at = key_span(node, second, node.span);
            report.add(Code::FieldsExclude, at, path, message, "write two steps, each after its own -");
        }
    }
    if let Some(cached) = node.get("cached") {
        Block { node: cached, path: &path.key("cached"), report: &mut *report }.time("maxAge", SECOND..=DAY);
    }
    if let Some(node) = node.get("service") {
        service(node, &path.key("service"), report);
    }
    if let Some(node) = node.get("static") {
        fixed(node, &path.key("static"), report);
    }
}

fn service(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let host = field::<String>(node, "host");
    if let Some(host) = &host {
        name::host(host, &path.key("host"), report);
        if host.starts_with('*') {
            let message = "a step asks one service, and a wildcard stands for many";
            report.add(
                Code::OutOfRange,
                host.span,
                &path.key("host"),
                message,
                "write the name of one service",
            );
        }
    }
    if let Some(port) = field::<u32>(node, "port") {
        port_number(port, &path.key("port"), report);
    } else if host.is_none() && node.get("subset").is_none() {
        let message = "service says neither host nor subset nor port, so it is the service that failed";
        report.add(Code::FieldsExclude, node.span, path, message, "write host: other");
    }
    Block { node, path, report }.time("timeout", MILLI..=HOUR);
}

fn fixed(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    Block { node, path, report: &mut *report }
        .number("status", &(200..=599, "the status of an answer, 200 to 599"));
    let headers = node.get("headers").map(Node::entries).unwrap_or_default();
    let headers_path = path.key("headers");
    for entry in headers {
        let (name, at) = (&entry.key.value, headers_path.key(&entry.key.value));
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            let message = format!("{name:?} is no name of a field");
            report.add(Code::UnknownWord, entry.key.span, &at, message, "write letters, digits and -");
        } else if RESERVED.contains(&lower.as_str()) || lower.starts_with("x-fuseboard-") {
            let message = format!("{name} is written by the proxy itself");
            report.add(Code::ReservedField, entry.key.span, &at, message, "delete the line");
        }
        if let Some(value) = entry.node.text() {
            if value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f) {
                let message = format!("the value of {name} has a line break or another control character");
                report.add(Code::OutOfRange, entry.node.span, &at, message, "write it in one line");
            }
            template(value, entry.node.span, &at, report);
        }
    }
    if let Some(body) = field::<String>(node, "body") {
        let path = path.key("body");
        if body.len() > MAX_BODY {
            let message = "the body has more than 64 KiB";
            report.add(Code::OutOfRange, body.span, &path, message, "let a service answer with so much");
        }
        template(&body, body.span, &path, report);
    }
    if let Some(call) = node.get("grpc") {
        answer_of_call(call, &path.key("grpc"), report);
    }
}

/// What a call of gRPC gets: an error has words, and an answer a message.
fn answer_of_call(node: &Node, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let status = field::<String>(node, "status");
    let is_error = status.as_ref().is_some_and(|status| status.value != Called::Ok.name());
    if let Some(status) = status.filter(|status| Called::of_name(status).is_none()) {
        let message = format!("{:?} is no code of gRPC", status.value);
        let near = Called::meant_by(&status)
            .map(Called::name)
            .or_else(|| suggest::nearest(&status, Called::ALL.into_iter().map(Called::name)));
        let help = near.map_or_else(
            || "write a code by its name, such as UNAVAILABLE".to_owned(),
            |near| format!("did you mean {near}?"),
        );
        report.add(Code::OutOfRange, status.span, &path.key("status"), message, help);
    }
    if let Some(words) = field::<String>(node, "message") {
        if !is_error {
            let message =
                "message is what an error says, and this is none: the message of an answer is its body";
            let help = "write status: UNAVAILABLE, or delete message";
            report.add(Code::FieldsExclude, words.span, &path.key("message"), message, help);
        }
        template(&words, words.span, &path.key("message"), report);
    }
    let Some(body) = field::<String>(node, "body") else { return };
    let (at, path) = (body.span, path.key("body"));
    if is_error {
        let message = "a call that ends with an error gives no message to its caller";
        report.add(Code::FieldsExclude, at, &path, message, "delete body, or status");
    }
    match base64_of(&body) {
        None => {
            let message = "the body of a call is one encoded message in base64, and this is no base64";
            let help = "write what protoc --encode=TYPE FILE.proto | base64 prints, or bodyFile";
            report.add(Code::OutOfRange, at, &path, message, help);
        }
        Some(bytes) if bytes.len() > MAX_BODY => {
            let message = "the message has more than 64 KiB";
            report.add(Code::OutOfRange, at, &path, message, "let a service answer with so much");
        }
        Some(_) => {}
    }
}

/// The bytes that a text stands for, in as many lines as it may have.
pub(crate) fn base64_of(text: &str) -> Option<Vec<u8>> {
    let letters: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(letters).ok()
}

fn template(text: &str, span: Span, path: &FieldPath<'_>, report: &mut Report<'_>) {
    let Err(unknown) = Template::parse(text) else { return };
    let message = format!("{:?} is nothing that can be filled in", unknown.name);
    let known = Placeholder::ALL.into_iter().map(Placeholder::name);
    let help = match suggest::nearest(&unknown.name, known) {
        Some(near) => format!("did you mean ${{{near}}}? For a dollar before a brace write $$"),
        None => "write ${host}, ${reason} or ${requestId}; for a dollar before a brace $$".to_owned(),
    };
    report.add(Code::UnknownWord, span, path, message, help);
}

/// The letters of methods and names of fields (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let other = |byte: u8| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || other(byte))
}
