//! Where the body of the requests comes from: a text, random bytes, a file or standard input, the later one of these
//! going before the earlier, as in fortio.

use std::io::{self, Read as _};

use crate::flag_values::number;
use crate::go::flag::FlagError;

/// `-payload`, `-payload-size`, `-payload-file` and `-maxpayloadsizekb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFlags {
    text: String,
    size: i64,
    file: String,
    largest_kb: i64,
}

impl Default for PayloadFlags {
    fn default() -> Self {
        Self { text: String::new(), size: 0, file: String::new(), largest_kb: 256 }
    }
}

impl PayloadFlags {
    /// Takes a flag of these; `false` for another one.
    pub(crate) fn set(&mut self, name: &'static str, value: &str) -> Result<bool, FlagError> {
        match name {
            "payload" => value.clone_into(&mut self.text),
            "payload-file" => value.clone_into(&mut self.file),
            "payload-size" => self.size = number(name, value)?,
            "maxpayloadsizekb" => self.largest_kb = number(name, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The body. Random bytes are the same in all requests of a run.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        match self.file.as_str() {
            "" if self.size > 0 => Ok(random(self.bounded_size())),
            "" => Ok(self.text.clone().into_bytes()),
            "-" => {
                let mut body = Vec::new();
                io::stdin().lock().read_to_end(&mut body)?;
                Ok(body)
            }
            path => std::fs::read(path).map_err(|error| {
                io::Error::new(error.kind(), format!("the payload {path} cannot be read: {error}"))
            }),
        }
    }

    /// What to tell about a size that is not what was asked for.
    pub fn note(&self) -> Option<String> {
        let (asked, most) = (self.size, self.largest_kb.max(0).saturating_mul(1024));
        (self.file.is_empty() && asked > most).then(|| {
            format!(
                "Requested size {asked} greater than max size {most}, using max instead (change max using -maxpayloadsizekb)"
            )
        })
    }

    fn bounded_size(&self) -> usize {
        let most = self.largest_kb.max(0).saturating_mul(1024);
        usize::try_from(self.size.min(most)).unwrap_or(0)
    }
}

fn random(size: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    fastrand::fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(given: &[(&'static str, &str)]) -> PayloadFlags {
        let mut flags = PayloadFlags::default();
        for (name, value) in given {
            assert!(flags.set(name, value).unwrap(), "{name}");
        }
        flags
    }

    #[test]
    fn a_file_goes_before_a_size_and_a_size_before_a_text() {
        let text = ("payload", "abc");
        assert_eq!(flags(&[text]).read().unwrap(), b"abc");
        assert_eq!(flags(&[text, ("payload-size", "-1")]).read().unwrap(), b"abc");
        assert_eq!(flags(&[text, ("payload-size", "10")]).read().unwrap().len(), 10);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let read = flags(&[text, ("payload-size", "10"), ("payload-file", file)]).read().unwrap();
        assert!(read.starts_with(b"[package]"));
    }

    #[test]
    fn a_size_has_a_bound_which_can_be_raised() {
        let large = flags(&[("payload-size", "300000")]);
        assert_eq!(large.read().unwrap().len(), 256 * 1024);
        assert!(large.note().unwrap().contains("max size 262144"));
        let raised = flags(&[("payload-size", "300000"), ("maxpayloadsizekb", "300")]);
        assert_eq!((raised.read().unwrap().len(), raised.note()), (300_000, None));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = flags(&[("payload-file", "/no/such/file")]).read().unwrap_err();
        assert!(error.to_string().starts_with("the payload /no/such/file cannot be read: "), "{error}");
    }
}
