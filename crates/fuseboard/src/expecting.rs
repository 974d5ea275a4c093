//! Holds a run against its expectations: reads them from files, asks the proxy for its counters before the first call
//! and after the last, prints the verdicts. What an expectation means is decided in `fuseboard_load`.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use fuseboard_admin::AdminClient;
use fuseboard_load::{Beyond, Expectation, Report, Stats, Verdict, junit};

use crate::asking;
use crate::exit::{Exit, Failure};
use crate::output;

/// A proxy that does not answer must not hold the run for longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy may count a call a moment after its caller has the answer.
const SETTLING: Duration = Duration::from_secs(1);

const ONE_A_LINE: &str = "name a file with one expectation a line, such as errors == 0";

/// The expectations of one run, and the proxy to ask.
pub(crate) struct Expecting {
    expectations: Vec<Expectation>,
    proxy: Option<AdminClient>,
    /// The counters when the warm-up was over.
    before: Mutex<Result<Option<Stats>, Failure>>,
    junit: Option<String>,
}

impl Expecting {
    /// Reads the files, and asks the proxy once if it will be needed: what is wrong shows before the first call.
    pub(crate) fn of(beyond: &Beyond) -> Result<Self, Failure> {
        let mut expectations = beyond.expectations.clone();
        for path in &beyond.expectation_files {
            expectations.extend(read(path)?);
        }
        let needs_proxy = expectations.iter().any(|one| one.stats().next().is_some());
        let proxy = if needs_proxy { Some(proxy(beyond.admin.as_deref())?) } else { None };
        let expecting =
            Self { expectations, proxy, before: Mutex::new(Ok(None)), junit: beyond.junit.clone() };
        expecting.look()?;
        Ok(expecting)
    }

    /// To be called when the warm-up is over: it is not part of what is compared.
    pub(crate) fn begin(&self) {
        *self.before.lock().unwrap_or_else(PoisonError::into_inner) = self.look();
    }

    /// Judges, and says whether everything holds. Blocks for as long as the proxy needs to count what its callers saw.
    /// A proxy that did not answer is an error, but the report has its verdicts all the same.
    pub(crate) fn judge(&self, report: &mut Report) -> Result<bool, Failure> {
        let before = mem::replace(&mut *self.before.lock().unwrap_or_else(PoisonError::into_inner), Ok(None));
        let deadline = Instant::now() + SETTLING;
        loop {
            let after = self.look();
            let stats = match (&before, &after) {
                (Ok(Some(before)), Ok(Some(after))) => Some((before, after)),
                _ => None,
            };
            let holds = report.judge(&self.expectations, stats);
            if holds || stats.is_none() || Instant::now() >= deadline {
                return before.and(after).map(|_| holds);
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// `-junit`.
    pub(crate) fn save(&self, report: &Report) -> Result<(), Failure> {
        if let Some(path) = &self.junit {
            let xml = junit(&report.options().http.url, report.elapsed(), report.verdicts());
            std::fs::write(path, xml).with_context(|| format!("the verdicts cannot be written to {path}"))?;
        }
        Ok(())
    }

    fn look(&self) -> Result<Option<Stats>, Failure> {
        let Some(proxy) = &self.proxy else { return Ok(None) };
        let text = asking::text(proxy, "/stats?type=Counters").map_err(|failure| {
            failure.next(
                "an expectation speaks of the proxy's own counters: name its admin address with -admin HOST:PORT",
            )
        })?;
        Ok(Some(Stats::parse(&text)))
    }
}

fn proxy(address: Option<&str>) -> Result<AdminClient, Failure> {
    let address = match address {
        Some(text) => text.parse().map_err(|error| Failure::new(Exit::Usage, error))?,
        None => asking::discover()?,
    };
    Ok(AdminClient::new(address).with_timeout(PATIENCE))
}

/// One expectation a line; every mistake of the file at once.
fn read(path: &str) -> Result<Vec<Expectation>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::message(Exit::BadInput, format_args!("-expect-file {path}: {error}")).next(ONE_A_LINE)
    })?;
    let (mut expectations, mut mistakes) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or(line).trim();
        if line.is_empty() {
            continue;
        }
        match Expectation::parse(line) {
            Ok(expectation) => expectations.push(expectation),
            Err(mistake) => mistakes.push(format!("{path}:{number}: {mistake}")),
        }
    }
    if expectations.is_empty() && mistakes.is_empty() {
        return Err(
            Failure::message(Exit::BadInput, format_args!("{path}: no expectation in it")).next(ONE_A_LINE)
        );
    }
    if mistakes.is_empty() {
        return Ok(expectations);
    }
    Err(Failure::message(Exit::BadInput, mistakes.join("\n")))
}

/// The verdicts as a block of text; empty when nothing was expected.
pub(crate) fn verdicts(verdicts: &[Verdict]) -> String {
    let holding = verdicts.iter().filter(|verdict| verdict.holds).count();
    let width = verdicts.iter().map(|verdict| verdict.expectation.chars().count()).max().unwrap_or(0);
    let mut lines = Vec::new();
    if !verdicts.is_empty() {
        lines.push(format!("\nExpectations: {holding} of {} hold\n", verdicts.len()));
    }
    for Verdict { expectation, holds, measured } in verdicts {
        let (style, word) = if *holds { (output::GOOD, "holds") } else { (output::BAD, "fails") };
        let fill = " ".repeat(width - expectation.chars().count());
        lines.push(format!("  {}  {expectation}{fill}  {measured}\n", output::styled(style, word)));
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_line_by_line_and_all_its_mistakes_are_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_string_lossy().into_owned();
        std::fs::write(&path, "# what we promise\nerrors == 0   # always\n\np99 < 50ms\n").unwrap();
        let texts: Vec<String> = read(&path).unwrap().iter().map(|one| one.text().to_owned()).collect();
        assert_eq!(texts, ["errors == 0", "p99 < 50ms"]);
        std::fs::write(&path, "errors = 0\np99 < 1s\np99 < 5\n").unwrap();
        let failure = read(&path).unwrap_err();
        let said = failure.error.to_string();
        assert_eq!(failure.exit, Exit::BadInput);
        assert!(
            said.contains(":1: write == for equal") && said.contains(":3: expected a duration"),
            "{said}"
        );
    }

    #[test]
    fn a_file_without_an_expectation_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_string_lossy().into_owned();
        std::fs::write(&path, "# later\n\n").unwrap();
        let failure = read(&path).unwrap_err();
        assert_eq!(
            (failure.exit, failure.error.to_string()),
            (Exit::BadInput, format!("{path}: no expectation in it"))
        );
        assert!(read("no/such").unwrap_err().error.to_string().starts_with("-expect-file no/such: "));
    }

    #[test]
    fn verdicts_stand_in_columns() {
        let verdict = |expectation: &str, holds, measured: &str| Verdict {
            expectation: expectation.to_owned(),
            holds,
            measured: measured.to_owned(),
        };
        let block = verdicts(&[verdict("errors == 0", true, "0 of 9"), verdict("p9 < 1s", false, "2s")]);
        let plain = anstream::adapter::strip_str(&block).to_string();
        assert_eq!(
            plain,
            "\nExpectations: 1 of 2 hold\n  holds  errors == 0  0 of 9\n  fails  p9 < 1s      2s\n"
        );
        assert_eq!(verdicts(&[]), "");
    }
}
