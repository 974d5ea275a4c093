//! How much memory the process holds.

/// Resident set in bytes; 0 where the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn resident_bytes() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return 0 };
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
    kib.and_then(|kib| kib.trim().parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Resident set in bytes; 0 where the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn resident_bytes() -> u64 {
    0
}
