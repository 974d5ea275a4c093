//! Bodies of static answers that stand in files of their own: read with the rules, and put where they would be written.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};

use base64::prelude::{BASE64_STANDARD, Engine};
use fuseboard_api::Spanned;
use fuseboard_api::tree::{Entry, Node, Value};

use super::report::{FieldPath, Report};
use crate::diagnostic::Code;
use crate::source::Source;

/// Largest body.
pub(super) const MAX_BODY: usize = 64 << 10;

/// The resource with each `bodyFile` read into a `body` beside it; `None`: there is none. What cannot be read is reported.
pub(super) fn inline(node: &Node, source: &Source, report: &mut Report<'_>) -> Option<Node> {
    let steps = node.get("spec")?.get("steps")?.elements();
    let has_file = |fixed: &Node| {
        fixed.get("bodyFile").is_some()
            || fixed.get("grpc").is_some_and(|call| call.get("bodyFile").is_some())
    };
    if !steps.iter().any(|step| step.get("static").is_some_and(has_file)) {
        return None;
    }
    let mut inlined = node.clone();
    let steps = inner(inner(Some(&mut inlined), "spec"), "steps");
    let Some(Node { value: Value::List(steps), .. }) = steps else { return None };
    let spec = FieldPath::ROOT;
    let spec = spec.key("spec");
    for (index, step) in steps.iter_mut().enumerate() {
        let step_path = spec.item("steps", index);
        let path = step_path.key("static");
        if let Some(Node { value: Value::Map(fixed), .. }) = inner(Some(step), "static") {
            of_answer(fixed, source, text_of, &path, report);
        }
        let call = inner(inner(Some(step), "static"), "grpc");
        if let Some(Node { value: Value::Map(call), .. }) = call {
            of_answer(call, source, |_, bytes| Ok(BASE64_STANDARD.encode(bytes)), &path.key("grpc"), report);
        }
    }
    Some(inlined)
}

fn inner<'n>(node: Option<&'n mut Node>, key: &str) -> Option<&'n mut Node> {
    let Value::Map(entries) = &mut node?.value else { return None };
    entries.iter_mut().find(|entry| entry.key.value == key).map(|entry| &mut entry.node)
}

/// What a file holds as the value of `body`.
type Written = fn(&Path, Vec<u8>) -> Result<String, Problem>;

/// What is wrong with a file, and what to do.
type Problem = (String, &'static str);

fn text_of(file: &Path, bytes: Vec<u8>) -> Result<String, Problem> {
    String::from_utf8(bytes).map_err(|_| (format!("{} is not UTF-8", file.display()), "save it as UTF-8"))
}

fn of_answer(
    fixed: &mut Vec<Entry>,
    source: &Source,
    written: Written,
    path: &FieldPath<'_>,
    report: &mut Report<'_>,
) {
    let Some(entry) = fixed.iter().find(|entry| entry.key.value == "bodyFile") else { return };
    let (key, span, Some(name)) = (entry.key.span, entry.node.span, entry.node.text()) else { return };
    let path = path.key("bodyFile");
    if fixed.iter().any(|entry| entry.key.value == "body") {
        let message = "the body is written in body or stands in bodyFile, not both";
        report.add(Code::FieldsExclude, key, &path, message, "delete body or bodyFile");
        return;
    }
    match read(source, name, written) {
        Ok(text) => {
            let body = Node { span, value: Value::Scalar { text, plain: false } };
            fixed.push(Entry { key: Spanned::new("body".to_owned(), key), node: body });
        }
        Err((message, help)) => report.add(Code::BodyFileUnreadable, span, &path, message, help),
    }
}

/// What a file beside the rule's, or below it, says.
fn read(source: &Source, name: &str, written: Written) -> Result<String, Problem> {
    let own = Path::new(name);
    let inside = own.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || name.is_empty() {
        let message = format!("{name:?} does not lie beside the file of this rule, or in a folder below");
        return Err((message, "write a relative path without .."));
    }
    let file = Path::new(&*source.path).parent().unwrap_or(Path::new("")).join(own);
    let mut bytes = Vec::new();
    // To open a pipe would be to wait for its other end.
    let is_file = fs::metadata(&file).map(|kind| kind.is_file());
    let read = match is_file {
        Ok(true) => File::open(&file).and_then(|open| open.take(MAX_BODY as u64 + 1).read_to_end(&mut bytes)),
        Ok(false) => Err(io::Error::other("it is no file")),
        Err(error) => Err(error),
    };
    match read {
        Err(error) => {
            Err((format!("{} cannot be read: {error}", file.display()), "create it, or write body"))
        }
        Ok(length) if length > MAX_BODY => {
            Err((format!("{} has more than 64 KiB", file.display()), "let a service answer with so much"))
        }
        Ok(_) => written(&file, bytes),
    }
}
