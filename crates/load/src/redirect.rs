//! What follows from a redirect: where the next request goes, with which method, and what it no longer says. The rules
//! are those of Go's client, which fortio's `-L` uses.

use crate::answer::Receiver;
use crate::options::HttpOptions;
use crate::request::Body;
use crate::target::{Target, TargetError};

/// Redirects followed in one call.
pub(crate) const MOST: usize = 10;

/// One of the requests of a call.
#[derive(Debug)]
pub(crate) struct Hop {
    pub(crate) target: Target,
    pub(crate) options: HttpOptions,
    pub(crate) body: Body,
}

impl Hop {
    pub(crate) fn first(target: &Target, options: &HttpOptions) -> Self {
        Self { target: target.clone(), options: options.clone(), body: Body::Payload }
    }

    /// The request that this one's answer asks for; `None` if the answer is final.
    pub(crate) fn next(&self, status: u16, location: Option<&str>) -> Option<Result<Self, TargetError>> {
        // Without a place to go to, the answer is final.
        let location = location.filter(|_| is_redirect(status))?;
        Some(self.target.join(location).map(|target| self.follow(status, target)))
    }

    fn follow(&self, status: u16, target: Target) -> Self {
        let (mut options, mut body) = (self.options.clone(), self.body);
        let mut drop_headers = |dropped: fn(&str) -> bool| {
            options.headers.retain(|(name, _)| !dropped(&name.to_ascii_lowercase()));
        };
        if target.authority != self.target.authority {
            drop_headers(|name| name == "host");
        }
        if target.host != self.target.host {
            // A password is for the host it was given for.
            drop_headers(|name| matches!(name, "authorization" | "cookie" | "www-authenticate"));
            options.user = None;
        }
        if status < 307 {
            drop_headers(|name| name.starts_with("content-"));
            (options.content_type, body) = (None, Body::Dropped);
            options.method = options.method.filter(|method| method == "HEAD");
        }
        Self { target, options, body }
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

/// Passes on the answer at which the redirects end.
pub(crate) struct LastAnswer<'a> {
    receiver: Option<&'a mut dyn Receiver>,
    is_last: bool,
}

impl<'a> LastAnswer<'a> {
    pub(crate) fn for_receiver(receiver: Option<&'a mut dyn Receiver>) -> Self {
        Self { receiver, is_last: false }
    }
}

impl Receiver for LastAnswer<'_> {
    fn head(&mut self, status: u16, head: &[u8]) {
        let leads_on =
            |line: &[u8]| line.get(..9).is_some_and(|name| name.eq_ignore_ascii_case(b"location:"));
        self.is_last = !(is_redirect(status) && head.split(|byte| *byte == b'\n').any(leads_on));
        if let Some(receiver) = self.receiver.as_deref_mut().filter(|_| self.is_last) {
            receiver.head(status, head);
        }
    }

    fn body(&mut self, bytes: &[u8]) {
        if let Some(receiver) = self.receiver.as_deref_mut().filter(|_| self.is_last) {
            receiver.body(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted() -> Hop {
        let mut options = HttpOptions::to("http://a/x");
        (options.method, options.payload) = (Some("PUT".into()), b"p".into());
        options.user = Some("u:p".into());
        let headers = [("Host", "b"), ("Cookie", "c"), ("Content-Type", "t"), ("X", "y")];
        options.headers = headers.map(|(name, value)| (name.into(), value.into())).into();
        Hop::first(&Target::parse("http://a/x").unwrap(), &options)
    }

    fn hop(status: u16, location: &str) -> Hop {
        posted().next(status, Some(location)).unwrap().unwrap()
    }

    #[test]
    fn the_method_becomes_get_unless_the_status_says_to_keep_it() {
        for status in [301, 302, 303] {
            let hop = hop(status, "/y");
            assert_eq!((hop.options.method, hop.body), (None, Body::Dropped));
        }
        for status in [307, 308] {
            let hop = hop(status, "/y");
            assert_eq!((hop.options.method.as_deref(), hop.body), (Some("PUT"), Body::Payload));
        }
    }

    #[test]
    fn another_host_is_told_no_secrets_and_no_foreign_name() {
        let names = |hop: &Hop| hop.options.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        let same = hop(307, "/y");
        assert_eq!(names(&same), ["Host", "Cookie", "Content-Type", "X"]);
        assert!(same.options.user.is_some());
        let other = hop(307, "http://c/y");
        assert_eq!(names(&other), ["Content-Type", "X"]);
        assert!(other.options.user.is_none());
        assert_eq!(names(&hop(302, "/y")), ["Host", "Cookie", "X"]);
    }

    #[test]
    fn what_is_no_redirect_or_leads_nowhere_is_final() {
        let next = |status, location| posted().next(status, location);
        assert!(next(200, Some("/y")).is_none() && next(304, Some("/y")).is_none());
        assert!(next(302, None).is_none());
        assert!(next(302, Some("ftp://a/")).unwrap().is_err());
    }

    #[test]
    fn only_the_last_answer_is_passed_on() {
        #[derive(Default)]
        struct Heard(Vec<u8>);
        impl Receiver for Heard {
            fn head(&mut self, _: u16, head: &[u8]) {
                self.0.extend_from_slice(head);
            }
            fn body(&mut self, bytes: &[u8]) {
                self.0.extend_from_slice(bytes);
            }
        }
        let mut heard = Heard::default();
        let mut last = LastAnswer::for_receiver(Some(&mut heard));
        last.head(302, b"HTTP/1.1 302 Found\r\nlocation: /y\r\n\r\n");
        last.body(b"moved");
        last.head(302, b"HTTP/1.1 302 Found\r\n\r\n");
        last.body(b"nowhere");
        assert_eq!(heard.0, b"HTTP/1.1 302 Found\r\n\r\nnowhere");
    }
}
