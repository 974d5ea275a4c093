//! Without file descriptors. A test binary of its own, with one test: the limit belongs to the whole process.

#![allow(clippy::unwrap_used, clippy::panic)] // how a test fails

#[path = "dataplane/rig/mod.rs"]
#[expect(dead_code, reason = "the rig of many tests, for one")]
mod rig;

use std::fs::File;
use std::num::NonZeroU32;

use fuseboard_proxy::AdminAddress;
use fuseboard_testkit::{Client, DEADLINE, Script, Upstream, settle};
use rig::{Rig, WORKERS};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that take what is left of the process's descriptors.
struct Hoard(Vec<File>);

impl Hoard {
    /// Takes them all, those too that are given back a moment later.
    async fn all() -> Self {
        let mut files = Vec::new();
        let mut still = 0;
        let all_taken = || {
            still += 1;
            while let Ok(file) = File::open("/dev/null") {
                files.push(file);
                still = 0;
            }
            still == 50
        };
        assert!(settle(DEADLINE, all_taken).await);
        Self(files)
    }

    /// Gives one back, for whoever is next.
    fn free_one(&mut self) {
        self.0.pop().unwrap();
    }
}

#[tokio::test]
async fn without_descriptors_requests_fail_and_connections_wait_and_with_them_all_is_well() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(256), maximum }).unwrap();
    for workers in WORKERS {
        let upstream = Upstream::start(Script::ok("served")).await;
        let rig = Rig::start(workers, &[upstream.address()], |draft| {
            draft.cluster.connection.max_requests = NonZeroU32::new(1);
        });
        let mut client = rig.client().await;
        assert_eq!(client.get("a", "/").await.text(), "served");
        upstream.until(|counts| counts.open == 0).await;

        let AdminAddress::Tcp(admin) = *rig.proxy.admin_address().unwrap() else { panic!("a TCP address") };
        let mut admin = Client::connect(admin).await;

        // No connection to the upstream can be opened: that is our fault, and no host's.
        let mut hoard = Hoard::all().await;
        let failed = client.get("a", "/").await;
        let body = "upstream connect error or disconnect/reset before headers. reset reason: local connection failure";
        assert_eq!((failed.status, failed.text()), (503, body));

        // One client more is let in by the kernel, and cannot be accepted.
        hoard.free_one();
        let mut waiting = rig.client().await;
        waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        loop {
            let page = admin.get("localhost", "/stats?filter=accept_failed").await;
            assert_eq!(page.status, 200);
            if !page.text().contains("accept_failed: 0") {
                break;
            }
        }
        let failed = client.get("a", "/").await;
        assert_eq!(failed.status, 503, "those who are in are answered meanwhile");

        drop(hoard);
        assert_eq!(waiting.response().await.text(), "served", "it had only to wait");
        assert_eq!(client.get("a", "/").await.text(), "served");
        assert_eq!(rig.numbers().get("upstream_cx_connect_fail"), 2);
        drop((client, waiting));
        rig.until_at_rest().await;
    }
}
