//! Text out of bytes: UTF-8, or UTF-16 that says so with a byte order mark. What is neither is named, never guessed.

use std::borrow::Cow;

use super::finding::{Code, Finding};

/// Returns the text of a file without its byte order mark.
///
/// # Errors
/// A finding that names what is no text, and how to save it.
pub fn decoded(bytes: &[u8]) -> Result<Cow<'_, str>, Finding> {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes).map(Cow::Owned),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes).map(Cow::Owned),
        _ => utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).map(Cow::Borrowed),
    };
    let text = text.map_err(not_text)?;
    // UTF-16 without its mark, and UTF-32, are well-formed text with a NUL beside every letter.
    match text.find('\0') {
        None => Ok(text),
        Some(at) => Err(not_text(format!("character {at} is NUL: UTF-16 without a byte order mark, or no text"))),
    }
}

/// Returns a text with control characters, and those that turn the direction of writing, as escapes like `\u{1b}`; tabs and
/// line breaks stay. A terminal acts on them, XML cannot hold them, and a reader does not see them.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.chars()
            .flat_map(|letter| if acts(letter) { letter.escape_unicode().collect() } else { vec![letter] })
            .collect(),
    )
}

/// Tells whether a character does something rather than stand for something.
fn acts(letter: char) -> bool {
    letter.is_control() && !matches!(letter, '\t' | '\n' | '\r')
        || matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("not UTF-8: {error}"))
}

fn utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Result<String, String> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text = char::decode_utf16(pairs.iter().map(|&pair| unit(pair))).collect::<Result<String, _>>();
    let text = text.map_err(|error| format!("not UTF-16, as its byte order mark says: {error}"))?;
    if rest.is_empty() { Ok(text) } else { Err("UTF-16 that is cut short: half a character at the end".to_owned()) }
}

fn not_text(cause: String) -> Finding {
    Finding::error(Code::Syntax, "", cause, "save the file as UTF-8")
}

#[cfg(test)]
mod tests {
    use super::{decoded, shown};

    #[test]
    fn byte_order_marks_tell_utf8_and_utf16_apart() {
        let utf16 = |mark: u16, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            [mark].into_iter().chain("Zürich 7\n".encode_utf16()).flat_map(bytes).collect()
        };
        let files = [
            "Zürich 7\n".as_bytes().to_vec(),
            "\u{feff}Zürich 7\n".as_bytes().to_vec(),
            utf16(0xfeff, u16::to_le_bytes),
            utf16(0xfeff, u16::to_be_bytes),
        ];
        for bytes in files {
            assert_eq!(decoded(&bytes).expect("text"), "Zürich 7\n", "{bytes:?}");
        }
        assert_eq!(decoded(b"").expect("no text is text"), "");
    }

    #[test]
    fn characters_that_act_are_escaped() {
        assert_eq!(shown("a\u{1b}[31mb\u{7}\u{9b}\u{202e}c"), "a\\u{1b}[31mb\\u{7}\\u{9b}\\u{202e}c");
        assert_eq!(shown("é\t\r\n→ 9"), "é\t\r\n→ 9");
    }

    #[test]
    fn what_is_no_text_is_named() {
        let cases: [(&[u8], &str); 5] = [
            (b"Z\xfcrich", "not UTF-8"),
            (b"\xff\xfea\0b", "cut short"),
            (b"\xff\xfe\0\xd8", "not UTF-16"),
            (b"a\0b\0", "UTF-16 without a byte order mark"),
            (b"\xff\xfe\0\0a\0\0\0", "NUL"),
        ];
        for (bytes, cause) in cases {
            let finding = decoded(bytes).expect_err(cause);
            assert!(finding.cause.contains(cause) && finding.action.contains("UTF-8"), "{finding}");
        }
    }
}
