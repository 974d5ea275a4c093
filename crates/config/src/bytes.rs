//! Sizes of memory as Kubernetes writes them: `512Ki`, `16Mi`, `1Gi`, or a number of bytes.

use fuseboard_api::scalar::IntOrText;

/// The bytes; `None`: it is no such size, or too large to count.
pub(crate) fn parse(written: &IntOrText) -> Option<usize> {
    let text = match written {
        IntOrText::Int(number) => return usize::try_from(*number).ok(),
        IntOrText::Text(text) => text,
    };
    let units = [("Ki", 10), ("Mi", 20), ("Gi", 30)];
    let (digits, shift) = units
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .unwrap_or((text, 0));
    let number: usize =
        Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_kubernetes_reads_them() {
        let text = |text: &str| parse(&IntOrText::Text(text.to_owned()));
        assert_eq!(text("512Ki"), Some(512 << 10));
        assert_eq!(text("16Mi"), Some(16 << 20));
        assert_eq!(text("1Gi"), Some(1 << 30));
        assert_eq!(text("4096"), Some(4096));
        assert_eq!(parse(&IntOrText::Int(7)), Some(7));
        assert_eq!(parse(&IntOrText::Int(-7)), None);
        for wrong in ["", "Mi", "1.5Mi", "16M", "+1Ki", "99999999999999999999Gi"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
    }
}
