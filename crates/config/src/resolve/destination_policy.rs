//! What all `DestinationPolicy`s (our own resource) for a service port say together, field by field. Which of them is closer
//! is [`super::layers`]' matter.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use fuseboard_api::Spanned;
use fuseboard_api::fuseboard::DestinationPolicy;
use fuseboard_api::fuseboard::destination_policy::WhenNoneHealthy;
use fuseboard_core::balance::NoneHealthy;
use fuseboard_core::fallback::Trigger;
use fuseboard_core::refusal::RefusalReason;
use fuseboard_snapshot::{Cluster, Origin, ServiceName};

use super::hostname;
use super::layers::{self, Cascade, Layers, Twice};
use super::registry::Service;
use crate::diagnostic::{Code, Diagnostics};
use crate::set::Resource;
use crate::workload::Workload;

/// All policies that count.
#[derive(Debug)]
pub(crate) struct PolicyIndex<'a>(Layers<'a, DestinationPolicy>);

/// The policies for one port, the closest first.
pub(crate) type Policies<'a> = Cascade<'a, DestinationPolicy>;

/// A bound (`None`: written as 0s, which is off), and where it was written.
pub(super) type Bound = (Option<Duration>, Arc<Origin>);

impl<'a> PolicyIndex<'a> {
    /// The index of `policies`. Two for the same host and port are reported.
    pub(crate) fn new(
        policies: &'a [Resource<DestinationPolicy>],
        workload: &'a Workload,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let twice = Twice { code: Code::TwoPoliciesForHost, target: "host and port" };
        Self(Layers::new(policies, workload, &twice, diagnostics))
    }

    /// Those for `port` of the service `host` of `namespace`.
    pub(crate) fn of(&self, host: &str, namespace: &str, port: u16) -> Policies<'a> {
        self.0.of(host, namespace, port, "")
    }
}

impl<'a> Policies<'a> {
    /// Bound of the whole exchange.
    pub(super) fn timeout(&self) -> Option<Bound> {
        self.bound("spec.timeout", |spec| spec.timeout.as_ref())
    }

    /// Bound of a stream's life.
    pub(super) fn max_stream_duration(&self) -> Option<Bound> {
        self.bound("spec.maxStreamDuration", |spec| spec.max_stream_duration.as_ref())
    }

    /// Bound of the wait in the pending queue.
    pub(super) fn queue_timeout(&self) -> Option<Bound> {
        self.bound("spec.queueTimeout", |spec| spec.queue_timeout.as_ref())
    }

    /// To how many hosts connections may be open at a time.
    pub(super) fn max_connection_pools(&self) -> Option<(NonZeroU32, Arc<Origin>)> {
        let (policy, written) = self.find(|spec| spec.max_connection_pools.as_ref())?;
        let origin = Arc::new(policy.origin("spec.maxConnectionPools", written));
        Some((NonZeroU32::new(written.value)?, origin))
    }

    /// What is done while nobody is healthy.
    pub(crate) fn when_none_healthy(&self) -> Option<(NoneHealthy, Arc<Origin>)> {
        let (policy, written) = self.find(|spec| spec.when_none_healthy.as_ref())?;
        let answer = match written.value {
            WhenNoneHealthy::Refuse => NoneHealthy::Refuse,
            WhenNoneHealthy::Spread => NoneHealthy::Spread,
            WhenNoneHealthy::Fallback => NoneHealthy::Fallback,
        };
        Some((answer, Arc::new(policy.origin("spec.whenNoneHealthy", written))))
    }

    /// Says that requests are refused although some hosts are healthy, and the rule's percentage is there to use all.
    pub(super) fn report_refusal_below(&self, percent: u32, diagnostics: &mut Diagnostics) {
        let Some((policy, written)) = self.find(|spec| spec.when_none_healthy.as_ref()) else { return };
        let message = format!(
            "with minHealthPercent {percent} in the DestinationRule, refuse answers every request 503 while fewer than \
             {percent} % of the hosts are healthy"
        );
        diagnostics.push(
            policy
                .diagnostic(Code::RefusesBelowPercent, written.span, message)
                .field("spec.whenNoneHealthy")
                .help("write spread to use all hosts then, or delete minHealthPercent to refuse only when none is healthy"),
        );
    }

    /// Says that requests are to be answered by a fallback that is not there.
    fn report_unanswered(&self, cluster: &Cluster, diagnostics: &mut Diagnostics) {
        let Some((policy, written)) = self.find(|spec| spec.when_none_healthy.as_ref()) else { return };
        // What is for many services may make sense for others.
        if hostname::is_wildcard(&policy.spec.host) {
            return;
        }
        let host = &cluster.service.host;
        let message = format!(
            "no Fallback of {host} answers no_healthy: while nobody is healthy, requests are refused"
        );
        diagnostics.push(
            policy
                .diagnostic(Code::FallbackForNobody, written.span, message)
                .field("spec.whenNoneHealthy")
                .help("write a Fallback for the host, with no_healthy in its `when` if it has one; or write refuse"),
        );
    }

    /// Whether the hosts are believed that they have not processed a request.
    pub(super) fn trust_refusals(&self) -> bool {
        self.find(|spec| spec.trust_refusals.as_ref()).is_some_and(|(_, written)| written.value)
    }

    fn bound(
        &self,
        path: &str,
        field: impl Fn(&'a DestinationPolicy) -> Option<&'a Spanned<Duration>>,
    ) -> Option<Bound> {
        let (policy, written) = self.find(field)?;
        let origin = Arc::new(policy.origin(path, written));
        Some(((!written.value.is_zero()).then_some(written.value), origin))
    }
}

/// Says which clusters leave to a fallback what none of theirs answers. `names` are those by which policies are found.
pub(super) fn report_unanswered(
    index: &PolicyIndex<'_>,
    clusters: &[Cluster],
    names: &[ServiceName],
    diagnostics: &mut Diagnostics,
) {
    let nobody = Trigger::Refused(RefusalReason::NoHealthy);
    for (cluster, name) in clusters.iter().zip(names) {
        let answers = cluster.fallback.as_ref().is_some_and(|fallback| fallback.policy.answers(nobody));
        if cluster.none_healthy == NoneHealthy::Fallback && !answers {
            index.of(&name.host, &name.namespace, name.port).report_unanswered(cluster, diagnostics);
        }
    }
}

/// Says which policies are for none of `services`. Where there is no service at all, nothing can be said.
pub(super) fn report_unknown_hosts(
    policies: &[Resource<DestinationPolicy>],
    services: &[Service<'_>],
    workload: &Workload,
    diagnostics: &mut Diagnostics,
) {
    for policy in policies.iter().filter(|_| !services.is_empty()) {
        let host = layers::host(policy, workload);
        if !services.iter().any(|service| hostname::covers(&host, &service.host)) {
            let message = format!("no service is called {host}: the policy has no effect");
            diagnostics.push(
                policy
                    .diagnostic(Code::UnknownPolicyHost, policy.spec.host.span, message)
                    .field("spec.host")
                    .help("write the name of the service; with a dot in it, its full name"),
            );
        }
    }
}
