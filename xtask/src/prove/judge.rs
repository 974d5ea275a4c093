//! What may become of one request whatever happens around it: one answer for its caller, and no run at a host too many.

use std::collections::{HashMap, VecDeque};
use std::io;

use fuseboard_testkit::{Answer, Run};

/// What the caller saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The answer of a host to this very request.
    Answered,
    /// The proxy's own answer. `unprocessed`: it says that no host has seen the request.
    Flagged { unprocessed: bool },
    /// The end of the connection, before the answer or within it.
    Broken,
    /// It went away before there was an answer.
    GivenUp,
    /// Nothing, for longer than anything takes.
    Silence,
    /// What nobody could have meant.
    Wrong(u16),
}

impl Seen {
    /// What `answer` is to who asked for `target`; hosts answer with the target, and some with 503.
    pub(super) fn of(answer: &io::Result<Answer>, target: &str) -> Self {
        let Ok(answer) = answer else { return Self::Broken };
        match answer.status {
            200 | 503 if answer.body == target.as_bytes() => Self::Answered,
            503 | 504 if !answer.body.starts_with(b"/") => {
                Self::Flagged { unprocessed: answer.header("x-fuseboard-not-processed").is_some() }
            }
            status => Self::Wrong(status),
        }
    }
}

/// How often a request may reach hosts. Without a retry policy one that may be repeated is sent once more if its connection breaks before
/// an answer (difference D18), and any other only if nobody can have read of it.
const fn most(repeatable: bool) -> usize {
    if repeatable { 2 } else { 1 }
}

/// What is wrong with a request that has ended.
pub(super) fn judge(repeatable: bool, seen: Seen, runs: &[Run]) -> Option<String> {
    let (n, answered) = (runs.len(), runs.iter().any(|run| run.answered));
    if n > most(repeatable) {
        return Some(format!("ran {n} times"));
    }
    // Each time that it is sent it says which time that is. Those of which a host says that it has not looked at them (GOAWAY) are no runs, and
    // there may be any number of them in between.
    if runs.iter().any(|run| run.attempt == 0) {
        return Some("ran without a number".to_owned());
    }
    if n == 2 && runs[0].attempt == runs[1].attempt {
        return Some(format!("ran twice as try {}", runs[0].attempt));
    }
    match seen {
        Seen::Answered if !answered => Some("has an answer that no host gave".to_owned()),
        Seen::Flagged { unprocessed: true } if n > 0 => {
            Some("was called unprocessed, and a host had it".to_owned())
        }
        // A host that died within its answer leaves nothing else to do.
        Seen::Broken if !answered => Some("has neither an answer nor an error".to_owned()),
        Seen::Silence => Some("was never answered".to_owned()),
        Seen::Wrong(status) => Some(format!("got status {status} and somebody else's body")),
        _ => None,
    }
}

/// A request that ended without a host's answer, which a host may begin on later.
struct Ended {
    target: String,
    repeatable: bool,
    seen: Seen,
    runs: Vec<Run>,
}

/// How many are remembered. What a host finds in a socket it reads long before so many others have ended.
const REMEMBERED: usize = 20_000;

/// Requests that have ended, by how: those whose runs are settled, and those that may still get one.
#[derive(Default)]
pub(super) struct Docket {
    open: VecDeque<Ended>,
    /// Runs that were not the first of their request.
    pub(super) repeated: u64,
    pub(super) wrong: Vec<String>,
}

impl Docket {
    /// `runs`: as far as there are any at this moment.
    pub(super) fn enter(&mut self, target: String, repeatable: bool, seen: Seen, runs: Vec<Run>) {
        let ended = Ended { target, repeatable, seen, runs };
        if seen == Seen::Answered {
            return self.settle(&ended);
        }
        self.open.push_back(ended);
    }

    /// Settles those of which nobody will hear any more; `later`: says which runs came since a request ended.
    pub(super) fn settle_old(&mut self, later: impl Fn(&str) -> Vec<Run>) {
        while self.open.len() > REMEMBERED {
            let Some(mut ended) = self.open.pop_front() else { return };
            ended.runs.extend(later(&ended.target));
            self.settle(&ended);
        }
    }

    /// Settles all. `later`: all runs that came since their requests ended.
    pub(super) fn close(&mut self, mut later: HashMap<String, Vec<Run>>) {
        for mut ended in std::mem::take(&mut self.open) {
            ended.runs.extend(later.remove(&ended.target).unwrap_or_default());
            self.settle(&ended);
        }
        for (target, runs) in later {
            self.wrong.push(format!("{target} ran {} times after it had its answer", runs.len()));
        }
    }

    fn settle(&mut self, ended: &Ended) {
        self.repeated += ended.runs.len().saturating_sub(1) as u64;
        if let Some(wrong) = judge(ended.repeatable, ended.seen, &ended.runs) {
            self.wrong.push(format!("{} {wrong}", ended.target));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Run = Run { attempt: 1, answered: false };
    const DONE: Run = Run { attempt: 1, answered: true };
    const AGAIN: Run = Run { attempt: 2, answered: true };

    #[test]
    fn one_run_and_one_answer_is_well_and_so_is_an_error_with_or_without_a_run() {
        let flagged = Seen::Flagged { unprocessed: false };
        let well: [(Seen, &[Run]); 6] = [
            (Seen::Answered, &[DONE]),
            (flagged, &[]),
            (flagged, &[BEGUN]),
            (Seen::Flagged { unprocessed: true }, &[]),
            (Seen::GivenUp, &[DONE]),
            (Seen::Broken, &[DONE]),
        ];
        for (seen, runs) in well {
            assert_eq!(judge(false, seen, runs), None, "{seen:?} {runs:?}");
        }
    }

    #[test]
    fn a_second_run_is_allowed_to_what_may_be_repeated_and_a_third_to_nobody() {
        assert_eq!(judge(true, Seen::Answered, &[BEGUN, AGAIN]), None);
        assert!(judge(false, Seen::Answered, &[BEGUN, AGAIN]).is_some());
        assert!(judge(true, Seen::Answered, &[BEGUN, BEGUN, AGAIN]).is_some());
    }

    #[test]
    fn each_run_has_a_number_of_its_own() {
        assert_eq!(judge(false, Seen::Answered, &[AGAIN]), None, "the first time nobody read it");
        assert!(judge(true, Seen::Answered, &[BEGUN, DONE]).is_some());
        let third = Run { attempt: 3, answered: true };
        assert_eq!(judge(true, Seen::Answered, &[BEGUN, third]), None, "nobody looked at the second");
        assert!(judge(true, Seen::Answered, &[Run { attempt: 0, answered: true }]).is_some());
    }

    #[test]
    fn answers_are_told_from_errors_by_whose_they_are() {
        let answer = |status, head: &str, body: &str| {
            Seen::of(&Ok(Answer { status, head: head.to_owned(), body: body.as_bytes().to_vec() }), "/mine")
        };
        assert_eq!(answer(200, "", "/mine"), Seen::Answered);
        assert_eq!(answer(503, "", "/mine"), Seen::Answered);
        assert_eq!(answer(504, "", "timed out"), Seen::Flagged { unprocessed: false });
        let head = "HTTP/1.1 503\r\nx-fuseboard-not-processed: 1\r\n\r\n";
        assert_eq!(answer(503, head, "overflow"), Seen::Flagged { unprocessed: true });
        assert_eq!(answer(200, "", "/yours"), Seen::Wrong(200));
        assert_eq!(Seen::of(&Err(io::ErrorKind::UnexpectedEof.into()), "/mine"), Seen::Broken);
    }

    #[test]
    fn answers_out_of_nowhere_and_ends_without_one_are_found() {
        assert!(judge(true, Seen::Answered, &[BEGUN]).is_some());
        assert!(judge(true, Seen::Flagged { unprocessed: true }, &[BEGUN]).is_some());
        assert!(judge(true, Seen::Broken, &[BEGUN]).is_some());
        assert!(judge(true, Seen::Silence, &[DONE]).is_some());
        assert!(judge(true, Seen::Wrong(200), &[DONE]).is_some());
    }

    #[test]
    fn a_run_that_comes_late_counts_to_its_request_or_is_one_too_many() {
        let mut docket = Docket::default();
        docket.enter("/late".into(), false, Seen::GivenUp, Vec::new());
        docket.enter("/twice".into(), false, Seen::GivenUp, vec![BEGUN]);
        docket.enter("/again".into(), false, Seen::Answered, vec![DONE]);
        let late = ["/late", "/twice", "/again"].map(|target| (target.to_owned(), vec![BEGUN]));
        docket.close(HashMap::from(late));
        assert_eq!(docket.wrong, ["/twice ran 2 times", "/again ran 1 times after it had its answer"]);
        assert_eq!(docket.repeated, 1);
    }
}
