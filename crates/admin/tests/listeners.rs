//! Listeners, routes and certificates, as a config dump has them and as `proxy-config` shows them: ours, and those of a mesh's proxy.

#![allow(clippy::unwrap_used)] // a panic is how a test fails

mod sample;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuseboard_admin::proxy_config::{Dump, ListenerFilter, RouteFilter};
use fuseboard_admin::status::{ListenerStatus, ProxyStatus};
use fuseboard_admin::{Query, config_dump};
use fuseboard_snapshot::{Detect, Domain, Listener, ListenerTarget, RouteConfig, Snapshot, TcpProxy};
use fuseboard_testkit::ClusterSketch;
use fuseboard_testkit::tls::{Authority, Pair, Validity};

/// One listener of each kind; the first one with a certificate, of which clients must show one, too.
fn proxy(pair: &Pair) -> ProxyStatus {
    let sketch = ClusterSketch::new("outbound|80||shop", &["127.0.0.1:9".parse().unwrap()]);
    let snapshot = sketch.snapshot(4).unwrap();
    let plain = &snapshot.listeners[0];
    let of = |name: &str, target| Listener { name: name.into(), target, ..plain.clone() };
    let detect = Detect { routes: 0, tcp: TcpProxy::to(0), patience: Duration::from_secs(5) };
    let listeners = vec![
        Listener { tls: Some(Arc::new(pair.server())), ..of("secure", ListenerTarget::Routes(0)) },
        of("bytes", ListenerTarget::Tcp(TcpProxy::to(0))),
        Listener { accept_proxy: true, ..of("either", ListenerTarget::Detect(detect)) },
    ];
    let mut table = RouteConfig::clone(&snapshot.routes[0]);
    let name = |name: &str| Domain::Exact(name.into());
    table.virtual_hosts[0].domains = vec![
        name("shop"),
        name("shop:80"),
        name("shop.default"),
        name("shop.default.svc"),
        name("shop.default.svc.cluster.local"),
        Domain::Suffix(".shop.example".into()),
        name("10.0.0.1"),
    ];
    let bound = |(port, listener): (u16, &Listener)| ListenerStatus {
        name: Arc::clone(&listener.name),
        address: ([127, 0, 0, 1], port).into(),
        accepting: true,
        tls: listener.tls.is_some(),
    };
    ProxyStatus {
        listeners: [15003, 15002, 15001].into_iter().zip(&listeners).map(bound).collect(),
        snapshot: Arc::new(Snapshot { listeners, routes: vec![Arc::new(table)], ..snapshot }),
        ..sample::proxy()
    }
}

fn dump(status: &ProxyStatus, query: &str) -> (String, Dump) {
    let page = config_dump::page(status, &Query::parse(query)).body;
    let dump = Dump::parse(&page).unwrap();
    (page, dump)
}

#[test]
fn our_listeners_are_shown_where_they_are_bound_and_with_what_they_lead_to() {
    let pair = Authority::new("ours").issue(&["a.test"]);
    let (page, dump) = dump(&proxy(&pair), "");
    let all = ListenerFilter::default();
    let table = "\
ADDRESSES PORT  MATCH                                DESTINATION
127.0.0.1 15001 Trans: raw_buffer; App: http/1.1,h2c Route: test
127.0.0.1 15001 ALL                                  Cluster: outbound|80||shop
127.0.0.1 15002 ALL                                  Cluster: outbound|80||shop
127.0.0.1 15003 ALL                                  Route: test
";
    assert_eq!(dump.listener_table(&all).unwrap(), table);
    let kinds = |kind: &str| {
        let table = dump.listener_table(&ListenerFilter { kind: kind.into(), ..all.clone() }).unwrap();
        table.lines().count() - 1
    };
    assert_eq!(["http", "TCP", "HTTP+TCP", "unknown"].map(kinds), [1, 1, 2, 0]);
    let one = dump.listener_settings(&ListenerFilter { port: 15003, ..all }).unwrap();
    let one = serde_json::to_value(&one).unwrap();
    let settings = &one[0]["filterChains"][0]["filters"][0]["typedConfig"];
    assert_eq!(settings["requestHeadersTimeout"], "60s");
    assert_eq!(settings["commonHttpProtocolOptions"]["maxHeadersCount"], 100);
    let tls = &one[0]["filterChains"][0]["transportSocket"]["typedConfig"];
    assert_eq!(tls["commonTlsContext"]["tlsCertificateSdsSecretConfigs"][0]["name"], "file-cert:pair.pem");
    assert!(page.contains("envoy.filters.listener.proxy_protocol"));
}

#[test]
fn our_routes_name_two_of_a_services_names_and_count_the_others() {
    let pair = Authority::new("ours").issue(&["a.test"]);
    let (_, dump) = dump(&proxy(&pair), "");
    let table = "\
NAME     VHOST NAME     DOMAINS                            MATCH     VIRTUAL SERVICE
test     test:80        shop, shop.default + 2 more...     /*        
";
    assert_eq!(dump.route_table(&RouteFilter::default()).unwrap(), table);
    let none = dump.route_table(&RouteFilter { name: "80".into() }).unwrap();
    assert_eq!(none.lines().count(), 1, "{none}");
    let all = serde_json::to_value(dump.route_settings(&RouteFilter::default()).unwrap()).unwrap();
    let route = &all[0]["virtualHosts"][0]["routes"][0];
    assert_eq!((&route["match"]["prefix"], &route["route"]["timeout"]), (&"/".into(), &"0s".into()));
}

#[test]
fn certificates_are_shown_with_their_time_and_keys_never() {
    let authority = Authority::new("ours");
    let pair = authority.issue_with(&["a.test"], Validity::Over, 0xab);
    let (page, dump) = dump(&proxy(&pair), "");
    let table = dump.secret_table(SystemTime::now()).unwrap();
    let expected = "\
RESOURCE NAME          TYPE           STATUS     VALID CERT     SERIAL NUMBER     NOT AFTER                NOT BEFORE
file-cert:pair.pem     Cert Chain     ACTIVE     false          ab                2020-01-02T00:00:00Z     2020-01-01T00:00:00Z
";
    assert_eq!(table, expected);
    let then = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 50 + 13 * 24);
    assert!(dump.secret_table(then).unwrap().contains("ACTIVE     true "), "it counted then");
    let json = serde_json::to_string(&dump.secret_settings().unwrap()).unwrap();
    // `[redacted]`, and `PRIVATE KEY` at each of its three places in a group.
    for text in [&page, &json] {
        assert!(text.contains("W3JlZGFjdGVkXQ=="), "{text}");
        for key in ["UFJJVkFURSBLRV", "BSSVZBVEUgS0", "QUklWQVRFIEtF"] {
            assert!(!text.contains(key), "{text}");
        }
    }
    let kept = page.replace("W3JlZGFjdGVkXQ==", "bm90IGZvciB5b3U=");
    let json = serde_json::to_string(&Dump::parse(&kept).unwrap().secret_settings().unwrap()).unwrap();
    assert!(!json.contains("bm90IGZvciB5b3U="), "one that somebody's dump has: {json}");
}

#[test]
fn a_list_and_names_select_them() {
    let pair = Authority::new("ours").issue(&["a.test"]);
    let status = proxy(&pair);
    let page =
        config_dump::page(&status, &Query::parse("resource=static_listeners&name_regex=^either$")).body;
    let page: serde_json::Value = serde_json::from_str(&page).unwrap();
    let entries = page["configs"].as_array().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["@type"], "type.googleapis.com/envoy.admin.v3.ListenersConfigDump.StaticListener");
    assert_eq!(entries[0]["listener"]["address"]["socket_address"]["port_value"], 15001);
    let (_, dump) = dump(&status, "name_regex=nosuch");
    assert!(dump.listener_table(&ListenerFilter::default()).is_err());
    assert_eq!(dump.secret_table(SystemTime::now()).unwrap(), "No secret items to show.\n");
}

/// What istiod sends: listeners in force, chains by where a connection goes, and routes of rules.
#[test]
fn a_sidecars_dump_is_shown_as_istioctl_shows_it() {
    let dump = Dump::parse(include_str!("proxy_config/sidecar.json")).unwrap();
    let listeners = "\
ADDRESSES PORT  MATCH                                                     DESTINATION
10.0.0.7  443   ALL                                                       Cluster: outbound|443||db
0.0.0.0   15001 ALL                                                       PassthroughCluster
0.0.0.0   15001 Addr: *:15001                                             Non-HTTP/Non-TCP
0.0.0.0   15006 SNI: outbound_.80_._.a; Trans: tls; Addr: 0.0.0.0/0:15006 InboundPassthroughCluster
0.0.0.0   15090 ALL                                                       Inline Route: /stats/prometheus*
";
    assert_eq!(dump.listener_table(&ListenerFilter::default()).unwrap(), listeners);
    let routes = "\
NAME             VHOST NAME     DOMAINS     MATCH             VIRTUAL SERVICE
80               a:80           a, a.b      /v1*              retry.default
80               a:80           a, a.b      regex /v[0-9]     <unknown>
9080             block_all      *           /*                404
inbound|80||     inbound        *           /*                
";
    assert_eq!(dump.route_table(&RouteFilter::default()).unwrap(), routes);
}
