//! Pages of the documentation that are made from tables of the code; `cargo xtask bless` rewrites them.

mod golden;

use std::fmt::Write as _;

use fuseboard_config::Code;
use golden::assert_golden;

#[test]
fn the_page_of_diagnostics_is_made_from_the_codes() {
    let mut page = String::from(
        "# Diagnostics\n\n\
         <!-- Made from `crates/config/src/diagnostic/code.rs` by `cargo xtask bless`. -->\n\n\
         What `fuseboard analyze` and `fuseboard run` say about files. Codes that begin with `IST` are istioctl's and mean \
         what they mean there; for each `IST0106` and `IST0133` the text is Istio's. A resource with an error marked \
         *rejects* is not applied: what was there before it keeps serving.\n",
    );
    for code in Code::ALL {
        let entry = code.entry();
        let rejects = if entry.rejects { ", rejects" } else { "" };
        let _ = writeln!(page, "\n## {} {}\n\n{}{rejects}.", entry.id, entry.name, entry.severity.as_str());
        let _ = writeln!(page, "{}", entry.text());
    }
    assert_golden("../../../docs/diagnostics.md", &page);
}

#[test]
fn codes_are_in_order_and_each_is_used_once() {
    let ids: Vec<&str> = Code::ALL.iter().map(|code| code.entry().id).collect();
    let mut sorted = ids.clone();
    sorted.sort_unstable();
    sorted.dedup();
    let (ours, istios): (Vec<&str>, Vec<&str>) = ids.iter().partition(|id| id.starts_with("FB"));
    assert_eq!([ours, istios].concat(), sorted);
}
