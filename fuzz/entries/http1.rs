//! What holds for any bytes that a peer of HTTP/1.1 sends: nothing panics, and how they are cut into pieces changes nothing.

use fuseboard_http1::{Awaiting, BodyDecoder, BodyError, BodyFraming, Limits, Method};

#[path = "../../crates/http1/tests/streams/reader.rs"]
mod reader;

use reader::{End, Message, Side, cut, read, read_pieces};

/// Requests; the first two bytes say where they are cut.
pub(crate) fn requests(data: &[u8]) {
    let Some((cuts, stream)) = data.split_first_chunk::<2>() else { return };
    same_in_pieces(Side::Requests, stream, *cuts);
}

/// Answers; the first byte says to what, the next two where they are cut.
pub(crate) fn responses(data: &[u8]) {
    let Some((front, stream)) = data.split_first_chunk::<3>() else { return };
    let method = [Method::Get, Method::Head, Method::Connect, Method::Post][usize::from(front[0] & 3)];
    let awaiting = Awaiting { method, upgrade: front[0] & 4 != 0 };
    same_in_pieces(Side::Responses(awaiting), stream, [front[1], front[2]]);
}

/// A chunked body; the first two bytes say where it is cut.
pub(crate) fn chunks(data: &[u8]) {
    let Some((cuts, stream)) = data.split_first_chunk::<2>() else { return };
    let whole = decode(&[stream]);
    assert_eq!(whole, decode(&cut(stream, &cuts.map(usize::from))));
    // Passing on and taking apart find the same end.
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, Limits::default());
    match (decoder.pass(stream), whole) {
        (Ok(length), Ok((_, consumed, is_complete))) => {
            assert_eq!((length, decoder.is_complete()), (consumed, is_complete));
        }
        (passed, whole) => assert_eq!(passed.is_err(), whole.is_err()),
    }
}

fn decode(pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, Limits::default());
    let (mut content, mut total) = (Vec::new(), 0);
    for piece in pieces {
        let mut piece = *piece;
        while !piece.is_empty() && !decoder.is_complete() {
            let step = decoder.decode(piece)?;
            assert!(step.consumed > 0 && step.content.end <= step.consumed, "no step stands still");
            content.extend_from_slice(&piece[step.content]);
            total += step.consumed;
            piece = &piece[step.consumed..];
        }
    }
    Ok((content, total, decoder.is_complete()))
}

fn same_in_pieces(side: Side, stream: &[u8], cuts: [u8; 2]) {
    let whole = read(side, stream);
    let pieces = read_pieces(side, Limits::default(), cut(stream, &cuts.map(usize::from)));
    assert_eq!(without_cause(whole), without_cause(pieces));
}

/// Half a head may be refused for its first fault, where the parser of a whole one names another.
fn without_cause((messages, end): (Vec<Message>, End)) -> (Vec<Message>, Option<End>) {
    (messages, Some(end).filter(|end| !matches!(end, End::Head(_))))
}
