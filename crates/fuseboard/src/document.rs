//! Results as documents: JSON or YAML in the looks that istioctl has.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// JSON with this in front of each inner line.
pub(crate) fn json(value: &impl Serialize, indent: &str) -> anyhow::Result<String> {
    let mut text = Vec::new();
    let formatter = PrettyFormatter::with_indent(indent.as_bytes());
    value.serialize(&mut Serializer::with_formatter(&mut text, formatter))?;
    text.push(b'\n');
    Ok(String::from_utf8(text)?)
}

/// YAML, made from JSON as Kubernetes' tools make it: fields in the order of the alphabet.
pub(crate) fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    let value: Value = serde_json::to_value(value)?;
    let mut text = serde_saphyr::to_string(&value)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_reads_back_as_what_it_was() {
        let value = json!({
            "name": "outbound|8000||httpbin", "on": "yes", "number": "08", "time": "10s", "address": "::1:443",
            "empty": {}, "none": [], "list": [{"maxConnections": 1, "nested": [1.5, null, true]}], "text": "a\nb: c"
        });
        let text = yaml(&value).unwrap();
        assert!(text.contains("\nlist:\n- maxConnections: 1\n  nested:\n  - 1.5\n"), "{text}");
        for quoted in ["\"yes\"", "\"08\""] {
            assert!(text.contains(quoted) || text.contains(&quoted.replace('"', "'")), "{text}");
        }
    }
}
