//! Paths as files carry them: relative to the file that names them.

use std::path::{Component, Path, PathBuf};

/// Returns the way from a folder to `path`, or `path` itself where there is none; both are taken relative to the working
/// folder.
pub fn relative(path: &Path, folder: &Path) -> PathBuf {
    let (Ok(to), Ok(from)) = (plain(path), plain(folder)) else { return path.to_owned() };
    let common = to.components().zip(from.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

/// Returns the absolute path without `.` and `..`; nothing of it need exist.
pub fn plain(path: &Path) -> std::io::Result<PathBuf> {
    let mut plain = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::relative;
    use std::path::Path;

    #[test]
    fn finds_the_way_from_a_folder_to_a_file() {
        for (path, folder, way) in [
            ("/a/models/m.toml", "/a/profiles", "../models/m.toml"),
            ("/a/b/m.toml", "/a/b/../p", "../b/m.toml"),
            ("/a/./m.toml", "/a", "m.toml"),
        ] {
            assert_eq!(relative(Path::new(path), Path::new(folder)), Path::new(way), "{path} from {folder}");
        }
    }
}
