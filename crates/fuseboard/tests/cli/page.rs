//! A page of the documentation as something to do: its console blocks, with the output they promise.
//!
//! A line that begins with `$ ` is a command, with a heredoc going on in the next lines; what follows is what it prints.
//! `...` stands for any lines, `[..]` for any part of a line. A block marked `console stays` holds one command that goes on
//! running in a terminal of its own.

/// One command of a page.
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    /// Line of the page, from 1.
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) expected: Vec<String>,
    /// It goes on while later steps run.
    pub(crate) stays: bool,
}

/// The steps of a page, in order.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block: Option<bool> = None;
    let mut heredoc: Option<String> = None;
    for (number, line) in text.lines().enumerate() {
        let Some(stays) = block else {
            block = line.strip_prefix("```console").map(|info| info.trim() == "stays");
            continue;
        };
        if let (Some(end), Some(step)) = (&heredoc, steps.last_mut()) {
            step.command.push('\n');
            step.command.push_str(line);
            if end == line {
                heredoc = None;
            }
        } else if line == "```" {
            block = None;
        } else if let Some(command) = line.strip_prefix("$ ") {
            heredoc = command.split_once("<<").map(|(_, end)| end.trim().trim_matches('\'').to_owned());
            let command = command.to_owned();
            steps.push(Step { line: number + 1, command, expected: Vec::new(), stays });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push(line.to_owned());
        }
    }
    steps
}

/// Whether `actual` is what the page promises.
pub(crate) fn fits(expected: &[String], actual: &[&str]) -> bool {
    match (expected.split_first(), actual.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first == "..." => {
            (0..=actual.len()).any(|skipped| fits(rest, &actual[skipped..]))
        }
        (Some((first, rest)), Some((line, others))) => line_fits(first, line) && fits(rest, others),
        _ => false,
    }
}

fn line_fits(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[test]
fn a_page_is_cut_into_its_commands() {
    let page = "Text\n```console\n$ cat > a <<EOF\nline\nEOF\n$ run -f a\nout\n```\n```sh\n$ not this\n```\n\
                ```console stays\n$ serve\nready\n```\n";
    let found = steps(page);
    let commands: Vec<_> = found
        .iter()
        .map(|step| (step.line, step.command.as_str(), step.expected.len(), step.stays))
        .collect();
    let expected =
        [(3, "cat > a <<EOF\nline\nEOF", 0, false), (6, "run -f a", 1, false), (13, "serve", 1, true)];
    assert_eq!(commands, expected);
}

#[test]
fn promised_output_may_leave_parts_open() {
    let fits = |expected: &str, actual: &str| {
        let expected: Vec<String> = expected.lines().map(str::to_owned).collect();
        fits(&expected, &actual.lines().collect::<Vec<_>>())
    };
    assert!(fits("a\n...\nd", "a\nb\nc\nd") && fits("...", "") && fits("Code [..] : 20", "Code 200 : 20"));
    assert!(fits("a [..] b [..]c", "a x b yc") && fits("...\nCode 503 : [..]", "x\nCode 503 : 10 (33 %)"));
    assert!(
        !fits("a\n...\nd", "a\nb") && !fits("Code 200", "Code 2000") && !fits("a", "a\nb") && !fits("", "a")
    );
    assert!(!fits("[..]ab", "ab c"));
}
