//! Small enough to read: lines of code per file and per function, and a module doc on every file.

use std::path::Path;

use proc_macro2::LineColumn;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::Finding;

/// Lines that are neither blank nor only a comment.
const FILE_LINES: usize = 700;
const FUNCTION_LINES: usize = 80;

/// A file or function that outgrew its room, or a file that does not say what it decides.
pub(super) fn check(path: &Path, text: &str) -> Vec<Finding> {
    let finding = |line, message| Finding { path: path.to_owned(), line, message };
    let mut findings = Vec::new();
    let lines = code_lines(text.lines());
    if lines > FILE_LINES {
        findings.push(finding(1, format!("{lines} lines of code, {FILE_LINES} at most: split the file")));
    }
    if !text.trim_start().starts_with("//!") && !text.contains("#![doc") {
        findings.push(finding(1, "no module doc: open with `//!` and say what this file decides".into()));
    }
    match syn::parse_file(text) {
        Err(error) => findings.push(finding(error.span().start().line, format!("not Rust: {error}"))),
        Ok(file) => {
            let mut visitor = Functions { lines: text.lines().collect(), long: Vec::new() };
            visitor.visit_file(&file);
            findings.extend(visitor.long.into_iter().map(|(name, at, lines)| {
                finding(at, format!("fn {name} has {lines} lines of code, {FUNCTION_LINES} at most"))
            }));
        }
    }
    findings
}

fn code_lines<'a>(lines: impl Iterator<Item = &'a str>) -> usize {
    lines.map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

struct Functions<'a> {
    lines: Vec<&'a str>,
    long: Vec<(String, usize, usize)>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, start: LineColumn, end: LineColumn) {
        let body = self.lines.get(start.line - 1..end.line).unwrap_or_default();
        let lines = code_lines(body.iter().copied());
        if lines > FUNCTION_LINES {
            self.long.push((name.to_string(), start.line, lines));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.measure(&item.sig.ident, item.sig.span().start(), item.block.span().end());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.measure(&item.sig.ident, item.sig.span().start(), item.block.span().end());
        visit::visit_impl_item_fn(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_over_the_bound_is_found_and_comments_do_not_count() {
        let body = "    f();\n    // a remark\n\n".repeat(FUNCTION_LINES);
        let text = format!("//! Doc.\nfn long() {{\n{body}}}\n");
        let findings = check(Path::new("x.rs"), &text);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, 2);
        let text = text.replace("    f();\n", "");
        assert!(check(Path::new("x.rs"), &text).is_empty());
    }

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(check(Path::new("x.rs"), "fn f() {}\n").len(), 1);
    }
}
