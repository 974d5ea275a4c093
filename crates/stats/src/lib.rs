//! Counters, gauges and histograms declared once, sharded per worker, named as Envoy names them.
