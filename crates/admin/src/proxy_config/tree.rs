//! JSON as a tree that keeps the order of its fields: Envoy writes them in the order of its messages, and so does istioctl.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Number;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Map(Vec<(String, Self)>),
}

/// Fields whose own keys are data, not names of a message: they stay as they are.
const KEYED_BY_DATA: [&str; 3] =
    ["typed_extension_protocol_options", "typed_filter_metadata", "typed_per_filter_config"];
/// Fields in which nothing is a message.
const ALL_DATA: [&str; 1] = ["filter_metadata"];
/// The field of a cluster whose entries match data: `match`, which elsewhere is a message.
const MATCHES: &str = "transport_socket_matches";

impl From<&str> for Tree {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Tree {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Tree {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl Tree {
    /// An object with these fields, in this order.
    pub(crate) fn of(fields: impl IntoIterator<Item = (&'static str, Self)>) -> Self {
        Self::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The field called `name` in snake case; other writers of the same message spell it in camel case.
    pub fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        let is_it = |key: &str| key == name || key == camel(name);
        fields.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    }

    pub(super) fn field_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Map(fields) = self else { return None };
        let is_it = |key: &str| key == name || key == camel(name);
        fields.iter_mut().find(|(key, _)| is_it(key)).map(|(_, value)| value)
    }

    /// The value at the end of a path of fields.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |value, name| value.field(name))
    }

    /// The text at the end of a path of fields; empty where there is none, which is what protobuf means by that.
    pub(super) fn text(&self, path: &[&str]) -> &str {
        match self.at(path) {
            Some(Self::Text(text)) => text,
            _ => "",
        }
    }

    /// The number at the end of a path of fields, which may be written as text; 0 where there is none.
    pub(super) fn number(&self, path: &[&str]) -> u64 {
        match self.at(path) {
            Some(Self::Number(number)) => number.as_u64().unwrap_or_default(),
            Some(Self::Text(text)) => text.parse().unwrap_or_default(),
            _ => 0,
        }
    }

    pub(super) fn flag(&self, path: &[&str]) -> bool {
        self.at(path) == Some(&Self::Bool(true))
    }

    /// The items at the end of a path of fields; none where there is no list.
    pub(super) fn items(&self, path: &[&str]) -> &[Self] {
        match self.at(path) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }

    /// The texts among the items at the end of a path of fields.
    pub(super) fn texts<'t>(&'t self, path: &[&str]) -> Vec<&'t str> {
        let text = |item: &'t Self| match item {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        };
        self.items(path).iter().filter_map(text).collect()
    }

    /// The same with the names of fields in camel case, as Go's protobuf prints them.
    #[must_use]
    pub fn into_camel_case(self) -> Self {
        match self {
            Self::List(items) => Self::List(items.into_iter().map(Self::into_camel_case).collect()),
            Self::Map(fields) => Self::Map(fields.into_iter().map(renamed).collect()),
            other => other,
        }
    }
}

fn renamed((key, value): (String, Tree)) -> (String, Tree) {
    let value = match value {
        data if ALL_DATA.contains(&key.as_str()) => data,
        Tree::List(entries) if key == MATCHES => Tree::List(entries.into_iter().map(matched).collect()),
        Tree::Map(entries) if KEYED_BY_DATA.contains(&key.as_str()) => {
            Tree::Map(entries.into_iter().map(|(key, value)| (key, value.into_camel_case())).collect())
        }
        value => value.into_camel_case(),
    };
    (camel(&key), value)
}

fn matched(entry: Tree) -> Tree {
    let Tree::Map(fields) = entry else { return entry };
    let field =
        |(key, value): (String, Tree)| if key == "match" { (key, value) } else { renamed((key, value)) };
    Tree::Map(fields.into_iter().map(field).collect())
}

/// `lb_policy` to `lbPolicy`; `@type` stays.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut starts = false;
    for letter in name.chars() {
        match letter {
            '_' => starts = true,
            _ if starts => {
                camel.push(letter.to_ascii_uppercase());
                starts = false;
            }
            _ => camel.push(letter),
        }
    }
    camel
}

impl Serialize for Tree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Map(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                fields.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(value).map_or(Tree::Null, Tree::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Tree, E> {
        Ok(Tree::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Tree::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(text: &str) -> Tree {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn order_and_every_kind_of_value_survive() {
        let text = r#"{"z":1,"a":[true,null,-2,0.5,"x"],"m":{}}"#;
        assert_eq!(serde_json::to_string(&tree(text)).unwrap(), text);
    }

    #[test]
    fn names_of_fields_become_camel_case_and_data_does_not() {
        let text = r#"{"@type":"t","lb_policy":"RANDOM","metadata":{"filter_metadata":{"istio":{"default_port":1}}},
            "typed_extension_protocol_options":{"envoy.http_options":{"idle_timeout":"1s"}}}"#;
        let expected = r#"{"@type":"t","lbPolicy":"RANDOM","metadata":{"filterMetadata":{"istio":{"default_port":1}}},"typedExtensionProtocolOptions":{"envoy.http_options":{"idleTimeout":"1s"}}}"#;
        assert_eq!(serde_json::to_string(&tree(text).into_camel_case()).unwrap(), expected);
    }

    #[test]
    fn a_field_is_found_under_both_spellings_and_absent_means_zero() {
        for text in [r#"{"port_value":80,"on":true}"#, r#"{"portValue":"80","on":true}"#] {
            let tree = tree(text);
            assert_eq!((tree.number(&["port_value"]), tree.flag(&["on"])), (80, true));
            assert_eq!((tree.text(&["a", "b"]), tree.items(&["c"]).len()), ("", 0));
        }
    }
}
