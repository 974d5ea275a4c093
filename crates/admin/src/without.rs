//! `/runtime` and `/hot_restart_version`: Envoy's answers of a server that has no runtime layers and no hot restart, which is what Fuseboard is. What collects them for a bug report finds them.

use crate::page::Page;

/// `/runtime`
pub fn runtime() -> Page {
    Page::json_text("{\n \"entries\": {},\n \"layers\": []\n}\n".to_owned())
}

/// `/hot_restart_version`
pub fn hot_restart() -> Page {
    Page::text("disabled")
}
