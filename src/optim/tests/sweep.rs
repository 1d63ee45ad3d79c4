//! Rows of a shard one after another, against one by one.

use super::*;
use crate::optim::sweep::{Target, each};

/// Places in a shard, of which more are touched than are asked for at a time.
const PLACES: usize = 120;

/// All that the optimiser has changed, as bits.
fn bits(param: &Param<'_>) -> Vec<Vec<u32>> {
    let moments = param.moments().iter().map(|(_, rows)| rows);
    let all = std::iter::once(param.weights()).chain(moments);
    all.map(|rows| rows.to_vec().into_iter().map(f32::to_bits).collect()).collect()
}

/// The touched rows of a shard, in the order of their places.
fn places(step: usize, shard: usize) -> Vec<usize> {
    (0..PLACES).filter(|local| touched(step, local * SHARDS + shard)).collect()
}

#[test]
fn rows_one_after_another_have_the_bits_of_rows_one_by_one() {
    let clipped = ClipConfig { norm: Some(0.5), ..ClipConfig::default() };
    let configs = all().into_iter().chain(light::all());
    for (config, clip) in configs.flat_map(|c| [(c.clone(), ClipConfig::default()), (c, clipped)]) {
        let stored = [Dtype::F32, Dtype::Bf16, Dtype::F16];
        let pairs = Kernels::available().flat_map(|k| stored.map(|dtype| (k, dtype)));
        for (kernels, dtype) in pairs {
            let new = || {
                Param::new(Rows::random_as(dtype, (SHARDS * PLACES, WIDTH), 1.0, (0, 0)), &config)
            };
            let (mut swept, mut single) = (new(), new());
            let mut optimizer = Optimizer::new(&config, clip);
            for step in 0..3 {
                optimizer.begin(lr(step), step as u64 + 1);
                let (mut a, mut b) = (swept.shards_mut(), single.shards_mut());
                for shard in 0..SHARDS {
                    let locals = places(step, shard);
                    let mut next = locals.iter();
                    let mut rooms = [vec![f32::NAN; 32], vec![f32::NAN; 32]];
                    let how = (&kernels, optimizer.update());
                    a[shard].update_rows(how, locals.iter().copied(), &mut rooms, |room| {
                        let &local = next.next().unwrap();
                        room.copy_from_slice(&gradient(step, local * SHARDS + shard));
                        (kernels.dot)(room, room)
                    });
                    for &local in &locals {
                        let mut g = gradient(step, local * SHARDS + shard);
                        b[shard].update(&kernels, optimizer.update(), local, &mut g);
                    }
                }
            }
            assert_eq!(
                bits(&swept),
                bits(&single),
                "{} {config:?} {clip:?} {dtype:?}",
                kernels.name
            );
        }
    }
}

/// What is asked for and what is changed, in their order.
#[derive(Default)]
struct Seen {
    fetched: std::cell::RefCell<Vec<usize>>,
    changed: Vec<(usize, usize)>,
}

impl Target for &mut Seen {
    fn fetch(&self, _: &Kernels, local: usize) {
        self.fetched.borrow_mut().push(local);
    }

    fn change(
        &mut self,
        _: &Kernels,
        (local, soon): (usize, Option<usize>),
        _: &mut [f32],
        _: f32,
    ) {
        self.fetched.get_mut().extend(soon);
        self.changed.push((local, self.fetched.get_mut().len()));
    }
}

#[test]
fn every_row_is_asked_for_once_and_as_many_rows_ahead_as_wanted() {
    let kernels = Kernels::detect().unwrap();
    for n in [0, 1, 5, 12, 13, 40] {
        let locals: Vec<usize> = (0..n).map(|i| 3 * i + 1).collect();
        for ahead in [2, 12] {
            let mut seen = Seen::default();
            let mut rooms = [vec![0.0; 16], vec![0.0; 16]];
            let how = (locals.iter().copied(), ahead);
            each(&mut seen, &kernels, how, &mut rooms, |_| 0.0);
            assert_eq!(seen.fetched.into_inner(), locals);
            let fetched = (0..n).map(|i| (i + 1 + ahead).min(n));
            let wanted: Vec<_> = locals.iter().copied().zip(fetched).collect();
            assert_eq!(seen.changed, wanted, "{n} rows, {ahead} ahead");
        }
    }
}
