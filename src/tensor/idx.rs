//! Labelled samples from IDX files, the format of MNIST: a magic of 4 bytes, big-endian sizes, then bytes or 32-bit floats.

use std::path::Path;

use crate::base::codec;
use crate::base::error::Error;
use crate::base::files;
use crate::base::finding::{Code, Finding, Findings};
use crate::tensor::Batch;

/// Images and the class of each.
#[derive(Debug, Clone, PartialEq)]
pub struct Samples {
    /// Size of one sample in each dimension, channels first.
    pub shape: Vec<usize>,
    /// All pixels: byte ÷ 255, or the float as it is.
    pub pixels: Vec<f32>,
    /// Class number of each sample; empty where nobody knows them.
    pub labels: Vec<u32>,
    /// SHA-256 over the bytes of the files as they are on disk.
    pub sha256: String,
}

impl Samples {
    /// Returns the number of samples.
    #[must_use]
    pub fn count(&self) -> usize {
        self.pixels.len() / self.shape.iter().product::<usize>().max(1)
    }

    /// Returns the samples of these numbers as a set of their own.
    #[must_use]
    pub fn chosen(&self, numbers: &[usize]) -> Self {
        let labels = numbers.iter().filter_map(|&number| self.labels.get(number).copied()).collect();
        let pixels = self.batch(numbers.iter().copied()).data;
        Self { shape: self.shape.clone(), pixels, labels, sha256: self.sha256.clone() }
    }

    /// Returns a batch of the samples with these numbers.
    ///
    /// # Panics
    /// Where a number is not below the number of labels.
    #[must_use]
    pub fn batch(&self, numbers: impl IntoIterator<Item = usize>) -> Batch {
        let size: usize = self.shape.iter().product();
        let mut data = Vec::new();
        let mut samples = 0;
        for number in numbers {
            data.extend_from_slice(&self.pixels[number * size..(number + 1) * size]);
            samples += 1;
        }
        let mut shape = vec![samples];
        shape.extend(&self.shape);
        Batch { shape, data }
    }
}

/// Reads images and, where there are any, their labels.
///
/// # Errors
/// Findings for what is no IDX file of bytes, is cut short, or does not fit together.
pub fn read_samples(images: &Path, labels: Option<&Path>) -> Result<Samples, Error> {
    let image_bytes = files::read(images)?;
    let images_idx = parse(images, &image_bytes)?;
    if images_idx.bytes.is_empty() {
        return Err(bad(images, "there is no image".to_owned(), "a file holds at least one sample").into());
    }
    let (label_bytes, labels) = match labels {
        Some(file) => read_labels(file, images_idx.sizes[0])?,
        None => Default::default(),
    };
    let mut shape = images_idx.sizes[1..].to_vec();
    if shape.len() == 2 {
        // Grey images of height × width: models expect a channel.
        shape.insert(0, 1);
    }
    let pixels = pixels(images, &images_idx)?;
    let sha256 = codec::sha256(&[image_bytes, label_bytes].concat());
    Ok(Samples { shape, pixels, labels, sha256 })
}

/// Returns byte ÷ 255, and floats as they are: who writes floats has prepared them for the models.
fn pixels(file: &Path, idx: &Idx) -> Result<Vec<f32>, Findings> {
    match idx.kind {
        Kind::Bytes => Ok(idx.bytes.iter().map(|&byte| f32::from(byte) / 255.0).collect()),
        Kind::Floats => {
            let (floats, _) = idx.bytes.as_chunks::<4>();
            let pixels: Vec<f32> = floats.iter().map(|&float| f32::from_be_bytes(float)).collect();
            match pixels.iter().find(|pixel| !pixel.is_finite()) {
                Some(pixel) => Err(bad(file, format!("there is a {pixel}"), "samples are finite numbers")),
                None => Ok(pixels),
            }
        }
    }
}

/// Returns the bytes of the file and the labels in it, one for each of so many samples.
fn read_labels(file: &Path, samples: usize) -> Result<(Vec<u8>, Vec<u32>), Error> {
    let bytes = files::read(file)?;
    let idx = parse(file, &bytes)?;
    if idx.kind != Kind::Bytes {
        return Err(bad(file, "labels are floats".to_owned(), "labels are bytes").into());
    }
    if idx.sizes.len() != 1 {
        return Err(bad(file, format!("labels have {} dimensions", idx.sizes.len()), "labels have one").into());
    }
    if idx.sizes[0] != samples {
        let cause = format!("{} labels for {samples} images", idx.sizes[0]);
        return Err(bad(file, cause, "each image has one label").into());
    }
    let labels = idx.bytes.iter().map(|&byte| u32::from(byte)).collect();
    Ok((bytes, labels))
}

fn bad(file: &Path, cause: String, action: &str) -> Findings {
    Findings::from(Finding::error(Code::BadData, "", cause, action)).in_file(file)
}

struct Idx {
    sizes: Vec<usize>,
    kind: Kind,
    bytes: Vec<u8>,
}

/// What an IDX file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Type 8, unsigned bytes.
    Bytes,
    /// Type 13, 32-bit floats, big-endian.
    Floats,
}

fn parse(file: &Path, raw: &[u8]) -> Result<Idx, Findings> {
    let action = "data files are IDX files of unsigned bytes (magic 00 00 08 and the number of dimensions) or 32-bit \
                  floats (00 00 0d)";
    let bad = |cause: String| bad(file, cause, action);
    let mut bytes = files::unpacked(file, raw.to_vec()).map_err(|error| bad(format!("cannot be unpacked: {error}")))?;
    let (kind, width, dimensions) = match bytes.first_chunk::<4>() {
        Some(&[0, 0, 0x08, dimensions @ 1..=4]) => (Kind::Bytes, 1, dimensions),
        Some(&[0, 0, 0x0d, dimensions @ 1..=4]) => (Kind::Floats, size_of::<f32>(), dimensions),
        _ => return Err(bad(format!("the magic is {:02x?}", &bytes[..bytes.len().min(4)]))),
    };
    let start = 4 + 4 * usize::from(dimensions);
    let header = bytes.get(4..start).ok_or_else(|| bad("the sizes are cut short".into()))?;
    let sizes: Vec<usize> =
        header.chunks_exact(4).map(|size| size.iter().fold(0, |size, &byte| (size << 8) | usize::from(byte))).collect();
    let wanted = sizes.iter().try_fold(width, |product, &size| product.checked_mul(size));
    let found = bytes.len() - start;
    if wanted != Some(found) {
        return Err(bad(format!("{found} bytes follow where the sizes {sizes:?} promise others")));
    }
    Ok(Idx { sizes, kind, bytes: bytes.split_off(start) })
}

#[cfg(test)]
mod tests {
    use super::read_samples;
    use std::fs;

    const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 51, 102, 255];
    const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 2, 7, 3];

    fn read(images: &[u8], labels: &[u8]) -> Result<super::Samples, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (i, l) = (folder.path().join("i.idx"), folder.path().join("l.idx"));
        fs::write(&i, images).expect("writable");
        fs::write(&l, labels).expect("writable");
        read_samples(&i, Some(&l)).map_err(|error| error.to_string())
    }

    #[test]
    fn reads_pixels_and_labels() {
        let samples = read(IMAGES, LABELS).expect("well-formed");
        assert_eq!((samples.shape.as_slice(), samples.labels.as_slice()), (&[1, 1, 2][..], &[7, 3][..]));
        let batch = samples.batch([1]);
        assert_eq!((batch.shape, batch.data), (vec![1, 1, 1, 2], vec![0.4, 1.0]));
    }

    /// Two samples of one float each.
    fn floats(numbers: [f32; 2]) -> Vec<u8> {
        let header: &[u8] = &[0, 0, 13, 2, 0, 0, 0, 2, 0, 0, 0, 1];
        [header, &numbers.map(f32::to_be_bytes).concat()].concat()
    }

    #[test]
    fn floats_are_taken_as_they_are() {
        let samples = read(&floats([-2.1, 1.5]), LABELS).expect("well-formed");
        assert_eq!((samples.shape, samples.pixels), (vec![1], vec![-2.1, 1.5]));
    }

    #[test]
    fn says_what_is_wrong_with_the_data() {
        let (endless, cut) = (floats([1.0, f32::INFINITY]), &floats([1.0, 2.0])[..17]);
        let cases: [(&[u8], &[u8], &str); 8] = [
            (&endless, LABELS, "there is a inf"),
            (cut, LABELS, "5 bytes follow"),
            (IMAGES, &floats([1.0, 2.0]), "labels are floats"),
            (b"PNG!", LABELS, "the magic is"),
            (b"", LABELS, "the magic is"),
            (&IMAGES[..10], LABELS, "sizes are cut short"),
            (&IMAGES[..19], LABELS, "3 bytes follow"),
            (IMAGES, &[0, 0, 8, 1, 0, 0, 0, 1, 7], "1 labels for 2 images"),
        ];
        for (images, labels, cause) in cases {
            let message = read(images, labels).expect_err(cause);
            assert!(message.contains("bad-data") && message.contains(cause), "{message}");
        }
    }
}
