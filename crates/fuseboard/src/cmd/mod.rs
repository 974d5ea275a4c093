//! One module per subcommand, and one per name under which the binary behaves as another tool.

pub(crate) mod admin;
pub(crate) mod analyze;
pub(crate) mod breaker;
pub(crate) mod completion;
pub(crate) mod demo;
pub(crate) mod endpoints;
pub(crate) mod explain;
pub(crate) mod fortio;
pub(crate) mod help;
pub(crate) mod httpbin;
pub(crate) mod istioctl;
pub(crate) mod load;
pub(crate) mod man;
pub(crate) mod nc;
pub(crate) mod pilot_agent;
pub(crate) mod proxy_config;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod server;
pub(crate) mod stats;
pub(crate) mod version;
pub(crate) mod why;
