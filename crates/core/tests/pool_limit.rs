//! The limit of pools: each decision against a naive model, and the count under real threads.
#![cfg(not(loom))]

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use fuseboard_core::Rng;
use fuseboard_core::limit::{HostConnections, HostCx, PoolLimit, PoolsFull};
use proptest::prelude::*;

fn hosts(count: usize) -> Vec<Arc<HostConnections>> {
    (0..count).map(|_| Arc::default()).collect()
}

#[test]
fn a_host_with_a_pool_takes_more_connections_and_another_host_is_refused() {
    let (limit, hosts) = (PoolLimit::default(), hosts(3));
    let claim = |host: usize| limit.claim(1, &hosts[host], &hosts, |host| host, |_| {});
    let one = claim(0).unwrap();
    let two = claim(0).unwrap();
    assert_eq!(claim(1).unwrap_err(), PoolsFull { bound: 1, open: 1 });
    drop(one);
    assert_eq!(claim(2).unwrap_err(), PoolsFull { bound: 1, open: 1 });
    drop(two);
    let three = claim(2).unwrap();
    assert_eq!(hosts.iter().map(|host| host.open()).collect::<Vec<_>>(), [0, 0, 1]);
    drop(three);
}

#[test]
fn a_bound_that_was_lowered_cuts_nothing_and_lets_no_new_host_in() {
    let (limit, hosts) = (PoolLimit::default(), hosts(4));
    let claim = |bound, host: usize| limit.claim(bound, &hosts[host], &hosts, |host| host, |_| {});
    let held: Vec<HostCx> = (0..3).map(|host| claim(3, host).unwrap()).collect();
    let more = claim(1, 2).unwrap();
    assert!(claim(1, 3).is_err());
    drop((held, more));
    assert!(claim(1, 3).is_ok());
}

/// What is done with the connections of a cluster.
#[derive(Clone, Debug)]
enum Step {
    Open { host: usize },
    Rest { nth: usize },
    Close { nth: usize },
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0_usize..5).prop_map(|host| Step::Open { host }),
        2 => any::<usize>().prop_map(|nth| Step::Rest { nth }),
        1 => any::<usize>().prop_map(|nth| Step::Close { nth }),
    ]
}

/// A connection: to which host, idle or not.
struct Open {
    host: usize,
    idle: bool,
    _counted: HostCx,
}

proptest! {
    #[test]
    fn each_claim_is_decided_as_the_definition_says(
        bound in 1_u32..4,
        steps in proptest::collection::vec(steps(), 1..120),
    ) {
        let (limit, hosts) = (PoolLimit::default(), hosts(5));
        let named: Vec<(usize, Arc<HostConnections>)> = hosts.iter().cloned().enumerate().collect();
        let open: RefCell<Vec<Open>> = RefCell::default();
        for step in steps {
            match step {
                Step::Open { host } => {
                    let has_pool = |host: usize| open.borrow().iter().any(|one| one.host == host);
                    let is_idle = |host: usize| open.borrow().iter().all(|one| one.host != host || one.idle);
                    let others: Vec<usize> =
                        (0..5).filter(|&other| other != host && has_pool(other)).collect();
                    let idle = others.iter().filter(|&&other| is_idle(other)).count();
                    let may = has_pool(host) || others.len() - idle < bound as usize;
                    let reclaim = |other: &(usize, Arc<HostConnections>)| {
                        if is_idle(other.0) {
                            open.borrow_mut().retain(|one| one.host != other.0);
                        }
                    };
                    let claimed = limit.claim(bound, &hosts[host], &named, |named| &named.1, reclaim);
                    prop_assert_eq!(claimed.is_ok(), may);
                    if let Ok(counted) = claimed {
                        open.borrow_mut().push(Open { host, idle: false, _counted: counted });
                    }
                }
                Step::Rest { nth } => {
                    let count = open.borrow().len();
                    if count > 0 {
                        open.borrow_mut()[nth % count].idle = true;
                    }
                }
                Step::Close { nth } => {
                    let count = open.borrow().len();
                    if count > 0 {
                        open.borrow_mut().swap_remove(nth % count);
                    }
                }
            }
            let pools = hosts.iter().filter(|host| host.open() > 0).count();
            prop_assert!(pools <= bound as usize);
            for (index, host) in hosts.iter().enumerate() {
                let counted = open.borrow().iter().filter(|one| one.host == index).count();
                prop_assert_eq!(host.open() as usize, counted);
            }
        }
    }
}

/// Whoever holds a connection is written down before the next claim can be decided, and struck off before the connection is
/// given back; so the list never says more than is there.
#[test]
fn threads_never_have_more_pools_than_the_bound() {
    const BOUND: u32 = 2;
    let (limit, hosts) = (Arc::new(PoolLimit::default()), Arc::new(hosts(6)));
    let holders: Arc<Mutex<Vec<usize>>> = Arc::default();
    let exceeded = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..4_u64)
        .map(|seed| {
            let (limit, hosts) = (Arc::clone(&limit), Arc::clone(&hosts));
            let (holders, exceeded) = (Arc::clone(&holders), Arc::clone(&exceeded));
            thread::spawn(move || {
                let (mut rng, mut refused) = (Rng::new(seed), 0_u32);
                for _ in 0..5_000 {
                    let host = rng.below(6) as usize;
                    match limit.claim(BOUND, &hosts[host], &hosts, |host| host, |_| {}) {
                        Err(_) => refused += 1,
                        Ok(counted) => {
                            holders.lock().unwrap().push(host);
                            if rng.below(4) == 0 {
                                thread::yield_now();
                            }
                            let mut holders = holders.lock().unwrap();
                            let mut distinct = holders.clone();
                            distinct.sort_unstable();
                            distinct.dedup();
                            if distinct.len() > BOUND as usize {
                                exceeded.store(true, Ordering::Relaxed);
                            }
                            let own = holders.iter().position(|holder| *holder == host).unwrap();
                            holders.swap_remove(own);
                            drop(holders);
                            drop(counted);
                        }
                    }
                }
                refused
            })
        })
        .collect();
    let refused: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert!(!exceeded.load(Ordering::Relaxed));
    assert!(refused > 0, "the bound was never met");
    assert!(hosts.iter().all(|host| host.open() == 0));
}
