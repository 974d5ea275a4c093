//! All fields of a kind, as the schema has them.

use fuseboard_api::schema::{Schema, Support, Type, Variant};

/// One step of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Key(&'static str),
    /// An element of the list before it.
    Element,
}

/// A field at its place.
pub(crate) struct Place {
    pub(crate) path: Vec<Step>,
    /// The objects that hold it, from the outermost in.
    pub(crate) holders: Vec<&'static Schema>,
    pub(crate) ty: Type,
    /// What becomes of it: its own support, unless that of a block around it is less.
    pub(crate) support: Support,
    /// Whether `support` is that of a block around it.
    pub(crate) inherited: bool,
    pub(crate) doc: &'static str,
}

impl Place {
    /// `spec.subsets[].name`
    pub(crate) fn name(&self, prefix: &str) -> String {
        let mut name = prefix.to_owned();
        for step in &self.path {
            match step {
                Step::Element => name.push_str("[]"),
                Step::Key(key) if name.is_empty() => name.push_str(key),
                Step::Key(key) => {
                    name.push('.');
                    name.push_str(key);
                }
            }
        }
        name
    }
}

/// All fields of `schema`, blocks before what is in them.
pub(crate) fn all(schema: &'static Schema) -> Vec<Place> {
    let mut places = Vec::new();
    walk(schema, &mut Vec::new(), &mut Vec::new(), None, &mut places);
    places
}

fn walk(
    schema: &'static Schema,
    path: &mut Vec<Step>,
    holders: &mut Vec<&'static Schema>,
    around: Option<Support>,
    places: &mut Vec<Place>,
) {
    holders.push(schema);
    for field in schema.fields {
        path.push(Step::Key(field.name));
        places.push(Place {
            path: path.clone(),
            holders: holders.clone(),
            ty: field.ty,
            support: around.unwrap_or(field.support),
            inherited: around.is_some(),
            doc: field.doc,
        });
        let around = around.or((field.support != Support::Supported).then_some(field.support));
        match field.ty {
            Type::Object(inner) => walk(inner, path, holders, around, places),
            Type::List(Type::Object(inner)) => {
                path.push(Step::Element);
                walk(inner, path, holders, around, places);
                path.pop();
            }
            _ => {}
        }
        path.pop();
    }
    holders.pop();
}

/// The words of a choice.
pub(crate) fn words(ty: Type) -> &'static [Variant] {
    match ty {
        Type::Choice(variants) => variants,
        _ => &[],
    }
}
