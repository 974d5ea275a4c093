//! Texts into a [`ResourceSet`] and all that is wrong with them. One pass: text to tree (`yaml`), tree against schema
//! (`check`), rules between fields (`rules`), tree to typed resource (`document`).

mod body_file;
mod check;
mod document;
mod report;
mod rules;
mod suggest;
mod yaml;

pub(crate) use rules::{base64_of, word_of};
pub use suggest::nearest;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use fuseboard_api::Span;
use fuseboard_snapshot::{Location, ResourceRef};

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::folder::{self, Texts};
use crate::listen::ListenPlan;
use crate::material::Materials;
use crate::set::{DEFAULT_NAMESPACE, ResourceSet};
use crate::source::{Content, Place, Source, SourceText};

/// Largest file that is read, in bytes. Kubernetes' API server takes resources up to 1.5 MB.
pub const MAX_FILE_BYTES: usize = 4 << 20;
/// Problems listed for one file; the rest of the file is not read after that.
const MAX_PROBLEMS: usize = 100;

/// Reads `sources`. Never stops at a problem: the set has every resource without an error, the diagnostics all problems,
/// by file and line.
pub fn load(sources: &[SourceText]) -> (ResourceSet, Diagnostics) {
    load_in(sources, DEFAULT_NAMESPACE)
}

/// As [`load`]; resources that name no namespace belong to `namespace`.
fn load_in(sources: &[SourceText], namespace: &str) -> (ResourceSet, Diagnostics) {
    let mut loader = Loader {
        namespace: namespace.to_owned(),
        set: ResourceSet::default(),
        diagnostics: Diagnostics::new(),
        seen: HashMap::new(),
    };
    for source in sources {
        loader.file(source);
    }
    loader.diagnostics.sort();
    loader.set.shrink();
    (loader.set, loader.diagnostics)
}

/// Reads files and folders as [`folder::read`] finds them, then as [`load`] does.
pub fn load_paths(paths: &[PathBuf]) -> (ResourceSet, Diagnostics) {
    with_materials(load_texts(&folder::read(paths)))
}

/// As [`load_paths`], as `kubectl -n` does it: resources that name no namespace belong to `namespace`.
pub fn load_paths_in(paths: &[PathBuf], namespace: &str) -> (ResourceSet, Diagnostics) {
    with_materials(load_texts_in(&folder::read(paths), namespace))
}

/// With the files that the rules name.
fn with_materials((mut set, diagnostics): (ResourceSet, Diagnostics)) -> (ResourceSet, Diagnostics) {
    set.read_materials(&ListenPlan::outbound(Vec::new()), &Materials::default());
    (set, diagnostics)
}

/// As [`load`], with what kept some files from being read.
pub fn load_texts(texts: &Texts) -> (ResourceSet, Diagnostics) {
    load_texts_in(texts, DEFAULT_NAMESPACE)
}

fn load_texts_in(texts: &Texts, namespace: &str) -> (ResourceSet, Diagnostics) {
    let (mut set, found) = load_in(&texts.sources, namespace);
    set.unreadable.extend_from_slice(&texts.unreadable);
    let mut diagnostics = texts.diagnostics.clone();
    diagnostics.append(found);
    (set, diagnostics)
}

/// What has been read so far.
struct Loader {
    /// Of resources that name none.
    namespace: String,
    set: ResourceSet,
    diagnostics: Diagnostics,
    /// Where each resource was found first.
    seen: HashMap<ResourceRef, Location>,
}

impl Loader {
    fn file(&mut self, file: &SourceText) {
        let source = match text_of(file) {
            Ok(source) => source,
            Err(problem) => {
                self.set.unreadable.push(file.path.clone());
                self.diagnostics.push(*problem);
                return;
            }
        };
        let before = self.diagnostics.len();
        yaml::read(&source, |document| {
            if document.root.is_none() {
                self.note_unreadable(&source);
            }
            document::read(document, &source, self);
            if self.diagnostics.len() - before < MAX_PROBLEMS {
                return ControlFlow::Continue(());
            }
            self.note_unreadable(&source);
            let message = format!(
                "more than {MAX_PROBLEMS} problems in {}; the rest of the file was not read",
                source.path
            );
            self.diagnostics
                .push(Diagnostic::new(Code::TooManyProblems, message).help("correct these first"));
            ControlFlow::Break(())
        });
    }

    fn note_unreadable(&mut self, source: &Source) {
        if self.set.unreadable.last() != Some(&source.path) {
            self.set.unreadable.push(source.path.clone());
        }
    }
}

/// The text of a file, without its byte-order mark.
fn text_of(file: &SourceText) -> Result<Arc<Source>, Box<Diagnostic>> {
    let problem = |code, message: String, text: Arc<str>, span, help: &str| {
        let source = Arc::new(Source { path: file.path.clone(), text });
        Box::new(Diagnostic::new(code, message).at(Place { source, span }).help(help))
    };
    let top = Span { line: 1, column: 1, ..Span::default() };
    if file.content.as_bytes().len() > MAX_FILE_BYTES {
        // How much more is not known: reading stops there.
        let message =
            format!("the file has more than {} MB, which is as much as is read", MAX_FILE_BYTES >> 20);
        return Err(problem(Code::TooLarge, message, "".into(), top, "split it at a line with ---"));
    }
    let bytes = match &file.content {
        Content::Text(text) => {
            let unmarked = text.strip_prefix('\u{FEFF}').map_or_else(|| Arc::clone(text), Arc::from);
            return Ok(Arc::new(Source { path: file.path.clone(), text: unmarked }));
        }
        Content::Other(bytes) => &**bytes,
    };
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let good = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let span = end_of(good);
    let byte = bytes.get(good.len()).copied().unwrap_or_default();
    let message = format!("the file is not UTF-8: byte 0x{byte:02X} in line {}", span.line);
    let utf16 = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    let help = if utf16 { "it looks like UTF-16; save it as UTF-8" } else { "save it as UTF-8" };
    Err(problem(Code::NotUtf8, message, good.into(), span, help))
}

/// The place after the last character.
fn end_of(text: &str) -> Span {
    let clamp = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let line = clamp(text.bytes().filter(|&byte| byte == b'\n').count()).saturating_add(1);
    let column = clamp(text.rsplit('\n').next().unwrap_or_default().chars().count()).saturating_add(1);
    Span { start: clamp(text.len()), end: clamp(text.len()), line, column }
}
