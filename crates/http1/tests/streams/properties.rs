//! What holds for every stream: cutting it anywhere changes nothing, what was written is read back, nothing
//! panics, and the chunk decoder agrees with a model that sees the whole body at once.

use fuseboard_http1::{
    Awaiting, BodyDecoder, BodyError, BodyFraming, Headers, Limits, Method, parse_request, parse_response,
    write,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::grammar::{chunks, damaged, requests, response};
use crate::reader::{End, Message, Side, cut, read, read_pieces};

const ANSWER: Side = Side::Responses(Awaiting::to(Method::Get));

/// A refusal is a refusal: half a head may be refused for its first fault, where the parser of a whole one
/// names another.
fn without_cause((messages, end): (Vec<Message>, End)) -> (Vec<Message>, End) {
    let end = match end {
        End::Head(_) => End::Head(fuseboard_http1::HeadError::NotHttp),
        other => other,
    };
    (messages, end)
}

/// Cuts `input` and passes the pieces on; how many bytes were vouched for.
fn pass(input: &[u8], cuts: &[usize]) -> (usize, bool, Option<BodyError>) {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, Limits::default());
    let mut total = 0;
    for piece in cut(input, cuts) {
        match decoder.pass(piece) {
            Ok(taken) => total += taken,
            Err(error) => return (0, false, Some(error)),
        }
    }
    (total, decoder.is_complete(), None)
}

fn decode(input: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked, Limits::default());
    let (mut content, mut total) = (Vec::new(), 0);
    for mut piece in cut(input, cuts) {
        while !piece.is_empty() && !decoder.is_complete() {
            let step = decoder.decode(piece)?;
            content.extend_from_slice(&piece[step.content]);
            total += step.consumed;
            piece = &piece[step.consumed..];
        }
    }
    Ok((content, total, decoder.is_complete()))
}

/// What a reader that has the whole input says about it.
#[derive(Debug, PartialEq)]
enum Verdict {
    Complete { content: Vec<u8>, consumed: usize },
    Incomplete,
    Invalid,
}

/// RFC 9112 section 7.1 over a whole slice, written line by line.
fn model(input: &[u8]) -> Verdict {
    let (mut rest, mut content) = (input, Vec::new());
    let line_of =
        |rest: &[u8]| rest.windows(2).position(|pair| pair == b"\r\n").map(|end| rest[..end].to_vec());
    let visible = |text: &[u8]| text.iter().all(|b| *b == b'\t' || (*b >= b' ' && *b != 0x7f));
    loop {
        let Some(line) = line_of(rest) else { return Verdict::Incomplete };
        let mut parts = line.splitn(2, |b| *b == b';');
        let digits = parts.next().unwrap_or_default();
        let valid = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(size) = size.filter(|size| valid && i64::try_from(*size).is_ok()) else {
            return Verdict::Invalid;
        };
        if !visible(parts.next().unwrap_or_default()) {
            return Verdict::Invalid;
        }
        rest = &rest[line.len() + 2..];
        if size == 0 {
            break;
        }
        let Ok(size) = usize::try_from(size) else { return Verdict::Incomplete };
        if rest.len() < size + 2 {
            let broken = rest.get(size).is_some_and(|b| *b != b'\r');
            return if broken { Verdict::Invalid } else { Verdict::Incomplete };
        }
        content.extend_from_slice(&rest[..size]);
        if &rest[size..size + 2] != b"\r\n" {
            return Verdict::Invalid;
        }
        rest = &rest[size + 2..];
    }
    loop {
        let Some(line) = line_of(rest) else { return Verdict::Incomplete };
        rest = &rest[line.len() + 2..];
        if line.is_empty() {
            return Verdict::Complete { content, consumed: input.len() - rest.len() };
        }
        let Some(colon) = line.iter().position(|b| *b == b':') else { return Verdict::Invalid };
        let (name, value) = line.split_at(colon);
        if !write::is_token(name) || !visible(value) || name.eq_ignore_ascii_case(b"te") {
            return Verdict::Invalid;
        }
    }
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9!#$%&'*+.^`|~-]{1,20}".prop_map(|name| format!("X-{name}"))
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    // Visible at both ends: white space around a value is not part of it.
    vec(prop_oneof![Just(b' '), Just(b'\t'), 0x21..0x7f_u8, 0x80..=0xff_u8], 0..30)
        .prop_map(|v| v.trim_ascii().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cutting_a_stream_anywhere_changes_nothing(
        asked in damaged(requests()),
        answered in damaged(response()),
        cuts in vec(any::<usize>(), 0..6),
    ) {
        for (side, stream) in [(Side::Requests, &asked), (ANSWER, &answered)] {
            let whole = without_cause(read(side, stream));
            let pieces = read_pieces(side, Limits::default(), cut(stream, &cuts));
            prop_assert_eq!(&without_cause(pieces), &whole);
            let bytes = read_pieces(side, Limits::default(), stream.chunks(1));
            prop_assert_eq!(&without_cause(bytes), &whole);
        }
    }

    #[test]
    fn the_chunk_decoder_agrees_with_the_model(input in damaged(chunks()), cuts in vec(any::<usize>(), 0..6)) {
        let decoded = decode(&input, &cuts);
        prop_assert_eq!(&decoded, &decode(&input, &[]));
        match (model(&input), &decoded) {
            (Verdict::Complete { content, consumed }, Ok((got, taken, true))) => {
                prop_assert_eq!(&content, got);
                prop_assert_eq!(consumed, *taken);
            }
            (Verdict::Incomplete, Ok((_, taken, false))) => prop_assert_eq!(*taken, input.len()),
            // The decoder need not wait for the end of a line to refuse it.
            (Verdict::Incomplete | Verdict::Invalid, Err(_)) => {}
            (model, decoded) => prop_assert!(false, "{:?} against {:?}", model, decoded),
        }
        let (passed, complete, error) = pass(&input, &cuts);
        match decoded {
            Ok((_, taken, done)) => prop_assert_eq!((passed, complete, error), (taken, done, None)),
            Err(cause) => prop_assert_eq!(error, Some(cause)),
        }
    }

    #[test]
    fn nothing_panics_on_any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        let limits = Limits::default();
        read(Side::Requests, &bytes);
        read(ANSWER, &bytes);
        // The parsers on their own, without a scanner before them.
        let _ = parse_request(&bytes, &mut Headers::new(), &limits).map(|head| head.fields().count());
        let awaiting = Awaiting::to(Method::Get);
        let _ = parse_response(&bytes, &mut Headers::new(), &limits, awaiting).map(|head| head.status());
        let _ = decode(&bytes, &[]);
    }

    /// What the parser accepts, the scanner delimits: neither is laxer than the other.
    #[test]
    fn the_parser_accepts_no_head_that_the_scanner_would_not_deliver(
        stream in damaged(requests()),
        end in any::<prop::sample::Index>(),
    ) {
        let limits = Limits::default();
        let head = &stream[..end.index(stream.len() + 1)];
        if parse_request(head, &mut Headers::new(), &limits).is_ok() {
            let scanned = fuseboard_http1::HeadScanner::for_requests(limits).scan(head);
            prop_assert_eq!(scanned, Ok(Some(head.len())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_request_is_read_back(
        method in "[A-Z]{1,8}",
        path in "/[a-zA-Z0-9/._~%-]{0,30}",
        fields in vec((token(), value()), 0..20),
        body in vec(any::<u8>(), 0..200),
        chunk in prop::option::of(1..50_usize),
    ) {
        prop_assume!(method != "CONNECT");
        let mut out = Vec::new();
        write::request_line(&mut out, method.as_bytes(), path.as_bytes());
        write::field(&mut out, b"host", b"a");
        for (name, value) in &fields {
            write::field(&mut out, name.as_bytes(), value);
        }
        write_body(&mut out, &body, chunk);
        let (messages, end) = read(Side::Requests, &out);
        prop_assert_eq!(end, End::Clean);
        prop_assert_eq!(messages.len(), 1);
        prop_assert_eq!(&messages[0].start, &format!("{method} {path}"));
        prop_assert_eq!(&messages[0].body, &body);
        let read_back = messages[0].fields[1..].iter().map(|(name, value, _)| (name.clone(), value.clone()));
        prop_assert_eq!(read_back.take(fields.len()).collect::<Vec<_>>(), fields);
    }

    #[test]
    fn a_written_response_is_read_back(
        status in prop_oneof![Just(200_u16), 205..300_u16, 400..600_u16],
        body in vec(any::<u8>(), 0..200),
        chunk in prop::option::of(1..50_usize),
    ) {
        let mut out = Vec::new();
        write::status_line(&mut out, fuseboard_http1::Version::Http11, status, write::reason(status).as_bytes());
        write::field(&mut out, b"date", &write::http_date(0));
        write_body(&mut out, &body, chunk);
        let (messages, end) = read(ANSWER, &out);
        prop_assert_eq!(end, End::Clean);
        prop_assert_eq!((&messages[0].start, &messages[0].body), (&status.to_string(), &body));
    }
}

/// The end of the head and the body, chunked if `chunk` gives a size.
fn write_body(out: &mut Vec<u8>, body: &[u8], chunk: Option<usize>) {
    if let Some(size) = chunk {
        write::field(out, b"transfer-encoding", b"chunked");
        write::end_head(out);
        body.chunks(size).for_each(|piece| write::chunk(out, piece));
        out.extend_from_slice(write::LAST_CHUNK);
    } else {
        write::field_number(out, b"content-length", body.len() as u64);
        write::end_head(out);
        out.extend_from_slice(body);
    }
}
