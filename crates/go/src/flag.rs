//! The grammar of Go's `flag` package: one dash or two, `-name value` or `-name=value`, booleans only
//! `-name` or `-name=true`, and the first argument that is no flag ends the flags. Which flags there are is
//! the caller's table.

/// One flag of a table.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Name without dashes.
    pub name: &'static str,
    /// What stands behind the name in the usage text; `None` for a boolean.
    pub value: Option<&'static str>,
    /// One sentence.
    pub help: &'static str,
    /// Default as the usage text shows it; empty for none.
    pub default: &'static str,
}

/// Arguments split into flags with their values, and the rest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parsed {
    /// Name and value of each flag, in order; a bare boolean has the value `true`.
    pub flags: Vec<(&'static str, String)>,
    /// Everything from the first argument that is no flag.
    pub rest: Vec<String>,
}

/// What is wrong with the arguments. The texts are Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlagError {
    /// `-h`, `-help`: not an error, but the caller prints the usage text and stops.
    #[error("help requested")]
    Help,
    /// A name that is not in the table.
    #[error("flag provided but not defined: -{name}{}", suggestion(*.nearest))]
    Unknown {
        /// As given, without dashes.
        name: String,
        /// The name in the table that is most like it.
        nearest: Option<&'static str>,
    },
    /// The last argument wants a value.
    #[error("flag needs an argument: -{0}")]
    NoValue(&'static str),
    /// `-=x`, `---x`.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// A value that the flag cannot take.
    #[error("invalid value {value:?} for flag -{name}: {why}")]
    Value {
        /// Name of the flag.
        name: &'static str,
        /// Value as given.
        value: String,
        /// What it should be.
        why: String,
    },
    /// A boolean that is neither true nor false.
    #[error("invalid boolean value {value:?} for -{name}: parse error")]
    Boolean {
        /// Name of the flag.
        name: &'static str,
        /// Value as given.
        value: String,
    },
}

fn suggestion(nearest: Option<&'static str>) -> String {
    nearest.map(|name| format!(" (did you mean -{name}?)")).unwrap_or_default()
}

/// Splits `arguments` (without the program's and the command's name) by the table.
pub fn parse(table: &[Flag], arguments: &[String]) -> Result<Parsed, FlagError> {
    let mut parsed = Parsed::default();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let Some(body) = argument.strip_prefix('-').filter(|body| !body.is_empty()) else {
            parsed.rest.push(argument.clone());
            break;
        };
        let body = body.strip_prefix('-').unwrap_or(body);
        if body.is_empty() {
            break;
        }
        if body.starts_with(['-', '=']) {
            return Err(FlagError::Syntax(argument.clone()));
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let Some(flag) = table.iter().find(|flag| flag.name == name) else {
            if matches!(name, "h" | "help") {
                return Err(FlagError::Help);
            }
            return Err(FlagError::Unknown { name: name.to_owned(), nearest: nearest(table, name) });
        };
        let value = match (value, flag.value) {
            (Some(value), _) => value,
            (None, None) => "true".to_owned(),
            (None, Some(_)) => arguments.next().cloned().ok_or(FlagError::NoValue(flag.name))?,
        };
        parsed.flags.push((flag.name, value));
    }
    parsed.rest.extend(arguments.cloned());
    Ok(parsed)
}

/// A boolean in any of Go's spellings.
pub fn boolean(name: &'static str, value: &str) -> Result<bool, FlagError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(FlagError::Boolean { name, value: value.to_owned() }),
    }
}

/// The table as Go prints it: name and value, then help behind a tab, with the default in brackets.
pub fn usage(table: &[Flag]) -> String {
    let mut sorted: Vec<&Flag> = table.iter().collect();
    sorted.sort_by_key(|flag| flag.name);
    let mut text = String::new();
    for Flag { name, value, help, default } in sorted {
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        // A one-letter boolean has room for its help on the same line.
        let gap = if name.len() == 1 && value.is_empty() { "\t" } else { "\n    \t" };
        let default = if default.is_empty() { String::new() } else { format!(" (default {default})") };
        text.extend(["  -", name, value.as_str(), gap, help, default.as_str(), "\n"]);
    }
    text
}

/// The name in the table that `name` was most likely meant to be.
fn nearest(table: &[Flag], name: &str) -> Option<&'static str> {
    let allowed = (name.len() / 3).max(1);
    table
        .iter()
        .map(|flag| (distance(flag.name, name), flag.name))
        .filter(|(distance, known)| *distance <= allowed && *distance < known.len())
        .min()
        .map(|(_, known)| known)
}

/// Edits (insert, delete, replace, swap of neighbours) that turn one name into the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j + 1] + 1).min(row[j] + 1).min(last[j] + usize::from(x != y));
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &[Flag] = &[
        Flag { name: "c", value: Some("int"), help: "Connections", default: "4" },
        Flag { name: "qps", value: Some("float"), help: "Rate", default: "8" },
        Flag { name: "quiet", value: None, help: "Say less", default: "" },
        Flag { name: "a", value: None, help: "Save", default: "" },
    ];

    fn split(arguments: &[&str]) -> Result<Parsed, FlagError> {
        let owned: Vec<String> = arguments.iter().map(|&a| a.to_owned()).collect();
        parse(TABLE, &owned)
    }

    fn flags(arguments: &[&str]) -> Vec<(&'static str, String)> {
        split(arguments).unwrap().flags
    }

    #[test]
    fn one_dash_or_two_with_space_or_equals_sign_mean_the_same() {
        let expected = vec![("c", "2".to_owned())];
        for arguments in [&["-c", "2"][..], &["--c", "2"], &["-c=2"], &["--c=2"]] {
            assert_eq!(flags(arguments), expected);
        }
    }

    #[test]
    fn a_boolean_takes_no_value_from_the_next_argument() {
        let parsed = split(&["-quiet", "false", "-c", "2"]).unwrap();
        assert_eq!(parsed.flags, [("quiet", "true".to_owned())]);
        assert_eq!(parsed.rest, ["false", "-c", "2"]);
        assert_eq!(flags(&["-quiet=false"]), [("quiet", "false".to_owned())]);
    }

    #[test]
    fn a_negative_number_may_be_a_value() {
        assert_eq!(flags(&["-qps", "-1"]), [("qps", "-1".to_owned())]);
    }

    #[test]
    fn the_first_other_argument_or_two_dashes_end_the_flags() {
        assert_eq!(split(&["-c", "2", "url", "-quiet"]).unwrap().rest, ["url", "-quiet"]);
        assert_eq!(split(&["--", "-c"]).unwrap().rest, ["-c"]);
        assert_eq!(split(&["-", "-c"]).unwrap().rest, ["-", "-c"]);
    }

    #[test]
    fn mistakes_are_told_in_go_s_words_and_with_a_suggestion() {
        let said = |arguments: &[&str]| split(arguments).unwrap_err().to_string();
        assert_eq!(said(&["-qbs", "3"]), "flag provided but not defined: -qbs (did you mean -qps?)");
        assert_eq!(said(&["-queit"]), "flag provided but not defined: -queit (did you mean -quiet?)");
        assert_eq!(said(&["-zzzz"]), "flag provided but not defined: -zzzz");
        assert_eq!(said(&["-c"]), "flag needs an argument: -c");
        assert_eq!(said(&["---c"]), "bad flag syntax: ---c");
        assert_eq!(said(&["-=c"]), "bad flag syntax: -=c");
        assert_eq!(split(&["-h"]), Err(FlagError::Help));
        assert_eq!(
            boolean("quiet", "maybe").unwrap_err().to_string(),
            "invalid boolean value \"maybe\" for -quiet: parse error"
        );
    }

    #[test]
    fn usage_is_laid_out_as_go_lays_it_out() {
        assert_eq!(
            usage(TABLE),
            "  -a\tSave\n  -c int\n    \tConnections (default 4)\n  -qps float\n    \tRate (default 8)\n  -quiet\n    \tSay less\n"
        );
    }

    proptest! {
        #[test]
        fn flags_written_out_are_read_back(
            values in prop::collection::vec((0_usize..4, "[a-z0-9=.]{0,6}", any::<bool>(), any::<bool>()), 0..8),
            rest in prop::collection::vec("[a-z][a-z-]{0,4}", 0..3),
        ) {
            let mut written = Vec::new();
            let mut expected = Vec::new();
            for (flag, value, two_dashes, joined) in values {
                let flag = &TABLE[flag];
                let dashes = if two_dashes { "--" } else { "-" };
                if joined {
                    written.push(format!("{dashes}{}={value}", flag.name));
                    expected.push((flag.name, value));
                } else if flag.value.is_some() {
                    written.push(format!("{dashes}{}", flag.name));
                    written.push(value.clone());
                    expected.push((flag.name, value));
                } else {
                    written.push(format!("{dashes}{}", flag.name));
                    expected.push((flag.name, "true".to_owned()));
                }
            }
            written.extend(rest.iter().cloned());
            prop_assert_eq!(parse(TABLE, &written), Ok(Parsed { flags: expected, rest }));
        }

        #[test]
        fn no_arguments_make_the_parser_panic(arguments in prop::collection::vec("\\PC{0,8}", 0..6)) {
            let _ = parse(TABLE, &arguments);
        }
    }
}
