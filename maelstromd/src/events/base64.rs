//! Base64 (RFC 4648, 4), as Lambda's events carry bytes.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain([&0; 2]).take(3).fold(0, |group, byte| (group << 8) | usize::from(*byte));
        for place in 0..4 {
            // One byte makes two characters, two make three.
            let char = match place <= chunk.len() {
                true => ALPHABET[(group >> (18 - 6 * place)) & 63],
                false => b'=',
            };
            text.push(char::from(char));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
        assert_eq!(encode(&[251, 255, 254]), "+//+");
    }
}
