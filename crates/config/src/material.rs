//! The files with certificates, keys, authorities and revocations that rules and flags name: read, made into values, and
//! kept as they last were good. What a rule wants of them is `resolve`'s, when to look again `fuseboard_control`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fuseboard_api::istio::destination_rule::TrafficPolicy;
use fuseboard_api::istio::tls::{ClientTls, TlsMode};
use fuseboard_tls::material::CredentialError;
use fuseboard_tls::{Authorities, Credential, Revocations};

use crate::listen::ListenPlan;
use crate::pairs::Pairs;
use crate::set::{Resource, ResourceSet};

/// Largest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// What was made of a file, or of two.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unit<T> {
    /// The latest version that is good; `None`: there was none yet.
    pub(crate) value: Option<Arc<T>>,
    /// What is wrong with the files as they are now.
    pub(crate) problem: Option<Problem>,
}

impl<T> Clone for Unit<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), problem: self.problem.clone() }
    }
}

/// A file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Which.
    pub(crate) file: PathBuf,
    /// Why; follows the name of the file.
    pub(crate) words: String,
}

/// All that was read, by the files that it came from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Materials {
    credentials: BTreeMap<(PathBuf, PathBuf), Unit<Credential>>,
    authorities: BTreeMap<PathBuf, Unit<Authorities>>,
    revocations: BTreeMap<PathBuf, Unit<Revocations>>,
    folders: BTreeMap<PathBuf, Pairs>,
    system: Option<Arc<Authorities>>,
}

impl Materials {
    /// Reads what the rules of `resources` and the flags of `plan` name. What is broken now stays as it is in `before`.
    pub fn read(resources: &ResourceSet, plan: &ListenPlan, before: &Self) -> Self {
        let mut wanted = Wanted::default();
        for rule in &resources.destination_rules {
            for tls in blocks(rule.spec.traffic_policy.as_ref().map(|policy| &policy.value)) {
                wanted.add(rule, tls);
            }
            for subset in rule.spec.subsets.iter().flat_map(|subsets| &subsets.value) {
                for tls in blocks(subset.traffic_policy.as_ref().map(|policy| &policy.value)) {
                    wanted.add(rule, tls);
                }
            }
        }
        if let Some(tls) = &plan.tls {
            wanted.pairs.extend(tls.pairs.iter().cloned());
            wanted.authorities.extend(tls.client_ca.clone());
            for folder in &tls.folders {
                let pairs = Pairs::read(folder, before.folders.get(folder));
                wanted.pairs.extend(pairs.found.iter().cloned());
                wanted.folders.insert(folder.clone(), pairs);
            }
        }
        wanted.read(before)
    }

    /// The chain and key of these files.
    pub(crate) fn credential(&self, chain: &Path, key: &Path) -> Option<&Unit<Credential>> {
        self.credentials.get(&(chain.to_owned(), key.to_owned()))
    }

    /// The authorities of this file.
    pub(crate) fn authorities(&self, file: &Path) -> Option<&Unit<Authorities>> {
        self.authorities.get(file)
    }

    /// The revocations of this file.
    pub(crate) fn revocations(&self, file: &Path) -> Option<&Unit<Revocations>> {
        self.revocations.get(file)
    }

    /// The pairs of this folder.
    pub(crate) fn folder(&self, folder: &Path) -> Option<&Pairs> {
        self.folders.get(folder)
    }

    /// Those whom the system trusts.
    pub(crate) fn system(&self) -> Option<&Arc<Authorities>> {
        self.system.as_ref()
    }

    /// The files, for watching: those of pairs that may come, too.
    pub fn files(&self) -> BTreeSet<PathBuf> {
        let pairs = self.credentials.keys().flat_map(|(chain, key)| [chain, key]);
        let folders =
            self.folders.iter().flat_map(|(named, pairs)| std::iter::once(named).chain(&pairs.folders));
        let to_come = folders.map(|folder| folder.join("tls.crt"));
        pairs.chain(self.authorities.keys()).chain(self.revocations.keys()).cloned().chain(to_come).collect()
    }

    /// Whether a file is broken, be it that an earlier version of it is still in use.
    pub fn has_problems(&self) -> bool {
        self.credentials.values().any(|unit| unit.problem.is_some())
            || self.authorities.values().any(|unit| unit.problem.is_some())
            || self.revocations.values().any(|unit| unit.problem.is_some())
            || self.folders.values().any(|pairs| !pairs.problems.is_empty())
    }

    /// Whether a file that was good is broken now, and counts as it was.
    pub fn holds_back(&self) -> bool {
        fn held<T>(unit: &Unit<T>) -> bool {
            unit.problem.is_some() && unit.value.is_some()
        }
        self.credentials.values().any(held)
            || self.authorities.values().any(held)
            || self.revocations.values().any(held)
            || self.folders.values().any(|pairs| !pairs.problems.is_empty() && !pairs.found.is_empty())
    }
}

/// The file that a rule names: beside the rule, unless it is written with its whole path.
pub(crate) fn file_of<T>(rule: &Resource<T>, written: &str) -> PathBuf {
    let folder = Path::new(&*rule.source.path).parent().unwrap_or(Path::new(""));
    folder.join(written)
}

/// The `tls` blocks of a policy.
fn blocks(policy: Option<&TrafficPolicy>) -> impl Iterator<Item = &ClientTls> {
    let ports = policy.and_then(|policy| policy.port_level_settings.as_ref());
    let of_ports = ports.into_iter().flat_map(|ports| &ports.value).filter_map(|port| port.tls.as_ref());
    policy.and_then(|policy| policy.tls.as_ref()).into_iter().chain(of_ports).map(|tls| &tls.value)
}

#[derive(Default)]
struct Wanted {
    pairs: BTreeSet<(PathBuf, PathBuf)>,
    authorities: BTreeSet<PathBuf>,
    revocations: BTreeSet<PathBuf>,
    folders: BTreeMap<PathBuf, Pairs>,
    system: bool,
}

impl Wanted {
    fn add<T>(&mut self, rule: &Resource<T>, tls: &ClientTls) {
        let mode = tls.mode.as_ref().map_or(TlsMode::Disable, |mode| mode.value);
        if !matches!(mode, TlsMode::Simple | TlsMode::Mutual) {
            return;
        }
        let file = |text: &Option<fuseboard_api::Spanned<String>>| {
            let text = text.as_ref().filter(|text| !text.is_empty())?;
            Some(file_of(rule, text))
        };
        if let (TlsMode::Mutual, Some(chain), Some(key)) =
            (mode, file(&tls.client_certificate), file(&tls.private_key))
        {
            self.pairs.insert((chain, key));
        }
        match file(&tls.ca_certificates) {
            Some(path) => self.authorities.extend([path]),
            None => self.system = true,
        }
        self.revocations.extend(file(&tls.ca_crl));
    }

    fn read(self, before: &Materials) -> Materials {
        let pair = |(chain, key): (PathBuf, PathBuf)| {
            let old = before.credentials.get(&(chain.clone(), key.clone()));
            let unit = unit(credential(&chain, &key), old);
            ((chain, key), unit)
        };
        let one = |path: PathBuf| {
            let made = text(&path).and_then(|text| {
                Authorities::from_pem(&path.to_string_lossy(), &text).map_err(|error| problem(&path, &error))
            });
            let unit = unit(made, before.authorities.get(&path));
            (path, unit)
        };
        let list = |path: PathBuf| {
            let made = text(&path)
                .and_then(|text| Revocations::from_pem(&text).map_err(|error| problem(&path, &error)));
            let unit = unit(made, before.revocations.get(&path));
            (path, unit)
        };
        let system = || before.system.clone().unwrap_or_else(|| Arc::new(Authorities::of_system()));
        Materials {
            credentials: self.pairs.into_iter().map(pair).collect(),
            authorities: self.authorities.into_iter().map(one).collect(),
            revocations: self.revocations.into_iter().map(list).collect(),
            folders: self.folders,
            system: self.system.then(system),
        }
    }
}

fn unit<T: PartialEq>(made: Result<T, Problem>, before: Option<&Unit<T>>) -> Unit<T> {
    let old = before.and_then(|unit| unit.value.clone());
    match made {
        // The same value stays the same one, so that whoever compares sees it at once.
        Ok(value) => match old.filter(|old| **old == value) {
            Some(old) => Unit { value: Some(old), problem: None },
            None => Unit { value: Some(Arc::new(value)), problem: None },
        },
        Err(problem) => Unit { value: old, problem: Some(problem) },
    }
}

fn credential(chain: &Path, key: &Path) -> Result<Credential, Problem> {
    let (chain_text, key_text) = (text(chain)?, text(key)?);
    Credential::from_pem(&chain.to_string_lossy(), &chain_text, &key_text).map_err(|error| match error {
        CredentialError::Certificate(error) => problem(chain, &error),
        CredentialError::Key(error) => problem(key, &error),
    })
}

fn text(path: &Path) -> Result<Vec<u8>, Problem> {
    let read = || {
        let mut text = Vec::new();
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::from(io::ErrorKind::IsADirectory));
        }
        file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    match read() {
        Ok(text) if text.len() as u64 > MAX_BYTES => Err(problem(path, &"is larger than 1 MB")),
        Ok(text) => Ok(text),
        Err(error) => Err(problem(path, &format_args!("cannot be read: {error}"))),
    }
}

fn problem(file: &Path, words: &dyn ToString) -> Problem {
    Problem { file: file.to_owned(), words: words.to_string() }
}
