//! fortio's echo: the request's body comes back, with the status, delay, size, headers, compression and connection close
//! that the query asks for. One implementation, for `/echo` of httpbin and for fortio's server; how the query is read is
//! in `grammar`.

mod grammar;

use axum::body::Body;
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::gzip::gzipped;
use crate::query;
use crate::random::Random;
use crate::reply::BINARY;

pub(crate) use grammar::{Bounds, Shares, Wishes, always_or_share, headers};

/// Why nothing is echoed, and every reason.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) problems: Vec<String>,
}

/// Echoes `request` as its query says, or as `usual` says where it has no query.
pub(crate) async fn answer(
    request: Request<Body>,
    usual: Option<&str>,
    bounds: Bounds,
    mut random: Random,
) -> Result<Response<Body>, Refused> {
    let wishes = wishes(&request, usual, bounds)?;
    let (head, body) = request.into_parts();
    let wanted = wishes.roll(&mut random);
    tokio::time::sleep(wanted.delay).await;
    // Read to its end also where it does not come back: who sends it has not finished before.
    let body = read(body, bounds.body).await?;
    let (kind, body) = match wanted.size {
        Some(size) => (Some(BINARY), Bytes::from(random.bytes(size))),
        None => (head.headers.get(CONTENT_TYPE).cloned(), body),
    };
    let zip = if wanted.gzip && takes_gzip(&head.headers) { gzipped(&body).ok() } else { None };
    let is_zipped = zip.is_some();
    let mut response = Response::new(Body::from(zip.map_or(body, Bytes::from)));
    *response.status_mut() = wanted.status;
    let headers = response.headers_mut();
    headers.extend(wishes.into_headers());
    if let Some(kind) = kind {
        headers.entry(CONTENT_TYPE).or_insert(kind);
    }
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if wanted.close {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// What the query of `request` asks for.
pub(crate) fn wishes(
    request: &Request<Body>,
    usual: Option<&str>,
    bounds: Bounds,
) -> Result<Wishes, Refused> {
    let query = request.uri().query().or(usual).unwrap_or("");
    Wishes::read(&query::pairs(query).0, bounds)
        .map_err(|problems| Refused { status: StatusCode::BAD_REQUEST, problems })
}

/// The whole body, up to `most` bytes.
pub(crate) async fn read(body: Body, most: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, most).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            let (status, problem) = if error.is::<LengthLimitError>() {
                (StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {most} bytes"))
            } else {
                (StatusCode::BAD_REQUEST, "the body broke off".to_owned())
            };
            Err(Refused { status, problems: vec![problem] })
        }
    }
}

pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("gzip"))
}
