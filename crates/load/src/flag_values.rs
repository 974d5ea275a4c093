//! Values of flags: text in, setting out, or what to write instead.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::Level;
use crate::go;
use crate::go::flag::FlagError;
use crate::options::{AccessLogFormat, AddressFamily, AddressOrder};

pub(crate) fn invalid(name: &'static str, value: &str, why: impl Into<String>) -> FlagError {
    FlagError::Value { name, value: value.to_owned(), why: why.into() }
}

pub(crate) fn number<T: std::str::FromStr>(name: &'static str, value: &str) -> Result<T, FlagError> {
    value.parse().map_err(|_| invalid(name, value, "parse error"))
}

pub(crate) fn finite(name: &'static str, value: &str) -> Result<f64, FlagError> {
    number::<f64>(name, value).and_then(|number| {
        if number.is_finite() { Ok(number) } else { Err(invalid(name, value, "value out of range")) }
    })
}

/// `None` where nothing is named.
pub(crate) fn path(value: &str) -> Option<PathBuf> {
    Some(PathBuf::from(value)).filter(|path| path != "")
}

/// `None` for zero and below.
pub(crate) fn duration(name: &'static str, value: &str) -> Result<Option<Duration>, FlagError> {
    let duration = go::duration::parse(value)
        .ok_or_else(|| invalid(name, value, "parse error; a duration has a unit, such as 5s or 250ms"))?;
    Ok(duration.positive())
}

pub(crate) fn level(name: &'static str, value: &str) -> Result<Level, FlagError> {
    Level::named(value).ok_or_else(|| {
        invalid(name, value, "should be one of [Debug Verbose Info Warning Error Critical Fatal]")
    })
}

pub(crate) fn percentiles(name: &'static str, value: &str) -> Result<Vec<f64>, FlagError> {
    value
        .split(',')
        .filter(|part| !part.trim().is_empty())
        .map(|part| part.trim().parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p)))
        .collect::<Option<_>>()
        .ok_or_else(|| invalid(name, value, "should be percentages between 0 and 100, such as 50,99.9"))
}

pub(crate) fn token(name: &'static str, value: &str) -> Result<String, FlagError> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if !value.is_empty() && value.chars().all(is_token) {
        return Ok(value.to_owned());
    }
    Err(invalid(name, value, "not a method"))
}

pub(crate) fn header(name: &'static str, text: &str) -> Result<(String, String), FlagError> {
    let bad = || invalid(name, text, format!("invalid extra header '{text}', expecting Key: Value"));
    let (key, value) = text.split_once(':').ok_or_else(bad)?;
    if text.chars().any(|c| c.is_ascii_control() && c != '\t') || token(name, key.trim()).is_err() {
        return Err(bad());
    }
    // Blanks are cut off when it is sent; here they tell an empty User-Agent from one that is to be removed.
    Ok((key.trim().to_owned(), value.to_owned()))
}

/// `min:max`, `max:min`, or one number for both; nothing and zeros are no bound.
pub(crate) fn reuse(name: &'static str, value: &str) -> Result<Option<(u32, u32)>, FlagError> {
    if value.is_empty() {
        return Ok(None);
    }
    let bad = || {
        let why = "invalid value for connection reuse range, should be min:max, such as 10:30";
        invalid(name, value, why)
    };
    let numbers: Vec<u32> =
        value.split(':').map(|part| part.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    match *numbers.as_slice() {
        [0] | [0, 0] => Ok(None),
        [both] => Ok(Some((both, both))),
        [one, other] => Ok(Some((one.min(other), one.max(other)))),
        _ => Err(invalid(name, value, "more than two integers were provided in the connection reuse range")),
    }
}

pub(crate) fn address_order(name: &'static str, value: &str) -> Result<AddressOrder, FlagError> {
    match value {
        "cached-rr" => Ok(AddressOrder::CachedRoundRobin),
        "rr" => Ok(AddressOrder::RoundRobin),
        "rnd" => Ok(AddressOrder::Random),
        "first" => Ok(AddressOrder::First),
        _ => {
            let why = "invalid value for dns method, should be one of cached-rr, first, rnd or rr";
            Err(invalid(name, value, why))
        }
    }
}

pub(crate) fn address_family(name: &'static str, value: &str) -> Result<AddressFamily, FlagError> {
    match value {
        "ip4" => Ok(AddressFamily::Ip4),
        "ip6" => Ok(AddressFamily::Ip6),
        "ip" | "" => Ok(AddressFamily::Any),
        _ => Err(invalid(name, value, "should be one of ip4, ip6 or ip")),
    }
}

pub(crate) fn access_log_format(name: &'static str, value: &str) -> Result<AccessLogFormat, FlagError> {
    match value.to_ascii_lowercase().as_str() {
        "json" => Ok(AccessLogFormat::Json),
        "influx" => Ok(AccessLogFormat::Influx),
        _ => Err(invalid(name, value, "should be \"json\" or \"influx\"")),
    }
}

/// Bytes.
pub(crate) fn kilobytes(name: &'static str, value: &str) -> Result<usize, FlagError> {
    let size = number::<usize>(name, value)?.checked_mul(1024).filter(|size| *size > 0);
    size.ok_or_else(|| invalid(name, value, "should be above zero"))
}

/// Not below zero: the histogram has no place for what would come before its begin.
pub(crate) fn offset(name: &'static str, value: &str) -> Result<Duration, FlagError> {
    match go::duration::parse(value) {
        Some(offset) if !offset.negative => Ok(offset.magnitude),
        Some(_) => Err(invalid(name, value, "should not be below zero")),
        None => Err(invalid(name, value, "parse error; a duration has a unit, such as 5s or 250ms")),
    }
}

/// `user:password`. What is wrong is told without showing it.
pub(crate) fn credentials(name: &'static str, value: &str) -> Result<Option<String>, FlagError> {
    match value {
        "" => Ok(None),
        given if given.contains(':') => Ok(Some(given.to_owned())),
        _ => Err(invalid(name, "...", "expecting \"user:password\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_reuse_is_one_number_or_two_in_any_order() {
        let read = |value| reuse("connection-reuse", value).map_err(|error| error.to_string());
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("0:0").unwrap(), None);
        assert_eq!(read("5").unwrap(), Some((5, 5)));
        assert_eq!(read("30:10").unwrap(), Some((10, 30)));
        assert!(read("a:b").unwrap_err().contains("should be min:max"));
        assert!(read("-1:2").is_err());
        assert!(read("1:2:3").unwrap_err().contains("more than two integers"));
    }

    #[test]
    fn a_password_without_a_user_is_refused_and_not_shown() {
        assert_eq!(credentials("user", "me:secret").unwrap(), Some("me:secret".into()));
        let said = credentials("user", "secret").unwrap_err().to_string();
        assert!(said.contains("user:password") && !said.contains("secret"), "{said}");
    }

    #[test]
    fn names_are_those_of_fortio() {
        assert!(address_order("dns-method", "rr").is_ok_and(|order| order == AddressOrder::RoundRobin));
        assert!(address_order("dns-method", "foo").is_err());
        assert!(address_family("resolve-ip-type", "ip").is_ok_and(|family| family == AddressFamily::Any));
        assert!(address_family("resolve-ip-type", "ip5").is_err());
        assert!(access_log_format("f", "INFLUX").is_ok_and(|format| format == AccessLogFormat::Influx));
        assert!(access_log_format("f", "csv").is_err());
        assert!(kilobytes("httpbufferkb", "0").is_err() && kilobytes("httpbufferkb", "-1").is_err());
        assert_eq!(offset("offset", "0").unwrap(), Duration::ZERO);
        assert!(offset("offset", "-1ms").is_err());
    }
}
