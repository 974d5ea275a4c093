//! Decoding of what is not declared field by field: scalars, lists and maps.

use std::time::Duration;

use crate::duration::parse_duration;
use crate::scalar::{self, IntOrText};
use crate::schema::{Decode, Type};
use crate::span::{List, Map, Spanned};
use crate::tree::{Node, Value};

/// The field `key` of the mapping `node`; `None` where it is absent or does not fit.
pub fn field<T: Decode>(node: &Node, key: &str) -> Option<Spanned<T>> {
    element(node.get(key)?)
}

fn element<T: Decode>(node: &Node) -> Option<Spanned<T>> {
    T::decode(node).map(|value| Spanned::new(value, node.span))
}

impl Decode for bool {
    const TYPE: Type = Type::Bool;

    fn decode(node: &Node) -> Option<Self> {
        scalar::boolean(plain(node)?)
    }
}

impl Decode for i32 {
    const TYPE: Type = Type::Int32;

    fn decode(node: &Node) -> Option<Self> {
        scalar::integer(plain(node)?)?.try_into().ok()
    }
}

impl Decode for u32 {
    const TYPE: Type = Type::Uint32;

    fn decode(node: &Node) -> Option<Self> {
        scalar::integer(plain(node)?)?.try_into().ok()
    }
}

impl Decode for f64 {
    const TYPE: Type = Type::Number;

    fn decode(node: &Node) -> Option<Self> {
        scalar::number(plain(node)?)
    }
}

impl Decode for String {
    const TYPE: Type = Type::Text;

    fn decode(node: &Node) -> Option<Self> {
        scalar::text(node).map(str::to_owned)
    }
}

impl Decode for Duration {
    const TYPE: Type = Type::Duration;

    fn decode(node: &Node) -> Option<Self> {
        parse_duration(scalar::text(node)?).ok()
    }
}

impl Decode for IntOrText {
    const TYPE: Type = Type::IntOrText;

    fn decode(node: &Node) -> Option<Self> {
        match (plain(node).and_then(scalar::integer), scalar::text(node)) {
            (Some(number), _) => number.try_into().ok().map(Self::Int),
            (None, text) => text.map(|text| Self::Text(text.to_owned())),
        }
    }
}

impl<T: Decode> Decode for List<T> {
    const TYPE: Type = Type::List(&T::TYPE);

    fn decode(node: &Node) -> Option<Self> {
        match &node.value {
            Value::List(nodes) => {
                let mut list = Self::with_capacity(nodes.len());
                list.extend(nodes.iter().filter_map(element));
                Some(list)
            }
            _ => None,
        }
    }
}

impl<T: Decode> Decode for Map<T> {
    const TYPE: Type = Type::Map(&T::TYPE);

    fn decode(node: &Node) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(
                entries
                    .iter()
                    .filter_map(|entry| Some((entry.key.value.clone(), element(&entry.node)?)))
                    .collect(),
            ),
            _ => None,
        }
    }
}

/// A value of any shape, kept as it was written.
impl Decode for Node {
    const TYPE: Type = Type::Any;

    fn decode(node: &Node) -> Option<Self> {
        Some(node.clone())
    }
}

fn plain(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain: true } => Some(text),
        _ => None,
    }
}
