//! The line that shows on a terminal how far a run is. In a pipe, and with `-quiet`, there is none.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fuseboard_load::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// Often enough to look alive.
const REFRESH: Duration = Duration::from_millis(100);

/// A line on stderr that is drawn again and again, until it is taken away.
pub(crate) struct ProgressLine {
    bar: ProgressBar,
    began: AtomicBool,
}

impl ProgressLine {
    /// Nothing is drawn before it begins, and nothing at all unless stderr is a terminal.
    pub(crate) fn new(wanted: bool) -> Self {
        let target = if wanted { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bar: ProgressBar::with_draw_target(None, target), began: AtomicBool::new(false) }
    }

    /// From here on it follows `progress`.
    pub(crate) fn begin(&self, progress: Arc<Progress>) {
        if self.bar.is_hidden() {
            return;
        }
        let told = move |state: &ProgressState, line: &mut dyn std::fmt::Write| {
            // The terminal is told again in a moment.
            let _ = line.write_str(&text(&progress, state.elapsed()));
        };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {run}") {
            self.bar.set_style(style.with_key("run", told));
            self.bar.reset_elapsed();
            self.bar.enable_steady_tick(REFRESH);
            self.began.store(true, Ordering::Release);
        }
    }

    /// Prints something else without tearing the line.
    pub(crate) fn beside(&self, print: impl FnOnce()) {
        if self.began.load(Ordering::Acquire) { self.bar.suspend(print) } else { print() }
    }

    /// Takes it away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// `12s of 30s  1200 of 3000 calls  99.9/s  12 errors`.
fn text(progress: &Progress, elapsed: Duration) -> String {
    let (calls, errors, seconds) = (progress.calls(), progress.errors(), elapsed.as_secs_f64());
    let mut text = format!("{seconds:.0}s");
    // Writing to a String cannot fail.
    if let Some(length) = progress.length() {
        let _ = write!(text, " of {:.0}s", length.as_secs_f64());
    }
    let _ = write!(text, "  {calls}");
    if let Some(expected) = progress.expected() {
        let _ = write!(text, " of {expected}");
    }
    let _ = write!(text, " calls  {:.1}/s  {errors} errors", calls as f64 / seconds.max(0.001));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let text = |progress: Progress| text(&progress, Duration::from_secs(2));
        assert_eq!(text(Progress::new(None, None)), "2s  0 calls  0.0/s  0 errors");
        let timed = Progress::new(Some(40), Some(Duration::from_secs(5)));
        (0..5).for_each(|call| timed.count(call > 0));
        assert_eq!(text(timed), "2s of 5s  5 of 40 calls  2.5/s  1 errors");
    }

    #[test]
    fn without_a_terminal_nothing_is_drawn() {
        let line = ProgressLine::new(false);
        line.begin(Arc::new(Progress::new(None, None)));
        assert!(line.bar.is_hidden());
        line.end();
    }
}
