//! Load generator with honest latency and fortio's output.
