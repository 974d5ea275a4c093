//! Text with places to fill in: `${host}`, `${reason}`, `${requestId}`; `$$` is a dollar. Only values that cannot end a text
//! or a tag are put in: names from the configuration, tokens of ours, and ids of harmless letters.

use std::fmt;

/// What can be filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// The service that failed.
    Host,
    /// How: the token of the trigger.
    Reason,
    /// The request's id.
    RequestId,
}

impl Placeholder {
    /// Every placeholder.
    pub const ALL: [Self; 3] = [Self::Host, Self::Reason, Self::RequestId];

    /// What stands between the braces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Reason => "reason",
            Self::RequestId => "requestId",
        }
    }
}

/// A text with placeholders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Value(Placeholder),
}

/// A name between braces that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPlaceholder {
    /// The name, or the beginning of what has no end.
    pub name: String,
}

impl UnknownPlaceholder {
    fn of(name: &str) -> Self {
        Self { name: name.chars().take(32).collect() }
    }
}

/// What to fill in.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// For `${host}`.
    pub host: &'a str,
    /// For `${reason}`.
    pub reason: &'a str,
    /// For `${requestId}`.
    pub request_id: &'a str,
}

impl Template {
    /// Reads a text.
    pub fn parse(text: &str) -> Result<Self, UnknownPlaceholder> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            plain.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                plain.push('$');
                rest = after;
            } else if let Some(inside) = after.strip_prefix('{') {
                let (name, after) = inside.split_once('}').ok_or_else(|| UnknownPlaceholder::of(inside))?;
                let known = Placeholder::ALL.into_iter().find(|known| known.name() == name);
                let value = known.ok_or_else(|| UnknownPlaceholder::of(name))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain).into()));
                }
                parts.push(Part::Value(value));
                rest = after;
            } else {
                plain.push('$');
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain.into()));
        }
        Ok(Self(parts))
    }

    /// Appends the text with `values` in it.
    pub fn render(&self, values: &Values<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            out.extend_from_slice(match part {
                Part::Text(text) => text.as_bytes(),
                Part::Value(Placeholder::Host) => values.host.as_bytes(),
                Part::Value(Placeholder::Reason) => values.reason.as_bytes(),
                Part::Value(Placeholder::RequestId) => values.request_id.as_bytes(),
            });
        }
    }

    /// Whether the request's id is asked for.
    pub fn asks_for_request_id(&self) -> bool {
        self.0.contains(&Part::Value(Placeholder::RequestId))
    }
}

impl fmt::Display for Template {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => f.write_str(&text.replace('$', "$$"))?,
                Part::Value(value) => write!(f, "${{{}}}", value.name())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values { host: "shop.local", reason: "breaker.open", request_id: "4f9c" };

    fn rendered(text: &str) -> String {
        let mut out = Vec::new();
        Template::parse(text).unwrap().render(&VALUES, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn known_names_are_filled_in_and_everything_else_stays() {
        assert_eq!(
            rendered(
                r#"{"host": "${host}", "why": "${reason}", "id": "${requestId}", "price": "$5 $$ {x}"}"#
            ),
            r#"{"host": "shop.local", "why": "breaker.open", "id": "4f9c", "price": "$5 $ {x}"}"#
        );
        assert_eq!(rendered("$${host}"), "${host}");
        assert_eq!(rendered("$"), "$");
        assert_eq!(rendered(""), "");
    }

    #[test]
    fn an_unknown_name_is_told() {
        assert_eq!(Template::parse("a ${hst} b"), Err(UnknownPlaceholder { name: "hst".into() }));
        assert_eq!(Template::parse("a ${host"), Err(UnknownPlaceholder { name: "host".into() }), "no end");
    }

    #[test]
    fn the_requests_id_is_asked_for_where_it_is_written() {
        assert!(Template::parse("id ${requestId}").unwrap().asks_for_request_id());
        assert!(!Template::parse("$${requestId} of ${host}").unwrap().asks_for_request_id());
    }

    #[test]
    fn a_template_reads_back() {
        for text in ["a ${host}b$$c", "${reason}", "plain"] {
            let template = Template::parse(text).unwrap();
            assert_eq!(Template::parse(&template.to_string()), Ok(template));
        }
    }
}
