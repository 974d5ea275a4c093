//! Probes as leases: never more at once than the policy says, each with a deadline, so that a probe that never comes back
//! wedges nothing (P56, P57). What a result means is `machine`'s decision.

use std::num::NonZeroU64;

use super::HalfOpenPolicy;
use crate::time::Instant;

/// One probe's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LeaseId(NonZeroU64);

#[derive(Debug, Default)]
pub(super) struct HalfOpen {
    leases: Vec<Lease>,
    /// Leases so far.
    issued: u64,
    pub(super) successes: u32,
    /// The first lease since the last result.
    waiting_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: LeaseId,
    ends: Instant,
}

impl HalfOpen {
    /// A lease, if one is free; otherwise, when the first of those that are out ends.
    pub(super) fn take(&mut self, policy: &HalfOpenPolicy, now: Instant) -> Result<LeaseId, Instant> {
        if let Some(busy_until) = self.busy_until(policy) {
            return Err(busy_until);
        }
        self.issued += 1;
        let id = LeaseId(NonZeroU64::new(self.issued).unwrap_or(NonZeroU64::MAX));
        self.leases.push(Lease { id, ends: now + policy.lease });
        self.waiting_since.get_or_insert(now);
        Ok(id)
    }

    /// Takes a lease back; `false`: it had ended before.
    pub(super) fn give_back(&mut self, id: LeaseId) -> bool {
        let before = self.leases.len();
        self.leases.retain(|lease| lease.id != id);
        self.leases.len() < before
    }

    /// A probe came back good.
    pub(super) fn succeed(&mut self, now: Instant) {
        self.successes = self.successes.saturating_add(1);
        self.waiting_since = (!self.leases.is_empty()).then_some(now);
    }

    /// Ends the leases whose time is over.
    pub(super) fn reclaim(&mut self, now: Instant) {
        self.leases.retain(|lease| lease.ends > now);
    }

    /// When patience ends; `None` while no probe was let out since the last result.
    pub(super) fn ends(&self, policy: &HalfOpenPolicy) -> Option<Instant> {
        self.waiting_since.map(|since| since + policy.patience)
    }

    /// With all probes out: when the first place is free again at the latest.
    pub(super) fn busy_until(&self, policy: &HalfOpenPolicy) -> Option<Instant> {
        if self.leases.len() < policy.probes.get() as usize {
            return None;
        }
        self.deadline(policy)
    }

    /// When something is due: a lease, or patience.
    pub(super) fn deadline(&self, policy: &HalfOpenPolicy) -> Option<Instant> {
        self.leases.iter().map(|lease| lease.ends).chain(self.ends(policy)).min()
    }

    pub(super) fn probes_out(&self) -> u32 {
        u32::try_from(self.leases.len()).unwrap_or(u32::MAX)
    }
}
