//! TCP listeners: limits, bytes, health of hosts, bad luck, and what everybody hears of it.

mod accounts;
mod bad_luck;
mod carrying;
mod connecting;
mod health;
mod limits;
mod moving;
mod preface;
mod times;
mod tls;

use std::net::SocketAddr;
use std::time::Duration;

use crate::rig::{Draft, Rig, options};
use fuseboard_core::limit::{LimitView, Priority};
use fuseboard_proxy::ProxyOptions;
use fuseboard_snapshot::{ListenerTarget, TcpProxy};
use fuseboard_testkit::{Client, DEADLINE, settle};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Nothing must come in this time.
const SOON: Duration = Duration::from_millis(50);

/// A host that the test plays itself.
struct Host(TcpListener);

impl Host {
    async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Its end of the next connection that the proxy opens.
    async fn accept(&self) -> Client {
        Client::over(timeout(DEADLINE, self.0.accept()).await.unwrap().unwrap().0)
    }

    /// Whether a connection waits to be accepted soon.
    async fn is_called(&self) -> bool {
        timeout(SOON, self.0.accept()).await.is_ok()
    }
}

/// A rig whose listener carries bytes.
fn tcp(workers: usize, hosts: &[SocketAddr], change: impl FnOnce(&mut Draft)) -> Rig {
    tcp_with(options(workers), hosts, change)
}

fn tcp_with(options: ProxyOptions, hosts: &[SocketAddr], change: impl FnOnce(&mut Draft)) -> Rig {
    Rig::start_with(options, hosts, |draft| {
        draft.listener.target = ListenerTarget::Tcp(TcpProxy::to(0));
        change(draft);
    })
}

/// Changes the TCP settings of the draft's listener.
fn listener(draft: &mut Draft, change: impl FnOnce(&mut TcpProxy)) {
    let ListenerTarget::Tcp(tcp) = &mut draft.listener.target else { panic!("no TCP listener") };
    change(tcp);
}

/// Both ends of a connection through the rig.
async fn through(rig: &Rig, host: &Host) -> (Client, Client) {
    let client = rig.client().await;
    (client, host.accept().await)
}

/// So many clients, all of them connected before the first is looked at.
async fn clients(rig: &Rig, count: usize) -> Vec<Client> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(rig.client().await);
    }
    clients
}

fn view(rig: &Rig) -> LimitView {
    rig.cluster().live.limits(Priority::Default).view()
}

/// Slots and connections in use.
fn held(rig: &Rig) -> (u32, u32) {
    (view(rig).requests, view(rig).connections)
}

/// Waits until nothing is held, on either side.
async fn until_over(rig: &Rig) {
    rig.until_closed().await;
    let open = || rig.numbers().get("listener.downstream_cx_active");
    assert!(settle(DEADLINE, || open() == 0).await, "{} clients are still there", open());
}

/// Waits until a number is so large.
async fn until_counted(rig: &Rig, name: &str, value: u64) {
    let counted = || rig.numbers().get(name);
    assert!(settle(DEADLINE, || counted() == value).await, "{name} is {}, not {value}", counted());
}
