//! Envoy's admin API as data: wire types, text, JSON and Prometheus renderers, a small client.
