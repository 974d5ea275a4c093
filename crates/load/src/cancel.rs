//! The handle that ends a run early. Who uses it, a signal or a test, is the caller's business.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends a run from outside. Clones belong to the same run; a call under way is finished and counted.
#[derive(Debug, Clone)]
pub struct Cancel {
    sender: Arc<watch::Sender<bool>>,
}

impl Cancel {
    /// A handle that has not been used.
    pub fn new() -> Self {
        Self { sender: Arc::new(watch::Sender::new(false)) }
    }

    /// Ends the run; calling it again changes nothing.
    pub fn cancel(&self) {
        self.sender.send_replace(true);
    }

    /// Whether [`Cancel::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        *self.sender.borrow()
    }

    /// Returns when [`Cancel::cancel`] is called, at once if it was.
    pub async fn cancelled(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.sender.subscribe().wait_for(|cancelled| *cancelled).await;
    }
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}
