//! Digest authentication (RFC 7616) as far as go-httpbin knows it: MD5 and SHA-256, quality of protection `auth`.

use std::fmt::Write as _;

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::random::Random;

/// What hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    /// The algorithm of this name, in capitals.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "MD5" => Some(Self::Md5),
            "SHA-256" => Some(Self::Sha256),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What a client without credentials is told.
pub(super) fn challenge(realm: &str, algorithm: Algorithm, random: &mut Random) -> String {
    let mut word = || hex(&random.bytes(16));
    let (nonce, opaque) = (word(), word());
    let name = algorithm.name();
    format!("Digest qop=auth, realm=\"{realm}\", algorithm={name}, nonce={nonce}, opaque={opaque}")
}

/// What a client with credentials says. Nonces are not remembered: any is taken.
#[derive(Debug)]
pub(super) struct Authorization<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Authorization<'a> {
    /// `None` where the header is of another scheme.
    pub(super) fn parse(header: &'a str) -> Option<Self> {
        let fields = header.strip_prefix("Digest ")?;
        let field = |field: &'a str| {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            (name.trim(), bare)
        };
        Some(Self { fields: fields.split(',').map(field).collect() })
    }

    fn field(&self, name: &str) -> &'a str {
        self.fields.iter().rev().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    /// Whether whoever wrote it knows the password.
    pub(super) fn proves(&self, user: &str, password: &str, method: &str, target: &str) -> bool {
        let is_sha256 = self.field("algorithm").eq_ignore_ascii_case("sha-256");
        let algorithm = if is_sha256 { Algorithm::Sha256 } else { Algorithm::Md5 };
        let secret = algorithm.hash(&format!("{user}:{}:{password}", self.field("realm")));
        let asked = algorithm.hash(&format!("{method}:{target}"));
        let (nonce, qop) = (self.field("nonce"), self.field("qop"));
        let proof = if matches!(qop, "auth" | "auth-int") {
            let (count, client) = (self.field("nc"), self.field("cnonce"));
            format!("{secret}:{nonce}:{count}:{client}:{qop}:{asked}")
        } else {
            format!("{secret}:{nonce}:{asked}")
        };
        self.field("username") == user && self.field("response") == algorithm.hash(&proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1.
    const MD5: &str = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
        algorithm=MD5, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", nc=00000001, \
        cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
        response=\"8ca523f5e9506fed4657c9700eebdbec\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"";
    const PASSWORD: &str = "Circle of Life";

    #[test]
    fn the_example_of_the_rfc_is_proven_with_both_algorithms() {
        let sha256 = MD5.replace("algorithm=MD5", "algorithm=SHA-256").replace(
            "8ca523f5e9506fed4657c9700eebdbec",
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        );
        for header in [MD5, sha256.as_str()] {
            let authorization = Authorization::parse(header).unwrap();
            assert!(authorization.proves("Mufasa", PASSWORD, "GET", "/dir/index.html"));
            assert!(!authorization.proves("Mufasa", "circle of life", "GET", "/dir/index.html"));
            assert!(!authorization.proves("Scar", PASSWORD, "GET", "/dir/index.html"));
            assert!(!authorization.proves("Mufasa", PASSWORD, "POST", "/dir/index.html"));
            assert!(!authorization.proves("Mufasa", PASSWORD, "GET", "/dir/other.html"));
        }
    }

    #[test]
    fn anything_else_proves_nothing() {
        assert!(Authorization::parse("Basic x").is_none());
        for header in ["Digest ", "Digest ,,=,x", "Digest username=\"u\", response=\"\""] {
            assert!(!Authorization::parse(header).unwrap().proves("u", "p", "GET", "/"));
        }
    }
}
