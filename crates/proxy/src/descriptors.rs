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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn afterwards_the_soft_limit_is_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
