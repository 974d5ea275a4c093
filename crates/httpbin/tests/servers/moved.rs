//! Redirects, links, cookies, prefixes.

use crate::client::{ask, get, refused, start, start_with};

async fn location(server: &fuseboard_httpbin::Server, path: &str) -> (u16, String) {
    let answer = get(server, path).await;
    (answer.status(), answer.header("location").unwrap_or("").to_owned())
}

#[tokio::test]
async fn a_chain_of_redirects_ends_at_get() {
    let server = start().await;
    for (path, to) in [
        ("/redirect/3", "/relative-redirect/2"),
        ("/redirect/2?absolute=true", "http://test/absolute-redirect/1"),
        ("/relative-redirect/2", "/relative-redirect/1"),
        ("/relative-redirect/1", "/get"),
        ("/absolute-redirect/1", "http://test/get"),
    ] {
        assert_eq!(location(&server, path).await, (302, to.to_owned()), "{path}");
    }
    assert_eq!(refused(&server, "/redirect/0", 400).await, "redirect count must be > 0");
    assert!(refused(&server, "/redirect/x", 400).await.starts_with("invalid redirect count: "));
}

#[tokio::test]
async fn a_redirect_leads_where_the_caller_says_if_that_is_allowed() {
    let server = start().await;
    assert_eq!(location(&server, "/redirect-to?url=http://a.example/%20x").await.0, 400);
    assert_eq!(
        location(&server, "/redirect-to?url=http://a.example/x&status_code=307").await,
        (307, "http://a.example/x".into())
    );
    assert_eq!(refused(&server, "/redirect-to", 400).await, "missing required query parameter: url");
    assert_eq!(
        refused(&server, "/redirect-to?url=/x&status_code=200", 400).await,
        "invalid status code: 200 not in range [300, 399]"
    );
    assert_eq!(get(&server, "/redirect-to?url=x").await.status(), 403);
    let bounded = start_with(|options| options.redirect_hosts = vec!["a.example".into()]).await;
    assert_eq!(location(&bounded, "/redirect-to?url=//a.example/x").await.0, 302);
    for url in
        ["http://b.example", "//b.example", "http://a.example@b.example", "http:b.example", "/%5Cb.example"]
    {
        assert!(get(&bounded, &format!("/redirect-to?url={url}")).await.status() >= 400, "{url}");
    }
    assert!(get(&bounded, "/redirect-to?url=http://b.example").await.text().contains("- a.example"));
}

#[tokio::test]
async fn pages_link_to_each_other() {
    let server = start().await;
    assert_eq!(location(&server, "/links/3?x=1").await, (302, "/links/3/0?x=1".into()));
    let page = get(&server, "/links/3/1").await;
    assert!(
        page.text().contains("<a href=\"/links/3/0\">0</a> 1 <a href=\"/links/3/2\">2</a> "),
        "{}",
        page.text()
    );
    assert_eq!(
        refused(&server, "/links/257", 400).await,
        "invalid link count: 257 must be in range [0, 256]"
    );
}

#[tokio::test]
async fn cookies_are_set_shown_and_deleted() {
    let server = start().await;
    let set = get(&server, "/cookies/set?a=1&attr[SameSite]=lax").await;
    assert_eq!((set.status(), set.header("location")), (302, Some("/cookies")));
    assert_eq!(set.header("set-cookie"), Some("a=1; Path=/; HttpOnly; SameSite=Lax"));
    let shown = ask(&server, "GET /cookies", &["Cookie: a=1; b=\"2\""], "").await;
    assert_eq!(shown.json(), serde_json::json!({"cookies": {"a": "1", "b": "2"}}));
    let deleted = get(&server, "/cookies/delete?a").await;
    let cookie = deleted.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("a=; Path=/; Expires=") && cookie.ends_with("; Max-Age=0; HttpOnly"),
        "{cookie}"
    );
}

#[tokio::test]
async fn a_prefix_stands_in_front_of_every_path_and_link() {
    let server = start_with(|options| options.prefix = "/p".into()).await;
    assert_eq!(get(&server, "/get").await.status(), 404);
    assert_eq!(get(&server, "/p/get").await.json()["url"], "http://test/get");
    for (path, to) in [
        ("/p/redirect/1", "/p/get"),
        ("/p/redirect/1?absolute=true", "http://test/p/get"),
        ("/p/links/2", "/p/links/2/0"),
        ("/p/cookies/set?a=1", "/p/cookies"),
        ("/p/status/302", "/p/redirect/1"),
        ("/p//get", "/p/get"),
        ("/p/redirect-to?url=/get", "/p/get"),
    ] {
        assert_eq!(location(&server, path).await.1, to, "{path}");
    }
    let index = get(&server, "/p/").await;
    assert!(index.text().contains("href=\"/p/get\"") && !index.text().contains("{prefix}"));
}

#[tokio::test]
async fn a_path_with_too_many_slashes_leads_to_its_plain_form() {
    let server = start().await;
    let answer = get(&server, "//get?x=1").await;
    assert_eq!((answer.status(), answer.header("location")), (307, Some("/get?x=1")));
    assert_eq!(answer.text(), "<a href=\"/get?x=1\">Temporary Redirect</a>.\n\n");
}
