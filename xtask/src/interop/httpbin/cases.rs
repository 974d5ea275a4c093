//! The requests that httpbin and go-httpbin get, by families of endpoints.

use super::case::{Case, Part};
use super::wire::frame;

const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const JSON: &str = "Content-Type: application/json";
const TEXT: &str = "Content-Type: text/plain; charset=utf-8";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=b";
/// The header that tells that trailers are wanted, as RFC 9110 has it.
const TRAILERS: &str = "TE: trailers";
/// A length where go-httpbin has none, and the other way round.
const LENGTH: Part = Part::Header("content-length");

/// Answers to digest challenges: the user is u, the password p, the nonce n.
const DIGESTS: [(&str, &str); 3] = [
    (
        "/digest-auth/auth/u/p",
        r#"Authorization: Digest username="u", realm="go-httpbin", nonce="n", uri="/digest-auth/auth/u/p", algorithm=MD5, qop=auth, nc=00000001, cnonce="c", response="830c8d7b4f6413fc114413cf7284fc7a""#,
    ),
    (
        "/digest-auth/auth/u/p",
        r#"Authorization: Digest username="u", realm="go-httpbin", nonce="n", uri="/digest-auth/auth/u/p", algorithm=MD5, response="95af75e67a9e2c2e73737f0c85cb17f4""#,
    ),
    (
        "/digest-auth/auth/u/p/SHA-256",
        r#"Authorization: Digest username="u", realm="go-httpbin", nonce="n", uri="/digest-auth/auth/u/p/SHA-256", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="c", response="2bf7ea425d957a98ddb615e30ea069770e38984ff9bc65a1e456443b09dded41""#,
    ),
];

/// Cases for both with their defaults.
pub(super) fn usual() -> Vec<Case> {
    [shown(), bodies(), moved(), guarded(), conditional(), content(), streams(), failing(), talking()]
        .into_iter()
        .flatten()
        .collect()
}

/// Cases for both behind a prefix, with small limits, a list of hosts and hidden headers.
pub(super) fn bounded() -> Vec<Case> {
    let mut cases = gets(&[
        "/p/get?a=1",
        "/p/redirect/2",
        "/p/links/2",
        "/p/links/2/1",
        "/p/cookies/set?a=1",
        "/p/status/302",
        "/p/redirect-to?url=/get",
        "/p/redirect-to?url=http://example.org/x",
        "/p/redirect-to?url=//example.org:80/x",
        "/p/delay/2",
        "/p/drip?duration=600ms&delay=600ms",
        "/p/bytes/101",
        "/p/range/101",
        "/p/base64/aGVsbG8=",
    ]);
    cases.push(
        Case::new("GET /get")
            .but("H10", Part::Header("access-control-allow-origin"))
            .but("H10", Part::Header("access-control-allow-credentials")),
    );
    cases.push(Case::new("GET /p//get").but("H13", Part::Body).but("H13", Part::Header("location")));
    cases.push(Case::new("GET /p/redirect/1?absolute=true").but("H13", Part::Header("location")));
    cases.push(Case::new("GET /p/redirect-to?url=http://evil/").but("H3", Part::Body));
    cases.push(
        Case::new("GET /p/headers").header("X-Secret-Key: 1").header("X-Shown: 1").header("Cookie: a=1"),
    );
    cases.push(Case::new("POST /p/post").header(TEXT).body([b'x'; 100]));
    cases.push(Case::new("POST /p/post").header(TEXT).body([b'x'; 101]));
    cases.push(Case::new("POST /p/upload").body([b'x'; 101]));
    cases
}

fn gets(paths: &[&str]) -> Vec<Case> {
    paths.iter().map(|path| Case::new(format!("GET {path}"))).collect()
}

/// A target that hyper refuses before anybody sees it.
fn odd(case: Case) -> Case {
    ["access-control-allow-credentials", "access-control-allow-origin", "content-type"]
        .into_iter()
        .fold(case.but("H12", Part::Status).but("H12", Part::Body), |case, name| {
            case.but("H12", Part::Header(name))
        })
}

/// What was sent is shown.
fn shown() -> Vec<Case> {
    let mut cases = gets(&[
        "/get",
        "/get?a=1&b=2&a=3&c",
        "/get?x=%C3%A9&y=a+b&bad=%zz&semi=1;2",
        "/get?h=%3Cb%3E&l=%E2%80%A8",
        "/get?",
        "/anything",
        "/anything/a/b%20c?x=y",
        "/anything/",
        "/ip",
        "/ip?format=text",
        "/uuid",
        "/hostname",
        "/headers",
        "/user-agent",
        "/cookies",
        "/dump/request?x=1",
        "/nope",
        "/get/",
        "/delay/",
        "//get",
        "/a/../get?x=1",
        "/brotli",
    ]);
    let header = |path: &str, header: &str| Case::new(format!("GET {path}")).header(header);
    cases.extend([
        header("/user-agent", "User-Agent: a/1.0"),
        header("/headers", "X-Multi: a").header("X-Multi: b").header("x-lower-case: c"),
        header("/ip", "X-Forwarded-For: 10.1.1.1, 10.2.2.2"),
        header("/ip", "True-Client-IP: 10.3.3.3"),
        header("/ip", "X-Forwarded-For: 10.1.1.1").header("CF-Connecting-IP: 10.4.4.4"),
        header("/get", "X-Forwarded-Proto: https"),
        header("/get", "X-Forwarded-Ssl: on"),
        header("/get", "Origin: http://page.example"),
        header("/cookies", "Cookie: a=1; b=\"2\"; a=3; c"),
        header("/cookies", "Cookie: bad name=1; ok=x,y z"),
        header("/dump/request", "X-B: 2").header("X-A: 1").header("X-A: 3"),
        header("/gzip?a=1", "Accept-Encoding: gzip").packed(),
        header("/deflate", "Accept-Encoding: deflate").packed(),
        Case::new("GET /version").but("H5", Part::Body),
        Case::new("GET /env").but("H5", Part::Body),
        odd(Case::new("GET /get?h=<b>")),
        Case::new("GET /get")
            .header(&format!("X-Long: {}", "x".repeat(3000)))
            .but("H1", LENGTH)
            .but("H1", Part::Header("transfer-encoding")),
        Case::new("POST /get"),
        Case::new("DELETE /post"),
        Case::new("GET /head"),
        Case::new("GET /upload"),
        Case::new("POST /"),
        Case::new("HEAD /get").but("H2", LENGTH),
        Case::new("HEAD /head").but("H2", LENGTH),
        Case::new("HEAD /anything").but("H2", LENGTH),
        Case::new("HEAD /nope").but("H2", LENGTH),
        Case::new("HEAD /status/503").but("H2", LENGTH),
        Case::new("HEAD /bytes/10"),
        Case::new("HEAD /stream/2").but("H2", Part::Header("content-type")),
        Case::new("OPTIONS /get"),
        Case::new("OPTIONS /nope").header("Origin: http://o").header("Access-Control-Request-Headers: X-A"),
        Case::new("OPTIONS /x").header("Access-Control-Request-Headers: X-B"),
        Case::new("PUT /headers"),
        Case::new("PURGE /anything"),
    ]);
    cases
}

/// Bodies of every kind.
fn bodies() -> Vec<Case> {
    let post = |header: &str, body: &[u8]| Case::new("POST /post").header(header).body(body);
    vec![
        Case::new("POST /post"),
        post(FORM, b"a=1&b=2&a=3&c=x+y%21"),
        post(FORM, b"a=%zz"),
        post(FORM, b"a=1;b=2"),
        Case::new("DELETE /delete").header(FORM).body("a=1"),
        Case::new("GET /anything").header(FORM).body("a=1"),
        post(JSON, br#"{"b": [1, "x", null], "a": {"y": true, "x": 1.5}}"#),
        post(JSON, br#""text""#),
        post(JSON, br#"{"a":1} and more"#),
        post(JSON, br#"{"whole": 1.0, "long": 12345678901234567}"#).but("H6", Part::Body),
        post(JSON, b"{bad").but("H4", Part::Body),
        post("Content-Type: application/json; charset=utf-8", b"[1]"),
        post(TEXT, b"plain"),
        post(TEXT, b"\xff\xfe").but("H8", Part::Body),
        post("Content-Type: text/html", b"<b>"),
        post("Content-Type: application/octet-stream", b"\x00\xff\xfe?>"),
        post("Content-Type: application/xml", b"<a/>"),
        Case::new("POST /post").body("no type"),
        post(MULTIPART, b"--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv1\r\n--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv2\r\n--b--\r\n"),
        post(MULTIPART, b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"),
        post(MULTIPART, b"nothing of the kind").but("H4", Part::Body),
        post("Content-Type: multipart/form-data", b"x"),
        Case::new("PUT /put").header(TEXT).body("put"),
        Case::new("PATCH /patch").header(TEXT).body("patch"),
        Case::new("POST /anything/x?q=1").header(TEXT).body("any"),
        Case::new("POST /post").header(TEXT).header("Transfer-Encoding: chunked").body("3\r\nabc\r\n0\r\n\r\n"),
        Case::new("POST /dump/request").header("Transfer-Encoding: chunked").body("3\r\nabc\r\n0\r\n\r\n"),
        Case::new("POST /dump/request").header(TEXT).body("dumped"),
        Case::new("POST /upload").body("12345"),
        Case::new("PUT /upload").header("Transfer-Encoding: chunked").body("3\r\nabc\r\n0\r\n\r\n"),
        Case::new("POST /delay/10ms").header(JSON).body("[1]"),
    ]
}

/// Redirects, links, cookies.
fn moved() -> Vec<Case> {
    let mut cases = gets(&[
        "/redirect/1",
        "/redirect/3",
        "/redirect/2?absolute=TRUE",
        "/redirect/0",
        "/redirect/-1",
        "/redirect/x",
        "/relative-redirect/2",
        "/relative-redirect/1",
        "/absolute-redirect/2",
        "/absolute-redirect/1",
        "/redirect-to",
        "/redirect-to?url=/get",
        "/redirect-to?url=http://example.org/a%3Fb%3Dc",
        "/redirect-to?url=http://example.org&status_code=307",
        "/redirect-to?url=http://example.org&status_code=200",
        "/redirect-to?url=http://example.org&status_code=x",
        "/links/3",
        "/links/3?x=1",
        "/links/3/1",
        "/links/0/0",
        "/links/257",
        "/links/-1",
        "/links/x",
        "/links/3/x",
        "/cookies/set?a=1",
        "/cookies/set?a=x%20y&attr[Secure]=true&attr[HttpOnly]=0&attr[Path]=/p&attr[SameSite]=strict",
        "/cookies/set?a=1&attr[Domain]=example.org",
        "/cookies/set",
        "/cookies/delete?a",
    ]);
    cases.push(Case::new("GET /redirect-to?url=relative").but("H3", Part::Body));
    cases.push(Case::new("GET /absolute-redirect/2").header("X-Forwarded-Proto: https"));
    cases.push(Case::new("GET /cookies/set?a=1").header("X-Forwarded-Proto: https"));
    cases
}

/// Passwords, tokens, digests.
fn guarded() -> Vec<Case> {
    // "u:p" and "u:wrong".
    let (right, wrong) = ("Authorization: Basic dTpw", "Authorization: Basic dTp3cm9uZw==");
    let mut cases = gets(&[
        "/basic-auth/u/p",
        "/hidden-basic-auth/u/p",
        "/bearer",
        "/digest-auth/auth/u/p",
        "/digest-auth/auth/u/p/MD5",
        "/digest-auth/auth/u/p/sha-256",
        "/digest-auth/auth-int/u/p",
        "/digest-auth/auth/u/p/SHA-512",
    ]);
    for path in ["/basic-auth/u/p", "/hidden-basic-auth/u/p"] {
        cases.push(Case::new(format!("GET {path}")).header(right));
        cases.push(Case::new(format!("GET {path}")).header(wrong));
    }
    let bearer = |value: &str| Case::new("GET /bearer").header(&format!("Authorization: {value}"));
    cases.extend([bearer("Bearer token"), bearer("Bearer"), bearer("Bearer a b"), bearer("Basic dTpw")]);
    for (path, header) in DIGESTS {
        cases.push(Case::new(format!("GET {path}")).header(header));
        cases.push(
            Case::new(format!("GET {path}")).header(&header.replace("username=\"u\"", "username=\"v\"")),
        );
        cases.push(Case::new(format!("GET {path}")).header(&header.replace("nonce=\"n\"", "nonce=\"m\"")));
    }
    cases
}

/// Caches, entity tags, ranges, headers of choice.
fn conditional() -> Vec<Case> {
    let mut cases = gets(&[
        "/cache/60",
        "/cache/-1",
        "/cache/x",
        "/etag/v1",
        "/range/26",
        "/range/60?duration=20ms",
        "/range/0",
        "/range/x",
        "/range/1048577",
        "/range/10?duration=11s",
        "/response-headers",
        "/response-headers?X-A=1&X-A=2&x-b=c",
        "/response-headers?Content-Type=text/html&x=%3Cb%3E",
        "/response-headers?Content-Type=text/plain&x=%3Cb%3E",
    ]);
    cases.push(Case::new("GET /cache").but("H9", Part::Header("etag")));
    for header in ["If-None-Match: x", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT"] {
        cases.push(Case::new("GET /cache").header(header));
    }
    for header in [
        "If-None-Match: \"v1\"",
        "If-None-Match: W/\"v1\", \"v2\"",
        "If-None-Match: \"v2\"",
        "If-None-Match: *",
        "If-Match: \"v1\"",
        "If-Match: \"v2\"",
        "If-Match: *",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "If-Modified-Since: Sat, 06 Nov 2094 08:49:37 GMT",
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
        "Range: bytes=0-9",
    ] {
        cases.push(Case::new("GET /etag/v1").header(header));
    }
    for range in [
        "bytes=0-4",
        "bytes=20-",
        "bytes=-5",
        "bytes=20-99",
        "bytes=26-",
        "bytes=5-4",
        "bytes=x",
        "chars=0-1",
        "bytes=0-1,3-4",
        "bytes=0-20,1-20",
        "bytes=",
        "bytes=30-40,1-2",
    ] {
        cases.push(Case::new("GET /range/26").header(&format!("Range: {range}")));
    }
    cases.push(Case::new("GET /range/26").header("Range: bytes=0-4").header("If-Range: \"other\""));
    cases.push(Case::new("HEAD /range/26").header("Range: bytes=0-4"));
    cases.push(Case::new("POST /etag/v1").header("If-None-Match: \"v1\""));
    cases
}

/// Pages, documents, images, base64.
fn content() -> Vec<Case> {
    let own = |path: &str| Case::new(format!("GET {path}")).but("H3", Part::Body);
    let mut cases: Vec<Case> =
        ["/deny", "/json", "/xml", "/forms/post", "/image/avif", "/image/png"].into_iter().map(own).collect();
    for path in ["/html", "/encoding/utf8", "/image/jpeg", "/image/webp", "/image/svg", "/image/png"] {
        cases.push(own(path));
    }
    cases.push(own("/").but("H3", Part::Header("content-security-policy")));
    for accept in ["image/*", "image/png", "image/webp", "image/svg+xml", "image/jpeg", "image/avif"] {
        cases.push(own("/image").header(&format!("Accept: {accept}")));
    }
    cases.push(Case::new("GET /image").header("Accept: text/html"));
    cases.extend(gets(&[
        "/robots.txt",
        "/image/tiff",
        "/base64/aGVsbG8=",
        "/base64/decode/aGVsbG8-_w==",
        "/base64/encode/hello%20w",
        "/base64/other/x",
        "/base64/aGVsbG8=?content-type=text/html",
        "/base64/PGI-?content-type=text/html",
        "/base64/PGI-?content-type=application/json",
    ]));
    cases.push(Case::new("GET /base64/%25").but("H4", Part::Body));
    cases.push(Case::new("POST /encoding/utf8"));
    cases.push(Case::new("POST /html").but("H3", Part::Body));
    cases
}

/// Answers in pieces.
fn streams() -> Vec<Case> {
    let mut cases = gets(&[
        "/stream/2?a=1&h=%3C&",
        "/stream/0",
        "/stream/x",
        "/jsonl?count=2",
        "/jsonl?count=2&duration=20ms&delay=10ms&jitter=0.5",
        "/jsonl?count=0",
        "/jsonl?count=x",
        "/jsonl?jitter=2",
        "/jsonl?duration=6s&delay=6s",
        "/sse?count=0",
        "/sse?count=99999",
        "/sse?count=x",
        "/sse?duration=0",
        "/sse?duration=11s",
        "/sse?delay=x",
        "/sse?jitter=x",
        "/sse?duration=9s&delay=2s",
        "/trailers?Content-Type=x",
        "/bytes/x",
        "/bytes/-1",
        "/bytes/0",
        "/bytes/1048577",
        "/bytes/5?seed=x",
        "/stream-bytes/0",
        "/stream-bytes/x",
        "/stream-bytes/5?chunk_size=x",
        "/bytes/99999999999999999999",
    ]);
    for path in ["/bytes/10", "/bytes/5000?seed=7", "/stream-bytes/100?chunk_size=30", "/stream-bytes/20000"]
    {
        cases.push(Case::new(format!("GET {path}")).random());
    }
    cases.push(Case::new("GET /sse?count=2&duration=20ms").header(TRAILERS));
    cases.push(Case::new("GET /sse?count=1&duration=10ms&delay=5ms").but("H7", Part::Trailers));
    cases.push(Case::new("GET /trailers?X-A=1&X-B=2").header(TRAILERS));
    cases.push(Case::new("GET /trailers?X-A=1").but("H7", Part::Trailers));
    cases.push(Case::new("GET /trailers"));
    cases
}

/// Statuses, delays, drips, and what is wrong with them.
fn failing() -> Vec<Case> {
    let mut cases = gets(&[
        "/status/200",
        "/status/204",
        "/status/302",
        "/status/303",
        "/status/401",
        "/status/404",
        "/status/406",
        "/status/407",
        "/status/418",
        "/status/429",
        "/status/503",
        "/status/599",
        "/status/600",
        "/status/99",
        "/status/x",
        "/status/503:0.5",
        "/status/503:1,200:0",
        "/status/200,x",
        "/status/200,503:x",
        "/status/200,%20503",
        "/unstable?failure_rate=0",
        "/unstable?failure_rate=1",
        "/unstable?failure_rate=x",
        "/unstable?seed=x",
        "/delay/0",
        "/delay/20ms",
        "/delay/0.01",
        "/delay/11",
        "/delay/1m1s",
        "/delay/-1",
        "/delay/x",
        "/drip?numbytes=3&duration=20ms&delay=10ms",
        "/drip?numbytes=3&duration=0&delay=0&code=503",
        "/drip?numbytes=0",
        "/drip?numbytes=x",
        "/drip?duration=11s",
        "/drip?delay=x",
        "/drip?duration=6s&delay=6s",
        "/drip?code=99",
        "/drip?code=x",
    ]);
    cases.push(Case::new("GET /status/304"));
    for code in [300, 308] {
        cases.push(Case::new(format!("GET /status/{code}")).but("H3", Part::Body));
    }
    cases.push(Case::new("GET /status/402").but("H3", Part::Body).but("H3", Part::Header("x-more-info")));
    cases.push(Case::new("GET /unstable?failure_rate=2").but("H4", Part::Body));
    cases.push(
        Case::new("GET /status/100")
            .but("H11", Part::Status)
            .but("H11", Part::Body)
            .but("H11", Part::Header("content-type")),
    );
    cases.push(Case::new("POST /status/503").header(TEXT).body("x"));
    cases
}

/// The WebSocket.
fn talking() -> Vec<Case> {
    let close = || frame(8, true, &1000_u16.to_be_bytes());
    let echo = |query: &str| Case::new(format!("GET /websocket/echo{query}"));
    let mut cases = gets(&[
        "/websocket/echo",
        "/websocket/echo?max_fragment_size=0",
        "/websocket/echo?max_fragment_size=x",
        "/websocket/echo?max_message_size=1048577",
        "/websocket/echo?max_fragment_size=20&max_message_size=10",
    ]);
    cases.push(echo("").header("Upgrade: websocket"));
    cases.push(echo("").header("Upgrade: websocket").header("Sec-WebSocket-Version: 13"));
    cases.push(Case::new("POST /websocket/echo"));
    cases.extend([
        echo("").talking(&[frame(1, true, b"hello"), frame(2, true, b"\x01\x02"), close()]),
        echo("").talking(&[frame(9, true, b"ping"), close()]),
        echo("").talking(&[frame(1, false, b"he"), frame(0, true, b"llo"), close()]),
        echo("?max_fragment_size=5&max_message_size=10").talking(&[frame(1, true, b"123456")]),
        echo("?max_fragment_size=5&max_message_size=7")
            .talking(&[frame(1, false, b"12345"), frame(0, true, b"678")]),
        echo("").talking(&[frame(1, true, b"\xff\xfe")]),
        echo("").talking(&[frame(0, true, b"x")]),
        echo("").talking(&[b"\x81\x02hi".to_vec()]),
        echo("").talking(&[frame(3, true, b"x")]),
    ]);
    cases
}
