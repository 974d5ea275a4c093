//! Which HTTP is spoken, against a naive model: of all places where a `connectionPool` may stand the closest counts, whole, and
//! what it says is applied in istiod's order. Each setting is remembered with its place if, and only if, it has an effect.

use std::fmt::Write as _;
use std::time::Duration;

use fuseboard_config::{ListenPlan, SourceText, Workload, load, resolve};
use fuseboard_snapshot::{Http2Ping, Setting, UpstreamHttp, UpstreamVersion};
use proptest::prelude::*;

/// Declarations of a port, and what is spoken to it without a rule.
const PORTS: [(&str, UpstreamVersion); 9] = [
    ("HTTP", UpstreamVersion::Http1),
    ("HTTP2", UpstreamVersion::Http2),
    ("GRPC", UpstreamVersion::Http2),
    ("grpc-web", UpstreamVersion::Http2),
    ("", UpstreamVersion::Client),
    ("quic", UpstreamVersion::Client),
    ("TCP", UpstreamVersion::Http1),
    ("HTTPS", UpstreamVersion::Http1),
    ("MONGO", UpstreamVersion::Http1),
];

/// A `connectionPool`, as somebody writes it.
#[derive(Clone, Copy, Debug)]
struct Pool {
    upgrade: Option<&'static str>,
    client: Option<bool>,
    streams: Option<u32>,
    ping: bool,
}

const FULL: Http2Ping = Http2Ping { interval: Duration::from_secs(30), timeout: Duration::from_secs(5) };

impl Pool {
    fn text(self) -> String {
        let mut fields = vec!["maxRetries: 7".to_owned()];
        fields.extend(self.upgrade.map(|policy| format!("h2UpgradePolicy: {policy}")));
        fields.extend(self.client.map(|client| format!("useClientProtocol: {client}")));
        fields.extend(self.streams.map(|streams| format!("maxConcurrentStreams: {streams}")));
        fields.extend(self.ping.then(|| "http2KeepAlive: {interval: 30s, timeout: 5s}".to_owned()));
        format!("connectionPool: {{http: {{{}}}}}", fields.join(", "))
    }

    fn applied(self, declared: UpstreamVersion) -> UpstreamHttp {
        let upgraded = declared == UpstreamVersion::Http1 && self.upgrade == Some("UPGRADE");
        let mut http = UpstreamHttp {
            version: if upgraded { UpstreamVersion::Http2 } else { declared },
            ..UpstreamHttp::default()
        };
        if http.version == UpstreamVersion::Http2 {
            http.max_concurrent_streams = self.streams.and_then(std::num::NonZeroU32::new);
            http.ping = self.ping.then_some(FULL);
        }
        if self.client == Some(true) {
            http = UpstreamHttp { version: UpstreamVersion::Client, ..UpstreamHttp::default() };
        }
        http
    }
}

fn pool() -> impl Strategy<Value = Pool> {
    let policies = [None, Some("DEFAULT"), Some("DO_NOT_UPGRADE"), Some("UPGRADE")];
    let clients = [None, Some(false), Some(true)];
    let fields = (
        prop::sample::select(policies.to_vec()),
        prop::sample::select(clients.to_vec()),
        prop::option::of(0_u32..3),
        any::<bool>(),
    );
    fields
        .prop_map(|(upgrade, client, streams, ping)| Pool { upgrade, client, streams, ping })
        .prop_filter("refused", |pool| pool.upgrade != Some("UPGRADE") || pool.client != Some(true))
}

/// Where a pool stands: a policy's own and that of its entry for the port; the entry may be without one.
type Policy = (Option<Pool>, Option<Option<Pool>>);

fn policy() -> impl Strategy<Value = Policy> {
    (prop::option::of(pool()), prop::option::of(prop::option::of(pool())))
}

fn written((own, entry): &Policy) -> String {
    // An empty policy is refused.
    let mut fields = vec!["loadBalancer: {simple: RANDOM}".to_owned()];
    fields.extend(own.map(Pool::text));
    if let Some(pool) = entry {
        let rest = pool.map_or_else(|| "loadBalancer: {simple: RANDOM}".to_owned(), Pool::text);
        fields.push(format!("portLevelSettings: [{{port: {{number: 80}}, {rest}}}]"));
    }
    format!("{{{}}}", fields.join(", "))
}

/// The closest pool for the port, without and with the subset.
fn closest(top: &Policy, subset: &Policy) -> [Option<Pool>; 2] {
    let of_port = top.1.unwrap_or(top.0);
    [of_port, subset.1.unwrap_or(subset.0.or(of_port))]
}

fn resources(protocol: &str, top: &Policy, subset: &Policy) -> String {
    let mut text = String::from(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec:\n  hosts: [a.example]\n  \
         resolution: STATIC\n  endpoints: [{address: 127.0.0.1, labels: {v: one}}]\n",
    );
    let declared = if protocol.is_empty() { String::new() } else { format!(", protocol: {protocol}") };
    let _ = write!(text, "  ports: [{{number: 80, name: p{declared}}}]\n---\n");
    let _ = write!(
        text,
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a}}\nspec:\n  host: a.example\n  \
         trafficPolicy: {}\n  subsets: [{{name: one, labels: {{v: one}}, trafficPolicy: {}}}]\n",
        written(top),
        written(subset)
    );
    text
}

proptest! {
    #[test]
    fn the_closest_pool_decides_in_istiods_order(
        port in prop::sample::select(PORTS.to_vec()),
        top in policy(),
        subset in policy(),
    ) {
        let text = resources(port.0, &top, &subset);
        let (resources, _) = load(&[SourceText::new("a.yaml", text.as_str())]);
        prop_assert!(resources.rejected.is_empty(), "{text}");
        let (snapshot, _) = resolve(&resources, &Workload::default(), &ListenPlan::outbound(Vec::new()), 1);
        for (name, pool) in ["", "one"].into_iter().zip(closest(&top, &subset)) {
            let cluster = snapshot.clusters.iter().find(|cluster| &*cluster.service.subset == name).unwrap();
            let plain = UpstreamHttp { version: port.1, ..UpstreamHttp::default() };
            let expected = pool.map_or(plain, |pool| pool.applied(port.1));
            prop_assert_eq!(cluster.http, expected, "subset {:?} of\n{}", name, text);
            let said_client = pool.is_some_and(|pool| pool.client == Some(true));
            for (setting, acts) in [
                (Setting::UseClientProtocol, said_client),
                (Setting::H2UpgradePolicy, expected.version == UpstreamVersion::Http2 && port.1 != expected.version),
                (Setting::MaxConcurrentStreams, expected.max_concurrent_streams.is_some()),
                (Setting::Http2KeepAlive, expected.ping.is_some()),
            ] {
                prop_assert_eq!(cluster.provenance.get(setting).is_some(), acts, "{:?} of\n{}", setting, text);
            }
        }
    }
}
