//! Being told to stop.

use std::future;

use tokio::signal::unix::{SignalKind, signal};

/// Returns at the next SIGTERM or Ctrl-C.
pub(crate) async fn until_stopped() {
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
