//! One document into resources: which kind it is, who it is, and whether it is usable.

use std::collections::BTreeMap;
use std::sync::Arc;

use fuseboard_api::kind::{Envelope, KINDS, Kind, KnownKind, Treatment};
use fuseboard_api::kubernetes::ObjectMeta;
use fuseboard_api::tree::{Entry, Node, Value};
use fuseboard_api::{Decode, Map, Span, field};
use fuseboard_snapshot::ResourceRef;

use crate::diagnostic::{Code, Diagnostic};
use crate::load::check::{self, Root};
use crate::load::report::{FieldPath, Report};
use crate::load::yaml::Document;
use crate::load::{Loader, body_file, rules, suggest};
use crate::set::Resource;
use crate::source::{Place, Source};

/// What a resource looks like.
const SHAPE: &str = "write apiVersion, kind, metadata and spec, as kubectl takes them";

/// Takes the resources of one document into the loader.
pub(super) fn read(document: Document, source: &Arc<Source>, loader: &mut Loader) {
    let Document { root, mut problems } = document;
    if let Some(root) = root {
        resource_or_list(&root, source, &mut problems, loader);
    }
    loader.diagnostics.extend(problems);
}

/// `problems` are those found while reading the text; the ones inside a resource are taken out and become that resource's.
fn resource_or_list(node: &Node, source: &Arc<Source>, problems: &mut Vec<Diagnostic>, loader: &mut Loader) {
    let report = |code, span, message: &str, help: &str| {
        let place = Place { source: source.clone(), span };
        Diagnostic::new(code, message).at(place).help(help)
    };
    match &node.value {
        Value::Null => return,
        Value::Map(_) => {}
        _ => {
            problems.push(report(Code::NotAResource, first_line(node), "this is not a resource", SHAPE));
            return;
        }
    }
    let kind = text_field(node, "kind");
    if kind.is_some_and(|kind| kind.ends_with("List")) && node.get("items").is_some() {
        for item in node.get("items").map_or(&[][..], Node::elements) {
            resource_or_list(item, source, problems, loader);
        }
        return;
    }
    let inside = |problem: &Diagnostic| {
        problem.at.as_ref().is_some_and(|place| (node.span.start..=node.span.end).contains(&place.span.start))
    };
    let mut own: Vec<Diagnostic> = problems.extract_if(.., |problem| inside(problem)).collect();
    let (Some(kind), Some(api_version)) = (kind, text_field(node, "apiVersion")) else {
        let missing = if kind.is_none() { "kind" } else { "apiVersion" };
        let message = format!("this is not a resource: {missing} is missing");
        own.push(report(Code::NotAResource, first_line(node), &message, SHAPE));
        problems.append(&mut own);
        return;
    };
    let known = known(kind, api_version);
    if let Ok(KnownKind { treatment: Treatment::Read(kind), .. }) = known {
        read_resource(*kind, node, source, own, loader);
        return;
    }
    problems.append(&mut own);
    match known {
        Ok(KnownKind { name, treatment: Treatment::NotActedUpon(instead), .. }) => {
            let message = format!("{name} is not acted upon yet: {instead}");
            let help = "nothing to do, if that is acceptable";
            let problem = report(Code::KindNotActedUpon, value_span(node, "kind"), &message, help);
            problems.push(problem.resource(identity(name, node, &loader.namespace).0));
        }
        Ok(_) => {}
        Err((at, message, help)) => {
            problems.push(report(Code::UnknownKind, value_span(node, at), &message, &help));
        }
    }
}

/// The entry of the table for a kind, or the field that is wrong, what is wrong and what to write.
fn known(kind: &str, api_version: &str) -> Result<&'static KnownKind, (&'static str, String, String)> {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    let named = || KINDS.iter().filter(|known| known.name == kind);
    if let Some(found) = named().find(|known| known.group == group) {
        if found.versions.is_empty() || found.versions.contains(&version) {
            return Ok(found);
        }
        let versions: Vec<String> = found.versions.iter().map(|version| join(group, version)).collect();
        let message = format!("{kind} has no version {version:?}; the resource is left alone");
        return Err(("apiVersion", message, format!("write apiVersion: {}", versions.join(" or "))));
    }
    if let Some(other) = named().next() {
        let version = other.versions.first().copied().unwrap_or("v1");
        let message = format!("no {kind} in {api_version:?} is known; the resource is left alone");
        return Err((
            "apiVersion",
            message,
            format!("did you mean apiVersion: {}?", join(other.group, version)),
        ));
    }
    let message = format!("unknown kind {kind:?}; the resource is left alone");
    let help = match suggest::nearest(kind, KINDS.iter().map(|known| known.name)) {
        Some(name) => format!("did you mean {name}?"),
        None => {
            "Service, EndpointSlice, Endpoints, ServiceEntry, DestinationRule, DestinationPolicy, CircuitBreaker and Fallback are read"
                .to_owned()
        }
    };
    Err(("kind", message, help))
}

fn join(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Checks a resource of a kind that is read, and keeps it if nothing rejects it.
fn read_resource(
    kind: Kind,
    node: &Node,
    source: &Arc<Source>,
    mut found: Vec<Diagnostic>,
    loader: &mut Loader,
) {
    let name =
        KINDS.iter().find(|known| known.treatment == Treatment::Read(kind)).map_or("", |known| known.name);
    let (id, span) = identity(name, node, &loader.namespace);
    let mut report = Report::new(source);
    let with_bodies =
        (kind == Kind::Fallback).then(|| body_file::inline(node, source, &mut report)).flatten();
    let node = with_bodies.as_ref().unwrap_or(node);
    let body = fields(kind, &id.namespace, node, &mut report);
    let complete = !report.is_full();
    found.extend(report.into_found());
    let usable = complete && !found.iter().any(Diagnostic::rejects);
    loader.diagnostics.extend(found.into_iter().map(|problem| problem.resource(id.clone())));

    let place = Place { source: source.clone(), span };
    if let Some(first) = loader.seen.get(&id) {
        let message = format!("{id} is written twice; this one is not used");
        let help = format!("the first is in {first}; rename or delete one of them");
        let problem = Diagnostic::new(Code::DuplicateResource, message).at(place).help(help).resource(id);
        loader.diagnostics.push(problem);
        return;
    }
    loader.seen.insert(id.clone(), place.location());
    if !usable || !body.is_some_and(|body| keep(kind, node, body, source, &id, span, loader)) {
        loader.set.rejected.push(id);
    }
}

/// Checks the fields of the resource and gives the node that they stand under.
fn fields<'a>(kind: Kind, namespace: &str, node: &'a Node, report: &mut Report<'_>) -> Option<&'a Node> {
    let at = node.entries().first().map_or(node.span, |entry| entry.key.span);
    let schema = kind.schema();
    let inline = kind.envelope() == Envelope::Inline;
    for entry in node.entries() {
        let key = entry.key.value.as_str();
        let known = matches!(key, "apiVersion" | "kind" | "metadata" | "status")
            || if inline { schema.field(key).is_some() } else { key == "spec" };
        if !known {
            unknown_top_level(entry, Root { schema, prefix: if inline { "" } else { "spec" } }, report);
        }
    }
    let path = FieldPath::ROOT;
    let metadata_schema = Root { schema: ObjectMeta::SCHEMA, prefix: "metadata" };
    let meta_path = path.key("metadata");
    match block(node, "metadata") {
        Some((key, metadata)) if matches!(metadata.value, Value::Map(_)) => {
            check::object(metadata, ObjectMeta::SCHEMA, key, &meta_path, metadata_schema, report);
            rules::metadata(metadata, &meta_path, report);
        }
        _ => {
            let help = "write metadata: {name: <name>}";
            report.add(Code::MissingField, at, &meta_path, "metadata.name is missing", help);
        }
    }
    if inline {
        let own = Node { span: node.span, value: Value::Map(own_entries(node)) };
        check::object(&own, schema, at, &path, Root { schema, prefix: "" }, report);
        rules::check(kind, namespace, node, &path, report);
        return Some(node);
    }
    let path = path.key("spec");
    match block(node, "spec") {
        Some((key, spec)) if matches!(spec.value, Value::Map(_)) => {
            check::object(spec, schema, key, &path, Root { schema, prefix: "spec" }, report);
            rules::check(kind, namespace, spec, &path, report);
            Some(spec)
        }
        Some((key, _)) => {
            let help = "write its fields on indented lines below";
            report.add(Code::WrongType, key, &path, "spec must be a mapping", help);
            None
        }
        None => {
            report.add(
                Code::MissingField,
                at,
                &path,
                "spec is missing",
                "write spec: with the fields below it",
            );
            None
        }
    }
}

/// The fields of a resource without `spec`.
fn own_entries(node: &Node) -> Vec<Entry> {
    let envelope = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata" | "status");
    let own = |entry: &&Entry| !envelope(&entry.key.value);
    node.entries().iter().filter(own).cloned().collect()
}

fn unknown_top_level(entry: &Entry, root: Root, report: &mut Report<'_>) {
    let key = entry.key.value.as_str();
    let envelope = ["apiVersion", "kind", "metadata", "spec"];
    let help = if let Some(place) = suggest::place_of(key, root).filter(|_| !root.prefix.is_empty()) {
        format!("{key} belongs under {place}: indent it")
    } else if let Some(name) = suggest::nearest(key, envelope.into_iter()) {
        format!("did you mean {name}?")
    } else {
        format!("the fields here are {}", envelope.join(", "))
    };
    if !root.prefix.is_empty() {
        let path = FieldPath::ROOT;
        report.add(
            Code::UnknownField,
            entry.key.span,
            &path.key(key),
            format!("unknown field {key:?}"),
            help,
        );
    }
}

/// Decodes the resource into the set; `false` if it does not decode, which the checks have reported.
fn keep(
    kind: Kind,
    node: &Node,
    body: &Node,
    source: &Arc<Source>,
    id: &ResourceRef,
    span: Span,
    loader: &mut Loader,
) -> bool {
    let Some(metadata) = field::<ObjectMeta>(node, "metadata") else { return false };
    let frame = Frame { id, metadata: &metadata, source, span, body };
    let set = &mut loader.set;
    match kind {
        Kind::DestinationRule => frame.decode_into(&mut set.destination_rules),
        Kind::ServiceEntry => frame.decode_into(&mut set.service_entries),
        Kind::Service => frame.decode_into(&mut set.services),
        Kind::Endpoints => frame.decode_into(&mut set.endpoints),
        Kind::EndpointSlice => frame.decode_into(&mut set.endpoint_slices),
        Kind::Pod => frame.decode_into(&mut set.pods),
        Kind::Secret => frame.decode_into(&mut set.secrets),
        Kind::DestinationPolicy => frame.decode_into(&mut set.destination_policies),
        Kind::CircuitBreaker => frame.decode_into(&mut set.circuit_breakers),
        Kind::Fallback => frame.decode_into(&mut set.fallbacks),
    }
}

/// What all kinds have in common.
struct Frame<'a> {
    id: &'a ResourceRef,
    metadata: &'a ObjectMeta,
    source: &'a Arc<Source>,
    span: Span,
    body: &'a Node,
}

impl Frame<'_> {
    fn decode_into<T: Decode>(&self, list: &mut Vec<Resource<T>>) -> bool {
        let Some(spec) = T::decode(self.body) else { return false };
        let text =
            |field: &Option<fuseboard_api::Spanned<String>>| field.as_ref().map(|text| text.value.clone());
        list.push(Resource {
            id: self.id.clone(),
            labels: self.metadata.labels.as_ref().map_or_else(BTreeMap::new, |labels| plain(labels)),
            annotations: self.metadata.annotations.as_ref().map_or_else(BTreeMap::new, |notes| plain(notes)),
            created: text(&self.metadata.creation_timestamp),
            uid: text(&self.metadata.uid),
            source: self.source.clone(),
            span: self.span,
            spec,
        });
        true
    }
}

fn plain(labels: &Map<String>) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| (key.clone(), value.value.clone())).collect()
}

/// Kind, namespace and name of a resource, as far as they can be read, and where the name is.
fn identity(kind: &str, node: &Node, default_namespace: &str) -> (ResourceRef, Span) {
    let metadata = node.get("metadata");
    let name = metadata.and_then(|metadata| field::<String>(metadata, "name"));
    let namespace =
        metadata.and_then(|metadata| text_field(metadata, "namespace")).unwrap_or(default_namespace);
    let span = name.as_ref().map_or_else(|| value_span(node, "kind"), |name| name.span);
    let name = name.map_or_else(|| "?".to_owned(), |name| name.value);
    (ResourceRef { kind: kind.into(), namespace: namespace.into(), name: name.into() }, span)
}

fn text_field<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    node.get(key)?.text()
}

/// The key and the value of `key`, if it has a value.
fn block<'a>(node: &'a Node, key: &str) -> Option<(Span, &'a Node)> {
    let entry = node.entries().iter().find(|entry| entry.key.value == key)?;
    (entry.node.value != Value::Null).then_some((entry.key.span, &entry.node))
}

fn value_span(node: &Node, key: &str) -> Span {
    node.get(key).map_or_else(|| first_line(node), |value| value.span)
}

fn first_line(node: &Node) -> Span {
    node.entries().first().map_or(node.span, |entry| entry.key.span)
}
