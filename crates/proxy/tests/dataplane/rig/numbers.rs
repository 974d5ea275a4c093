//! What the admin server's `/stats` says, and what has changed since.

use std::collections::BTreeMap;

use fuseboard_admin::{AdminAddress, AdminClient};

/// Counters and gauges: those of the cluster `rig` by their own name, the listener's after `listener.`, its connection manager's
/// after `http.`, its TCP proxy's after `tcp.`. The server's are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numbers(BTreeMap<String, u64>);

impl Numbers {
    /// As they are now.
    pub fn read(admin: &AdminAddress) -> Self {
        let page = AdminClient::new(admin.clone()).get("/stats").unwrap().text();
        let numbers = page.lines().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((short(name)?, value.parse().ok()?))
        });
        Self(numbers.collect())
    }

    /// One of them; there is no such thing as a stat that is not there yet.
    pub fn get(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("no stat {name}"))
    }

    /// What is different now, and by how much.
    pub fn since(&self, before: &Self) -> BTreeMap<&str, i64> {
        let change = |(name, value): (&String, &u64)| {
            let old = before.0.get(name).copied().unwrap_or(0);
            value.cast_signed().wrapping_sub(old.cast_signed())
        };
        self.0.iter().map(|pair| (pair.0.as_str(), change(pair))).filter(|pair| pair.1 != 0).collect()
    }
}

fn short(name: &str) -> Option<String> {
    let (scope, rest) = name.split_once('.')?;
    match scope {
        "cluster" => rest.strip_prefix("rig;.").map(str::to_owned),
        "tcp" => rest.split_once(";.").map(|(_, stat)| format!("tcp.{stat}")),
        "http" => rest.split_once(";.").map(|(_, stat)| format!("http.{stat}")),
        // `listener.127.0.0.1_9000.downstream_cx_total`
        "listener" => {
            let after_port = &rest[rest.find('_')?..];
            after_port.split_once('.').map(|(_, stat)| format!("listener.{stat}"))
        }
        _ => None,
    }
}
