//! `/links/{count}`: pages that link to each other.

use std::fmt::Write as _;

use axum::extract::{Path, State};
use http::{StatusCode, Uri};

use super::redirect::found;
use super::{Answer, Shared};
use crate::number;
use crate::reply::{self, HTML, Refusal};

const MOST: i64 = 256;

/// Leads to the first page.
pub(super) async fn first(State(instance): State<Shared>, Path(count): Path<String>, uri: Uri) -> Answer {
    checked(&count)?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    found(StatusCode::FOUND, &format!("{}{}/0{query}", instance.prefix, uri.path()))
}

pub(super) async fn page(
    State(instance): State<Shared>,
    Path((count, offset)): Path<(String, String)>,
) -> Answer {
    let count = checked(&count)?;
    let offset = number::whole("Atoi", &offset)
        .map_err(|problem| Refusal::bad(format!("invalid offset: {problem}")))?;
    let mut page = String::from("<html><head><title>Links</title></head><body>");
    for number in 0..count {
        // Writing to a String cannot fail.
        let _ = if number == offset {
            write!(page, "{number} ")
        } else {
            write!(page, "<a href=\"{}/links/{count}/{number}\">{number}</a> ", instance.prefix)
        };
    }
    page.push_str("</body></html>");
    Ok(reply::typed(StatusCode::OK, HTML, page))
}

fn checked(count: &str) -> Result<i64, Refusal> {
    let invalid = |what: String| Refusal::bad(format!("invalid link count: {what}"));
    let count = number::whole("Atoi", count).map_err(invalid)?;
    if !(0..=MOST).contains(&count) {
        return Err(invalid(format!("{count} must be in range [0, {MOST}]")));
    }
    Ok(count)
}
