//! Names and values in queries and form bodies, read as Go reads them; and the query of a request as an argument.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;

use crate::style::Values;

/// All pairs that can be read, and what is wrong with the first that can't.
pub(crate) fn pairs(text: &str) -> (Values, Option<String>) {
    let mut values = Values::new();
    let mut problem = None;
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pair.contains(';') {
            problem.get_or_insert("invalid semicolon separator in query".to_owned());
            continue;
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match unescape(name).and_then(|name| Ok((name, unescape(value)?))) {
            Ok((name, value)) => values.entry(name).or_default().push(value),
            Err(escape) => {
                problem.get_or_insert(format!("invalid URL escape {escape:?}"));
            }
        }
    }
    (values, problem)
}

/// The text, or the escape that is none.
fn unescape(text: &str) -> Result<String, &str> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes().enumerate();
    while let Some((at, byte)) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|(_, byte)| char::from(byte).to_digit(16));
                match (digit(), digit()) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or(b'%'),
                    _ => return Err(text.get(at..).map_or(text, |tail| tail.get(..3).unwrap_or(tail))),
                }
            }
            other => other,
        });
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The arguments in the query of a request.
#[derive(Debug)]
pub(crate) struct Args(pub(crate) Values);

impl Args {
    /// The first value of `name`; an empty one counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .and_then(|values| values.first())
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}

impl<S: Sync> FromRequestParts<S> for Args {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(pairs(parts.uri.query().unwrap_or("")).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_keep_all_values_of_a_name_and_drop_broken_ones() {
        let (values, problem) = pairs("a=1&b=x+y%21&a=3&c&broken=%zz&semi=1;2");
        assert_eq!(values["a"], ["1", "3"]);
        assert_eq!(values["b"], ["x y!"]);
        assert_eq!(values["c"], [""]);
        assert_eq!(values.len(), 3);
        assert_eq!(problem.as_deref(), Some("invalid URL escape \"%zz\""));
        assert_eq!(pairs("a;b").1.as_deref(), Some("invalid semicolon separator in query"));
        assert_eq!(pairs("a=%4").1.as_deref(), Some("invalid URL escape \"%4\""));
        assert_eq!(pairs("a=1").1, None);
    }
}
