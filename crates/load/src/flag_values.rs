//! Values of flags about connections, credentials and logs: text in, setting out, or what to write instead.

use std::time::Duration;

use crate::command_line::{invalid, number};
use crate::go;
use crate::go::flag::FlagError;
use crate::options::{AccessLogFormat, AddressFamily, AddressOrder};

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
