//! One text, sealed and opened. Several keys are known while one is replaced by another: the first seals, all open.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use crate::{access::Secret, hex};

const SEALED: &str = "sealed:1:";
const PLAIN: &str = "sealed:0:";
/// What a key is made for, from what the operator wrote; and what names it.
const KEY: &str = "maelstrom seal 1 key";
const NAME: &str = "maelstrom seal 1 name";
/// Of the name's digits: which of a handful of keys.
const NAME_DIGITS: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Seal {
    keys: Vec<Key>,
}

struct Key {
    name: String,
    key: RandomizedNonceKey,
}

/// Why a text can't be sealed or opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    #[error("it is sealed with key '{0}', which this node doesn't have: MAEL_SECRETS_KEY has to list it")]
    NoKey(String),
    #[error("what lies in the store was damaged, or moved from elsewhere: put the component again")]
    Damaged,
    #[error("the system's cryptography refuses to work")]
    Refused,
}

// === impl Seal ===

impl Seal {
    /// The first of `keys` seals; without any nothing is sealed.
    pub(super) fn new(keys: &[Secret]) -> Result<Self, SealError> {
        let key = |secret: &Secret| {
            let key =
                RandomizedNonceKey::new(&AES_256_GCM, &secret.derive(KEY)).map_err(|_| SealError::Refused)?;
            Ok(Key { name: hex::encode(&secret.derive(NAME))[..NAME_DIGITS].to_owned(), key })
        };
        Ok(Self { keys: keys.iter().map(key).collect::<Result<_, _>>()? })
    }

    pub(super) fn close(&self, component: &str, field: &str, text: &str) -> Result<String, SealError> {
        let Some(Key { name, key }) = self.keys.first() else {
            let looks_sealed = text.starts_with(SEALED) || text.starts_with(PLAIN);
            return Ok(if looks_sealed { format!("{PLAIN}{text}") } else { text.to_owned() });
        };
        let mut sealed = text.as_bytes().to_vec();
        let nonce = key.seal_in_place_append_tag(place(component, field), &mut sealed);
        let nonce = nonce.map_err(|_| SealError::Refused)?;
        Ok(format!("{SEALED}{name}:{}{}", hex::encode(nonce.as_ref()), hex::encode(&sealed)))
    }

    pub(super) fn open(&self, component: &str, field: &str, text: &str) -> Result<String, SealError> {
        if let Some(plain) = text.strip_prefix(PLAIN) {
            return Ok(plain.to_owned());
        }
        let Some(sealed) = text.strip_prefix(SEALED) else { return Ok(text.to_owned()) };
        let (name, digits) = sealed.split_once(':').ok_or(SealError::Damaged)?;
        let known = self.keys.iter().find(|key| key.name == name);
        let Key { key, .. } = known.ok_or_else(|| SealError::NoKey(name.escape_debug().to_string()))?;
        let mut bytes = hex::decode(digits).ok_or(SealError::Damaged)?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(SealError::Damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::Damaged)?;
        let opened = key.open_in_place(nonce, place(component, field), sealed);
        let opened = opened.map_err(|_| SealError::Damaged)?;
        String::from_utf8(opened.to_vec()).map_err(|_| SealError::Damaged)
    }
}

/// No name of a component has a line end in it.
fn place(component: &str, field: &str) -> Aad<Vec<u8>> {
    Aad::from(format!("{component}\n{field}").into_bytes())
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OLD: &str = "seal-0123456789abcdef";
    const NEW: &str = "seal-fedcba9876543210";

    fn seal(keys: &str) -> Seal {
        Seal::new(&Secret::list(keys).unwrap()).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_sealed_opens_at_its_place_only(text in any::<String>(), other in "[a-z]{1,5}") {
            for keys in ["", OLD] {
                let seal = seal(keys);
                for text in [text.clone(), format!("{SEALED}{text}"), format!("{PLAIN}{text}")] {
                    let closed = seal.close("web", "A", &text).unwrap();
                    prop_assert_eq!(seal.open("web", "A", &closed).unwrap(), text);
                    if !keys.is_empty() {
                        prop_assert_eq!(seal.open("web", &other, &closed), Err(SealError::Damaged));
                        prop_assert_eq!(seal.open(&other, "A", &closed), Err(SealError::Damaged));
                    }
                }
            }
        }

        #[test]
        fn nothing_that_lies_in_the_store_breaks_it(text in ".{0,40}", name in "[0-9a-f]{8}") {
            let seal = seal(OLD);
            for text in [text.clone(), format!("{SEALED}{text}"), format!("{SEALED}{name}:{text}")] {
                let _ = seal.open("web", "A", &text);
            }
        }
    }

    #[test]
    fn a_key_is_replaced_while_both_are_known() {
        let of_old = seal(OLD).close("web", "A", "hunter2").unwrap();
        assert!(of_old.starts_with(SEALED) && !of_old.contains("hunter2"), "{of_old}");
        let both = seal(&format!("{NEW},{OLD}"));
        assert_eq!(both.open("web", "A", &of_old).unwrap(), "hunter2");
        let of_new = both.close("web", "A", "hunter2").unwrap();
        assert_eq!(seal(NEW).open("web", "A", &of_new).unwrap(), "hunter2");
        assert!(matches!(seal(NEW).open("web", "A", &of_old), Err(SealError::NoKey(_))));
        assert!(matches!(seal("").open("web", "A", &of_old), Err(SealError::NoKey(_))));
        // What was there before the first key was set.
        assert_eq!(both.open("web", "A", "plain").unwrap(), "plain");
        assert_ne!(of_new, both.close("web", "A", "hunter2").unwrap(), "nonces differ");
    }

    #[test]
    fn one_bit_is_enough_to_be_noticed() {
        let seal = seal(OLD);
        let closed = seal.close("web", "A", "hunter2").unwrap();
        let at = closed.rfind(':').unwrap() + 1;
        for place in at..closed.len() {
            let flipped = if &closed[place..=place] == "0" { "1" } else { "0" };
            let damaged = format!("{}{flipped}{}", &closed[..place], &closed[place + 1..]);
            assert_eq!(seal.open("web", "A", &damaged), Err(SealError::Damaged), "at {place}");
        }
        assert_eq!(seal.open("web", "A", &closed[..closed.len() - 2]), Err(SealError::Damaged));
        assert_eq!(seal.open("web", "A", &closed[..at]), Err(SealError::Damaged));
    }
}
