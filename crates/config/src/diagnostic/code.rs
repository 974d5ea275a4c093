//! The table of diagnostic codes: name, severity, and the text of its entry in `docs/diagnostics.md`.
//!
//! `IST` codes and their names are Istio's, with Istio's meaning. Ours are `FB001`… for lints, `FB1xx` for what can go
//! wrong while reading, `FB2xx` for what can go wrong while rules, services and endpoints are put together.

use std::fmt;

use crate::diagnostic::Severity;

/// What is said of a code.
#[derive(Clone, Copy, Debug)]
pub struct CodeEntry {
    /// `FB001`
    pub id: &'static str,
    /// `EjectionImpossible`
    pub name: &'static str,
    /// How bad it is, unless a single diagnostic says otherwise.
    pub severity: Severity,
    /// Whether a resource with such a problem is not applied.
    pub rejects: bool,
    /// What it means and what to do, for the documentation.
    pub doc: &'static str,
}

impl CodeEntry {
    /// What it means and what to do, without the blanks of the source: lines, with an empty one between paragraphs.
    pub fn text(&self) -> String {
        self.doc.lines().map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $id:literal, $severity:ident, $effect:ident;)*) => {
        /// A kind of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $variant,)*
        }

        impl Code {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// What is said of it.
            pub const fn entry(self) -> CodeEntry {
                match self {
                    $(Self::$variant => CodeEntry {
                        id: $id,
                        name: stringify!($variant),
                        severity: Severity::$severity,
                        rejects: effect!($effect),
                        doc: concat!($($doc, "\n"),*),
                    },)*
                }
            }
        }
    };
}

/// Whether the resource is applied in spite of the problem.
macro_rules! effect {
    (rejects) => {
        true
    };
    (applies) => {
        false
    };
}

codes! {
    /// A value or a combination of fields breaks a rule of Istio's validation; the text is Istio's. The resource is not
    /// applied.
    SchemaValidationError = "IST0106", Error, rejects;
    /// Istio's validation warns of a value or a combination of fields; the text is Istio's.
    SchemaWarning = "IST0133", Warning, applies;
    /// No endpoint has the labels of a subset: traffic sent to the subset would be answered 503.
    DestinationRuleSubsetNotSelectPods = "IST0173", Error, applies;
    /// The host of a rule is the name of no service in the files, so the rule has no effect. Names without a dot belong to
    /// the namespace of the rule; `name.namespace` is not completed by Istio, write the full name.
    UnknownDestinationRuleHost = "IST0174", Warning, applies;

    /// `maxEjectionPercent` of the service's endpoints, rounded down, is 0: no endpoint can ever be ejected. The default is
    /// 10 percent, which needs ten endpoints.
    EjectionImpossible = "FB001", Warning, applies;
    /// All endpoints may be ejected at a time and `minHealthPercent` is 0: a failure that all of them share makes the
    /// service answer 503 until the ejections end.
    TotalEjectionPossible = "FB002", Warning, applies;
    /// `http1MaxPendingRequests` bounds requests that wait for a connection, but none ever waits: `maxConnections` is not
    /// set, or `http2MaxRequests` is below what the connections carry and refuses first. Over HTTP/1.1 a connection carries one
    /// request at a time, over HTTP/2 `maxConcurrentStreams` (1024 when absent).
    QueueNeverUsed = "FB003", Warning, applies;
    /// `consecutiveGatewayErrors` is not below `consecutive5xxErrors` (5 when absent). Gateway errors are 5xx too, so the
    /// detector for 5xx always ejects first.
    GatewayErrorsNeverFire = "FB004", Warning, applies;
    /// `maxRequestsPerConnection: 1` turns keep-alive off: each request pays for a new connection.
    KeepAliveOff = "FB005", Info, applies;
    /// `maxRetries` and `retryBudget` are both written. Istio takes the budget, Fuseboard `maxRetries`.
    TwoBoundsForRetries = "FB007", Warning, applies;
    /// A wider rule of the client's namespace (`host: "*"`) hides this one, which stands beside its service: the client's
    /// namespace goes first, whatever is closer to the service.
    RuleShadowed = "FB008", Warning, applies;
    /// A subset's `connectionPool` or `outlierDetection` replaces the whole block of the rule, not single fields: settings
    /// that the subset does not repeat are back at their defaults.
    SubsetDropsSettings = "FB009", Warning, applies;
    /// An entry of `portLevelSettings` replaces the whole policy for its port: blocks that the entry does not repeat are
    /// back at their defaults.
    PortDropsSettings = "FB010", Warning, applies;
    /// `consecutiveErrors` is the spelling of Istio up to 1.5 and ignored by later ones. Here it acts as it did then:
    /// gateway errors and connection failures count. Write `consecutiveGatewayErrors` or `consecutive5xxErrors`.
    ConsecutiveErrorsDeprecated = "FB011", Warning, applies;
    /// `interval` is longer than `baseEjectionTime`. Ejections end only on the tick of `interval`, so the first ejection
    /// lasts longer than written.
    IntervalExceedsEjection = "FB012", Warning, applies;
    /// `http1MaxPendingRequests` and `http2MaxRequests` are named after protocols, but both apply to HTTP/1.1 and HTTP/2.
    MisleadingNames = "FB015", Info, applies;
    /// Two rules of one namespace are for the same host: the older one's policy applies whole, the later one adds only
    /// subsets with new names. Files have no age, so the name decides.
    TwoRulesForHost = "FB016", Warning, applies;
    /// A rule of another namespace is for the same host and comes first for this client: first the client's namespace, then
    /// the service's, then the root. Rules of two namespaces are not combined.
    RulesOfTwoNamespaces = "FB017", Info, applies;
    /// The rule is in a namespace where no client looks for it: a rule counts for clients of its own namespace, and for all
    /// clients only in the service's namespace or the root. Nothing in the files runs in this one.
    RuleOutOfSight = "FB018", Warning, applies;
    /// Each service that a wildcard covers has a closer rule in the same namespace. Rules are not combined, so this one counts
    /// for nothing.
    WiderRuleUnused = "FB019", Warning, applies;
    /// `consecutive5xxErrors: 0` turns off the only detector of an `outlierDetection` block.
    NoDetector = "FB020", Warning, applies;
    /// One ejection already leaves fewer healthy hosts than `minHealthPercent` asks for, and then ejected hosts are used as if
    /// nothing had happened.
    PanicUndoesEjection = "FB021", Warning, applies;
    /// An entry of `portLevelSettings` is for a port that no service of the rule has. Clients call by the port of the service,
    /// not by `targetPort`.
    NoSuchPort = "FB022", Warning, applies;
    /// `maxConcurrentStreams`, `http2KeepAlive` or `h2UpgradePolicy: UPGRADE` is dropped, as in Istio: the first two act only where
    /// the port or the upgrade says HTTP/2, the upgrade only where the port declares a protocol.
    Http2SettingUnused = "FB023", Warning, applies;

    /// The file or folder cannot be read.
    Unreadable = "FB101", Error, applies;
    /// The file is larger than what is read, or a document of it has too many or too deeply nested values (also through
    /// anchors and aliases).
    TooLarge = "FB102", Error, applies;
    /// The file is not UTF-8.
    NotUtf8 = "FB103", Error, applies;
    /// The document is not YAML. Other documents of the file, after the next `---`, are read.
    Syntax = "FB104", Error, rejects;
    /// A key is written twice in one mapping.
    DuplicateKey = "FB105", Error, rejects;
    /// The document is not a resource: it is no mapping, or `apiVersion`, `kind` or `metadata.name` is missing.
    NotAResource = "FB106", Error, rejects;
    /// The resource has no such field.
    UnknownField = "FB107", Error, rejects;
    /// The value has another type than the field.
    WrongType = "FB108", Error, rejects;
    /// A field that must be there is missing.
    MissingField = "FB109", Error, rejects;
    /// The word is none of those that the field takes.
    UnknownWord = "FB110", Error, rejects;
    /// The number does not fit the field.
    OutOfRange = "FB111", Error, rejects;
    /// The text is no duration. Durations are numbers with a unit: `100ms`, `5s`, `1m`, `1h30m`.
    BadDuration = "FB112", Error, rejects;
    /// Two resources of one kind have the same name and namespace; the first is used.
    DuplicateResource = "FB113", Error, applies;
    /// The kind is unknown; the resource is left alone.
    UnknownKind = "FB114", Warning, applies;
    /// The kind is known, but not acted upon yet.
    KindNotActedUpon = "FB115", Warning, applies;
    /// The field or value is known, but not acted upon yet.
    NotActedUpon = "FB116", Warning, applies;
    /// The field asks for protection that is not provided yet. Ignoring it would be unsafe, so requests to the host are
    /// answered 503.
    SecurityNotProvided = "FB117", Error, applies;
    /// The field is written without a value, which counts as not written. Often the lines below it are not indented.
    EmptyField = "FB118", Warning, applies;
    /// A file has more problems than are listed.
    TooManyProblems = "FB119", Error, applies;
    /// A name that Kubernetes does not take; hosts and statistics are named after it.
    InvalidName = "FB120", Error, rejects;
    /// Two fields that exclude each other, or of which one must be there.
    FieldsExclude = "FB121", Error, rejects;
    /// The file with the body of a static answer cannot be read. It must lie beside the file of the rule, or below.
    BodyFileUnreadable = "FB130", Error, rejects;
    /// A static answer has a field that the proxy writes itself.
    ReservedField = "FB131", Error, rejects;
    /// `when` of a `Fallback` has a word that is no failure.
    UnknownFailure = "FB132", Error, rejects;

    /// Two services have the same host. A Kubernetes `Service` goes before a `ServiceEntry`, then the older resource.
    HostTaken = "FB201", Warning, applies;
    /// A name that clients may use leads to another service already: a `ServiceEntry` called like a short name, or two
    /// services with one virtual address.
    NameTaken = "FB202", Warning, applies;
    /// The port's name, `appProtocol` or number says that it is not HTTP, so that it cannot share a listening address with
    /// others, and it was given none of its own.
    TcpNotListened = "FB203", Warning, applies;
    /// No `EndpointSlice` and no `Endpoints` tell the addresses of a `Service`.
    NoEndpoints = "FB205", Warning, applies;
    /// The addresses of a `Service` are known, but not for this port: none of its slices has a port of the same name.
    PortWithoutEndpoints = "FB206", Warning, applies;
    /// An `EndpointSlice` or `Endpoints` is for no `Service` of the files. A slice names its service in the label
    /// `kubernetes.io/service-name`.
    StrayEndpoints = "FB207", Warning, applies;
    /// A subset chooses endpoints by label, but the files hold no `Pod` for some of the service's addresses: those are in
    /// no subset that asks for labels.
    SubsetLabelsUnknown = "FB208", Warning, applies;
    /// The service has several HTTP ports and none is 80, so that a name without port leads nowhere.
    PortMustBeNamed = "FB209", Info, applies;
    /// A time of `tcpKeepalive` is below one second. Istio passes whole seconds on, and 0 turns keep-alive off.
    KeepaliveTurnedOff = "FB210", Warning, applies;
    /// A `tls` block has no `mode`, which means DISABLE, and yet names certificates. Its cluster answers 503 rather than
    /// send plain text.
    TlsModeMissing = "FB211", Error, applies;
    /// With `--to` and without `--host`, the rules must all be for one host.
    HostUnclear = "FB212", Error, applies;
    /// With `--to`, there are rules or policies, but none is for this host and client.
    NoRuleForHost = "FB213", Warning, applies;
    /// Two `DestinationPolicy`s of one namespace are for the same host and port: the older one counts, or that of the
    /// smaller name.
    TwoPoliciesForHost = "FB214", Warning, applies;
    /// The host of a `DestinationPolicy` is the name of no service in the files, so the policy has no effect.
    UnknownPolicyHost = "FB215", Warning, applies;
    /// Two `CircuitBreaker`s of one namespace are for the same host, port and subset: the older one counts, or that of the
    /// smaller name.
    TwoBreakersForHost = "FB216", Warning, applies;
    /// A `CircuitBreaker` is for a host, port or subset that no service has, so it has no effect.
    UnknownBreakerTarget = "FB217", Warning, applies;
    /// No `CircuitBreaker` for the cluster, closer or wider, says what trips it. It can only be opened by hand.
    BreakerNeverTrips = "FB218", Warning, applies;
    /// A setting of a `CircuitBreaker` has no effect without another one, which no `CircuitBreaker` for the cluster has:
    /// `slowPercent` and `slowerThan`, `count` and `within`, `minimumCalls` or a window and a percentage.
    HalfATripCondition = "FB219", Warning, applies;
    /// `minimumCalls` is more than a window of calls ever holds. The size of the window is taken.
    MinimumCallsOutOfReach = "FB220", Warning, applies;
    /// `slowerThan` is not below the time-out of the call, which ends it before it is slow. It still counts as a failure,
    /// unless `timeouts` is `ignored`.
    SlowerThanTimeout = "FB221", Warning, applies;
    /// `maxOpenFor` is less than `openFor`, so the breaker is never open for as long as `openFor` says.
    MaxOpenBelowOpen = "FB222", Warning, applies;
    /// More probes go out at a time than good ones are needed: those that come back after the breaker closed tell nothing.
    ProbesForNothing = "FB223", Warning, applies;
    /// `lease` is longer than `patience`, after which the breaker opens again: no probe ever gives its place to another.
    LeaseBeyondPatience = "FB224", Warning, applies;
    /// `scope: endpoint` is for a service with a single endpoint: when that one's breaker opens, nobody is left, as with
    /// `scope: destination`, and its state goes with the endpoint. Not told of a `CircuitBreaker` for a wildcard.
    LoneEndpointBreaker = "FB225", Warning, applies;
    /// `outlierDetection` of a `DestinationPolicy` completes that of a `DestinationRule`, but no rule of the hosts that it is for
    /// has such a block: no host is ever ejected. The block of the rule may be empty: `outlierDetection: {}`.
    PolicyWithoutDetection = "FB230", Warning, applies;
    /// `maxEjectionTime` is less than `baseEjectionTime` of the rule, so no ejection ever lasts as long as that says.
    MaxEjectionBelowBase = "FB231", Warning, applies;
    /// A detector of rates can find nobody among so few endpoints: they are fewer than `minimumHosts`, or so few that none can be
    /// `stdevFactor` standard deviations below their mean (of n hosts, one alone is at most √(n − 1) below).
    DetectorOutOfReach = "FB232", Warning, applies;
    /// `enforcingPercent` is for a detector that is off: nothing is detected that could be enforced.
    EnforcesNothing = "FB233", Warning, applies;
    /// The rule lists `outlierDetectionHttpErrorCodes`, and a `DestinationPolicy` has a `failureClassifier` for the same hosts: the
    /// classifier decides alone what counts as a failure.
    TwoClassifiers = "FB234", Warning, applies;
    /// `whenNoneHealthy: refuse` of a `DestinationPolicy` meets `minHealthPercent` of the rule: below that percentage every request
    /// is refused, although some hosts are healthy. Istio means by it that all hosts are used.
    RefusesBelowPercent = "FB235", Warning, applies;
    /// `whenNoneHealthy: fallback` of a `DestinationPolicy`, and no `Fallback` of the host has a step for `no_healthy`: while nobody
    /// is healthy, requests are refused as with `refuse`.
    FallbackForNobody = "FB236", Warning, applies;
    /// `--listen-tcp` or `--listen-service` names a service or a port that the files do not have.
    ListenForNobody = "FB241", Error, applies;
    /// A setting is about requests, and the port carries TCP, which has none.
    NoEffectOnTcp = "FB242", Warning, applies;
    /// `idleTimeout` and `maxConnectionDuration` of TCP connections count at the top of the rule only, for all of its ports,
    /// as in Istio.
    TcpTimesOfPort = "FB243", Warning, applies;
    /// `proxyProtocol` is for a port that speaks HTTP. A header says who one client is, and HTTP connections are shared by many.
    ProxyHeaderOnHttp = "FB244", Warning, applies;
    /// `--listen-service tls://…` is for a port that declares no protocol. What a connection carries is found out by its first
    /// bytes, which TLS hides, so that the address is not opened.
    DetectionBehindTls = "FB245", Error, applies;
    /// A file with a certificate, key, authority or list of revoked certificates cannot be used. If it was good before, that
    /// version stays in use; else requests to the host are answered 503 (`tls.not_ready`), and a listener is not opened.
    TlsFileUnusable = "FB251", Error, applies;
    /// `credentialName` names no `Secret` with what the mode needs: `tls.crt`, `tls.key` and `ca.crt` (or `cert`, `key`,
    /// `cacert`; the authority may be in `<name>-cacert`). Requests to the host are answered 503 (`tls.not_ready`).
    SecretMissing = "FB252", Error, applies;
    /// A certificate has expired, or does not count yet. The other side will not take it.
    CertificateNotInForce = "FB253", Warning, applies;
    /// A field of `tls` says nothing in the mode that is written beside it.
    TlsSettingWithoutEffect = "FB254", Warning, applies;
    /// Two `Fallback`s of one namespace are for the same host, port and subset: the older one counts, or that of the smaller
    /// name.
    TwoFallbacksForHost = "FB260", Warning, applies;
    /// A `Fallback` is for a host, port or subset that no service has, so it has no effect.
    UnknownFallbackTarget = "FB261", Warning, applies;
    /// A step asks a service, port or subset that does not exist, or that does not speak HTTP. The step is left out.
    UnknownFallbackService = "FB262", Error, applies;
    /// A step asks the very service that failed. The step is left out.
    FallbackToItself = "FB263", Warning, applies;
    /// Steps lead from a service back to itself. A request is never sent to a service that it was meant for before, so the
    /// step that would close the circle is left out when it comes to it.
    FallbackLoop = "FB264", Warning, applies;
    /// A step after a `static` one that is for all failures and requests. It is tried only when the step before it has as many
    /// requests as it may have.
    StepNeverReached = "FB265", Warning, applies;
    /// A step `cached`, where the chain is for no request that it can be for: only answers to GET are kept, and given to GET
    /// and HEAD.
    CachedForUnsafeMethods = "FB266", Warning, applies;
    /// No `Fallback` for the cluster, closer or wider, has steps.
    FallbackWithoutSteps = "FB267", Warning, applies;
    /// `maxAnswerBytes` is more than `maxBytes`: no answer of that size is ever kept.
    AnswerLargerThanCache = "FB268", Warning, applies;
    /// A `Fallback` says something of calls of gRPC (a code in `when`, `grpc` in a step), but is for no POST, which every such call
    /// is: where no methods are written, a chain is for GET, HEAD and OPTIONS.
    CallsNotMatched = "FB269", Warning, applies;
    /// The result of resolving contradicts itself. Never the fault of the files: please report it.
    Inconsistent = "FB299", Error, applies;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.entry().id)
    }
}
