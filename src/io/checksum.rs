//! A checksum of bytes in memory, computed by all threads.

use flate2::Crc;
use rayon::prelude::*;

/// Bytes of one task.
const CHUNK_BYTES: usize = 1 << 20;

/// The CRC-32 of all parts, one behind another, as in gzip.
///
/// # Examples
///
/// ```
/// use slide_rs::io::checksum::crc32;
///
/// assert_eq!(crc32(&[b"1234", b"56789"]), 0xcbf4_3926);
/// ```
#[must_use]
pub fn crc32(parts: &[&[u8]]) -> u32 {
    let chunks = parts.par_iter().flat_map(|part| part.par_chunks(CHUNK_BYTES));
    let sum = |bytes: &[u8]| {
        let mut crc = Crc::new();
        crc.update(bytes);
        crc
    };
    let both = |mut first: Crc, second: Crc| {
        first.combine(&second);
        first
    };
    chunks.map(sum).reduce(Crc::new, both).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_threads_change_nothing() {
        let bytes: Vec<u8> = (0..3 * CHUNK_BYTES + 77).map(|i| ((i * i) >> 7) as u8).collect();
        let mut whole = Crc::new();
        whole.update(&bytes);
        for cuts in [[0, 0], [1, 2], [5, CHUNK_BYTES], [CHUNK_BYTES + 1, bytes.len()]] {
            let parts = [&bytes[..cuts[0]], &bytes[cuts[0]..cuts[1]], &bytes[cuts[1]..]];
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                assert_eq!(pool.install(|| crc32(&parts)), whole.sum(), "{cuts:?}, {threads}");
            }
        }
        assert_eq!(crc32(&[]), 0);
    }
}
