//! What may be written where, and what becomes of it: the tables behind unknown-field and wrong-type diagnostics and
//! behind the support table of the documentation. Rules between fields are not here (see `fuseboard_config::load`).

use crate::tree::Node;

/// What this release does with a field or a value. There is no fourth possibility: silence would be a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// Acted upon.
    Supported,
    /// Read and reported with a warning; the text says what happens instead.
    NotActedUpon(&'static str),
    /// Unsafe to ignore: an error, and what it applies to answers no traffic. The text says what happens.
    Security(&'static str),
    /// Carries no wish about traffic (status, book-keeping of the API server).
    Ignored,
}

/// The shape a value must have.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// `true` or `false`; `yes`, `no`, `on`, `off` as kubectl takes them.
    Bool,
    /// Signed, 32 bits.
    Int32,
    /// Not negative, 32 bits.
    Uint32,
    /// Any number.
    Number,
    /// Text.
    Text,
    /// A number with a unit: `5s`, `100ms`, `1h30m`.
    Duration,
    /// A number or text: ports.
    IntOrText,
    /// One of these words.
    Choice(&'static [Variant]),
    /// A mapping with these fields.
    Object(&'static Schema),
    /// A sequence.
    List(&'static Type),
    /// A mapping with free keys.
    Map(&'static Type),
    /// Not looked into.
    Any,
}

/// One word of a choice.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// As written.
    pub name: &'static str,
    /// What becomes of it.
    pub support: Support,
}

/// The fields of one object.
#[derive(Debug)]
pub struct Schema {
    /// Name of the type.
    pub name: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As written.
    pub name: &'static str,
    /// Shape of the value.
    pub ty: Type,
    /// Whether it must be there.
    pub required: bool,
    /// What becomes of it.
    pub support: Support,
    /// One sentence, from the doc comment.
    pub doc: &'static str,
}

impl Schema {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A type that can be read from a tree. A value that does not fit decodes to `None`: saying why is the schema check's
/// task, which has run before.
pub trait Decode: Sized {
    /// The shape, for the schema check.
    const TYPE: Type;

    /// Reads the value.
    fn decode(node: &Node) -> Option<Self>;
}

/// Declares an object: its struct, its schema and its decoding. An `optional` field becomes `Option<Spanned<T>>`, a
/// `required` one `Spanned<T>`.
macro_rules! object {
    (
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $(
                $(#[doc = $field_doc:literal])*
                $field:ident: $need:ident $ty:ty = $key:literal, $support:expr;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])*
                pub $field: $crate::schema::slot!($need $ty),
            )*
        }

        impl $name {
            /// Fields of the object, as written.
            pub const SCHEMA: &'static $crate::schema::Schema = &$crate::schema::Schema {
                name: stringify!($name),
                fields: &[$(
                    $crate::schema::Field {
                        name: $key,
                        ty: <$ty as $crate::schema::Decode>::TYPE,
                        required: $crate::schema::is_required!($need),
                        support: {
                            #[allow(unused_imports, reason = "not every object has fields of each kind")]
                            use $crate::schema::Support::{Ignored, NotActedUpon, Security, Supported};
                            $support
                        },
                        doc: concat!($($field_doc),*),
                    },
                )*],
            };
        }

        impl $crate::schema::Decode for $name {
            const TYPE: $crate::schema::Type = $crate::schema::Type::Object(Self::SCHEMA);

            fn decode(node: &$crate::tree::Node) -> Option<Self> {
                if !matches!(node.value, $crate::tree::Value::Map(_)) {
                    return None;
                }
                Some(Self {
                    $($field: $crate::schema::read_slot!($need $ty, node, $key),)*
                })
            }
        }
    };
}

/// The Rust type of a field.
macro_rules! slot {
    (required $ty:ty) => { $crate::span::Spanned<$ty> };
    (optional $ty:ty) => { Option<$crate::span::Spanned<$ty>> };
}

/// Reads a field.
macro_rules! read_slot {
    (required $ty:ty, $node:ident, $key:literal) => {
        $crate::decode::field::<$ty>($node, $key)?
    };
    (optional $ty:ty, $node:ident, $key:literal) => {
        $crate::decode::field::<$ty>($node, $key)
    };
}

/// Whether a field must be there.
macro_rules! is_required {
    (required) => {
        true
    };
    (optional) => {
        false
    };
}

/// Declares an enumeration: its type, its words and its decoding.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])*
        pub enum $name:ident {
            $(
                $(#[doc = $variant_doc:literal])*
                $variant:ident = $word:literal, $support:expr;
            )*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $(
                $(#[doc = $variant_doc])*
                $variant,
            )*
        }

        impl $name {
            /// The word, as written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }

        impl $crate::schema::Decode for $name {
            const TYPE: $crate::schema::Type = $crate::schema::Type::Choice(&[$(
                $crate::schema::Variant {
                    name: $word,
                    support: {
                        #[allow(unused_imports, reason = "not every enumeration has words of each kind")]
                        use $crate::schema::Support::{Ignored, NotActedUpon, Security, Supported};
                        $support
                    },
                },
            )*]);

            fn decode(node: &$crate::tree::Node) -> Option<Self> {
                match node.text()? {
                    $($word => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use {choice, is_required, object, read_slot, slot};
