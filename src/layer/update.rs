//! Phase C: every touched row of a layer is changed once a batch.
//!
//! A task owns a shard of the rows. The gradient of a row is the sum of `coefficient * input` over
//! the samples that had it active, in the order of the samples; the optimiser follows while the
//! row is in the cache. Nothing is shared for writing, so there is no lock and no race, and the
//! result does not depend on the number of threads.

use rayon::prelude::*;

use crate::hogwild::SharedSums;
use crate::optim::{Param, ParamShard, Update};
use crate::per_thread::PerThread;
use crate::phases::{Phase, Phases, Stopwatch};
use crate::rows::{Matrix, SHARDS};
use crate::simd::Kernels;
use crate::touched::{Edge, Edges, Touched};

use super::inputs::BatchInputs;
use super::products::Products;

/// Reusable memory of an update.
#[derive(Debug)]
pub struct UpdateScratch {
    shards: Vec<(Touched, Phases)>,
    /// The gradient of one row. It may be as wide as the features, so there is one a thread and
    /// not one a shard.
    pub(super) sums: PerThread<Sums>,
    pub(super) products: Products,
}

impl Default for UpdateScratch {
    fn default() -> Self {
        let shards = std::iter::repeat_with(Default::default).take(SHARDS).collect();
        Self { shards, sums: PerThread::default(), products: Products::default() }
    }
}

impl UpdateScratch {
    /// Where the time went since this was asked last.
    pub fn take_phases(&mut self) -> Phases {
        let mut phases = Phases::default();
        for (_, spent) in &mut self.shards {
            phases.merge(&std::mem::take(spent));
        }
        phases
    }

    /// Makes room for rows of `stride` floats, on every thread: which of them will meet a row
    /// differs from step to step.
    pub(super) fn make_room(&mut self, stride: usize, sparse: bool) {
        self.sums.ensure(Sums::default);
        for Sums { gradients, columns, .. } in self.sums.all_mut() {
            if sparse {
                columns.make_room(stride);
            } else {
                for gradient in gradients {
                    gradient.clear();
                    gradient.resize(stride, 0.0);
                }
            }
        }
    }

    /// The sum of the squares of what [`Target::update`] would take for the gradients of the rows, and
    /// of their biases; rows have `stride` floats, and a shard `per_shard` of them.
    pub(crate) fn squares<'e, I: Iterator<Item = &'e Edges> + Clone>(
        &mut self,
        kernels: &Kernels,
        (stride, per_shard): (usize, usize),
        parts: impl Fn() -> I + Sync,
        inputs: BatchInputs<'_>,
    ) -> [f64; 2] {
        self.make_room(stride, matches!(inputs, BatchInputs::Sparse { .. }));
        self.make_places(per_shard);
        let Self { shards, sums, .. } = self;
        let tasks = shards.par_iter_mut().enumerate();
        let of_shards: Vec<[f64; 2]> = tasks
            .map(|(shard, (touched, _))| {
                touched.gather(shard, parts());
                sums.with(|Sums { gradients: [gradient, _], columns: sum, .. }| {
                    let mut squares = [0.0; 2];
                    for (_, samples, coefs) in touched.iter() {
                        if let BatchInputs::Dense(inputs) = inputs {
                            let square =
                                (kernels.sum_rows)(inputs.as_slice(), samples, coefs, gradient);
                            squares[0] += f64::from(square);
                        } else {
                            for (&sample, &coef) in samples.iter().zip(coefs) {
                                sum.add(coef, inputs.sparse(sample));
                            }
                            let of = |&column: &u32| f64::from(sum.floats[column as usize]).powi(2);
                            squares[0] += sum.columns.iter().map(of).sum::<f64>();
                            sum.clear();
                        }
                        squares[1] += f64::from(coefs.iter().sum::<f32>()).powi(2);
                    }
                    squares
                })
            })
            .collect();
        [0, 1].map(|part| of_shards.iter().map(|squares| squares[part]).sum())
    }

    /// Makes room for the places of all `rows` of a shard, on every thread.
    fn make_places(&mut self, rows: usize) {
        for Sums { places, bias_gradients, .. } in self.sums.all_mut() {
            places.clear();
            places.reserve(rows);
            bias_gradients.clear();
            bias_gradients.reserve(rows);
        }
    }
}

/// The gradients of rows, with dense inputs or with sparse ones.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// Of one row and of the next.
    pub(super) gradients: [Vec<f32>; 2],
    columns: ColumnSum,
    /// Places of the rows of a shard that were changed, and the gradients of their biases.
    places: Vec<u32>,
    bias_gradients: Vec<f32>,
}

/// What changes: weights, biases where there are any, and the marks of moved rows.
pub(super) struct Target<'a, 'm> {
    pub(super) weights: &'a mut Param<'m>,
    pub(super) bias: Option<&'a mut Param<'m>>,
    pub(super) moved: Option<[&'a mut [bool]; SHARDS]>,
    pub(super) sums: Option<&'a SharedSums>,
}

impl Target<'_, '_> {
    /// The same with gradients that all tasks add to at once. With sparse inputs the touched entries
    /// are those whose gradient is not zero.
    fn race<'e, I: Iterator<Item = &'e Edges> + Clone>(
        self,
        sums: &SharedSums,
        (kernels, update): (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        inputs: BatchInputs<'_>,
        scratch: &mut UpdateScratch,
    ) {
        let n = parts().count();
        (0..n).into_par_iter().for_each(|part| {
            let Some(edges) = parts().nth(part) else { return };
            for shard in 0..SHARDS {
                for &Edge { local, sample, coef } in edges.shard(shard) {
                    match inputs {
                        BatchInputs::Dense(inputs) => {
                            sums.add((shard, local), coef, inputs.row(sample as usize));
                        }
                        BatchInputs::Sparse { .. } => {
                            sums.add_columns((shard, local), coef, inputs.sparse(sample));
                        }
                    }
                }
            }
        });
        scratch.make_room(self.weights.weights().stride(), false);
        let bias = each(self.bias.map(Param::shards_mut));
        let moved = each(self.moved);
        let weights = self.weights.shards_mut().into_par_iter();
        let tasks = weights.zip(bias).zip(moved).enumerate();
        let room = &scratch.sums;
        tasks.for_each(|(shard, ((mut weights, mut bias), mut moved))| {
            room.with(
                |Sums { gradients: [gradient, _], columns: ColumnSum { columns, .. }, .. }| {
                    let mut from = 0;
                    while let Some((local, coefs)) = sums.take(shard, from, gradient) {
                        if matches!(inputs, BatchInputs::Sparse { .. }) {
                            let present = (0..).zip(&*gradient).filter(|(_, x)| **x != 0.0);
                            columns.extend(present.map(|(column, _)| column));
                            weights.update_columns(kernels, update, local, columns, gradient);
                            columns.clear();
                        } else {
                            weights.update(kernels, update, local, gradient);
                        }
                        if let Some(bias) = &mut bias {
                            bias.update(kernels, update, local, &mut [coefs]);
                        }
                        if let Some(moved) = &mut moved {
                            moved[local] = true;
                        }
                        from = local + 1;
                    }
                },
            );
        });
    }

    /// Changes every row that has edges in `parts`; an edge of sample `s` adds
    /// `coefficient * inputs[s]` to the gradient of its row. With sparse inputs only the touched
    /// entries of a row change, where the optimiser allows it.
    pub(super) fn update<'e, I: Iterator<Item = &'e Edges> + Clone>(
        self,
        (kernels, update): (&Kernels, &Update),
        parts: impl Fn() -> I + Sync,
        inputs: BatchInputs<'_>,
        scratch: &mut UpdateScratch,
    ) {
        if let Some(sums) = self.sums {
            return self.race(sums, (kernels, update), parts, inputs, scratch);
        }
        let sparse = matches!(inputs, BatchInputs::Sparse { .. });
        let rows = self.weights.weights();
        scratch.make_room(rows.stride(), sparse);
        scratch.make_places(rows.stripes().per_shard());
        let UpdateScratch { shards, sums, .. } = scratch;
        let bias = each(self.bias.map(Param::shards_mut));
        let moved = each(self.moved);
        let weights = self.weights.shards_mut().into_par_iter();
        let tasks = weights.zip(bias).zip(moved).zip(shards).enumerate();
        // A look at the clock takes as long as a row from the cache: a thread goes on with its own.
        tasks.for_each_init(Stopwatch::default, |watch, (shard, (of_rows, (touched, spent)))| {
            let ((mut weights, mut bias), mut moved) = of_rows;
            touched.gather(shard, parts());
            if touched.is_empty() {
                return;
            }
            watch.lap(Phase::Transpose);
            sums.with(|Sums { gradients, columns: sum, places, bias_gradients }| {
                if let BatchInputs::Dense(inputs) = inputs {
                    change_rows(&mut weights, (kernels, update), touched, inputs, gradients);
                } else {
                    for (local, samples, coefs) in touched.iter() {
                        for (&sample, &coef) in samples.iter().zip(coefs) {
                            sum.add(coef, inputs.sparse(sample));
                        }
                        let ColumnSum { columns, floats, .. } = &mut *sum;
                        weights.update_columns(kernels, update, local, columns, floats);
                        sum.clear();
                    }
                }
                places.clear();
                places.extend(touched.iter().map(|(local, ..)| local as u32));
                watch.phases.rows_updated += places.len() as u64;
                if let Some(moved) = &mut moved {
                    for &local in &*places {
                        moved[local as usize] = true;
                    }
                }
                if let Some(bias) = &mut bias {
                    bias_gradients.clear();
                    bias_gradients
                        .extend(touched.iter().map(|(.., coefs)| coefs.iter().sum::<f32>()));
                    bias.update_numbers(kernels, update, places, bias_gradients);
                }
            });
            watch.lap(Phase::Update);
            *spent = watch.take();
        });
    }
}

/// Changes the rows of a shard by sums of dense inputs.
fn change_rows(
    weights: &mut ParamShard<'_>,
    (kernels, update): (&Kernels, &Update),
    touched: &Touched,
    inputs: &Matrix,
    gradients: &mut [Vec<f32>; 2],
) {
    let mut rows = touched.iter();
    let locals = touched.iter().map(|(local, ..)| local);
    weights.update_rows((kernels, update), locals, gradients, |gradient| {
        let (_, samples, coefs) = rows.next().unwrap_or_default();
        (kernels.sum_rows)(inputs.as_slice(), samples, coefs, gradient)
    });
}

/// A sum of sparse vectors: zero but for the columns that it lists.
#[derive(Debug, Default)]
struct ColumnSum {
    floats: Vec<f32>,
    present: Vec<bool>,
    columns: Vec<u32>,
}

impl ColumnSum {
    fn make_room(&mut self, width: usize) {
        // All at once: how many columns meet in a row varies from step to step.
        self.columns.reserve(width);
        self.floats.resize(width, 0.0);
        self.present.resize(width, false);
    }

    fn add(&mut self, coef: f32, (columns, values): (&[u32], &[f32])) {
        for (&column, value) in columns.iter().zip(values) {
            let at = column as usize;
            if !std::mem::replace(&mut self.present[at], true) {
                self.columns.push(column);
            }
            self.floats[at] += coef * value;
        }
    }

    fn clear(&mut self) {
        for &column in &self.columns {
            (self.floats[column as usize], self.present[column as usize]) = (0.0, false);
        }
        self.columns.clear();
    }
}

/// An optional array as an array of options.
pub(super) fn each<T, const N: usize>(array: Option<[T; N]>) -> [Option<T>; N] {
    let mut items = array.map(IntoIterator::into_iter);
    std::array::from_fn(|_| items.as_mut().and_then(Iterator::next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_for_the_gradient_of_a_row_grows_with_the_threads_and_not_with_the_shards() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("three threads");
        pool.install(|| {
            let mut scratch = UpdateScratch::default();
            for sparse in [true, false, true] {
                scratch.make_room(1000, sparse);
            }
            let rooms: Vec<usize> =
                scratch.sums.all_mut().map(|sums| sums.columns.floats.len()).collect();
            assert_eq!(rooms, [1000; 3]);
        });
    }
}
