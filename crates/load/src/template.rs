//! Text in which `{uuid}` leaves a hole that each call fills anew, in place.

const TOKEN: &str = "{uuid}";
const UUID_LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;

/// Bytes, and where in them a UUID begins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Template {
    pub(crate) bytes: Vec<u8>,
    holes: Vec<usize>,
}

impl Template {
    pub(crate) fn of(text: &[u8]) -> Self {
        let mut template = Self::default();
        template.add_with_holes(text);
        template
    }

    /// Whether each call needs UUIDs of its own.
    pub(crate) fn has_holes(&self) -> bool {
        !self.holes.is_empty()
    }

    /// Another UUID into each hole; `random` returns random bits.
    pub(crate) fn fill(&mut self, mut random: impl FnMut() -> u128) {
        for hole in &self.holes {
            let uuid = uuid::Builder::from_random_bytes(random().to_ne_bytes()).into_uuid();
            uuid.hyphenated().encode_lower(&mut self.bytes[*hole..*hole + UUID_LENGTH]);
        }
    }

    /// Text that stays as it is.
    pub(crate) fn add(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
    }

    pub(crate) fn add_with_holes(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some(at) = rest.windows(TOKEN.len()).position(|window| window == TOKEN.as_bytes()) {
            self.bytes.extend_from_slice(&rest[..at]);
            self.holes.push(self.bytes.len());
            self.bytes.extend_from_slice(&[b'0'; UUID_LENGTH]);
            rest = &rest[at + TOKEN.len()..];
        }
        self.bytes.extend_from_slice(rest);
    }
}
