//! Labels that come and go while a network lives.
//!
//! Rows of the output layer move to a layer of the new size, bit for bit and with the moments of the
//! optimiser; hash tables keep the codes of rows that stay and are sorted anew.

use crate::error::{Error, Result};
use crate::layer::Inputs;
use crate::sparse::{Features, IdLists};

use super::{Network, Workspace, check_memory};

/// What the weights of a new label begin with.
#[derive(Clone, Copy, Debug)]
pub enum NewLabels<'a> {
    /// Zeros.
    Zeros,
    /// Small random numbers, those that a network of the new size begins with.
    Random,
    /// The mean of what the output layer reads for the rows of the features that have the label,
    /// made as long as the rows of the layer are on average. The lists hold ids after the labels
    /// were added.
    MeanOfInputs(&'a Features<'a>, &'a IdLists<'a>),
}

impl Network {
    /// Adds `count` labels behind those there are. Each has the mean of the biases of the others.
    /// What the others answer stays, bit for bit, and so does what the optimiser remembers of them.
    ///
    /// An active set that held all labels holds all again; any other stays as large as it was.
    ///
    /// # Errors
    ///
    /// If `count` is 0, there would be more labels than can be counted or held, a new label has no
    /// row to begin with, the arrays do not fit or change during the call, or `go_on` says no. The
    /// network is then as before.
    pub fn add_labels(
        &mut self,
        count: usize,
        init: NewLabels<'_>,
        go_on: impl FnMut() -> bool,
    ) -> Result<()> {
        let old = self.output.units();
        let most = i32::MAX as usize - old;
        if count == 0 || count > most {
            return Err(Error::Range { name: "count", found: count, low: 1, high: most });
        }
        let ids = 0..(old + count) as u32;
        self.check_labels(ids.len())?;
        let means = match init {
            NewLabels::MeanOfInputs(x, y) => Some(self.mean_inputs(x, y, ids.len(), go_on)?),
            NewLabels::Zeros | NewLabels::Random => None,
        };
        let sources: Vec<_> = ids.map(|id| Some(id).filter(|&id| (id as usize) < old)).collect();
        self.pick_labels(&sources)?;
        let (first, all) = (old as u32, sources.len() as u32);
        self.output.level_bias(first);
        if let Some(means) = means {
            let weights = self.output.params_mut().0.weights_mut();
            weights.assign_rows(first..all, means.into_iter());
        } else if matches!(init, NewLabels::Random) {
            self.output.draw(self.config.seed, first);
        }
        self.rehash();
        Ok(())
    }

    /// Removes labels: those for which `kept` is false. The others are numbered anew, in their order.
    ///
    /// # Errors
    ///
    /// If none would be left, or `kept` has not one entry a label. The network is then as before.
    pub fn remove_labels(&mut self, kept: &[bool]) -> Result<()> {
        let units = self.output.units();
        let sources: Vec<_> =
            (0..).zip(kept).filter(|(_, kept)| **kept).map(|(id, _)| Some(id)).collect();
        if kept.len() != units || sources.is_empty() {
            let found = format!("{} labels of which {} stay", kept.len(), sources.len());
            let wanted = format!("{units} of which some stay");
            return Err(Error::Shape { name: "kept", found, wanted });
        }
        self.pick_labels(&sources)?;
        self.rehash();
        Ok(())
    }

    /// Asks for memory for so many labels, beside those there are.
    fn check_labels(&self, units: usize) -> Result<()> {
        let mut config = self.config.clone();
        config.output.resize(units);
        config.check()?;
        check_memory(config.bytes())
    }

    fn pick_labels(&mut self, sources: &[Option<u32>]) -> Result<()> {
        self.check_labels(sources.len())?;
        // What rows are owed is counted in steps that new rows have not missed.
        self.settle();
        self.config.output.resize(sources.len());
        self.output.pick(sources, &self.config.output.sampler);
        let Workspace { layers, hidden_active, phases, .. } = std::mem::take(&mut self.workspace);
        self.workspace = Workspace { layers, hidden_active, phases, ..Workspace::default() };
        Ok(())
    }

    /// For every new label the mean input of the output layer, scaled, one after another.
    fn mean_inputs(
        &mut self,
        x: &Features<'_>,
        y: &IdLists<'_>,
        units: usize,
        go_on: impl FnMut() -> bool,
    ) -> Result<Vec<f32>> {
        if y.len() != x.len() || y.columns() != units {
            let found = format!("{} rows of {} labels", y.len(), y.columns());
            let wanted = format!("{} rows (as X) of {units} labels", x.len());
            return Err(Error::Shape { name: "Y", found, wanted });
        }
        let (old, width) = (self.output.units(), self.output.params().0.weights().width());
        let sizes = ((units - old) as u128, width as u128);
        check_memory(sizes.0 * sizes.1 * 12)?;
        let (mut sums, mut found) = (vec![0.0_f64; (units - old) * width], vec![0.0; units - old]);
        let (mut labels, mut error) = (vec![], None);
        self.ready();
        self.each_chunk(x, None, go_on, |network, first, tapes| {
            let mut row = first;
            for tape in &*tapes {
                let inputs = tape.inputs(network.hidden.len());
                for i in 0..tape.len {
                    labels.clear();
                    error = error.take().or(y.append_row(row, &mut labels).err());
                    row += 1;
                    for new in labels.iter().filter_map(|&id| (id as usize).checked_sub(old)) {
                        found[new] += 1.0;
                        add(&mut sums[new * width..][..width], inputs, i);
                    }
                }
            }
        })?;
        if let Some(error) = error {
            return Err(error);
        }
        if let Some(new) = found.iter().position(|&rows| rows == 0.0) {
            let found = format!("no row with label {}", old + new);
            let wanted = "rows of every new label".to_owned();
            return Err(Error::Shape { name: "Y", found, wanted });
        }
        let length = self.output.mean_length(&self.kernels, old);
        let scaled = sums.chunks(width).flat_map(|sum| {
            let own = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
            let factor = if own > 0.0 { length / own } else { 0.0 };
            sum.iter().map(move |x| (x * factor) as f32)
        });
        Ok(scaled.collect())
    }
}

/// Adds the input of sample `i`.
fn add(sum: &mut [f64], inputs: Inputs<'_>, i: usize) {
    match inputs {
        Inputs::Dense(inputs) => {
            sum.iter_mut().zip(inputs.row(i)).for_each(|(sum, &x)| *sum += f64::from(x));
        }
        Inputs::Sparse(lists) => {
            let (ids, values) = lists.of(i);
            ids.iter().zip(values).for_each(|(&id, &x)| sum[id as usize] += f64::from(x));
        }
    }
}
