//! Query parameters, and the regular expressions that some of them hold.

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use regex::{Regex, RegexBuilder};

use crate::page::Page;

/// A longer expression is refused.
const MAX_PATTERN: usize = 4096;
/// Memory that a compiled expression may take. Matching is linear in the text, whatever the expression.
const MAX_COMPILED: usize = 1 << 20;

/// The decoded parameters of a request, in order. A `+` is a plus, as in Envoy: expressions need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads what follows the `?` of a target.
    pub fn parse(text: &str) -> Self {
        let decode = |part: &str| percent_decode_str(part).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// Splits a target into its path and its parameters.
    pub fn of_target(target: &str) -> (&str, Self) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        (path, Self::parse(query))
    }

    /// A name or value as a target has it.
    pub fn escape(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    /// The first value of `name`; empty for a parameter without `=`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(candidate, _)| candidate == name).map(|(_, value)| value.as_str())
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether `name` is there, with any value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The regular expression in parameter `name`, which matches anywhere in a text. Fails with the page that says why.
    pub(crate) fn regex(&self, name: &str) -> Result<Option<Regex>, Page> {
        let Some(pattern) = self.get(name) else { return Ok(None) };
        if pattern.len() > MAX_PATTERN {
            let text = format!("Invalid regex: longer than {MAX_PATTERN} bytes\n");
            return Err(Page::text_with(400, text));
        }
        match RegexBuilder::new(pattern).size_limit(MAX_COMPILED).dfa_size_limit(MAX_COMPILED).build() {
            Ok(regex) => Ok(Some(regex)),
            Err(problem) => Err(Page::text_with(400, format!("Invalid regex: {problem}\n"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_stays_a_plus_and_percent_escapes_are_decoded() {
        let query = Query::parse("filter=a+%5Bb%5D&usedonly&x=1=2");
        assert_eq!(query.get("filter"), Some("a+[b]"));
        assert!(query.has("usedonly"));
        assert_eq!(query.get("x"), Some("1=2"));
        assert_eq!(query.get("y"), None);
    }

    #[test]
    fn whatever_is_escaped_reads_back() {
        let text = "a|b: 50 % & \"ü\"\n+?#=";
        assert_eq!(Query::parse(&format!("x={}&y", Query::escape(text))).get("x"), Some(text));
    }

    #[test]
    fn an_expression_that_would_need_much_memory_is_refused() {
        let query = Query::parse("filter=(a%7B1000%7D)%7B1000%7D");
        assert_eq!(query.regex("filter").unwrap_err().status, 400);
        let long = Query::parse(&format!("filter={}", "a".repeat(MAX_PATTERN + 1)));
        assert_eq!(long.regex("filter").unwrap_err().status, 400);
    }
}
