//! Requests that are shown back: headers, addresses, bodies of every kind.

use crate::client::{ask, get, refused, start, start_with};

#[tokio::test]
async fn anything_shows_every_method_and_path() {
    let server = start().await;
    let answer = ask(&server, "PURGE /anything/a%20b?x=1", &["X-A: 1", "X-A: 2"], "").await.json();
    assert_eq!(answer["method"], "PURGE");
    assert_eq!(answer["url"], "http://test/anything/a%20b?x=1");
    assert_eq!(answer["headers"]["X-A"], serde_json::json!(["1", "2"]));
    assert_eq!(answer["args"]["x"], serde_json::json!(["1"]));
    for (path, method) in [("/put", "PUT"), ("/patch", "PATCH"), ("/delete", "DELETE")] {
        assert_eq!(ask(&server, &format!("{method} {path}"), &[], "").await.json()["method"], method);
    }
}

#[tokio::test]
async fn a_body_of_unknown_type_is_a_data_url_and_text_is_text() {
    let server = start().await;
    let data = async |kind: &str, body: &str| {
        let header = format!("Content-Type: {kind}");
        let headers: &[&str] = if kind.is_empty() { &[] } else { &[&header] };
        ask(&server, "POST /post", headers, body).await.json()["data"].clone()
    };
    assert_eq!(data("text/plain; charset=utf-8", "a>?").await, "a>?");
    assert_eq!(data("text/html", "<b>").await, "<b>");
    // The alphabet for URLs.
    assert_eq!(data("", "a>?").await, "data:application/octet-stream;base64,YT4_");
    assert_eq!(data("image/png", "a").await, "data:image/png;base64,YQ==");
}

#[tokio::test]
async fn fields_and_files_of_a_multipart_form_are_shown() {
    let server = start().await;
    let body = "--b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv1\r\n\
                --b\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\nv2\r\n\
                --b\r\nContent-Disposition: form-data; name=\"up\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n";
    let answer =
        ask(&server, "POST /post", &["Content-Type: multipart/form-data; boundary=b"], body).await.json();
    assert_eq!(answer["form"], serde_json::json!({"f": ["v1", "v2"]}));
    assert_eq!(answer["files"], serde_json::json!({"up": ["hello"]}));
    assert_eq!(answer["data"], body);
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_is_refused() {
    let server = start().await;
    let post = async |kind: &str, body: &str| {
        let answer = ask(&server, "POST /post", &[&format!("Content-Type: {kind}")], body).await;
        assert_eq!(answer.status(), 400);
        answer.json()["detail"].as_str().unwrap().to_owned()
    };
    let start = "error parsing request body: ";
    assert_eq!(
        post("application/x-www-form-urlencoded", "a=%zz").await,
        format!("{start}invalid URL escape \"%zz\"")
    );
    assert_eq!(
        post("application/x-www-form-urlencoded", "a;b").await,
        format!("{start}invalid semicolon separator in query")
    );
    assert_eq!(
        post("multipart/form-data", "x").await,
        format!("{start}no multipart boundary param in Content-Type")
    );
    assert!(
        post("multipart/form-data; boundary=b", "nothing").await.starts_with(&format!("{start}multipart: "))
    );
    assert!(post("application/json", "{bad").await.starts_with(start));
}

#[tokio::test]
async fn json_is_read_up_to_its_end() {
    let server = start().await;
    let kind = "Content-Type: application/json; charset=utf-8";
    let answer = ask(&server, "POST /post", &[kind], "{\"a\": 12345678901234567} and more").await.json();
    assert_eq!(answer["json"], serde_json::json!({"a": 12_345_678_901_234_567_i64}));
}

#[tokio::test]
async fn upload_counts_and_keeps_nothing() {
    let server = start_with(|options| options.max_body_bytes = 5).await;
    let answer = ask(&server, "POST /upload", &[], "12345").await.json();
    assert_eq!((&answer["bytes_received"], answer.get("data")), (&5.into(), None));
    let chunked = ask(&server, "PUT /upload", &["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(chunked.json()["bytes_received"], 3);
    let refused = ask(&server, "PATCH /upload", &[], "123456").await;
    assert_eq!((refused.status(), refused.header("connection")), (500, Some("close")));
    assert_eq!(get(&server, "/upload").await.header("allow"), Some("PATCH, POST, PUT"));
}

#[tokio::test]
async fn the_origin_is_who_a_proxy_says_it_is() {
    let server = start().await;
    let origin = async |headers: &[&str]| ask(&server, "GET /ip", headers, "").await.json()["origin"].clone();
    assert_eq!(origin(&[]).await, "127.0.0.1");
    assert_eq!(origin(&["X-Forwarded-For: 10.1.1.1, 10.2.2.2"]).await, "10.1.1.1");
    assert_eq!(origin(&["X-Forwarded-For: 10.1.1.1", "CF-Connecting-IP: 10.3.3.3"]).await, "10.3.3.3");
    assert_eq!(get(&server, "/ip?format=text").await.text(), "127.0.0.1\n");
    let answer = ask(&server, "GET /get", &["X-Forwarded-Proto: https"], "").await.json();
    assert_eq!(answer["url"], "https://test/get");
}

#[tokio::test]
async fn one_field_answers() {
    let server = start_with(|options| {
        options.hostname = Some("pod-1".into());
        options.env.insert("HTTPBIN_COLOUR".into(), "red".into());
    })
    .await;
    assert_eq!(get(&server, "/hostname").await.json()["hostname"], "pod-1");
    assert_eq!(get(&server, "/env").await.json()["env"]["HTTPBIN_COLOUR"], "red");
    assert_eq!(get(&server, "/version").await.json()["service"], "fuseboard httpbin");
    assert_eq!(ask(&server, "GET /user-agent", &["User-Agent: a/1"], "").await.json()["user-agent"], "a/1");
    assert_eq!(get(&server, "/user-agent").await.json()["user-agent"], "");
    assert_eq!(get(&server, "/uuid").await.json()["uuid"].as_str().unwrap().len(), 36);
}

#[tokio::test]
async fn a_dump_is_the_request_with_its_headers_sorted() {
    let server = start().await;
    let answer = ask(&server, "POST /dump/request?x=1", &["X-B: 2", "X-A: 1"], "abc").await;
    assert_eq!(
        answer.text(),
        "POST /dump/request?x=1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 3\r\nX-A: 1\r\nX-B: 2\r\n\r\nabc"
    );
    let chunked =
        ask(&server, "POST /dump/request", &["Transfer-Encoding: chunked"], "3\r\nabc\r\n0\r\n\r\n").await;
    assert!(
        chunked
            .text()
            .ends_with("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    );
}

#[tokio::test]
async fn hidden_headers_are_shown_nowhere() {
    let server = start_with(|options| options.hidden_headers = vec!["x-secret-*".into()]).await;
    for path in ["/headers", "/get", "/anything", "/stream/1", "/dump/request"] {
        let answer = ask(&server, &format!("GET {path}"), &["X-Secret-Key: hush", "X-Open: x"], "").await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("hush") && text.contains("X-Open"), "{path}: {text}");
    }
}

#[tokio::test]
async fn response_headers_are_sent_and_shown() {
    let server = start().await;
    let answer = get(&server, "/response-headers?X-A=1&X-A=2&Content-Type=text/html&x=%3Cb%3E").await;
    assert!(answer.head.contains("X-A: 1\r\nX-A: 2\r\n"), "{}", answer.head);
    assert_eq!(answer.header("content-type"), Some("text/html"));
    assert!(answer.text().contains("&lt;b&gt;") && !answer.text().contains("<b>"));
    let open = start_with(|options| options.escape_html = false).await;
    assert!(get(&open, "/response-headers?Content-Type=text/html&x=%3Cb%3E").await.text().contains("<b>"));
    let length = get(&server, "/response-headers?Content-Length=5").await;
    assert_eq!(length.header("content-length"), Some(length.body.len().to_string().as_str()));
    assert!(refused(&server, "/response-headers?a%20b=1", 400).await.starts_with("invalid header"));
}
