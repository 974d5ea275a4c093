//! What holds for any file of resources: it is read, judged and told about without a panic.

use fuseboard_config::diagnostic::render::{self, Look};
use fuseboard_config::{SourceText, Workload, analyze, load};

/// All that is done with a file, short of serving it.
pub(crate) fn resources(data: &[u8]) {
    let (resources, mut diagnostics) = load(&[SourceText::new("x.yaml", data)]);
    diagnostics.append(analyze(&resources, &Workload::default()));
    for diagnostic in &diagnostics {
        let text = render::text(diagnostic, Look { color: true, unicode: true });
        assert!(!text.is_empty());
    }
    assert!(!render::json(&diagnostics).is_empty());
}
