//! What users do not want to hear of: a code, for resources of a name.

use crate::diagnostic::{Code, Diagnostic};

/// `CODE=Kind name.namespace`, where `*` stands for anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    code: String,
    resource: String,
}

impl std::str::FromStr for Suppression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((code, resource)) if !code.is_empty() && !resource.is_empty() && !resource.contains('=') => {
                Ok(Self { code: code.to_owned(), resource: resource.to_owned() })
            }
            _ => {
                Err("write CODE=KIND NAME.NAMESPACE, for example 'FB001=DestinationRule *.default'"
                    .to_owned())
            }
        }
    }
}

impl Suppression {
    /// The code, where there is none of that name.
    pub fn unknown_code(&self) -> Option<&str> {
        let is_known = Code::ALL.iter().any(|code| code.entry().id == self.code);
        (!is_known).then_some(self.code.as_str())
    }

    /// Whether it is about this. A problem outside of all resources is always told.
    pub fn covers(&self, diagnostic: &Diagnostic) -> bool {
        let resource = diagnostic.resource.as_ref();
        diagnostic.code.entry().id == self.code
            && resource.is_some_and(|resource| matches(&self.resource, &resource.to_string()))
    }
}

/// Whether `pattern`, in which `*` stands for anything, is all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let end = parts.pop().unwrap_or_default();
    for part in parts {
        // The first place is as good as any: what comes after it has the most room.
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}

#[cfg(test)]
mod tests {
    use fuseboard_snapshot::ResourceRef;

    use super::*;

    fn diagnostic(name: &str) -> Diagnostic {
        let resource =
            ResourceRef { kind: "DestinationRule".into(), namespace: "default".into(), name: name.into() };
        Diagnostic::new(Code::EjectionImpossible, "").resource(resource)
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, is_covered) in [
            ("FB001=DestinationRule httpbin.default", true),
            ("FB001=DestinationRule *.default", true),
            ("FB001=*", true),
            ("FB001=*httpbin*", true),
            ("FB001=D*R*h*.default", true),
            ("FB001=DestinationRule *.other", false),
            ("FB001=DestinationRule httpbin", false),
            ("FB001=Service *", false),
            ("FB002=*", false),
        ] {
            let suppression: Suppression = pattern.parse().unwrap();
            assert_eq!(suppression.covers(&diagnostic("httpbin")), is_covered, "{pattern}");
        }
    }

    #[test]
    fn an_end_is_not_found_in_what_was_used_already() {
        assert!(!matches("ab*ab", "ab"));
        assert!(!matches("a*b*b", "ab"));
        assert!(matches("a**b", "ab"));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for text in ["FB001", "=x", "FB001=", "FB001=a=b"] {
            assert!(text.parse::<Suppression>().unwrap_err().contains("CODE="), "{text}");
        }
        assert_eq!("IST0103=Pod *".parse::<Suppression>().unwrap().unknown_code(), Some("IST0103"));
        assert_eq!("FB001=*".parse::<Suppression>().unwrap().unknown_code(), None);
        assert!(!"FB101=*".parse::<Suppression>().unwrap().covers(&Diagnostic::new(Code::Unreadable, "")));
    }
}
