//! Floating-point numbers as Go's `%g`, `%.Ng` and `encoding/json` write them. Rust has no such form.

use std::fmt::Write as _;

/// `%g`: the fewest digits that read back as the same number; with an exponent below 1e-4 and from 1e6 on.
pub fn shortest(value: f64) -> String {
    match special(value) {
        Some(text) => text.into(),
        None => layout(&Digits::of(&format!("{value:e}")), 6),
    }
}

/// `%.Ng`: `precision` significant digits at most, no trailing zeros.
pub fn significant(value: f64, precision: usize) -> String {
    if let Some(text) = special(value) {
        return text.into();
    }
    let precision = precision.max(1);
    let digits = Digits::of(&format!("{value:.*e}", precision - 1));
    layout(&digits, i32::try_from(precision).unwrap_or(i32::MAX))
}

fn special(value: f64) -> Option<&'static str> {
    match value {
        v if v.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        v if v == 0.0 => Some(if v.is_sign_negative() { "-0" } else { "0" }),
        _ => None,
    }
}

/// A number as sign, decimal digits `d.ddd` without trailing zeros, and power of ten.
struct Digits {
    negative: bool,
    significant: String,
    exponent: i32,
}

impl Digits {
    /// From Rust's `{:e}` form, which is always `[-]d[.ddd]e[-]dd`.
    fn of(scientific: &str) -> Self {
        let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
        let negative = mantissa.starts_with('-');
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let kept = digits.trim_end_matches('0').len().max(1);
        Self { negative, significant: digits[..kept].to_owned(), exponent: exponent.parse().unwrap_or(0) }
    }
}

fn layout(number: &Digits, widest: i32) -> String {
    let Digits { negative, significant: digits, exponent } = number;
    let mut text = String::with_capacity(24);
    if *negative {
        text.push('-');
    }
    let places = usize::try_from(exponent.unsigned_abs()).unwrap_or(usize::MAX);
    if *exponent < -4 || *exponent >= widest {
        text.push_str(&digits[..1]);
        if digits.len() > 1 {
            text.push('.');
            text.push_str(&digits[1..]);
        }
        let sign = if *exponent < 0 { '-' } else { '+' };
        // Writing to a String cannot fail.
        let _ = write!(text, "e{sign}{places:02}");
    } else if *exponent < 0 {
        text.push_str("0.");
        text.extend(std::iter::repeat_n('0', places - 1));
        text.push_str(digits);
    } else if digits.len() <= places + 1 {
        text.push_str(digits);
        text.extend(std::iter::repeat_n('0', places + 1 - digits.len()));
    } else {
        text.push_str(&digits[..=places]);
        text.push('.');
        text.push_str(&digits[places + 1..]);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shortest_is_written_as_go_writes_it() {
        for (value, text) in [
            (0.0, "0"),
            (8.0, "8"),
            (-1.0, "-1"),
            (2.5, "2.5"),
            (99.9, "99.9"),
            (100.0, "100"),
            (0.000_5, "0.0005"),
            (0.000_025_161, "2.5161e-05"),
            (0.001_561_673, "0.001561673"),
            (123_456.789, "123456.789"),
            (1e6, "1e+06"),
            (1_048_576.0, "1.048576e+06"),
            (-0.337_234_453, "-0.337234453"),
        ] {
            assert_eq!(shortest(value), text);
        }
    }

    #[test]
    fn significant_digits_are_a_maximum() {
        for (value, precision, text) in [
            (8_325.563, 5, "8325.6"),
            (21_641.735, 5, "21642"),
            (1_686.040_679, 5, "1686"),
            (123_456.0, 5, "1.2346e+05"),
            (0.000_183_958_15, 8, "0.00018395815"),
            (0.000_075_61, 4, "7.561e-05"),
            (4_214_588.0, 9, "4214588"),
            (199.333_333_33, 8, "199.33333"),
            (0.0, 6, "0"),
            (9.999_999, 3, "10"),
        ] {
            assert_eq!(significant(value, precision), text);
        }
    }

    proptest! {
        #[test]
        fn the_shortest_form_reads_back_as_the_same_number(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let text = shortest(value);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{}", text);
        }

        #[test]
        fn significant_digits_round_as_the_scientific_form_does(
            value in prop_oneof![-1e12..1e12_f64, -1e-3..1e-3_f64],
            precision in 1_usize..16,
        ) {
            let text = significant(value, precision);
            let expected: f64 = format!("{value:.*e}", precision - 1).parse().unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), (expected + 0.0).to_bits(), "{}", text);
            let digits = text.split('e').next().unwrap().trim_start_matches(['-', '0', '.']);
            prop_assert!(digits.chars().filter(char::is_ascii_digit).count() <= precision);
        }
    }
}
