//! Which path does what: one module per family of endpoints, and the table of paths.

mod auth;
mod base64;
mod caching;
mod compressed;
mod cookies;
mod digest;
mod dump;
mod fixture;
mod form;
mod identity;
mod inspect;
mod link;
mod paced;
mod random_bytes;
mod range;
mod redirect;
mod serve_content;
mod slow;
mod status;
mod stream;
mod trouble;
mod websocket;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::routing::{self, MethodRouter};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::duration;
use crate::echo::{self, Bounds};
use crate::number;
use crate::random::{Random, SharedRandom};
use crate::reply::{self, Refusal};
use crate::request::{Pattern, Picture};
use crate::server::Options;
use crate::style::Style;

/// What every endpoint of one instance may use.
#[derive(Debug)]
pub(crate) struct Instance {
    hostname: String,
    random: SharedRandom,
    max_body_bytes: usize,
    max_duration: Duration,
    bounds: Bounds,
    style: Style,
    prefix: String,
    redirect_hosts: Vec<String>,
    hidden_headers: Vec<Pattern>,
    env: BTreeMap<String, String>,
    escape_html: bool,
    gates: trouble::Gates,
    started: tokio::time::Instant,
}

impl Instance {
    pub(crate) fn new(options: &Options) -> Self {
        let hostname = options.hostname.as_ref().or(options.name.as_ref());
        Self {
            hostname: hostname.map_or("go-httpbin", String::as_str).to_owned(),
            random: SharedRandom::new(options.seed),
            max_body_bytes: options.max_body_bytes,
            max_duration: options.max_duration,
            bounds: Bounds::of(options),
            style: options.style,
            prefix: options.prefix.clone(),
            redirect_hosts: options.redirect_hosts.clone(),
            hidden_headers: options.hidden_headers.iter().map(|text| Pattern::new(text)).collect(),
            env: options.env.clone(),
            escape_html: options.escape_html,
            gates: trouble::Gates::default(),
            started: tokio::time::Instant::now(),
        }
    }

    /// A stream of numbers for one request.
    pub(crate) fn random(&self) -> Random {
        self.random.fork()
    }

    /// Numbers fixed by `seed` where there is one.
    fn seeded(&self, seed: Option<&str>) -> Result<Random, Refusal> {
        match seed {
            None => Ok(self.random()),
            Some(seed) => number::whole("ParseInt", seed)
                .map(|seed| Random::new(seed.cast_unsigned()))
                .map_err(|problem| Refusal::bad(format!("invalid seed: {problem}"))),
        }
    }

    fn picture(&self, request: &Request) -> Picture {
        Picture::of(request, &self.hidden_headers)
    }

    /// A duration parameter; `shortest` where it may not be zero.
    fn duration(&self, what: &str, text: &str, shortest: Duration) -> Result<Duration, Refusal> {
        duration::bounded(text, shortest, self.max_duration)
            .map_err(|problem| Refusal::bad(format!("invalid {what}: {problem}")))
    }

    /// The whole body of a request, up to the limit.
    async fn read(&self, body: Body) -> Result<Bytes, Unread> {
        match Limited::new(body, self.max_body_bytes).collect().await {
            Ok(collected) => Ok(collected.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
            Err(_) => Err(Unread::BrokenOff),
        }
    }
}

/// Why the body of a request is not there.
#[derive(Debug, Clone, Copy)]
enum Unread {
    TooLarge,
    BrokenOff,
}

impl Unread {
    /// As go-httpbin says it, behind `what` failed.
    fn refusal(self, status: StatusCode, what: &str) -> Refusal {
        match self {
            Self::TooLarge => Refusal::with(status, format!("{what}http: request body too large")).closing(),
            Self::BrokenOff => Refusal::with(status, format!("{what}unexpected EOF")).closing(),
        }
    }
}

type Shared = Arc<Instance>;
type Answer = Result<Response<Body>, Refusal>;

pub(crate) fn router(instance: Shared) -> Router {
    let router = Router::new();
    [inspecting, moving, guarded, content, troubling]
        .into_iter()
        .fold(router, |router, add| add(router))
        .fallback(async || reply::not_found())
        .with_state(instance)
}

/// Endpoints that show what was sent.
fn inspecting(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/get", only("GET, HEAD", routing::get(inspect::without_body)))
        .route("/head", only("HEAD", routing::head(inspect::without_body)))
        .route("/post", only("POST", routing::post(inspect::with_body)))
        .route("/put", only("PUT", routing::put(inspect::with_body)))
        .route("/patch", only("PATCH", routing::patch(inspect::with_body)))
        .route("/delete", only("DELETE", routing::delete(inspect::with_body)))
        .route("/anything", routing::any(inspect::anything))
        .route("/anything/", routing::any(inspect::anything))
        .route("/anything/{*rest}", routing::any(inspect::anything))
        .route(
            "/upload",
            only("PATCH, POST, PUT", {
                routing::patch(inspect::upload).post(inspect::upload).put(inspect::upload)
            }),
        )
        .route("/headers", routing::any(identity::headers))
        .route("/ip", routing::any(identity::ip))
        .route("/user-agent", routing::any(identity::user_agent))
        .route("/uuid", routing::any(identity::uuid))
        .route("/hostname", routing::any(identity::hostname))
        .route("/env", routing::any(identity::env))
        .route("/version", routing::any(identity::version))
        .route("/dump/request", routing::any(dump::request))
        .route("/cookies", routing::any(cookies::show))
        .route("/cookies/set", routing::any(cookies::set))
        .route("/cookies/delete", routing::any(cookies::delete))
        .route("/gzip", routing::any(compressed::gzip))
        .route("/deflate", routing::any(compressed::deflate))
        .route("/brotli", routing::any(async || Refusal::plain(StatusCode::NOT_IMPLEMENTED)))
}

/// Endpoints that send the caller elsewhere, or depend on what it has already.
fn moving(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/redirect/{count}", routing::any(redirect::either))
        .route("/relative-redirect/{count}", routing::any(redirect::relative))
        .route("/absolute-redirect/{count}", routing::any(redirect::absolute))
        .route("/redirect-to", routing::any(redirect::to))
        .route("/links/{count}", routing::any(link::first))
        .route("/links/{count}/{offset}", routing::any(link::page))
        .route("/cache", routing::any(caching::cache))
        .route("/cache/{seconds}", routing::any(caching::cache_for))
        .route("/etag/{etag}", routing::any(caching::etag))
        .route("/response-headers", routing::any(inspect::response_headers))
        .route("/range/{count}", routing::any(range::range))
}

/// Endpoints behind a password.
fn guarded(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/basic-auth/{user}/{password}", routing::any(auth::basic))
        .route("/hidden-basic-auth/{user}/{password}", routing::any(auth::hidden_basic))
        .route("/bearer", routing::any(auth::bearer))
        .route("/digest-auth/{qop}/{user}/{password}", routing::any(auth::digest))
        .route("/digest-auth/{qop}/{user}/{password}/{algorithm}", routing::any(auth::digest_with))
}

/// Endpoints that bring content of their own.
fn content(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/", only("GET, HEAD", routing::get(fixture::index)))
        .route("/html", routing::any(fixture::html))
        .route("/json", routing::any(fixture::json))
        .route("/xml", routing::any(fixture::xml))
        .route("/robots.txt", routing::any(fixture::robots))
        .route("/deny", routing::any(fixture::deny))
        .route("/forms/post", only("GET, HEAD", routing::get(fixture::form)))
        .route("/encoding/utf8", only("GET, HEAD", routing::get(fixture::utf8)))
        .route("/image", routing::any(fixture::image_wanted))
        .route("/image/{kind}", routing::any(fixture::image))
        .route("/base64/{data}", routing::any(base64::decode))
        .route("/base64/{operation}/{data}", routing::any(base64::transform))
        .route("/bytes/{count}", routing::any(random_bytes::bytes))
        .route("/stream-bytes/{count}", routing::any(random_bytes::stream))
        .route("/stream/{count}", routing::any(stream::lines))
        .route("/jsonl", routing::any(stream::json_lines))
        .route("/sse", routing::any(stream::events))
        .route("/trailers", routing::any(stream::trailers))
        .route("/websocket/echo", only("GET, HEAD", routing::get(websocket::echo)))
}

/// Endpoints that fail, wait or break off.
fn troubling(router: Router<Shared>) -> Router<Shared> {
    router
        .route("/status/{codes}", routing::any(status::status))
        .route("/unstable", routing::any(status::unstable))
        .route("/delay/{duration}", routing::any(slow::delay))
        .route("/drip", routing::any(slow::drip))
        .route("/echo", routing::any(echo_back))
        .route("/crash", routing::any(trouble::crash))
        .route("/reset", routing::any(trouble::reset))
        .route("/hang", routing::any(trouble::hang))
        .route("/concurrency", routing::any(trouble::concurrency))
        .route("/flaky", routing::any(trouble::flaky))
}

/// fortio's echo, within the bounds of this instance.
async fn echo_back(State(instance): State<Shared>, request: Request) -> Answer {
    echo::answer(request, None, instance.bounds, instance.random())
        .await
        .map_err(|refused| Refusal::with(refused.status, refused.problems.join("; ")))
}

/// Answers every method that the endpoint does not have with 405, and says which ones it has.
fn only(allowed: &'static str, endpoint: MethodRouter<Shared>) -> MethodRouter<Shared> {
    endpoint.fallback(async move || reply::wrong_method(allowed))
}

/// A status that an answer can end with.
fn final_status(code: i64, least: i64, most: i64) -> Result<StatusCode, Refusal> {
    let refused = |why: String| Refusal::bad(format!("invalid status code: {code} {why}"));
    match u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok()) {
        Some(_) if (100..200).contains(&code) && least <= code => {
            // The original sends it, and then 200: an interim answer.
            Err(refused("cannot end an exchange".into()))
        }
        Some(status) if (least..=most).contains(&code) => Ok(status),
        _ => Err(refused(format!("not in range [{least}, {most}]"))),
    }
}

/// The same from text.
fn status_named(text: &str, least: i64, most: i64) -> Result<StatusCode, Refusal> {
    let code = number::whole("Atoi", text)
        .map_err(|problem| Refusal::bad(format!("invalid status code: {text:?}: {problem}")))?;
    final_status(code, least, most)
}
