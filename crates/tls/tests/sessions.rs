//! Two sessions that speak with each other through memory: who trusts whom, which certificate is shown, which version is spoken,
//! how an end is told from a cut. No socket, no clock that waits.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in what it calls too")]

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;

use fuseboard_testkit::tls::{Authority, Pair, Validity, client};
use fuseboard_tls::{
    ClientContext, ClientPolicy, Failure, FailureKind, Names, ProtocolVersion, ServerContext, ServerPolicy,
    Session, TlsVersion,
};

/// What one side reads, and what it wrote.
#[derive(Default)]
struct Pipe {
    input: VecDeque<u8>,
    output: Vec<u8>,
    /// Nothing more comes.
    ended: bool,
}

impl Read for Pipe {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() && !self.ended {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(room)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One side of a connection.
struct Side {
    session: Box<Session>,
    pipe: Pipe,
}

impl Side {
    fn new(session: Box<Session>) -> Self {
        Self { session, pipe: Pipe::default() }
    }

    /// Goes as far as it can with what is there.
    fn step(&mut self) -> Result<(), Failure> {
        let blocked = |done: io::Result<()>| match done {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            done => done.map_err(Failure::of),
        };
        blocked(self.session.flush(&mut self.pipe))?;
        while !self.pipe.input.is_empty() {
            blocked(self.session.fill(&mut self.pipe))?;
        }
        Ok(())
    }

    fn say(&mut self, bytes: &[u8]) {
        assert_eq!(self.session.write(&mut self.pipe, bytes).unwrap(), bytes.len());
    }

    fn hear(&mut self) -> io::Result<Vec<u8>> {
        let mut room = [0; 100];
        self.session.take(&mut room).map(|n| room[..n].to_vec())
    }
}

/// What comes of it; the client's failure first.
type Met = Result<(Side, Side), Box<(Option<Failure>, Option<Failure>)>>;

fn meet(client: &ClientContext, name: &str, server: &ServerContext) -> Met {
    let (mut client, mut server) =
        (Side::new(client.begin(name).unwrap()), Side::new(server.begin().unwrap()));
    let mut failures = (None, None);
    for _ in 0..10 {
        failures.0 = failures.0.or_else(|| client.step().err());
        server.pipe.input.extend(client.pipe.output.drain(..));
        failures.1 = failures.1.or_else(|| server.step().err());
        client.pipe.input.extend(server.pipe.output.drain(..));
    }
    if failures.0.is_some() || failures.1.is_some() {
        return Err(Box::new(failures));
    }
    assert!(!client.session.is_handshaking() && !server.session.is_handshaking());
    Ok((client, server))
}

fn try_policies(client: ClientPolicy, name: &str, server: ServerPolicy) -> Met {
    let client = ClientContext::new(&Arc::new(client), &[]).unwrap();
    meet(&client, name, &ServerContext::new(&Arc::new(server), &[]).unwrap())
}

/// Which counter the client's failure belongs to.
fn clients_failure(met: Met) -> FailureKind {
    met.err().unwrap().0.unwrap().kind()
}

fn servers_failure(met: Met) -> FailureKind {
    met.err().unwrap().1.unwrap().kind()
}

#[test]
fn words_pass_both_ways_and_an_end_is_told_from_a_cut() {
    let authority = Authority::new("ours");
    let server = authority.issue(&["a.test"]).server();
    let (mut one, mut other) = try_policies(client(&authority), "a.test", server).ok().unwrap();
    one.say(b"to");
    other.pipe.input.extend(one.pipe.output.drain(..));
    other.step().unwrap();
    assert_eq!(other.hear().unwrap(), b"to");
    assert_eq!(other.hear().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    other.say(b"fro");
    other.session.end(&mut other.pipe).unwrap();
    one.pipe.input.extend(other.pipe.output.drain(..));
    one.step().unwrap();
    assert_eq!(one.hear().unwrap(), b"fro");
    assert_eq!(one.hear().unwrap(), b"", "an end that was said");
    one.say(b"still");
    other.pipe.input.extend(one.pipe.output.drain(..));
    other.pipe.ended = true;
    other.step().unwrap();
    assert_eq!(other.hear().unwrap(), b"still", "the other direction goes on");
    other.session.fill(&mut other.pipe).unwrap();
    assert_eq!(other.hear().unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "a cut");
}

#[test]
fn nobody_speaks_a_version_below_either_ones_lowest() {
    let authority = Authority::new("ours");
    let pair = authority.issue(&["a.test"]);
    for (of_client, of_server) in [
        (TlsVersion::V1_2, TlsVersion::V1_2),
        (TlsVersion::V1_3, TlsVersion::V1_2),
        (TlsVersion::V1_2, TlsVersion::V1_3),
    ] {
        let policy = ClientPolicy { min_version: of_client, ..client(&authority) };
        let server = ServerPolicy { min_version: of_server, ..pair.server() };
        let (one, _) = try_policies(policy, "a.test", server).ok().unwrap();
        assert_eq!(one.session.peer().version, Some(ProtocolVersion::TLSv1_3), "the highest of both");
    }
    // One that knows 1.2 only: its ClientHello names signatures and groups, and no versions.
    let server = ServerPolicy { min_version: TlsVersion::V1_3, ..pair.server() };
    let mut side = Side::new(ServerContext::new(&Arc::new(server), &[]).unwrap().begin().unwrap());
    let extensions = b"\0\x10\0\x0d\0\x04\0\x02\x04\x03\0\x0a\0\x04\0\x02\0\x1d";
    let body = [&b"\x03\x03"[..], &[7; 32], b"\0\0\x02\xc0\x2b\x01\0", extensions].concat();
    let length = u8::try_from(body.len()).unwrap();
    let head = [0x16, 3, 1, 0, length + 4, 1, 0, 0, length];
    side.pipe.input.extend([&head[..], &body].concat());
    let failure = side.step().unwrap_err();
    assert!(failure.reason().contains("UNSUPPORTED_PROTOCOL"), "{}", failure.reason());
    assert_eq!(side.pipe.output[0], 0x15, "an alert says so");
}

#[test]
fn the_certificate_is_the_one_for_the_name_that_is_asked_for() {
    let authority = Authority::new("ours");
    let pairs = [authority.issue(&["a.test"]), authority.issue(&["b.test", "*.c.test"])];
    let credentials = pairs.iter().map(Pair::credential).collect();
    let policy = ServerPolicy { credentials, ..pairs[0].server() };
    for (name, shown) in [
        ("a.test", Some("a.test")),
        ("B.test", Some("b.test")),
        ("x.c.test", Some("b.test")),
        ("x.y.c.test", None),
        ("c.test", None),
        ("d.test", None),
    ] {
        let met = try_policies(client(&authority), name, policy.clone());
        match shown {
            Some(shown) => {
                let (one, other) = met.ok().unwrap();
                assert_eq!(one.session.peer_certificate().unwrap().dns[0], shown, "{name}");
                assert_eq!(other.session.server_name(), Some(&*name.to_ascii_lowercase()));
            }
            // It is shown the first.
            None => assert_eq!(clients_failure(met), FailureKind::Name, "{name}"),
        }
    }
}

#[test]
fn a_servers_certificate_must_be_for_it_signed_in_force_and_not_taken_back() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let with = |pair: &Pair, policy: ClientPolicy| try_policies(policy, "a.test", pair.server());
    let good = ours.issue(&["a.test"]);
    assert!(with(&good, client(&ours)).is_ok());
    let cases = [
        (ours.issue(&["b.test"]), FailureKind::Name),
        (others.issue(&["a.test"]), FailureKind::Certificate),
        (ours.issue_with(&["a.test"], Validity::Over, 2), FailureKind::Certificate),
        (ours.issue_with(&["a.test"], Validity::Later, 3), FailureKind::Certificate),
    ];
    for (pair, kind) in cases {
        assert_eq!(clients_failure(with(&pair, client(&ours))), kind);
        let unchecked = ClientPolicy { trust: None, names: Names::Any, ..client(&ours) };
        assert!(with(&pair, unchecked).is_ok(), "who checks nothing takes it");
    }
    let revoked = ClientPolicy { trust: Some(ours.trust_but(&[7])), ..client(&ours) };
    for (serial, is_good) in [(6, true), (7, false)] {
        let pair = ours.issue_with(&["a.test"], Validity::Now, serial);
        let met = with(&pair, revoked.clone());
        assert_eq!(met.is_ok(), is_good, "{serial}");
        if let Some(failure) = met.err().and_then(|failures| failures.0) {
            assert!(failure.reason().contains("certificate revoked"), "{}", failure.reason());
        }
    }
}

#[test]
fn a_rule_may_say_which_names_a_certificate_may_have() {
    let ours = Authority::new("ours");
    let names = |names: &[&str]| Names::OneOf(names.iter().map(|name| (*name).to_owned()).collect());
    let pair = ours.issue(&["b.test", "*.c.test", "spiffe://td/ns/x/sa/y", "10.0.0.1"]);
    for (wanted, is_good) in [
        (names(&["b.test"]), true),
        (names(&["z.test", "d.c.test"]), true),
        (names(&["spiffe://td/ns/x/sa/y"]), true),
        (names(&["spiffe://td/ns/x/sa"]), false),
        (names(&["10.0.0.1"]), true),
        (names(&["10.0.0.2"]), false),
        (Names::Requested, false),
    ] {
        let policy = ClientPolicy { names: wanted.clone(), ..client(&ours) };
        assert_eq!(try_policies(policy, "a.test", pair.server()).is_ok(), is_good, "{wanted:?}");
    }
}

#[test]
fn who_must_show_a_certificate_and_shows_no_good_one_is_refused() {
    let (ours, others) = (Authority::new("ours"), Authority::new("others"));
    let server = ServerPolicy { clients: Some(ours.trust_but(&[9])), ..ours.issue(&["a.test"]).server() };
    let with = |pair: Option<Pair>| {
        let credential = pair.map(|pair| pair.credential());
        try_policies(ClientPolicy { credential, ..client(&ours) }, "a.test", server.clone())
    };
    let (_, other) = with(Some(ours.issue(&["me"]))).ok().unwrap();
    assert_eq!(other.session.peer_certificate().unwrap().dns, ["me"]);
    assert_eq!(servers_failure(with(None)), FailureKind::NoCertificate);
    for pair in [
        others.issue(&["me"]),
        ours.issue_with(&["me"], Validity::Over, 2),
        ours.issue_with(&["me"], Validity::Now, 9),
    ] {
        assert_eq!(servers_failure(with(Some(pair))), FailureKind::Certificate);
    }
}

#[test]
fn who_offers_protocols_that_nobody_knows_is_refused_unless_none_are_named() {
    let authority = Authority::new("ours");
    let server = Arc::new(authority.issue(&["a.test"]).server());
    let one = ClientContext::new(&Arc::new(client(&authority)), &[b"postgresql"]).unwrap();
    let http = ServerContext::new(&server, &[b"h2", b"http/1.1"]).unwrap();
    assert_eq!(servers_failure(meet(&one, "a.test", &http)), FailureKind::Protocol);
    assert!(http.speaks(&[b"h2", b"http/1.1"]) && !http.speaks(&[]));
    let bytes = ServerContext::new(&server, &[]).unwrap();
    assert!(meet(&one, "a.test", &bytes).is_ok());
    let h2 = ClientContext::new(&Arc::new(client(&authority)), &[b"h2"]).unwrap();
    let (one, _) = meet(&h2, "a.test", &http).ok().unwrap();
    assert_eq!(one.session.protocol(), Some(&b"h2"[..]));
}

#[test]
fn bytes_that_are_no_tls_are_an_error_and_plain_text_is_known_as_such() {
    let authority = Authority::new("ours");
    let server = ServerContext::new(&Arc::new(authority.issue(&["a.test"]).server()), &[]).unwrap();
    for (bytes, plain) in [(&b"GET / HTTP/1.1\r\n\r\n"[..], true), (b"\0\0\0\0\0\0\0\0", false)] {
        let mut side = Side::new(server.begin().unwrap());
        side.pipe.input.extend(bytes);
        assert_eq!(side.step().unwrap_err().kind(), FailureKind::Protocol);
        assert_eq!(side.session.began_in_plain_text(), plain);
        assert_eq!(side.pipe.output.is_empty(), plain, "an alert is for those who read it");
    }
}
