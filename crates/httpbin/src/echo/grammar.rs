//! The grammar of fortio's echo: a value for all requests (`status=503`), or shares of them in percent
//! (`status=503:20,429:1.5&delay=150us:10,2ms:5&size=100:50&close=5&gzip=50&header=K:V`). What the shares leave over gets
//! the default: 200, no delay, the body as it came, keep-alive, no compression.

use std::time::Duration;

use fuseboard_go::duration::parse;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::random::Random;
use crate::server::Options;
use crate::style::Values;

/// What nobody gets more of, whatever is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// A longer delay is cut to this.
    pub(crate) delay: Duration,
    /// A larger size is cut to this.
    pub(crate) size: usize,
    /// A longer request body is refused.
    pub(crate) body: usize,
}

impl Bounds {
    /// Those of an instance of httpbin.
    pub(crate) fn of(options: &Options) -> Self {
        Self { delay: options.max_duration, size: options.max_body_bytes, body: options.max_body_bytes }
    }
}

/// A query, read.
#[derive(Debug)]
pub(crate) struct Wishes {
    status: Shares<StatusCode>,
    delay: Shares<Duration>,
    size: Shares<usize>,
    close: f64,
    gzip: f64,
    headers: HeaderMap,
}

/// What one request gets, after the dice were thrown.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) status: StatusCode,
    pub(crate) delay: Duration,
    /// `None`: the body comes back as it came.
    pub(crate) size: Option<usize>,
    pub(crate) close: bool,
    pub(crate) gzip: bool,
}

impl Wishes {
    /// Every problem of the query, where there is one.
    pub(crate) fn read(query: &Values, bounds: Bounds) -> Result<Self, Vec<String>> {
        let first = |name: &str| query.get(name).and_then(|values| values.first()).map_or("", String::as_str);
        let mut problems = Vec::new();
        let delay = |text: &str| {
            let delay = parse(text)?;
            Some(if delay.negative { Duration::ZERO } else { delay.magnitude.min(bounds.delay) })
        };
        let size = |text: &str| {
            let size = text.parse::<i64>().ok()?;
            Some(usize::try_from(size).unwrap_or(0).min(bounds.size))
        };
        let wishes = Self {
            status: Shares::read("status", first("status"), STATUS, status, &mut problems),
            delay: Shares::read(
                "delay",
                first("delay"),
                "a duration such as 150us or 2ms",
                delay,
                &mut problems,
            ),
            size: Shares::read("size", first("size"), "a number of bytes", size, &mut problems),
            close: always_or_share("close", first("close"), &mut problems),
            gzip: always_or_share("gzip", first("gzip"), &mut problems),
            headers: headers(query.get("header").map_or(&[], Vec::as_slice), &mut problems),
        };
        if problems.is_empty() { Ok(wishes) } else { Err(problems) }
    }

    pub(crate) fn roll(&self, random: &mut Random) -> Wanted {
        Wanted {
            status: self.status.draw(random).unwrap_or(StatusCode::OK),
            delay: self.delay.draw(random).unwrap_or_default(),
            size: self.size.draw(random),
            close: random.unit() * 100.0 < self.close,
            gzip: random.unit() * 100.0 < self.gzip,
        }
    }

    /// The headers of the answer that were asked for.
    pub(crate) fn into_headers(self) -> HeaderMap {
        self.headers
    }
}

const STATUS: &str = "a status between 200 and 999";

fn status(text: &str) -> Option<StatusCode> {
    let code = text.parse().ok().filter(|code| *code >= 200)?;
    StatusCode::from_u16(code).ok()
}

/// Values with the percentages up to which the dice choose them.
#[derive(Debug)]
pub(crate) struct Shares<T>(Vec<(T, f64)>);

impl<T: Copy> Shares<T> {
    /// One value for all, or `value:percent` pairs.
    pub(crate) fn read(
        name: &str,
        text: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
        problems: &mut Vec<String>,
    ) -> Self {
        let mut shares = Vec::new();
        if text.is_empty() {
            return Self(shares);
        }
        let value = |text: &str, problems: &mut Vec<String>| {
            let value = parse(text);
            if value.is_none() {
                problems.push(format!("{name}: {text:?} is not {expected}"));
            }
            value
        };
        if !text.contains([',', ':']) {
            shares.extend(value(text, problems).map(|value| (value, 100.0)));
            return Self(shares);
        }
        let mut sum = 0.0;
        for pair in text.split(',') {
            let Some((text, percent)) = pair.split_once(':') else {
                problems.push(format!("{name}: {pair:?} has no share; in a list, write {pair}:PERCENT"));
                continue;
            };
            let (value, percent) = (value(text, problems), percentage(name, percent, problems));
            sum += percent.unwrap_or_default();
            shares.extend(value.map(|value| (value, sum)));
        }
        // Sums of decimal fractions are not exact.
        if sum > 100.0 + 1e-6 {
            problems.push(format!("{name}: the shares in {text:?} are {sum} percent together, above 100"));
        }
        Self(shares)
    }

    pub(crate) fn draw(&self, random: &mut Random) -> Option<T> {
        if self.0.is_empty() {
            return None;
        }
        let dice = random.unit() * 100.0;
        self.0.iter().find(|(_, up_to)| dice < *up_to).map(|(value, _)| *value)
    }
}

fn percentage(name: &str, text: &str, problems: &mut Vec<String>) -> Option<f64> {
    let percent = text.strip_suffix('%').unwrap_or(text).parse::<f64>().ok();
    let percent = percent.filter(|percent| (0.0..=100.0).contains(percent));
    if percent.is_none() {
        problems.push(format!("{name}: {text:?} is not a percentage between 0 and 100"));
    }
    percent
}

/// The percentage of `true`, `false` or a percentage.
pub(crate) fn always_or_share(name: &str, text: &str, problems: &mut Vec<String>) -> f64 {
    match text {
        "" | "false" => 0.0,
        "true" => 100.0,
        text => percentage(name, text, problems).unwrap_or_default(),
    }
}

pub(crate) fn headers(wanted: &[String], problems: &mut Vec<String>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for text in wanted.iter().filter(|text| !text.is_empty()) {
        let header = text.split_once(':').and_then(|(name, value)| {
            Some((name.trim().parse::<HeaderName>().ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        match header {
            // How long the answer is, and where it ends, is not the caller's to choose.
            Some((name, _))
                if name == http::header::CONTENT_LENGTH || name == http::header::TRANSFER_ENCODING =>
            {
                problems.push(format!("header: {text:?} would contradict the answer; use size"));
            }
            Some((name, value)) => {
                headers.append(name, value);
            }
            None => problems.push(format!("header: {text:?} is not Name:value")),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query;

    const BOUNDS: Bounds = Bounds { delay: Duration::from_millis(1_500), size: 1_000, body: 0 };

    fn read(query: &str) -> Result<Wishes, Vec<String>> {
        Wishes::read(&query::pairs(query).0, BOUNDS)
    }

    /// Percentage of rolls for which `hit` holds.
    fn share_of(query: &str, hit: impl Fn(&Wanted) -> bool) -> f64 {
        let (wishes, mut random) = (read(query).unwrap(), Random::new(5));
        let rounds = 10_000;
        let hits = (0..rounds).filter(|_| hit(&wishes.roll(&mut random))).count();
        hits as f64 / f64::from(rounds) * 100.0
    }

    #[test]
    fn percentages_are_shares_of_all_requests() {
        let share = |code: u16| share_of("status=503:20,429:5.5%25", |wanted| wanted.status == code);
        assert!((share(503) - 20.0).abs() < 1.5);
        assert!((share(429) - 5.5).abs() < 1.0);
        assert!((share(200) - 74.5).abs() < 1.5);
        assert!((share_of("close=5.3", |wanted| wanted.close) - 5.3).abs() < 1.0);
        assert!((share_of("size=1:50", |wanted| wanted.size == Some(1)) - 50.0).abs() < 2.0);
        assert!((share_of("delay=2ms:30", |wanted| wanted.delay.as_millis() == 2) - 30.0).abs() < 2.0);
    }

    #[test]
    fn all_and_none_are_exact() {
        for query in ["status=503", "status=503:100", "status=503:50,503:50"] {
            assert!((share_of(query, |wanted| wanted.status == 503) - 100.0).abs() < f64::EPSILON, "{query}");
        }
        assert!(share_of("status=503:0", |wanted| wanted.status == 503).abs() < f64::EPSILON);
        assert!((share_of("gzip=true&close=true", |wanted| wanted.gzip && wanted.close) - 100.0).abs() < 0.1);
    }

    #[test]
    fn what_is_above_a_bound_is_cut() {
        let wanted = read("delay=1h&size=99999").unwrap().roll(&mut Random::new(1));
        assert_eq!((wanted.delay, wanted.size), (BOUNDS.delay, Some(BOUNDS.size)));
        let wanted = read("delay=-1s&size=-5").unwrap().roll(&mut Random::new(1));
        assert_eq!((wanted.delay, wanted.size), (Duration::ZERO, Some(0)));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let problems = read("status=abc&delay=x:5&size=1:x&close=often&header=x").unwrap_err();
        assert_eq!(
            problems,
            [
                "status: \"abc\" is not a status between 200 and 999",
                "delay: \"x\" is not a duration such as 150us or 2ms",
                "size: \"x\" is not a percentage between 0 and 100",
                "close: \"often\" is not a percentage between 0 and 100",
                "header: \"x\" is not Name:value",
            ]
        );
        for (query, problem) in [
            (
                "status=503:60,429:60",
                "status: the shares in \"503:60,429:60\" are 120 percent together, above 100",
            ),
            ("status=503:30,200", "status: \"200\" has no share; in a list, write 200:PERCENT"),
            ("status=100", "status: \"100\" is not a status between 200 and 999"),
            ("header=Content-Length:5", "header: \"Content-Length:5\" would contradict the answer; use size"),
        ] {
            assert_eq!(read(query).unwrap_err(), [problem]);
        }
    }
}
