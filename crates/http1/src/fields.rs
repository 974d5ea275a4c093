//! The header table: where each field of a head stands, kept by the caller and reused, so that parsing
//! allocates nothing. It holds positions, not references: head bytes and table can live together in a
//! connection without lifetimes.

use std::mem::MaybeUninit;

use crate::error::HeadError;
use crate::limits::{Limits, MAX_HEADERS};
use crate::name::HeaderName;

/// A part of the head, as positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) const fn is_empty(self) -> bool {
        self.start == self.end
    }

    /// Grows by what follows at once; false: something else does.
    pub(crate) fn extend(&mut self, next: Self) -> bool {
        let follows = self.end == next.start;
        if follows {
            self.end = next.end;
        }
        follows
    }

    /// The position of `part`, a slice of `whole`.
    #[inline]
    pub(crate) fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
        // Heads are shorter than 4 GiB: `check_size` comes first.
        #[expect(clippy::cast_possible_truncation, reason = "bounded by check_size")]
        Self { start: start as u32, end: (start + part.len()) as u32 }
    }

    /// The bytes at this position; empty when `whole` is not what was parsed.
    #[inline]
    pub(crate) fn of_bytes(self, whole: &[u8]) -> &[u8] {
        whole.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    name: Span,
    value: Span,
    id: HeaderName,
    hop_by_hop: bool,
}

impl Entry {
    /// The whole line, if it was sent with one space before its value and none behind it.
    #[inline]
    fn line(&self, head: &[u8]) -> Span {
        let line = Span { start: self.name.start, end: self.value.end + 2 };
        let between = Span { start: self.name.end, end: self.value.start };
        let behind = Span { start: self.value.end, end: line.end };
        let usual = between.of_bytes(head) == b": " && behind.of_bytes(head) == b"\r\n";
        if usual { line } else { Span::default() }
    }
}

/// Storage for the fields of one head. Grows to what its messages need (24 bytes a field, at most
/// [`MAX_HEADERS`]) and keeps that for the next head.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    entries: Vec<Entry>,
}

/// One field line of a head, in its original order and case.
#[derive(Debug, Clone, Copy)]
pub struct Field<'a> {
    /// The name as it was sent: a token.
    pub name: &'a [u8],
    /// The value without the white space around it; may hold bytes above ASCII, never NUL, CR or LF.
    pub value: &'a [u8],
    /// Which field it is.
    pub id: HeaderName,
    /// Not to be forwarded: a hop-by-hop field, or one nominated by `Connection` (RFC 9110 section 7.6.1).
    pub hop_by_hop: bool,
    /// Its line as [`write::field`](crate::write::field) would write it; empty where it was sent otherwise.
    pub(crate) line: Span,
}

impl Headers {
    /// An empty table, which allocates nothing yet.
    pub const fn new() -> Self {
        Self { entries: Vec::new() }
    }

    /// How many fields the head has.
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the head has no fields.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Gives the memory back; an idle connection need not hold any.
    pub fn release(&mut self) {
        self.entries = Vec::new();
    }

    /// Empties it, and makes room for so many fields.
    pub(crate) fn clear_for(&mut self, fields: usize) {
        self.entries.clear();
        self.entries.reserve(fields);
    }

    #[inline]
    pub(crate) fn push(&mut self, head: &[u8], name: &[u8], value: &[u8], id: HeaderName) {
        let entry = Entry {
            name: Span::of(name, head),
            value: Span::of(value, head),
            id,
            hop_by_hop: id.is_hop_by_hop(),
        };
        self.entries.push(entry);
    }

    #[inline]
    pub(crate) fn iter<'a>(&'a self, head: &'a [u8]) -> Fields<'a> {
        Fields { head, entries: self.entries.iter() }
    }

    /// Marks every field with this name as hop-by-hop.
    pub(crate) fn drop_named(&mut self, head: &[u8], name: &[u8]) {
        for entry in &mut self.entries {
            entry.hop_by_hop |= entry.name.of_bytes(head).eq_ignore_ascii_case(name);
        }
    }
}

/// The fields of a head, in order.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    head: &'a [u8],
    entries: std::slice::Iter<'a, Entry>,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let entry = self.entries.next()?;
        Some(Field {
            name: entry.name.of_bytes(self.head),
            value: entry.value.of_bytes(self.head),
            id: entry.id,
            hop_by_hop: entry.hop_by_hop,
            line: entry.line(self.head),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Fields<'_> {}

/// Room for httparse to leave its references in, on the stack and never initialised as a whole.
pub(crate) type Room<'h> = [MaybeUninit<httparse::Header<'h>>; MAX_HEADERS];

pub(crate) const fn room<'h>() -> Room<'h> {
    [const { MaybeUninit::uninit() }; MAX_HEADERS]
}

/// How much of the room a message may use.
pub(crate) fn usable<'r, 'h>(
    room: &'r mut Room<'h>,
    limits: &Limits,
) -> &'r mut [MaybeUninit<httparse::Header<'h>>] {
    &mut room[..limits.max_headers.min(MAX_HEADERS)]
}

/// Refuses a head above the limit.
pub(crate) fn check_size(head: &[u8], limits: &Limits) -> Result<(), HeadError> {
    if head.len() > limits.max_head_bytes || u32::try_from(head.len()).is_err() {
        return Err(HeadError::TooLarge);
    }
    Ok(())
}

/// Refuses a line ended by LF alone, which httparse accepts (RFC 9112 section 2.2 lets a recipient accept it,
/// and so two recipients differ). `after`: what follows the line, a part of `head`. Every line of a head ends
/// before a field's name, or before the end, or is the empty one there.
#[inline]
pub(crate) fn check_line_ending(head: &[u8], after: &[u8]) -> Result<(), HeadError> {
    let before = &head[..Span::of(after, head).start as usize];
    if before.ends_with(b"\r\n") { Ok(()) } else { Err(HeadError::LineEnding) }
}

/// The same of the last line and the empty one behind it.
#[inline]
pub(crate) fn check_last_lines(head: &[u8]) -> Result<(), HeadError> {
    if head.ends_with(b"\r\n\r\n") { Ok(()) } else { Err(HeadError::LineEnding) }
}
