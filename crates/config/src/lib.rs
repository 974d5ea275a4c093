//! From text to diagnostics and a Snapshot: load, check, resolve, analyze.
