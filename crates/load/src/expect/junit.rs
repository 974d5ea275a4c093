//! Verdicts in the XML of `JUnit`: one suite, one test case an expectation.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::Verdict;

/// The document, with `suite` as the name of what was tested.
pub fn junit(suite: &str, elapsed: Duration, verdicts: &[Verdict]) -> String {
    let mut tests = TestSuite::new(suite);
    tests.set_time(elapsed);
    for Verdict { expectation, holds, measured } in verdicts {
        let status = if *holds {
            TestCaseStatus::success()
        } else {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(format!("measured: {measured}"));
            failed
        };
        let mut case = TestCase::new(expectation.as_str(), status);
        case.set_classname("fuseboard load");
        case.set_system_out(format!("measured: {measured}"));
        tests.add_test_case(case);
    }
    let mut report = Report::new("fuseboard load");
    report.set_time(elapsed);
    report.add_test_suite(tests);
    // Into memory, and nothing of it depends on the system.
    report.to_string().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdicts_become_test_cases_and_text_is_escaped() {
        let verdict = |expectation: &str, holds| Verdict {
            expectation: expectation.to_owned(),
            holds,
            measured: "1 of 2 (50.0 %)".to_owned(),
        };
        let verdicts = [verdict("errors == 1", true), verdict("p99 < 50ms", false)];
        let xml = junit("http://h/?a=1&b=2", Duration::from_millis(1_500), &verdicts);
        assert!(
            xml.contains("tests=\"2\" skipped=\"0\" errors=\"0\" failures=\"1\" time=\"1.500\""),
            "{xml}"
        );
        assert!(xml.contains("<testcase name=\"p99 &lt; 50ms\" classname=\"fuseboard load\">"), "{xml}");
        assert!(xml.contains("<failure message=\"measured: 1 of 2 (50.0 %)\"/>"), "{xml}");
        assert!(xml.contains("http://h/?a=1&amp;b=2"), "{xml}");
    }
}
