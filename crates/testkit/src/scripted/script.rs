//! What a fake upstream does with connections and requests: a list of steps for each request, chosen by a
//! script.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::gate::Gate;
use super::reply::Reply;
use super::upstream::SeenRequest;

/// One step of a behaviour.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    ReadBody,
    Wait(Gate),
    Send(Vec<u8>),
    /// One byte for each pass of the gate.
    Trickle(Vec<u8>, Gate),
    /// Sends back whatever comes, until the peer closes.
    Echo,
    Close,
    Reset,
    /// Reads whatever comes and says nothing, until the peer closes.
    Silence,
    /// Does not even read, until the peer closes.
    Hold,
}

/// What happens to one request once its head has come. Built from one of the constructors; then the
/// connection stays open for the next request unless a step closed it.
#[derive(Debug, Clone)]
pub struct Behaviour {
    pub(crate) steps: Vec<Step>,
}

impl Behaviour {
    fn steps(steps: impl Into<Vec<Step>>) -> Self {
        Self { steps: steps.into() }
    }

    /// Reads the request to its end and answers. Closes after a reply that says so.
    pub fn answer(reply: &Reply) -> Self {
        let mut steps = vec![Step::ReadBody, Step::Send([reply.head_bytes(), reply.body_bytes()].concat())];
        if reply.closes() {
            steps.push(Step::Close);
        }
        Self { steps }
    }

    /// Answers at once, without reading the request's body, and closes.
    pub fn answer_early(reply: &Reply) -> Self {
        Self::steps([Step::Send([reply.head_bytes(), reply.body_bytes()].concat()), Step::Close])
    }

    /// Says `100 Continue` first, as asked by `expect: 100-continue`; then answers.
    pub fn continue_then(reply: &Reply) -> Self {
        let mut behaviour = Self::answer(reply);
        behaviour.steps.insert(0, Step::Send(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()));
        behaviour
    }

    /// Sends the head, and the body once the gate lets it through.
    pub fn body_after(gate: &Gate, reply: &Reply) -> Self {
        Self::steps([
            Step::ReadBody,
            Step::Send(reply.head_bytes()),
            Step::Wait(gate.clone()),
            Step::Send(reply.body_bytes()),
        ])
    }

    /// Sends the reply byte by byte, one for each pass of the gate.
    pub fn trickle(gate: &Gate, reply: &Reply) -> Self {
        let bytes = [reply.head_bytes(), reply.body_bytes()].concat();
        Self::steps([Step::ReadBody, Step::Trickle(bytes, gate.clone())])
    }

    /// Reads the request and closes without a byte of answer.
    pub fn close() -> Self {
        Self::steps([Step::ReadBody, Step::Close])
    }

    /// Closes as soon as the request's head has come, without reading its body. What of the body has arrived
    /// by then makes the kernel reset the connection.
    pub fn close_early() -> Self {
        Self::steps([Step::Close])
    }

    /// Sends the head of the reply and closes before its body.
    pub fn close_after_head(reply: &Reply) -> Self {
        Self::close_in_body(reply, 0)
    }

    /// Sends the head and so many bytes of the body (as it stands on the wire), then closes.
    pub fn close_in_body(reply: &Reply, bytes: usize) -> Self {
        let part = [&reply.head_bytes()[..], &reply.body_bytes()[..bytes]].concat();
        Self::steps([Step::ReadBody, Step::Send(part), Step::Close])
    }

    /// Reads the request and resets the connection.
    pub fn reset() -> Self {
        Self::steps([Step::ReadBody, Step::Reset])
    }

    /// Sends the head and so many bytes of the body, waits for the gate (so that they can arrive), then
    /// resets the connection.
    pub fn reset_in_body(gate: &Gate, reply: &Reply, bytes: usize) -> Self {
        let part = [&reply.head_bytes()[..], &reply.body_bytes()[..bytes]].concat();
        Self::steps([Step::ReadBody, Step::Send(part), Step::Wait(gate.clone()), Step::Reset])
    }

    /// Reads the request, sends these bytes, whatever they are, and leaves the connection open.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::steps([Step::ReadBody, Step::Send(bytes.into())])
    }

    /// Sends these bytes when the request's head has come, and neither reads its body nor closes.
    pub fn raw_unread(bytes: impl Into<Vec<u8>>) -> Self {
        Self::steps([Step::Send(bytes.into()), Step::Hold])
    }

    /// Reads the request, sends the first bytes, and the second once the gate lets it.
    pub fn raw_then(first: impl Into<Vec<u8>>, gate: &Gate, second: impl Into<Vec<u8>>) -> Self {
        Self::steps([
            Step::ReadBody,
            Step::Send(first.into()),
            Step::Wait(gate.clone()),
            Step::Send(second.into()),
        ])
    }

    /// Reads the request and says nothing until the peer closes.
    pub fn silent() -> Self {
        Self::steps([Step::ReadBody, Step::Silence])
    }

    /// Does not even read the request's body (the peer's sending comes to a halt), until the gate lets it;
    /// then reads and answers.
    pub fn read_body_after(gate: &Gate, reply: &Reply) -> Self {
        Self::answer(reply).after_head(gate)
    }

    /// Switches protocols (101, with this token), then sends back whatever comes until the peer closes.
    pub fn upgrade_and_echo(protocol: &str) -> Self {
        let head =
            format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {protocol}\r\n\r\n");
        Self::steps([Step::ReadBody, Step::Send(head.into_bytes()), Step::Echo])
    }

    /// The same, but waits at the gate once the request is read.
    #[must_use]
    pub fn after(mut self, gate: &Gate) -> Self {
        let read = self.steps.iter().position(|step| matches!(step, Step::ReadBody)).map_or(0, |at| at + 1);
        self.steps.insert(read, Step::Wait(gate.clone()));
        self
    }

    fn after_head(mut self, gate: &Gate) -> Self {
        self.steps.insert(0, Step::Wait(gate.clone()));
        self
    }

    /// The same, but closes in the end, without having said so: a peer that thinks the connection is reusable
    /// finds it dead.
    #[must_use]
    pub fn then_close(mut self) -> Self {
        self.steps.push(Step::Close);
        self
    }
}

type Choice = dyn Fn(&SeenRequest) -> Behaviour + Send + Sync;

/// Chooses a behaviour for each request.
pub struct Script(Box<Choice>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    /// The same for every request.
    pub fn always(behaviour: Behaviour) -> Self {
        Self::by(move |_| behaviour.clone())
    }

    /// 200 and this body for every request.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self::always(Behaviour::answer(&Reply::ok(body)))
    }

    /// One after the other in the order in which requests come; the last one again and again.
    pub fn in_order(behaviours: impl IntoIterator<Item = Behaviour>) -> Self {
        let behaviours: Vec<_> = behaviours.into_iter().collect();
        assert!(!behaviours.is_empty(), "a script has a behaviour");
        let next = AtomicUsize::new(0);
        Self::by(move |_| {
            let at = next.fetch_add(1, Ordering::SeqCst);
            behaviours[at.min(behaviours.len() - 1)].clone()
        })
    }

    /// By what the request is.
    pub fn by(choose: impl Fn(&SeenRequest) -> Behaviour + Send + Sync + 'static) -> Self {
        Self(Box::new(choose))
    }

    pub(crate) fn choose(&self, request: &SeenRequest) -> Behaviour {
        (self.0)(request)
    }
}

/// What happens to a connection before any request.
#[derive(Debug, Clone, Default)]
pub enum OnAccept {
    /// Requests are read.
    #[default]
    Serve,
    /// Closed at once.
    Close,
    /// Reset at once.
    Reset,
    /// Nothing is read or said until the peer closes.
    Silence,
    /// These bytes are sent before anything was asked; then requests are read.
    Speak(Vec<u8>),
}
