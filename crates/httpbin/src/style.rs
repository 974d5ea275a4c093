//! Two shapes of JSON: go-httpbin's (every argument and header a list) and the one of the original in Python, which
//! Istio's documentation shows (a single value is a string, header values are joined, members are sorted).

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::body::Body;
use http::{HeaderValue, Response, StatusCode};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::reply;

/// Names with all their values; sorted, as Go writes maps.
pub(crate) type Values = BTreeMap<String, Vec<String>>;

/// Whose JSON the endpoints answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// go-httpbin's.
    #[default]
    Go,
    /// That of httpbin in Python.
    Python,
}

impl FromStr for Style {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "go" => Ok(Self::Go),
            "python" => Ok(Self::Python),
            _ => Err("write go or python"),
        }
    }
}

impl Style {
    /// Arguments, form fields, files.
    pub(crate) fn values(self, values: &Values) -> Value {
        let shown = |values: &Vec<String>| match (self, values.as_slice()) {
            (Self::Python, [single]) => Value::from(single.as_str()),
            (_, several) => Value::from(several.to_vec()),
        };
        values.iter().map(|(name, values)| (name.clone(), shown(values))).collect()
    }

    /// Headers.
    pub(crate) fn headers(self, headers: &Values) -> Value {
        match self {
            Self::Go => self.values(headers),
            Self::Python => {
                headers.iter().map(|(name, values)| (name.clone(), Value::from(values.join(",")))).collect()
            }
        }
    }

    /// A JSON document to put members into.
    pub(crate) fn document(self) -> Document {
        Document { style: self, members: Vec::new() }
    }

    fn content_type(self) -> HeaderValue {
        match self {
            Self::Go => reply::JSON,
            Self::Python => HeaderValue::from_static("application/json"),
        }
    }
}

/// A JSON object whose members stand as they were put, in Go's style, or sorted, in Python's.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    style: Style,
    members: Vec<(&'static str, Value)>,
}

impl Document {
    /// Puts a member; one of the same name is replaced.
    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some(member) => member.1 = value,
            None => self.members.push((name, value)),
        }
        if self.style == Style::Python {
            self.members.sort_by_key(|(name, _)| *name);
        }
        self
    }

    /// Leaves out what the style does not have.
    #[must_use]
    pub(crate) fn without(mut self, names: &[&str]) -> Self {
        self.members.retain(|(name, _)| !names.contains(name));
        self
    }

    /// Indented, with a line feed at the end.
    pub(crate) fn pretty(&self) -> Vec<u8> {
        reply::pretty(self)
    }

    /// On one line without its end: Go writes no space and escapes what HTML would take for its own; Python writes a
    /// space behind colons and commas.
    pub(crate) fn line(&self) -> Vec<u8> {
        match self.style {
            Style::Go => reply::compact(self),
            Style::Python => reply::spaced(self),
        }
    }

    pub(crate) fn answer(&self, status: StatusCode) -> Response<Body> {
        reply::typed(status, self.style.content_type(), self.pretty())
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.members.len()))?;
        for (name, value) in &self.members {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Values {
        Values::from([("b".into(), vec!["1".into()]), ("a".into(), vec!["2".into(), "3".into()])])
    }

    #[test]
    fn go_lists_every_value_and_keeps_the_order_of_members() {
        let document = Style::Go.document().with("z", Style::Go.values(&values())).with("y", true);
        assert_eq!(document.line(), br#"{"z":{"a":["2","3"],"b":["1"]},"y":true}"#);
    }

    #[test]
    fn python_shows_a_single_value_alone_and_sorts_members() {
        let style = Style::Python;
        let document =
            style.document().with("z", style.values(&values())).with("y", style.headers(&values()));
        assert_eq!(
            String::from_utf8(document.line()).unwrap(),
            r#"{"y": {"a": "2,3", "b": "1"}, "z": {"a": ["2", "3"], "b": "1"}}"#
        );
    }
}
