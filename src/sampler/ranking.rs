//! The order of candidates: a count of tables, or the logit that it lets expect.

/// Turns a count and a length into a grade from 1 to 255, in the order of the estimated logits.
///
/// A row stands in the bucket of the query in each table with probability p^K, where p is a
/// function of their angle (1 - angle / pi for `SimHash`). So a count of c in L tables estimates p
/// as (c / L)^(1 / K), and by that the cosine; the logit is the cosine times the length of the row.
/// Grades are logarithmic: a step is the same ratio everywhere. Where p is no function of the angle,
/// or all rows were hashed at the same length, the grade is the count.
#[derive(Debug)]
pub(super) struct Ranking {
    /// The cosine that each count estimates, unless the count itself is the grade.
    cosines: Vec<f32>,
    /// Logarithm of the number of ways to choose so many of all tables.
    log_choose: Vec<f64>,
}

impl Ranking {
    /// For `n_tables` tables of `n_hashes` functions; `collision` is the probability that one
    /// function agrees, for a cosine.
    pub(super) fn new(
        n_tables: usize,
        n_hashes: usize,
        collision: impl Fn(f64) -> Option<f64>,
    ) -> Self {
        let cosine = |count: usize| {
            let share = (count as f64 / n_tables as f64).min(1.0);
            let p = share.powf(1.0 / n_hashes as f64);
            // The probability rises with the cosine.
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..64 {
                let middle = 0.5 * (low + high);
                *(if collision(middle)? < p { &mut low } else { &mut high }) = middle;
            }
            Some(if collision(0.0)? >= p { 0.0 } else { high as f32 })
        };
        let cosines = (0..=usize::from(u8::MAX)).map_while(cosine).collect();
        let factor = |i: usize| ((n_tables + 1 - i) as f64 / i as f64).ln();
        let terms = (1..=n_tables).scan(0.0, |sum, i| {
            *sum += factor(i);
            Some(*sum)
        });
        Self { cosines, log_choose: std::iter::once(0.0).chain(terms).collect() }
    }

    #[inline]
    pub(super) fn grade(&self, votes: u8, length: f32) -> u8 {
        let Some(cosine) = self.cosines.get(votes as usize) else { return votes };
        let logit = cosine * length;
        // Sixteen grades to a factor of two: exponent and four bits of the fraction of the float.
        let bits = (logit.to_bits() >> 19) as i32 - (LOWEST.to_bits() >> 19) as i32;
        bits.clamp(1, 255) as u8
    }

    /// Probability that a row gets at least `grade`, when it stands in the bucket of each table
    /// with probability `p` and counts only if it is found in `floor` of them.
    pub(super) fn at_least(&self, grade: u8, length: f32, floor: u8, p: f64) -> f64 {
        let last = self.log_choose.len() - 1;
        let (mut low, mut high) = (usize::from(floor.max(1)), last + 1);
        while low < high {
            let middle = usize::midpoint(low, high);
            let reached = self.grade(middle as u8, length) >= grade;
            *(if reached { &mut high } else { &mut low }) = middle + usize::from(!reached);
        }
        self.tail(low, p)
    }

    /// Probability that of as many trials as there are tables, at least `least` succeed.
    fn tail(&self, least: usize, p: f64) -> f64 {
        let trials = self.log_choose.len() - 1;
        if least > trials {
            return 0.0;
        }
        if p >= 1.0 {
            return 1.0;
        }
        if least == 1 {
            return -(trials as f64 * (-p).ln_1p()).exp_m1();
        }
        let (won, lost) = (p.ln(), (-p).ln_1p());
        let odds = p / (1.0 - p);
        let mut term =
            (self.log_choose[least] + least as f64 * won + (trials - least) as f64 * lost).exp();
        let mut sum = 0.0;
        for i in least..=trials {
            sum += term;
            term *= odds * (trials - i) as f64 / (i + 1) as f64;
        }
        sum.min(1.0)
    }
}

/// Grades span 2^16 upwards from here; logits are of order one.
const LOWEST: f32 = 1.0 / 1024.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn simhash(cosine: f64) -> f64 {
        1.0 - cosine.acos() / std::f64::consts::PI
    }

    #[test]
    fn a_count_estimates_the_cosine_of_its_closed_form() {
        let (n_tables, n_hashes) = (96, 8);
        let ranking = Ranking::new(n_tables, n_hashes, |cosine| Some(simhash(cosine)));
        for (count, &cosine) in ranking.cosines.iter().enumerate() {
            let share = (count as f64 / n_tables as f64).min(1.0);
            let angle = std::f64::consts::PI * (1.0 - share.powf(1.0 / n_hashes as f64));
            // Near 1 the cosine is flat, so that a rounding of p is the square root of one in it.
            assert!((f64::from(cosine) - angle.cos().max(0.0)).abs() < 1e-7, "{count}");
        }
    }

    #[test]
    fn without_a_closed_form_the_count_is_the_grade() {
        let ranking = Ranking::new(20, 4, |_| None);
        assert!((0..=255).all(|votes| ranking.grade(votes, 3.0) == votes));
    }

    #[test]
    fn tails_are_those_of_the_binomial_distribution() {
        let ranking = Ranking::new(6, 4, |_| None);
        for p in [1e-9, 0.2, 0.5, 0.9, 1.0] {
            let mut tail = 0.0;
            for (least, choose) in [(6, 1.0), (5, 6.0), (4, 15.0), (3, 20.0), (2, 15.0), (1, 6.0)] {
                tail += choose * f64::powi(p, least) * f64::powi(1.0 - p, 6 - least);
                let ours = ranking.at_least(least as u8, 1.0, 1, p);
                assert!((ours - tail).abs() < 1e-12 * tail, "{p} {least}: {ours} {tail}");
            }
        }
        assert_eq!(ranking.at_least(7, 1.0, 1, 0.5), 0.0);
        assert_eq!(ranking.at_least(1, 1.0, 3, 0.5), ranking.at_least(3, 1.0, 1, 0.5));
    }
}
