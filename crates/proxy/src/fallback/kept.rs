//! An answer that was taken from its upstream whole: to be given again later, or to be passed on once no step helped.

use fuseboard_http1::{BodyDecoder, BodyError, BodyFraming, HeaderName, Limits, ResponseHead, write};

/// A whole answer, without what concerned the connection it came on.
#[derive(Debug)]
pub(crate) struct KeptAnswer {
    pub(crate) status: u16,
    pub(crate) reason: Box<[u8]>,
    /// Field lines as they are written, without length and framing.
    pub(crate) fields: Vec<u8>,
    pub(crate) has_date: bool,
    /// Of an answer to HEAD: the length that it told.
    pub(crate) told_length: Option<u64>,
    pub(crate) body: Vec<u8>,
}

impl KeptAnswer {
    /// The answer without its body. `with_age`: it is passed on at once, so that its `Age` still holds.
    pub(crate) fn of_head(head: &ResponseHead<'_>, with_age: bool) -> Self {
        let mut fields = Vec::new();
        let (mut has_date, mut told_length) = (false, None);
        for field in head.fields().filter(|field| !field.hop_by_hop) {
            match field.id {
                HeaderName::XFuseboard | HeaderName::XEnvoyUpstreamServiceTime | HeaderName::Trailer => {
                    continue;
                }
                HeaderName::ContentLength => {
                    told_length = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
                    continue;
                }
                HeaderName::Date => has_date = true,
                HeaderName::Other if !with_age && field.name.eq_ignore_ascii_case(b"age") => continue,
                _ => {}
            }
            write::forward(&mut fields, &field);
        }
        Self {
            status: head.status(),
            reason: head.reason().into(),
            fields,
            has_date,
            told_length,
            body: Vec::new(),
        }
    }

    /// The rest of it did not come: another body in place of its own.
    pub(crate) fn lose_body(&mut self, text: &[u8]) {
        self.fields.clear();
        write::field(&mut self.fields, b"content-type", b"text/plain");
        (self.has_date, self.told_length) = (false, None);
        self.body = text.to_vec();
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.reason.len() + self.fields.capacity() + self.body.capacity()
    }
}

/// The content of an answer while it comes, up to a bound.
#[derive(Debug)]
pub(crate) struct Content {
    decoder: BodyDecoder,
    bound: usize,
    bytes: Vec<u8>,
}

impl Content {
    /// Of an answer with this framing; `None`: it says that it is larger than `bound`.
    pub(crate) fn new(framing: BodyFraming, bound: usize) -> Option<Self> {
        let told = match framing {
            BodyFraming::Length(length) => usize::try_from(length).unwrap_or(usize::MAX),
            BodyFraming::None | BodyFraming::Chunked | BodyFraming::UntilClose => 0,
        };
        let room = Vec::with_capacity(told.min(bound));
        (told <= bound).then(|| Self {
            decoder: BodyDecoder::new(framing, Limits::default()),
            bound,
            bytes: room,
        })
    }

    /// The same, whose trailers are kept.
    pub(crate) fn keeping_trailers(mut self) -> Self {
        self.decoder = self.decoder.keeping_trailers();
        self
    }

    pub(crate) const fn decoder(&self) -> &BodyDecoder {
        &self.decoder
    }

    /// Takes bytes as they came, framing included; says how many were of this answer. `None`: it is larger than the bound.
    pub(crate) fn take(&mut self, mut came: &[u8]) -> Result<Option<usize>, BodyError> {
        let all = came.len();
        while !came.is_empty() && !self.decoder.is_complete() {
            let decoded = self.decoder.decode(came)?;
            self.bytes.extend_from_slice(&came[decoded.content]);
            if self.bytes.len() > self.bound {
                return Ok(None);
            }
            came = &came[decoded.consumed..];
        }
        Ok(Some(all - came.len()))
    }

    /// The connection was closed.
    pub(crate) fn on_close(&mut self) -> Result<(), BodyError> {
        self.decoder.on_close()
    }

    pub(crate) const fn is_complete(&self) -> bool {
        self.decoder.is_complete()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
