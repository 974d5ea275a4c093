//! What all `Fallback`s (our own resource) for a cluster make together, field by field; the closest one that has `steps`
//! gives all of them. Which resource is closer, [`super::layers`] says; whether the result makes sense,
//! [`super::fallback_sense`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fuseboard_api::fuseboard::Fallback;
use fuseboard_api::fuseboard::fallback as raw;
use fuseboard_api::scalar::IntOrText;
use fuseboard_api::{List, Span, Spanned};
use fuseboard_core::fallback::{
    CachePolicy, CallAnswer, DEFAULT_CONCURRENT, FallbackPolicy, Match, Path, StaticAnswer, Step, StepKind,
    Template, Triggers,
};
use fuseboard_grpc::Code as Called;
use fuseboard_snapshot::{
    Cluster, ClusterFallback, FallbackSetting, Origin, Provenance, ServiceName, WrittenStep,
};

use super::fallback_sense;
use super::hostname;
use super::layers::{Cascade, Layer, Layers, Targeted, Twice};
use super::registry::Service;
use super::rule_index::RuleIndex;
use super::unknown_target::{Known, Target};
use crate::bytes;
use crate::diagnostic::{Code, Diagnostics};
use crate::load::{base64_of, word_of};
use crate::set::Resource;
use crate::workload::Workload;

const MAX_AGE: Duration = Duration::from_secs(300);
const MAX_BYTES: usize = 16 << 20;
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// Methods that change nothing: what a chain is for where nothing is written.
const SAFE: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// All `Fallback`s that count.
#[derive(Debug)]
pub(super) struct FallbackIndex<'a>(Layers<'a, Fallback>);

/// A chain, and where its parts were written.
pub(super) struct Chain<'a> {
    pub(super) fallback: ClusterFallback,
    /// Of each step.
    pub(super) at: Vec<StepAt<'a>>,
}

/// Where a step was written.
#[derive(Clone)]
pub(super) struct StepAt<'a> {
    pub(super) resource: &'a Resource<Fallback>,
    pub(super) span: Span,
    pub(super) field: String,
}

/// The settings of the cascade, and where those that somebody wrote are.
pub(super) struct Cascaded<'a> {
    cascade: Cascade<'a, Fallback>,
    provenance: Provenance<FallbackSetting>,
    pub(super) spans: Vec<(FallbackSetting, &'a Resource<Fallback>, Span)>,
}

/// What steps may ask.
struct Reach<'r, 'a> {
    clusters: &'r [Cluster],
    services: &'r HashMap<&'r str, &'r Service<'a>>,
    workload: &'r Workload,
    /// The cluster whose chain it is.
    own: usize,
    own_name: &'r ServiceName,
}

impl Targeted for Fallback {
    fn host(&self) -> &Spanned<String> {
        &self.host
    }

    fn port(&self) -> Option<u32> {
        self.port.as_ref().map(|port| port.value)
    }

    fn subset(&self) -> Option<&str> {
        self.subset.as_ref().map(|subset| subset.value.as_str())
    }
}

impl<'a> FallbackIndex<'a> {
    /// The index of `fallbacks`.
    pub(super) fn new(
        fallbacks: &'a [Resource<Fallback>],
        workload: &'a Workload,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let twice = Twice { code: Code::TwoFallbacksForHost, target: "host, port and subset" };
        Self(Layers::new(fallbacks, workload, &twice, diagnostics))
    }

    /// Says which resources are for no service, port or subset.
    pub(super) fn report_unknown(
        &self,
        services: &[Service<'_>],
        rules: &RuleIndex<'_>,
        diagnostics: &mut Diagnostics,
    ) {
        let known = Known { services, rules, workload: self.0.workload() };
        for Layer { host, resource } in self.0.iter() {
            let spec = &resource.spec;
            let target = Target {
                host,
                written: spec.host.span,
                port: spec.port.as_ref(),
                subset: spec.subset.as_ref(),
            };
            known.report(resource, &target, (Code::UnknownFallbackTarget, "fallback"), diagnostics);
        }
    }

    /// Whether any of them is for the cluster called `name`.
    pub(super) fn is_for(&self, name: &ServiceName) -> bool {
        !self.0.of(&name.host, &name.namespace, name.port, &name.subset).layers.is_empty()
    }

    /// The full names of the services that steps ask; for `own`, a step that names no host.
    pub(super) fn asked(&self, own: &Arc<str>) -> BTreeSet<Arc<str>> {
        let workload = self.0.workload();
        let steps = self.0.iter().flat_map(|layer| {
            let steps = layer.resource.spec.steps.iter().flat_map(|steps| steps.iter());
            steps.map(move |step| (layer.resource, step))
        });
        let hosts = steps.filter_map(|(resource, step)| {
            let host = step.service.as_ref()?.host.as_ref();
            let expand = |host| hostname::expand(host, &resource.id.namespace, &workload.domain_suffix);
            Some(host.map_or_else(|| own.clone(), |host| expand(&host.value)))
        });
        hosts.collect()
    }

    /// Gives each cluster its chain. `clusters` are sorted by name; `names` are those by which rules are found, in the same order.
    pub(super) fn attach(
        &self,
        clusters: &mut [Cluster],
        names: &[ServiceName],
        services: &[Service<'a>],
        diagnostics: &mut Diagnostics,
    ) {
        let mut chains = Vec::new();
        let services = &services.iter().map(|service| (&*service.host, service)).collect();
        for (own, own_name) in names.iter().enumerate() {
            let reach = Reach { clusters, services, workload: self.0.workload(), own, own_name };
            chains.push(self.chain(&reach, diagnostics));
        }
        fallback_sense::report_loops(&chains, names, diagnostics);
        for (cluster, chain) in clusters.iter_mut().zip(chains) {
            cluster.fallback = chain.map(|chain| Arc::new(chain.fallback));
        }
    }

    fn chain(&self, reach: &Reach<'_, 'a>, diagnostics: &mut Diagnostics) -> Option<Chain<'a>> {
        let name = reach.own_name;
        let cascade = self.0.of(&name.host, &name.namespace, name.port, &name.subset);
        let rules: Vec<_> = cascade.layers.iter().map(|layer| layer.id.clone()).collect();
        let closest = *cascade.layers.first()?;
        let Some((resource, written)) = cascade.find(|spec| spec.steps.as_ref()) else {
            if !hostname::is_wildcard(&closest.spec.host) {
                let message = "no steps are in force: a failure is answered as it is";
                let found = closest.diagnostic(Code::FallbackWithoutSteps, closest.span, message);
                diagnostics.push(found.field("spec.steps").help("write steps: [{cached: {}}], or delete it"));
            }
            return None;
        };
        let mut settings = Cascaded { cascade, provenance: Provenance::default(), spans: Vec::new() };
        let matching = settings.matching();
        let when = settings.take(FallbackSetting::When, |spec| spec.when.as_ref());
        let concurrent = settings.take(FallbackSetting::MaxConcurrent, |spec| spec.max_concurrent.as_ref());
        let cached = written.iter().any(|step| step.cached.is_some());
        let cache = settings.cache();
        let defaults = Defaults {
            max_age: cache.max_age,
            max_concurrent: concurrent.copied().unwrap_or(DEFAULT_CONCURRENT),
        };
        let (mut steps, mut at) = (Vec::new(), Vec::new());
        for (index, step) in written.iter().enumerate() {
            let place = StepAt { resource, span: step.span, field: format!("spec.steps[{index}]") };
            if let Some(kind) = kind(step, &place, reach, &defaults, diagnostics) {
                steps.push(Step {
                    matching: step.matching.as_ref().map(|own| matching_of(own)).unwrap_or_default(),
                    on: step.when.as_ref().map(|words| triggers(words)),
                    max_concurrent: step
                        .max_concurrent
                        .as_ref()
                        .map_or(defaults.max_concurrent, |own| own.value),
                    kind,
                });
                at.push(place);
            }
        }
        if steps.is_empty() {
            return None;
        }
        let policy = FallbackPolicy {
            matching,
            on: when.map_or_else(Triggers::any, triggers),
            cache: cached.then_some(cache),
            max_concurrent: defaults.max_concurrent,
            steps,
        };
        fallback_sense::check(&policy, &settings, &at, diagnostics);
        let steps = policy.steps.iter().zip(&at).map(|(step, place)| WrittenStep {
            origin: Arc::new(place.origin()),
            asks: match step.kind {
                StepKind::Service { target, .. } => {
                    reach.clusters.get(target).map(|cluster| cluster.service.clone())
                }
                StepKind::Cached { .. } | StepKind::Static(_) => None,
            },
        });
        let steps = steps.collect();
        let fallback = ClusterFallback { policy, rules, provenance: settings.provenance, steps };
        Some(Chain { fallback, at })
    }
}

impl StepAt<'_> {
    fn origin(&self) -> Origin {
        Origin {
            resource: self.resource.id.clone(),
            field: self.field.as_str().into(),
            location: Some(self.resource.location(self.span)),
        }
    }
}

impl<'a> Cascaded<'a> {
    /// The closest value of a field, whose place is noted.
    fn take<T: 'a>(
        &mut self,
        setting: FallbackSetting,
        field: impl Fn(&'a Fallback) -> Option<&'a Spanned<T>>,
    ) -> Option<&'a T> {
        let (resource, found) = self.cascade.find(field)?;
        let origin = resource.origin(&format!("spec.{}", setting.path()), found);
        self.provenance.insert(setting, Arc::new(origin));
        self.spans.push((setting, resource, found.span));
        Some(&found.value)
    }

    fn matching(&mut self) -> Match {
        let methods = self.take(FallbackSetting::Methods, |spec| spec.matching.as_ref()?.methods.as_ref());
        let paths = self.take(FallbackSetting::Paths, |spec| spec.matching.as_ref()?.paths.as_ref());
        let safe = || SAFE.into_iter().map(Box::from).collect();
        Match {
            methods: methods.map_or_else(safe, methods_of),
            paths: paths.map(paths_of).unwrap_or_default(),
        }
    }

    /// What is kept.
    fn cache(&mut self) -> CachePolicy {
        let max_age = self.take(FallbackSetting::MaxAge, |spec| spec.cache.as_ref()?.max_age.as_ref());
        let max_bytes = self.take(FallbackSetting::MaxBytes, |spec| spec.cache.as_ref()?.max_bytes.as_ref());
        let of_one =
            self.take(FallbackSetting::MaxAnswerBytes, |spec| spec.cache.as_ref()?.max_answer_bytes.as_ref());
        let headers = self.take(FallbackSetting::Headers, |spec| spec.cache.as_ref()?.headers.as_ref());
        let lower = |headers: &'a List<String>| headers.iter().map(|name| name.to_ascii_lowercase().into());
        CachePolicy {
            max_age: max_age.copied().unwrap_or(MAX_AGE),
            max_bytes: max_bytes.and_then(bytes::parse).unwrap_or(MAX_BYTES),
            max_answer_bytes: of_one.and_then(bytes::parse).unwrap_or(MAX_ANSWER_BYTES),
            headers: headers.map(|headers| lower(headers).collect()).unwrap_or_default(),
        }
    }
}

/// What a step has that says nothing itself.
struct Defaults {
    max_age: Duration,
    max_concurrent: u32,
}

/// What a step does; `None`: it is left out, which was reported.
fn kind(
    step: &raw::Step,
    at: &StepAt<'_>,
    reach: &Reach<'_, '_>,
    defaults: &Defaults,
    diagnostics: &mut Diagnostics,
) -> Option<StepKind> {
    if let Some(cached) = &step.cached {
        let own = cached.max_age.as_ref().map(|age| age.value);
        return Some(StepKind::Cached { max_age: own.unwrap_or(defaults.max_age) });
    }
    if let Some(fixed) = &step.fixed {
        return Some(StepKind::Static(answer(fixed)));
    }
    let service = step.service.as_ref()?;
    let target = reach.target(service, at, diagnostics)?;
    Some(StepKind::Service { target, timeout: service.timeout.as_ref().map(|timeout| timeout.value) })
}

impl Reach<'_, '_> {
    /// The cluster that a step asks.
    fn target(
        &self,
        service: &Spanned<raw::Service>,
        at: &StepAt<'_>,
        diagnostics: &mut Diagnostics,
    ) -> Option<usize> {
        let own = self.own_name;
        let host: Arc<str> = match &service.host {
            Some(host) => hostname::expand(host, &at.resource.id.namespace, &self.workload.domain_suffix),
            None => own.host.clone(),
        };
        let known = self.services.get(&*host).copied();
        let same_number = |known: &&Service<'_>| {
            known.ports.iter().any(|port| port.number == own.port && port.protocol.is_http())
        };
        let usual = known.and_then(|known| {
            Some(known).filter(same_number).map(|_| own.port).or_else(|| known.default_port())
        });
        let port = match &service.port {
            Some(port) => u16::try_from(port.value).ok(),
            None if service.host.is_none() => Some(own.port),
            None => usual,
        };
        let subset = service.subset.as_ref().map_or("", |subset| &subset.value);
        let found = port.and_then(|port| {
            let is_http = known.is_none_or(|known| {
                known.ports.iter().any(|own| own.number == port && own.protocol.is_http())
            });
            let name = format!("outbound|{port}|{subset}|{host}");
            let found = self.clusters.binary_search_by(|cluster| (*cluster.name).cmp(&name));
            found.ok().filter(|_| is_http)
        });
        let report = |code, message: String, help: &str, diagnostics: &mut Diagnostics| {
            let found = at.resource.diagnostic(code, service.span, message);
            diagnostics.push(found.field(format!("{}.service", at.field)).help(help));
        };
        if found == Some(self.own) {
            // A default for all services covers the one that it asks, too.
            if !hostname::is_wildcard(&at.resource.spec.host) {
                let message = format!("{host} is the service that failed: the step is left out");
                report(Code::FallbackToItself, message, "name another service or subset", diagnostics);
            }
            return None;
        }
        if found.is_none() {
            let what = match (port, subset) {
                _ if known.is_none() => format!("no service is called {host}"),
                (None, _) => format!("{host} has several HTTP ports, or none"),
                (Some(port), "") => format!("{host} has no HTTP port {port}"),
                (Some(port), subset) => format!("{host}, port {port}, has no subset {subset}"),
            };
            let help = "write the name of a service of the files, and its port where it has several";
            report(Code::UnknownFallbackService, format!("{what}: the step is left out"), help, diagnostics);
        }
        found
    }
}

fn answer(fixed: &raw::Static) -> StaticAnswer {
    let template = |text: &str| Template::parse(text).unwrap_or_default();
    let headers = fixed.headers.iter().flat_map(|headers| headers.iter());
    let mut fields: Vec<(Box<str>, Template)> =
        headers.map(|(name, value)| (name.as_str().into(), template(value))).collect();
    let body = fixed.body.as_ref().map(|body| template(body)).unwrap_or_default();
    let has_type = fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !has_type && body != Template::default() {
        fields.insert(0, ("content-type".into(), template("text/plain")));
    }
    let status = fixed.status.as_ref().and_then(|status| u16::try_from(status.value).ok()).unwrap_or(200);
    let call = fixed.grpc.as_ref().map(|call| CallAnswer {
        code: call.status.as_ref().and_then(|status| Called::of_name(status)).unwrap_or(Called::Ok),
        text: call.message.as_ref().map(|text| template(text)).unwrap_or_default(),
        message: call.body.as_ref().and_then(|body| base64_of(body)).unwrap_or_default().into(),
    });
    StaticAnswer { status, fields, body, call }
}

fn matching_of(written: &raw::Match) -> Match {
    Match {
        methods: written.methods.as_ref().map(|methods| methods_of(methods)).unwrap_or_default(),
        paths: written.paths.as_ref().map(|paths| paths_of(paths)).unwrap_or_default(),
    }
}

/// None means all.
fn methods_of(written: &List<String>) -> Vec<Box<str>> {
    if written.iter().any(|method| method.value == "*") {
        return Vec::new();
    }
    written.iter().map(|method| method.value.as_str().into()).collect()
}

fn paths_of(written: &List<raw::Path>) -> Vec<Path> {
    let pattern = |path: &Spanned<raw::Path>| match (&path.exact, &path.prefix) {
        (Some(exact), _) => Some(Path::Exact(exact.value.as_str().into())),
        (None, Some(prefix)) => Some(Path::Prefix(prefix.value.as_str().into())),
        (None, None) => None,
    };
    written.iter().filter_map(pattern).collect()
}

fn triggers(words: &List<IntOrText>) -> Triggers {
    let sets = words.iter().filter_map(|word| Triggers::of_word(&word_of(word)));
    sets.fold(Triggers::NONE, Triggers::or)
}
