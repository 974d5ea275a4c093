//! Numbers in paths and queries, with the error texts of Go's `strconv`.

/// A whole number; `function` is the one of `strconv` that go-httpbin reads it with.
pub(crate) fn whole(function: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        problem(function, text, if is_number { "value out of range" } else { "invalid syntax" })
    })
}

/// A number with a fraction.
pub(crate) fn fraction(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| problem("ParseFloat", text, "invalid syntax"))
}

fn problem(function: &str, text: &str, what: &str) -> String {
    format!("strconv.{function}: parsing {text:?}: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_in_go_s_words() {
        assert_eq!(whole("Atoi", "-12"), Ok(-12));
        assert_eq!(whole("Atoi", "x").unwrap_err(), "strconv.Atoi: parsing \"x\": invalid syntax");
        assert_eq!(
            whole("ParseInt", "99999999999999999999").unwrap_err(),
            "strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
        );
        assert_eq!(fraction("").unwrap_err(), "strconv.ParseFloat: parsing \"\": invalid syntax");
    }
}
