//! How top-level, port-level and subset settings of a `DestinationRule` combine: whole blocks, never single fields.
//! Which rule applies is left to [`super::rule_index`]; what a block means, to the modules named after the blocks.

use std::sync::Arc;

use fuseboard_api::Spanned;
use fuseboard_api::istio::DestinationRule;
use fuseboard_api::istio::destination_rule::{
    ConnectionPool, LoadBalancer, OutlierDetection, PortTrafficPolicy, ProxyProtocol, Subset, TrafficPolicy,
};
use fuseboard_api::istio::tls::ClientTls;
use fuseboard_snapshot::Origin;

use crate::set::Resource;

/// A policy and where it stands.
#[derive(Clone, Debug)]
pub(super) struct PolicyAt<'a> {
    /// The rule that holds it.
    pub(super) rule: &'a Resource<DestinationRule>,
    /// Path of its field: `spec.subsets[0].trafficPolicy`.
    path: Arc<str>,
    policy: &'a TrafficPolicy,
}

/// A subset and where it stands.
#[derive(Clone, Debug)]
pub(super) struct SubsetAt<'a> {
    /// The rule that holds it.
    pub(super) rule: &'a Resource<DestinationRule>,
    index: usize,
    /// The subset.
    pub(super) subset: &'a Spanned<Subset>,
}

/// One block and where it stands.
#[derive(Debug)]
pub(super) struct BlockAt<'a, T> {
    /// The rule that holds it.
    pub(super) rule: &'a Resource<DestinationRule>,
    /// Path of the policy that holds it.
    path: Arc<str>,
    /// The block.
    pub(super) block: &'a Spanned<T>,
}

/// The blocks in force for one port and subset; `None`: Istio's defaults.
#[derive(Clone, Debug, Default)]
pub(super) struct Effective<'a> {
    pub(super) connection_pool: Option<BlockAt<'a, ConnectionPool>>,
    pub(super) outlier_detection: Option<BlockAt<'a, OutlierDetection>>,
    pub(super) load_balancer: Option<BlockAt<'a, LoadBalancer>>,
    pub(super) tls: Option<BlockAt<'a, ClientTls>>,
    /// No port has its own.
    pub(super) proxy_protocol: Option<BlockAt<'a, ProxyProtocol>>,
}

impl<'a> PolicyAt<'a> {
    /// The top-level policy of `rule`.
    pub(super) fn of_rule(rule: &'a Resource<DestinationRule>) -> Option<Self> {
        let policy = rule.spec.traffic_policy.as_ref()?;
        Some(Self { rule, path: "spec.trafficPolicy".into(), policy: &policy.value })
    }

    /// The entry of `portLevelSettings` for `port`: the first, as in istiod, should there be several.
    pub(super) fn port_entry(&self, port: u16) -> Option<Effective<'a>> {
        let entries = self.policy.port_level_settings.as_ref()?;
        let names_port = |entry: &PortTrafficPolicy| {
            let number = entry.port.as_ref().and_then(|port| port.number.as_ref());
            number.is_some_and(|number| number.value == u32::from(port))
        };
        let (index, entry) = entries.iter().enumerate().find(|(_, entry)| names_port(entry))?;
        let path: Arc<str> = format!("{}.portLevelSettings[{index}]", self.path).into();
        Some(Effective {
            connection_pool: self.block(&path, entry.connection_pool.as_ref()),
            outlier_detection: self.block(&path, entry.outlier_detection.as_ref()),
            load_balancer: self.block(&path, entry.load_balancer.as_ref()),
            tls: self.block(&path, entry.tls.as_ref()),
            proxy_protocol: self.block(&self.path, self.policy.proxy_protocol.as_ref()),
        })
    }

    /// The blocks for all ports.
    pub(super) fn general(&self) -> Effective<'a> {
        Effective {
            connection_pool: self.block(&self.path, self.policy.connection_pool.as_ref()),
            outlier_detection: self.block(&self.path, self.policy.outlier_detection.as_ref()),
            load_balancer: self.block(&self.path, self.policy.load_balancer.as_ref()),
            tls: self.block(&self.path, self.policy.tls.as_ref()),
            proxy_protocol: self.block(&self.path, self.policy.proxy_protocol.as_ref()),
        }
    }

    fn block<T>(&self, path: &Arc<str>, block: Option<&'a Spanned<T>>) -> Option<BlockAt<'a, T>> {
        block.map(|block| BlockAt { rule: self.rule, path: path.clone(), block })
    }
}

impl<'a> SubsetAt<'a> {
    /// The subsets of `rule`, in order.
    pub(super) fn of_rule(rule: &'a Resource<DestinationRule>) -> impl Iterator<Item = Self> {
        let subsets = rule.spec.subsets.iter().flat_map(|subsets| &subsets.value);
        subsets.enumerate().map(move |(index, subset)| Self { rule, index, subset })
    }

    /// Path of its field.
    pub(super) fn path(&self) -> String {
        format!("spec.subsets[{}]", self.index)
    }

    fn policy(&self) -> Option<PolicyAt<'a>> {
        let policy = self.subset.traffic_policy.as_ref()?;
        Some(PolicyAt {
            rule: self.rule,
            path: format!("{}.trafficPolicy", self.path()).into(),
            policy: &policy.value,
        })
    }
}

impl<'a> Effective<'a> {
    /// What the default cluster of `port` gets. A port entry stands alone: a block that it leaves out is Istio's default,
    /// not the top-level block.
    pub(super) fn of_port(policy: Option<&PolicyAt<'a>>, port: u16) -> Self {
        policy
            .map_or_else(Self::default, |policy| policy.port_entry(port).unwrap_or_else(|| policy.general()))
    }

    /// What the cluster of `subset` gets, when the default cluster of the same port gets `self`. A subset replaces the
    /// blocks that it has, whole; its port entry replaces all blocks, also by nothing.
    pub(super) fn of_subset(&self, subset: &SubsetAt<'a>, port: u16) -> Self {
        let Some(policy) = subset.policy() else { return self.clone() };
        if let Some(entry) = policy.port_entry(port) {
            let proxy_protocol = entry.proxy_protocol.or_else(|| self.proxy_protocol.clone());
            return Self { proxy_protocol, ..entry };
        }
        let own = policy.general();
        Self {
            connection_pool: own.connection_pool.or_else(|| self.connection_pool.clone()),
            outlier_detection: own.outlier_detection.or_else(|| self.outlier_detection.clone()),
            load_balancer: own.load_balancer.or_else(|| self.load_balancer.clone()),
            tls: own.tls.or_else(|| self.tls.clone()),
            proxy_protocol: own.proxy_protocol.or_else(|| self.proxy_protocol.clone()),
        }
    }
}

impl<T> BlockAt<'_, T> {
    /// Where a field of the block was written; `field` is its path from the policy on: `connectionPool.tcp.maxConnections`.
    pub(super) fn origin<V>(&self, field: &str, value: &Spanned<V>) -> Arc<Origin> {
        Arc::new(self.rule.origin(&self.field(field), value))
    }

    /// The whole path of a field of the block.
    pub(super) fn field(&self, field: &str) -> String {
        format!("{}.{field}", self.path)
    }
}

impl<T> Clone for BlockAt<'_, T> {
    fn clone(&self) -> Self {
        Self { rule: self.rule, path: self.path.clone(), block: self.block }
    }
}
