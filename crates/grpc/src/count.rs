//! Counts the messages of a stream as its bytes pass. None of them is kept, and only what stands in front of a message is looked at.

use crate::PREFIX;

/// Messages that have begun in a stream. A message is told by the first byte of what stands in front of it, as Envoy's `grpc_stats`
/// counts them; bytes that are no messages are counted as if they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCount {
    begun: u64,
    /// Bytes that came of what stands in front of the next message.
    seen: usize,
    /// As far as it came.
    length: u32,
    /// Bytes of the message that are still to come.
    left: usize,
}

impl MessageCount {
    /// Looks at what passes next.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        loop {
            let of_message = self.left.min(bytes.len());
            self.left -= of_message;
            let Some((byte, rest)) = bytes[of_message..].split_first() else { return };
            bytes = rest;
            match self.seen {
                0 => self.begun += 1,
                _ => self.length = self.length << 8 | u32::from(*byte),
            }
            self.seen += 1;
            if self.seen == PREFIX {
                self.left = usize::try_from(self.length).unwrap_or(usize::MAX);
                (self.seen, self.length) = (0, 0);
            }
        }
    }

    /// How many have begun since this was last asked.
    pub const fn take(&mut self) -> u64 {
        std::mem::replace(&mut self.begun, 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::prefix;

    #[test]
    fn a_message_counts_when_it_begins_and_once() {
        let mut count = MessageCount::default();
        count.pass(&[0, 0, 0]);
        assert_eq!((count.take(), count.take()), (1, 0));
        count.pass(&[0, 2, b'a']);
        count.pass(&[b'b', 1]);
        assert_eq!(count.take(), 1);
        count.pass(&[0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(count.take(), 1, "an empty one and an empty one");
        count.pass(&[0, 255, 255, 255, 255, 1, 2, 3]);
        count.pass(&[0; 1000]);
        assert_eq!(count.take(), 1, "a long one is not over");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_frames_are_cut(
            lengths in proptest::collection::vec(prop_oneof![Just(0_usize), 1..8_usize, 250..600_usize], 0..12),
            cuts in proptest::collection::vec(0..3000_usize, 0..20),
        ) {
            let mut stream = Vec::new();
            let mut begins = Vec::new();
            for length in &lengths {
                begins.push(stream.len());
                stream.extend_from_slice(&prefix(length % 2 == 0, *length).unwrap());
                // Contents that would be prefixes elsewhere.
                stream.extend(std::iter::repeat_n(0, *length));
            }
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let (mut count, mut total) = (MessageCount::default(), 0);
            for part in cuts.windows(2) {
                count.pass(&stream[part[0]..part[1]]);
                total += count.take();
                prop_assert_eq!(total, begins.iter().filter(|begin| **begin < part[1]).count() as u64);
            }
            prop_assert_eq!(total, lengths.len() as u64);
        }

        #[test]
        fn no_bytes_make_it_panic(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut count = MessageCount::default();
            for part in &parts {
                count.pass(part);
            }
            prop_assert!(count.take() <= parts.concat().len() as u64);
        }
    }
}
