//! Beginnings of traces (W3C Trace Context) and of request ids, for requests that come without.

const HEX: &[u8; 16] = b"0123456789abcdef";
/// `00-` trace id `-` parent id `-01`.
const TRACEPARENT_BYTES: usize = 55;

/// A new trace, sampled: who collects decides what to keep.
pub(super) fn begin() -> [u8; TRACEPARENT_BYTES] {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    // An id of nothing but zeros is invalid.
    hex(rand::random::<u128>().max(1), &mut text[3..35]);
    hex(u128::from(rand::random::<u64>().max(1)), &mut text[36..52]);
    text
}

/// 128 random bits.
pub(super) fn request_id() -> [u8; 32] {
    let mut text = [0; 32];
    hex(rand::random::<u128>(), &mut text);
    text
}

fn hex(mut number: u128, text: &mut [u8]) {
    for digit in text.iter_mut().rev() {
        *digit = HEX[(number & 15) as usize];
        number >>= 4;
    }
}

/// Whether a trace can be joined (W3C Trace Context §3.2.2): version, ids that are not zero, flags. Of
/// later versions more may follow.
pub(super) fn is_traceparent(text: &[u8]) -> bool {
    let lower_hex = |bytes: &[u8]| bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    let id = |bytes: &[u8]| lower_hex(bytes) && bytes.iter().any(|byte| *byte != b'0');
    if text.len() < TRACEPARENT_BYTES || text[2] != b'-' || text[35] != b'-' || text[52] != b'-' {
        return false;
    }
    let (version, rest) = (&text[..2], &text[TRACEPARENT_BYTES..]);
    let version_fits = match version {
        b"00" => rest.is_empty(),
        b"ff" => false,
        _ => lower_hex(version) && rest.first().is_none_or(|byte| *byte == b'-'),
    };
    version_fits && id(&text[3..35]) && id(&text[36..52]) && lower_hex(&text[53..55])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_begun_is_valid_and_new() {
        let (one, two) = (begin(), begin());
        assert!(is_traceparent(&one) && is_traceparent(&two));
        assert_ne!(one, two);
        assert_ne!(request_id(), request_id());
    }

    #[test]
    fn broken_traces_are_not_joined() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(good.as_bytes()));
        assert!(is_traceparent(format!("01{}-more", &good[2..]).as_bytes()));
        for bad in [
            String::new(),
            good.to_uppercase(),
            format!("{good}-more"),
            format!("ff{}", &good[2..]),
            good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            good.replace("00f067aa0ba902b7", &"0".repeat(16)),
            good.replace('-', "_"),
        ] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad}");
        }
    }
}
