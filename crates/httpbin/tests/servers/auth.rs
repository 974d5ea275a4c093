//! Passwords, tokens, digests.

use crate::client::{ask, get, refused, start};

/// `u:p`.
const RIGHT: &str = "Authorization: Basic dTpw";

#[tokio::test]
async fn basic_authentication_lets_in_who_knows_the_password() {
    let server = start().await;
    let asked = get(&server, "/basic-auth/u/p").await;
    assert_eq!((asked.status(), asked.header("www-authenticate")), (401, Some("Basic realm=\"Fake Realm\"")));
    assert_eq!(asked.json(), serde_json::json!({"authenticated": false, "user": "", "authorized": false}));
    let known = ask(&server, "GET /basic-auth/u/p", &[RIGHT], "").await;
    assert_eq!(known.status(), 200);
    assert_eq!(known.json(), serde_json::json!({"authenticated": true, "user": "u", "authorized": true}));
    assert_eq!(ask(&server, "GET /basic-auth/u/other", &[RIGHT], "").await.status(), 401);
}

#[tokio::test]
async fn hidden_authentication_tells_nobody_that_there_is_something() {
    let server = start().await;
    assert_eq!(get(&server, "/hidden-basic-auth/u/p").await.status(), 404);
    assert_eq!(ask(&server, "GET /hidden-basic-auth/u/p", &[RIGHT], "").await.status(), 200);
}

#[tokio::test]
async fn a_bearer_has_a_token_and_nothing_else() {
    let server = start().await;
    let asked = get(&server, "/bearer").await;
    assert_eq!((asked.status(), asked.header("www-authenticate")), (401, Some("Bearer")));
    let known = ask(&server, "GET /bearer", &["Authorization: Bearer t1"], "").await;
    assert_eq!(known.json(), serde_json::json!({"authenticated": true, "token": "t1"}));
    for header in ["Authorization: Bearer", "Authorization: Bearer a b", "Authorization: bearer a"] {
        assert_eq!(ask(&server, "GET /bearer", &[header], "").await.status(), 401, "{header}");
    }
}

#[tokio::test]
async fn a_digest_is_asked_for_and_checked() {
    let server = start().await;
    let asked = get(&server, "/digest-auth/auth/u/p/sha-256").await;
    let challenge = asked.header("www-authenticate").unwrap();
    assert_eq!(asked.status(), 401);
    assert!(
        challenge.starts_with("Digest qop=auth, realm=\"go-httpbin\", algorithm=SHA-256, nonce="),
        "{challenge}"
    );
    // H(H(u:go-httpbin:p):n:H(GET:/digest-auth/auth/u/p)) with MD5.
    let header =
        "Authorization: Digest username=\"u\", realm=\"go-httpbin\", nonce=\"n\", response=\"RESPONSE\"";
    let right = header.replace("RESPONSE", "95af75e67a9e2c2e73737f0c85cb17f4");
    let answer = ask(&server, "GET /digest-auth/auth/u/p", &[&right], "").await;
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(ask(&server, "GET /digest-auth/auth/u/p", &[header], "").await.status(), 401);
    assert_eq!(ask(&server, "POST /digest-auth/auth/u/p", &[&right], "").await.status(), 401);
    assert_eq!(
        refused(&server, "/digest-auth/auth-int/u/p", 400).await,
        "invalid QOP directive: \"auth-int\" != \"auth\""
    );
    assert_eq!(
        refused(&server, "/digest-auth/auth/u/p/SHA-512", 400).await,
        "invalid algorithm: SHA-512 must be one of MD5 or SHA-256"
    );
}
