//! Field masks of `/config_dump?mask=`: which fields of a JSON document stay. A path names fields with dots between them; it may end at a
//! list, but not lead through one.

use serde_json::{Map, Value};

/// `a.b,c`, taken apart.
pub(crate) struct FieldMask(Vec<Vec<String>>);

impl FieldMask {
    pub(crate) fn parse(text: &str) -> Self {
        let path = |path: &str| path.split('.').map(str::to_owned).collect();
        Self(text.split(',').map(str::trim).filter(|path| !path.is_empty()).map(path).collect())
    }

    /// Only what the paths name, with the types of the objects they lead through; `None`: no path leads anywhere in `document`.
    pub(crate) fn apply(&self, document: &Value) -> Option<Value> {
        let document = document.as_object()?;
        let mut kept = Map::new();
        // each path is followed, whatever the others found
        let found = self.0.iter().filter(|path| copy(document, &mut kept, path)).count();
        (found > 0).then_some(Value::Object(kept))
    }
}

/// Copies what is at `path`; says whether there was something.
fn copy(from: &Map<String, Value>, to: &mut Map<String, Value>, path: &[String]) -> bool {
    let [name, rest @ ..] = path else { return false };
    let Some(value) = from.get(name) else { return false };
    if rest.is_empty() {
        to.insert(name.clone(), value.clone());
    } else {
        let Some(inner) = value.as_object() else { return false };
        let mut kept = match to.remove(name) {
            Some(Value::Object(kept)) => kept,
            _ => Map::new(),
        };
        let found = copy(inner, &mut kept, rest);
        if !kept.is_empty() {
            to.insert(name.clone(), Value::Object(kept));
        }
        if !found {
            return false;
        }
    }
    if let Some(kind) = from.get("@type") {
        to.insert("@type".to_owned(), kind.clone());
    }
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn masked(mask: &str) -> Option<Value> {
        let document = json!({"@type": "T", "cluster": {"@type": "C", "name": "a", "lb": 1, "list": [{"x": 1}]}, "at": 5});
        FieldMask::parse(mask).apply(&document)
    }

    #[test]
    fn what_a_mask_names_stays_with_the_types_around_it() {
        assert_eq!(
            masked("cluster.name"),
            Some(json!({"@type": "T", "cluster": {"@type": "C", "name": "a"}}))
        );
        assert_eq!(
            masked("cluster.name, cluster.lb,at"),
            Some(json!({"@type": "T", "cluster": {"@type": "C", "name": "a", "lb": 1}, "at": 5}))
        );
        assert_eq!(masked("cluster.list").unwrap()["cluster"]["list"], json!([{"x": 1}]));
    }

    #[test]
    fn a_path_to_nothing_or_through_a_list_is_none() {
        let both = Some(json!({"@type": "T", "cluster": {"@type": "C", "name": "a"}}));
        assert_eq!(masked("cluster.name,cluster.nosuch"), both, "one that leads nowhere takes nothing away");
        for mask in ["", "nosuch", "cluster.nosuch", "cluster.list.x", "at.x", "."] {
            assert_eq!(masked(mask), None, "{mask}");
        }
    }
}
