//! Checks a tree against a schema: unknown fields, wrong types, missing fields, unknown words, numbers out of range,
//! durations without unit, and fields that are read but not acted upon. Rules between fields are Istio's (see `rules`).

use fuseboard_api::schema::{Field, Schema, Support, Type, Variant};
use fuseboard_api::tree::{Entry, Node, Value};
use fuseboard_api::{DurationMistake, Span, parse_duration, scalar};

use crate::diagnostic::Code;
use crate::load::report::{FieldPath, Report};
use crate::load::suggest;

/// Checks the mapping `node` against `schema`. `at` is where missing fields are reported, `root` the schema of the whole
/// resource, in which misplaced fields are looked for.
pub(super) fn object(
    node: &Node,
    schema: &'static Schema,
    at: Span,
    path: &FieldPath<'_>,
    root: Root,
    report: &mut Report<'_>,
) {
    Walk { root, quiet: false }.object(node, schema, at, path, report);
}

/// The schema of a resource and where it begins: `spec` or nothing.
#[derive(Clone, Copy)]
pub(super) struct Root {
    pub(super) schema: &'static Schema,
    pub(super) prefix: &'static str,
}

#[derive(Clone, Copy)]
struct Walk {
    root: Root,
    /// Inside a block that is not acted upon as a whole: its fields need no warning of their own.
    quiet: bool,
}

impl Walk {
    fn object(
        self,
        node: &Node,
        schema: &'static Schema,
        at: Span,
        path: &FieldPath<'_>,
        report: &mut Report<'_>,
    ) {
        for entry in node.entries() {
            if report.is_full() {
                break;
            }
            let key = entry.key.value.as_str();
            let path = path.key(key);
            match schema.field(key) {
                Some(field) => self.field(entry, field, &path, report),
                None => self.unknown(entry, schema, &path, report),
            }
        }
        for field in schema.fields.iter().filter(|field| field.required && node.get(field.name).is_none()) {
            let message = format!("{} is missing", path.key(field.name));
            let help = format!("write {}: {}", field.name, example(field.ty));
            report.add(Code::MissingField, at, path, message, help);
        }
    }

    fn field(self, entry: &Entry, field: &'static Field, path: &FieldPath<'_>, report: &mut Report<'_>) {
        if entry.node.value == Value::Null {
            // A null that somebody wrote is meant.
            let nothing_written = entry.node.span.start == entry.node.span.end;
            if nothing_written && !field.required && field.support != Support::Ignored {
                let message = format!("{} has no value and counts as not written", field.name);
                let help = "write a value, indent the lines below it further, or delete the line";
                report.add(Code::EmptyField, entry.key.span, path, message, help);
            }
            return;
        }
        let mut below = self;
        match field.support {
            Support::NotActedUpon(instead) if !self.quiet && says_something(&entry.node) => {
                below.quiet = true;
                let message = format!("{} is not acted upon yet: {instead}", field.name);
                report.add(
                    Code::NotActedUpon,
                    entry.key.span,
                    path,
                    message,
                    "delete it if that is not acceptable",
                );
            }
            Support::Security(instead) if says_something(&entry.node) => {
                let message = format!("{} is not supported yet: {instead}", field.name);
                report.add(Code::SecurityNotProvided, entry.key.span, path, message, NO_TLS);
            }
            _ => {}
        }
        if field.support != Support::Ignored {
            below.value(&entry.node, field.ty, Some(entry), path, report);
        }
    }

    fn value(
        self,
        node: &Node,
        ty: Type,
        entry: Option<&Entry>,
        path: &FieldPath<'_>,
        report: &mut Report<'_>,
    ) {
        match (ty, &node.value) {
            (Type::Any, _) => {}
            (Type::Object(schema), Value::Map(_)) => {
                let at = entry.map_or_else(|| first_key(node), |entry| entry.key.span);
                self.object(node, schema, at, path, report);
            }
            (Type::List(element), Value::List(nodes)) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.value(node, *element, None, &path.index(index), report);
                }
            }
            (Type::Map(element), Value::Map(entries)) => {
                for entry in entries {
                    self.value(&entry.node, *element, Some(entry), &path.key(&entry.key.value), report);
                }
            }
            (Type::Choice(variants), Value::Scalar { text, .. }) => {
                self.word(node, text, variants, path, report);
            }
            (_, Value::Scalar { text, plain }) => {
                if let Some((code, message, help)) = scalar_mistake(ty, text, *plain, name_of(entry)) {
                    report.add(code, node.span, path, message, help);
                }
            }
            _ => {
                let message = format!("{} must be {}, not {}", subject(entry), noun(ty), shape(node));
                let help = shape_help(ty, name_of(entry));
                report.add(Code::WrongType, clip(node, entry), path, message, help);
            }
        }
    }

    fn word(
        self,
        node: &Node,
        text: &str,
        variants: &'static [Variant],
        path: &FieldPath<'_>,
        report: &mut Report<'_>,
    ) {
        let Some(variant) = variants.iter().find(|variant| variant.name == text) else {
            let names = || variants.iter().map(|variant| variant.name);
            let help = match suggest::nearest(text, names()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("write one of {}", names().collect::<Vec<_>>().join(", ")),
            };
            report.add(
                Code::UnknownWord,
                node.span,
                path,
                format!("{text:?} is not a value of this field"),
                help,
            );
            return;
        };
        match variant.support {
            Support::NotActedUpon(instead) if !self.quiet => {
                let message = format!("{text} is not acted upon yet: {instead}");
                report.add(
                    Code::NotActedUpon,
                    node.span,
                    path,
                    message,
                    "choose another value if that is not acceptable",
                );
            }
            Support::Security(instead) => {
                let message = format!("{text} is not supported yet: {instead}");
                report.add(Code::SecurityNotProvided, node.span, path, message, NO_TLS);
            }
            _ => {}
        }
    }

    fn unknown(self, entry: &Entry, schema: &'static Schema, path: &FieldPath<'_>, report: &mut Report<'_>) {
        let key = &entry.key.value;
        let names = || schema.fields.iter().map(|field| field.name);
        let help = if let Some(name) = suggest::nearest(key, names()) {
            format!("did you mean {name}?")
        } else if let Some(place) = suggest::place_of(key, self.root) {
            format!("{key} belongs under {place}")
        } else {
            format!("the fields here are {}", names_of(schema))
        };
        report.add(Code::UnknownField, entry.key.span, path, format!("unknown field {key:?}"), help);
    }
}

const NO_TLS: &str = "remove it to send plain text, if that is acceptable";

/// Values that every API treats as "not set" say nothing: `false`, `0`, an empty text or list.
fn says_something(node: &Node) -> bool {
    match &node.value {
        Value::Null => false,
        Value::Scalar { text, plain } => {
            !text.is_empty()
                && !(*plain && (scalar::boolean(text) == Some(false) || scalar::integer(text) == Some(0)))
        }
        Value::List(nodes) => !nodes.is_empty(),
        Value::Map(_) => true,
    }
}

type Mistake = (Code, String, String);

/// Why a scalar does not fit `ty`; `None` if it does.
fn scalar_mistake(ty: Type, text: &str, plain: bool, name: &str) -> Option<Mistake> {
    match ty {
        Type::Bool => {
            let fits = plain && scalar::boolean(text).is_some();
            (!fits).then(|| wrong(text, "true or false", format!("write {name}: true or {name}: false")))
        }
        Type::Int32 => whole_mistake(text, plain, name, i128::from(i32::MIN)..=i128::from(i32::MAX)),
        Type::Uint32 => whole_mistake(text, plain, name, 0..=i128::from(u32::MAX)),
        Type::Number => {
            let fits = plain && (scalar::number(text).is_some() || scalar::integer(text).is_some());
            (!fits).then(|| wrong(text, "a number", format!("write {name}: 10, without quotes or unit")))
        }
        Type::Text => plain_number_or_bool(text, plain)
            .then(|| wrong(text, "text", format!("put it in quotes: {name}: {text:?}"))),
        Type::Duration => duration_mistake(text, plain, name),
        Type::IntOrText => match scalar::integer(text).filter(|_| plain) {
            Some(number) if i32::try_from(number).is_err() => Some(out_of_range(text, "0 to 65535")),
            _ => None,
        },
        Type::Choice(_) | Type::Any => None,
        Type::Object(_) | Type::List(_) | Type::Map(_) => {
            let message = format!("{name} must be {}, not {text:?}", noun(ty));
            Some((Code::WrongType, message, shape_help(ty, name)))
        }
    }
}

fn whole_mistake(
    text: &str,
    plain: bool,
    name: &str,
    range: std::ops::RangeInclusive<i128>,
) -> Option<Mistake> {
    match scalar::integer(text) {
        Some(number) if plain && range.contains(&number) => None,
        Some(number) if range.contains(&number) => {
            Some(wrong(text, "a whole number", format!("write {name}: {number}, without quotes")))
        }
        Some(number) if number < 0 && *range.start() == 0 => {
            Some((Code::OutOfRange, format!("{text} is negative"), "write 0 or more".to_owned()))
        }
        Some(_) => Some(out_of_range(text, &format!("0 to {}", range.end()))),
        None => {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            let example = if digits.is_empty() { "10" } else { &digits };
            Some(wrong(text, "a whole number", format!("write {name}: {example}, without unit or fraction")))
        }
    }
}

fn duration_mistake(text: &str, plain: bool, name: &str) -> Option<Mistake> {
    let bad = |message: String, help: String| Some((Code::BadDuration, message, help));
    if plain && matches!(scalar::integer(text), Some(number) if number >= 0)
        || parse_duration(text) == Err(DurationMistake::NoUnit)
    {
        let help = format!("write {name}: {text}s for seconds, or {text}ms for milliseconds");
        return bad(format!("{text} is a duration without a unit"), help);
    }
    let units = || format!("write a number with a unit: {name}: 500ms, 5s, 1m or 1h30m");
    match parse_duration(text) {
        Ok(_) => None,
        Err(DurationMistake::Negative) => {
            Some((Code::SchemaValidationError, "duration must be greater than 1ms".to_owned(), units()))
        }
        Err(DurationMistake::UnknownUnit) => bad(
            format!("{text:?} has a unit that durations do not have"),
            format!("{}; days are hours: 24h", units()),
        ),
        Err(DurationMistake::TooLong) => bad(format!("{text} is longer than 292 years"), units()),
        Err(DurationMistake::Empty | DurationMistake::NoUnit | DurationMistake::Malformed) => {
            bad(format!("{text:?} is not a duration"), units())
        }
    }
}

fn wrong(text: &str, wanted: &str, help: String) -> Mistake {
    (Code::WrongType, format!("{text:?} is not {wanted}"), help)
}

fn out_of_range(text: &str, range: &str) -> Mistake {
    (Code::OutOfRange, format!("{text} is out of range"), format!("write a number from {range}"))
}

fn plain_number_or_bool(text: &str, plain: bool) -> bool {
    plain && scalar::meaning(text) != scalar::Meaning::Text
}

fn name_of(entry: Option<&Entry>) -> &str {
    entry.map_or("-", |entry| entry.key.value.as_str())
}

fn subject(entry: Option<&Entry>) -> String {
    entry.map_or_else(|| "the element".to_owned(), |entry| entry.key.value.clone())
}

fn noun(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "true or false",
        Type::Int32 | Type::Uint32 => "a whole number",
        Type::Number => "a number",
        Type::Text => "text",
        Type::Duration => "a duration",
        Type::IntOrText => "a number or text",
        Type::Choice(_) => "a word",
        Type::Object(_) | Type::Map(_) => "a mapping",
        Type::List(_) => "a list",
        Type::Any => "anything",
    }
}

fn shape(node: &Node) -> &'static str {
    match node.value {
        Value::Null => "empty",
        Value::Scalar { .. } => "a single value",
        Value::List(_) => "a list",
        Value::Map(_) => "a mapping",
    }
}

/// The fields of an object, the first of them if there are many.
fn names_of(schema: &Schema) -> String {
    const MOST: usize = 9;
    let told = schema.fields.iter().filter(|field| field.support != Support::Ignored);
    let mut names: Vec<&str> = told.map(|field| field.name).collect();
    let more = names.len().saturating_sub(MOST);
    names.truncate(MOST);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{rest}", names.join(", "))
}

fn shape_help(ty: Type, name: &str) -> String {
    match ty {
        Type::Object(schema) => {
            format!("write its fields on indented lines below: {}", names_of(schema))
        }
        Type::Map(_) => "write key: value pairs on indented lines below".to_owned(),
        Type::List(_) => "write its elements on lines below, each after \"- \"".to_owned(),
        _ => format!("write {name}: {}", example(ty)),
    }
}

/// A value of the type, for "write …".
fn example(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "true",
        Type::Int32 | Type::Uint32 | Type::Number => "10",
        Type::Text | Type::Any | Type::Choice(&[]) => "<text>",
        Type::Duration => "5s",
        Type::IntOrText => "8080",
        Type::Choice(variants) => variants[0].name,
        Type::Object(_) | Type::Map(_) => "{...}",
        Type::List(_) => "[...]",
    }
}

/// For a value over several lines: its key, or its first line.
fn clip(node: &Node, entry: Option<&Entry>) -> Span {
    match (&node.value, entry) {
        (Value::List(_) | Value::Map(_), Some(entry)) => entry.key.span,
        _ => first_key(node),
    }
}

fn first_key(node: &Node) -> Span {
    node.entries().first().map_or(node.span, |entry| entry.key.span)
}
