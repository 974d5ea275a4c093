//! What Istio's validation says of a `DestinationRule`, word for word: each row is one rule of its webhook or schema.

use fuseboard_config::{Code, SourceText, load};

/// The messages of `code` for a rule whose `spec` has these lines, and whether each says what to write.
fn messages(code: Code, spec: &str) -> Vec<String> {
    let indented = spec.replace('\n', "\n  ");
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: x, namespace: shop}}\nspec:\n  \
         {indented}\n"
    );
    let (_, diagnostics) = load(&[SourceText::new("x.yaml", text)]);
    let found = diagnostics.iter().filter(|diagnostic| diagnostic.code == code);
    found
        .inspect(|one| assert!(one.help.is_some() && one.field.is_some(), "{one}"))
        .map(|one| one.message.clone())
        .collect()
}

fn errors(spec: &str) -> Vec<String> {
    messages(Code::SchemaValidationError, spec)
}

fn policy(fields: &str) -> Vec<String> {
    errors(&format!("host: a\ntrafficPolicy: {{{fields}}}"))
}

/// Checks rows of a field and what is said of it.
fn expect(said: impl Fn(&str) -> Vec<String>, rows: &[(&str, &[&str])]) {
    for (written, expected) in rows {
        assert_eq!(said(written), *expected, "{written}");
    }
}

#[test]
fn hosts() {
    let long = format!("host: {}", "a".repeat(256));
    assert_eq!(errors(&long).len(), 1);
    expect(
        errors,
        &[
            ("host: ''", &["empty domain name not allowed"]),
            ("host: a_b", &["domain name \"a_b\" invalid (label \"a_b\" invalid)"]),
            ("host: a.b.1", &["domain name \"b.1\" invalid (top level domain \"1\" cannot be all-numeric)"]),
            ("host: '*.local'", &[]),
        ],
    );
}

#[test]
fn policies_without_content() {
    expect(
        policy,
        &[
            ("", &["traffic policy must have at least one field"]),
            ("connectionPool: {}", &["connection pool must have at least one field"]),
            (
                "tunnel: {targetHost: a, targetPort: 1}, proxyProtocol: {}",
                &["tunnel and proxyProtocol must not be set together"],
            ),
            (
                "portLevelSettings: [{}]",
                &[
                    "portTrafficPolicy must have valid port",
                    "port traffic policy must have at least one field",
                ],
            ),
            (
                "portLevelSettings: [{port: {number: 80}}]",
                &["port traffic policy must have at least one field"],
            ),
        ],
    );
}

#[test]
fn durations() {
    const SHORT: &str = "duration must be greater than 1ms";
    const FINE: &str = "only durations to ms precision are supported";
    for field in [
        "connectionPool: {tcp: {connectTimeout: @}}",
        "connectionPool: {tcp: {maxConnectionDuration: @}}",
        "connectionPool: {tcp: {tcpKeepalive: {time: @}}}",
        "connectionPool: {tcp: {tcpKeepalive: {interval: @}}}",
        "connectionPool: {http: {idleTimeout: @}}",
        "outlierDetection: {interval: @}",
        "outlierDetection: {baseEjectionTime: @}",
        "loadBalancer: {warmup: {duration: @}}",
        "loadBalancer: {warmupDurationSecs: @}",
    ] {
        let with = |value: &str| policy(&field.replace('@', value));
        assert_eq!(with("0s"), [SHORT], "{field}");
        assert_eq!(with("999us"), [SHORT], "{field}");
        assert_eq!(with("-1s"), [SHORT], "{field}");
        assert_eq!(with("1500us"), [FINE], "{field}");
        assert!(with("1ms").is_empty(), "{field}");
    }
    let idle = |value: &str| policy(&format!("connectionPool: {{tcp: {{idleTimeout: {value}}}}}"));
    assert!(idle("0s").is_empty(), "never, not too short");
    assert!(idle("500us").is_empty(), "0 in milliseconds, as Istio looks at it");
    assert_eq!(idle("1500us"), [FINE]);
}

#[test]
fn limits() {
    expect(
        policy,
        &[
            ("connectionPool: {tcp: {maxConnections: -1}}", &["max connections must be non-negative"]),
            (
                "connectionPool: {http: {http1MaxPendingRequests: -1}}",
                &["http1 max pending requests must be non-negative"],
            ),
            ("connectionPool: {http: {http2MaxRequests: -1}}", &["http2 max requests must be non-negative"]),
            (
                "connectionPool: {http: {maxRequestsPerConnection: -1}}",
                &["max requests per connection must be non-negative"],
            ),
            ("connectionPool: {http: {maxRetries: -1}}", &["max retries must be non-negative"]),
            (
                "connectionPool: {http: {maxConcurrentStreams: -1}}",
                &["max concurrent streams must be non-negative"],
            ),
            ("connectionPool: {tcp: {maxConnections: 0}}", &[]),
            (
                "connectionPool: {http: {useClientProtocol: true, h2UpgradePolicy: UPGRADE}}",
                &["use client protocol must not be true when H2UpgradePolicy is UPGRADE"],
            ),
            (
                "connectionPool: {http: {http2KeepAlive: {}}}",
                &["http2 keepalive interval is required", "http2 keepalive timeout is required"],
            ),
        ],
    );
}

#[test]
fn outlier_detection() {
    expect(
        policy,
        &[
            ("outlierDetection: {maxEjectionPercent: 101}", &["percentage 101 is not in range 0..100"]),
            ("outlierDetection: {minHealthPercent: -1}", &["percentage -1 is not in range 0..100"]),
            (
                "outlierDetection: {outlierDetectionHttpErrorCodes: [99]}",
                &["status code 99 is not in range 100..599"],
            ),
            (
                "outlierDetection: {consecutiveLocalOriginFailures: 1}",
                &[
                    "outlier detection consecutive local origin failures is specified, but split external local origin \
                   errors is set to false",
                ],
            ),
            ("outlierDetection: {consecutiveLocalOriginFailures: 0}", &[]),
            ("outlierDetection: {}", &[]),
        ],
    );
    let deprecated = messages(
        Code::ConsecutiveErrorsDeprecated,
        "host: a\ntrafficPolicy: {outlierDetection: {consecutiveErrors: 5}}",
    );
    let words = "outlier detection consecutive errors is deprecated, use consecutiveGatewayErrors or \
                 consecutive5xxErrors instead";
    assert_eq!(deprecated, [words]);
}

#[test]
fn load_balancers() {
    expect(
        policy,
        &[
            (
                "loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}",
                &["only one of simple, consistentHash can be set"],
            ),
            ("loadBalancer: {consistentHash: {httpCookie: {name: ''}}}", &["name required for HttpCookie"]),
            (
                "loadBalancer: {consistentHash: {httpCookie: {name: c, attributes: [{name: ''}, {name: a}, {name: a}]}}}",
                &["cookie attribute name cannot be empty", "duplicate cookie attribute name: a"],
            ),
            (
                "loadBalancer: {consistentHash: {maglev: {}}}",
                &["tableSize must be set for maglev", "tableSize must be a prime number for maglev"],
            ),
            (
                "loadBalancer: {consistentHash: {maglev: {tableSize: 10}}}",
                &["tableSize must be a prime number for maglev"],
            ),
            (
                "loadBalancer: {consistentHash: {maglev: {tableSize: 5000011}}}",
                &["tableSize must be less than 5000011 for maglev"],
            ),
            ("loadBalancer: {consistentHash: {maglev: {tableSize: 65537}}}", &[]),
            (
                "loadBalancer: {consistentHash: {minimumRingSize: 1, ringHash: {}}}",
                &["only one of MinimumRingSize or Maglev/Ringhash can be specified"],
            ),
            (
                "loadBalancer: {localityLbSetting: {}, zoneAwareLbSetting: {}}",
                &["only one of localityLbSetting and zoneAwareLbSetting can be set"],
            ),
            (
                "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 100}}], failover: [{from: a, to: b}]}}",
                &["can not simultaneously specify 'distribute' and 'failover'"],
            ),
            (
                "loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 0, c: 99}}]}}",
                &["total locality weight 99 != 100", "locality weight must be in range [1, 100]"],
            ),
            (
                "loadBalancer: {warmup: {duration: 1s, minimumPercent: 101, aggression: 0}}",
                &[
                    "minimumPercent value should be less than or equal to 100",
                    "aggression should be greater than 0",
                ],
            ),
        ],
    );
    let warned =
        |fields: &str| messages(Code::SchemaWarning, &format!("host: a\ntrafficPolicy: {{{fields}}}"));
    expect(
        warned,
        &[
            (
                "loadBalancer: {consistentHash: {minimumRingSize: 1}}",
                &[
                    "consistent hash MinimumRingSize is deprecated, use ConsistentHashLB's RingHash configuration instead",
                ],
            ),
            (
                "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}",
                &["outlier detection policy must be provided for failover"],
            ),
            ("outlierDetection: {}, loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}", &[]),
        ],
    );
}

#[test]
fn tls_and_tunnels() {
    expect(
        policy,
        &[
            (
                "tls: {mode: SIMPLE, insecureSkipVerify: true, caCertificates: /ca}",
                &[
                    "cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true",
                ],
            ),
            (
                "tls: {mode: MUTUAL, insecureSkipVerify: true, subjectAltNames: [a], credentialName: c}",
                &["cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true"],
            ),
            (
                "tls: {mode: SIMPLE, credentialName: c, caCertificates: /ca}",
                &["cannot specify client certificates or CA certificate or CA CRL If credentialName is set"],
            ),
            (
                "tls: {mode: MUTUAL}",
                &["client certificate required for mutual tls", "private key required for mutual tls"],
            ),
            (
                "tunnel: {protocol: connect, targetHost: a_b, targetPort: 0}",
                &[
                    "tunnel protocol must be \"CONNECT\" or \"POST\"",
                    "tunnel target host must be valid FQDN or IP address: a_b",
                    "tunnel target port is invalid: port number 0 must be in the range 1..65535",
                ],
            ),
        ],
    );
}

#[test]
fn subsets_exports_and_selectors() {
    expect(
        |fields| errors(&format!("host: a\n{fields}")),
        &[
            ("subsets: [{name: v1}, {name: v1}]", &["duplicate subset names: v1"]),
            ("subsets: [{name: ''}]", &["subset name cannot be empty"]),
            ("subsets: [{name: a_b}]", &["subset name is invalid: a_b"]),
            ("subsets: [{name: a, labels: {a: '!'}}]", &["invalid tag value: \"!\""]),
            ("exportTo: [a, a]", &["duplicate entries in exportTo for entry a"]),
            ("exportTo: ['.', shop]", &["duplicate entries in exportTo: . and current namespace shop"]),
            (
                "exportTo: ['*', a]",
                &["cannot have both public (*) and non-public exportTo values for a resource"],
            ),
            ("exportTo: ['a b']", &["only .,*, or a valid DNS 1123 label is allowed as exportTo entry"]),
            (
                "exportTo: ['.', a]\nworkloadSelector: {matchLabels: {a: b}}",
                &["destination rule with workload selector cannot have multiple entries in exportTo"],
            ),
            (
                "exportTo: [a]\nworkloadSelector: {matchLabels: {a: b}}",
                &["destination rule with workload selector cannot have exportTo beyond current namespace"],
            ),
            (
                "workloadSelector: {matchLabels: {a: '*'}}",
                &["wildcard is not supported in selector: \"a=*\""],
            ),
            ("workloadSelector: {matchLabels: {'': b}}", &["empty key is not supported in selector: \"=b\""]),
        ],
    );
    assert_eq!(
        messages(Code::SchemaWarning, "host: a\nworkloadSelector: {}"),
        ["workload selector specified without labels"]
    );
}

#[test]
fn policies_of_subsets_and_ports_are_looked_at_too() {
    let expected = ["max connections must be non-negative"];
    let pool = "connectionPool: {tcp: {maxConnections: -1}}";
    assert_eq!(errors(&format!("host: a\nsubsets: [{{name: v1, trafficPolicy: {{{pool}}}}}]")), expected);
    assert_eq!(policy(&format!("portLevelSettings: [{{port: {{number: 80}}, {pool}}}]")), expected);
}

#[test]
fn a_mistake_in_one_place_does_not_hide_those_in_others() {
    let spec = "subsets: [{trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}}]\ntrafficPolicy: {outlierDetection: \
                {maxEjectionPercent: 101}, connectionPool: 5}\nexportTo: [a, a]";
    let said = errors(spec);
    assert_eq!(said.len(), 3, "{said:?}");
}
