//! What a request head says, rule by rule, with the section of the RFC that each rule comes from.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use fuseboard_http1::{
    BodyFraming, HeadError, HeadScanner, HeaderName, Headers, Limits, Method, RequestHead, TargetForm,
    Version, parse_request,
};

/// Parses a head and looks at it.
fn with<T>(head: &str, look: impl FnOnce(RequestHead<'_>) -> T) -> Result<T, HeadError> {
    with_bytes(head.as_bytes(), look)
}

fn with_bytes<T>(head: &[u8], look: impl FnOnce(RequestHead<'_>) -> T) -> Result<T, HeadError> {
    let limits = Limits::default();
    let length = HeadScanner::for_requests(limits).scan(head)?;
    assert_eq!(length, Some(head.len()), "the test's head is one whole head");
    let mut headers = Headers::new();
    parse_request(head, &mut headers, &limits).map(look)
}

fn error(head: &str) -> HeadError {
    with(head, |head| format!("{head:?}")).expect_err(head)
}

/// A GET with these field lines besides `Host`.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn a_head_keeps_order_and_case_of_its_fields() {
    let head =
        "GET /p?q=1 HTTP/1.1\r\nhOsT: a.b:8080\r\nX-B: 2\r\nx-a:1\r\nX-B: \t three \t\r\nEmpty:\r\n\r\n";
    with(head, |head| {
        assert_eq!((head.method(), head.method_bytes()), (Method::Get, b"GET".as_slice()));
        assert_eq!((head.version(), head.form()), (Version::Http11, TargetForm::Origin));
        assert_eq!(
            (head.target(), head.path(), head.query()),
            (&b"/p?q=1"[..], &b"/p"[..], Some(&b"q=1"[..]))
        );
        assert_eq!(head.authority(), Some(&b"a.b:8080"[..]));
        let fields: Vec<_> = head.fields().map(|field| (field.name, field.value)).collect();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"hOsT", b"a.b:8080"), (b"X-B", b"2"), (b"x-a", b"1"), (b"X-B", b"three"), (b"Empty", b"")];
        assert_eq!(fields, expected);
        assert_eq!(head.fields().len(), 5);
        assert_eq!(head.field(HeaderName::Host), Some(&b"a.b:8080"[..]));
        assert_eq!(head.field(HeaderName::Other), Some(&b"2"[..]), "the first one");
        assert_eq!(head.field(HeaderName::Cookie), None);
    })
    .unwrap();
}

#[test]
fn a_summary_restores_the_same_view() {
    let bytes = b"PURGE http://a/b?c HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let mut headers = Headers::new();
    let summary = parse_request(bytes, &mut headers, &Limits::default()).unwrap().summary();
    let head = RequestHead::restore(bytes, &headers, summary);
    assert_eq!((head.method(), head.method_bytes()), (Method::Other, b"PURGE".as_slice()));
    assert_eq!((head.authority(), head.path()), (Some(&b"a"[..]), &b"/b"[..]));
    // With bytes that it was not made from it reads as empty, and nothing panics.
    let other = RequestHead::restore(b"", &headers, summary);
    assert_eq!((other.target(), other.fields().count()), (&b""[..], 2));
}

#[test]
fn a_table_that_is_used_again_has_the_fields_of_the_last_head_alone() {
    let mut headers = Headers::new();
    assert!(headers.is_empty());
    for (lines, fields) in [("X: y\r\nX: z\r\n", 3), ("", 1)] {
        let bytes = get(lines);
        let head = parse_request(bytes.as_bytes(), &mut headers, &Limits::default()).unwrap();
        assert_eq!(head.fields().count(), fields);
        assert_eq!(headers.len(), fields);
        assert!(!headers.is_empty());
    }
    headers.release();
    assert!(headers.is_empty());
}

/// RFC 9112 section 3.2: the four forms, and what an origin server is sent for each.
#[test]
fn targets_come_in_four_forms() {
    let cases = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Origin, "a", "/", "/"),
        ("GET /?x HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Origin, "a", "/", "/?x"),
        ("GET //b/c HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Origin, "a", "//b/c", "//b/c"),
        ("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Absolute, "a", "/", "/"),
        ("GET http://a?x HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Absolute, "a", "/", "/?x"),
        ("GET HTTPS://A:443/x?y HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Absolute, "A:443", "/x", "/x?y"),
        ("GET http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Absolute, "a:80", "/", "/"),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Asterisk, "a", "*", "*"),
        ("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n", TargetForm::Absolute, "a", "/", "*"),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", TargetForm::Authority, "a:443", "", "a:443"),
        (
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]\r\n\r\n",
            TargetForm::Authority,
            "[::1]:443",
            "",
            "[::1]:443",
        ),
    ];
    for (text, form, authority, path, origin) in cases {
        with(text, |head| {
            let mut out = Vec::new();
            head.write_origin_target(&mut out);
            assert_eq!(head.form(), form, "{text}");
            assert_eq!(head.authority(), Some(authority.as_bytes()), "{text}");
            assert_eq!(head.path(), path.as_bytes(), "{text}");
            assert_eq!(out, origin.as_bytes(), "{text}");
        })
        .unwrap();
    }
}

/// RFC 9112 section 3.2: a target that is none of the forms, or not the form for its method, is a bad
/// request.
#[test]
fn other_targets_are_refused() {
    for target in ["x", "?x", "*", "a:80", "ftp://a/", "http:/a", "http:a", "/a#b", "/caf\u{e9}", "://a/"] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(error(&head), HeadError::Target, "{target}");
    }
    for target in ["a", "a:", "/", "*", "http://a:80/", "a:x", "a:99999", "u@a:80", ":80"] {
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(error(&head), HeadError::Target, "{target}");
    }
    // RFC 9110 section 4.2.4: user information in a target is an error.
    assert_eq!(error("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), HeadError::TargetHost);
    assert_eq!(error("GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n"), HeadError::TargetHost);
}

/// RFC 9112 section 3.2: 400 for an HTTP/1.1 request without `Host`, with two, or with an invalid one.
#[test]
fn host_is_there_once_and_valid() {
    assert_eq!(error("GET / HTTP/1.1\r\n\r\n"), HeadError::MissingHost);
    assert_eq!(HeadError::MissingHost.status(), 400);
    assert_eq!(error("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), HeadError::RepeatedHost);
    assert_eq!(error("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), HeadError::RepeatedHost);
    for host in [
        "", "a b", "a,b", "a/b", "u@a", "a:b", "a:65536", "a:000080", "a:80:80", "::1", "[::1", "[x]",
        "[::1]a", ":80", "a?b",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(error(&head), HeadError::InvalidHost, "{host}");
    }
    for host in [
        "a",
        "a.b-c_d",
        "1.2.3.4:80",
        "[::1]",
        "[fe80::1%25eth0]:80",
        "a:",
        "a:65535",
        "xn--caf-dma.example",
        "%41",
    ] {
        let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let authority = with(&head, |head| head.authority().map(<[u8]>::to_vec)).unwrap();
        assert_eq!(authority.as_deref(), Some(host.as_bytes()));
    }
    assert_eq!(with("GET / HTTP/1.0\r\n\r\n", |head| head.authority().is_none()), Ok(true));
    let authority = with("GET http://a/ HTTP/1.0\r\n\r\n", |head| head.authority().map(<[u8]>::to_vec));
    assert_eq!(authority, Ok(Some(b"a".to_vec())), "the target's, where there is no other");
}

/// RFC 9112 section 3.2.2 has proxies prefer the target; we refuse what a server behind us could read
/// differently.
#[test]
fn a_host_that_differs_from_the_target_is_refused() {
    for (target, host) in
        [("http://a/", "b"), ("http://a/", "a:81"), ("http://a:80/", "a:443"), ("https://a/", "a:80")]
    {
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(error(&head), HeadError::HostMismatch, "{target} {host}");
    }
    assert_eq!(error("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n"), HeadError::HostMismatch);
    assert_eq!(error("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n"), HeadError::HostMismatch);
}

/// RFC 9112 section 6.3: length, chunks, or nothing; never until close.
#[test]
fn a_request_has_a_body_only_if_it_announces_one() {
    let framing = |lines: &str| with(&get(lines), |head| head.framing());
    assert_eq!(framing(""), Ok(BodyFraming::None));
    assert_eq!(framing("Content-Length: 0\r\n"), Ok(BodyFraming::Length(0)));
    assert_eq!(framing("Content-Length: 0012\r\n"), Ok(BodyFraming::Length(12)));
    assert_eq!(framing("Content-Length: 9223372036854775807\r\n"), Ok(BodyFraming::Length(i64::MAX as u64)));
    assert_eq!(framing("transfer-encoding: ChunKed\r\n"), Ok(BodyFraming::Chunked));
    assert_eq!(framing("Transfer-Encoding:\tchunked \r\n"), Ok(BodyFraming::Chunked));
}

/// RFC 9110 section 8.6: `Content-Length = 1*DIGIT`.
#[test]
fn a_length_is_digits_and_nothing_else() {
    for value in [
        "",
        "+1",
        "-1",
        "0x1",
        "1_0",
        "1.0",
        "1e1",
        "a",
        "1a",
        "1 1",
        "\u{661}",
        "9223372036854775808",
        "99999999999999999999",
    ] {
        let head = get(&format!("Content-Length: {value}\r\n"));
        assert_eq!(error(&head), HeadError::ContentLength, "{value:?}");
    }
}

/// RFC 9112 section 6.3 lets a recipient reject equal lengths, and demands it for others.
#[test]
fn two_lengths_are_refused_even_if_equal() {
    for lines in [
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\ncontent-length: 6\r\n",
        "Content-Length: 5, 5\r\n",
        "Content-Length: 5,6\r\n",
        "Content-Length: ,5\r\n",
    ] {
        assert_eq!(error(&get(lines)), HeadError::RepeatedContentLength, "{lines}");
    }
}

/// RFC 9112 section 6.1.
#[test]
fn a_transfer_coding_other_than_one_chunked_is_refused() {
    let coded = |value: &str| error(&get(&format!("Transfer-Encoding: {value}\r\n")));
    for value in ["gzip, chunked", "gzip;q=1, chunked"] {
        assert_eq!(coded(value), HeadError::UnsupportedCoding, "{value}");
        assert_eq!(coded(value).status(), 501);
    }
    for value in [
        "",
        "gzip",
        "identity",
        "chunked, gzip",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;x=y",
        "\"chunked\"",
        "chunked gzip",
        "xchunked",
        "chunked, identity",
        "cow, gzip",
        "chunked ;",
        "ch\u{dc}nked",
    ] {
        assert_eq!(coded(value), HeadError::TransferEncoding, "{value}");
        assert_eq!(coded(value).status(), 400);
    }
    let twice = "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(error(&get(twice)), HeadError::TransferEncoding);
    let hidden = "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n";
    assert_eq!(error(&get(hidden)), HeadError::TransferEncoding);
}

/// RFC 9112 section 6.3: "ought to be handled as an error"; section 6.1 for HTTP/1.0.
#[test]
fn a_coding_with_a_length_or_in_http_1_0_is_refused() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    assert_eq!(error(&get(both)), HeadError::LengthAndEncoding);
    assert_eq!(HeadError::LengthAndEncoding.details(), "http1.content_length_and_chunked_not_allowed");
    let other_order = "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n";
    assert_eq!(error(&get(other_order)), HeadError::LengthAndEncoding);
    assert_eq!(error("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), HeadError::EncodingInHttp10);
}

/// RFC 9110 section 9.3.6.
#[test]
fn connect_has_no_body() {
    let connect = |line: &str| format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{line}\r\n\r\n");
    assert_eq!(error(&connect("Content-Length: 1")), HeadError::BodyNotAllowed);
    assert_eq!(error(&connect("Transfer-Encoding: chunked")), HeadError::BodyNotAllowed);
    assert!(with(&connect("Content-Length: 0"), |_| ()).is_ok());
}

/// Servers that read headers as variables take `_` for `-`.
#[test]
fn names_that_only_look_like_framing_are_refused() {
    for name in ["Content_Length", "content_length", "TRANSFER_ENCODING"] {
        assert_eq!(error(&get(&format!("{name}: 5\r\n"))), HeadError::Lookalike, "{name}");
    }
    for name in
        ["X_Custom_Header", "content+length", "contentxlength", "transfer.encoding", "content_lengthy"]
    {
        assert!(with(&get(&format!("{name}: 5\r\n")), |_| ()).is_ok(), "{name}");
    }
}

/// RFC 9112 section 9.3.
#[test]
fn a_connection_persists_unless_told_otherwise() {
    let persists = |version: &str, lines: &str| {
        with(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"), |head| head.keep_alive()).unwrap()
    };
    assert!(persists("1.1", ""));
    assert!(persists("1.1", "Connection: keep-alive\r\n"));
    assert!(!persists("1.1", "Connection: CLOSE\r\n"));
    assert!(!persists("1.1", "Connection: keep-alive, close\r\n"));
    assert!(!persists("1.1", "Connection: x\r\nConnection: ,, close,\r\n"));
    assert!(!persists("1.0", ""));
    assert!(persists("1.0", "Connection: Keep-Alive\r\n"));
    assert!(!persists("1.0", "Connection: Keep-Alive\r\nConnection: close\r\n"));
    assert!(persists("1.1", "Connection: closed\r\n"));
}

/// RFC 9110 section 7.6.1.
#[test]
fn hop_by_hop_fields_and_what_connection_names_are_marked() {
    let head =
        get("Connection: close, X-Mine , te\r\nKeep-Alive: 5\r\nTE: trailers\r\nx-mine: 1\r\nX-Other: 2\r\n\
                    Proxy-Connection: x\r\nTrailer: t\r\nX-MINE: 3\r\nHTTP2-Settings: z\r\n");
    with(&head, |head| {
        let kept: Vec<_> = head.fields().filter(|field| !field.hop_by_hop).map(|field| field.name).collect();
        assert_eq!(kept, [&b"Host"[..], b"X-Other", b"Trailer"]);
    })
    .unwrap();
}

/// A client must neither reframe a message nor hide itself by nominating fields.
#[test]
fn connection_cannot_drop_what_frames_or_identifies() {
    for name in ["Content-Length", "host"] {
        assert_eq!(
            error(&get(&format!("Connection: {name}\r\nContent-Length: 1\r\n"))),
            HeadError::Connection
        );
    }
    with(
        &get("Connection: x-forwarded-for, X-Request-Id\r\nX-Forwarded-For: 1.2.3.4\r\nX-Request-Id: r\r\n"),
        |head| {
            let dropped = |id| head.fields().any(|field| field.id == id && field.hop_by_hop);
            assert!(!dropped(HeaderName::XForwardedFor) && !dropped(HeaderName::XRequestId));
        },
    )
    .unwrap();
}

#[test]
fn connection_options_are_tokens_and_few() {
    assert_eq!(error(&get("Connection: a b\r\n")), HeadError::Connection);
    assert_eq!(error(&get("Connection: \"close\"\r\n")), HeadError::Connection);
    let many = |count: usize| format!("Connection: {}\r\n", vec!["x"; count].join(","));
    assert!(with(&get(&many(32)), |_| ()).is_ok());
    assert_eq!(error(&get(&many(33))), HeadError::Connection);
    let each_in_its_field = |count: usize| get(&"Connection: keep-alive\r\n".repeat(count));
    assert!(with(&each_in_its_field(32), |_| ()).is_ok());
    assert_eq!(error(&each_in_its_field(33)), HeadError::Connection);
    assert_eq!(HeadError::Connection.details(), "http1.connection_header_rejected");
}

/// RFC 9110 section 10.1.1.
#[test]
fn expect_continue_needs_http_1_1_and_a_body() {
    let expects = |version: &str, lines: &str| {
        with(&format!("POST / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"), |head| head.expect_continue())
    };
    assert_eq!(expects("1.1", "Expect: 100-Continue\r\nContent-Length: 1\r\n"), Ok(true));
    assert_eq!(expects("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"), Ok(true));
    assert_eq!(expects("1.1", "Expect: 100-continue\r\n"), Ok(false));
    assert_eq!(expects("1.1", "Expect: 100-continue\r\nContent-Length: 0\r\n"), Ok(false));
    assert_eq!(expects("1.0", "Expect: 100-continue\r\nContent-Length: 1\r\n"), Ok(false));
    for value in ["y 100-continue", "", "100-continue, x", "200-ok"] {
        assert_eq!(expects("1.1", &format!("Expect: {value}\r\n")), Err(HeadError::Expectation), "{value}");
    }
    let twice = "Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n";
    assert_eq!(expects("1.1", twice), Err(HeadError::Expectation));
    assert_eq!(HeadError::Expectation.status(), 417);
}

/// RFC 9110 section 7.8.
#[test]
fn an_upgrade_is_offered_only_with_the_connection_option() {
    let offered = |version: &str, lines: &str| {
        with(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"), |head| {
            head.upgrade().map(<[u8]>::to_vec)
        })
        .unwrap()
    };
    let both = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(offered("1.1", both).as_deref(), Some(&b"websocket"[..]));
    assert_eq!(
        offered("1.1", "Connection: keep-alive, UPGRADE\r\nUpgrade: a/1, b\r\n").as_deref(),
        Some(&b"a/1, b"[..])
    );
    assert_eq!(offered("1.0", both), None);
    assert_eq!(offered("1.1", "Upgrade: websocket\r\n"), None);
    assert_eq!(offered("1.1", "Connection: upgrade\r\n"), None);
    assert_eq!(offered("1.1", "Connection: upgrade\r\nUpgrade: a\r\nUpgrade: b\r\n"), None);
    // Requests behind an h2c upgrade would pass no limit and no rule.
    assert_eq!(
        offered("1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"),
        None
    );
    assert_eq!(offered("1.1", "Connection: Upgrade\r\nUpgrade: websocket, H2C\r\n"), None);
}

/// RFC 7540 section 3.2.
#[test]
fn a_client_asks_for_h2c_with_both_options_and_its_settings_once() {
    let asked = |version: &str, lines: &str| {
        with(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n"), |head| {
            head.h2c().map(|settings| String::from_utf8(settings.to_vec()).unwrap())
        })
        .unwrap()
    };
    let options = "Connection: Upgrade, HTTP2-Settings\r\n";
    let (h2c, settings) = ("Upgrade: h2c\r\n", "HTTP2-Settings: AAMAAABk\r\n");
    let lines = |parts: &[&str]| parts.concat();
    assert_eq!(asked("1.1", &lines(&[options, h2c, settings])).as_deref(), Some("AAMAAABk"));
    let spelled = "connection: http2-settings\r\nconnection: upgrade\r\nupgrade: websocket, H2C\r\n";
    assert_eq!(asked("1.1", &lines(&[spelled, settings])).as_deref(), Some("AAMAAABk"));
    assert_eq!(asked("1.1", &lines(&[options, h2c, "HTTP2-Settings:\r\n"])).as_deref(), Some(""));
    assert_eq!(asked("1.0", &lines(&[options, h2c, settings])), None);
    assert_eq!(asked("1.1", &lines(&[options, h2c])), None);
    assert_eq!(asked("1.1", &lines(&[options, h2c, settings, settings])), None);
    assert_eq!(asked("1.1", &lines(&[options, h2c, h2c, settings])), None);
    assert_eq!(asked("1.1", &lines(&[options, "Upgrade: h2\r\n", settings])), None);
    assert_eq!(asked("1.1", &lines(&[options, "Upgrade: h2c-17\r\n", settings])), None);
    assert_eq!(asked("1.1", &lines(&["Connection: Upgrade\r\n", h2c, settings])), None);
    assert_eq!(asked("1.1", &lines(&["Connection: HTTP2-Settings\r\n", h2c, settings])), None);
}

/// RFC 9112 sections 2.2, 2.3 and 3.
#[test]
fn request_lines_are_three_words() {
    let line = |line: &str| error(&format!("{line}\r\nHost: a\r\n\r\n"));
    assert_eq!(line("GET  / HTTP/1.1"), HeadError::Target);
    assert_eq!(line("GET /a b HTTP/1.1"), HeadError::Version);
    assert_eq!(line("GET / HTTP/1.1 "), HeadError::LineEnding);
    assert_eq!(line("GET /\tHTTP/1.1"), HeadError::Version);
    assert_eq!(line("GET\t/ HTTP/1.1"), HeadError::Method);
    assert_eq!(line("G(T / HTTP/1.1"), HeadError::Method);
    assert_eq!(line("GET /"), HeadError::Version);
    assert_eq!(line("GET / HTTP/1.2"), HeadError::UnsupportedVersion);
    assert_eq!(line("GET / HTTP/2.0"), HeadError::UnsupportedVersion);
    assert_eq!(line("GET / HTTP/0.9"), HeadError::UnsupportedVersion);
    assert_eq!(line("GET / http/1.1"), HeadError::Version);
    assert_eq!(line("GET / HTTP/1.10"), HeadError::LineEnding);
    assert_eq!(line("GET / HTTP/11"), HeadError::Version);
    assert_eq!(line("GET / HTTPS/1.1"), HeadError::Version);
    assert_eq!(error("PRI * HTTP/2.0\r\n\r\n"), HeadError::Http2Preface);
    assert_eq!(HeadError::UnsupportedVersion.status(), 505);
}

/// RFC 9112 section 5.1: no space before the colon; section 5.2: no folding. RFC 9110 section 5.5: no control
/// bytes.
#[test]
fn field_lines_are_strict() {
    for lines in [
        "X : 1\r\n",
        "X\t: 1\r\n",
        ": 1\r\n",
        "X\r\n",
        " X: 1\r\n",
        "X: 1\r\n folded\r\n",
        "X: 1\r\n\tfolded\r\n",
        "X(: 1\r\n",
        "\u{e9}: 1\r\n",
    ] {
        assert_eq!(error(&get(lines)), HeadError::FieldName, "{lines:?}");
    }
    for byte in (0..0x20).chain([0x7f]).filter(|b| !matches!(b, b'\t' | b'\n' | b'\r')) {
        let head = get(&format!("X: a{}b\r\n", char::from(byte)));
        assert_eq!(error(&head), HeadError::FieldValue, "{byte:#x}");
    }
    assert_eq!(error(&get("X: a\rb\r\n")), HeadError::FieldValue);
    assert_eq!(error(&get("X: a\r\r\n")), HeadError::FieldValue);
}

/// RFC 9112 section 2.2: a recipient may accept a bare LF; then it differs from one that does not.
#[test]
fn a_line_ends_with_both_bytes() {
    for head in [
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\nX: a\nY: b\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let scanned = HeadScanner::for_requests(Limits::default()).scan(head.as_bytes());
        assert_eq!(scanned, Err(HeadError::LineEnding), "{head:?}");
        // The parser does not rely on the scanner.
        let parsed = parse_request(head.as_bytes(), &mut Headers::new(), &Limits::default()).map(|_| ());
        assert_eq!(parsed, Err(HeadError::LineEnding), "{head:?}");
    }
}

/// RFC 9112 section 2.2: "SHOULD ignore at least one empty line (CRLF) received prior to the request-line".
#[test]
fn one_empty_line_may_come_first() {
    with("\r\nGET /p HTTP/1.1\r\nHost: a\r\n\r\n", |head| {
        assert_eq!((head.path(), head.authority()), (&b"/p"[..], Some(&b"a"[..])));
        assert_eq!(head.fields().next().map(|field| field.name), Some(&b"Host"[..]));
    })
    .unwrap();
}

#[test]
fn what_is_not_http_is_refused_at_its_first_byte() {
    for first in [b"\x16".as_slice(), b"\0", b" ", b"\x80", b"{", b"\""] {
        assert_eq!(HeadScanner::for_requests(Limits::default()).scan(first), Err(HeadError::NotHttp));
    }
    let mut scanner = HeadScanner::for_requests(Limits::default());
    assert_eq!(scanner.scan(b"GET / HTTP/1.1\r\nX: \0"), Err(HeadError::FieldValue), "NUL in half a head");
}

#[test]
fn heads_are_bounded_in_bytes_and_fields() {
    let limits = Limits { max_head_bytes: 64, max_headers: 3 };
    let head = |pad: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(pad));
    let scan = |text: &str| HeadScanner::for_requests(limits).scan(text.as_bytes());
    let exact = head(64 - head(0).len());
    assert_eq!(scan(&exact), Ok(Some(64)));
    assert_eq!(scan(&head(65 - head(0).len())), Err(HeadError::TooLarge));
    assert_eq!(scan(&"a".repeat(65)), Err(HeadError::TooLarge), "without any line");
    assert_eq!(scan(&"a".repeat(64)), Ok(None));
    assert_eq!(
        scan(&format!("{exact}{}", "b".repeat(1000))),
        Ok(Some(64)),
        "what follows the head does not count"
    );
    let parse = |text: &str| {
        parse_request(text.as_bytes(), &mut Headers::new(), &limits).map(|head| head.fields().len())
    };
    assert_eq!((parse(&exact), parse(&head(65))), (Ok(2), Err(HeadError::TooLarge)));
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 1\r\n\r\n"), Ok(3));
    assert_eq!(
        parse("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nX: 1\r\nX: 1\r\n\r\n"),
        Err(HeadError::TooManyFields)
    );
    assert_eq!((HeadError::TooLarge.status(), HeadError::TooManyFields.status()), (431, 431));
}

#[test]
fn values_above_ascii_are_kept() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xe9\r\n\r\n";
    assert_eq!(
        with_bytes(head, |head| head.fields().nth(1).map(|f| f.value.to_vec())),
        Ok(Some(b"caf\xe9".to_vec()))
    );
}

#[test]
fn a_scanner_is_ready_for_the_next_head() {
    let two = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET";
    let mut scanner = HeadScanner::for_requests(Limits::default());
    assert_eq!(scanner.scan(two), Ok(Some(28)));
    assert_eq!(scanner.scan(&two[28..]), Ok(Some(28)));
    assert_eq!(scanner.scan(&two[56..]), Ok(None));
    scanner.reset();
    assert_eq!(scanner.scan(&two[..28]), Ok(Some(28)));
}
