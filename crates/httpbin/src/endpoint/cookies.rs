//! `/cookies` shows the cookies of a request; `/cookies/set` and `/cookies/delete` set and delete the ones named in the
//! query and lead back. `attr[Name]=value` in the query chooses attributes of all of them.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use serde_json::json;

use super::Shared;
use crate::listener::Connection;
use crate::query::Args;
use crate::reply;
use crate::request::scheme;
use crate::style::Values;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) async fn show(State(instance): State<Shared>, headers: HeaderMap) -> Response<Body> {
    let mut cookies = BTreeMap::new();
    for line in headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()) {
        for pair in line.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if is_token(name.trim_end()) && value.bytes().all(|byte| is_value_byte(byte) || byte == b'"') {
                let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
                cookies.insert(name.trim_end().to_owned(), bare.to_owned());
            }
        }
    }
    instance.style.document().with("cookies", json!(cookies)).answer(StatusCode::OK)
}

pub(super) async fn set(
    State(instance): State<Shared>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    args: Args,
) -> Response<Body> {
    let is_secure = scheme(Some(&connection), &headers) == "https";
    back(&instance.prefix, cookies(is_secure, &args.0, None))
}

pub(super) async fn delete(
    State(instance): State<Shared>,
    Extension(connection): Extension<Connection>,
    headers: HeaderMap,
    args: Args,
) -> Response<Body> {
    let is_secure = scheme(Some(&connection), &headers) == "https";
    let expired = httpdate::fmt_http_date(SystemTime::now() - YEAR);
    back(&instance.prefix, cookies(is_secure, &args.0, Some(&expired)))
}

fn back(prefix: &str, cookies: Vec<HeaderValue>) -> Response<Body> {
    let mut response = reply::bare(StatusCode::FOUND, Body::empty());
    if let Ok(location) = HeaderValue::from_str(&format!("{prefix}/cookies")) {
        response.headers_mut().insert(LOCATION, location);
    }
    for cookie in cookies {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn cookies(is_secure: bool, args: &Values, expired: Option<&str>) -> Vec<HeaderValue> {
    let tail = Attributes::read(args, is_secure).written(expired);
    args.iter()
        .filter(|(name, _)| attribute_name(name).is_none() && is_token(name))
        .filter_map(|(name, values)| {
            let value = cookie_value(values.first().map_or("", String::as_str));
            HeaderValue::from_str(&format!("{name}={value}{tail}")).ok()
        })
        .collect()
}

#[derive(Debug)]
struct Attributes<'a> {
    path: &'a str,
    domain: &'a str,
    http_only: bool,
    secure: bool,
    same_site: Option<&'static str>,
}

impl<'a> Attributes<'a> {
    fn read(args: &'a Values, secure: bool) -> Self {
        let mut attributes = Self { path: "/", domain: "", http_only: true, secure, same_site: None };
        for (name, values) in args {
            let (Some(name), Some(value)) = (attribute_name(name), values.first()) else { continue };
            let is_true = value == "1" || value.eq_ignore_ascii_case("true");
            match name.to_ascii_lowercase().as_str() {
                "path" => attributes.path = value,
                "domain" => attributes.domain = value,
                "httponly" => attributes.http_only = is_true,
                "secure" => attributes.secure = is_true,
                "samesite" => {
                    attributes.same_site = ["Strict", "Lax", "None"]
                        .into_iter()
                        .find(|known| known.eq_ignore_ascii_case(value))
                        .or(attributes.same_site);
                }
                _ => {}
            }
        }
        attributes
    }

    /// In Go's order.
    fn written(&self, expired: Option<&str>) -> String {
        let mut text = String::new();
        if !self.path.is_empty() {
            text.extend([
                "; Path=".to_owned(),
                self.path.chars().filter(|c| is_attribute_char(*c)).collect(),
            ]);
        }
        if is_domain(self.domain) {
            text.extend(["; Domain=", self.domain.strip_prefix('.').unwrap_or(self.domain)]);
        }
        if let Some(expired) = expired {
            text.extend(["; Expires=", expired, "; Max-Age=0"]);
        }
        if self.http_only {
            text.push_str("; HttpOnly");
        }
        if self.secure {
            text.push_str("; Secure");
        }
        if let Some(same_site) = self.same_site {
            text.extend(["; SameSite=", same_site]);
        }
        text
    }
}

fn attribute_name(name: &str) -> Option<&str> {
    name.strip_prefix("attr[")?.strip_suffix(']')
}

/// RFC 9110 section 5.6.2.
fn is_token(name: &str) -> bool {
    let is_token_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token_byte)
}

fn is_value_byte(byte: u8) -> bool {
    (0x20..0x7F).contains(&byte) && !b"\";\\".contains(&byte)
}

fn is_attribute_char(c: char) -> bool {
    (' '..'\u{7F}').contains(&c) && c != ';'
}

fn is_domain(domain: &str) -> bool {
    !domain.is_empty()
        && domain.split('.').skip(usize::from(domain.starts_with('.'))).all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

/// Bytes that a cookie cannot have are left out; one with a space or a comma is quoted.
fn cookie_value(value: &str) -> String {
    let kept: String = value.bytes().filter(|byte| is_value_byte(*byte)).map(char::from).collect();
    if kept.contains([' ', ',']) { format!("\"{kept}\"") } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(args: &[(&str, &str)]) -> Vec<String> {
        let args = args.iter().map(|(name, value)| ((*name).into(), vec![(*value).into()])).collect();
        let cookies = cookies(false, &args, None);
        cookies.iter().map(|cookie| cookie.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn attributes_are_those_asked_for_in_go_s_order() {
        assert_eq!(
            written(&[("a", "1"), ("b", "x y")]),
            ["a=1; Path=/; HttpOnly", "b=\"x y\"; Path=/; HttpOnly"]
        );
        let all = [
            ("a", "1"),
            ("attr[Secure]", "TRUE"),
            ("attr[httponly]", "0"),
            ("attr[Path]", "/p;q"),
            ("attr[Domain]", ".example.org"),
            ("attr[SameSite]", "lax"),
        ];
        assert_eq!(written(&all), ["a=1; Path=/pq; Domain=example.org; Secure; SameSite=Lax"]);
    }

    #[test]
    fn what_no_cookie_can_have_is_left_out() {
        assert_eq!(written(&[("a b", "1"), ("", "1")]), Vec::<String>::new());
        assert_eq!(written(&[("a", "1\";é2"), ("attr[Domain]", "-x")]), ["a=12; Path=/; HttpOnly"]);
    }
}
