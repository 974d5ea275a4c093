//! Where bodies end, what is content, and what is refused in the chunked coding (RFC 9112 section 7.1).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use fuseboard_http1::{BodyDecoder, BodyError, BodyFraming, Limits, MAX_CHUNK_EXTENSION};

fn chunked() -> BodyDecoder {
    BodyDecoder::new(BodyFraming::Chunked, Limits::default()).keeping_trailers()
}

/// Content and what is left of the input.
fn decode(decoder: &mut BodyDecoder, mut input: &[u8]) -> Result<(Vec<u8>, usize), BodyError> {
    let mut content = Vec::new();
    while !decoder.is_complete() && !input.is_empty() {
        let step = decoder.decode(input)?;
        assert!(step.consumed > 0, "progress on every call");
        content.extend_from_slice(&input[step.content]);
        input = &input[step.consumed..];
    }
    Ok((content, input.len()))
}

fn error(input: &[u8]) -> BodyError {
    let passed = chunked().pass(input).map(|_| ());
    let decoded = decode(&mut chunked(), input).map(|_| ());
    assert_eq!(passed, decoded, "both ways judge the same: {:?}", String::from_utf8_lossy(input));
    decoded.expect_err(&String::from_utf8_lossy(input))
}

#[test]
fn content_is_counted_without_its_framing_either_way() {
    let input = b"5;a=b\r\nhello\r\n2\r\n!!\r\n0\r\nX-Sum: 1\r\n\r\nNEXT";
    let (mut stripping, mut passing) = (chunked(), chunked());
    decode(&mut stripping, input).unwrap();
    for byte in input.chunks(1) {
        passing.pass(byte).unwrap();
    }
    assert_eq!((stripping.content_bytes(), passing.content_bytes()), (7, 7));
}

#[test]
fn a_length_ends_after_that_many_bytes() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length(5), Limits::default());
    assert_eq!(decode(&mut decoder, b"abc"), Ok((b"abc".to_vec(), 0)));
    assert_eq!((decoder.is_complete(), decoder.remaining()), (false, Some(2)));
    assert_eq!(decoder.on_close(), Err(BodyError::Truncated));
    assert_eq!(decode(&mut decoder, b"d"), Ok((b"d".to_vec(), 0)));
    assert!(!decoder.is_complete());
    assert_eq!(decode(&mut decoder, b"eNEXT"), Ok((b"e".to_vec(), 4)));
    assert!(decoder.is_complete());
    assert_eq!(decoder.pass(b"NEXT"), Ok(0));
    assert_eq!(decoder.on_close(), Ok(()));
}

#[test]
fn content_may_go_by_unseen_where_no_framing_comes_first() {
    let mut decoder = BodyDecoder::new(BodyFraming::Length(10), Limits::default());
    assert_eq!(decoder.pass(b"abc"), Ok(3));
    assert_eq!(decoder.unframed(), 7);
    decoder.take_unseen(6);
    assert_eq!((decoder.content_bytes(), decoder.is_complete()), (9, false));
    // One byte is left, whatever is claimed.
    decoder.take_unseen(4);
    assert_eq!((decoder.content_bytes(), decoder.is_complete(), decoder.unframed()), (10, true, 0));
    let mut endless = BodyDecoder::new(BodyFraming::UntilClose, Limits::default());
    endless.take_unseen(endless.unframed());
    assert_eq!((endless.content_bytes(), endless.is_complete()), (u64::MAX, false));
    let mut framed = chunked();
    framed.take_unseen(5);
    assert_eq!((framed.unframed(), framed.content_bytes()), (0, 0));
}

#[test]
fn no_body_is_complete_at_once() {
    for framing in [BodyFraming::None, BodyFraming::Length(0)] {
        let mut decoder = BodyDecoder::new(framing, Limits::default());
        assert!(decoder.is_complete());
        assert_eq!(decoder.decode(b"NEXT").map(|step| step.consumed), Ok(0));
    }
}

#[test]
fn until_close_takes_everything_and_ends_with_the_connection() {
    let mut decoder = BodyDecoder::new(BodyFraming::UntilClose, Limits::default());
    assert_eq!(decode(&mut decoder, b"abc"), Ok((b"abc".to_vec(), 0)));
    assert!(!decoder.is_complete());
    assert_eq!(decoder.on_close(), Ok(()));
    assert!(decoder.is_complete());
}

#[test]
fn chunks_become_their_content() {
    let mut decoder = chunked();
    let input = b"4\r\nfuse\r\n00a;name=value;q=\"x y\"\r\n0123456789\r\n0;last\r\n\r\nNEXT";
    assert_eq!(decode(&mut decoder, input), Ok((b"fuse0123456789".to_vec(), 4)));
    assert!(decoder.is_complete() && decoder.trailers().is_empty());
}

#[test]
fn passing_keeps_framing_and_ends_with_the_message() {
    let input = b"4\r\nfuse\r\n0\r\nX-T: 1\r\n\r\nNEXT";
    let mut decoder = chunked();
    assert_eq!(decoder.pass(input), Ok(input.len() - 4));
    assert!(decoder.is_complete());
    assert_eq!(decoder.pass(b"NEXT"), Ok(0));
}

/// RFC 9112 section 7.1.2.
#[test]
fn trailers_are_kept_if_asked_for() {
    let input = b"0\r\nX-A: 1\r\nx-b:\t2 \r\nEmpty:\r\n\r\n";
    for split in 0..input.len() {
        let mut decoder = chunked();
        decode(&mut decoder, &input[..split]).unwrap();
        decode(&mut decoder, &input[split..]).unwrap();
        assert!(decoder.is_complete());
        assert_eq!(decoder.trailers(), b"X-A: 1\r\nx-b:\t2 \r\nEmpty:\r\n");
        let fields: Vec<_> = decoder.trailer_fields().collect();
        assert_eq!(fields, [(&b"X-A"[..], &b"1"[..]), (b"x-b", b"2"), (b"Empty", b"")]);
    }
    let mut forgetful = BodyDecoder::new(BodyFraming::Chunked, Limits::default());
    decode(&mut forgetful, input).unwrap();
    assert!(forgetful.is_complete() && forgetful.trailers().is_empty());
}

#[test]
fn a_closed_connection_truncates_a_chunked_body() {
    let whole = b"3\r\nabc\r\n0\r\n\r\n";
    for length in 0..whole.len() {
        let mut decoder = chunked();
        decode(&mut decoder, &whole[..length]).unwrap();
        assert_eq!(decoder.on_close(), Err(BodyError::Truncated), "after {length} bytes");
    }
}

#[test]
fn a_chunk_size_is_hexadecimal_digits_and_nothing_else() {
    for size in [
        "",
        " 1",
        "1 ",
        "\t1",
        "1\t",
        "+1",
        "-1",
        "0x1",
        "1_0",
        "g",
        "1.0",
        "\u{661}",
        "1 ;x",
        "\"1\"",
        "\0",
        ",",
        // 2^63, 2^64 + 1, 17 digits
        "8000000000000000",
        "10000000000000001",
        "00000000000000001",
    ] {
        let input = format!("{size}\r\na\r\n0\r\n\r\n");
        assert_eq!(error(input.as_bytes()), BodyError::ChunkSize, "{size:?}");
    }
    let mut largest = chunked();
    assert_eq!(largest.pass(b"7fffffffffffffff\r\nabc"), Ok(21));
    assert_eq!(
        decode(&mut chunked(), b"000000000000000A\r\n0123456789\r\n"),
        Ok((b"0123456789".to_vec(), 0))
    );
}

#[test]
fn every_line_of_the_coding_ends_with_both_bytes() {
    for input in [&b"1\na\r\n0\r\n\r\n"[..], b"\n"] {
        assert_eq!(error(input), BodyError::ChunkSize, "{:?}", String::from_utf8_lossy(input));
    }
    for input in [
        &b"1\r\na\n0\r\n\r\n"[..],
        b"1\r\naX\r\n0\r\n\r\n",
        b"1\r\naX\n0\r\n\r\n",
        b"1\r\na\rX",
        b"1\rXa\r\n",
        b"0\r\r\n\r\n",
        b"1\r\na0\r\n\r\n",
        b"0\r\n\rX",
        b"1;x\rY\na\r\n",
    ] {
        assert_eq!(error(input), BodyError::ChunkEnding, "{:?}", String::from_utf8_lossy(input));
    }
    for input in [&b"0\r\n\n"[..], b"0\r\nX: 1\n\r\n", b"0\r\nX: 1\rY\r\n\r\n"] {
        assert_eq!(error(input), BodyError::Trailer, "{:?}", String::from_utf8_lossy(input));
    }
}

/// Decoders that look for LF, or that let an extension run on, see other chunks.
#[test]
fn extensions_are_visible_and_bounded() {
    for input in [&b"1;x\na\r\n0\r\n\r\n"[..], b"1;a\0b\r\na\r\n", b"1;\x7f\r\n"] {
        assert_eq!(error(input), BodyError::ChunkExtension);
    }
    let extension = |length: u32| format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(length as usize));
    assert!(decode(&mut chunked(), extension(MAX_CHUNK_EXTENSION - 1).as_bytes()).is_ok());
    assert_eq!(error(extension(MAX_CHUNK_EXTENSION).as_bytes()), BodyError::ChunkExtension);
}

#[test]
fn trailers_are_as_strict_as_heads() {
    for line in ["X : 1", " X: 1", ": 1", "X", "X: a\0", "X(: 1", "X: 1\r\n folded"] {
        let input = format!("0\r\n{line}\r\n\r\n");
        assert_eq!(error(input.as_bytes()), BodyError::Trailer, "{line:?}");
    }
}

/// RFC 9110 section 6.5.1.
#[test]
fn trailers_neither_frame_nor_route() {
    for name in [
        "Content-Length",
        "transfer-encoding",
        "HOST",
        "Connection",
        "TE",
        "Upgrade",
        "Trailer",
        "Expect",
        "Keep-Alive",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "x-forwarded-client-cert",
        "X-Fuseboard-Reason",
        "Content-Type",
        "x-fuseboard-reason-that-is-longer-than-any-known-name",
    ] {
        let input = format!("0\r\n{name}: 1\r\n\r\n");
        assert_eq!(error(input.as_bytes()), BodyError::ForbiddenTrailer, "{name}");
    }
    let long = format!("0\r\n{}: 1\r\n\r\n", "content-length".repeat(30));
    assert!(decode(&mut chunked(), long.as_bytes()).is_ok(), "a long name is another name");
    assert!(decode(&mut chunked(), b"0\r\ngrpc-status: 0\r\n\r\n").is_ok());
}

#[test]
fn trailers_are_bounded_in_bytes_and_fields() {
    let limits = Limits { max_head_bytes: 32, max_headers: 2 };
    let run = |input: &str| BodyDecoder::new(BodyFraming::Chunked, limits).pass(input.as_bytes());
    assert!(run(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(26))).is_ok());
    assert_eq!(run(&format!("0\r\nX: {}\r\n\r\n", "a".repeat(27))), Err(BodyError::TrailersTooLarge));
    assert!(run("0\r\nX: 1\r\nX: 1\r\n\r\n").is_ok());
    assert_eq!(run("0\r\nX: 1\r\nX: 1\r\nX: 1\r\n\r\n"), Err(BodyError::TrailersTooLarge));
    assert_eq!(BodyError::TrailersTooLarge.status(), 431);
}
