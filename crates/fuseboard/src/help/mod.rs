//! What `fuseboard help` knows besides the commands: topics, refusal reasons, response flags and diagnostics. Each page is made
//! from the table that decides the thing itself, so that it cannot say something else.

mod diagnostics;
pub(crate) mod migrate;
mod reasons;

use serde::Serialize;
use serde_json::{Value, json};

use crate::exit::Exit;

/// Columns that a page fills at most.
const WIDTH: usize = 80;

/// Something that can be read about.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) text: String,
    /// What it lists, for `-o json`; empty where it is prose.
    pub(crate) entries: Vec<Entry>,
}

/// One thing in a list, with what is said of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) about: String,
}

/// A page with a name of its own.
struct Topic {
    name: &'static str,
    about: &'static str,
    page: fn() -> (String, Vec<Entry>),
}

const TOPICS: [Topic; 6] = [
    Topic {
        name: "flags",
        about: "what flags, addresses and durations mean everywhere",
        page: || prose(include_str!("flags.txt")),
    },
    Topic { name: "exit-codes", about: "what the process says when it ends", page: exit_codes },
    Topic {
        name: "environment",
        about: "the variables that are looked at",
        page: || prose(include_str!("environment.txt")),
    },
    Topic {
        name: "reasons",
        about: "why a call was refused: reasons and response flags",
        page: reasons::overview,
    },
    Topic {
        name: "diagnostics",
        about: "what analyze and run say about files, by code",
        page: diagnostics::overview,
    },
    Topic {
        name: "migrate",
        about: "coming from fortio, istioctl, pilot-agent, Hystrix or resilience4j",
        page: migrate::page,
    },
];

/// The page about `word`: a topic, a reason, a response flag or a diagnostic.
pub(crate) fn find(word: &str) -> Option<Page> {
    let (text, entries) = match word {
        "topics" => topics(),
        _ => match TOPICS.iter().find(|topic| topic.name == word) {
            Some(topic) => (topic.page)(),
            None => (reasons::find(word).or_else(|| diagnostics::find(word))?, Vec::new()),
        },
    };
    Some(Page { name: word.to_owned(), text, entries })
}

/// Every word that [`find`] knows.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    let topics = TOPICS.iter().map(|topic| topic.name).chain(["topics"]);
    topics.chain(reasons::words()).chain(diagnostics::words())
}

impl Page {
    /// As `-o json` prints it.
    pub(crate) fn to_json(&self) -> Value {
        let mut document = json!({ "apiVersion": "fuseboard.dev/v1", "topic": self.name });
        if self.entries.is_empty() {
            document["text"] = json!(self.text);
        } else {
            document["entries"] = json!(self.entries);
        }
        document
    }
}

fn topics() -> (String, Vec<Entry>) {
    let entries: Vec<Entry> = TOPICS.iter().map(|topic| Entry::new(topic.name, topic.about)).collect();
    let text = format!(
        "Topics, read with fuseboard help TOPIC:\n{}\n\
         Besides: a command (fuseboard help run), a refusal reason (fuseboard help\n\
         limit.queue_full), a response flag (fuseboard help UO), a diagnostic\n\
         (fuseboard help FB001).\n",
        list(&entries)
    );
    (text, entries)
}

fn exit_codes() -> (String, Vec<Entry>) {
    let entries: Vec<Entry> =
        Exit::ALL.iter().map(|exit| Entry::new((*exit as u8).to_string(), exit.meaning())).collect();
    (format!("Exit codes, the same for every command:\n{}", list(&entries)), entries)
}

fn prose(text: &str) -> (String, Vec<Entry>) {
    (text.to_owned(), Vec::new())
}

impl Entry {
    fn new(name: impl Into<String>, about: impl Into<String>) -> Self {
        Self { name: name.into(), about: about.into() }
    }
}

/// Two columns, the second one wrapped.
fn list(entries: &[Entry]) -> String {
    let names = entries.iter().map(|entry| entry.name.chars().count()).max().unwrap_or_default();
    let indent = " ".repeat(names + 4);
    let lines = entries.iter().map(|entry| {
        let first = format!("  {:names$}  ", entry.name);
        textwrap::fill(
            &entry.about,
            textwrap::Options::new(WIDTH).initial_indent(&first).subsequent_indent(&indent),
        ) + "\n"
    });
    lines.collect()
}

/// A paragraph.
fn paragraph(text: &str) -> String {
    textwrap::fill(text, WIDTH) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_leads_to_a_page_that_fits_the_screen() {
        for word in words() {
            let page = find(word).unwrap_or_else(|| panic!("no page about {word}"));
            assert!(page.text.ends_with('\n') && page.text.lines().count() > 1, "{word}: {page:?}");
            for line in page.text.lines() {
                let is_command = line.trim_start().starts_with(['$', '`']);
                assert!(is_command || line.chars().count() <= WIDTH, "{word}: {line}");
            }
        }
    }

    #[test]
    fn a_list_is_wrapped_under_its_second_column() {
        let text = list(&[Entry::new("a", "word ".repeat(20)), Entry::new("bcd", "x")]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].starts_with("  a    word") && lines[1].starts_with("       word"), "{text}");
        assert_eq!(lines.last(), Some(&"  bcd  x"));
    }
}
