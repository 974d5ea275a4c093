//! A text as the value of `grpc-message`: percent signs and what is not printable ASCII become escapes, and back.

/// The value for `text`.
pub fn encoded(text: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b' '..=b'~' if *byte != b'%' => out.push(*byte),
            _ => out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]),
        }
    }
    out
}

/// The text of `value`. What is no escape stays as it is, and what is no UTF-8 is replaced: a text that is hard to read is better
/// than none.
pub fn decoded(value: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.first_chunk().filter(|_| first == b'%').and_then(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            Some(digit(*high)? << 4 | digit(*low)?)
        });
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_is_printable() {
        assert_eq!(encoded("100 %\nä".as_bytes()), b"100 %25%0A%C3%A4");
        assert_eq!(decoded(b"100 %25%0a%C3%A4"), "100 %\nä");
        assert_eq!(decoded(b"50% off %zz %4"), "50% off %zz %4");
        assert_eq!(decoded(b"%ff"), "\u{fffd}");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in any::<String>()) {
            let value = encoded(text.as_bytes());
            prop_assert!(value.iter().all(|byte| (b' '..=b'~').contains(byte)));
            prop_assert_eq!(decoded(&value), text);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            decoded(&bytes);
        }
    }
}
