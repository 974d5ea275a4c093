//! One text into trees, document by document. Decides how much of a text is read, what anchors may cost, and what a key
//! is; what the values mean is not its business.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use fuseboard_api::tree::{Entry, Node, Value};
use fuseboard_api::{Span, Spanned};
use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use crate::diagnostic::{Code, Diagnostic};
use crate::load::MAX_PROBLEMS;
use crate::source::{Place, Source};

/// Deepest nesting of a document, anchors expanded. Kubernetes' own resources stay below 20.
const MAX_DEPTH: usize = 64;
/// Most values in all documents of one file, anchors expanded.
const MAX_NODES: usize = 1_000_000;
/// Mappings with more entries than this find duplicate keys by hash.
const SMALL_MAP: usize = 16;

/// One document, or why there is none.
pub(super) struct Document {
    /// Its content; `None` where it is not YAML.
    pub(super) root: Option<Node>,
    /// What was wrong with it.
    pub(super) problems: Vec<Diagnostic>,
}

/// Reads all documents of `source` in order until `each` breaks.
pub(super) fn read(source: &Arc<Source>, mut each: impl FnMut(Document) -> ControlFlow<()>) {
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        emit_comments: false,
        emit_unresolved_aliases: true,
    };
    let mut parser = Parser::new_from_str_with_options(&source.text, options);
    let mut budget = MAX_NODES;
    let mut builder = Builder::new(source, budget);
    loop {
        let failure = match parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => return,
            Some(Ok((Event::DocumentStart(..), _))) => {
                builder = Builder::new(source, budget);
                continue;
            }
            Some(Ok((Event::DocumentEnd, _))) => {
                budget = builder.budget;
                let done = std::mem::replace(&mut builder, Builder::new(source, budget));
                if each(Document { root: done.root, problems: done.problems }).is_break() {
                    return;
                }
                continue;
            }
            Some(Ok((event, span))) => match builder.event(event, span_of(span)) {
                Ok(()) => continue,
                Err(problem) => *problem,
            },
            Some(Err(error)) => syntax_error(source, &error),
        };
        budget = builder.budget;
        let mut broken = std::mem::replace(&mut builder, Builder::new(source, budget));
        broken.problems.push(failure);
        let out_of_budget = budget == 0;
        if each(Document { root: None, problems: broken.problems }).is_break()
            || out_of_budget
            || !matches!(parser.proceed_next_document(), Ok(true))
        {
            return;
        }
    }
}

/// A tree under construction, without recursion.
struct Builder<'a> {
    source: &'a Arc<Source>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    problems: Vec<Diagnostic>,
    budget: usize,
}

/// A value that an alias can stand for, with what a copy of it costs.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

/// A list or mapping whose end has not been seen.
struct Open {
    start: Span,
    anchor: usize,
    budget_before: usize,
    /// Depth of the deepest child so far.
    inner_depth: usize,
    /// Byte after the last child, kept or dropped.
    inner_end: u32,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, by_key: HashMap<String, usize>, merged: Vec<Node>, key: Option<Key> },
}

impl Content {
    fn map() -> Self {
        Self::Map { entries: Vec::new(), by_key: HashMap::new(), merged: Vec::new(), key: None }
    }
}

/// A key that waits for its value.
enum Key {
    Named(Spanned<String>),
    /// `<<`: the value's entries are merged in.
    Merge,
    /// Not usable; the value is read and dropped.
    Unusable,
}

impl<'a> Builder<'a> {
    fn new(source: &'a Arc<Source>, budget: usize) -> Self {
        Self { source, open: Vec::new(), root: None, anchors: HashMap::new(), problems: Vec::new(), budget }
    }

    /// Takes one event of the parser; an error ends the document.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Diagnostic>> {
        if self.problems.len() >= MAX_PROBLEMS {
            let message = format!("more than {MAX_PROBLEMS} problems in one document");
            return Err(Box::new(problem(self.source, Code::TooManyProblems, span, message)));
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(1, span)?;
                let node = Node { span, value: scalar(&text, style, tag.as_deref()) };
                self.close(node, anchor, 1, 1);
            }
            Event::SequenceStart(_, anchor, _) => self.begin(anchor, span, Content::List(Vec::new()))?,
            Event::MappingStart(_, anchor, _) => {
                self.begin(anchor, span, Content::map())?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(id) => self.alias(id, span)?,
            Event::UnresolvedAlias(name) => {
                let problem = problem(
                    self.source,
                    Code::Syntax,
                    span,
                    format!("no anchor &{name} stands before *{name}"),
                );
                let help =
                    format!("put &{name} before the value that is meant, or quote the text: \"*{name}\"");
                self.problems.push(problem.help(help));
                self.close(Node { span, value: Value::Null }, 0, 1, 1);
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, start: Span, content: Content) -> Result<(), Box<Diagnostic>> {
        let budget_before = self.budget;
        self.spend(1, start)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(self.too_deep(start)));
        }
        self.open.push(Open { start, anchor, budget_before, inner_depth: 0, inner_end: start.end, content });
        Ok(())
    }

    fn end(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        // Block collections end where the next token begins, which can be lines later; flow ones at their bracket.
        let flow = self
            .source
            .text
            .as_bytes()
            .get(open.start.start as usize)
            .is_some_and(|b| matches!(b, b'[' | b'{'));
        let end = if flow { span.end } else { open.inner_end };
        let value = match open.content {
            Content::List(nodes) => Value::List(nodes),
            Content::Map { mut entries, mut by_key, merged, .. } => {
                for node in merged {
                    merge(&mut entries, &mut by_key, node);
                }
                Value::Map(entries)
            }
        };
        let nodes = open.budget_before - self.budget;
        let node = Node { span: Span { end, ..open.start }, value };
        self.close(node, open.anchor, nodes, open.inner_depth + 1);
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        let Some(anchored) = self.anchors.get(&id) else {
            let problem =
                problem(self.source, Code::Syntax, span, "the alias stands inside the value that it names");
            return Err(Box::new(problem.help("write the value out")));
        };
        let (nodes, depth) = (anchored.nodes, anchored.depth);
        self.spend(nodes, span)?;
        if self.open.len() + depth > MAX_DEPTH {
            return Err(Box::new(self.too_deep(span)));
        }
        let Some(node) = self.anchors.get(&id).map(|anchored| anchored.node.clone()) else { return Ok(()) };
        if let Some(parent) = self.open.last_mut() {
            // The value's own place is that of the anchor.
            parent.inner_end = parent.inner_end.max(span.end);
        }
        self.close(node, 0, nodes, depth);
        Ok(())
    }

    /// A value is complete: it becomes the root, an element, a key or a key's value.
    fn close(&mut self, node: Node, anchor: usize, nodes: usize, depth: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return;
        };
        parent.inner_depth = parent.inner_depth.max(depth);
        parent.inner_end = parent.inner_end.max(node.span.end);
        match &mut parent.content {
            Content::List(elements) => elements.push(node),
            Content::Map { entries, by_key, merged, key } => match key.take() {
                None => {
                    *key = Some(match key_of(node) {
                        Ok(key) => key,
                        Err(span) => {
                            let message = "a key must be a single word, number or text";
                            let help = "quote the text if it begins with '[' or '{'";
                            self.problems
                                .push(problem(self.source, Code::WrongType, span, message).help(help));
                            Key::Unusable
                        }
                    });
                }
                Some(Key::Unusable) => {}
                Some(Key::Merge) => merged.push(node),
                Some(Key::Named(name)) => {
                    if let Some(first) = position(entries, by_key, &name.value) {
                        let line = entries[first].key.span.line;
                        let message = format!("key {:?} is written twice", name.value);
                        let problem = problem(self.source, Code::DuplicateKey, name.span, message);
                        let help = if name.value == "apiVersion" {
                            "a new resource needs a line with --- before it".to_owned()
                        } else {
                            format!("it is already set in line {line}; keep one of the two")
                        };
                        self.problems.push(problem.help(help));
                    } else {
                        insert(entries, by_key, Entry { key: name, node });
                    }
                }
            },
        }
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Box<Diagnostic>> {
        match self.budget.checked_sub(nodes) {
            Some(rest) => {
                self.budget = rest;
                Ok(())
            }
            None => {
                self.budget = 0;
                let message =
                    format!("more than {MAX_NODES} values in one file, counting those that aliases repeat");
                let problem = problem(self.source, Code::TooLarge, span, message);
                Err(Box::new(problem.help("split the file, or write fewer aliases")))
            }
        }
    }

    fn too_deep(&self, span: Span) -> Diagnostic {
        problem(self.source, Code::TooLarge, span, format!("values are nested more than {MAX_DEPTH} deep"))
            .help("no resource needs more than 20 levels")
    }
}

fn problem(source: &Arc<Source>, code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(code, message).at(Place { source: source.clone(), span })
}

fn key_of(node: Node) -> Result<Key, Span> {
    match node.value {
        Value::Scalar { text, plain: true } if text == "<<" => Ok(Key::Merge),
        Value::Scalar { text, .. } => Ok(Key::Named(Spanned::new(text, node.span))),
        Value::Null => Ok(Key::Named(Spanned::new("null".to_owned(), node.span))),
        Value::List(_) | Value::Map(_) => Err(node.span),
    }
}

fn position(entries: &[Entry], by_key: &HashMap<String, usize>, key: &str) -> Option<usize> {
    if by_key.is_empty() {
        entries.iter().position(|entry| entry.key.value == key)
    } else {
        by_key.get(key).copied()
    }
}

fn insert(entries: &mut Vec<Entry>, by_key: &mut HashMap<String, usize>, entry: Entry) {
    if entries.len() == SMALL_MAP {
        by_key.extend(entries.iter().enumerate().map(|(index, old)| (old.key.value.clone(), index)));
    }
    if entries.len() >= SMALL_MAP {
        by_key.insert(entry.key.value.clone(), entries.len());
    }
    entries.push(entry);
}

/// YAML's merge key `<<`: adds the entries of `node` (a mapping or a list of them) that the mapping does not have itself.
fn merge(entries: &mut Vec<Entry>, by_key: &mut HashMap<String, usize>, node: Node) {
    let maps = match node.value {
        Value::List(nodes) => nodes,
        _ => vec![node],
    };
    for map in maps {
        let Value::Map(merged) = map.value else { continue };
        for entry in merged {
            if position(entries, by_key, &entry.key.value).is_none() {
                insert(entries, by_key, entry);
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let as_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
    let plain = style == ScalarStyle::Plain && !as_text;
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return Value::Null;
    }
    Value::Scalar { text: text.to_owned(), plain }
}

fn span_of(span: granit_parser::Span) -> Span {
    let end = span.end.byte_offset().unwrap_or(0);
    Span { end: clamp(end), ..span_at(&span.start) }
}

fn span_at(mark: &Marker) -> Span {
    let at = clamp(mark.byte_offset().unwrap_or(0));
    Span { start: at, end: at, line: clamp(mark.line()), column: clamp(mark.col()).saturating_add(1) }
}

/// Texts are far shorter than 4 GiB.
fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn syntax_error(source: &Arc<Source>, error: &ScanError) -> Diagnostic {
    let place = Place { source: source.clone(), span: span_at(error.marker()) };
    let code = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Code::TooLarge,
        _ => Code::Syntax,
    };
    let (message, help) = explain(error);
    let problem = Diagnostic::new(code, message).at(place);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// The frequent mistakes in plain words, the others in the parser's.
fn explain(error: &ScanError) -> (String, Option<&'static str>) {
    let (message, help) = match error.kind() {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab is used as indentation", "indent with spaces"),
        ErrorKind::ExpectedBlockMappingKey | ErrorKind::InvalidIndentation => (
            "the line is not indented like the lines before it",
            "align it with the keys of the block that it belongs to",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a key without a colon", "write \"key: value\", with a space after the colon")
        }
        ErrorKind::UnclosedQuotedScalar => ("a quote is not closed", "close it, or leave both quotes out"),
        ErrorKind::MappingKeyNotAllowed => (
            "a key stands where a value is expected",
            "put it on a line of its own, or quote the value if the colon belongs to it",
        ),
        ErrorKind::RecursionLimitExceeded => {
            ("values are nested too deeply", "no resource needs more than 20 levels")
        }
        _ => return (error.info(), None),
    };
    (message.to_owned(), Some(help))
}
