//! Rows of a shard one after another, against one by one.

use super::*;

/// Places in a shard: more than are asked for at a time.
const PLACES: usize = 40;

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
    let kernels = Kernels::detect().unwrap();
    let clipped = ClipConfig { norm: Some(0.5), ..ClipConfig::default() };
    let configs = all().into_iter().chain(light::all());
    for (config, clip) in configs.flat_map(|c| [(c.clone(), ClipConfig::default()), (c, clipped)]) {
        for dtype in [Dtype::F32, Dtype::Bf16, Dtype::F16] {
            let new = || {
                Param::new(Rows::random_as(dtype, (SHARDS * PLACES, WIDTH), 1.0, (0, 0)), &config)
            };
            let (mut swept, mut single) = (new(), new());
            let mut optimizer = Optimizer::new(&config, clip);
            for step in 0..4 {
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
            assert_eq!(bits(&swept), bits(&single), "{config:?} {clip:?} {dtype:?}");
        }
    }
}
