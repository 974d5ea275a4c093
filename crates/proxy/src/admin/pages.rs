//! From endpoint to page: asks the proxy, lets the admin crate render.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use fuseboard_admin::orders::Order;
use fuseboard_admin::{
    Endpoint, Page, Query, breakers, certs, clusters, config_dump, ejections, endpoint, explain, home, hosts,
    listeners, logging, memory, refusals, server_info, stats, without,
};
use fuseboard_stats::{Baseline, Reading};
use hyper::HeaderMap;

use super::serve::Heard;
use super::stream::{EventBody, Life, Streams};
use super::{AdminSource, ListenerDrain};
use crate::stats as proxy_stats;

/// The pages of one proxy, and what the admin API itself remembers.
pub(super) struct Pages {
    source: Arc<dyn AdminSource>,
    /// Counters at the last POST `/reset_counters`.
    baseline: Mutex<Baseline>,
    streams: Streams,
}

impl Pages {
    pub(super) fn new(source: Arc<dyn AdminSource>) -> Self {
        Self { source, baseline: Mutex::default(), streams: Streams::default() }
    }

    /// The page of `endpoint`; what changes state has been allowed by the caller.
    pub(super) fn page(&self, endpoint: Endpoint, query: &Query) -> Page {
        match endpoint {
            Endpoint::Home => home::page(),
            Endpoint::Help => endpoint::help(),
            Endpoint::Certs => certs::page(&self.source.observe().status.snapshot, SystemTime::now()),
            Endpoint::HotRestartVersion => without::hot_restart(),
            Endpoint::Runtime => without::runtime(),
            Endpoint::Logging => logging::page(self.source.log(), query),
            Endpoint::Memory => memory::page(proxy_stats::memory()),
            Endpoint::Clusters => clusters::page(&self.source.observe().status.clusters, query),
            Endpoint::ConfigDump => config_dump::page(&self.source.observe().status, query),
            Endpoint::Breakers => {
                let clusters = self.source.observe().status.clusters;
                breakers::page(&clusters, &self.source.histories(), SystemTime::now())
            }
            Endpoint::OpenBreaker | Endpoint::CloseBreaker | Endpoint::ResetBreaker => {
                self.order(endpoint, query)
            }
            // It has no page: [`Self::events`].
            Endpoint::Events => endpoint::unknown_path(),
            Endpoint::Ejections => ejections::page(&self.source.observe().status.clusters),
            Endpoint::Hosts => hosts::page(&self.source.observe().status.clusters, SystemTime::now()),
            Endpoint::Explain => explain::page(&self.source.observe().status.snapshot),
            Endpoint::Refusals => self.refusals(query),
            Endpoint::Listeners => listeners::page(&self.source.observe().status.listeners, query),
            Endpoint::Ready => server_info::ready(self.source.server().state),
            Endpoint::ServerInfo => server_info::page(&self.source.server()),
            Endpoint::Stats => stats::page(&self.reading(), query),
            Endpoint::StatsPrometheus => stats::prometheus_page(&self.reading(), query),
            Endpoint::DrainListeners
            | Endpoint::HealthcheckFail
            | Endpoint::HealthcheckOk
            | Endpoint::ResetCounters
            | Endpoint::Quit => {
                self.change(endpoint, query);
                endpoint::done()
            }
        }
    }

    /// The stream of events.
    pub(super) fn events(
        &self,
        query: &Query,
        headers: &HeaderMap,
        connection: (Heard, Life),
    ) -> Result<EventBody, Page> {
        self.streams.open(self.source.events(), query, headers, connection)
    }

    /// Does what a POST asks for.
    fn change(&self, endpoint: Endpoint, query: &Query) {
        match endpoint {
            Endpoint::HealthcheckFail => self.source.fail_health_check(true),
            Endpoint::HealthcheckOk => self.source.fail_health_check(false),
            // no listener of ours is inbound
            Endpoint::DrainListeners if query.has("inboundonly") => {}
            Endpoint::DrainListeners if query.has("skip_exit") => {
                self.source.drain_listeners(ListenerDrain::AskOnly);
            }
            Endpoint::DrainListeners if query.has("graceful") => {
                self.source.drain_listeners(ListenerDrain::Graceful);
            }
            Endpoint::DrainListeners => self.source.drain_listeners(ListenerDrain::Now),
            Endpoint::ResetCounters => {
                let reading = proxy_stats::collect(&self.source.observe());
                self.baseline.lock().unwrap_or_else(PoisonError::into_inner).reset(&reading);
            }
            Endpoint::Quit => self.source.quit(),
            _ => {}
        }
    }

    /// Carries out what a POST orders of a breaker, and shows what came of it.
    fn order(&self, endpoint: Endpoint, query: &Query) -> Page {
        let order = match Order::read(endpoint, query) {
            Ok(order) => order,
            Err(page) => return page,
        };
        let outcome = self.source.order_breaker(&order);
        order.page(outcome, &self.source.observe().status.clusters, SystemTime::now())
    }

    fn reading(&self) -> Reading {
        let mut reading = proxy_stats::collect(&self.source.observe());
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
}
