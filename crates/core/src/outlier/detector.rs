//! Decides whether a host that tripped is ejected, and returns ejected hosts on the sweep. One per cluster, behind the adapter's lock.
//! What makes a host trip is `monitor`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{
    DetectionKind, HealthEpoch, HostMonitor, Origin, OutlierAction, OutlierEvent, OutlierPolicy, Rate,
    RateEvidence, SuccessBar, Trip, Volume, failure_percentage, success_rate,
};
use crate::rng::Rng;
use crate::time::Instant;

/// Ejections of one cluster.
#[derive(Debug)]
pub struct OutlierDetector {
    policy: OutlierPolicy,
    epoch: Arc<HealthEpoch>,
    hosts: Vec<Record>,
    last_sweep: Instant,
    bars: ByOrigin<Option<SuccessBar>>,
}

/// Something of answers, and the same of local failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByOrigin<T> {
    /// Of answers; without split, of everything.
    pub external: T,
    /// Of local failures, with the split.
    pub local: T,
}

impl<T> ByOrigin<T> {
    fn of(&mut self, origin: Origin) -> &mut T {
        match origin {
            Origin::External => &mut self.external,
            Origin::Local => &mut self.local,
        }
    }
}

/// What the detector knows of one host.
#[derive(Debug)]
struct Record {
    monitor: Arc<HostMonitor>,
    ejection: Option<Ejection>,
    num_ejections: u32,
    /// The next-to-last factor of `base_ejection_time`; grows with each ejection, shrinks with each healthy interval.
    multiplier: u32,
    last_ejection: Option<Instant>,
    last_return: Option<Instant>,
    rates: ByOrigin<Option<Rate>>,
}

#[derive(Clone, Copy, Debug)]
struct Ejection {
    by: DetectionKind,
    evidence: Option<RateEvidence>,
    at: Instant,
    jitter: Duration,
}

/// A read-only picture of a cluster's ejections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutlierView {
    /// Hosts out of rotation: the gauge `ejections_active`.
    pub ejected: u32,
    /// What success rates were judged by at the last sweep; `None`: too few hosts had enough tries, or nobody asked.
    pub success: ByOrigin<Option<SuccessBar>>,
    /// Every host, in the order of the cluster.
    pub hosts: Vec<HostView>,
}

/// A read-only picture of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostView {
    /// The host's identity, as given to its monitor.
    pub host: Arc<str>,
    /// `None`: in rotation.
    pub ejection: Option<EjectionView>,
    /// Ejections so far.
    pub num_ejections: u32,
    /// Factor of `baseEjectionTime`: of the present ejection, or of the last one minus the healthy intervals since.
    pub multiplier: u32,
    /// Its success rates in the last interval; `None`: not enough tries, or nobody asked.
    pub success: ByOrigin<Option<Rate>>,
}

/// A read-only picture of one ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionView {
    /// The detector that fired.
    pub by: DetectionKind,
    /// What it saw, if it looks at rates.
    pub evidence: Option<RateEvidence>,
    /// Since when.
    pub since: Instant,
    /// When the ejection time is over.
    pub due: Instant,
    /// The sweep that will return the host, if sweeps run on time: the first at or after `due`.
    pub returns: Instant,
}

impl OutlierDetector {
    /// A detector without hosts; `now` starts the first interval. `epoch` is the cluster's, shared with its balancers.
    pub fn new(policy: OutlierPolicy, epoch: Arc<HealthEpoch>, now: Instant) -> Self {
        Self { policy, epoch, hosts: Vec::new(), last_sweep: now, bars: ByOrigin::default() }
    }

    /// The cluster's hosts from now on. A monitor that was there before keeps its state (difference D7); a new one is in rotation.
    /// A removed host leaves the counts at once, without an event; its monitor starts afresh should it ever come back.
    pub fn set_hosts(&mut self, monitors: &[Arc<HostMonitor>]) {
        let mut known: HashMap<*const HostMonitor, Record> =
            self.hosts.drain(..).map(|record| (Arc::as_ptr(&record.monitor), record)).collect();
        // Most clusters have few hosts, and there may be thousands of clusters.
        self.hosts.reserve_exact(monitors.len());
        self.hosts.extend(monitors.iter().map(|monitor| {
            known.remove(&Arc::as_ptr(monitor)).unwrap_or_else(|| Record::new(Arc::clone(monitor)))
        }));
        for removed in known.into_values() {
            removed.monitor.start_afresh();
        }
        self.epoch.advance();
    }

    /// Decides on what a monitor reported: at most one ejection, one event for each detector that fired. Empty: the host is gone,
    /// or was ejected or returned meanwhile.
    pub fn on_trip(
        &mut self,
        monitor: &HostMonitor,
        trip: Trip,
        now: Instant,
        rng: &mut Rng,
    ) -> Vec<OutlierEvent> {
        let Some(index) =
            self.hosts.iter().position(|record| std::ptr::eq(Arc::as_ptr(&record.monitor), monitor))
        else {
            return Vec::new();
        };
        let mut events = Vec::new();
        for kind in trip.kinds() {
            if self.hosts[index].monitor.generation() == trip.generation {
                events.push(self.detect(index, kind, None, now, rng));
            }
        }
        events
    }

    /// Decides on a host in rotation.
    fn detect(
        &mut self,
        index: usize,
        by: DetectionKind,
        evidence: Option<RateEvidence>,
        now: Instant,
        rng: &mut Rng,
    ) -> OutlierEvent {
        let record = &self.hosts[index];
        let event = |record: &Record, action| OutlierEvent {
            host: Arc::clone(record.monitor.id()),
            action,
            num_ejections: record.num_ejections,
            since_last_action: record.last_return.map(|at| now.saturating_since(at)),
            evidence,
        };
        if let Err((ejected, hosts)) = self.may_eject(record.monitor.priority()) {
            return event(record, OutlierAction::Blocked { by, ejected, hosts });
        }
        if rng.below(100) >= self.policy.enforcing_percent(by) {
            return event(record, OutlierAction::NotEnforced { by });
        }
        let jitter = random_up_to(self.policy.max_ejection_time_jitter, rng);
        let record = &mut self.hosts[index];
        record.eject(Ejection { by, evidence, at: now, jitter }, &self.policy);
        self.epoch.advance();
        let due = now + ejection_time(&self.policy, record.multiplier) + jitter;
        event(record, OutlierAction::Ejected { by, due })
    }

    /// Envoy's arithmetic: one more ejected host must not make more than `max_ejection_percent` of the cluster's hosts,
    /// healthy or not. The same must hold within the host's priority (difference D21), so that a share below 100 percent
    /// never takes the last host of a priority. Otherwise, the ejected and all hosts of the group that is full.
    fn may_eject(&self, priority: u32) -> Result<(), (u32, u32)> {
        let mut cluster = (0, 0);
        let mut level = (0, 0);
        for record in &self.hosts {
            let ejected = u32::from(record.ejection.is_some());
            cluster = (cluster.0 + ejected, cluster.1 + 1);
            if record.monitor.priority() == priority {
                level = (level.0 + ejected, level.1 + 1);
            }
        }
        if self.policy.always_eject_one_host && cluster.0 == 0 {
            return Ok(());
        }
        let has_room = |(ejected, hosts): (u32, u32)| {
            100 * (u64::from(ejected) + 1) <= u64::from(self.policy.max_ejection_percent) * u64::from(hosts)
        };
        match (has_room(cluster), has_room(level)) {
            (true, true) => Ok(()),
            (false, _) => Err(cluster),
            (true, false) => Err(level),
        }
    }

    /// When the next sweep is due.
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.last_sweep + self.policy.interval)
    }

    /// The sweep, once an interval is over: returns the hosts whose ejection time has passed (only here, difference D8), then
    /// judges the rates of the interval, then shortens by one step the next ejection of each host that has been back for an
    /// interval. The next interval starts at `now`.
    pub fn tick(&mut self, now: Instant, rng: &mut Rng) -> Vec<OutlierEvent> {
        if now < self.last_sweep + self.policy.interval {
            return Vec::new();
        }
        self.last_sweep = now;
        let volumes = self.policy.counts_rates().then(|| Origin::ALL.map(|origin| self.take_volumes(origin)));
        let policy = &self.policy;
        let mut events: Vec<_> = self
            .hosts
            .iter_mut()
            .filter(|record| record.due(policy).is_some_and(|due| due <= now))
            .filter_map(|record| record.restore(now))
            .collect();
        if !events.is_empty() {
            self.epoch.advance();
        }
        for (origin, volumes) in Origin::ALL.into_iter().zip(volumes.into_iter().flatten()) {
            self.judge_rates(origin, &volumes, now, rng, &mut events);
        }
        let interval = self.policy.interval;
        for record in self.hosts.iter_mut().filter(|record| record.ejection.is_none()) {
            if record.last_return.is_some_and(|at| now.saturating_since(at) >= interval) {
                record.multiplier = record.multiplier.saturating_sub(1);
            }
        }
        events
    }

    /// What the hosts did in the interval. Those that were out begin with nothing, even if this very sweep returns them.
    fn take_volumes(&self, origin: Origin) -> Vec<Option<Volume>> {
        let take = |record: &Record| {
            let volume = record.monitor.take_volume(origin);
            record.ejection.is_none().then_some(volume)
        };
        self.hosts.iter().map(take).collect()
    }

    /// As Envoy: first the success rates, then the failure percentages of those that are still in rotation.
    fn judge_rates(
        &mut self,
        origin: Origin,
        volumes: &[Option<Volume>],
        now: Instant,
        rng: &mut Rng,
        events: &mut Vec<OutlierEvent>,
    ) {
        let shown = self.policy.shown_volume().max(1);
        for (record, volume) in self.hosts.iter_mut().zip(volumes) {
            let enough = volume.filter(|volume| volume.requests >= shown);
            *record.rates.of(origin) = enough.map(Volume::success_rate);
        }
        let judged = self.policy.success_rate.and_then(|policy| success_rate::judge(&policy, volumes));
        let bar =
            judged.as_ref().map(|judged| SuccessBar { average: judged.average, threshold: judged.threshold });
        *self.bars.of(origin) = bar;
        let unlike = judged.map(|judged| judged.outliers).unwrap_or_default();
        let failing = self.policy.failure_percentage;
        let failing = failing.map(|policy| failure_percentage::judge(&policy, volumes)).unwrap_or_default();
        let found = unlike.into_iter().map(|index| (index, DetectionKind::success_rate(origin), bar));
        let found = found
            .chain(failing.into_iter().map(|index| (index, DetectionKind::failure_percentage(origin), None)));
        for (index, by, bar) in found {
            if let Some(volume) = volumes[index].filter(|_| self.hosts[index].ejection.is_none()) {
                events.push(self.detect(index, by, Some(RateEvidence { volume, bar }), now, rng));
            }
        }
    }

    /// New numbers, at once; ejections, streaks and the present interval's start are kept (difference D7).
    pub fn reconfigure(&mut self, policy: OutlierPolicy) {
        if self.policy.counts_rates() != policy.counts_rates() {
            self.forget_rates();
        }
        self.policy = policy;
    }

    /// What was counted while somebody last asked for it says nothing of now.
    fn forget_rates(&mut self) {
        self.bars = ByOrigin::default();
        for record in &mut self.hosts {
            record.rates = ByOrigin::default();
            for origin in Origin::ALL {
                record.monitor.take_volume(origin);
            }
        }
    }

    /// Returns every ejected host; for a cluster whose rule no longer has outlier detection.
    pub fn return_all(&mut self, now: Instant) -> Vec<OutlierEvent> {
        let events: Vec<_> = self.hosts.iter_mut().filter_map(|record| record.restore(now)).collect();
        self.epoch.advance();
        events
    }

    /// Returns one host now, whatever is left of its ejection time: somebody knows better. The next ejection is as long as after a
    /// return by the sweep. `None`: it is not ejected, or gone.
    pub fn return_host(&mut self, monitor: &HostMonitor, now: Instant) -> Option<OutlierEvent> {
        let is_it = |record: &&mut Record| std::ptr::eq(Arc::as_ptr(&record.monitor), monitor);
        let record = self.hosts.iter_mut().find(is_it)?;
        let event = record.restore(now)?;
        // What it did before it was ejected, in this very interval, must not eject it again.
        for origin in Origin::ALL {
            record.monitor.take_volume(origin);
        }
        self.epoch.advance();
        Some(event)
    }

    /// Hosts out of rotation: the gauge `ejections_active`.
    pub fn ejected(&self) -> usize {
        self.hosts.iter().filter(|record| record.ejection.is_some()).count()
    }

    /// The numbers in force.
    pub fn policy(&self) -> &OutlierPolicy {
        &self.policy
    }

    /// A picture for `/clusters` and the dashboard.
    pub fn view(&self) -> OutlierView {
        let hosts: Vec<_> = self.hosts.iter().map(|record| self.view_of(record)).collect();
        let ejected = hosts.iter().map(|host| u32::from(host.ejection.is_some())).sum();
        OutlierView { ejected, success: self.bars, hosts }
    }

    fn view_of(&self, record: &Record) -> HostView {
        let ejection = record.ejection.map(|ejection| {
            let due = record.due(&self.policy).unwrap_or(ejection.at);
            EjectionView {
                by: ejection.by,
                evidence: ejection.evidence,
                since: ejection.at,
                due,
                returns: self.first_sweep_from(due),
            }
        });
        HostView {
            host: Arc::clone(record.monitor.id()),
            ejection,
            num_ejections: record.num_ejections,
            multiplier: record.multiplier,
            success: record.rates,
        }
    }

    fn first_sweep_from(&self, due: Instant) -> Instant {
        let interval = self.policy.interval.as_nanos().max(1);
        let wait = due.saturating_since(self.last_sweep).as_nanos();
        let sweeps = wait.div_ceil(interval).max(1);
        self.last_sweep + Duration::from_nanos(u64::try_from(sweeps * interval).unwrap_or(u64::MAX))
    }
}

impl Record {
    fn new(monitor: Arc<HostMonitor>) -> Self {
        Self {
            monitor,
            ejection: None,
            num_ejections: 0,
            multiplier: 0,
            last_ejection: None,
            last_return: None,
            rates: ByOrigin::default(),
        }
    }

    fn eject(&mut self, ejection: Ejection, policy: &OutlierPolicy) {
        self.num_ejections = self.num_ejections.saturating_add(1);
        self.last_ejection = Some(ejection.at);
        self.ejection = Some(ejection);
        if policy.base_ejection_time.saturating_mul(self.multiplier)
            < policy.max_ejection_time.saturating_add(policy.base_ejection_time)
        {
            self.multiplier += 1;
        }
        self.monitor.flip();
    }

    /// Ends the ejection, if there is one.
    fn restore(&mut self, now: Instant) -> Option<OutlierEvent> {
        let ejection = self.ejection.take()?;
        self.last_return = Some(now);
        self.monitor.flip();
        Some(OutlierEvent {
            host: Arc::clone(self.monitor.id()),
            action: OutlierAction::Returned { by: ejection.by },
            num_ejections: self.num_ejections,
            since_last_action: self.last_ejection.map(|at| now.saturating_since(at)),
            evidence: None,
        })
    }

    /// When the ejection time is over, by the numbers in force now; `None`: in rotation.
    fn due(&self, policy: &OutlierPolicy) -> Option<Instant> {
        self.ejection.map(|ejection| ejection.at + ejection_time(policy, self.multiplier) + ejection.jitter)
    }
}

fn ejection_time(policy: &OutlierPolicy, multiplier: u32) -> Duration {
    policy.base_ejection_time.saturating_mul(multiplier).min(policy.max_ejection_time)
}

/// A random time in whole milliseconds, the bound included, as Envoy rolls it.
fn random_up_to(bound: Duration, rng: &mut Rng) -> Duration {
    let millis = u32::try_from(bound.as_millis()).unwrap_or(u32::MAX - 1);
    Duration::from_millis(u64::from(rng.below(millis.saturating_add(1))))
}
