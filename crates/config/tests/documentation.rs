//! Every YAML block in the documentation is what a user may paste: it loads and resolves without a word of complaint.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::path::{Path, PathBuf};

use fuseboard_config::{ListenPlan, SourceText, Workload, load, resolve};

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            pages(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The blocks of a page that are marked as YAML and hold resources; Prometheus and others have YAML of their own.
fn yaml_blocks(page: &str) -> Vec<&str> {
    let fenced = page.split("```").skip(1).step_by(2);
    let marked = fenced.filter_map(|block| block.strip_prefix("yaml\n"));
    marked.filter(|block| block.contains("apiVersion:") || block.contains("kind:")).collect()
}

#[test]
fn every_yaml_block_of_the_documentation_is_accepted() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut found = Vec::new();
    pages(&docs, &mut found);
    let mut blocks = 0;
    for page in found {
        let text = fs::read_to_string(&page).unwrap();
        for block in yaml_blocks(&text) {
            blocks += 1;
            let (resources, loaded) = load(&[SourceText::new(page.display().to_string(), block)]);
            let (_, resolved) =
                resolve(&resources, &Workload::default(), &ListenPlan::outbound(Vec::new()), 1);
            let complaints: Vec<_> = loaded.iter().chain(resolved.iter()).map(|told| &told.message).collect();
            assert!(complaints.is_empty(), "{}: {complaints:?}\n{block}", page.display());
        }
    }
    assert!(blocks >= 2, "the pages on outlier detection and limits have one each");
}
