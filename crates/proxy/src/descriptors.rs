//! File descriptors: each client and each upstream connection takes one, and many systems start programs with 1,024.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises this process's soft limit on descriptors to its hard limit. Where the system refuses, the old limit stays.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Descriptors that are left for everything but connections: files, sockets that listen, the admin server.
const KEPT: u64 = 64;

/// More clients than this are let in only if somebody says so: each costs memory, too.
const MOST_CLIENTS: u64 = 100_000;

/// As many clients as there may be when each takes a descriptor, and its host another one.
pub(crate) fn clients() -> usize {
    clients_within(getrlimit(Resource::Nofile).current)
}

fn clients_within(descriptors: Option<u64>) -> usize {
    let clients = descriptors.map_or(MOST_CLIENTS, |all| (all.saturating_sub(KEPT) / 2).min(MOST_CLIENTS));
    usize::try_from(clients).unwrap_or(usize::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_leaves_a_descriptor_for_its_host() {
        assert_eq!([Some(1024), Some(65), Some(0)].map(clients_within), [480, 1, 1]);
        assert_eq!([Some(1 << 30), None].map(clients_within), [100_000; 2]);
    }

    #[test]
    fn afterwards_the_soft_limit_is_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
