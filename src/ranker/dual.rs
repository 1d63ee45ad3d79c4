//! A support vector machine by dual coordinate descent.

use crate::rng::{Rng, Stream};
use crate::simd::Kernels;

use super::Options;
use super::instances::UnitRows;

/// How many rows before its use a row is fetched.
const AHEAD: usize = 3;

/// Trains one classifier at a time.
///
/// It minimises, over weights w and a bias b that counts as one of them, `(|w|^2 + b^2) / 2 + C sum
/// max(0, 1 - y (w x + b))^2` by Algorithm 1 of Hsieh et al., "A dual coordinate descent method for
/// large-scale linear SVM", ICML 2008: each row has a dual variable a >= 0, which is moved at once
/// to where the dual, given all others, is least. Rows that stay at zero are left out after a while
/// and looked at again at the end; if the passes are over before, they may disagree.
#[derive(Debug)]
pub(super) struct Solver {
    /// A weight for each feature; all zero between two calls.
    weights: Vec<f32>,
    bias: f64,
    /// Asks for floats that are to be read soon.
    prefetch: fn(&[f32]),
    /// Row and sign of each instance.
    instances: Vec<(u32, f32)>,
    duals: Vec<f64>,
    order: Vec<u32>,
}

impl Solver {
    pub(super) fn new(n_features: usize, kernels: &Kernels) -> Self {
        Self {
            weights: vec![0.0; n_features],
            bias: 0.0,
            prefetch: kernels.prefetch,
            instances: vec![],
            duals: vec![],
            order: vec![],
        }
    }

    /// Trains the classifier of `label` and puts those of its weights that matter into `kept`, by
    /// ascending feature. Returns the bias.
    pub(super) fn solve(
        &mut self,
        rows: &UnitRows,
        task: (usize, &[u32], &[u32]),
        options: &Options,
        kept: &mut Vec<(u32, f32)>,
    ) -> f32 {
        self.train(rows, task, options);
        self.collect(rows, options.threshold, kept);
        self.bias as f32
    }

    fn train(
        &mut self,
        rows: &UnitRows,
        (label, positives, negatives): (usize, &[u32], &[u32]),
        options: &Options,
    ) {
        self.instances.clear();
        self.instances.extend(positives.iter().map(|&row| (row, 1.0)));
        self.instances.extend(negatives.iter().map(|&row| (row, -1.0)));
        self.duals.clear();
        self.duals.resize(self.instances.len(), 0.0);
        self.order.clear();
        self.order.extend(0..self.instances.len() as u32);
        self.bias = 0.0;
        let (mut order, mut far) = (std::mem::take(&mut self.order), f64::INFINITY);
        for pass in 0..options.passes {
            let mut rng = Rng::new(options.seed, Stream::Ranker, pass as u64, label as u64);
            rng.shuffle(&mut order);
            let (greatest, falling) = self.pass(rows, options.cost, &mut order, far);
            if greatest > f64::from(options.tolerance) {
                far = if falling > 0.0 { falling } else { f64::INFINITY };
            } else if order.len() == self.instances.len() {
                break;
            } else {
                // What was left out must agree as well.
                order.clear();
                order.extend(0..self.instances.len() as u32);
                far = f64::INFINITY;
            }
        }
        self.order = order;
    }

    /// Moves every dual variable of `order` once; returns the greatest gradient that one could
    /// follow, and the greatest along which one could fall. Those that are zero and would fall
    /// along a greater one than `far`, that of the pass before, leave `order`: "shrinking",
    /// Algorithm 3 of Hsieh et al.
    fn pass(&mut self, rows: &UnitRows, cost: f32, order: &mut Vec<u32>, far: f64) -> (f64, f64) {
        // The squared hinge adds this to the diagonal of the dual's matrix.
        let diagonal = 0.5 / f64::from(cost);
        let (mut greatest, mut falling) = (0.0_f64, 0.0_f64);
        let mut staying = 0;
        for at in 0..order.len() {
            if let Some(&coming) = order.get(at + AHEAD) {
                rows.fetch(self.prefetch, self.instances[coming as usize].0 as usize);
            }
            let instance = order[at];
            let (row, sign) = self.instances[instance as usize];
            let (ids, values) = rows.row(row as usize);
            let dual = &mut self.duals[instance as usize];
            let sign = f64::from(sign);
            let score = self.bias + dot(&self.weights, ids, values);
            let gradient = sign * score - 1.0 + *dual * diagonal;
            // At zero a dual variable can only grow.
            if *dual == 0.0 && gradient >= 0.0 {
                if gradient <= far {
                    order[staying] = instance;
                    staying += 1;
                }
                continue;
            }
            order[staying] = instance;
            staying += 1;
            greatest = greatest.max(gradient.abs());
            falling = falling.max(gradient);
            // The row is one long, unless it is empty, and so is its bias.
            let moved = (*dual - gradient / (2.0 + diagonal)).max(0.0);
            let step = (moved - *dual) * sign;
            *dual = moved;
            let change = step as f32;
            for (&id, &value) in ids.iter().zip(values) {
                self.weights[id as usize] += change * value;
            }
            self.bias += step;
        }
        order.truncate(staying);
        (greatest, falling)
    }

    /// Takes out the weights that matter, and leaves zeros.
    fn collect(&mut self, rows: &UnitRows, threshold: f32, kept: &mut Vec<(u32, f32)>) {
        kept.clear();
        for &(row, _) in &self.instances {
            for &id in rows.row(row as usize).0 {
                let weight = std::mem::take(&mut self.weights[id as usize]);
                if weight.abs() > threshold {
                    kept.push((id, weight));
                }
            }
        }
        kept.sort_unstable_by_key(|&(id, _)| id);
    }
}

/// Four sums side by side, as an addition takes longer than the rest.
fn dot(weights: &[f32], ids: &[u32], values: &[f32]) -> f64 {
    let (ids, last_ids) = ids.as_chunks::<4>();
    let (values, last_values) = values.as_chunks::<4>();
    let mut sums = [0.0_f64; 4];
    for (ids, values) in ids.iter().zip(values) {
        for lane in 0..4 {
            sums[lane] += f64::from(weights[ids[lane] as usize] * values[lane]);
        }
    }
    let last = last_ids.iter().zip(last_values);
    let last: f64 = last.map(|(&id, &value)| f64::from(weights[id as usize] * value)).sum();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sparse::Features;
    use crate::sparse::{CsrView, IdLists, Indices};

    const FEATURES: usize = 40;

    /// Rows of eight values, the first feature of which tells the sign.
    fn rows(n: usize) -> UnitRows {
        let mut rng = Rng::new(5, Stream::Weights, 0, 0);
        let indptr: Vec<i64> = (0..=n as i64).map(|row| row * 8).collect();
        let mut ids = vec![];
        let mut values = vec![];
        for _ in 0..n {
            let mut own: Vec<i64> = (0..FEATURES as i64).collect();
            rng.shuffle(&mut own);
            own[..8].sort_unstable();
            ids.extend_from_slice(&own[..8]);
            values.extend((0..8).map(|_| rng.uniform() + 0.1));
        }
        let pattern =
            IdLists::new("X", Indices::I64(&indptr), Indices::I64(&ids), FEATURES).unwrap();
        UnitRows::new(&Features::Sparse(CsrView::new(pattern, &values).unwrap()), || true).unwrap()
    }

    fn options(passes: usize, threshold: f32) -> Options {
        Options { cost: 0.7, tolerance: 1e-7, passes, threshold, seed: 0 }
    }

    /// What is minimised, and the value of the dual, in f64.
    fn objectives(solver: &Solver, rows: &UnitRows, cost: f64) -> (f64, f64) {
        let square = |values: &[f32]| values.iter().map(|&w| f64::from(w).powi(2)).sum::<f64>();
        let length = square(&solver.weights) + solver.bias.powi(2);
        let (mut primal, mut dual) = (0.5 * length, -0.5 * length);
        for (&(row, sign), &a) in solver.instances.iter().zip(&solver.duals) {
            let (ids, values) = rows.row(row as usize);
            let score = solver.bias + dot(&solver.weights, ids, values);
            primal += cost * (1.0 - f64::from(sign) * score).max(0.0).powi(2);
            dual += a - a * a / (4.0 * cost);
        }
        (primal, dual)
    }

    #[test]
    fn the_dual_reaches_the_primal() {
        // Weak duality: the primal is never below the dual, and equal only at the optimum.
        let (n, rows) = (300, rows(300));
        let all: Vec<u32> = (0..n).collect();
        let (positives, negatives) = all.split_at(100);
        let cost = f64::from(options(0, 0.0).cost);
        let mut gap = f64::INFINITY;
        for passes in [0, 2, 50] {
            let mut solver = Solver::new(FEATURES, &Kernels::detect().unwrap());
            solver.train(&rows, (0, positives, negatives), &options(passes, 0.0));
            let (primal, dual) = objectives(&solver, &rows, cost);
            // Rounded weights are not quite those of the dual variables.
            assert!(
                primal - dual > -1e-6 * primal && primal - dual < gap,
                "{passes}: {primal} {dual}"
            );
            gap = primal - dual;
        }
        // Weights are floats: an addition errs by half an ulp, and a score sees at most all of them.
        assert!(gap < 1e-4 * cost * f64::from(n), "{gap}");
    }

    #[test]
    fn small_weights_are_left_out_and_the_solver_is_left_empty() {
        let rows = rows(60);
        let mut solver = Solver::new(FEATURES, &Kernels::detect().unwrap());
        let all: Vec<u32> = (0..60).collect();
        let task = (3, &all[..20], &all[20..]);
        let (mut every, mut large, mut again) = (vec![], vec![], vec![]);
        let bias = solver.solve(&rows, task, &options(50, 0.0), &mut every);
        assert!(solver.weights.iter().all(|&weight| weight == 0.0));
        solver.solve(&rows, task, &options(50, 0.05), &mut large);
        let expected: Vec<_> = every.iter().copied().filter(|(_, w)| w.abs() > 0.05).collect();
        assert!(!large.is_empty() && large.len() < every.len());
        assert_eq!(large, expected);
        assert!(every.array_windows().all(|[a, b]| a.0 < b.0));
        assert_eq!(solver.solve(&rows, task, &options(50, 0.0), &mut again), bias);
        assert_eq!(again, every);
    }
}
