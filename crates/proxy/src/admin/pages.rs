//! From endpoint to page: asks the proxy, lets the admin crate render.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fuseboard_admin::status::ServerState;
use fuseboard_admin::{
    Endpoint, Page, Query, clusters, config_dump, ejections, endpoint, listeners, refusals, server_info,
    stats,
};
use fuseboard_stats::{Baseline, Reading};

use super::AdminSource;
use crate::stats::{self as proxy_stats, Observation};

/// The pages of one proxy, and what the admin API itself remembers.
pub(super) struct Pages {
    source: Arc<dyn AdminSource>,
    /// Counters at the last POST `/reset_counters`.
    baseline: Mutex<Baseline>,
    /// Set by POST `/healthcheck/fail`.
    failed: AtomicBool,
}

impl Pages {
    pub(super) fn new(source: Arc<dyn AdminSource>) -> Self {
        Self { source, baseline: Mutex::default(), failed: AtomicBool::new(false) }
    }

    /// The page of `endpoint`; what changes state has been allowed by the caller.
    pub(super) fn page(&self, endpoint: Endpoint, query: &Query) -> Page {
        match endpoint {
            Endpoint::Home | Endpoint::Help => endpoint::help(),
            Endpoint::Clusters => clusters::page(&self.observe().status.clusters, query),
            Endpoint::ConfigDump => config_dump::page(&self.observe().status, query),
            Endpoint::Ejections => ejections::page(&self.observe().status.clusters),
            Endpoint::Refusals => self.refusals(query),
            Endpoint::Listeners => listeners::page(&self.observe().status.listeners, query),
            Endpoint::Ready => server_info::ready(self.observe().status.server.state),
            Endpoint::ServerInfo => server_info::page(&self.observe().status.server),
            Endpoint::Stats => stats::page(&self.reading(), query),
            Endpoint::StatsPrometheus => stats::prometheus_page(&self.reading(), query),
            Endpoint::HealthcheckFail => self.fail_health_check(true),
            Endpoint::HealthcheckOk => self.fail_health_check(false),
            Endpoint::ResetCounters => {
                let reading = proxy_stats::collect(&self.observe());
                self.baseline.lock().unwrap_or_else(PoisonError::into_inner).reset(&reading);
                endpoint::done()
            }
            Endpoint::Quit => {
                self.source.quit();
                endpoint::done()
            }
        }
    }

    /// The proxy now. While the health check fails by request, it says that it drains, as Envoy does.
    fn observe(&self) -> Observation {
        let mut observed = self.source.observe();
        if self.failed.load(Ordering::Relaxed) && observed.status.server.state == ServerState::Live {
            observed.status.server.state = ServerState::Draining;
        }
        observed
    }

    fn reading(&self) -> Reading {
        let mut reading = proxy_stats::collect(&self.observe());
        reading.since(&mut self.baseline.lock().unwrap_or_else(PoisonError::into_inner));
        reading
    }

    fn refusals(&self, query: &Query) -> Page {
        match refusals::window(query) {
            Ok(window) => {
                let (records, truncated) = self.source.refusals(window);
                refusals::page(&records, truncated, window, SystemTime::now())
            }
            Err(page) => page,
        }
    }

    fn fail_health_check(&self, failed: bool) -> Page {
        self.failed.store(failed, Ordering::Relaxed);
        endpoint::done()
    }
}
