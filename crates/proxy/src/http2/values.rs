//! Values of fields on their way into frames. Most are those of a message before: the server's name, the kind of content, the date. A
//! thread keeps short ones that came twice, so that they need no memory of their own; nor do the many tables of compression that
//! remember them, one for each connection.

use std::cell::RefCell;

use http::HeaderValue;
use http::header::InvalidHeaderValue;

/// Values that are kept at a time, at most.
const KEPT: usize = 64;

/// No longer ones are.
const SHORT: usize = 64;

thread_local! {
    static VALUES: RefCell<Values> = const { RefCell::new(Values::new()) };
}

/// The value with these bytes.
pub(super) fn value(bytes: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
    VALUES.with_borrow_mut(|values| values.value(bytes))
}

/// What a thread keeps: each value has one place, of which the latest has it that came twice in a row.
struct Values {
    places: [Place; KEPT],
}

struct Place {
    value: Option<HeaderValue>,
    /// The hash of what was asked for last and was not kept then.
    asked: u64,
}

impl Values {
    const fn new() -> Self {
        Self { places: [const { Place { value: None, asked: 0 } }; KEPT] }
    }

    fn value(&mut self, bytes: &[u8]) -> Result<HeaderValue, InvalidHeaderValue> {
        if bytes.len() > SHORT {
            return HeaderValue::from_bytes(bytes);
        }
        let hash = hash(bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the place needs few bits")]
        let place = &mut self.places[hash as usize % KEPT];
        if let Some(kept) = place.value.as_ref().filter(|kept| kept.as_bytes() == bytes) {
            return Ok(kept.clone());
        }
        let value = HeaderValue::from_bytes(bytes)?;
        if place.asked == hash {
            place.value = Some(value.clone());
        }
        place.asked = hash;
        Ok(value)
    }
}

/// Of length and ends, which is as good as of all bytes: who is unlucky is not kept.
fn hash(bytes: &[u8]) -> u64 {
    let ends = match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => u64::from_le_bytes(*first) ^ u64::from_le_bytes(*last).rotate_left(32),
        _ => bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)),
    };
    // Fibonacci hashing: the high bits depend on all.
    (ends ^ bytes.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_same_memory(one: &HeaderValue, other: &HeaderValue) -> bool {
        one == other && std::ptr::eq(one.as_bytes(), other.as_bytes())
    }

    #[test]
    fn a_short_value_that_came_twice_is_kept_until_another_one_of_its_place_has() {
        let mut values = Values::new();
        let mut ask = |text: &str| values.value(text.as_bytes()).unwrap();
        let [first, second, third] = [ask("nginx"), ask("nginx"), ask("nginx")];
        assert!(!is_same_memory(&first, &second) && is_same_memory(&second, &third));
        let place = |text: &str| hash(text.as_bytes()) % KEPT as u64;
        let others = (0..).map(|n: u32| n.to_string());
        let other = others.into_iter().find(|other| place(other) == place("nginx")).unwrap();
        assert_eq!(ask(&other), other);
        assert!(is_same_memory(&ask("nginx"), &third), "one that came once takes no place");
        let kept = [ask(&other), ask(&other), ask(&other)];
        assert!(is_same_memory(&kept[1], &kept[2]));
        assert_eq!(ask("nginx"), "nginx");
    }

    #[test]
    fn a_long_value_is_not_kept_and_a_wrong_one_is_refused() {
        let mut values = Values::new();
        for (length, is_kept) in [(SHORT, true), (SHORT + 1, false)] {
            let text = "x".repeat(length);
            let asked: Vec<_> = (0..3).map(|_| values.value(text.as_bytes()).unwrap()).collect();
            assert_eq!(is_same_memory(&asked[1], &asked[2]), is_kept);
        }
        for _ in 0..3 {
            assert!(values.value(b"a\r\nb: c").is_err());
        }
    }
}
