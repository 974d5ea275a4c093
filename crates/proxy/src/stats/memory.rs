//! How much memory the process holds.

use fuseboard_admin::memory::Memory;

/// As the kernel counts it.
#[cfg(target_os = "linux")]
pub(crate) fn memory() -> Memory {
    let Ok(text) = std::fs::read_to_string("/proc/self/status") else { return Memory::default() };
    let bytes = |name: &str| {
        let kib = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB"))?;
        Some(kib.trim().parse::<u64>().ok()? * 1024)
    };
    Memory { heap: bytes("RssAnon:"), resident: bytes("VmRSS:") }
}

/// Only Linux tells.
#[cfg(not(target_os = "linux"))]
pub(crate) fn memory() -> Memory {
    Memory::default()
}
