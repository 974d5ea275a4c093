//! The result as fortio's JSON document: every key it has, in its order, so that scripts go on reading it.
//! Keys of what we do not do hold what fortio writes when it is not done. The password is never shown.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::tz::TimeZone;
use serde::{Serialize, Serializer};

use super::Report;
use super::honest::{self, Honest};
use crate::go;
use crate::go::number::significant;
use crate::grpc::run_type;
use crate::histogram::{Histogram, Interval};
use crate::options::{AccessLogOptions, GrpcOptions, Style};
use crate::request::{Body, fields};

/// A number as Go writes it: whole ones without a fraction.
#[derive(Clone, Copy)]
struct Number(f64);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.fract() == 0.0 && self.0.abs() < 9e15 {
            #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Distribution {
    count: u64,
    min: Number,
    max: Number,
    sum: Number,
    avg: Number,
    std_dev: Number,
    data: Option<Vec<Bucket>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentiles: Option<Vec<Percentile>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Bucket {
    start: Number,
    end: Number,
    percent: Number,
    count: u64,
}

impl From<&Interval> for Bucket {
    fn from(interval: &Interval) -> Self {
        let Interval { start, end, percent, count } = *interval;
        Self { start: Number(start), end: Number(end), percent: Number(percent), count }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Percentile {
    percentile: Number,
    value: Number,
}

impl Distribution {
    fn of(histogram: &Histogram, percentiles: &[f64]) -> Self {
        let counter = histogram.counter();
        let percentile = |&percentile: &f64| Percentile {
            percentile: Number(percentile),
            value: Number(histogram.percentile(percentile)),
        };
        let some = counter.count > 0;
        Self {
            count: counter.count,
            min: Number(counter.min),
            max: Number(counter.max),
            sum: Number(counter.sum),
            avg: Number(counter.average()),
            std_dev: Number(counter.deviation()),
            data: some.then(|| histogram.intervals().iter().map(Bucket::from).collect()),
            percentiles: (some && !percentiles.is_empty())
                .then(|| percentiles.iter().map(percentile).collect()),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    #[serde(flatten)]
    run: Course<'a>,
    ret_codes: &'a BTreeMap<i32, u64>,
    #[serde(rename = "IPCountMap")]
    ip_count_map: BTreeMap<String, u64>,
    #[serde(flatten)]
    http: Http<'a>,
    offset: u128,
    resolution: Number,
    sizes: Distribution,
    header_sizes: Distribution,
    sockets: Vec<u64>,
    socket_count: u64,
    connection_stats: Distribution,
    abort_on: i32,
    #[serde(rename = "fuseboard", skip_serializing_if = "Option::is_none")]
    fuseboard: Option<Honest<'a>>,
}

/// The result of a run of gRPC.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct GrpcDocument<'a> {
    #[serde(flatten)]
    run: Course<'a>,
    ret_codes: BTreeMap<String, u64>,
    destination: &'a str,
    streams: usize,
    ping: bool,
    metadata: BTreeMap<String, Vec<String>>,
    #[serde(rename = "fuseboard", skip_serializing_if = "Option::is_none")]
    fuseboard: Option<Honest<'a>>,
}

/// The part that all kinds of runs have.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Course<'a> {
    run_type: String,
    labels: &'a str,
    start_time: String,
    #[serde(rename = "RequestedQPS")]
    requested_qps: String,
    requested_duration: String,
    #[serde(rename = "ActualQPS")]
    actual_qps: Number,
    actual_duration: u128,
    num_threads: usize,
    version: &'static str,
    duration_histogram: Distribution,
    errors_duration_histogram: Distribution,
    exactly: u64,
    jitter: bool,
    uniform: bool,
    no_catch_up: bool,
    #[serde(rename = "RunID")]
    run_id: i64,
    access_logger_info: String,
    #[serde(rename = "ID")]
    id: String,
}

/// The part that describes the client.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the document's keys are fortio's")]
struct Http<'a> {
    insecure: bool,
    #[serde(rename = "MTLS")]
    mtls: bool,
    #[serde(rename = "CACert")]
    ca_cert: String,
    cert: String,
    key: String,
    unix_domain_socket: String,
    #[serde(rename = "URL")]
    url: &'a str,
    num_connections: u64,
    compression: bool,
    disable_fast_client: bool,
    #[serde(rename = "HTTP10")]
    http10: bool,
    #[serde(rename = "H2")]
    h2: bool,
    disable_keep_alive: bool,
    allow_half_close: bool,
    follow_redirects: bool,
    resolve: &'a str,
    #[serde(rename = "HTTPReqTimeOut")]
    req_time_out: u128,
    user_credentials: &'static str,
    content_type: &'a str,
    payload: String,
    method_override: &'a str,
    log_errors: bool,
    sequential_warmup: bool,
    conn_reuse_range: [u32; 2],
    no_resolve_each_conn: bool,
}

fn shown(path: Option<&Path>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

impl Report {
    /// The result as fortio's JSON document, indented, without a line feed at its end. Under the key `fuseboard`
    /// stand exact percentiles, unless the run was made in fortio's style.
    pub fn json(&self) -> String {
        let labels = self.labels();
        // Maps with string or integer keys and finite numbers: nothing that JSON could refuse.
        match &self.options.grpc {
            Some(grpc) => serde_json::to_string_pretty(&self.grpc_document(grpc, &labels)),
            None => serde_json::to_string_pretty(&self.document(&labels)),
        }
        .unwrap_or_default()
    }

    fn document<'a>(&'a self, labels: &'a str) -> Document<'a> {
        let options = &self.options;
        Document {
            run: self.run(labels),
            ret_codes: self.codes(),
            ip_count_map: self.addresses().iter().map(|(address, n)| (address.to_string(), *n)).collect(),
            http: self.http(),
            offset: options.offset.as_nanos(),
            resolution: Number(options.resolution),
            sizes: Distribution::of(&self.tally.sizes, &[]),
            header_sizes: Distribution::of(&self.tally.head_sizes, &[]),
            sockets: self.sockets.iter().map(|socket| socket.used).collect(),
            socket_count: self.sockets_used(),
            connection_stats: Distribution::of(&self.connecting(), &options.percentiles),
            abort_on: options.abort_on.unwrap_or(0),
            fuseboard: self.fuseboard(),
        }
    }

    fn grpc_document<'a>(&'a self, grpc: &GrpcOptions, labels: &'a str) -> GrpcDocument<'a> {
        let mut metadata: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in fields(&self.options.http, self.options.style, Body::Dropped) {
            let name = name.to_ascii_lowercase();
            // The password is never shown.
            if !matches!(name.as_str(), "authorization" | "content-length" | "content-type") {
                metadata.entry(name).or_default().push(value.trim().to_owned());
            }
        }
        GrpcDocument {
            run: self.run(labels),
            ret_codes: self.statuses(),
            destination: &self.options.http.url,
            streams: self.options.streams,
            ping: grpc.ping,
            metadata,
            fuseboard: self.fuseboard(),
        }
    }

    fn fuseboard(&self) -> Option<Honest<'_>> {
        (self.options.style == Style::Fuseboard).then(|| honest::document(self))
    }

    fn run<'a>(&'a self, labels: &'a str) -> Course<'a> {
        let options = &self.options;
        let percentiles = &options.percentiles;
        let requested_duration = match (options.calls, options.duration) {
            (Some(calls), _) if calls != self.calls() => {
                format!("exactly {calls} calls, interrupted after {}", self.calls())
            }
            (Some(calls), _) => format!("exactly {calls} calls"),
            (None, Some(duration)) => go::duration::format(duration),
            (None, None) => "until stop".to_owned(),
        };
        Course {
            run_type: (options.grpc.as_ref())
                .map_or("HTTP".to_owned(), |grpc| run_type(grpc, &options.http.payload)),
            labels,
            start_time: self.started.to_string(),
            requested_qps: options.rate().map_or("max".to_owned(), |rate| significant(rate, 9)),
            requested_duration,
            actual_qps: Number(self.qps()),
            actual_duration: self.elapsed.as_nanos(),
            num_threads: self.callers,
            version: options.style.product().1,
            duration_histogram: Distribution::of(&self.tally.durations, percentiles),
            errors_duration_histogram: Distribution::of(&self.tally.errors, percentiles),
            exactly: options.calls.unwrap_or(0),
            jitter: options.jitter,
            uniform: options.uniform,
            no_catch_up: options.no_catch_up,
            run_id: options.run_id,
            access_logger_info: options.access_log.as_ref().map(AccessLogOptions::info).unwrap_or_default(),
            id: self.id(labels),
        }
    }

    fn http(&self) -> Http<'_> {
        let http = &self.options.http;
        Http {
            insecure: http.tls.insecure,
            mtls: false,
            ca_cert: shown(http.tls.ca_cert.as_deref()),
            cert: shown(http.tls.cert.as_deref()),
            key: shown(http.tls.key.as_deref()),
            unix_domain_socket: shown(http.unix_socket.as_deref()),
            url: &http.url,
            num_connections: 1,
            compression: http.compression,
            disable_fast_client: http.whole_answers || http.follow_redirects || http.http2,
            http10: http.http10,
            h2: http.http2,
            disable_keep_alive: !http.keep_alive,
            allow_half_close: http.half_close,
            follow_redirects: http.follow_redirects,
            resolve: http.resolve.as_deref().unwrap_or(""),
            req_time_out: http.timeout.as_nanos(),
            user_credentials: "",
            content_type: http.given_content_type().unwrap_or(""),
            payload: BASE64_STANDARD.encode(&http.payload),
            method_override: http.method.as_deref().unwrap_or(""),
            log_errors: http.log_errors,
            sequential_warmup: self.options.sequential_warmup,
            conn_reuse_range: http.connection_reuse.map_or([0, 0], |(least, most)| [least, most]),
            no_resolve_each_conn: http.resolve_once,
        }
    }

    /// The labels given, else the URL without its scheme and the name of this host.
    fn labels(&self) -> String {
        self.options.labels.clone().unwrap_or_else(|| {
            let url = &self.options.http.url;
            let url =
                ["https://", "http://"].iter().find_map(|scheme| url.strip_prefix(scheme)).unwrap_or(url);
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let host = host.split('.').next().unwrap_or(&host);
            format!("{url} , {host}")
        })
    }

    /// The name under which fortio saves the result: the local time, the number of the run, and the labels' words.
    pub fn file_name(&self) -> String {
        format!("{}.json", self.id(&self.labels()))
    }

    /// `2026-11-23-021142_127_0_0_1_8000_get_vm`, at most 96 bytes.
    fn id(&self, labels: &str) -> String {
        let local = self.started.to_zoned(TimeZone::system());
        let mut id = local.strftime("%Y-%m-%d-%H%M%S").to_string();
        if self.options.run_id != 0 {
            id = format!("{id}_{}", self.options.run_id);
        }
        for word in labels.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
            id.push('_');
            id.push_str(word);
        }
        id.truncate(96);
        id
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::event::Level;
    use crate::options::Style;
    use crate::report::sample;

    /// Keys in the order in which they stand, at any depth.
    fn keys(json: &str) -> Vec<&str> {
        json.lines()
            .filter_map(|line| line.trim().strip_prefix('"')?.split_once("\":"))
            .map(|(key, _)| key)
            .collect()
    }

    #[test]
    fn the_document_has_fortio_s_keys_in_fortio_s_order() {
        let ours = sample::report(Style::Fortio, Level::Info).json();
        let top_level = |json: &str| -> Vec<String> {
            let top = json.lines().filter(|line| line.starts_with("  \"")).collect::<Vec<_>>().join("\n");
            keys(&top).into_iter().map(str::to_owned).collect()
        };
        // Written by fortio 1.66.5.
        assert_eq!(top_level(&ours), top_level(include_str!("../../tests/golden/fortio.json")));
    }

    #[test]
    fn the_whole_document_is_pinned() {
        let ours = sample::report(Style::Fortio, Level::Info).json();
        assert_eq!(format!("{ours}\n"), include_str!("../../tests/golden/result.json"));
    }

    #[test]
    fn our_own_key_stands_beside_and_only_in_our_style() {
        let ours: Value =
            serde_json::from_str(&sample::report(Style::Fuseboard, Level::Info).json()).unwrap();
        let latencies = ours["fuseboard"]["latency_from_due"].as_array().unwrap();
        assert_eq!(latencies.len(), 5);
        assert!((latencies[4]["seconds"].as_f64().unwrap() - 0.05).abs() < 0.000_1);
        let theirs: Value = serde_json::from_str(&sample::report(Style::Fortio, Level::Info).json()).unwrap();
        assert!(theirs.get("fuseboard").is_none());
    }

    #[test]
    fn the_password_is_not_shown() {
        let mut report = sample::report(Style::Fortio, Level::Info);
        report.options.http.user = Some("me:secret".into());
        assert!(!report.json().contains("secret"));
    }
}
