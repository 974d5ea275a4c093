//! The shapes that httpbin in Python documents, and Istio's documentation shows.

use fuseboard_httpbin::{Server, Style};
use serde_json::{Value, json};

use crate::client::{ask, chunks, get, start_with};

async fn start() -> Server {
    start_with(|options| options.style = Style::Python).await
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn get_is_shown_as_in_istio_s_documentation() {
    let server = start().await;
    let answer = ask(&server, "GET /get?a=1&b=2&b=3", &["X-B3-Sampled: 1", "X-Two: a", "X-Two: b"], "").await;
    assert_eq!(
        answer.text(),
        r#"{
  "args": {
    "a": "1",
    "b": [
      "2",
      "3"
    ]
  },
  "headers": {
    "Connection": "close",
    "Host": "test",
    "X-B3-Sampled": "1",
    "X-Two": "a,b"
  },
  "origin": "127.0.0.1",
  "url": "http://test/get?a=1&b=2&b=3"
}
"#
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn members_are_those_of_the_original() {
    let server = start().await;
    let body = ["args", "data", "files", "form", "headers", "json", "origin", "url"];
    let post = ask(&server, "POST /post", &[], "").await.json();
    assert_eq!(members(&post), body);
    let anything = get(&server, "/anything/x").await.json();
    let with_method: Vec<&str> =
        ["args", "data", "files", "form", "headers", "json", "method", "origin", "url"].into();
    assert_eq!(members(&anything), with_method);
    let delay = get(&server, "/delay/1ms").await.json();
    assert_eq!(members(&delay), ["args", "data", "files", "form", "headers", "origin", "url"]);
    for (path, expected) in [
        ("/cache", &["args", "headers", "origin", "url"][..]),
        ("/cache/9", &["args", "headers", "origin", "url"]),
        ("/etag/x", &["args", "headers", "origin", "url"]),
        ("/headers", &["headers"]),
        ("/ip", &["origin"]),
        ("/uuid", &["uuid"]),
    ] {
        assert_eq!(members(&get(&server, path).await.json()), expected, "{path}");
    }
    assert_eq!(get(&server, "/user-agent").await.json(), json!({"user-agent": null}));
}

#[tokio::test]
async fn bodies_are_read_as_the_original_reads_them() {
    let server = start().await;
    let form =
        ask(&server, "POST /post", &["Content-Type: application/x-www-form-urlencoded"], "a=1&b=2&b=3").await;
    assert_eq!(form.json()["form"], json!({"a": "1", "b": ["2", "3"]}));
    assert_eq!((&form.json()["data"], &form.json()["json"]), (&json!(""), &Value::Null));
    // JSON is recognized whatever its type.
    let data = ask(&server, "POST /post", &["Content-Type: text/plain"], "{\"a\": 1}").await.json();
    assert_eq!((&data["data"], &data["json"]), (&json!("{\"a\": 1}"), &json!({"a": 1})));
    let plain = ask(&server, "POST /post", &["Content-Type: application/json"], "not json").await;
    assert_eq!((plain.status(), &plain.json()["json"]), (200, &Value::Null));
    let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nhello\r\n--b--\r\n";
    let files =
        ask(&server, "POST /post", &["Content-Type: multipart/form-data; boundary=b"], file).await.json();
    assert_eq!((&files["files"], &files["data"]), (&json!({"f": "hello"}), &json!("")));
}

#[tokio::test]
async fn who_is_authenticated_is_told_once() {
    let server = start().await;
    let known = ask(&server, "GET /basic-auth/u/p", &["Authorization: Basic dTpw"], "").await;
    assert_eq!(known.json(), json!({"authenticated": true, "user": "u"}));
    let unknown = get(&server, "/basic-auth/u/p").await;
    assert_eq!((unknown.status(), unknown.body.len()), (401, 0));
    let bearer = ask(&server, "GET /bearer", &["Authorization: Bearer t"], "").await;
    assert_eq!(bearer.json(), json!({"authenticated": true, "token": "t"}));
}

#[tokio::test]
async fn response_headers_hold_the_length_of_the_document() {
    let server = start().await;
    let answer = get(&server, "/response-headers?X-A=1&X-B=2&X-B=3").await;
    let length = answer.body.len().to_string();
    let expected =
        json!({"Content-Length": length, "Content-Type": "application/json", "X-A": "1", "X-B": ["2", "3"]});
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn lines_have_a_space_behind_colons_and_commas() {
    let server = start().await;
    let (lines, _) = chunks(&get(&server, "/stream/1?a=1").await);
    assert_eq!(
        lines.concat(),
        "{\"args\": {\"a\": \"1\"}, \"headers\": {\"Connection\": \"close\", \"Host\": \"test\"}, \"id\": 0, \
         \"origin\": \"127.0.0.1\", \"url\": \"http://test/stream/1?a=1\"}\n"
    );
}

#[tokio::test]
async fn compressed_documents_have_the_original_s_members() {
    use std::io::Read as _;
    let server = start().await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(get(&server, "/gzip").await.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(members(&document), ["gzipped", "headers", "method", "origin"]);
}
