//! Rows that move to other ids, as they do where a layer gains rows or loses some.

use std::ops::Range;

use rayon::prelude::*;

use super::{Rows, SHARDS};

impl Rows<'_> {
    /// As many rows as there are `sources`: each a copy, bit for bit, of the row it names, and zeros
    /// where it names none.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    #[must_use]
    pub fn picked(&self, sources: &[Option<u32>]) -> Rows<'static> {
        let mut new = Rows::with_stride(sources.len(), (self.width, self.stride), self.dtype);
        let stripes = new.stripes;
        let row_bytes = self.stride * self.dtype.bytes();
        let from: &[u8] = bytemuck::cast_slice(self.lines.as_slice());
        let to: &mut [u8] = bytemuck::cast_slice_mut(new.lines.as_mut_slice());
        let shards = to.par_chunks_mut(stripes.per_shard() * row_bytes).take(SHARDS);
        shards.enumerate().for_each(|(shard, rows)| {
            for (local, row) in rows.chunks_exact_mut(row_bytes).enumerate() {
                let source = stripes.id(shard, local).and_then(|id| sources[id as usize]);
                if let Some(id) = source {
                    let start = self.stripes.slot(id) as usize * row_bytes;
                    row.copy_from_slice(&from[start..][..row_bytes]);
                }
            }
        });
        new
    }

    /// Puts `values` into the rows `ids`, as many into each as it is wide, rounded to the nearest
    /// numbers of the type.
    pub fn assign_rows(&mut self, ids: Range<u32>, mut values: impl Iterator<Item = f32>) {
        let width = self.width;
        let stripes = self.stripes;
        let mut parts = self.parts_mut();
        for id in ids {
            let (shard, local) = stripes.split(id);
            parts[shard as usize].assign(local as usize, values.by_ref().take(width));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Dtype;
    use crate::rng::{Rng, Stream};

    #[test]
    fn rows_move_bit_for_bit_and_new_ones_are_zero() {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            for (rows, width) in [(1, 1), (70, 19), (300, 16)] {
                let old = Rows::random_as(dtype, (rows, width), 1.0, (0, 0));
                let mut rng = Rng::new(0, Stream::Probe, rows as u64, 0);
                let sources: Vec<Option<u32>> =
                    (0..rows + 70).map(|id| (id % 3 > 0).then(|| rng.below(rows as u32))).collect();
                let (before, after) = (old.to_vec(), old.picked(&sources).to_vec());
                for (row, source) in after.chunks(width).zip(sources) {
                    let wanted = source.map_or(vec![0.0; width], |id| {
                        before[id as usize * width..][..width].to_vec()
                    });
                    assert_eq!(row, wanted);
                }
            }
        }
        let column = Rows::column(100).picked(&[None; 7]);
        assert_eq!((column.stride(), column.to_vec()), (1, vec![0.0; 7]));
    }
}
