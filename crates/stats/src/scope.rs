//! Where stats belong: the dotted prefix of the text, and the name and labels that Prometheus gets instead.

use std::sync::Arc;

/// A scope with its two spellings: `cluster.outbound|80||a.b;.` and `envoy_cluster_…{cluster_name="outbound|80||a.b"}`.
///
/// Labels are those of Istio's bootstrap, not Envoy's `envoy_cluster_name`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    text: String,
    /// Length of the root's part of `text`.
    root: usize,
    family: String,
    labels: Vec<Label>,
    labels_only: bool,
}

/// A Prometheus label. Values are shared: a scrape of many series repeats few.
pub type Label = (&'static str, Arc<str>);

impl Scope {
    /// A scope that exists once: `server`.
    pub fn single(name: &str) -> Self {
        Self::root_at(format!("{name}."), format!("envoy_{}_", sanitized(name)), Vec::new())
    }

    /// One of many: `kind` is `cluster`, `which` the name inside stats, `label` the Prometheus label that carries it. Istio
    /// ends such names with `;`, which belongs to the text only.
    pub fn of_many(kind: &str, which: &str, label: &'static str) -> Self {
        let value = which.strip_suffix(';').unwrap_or(which).into();
        let family = format!("envoy_{}_", sanitized(kind));
        Self::root_at(format!("{kind}.{which}."), family, vec![(label, value)])
    }

    /// One of many that are told apart by their labels alone. Its families are the stats' own names, and it has no place in texts,
    /// where each name would be as long as all the labels: it is for Prometheus only. Filters and resets see `<kind>.<label>.<value>…`.
    pub fn labelled(kind: &str, labels: Vec<Label>) -> Self {
        let mut text = format!("{kind}.");
        for (name, value) in &labels {
            text.extend([name, ".", value, "."]);
        }
        Self { labels_only: true, ..Self::root_at(text, String::new(), labels) }
    }

    const fn root_at(text: String, family: String, labels: Vec<Label>) -> Self {
        Self { root: text.len(), text, family, labels, labels_only: false }
    }

    /// A part of this scope: `circuit_breakers.default`.
    #[must_use]
    pub fn part(&self, name: &str) -> Self {
        Self {
            text: format!("{}{name}.", self.text),
            family: format!("{}{}_", self.family, sanitized(name)),
            labels: self.labels.clone(),
            root: self.root,
            labels_only: self.labels_only,
        }
    }

    /// The part that holds what Envoy does not have: `….fuseboard.` in text, families that begin with `fuseboard_`.
    #[must_use]
    pub fn own(&self) -> Self {
        let family = self.family.strip_prefix("envoy_").unwrap_or(&self.family);
        Self {
            text: format!("{}fuseboard.", self.text),
            family: format!("fuseboard_{family}"),
            labels: self.labels.clone(),
            root: self.root,
            labels_only: self.labels_only,
        }
    }

    /// The dotted prefix, with its last dot.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The dotted prefix of the scope that this one is a part of, or of itself.
    pub(crate) fn root(&self) -> &str {
        &self.text[..self.root]
    }

    /// The Prometheus prefix, with its last underscore.
    pub fn family(&self) -> &str {
        &self.family
    }

    /// Labels that every stat of the scope carries.
    pub fn labels(&self) -> &[Label] {
        &self.labels
    }

    /// Whether its stats are for Prometheus only; see [`Scope::labelled`].
    pub const fn labels_only(&self) -> bool {
        self.labels_only
    }
}

/// Envoy's rule for names in Prometheus: what is no letter, digit or underscore becomes an underscore.
pub(crate) fn sanitized(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
