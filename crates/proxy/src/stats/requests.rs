//! Istio's standard metrics of requests, beside Envoy's: which series there are and what they are labelled with.
//!
//! Labels of one series come from the configuration (who calls, which cluster) and from how the request ended (status, response
//! flags, refusal reason), never from what a caller writes: a `Host` cannot make a series. Per cluster there are as many series as
//! [`fuseboard_stats::KEYS`] says and one for everything beyond, labelled `other`.

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;

use fuseboard_core::refusal::RefusalReason;
use fuseboard_grpc::Code;
use fuseboard_snapshot::Cluster;
use fuseboard_stats::{Keyed, Label, Reading, Scope, Sharded, stats};

use crate::options::Source;

stats! {
    /// What one worker counts for one series.
    pub struct RequestStats in "istiocustom" {
        /// Requests, each once, however often it was tried.
        istio_requests_total: Counter,
        /// From the request's first byte to the end of the exchange, in milliseconds.
        istio_request_duration_milliseconds: Distribution,
        /// Bytes of the request on the caller's connection, head included.
        istio_request_bytes: Distribution,
        /// Bytes of the answer on the caller's connection, head included.
        istio_response_bytes: Distribution,
    }
}

stats! {
    /// What one worker counts of messages of gRPC.
    pub struct MessageStats in "istiocustom" {
        /// Messages that callers sent.
        istio_request_messages_total: Counter,
        /// Messages that callers were sent.
        istio_response_messages_total: Counter,
    }
}

/// The series of one cluster.
pub type RequestSeries = Keyed<RequestStats>;

/// The messages of one cluster. Istio's counters of them know nothing of how a call ends, as they grow while it lasts.
pub type MessageSeries = Sharded<MessageStats>;

/// Stands where nothing is known.
const UNKNOWN: &str = "unknown";
/// Stands for whatever found no series of its own.
const OTHER: &str = "other";

/// Every flag that an exchange can end with; a key holds positions in this list.
const FLAGS: [&str; 14] =
    ["UO", "UH", "UF", "UC", "UR", "UPE", "UT", "UMSDR", "URX", "NR", "DPE", "SI", "DC", "DT"];

/// How a request ended, as far as series are told apart by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Status of the answer; 0: there was none.
    pub status: u16,
    /// Envoy's response flags, in the order in which they were set.
    pub flags: [Option<&'static str>; 3],
    /// Our reason, where we refused.
    pub reason: Option<RefusalReason>,
    /// What the caller was told in gRPC, if it speaks that.
    pub grpc: Option<Code>,
}

impl Ending {
    /// The key of its series.
    #[inline]
    pub fn key(&self) -> NonZeroU64 {
        let plain = NonZeroU64::MIN | (u64::from(self.status) << 8);
        match self {
            Self { flags: [None, None, None], reason: None, grpc: None, .. } => plain,
            _ => plain | (self.notes() << 24),
        }
    }

    /// Flags and reason as a number.
    fn notes(&self) -> u64 {
        let place = |found: Option<usize>| found.map_or(0, |place| place as u64 + 1);
        let flag =
            |flag: Option<&str>| place(flag.and_then(|flag| FLAGS.iter().position(|known| *known == flag)));
        let reason =
            self.reason.and_then(|reason| RefusalReason::ALL.iter().position(|known| *known == reason));
        let [first, second, third] = self.flags;
        let grpc = self.grpc.map(|status| usize::from(status.number()));
        flag(first) | flag(second) << 8 | flag(third) << 16 | place(reason) << 24 | place(grpc) << 32
    }

    /// The ending whose key this is.
    pub(super) fn of_key(key: NonZeroU64) -> Self {
        let byte = |shift: u32| {
            (key.get() >> shift & 0xff).checked_sub(1).and_then(|place| usize::try_from(place).ok())
        };
        let flag = |shift| byte(shift).and_then(|place| FLAGS.get(place).copied());
        Self {
            status: u16::try_from(key.get() >> 8 & 0xffff).unwrap_or_default(),
            flags: [flag(24), flag(32), flag(40)],
            reason: byte(48).and_then(|place| RefusalReason::ALL.get(place).copied()),
            grpc: byte(56).and_then(|number| Code::ALL.get(number).copied()),
        }
    }
}

/// Envoy's `%RESPONSE_FLAGS%`.
pub(crate) fn flags_text(flags: &[Option<&'static str>]) -> Cow<'static, str> {
    let mut set = flags.iter().flatten();
    match (set.next(), set.next()) {
        (None, _) => "-".into(),
        (Some(flag), None) => (*flag).into(),
        _ => flags.iter().flatten().copied().collect::<Vec<_>>().join(",").into(),
    }
}

/// Adds the series of one cluster, or of the requests that found none, to a reading.
pub(super) fn collect(reading: &mut Reading, from: &From, to: Option<&Cluster>, series: &RequestSeries) {
    let to = from.to(to);
    for (key, blocks) in series.iter() {
        let scope = reading.scope(Scope::labelled("istiocustom", to.ended(key.map(Ending::of_key))));
        reading.block(scope, blocks.iter().copied());
    }
}

/// Adds the counters of messages of one cluster, or of calls that found none; nothing where there never was one.
pub(super) fn collect_messages(
    reading: &mut Reading,
    from: &From,
    to: Option<&Cluster>,
    series: &MessageSeries,
) {
    if series.iter().next().is_none() {
        return;
    }
    let To { mut labels, cluster, .. } = from.to(to);
    labels.push(("cluster_name", cluster));
    let scope = reading.scope(Scope::labelled("istiocustom", labels));
    reading.block(scope, series.iter());
}

/// The labels of a proxy's own side, in Istio's order.
pub(super) struct From {
    labels: Vec<Label>,
    unknown: Arc<str>,
}

/// The labels up to the destination's.
struct To {
    labels: Vec<Label>,
    cluster: Arc<str>,
    unknown: Arc<str>,
}

impl From {
    pub(super) fn new(source: &Source) -> Self {
        let unknown: Arc<str> = UNKNOWN.into();
        let known =
            |value: Option<&Arc<str>>| value.filter(|value| !value.is_empty()).unwrap_or(&unknown).clone();
        let first = |names: &[&str]| names.iter().find_map(|name| source.labels.get(*name));
        let revision =
            first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
        let labels = vec![
            ("reporter", "source".into()),
            ("source_workload", unknown.clone()),
            (
                "source_canonical_service",
                known(first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"])),
            ),
            ("source_canonical_revision", revision.cloned().unwrap_or_else(|| "latest".into())),
            ("source_workload_namespace", known(Some(&source.namespace))),
            ("source_principal", unknown.clone()),
            ("source_app", known(first(&["app"]))),
            ("source_version", known(first(&["version"]))),
            ("source_cluster", unknown.clone()),
        ];
        Self { labels, unknown }
    }

    /// With a destination. What an endpoint would tell of its workload is not known to the configuration.
    fn to(&self, cluster: Option<&Cluster>) -> To {
        let labels = self.destination(cluster);
        let cluster = cluster.map_or_else(|| "".into(), |cluster| cluster.name.clone());
        To { labels, cluster, unknown: self.unknown.clone() }
    }

    /// The labels of a TCP series; Istio's have no status.
    pub(super) fn tcp_labels(&self, to: &Cluster, flags: Cow<'static, str>, refused: &str) -> Vec<Label> {
        let mut labels = self.destination(Some(to));
        labels.extend([
            ("request_protocol", "tcp".into()),
            ("response_flags", flags.into()),
            ("connection_security_policy", self.unknown.clone()),
            ("cluster_name", to.name.clone()),
            ("fuseboard_refused", refused.into()),
        ]);
        labels
    }

    fn destination(&self, cluster: Option<&Cluster>) -> Vec<Label> {
        let unknown = || self.unknown.clone();
        let service =
            |of: fn(&Cluster) -> &Arc<str>| cluster.map_or_else(unknown, |cluster| of(cluster).clone());
        let mut labels = self.labels.clone();
        labels.extend([
            ("destination_workload", unknown()),
            ("destination_workload_namespace", unknown()),
            ("destination_principal", unknown()),
            ("destination_app", unknown()),
            ("destination_version", unknown()),
            ("destination_service", service(|cluster| &cluster.service.host)),
            ("destination_canonical_service", unknown()),
            ("destination_canonical_revision", "latest".into()),
            ("destination_service_name", service(|cluster| &cluster.service.name)),
            ("destination_service_namespace", service(|cluster| &cluster.service.namespace)),
            ("destination_cluster", unknown()),
        ]);
        labels
    }
}

impl To {
    /// All labels of a series, ours behind Istio's; `None`: of what found no series of its own.
    fn ended(&self, ending: Option<Ending>) -> Vec<Label> {
        let (code, flags, refused) = match ending {
            Some(ending) => {
                let refused = ending.reason.map_or("", RefusalReason::token);
                (ending.status.to_string().into(), flags_text(&ending.flags).into(), refused.into())
            }
            None => (OTHER.into(), OTHER.into(), OTHER.into()),
        };
        let grpc = ending.and_then(|ending| ending.grpc);
        let protocol = if grpc.is_some() { "grpc" } else { "http" };
        let grpc = grpc.map(|status| status.number().to_string()).unwrap_or_default();
        let mut labels = self.labels.clone();
        labels.extend([
            ("request_protocol", protocol.into()),
            ("response_code", code),
            ("grpc_response_status", grpc.into()),
            ("response_flags", flags),
            ("connection_security_policy", self.unknown.clone()),
            ("cluster_name", self.cluster.clone()),
            ("fuseboard_refused", refused),
        ]);
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local_reply::Cause;

    #[test]
    fn a_key_reads_back_as_the_ending_that_it_is_of() {
        let reasons = RefusalReason::ALL.into_iter().map(Some).chain([None]);
        for reason in reasons {
            for flags in [[None; 3], [Some("URX"), Some("UO"), None], [Some("UO"), Some("URX"), Some("DC")]] {
                for status in [0, 200, 503, u16::MAX] {
                    let ending = Ending { status, flags, reason, grpc: None };
                    assert_eq!(Ending::of_key(ending.key()), ending);
                }
            }
        }
    }

    #[test]
    fn a_series_costs_a_worker_what_the_documentation_says() {
        assert_eq!(size_of::<RequestStats>(), 512);
    }

    #[test]
    fn every_flag_of_the_table_of_answers_has_its_place() {
        let flags = Cause::ALL.into_iter().map(|cause| cause.row().flag).filter(|flag| *flag != "-");
        for flag in flags.chain(["URX"]) {
            assert!(FLAGS.contains(&flag), "{flag}");
        }
    }

    #[test]
    fn a_source_is_named_by_its_labels_as_istio_names_it() {
        let labels = [("app", "shop"), ("version", "v2"), ("service.istio.io/canonical-revision", "v3")];
        let labels = labels.map(|(name, value)| (name.into(), value.into())).into();
        let from = From::new(&Source { namespace: "front".into(), labels });
        let value = |name: &str| from.labels.iter().find(|(label, _)| *label == name).unwrap().1.to_string();
        assert_eq!(value("source_canonical_service"), "shop");
        assert_eq!(value("source_canonical_revision"), "v3");
        assert_eq!(value("source_workload_namespace"), "front");
        assert_eq!((value("source_app"), value("source_version")), ("shop".into(), "v2".into()));
        let nobody = From::new(&Source::default());
        assert_eq!(&*nobody.labels[2].1, "unknown");
        assert_eq!(&*nobody.labels[3].1, "latest");
        assert_eq!(&*nobody.labels[4].1, "unknown");
    }
}
