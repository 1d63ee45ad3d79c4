//! What an index remembers of rows that have moved since they were inserted.
//!
//! Tables are a function of the codes by which their rows were inserted, and the codes one of the
//! weights of then. Where rows have moved since, those weights are gone, so the codes are kept.

use super::{HashFamily, Index};

/// What an index remembers, rows in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IndexState {
    /// The codes by which the rows were inserted: of each table those of all rows.
    pub codes: Vec<u16>,
    /// Whether the rows have moved since: 0 or 1.
    pub moved: Vec<u8>,
    /// The lengths of the rows as they were hashed.
    pub lengths: Vec<f32>,
    /// What was done to the rows, as the stage of the index counts it.
    pub transform: Vec<f32>,
}

impl Index {
    /// What the index remembers; none where no row has moved since all were inserted, since it
    /// would then be built the same from the weights.
    #[must_use]
    pub fn state(&self) -> Option<IndexState> {
        let rows = self.stripes.rows() as u32;
        let slots = || (0..rows).map(|id| self.stripes.slot(id) as usize);
        let moved: Vec<u8> = slots().map(|slot| u8::from(self.moved[slot])).collect();
        moved.contains(&1).then(|| IndexState {
            codes: (0..self.tables.n_tables()).flat_map(|t| self.tables.codes_in(t)).collect(),
            moved,
            lengths: slots().map(|slot| self.lengths[slot]).collect(),
            transform: self.transform.state(),
        })
    }

    /// Builds the tables as they were when `state` was taken, at the generation that is asked for
    /// now.
    ///
    /// # Errors
    ///
    /// If `state` is not one of such an index; the index then waits for a refresh.
    pub fn restore(&mut self, state: &IndexState) -> Result<(), &'static str> {
        let (rows, n_tables) = (self.stripes.rows(), self.tables.n_tables());
        if [state.moved.len(), state.lengths.len()] != [rows; 2] {
            return Err("remembers more or fewer rows than there are");
        }
        let fits = |code: &u16| (*code as usize) < self.tables.n_buckets();
        if state.codes.len() != rows * n_tables || !state.codes.iter().all(fits) {
            return Err("has codes that are not those of its tables");
        }
        if !state.lengths.iter().all(|&length| length.is_finite() && length >= 0.0) {
            return Err("has lengths of rows that are no lengths");
        }
        self.transform.restore(&state.transform)?;
        self.built = self.wanted;
        self.hash = HashFamily::new(&self.config, self.hash.shape().width, rows, self.built);
        self.moved.fill(false);
        for id in 0..rows {
            let slot = self.stripes.slot(id as u32) as usize;
            (self.moved[slot], self.lengths[slot]) = (state.moved[id] != 0, state.lengths[id]);
        }
        self.tables.assign(&state.codes);
        Ok(())
    }
}
