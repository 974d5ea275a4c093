//! Pages, documents, images, base64, compression.

use std::io::Read as _;

use crate::client::{ask, get, refused, start};

#[tokio::test]
async fn images_are_what_they_say_they_are() {
    let server = start().await;
    let signatures: [(&str, &str, &[u8]); 5] = [
        ("png", "image/png", b"\x89PNG\r\n"),
        ("jpeg", "image/jpeg", b"\xff\xd8\xff"),
        ("webp", "image/webp", b"RIFF"),
        ("avif", "image/avif", b"\0\0\0"),
        ("svg", "image/svg+xml", b"<svg "),
    ];
    for (kind, media_type, signature) in signatures {
        let image = get(&server, &format!("/image/{kind}")).await;
        assert_eq!(image.header("content-type"), Some(media_type));
        assert!(image.body.starts_with(signature), "{kind}");
        let wanted = ask(&server, "GET /image", &[&format!("Accept: text/html, {media_type}")], "").await;
        assert_eq!(wanted.body, image.body, "{kind}");
    }
    assert_eq!(get(&server, "/image").await.header("content-type"), Some("image/png"));
    assert_eq!(ask(&server, "GET /image", &["Accept: text/html"], "").await.status(), 415);
    assert_eq!(get(&server, "/image/tiff").await.status(), 404);
}

#[tokio::test]
async fn documents_are_well_formed_and_pages_are_html() {
    let server = start().await;
    assert!(get(&server, "/json").await.json().is_object());
    let xml = get(&server, "/xml").await;
    assert_eq!(xml.header("content-type"), Some("application/xml"));
    assert!(xml.text().starts_with("<?xml ") && xml.text().trim_end().ends_with("</board>"));
    for path in ["/", "/html", "/forms/post", "/encoding/utf8"] {
        let page = get(&server, path).await;
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
        assert!(page.text().trim_end().ends_with("</html>"), "{path}");
    }
    assert!(get(&server, "/encoding/utf8").await.text().contains('⚡'));
    assert_eq!(get(&server, "/robots.txt").await.text(), "User-agent: *\nDisallow: /deny\n");
    assert_eq!(get(&server, "/deny").await.status(), 200);
    assert_eq!(get(&server, "/brotli").await.status(), 501);
}

#[tokio::test]
async fn every_link_of_the_index_leads_somewhere() {
    let server = start().await;
    let index = get(&server, "/").await;
    let links = index
        .text()
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"));
    let mut count = 0;
    for link in links {
        count += 1;
        let status = get(&server, &link).await.status();
        assert!(!matches!(status, 400 | 405), "{link}: {status}");
    }
    assert!(count > 50, "{count}");
}

#[tokio::test]
async fn compressed_answers_say_what_they_are() {
    let server = start().await;
    let gzip = get(&server, "/gzip").await;
    let mut text = String::new();
    flate2::read::GzDecoder::new(gzip.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(gzip.header("content-encoding"), Some("gzip"));
    assert!(text.ends_with("  \"gzipped\": true\n}\n"), "{text}");
    let deflate = get(&server, "/deflate").await;
    let mut text = String::new();
    flate2::read::ZlibDecoder::new(deflate.body.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(deflate.header("content-encoding"), Some("deflate"));
    assert!(text.ends_with("  \"deflated\": true\n}\n"), "{text}");
}

#[tokio::test]
async fn base64_goes_both_ways() {
    let server = start().await;
    assert_eq!(get(&server, "/base64/aGVsbG8=").await.text(), "hello");
    assert_eq!(get(&server, "/base64/decode/aGVsbG8=").await.text(), "hello");
    assert_eq!(get(&server, "/base64/encode/a%3E%3F").await.text(), "YT4_");
    assert_eq!(get(&server, "/base64/PGI-?content-type=text/html").await.text(), "&lt;b&gt;");
    assert!(refused(&server, "/base64/%25", 400).await.starts_with("base64 decode failed: "));
    assert_eq!(refused(&server, "/base64/other/x", 400).await, "invalid operation: other");
}
