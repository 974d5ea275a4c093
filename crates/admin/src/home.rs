//! `/`: the table of commands as a page to click, and `/stats?format=html`. Nothing on them comes from elsewhere, and nothing is a
//! script: what a form asks for, the address says.

use std::fmt::Write as _;

use crate::endpoint::{Entry, Param, ParamKind, TABLE};
use crate::page::Page;
use crate::query::Query;

const STYLE: &str = include_str!("home.css");

/// What a browser may do on our pages: use the one style sheet inside them, and send forms back to us.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'sha256-UIviLwpGP6dmCprGzE1EIqdX7mTrVPZg6BigKJ6GHxI='; form-action 'self'; \
    frame-ancestors 'none'; base-uri 'none'";

/// `/`
pub fn page() -> Page {
    let mut out = head("Fuseboard admin");
    out.push_str(
        "<h1>Fuseboard admin</h1>\n<p>Envoy's admin paths, and our own under /fuseboard/v1/.</p>\n<table>\n",
    );
    for entry in TABLE.iter().filter(|entry| entry.path != "/") {
        row(&mut out, entry, &Query::default());
    }
    out.push_str("</table>\n");
    Page::html(out)
}

/// A text with the form of `path` above it, filled in as it was sent.
pub(crate) fn result_page(path: &str, query: &Query, text: &str) -> Page {
    let mut out = head(path);
    let _ = writeln!(out, "<h1>{}</h1>\n<p><a href=\"/\">all commands</a></p>\n<table>", escaped(path));
    for entry in TABLE.iter().filter(|entry| entry.path == path) {
        row(&mut out, entry, query);
    }
    let _ = writeln!(out, "</table>\n<pre>{}</pre>", escaped(text));
    Page::html(out)
}

fn head(title: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>{STYLE}</style>\n",
        escaped(title)
    )
}

/// A link for what reads, a button for what changes, and fields for the parameters.
fn row(out: &mut String, entry: &Entry, query: &Query) {
    let Entry { path, about, params, changes, .. } = entry;
    let name =
        if *changes { format!("<code>{path}</code>") } else { format!("<a href=\"{path}\">{path}</a>") };
    let _ = write!(out, "<tr><td>{name}<td>{}", escaped(about));
    if *changes || !params.is_empty() {
        let method = if *changes { "post" } else { "get" };
        let _ = write!(out, "\n<form action=\"{path}\" method=\"{method}\">");
        for param in *params {
            field(out, param, query);
        }
        let _ = write!(out, "\n<button>{}</button></form>", if *changes { "POST" } else { "GET" });
    }
    out.push('\n');
}

fn field(out: &mut String, param: &Param, query: &Query) {
    let Param { name, about, kind } = param;
    let given = query.get(name);
    let _ = write!(out, "\n<label title=\"{}\">{name} ", escaped(about));
    match kind {
        ParamKind::Text => {
            let value = escaped(given.unwrap_or_default());
            let _ = write!(out, "<input name=\"{name}\" value=\"{value}\">");
        }
        ParamKind::Flag => {
            let checked = if given.is_some() { " checked" } else { "" };
            let _ = write!(out, "<input type=\"checkbox\" name=\"{name}\"{checked}>");
        }
        ParamKind::OneOf(values) => {
            let _ = write!(out, "<select name=\"{name}\">");
            for value in *values {
                let selected = if given == Some(value) { " selected" } else { "" };
                let _ = write!(out, "<option{selected}>{value}</option>");
            }
            out.push_str("</select>");
        }
    }
    out.push_str("</label>");
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    use super::*;

    #[test]
    fn the_policy_lets_our_own_style_in_and_nothing_else() {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        assert!(CONTENT_SECURITY_POLICY.contains(&format!("style-src 'sha256-{hash}';")), "{hash}");
        assert!(
            !page().body.contains("<script")
                && !page().body.contains(" style=")
                && !page().body.contains("//")
        );
    }

    #[test]
    fn what_was_sent_is_text_on_the_page_whatever_it_holds() {
        let query = Query::parse("filter=%22%3E%3Cscript%3E&usedonly=on&type=Gauges");
        let body = result_page("/stats", &query, "a<b: 1\n").body;
        assert!(body.contains("value=\"&quot;&gt;&lt;script&gt;\"") && body.contains("a&lt;b: 1"), "{body}");
        assert!(
            body.contains("name=\"usedonly\" checked") && body.contains("<option selected>Gauges"),
            "{body}"
        );
    }

    #[test]
    fn what_changes_something_is_sent_with_post_only() {
        let body = page().body;
        assert!(body.contains("<form action=\"/quitquitquit\" method=\"post\">"), "{body}");
        assert!(!body.contains("href=\"/quitquitquit\""));
        assert!(body.contains("<a href=\"/memory\">/memory</a>"));
    }
}
