//! Known ways to make two HTTP/1.1 parsers see different messages in the same bytes. Every one is refused,
//! before the second request that it hides could be taken for one.

use crate::reader::{End, Side, read};
use fuseboard_http1::{BodyError, HeadError};

/// A request with these field lines, then a body that hides another request.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n{body}").into_bytes()
}

const HIDDEN: &str = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";

fn refused_fields() -> Vec<(&'static str, Vec<u8>, HeadError)> {
    use HeadError as E;
    let chunked = format!("0\r\n\r\n{HIDDEN}");
    let lines: [(&'static str, &str, HeadError); 35] = [
        ("CL.TE", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", E::LengthAndEncoding),
        ("TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", E::LengthAndEncoding),
        (
            "CL.TE with an unknown coding",
            "Content-Length: 6\r\nTransfer-Encoding: xchunked\r\n",
            E::LengthAndEncoding,
        ),
        ("CL.CL", "Content-Length: 0\r\nContent-Length: 40\r\n", E::RepeatedContentLength),
        ("CL.CL equal", "Content-Length: 5\r\nContent-Length: 5\r\n", E::RepeatedContentLength),
        ("CL list", "Content-Length: 0, 40\r\n", E::RepeatedContentLength),
        ("CL plus", "Content-Length: +40\r\n", E::ContentLength),
        ("CL minus", "Content-Length: -1\r\n", E::ContentLength),
        ("CL hex", "Content-Length: 0x10\r\n", E::ContentLength),
        ("CL inner space", "Content-Length: 1 0\r\n", E::ContentLength),
        ("CL overflow", "Content-Length: 18446744073709551617\r\n", E::ContentLength),
        ("CL empty", "Content-Length:\r\n", E::ContentLength),
        ("CL space before colon", "Content-Length : 5\r\n", E::FieldName),
        ("CL underscore", "Content_Length: 5\r\n", E::Lookalike),
        ("CL nominated by Connection", "Connection: Content-Length\r\nContent-Length: 5\r\n", E::Connection),
        ("TE space before colon", "Transfer-Encoding : chunked\r\n", E::FieldName),
        ("TE tab before colon", "Transfer-Encoding\t: chunked\r\n", E::FieldName),
        ("TE leading space", " Transfer-Encoding: chunked\r\n", E::FieldName),
        ("TE folded", "Transfer-Encoding:\r\n chunked\r\n", E::FieldName),
        ("TE folded into another field", "X: x\r\n Transfer-Encoding: chunked\r\n", E::FieldName),
        ("TE not chunked", "Transfer-Encoding: identity\r\n", E::TransferEncoding),
        ("TE prefix", "Transfer-Encoding: xchunked\r\n", E::TransferEncoding),
        ("TE quoted", "Transfer-Encoding: \"chunked\"\r\n", E::TransferEncoding),
        ("TE not last", "Transfer-Encoding: chunked, identity\r\n", E::TransferEncoding),
        ("TE twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", E::TransferEncoding),
        ("TE twice in a list", "Transfer-Encoding: chunked, chunked\r\n", E::TransferEncoding),
        (
            "TE second hides first",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            E::TransferEncoding,
        ),
        (
            "TE empty then chunked",
            "Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
            E::TransferEncoding,
        ),
        ("TE with parameter", "Transfer-Encoding: chunked;q=0\r\n", E::TransferEncoding),
        ("TE vertical tab", "Transfer-Encoding: \u{b}chunked\r\n", E::FieldValue),
        ("TE NUL", "Transfer-Encoding: chunked\0\r\n", E::FieldValue),
        ("TE bare CR", "X: x\rTransfer-Encoding: chunked\r\n", E::FieldValue),
        ("TE bare LF", "X: x\nTransfer-Encoding: chunked\r\n", E::LineEnding),
        ("TE underscore", "Transfer_Encoding: chunked\r\n", E::Lookalike),
        ("obfuscated Expect", "Expect: y 100-continue\r\nContent-Length: 5\r\n", E::Expectation),
    ];
    lines.into_iter().map(|(name, lines, error)| (name, post(lines, &chunked), error)).collect()
}

fn refused_messages() -> [(&'static str, &'static str, HeadError); 13] {
    use HeadError as E;
    [
        ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", E::RepeatedHost),
        ("Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", E::InvalidHost),
        ("Host against target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", E::HostMismatch),
        ("Host with user information", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", E::InvalidHost),
        ("Host folded", "GET / HTTP/1.1\r\nHost: a\r\n\tb\r\n\r\n", E::FieldName),
        ("space in the target", "GET /a HTTP/1.1 /b HTTP/1.1\r\nHost: a\r\n\r\n", E::LineEnding),
        (
            "TE in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            E::EncodingInHttp10,
        ),
        (
            "bare LF ends the head",
            "GET / HTTP/1.1\r\nHost: a\r\n\nGET /admin HTTP/1.1\r\n\r\n",
            E::LineEnding,
        ),
        ("LF CR LF", "GET / HTTP/1.1\r\nHost: a\n\r\n", E::LineEnding),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E::Http2Preface),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}", E::NotHttp),
        (
            "CONNECT with a body",
            "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 9\r\n\r\n",
            E::BodyNotAllowed,
        ),
        ("NUL in a name", "GET / HTTP/1.1\r\nHost: a\r\nX\0: y\r\n\r\n", E::FieldName),
    ]
}

#[test]
fn smuggling_by_the_head_is_refused() {
    for (name, stream, error) in refused_fields() {
        assert_eq!(read(Side::Requests, &stream), (vec![], End::Head(error)), "{name}");
    }
    for (name, stream, error) in refused_messages() {
        assert_eq!(read(Side::Requests, stream.as_bytes()), (vec![], End::Head(error)), "{name}");
    }
}

#[test]
fn smuggling_by_chunks_is_refused() {
    use BodyError as E;
    let table = [
        ("size with bare LF", "1\na\r\n0\r\n\r\n", E::ChunkSize),
        ("size with a space", "1 \r\na\r\n0\r\n\r\n", E::ChunkSize),
        ("size with a sign", "+1\r\na\r\n0\r\n\r\n", E::ChunkSize),
        ("size with an underscore", "1_0\r\n", E::ChunkSize),
        ("size with 0x", "0x1\r\na\r\n0\r\n\r\n", E::ChunkSize),
        ("size that wraps around", "10000000000000001\r\na\r\n0\r\n\r\n", E::ChunkSize),
        ("negative size", "ffffffffffffffff\r\n", E::ChunkSize),
        ("empty size", "\r\na\r\n0\r\n\r\n", E::ChunkSize),
        ("extension ended by LF", "1;x\na\r\n0\r\n\r\n", E::ChunkExtension),
        ("CR inside an extension", "1;x\ry\r\na\r\n0\r\n\r\n", E::ChunkEnding),
        ("data longer than its size", "1\r\nab\r\n0\r\n\r\n", E::ChunkEnding),
        ("data ended by LF", "1\r\na\n0\r\n\r\n", E::ChunkEnding),
        ("data ended by two other bytes", "1\r\naXX0\r\n\r\n", E::ChunkEnding),
        ("last chunk ended by LF", "0\r\n\n", E::Trailer),
        ("trailer with a length", "0\r\nContent-Length: 40\r\n\r\n", E::ForbiddenTrailer),
        ("trailer with a coding", "0\r\nTransfer-Encoding: chunked\r\n\r\n", E::ForbiddenTrailer),
        ("folded trailer", "0\r\nX: y\r\n z\r\n\r\n", E::Trailer),
        ("trailer that is a request line", "0\r\nGET /admin HTTP/1.1\r\n\r\n", E::Trailer),
    ];
    for (name, body, error) in table {
        let stream = post("Transfer-Encoding: chunked\r\n", &format!("{body}{HIDDEN}"));
        assert_eq!(read(Side::Requests, &stream), (vec![], End::Body(error)), "{name}");
    }
}

/// The table would also pass if everything were refused.
#[test]
fn honest_requests_after_one_another_are_read() {
    let honest = [
        post("Content-Length: 5\r\n", "hello"),
        post("Transfer-Encoding: chunked\r\n", "5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"),
        HIDDEN.as_bytes().to_vec(),
    ]
    .concat();
    let (messages, end) = read(Side::Requests, &honest);
    assert_eq!(end, End::Clean);
    let starts: Vec<_> = messages.iter().map(|m| (m.start.as_str(), m.body.as_slice())).collect();
    assert_eq!(starts, [("POST /", &b"hello"[..]), ("POST /", b"hello"), ("GET /admin", b"")]);
}

/// Files under `corpus/<requests|responses>/<accepted|refused>`, raw bytes that fuzzing or a bug report left
/// behind.
#[test]
fn the_corpus_is_read_as_its_folders_say() {
    use fuseboard_http1::{Awaiting, Method};
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let get = Side::Responses(Awaiting::to(Method::Get));
    for (folder, side) in [("requests", Side::Requests), ("responses", get)] {
        for (verdict, accepted) in [("accepted", true), ("refused", false)] {
            let files = std::fs::read_dir(corpus.join(folder).join(verdict)).unwrap();
            let mut count = 0;
            for file in files.map(|entry| entry.unwrap().path()) {
                let (_, end) = read(side, &std::fs::read(&file).unwrap());
                assert_eq!(end == End::Clean, accepted, "{}: {end:?}", file.display());
                count += 1;
            }
            assert!(count > 0, "{folder}/{verdict} is empty");
        }
    }
}
