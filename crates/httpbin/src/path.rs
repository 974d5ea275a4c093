//! The plain form of a path: one slash between segments, no `.` and no `..`.

/// The plain form where `path` is not in it already.
pub(crate) fn plain(path: &str) -> Option<String> {
    let odd = |segment: &str| matches!(segment, "" | "." | "..");
    let inner = path.strip_prefix('/')?;
    let segments: Vec<&str> = inner.split('/').collect();
    // An empty last segment is a slash at the end, which stays.
    let (last, before) = segments.split_last()?;
    if !before.iter().any(|segment| odd(segment)) && !matches!(*last, "." | "..") {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in &segments {
        match *segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    let end = if last.is_empty() && !kept.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_dots_in_excess_go() {
        for (path, expected) in [
            ("//get", "/get"),
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/..", "/"),
            ("/../..", "/"),
            ("//", "/"),
            ("/a//", "/a/"),
        ] {
            assert_eq!(plain(path).as_deref(), Some(expected), "{path}");
        }
        for path in ["/", "/get", "/anything/", "/a.b/c..d", "*", ""] {
            assert_eq!(plain(path), None, "{path}");
        }
    }
}
