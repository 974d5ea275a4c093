//! What a response head says, rule by rule, given what was asked.

use fuseboard_http1::{
    Awaiting, BodyFraming, HeadError, HeadScanner, HeaderName, Headers, Limits, Method, ResponseHead,
    Version, parse_response,
};

fn with<T>(awaiting: Awaiting, head: &str, look: impl FnOnce(ResponseHead<'_>) -> T) -> Result<T, HeadError> {
    let limits = Limits::default();
    let length = HeadScanner::for_responses(limits).scan(head.as_bytes())?;
    assert_eq!(length, Some(head.len()), "the test's head is one whole head");
    parse_response(head.as_bytes(), &mut Headers::new(), &limits, awaiting).map(look)
}

const GET: Awaiting = Awaiting::to(Method::Get);
const UPGRADE: Awaiting = Awaiting { method: Method::Get, upgrade: true };

fn framing(method: Method, head: &str) -> Result<BodyFraming, HeadError> {
    with(Awaiting::to(method), head, |head| head.framing())
}

fn answer(status: u16, lines: &str) -> String {
    format!("HTTP/1.1 {status} x\r\n{lines}\r\n")
}

#[test]
fn a_status_line_gives_version_status_and_reason() {
    let cases = [
        ("HTTP/1.1 200 OK\r\n\r\n", Version::Http11, 200, "OK"),
        ("HTTP/1.0 404 Not  Found\r\n\r\n", Version::Http10, 404, "Not  Found"),
        ("HTTP/1.1 200 \r\n\r\n", Version::Http11, 200, ""),
        ("HTTP/1.1 200\r\n\r\n", Version::Http11, 200, ""),
        ("HTTP/1.1 999 caf\u{e9}\r\n\r\n", Version::Http11, 999, "caf\u{e9}"),
    ];
    for (text, version, status, reason) in cases {
        with(GET, text, |head| {
            assert_eq!((head.version(), head.status(), head.reason()), (version, status, reason.as_bytes()));
        })
        .unwrap();
    }
}

#[test]
fn the_first_field_of_a_name_is_found_in_any_case() {
    with(GET, &answer(200, "A: b\r\nserver: one\r\nServer: two\r\n"), |head| {
        assert_eq!(head.field(HeaderName::Server), Some(&b"one"[..]));
        assert_eq!(head.field(HeaderName::Other), Some(&b"b"[..]));
        assert_eq!(head.field(HeaderName::Date), None);
    })
    .unwrap();
}

#[test]
fn what_follows_a_head_is_not_parsed_with_it() {
    let (limits, mut headers) = (Limits::default(), Headers::new());
    let parsed = parse_response(b"HTTP/1.1 200 OK\r\n\r\nbody", &mut headers, &limits, GET);
    assert_eq!(parsed.map(|_| ()), Err(HeadError::LineEnding));
}

/// RFC 9112 section 4.
#[test]
fn malformed_status_lines_are_refused() {
    let line = |line: &str| with(GET, &format!("{line}\r\n\r\n"), |_| ()).expect_err(line);
    for text in [
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 2x0 OK",
        "HTTP/1.1 099 x",
        "HTTP/1.1 +20 x",
        "HTTP/1.1 200OK",
        "HTTP/1.1 200 a\0b",
        "HTTP/1.1 200 a\rb",
    ] {
        assert_eq!(line(text), HeadError::StatusLine, "{text:?}");
    }
    assert_eq!(line("HTTP/1.1\t200 OK"), HeadError::Version);
    assert_eq!(line("HTTP/2.0 200 OK"), HeadError::UnsupportedVersion);
    assert_eq!(line("HTTP/1.2 200 OK"), HeadError::Version);
    assert_eq!(line("Http/1.1 200 OK"), HeadError::Version);
    assert_eq!(line("ICY 200 OK"), HeadError::NotHttp);
}

/// RFC 9112 section 6.3, in its order.
#[test]
fn the_body_of_a_response_depends_on_what_was_asked() {
    let length = answer(200, "Content-Length: 5\r\n");
    let chunked = answer(200, "Transfer-Encoding: chunked\r\n");
    assert_eq!(framing(Method::Get, &length), Ok(BodyFraming::Length(5)));
    assert_eq!(framing(Method::Get, &chunked), Ok(BodyFraming::Chunked));
    assert_eq!(framing(Method::Get, &answer(200, "")), Ok(BodyFraming::UntilClose));
    for head in [&length, &chunked, &answer(200, "")] {
        assert_eq!(framing(Method::Head, head), Ok(BodyFraming::None));
    }
    for status in [204, 304, 103] {
        assert_eq!(framing(Method::Get, &answer(status, "")), Ok(BodyFraming::None), "{status}");
    }
    assert_eq!(framing(Method::Get, &answer(304, "Content-Length: 5\r\n")), Ok(BodyFraming::None));
    assert_eq!(framing(Method::Get, &answer(304, "Transfer-Encoding: chunked\r\n")), Ok(BodyFraming::None));
    assert_eq!(framing(Method::Get, &answer(205, "Content-Length: 0\r\n")), Ok(BodyFraming::Length(0)));
}

/// RFC 9112 section 6.1 and RFC 9110 section 8.6: MUST NOT be sent, and a recipient that believes them waits
/// for a body.
#[test]
fn a_body_announced_where_none_can_be_is_refused() {
    for status in [100, 103, 204] {
        let coded = framing(Method::Get, &answer(status, "Transfer-Encoding: chunked\r\n"));
        assert_eq!(coded, Err(HeadError::EncodingNotAllowed), "{status}");
        let long = framing(Method::Get, &answer(status, "Content-Length: 5\r\n"));
        assert_eq!(long, Err(HeadError::LengthNotAllowed), "{status}");
        let empty = framing(Method::Get, &answer(status, "Content-Length: 0\r\n"));
        assert_eq!(empty, Ok(BodyFraming::None), "{status}");
    }
    assert_eq!(
        framing(Method::Connect, &answer(200, "Content-Length: 5\r\n")),
        Err(HeadError::LengthNotAllowed)
    );
    assert_eq!(framing(Method::Connect, &answer(403, "Content-Length: 5\r\n")), Ok(BodyFraming::Length(5)));
}

#[test]
fn ambiguous_framing_is_refused_as_in_requests() {
    let cases = [
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HeadError::LengthAndEncoding),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", HeadError::RepeatedContentLength),
        ("Content-Length: 5, 5\r\n", HeadError::RepeatedContentLength),
        ("Content-Length: -1\r\n", HeadError::ContentLength),
        ("Transfer-Encoding: chunked, gzip\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: gzip\r\n", HeadError::TransferEncoding),
        ("Transfer-Encoding: gzip, chunked\r\n", HeadError::UnsupportedCoding),
        ("Transfer-Encoding : chunked\r\n", HeadError::FieldName),
        (" X: y\r\n", HeadError::FieldName),
        ("X: y\r\n z\r\n", HeadError::FieldName),
        ("X: a\0b\r\n", HeadError::FieldValue),
    ];
    for (lines, error) in cases {
        // Judged even where the body is none anyway.
        for method in [Method::Get, Method::Head] {
            assert_eq!(framing(method, &answer(200, lines)), Err(error), "{lines}");
        }
    }
    assert_eq!(
        framing(Method::Get, "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Err(HeadError::EncodingInHttp10)
    );
}

/// RFC 9112 section 9.3.
#[test]
fn a_connection_is_reused_after_a_body_with_an_end() {
    let reusable = |head: &str| with(GET, head, |head| head.keep_alive()).unwrap();
    assert!(reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(!reusable("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    assert!(!reusable("HTTP/1.1 200 OK\r\n\r\n"), "until close");
    assert!(!reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert!(reusable("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n"));
    assert!(!reusable("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n"), "until close");
    assert!(reusable("HTTP/1.1 304 Not Modified\r\n\r\n"));
}

/// RFC 9110 section 15.2.
#[test]
fn interim_responses_are_followed_by_another() {
    for status in [100, 102, 103, 199] {
        assert_eq!(
            with(GET, &answer(status, ""), |head| (head.is_interim(), head.is_tunnel())),
            Ok((true, false))
        );
    }
    assert_eq!(with(GET, &answer(200, ""), |head| head.is_interim()), Ok(false));
}

/// RFC 9110 section 15.2.2.
#[test]
fn a_switch_of_protocols_has_to_be_asked_for() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    with(UPGRADE, switch, |head| {
        assert!(head.is_tunnel() && !head.is_interim() && !head.keep_alive());
        assert_eq!(head.framing(), BodyFraming::None);
    })
    .unwrap();
    assert_eq!(with(GET, switch, |_| ()), Err(HeadError::UnexpectedUpgrade));
    for bad in [
        "HTTP/1.1 101 x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.0 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        assert_eq!(with(UPGRADE, bad, |_| ()), Err(HeadError::UnexpectedUpgrade), "{bad}");
    }
    let declined =
        with(UPGRADE, &answer(200, "Content-Length: 0\r\n"), |head| (head.is_tunnel(), head.keep_alive()));
    assert_eq!(declined, Ok((false, true)), "the offer may be ignored");
}

/// RFC 9110 section 9.3.6.
#[test]
fn a_successful_connect_is_a_tunnel() {
    let connect = Awaiting::to(Method::Connect);
    assert_eq!(
        with(connect, &answer(200, ""), |head| (head.is_tunnel(), head.framing())),
        Ok((true, BodyFraming::None))
    );
    assert_eq!(with(connect, &answer(407, "Content-Length: 0\r\n"), |head| head.is_tunnel()), Ok(false));
}

#[test]
fn no_line_ends_with_lf_alone_and_none_comes_first() {
    for head in [
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\nX: y\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200\n\r\n",
    ] {
        assert_eq!(with(GET, head, |_| ()), Err(HeadError::LineEnding), "{head:?}");
        let parsed =
            parse_response(head.as_bytes(), &mut Headers::new(), &Limits::default(), GET).map(|_| ());
        assert_eq!(parsed, Err(HeadError::LineEnding), "{head:?}");
    }
}
