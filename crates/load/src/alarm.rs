//! Waits until a point in time, to some microseconds on Linux. tokio's own timer counts whole milliseconds, which
//! would show as latency of calls that are sent when they are due. Elsewhere it has to do.

use tokio::time::Instant;

/// One waiting place; made inside a runtime.
#[derive(Debug)]
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    precise: Option<precise::Timer>,
}

impl Alarm {
    /// Without a descriptor to spare it is less precise, not unusable.
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            precise: precise::Timer::new().ok(),
        }
    }

    /// Returns at `due`, at once when that has passed.
    pub(crate) async fn sleep_until(&mut self, due: Instant) {
        #[cfg(target_os = "linux")]
        if let Some(timer) = &mut self.precise {
            let pause = due.saturating_duration_since(Instant::now());
            if pause.is_zero() || timer.sleep(pause).await.is_ok() {
                return;
            }
        }
        tokio::time::sleep_until(due).await;
    }
}

#[cfg(target_os = "linux")]
mod precise {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};
    use tokio::io::unix::AsyncFd;

    /// A timer of the kernel, as a descriptor that becomes readable.
    #[derive(Debug)]
    pub(super) struct Timer {
        descriptor: AsyncFd<OwnedFd>,
    }

    impl Timer {
        pub(super) fn new() -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let descriptor = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags)?;
            #[expect(
                deprecated,
                reason = "sound for an OwnedFd; its replacement is unsafe, which is denied here"
            )]
            let descriptor = AsyncFd::new(descriptor)?;
            Ok(Self { descriptor })
        }

        pub(super) async fn sleep(&mut self, pause: Duration) -> io::Result<()> {
            let it_value = Timespec::try_from(pause).map_err(|_| io::ErrorKind::InvalidInput)?;
            let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
            // Setting it also forgets an earlier expiry that nobody waited for.
            let setting = Itimerspec { it_interval, it_value };
            rustix::time::timerfd_settime(&self.descriptor, TimerfdTimerFlags::empty(), &setting)?;
            loop {
                let mut ready = self.descriptor.readable().await?;
                let mut expiries = [0; 8];
                let read = ready.try_io(|timer| {
                    rustix::io::read(timer.get_ref(), &mut expiries).map_err(io::Error::from)
                });
                if let Ok(outcome) = read {
                    return outcome.map(drop);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn never_returns_early_and_can_be_used_again() {
        let mut alarm = Alarm::new();
        for pause in [0, 1, 300, 2_500] {
            let due = Instant::now() + Duration::from_micros(pause);
            alarm.sleep_until(due).await;
            assert!(Instant::now() >= due, "{pause}");
        }
    }

    #[tokio::test]
    async fn a_wait_that_was_given_up_does_not_cut_the_next_one_short() {
        let mut alarm = Alarm::new();
        let soon = Instant::now() + Duration::from_millis(1);
        tokio::select! {
            biased;
            () = alarm.sleep_until(soon) => unreachable!("it waits"),
            () = std::future::ready(()) => {}
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
        let due = Instant::now() + Duration::from_millis(5);
        alarm.sleep_until(due).await;
        assert!(Instant::now() >= due);
    }
}
