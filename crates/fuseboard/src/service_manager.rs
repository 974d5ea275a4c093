//! What a service manager is told: systemd with `Type=notify`, or whatever else set `NOTIFY_SOCKET`
//! ([protocol](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html)). Without one nothing happens.

use sd_notify::NotifyState;

/// It serves; `status` is what `systemctl status` shows.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Another process is the service now, of whom this manager is to take words.
pub(crate) fn succeeded_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// It takes nothing new and ends when what runs is finished.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
}

/// A manager that can't be reached is no reason to stop serving.
fn tell(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}
