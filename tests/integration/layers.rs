//! The layers of `docs/design.md`, held against what the sources import.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Modules with the number of their layer, from the block that `docs/design.md` marks `layers`: the lowest first, modules of a
/// line side by side.
fn order() -> BTreeMap<String, usize> {
    let page = std::fs::read_to_string(root().join("docs/design.md")).expect("the design");
    let block = page.split("```layers\n").nth(1).expect("a block marked `layers`");
    let lines = block.split("```").next().expect("an end").lines();
    let of_line = |(layer, line): (usize, &str)| -> Vec<(String, usize)> {
        line.split(',').map(|module| (module.trim().to_owned(), layer)).collect()
    };
    lines.enumerate().flat_map(of_line).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Returns a source up to its tests, which end every file, or are all of it.
fn code(text: &str) -> &str {
    let ends = ["#[cfg(test)]\nmod tests", "#![cfg(test)]"];
    let end = ends.iter().filter_map(|end| text.find(end)).min();
    &text[..end.unwrap_or(text.len())]
}

/// Returns the top-level modules that a source names outside its tests and comments; names of the crate root count as the
/// module that says them.
fn imports(text: &str) -> Vec<String> {
    let lines = code(text).lines().map(|line| line.split("//").next().unwrap_or_default());
    let mut found = Vec::new();
    for line in lines {
        for after in line.split("crate::").skip(1) {
            let name: String = after.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            found.push(if name.starts_with(char::is_lowercase) { name } else { "the crate root".to_owned() });
        }
    }
    found
}

/// Returns every import that points to its own layer or a higher one.
fn upward(order: &BTreeMap<String, usize>, from: &str, names: &[String]) -> Vec<String> {
    let own = order.get(from);
    let is_up =
        |name: &&String| *name != from && own.is_none_or(|own| order.get(*name).is_none_or(|layer| layer >= own));
    names.iter().filter(is_up).map(|name| format!("{from} → {name}")).collect()
}

#[test]
fn no_module_imports_from_its_own_layer_or_a_higher_one() {
    let mut order = order();
    order.insert("the crate root".to_owned(), order["cli"]);
    // The command line uses the library as anybody does: by its root.
    *order.get_mut("cli").expect("a layer") += 1;
    let source = root().join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&source).expect("below src").with_extension("");
        let module = inside.iter().next().expect("a name").to_str().expect("plain").to_owned();
        if module == "lib" || module == "main" {
            continue;
        }
        assert!(order.contains_key(&module), "docs/design.md has no layer for `{module}`");
        let text = std::fs::read_to_string(&file).expect("readable");
        wrong.extend(upward(&order, &module, &imports(&text)).iter().map(|of| format!("{}: {of}", file.display())));
    }
    assert!(wrong.is_empty(), "imports against the layers of docs/design.md:\n{}", wrong.join("\n"));
}

#[test]
fn an_import_upward_or_sideways_is_seen() {
    let order = BTreeMap::from([("low".to_owned(), 0), ("side".to_owned(), 0), ("high".to_owned(), 1)]);
    let text =
        "use crate::side::A;\n// crate::comment\nuse crate::high::B;\n#[cfg(test)]\nmod tests { use crate::high::C; }";
    let names = imports(text);
    assert_eq!(names, ["side", "high"]);
    assert_eq!(upward(&order, "low", &names), ["low → side", "low → high"]);
    assert_eq!(upward(&order, "high", &names), Vec::<String>::new());
    assert_eq!(imports("return crate::Error::Input;"), ["the crate root"]);
}

/// A room is a folder: nothing outside it, but the list of rooms and the papers that share its parts, imports from it.
#[test]
fn only_the_registry_and_the_papers_import_from_a_room() {
    let source = root().join("src");
    let mut files = Vec::new();
    sources(&source, &mut files);
    let mut wrong = Vec::new();
    for room in ["cascade", "pipeline", "variant_set"] {
        for file in &files {
            let inside = file.strip_prefix(&source).expect("below src");
            let own = Path::new("rooms").join(room);
            if inside.starts_with(own) || inside.starts_with("papers") || inside == Path::new("rooms/mod.rs") {
                continue;
            }
            let text = std::fs::read_to_string(file).expect("readable");
            let ways = [format!("rooms::{room}::"), format!("super::{room}::")];
            if ways.iter().any(|way| code(&text).contains(way.as_str())) {
                wrong.push(format!("{}: {room}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}
