//! What a single YAML value means, as go-yaml reads it: the files were written for that.

#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) style: Style,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Without quotes: may be a number, a boolean or null.
    Plain,
    Quoted,
    /// A `|` block: its lines are those of the file.
    Literal,
}

// === impl Scalar ===

impl Scalar {
    /// As go-yaml reads null.
    pub(super) fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// As YAML 1.1 and go-yaml read booleans.
    pub(super) fn as_bool(&self) -> Option<bool> {
        if self.style != Style::Plain {
            return None;
        }
        match &*self.text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Some(true),
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
                Some(false)
            }
            _ => None,
        }
    }

    /// As go-yaml reads integers: `_` between digits, `0x`, `0b`, `0o` and a leading `0` for octal, and
    /// floats without a fraction.
    pub(super) fn as_int(&self) -> Option<i64> {
        if self.style != Style::Plain {
            return None;
        }
        let text = self.text.replace('_', "");
        let (negative, digits) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, &*text),
        };
        let radix = |prefix: [&str; 2], radix| {
            let digits = digits.strip_prefix(prefix[0]).or_else(|| digits.strip_prefix(prefix[1]))?;
            digits
                .starts_with(|c: char| c.is_ascii_hexdigit())
                .then(|| i128::from_str_radix(digits, radix).ok())?
        };
        let octal = || {
            let digits =
                digits.strip_prefix('0').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))?;
            i128::from_str_radix(digits, 8).ok()
        };
        let decimal =
            || digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i128>().ok()).flatten();
        let magnitude = radix(["0x", "0X"], 16)
            .or_else(|| radix(["0b", "0B"], 2))
            .or_else(|| radix(["0o", "0O"], 8))
            .or_else(octal)
            .or_else(decimal);
        match magnitude {
            Some(magnitude) => i64::try_from(if negative { -magnitude } else { magnitude }).ok(),
            None => {
                self.as_float().filter(|float| float.fract() == 0.0 && float.abs() < 9.0e15).map(|float| {
                    // Whole and far inside of what i64 holds.
                    #[allow(clippy::cast_possible_truncation)]
                    let whole = float as i64;
                    whole
                })
            }
        }
    }

    /// Finite numbers only.
    pub(super) fn as_float(&self) -> Option<f64> {
        if self.style != Style::Plain {
            return None;
        }
        let text = self.text.replace('_', "");
        let numeric =
            text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
        text.parse::<f64>().ok().filter(|float| numeric && float.is_finite())
    }
}
