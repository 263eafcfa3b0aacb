//! The near word in a hint: what a user may have meant.

use std::fs;
use std::path::{Path, PathBuf};

/// Most edits between a word and the one that was meant.
const MOST_EDITS: usize = 2;
/// Most words that a hint offers: more would be a list, not a guess.
const MOST_WORDS: usize = 3;

/// Returns `did you mean …?` where known words are spelled nearly like `word`, and `otherwise` where none is.
///
/// ```
/// let known = ["cnn_s", "cnn_m", "linear"];
/// assert_eq!(planner::base::near::hint("liner", known, "see the list"), "did you mean `linear`?");
/// assert_eq!(planner::base::near::hint("cnn_x", known, "see the list"), "did you mean `cnn_s` or `cnn_m`?");
/// assert_eq!(planner::base::near::hint("resnet", known, "see the list"), "see the list");
/// ```
#[must_use]
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: impl Into<String>) -> String {
    let words: Vec<String> = nearest(word, known).iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        None => otherwise.into(),
        Some((last, [])) => format!("did you mean {last}?"),
        Some((last, before)) => format!("did you mean {} or {last}?", before.join(", ")),
    }
}

/// Returns the path that a missing one is a misspelling of, in its file name or in one folder on the way.
#[must_use]
pub fn path(missing: &Path) -> Option<PathBuf> {
    let named = missing.ancestors().filter(|part| !part.as_os_str().is_empty());
    let first_missing = named.take_while(|part| !part.exists()).last()?;
    let folder = first_missing.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = entries.collect();
    // Folders list their files in no order.
    names.sort_unstable();
    let rest = missing.strip_prefix(first_missing).ok()?;
    let candidates = nearest(first_missing.file_name()?.to_str()?, names.iter().map(String::as_str));
    candidates.into_iter().map(|name| join(&first_missing.with_file_name(name), rest)).find(|path| path.exists())
}

/// Joins without the slash at the end that an empty rest would leave.
fn join(path: &Path, rest: &Path) -> PathBuf {
    if rest.as_os_str().is_empty() { path.to_owned() } else { path.join(rest) }
}

/// Returns the known words with the fewest edits, in their order; none where they are too far or too many.
fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let plain = |word: &str| word.to_lowercase().replace('_', "-");
    let (wanted, length) = (plain(word), word.chars().count());
    // A word of two letters is one edit away from everything.
    let near = |edits: usize| edits <= MOST_EDITS && 2 * edits < length;
    let edits = |known: &'a str| (strsim::damerau_levenshtein(&wanted, &plain(known)), known);
    let near: Vec<_> = known.into_iter().map(edits).filter(|&(edits, _)| near(edits)).collect();
    let fewest = near.iter().map(|&(edits, _)| edits).min();
    let mut nearest: Vec<&str> =
        near.iter().filter(|&&(edits, _)| Some(edits) == fewest).map(|&(_, known)| known).collect();
    nearest.dedup();
    if nearest.len() > MOST_WORDS { Vec::new() } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::{hint, path};
    use std::fs;
    use std::path::Path;

    #[test]
    fn offers_what_is_near_and_only_that() {
        let known = ["max_rps", "latency_ms", "a"];
        for (word, offered) in [
            ("max-rps", "did you mean `max_rps`?"),
            ("MaxRps", "did you mean `max_rps`?"),
            ("latency_s", "did you mean `latency_ms`?"),
            ("b", "none"),
            ("", "none"),
        ] {
            assert_eq!(hint(word, known, "none"), offered, "{word}");
        }
        assert_eq!(hint("x5x", ["x1x", "x2x", "x3x", "x4x"], "none"), "none");
    }

    #[test]
    fn finds_the_misspelled_part_of_a_path() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("plans")).expect("writable");
        fs::write(folder.path().join("plans/digits.json"), "").expect("writable");
        let there = folder.path().join("plans/digits.json");
        for wrong in ["plans/digts.json", "plan/digits.json", "plans/digits.jsn"] {
            assert_eq!(path(&folder.path().join(wrong)).as_deref(), Some(there.as_path()), "{wrong}");
        }
        for far in ["plans/other.json", "plan/digts.json", "elsewhere/digits.json"] {
            assert_eq!(path(&folder.path().join(far)), None, "{far}");
        }
        assert_eq!(path(Path::new("")), None);
    }
}
