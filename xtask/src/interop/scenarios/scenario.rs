//! What a scenario consists of: the rule for us, what istiod would tell Envoy for it, the hosts, and what is asked.

/// The same rule, origin and calls for both.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    /// Of the service, too.
    pub(super) name: &'static str,
    /// `trafficPolicy` of our `DestinationRule`.
    pub(super) rule: &'static str,
    /// `spec` of our `DestinationPolicy`, without its host; none where empty.
    pub(super) policy: &'static str,
    /// Fields of Envoy's cluster, laid over what istiod says of a service without a rule.
    pub(super) cluster: &'static str,
    /// The same of the route.
    pub(super) route: &'static str,
    pub(super) hosts: &'static [Host],
    pub(super) steps: &'static [Step],
    /// Facts (all that begin so) that differ on purpose, each with its row of docs/differences.md. One that does not differ fails.
    pub(super) listed: &'static [(&'static str, &'static str)],
    /// Facts that depend on where the balancer begins, and are not compared.
    pub(super) chance: &'static [&'static str],
}

/// One host and no rule.
pub(super) const PLAIN: Scenario = Scenario {
    name: "",
    rule: "",
    policy: "",
    cluster: "{}",
    route: "{}",
    hosts: &[Host::Serves],
    steps: &[],
    listed: &[],
    chance: &[],
};

#[derive(Clone, Copy)]
pub(super) enum Host {
    /// Answers by the path that is asked for.
    Serves,
    /// The same in HTTP/2.
    Streams,
    /// Nobody listens.
    Refuses,
    /// Connecting neither succeeds nor fails.
    NeverAccepts,
}

#[derive(Clone, Copy)]
pub(super) enum Step {
    /// `GET` of this path over a connection of its own.
    Get(&'static str),
    /// These bytes over a connection of its own. `{host}` is the service's authority, `{60k}` as many bytes, `{99 fields}` as many
    /// lines of a head.
    Call(&'static str),
    /// One answer for each, over one connection; the next is sent when the answer has come.
    Session(&'static [&'static str]),
    /// These bytes at once, and so many answers.
    Pipelined(&'static str, usize),
    /// `GET` of this path over a connection of HTTP/2.
    Stream(&'static str),
    /// A call of gRPC of this path, over the same.
    CallGrpc(&'static str),
    /// So many `GET` at once; their answers in no order.
    Burst(usize, &'static str),
    /// `GET` of this path; goes on once it runs or waits in the proxy.
    Start(&'static str),
    /// Lets go what the hosts hold, and waits for the answers of all that was started.
    Open,
    /// A stat of the cluster has this value, soon.
    Until(&'static str, u64),
    /// What `/clusters` says of the service.
    Clusters,
}

impl Scenario {
    /// Whether its service is one of HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.hosts.iter().any(|host| matches!(host, Host::Streams))
    }
}
