//! What holds for any words that stand in certificates: as an element of `x-forwarded-client-cert` they are read back as they are, and
//! as nothing else. The subject is the other target's matter (`certificate`), which says that it is escaped.

use std::time::SystemTime;

use fuseboard_tls::forwarded;
use fuseboard_tls::material::Facts;

/// Words with NUL between them; the first byte of each says where it stands.
pub(crate) fn element(data: &[u8]) {
    let (mut own, mut client) = (facts(), facts());
    for word in data.split(|byte| *byte == 0) {
        let Some((place, word)) = word.split_first() else { continue };
        let place = match place % 3 {
            0 => &mut own.uris,
            1 => &mut client.uris,
            _ => &mut client.dns,
        };
        place.push(String::from_utf8_lossy(word).into_owned());
    }
    let text = forwarded::element(Some(&own), &client);
    assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    assert_eq!(read(&text), expected(&own, &client), "{text}");
}

fn facts() -> Facts {
    Facts {
        subject: "CN=a\\,b".into(),
        serial: "1".into(),
        dns: Vec::new(),
        uris: Vec::new(),
        addresses: Vec::new(),
        emails: Vec::new(),
        not_before: SystemTime::UNIX_EPOCH,
        not_after: SystemTime::UNIX_EPOCH,
        digest: "ab12".into(),
    }
}

/// What no field may have is left out.
fn expected(own: &Facts, client: &Facts) -> Vec<(String, String)> {
    let mut pairs: Vec<(&str, &str)> = own.uris.first().map(|uri| ("By", uri.as_str())).into_iter().collect();
    pairs.extend([("Hash", "ab12"), ("Subject", "CN=a,b")]);
    if client.uris.is_empty() {
        pairs.push(("URI", ""));
    }
    pairs.extend(client.uris.iter().map(|uri| ("URI", uri.as_str())));
    pairs.extend(client.dns.iter().map(|name| ("DNS", name.as_str())));
    pairs.retain(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// As whoever gets the field reads it: pairs between semicolons, values that may be quoted, and a comma begins the next element.
fn read(text: &str) -> Vec<(String, String)> {
    let mut pairs = vec![(String::new(), String::new())];
    let (mut in_value, mut quoted) = (false, false);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let (key, value) = pairs.last_mut().expect("one at least");
        match letter {
            '\\' if quoted => value.push(letters.next().expect("what is escaped")),
            '"' if in_value => quoted = !quoted,
            _ if quoted => value.push(letter),
            ',' => panic!("another element"),
            ';' => {
                in_value = false;
                pairs.push((String::new(), String::new()));
            }
            '=' if !in_value => in_value = true,
            _ if in_value => value.push(letter),
            _ => key.push(letter),
        }
    }
    assert!(!quoted, "a quotation without end");
    pairs
}
