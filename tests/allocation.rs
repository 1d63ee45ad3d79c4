//! A step allocates nothing once its buffers have grown.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rayon::prelude::*;

use common::{Data, features, targets, with_threads};
use slide_rs::Network;
use slide_rs::config::{Activation, SamplerConfig};
use slide_rs::sparse::{DenseView, Features};

struct Counting;

static COUNTING: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator that counts cannot be written without")]
// SAFETY: every call is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTING.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc`, that is, from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Steps in which buffers may grow: training brings some neurons into more active sets.
const WARM: usize = 4;

/// One test, because the count is of the whole process.
#[test]
fn steps_after_the_first_allocate_nothing() {
    let data = Data::random(128, 60, 1500, 4);
    let of_few = Data::random(128, 60, 60, 4);
    let values: Vec<f32> = (1..=128 * 60).map(|x| x as f32).collect();
    let as_dense = Features::Dense(DenseView::new("X", &values, 60).unwrap());
    let rows = data.rows();
    let dense = || common::dense(32, Activation::Linear, 8.0);
    let uniform = common::uniform(100);
    let sampled = |units, sampler| common::sampled(units, sampler, Activation::Relu, (3.0, true));
    let stacks = [
        ("lsh", vec![dense()], common::lsh(100)),
        ("uniform", vec![dense()], uniform.clone()),
        ("shared uniform", vec![dense()], common::shared_uniform(100)),
        ("full", vec![dense()], SamplerConfig::Full {}),
        ("rows", vec![dense(), dense()], SamplerConfig::Full {}),
        ("few", vec![dense(), dense()], SamplerConfig::Full {}),
        ("sampled lsh", vec![sampled(500, common::lsh(50))], common::lsh(100)),
        ("sampled uniform", vec![sampled(500, uniform.clone()), dense()], uniform.clone()),
        (
            "sampled twice",
            vec![sampled(500, uniform.clone()), sampled(300, common::lsh(40))],
            uniform,
        ),
    ];
    for (name, hidden, sampler) in stacks {
        let mut floats = common::stack(&data, hidden, sampler);
        if name == "few" {
            floats.output.units = 60;
        }
        let data = if name == "few" { &of_few } else { &data };
        let as_rows = matches!(name, "rows" | "few");
        for config in [common::lightest(floats.clone()), floats] {
            let (x, y) = (if as_rows { as_dense } else { features(data) }, targets(data));
            let allocations = with_threads(2, || {
                // A thread of the pool allocates when it first takes work from another: that is the
                // pool's doing, once in its life, and happens here.
                (0..64).into_par_iter().for_each(|_| std::thread::sleep(Duration::from_millis(1)));
                let mut network = Network::new(config).unwrap();
                for _ in 0..WARM {
                    network.train_batch(&x, &y, &rows).unwrap();
                }
                network.train_batch(&x, &y, &rows[..40]).unwrap();
                COUNTING.store(true, Ordering::SeqCst);
                // With rehashes among them, and with shorter batches, as at the end of an epoch.
                for step in 0..8 {
                    let rows = if step % 2 == 0 { &rows[..] } else { &rows[..40] };
                    network.train_batch(&x, &y, rows).unwrap();
                }
                COUNTING.store(false, Ordering::SeqCst);
                ALLOCATIONS.swap(0, Ordering::SeqCst)
            });
            assert_eq!(allocations, 0, "{name}");
        }
    }
}
