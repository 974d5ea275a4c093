//! What the end of a TCP connection says of its host. Bytes have no status, so a host is judged by the first thing that it
//! does: it answers anything, and is well; or it resets, or stays silent until the idle time-out although it was asked
//! something, and is not (P49).

use crate::outcome::{FailureKind, Outcome};

/// How a connection ended that had been made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// Both sides ended what they sent.
    Closed,
    /// The host reset it.
    HostReset,
    /// The client reset it.
    ClientReset,
    /// Nothing went either way for as long as the idle time-out allows.
    Idle,
    /// It was as old as it may become.
    Aged,
    /// The proxy ends.
    Drained,
}

/// What was heard on a connection so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// The client sent something.
    pub client: bool,
    /// The client ended what it sends.
    pub client_ended: bool,
    /// The host sent something.
    pub host: bool,
}

impl Ending {
    /// What it says of the host. A host that was heard has had its success when it was.
    pub const fn outcome(self, heard: Heard) -> Outcome {
        let well = Outcome::Success { status: 200 };
        match self {
            _ if heard.host => well,
            Self::Closed => well,
            // After the client's end a reset may only mean that the host had not read all of it.
            Self::HostReset if !heard.client_ended => Outcome::Failure(FailureKind::Reset),
            Self::Idle if heard.client => Outcome::Failure(FailureKind::Timeout),
            Self::HostReset | Self::Idle | Self::ClientReset | Self::Aged | Self::Drained => {
                Outcome::Abandoned
            }
        }
    }

    /// Whether the end was not in order, so that neither side may take it for one.
    pub const fn is_reset(self) -> bool {
        matches!(self, Self::HostReset | Self::ClientReset)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const ALL: [Ending; 6] =
        [Ending::Closed, Ending::HostReset, Ending::ClientReset, Ending::Idle, Ending::Aged, Ending::Drained];

    #[test]
    fn a_host_that_was_heard_is_well_whatever_comes_after() {
        for ending in ALL {
            for client in [false, true] {
                let heard = Heard { client, client_ended: client, host: true };
                assert_eq!(ending.outcome(heard), Outcome::Success { status: 200 }, "{ending:?}");
            }
        }
    }

    #[test]
    fn resets_of_either_side_are_no_end_in_order() {
        let resets: Vec<_> = ALL.into_iter().filter(|ending| ending.is_reset()).collect();
        assert_eq!(resets, [Ending::HostReset, Ending::ClientReset]);
    }

    #[test]
    fn a_reset_before_a_word_and_silence_after_a_question_are_failures_and_nothing_else_is() {
        let silent = |client, client_ended| Heard { client, client_ended, host: false };
        let failed = |ending: Ending, heard| match ending.outcome(heard) {
            Outcome::Failure(kind) => Some(kind),
            _ => None,
        };
        for client in [false, true] {
            assert_eq!(failed(Ending::HostReset, silent(client, false)), Some(FailureKind::Reset));
            assert_eq!(failed(Ending::HostReset, silent(client, true)), None, "the client was done");
        }
        assert_eq!(failed(Ending::Idle, silent(true, false)), Some(FailureKind::Timeout));
        assert_eq!(failed(Ending::Idle, silent(false, false)), None, "nobody asked anything");
        for ending in [Ending::Closed, Ending::ClientReset, Ending::Aged, Ending::Drained] {
            assert_eq!(failed(ending, silent(true, false)), None, "{ending:?}");
        }
    }
}
