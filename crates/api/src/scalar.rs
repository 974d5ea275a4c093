//! What a scalar means, read as kubectl reads it (YAML 1.1: `yes` is a boolean, `017` is octal).

use crate::tree::{Node, Value};

/// A port by number or by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IntOrText {
    /// By number.
    Int(i32),
    /// By name.
    Text(String),
}

/// What an unquoted scalar is to kubectl; the quoted ones are text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meaning {
    /// `yes`, `true`, `off`.
    Bool(bool),
    /// `5`, `0x10`, `017`.
    Integer(i128),
    /// `0.5`, `1e3`.
    Number(f64),
    /// Everything else.
    Text,
}

/// What unquoted `text` means.
pub fn meaning(text: &str) -> Meaning {
    if let Some(value) = boolean(text) {
        Meaning::Bool(value)
    } else if let Some(value) = integer(text) {
        Meaning::Integer(value)
    } else {
        number(text).map_or(Meaning::Text, Meaning::Number)
    }
}

/// A boolean of YAML 1.1.
pub fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 11] = ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"];
    const FALSE: [&str; 11] = ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"];
    match text {
        _ if TRUE.contains(&text) => Some(true),
        _ if FALSE.contains(&text) => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, `0x`, `0o`, `0b` or with the leading zero of YAML 1.1's octal; underscores between digits are
/// skipped. A float without fraction (`10.0`, `1e3`) counts, as it does once YAML has become JSON.
pub fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x', ..] => (16, &digits[2..]),
        [b'0', b'o', ..] => (8, &digits[2..]),
        [b'0', b'b', ..] => (2, &digits[2..]),
        [b'0', b'0'..=b'9' | b'_', ..] => (8, &digits[1..]),
        [b'0'..=b'9', ..] => (10, digits),
        _ => return None,
    };
    let digits: String = digits.chars().filter(|&c| c != '_').collect();
    if digits.starts_with(['+', '-']) {
        return None;
    }
    match i128::from_str_radix(&digits, radix) {
        Ok(value) => Some(if negative { -value } else { value }),
        Err(_) if radix == 10 => whole(text),
        Err(_) => None,
    }
}

/// A float without fraction that an integer can hold exactly.
fn whole(text: &str) -> Option<i128> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = number(text)?;
    #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and exact")]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i128)
}

/// A finite number.
pub fn number(text: &str) -> Option<f64> {
    let starts_like_one =
        text.trim_start_matches(['-', '+']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = starts_like_one.then(|| text.parse().ok()).flatten()?;
    value.is_finite().then_some(value)
}

/// The text of a scalar that kubectl takes as text.
pub fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar { text, plain } => (!plain || meaning(text) == Meaning::Text).then_some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_as_kubectl_reads_them() {
        for (text, value) in [
            ("5", Some(5)),
            ("-3", Some(-3)),
            ("+7", Some(7)),
            ("0", Some(0)),
            ("017", Some(15)),
            ("0x1F", Some(31)),
            ("0o17", Some(15)),
            ("1_000", Some(1000)),
            ("10.0", Some(10)),
            ("1e3", Some(1000)),
            ("1.5", None),
            ("0x-5", None),
            ("08", None),
            ("", None),
            ("-", None),
            ("5s", None),
            ("1e400", None),
            ("99999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(integer(text), value, "{text:?}");
        }
    }

    #[test]
    fn words_for_true_and_false_follow_yaml_1_1() {
        assert_eq!(meaning("yes"), Meaning::Bool(true));
        assert_eq!(meaning("Off"), Meaning::Bool(false));
        assert_eq!(meaning("yEs"), Meaning::Text);
        assert_eq!(meaning("nan"), Meaning::Text);
        assert_eq!(meaning("inf"), Meaning::Text);
        assert_eq!(meaning("0.5"), Meaning::Number(0.5));
    }
}
