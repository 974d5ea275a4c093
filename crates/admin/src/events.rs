//! `/fuseboard/v1/events`: what happens, as it happens, as server-sent events. What is kept, and for how long, is the proxy's
//! business; here is what an event looks like, who wants which, and how a position in the stream is written. Version 1; fields are only
//! ever added.

use std::fmt::Write as _;

use fuseboard_snapshot::ServiceName;
use serde::{Deserialize, Serialize};

use crate::breakers;
use crate::hosts::Service;
use crate::page::Page;
use crate::query::Query;
use crate::status::HistoryRecord;
use crate::wanted::Wanted;

/// The content type of the stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// The types that a request can ask for.
pub const TYPES: [&str; 8] = [
    "breaker",
    "ejected",
    "returned",
    "ejection_refused",
    "limit_reached",
    "limit_left",
    "override_set",
    "override_ended",
];

/// Something that happened to a cluster, with its place among everything that did.
#[derive(Clone, Debug)]
pub struct EventRecord {
    /// Counts from 1.
    pub number: u64,
    /// Envoy's name of the cluster.
    pub cluster: std::sync::Arc<str>,
    /// The service it is for.
    pub service: ServiceName,
    /// When, and what.
    pub record: HistoryRecord,
}

/// The data of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// 1
    pub version: u32,
    /// Its place in the stream, for `Last-Event-ID`.
    pub id: String,
    /// Envoy's name of the cluster.
    pub cluster: String,
    /// The service it is for.
    pub service: Service,
    /// When, and what; `what` is its type.
    #[serde(flatten)]
    pub event: breakers::Event,
}

/// The data of the first event of every stream, `hello`: where it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// 1
    pub version: u32,
    /// What comes is later than this.
    pub id: String,
}

/// The data of a `gap`: events of any type that happened before the next one and are not kept any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// 1
    pub version: u32,
    /// How many; null: nobody knows, because the proxy was started anew.
    pub lost: Option<u64>,
}

/// A place in the events of one run of one proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Of the run: other runs count anew.
    pub run: u64,
    /// The number of the last event before it.
    pub number: u64,
}

impl Position {
    /// Reads what [`Self::id`] wrote.
    pub fn parse(id: &str) -> Option<Self> {
        let (run, number) = id.trim().split_once('-')?;
        Some(Self { run: u64::from_str_radix(run, 16).ok()?, number: number.parse().ok()? })
    }

    /// As events bear it.
    pub fn id(self) -> String {
        format!("{:x}-{}", self.run, self.number)
    }
}

/// Which events somebody wants; nothing said: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    service: Option<Wanted>,
    types: Vec<String>,
}

impl Filter {
    /// From the parameters `service` and `type`. Fails with the page that says what is wrong.
    pub fn read(query: &Query) -> Result<Self, Page> {
        let said = |name| query.get(name).filter(|text| !text.is_empty());
        let service = said("service").map(Wanted::parse).transpose();
        let service = service.map_err(|problem| Page::text_with(400, format!("service: {problem}\n")))?;
        let types: Vec<String> =
            said("type").map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default();
        if let Some(unknown) = types.iter().find(|one| !TYPES.contains(&one.as_str())) {
            let text = format!("type: there is no {unknown}; write some of {}\n", TYPES.join(","));
            return Err(Page::text_with(400, text));
        }
        Ok(Self { service, types })
    }

    /// Whether it is wanted.
    pub fn admits(&self, record: &EventRecord) -> bool {
        let service = &record.service;
        let is_of =
            |wanted: &Wanted| wanted.is(&service.host, &service.name, &service.namespace, service.port);
        let is_type = |one: &String| one == record.record.event.token();
        self.service.as_ref().is_none_or(is_of) && (self.types.is_empty() || self.types.iter().any(is_type))
    }
}

impl EventRecord {
    /// The event as the stream of this run has it.
    pub fn frame(&self, run: u64) -> String {
        let id = Position { run, number: self.number }.id();
        let event = Event {
            version: 1,
            id: id.clone(),
            cluster: self.cluster.to_string(),
            service: Service::of(&self.service),
            event: breakers::Event::of(&self.record),
        };
        frame(Some(&id), self.record.event.token(), &event)
    }
}

/// The first event: what follows is later than `position`. Clients wait for a second before they connect again.
pub fn hello(position: Position) -> String {
    let id = position.id();
    format!("retry: 1000\n{}", frame(Some(&id), "hello", &Hello { version: 1, id: id.clone() }))
}

/// Events are missing here.
pub fn gap(lost: Option<u64>) -> String {
    frame(None, "gap", &Gap { version: 1, lost })
}

/// What shows that the stream lives, and how far it has come: a client that connects again need not look at what a filter left out.
pub fn keep_alive(position: Position) -> String {
    format!(": nothing new\nid: {}\n\n", position.id())
}

fn frame(id: Option<&str>, kind: &str, data: &impl Serialize) -> String {
    let mut text = String::new();
    if let Some(id) = id {
        let _ = writeln!(text, "id: {id}");
    }
    // Texts and numbers alone: this cannot fail. JSON on one line has no line break.
    let data = serde_json::to_string(data).unwrap_or_default();
    let _ = write!(text, "event: {kind}\ndata: {data}\n\n");
    text
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use crate::status::HistoryEvent;

    use super::*;

    fn record() -> EventRecord {
        let service = ServiceName {
            host: "web.shop.svc.cluster.local".into(),
            port: 80,
            name: "web".into(),
            namespace: "shop".into(),
            subset: "".into(),
        };
        let event = HistoryEvent::Returned { address: ([10, 0, 0, 1], 8080).into() };
        let record = HistoryRecord { at: SystemTime::UNIX_EPOCH, event };
        EventRecord { number: 7, cluster: "outbound|80||web.shop.svc.cluster.local".into(), service, record }
    }

    #[test]
    fn an_event_is_its_place_its_type_and_one_line_of_json() {
        assert_eq!(
            record().frame(255),
            "id: ff-7\nevent: returned\ndata: {\"version\":1,\"id\":\"ff-7\",\
             \"cluster\":\"outbound|80||web.shop.svc.cluster.local\",\
             \"service\":{\"host\":\"web.shop.svc.cluster.local\",\"name\":\"web\",\"namespace\":\"shop\",\"port\":80,\
             \"subset\":\"\"},\"at\":\"1970-01-01T00:00:00.000Z\",\"what\":\"returned\",\"host\":\"10.0.0.1:8080\"}\n\n"
        );
        assert_eq!(gap(Some(3)), "event: gap\ndata: {\"version\":1,\"lost\":3}\n\n");
        assert_eq!(gap(None), "event: gap\ndata: {\"version\":1,\"lost\":null}\n\n");
    }

    #[test]
    fn a_position_reads_back_and_what_is_none_is_none() {
        let position = Position { run: 0x19a_beef, number: u64::MAX };
        assert_eq!(Position::parse(&position.id()), Some(position));
        for text in ["", "4711", "-1", "x-1", "1-", "1--1"] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_filter_knows_services_and_types() {
        let admits = |query: &str| Filter::read(&Query::parse(query)).unwrap().admits(&record());
        for query in
            ["", "service=", "service=web", "service=web.shop:80&type=breaker,returned", "type=returned"]
        {
            assert!(admits(query), "{query}");
        }
        for query in ["service=we", "service=web:81", "type=breaker", "type=ejected,breaker"] {
            assert!(!admits(query), "{query}");
        }
        let refused = Filter::read(&Query::parse("type=brekaer")).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.body.starts_with("type: there is no brekaer; write some of breaker,ejected,"));
        assert_eq!(Filter::read(&Query::parse("service=web:x")).unwrap_err().status, 400);
    }
}
