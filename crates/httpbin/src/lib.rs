//! httpbin-compatible test server with failure and delay knobs.
