//! Files, read within bounds and written whole or not at all. Every file that a user names goes through here.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use nix::fcntl::OFlag;

use crate::base::error::Error;
use crate::base::finding::{Code, Finding, Findings};
use crate::base::near;

/// The largest file that is read: 2 GiB, as large as an ONNX file can be.
pub const LARGEST_FILE: u64 = 2 << 30;
/// The most that a gzip file may unpack to: 1 GiB. A gzip file can unpack to 1,000 times its size.
pub const LARGEST_UNPACKED: u64 = 1 << 30;

/// Reads a regular file, or a link to one, of at most [`LARGEST_FILE`] bytes.
///
/// # Errors
/// A finding that names the file, the reason and what to do.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    read_at_most(path, LARGEST_FILE).map_err(|error| {
        let action = match error.kind() {
            ErrorKind::NotFound => near::path(path).map(|found| format!("did you mean {}?", found.display())),
            ErrorKind::InvalidInput => Some("name a regular file, or a link to one".to_owned()),
            ErrorKind::FileTooLarge => Some("name a smaller file".to_owned()),
            _ => None,
        };
        let action =
            action.unwrap_or_else(|| "check the path; paths inside a file are relative to that file".to_owned());
        let cause = format!("cannot be read: {error}");
        Findings::from(Finding::error(Code::Unreadable, "", cause, action)).in_file(path).into()
    })
}

/// Returns the bytes of a file unpacked where its first bytes or its name say gzip, otherwise as they are.
///
/// # Errors
/// Where the bytes are not gzip, are cut short, or unpack to more than [`LARGEST_UNPACKED`].
pub fn unpacked(path: &Path, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    unpacked_at_most(path, bytes, LARGEST_UNPACKED)
}

/// As [`unpacked`], with another limit in bytes.
///
/// # Errors
/// As [`unpacked`].
pub fn unpacked_at_most(path: &Path, bytes: Vec<u8>, most: u64) -> io::Result<Vec<u8>> {
    let is_gzip = bytes.starts_with(&[0x1f, 0x8b]) || path.extension().is_some_and(|extension| extension == "gz");
    if is_gzip { take(MultiGzDecoder::new(&bytes[..]), 0, most) } else { Ok(bytes) }
}

/// Returns the SHA-256 of a file of any size in hexadecimal, piece by piece.
///
/// # Errors
/// A finding that names the file and the reason.
pub fn sha256(path: &Path) -> Result<String, Error> {
    use sha2::{Digest, Sha256};
    let digest = || -> io::Result<String> {
        let mut file = fs::File::open(path)?;
        let (mut digest, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut piece)? {
                0 => break,
                length => digest.update(&piece[..length]),
            }
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    };
    digest().map_err(|error| {
        let cause = format!("cannot be read: {error}");
        Findings::from(Finding::error(Code::Unreadable, "", cause, "check the path")).in_file(path).into()
    })
}

/// Unpacks gzip.
///
/// # Errors
/// As [`unpacked`].
pub fn unpack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    take(MultiGzDecoder::new(bytes), 0, LARGEST_UNPACKED)
}

/// Writes a file whole or not at all: to a temporary name beside it, then renamed. A link keeps pointing where it points,
/// and what is not a regular file (a pipe, a device) is written to, not replaced.
///
/// # Errors
/// [`Error::Io`] where the system refuses; the temporary file is removed.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let written = match fs::metadata(&target) {
        Ok(there) if !there.is_file() => fs::write(&target, bytes),
        _ => write_and_rename(&target, bytes),
    };
    written.map_err(|error| Error::io("write", path, error))
}

fn write_and_rename(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As with every new file, the system's mask takes from these permissions.
    let permissions = Permissions::from_mode(0o666);
    let mut builder = tempfile::Builder::new();
    let mut file = builder.prefix(".").suffix(".tmp").permissions(permissions).tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let found = fs::metadata(path)?;
    if found.is_dir() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a folder"));
    }
    if !found.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is a pipe, a device or a socket"));
    }
    // Where a pipe takes the file's place meanwhile, opening it does not wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    take(file, found.len(), most)
}

/// Reads to the end, which must come within so many bytes. Memory for `expected` bytes is asked for at once; after that it
/// doubles, never beyond the most. Memory that the system does not have is an error.
fn take(mut source: impl Read, expected: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than expected shows the end without another step.
    let mut step = (expected + 1).max(1 << 13);
    while expected <= most && (bytes.len() as u64) < most {
        let room = step.min(most - bytes.len() as u64);
        bytes.try_reserve_exact(room as usize)?;
        if (source.by_ref().take(room).read_to_end(&mut bytes)? as u64) < room {
            return Ok(bytes);
        }
        step = bytes.len() as u64;
    }
    if expected <= most && source.read(&mut [0])? == 0 {
        return Ok(bytes);
    }
    let size = match () {
        () if most.is_multiple_of(1 << 30) => format!("{} GiB", most >> 30),
        () if most.is_multiple_of(1 << 20) => format!("{} MiB", most >> 20),
        () => format!("{most} bytes"),
    };
    Err(io::Error::new(ErrorKind::FileTooLarge, format!("it holds more than {size}, the most that is read")))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use flate2::Compression;
    use flate2::read::MultiGzDecoder;
    use flate2::write::GzEncoder;
    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::{LARGEST_FILE, read, read_at_most, take, unpack, unpacked, write_atomic};

    #[test]
    fn reads_regular_files_and_links_to_them_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "abc").expect("writable");
        symlink(at("plain"), at("link")).expect("writable");
        symlink("/dev/zero", at("zero.json")).expect("writable");
        mkfifo(&at("pipe"), Mode::S_IRWXU).expect("writable");
        assert_eq!(read(&at("plain")).expect("a regular file"), b"abc");
        assert_eq!(read(&at("link")).expect("a link to a regular file"), b"abc");
        let refused = [
            ("zero.json", "it is a pipe, a device or a socket"),
            ("pipe", "it is a pipe, a device or a socket"),
            ("", "it is a folder"),
            ("plan", "did you mean"),
        ];
        for (name, cause) in refused {
            let message = read(&at(name)).expect_err(cause).to_string();
            assert!(message.contains("unreadable") && message.contains(cause), "{message}");
        }
    }

    #[test]
    fn a_file_above_the_limit_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sparse");
        fs::File::create(&path).and_then(|file| file.set_len(LARGEST_FILE + 1)).expect("a sparse file takes no room");
        let message = read(&path).expect_err("too large").to_string();
        assert!(message.contains("it holds more than 2 GiB, the most that is read"), "{message}");
        fs::write(&path, [7; 10]).expect("writable");
        assert_eq!(read_at_most(&path, 10).expect("as large as is allowed").len(), 10);
        assert!(read_at_most(&path, 9).is_err());
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(bytes).expect("memory takes all bytes");
        gzip.finish().expect("memory takes all bytes")
    }

    #[test]
    fn a_gzip_bomb_ends_at_the_limit() {
        let bomb = packed(&vec![0; 1 << 20]).repeat(64);
        let error = take(MultiGzDecoder::new(&bomb[..]), 0, 3_000_000).expect_err("64 MiB");
        assert!(error.to_string().contains("it holds more than 3000000 bytes"), "{error}");
        assert_eq!(unpack(&bomb).expect("below the limit of all files").len(), 64 << 20);
    }

    #[test]
    fn memory_never_exceeds_the_limit() {
        let bytes = take(&[1; 100_000][..], 0, 100_000).expect("as much as is allowed");
        assert_eq!((bytes.len(), bytes.capacity()), (100_000, 100_000));
        assert!(take(&[1; 100_001][..], 0, 100_000).is_err());
    }

    #[test]
    fn gzip_is_known_by_its_first_bytes_or_its_name() {
        let (plain, zipped) = (Path::new("a.csv"), Path::new("a.csv.gz"));
        let cases = [(plain, b"abc".to_vec()), (plain, packed(b"abc")), (zipped, packed(b"abc"))];
        for (path, bytes) in cases {
            assert_eq!(unpacked(path, bytes).expect("sound"), b"abc");
        }
        assert!(unpacked(zipped, b"abc".to_vec()).is_err());
        assert!(unpacked(plain, packed(b"abc")[..9].to_vec()).is_err());
    }

    #[test]
    fn a_refused_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let target = folder.path().join("taken");
        fs::create_dir(&target).expect("a folder where the file should be");
        assert!(write_atomic(&target, b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
    }

    #[test]
    fn a_link_is_written_through_and_the_temporary_file_is_gone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "old").expect("writable");
        symlink(&file, &link).expect("writable");
        write_atomic(&link, b"new").expect("writable");
        assert_eq!(fs::read(&file).expect("readable"), b"new");
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 2);
    }
}
