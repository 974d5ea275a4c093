//! What an origin does wrong, drawn for each request.

use fuseboard_core::Rng;

/// How many requests an origin treats badly, and how.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Of a hundred requests, and a third of that of connections.
    pub percent: u32,
    /// Some of those are never answered.
    pub silence: bool,
}

/// What becomes of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// An answer, and nothing else.
    Answer,
    /// The end in place of an answer.
    EndBefore(End),
    /// The end in the middle of the answer.
    EndWithin(End),
    /// The end behind the answer: whoever sends the next request may not know of it yet.
    EndAfter(End),
    /// Nothing, for as long as the client has patience.
    Silence,
}

/// How it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In an orderly way: FIN; by HTTP/2 the whole connection.
    Close,
    /// RST; by HTTP/2 of the stream alone.
    Reset,
}

impl Faults {
    /// Whether a connection is accepted and then closed at once.
    pub(crate) fn turn_away(self, rng: &mut Rng) -> bool {
        self.percent > 0 && rng.below(300) < self.percent
    }

    pub(crate) fn draw(self, rng: &mut Rng) -> Treatment {
        if self.percent == 0 || rng.below(100) >= self.percent {
            return Treatment::Answer;
        }
        let end = if rng.below(2) == 0 { End::Close } else { End::Reset };
        match rng.below(if self.silence { 5 } else { 4 }) {
            0 => Treatment::EndBefore(end),
            1 => Treatment::EndWithin(end),
            // The one that races with the next request.
            2 | 3 => Treatment::EndAfter(end),
            _ => Treatment::Silence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_of_a_hundred_are_treated_badly_and_in_every_way() {
        let mut rng = Rng::new(1);
        let mut draw =
            |faults: Faults| -> Vec<Treatment> { (0..10_000).map(|_| faults.draw(&mut rng)).collect() };
        assert!(draw(Faults::default()).iter().all(|drawn| *drawn == Treatment::Answer));
        let drawn = draw(Faults { percent: 20, silence: true });
        let bad = drawn.iter().filter(|drawn| **drawn != Treatment::Answer).count();
        assert!((1_700..2_300).contains(&bad), "{bad}");
        for end in [End::Close, End::Reset] {
            for one in [Treatment::EndBefore(end), Treatment::EndWithin(end), Treatment::EndAfter(end)] {
                assert!(drawn.contains(&one), "{one:?}");
            }
        }
        assert!(drawn.contains(&Treatment::Silence));
        let mut rng = Rng::new(2);
        let turned = |percent, rng: &mut Rng| {
            (0..3_000).filter(|_| Faults { percent, silence: false }.turn_away(rng)).count()
        };
        assert!((100..200).contains(&turned(15, &mut rng)));
        assert_eq!(turned(0, &mut rng), 0);
        assert!(!draw(Faults { percent: 50, silence: false }).contains(&Treatment::Silence));
    }
}
