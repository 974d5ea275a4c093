//! Which answers may be kept, and given again to whom and for how long: the rules of RFC 9111 for a cache that many clients
//! share. Where the RFC leaves a choice the careful one is taken, for what is given here is given when nobody can be asked.

use std::time::Duration;

/// What `Cache-Control` says, its lines put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "they are directives, each of which is there or not")]
pub struct CacheControl {
    /// `no-store`
    pub no_store: bool,
    /// `no-cache`, also where it names fields.
    pub no_cache: bool,
    /// `private`, also where it names fields.
    pub private: bool,
    /// `public`
    pub public: bool,
    /// `must-revalidate` or `proxy-revalidate`: never stale.
    pub must_revalidate: bool,
    /// `max-age`
    pub max_age: Option<Duration>,
    /// `s-maxage`, which is `proxy-revalidate` too.
    pub s_maxage: Option<Duration>,
}

impl CacheControl {
    /// Adds a line.
    pub fn add(&mut self, line: &[u8]) {
        for directive in directives(line) {
            let (name, value) = match directive.iter().position(|byte| *byte == b'=') {
                Some(at) => (&directive[..at], Some(&directive[at + 1..])),
                None => (directive, None),
            };
            let name = name.trim_ascii().to_ascii_lowercase();
            match name.as_slice() {
                b"no-store" => self.no_store = true,
                b"no-cache" => self.no_cache = true,
                b"private" => self.private = true,
                b"public" => self.public = true,
                b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
                b"max-age" => self.max_age = Some(shorter(self.max_age, value)),
                b"s-maxage" => self.s_maxage = Some(shorter(self.s_maxage, value)),
                _ => {}
            }
        }
    }

    /// Of these lines.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut control = Self::default();
        lines.into_iter().for_each(|line| control.add(line));
        control
    }

    /// How long the answer is fresh; zero where it does not say, as nothing is guessed.
    pub fn lifetime(&self) -> Duration {
        self.s_maxage.or(self.max_age).unwrap_or_default()
    }
}

/// The parts between commas that are not in quotes.
fn directives(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    line.split(move |byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(<[u8]>::trim_ascii)
    .filter(|part| !part.is_empty())
}

/// Of contradicting numbers the smaller; what is no number is 0 (RFC 9111 section 4.2.1).
fn shorter(before: Option<Duration>, value: Option<&[u8]>) -> Duration {
    let written = value.and_then(seconds).unwrap_or_default();
    before.map_or(written, |before| before.min(written))
}

/// Seconds, quoted or not; too large ones are as large as can be (RFC 9111 section 1.2.2).
pub(super) fn seconds(value: &[u8]) -> Option<Duration> {
    let digits = value.trim_ascii();
    let digits = digits.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number =
        digits.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add((digit - b'0').into()));
    Some(Duration::from_secs(number.min(1 << 31)))
}

/// What of a request decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestFacts {
    /// Its method is GET.
    pub get: bool,
    /// It says who sends it (`Authorization`, `Cookie`, a client certificate), in a field that the key does not have.
    pub identified: bool,
    /// Its `Cache-Control`.
    pub control: CacheControl,
}

/// What of an answer decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// Its status.
    pub status: u16,
    /// It has `Set-Cookie`.
    pub sets_cookie: bool,
    /// It has `Vary: *`.
    pub varies_by_anything: bool,
    /// Its `Cache-Control`.
    pub control: CacheControl,
    /// How old it was when it came (`Age`).
    pub age: Duration,
}

/// An answer that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storable {
    /// How old it is already.
    pub age: Duration,
    /// It is stale when it is older.
    pub lifetime: Duration,
    /// It may not be given when it is stale.
    pub never_stale: bool,
}

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotStored {
    /// Only GET is kept.
    Method,
    /// Only whole, good answers are kept: 200, 203, 204, 300, 301, 308.
    Status,
    /// The request or the answer says `no-store`, or the answer `no-cache`.
    Forbidden,
    /// It is for one client: `private`, `Set-Cookie`, or the request says who sent it and the answer is not `public`.
    Personal,
    /// `Vary: *`
    Varies,
    /// It is stale already, and may not be given so.
    Stale,
}

/// Whether an answer may be kept.
pub fn admit(request: &RequestFacts, answer: &AnswerFacts) -> Result<Storable, NotStored> {
    let control = &answer.control;
    if !request.get {
        return Err(NotStored::Method);
    }
    if !matches!(answer.status, 200 | 203 | 204 | 300 | 301 | 308) {
        return Err(NotStored::Status);
    }
    if request.control.no_store || control.no_store || control.no_cache {
        return Err(NotStored::Forbidden);
    }
    if control.private || answer.sets_cookie || (request.identified && !control.public) {
        return Err(NotStored::Personal);
    }
    if answer.varies_by_anything {
        return Err(NotStored::Varies);
    }
    let never_stale = control.must_revalidate || control.s_maxage.is_some();
    let lifetime = control.lifetime();
    if never_stale && answer.age >= lifetime {
        return Err(NotStored::Stale);
    }
    Ok(Storable { age: answer.age, lifetime, never_stale })
}

/// The fields that a `Vary` line names, in lower case; `None`: `*` is among them.
pub fn vary_names(line: &[u8]) -> Option<Vec<Box<[u8]>>> {
    let names: Vec<_> = directives(line).map(|name| name.to_ascii_lowercase().into_boxed_slice()).collect();
    (!names.iter().any(|name| &**name == b"*")).then_some(names)
}

impl RequestFacts {
    /// The oldest answer that the client takes; `None`: it takes none that nobody vouches for.
    pub fn oldest(&self) -> Option<Duration> {
        if self.control.no_cache || self.control.no_store {
            return None;
        }
        Some(self.control.max_age.unwrap_or(Duration::MAX))
    }
}

impl AnswerFacts {
    /// The number of an `Age` field; what is no number counts as 0.
    pub fn age_of(value: &[u8]) -> Duration {
        seconds(value).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(line: &str) -> CacheControl {
        CacheControl::of([line.as_bytes()])
    }

    fn get() -> RequestFacts {
        RequestFacts { get: true, ..RequestFacts::default() }
    }

    fn answer(line: &str) -> AnswerFacts {
        AnswerFacts { status: 200, control: control(line), ..AnswerFacts::default() }
    }

    #[test]
    fn directives_are_read_in_any_case_and_quotes_hide_commas() {
        let read = control(r#" Private="a, no-store", MAX-AGE="60" ,,x=y, max-age=30"#);
        assert!(read.private && !read.no_store);
        for hidden in [r#"x="a, no-store, b""#, r#"x="\", no-store, b""#, r#"x="\\", y=", no-store,""#] {
            assert!(!control(hidden).no_store, "{hidden}");
        }
        for plain in [r#"x="a", no-store"#, r#"x="\\", no-store"#, r"x=\, no-store"] {
            assert!(control(plain).no_store, "{plain}");
        }
        assert_eq!(read.max_age, Some(Duration::from_secs(30)));
        assert_eq!(control("max-age=-1").max_age, Some(Duration::ZERO));
        assert_eq!(control("max-age=99999999999999999999999").max_age, Some(Duration::from_secs(1 << 31)));
        assert_eq!(CacheControl::of([&b"no-store"[..], b"public"]), control("public, no-store"));
    }

    #[test]
    fn what_is_for_one_client_is_kept_for_none() {
        let identified = RequestFacts { identified: true, ..get() };
        for (request, answer, why) in [
            (RequestFacts::default(), answer(""), NotStored::Method),
            (get(), AnswerFacts { status: 206, ..answer("") }, NotStored::Status),
            (get(), AnswerFacts { status: 500, ..answer("") }, NotStored::Status),
            (get(), answer("no-store"), NotStored::Forbidden),
            (get(), answer("no-cache"), NotStored::Forbidden),
            (RequestFacts { control: control("no-store"), ..get() }, answer(""), NotStored::Forbidden),
            (get(), answer("private"), NotStored::Personal),
            (get(), AnswerFacts { sets_cookie: true, ..answer("public") }, NotStored::Personal),
            (identified, answer("max-age=60"), NotStored::Personal),
            (get(), AnswerFacts { varies_by_anything: true, ..answer("") }, NotStored::Varies),
            (get(), answer("must-revalidate"), NotStored::Stale),
            (get(), AnswerFacts { age: Duration::from_secs(9), ..answer("s-maxage=9") }, NotStored::Stale),
        ] {
            assert_eq!(admit(&request, &answer), Err(why), "{request:?} {answer:?}");
        }
        assert!(admit(&identified, &answer("public")).is_ok(), "the server says that all may see it");
        let fresh = admit(&get(), &answer("must-revalidate, max-age=60")).unwrap();
        assert!(fresh.never_stale && fresh.lifetime == Duration::from_secs(60));
    }

    #[test]
    fn a_client_that_wants_to_be_sure_gets_nothing_old() {
        let oldest = |line| RequestFacts { control: control(line), ..get() }.oldest();
        assert_eq!(oldest("no-cache"), None);
        assert_eq!(oldest("max-age=5"), Some(Duration::from_secs(5)));
        assert_eq!(oldest(""), Some(Duration::MAX));
    }

    #[test]
    fn an_age_that_is_no_number_is_none() {
        assert_eq!(AnswerFacts::age_of(b" 7 "), Duration::from_secs(7));
        for none in [&b""[..], b"-7", b"7s"] {
            assert_eq!(AnswerFacts::age_of(none), Duration::ZERO, "{none:?}");
        }
    }

    #[test]
    fn names_of_vary_are_folded_and_a_star_is_told() {
        assert_eq!(
            vary_names(b"Accept, X-A").unwrap(),
            [b"accept".as_slice().into(), Box::from(b"x-a".as_slice())]
        );
        assert_eq!(vary_names(b"accept, *"), None);
    }
}
